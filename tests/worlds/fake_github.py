"""A fake GitHub: its REST API, the part of GraphQL that REST lacks, and git over HTTP, over real bare repositories.

    with FakeGitHub(bare, "acme/config", now=clock, members={"alice": "admin"}, token="t") as server:
        github = Github(base_url=server.url, auth=Auth.Token(server.token))
        server.people.open_as("alice", "feature", "A title")
        server.faults.append(Fault(("PUT", r".*/merge"), Answer(405, {"message": "..."})))

Every request and answer is held against GitHub's official document; the rest is in the modules `fake_github_*`:
`state` (what happens), `*_shapes` (how it is shown), `*_pages` (endpoints), `desk` (rights, pages, rates), `people`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from worlds import planted
from worlds.fake_github_action_pages import ActionPages, Runs
from worlds.fake_github_app_pages import APP, INSTALLATION, AppPages
from worlds.fake_github_desk import primary_limit, secondary_limit
from worlds.fake_github_git import run
from worlds.fake_github_issue_pages import IssuePages
from worlds.fake_github_model import Identity, Project
from worlds.fake_github_people import GitHubPeople
from worlds.fake_github_repo_pages import RepoPages
from worlds.fake_http import Route

__all__ = ["APP", "INSTALLATION", "FakeGitHub", "primary_limit", "secondary_limit"]


class FakeGitHub(RepoPages, IssuePages, ActionPages, AppPages):
    """The server with one config repository; `add_project` gives it more.

    `members` are roles (admin, maintain, write, triage, read) by login; the bot may write unless it is named there.
    `token` is the bot's, a user's; `actions_token` is what a workflow gets, `app_key` signs for the app of the bot's
    name. `world.unknown_reads` is how many reads in detail tell nothing of mergeability after a head or base moved.
    Times have whole seconds, follow `now`, and rise with every event.
    """

    routes: ClassVar[Sequence[Route]] = (*RepoPages.routes, *IssuePages.routes, *ActionPages.routes, *AppPages.routes)

    def __init__(
        self,
        repo: Path,
        project: str = "acme/config",
        *,
        now: Callable[[], datetime],
        members: Mapping[str, str],
        token: str,
        bot: str = "saasbot",
        default_branch: str = "main",
        private: bool = True,
    ) -> None:
        super().__init__(now)
        self.bot = bot
        self.token = token
        self.actions_token = planted.token("workflow")
        self.app_slug = bot
        self.runs = Runs(self.world)
        self._bots = (bot, f"{bot}[bot]", "github-actions[bot]")
        self.config = self.add_project(project, repo, members, default_branch=default_branch, private=private)
        self.installed_on = self.config
        self.identities[token] = Identity(self.world.user(bot))
        self.identities[self.actions_token] = Identity(self.world.user("github-actions[bot]"), "actions")
        self.people = GitHubPeople(self, self.config, frozenset(self._bots))

    @property
    def clone_url(self) -> str:
        """Where git reaches the config repository."""
        return self.clone_url_of(self.config)

    def clone_url_of(self, project: Project) -> str:
        """Where git reaches a repository."""
        return f"{self.web}/{project.full_name}.git"

    def add_project(
        self, name: str, repo: Path, members: Mapping[str, str] | None = None, *, default_branch: str = "main",
        private: bool = True,
    ) -> Project:  # fmt: skip
        """Another repository, such as one with workflows; its members are those given and the bot."""
        with self.lock:
            roles = dict.fromkeys(self._bots, "write") | dict(members or {})
            return self.world.add(repo, name, roles, private=private, branch=default_branch)

    def fork(self, owner: str, folder: Path) -> Project:
        """A fork of the config repository in `folder`, for pull requests from `owner:branch`."""
        run(("git", "clone", "--quiet", "--bare", str(self.config.repository.path), str(folder)))
        with self.lock:
            branch, private = self.config.default_branch, self.config.private
            name = f"{owner}/{self.config.name}"
            project = self.world.add(folder, name, {owner: "admin"}, private=private, branch=branch)
            project.parent = self.config
            return project

    def event(self, note: str) -> dict[str, Any]:
        """The `issue_comment` event of a comment in the config repository, as Actions finds it in its event file."""
        with self.lock:
            for issue in self.config.issues.values():
                for comment in issue.comments:
                    if str(comment.id) == note:
                        return {
                            "action": "created",
                            "issue": self.shapes.issue(self.config, issue, detail=False),
                            "comment": self.shapes.comment(self.config, comment),
                            "repository": self.shapes.repository(self.config, self.owner(self.config)),
                            "sender": self.shapes.user(comment.user),
                        }
        raise KeyError(note)

    def login(self, user: str, token: str) -> None:
        """Give a person a token, for the API and for git."""
        with self.lock:
            self.identities[token] = Identity(self.world.user(user))
