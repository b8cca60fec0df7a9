"""CircleCI's API v2: requests that are sent once, pages that are followed to their end, and its no as a value.

CircleCI knows no key by which a start could be repeated safely. So each answer to a start is one of three: it was
taken, it was not taken (`Refused`), or nobody can tell (`ServerUnreachable`: its pipelines have to be looked at).
Source: https://circleci.com/docs/api/v2/ and its "API developer's guide".
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import requests
import urllib3.exceptions

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.ports import Refused
from bot.providers.downstream import budget_of, secret_text
from bot.providers.git import without_credentials
from bot.providers.http import RateLimited, TooLate, cause, session, wait_asked
from bot.providers.secrets import read_secret, redact

API = "/api/v2"

WHENEVER = timedelta(0)
"""The same request may be made again as soon as the caller likes."""

PAGES = 50
"""How many pages of one list are read at most."""

PAGE_TOKEN = "page-token"  # noqa: S105 - the name of a parameter
"""What the next page is asked for with; CircleCI passes over any other name, and gives the first page again."""

_REJECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_UNSURE = frozenset({HTTPStatus.REQUEST_TIMEOUT, 499})  # statuses below 500 after which it may have been carried out
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_LONGEST = 300  # characters of a server's own words that are told
_LOOK = "whether it was carried out is looked up in the next pass"
_NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


@dataclass(frozen=True, slots=True)
class No:
    """An answer that is not what was asked for: its status, its words in one line, and the request."""

    status: int
    text: str
    request: str

    @property
    def missing(self) -> bool:
        """Whether there is no such thing, or this token may not see it: CircleCI says both in the same way."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def settled(self) -> bool:
        """Whether the same request would be answered so again: neither the server nor the token was the reason."""
        below = HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return below and self.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, *_UNSURE}

    @property
    def words(self) -> str:
        """Status and words."""
        return f"{self.status} {self.text}".rstrip() if self.status else self.text


class Apis(NamedTuple):
    """One server twice: each request sent once, and for what nobody waits for, reads that are repeated politely."""

    once: CircleCiApi
    patient: CircleCiApi


def circleci_apis(
    instance: Instance, environ: Mapping[str, str], config: Path, sleep: Callable[[float], None] = time.sleep
) -> Apis | Unreachable:
    """The server of an instance, not yet asked anything; `Unreachable` where its token cannot be read."""
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    token = read_secret(instance.token, config, environ)
    if token is None and instance.token is not None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    if token is not None and any(each.isspace() or not each.isprintable() for each in token):
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds more than a token")
    ca = str(config / instance.ca) if instance.ca else ""
    made = (session(ca, budget=budget, patient=False), session(ca, budget=budget, sleep=sleep))
    for each in made:
        each.headers["Accept"] = "application/json"
        if token is not None:
            each.headers["Circle-Token"] = token.encode()
    return Apis(*(CircleCiApi(each, instance.url, secret_text(instance.token)) for each in made))


def project_path(slug: str, *parts: str) -> str:
    """The path of what belongs to a project."""
    return "/".join(["/project", quote(slug, safe=""), *parts])


def pipeline_path(handle: str, *parts: str) -> str:
    """The path of what belongs to a pipeline, by its id."""
    return "/".join(["/pipeline", quote(handle, safe=""), *parts])


def workflow_path(workflow: Mapping[str, Any], *parts: str) -> str:
    """The path of what belongs to a workflow."""
    return "/".join(["/workflow", quote(str(workflow.get("id")), safe=""), *parts])


