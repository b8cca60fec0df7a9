"""Scaffold: writes a new config repository from the example, and a local forge for it."""

from __future__ import annotations

from pathlib import Path

from bot.errors import WrongUsage
from bot.providers.git import GitError, git
from bot.providers.resources import example, schemas
from bot.providers.scaffold_forges import CI_FILES, LOCAL_ONLY, replacements

EDITOR_SCHEMAS = ".saasbot/schemas"
"""Where the modelines of the example look for the schemas."""


def write_repository(folder: Path, provider: str = "local") -> list[str]:
    """Write the example into `folder` as it is for this forge, with schemas for editors; returns the paths written.

    Overwrites nothing: raises WrongUsage where something is there already.
    """
    if (folder / "saasbot.yml").exists():
        raise WrongUsage(f"{folder / 'saasbot.yml'} is there already", hint="choose an empty folder")
    files = repository_files(provider)
    taken = [path for path in files if (folder / path).exists()]
    if taken:
        raise WrongUsage(f"{folder} has {taken[0]} already", hint="choose an empty folder")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        if path.endswith(".sh"):
            (folder / path).chmod(0o755)
    for name, content in schemas().items():
        (folder / EDITOR_SCHEMAS).mkdir(parents=True, exist_ok=True)
        (folder / EDITOR_SCHEMAS / f"{name}.json").write_bytes(content)
    return list(files)


def repository_files(provider: str) -> dict[str, bytes]:
    """The files of a new config repository by path; the CI file is that of its forge, and none at a local one."""
    root = example()
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    unused = {path for forge, path in CI_FILES.items() if forge != provider}
    if provider in CI_FILES:
        own = replacements(provider, files["saasbot.yml"].decode())
        files |= {path: text.encode() for path, text in own.items()}
        unused |= {*LOCAL_ONLY}
    return {path: files[path] for path in sorted(files.keys() - unused)}


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
