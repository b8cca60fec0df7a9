"""A GitHub with a config repository, people who push to it, and the bot's forge with a checkout of its own."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worlds import planted
from worlds.fake_github import FakeGitHub
from worlds.fake_http import Answer, Fault, Logged
from worlds.git_world import Repository, run_git

from bot.model.observed import MergeRequest, Note
from bot.model.plan import Commit
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.forge.github import GitHubForge, github_forge
from bot.settings import BotSettings, CommandSettings, ForgeSettings, Merge, PromotionSettings, Settings, StateSettings

PROJECT = "acme/config"
TOKEN = planted.token("bot")
OWN = "saasbot/app.yml"
API = f"/api/v3/repos/{PROJECT}"
BASE = {"app.yml": "ref: one\n", "other.yml": "ref: one\n", "run.sh": "#!/bin/sh\n"}
MEMBERS = {"saasbot": "maintain", "alice": "admin", "bob": "write", "tina": "triage", "rita": "read"}


@dataclass
class GitHubWorld:
    """The server, the people's clone and the bot's checkout; `now` moves only where a test moves it."""

    root: Path
    private: bool = True
    now: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    repository: Repository = field(init=False)
    server: FakeGitHub = field(init=False)
    base: str = field(init=False)

    def __post_init__(self) -> None:
        self.repository = Repository(self.root / "people", "config")
        self.repository.write(BASE)
        run_git(self.repository.work, "add", "run.sh")
        run_git(self.repository.work, "update-index", "--chmod=+x", "run.sh")
        (self.repository.work / "run.sh").chmod(0o755)
        self.base = self.repository.commit("base")
        self.server = FakeGitHub(
            self.repository.bare, PROJECT, now=lambda: self.now, members=MEMBERS, token=TOKEN, private=self.private
        )
        self.server.world.unknown_reads = 0
        run_git(self.root, "clone", "--quiet", str(self.repository.bare), "checkout")
        run_git(self.checkout, "remote", "set-url", "origin", self.server.clone_url)
        # As GitHub's own checkout action leaves it behind.
        header = f"AUTHORIZATION: basic {b64encode(f'x-access-token:{TOKEN}'.encode()).decode()}"
        run_git(self.checkout, "config", f"http.{self.server.web}/.extraheader", header)
        planted.left(self.checkout / ".git" / "config")

    @property
    def checkout(self) -> Path:
        """The bot's checkout."""
        return self.root / "checkout"

    @property
    def people(self) -> Any:
        """Everybody but the bot."""
        return self.server.people

    @property
    def rules(self) -> Any:
        """What protects the config branch."""
        return self.server.config.rules

    def forge(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        merge: Merge = Merge.NEVER,
        prefix: str = "/saasbot",
        **options: Any,
    ) -> GitHubForge:
        """The bot's forge as a new process has it; the cache stays."""
        chosen = {"url": self.server.url, "project": PROJECT, **options}
        settings = Settings(
            "main",
            ForgeSettings("github", {name: value for name, value in chosen.items() if value is not None}),
            StateSettings("file:state.json"),
            bot=BotSettings("saasbot", "saasbot@example.com"),
            promotions=PromotionSettings(merge=merge),
            commands=CommandSettings(prefix),
        )
        cache = FolderCache(self.root / "cache")
        return github_forge(settings, self.checkout, environ or {"SAASBOT_TOKEN": TOKEN}, cache, lambda: self.now)

    def later(self, minutes: float) -> None:
        """Let time pass."""
        self.now += timedelta(minutes=minutes)

    def branch(self, name: str, files: Mapping[str, str], start: str = "") -> str:
        """Somebody pushes a branch with one commit; its head."""
        self.repository.switch(name, start or "main")
        head = self.repository.commit(f"change {name}", files)
        self.repository.switch("main")
        return head

    def more_on(self, name: str, files: Mapping[str, str]) -> str:
        """Somebody pushes one commit more to a branch of the server's; its head."""
        run_git(self.repository.work, "fetch", "--quiet", "origin")
        run_git(self.repository.work, "switch", "--quiet", "--force-create", name, f"origin/{name}")
        head = self.repository.commit(f"more on {name}", files)
        self.repository.switch("main")
        return head

    def on_main(self, files: Mapping[str, str]) -> str:
        """Somebody pushes to the config branch."""
        self.repository.switch("main")
        return self.repository.commit("on main", files)

    def change(
        self, content: str | bytes = "ref: two\n", *, branch: str = OWN, expected: str = "", **more: Any
    ) -> Commit:
        """What the bot wants to push."""
        file = branch.removeprefix("saasbot/")
        data = content if isinstance(content, bytes) else content.encode()
        wished = {"parent": self.base, "message": f"Promote {file}\n", "files": {file: data}} | more
        return Commit(branch=branch, expected_head=expected, **wished)

    def opened(self, forge: GitHubForge, content: str = "ref: two\n", branch: str = OWN) -> MergeRequest:
        """A pull request of the bot, just opened."""
        granted(forge.push(self.change(content, branch=branch)))
        return granted(forge.open(branch, f"Promote {branch}", "Because.", ["saasbot"]))

    def heads(self) -> dict[str, str]:
        """The branches of the server's repository."""
        return self.server.config.repository.heads()

    def file(self, revision: str, path: str) -> str:
        """A file at the server."""
        return run_git(self.repository.bare, "show", f"{revision}:{path}")

    def breaks(self, method: str, path: str, answer: Any, times: int = 1) -> None:
        """The next matching requests below the repository go wrong."""
        self.server.faults.append(Fault((method, f"{API}/{path}"), answer, times))

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """What was asked inside, by method and kind of address, git left out; 304 stand apart."""
        before = len(self.server.requests)
        found: Counter[str] = Counter()
        yield found
        found.update(f"{_kind(each)}" for each in self.server.requests[before:] if "/api/" in each.path)

    def writes(self) -> list[Logged]:
        """Every request so far that was not a question."""
        return [each for each in self.server.requests if each.method != "GET" and "/api/" in each.path]


def _kind(logged: Logged) -> str:
    """Method, path with numbers and names taken out, and 304 where it was one."""
    path = logged.path.removeprefix(f"{API}/").removeprefix("/api/v3/")
    parts = ["N" if part.isdecimal() or len(part) == 40 else part for part in path.split("/")]
    return f"{logged.method} {'/'.join(parts)}" + (" 304" if logged.status == 304 else "")


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


def status(code: int, message: str = "no", **headers: str) -> Answer:
    """An answer of the server's."""
    return Answer(code, {"message": message}, {name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def github_world(root: Path, **wishes: Any) -> Iterator[GitHubWorld]:
    """A world whose server runs; leaving it fails if a request or an answer broke the contract."""
    world = GitHubWorld(root, **wishes)
    with world.server:
        yield world
