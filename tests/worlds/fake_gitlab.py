"""A GitLab for tests: a stateful server over real bare repositories, every request and answer held to its document.

    with FakeGitLab(tmp_path / "config.git", now=clock, members={"alice": 50, "bob": 30}) as server:
        server.url, server.token               # what the bot is given
        server.clone_url                       # git over HTTP; pushes move branches and merge requests
        server.people.open_as("bob", "change", "A change")
        server.pipelines.finish(server.pipelines.all()[0].id, "failed")
        server.faults.append(Fault(("POST", r".*/notes"), "drop after"))
        server.quick_actions                   # what was carried out; the bot must never be among the users

Conflicts, diffs and merges are computed by git at the moment of the question. Detail reads answer `checking` once after
a change (`checking_reads`), lists keep the last settled values for a minute of the clock (`stale_lists`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from worlds import planted
from worlds.fake_gitlab_api import API, PROJECT
from worlds.fake_gitlab_ci import Pipelines, PipelinesApi
from worlds.fake_gitlab_merging import MergingApi
from worlds.fake_gitlab_model import MAINTAINER, Project, QuickAction, User
from worlds.fake_gitlab_people import GitLabPeople
from worlds.fake_gitlab_repository import RepositoryApi
from worlds.fake_gitlab_shapes import time_text
from worlds.fake_gitlab_talking import TalkingApi
from worlds.fake_http import Answer, Request, Route

NOTE = re.compile(r'(\w+): note\(id: "gid://gitlab/Note/(\d+)"\) \{ lastEditedAt \}')

TOKEN = planted.token("bot")


class FakeGitLab(MergingApi, TalkingApi, RepositoryApi, PipelinesApi):
    """The server. `members` are access levels (10 guest to 50 owner) by user; the bot is a maintainer if not named."""

    unjudged = re.compile(r"/api/graphql")
    routes = (
        Route("GET", rf"{API}/user", "show_me"),
        Route("GET", rf"{API}/users", "list_users"),
        Route("POST", r"/api/graphql", "graphql"),
        Route("GET", PROJECT, "show_project"),
        Route("GET", rf"{PROJECT}/members/all", "list_members"),
        Route("GET", rf"{PROJECT}/freeze_periods", "list_freeze_periods"),
        *MergingApi.merging_routes,
        *TalkingApi.talking_routes,
        *RepositoryApi.repository_routes,
        *PipelinesApi.pipeline_routes,
    )

    def __init__(
        self,
        repo: Path,
        project: str = "acme/config",
        *,
        now: Callable[[], datetime],
        members: Mapping[str, int],
        bot: str = "saasbot",
        token: str = TOKEN,
        default_branch: str = "main",
    ) -> None:
        super().__init__(now)
        self.token = token
        self.bot = self.state.user(bot)
        self.bot.token, self.bot.bot = token, True
        self.pipelines = Pipelines(self.state, self.lock)
        self.main = self.state.add_project(project, repo, default_branch, {bot: MAINTAINER} | dict(members))
        self.people = GitLabPeople(self, self.main, bot)

    @property
    def clone_url(self) -> str:
        """Where git reaches the config project, without a login."""
        return f"{self.url}/{self.main.path}.git"

    def login_url(self, name: str) -> str:
        """Where git reaches the config project as a user."""
        return self.clone_url.replace("://", f"://{name}:{self.user(name).token}@")

    @property
    def quick_actions(self) -> list[QuickAction]:
        """The quick actions that were carried out."""
        return self.state.quick_actions

    @property
    def stale_lists(self) -> float:
        """Seconds of the clock for which lists are stale after a change."""
        return self.state.stale_lists

    @stale_lists.setter
    def stale_lists(self, seconds: float) -> None:
        self.state.stale_lists = seconds

    @property
    def checking_reads(self) -> int:
        """How many detail reads answer `checking` after a change."""
        return self.state.checking_reads

    @checking_reads.setter
    def checking_reads(self, reads: int) -> None:
        self.state.checking_reads = reads

    def user(self, name: str) -> User:
        """An account; it is made if there is none, and its `token` is good for the API and for git."""
        with self.lock:
            return self.state.user(name)

    def block(self, name: str) -> None:
        """Block an account; it stays a member."""
        self.user(name).state = "blocked"

    def add_project(self, path: str, repo: Path, *, members: Mapping[str, int] | None = None) -> Project:
        """Another project, such as one with downstream pipelines; the bot is a maintainer if not named."""
        with self.lock:
            everybody = {self.bot.username: MAINTAINER} | dict(members or {})
            return self.state.add_project(path, repo, "main", everybody)

    def add_trigger(self, path: str, token: str, owner: str = "") -> None:
        """Give a project a pipeline trigger token."""
        project = self.project_named(path)
        assert project is not None, path
        project.trigger_tokens[token] = self.user(owner or self.bot.username)

    def add_freeze(self, start: str, end: str, timezone: str = "UTC") -> None:
        """Give the config project a freeze period between two cron expressions."""
        with self.lock:
            when = time_text(self.state.tick())
            number = self.state.new_id("freeze_period")
            entry: dict[str, Any] = {"id": number, "freeze_start": start, "freeze_end": end, "cron_timezone": timezone}
            self.main.freeze_periods.append(entry | {"created_at": when, "updated_at": when})

    def show_me(self, request: Request) -> Answer:
        """Who asks."""
        return Answer(200, self.entities.account(self.caller(request)))

    def graphql(self, request: Request) -> Answer:
        """When notes were last edited, which REST does not tell; any other query is a violation."""
        self.caller(request)
        query = str(request.json().get("query", ""))
        asked = NOTE.findall(query)
        if f"query {{ {' '.join(match[0] for match in NOTE.finditer(query))} }}" != query:
            self.violations.append(f"POST {request.path}: not a query that GitLab or this fake knows: {query}")
        things = (*self.main.merge_requests.values(), *self.main.issues.values())
        edits = {str(note.id): time_text(note.edited_at) for thing in things for note in thing.notes}
        data = {alias: {"lastEditedAt": edits[number]} if number in edits else None for alias, number in asked}
        return Answer(200, {"data": data})

    def list_users(self, request: Request) -> Answer:
        """Accounts of a name."""
        self.caller(request)
        self.reads(request, "username", "search")
        wanted, part = request.get("username").lower(), request.get("search").lower()
        users = [
            user
            for user in self.state.users.values()
            if wanted in {"", user.username.lower()} and part in user.username.lower()
        ]
        return self.paged(request, users, self.entities.user)

    def show_project(self, request: Request) -> Answer:
        """A project."""
        project, user = self.project(request)
        return Answer(200, self.entities.project(project, user))

    def list_members(self, request: Request) -> Answer:
        """Members, inherited ones too; `query` is a part of the name, as it is at the server."""
        project, _ = self.project(request)
        self.reads(request, "query", "user_ids")
        part, numbers = request.get("query").lower(), request.all("user_ids")
        found = [
            user
            for user in map(self.state.user, project.members)
            if part in user.username.lower() and (not numbers or str(user.id) in numbers)
        ]
        return self.paged(request, found, lambda user: self.entities.member(project, user))

    def list_freeze_periods(self, request: Request) -> Answer:
        """Freeze periods."""
        project, _ = self.project(request)
        return self.paged(request, project.freeze_periods, lambda entry: entry)
