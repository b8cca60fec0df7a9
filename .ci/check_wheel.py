"""Builds the wheel into a temporary folder and checks that what the program reads at run time is inside."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("schemas", "config-example")


def build(folder: str) -> Path:
    """Build the wheel with the tools of this environment; nothing is downloaded."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (wheel,) = Path(folder).glob("*.whl")
    return wheel


def source_files() -> set[str]:
    """The names that the shipped folders must have in the wheel."""
    return {
        f"bot/_data/{path.relative_to(ROOT).as_posix()}"
        for folder in SHIPPED
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def missing(wheel: Path) -> list[str]:
    """What is not in the wheel but should be; an empty folder in the checkout is an error of its own."""
    wanted = source_files()
    for folder in SHIPPED:
        if not any(name.startswith(f"bot/_data/{folder}/") for name in wanted):
            return [f"{folder}/ has no files"]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    return sorted((wanted | {"bot/py.typed", "bot/__main__.py"}) - names)


def runs(wheel: Path) -> str:
    """Start the program from the wheel, away from the checkout; the text of the failure, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(folder) / "site")
        environment = {**os.environ, "PYTHONPATH": str(Path(folder) / "site"), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "-m", "bot", "version"]
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def main() -> int:
    """Say what is wrong on standard error; 0 if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(folder)
        problems = [f"not in the wheel: {name}" for name in missing(wheel)]
        failure = "" if problems else runs(wheel)
        name = wheel.name
    problems += [f"does not start from the wheel: {failure}"] if failure else []
    for problem in problems:
        sys.stderr.write(f"wheel: {problem}\n")
    if not problems:
        sys.stdout.write(f"wheel: {name} is complete\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
