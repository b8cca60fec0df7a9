"""Planted secrets: what every world gives the bot for a token can be recognised, and is searched for after each test.

    TOKEN = planted.token("bot")              # what a fake takes and the environment holds
    planted.left(checkout / ".git" / "config")  # a file in which a test left one on purpose
    planted.printed("saasbot plan", out)      # what was said to a test, and not to pytest

`tests/conftest.py` looks through everything below the test's `tmp_path`, git's objects included, and through what it
printed. A hit fails the test: the bot let a secret out.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

PREFIX = "planted-secret-"
"""What every planted value begins with; it looks like no real one."""

AROUND = 50
"""Bytes of context that are shown on both sides of a hit."""

_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_LOOSE = re.compile(r".*/objects/([0-9a-f]{2}/[0-9a-f]{38})")
_SKIPPED = {"hooks"}  # git's samples
_MOST = 64 * 1024 * 1024  # bytes that one compressed piece may stand for


def _base64(value: bytes, shift: int) -> bytes:
    """The characters of Base64 that depend on the value alone, where `shift` bytes stand before it."""
    encoded = base64.b64encode(b"\0" * shift + value)
    return encoded[(shift * 8 + 5) // 6 : (shift + len(value)) * 8 // 6]


NEEDLE = re.compile(b"|".join(map(re.escape, [PREFIX.encode(), *(_base64(PREFIX.encode(), n) for n in range(3))])))
"""A planted value as it is (in URLs and JSON too), or inside something in Base64."""


def token(what: str) -> str:
    """The planted value of this name, the same each time; `what` is one word in small letters."""
    watch()
    return f"{PREFIX}{what}-{hashlib.sha256(what.encode()).hexdigest()[:12]}"


def watch() -> None:
    """Have the tests of this module searched; every fake that takes planted values says so."""
    found.used = True


@dataclass
class Found:
    """What the present module of tests has done with planted values."""

    used: bool = False
    """Whether there was any: else nothing is searched."""
    on_purpose: set[str] = field(default_factory=set)
    texts: list[tuple[str, str]] = field(default_factory=list)
    seen: set[object] = field(default_factory=set)
    """Files and git objects that have been looked through already."""
    folders: set[str] = field(default_factory=set)


found = Found()


def left(path: Path) -> Path:
    """Register a file in which a test, or the world around the bot, left a secret on purpose."""
    found.on_purpose.add(os.path.realpath(path))
    return path


def printed(where: str, text: str) -> None:
    """Note what was said to a test, such as the output of a process; it is searched when the test ends."""
    if NEEDLE.search(text.encode("utf-8", "surrogateescape")):
        found.texts.append((where, text))


def leaks(root: Path) -> list[str]:
    """Path and context of every planted value in a file below `root`, except where one was left on purpose."""
    hits = []
    for path, where, data in _contents(os.path.realpath(root)):
        match = NEEDLE.search(data)
        if match and path not in found.on_purpose:
            hits.append(f"{where}: {context(data, match)}")
    return hits


def in_text(text: str) -> str:
    """The first hit in a text, with what stands around it."""
    data = text.encode("utf-8", "surrogateescape")
    match = NEEDLE.search(data)
    return context(data, match) if match else ""


def new_folders(root: Path) -> list[Path]:
    """The folders in `root` that were not there when this was asked before."""
    there = {entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)}
    new = there - found.folders
    found.folders |= there
    return [root / name for name in sorted(new)]


def context(data: bytes, match: re.Match[bytes]) -> str:
    """What stands around a hit."""
    return repr(data[max(0, match.start() - AROUND) : match.end() + AROUND])


def _contents(folder: str) -> Iterator[tuple[str, str, bytes]]:
    """Path, name for people and bytes of all that is written below a folder, unpacked too."""
    with suppress(OSError):  # processes of the test may still clean up behind themselves
        for entry in os.scandir(folder):
            if entry.is_symlink():
                continue
            if entry.is_dir():
                if entry.name not in _SKIPPED:
                    yield from _contents(entry.path)
            elif entry.is_file():
                yield from _file(entry)


def _file(entry: os.DirEntry[str]) -> Iterator[tuple[str, str, bytes]]:
    about = entry.stat()
    path, key = entry.path, (about.st_ino, about.st_mtime_ns, about.st_size, about.st_ctime_ns)
    loose = _LOOSE.fullmatch(path)
    if _seen(loose[1] if loose else key) or not about.st_size or path.endswith((".idx", ".rev")):
        return
    if path.endswith(".pack"):
        yield path, f"{path} (objects)", _objects(Path(path))
        return
    with open(path, "rb") as file:  # noqa: PTH123 - twice as fast for a thousand small files
        data = file.read()
    if loose:
        with suppress(zlib.error):
            yield path, f"{path} (object)", zlib.decompress(data)
        return
    yield path, path, data
    for number, piece in enumerate(_unpacked(data)):
        yield path, f"{path} (unpacked {number})", piece


def _seen(key: object) -> bool:
    """Whether it was looked through before; git names objects by their content, so once is enough for those."""
    if key in found.seen:
        return True
    found.seen.add(key)
    return False


def _objects(pack: Path) -> bytes:
    """All objects of a repository that has packs; what a partial clone lacks is not fetched."""
    return subprocess.run(
        ("git", "cat-file", "--batch-all-objects", "--batch", "--unordered"),
        cwd=pack.parents[2],
        capture_output=True,
        check=False,
        env={**os.environ, "GIT_NO_LAZY_FETCH": "1"},
    ).stdout


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What stands in the bytes compressed: whole files, and entries behind a head of their own."""
    for at in _places(data, _ZSTD):
        with suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at:])
    for at in _places(data, _GZIP):
        with suppress(OSError, EOFError, zlib.error):
            yield gzip.decompress(data[at:])[:_MOST]


def _places(data: bytes, magic: bytes) -> Iterator[int]:
    at = data.find(magic)
    while at >= 0:
        yield at
        at = data.find(magic, at + 1)
