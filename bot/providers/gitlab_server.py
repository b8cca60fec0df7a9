"""One GitLab as its pipelines are asked for: a few kinds of request, and an ordinary no as a value.

Shared by the pipelines that the bot starts and by those that it waits for (upstreams).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gitlab import Gitlab
from gitlab.exceptions import GitlabError

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance, SecretRef
from bot.ports import Cache
from bot.providers.downstream import budget_of, secret_text
from bot.providers.gitlab_api import FORBIDDEN, NOT_FOUND, ORDINARY, PER_PAGE, asking, client, said
from bot.providers.secrets import read_secret

ANSWERS = ORDINARY | {NOT_FOUND, FORBIDDEN}
"""Statuses that say something of what was asked for; any other means that nobody can be asked now."""

JOB_TOKEN = SecretRef(env="CI_JOB_TOKEN")
"""Where a CI job finds its own token."""

MAY_START = "the scope `api`, and its user the role Developer or higher"
"""What a token needs that starts pipelines."""


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


def gitlab_server(
    instance: Instance, environ: Mapping[str, str], config: Path, cache: Cache | None = None
) -> GitLabServer | Unreachable:
    """The server of an instance; `Unreachable` where its token cannot be read. Asks nothing yet.

    With `cache`, answers to reads are kept there and asked for conditionally.
    """
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    token = read_secret(instance.token, config, environ)
    if token is None and instance.token is not None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    ca = str(config / instance.ca) if instance.ca else ""
    job = instance.token == JOB_TOKEN
    made = client(instance.url, token or "", job=job, ca=ca, cache=cache, budget=budget)
    return GitLabServer(made, instance.name, secret_text(instance.token))


def path_of(project: str, *parts: str) -> str:
    """The path of what belongs to a project, named by its path or number."""
    return "/".join(["/projects", quote(project, safe=""), *parts])


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

    def list(self, path: str, query: Mapping[str, Any], limit: int, page: int = PER_PAGE) -> Any | No:
        """The first items of a list, at most `limit` of them, `page` with each request."""
        return self.taken(path, query, lambda items: [*islice(items, limit)], page)

    def taken(self, path: str, query: Mapping[str, Any], take: Callable[[Any], Any], page: int = PER_PAGE) -> Any | No:
        """What `take` makes of a list's items, which are asked for, `page` with each request, as it goes on."""
        asked = {**query, "per_page": page}
        return self._asked(f"GET {path}", lambda: take(self._client.http_list(path, query_data=asked, iterator=True)))

    def unreachable(self, answer: No, needs: str = MAY_START) -> ServerUnreachable:
        """The error for a no that leaves open what was asked; `needs` says what the token must have for it."""
        return ServerUnreachable(
            f"{self._client.url}: {answer.request}: {answer.text}", hint=f"{self._token} needs {needs}"
        )

    def _asked(self, request: str, call: Callable[[], Any]) -> Any | No:
        with asking(self._client.url, request, token=self._token, project=f"instance {self._instance}"):
            try:
                return call()
            except GitlabError as error:
                if error.response_code not in ANSWERS:
                    raise
                return No(error.response_code or 0, said(error), request)
