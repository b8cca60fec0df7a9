"""A project at a GitLab server: the requests below it, and the errors of whatever is asked there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from gitlab import Gitlab
from gitlab.exceptions import GitlabError, GitlabParsingError
from gitlab.utils import EncodedId
from gitlab.v4.objects import ProjectBranchManager

from bot.ports import Refused
from bot.providers.gitlab_api import FORBIDDEN, PER_PAGE, advice, asking, ordinary, refusal, said

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Place:
    """Whose merge requests: a project at a server, and how to reach both.

    `project` is its path (`group/name`) or number, `branch` the config branch. `user` is the bot's own name where the
    token cannot ask for it, else empty. `token` says where the token comes from. What is asked raises python-gitlab's
    errors, which `asking` turns into ours.
    """

    api: Gitlab
    project: str
    branch: str
    user: str = ""
    token: str = "the token"  # noqa: S105 - where it comes from, not what it is

    @property
    def path(self) -> str:
        """The project's path at the API."""
        return f"/projects/{EncodedId(self.project)}"

    @property
    def branches(self) -> ProjectBranchManager:
        """The project's branches, by names that may hold slashes."""
        return self.api.projects.get(self.project, lazy=True).branches

    def asking(self, request: str) -> AbstractContextManager[None]:
        """Turn errors of the library into one line about this server and request."""
        return asking(self.api.url, request, token=self.token, project=self.project)

    def get(self, path: str) -> Any:
        """One answer below the project."""
        return self.api.http_get(f"{self.path}/{path}")

    def pages(self, path: str, size: int = PER_PAGE, /, **query: str) -> Iterator[Any]:
        """Everything of a list below the project; the next `size` are asked for when they are wanted."""
        try:
            yield from self.api.http_list(f"{self.path}/{path}", dict(query), iterator=True, per_page=size)
        except (KeyError, TypeError) as error:  # how the library stumbles over an answer that is no list
            raise GitlabParsingError("the answer is not a list") from error

    def post(self, path: str, fields: Mapping[str, Any]) -> Any:
        """Make something below the project."""
        return self.api.http_post(f"{self.path}/{path}", post_data=dict(fields))

    def try_to(
        self, request: str, do: Callable[[], Done], what: str, rights: Mapping[int, str] | None = None
    ) -> Done | Refused:
        """Do a write once; an ordinary no is a value that says `what` was not done.

        `rights` are statuses that mean a missing right here, and nothing else, with their words.
        """
        with self.asking(request):
            try:
                return do()
            except GitlabError as error:
                code = error.response_code or 0
                if rights and code in rights:
                    return Refused(f"{what}: {rights[code]}")
                if code == FORBIDDEN:
                    return Refused(f"{what}: {said(error)}; {advice(error, self.token, self.project)}")
                if ordinary(error):
                    return refusal(error, what)
                raise

    def put(self, path: str, fields: Mapping[str, Any]) -> Any:
        """Change something below the project."""
        return self.api.http_put(f"{self.path}/{path}", post_data=dict(fields))
