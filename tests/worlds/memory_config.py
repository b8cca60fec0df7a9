"""The config repository's checkout and the code repositories in memory; builds and images beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from worlds.memory_forge import MemoryForge
from worlds.memory_git import COMMITS, MemoryTree, ancestors, write_commit

from bot.errors import ServerUnreachable
from bot.model.observed import Lineage, Title, Unreachable
from bot.model.state import Build
from bot.model.triggers import JobsFrom, NewBuild
from bot.ports import ConfigTree


@dataclass(frozen=True)
class MemoryConfig:
    """A `bot.ports.ConfigRepository` whose origin is the forge's repository."""

    forge: MemoryForge

    def working_tree(self) -> ConfigTree:
        """What is on `main`."""
        return self.tree(self.forge.heads["main"])

    def require_root(self) -> None:
        """It is one."""

    def fetch(self, branch: str) -> str:
        """The head of a branch."""
        return self.forge.heads[branch]

    def tree(self, sha: str) -> ConfigTree:
        """The files of a commit."""
        return MemoryTree(sha, COMMITS[sha].files)

    def history(self, sha: str, paths: Collection[str], most: int) -> Sequence[str]:
        """The commits before this one that changed one of these files, newest first."""
        found: list[str] = []
        while sha:
            parent = next(iter(COMMITS[sha].parents), "")
            before = COMMITS[parent].files if parent else {}
            if any(COMMITS[sha].files.get(path) != before.get(path) for path in paths):
                found.append(sha)
            sha = parent
        return found[:most]

    def behind(self, branch: str, head: str = "") -> str:
        """Never."""
        del branch, head
        return ""


@dataclass
class MemoryCode:
    """`bot.ports.Refs` and `Histories` of code repositories, and `Builds` and `Images` of what is made from them."""

    heads: dict[str, str] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def commit(self, url: str, message: str) -> str:
        """Somebody pushes a commit to `main`."""
        parents = (self.heads[url],) if url in self.heads else ()
        self.heads[url] = write_commit(parents, {}, url, message)
        return self.heads[url]

    def succeed(self, job: str, sha: str, at: datetime) -> None:
        """A build of a job succeeds."""
        number = self.builds[job].number + 1 if job in self.builds else 1
        self.builds[job] = Build(number, sha, at)

    def resolve(self, url: str, refs: Iterable[str]) -> Mapping[str, str] | Unreachable:
        """The head, for `main`."""
        return {ref: self.heads[url] if ref == "main" else "" for ref in refs}

    def lineage(self, url: str, shas: Iterable[str]) -> Lineage | Unreachable:
        """Who descends from whom."""
        known = {sha for sha in shas if sha in COMMITS and COMMITS[sha].author == url}
        return Lineage({sha: (ancestors(sha) & known) - {sha} for sha in known})

    def titles(self, url: str, old: str, new: str) -> tuple[Title, ...] | Unreachable:
        """The commits in between, newest first."""
        del url
        between = sorted(ancestors(new) - ancestors(old), key=lambda sha: -len(ancestors(sha)))
        return tuple(Title(sha, COMMITS[sha].message) for sha in between)

    def newest(self, job: str, ref: str, url: str) -> Build | None:
        """The newest success of a job."""
        del ref, url
        return self.builds.get(job)

    def value(self, source: NewBuild) -> str:
        """The name of the newest build that a server tells of."""
        return self.digests.get(source.url, "")

    def read(self, source: JobsFrom) -> bytes:
        """There are no lists of jobs outside of the config."""
        raise ServerUnreachable(f"the environment variable {source.key_env} is not set")

    def digest(self, repository: str, tag: str) -> str:
        """The digest of an image."""
        return self.digests.get(f"{repository}:{tag}", "")
