"""The refs of a bare repository, read from its files: what a fake server looks up with every request it gets.

`git for-each-ref` says the same and costs a process each time; git is asked for everything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SHA = 40  # digits


def refs(repository: Path, prefix: str = "refs/") -> dict[str, str]:
    """Full names of the refs below a prefix that ends with a slash, with their shas, sorted."""
    # Loose ones first: whoever packs refs writes the packed file before the loose ones go.
    loose = dict(_loose(os.path.join(repository, prefix), prefix))  # noqa: PTH118 - many paths, with every request
    return dict(sorted({**_packed(repository, prefix), **loose}.items()))


def _loose(folder: str, name: str) -> Iterator[tuple[str, str]]:
    """The refs that have files of their own, but for those that name another ref or have gone since."""
    try:
        with os.scandir(folder) as found:
            entries = [(each.name, each.path, each.is_dir()) for each in found if not each.name.endswith(".lock")]
    except FileNotFoundError:
        return
    for own, path, is_folder in entries:
        if is_folder:
            yield from _loose(path, f"{name}{own}/")
            continue
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - as above
                sha = file.read().strip()
        except FileNotFoundError:
            continue
        if len(sha) == SHA:
            yield f"{name}{own}", sha.decode()


def _packed(repository: Path, prefix: str) -> dict[str, str]:
    try:
        lines = (repository / "packed-refs").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split(" ", 1) for line in lines if line[:1] not in ("#", "^"))
    return {name: sha for sha, name in pairs if name.startswith(prefix)}
