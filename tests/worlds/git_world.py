"""Real git repositories for tests: a bare one, a checkout of it, and commits with dates of their own."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

START = 1_767_225_600
"""2026-01-01T00:00:00Z; each commit of a world comes a minute after the one before."""


QUIET = "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[receive]\n\tautogc = false\n"
"""Nothing is tidied up in repositories that live for a second."""


def run_git(folder: Path, *args: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run git as a person would, whatever the machine's configuration says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean = inherited | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
        "GIT_AUTHOR_NAME": "alice",
        "GIT_AUTHOR_EMAIL": "alice@example.com",
        "GIT_COMMITTER_NAME": "alice",
        "GIT_COMMITTER_EMAIL": "alice@example.com",
    }
    done = subprocess.run(
        ("git", *args), cwd=folder, input=stdin, capture_output=True, env=clean | dict(env or {}), check=False
    )
    assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr.decode()}"
    return done.stdout.decode("utf-8", "surrogateescape").strip()


@cache
def _prototype(*, bare: bool) -> Path:
    """An empty repository that git has made once a process; it goes with the process."""
    made = Path(mkdtemp())
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    run_git(made, "init", "--quiet", "--template=", "--initial-branch=main", *(["--bare"] if bare else []))
    git_folder = made / ("" if bare else ".git")
    with (git_folder / "config").open("a", encoding="utf-8") as config:
        config.write(QUIET)
    return made


def empty_repository(folder: Path, *, bare: bool = False) -> None:
    """What `git init` makes, copied: several processes less for each test."""
    shutil.copytree(_prototype(bare=bare), folder, dirs_exist_ok=True)


@dataclass
class Repository:
    """A checkout in `work` whose `origin` is the bare repository `bare`; both have the branch `main`."""

    folder: Path
    name: str = "code"
    commits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        empty_repository(self.bare, bare=True)
        empty_repository(self.work)
        remote = f'[remote "origin"]\n\turl = "{self.bare}"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
        with (self.work / ".git" / "config").open("a", encoding="utf-8") as config:
            config.write(remote)

    @property
    def bare(self) -> Path:
        return self.folder / f"{self.name}.git"

    @property
    def work(self) -> Path:
        return self.folder / self.name

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Put files into the checkout."""
        for path, content in files.items():
            (self.work / path).parent.mkdir(parents=True, exist_ok=True)
            (self.work / path).write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str = "", files: Mapping[str, str | bytes] | None = None, *, push: bool = True) -> str:
        """Commit everything (files or not), push the branch, and return the sha."""
        self.commits += 1
        self.write(files or {})
        run_git(self.work, "add", "--all")
        date = f"{START + 60 * self.commits} +0000"
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        message = message or f"commit {self.commits}"
        run_git(self.work, "commit", "--quiet", "--allow-empty", f"--message={message}", env=dates)
        if push:
            self.push()
        return self.head()

    def merge(self, *others: str) -> str:
        """Merge without looking at contents, push, and return the sha."""
        self.commits += 1
        date = f"{START + 60 * self.commits} +0000"
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        run_git(self.work, "merge", "--quiet", "--no-ff", "--strategy=ours", "--message=merge", *others, env=dates)
        self.push()
        return self.head()

    def push(self) -> None:
        """Push the current branch and all tags."""
        run_git(self.work, "push", "--quiet", "--force", "--tags", "origin", "HEAD")

    def switch(self, branch: str, start: str = "") -> None:
        """Go to a branch; a new one begins at `start`."""
        run_git(self.work, "switch", "--quiet", *(("--create", branch, start) if start else (branch,)))

    def head(self) -> str:
        git_folder = self.work / ".git"
        head = (git_folder / "HEAD").read_text(encoding="utf-8").strip()
        loose = git_folder / head.removeprefix("ref: ")
        known = head.startswith("ref: ") and loose.exists()
        return loose.read_text(encoding="ascii").strip() if known else run_git(self.work, "rev-parse", "HEAD")
