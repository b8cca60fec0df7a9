"""The desk of the fake GitHub: who asks, what may be seen, pages, rate limits, conditional requests."""

from __future__ import annotations

import hashlib
import json
import re
import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode

from worlds.contract import Contract
from worlds.fake_github_issue_shapes import IssueShapes
from worlds.fake_github_model import Identity, Project, User, at_least
from worlds.fake_github_state import World, denied
from worlds.fake_http import Answer, FakeServer, Refusal, Request

PREFIX = "/api/v3"
REPO = PREFIX + r"/repos/([^/]+/[^/]+)"
INTEGRATION = "Resource not accessible by integration"
PUSHED = re.compile(rb"[0-9a-f]{4}[0-9a-f]{40} ([0-9a-f]{40}) (refs/heads/[^\0\n ]+)[\0\n]?")
LABELS = re.compile(r".*/issues/\d+/labels")
RUNS = re.compile(r".*/actions/(?:workflows/[^/]+/)?runs")
TIME = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?"
RANGE = re.compile(rf"created=(?:[<>]=?{TIME}|(?:{TIME}|\*)\.\.(?:{TIME}|\*)|{TIME})")

T = TypeVar("T")


class GitHubContract(Contract):
    """GitHub's document, with what it says in words where its schemas are narrower.

    Labels are taken as a bare array too, and the `created` of workflow runs is a range in search syntax (`>=TIME`).
    """

    def check_request(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> list[str]:
        """As for every document."""
        if method == "POST" and LABELS.fullmatch(path) and body.startswith(b"["):
            body = json.dumps({"labels": json.loads(body)}).encode()
        if RUNS.fullmatch(path):
            query = "&".join(pair for pair in query.split("&") if not RANGE.fullmatch(unquote(pair)))
        return super().check_request(method, path, query, headers, body)


class Desk(FakeServer):
    """What every endpoint needs. Tokens stand for identities in `identities`; a token of none is refused with 401."""

    unjudged = re.compile(r"/api/graphql")

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(GitHubContract("github-openapi.json", PREFIX, slashes=("ref", "branch", "basehead")))
        self.now = now
        self.world = World(now)
        self.shapes = IssueShapes(self.web)
        self.identities: dict[str, Identity] = {}
        self.rate_limit = 5000
        self.rate_used = 0
        self._asking: Identity | None = None

    @property
    def web(self) -> str:
        """The address of pages and repositories."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The address of the REST API, as an Enterprise Server has it."""
        return self.web + PREFIX

    def identity(self, request: Request) -> Identity | None:
        """Whom the request's token stands for."""
        kind, _, word = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            word = b64decode(word).decode().partition(":")[2]
        return self.identities.get(word)

    def authorized(self, request: Request) -> Answer | None:
        """Refuse a token that stands for nobody; notice what was pushed."""
        self.world.sync()
        self._asking = self.identity(request)
        app = request.path.startswith(f"{PREFIX}/app") or request.path.endswith("/installation")
        if self._asking is None and "authorization" in request.headers and not app:
            return denied(401, "Bad credentials").answer
        if self.rate_used >= self.rate_limit:
            return primary_limit(datetime.now(UTC) + timedelta(hours=1))
        return None

    def missing(self, request: Request) -> Answer:
        """GitHub's 404."""
        del request
        return denied(404, "Not Found").answer

    @property
    def me(self) -> User:
        """Who asks; 401 for nobody."""
        if self._asking is None:
            raise denied(401, "Requires authentication")
        return self._asking.user

    @property
    def integration(self) -> bool:
        """Whether an app or a workflow asks."""
        return self._asking is not None and self._asking.kind != "user"

    def project(self, request: Request, wanted: str = "read") -> Project:
        """The repository of the path; 404 where the token may not see it, 403 where its role is too low."""
        project = self.world.projects.get(request.groups[0])
        role = "none" if project is None else self.role(project)
        if project is None or role == "none":
            raise denied(404, "Not Found")
        if not at_least(role, wanted):
            raise denied(403, INTEGRATION if self.integration else "Must have push access to repository")
        return project

    def role(self, project: Project) -> str:
        """The role of who asks."""
        return project.role("" if self._asking is None else self._asking.user.login)

    def owner(self, project: Project) -> User:
        """The account that a repository belongs to."""
        return self.world.user(project.owner)

    def page(self, request: Request, rows: Sequence[T], default: int = 30) -> tuple[Sequence[T], dict[str, str]]:
        """One page, and the Link header where there are more."""
        size = max(1, min(self.most_on_a_page, int(request.get("per_page") or default)))
        number, last = max(1, int(request.get("page") or 1)), max(1, -(-len(rows) // size))
        wanted = {"first": 1, "prev": number - 1, "next": number + 1, "last": last}
        shown = {"first": number > 1, "prev": number > 1, "next": number < last, "last": number < last}
        links = [
            f'<{self._page_url(request, wanted[word])}>; rel="{word}"'
            for word in ("prev", "next", "last", "first")
            if shown[word]
        ]
        return rows[(number - 1) * size : number * size], {"Link": ", ".join(links)} if links else {}

    def listed(self, request: Request, rows: Sequence[T], shape: Callable[[T], Any], key: str = "") -> Answer:
        """A page of a list, or of the list under `key` beside its total count."""
        shown, headers = self.page(request, rows)
        body = [shape(row) for row in shown]
        return Answer(200, {"total_count": len(rows), key: body} if key else body, headers)

    def _page_url(self, request: Request, number: int) -> str:
        pairs = [pair.partition("=") for pair in request.query.split("&") if pair]
        kept = [(unquote(name), unquote(value)) for name, _, value in pairs if name != "page"]
        return f"{self.web}{request.path}?{urlencode([*kept, ('page', str(number))])}"

    def git_repository(self, request: Request) -> tuple[Path, str] | Answer | None:
        """Git over HTTP below `/owner/name.git`; writing needs the role for it."""
        match = re.fullmatch(r"/([^/]+/[^/]+?)(?:\.git)?(/(?:info/refs|git-[a-z]+-pack))", request.path)
        if match is None:
            return None
        with self.lock:
            project, identity = self.world.projects.get(match[1]), self.identity(request)
            writing = "git-receive-pack" in match[2] + request.query
            role = "none" if project is None else project.role("" if identity is None else identity.user.login)
            if identity is None and (writing or role == "none"):
                return Answer(401, b"Repository not found.\n", {"WWW-Authenticate": 'Basic realm="GitHub"'})
            if project is None or role == "none":
                return Answer(404, b"Repository not found.\n")
            if writing and not at_least(role, "write"):
                return Answer(403, b"Write access to repository not granted.\n")
            if identity is not None and match[2] == "/git-receive-pack":
                for sha, ref in PUSHED.findall(request.body.partition(b"PACK")[0]):
                    branch, new = ref.decode().removeprefix("refs/heads/"), sha.decode().replace("0" * 40, "")
                    self.world.announced[(project.full_name, branch, new)] = (identity.user, "")
        return project.repository.path, match[2]

    def git_moved(self, request: Request) -> None:
        """See at once what was pushed."""
        del request
        self.world.sync()

    def _log(self, request: Request, answer: Answer | None) -> Answer | None:
        """Every answer of the API tells of rates; one that the client has already is a 304 and costs nothing."""
        if answer is not None and request.path.startswith("/api/"):
            with self.lock:
                answer = self._dressed(request, answer)
        return super()._log(request, answer)

    def _dressed(self, request: Request, answer: Answer) -> Answer:
        status, body, headers = answer.status, answer.body, dict(answer.headers)
        if request.method == "GET" and status == 200:
            headers["ETag"] = f'W/"{hashlib.sha256(answer.encoded()[1]).hexdigest()}"'
            if headers["ETag"].strip("W/") in request.headers.get("if-none-match", ""):
                status, body = 304, None
        self.rate_used += status != 304
        rates = {
            "X-RateLimit-Limit": str(self.rate_limit),
            "X-RateLimit-Remaining": str(max(0, self.rate_limit - self.rate_used)),
            "X-RateLimit-Used": str(self.rate_used),
            "X-RateLimit-Reset": str(int(time.time()) + 3600),  # clients hold it against their own clock
            "X-RateLimit-Resource": "core",
        }
        given = {name.lower() for name in headers}
        rates = {name: value for name, value in rates.items() if name.lower() not in given}
        return Answer(status, body, {**rates, **headers, "X-GitHub-Request-Id": f"0:{self.rate_used}"})


def secondary_limit(seconds: int) -> Answer:
    """The answer of GitHub's secondary rate limit: 403 with Retry-After."""
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return Answer(403, denied(403, message).answer.body, {"Retry-After": str(seconds)})


def primary_limit(reset: datetime) -> Answer:
    """The answer of a used-up rate limit: 403, nothing remaining until `reset`."""
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(reset.timestamp()))}
    return Answer(403, denied(403, "API rate limit exceeded for user ID 1.").answer.body, headers)


def ordered(request: Request, rows: Sequence[T], keys: Mapping[str, Callable[[T], Any]], direction: str) -> list[T]:
    """Rows by the `sort` (`created` if unsaid) and `direction` that are asked for."""
    key = keys[request.get("sort", "created")]
    return sorted(rows, key=key, reverse=request.get("direction", direction) != "asc")


def body_of(request: Request) -> Any:
    """The JSON of a request; 400 where it is none."""
    try:
        return request.json()
    except ValueError as error:
        raise Refusal(400, {"message": "Problems parsing JSON"}) from error
