"""Git below the fake GitHub: a bare repository that answers for heads, histories, merges, trees and differences."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from worlds.ref_files import refs

HEADS = "refs/heads/"
NO_COMMIT = "0" * 40


class GitFailure(Exception):
    """Git said no; the text is what it said."""


@dataclass(frozen=True)
class Signature:
    """Who and when; `date` is ISO 8601 in UTC with a `Z`."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class CommitFacts:
    """One commit as the API shows it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


@dataclass(frozen=True)
class TreeEntry:
    """One name of a tree, or one wanted in it; a `sha` that is None takes the path away."""

    mode: str
    kind: str
    sha: str | None
    path: str
    size: int | None = None


@dataclass(frozen=True)
class FileDiff:
    """One file that differs between two commits; `patch` is empty for what is no text."""

    status: str
    path: str
    blob: str
    additions: int
    deletions: int
    patch: str


SETTINGS = """\
[receive]
	hideRefs = refs/pull
	autogc = false
[gc]
	auto = 0
[uploadpack]
	allowAnySHA1InWant = true
"""
"""A server's own: pull requests are moved by nobody, and what is forced away can still be fetched by its sha."""

STATUS = {"A": "added", "D": "removed", "M": "modified", "T": "changed"}


class BareRepository:
    """A bare repository; what refs say is asked live, and only what belongs to shas is remembered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "HEAD").exists():
            run(("git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)))
        with (path / "config").open("a", encoding="utf-8") as config:
            config.write(SETTINGS)
        self._kinds: dict[str, str] = {}
        self.commit = lru_cache(8192)(self._commit)
        self.changed = lru_cache(8192)(self._changed)
        self.merge_base = lru_cache(8192)(self._merge_base)
        self.merge_tree = lru_cache(8192)(self._merge_tree)

    def git(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What git prints; raises GitFailure."""
        return run(("git", "-C", str(self.path), *arguments), stdin=stdin, env=env)

    def line(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """What git prints, as text without its end of line."""
        return self.git(*arguments, stdin=stdin, env=env).decode("utf-8", "replace").strip()

    def refs(self, prefix: str) -> dict[str, str]:
        """Full names of the refs that start with `prefix` with their shas, sorted."""
        return {name: sha for name, sha in refs(self.path).items() if name.startswith(prefix)}

    def heads(self) -> dict[str, str]:
        """Branches with their heads."""
        return {name.removeprefix(HEADS): sha for name, sha in refs(self.path, HEADS).items()}

    def resolve(self, word: str) -> str:
        """The commit that a branch, tag or full sha names, or empty."""
        for name in (f"{HEADS}{word}", f"refs/tags/{word}", word):
            try:
                return self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            except GitFailure:
                continue
        return ""

    def kind(self, sha: str) -> str:
        """The type of an object, or empty where there is none."""
        if sha not in self._kinds:
            try:
                self._kinds[sha] = self.line("cat-file", "-t", sha)
            except GitFailure:
                return ""
        return self._kinds[sha]

    def move(self, ref: str, new: str, old: str | None = None) -> None:
        """Set a ref, or delete it where `new` is empty; with `old` only from there. Raises GitFailure."""
        verb = ("update-ref", "--no-deref", ref, new) if new else ("update-ref", "--no-deref", "-d", ref)
        self.git(*verb, *(() if old is None else (old or NO_COMMIT,)))

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is `new` or in its history."""
        return bool(old and new) and self.merge_base(old, new) == old

    def between(self, old: str, new: str) -> list[str]:
        """The commits of `new` that `old` lacks, oldest first."""
        return self.line("rev-list", "--reverse", "--topo-order", new, f"^{old}").split()

    def write_commit(
        self, tree: str, parents: Sequence[str], message: str, author: Signature, committer: Signature
    ) -> str:
        """A commit object with exactly this message; moves no ref."""
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        for role, who in (("author", author), ("committer", committer)):
            lines.append(f"{role} {_ident(who)}")
        body = "\n".join([*lines, "", message]).encode()
        return self.line("hash-object", "-t", "commit", "-w", "--stdin", stdin=body)

    def write_tree(self, base: str, entries: Sequence[TreeEntry]) -> str:
        """A tree that is `base` (empty: nothing) with these entries put in."""
        with tempfile.TemporaryDirectory() as folder:
            env = {"GIT_INDEX_FILE": f"{folder}/index"}
            if base:
                self.git("read-tree", base, env=env)
            for entry in entries:
                if entry.kind == "tree" and entry.sha:
                    self.git("read-tree", f"--prefix={entry.path}/", entry.sha, env=env)
            lines = "".join(
                f"{entry.mode if entry.sha else '0'} {entry.sha or NO_COMMIT}\t{entry.path}\0"
                for entry in entries
                if entry.kind != "tree"
            )
            self.git("update-index", "-z", "--index-info", stdin=lines.encode(), env=env)
            return self.line("write-tree", env=env)

    def write_blob(self, content: bytes) -> str:
        """A blob's sha."""
        return self.line("hash-object", "-w", "--stdin", stdin=content)

    def read(self, commit: str, path: str) -> bytes | None:
        """A file at a commit, or None."""
        try:
            return self.git("cat-file", "blob", f"{commit}:{path}")
        except GitFailure:
            return None

    def names(self, commit: str, folder: str) -> list[str]:
        """The paths of the files in a folder of a commit."""
        return self.line("ls-tree", "--name-only", commit, f"{folder}/").splitlines()

    def top(self, tree: str) -> list[TreeEntry]:
        """The names at the root of a tree."""
        found = []
        for line in self.git("ls-tree", "--long", "-z", tree).decode("utf-8", "replace").split("\0")[:-1]:
            meta, _, path = line.partition("\t")
            mode, kind, sha, size = meta.split()
            found.append(TreeEntry(mode, kind, sha, path, None if size == "-" else int(size)))
        return found

    def diff(self, old: str, new: str) -> list[FileDiff]:
        """The files that differ between two commits, with their text."""
        raw = self.git("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", old, new).decode().split("\0")
        found = []
        for meta, path in zip(raw[::2], raw[1::2], strict=False):
            _, _, before, after, status = meta.lstrip(":").split(" ")
            text = self.git("diff-tree", "-p", "--no-renames", old, new, "--", path).decode("utf-8", "replace")
            _, mark, body = text.partition("\n@@")
            rows = body.splitlines()[1:]
            plus, minus = (sum(row.startswith(sign) for row in rows) for sign in "+-")
            blob = before if status == "D" else after
            found.append(FileDiff(STATUS[status], path, blob, plus, minus, f"@@{body}" if mark else ""))
        return found

    def _changed(self, base: str, head: str) -> tuple[int, int, int, int]:
        """Commits, files, lines added and lines taken away between two commits."""
        rows = [row.split("\t")[:2] for row in self.line("diff-tree", "-r", "--numstat", base, head).splitlines()]
        plus, minus = (sum(int(row[side]) for row in rows if row[side].isdecimal()) for side in (0, 1))
        return len(self.between(base, head)), len(rows), plus, minus

    def _merge_tree(self, base: str, head: str) -> str:
        """The tree of a merge, or empty where it conflicts."""
        try:
            return self.line("merge-tree", "--write-tree", "--no-messages", base, head).split("\n", 1)[0]
        except GitFailure:
            return ""

    def _merge_base(self, one: str, two: str) -> str:
        try:
            return self.line("merge-base", one, two)
        except GitFailure:
            return ""

    def _commit(self, sha: str) -> CommitFacts:
        shape = "%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B"
        dates = "--date=format-local:%Y-%m-%dT%H:%M:%SZ"
        out = self.git("log", "-1", "--no-show-signature", dates, f"--format={shape}", sha, env={"TZ": "UTC"})
        parts = out.decode("utf-8", "replace").split("\0", 9)
        author, committer = Signature(*parts[3:6]), Signature(*parts[6:9])
        return CommitFacts(parts[0], parts[1], tuple(parts[2].split()), author, committer, parts[9].rstrip("\n"))


@lru_cache(1024)
def _ident(who: Signature) -> str:
    """Who and when as git writes it."""
    env = {"GIT_AUTHOR_NAME": who.name, "GIT_AUTHOR_EMAIL": who.email, "GIT_AUTHOR_DATE": who.date}
    return run(("git", "var", "GIT_AUTHOR_IDENT"), env=env).decode("utf-8", "replace").strip()


def run(arguments: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """What a git command prints, whatever the machine's configuration says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    done = subprocess.run(arguments, input=stdin, capture_output=True, env=clean | dict(env or {}), check=False)
    if done.returncode:
        raise GitFailure(done.stderr.decode("utf-8", "replace").strip() or f"git ended with {done.returncode}")
    return done.stdout
