"""Importing: another tool's file read, and the definitions that are made of it written, never over another file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bot.cli.output import log
from bot.errors import WrongUsage
from bot.render.neutral import shown

_NAME = re.compile(r"[^/\s\x00-\x1f\x7f]+")
LONGEST = 1000
"""Characters of a note or a fault that are shown."""


def definitions(log_format: str, file: Path, name: str, instance: str) -> list[tuple[str, str]] | None:
    """Name and text of each definition; None where the file has faults. All that is to be said is logged."""
    from bot.formats.importing import imported  # noqa: PLC0415 - imported when a command needs it
    from bot.render.definitions import definition_text  # noqa: PLC0415

    if name and not _NAME.fullmatch(name):
        raise WrongUsage(f"--name {name!r} is not a name: it has neither a slash nor white space")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"{file}: {error.strerror or error}", hint="name the file to be read") from error
    found = imported(file.name, data, trigger=name, instance=instance)
    if isinstance(found, tuple):
        for fault in found:
            log(log_format, "error", f"{file}: {shown(fault, LONGEST)}", file=str(file))
        return None
    for note in found.notes:
        log(log_format, "info", f"note: {shown(note, LONGEST)}")
    return [(str(each["name"]), definition_text(each)) for each in found.documents]


def write(output: Path, texts: Sequence[tuple[str, str]]) -> Iterator[Path]:
    """Write one definition into a new file, or each into one of its own in a folder. Raises WrongUsage.

    Nothing is written where one of the files is there already.
    """
    folder = output.is_dir() or len(texts) > 1
    files = {(output / f"{name}.yml" if folder else output): text for name, text in texts}
    if len(files) < len(texts):
        raise WrongUsage("two of its definitions have the same name; nothing was written", hint="rename one of them")
    taken = [path for path in files if path.exists() or path.is_symlink()]
    if taken:
        raise WrongUsage(f"--output: {taken[0]} is there already; nothing was written", hint="name another file")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            raise WrongUsage(f"--output {path}: {error.strerror or error}", hint="name a file of yours") from error
        yield path
