"""The demo's world: services as bare git repositories, a config repository from the example, a local forge."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.providers.git import git
from bot.providers.scaffold import commit_all, write_local_forge, write_repository

SERVICES = ("orders", "payments", "frontend")


@dataclass(frozen=True, slots=True)
class World:
    """Folders of the world below `root`; `config` is the bot's checkout, `people` are those of persons."""

    root: Path

    @property
    def config(self) -> Path:
        """The checkout that the bot runs in."""
        return self.root / "config"

    @property
    def forge(self) -> Path:
        """The local forge."""
        return self.root / "forge"

    def service(self, name: str) -> Path:
        """The bare repository of a service."""
        return self.root / "services" / f"{name}.git"

    def person(self, name: str) -> Path:
        """A person's checkout of the config repository."""
        return self.root / "people" / name


def lay_out(root: Path, moment: datetime) -> World:
    """Make the world, everything in it committed at `moment`."""
    world = World(root.resolve())
    world.root.mkdir(parents=True, exist_ok=True)
    shas = {name: _service(world, name, moment) for name in SERVICES}
    write_repository(world.config)
    for path in world.config.rglob("*.yml"):
        _point_to(world, path, shas)
    write_local_forge(world.config, world.forge, "main")
    return world


def commit_to_service(world: World, name: str, message: str, moment: datetime) -> str:
    """Push one commit to a service's `main`; returns its sha."""
    repo = world.service(name)
    tree = git(repo, "mktree", stdin=b"").decode().strip()
    date = f"{int(moment.timestamp())} +0000"
    who = {
        "GIT_AUTHOR_NAME": "dana",
        "GIT_AUTHOR_EMAIL": "dana@localhost",
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": "dana",
        "GIT_COMMITTER_EMAIL": "dana@localhost",
        "GIT_COMMITTER_DATE": date,
    }
    head = git(repo, "for-each-ref", "--format=%(objectname)", "refs/heads/main").decode().strip()
    parents = ("-p", head) if head else ()
    sha = git(repo, "commit-tree", tree, *parents, "-m", message, env=who).decode().strip()
    git(repo, "update-ref", "refs/heads/main", sha)
    return sha


def edit_as(world: World, user: str, path: str, old: str, new: str, message: str) -> None:
    """A person replaces a text in a file of the config repository and pushes it to `main`."""
    checkout = world.person(user)
    if not checkout.exists():
        checkout.parent.mkdir(parents=True, exist_ok=True)
        git(world.root, "clone", "--quiet", str(world.forge / "config.git"), str(checkout))
    git(checkout, "pull", "--quiet", "--ff-only")
    file = checkout / path
    content = file.read_text()
    if old not in content:
        raise ValueError(f"{path} does not contain {old!r}")
    file.write_text(content.replace(old, new, 1))
    commit_all(checkout, message, user)
    git(checkout, "push", "--quiet", "origin", "HEAD:refs/heads/main")


def _service(world: World, name: str, moment: datetime) -> str:
    repo = world.service(name)
    repo.mkdir(parents=True)
    git(repo, "init", "--quiet", "--bare", "--initial-branch=main", ".")
    return commit_to_service(world, name, f"{name}: first version", moment)


def _point_to(world: World, path: Path, shas: dict[str, str]) -> None:
    """Point an example file to the world's services, and its pinned refs to their first commit."""
    content = path.read_text()
    for name, sha in shas.items():
        address = f"https://git.example.com/acme/{name}"
        if address in content:
            content = content.replace(address, str(world.service(name)))
            content = re.sub(r"(?m)^(\s+ref: )[0-9a-f]{40}\b", rf"\g<1>{sha}", content)
    path.write_text(content)
