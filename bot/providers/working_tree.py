"""A working tree as a `ConfigTree`: what is in git's index, and what stands differently on disk."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bot.errors import WrongUsage
from bot.ports import SourceFile
from bot.providers.git import GitError, cat_files, finish, raw, spawn, text

KEPT = 4 * 1024 * 1024
"""Bytes; a larger file of the working tree has no blob id here and is read when asked for."""

_LISTING = ("ls-files", "--stage", "-z")
_STATUS: tuple[str, ...] = ("status", "--porcelain=v2", "--branch", "--ahead-behind", "--no-renames", "-z")
_STATUS = (*_STATUS, "--untracked-files=all", "--ignore-submodules=all", "--", ".")
_NO_LOCKS = {"GIT_OPTIONAL_LOCKS": "0"}  # `git status` would write the index it refreshed


@dataclass(frozen=True, slots=True)
class CheckoutTree:
    """Files by path and blob id: the working tree as it was when it was listed, or a commit of the same checkout.

    `edited` holds what is not in git as it stood on disk.
    """

    root: Path
    sha: str | None
    listed: tuple[SourceFile, ...]
    edited: Mapping[str, bytes] = field(default_factory=dict)
    upstream: str = ""
    lacks: int = 0
    """Commits that the checked out branch lacks of `upstream` (`origin/main`), as far as is known here."""

    def files(self) -> Sequence[SourceFile]:
        """Every regular file, sorted by path; deleted ones are absent."""
        return self.listed

    def read(self, files: Sequence[SourceFile]) -> Sequence[bytes]:
        """The contents in the same order: always the bytes whose blob id was listed, whatever has happened since.

        Opening a file is cheaper than asking git for it; git answers for those that stand differently on disk.
        """
        found = [self._on_disk(file) for file in files]
        missing = [file.blob for file, data in zip(files, found, strict=True) if data is None]
        from_git = iter(cat_files(self.root, missing))
        return [next(from_git) if data is None else data for data in found]

    def _on_disk(self, file: SourceFile) -> bytes | None:
        if file.path in self.edited:
            return self.edited[file.path]
        try:
            with open(f"{self.root}/{file.path}", "rb") as stream:  # noqa: PTH123 - thousands of files
                data = stream.read()
        except OSError as error:
            if file.blob:
                return None
            raise WrongUsage(f"{file.path} cannot be read: {error.strerror}") from error
        return data if file.blob in {"", blob_id(data)} else None


def not_a_checkout(error: GitError) -> bool:
    """Whether git said that there is no repository."""
    return "not a git repository" in error.stderr


def list_checkout(root: Path) -> CheckoutTree:
    """The working tree of a checkout, or of a subfolder of one; raises `GitError` where there is none."""
    first, second = spawn(root, *_LISTING), spawn(root, *_STATUS, env=_NO_LOCKS)
    try:
        index = finish(first, _LISTING)
    finally:
        status = finish(second, _STATUS)
    prefix = _prefix(root)
    edits = _edits(status, prefix)
    if prefix and not index and not edits.paths:  # a folder that the repository around it ignores
        return list_folder(root)
    files = {file.path: file for file in _index(index) if file.path not in edits.paths}
    edited: dict[str, bytes] = {}
    for path in sorted(edits.paths):
        found = _from_disk(root, path, edited)
        if found:
            files[path] = found
    sha = edits.head if edits.head and not edits.paths and not edits.staged else None
    listed = tuple(files[path] for path in sorted(files))
    return CheckoutTree(root, sha, listed, edited, edits.upstream, edits.lacks)


def list_folder(root: Path) -> CheckoutTree:
    """All regular files of a folder that is no checkout; raises `WrongUsage` where it is no folder."""
    if not root.is_dir():
        raise WrongUsage(f"{root} is not a folder", hint="--config names the checkout of a config repository")
    edited: dict[str, bytes] = {}
    found = (_from_disk(root, path, edited) for path in sorted(_walk(root)))
    return CheckoutTree(root, None, tuple(file for file in found if file), edited)


@dataclass(frozen=True, slots=True)
class _Edits:
    """What `git status` says: HEAD, paths that differ on disk (or are new), whether anything is staged or they lag."""

    head: str
    paths: frozenset[str]
    staged: bool
    upstream: str
    lacks: int


def _edits(status: bytes, prefix: str) -> _Edits:
    """Read `git status --porcelain=v2 --branch -z`; paths come out as seen from the folder at `prefix`."""
    headers: dict[bytes, bytes] = {}
    paths: set[bytes] = set()
    staged = False
    for line in status.split(b"\0"):
        match line[:1]:
            case b"#":
                name, _, value = line[2:].partition(b" ")
                headers[name] = value
            case b"?":
                paths.add(line[2:])
            case b"u":
                paths.add(line.split(b" ", 10)[10])
            case b"1" if line[3:4] == b".":
                staged = True
            case b"1":
                paths.add(line.split(b" ", 8)[8])
    head = headers.get(b"branch.oid", b"(").decode()
    cut, start = len(raw(prefix)), raw(prefix)
    return _Edits(
        head="" if head.startswith("(") else head,
        paths=frozenset(text(path[cut:]) for path in paths if path.startswith(start)),
        staged=staged,
        upstream=text(headers.get(b"branch.upstream", b"")) if b"branch.ab" in headers else "",
        lacks=int(headers.get(b"branch.ab", b"+0 -0").rpartition(b"-")[2]),
    )


def _index(listing: bytes) -> Iterator[SourceFile]:
    """The regular files of `git ls-files --stage -z`: `<mode> <blob> <stage>`, a tab, the path."""
    for line in listing.split(b"\0"):
        if line.startswith(b"100"):
            yield SourceFile(text(line[line.index(b"\t") + 1 :]), line[7:47].decode())


def _from_disk(root: Path, path: str, edited: dict[str, bytes]) -> SourceFile | None:
    """A regular file as it stands on disk, hashed as git would; None for anything else and what is gone."""
    try:
        found = os.lstat(root / path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    if found.st_size > KEPT:
        return SourceFile(path, "")
    try:
        edited[path] = (root / path).read_bytes()
    except OSError:
        return SourceFile(path, "")  # whoever needs it will hear why
    return SourceFile(path, blob_id(edited[path]))


def blob_id(data: bytes) -> str:
    """The id that git gives to a file with this content."""
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def _walk(root: Path) -> Iterator[str]:
    """The paths of all files below a folder, without `.git` and without following links."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in names)  # noqa: PTH118 - many files


def _prefix(root: Path) -> str:
    """Where a folder lies in its checkout: empty at the top, else a path that ends with a slash."""
    folder = root.resolve()
    for top in (folder, *folder.parents):
        if (top / ".git").exists():
            return "" if top == folder else f"{folder.relative_to(top).as_posix()}/"
    return ""
