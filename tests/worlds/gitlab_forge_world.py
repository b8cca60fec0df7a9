"""A GitLab with a config project, people who push to it, and the bot's forge with a checkout of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worlds import planted
from worlds.fake_gitlab import FakeGitLab
from worlds.fake_http import Answer, Fault, Logged
from worlds.git_world import Repository, run_git

from bot.model.observed import MergeRequest, Note
from bot.model.plan import Commit
from bot.ports import Cache, Refused
from bot.providers.cache import FolderCache
from bot.providers.forge.gitlab import GitLabForge, gitlab_forge
from bot.settings import BotSettings, ForgeSettings, Settings, StateSettings

PROJECT = "acme/config"
TOKEN = planted.token("bot")
OWN = "saasbot/app.yml"
API = "/api/v4/projects/acme%2Fconfig"
BASE = {"app.yml": "ref: one\n", "other.yml": "ref: one\n", "run.sh": "#!/bin/sh\n"}


@dataclass
class GitLabWorld:
    """The server, the people's clone and the bot's checkout; `now` moves only where a test moves it."""

    root: Path
    now: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    repository: Repository = field(init=False)
    server: FakeGitLab = field(init=False)
    base: str = field(init=False)

    def __post_init__(self) -> None:
        self.repository = Repository(self.root / "people", "config")
        self.base = self.repository.commit("base", BASE)
        members = {"saasbot": 40, "alice": 50, "bob": 30, "rita": 20, "gus": 10}
        self.server = FakeGitLab(
            self.repository.bare, PROJECT, now=lambda: self.now, members=members, bot="saasbot", token=TOKEN
        )
        run_git(self.root, "clone", "--quiet", str(self.repository.bare), "checkout")
        run_git(self.checkout, "remote", "set-url", "origin", self.server.clone_url)

    @property
    def checkout(self) -> Path:
        """The bot's checkout."""
        return self.root / "checkout"

    @property
    def people(self) -> Any:
        """Everybody but the bot."""
        return self.server.people

    def forge(
        self,
        *,
        token: str = TOKEN,
        cache: Cache | None = None,
        **options: Any,
    ) -> GitLabForge:
        """The bot's forge as a new process has it; the cache stays."""
        chosen = {"url": self.server.url, "project": PROJECT, **options}
        settings = Settings(
            "main", ForgeSettings("gitlab", chosen), StateSettings("file:state.json"), bot=BotSettings("saasbot", "b@c")
        )
        kept = cache or FolderCache(self.root / "cache")
        given = {"SAASBOT_TOKEN": token}
        return gitlab_forge(settings, self.checkout, given, kept, lambda: self.now)

    def later(self, minutes: float) -> None:
        """Let time pass."""
        self.now += timedelta(minutes=minutes)

    def branch(self, name: str, files: Mapping[str, str], start: str = "") -> str:
        """Somebody pushes a branch with one commit; its head."""
        self.repository.switch(name, start or "main")
        head = self.repository.commit(f"change {name}", files)
        self.repository.switch("main")
        return head

    def on_main(self, files: Mapping[str, str]) -> str:
        """Somebody pushes to the config branch."""
        self.repository.switch("main")
        return self.repository.commit("on main", files)

    def change(self, content: str = "ref: two\n", *, branch: str = OWN, expected: str = "", **more: Any) -> Commit:
        """What the bot wants to push."""
        file = branch.removeprefix("saasbot/")
        wished = {"parent": self.base, "message": f"Promote {file}\n", "files": {file: content.encode()}} | more
        return Commit(branch=branch, expected_head=expected, **wished)

    def opened(self, forge: GitLabForge, content: str = "ref: two\n", branch: str = OWN) -> MergeRequest:
        """A merge request of the bot, just opened."""
        granted(forge.push(self.change(content, branch=branch)))
        return granted(forge.open(branch, f"Promote {branch}", "Because.", ["saasbot"]))

    def heads(self) -> dict[str, str]:
        """The branches of the server's repository."""
        return self.server.main.repository.heads()

    def breaks(self, method: str, path: str, answer: Any, times: int = 1) -> None:
        """The next matching requests below the project go wrong."""
        self.server.faults.append(Fault((method, f"{API}/{path}"), answer, times))

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """What was asked inside, by method and kind of address, git left out."""
        before = len(self.server.requests)
        found: Counter[str] = Counter()
        yield found
        found.update(f"{each.method} {_kind(each)}" for each in self.server.requests[before:] if "/api/" in each.path)

    def writes(self) -> list[Logged]:
        """Every request so far that was not a question."""
        return [each for each in self.server.requests if each.method != "GET" and "/api/" in each.path]


def _kind(logged: Logged) -> str:
    """The path with numbers and names taken out."""
    path = logged.path.removeprefix(f"{API}/").removeprefix("/api/v4/")
    parts = ["N" if part.isdecimal() or "%2F" in part else part for part in path.split("/")]
    return "/".join(parts)


def granted(answer: Any) -> Any:
    """An answer that must not be a no."""
    assert not isinstance(answer, Refused), answer.text
    return answer


def refused(answer: object) -> str:
    """The words of an answer that must be a no."""
    assert isinstance(answer, Refused), answer
    return answer.text


def said(answer: object) -> Note:
    """A note that was written."""
    assert isinstance(answer, Note), answer
    return answer


def status(code: int, message: object = "no", **headers: str) -> Answer:
    """An answer of the server's."""
    return Answer(code, {"message": message}, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def gitlab_world(root: Path) -> Iterator[GitLabWorld]:
    """A world whose server runs; leaving it fails if a request or an answer broke the contract."""
    world = GitLabWorld(root)
    with world.server:
        yield world
