"""A small world around the fake GitLab alone: a clock, somebody's checkout, and the bot's HTTP session."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from worlds.fake_gitlab import FakeGitLab

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROJECT = "projects/acme%2Fconfig"


@dataclass
class GitLabWorld:
    """A server with one commit on `main`, a clock, somebody's checkout, and the bot's session."""

    root: Path
    moment: datetime = START
    session: requests.Session = field(default_factory=requests.Session)
    server: FakeGitLab = field(init=False)

    def __post_init__(self) -> None:
        members = {"alice": 50, "bob": 30, "guest": 10}
        self.server = FakeGitLab(self.root / "forge" / "config.git", now=lambda: self.moment, members=members)
        self.session.headers["PRIVATE-TOKEN"] = self.server.token

    def later(self, **span: float) -> None:
        self.moment += timedelta(**span)

    def git(self, *arguments: str) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
        identity = ("-c", "user.name=bob", "-c", "user.email=bob@localhost")
        done = subprocess.run(("git", *identity, *arguments), env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def checkout(self) -> str:
        return str(self.root / "checkout")

    def clone(self) -> None:
        self.git("clone", "--quiet", self.server.clone_url, self.checkout)

    def commit(self, branch: str, content: str, *, start: str = "origin/main", path: str = "a.yml") -> str:
        """Push a commit that sets one file; returns its sha."""
        self.git("-C", self.checkout, "fetch", "--quiet", "origin")
        self.git("-C", self.checkout, "checkout", "--quiet", "-B", "mine", start)
        (Path(self.checkout) / path).write_text(content, encoding="utf-8")
        self.git("-C", self.checkout, "add", "--all")
        self.git("-C", self.checkout, "commit", "--quiet", "-m", f"Set {path}")
        self.git("-C", self.checkout, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("-C", self.checkout, "rev-parse", "HEAD")

    def ask(self, method: str, path: str, *, status: int = 0, **more: Any) -> Any:
        """The value that the API answers, and that its status is the expected one (0: any success)."""
        response = self.session.request(method, f"{self.server.url}/api/v4/{path}", timeout=10, **more)
        assert response.status_code == status or (status == 0 and response.ok), response.text
        return response.json() if response.content else None

    def opens(self, branch: str = "change", **body: Any) -> Any:
        wanted = {"title": "A change", "source_branch": branch, "target_branch": "main"}
        return self.ask("POST", f"{PROJECT}/merge_requests", status=201, json=wanted | body)

    def detail(self, iid: int = 1) -> Any:
        """A merge request once its status is worked out."""
        first = self.ask("GET", f"{PROJECT}/merge_requests/{iid}")
        return self.ask("GET", f"{PROJECT}/merge_requests/{iid}") if _checking(first) else first

    def listed(self, **params: Any) -> Any:
        return self.ask("GET", f"{PROJECT}/merge_requests", params={"state": "opened"} | params)

    def notes(self, iid: int = 1) -> Any:
        return self.ask("GET", f"{PROJECT}/merge_requests/{iid}/notes", params={"sort": "asc"})


def _checking(found: Any) -> bool:
    return bool(found["detailed_merge_status"] == "checking")


@contextmanager
def gitlab_world(root: Path) -> Iterator[GitLabWorld]:
    """A world whose server has a first commit, made as the API makes commits."""
    made = GitLabWorld(root)
    with made.server, made.session:
        actions = [{"action": "create", "file_path": "a.yml", "content": "one\n"}]
        body = {"branch": "main", "commit_message": "First", "actions": actions}
        made.ask("POST", f"{PROJECT}/repository/commits", status=201, json=body)
        made.clone()
        yield made
