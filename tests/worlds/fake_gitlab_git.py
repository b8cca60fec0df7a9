"""Git below the fake GitLab: a real bare repository that answers for heads, conflicts, diffs, commits and merges."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from worlds.ref_files import refs

HEADS = "refs/heads/"

HOOK = """#!/bin/sh
# Refuses pushes to branches that the pusher may not write.
while read -r old new ref; do
  for branch in $FAKE_PROTECTED; do
    if [ "$ref" = "refs/heads/$branch" ]; then
      echo "GitLab: You are not allowed to push code to protected branches on this project." >&2
      exit 1
    fi
  done
done
"""


class GitFailure(Exception):
    """Git said no; the text is what it said."""


@dataclass(frozen=True)
class CommitFacts:
    """One commit as an API shows it."""

    sha: str
    parents: tuple[str, ...]
    author: str
    author_email: str
    authored: datetime
    committer: str
    committer_email: str
    committed: datetime
    message: str

    @property
    def title(self) -> str:
        """The first line."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True)
class FileDiff:
    """One file that differs, and how."""

    status: str
    old: str
    new: str
    old_mode: str
    new_mode: str
    text: str


class Repository:
    """A bare repository; every question is asked live, and only what belongs to shas is remembered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "HEAD").exists():
            run(("git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)))
        hook = path / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK, encoding="utf-8")
        hook.chmod(0o755)
        self.commit = lru_cache(4096)(self._commit)
        self.merge_base = lru_cache(4096)(self._merge_base)
        self.merge_tree = lru_cache(4096)(self._merge_tree)
        self.changed = lru_cache(4096)(self._changed)

    def git(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What git prints; raises GitFailure."""
        return run(("git", "-C", str(self.path), *arguments), stdin=stdin, env=env)

    def refs(self, prefix: str) -> dict[str, str]:
        """Refs below a prefix with their shas, the prefix taken off."""
        return {name.removeprefix(prefix): sha for name, sha in refs(self.path, prefix).items()}

    def heads(self) -> dict[str, str]:
        """Branches with their heads."""
        return self.refs(HEADS)

    def resolve(self, word: str) -> str:
        """The commit that a branch, tag or sha names, or empty."""
        names = (f"{HEADS}{word}", f"refs/tags/{word}", word)
        for name in names if not re.fullmatch(r"[0-9a-f]{40}", word) else (word,):
            try:
                return (
                    self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
                    .decode()
                    .strip()
                )
            except GitFailure:
                continue
        return ""

    def update(self, moves: Mapping[str, tuple[str, str | None]]) -> None:
        """Move refs, all or none: by full name the new sha (empty: delete) and the old one (None: whatever it is)."""
        lines = []
        for name, (new, old) in moves.items():
            verb = "update" if new else "delete"
            lines.append(f"{verb} {name}\0" + (f"{new}\0" if new else "") + ("" if old is None else old) + "\0")
        if lines:
            self.git("update-ref", "--no-deref", "-z", "--stdin", stdin="".join(lines).encode())

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is in the history of `new`."""
        return bool(old and new) and self.merge_base(old, new) == old

    def between(self, old: str, new: str) -> list[CommitFacts]:
        """The commits of `new` that `old` lacks, newest first."""
        out = self.git("rev-list", "--max-count=200", new, *([f"^{old}"] if old else [])).decode()
        return [self.commit(sha) for sha in out.split()]

    def _changed(self, old: str, new: str) -> int:
        """How many files differ between two commits."""
        return self.git("diff-tree", "-r", "--name-only", "--no-renames", old, new).count(b"\n")

    def _merge_tree(self, base: str, head: str) -> str:
        """The tree of a merge, or empty where it conflicts."""
        try:
            return self.git("merge-tree", "--write-tree", base, head).decode().split("\n", 1)[0]
        except GitFailure:
            return ""

    def conflicts(self, base: str, head: str) -> bool:
        """Whether two commits cannot be merged."""
        return not self.merge_tree(base, head)

    def write_commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        author: tuple[str, str],
        committer: tuple[str, str],
        when: datetime,
    ) -> str:
        """A commit of a tree; moves no ref."""
        date = f"{int(when.timestamp())} +0000"
        env = {
            "GIT_AUTHOR_NAME": author[0],
            "GIT_AUTHOR_EMAIL": author[1],
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": committer[0],
            "GIT_COMMITTER_EMAIL": committer[1],
            "GIT_COMMITTER_DATE": date,
        }
        flags = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *flags, stdin=message.encode(), env=env).decode().strip()

    def read_tree(self, commit: str) -> dict[str, tuple[str, str]]:
        """Every file of a commit: by path its mode and blob."""
        if not commit:
            return {}
        entries = {}
        for line in self.git("ls-tree", "-r", "-z", commit).decode().split("\0"):
            meta, _, path = line.partition("\t")
            if path:
                mode, _, blob = meta.split(" ")
                entries[path] = (mode, blob)
        return entries

    def write_tree(self, entries: Mapping[str, tuple[str, str]]) -> str:
        """A tree of these files."""
        index = self.path / f"fake-index-{os.getpid()}"
        lines = "".join(f"{mode} {blob}\t{path}\0" for path, (mode, blob) in entries.items())
        env = {"GIT_INDEX_FILE": str(index)}
        try:
            self.git("update-index", "-z", "--index-info", stdin=lines.encode(), env=env)
            return self.git("write-tree", env=env).decode().strip()
        finally:
            index.unlink(missing_ok=True)

    def write_blob(self, content: bytes) -> str:
        """A blob's sha."""
        return self.git("hash-object", "-w", "--stdin", stdin=content).decode().strip()

    def read(self, commit: str, path: str) -> bytes | None:
        """A file at a commit, or None."""
        try:
            return self.git("cat-file", "blob", f"{commit}:{path}")
        except GitFailure:
            return None

    def diff(self, old: str, new: str) -> list[FileDiff]:
        """The files that differ between two commits, with their text."""
        raw = self.git("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new).decode().split("\0")
        found = []
        for meta, path in zip(raw[::2], raw[1::2], strict=False):
            old_mode, new_mode, _, _, status = meta.lstrip(":").split(" ")
            text = self.git("diff-tree", "-r", "-p", "--no-renames", old, new, "--", path).decode("utf-8", "replace")
            body = text.partition("\n@@")
            found.append(FileDiff(status, path, path, old_mode, new_mode, f"@@{body[2]}" if body[1] else ""))
        return found

    def _merge_base(self, one: str, two: str) -> str:
        try:
            return self.git("merge-base", one, two).decode().strip()
        except GitFailure:
            return ""

    def _commit(self, sha: str) -> CommitFacts:
        shape = "%H%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B"
        out = self.git("log", "-1", "--no-show-signature", f"--format={shape}", sha).decode("utf-8", "replace")
        full, parents, name, email, authored, committer, cemail, committed, message = out.split("\0", 8)
        return CommitFacts(
            full,
            tuple(parents.split()),
            name,
            email,
            datetime.fromtimestamp(int(authored), UTC),
            committer,
            cemail,
            datetime.fromtimestamp(int(committed), UTC),
            message.rstrip("\n") + "\n",
        )


def run(arguments: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """What a git command prints, whatever the machine's configuration says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}
    done = subprocess.run(arguments, input=stdin, capture_output=True, env=clean | dict(env or {}), check=False)
    if done.returncode:
        raise GitFailure(done.stderr.decode("utf-8", "replace").strip() or f"git ended with {done.returncode}")
    return done.stdout
