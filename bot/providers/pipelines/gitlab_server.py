"""One GitLab as its pipelines are asked for: three kinds of request, and an ordinary no as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gitlab import Gitlab
from gitlab.exceptions import GitlabError

from bot.errors import ServerUnreachable
from bot.providers.gitlab_api import FORBIDDEN, NOT_FOUND, ORDINARY, PER_PAGE, asking, said

ANSWERS = ORDINARY | {NOT_FOUND, FORBIDDEN}
"""Statuses that say something of what was asked for; any other means that nobody can be asked now."""


@dataclass(frozen=True, slots=True)
class No:
    """The server's no: its status, its words in one line, and what it was asked."""

    status: int
    text: str
    request: str = ""

    @property
    def missing(self) -> bool:
        """Whether the thing is not there although the project may be seen; GitLab hides the others' with a 404 too."""
        return self.status == NOT_FOUND and "project not found" not in self.text.lower()


class GitLabServer:
    """The requests; `instance` and `token` name them in errors. Every method may raise ServerUnreachable."""

    def __init__(self, client: Gitlab, instance: str, token: str) -> None:
        self._client = client
        self._instance = instance
        self._token = token

    def get(self, path: str) -> Any | No:
        """The answer's value."""
        return self._asked(f"GET {path}", lambda: self._client.http_request("get", path).json())

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any | No:
        """The answer's value; the server may have acted even where no answer came."""
        data = dict(body) if body is not None else None  # the library's own `http_post` would send an empty object
        return self._asked(f"POST {path}", lambda: self._client.http_request("post", path, post_data=data).json())

    def list(self, path: str, query: Mapping[str, Any], limit: int) -> Any | No:
        """The first items of a list, at most `limit` of them."""
        asked = {**query, "per_page": PER_PAGE}
        return self._asked(
            f"GET {path}", lambda: [*islice(self._client.http_list(path, query_data=asked, iterator=True), limit)]
        )

    def unreachable(self, answer: No) -> ServerUnreachable:
        """The error for a no that leaves open what was asked."""
        hint = f"{self._token} needs the scope `api`, and its user the role Developer or higher"
        return ServerUnreachable(f"{self._client.url}: {answer.request}: {answer.text}", hint=hint)

    def _asked(self, request: str, call: Callable[[], Any]) -> Any | No:
        with asking(self._client.url, request, token=self._token, project=f"instance {self._instance}"):
            try:
                return call()
            except GitlabError as error:
                if error.response_code not in ANSWERS:
                    raise
                return No(error.response_code or 0, said(error), request)
