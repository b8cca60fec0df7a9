"""The ground of the fake GitLab's API: who asks, which project, pages of a list, and git below `/PATH.git`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

from worlds.contract import Contract
from worlds.fake_gitlab_entities import Entities
from worlds.fake_gitlab_model import DEVELOPER, GUEST, Issue, MergeRequest, Project, User
from worlds.fake_gitlab_state import State
from worlds.fake_http import Answer, FakeServer, Refusal, Request

API = "/api/v4"
PROJECT = rf"{API}/projects/([^/]+)"
Thing = TypeVar("Thing")


class GitLabGround(FakeServer):
    """Everything that handlers stand on."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(Contract("gitlab-openapi.json", ""))
        self.state = State(now)
        self.state.url = self.url
        self.entities = Entities(self.state)
        self.git_login = False
        """Whether git over HTTP asks everybody for a login; a login that is given must be right in any case."""

    def caller(self, request: Request) -> User:
        """Who asks; refuses with 401 or 403."""
        header = request.headers
        token = header.get("private-token", "") or header.get("authorization", "").removeprefix("Bearer ")
        user = next((found for found in self.state.users.values() if token and found.token == token), None)
        if user is None:
            raise Refusal(401, {"message": "401 Unauthorized"})
        if user.state != "active":
            raise Refusal(403, {"message": "403 Forbidden - Your account has been blocked."})
        return user

    def project(self, request: Request, level: int = GUEST) -> tuple[Project, User]:
        """The project of the address and who asks; 404 where they may not see it, 403 below `level`."""
        user = self.caller(request)
        project = self.project_named(unquote(request.groups[0]))
        if project is None or self.state.level(project, user) < GUEST:
            raise Refusal(404, {"message": "404 Project Not Found"})
        if self.state.level(project, user) < level:
            raise Refusal(403, {"message": "403 Forbidden"})
        self.state.sync_all()
        return project, user

    def project_named(self, word: str) -> Project | None:
        """A project by number or path."""
        return next((found for found in self.state.projects if word in {str(found.id), found.path}), None)

    def thing(self, request: Request, project: Project) -> Issue:
        """The merge request or issue whose number is the address's second part (after its kind, if it is captured)."""
        kind, number = request.groups[1], int(request.groups[2])
        things: Mapping[int, Issue] = project.merge_requests if kind == "merge_requests" else project.issues
        if number not in things:
            raise Refusal(404, {"message": "404 Not found"})
        return things[number]

    def merge_request(self, request: Request, project: Project) -> MergeRequest:
        """The merge request whose number is the address's second part."""
        found = project.merge_requests.get(int(request.groups[1]))
        if found is None:
            raise Refusal(404, {"message": "404 Not found"})
        return found

    @staticmethod
    def body(request: Request, *required: str) -> dict[str, Any]:
        """The query and the body as one, as Grape reads them; refuses with 400 where something is missing."""
        body = dict(parse_qsl(request.query, keep_blank_values=True)) | dict(request.json())
        missing = [name for name in required if body.get(name) is None or body[name] == ""]
        if missing:
            raise Refusal(400, {"error": ", ".join(f"{name} is missing" for name in missing)})
        return body

    def reads(self, request: Request, *names: str) -> None:
        """Report query parameters that the document has but this fake would ignore."""
        known = {*names, "page", "per_page"}
        for name, _ in parse_qsl(request.query, keep_blank_values=True):
            if name.removesuffix("[]") not in known:
                self.violations.append(f"{request.method} {request.path}: the fake does not honour {name!r}")

    def paged(self, request: Request, things: Sequence[Thing], shape: Callable[[Thing], Any]) -> Answer:
        """One page of a list with the headers that lead to the others."""
        size = max(1, min(self.most_on_a_page, int(request.get("per_page", "20"))))
        page = max(1, int(request.get("page", "1")))
        pages = max(1, -(-len(things) // size))
        body = [shape(thing) for thing in things[(page - 1) * size : page * size]]
        following = page + 1 if page < pages else None
        wanted = {"prev": page - 1 or None, "next": following, "first": 1, "last": pages}
        links = [f'<{self._page_address(request, n, size)}>; rel="{word}"' for word, n in wanted.items() if n]
        headers = {
            "X-Page": str(page),
            "X-Per-Page": str(size),
            "X-Next-Page": str(following or ""),
            "X-Prev-Page": str(page - 1 or ""),
            "X-Total": str(len(things)),
            "X-Total-Pages": str(pages),
            "Link": ", ".join(links),
        }
        return Answer(200, body, headers)

    def _page_address(self, request: Request, page: int, size: int) -> str:
        """The address of another page of the same list."""
        others = [pair for pair in parse_qsl(request.query) if pair[0] not in {"page", "per_page"}]
        return f"{self.url}{request.path}?{urlencode([*others, ('page', page), ('per_page', size)])}"

    def git_repository(self, request: Request) -> tuple[Path, str] | Answer | None:
        """Git's part of the address space; 401 asks for a login."""
        match = re.fullmatch(
            r"/(.+?)\.git(/(?:info/refs|git-upload-pack|git-receive-pack|HEAD|objects/.*))", request.path
        )
        if match is None:
            return None
        project = self.project_named(match[1])
        given = "authorization" in request.headers
        user = self._git_user(request)
        if (given and user is None) or (self.git_login and not given):
            return Answer(401, b"HTTP Basic: Access denied\n", {"WWW-Authenticate": 'Basic realm="GitLab"'})
        if project is None or (user is not None and self.state.level(project, user) < GUEST):
            return Answer(404, b"The project you were looking for could not be found.\n")
        pushes = "git-receive-pack" in request.path + request.query
        if pushes and user is not None and self.state.level(project, user) < DEVELOPER:
            return Answer(403, b"You are not allowed to push code to this project.\n")
        return project.repository.path, match[2]

    def _log(self, request: Request, answer: Answer | None) -> Answer | None:
        """Answers to a GET carry an ETag, and one that the client has already is a 304 (Rack's ConditionalGet)."""
        if answer is not None and answer.status == 200 and request.method == "GET" and request.path.startswith(API):
            tag = f'W/"{hashlib.sha256(answer.encoded()[1]).hexdigest()[:32]}"'
            headers = {**answer.headers, "ETag": tag, "Cache-Control": "max-age=0, private, must-revalidate"}
            known = tag in request.headers.get("if-none-match", "")
            answer = Answer(304, None, headers) if known else Answer(200, answer.body, headers)
        return super()._log(request, answer)

    def git_environment(self, request: Request) -> Mapping[str, str]:
        """The branches that this user may not push to, for the repository's hook."""
        user, project = self._git_user(request), self.project_named(request.path[1:].partition(".git")[0])
        if user is None or project is None:
            return {}
        kept = [branch for branch in sorted(project.protected) if not self.state.may_push(project, user, branch)]
        return {"FAKE_PROTECTED": " ".join(kept)}

    def git_moved(self, request: Request) -> None:
        """Take in what was pushed."""
        self.state.sync_all(self._git_user(request))

    def _git_user(self, request: Request) -> User | None:
        """Whose token is the password of a git request."""
        kind, _, word = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        password = base64.b64decode(word).decode().partition(":")[2]
        return next((user for user in self.state.users.values() if user.token == password), None)


def in_order(
    things: Iterable[Thing], request: Request, keys: Mapping[str, Callable[[Thing], Any]], first: str
) -> list[Thing]:
    """A list as `order_by` and `sort` ask, newest first if they do not."""
    key = keys.get(request.get("order_by") or first, keys[first])
    return sorted(things, key=key, reverse=request.get("sort", "desc") == "desc")


def words(value: Any) -> list[str]:
    """A list that may be said with commas."""
    return (
        [word.strip() for word in value.split(",")] if isinstance(value, str) else [str(word) for word in value or ()]
    )


def truthy(value: Any) -> bool:
    """A boolean that may be said as text."""
    return value is True or str(value).lower() in {"true", "1", "yes", "on", "t", "y"}


def not_before(when: datetime, limit: str) -> bool:
    """Whether a time is at or after a limit in ISO 8601; an empty limit is none."""
    if not limit:
        return True
    parsed = datetime.fromisoformat(limit)
    return when >= (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
