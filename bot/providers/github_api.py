"""GitHub's API through PyGithub: one polite client for the forge and the pipelines of GitHub.

PyGithub's Requester knows GitHub's addresses, headers and tokens. Its objects complete themselves with requests of
their own, so callers say every request here. Reads are conditional where there is a cache: a 304 costs nothing of the
hour's budget.
Source: https://docs.github.com/rest (best practices; rate limits), PyGithub 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import github
import requests
from github.Auth import Token
from github.PullRequest import PullRequest
from github.Requester import Requester

from bot.errors import ServerUnreachable
from bot.ports import Cache
from bot.providers import http
from bot.providers.github_transport import READS, AppKey, Installation, PoliteRequester, api_root, signer
from bot.providers.secrets import redact, remember

PAGE = 100
"""Items on a page: the most that GitHub gives."""

LONGEST = 300
"""Characters that GitHub's own words may take in a sentence."""

_ABSENT = frozenset({requests.codes.not_found, requests.codes.gone})
_ADVICE = {
    401: "check the token: it is missing, wrong or expired",
    403: "check the token's permissions: contents, pull requests, issues (and actions, for workflows) to write, "
    "checks and commit statuses to read",
    404: "check the address and the project's name, and that the token may see it",
    429: "it is asked too often; try again later",
}


@dataclass(frozen=True, slots=True)
class No:
    """GitHub's ordinary no to a write or a look: its status and its words in one line."""

    status: int
    text: str


def client(
    url: str, auth: str | AppKey, *, ca: str = "", cache: Cache | None = None, budget: http.Budget | None = None
) -> GitHubApi:
    """A client for the server at `url` with a token or as an app; asks nothing yet.

    Raises `ValueError` for a key of an app that cannot sign.
    """
    session = http.session(ca=ca, budget=budget, conditional=cache)
    root = api_root(url)
    if isinstance(auth, str):
        remember(auth)
        return GitHubApi(PoliteRequester(Token(auth) if auth else None, root, session))
    app = GitHubApi(PoliteRequester(signer(auth), root, session))
    return GitHubApi(PoliteRequester(Installation(partial(_installation_token, app, auth)), root, session), app)


def _installation_token(app: GitHubApi, key: AppKey) -> tuple[str, datetime]:
    """A fresh token of the installation, and until when it is good."""
    installation = key.installation or app.get(f"/repos/{key.project}/installation")["id"]
    made = app.send("POST", f"/app/installations/{installation}/access_tokens", {})
    if isinstance(made, No):
        raise ServerUnreachable(
            f"{app.server}: no token for installation {installation} of the app: {made.status} {made.text}",
            hint="check forge.app in saasbot.yml: id, installation and key, and that the app is not suspended",
        )
    return str(made["token"]), moment(made.get("expires_at")) or datetime.now(UTC) + timedelta(hours=1)