class CircleCiApi:
    """The requests, by their paths below `/api/v2`. `token` says where the token is, for errors."""

    def __init__(self, made: requests.Session, url: str, token: str) -> None:
        self._session = made
        self._token = token
        self.server = url.rstrip("/").removesuffix(API)

    def start(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any] | Refused:
        """Start a pipeline; returns it, with its id. Raises ServerUnreachable where nobody can tell.

        `Refused` is sure: nothing was started.
        """
        request = f"POST {path}"
        try:
            answer = self._sent("POST", path, body=body)
        except requests.RequestException as error:
            again = _unsent(error)
            if again is None:
                raise self._broken(request, f"{_line(cause(error))}; {_LOOK}") from error
            return Refused(f"{self.server}: {request}: {_line(cause(error))}", _later(error, again))
        found = _object(answer)
        if found is not None and isinstance(found.get("id"), str) and found["id"]:
            return found
        if not _untaken(answer):
            raise self._broken(request, f"{_told(answer)}; {_LOOK}")
        final = answer.status_code != HTTPStatus.TOO_MANY_REQUESTS
        return Refused(self._no(answer), None if final else _pause(answer))

    def post(self, path: str) -> Mapping[str, Any] | No:
        """Ask for something that may be asked for twice. Raises ServerUnreachable where no answer came."""
        return self._value("POST", path)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any] | No:
        """What stands at a path. Raises ServerUnreachable where no answer came."""
        return self._value("GET", path, query)

    def items(
        self, path: str, pages: int = PAGES, last: Callable[[list[Any]], bool] = lambda _: False
    ) -> list[Mapping[str, Any]] | No:
        """All items of a list, page by page up to one that is the `last` of interest. Raises ServerUnreachable.

        A list that is longer than that many pages, or whose pages repeat, is a `No` without a status.
        """
        found: list[Mapping[str, Any]] = []
        for number, page in enumerate(self._pages(path)):
            if isinstance(page, No):
                return page
            if number == pages:
                return No(0, f"the list has more than {pages} pages", f"GET {path}")
            found += page
            if last(page):
                break
        return found

    def probe(self) -> Refused | None:
        """Whether CircleCI answers and takes the token: a rejected one will not get better."""
        try:
            answer = self._sent("GET", "/me")
        except requests.RequestException as error:
            again = _later(error, _unsent(error) or WHENEVER)
            return Refused(f"{self.server} cannot be reached: {_line(cause(error))}", again)
        if _object(answer) is not None:
            return None
        rejected = answer.status_code in _REJECTED
        return Refused(f"{self.server} is not up: {self._no(answer)}", None if rejected else _pause(answer))

    def unreachable(self, answer: No) -> ServerUnreachable:
        """The error for a no that leaves open what was asked."""
        rejected = answer.status in _REJECTED
        hint = f"check {self._token}: is the token still valid, and is it a personal one?" if rejected else ""
        limited = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        return self._broken(
            answer.request, answer.words, "ask less often: set the instance's `rateLimit`" if limited else hint
        )

    def _pages(self, path: str) -> Iterator[list[Mapping[str, Any]] | No]:
        """The pages of a list, each with its items."""
        seen: set[str] = set()
        token = ""
        while True:
            answer = self.get(path, {PAGE_TOKEN: token} if token else None)
            if isinstance(answer, No):
                yield answer
                return
            items, following = answer.get("items"), answer.get("next_page_token")
            if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
                yield No(0, "the answer is no list", f"GET {path}")
                return
            yield items
            if not isinstance(following, str) or not following:
                return
            if following in seen:
                yield No(0, "the pages of the list repeat", f"GET {path}")
                return
            seen.add(following)
            token = following

    def _value(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any] | No:
        request = f"{method} {path}"
        try:
            answer = self._sent(method, path, query=query)
        except requests.RequestException as error:
            raise self._broken(request, _line(cause(error))) from error
        found = _object(answer)
        if found is not None:
            return found
        if answer.ok and not answer.is_redirect:
            hint = "check the address: is it CircleCI, and does it ask for a login of its own?"
            raise self._broken(request, f"the answer is not CircleCI's: {_told(answer)}", hint)
        return No(answer.status_code, _said(answer), request)

    def _sent(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """The answer; redirects are not followed, the token would go along."""
        data = None if body is None else json.dumps(body).encode()
        headers = None if body is None else {"Content-Type": "application/json"}
        url = f"{self.server}{API}{path}"
        return self._session.request(method, url, params=query, data=data, headers=headers, allow_redirects=False)

    def _no(self, answer: requests.Response) -> str:
        """A no in words, with what is wrong with the token where that is it."""
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            return f"token rejected ({_told(answer)}): check {self._token}"
        pause = _pause(answer)
        return _told(answer) + (f"; it takes the next request in {pause.total_seconds():.0f} s" if pause else "")

    def _broken(self, request: str, words: str, hint: str = "") -> ServerUnreachable:
        advice = hint or "try again later; check the address, the network, the proxy and the certificates"
        return ServerUnreachable(without_credentials(f"{self.server}: {request}: {words}"), hint=advice)


def one_line(text: str, longest: int = _LONGEST) -> str:
    """A text in one line without control characters, cut, and without secrets."""
    line = " ".join("".join(c if c.isprintable() else " " for c in redact(without_credentials(text))).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _line(text: str) -> str:
    return one_line(text)


def _object(answer: requests.Response) -> Mapping[str, Any] | None:
    """The JSON object of a good answer."""
    if not HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return None
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _untaken(answer: requests.Response) -> bool:
    """Whether an answer to a start is a sure no. After a status from 500 on, it may have been started all the same."""
    status = answer.status_code
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _UNSURE


def _unsent(error: requests.RequestException) -> timedelta | None:
    """When a request that was surely never sent may be made again; None for one that may have arrived."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    match error:
        case RateLimited():
            return max(WHENEVER, error.until - datetime.now(UTC))
        case requests.ConnectTimeout() | TooLate():
            return WHENEVER
        case requests.exceptions.SSLError():
            return WHENEVER if any(map(_before_sending, (*error.args, *getattr(reason, "args", ())))) else None
        case _:
            early = isinstance(error, _NO_ADDRESS) or isinstance(reason, urllib3.exceptions.NewConnectionError)
            return WHENEVER if early else None


def _before_sending(error: object) -> bool:
    """Whether TLS came to nothing for a certificate: the server's, or a file of certificates that cannot be read."""
    unreadable = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
    return unreadable or isinstance(error, ssl.SSLCertVerificationError)


def _later(error: requests.RequestException, again: timedelta) -> timedelta | None:
    """When to ask again after an error; never where the address is none."""
    return None if isinstance(error, _NO_ADDRESS) else again


def _pause(answer: requests.Response) -> timedelta:
    """How long an answer asks to wait; nothing where it does not say."""
    return timedelta(seconds=wait_asked(answer.status_code, answer.headers) or 0.0)


def _told(answer: requests.Response) -> str:
    return f"{answer.status_code} {_said(answer)}".rstrip()


def _said(answer: requests.Response) -> str:
    """What was said, in one line: CircleCI's message, where a redirect leads, a page's title, or the first line."""
    if answer.is_redirect:
        to = urlsplit(answer.headers.get("Location", ""))
        return one_line(f"it leads to {to.hostname or ''}{to.path}: check the instance's url")
    try:
        message = answer.json().get("message")
    except (AttributeError, ValueError, RecursionError):
        message = None
    if isinstance(message, str) and message.strip():
        return one_line(message)
    text = answer.text.strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = title[1].strip().removeprefix(f"{answer.status_code} ") if title else ""
    return "" if answer.ok else one_line(text.partition("\n")[0] or answer.reason or "")
