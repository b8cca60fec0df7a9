"""Files that ship with the program: the JSON Schemas and the example config repository."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


@cache
def schemas() -> dict[str, bytes]:
    """The schema files by kind, e.g. `saas-file-1`; read once a process."""
    return {path.stem: path.read_bytes() for path in sorted(_folder("schemas").glob("*.json"))}


def example() -> Path:
    """The folder of the example config repository."""
    return _folder("config-example")


def _folder(name: str) -> Path:
    """Installed, the files lie in the package; in a checkout, beside it."""
    installed = PACKAGE / "_data" / name
    return installed if installed.is_dir() else PACKAGE.parent / name