class GitHubApi:
    """What is asked of GitHub, one request a call (one a page for `pages`); safe with any number of threads.

    Paths are below the API's root, escaped by the caller. Raises `ServerUnreachable` for everything that is no answer:
    no connection, a server in trouble, a rate limit, a wrong token, and any error on a read that must succeed.
    """

    def __init__(self, requester: Requester, app: GitHubApi | None = None) -> None:
        self._requester = requester
        self.app = app
        """The same server as the app itself, not its installation; None where the bot has a token."""

    @property
    def url(self) -> str:
        """The root of the API."""
        return self._requester.base_url

    @property
    def token(self) -> str:
        """The present token, for git over HTTP; for an app's installation this may ask the server."""
        auth = self._requester.auth
        with self._asking("GET", "its token"):
            return auth.token if auth is not None else ""

    def get(self, path: str, **parameters: str | int) -> Any:
        """Read one thing that must be there."""
        return self._read(path, parameters)[0]

    def find(self, path: str, **parameters: str | int) -> Any | None:
        """Read one thing that need not be there: None for 404 and 410."""
        found = self._read(path, parameters, allowed=_ABSENT)[0]
        return None if isinstance(found, No) else found

    def look(self, path: str, **parameters: str | int) -> Any | No:
        """Read one thing that this token need not be allowed to see, or that need not be there."""
        return self._read(path, parameters, allowed=_ABSENT | {requests.codes.forbidden, requests.codes.conflict})[0]

    def pages(self, path: str, key: str = "", **parameters: str | int) -> Iterator[Any]:
        """The items of all pages, read as they are wanted; `key` is where they stand in an answer that is no list."""
        more: Mapping[str, str | int] | None = {"per_page": PAGE, **parameters}
        while more is not None:
            found, more = self._read(path, more)
            yield from found[key] if key else found

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any | No:
        """Write; a refusal is a value. After a lost answer nobody knows: it raises, and asking twice must be safe."""
        with self._asking(method, path):
            status, headers, text = self._requester.requestJson(method, path, input=body)
        if not _fine(status):
            return self._no(method, path, status, headers, text)
        return self._parsed(method, path, text)

    def auto_merge(self, node: str, head: str, method: str = "MERGE") -> No | None:
        """Set a pull request (by its node id) to merge when its requirements are met, if its head still is `head`."""
        return self._mutate(lambda pull: pull.enable_automerge(merge_method=method, expected_head_oid=head), node)

    def no_auto_merge(self, node: str) -> No | None:
        """Take that back."""
        return self._mutate(lambda pull: pull.disable_automerge(), node)

    def _mutate(self, ask: Callable[[PullRequest], object], node: str) -> No | None:
        pull = PullRequest(self._requester, {}, {"node_id": node}, completed=True)
        try:
            with self._asking("POST", "/graphql"):
                ask(pull)
        except github.GithubException as error:  # a refusal comes with status 200, PyGithub makes it 400
            return self._no("POST", "/graphql", error.status, error.headers or {}, json.dumps(error.data or {}))
        return None

    def _read(
        self, path: str, parameters: Mapping[str, str | int], *, allowed: frozenset[int] = frozenset()
    ) -> tuple[Any, Mapping[str, str | int] | None]:
        """The value, and the parameters of the next page."""
        with self._asking("GET", path):
            status, headers, text = self._requester.requestJson("GET", path, dict(parameters))
        if not _fine(status):
            no = self._no("GET", path, status, headers, text)
            if status not in allowed:
                raise self._unreachable("GET", path, no, headers)
            return no, None
        return self._parsed("GET", path, text), _next_page(headers.get("link", ""))

    def _parsed(self, method: str, path: str, text: str) -> Any:
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise ServerUnreachable(
                f"{self.server}: {method} {path}: the answer is no JSON",
                hint="is forge.url the address of GitHub's API, and is there a proxy in between?",
            ) from error

    def _no(self, method: str, path: str, status: int, headers: Mapping[str, str], text: str) -> No:
        """The refusal as a value; raises where it says nothing about the request itself."""
        no = No(status, _words(text) or f"HTTP {status}")
        limited = status == requests.codes.too_many_requests or (
            status == requests.codes.forbidden
            and (Requester.isRateLimitError(no.text) or "retry-after" in headers or _used_up(headers))
        )
        moved = requests.codes.multiple_choices <= status < requests.codes.bad_request
        if limited or moved or status == requests.codes.unauthorized or status >= requests.codes.server_error:
            raise self._unreachable(method, path, no, headers, limited=limited)
        if status == requests.codes.forbidden and (needs := _permission(headers)):
            return No(status, f"{no.text} ({needs})")
        return no

    def _unreachable(
        self, method: str, path: str, no: No, headers: Mapping[str, str], *, limited: bool = False
    ) -> ServerUnreachable:
        message = f"{self.server}: {method} {path}: {no.status} {no.text}"
        if limited:
            until = _until(headers)
            return ServerUnreachable(
                f"{message}; the rate limit lasts until {until:%Y-%m-%dT%H:%M:%SZ}" if until else message,
                hint="too many requests were made with this token; run it less often, or use an app of its own",
            )
        if no.status >= requests.codes.server_error:
            return ServerUnreachable(message, hint="the server is in trouble; try again later")
        if no.status < requests.codes.bad_request:
            return ServerUnreachable(message, hint=f"it has moved to {headers.get('location', '')}; set forge.project")
        return ServerUnreachable(message, hint=_ADVICE.get(no.status, ""))

    @property
    def server(self) -> str:
        """The server's name, for sentences."""
        return self._requester.hostname_and_port

    @contextmanager
    def _asking(self, method: str, path: str) -> Iterator[None]:
        """What PyGithub and the transport raise, as what the port says."""
        try:
            yield
        except requests.RequestException as error:
            lost = "" if method in READS or isinstance(error, http.RateLimited) else "; it may have been carried out"
            raise ServerUnreachable(
                redact(f"{self.server}: {method} {path}: {http.cause(error)}{lost}"),
                hint="check the address, the network and the proxy; else try again later",
            ) from error
        except (
            RuntimeError,
            ValueError,
        ) as error:  # a redirect that PyGithub does not follow, an answer it cannot read
            raise ServerUnreachable(redact(f"{self.server}: {method} {path}: {one_line(error)}")) from error


def _fine(status: int) -> bool:
    return bool(requests.codes.ok <= status < requests.codes.multiple_choices)


def moment(value: Any) -> datetime | None:
    """One of GitHub's times, aware and in UTC; None where there is none."""
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) and value else None


def one_line(value: Any) -> str:
    """Words in one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value or "")).split())


def _next_page(link: str) -> Mapping[str, str | int] | None:
    """The parameters of the page that a Link header calls next; its host is not used, a proxy may have changed it."""
    for found in requests.utils.parse_header_links(link) if link else ():
        if found.get("rel") == "next":
            return dict(parse_qsl(urlsplit(found["url"]).query, keep_blank_values=True))
    return None


def _words(text: str) -> str:
    """GitHub's message with the messages of its errors, in one line without secrets."""
    try:
        said = json.loads(text) if text else {}
    except ValueError:
        return ""
    if not isinstance(said, Mapping):
        return ""
    details = [error.get("message") or error.get("code") if isinstance(error, Mapping) else error
               for error in said.get("errors") or ()]  # fmt: skip
    words = one_line(": ".join(filter(None, (one_line(said.get("message")), "; ".join(map(one_line, details))))))
    return redact(words)[:LONGEST]


def _permission(headers: Mapping[str, str]) -> str:
    """Which permission GitHub says would do."""
    wanted = headers.get("x-accepted-github-permissions") or headers.get("x-accepted-oauth-scopes")
    return f"it needs {one_line(wanted)}" if wanted else ""


def _used_up(headers: Mapping[str, str]) -> bool:
    return headers.get("x-ratelimit-remaining") == "0"


def _until(headers: Mapping[str, str]) -> datetime | None:
    """When a rate limit ends, as the answer says; None where it does not say."""
    wait = http.wait_asked(requests.codes.too_many_requests, headers)
    return datetime.now(UTC) + timedelta(seconds=wait) if wait is not None else None
