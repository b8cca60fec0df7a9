"""A git repository in memory: commits by content, branches, merge bases and merges; conflicts are told by the file.

Commits are never changed and are named by what is in them, so every world shares the one store of them; a world has
only its own branches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.config.tree import blob_id
from bot.model.observed import Change
from bot.ports import SourceFile


@dataclass(frozen=True)
class MemoryCommit:
    """A commit with its whole tree."""

    parents: tuple[str, ...]
    files: Mapping[str, bytes]
    author: str
    message: str


COMMITS: dict[str, MemoryCommit] = {}
"""Every commit that any world ever made, by its sha."""

BLOBS: dict[bytes, str] = {}
"""Blob ids by content: the same few files are listed thousands of times."""


def write_commit(parents: Sequence[str], files: Mapping[str, bytes], author: str, message: str) -> str:
    """Write a commit and return its sha, which is a function of all that is in it."""
    commit = MemoryCommit(tuple(parents), dict(sorted(files.items())), author, message)
    text = repr((commit.parents, [(path, blob(data)) for path, data in commit.files.items()], author, message))
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    COMMITS[sha] = commit
    return sha


def blob(data: bytes) -> str:
    """The blob id of a content."""
    if data not in BLOBS:
        BLOBS[data] = blob_id(data)
    return BLOBS[data]


def ancestors(sha: str) -> frozenset[str]:
    """A commit and all that it descends from."""
    found: set[str] = set()
    todo = [sha] if sha in COMMITS else []
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo += COMMITS[each].parents
    return frozenset(found)


def merge_base(one: str, other: str) -> str:
    """The newest common ancestor, empty where there is none."""
    common = ancestors(one) & ancestors(other)
    return next((each for each in sorted(common) if len(ancestors(each)) == len(common)), "")


def changes(old: str, new: str) -> tuple[Change, ...]:
    """The files that differ between two commits."""
    before, after = COMMITS[old].files, COMMITS[new].files
    paths = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    return tuple(Change(path, before.get(path), after.get(path)) for path in paths)


def merged(ours: str, theirs: str) -> Mapping[str, bytes] | None:
    """The files after a merge; None where both sides changed a file since their merge base, and not alike."""
    base = merge_base(ours, theirs)
    if not base:
        return None
    mine = {change.path: change.new for change in changes(base, ours)}
    files = dict(COMMITS[ours].files)
    for change in changes(base, theirs):
        if mine.get(change.path, change.new) != change.new:
            return None
        if change.new is None:
            files.pop(change.path, None)
        else:
            files[change.path] = change.new
    return files


@dataclass(frozen=True)
class MemoryTree:
    """A `bot.ports.ConfigTree` of some files."""

    sha: str | None
    contents: Mapping[str, bytes] = field(repr=False)

    def files(self) -> Sequence[SourceFile]:
        """Every file, sorted by path."""
        return [SourceFile(path, blob(data)) for path, data in self.contents.items()]

    def read(self, files: Sequence[SourceFile]) -> Iterable[bytes]:
        """Their contents."""
        return [self.contents[file.path] for file in files]
