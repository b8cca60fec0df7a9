"""A commit or tree of a git repository as a `ConfigTree`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from bot.errors import ServerUnreachable
from bot.ports import SourceFile
from bot.providers.git import GitError, ls_tree, stream_files


class GitTree:
    """The files of one commit or tree, listed when first asked for and read with one git process.

    `sha` is the commit that it stands for, None for a tree that is no commit (a tried merge).
    """

    def __init__(self, repo: Path, treeish: str, sha: str | None) -> None:
        self._repo = repo
        self._treeish = treeish
        self._sha = sha

    @property
    def sha(self) -> str | None:
        """The commit, if it is one."""
        return self._sha

    def files(self) -> Sequence[SourceFile]:
        """Every regular file, sorted by path; raises `ServerUnreachable` where the commit cannot be read."""
        with self._reading():
            return self._files

    @cached_property
    def _files(self) -> tuple[SourceFile, ...]:
        entries = ls_tree(self._repo, self._treeish)
        return tuple(SourceFile(entry.path, entry.blob) for entry in entries if entry.regular)

    def read(self, files: Sequence[SourceFile]) -> Iterable[bytes]:
        """The contents of these files, in the same order; they are read while the caller works."""
        with self._reading():
            yield from stream_files(self._repo, (file.blob for file in files))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except GitError as error:
            raise ServerUnreachable(
                f"{self._repo}: reading {self._treeish} failed: {error.line}",
                hint="the repository is damaged or was cut short; fetch it again",
            ) from error
