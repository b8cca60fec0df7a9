"""Scaffold: writes a new config repository from the example, and a local forge for it."""

from __future__ import annotations

import shutil
from pathlib import Path

from bot.errors import WrongUsage
from bot.providers.git import GitError, git
from bot.providers.resources import example, schemas

EDITOR_SCHEMAS = ".saasbot/schemas"
"""Where the modelines of the example look for the schemas."""


def write_repository(folder: Path) -> list[str]:
    """Copy the example into `folder`, with schemas for editors; returns the paths written. Overwrites nothing."""
    if (folder / "saasbot.yml").exists():
        raise WrongUsage(f"{folder / 'saasbot.yml'} is there already", hint="choose an empty folder")
    source = example()
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    taken = [str(path) for path in files if (folder / path).exists()]
    if taken:
        raise WrongUsage(f"{folder} has {taken[0]} already", hint="choose an empty folder")
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
        if path.suffix == ".sh":
            (folder / path).chmod(0o755)
    for name, content in schemas().items():
        (folder / EDITOR_SCHEMAS).mkdir(parents=True, exist_ok=True)
        (folder / EDITOR_SCHEMAS / f"{name}.json").write_bytes(content)
    return [str(path) for path in files]


def write_local_forge(checkout: Path, forge: Path, branch: str, name: str = "saasbot") -> None:
    """Make `checkout` a git repository with one commit, and `forge` its origin: a local forge."""
    repo = forge / "config.git"
    if repo.exists():
        raise WrongUsage(f"{repo} is there already", hint="remove it, or leave --local-forge out")
    (forge / "merge_requests").mkdir(parents=True, exist_ok=True)
    try:
        git(forge, "init", "--quiet", "--bare", f"--initial-branch={branch}", "config.git")
        if not (checkout / ".git").exists():
            git(checkout, "init", "--quiet", f"--initial-branch={branch}")
        git(checkout, "remote", "add", "origin", str(repo.absolute()))
        commit_all(checkout, "Start the config repository", name)
        git(checkout, "push", "--quiet", "--set-upstream", "origin", f"HEAD:refs/heads/{branch}")
    except GitError as error:
        raise WrongUsage(f"git could not lay out {checkout}: {error.line}") from error


def commit_all(checkout: Path, message: str, name: str) -> str:
    """Commit everything in a checkout as `name`; returns the sha."""
    git(checkout, "add", "--all")
    who = ("-c", f"user.name={name}", "-c", f"user.email={name}@localhost", "-c", "commit.gpgsign=false")
    git(checkout, *who, "commit", "--quiet", "--message", message)
    return git(checkout, "rev-parse", "HEAD").decode().strip()
