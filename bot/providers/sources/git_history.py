"""Ancestry and titles of commits of code repositories; implements `bot.ports.Histories`.

Each repository has a bare clone in the cache that holds commits only (`--filter=tree:0`; everything, where the server
knows no filters). It is fetched when a commit is asked for that it lacks, and only then.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bot.model.desired import is_sha
from bot.model.observed import Lineage, Title, Unreachable
from bot.providers.cache import locked
from bot.providers.git import GitError, git, locate, raw, without_credentials

_Answer = TypeVar("_Answer")

MOST_TITLES = 20
SINGLY = 20
"""So many unknown commits are asked for one by one where the server refused them together."""

# Only the fetch is told that the clone is partial: whoever else knew would ask the server for each missing object.
_PARTIAL = ("-c", "remote.origin.promisor=true", "-c", "remote.origin.partialclonefilter=tree:0")
_WAIT = ("-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false")  # nothing works on after the lock is gone
_FETCH = ("fetch", "--quiet", "--no-write-fetch-head", "--no-tags", "--update-shallow", "--force")
_REFUSED = re.compile("not our ref|unadvertised object|find remote ref|not allow request")
_DAMAGED = re.compile("packfile|corrupt|loose object|bad object|unable to read|index file|all necessary objects")
_BRANCHES = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


class GitHistories:
    """Histories at any URL that git understands.

    `folder` gives the cache's folder for a name, `base` is the folder that relative paths are seen from.
    """

    def __init__(self, folder: Callable[[str], Path], base: Path) -> None:
        self._folder = folder
        self._base = base

    def lineage(self, url: str, shas: Iterable[str]) -> Lineage | Unreachable:
        """How these commits descend from each other; a commit that the repository does not have is absent."""
        wanted = sorted({sha for sha in shas if is_sha(sha)})
        if not wanted:
            return Lineage({})
        return self._ask(url, wanted, lambda repo, known: Lineage(_ancestors(repo, known) if known else {}))

    def titles(self, url: str, old: str, new: str) -> tuple[Title, ...] | Unreachable:
        """The commits after `old` up to `new`, newest first, at most 20."""

        def ask(repo: Path, known: Sequence[str]) -> tuple[Title, ...] | Unreachable:
            missing = next((sha for sha in (old, new) if sha not in known), "")
            return _unreachable(url, f"it has no commit {missing}") if missing else _titles(repo, old, new)

        return self._ask(url, [sha for sha in (old, new) if is_sha(sha)], ask)

    def _ask(
        self, url: str, shas: Sequence[str], question: Callable[[Path, Sequence[str]], _Answer]
    ) -> _Answer | Unreachable:
        """Put a question to the clone; a clone that cannot answer is damaged, and made anew once."""
        try:
            repo, known = self._clone(url, shas)
            try:
                return question(repo, known)
            except GitError:
                repo, known = self._clone(url, shas, anew=True)
                return question(repo, known)
        except GitError as error:
            return _unreachable(url, error.line)
        except OSError as error:
            return _unreachable(url, f"the cache cannot be used: {error}")

    def _clone(self, url: str, shas: Sequence[str], *, anew: bool = False) -> tuple[Path, list[str]]:
        """The clone of a repository, and which of these commits it has now that it was fetched for them if needed."""
        repo = self._folder(f"git {url}")
        if not anew and (repo / "HEAD").exists():
            with contextlib.suppress(GitError):  # half made by another process, or damaged
                known = _known(repo, shas)
                if len(known) == len({*shas}):
                    return repo, known
        address = locate(url, self._base)
        with locked(repo):
            known = _prepare(repo, address, shas, anew=anew)
            missing = sorted({*shas} - {*known})
            if not missing:
                return repo, known
            try:
                _fetch(repo, address, missing)
            except GitError as error:
                if anew or not _DAMAGED.search(error.stderr):
                    raise
                _prepare(repo, address, shas, anew=True)
                _fetch(repo, address, sorted({*shas}))
            return repo, _known(repo, shas)


def _prepare(repo: Path, url: str, shas: Sequence[str], *, anew: bool) -> list[str]:
    """Make the clone ready to be fetched, anew where it is damaged; return which of the commits it has."""
    if not anew:
        try:
            _configure(repo, url)
            return _known(repo, shas)
        except GitError:
            pass
    shutil.rmtree(repo, ignore_errors=True)
    repo.mkdir(parents=True, exist_ok=True)
    _configure(repo, url)
    return []


def _configure(repo: Path, url: str) -> None:
    """Make the empty clone, or give an old one its present address."""
    if not (repo / "HEAD").exists():
        _git(repo, "init", "--quiet", "--bare", "--initial-branch=main")
    present = _git(repo, "config", "--local", "--null", "--list")
    if b"remote.origin.url\n%s\0" % raw(url) not in present:
        _git(repo, "config", "--local", "--replace-all", "remote.origin.url", url)


def _git(repo: Path, *args: str, stdin: bytes | None = None) -> bytes:
    """Git in the clone and nowhere else: a damaged one must not be taken for a part of a repository around it."""
    return git(repo, f"--git-dir={repo}", *args, stdin=stdin)


def _fetch(repo: Path, url: str, missing: Sequence[str]) -> None:
    """Bring what is missing: by id, else with all branches and tags, else each by itself.

    Raises `GitError` where the server cannot be reached; that it lacks a commit is no error.
    """
    try:
        _fetch_refs(repo, url, _by_id(missing))
    except GitError as error:
        if not _REFUSED.search(error.stderr):
            raise
        _fetch_refs(repo, url, _BRANCHES)
    else:
        return
    rest = sorted({*missing} - {*_known(repo, missing)})
    if rest != [*missing] or len(rest) > 1:
        for sha in rest[:SINGLY]:
            with contextlib.suppress(GitError):  # the server was there a moment ago: it has no such commit
                _fetch_refs(repo, url, _by_id((sha,)))


def _fetch_refs(repo: Path, url: str, refspecs: Sequence[str]) -> None:
    # A copy from this machine's disk is cheap, and may be shallow, which does not go with partial.
    options = _FETCH if url.startswith(("/", "file://")) else (*_PARTIAL, *_FETCH, "--filter=tree:0")
    _git(repo, *_WAIT, *options, "--end-of-options", "origin", *refspecs)


def _by_id(shas: Sequence[str]) -> list[str]:
    """Each gets a ref, which keeps it and tells the server next time what is here already."""
    return [f"+{sha}:refs/wanted/{sha}" for sha in shas]


def _known(repo: Path, shas: Sequence[str]) -> list[str]:
    """Those of the ids that are commits here, in their order."""
    questions = "".join(f"{sha}\n" for sha in shas).encode()
    out = _git(repo, "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=questions)
    commits = {line[:40].decode() for line in out.splitlines() if line.endswith(b" commit")}
    return [sha for sha in shas if sha in commits]


def _ancestors(repo: Path, shas: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """For each commit those of the others that are its strict ancestors.

    One walk from all of them down to their common ancestors (below those nothing can be wanted), parents first; each
    commit carries the set of wanted ones at or below it as bits.
    """
    bases = _common(repo, shas) if len(shas) > 1 else list(shas)
    rows = _git(repo, "rev-list", "--topo-order", "--reverse", "--parents", *shas, "--not", *bases)
    own = {sha: 1 << position for position, sha in enumerate(shas)}
    # The bases themselves are not walked; a wanted one is below all others.
    below = {base: own[base] for base in bases if base in own}
    for row in rows.decode().splitlines():
        commit, *parents = row.split(" ")
        bits = own.get(commit, 0)
        for parent in parents:
            bits |= below.get(parent, 0)
        below[commit] = bits
    return {sha: frozenset(other for other in shas if other != sha and below.get(sha, 0) & own[other]) for sha in shas}


def _common(repo: Path, shas: Sequence[str]) -> list[str]:
    """The best common ancestors of all of them, none for unrelated histories."""
    try:
        return _git(repo, "merge-base", "--octopus", "--all", *shas).decode().split()
    except GitError as error:
        if error.returncode == 1:
            return []
        raise


def _titles(repo: Path, old: str, new: str) -> tuple[Title, ...]:
    out = _git(
        repo,
        "log",
        "-z",
        "--no-show-signature",
        "--date-order",
        f"--max-count={MOST_TITLES}",
        "--format=%H %s",
        new,
        f"^{old}",
    )
    rows = (row.decode("utf-8", "replace").partition(" ") for row in out.split(b"\0") if row)
    return tuple(Title(sha, title) for sha, _, title in rows)


def _unreachable(url: str, cause: str) -> Unreachable:
    line = " ".join(cause.split())
    return Unreachable(
        without_credentials(f"{url}: its history cannot be read: {line}; check the address and git's credentials there")
    )
