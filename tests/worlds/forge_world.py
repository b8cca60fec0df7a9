"""The same world at any forge: the local folder, a GitLab or a GitHub that are HTTP servers over the same repository.

Scenarios are written once, with the verbs of `World`, and run at all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from worlds import planted
from worlds.fake_github import FakeGitHub
from worlds.fake_gitlab import FakeGitLab
from worlds.world import World

from bot.cli.session import Session
from bot.providers.build import build
from bot.providers.git import git
from bot.providers.resources import schemas
from bot.reconcile import Job

Forge = Literal["local", "gitlab", "github"]
FORGES: tuple[Forge, ...] = ("local", "gitlab", "github")
PROJECT = "acme/config"
TOKEN = planted.token("bot")

SERVER = """\
$schema: /settings-1.json
branch: main
forge: {{provider: {provider}, url: "{url}", project: acme/config, token: {{env: SAASBOT_TOKEN}}}}
state: {{url: "file:../state.json"}}
pipelines: {{allowCommand: true}}
{more}"""

LEVELS = {"alice": 50, "bob": 30, "carl": 30, "saasbot": 40}
ROLES = {"alice": "admin", "bob": "write", "carl": "write", "saasbot": "maintain"}


@dataclass
class ForgeWorld(World):
    """A world whose merge requests live at a forge of this kind; `server` is None for the local one."""

    kind: Forge = "local"
    guests: tuple[str, ...] = ()
    server: FakeGitLab | FakeGitHub | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Lay it out; the local forge learns of its guests."""
        super().__post_init__()
        if self.guests:
            guests = "".join(f", {name}: guest" for name in self.guests)
            path = self.config / "saasbot.yml"
            self.push({"saasbot.yml": path.read_text().replace("carl: developer", f"carl: developer{guests}")})

    def serve(self) -> FakeGitLab | FakeGitHub | None:
        """The server, not yet started."""
        repo = self.folders.forge / "config.git"
        match self.kind:
            case "local":
                return None
            case "gitlab":
                return FakeGitLab(
                    repo,
                    PROJECT,
                    now=lambda: self.now,
                    members=LEVELS | dict.fromkeys(self.guests, 10),
                    bot="saasbot",
                    token=TOKEN,
                )
            case "github":
                return FakeGitHub(
                    repo,
                    PROJECT,
                    now=lambda: self.now,
                    members=ROLES | dict.fromkeys(self.guests, "triage"),
                    bot="saasbot",
                    token=TOKEN,
                )

    def move_in(self, server: FakeGitLab | FakeGitHub) -> None:
        """Point the checkout and the settings at a server that runs."""
        self.server = server
        # As CI systems leave it: the origin's address has a login of its own, good for reading.
        git(self.config, "remote", "set-url", "origin", server.clone_url.replace("://", f"://ci:{TOKEN}@"))
        planted.left(self.config / ".git" / "config")
        settings = SERVER.format(provider=self.kind, url=server.url, more=self.more)
        repo = self.folders.forge / "config.git"
        (self.config / "saasbot.yml").write_text(settings)
        who = ("-c", "user.name=carl", "-c", "user.email=carl@localhost")
        git(self.config, "add", "--all")
        git(self.config, *who, "commit", "--quiet", "--message", "Move to the server")
        git(self.config, "push", "--quiet", str(repo), "HEAD:refs/heads/main")

    def requires_ci(self) -> None:
        """Protect `main`: GitHub sets a pull request to merge only where something must come first."""
        if self.kind == "github":
            self.server.config.rules.checks = True  # type: ignore[union-attr] # it is a FakeGitHub

    def job(self, **more: Any) -> Job:
        """What a pass works with; at a server the command line takes no `--now`, but a test must."""
        if self.server is None:
            return super().job(**more)
        settings = Session(self.config).settings()
        ports = build(self.config, settings, os.environ, self.now)
        key = os.environ.get("SAASBOT_KEY", "").encode() or None
        return Job(ports=ports, settings=settings, schemas=schemas(), report_key=key, **more)

    @property
    def people(self) -> Any:
        """The humans, at whichever forge."""
        return super().people if self.server is None else self.server.people


Some = TypeVar("Some", bound=ForgeWorld)


@contextmanager
def served(world: Some) -> Iterator[Some]:
    """A world with its server, which ends with the block and raises if a request or answer broke its contract."""
    server = world.serve()
    if server is None:
        yield world
        return
    with server:
        world.move_in(server)
        yield world


def forge_world(kind: Forge, root: Path, **wishes: Any) -> AbstractContextManager[ForgeWorld]:
    """An ordinary world, served."""
    return served(ForgeWorld(root, kind=kind, **wishes))
