"""A world around the fake GitHub for its own tests: a repository with a checkout, and requests as the bot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from github import Auth, Github
from worlds import planted
from worlds.fake_github import FakeGitHub
from worlds.git_world import Repository

from bot.model.observed import MergeRequest

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOKEN = planted.token("bot")


class GitHubWorld:
    """A config repository with a checkout, served by a fake; `api` asks as the bot, with `~` for the repository."""

    def __init__(self, folder: Path) -> None:
        self.time = NOW
        self.config = Repository(folder, "config")
        self.start = self.config.commit("start", {"a.yml": "a: 1\n", "b.yml": "b: 1\n"})
        members = {"alice": "admin", "bob": "write", "carol": "triage", "dora": "read"}
        self.server = FakeGitHub(self.config.bare, now=lambda: self.time, members=members, token=TOKEN)
        self.folder = folder

    def branch(self, name: str, files: dict[str, str], start: str = "main") -> str:
        """Push a branch with these files and return its head."""
        self.config.switch(name, start)
        head = self.config.commit(f"change on {name}", files)
        self.config.switch("main")
        return head

    def api(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """The answer to a request, with the bot's token or `by` another."""
        headers = {"Authorization": f"Bearer {more.pop('by', TOKEN)}"} | more.pop("headers", {})
        url = path if path.startswith("http") else f"{self.server.url}{path.replace('~', '/repos/acme/config')}"
        return requests.request(method, url, json=body, headers=headers, timeout=10, **more)

    def get(self, path: str, **more: Any) -> Any:
        """What a GET answers with 200."""
        answer = self.api("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, status: int = 201, method: str = "POST") -> Any:
        """What a request with a body answers with this status."""
        answer = self.api(method, path, body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    @property
    def github(self) -> Github:
        """PyGithub as the bot, which tries nothing again."""
        return Github(base_url=self.server.url, auth=Auth.Token(TOKEN), retry=None, seconds_between_writes=0)

    def opened(self, branch: str, user: str = "alice") -> MergeRequest:
        """The pull request that a person opens."""
        found = self.server.people.open_as(user, branch, f"Title of {branch}")
        assert isinstance(found, MergeRequest)
        return found

    def settled(self, iid: int) -> Any:
        """A pull request whose mergeability the server has worked out."""
        self.get(f"~/pulls/{iid}")
        return self.get(f"~/pulls/{iid}")
