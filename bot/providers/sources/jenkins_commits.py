"""Which commit of a code repository a Jenkins build built, by its own account.

The git plugin's `BuildData` names a commit and the remotes it came from; a build has one for every repository it
checked out, shared libraries included. In a multibranch project `SCMRevisionAction` names the branch's commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT_TREE = "actions[lastBuiltRevision[SHA1,branch[SHA1,name]],remoteUrls,revision[hash]]"
"""What is asked for of each build."""

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>\[[^\]]+\]|[^/:]{2,}):(?P<path>(?!//).*)")
_DETACHED = "detached"


@dataclass(frozen=True, slots=True)
class NoCommit:
    """Why a build is of no use: what it built, in words that follow "it"."""

    text: str


@dataclass(frozen=True, slots=True)
class _Built:
    """One checkout: the commit, the branches it was taken from with their own commits, and the repository."""

    sha: str
    branches: tuple[tuple[str, str], ...]
    repositories: frozenset[str]

    @property
    def merged(self) -> bool:
        """Whether the commit was made in the workspace, by a merge: then no branch has it."""
        shas = {sha for _, sha in self.branches if sha}
        return bool(shas) and self.sha not in shas

    def of(self, ref: str) -> bool:
        """Whether this may be a commit of the branch or tag; a checkout that names no branch may be of any."""
        names = {name for name, _ in self.branches if name}
        plain = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        return not names or _DETACHED in names or any(plain in _plain(name) for name in names)


def commit(actions: Sequence[Any], url: str, ref: str) -> str | NoCommit:
    """The commit of the code repository at `url` that a build with these actions built on `ref`.

    A build with a single checkout counts whatever its remote is called, unless the same server has it under another
    path: Jenkins often clones from a mirror.
    """
    checkouts = tuple(_checkouts(actions))
    wanted = repository(url)
    own = [built for built in checkouts if wanted in built.repositories]
    revisions = {sha for action in actions if (sha := _revision(action))}
    if not own and len(revisions) == 1:
        return revisions.pop()
    if not own:
        own = [built for built in checkouts if _may_be_a_mirror(checkouts, wanted)]
    if not own:
        others = sorted({name for built in checkouts for name in built.repositories})
        return NoCommit(f"checked out {', '.join(others)}" if others else "names no commit")
    return _single(own, revisions, ref)


def repository(url: str) -> str:
    """Server and path of a repository, the same for every way to write its address.

    Neither letter case counts, nor `.git`, user, password, scheme or port: the forges ignore the case of paths.
    """
    return "/".join(_place(url)).casefold()


def repository_name(url: str) -> str:
    """The last word of a repository's path, as it is written."""
    return _place(url)[1].rpartition("/")[2]


def _place(url: str) -> tuple[str, str]:
    """Server and path."""
    text = url.strip()
    scp = None if "://" in text else _SCP.fullmatch(text)
    if scp is not None:
        host, path = scp["host"], scp["path"]
    else:
        parts = urlsplit(text)
        host, path = parts.netloc.rpartition("@")[2].partition(":")[0], unquote(parts.path)
    return host, path.strip("/").removesuffix(".git").rstrip("/")


def _checkouts(actions: Sequence[Any]) -> Iterator[_Built]:
    for action in actions:
        found = (action or {}).get("lastBuiltRevision") or {}
        sha = str(found.get("SHA1") or "").lower()
        if _SHA.fullmatch(sha):
            branches = ((str(b.get("name") or ""), str(b.get("SHA1") or "").lower()) for b in found.get("branch") or ())
            yield _Built(sha, tuple(branches), frozenset(map(repository, action.get("remoteUrls") or ())))


def _revision(action: Mapping[str, Any] | None) -> str:
    """The commit of a multibranch build; empty for a pull request, whose revision has other fields."""
    sha = str(((action or {}).get("revision") or {}).get("hash") or "").lower()
    return sha if _SHA.fullmatch(sha) else ""


def _may_be_a_mirror(checkouts: Sequence[_Built], wanted: str) -> bool:
    """Whether all of these are one repository, and not plainly another one of the same server."""
    known = {built.repositories for built in checkouts}
    host = wanted.partition("/")[0]
    return len(known) == 1 and not any(host and name.startswith(f"{host}/") for name in next(iter(known)))


def _single(own: Sequence[_Built], revisions: set[str], ref: str) -> str | NoCommit:
    """The one commit of these checkouts of the right repository."""
    real = [built for built in own if not built.merged]
    if not real:
        return NoCommit("built a merge that no branch has")
    fitting = [built for built in real if _SHA.fullmatch(ref) or built.of(ref)]
    if not fitting:
        names = sorted({name for built in real for name, _ in built.branches})
        return NoCommit(f"built {', '.join(names)}, not {ref}")
    shas = {built.sha for built in fitting}
    shas = shas & revisions or shas
    return shas.pop() if len(shas) == 1 else NoCommit(f"checked out {len(shas)} commits of it")


def _plain(name: str) -> set[str]:
    """What a branch is called without its remote: `refs/remotes/origin/main` and `origin/main` are `main`."""
    short = re.sub(r"^(?:refs/)?(?:remotes/[^/]+|heads|tags)/", "", name)
    return {name, short, name.partition("/")[2]} if short == name else {name, short}
