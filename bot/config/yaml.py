"""The only YAML loader: YAML 1.2 with every precaution of DESIGN section 2, pure over bytes.

yaml-rs reads; around it stand what it leaves to its caller (FACTS): a byte order mark, NUL bytes, a second document,
`<<`, limits for aliases, and the position of a duplicate key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml_rs

from bot.config import source
from bot.config.limits import ALIAS_LIMIT, COLUMN_LIMIT, DEPTH_LIMIT, TOO_DEEP
from bot.config.source import Pointer

_LIMITS = yaml_rs.AliasLimits(max_total_replayed_events=ALIAS_LIMIT)
_PLACE = re.compile(r"YAML parse error at line (\d+), column (\d+)")
_FAR_RIGHT = re.compile(rf"^[ \t?:-]{{{COLUMN_LIMIT}}}", re.MULTILINE)
_ALIAS = re.compile(r"(?:^|[\s\[{,:-])\*[^\s,\[\]{}]+", re.MULTILINE)
_DECLARES = re.compile(rb"^\"?\$schema\"?:", re.MULTILINE)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a source cannot be read: a rule, a place (from 1) and words for a human."""

    rule: str
    line: int
    column: int
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A source that was read: its one value and its text without the byte order mark."""

    value: Any
    text: str


class BadMerge(ValueError):
    """A `<<` that cannot be resolved: the rule it breaks and the pointer to its value."""

    def __init__(self, rule: str, pointer: Pointer) -> None:
        super().__init__(rule)
        self.rule = rule
        self.pointer = pointer


_MERGE_TEXTS = {
    "bad-merge": ("`<<` needs a mapping or a list of mappings", "give it an alias of a mapping"),
    "too-deep": (TOO_DEEP, f"stay below {DEPTH_LIMIT} levels"),
}


def load(content: bytes) -> Document | tuple[Fault, ...]:
    """Read one YAML document; an empty one has the value None. What cannot be read has one fault or more."""
    text = decode(content)
    if isinstance(text, Fault):
        return (text,)
    if _FAR_RIGHT.search(text) and source.deeper_than(text, DEPTH_LIMIT):
        return (Fault("too-deep", 1, 1, TOO_DEEP, f"stay below {DEPTH_LIMIT} levels"),)
    try:
        value = yaml_rs.loads(text, parse_datetime=False, alias_limits=_LIMITS)
    except yaml_rs.YAMLDecodeError as error:
        return _unreadable(text, str(error))
    if isinstance(value, list):
        second = _second_document(text)
        if second:
            return (Fault("second-document", second, 1, "a second document begins here", "keep one document a file"),)
    if "<<" in text:
        try:
            value = _merge(value, ())
        except BadMerge as error:
            line, column = source.position(text, error.pointer)
            return (Fault(error.rule, line, column, *_MERGE_TEXTS[error.rule]),)
    return Document(value, text)


def decode(content: bytes) -> str | Fault:
    """Return the text of a source without its byte order mark; UTF-8 only, and no NUL, which hides what follows it."""
    body = content.removeprefix(_BOM)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        line, column = _place(body, error.start)
        return Fault("encoding", line, column, "this is not UTF-8", "save the file as UTF-8")
    if "\0" in text:
        line, column = _place(body, body.index(b"\0"))
        return Fault("nul-byte", line, column, "a NUL byte hides what follows it", "remove it")
    return text


def declares_schema(content: bytes) -> bool:
    """Whether a line starts with `$schema:`, which makes a file that cannot be read a data file."""
    return _DECLARES.search(content.removeprefix(_BOM)) is not None


def schemas(content: bytes) -> Iterator[str]:
    """Yield the top-level `$schema` of every document of a source that breaks only a rule of ours (duplicate keys)."""
    text = decode(content)
    try:
        value = "" if isinstance(text, Fault) or _FAR_RIGHT.search(text) else _lenient(text)
    except yaml_rs.YAMLDecodeError:
        return
    for document in value if isinstance(value, list) else [value]:
        if isinstance(document, dict) and isinstance(document.get("$schema"), str):
            yield document["$schema"]


def position(content: bytes, pointer: Pointer, *, key: bool = False) -> tuple[int, int]:
    """Return line and column (from 1) of the value at `pointer`, or of its key, in a source that `load` accepted."""
    text = decode(content)
    return (1, 1) if isinstance(text, Fault) else source.position(text, pointer, key=key)


def source_text(content: bytes, pointer: Pointer) -> str:
    """Return the scalar at `pointer` as written, without quotes; empty where there is none."""
    text = decode(content)
    return "" if isinstance(text, Fault) else source.scalar_text(text, pointer) or ""


def _lenient(text: str) -> Any:
    return yaml_rs.loads(
        text,
        parse_datetime=False,
        alias_limits=_LIMITS,
        duplicate_key_policy=yaml_rs.DuplicateKeyPolicy.LastWins,
    )


def _unreadable(text: str, error: str) -> tuple[Fault, ...]:
    """Return the faults for an error of yaml-rs."""
    if error.startswith("duplicate mapping key"):
        return _duplicates(text, error)
    if error.startswith("alias"):
        found = _ALIAS.search(text)
        line, column = _place(text.encode(), len(text[: found.end()].encode()) - 1) if found else (1, 1)
        return (Fault("alias-bomb", line, column, "the aliases of this file stand for too much", "write it out"),)
    place = _PLACE.match(error)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    reason = error.rsplit("\n", 1)[-1][:200]
    return (Fault("syntax", line, column, f"this is not YAML: {reason}", "look at indentation and quotes around here"),)


def _duplicates(text: str, error: str) -> tuple[Fault, ...]:
    """Return a fault for each duplicate key; only a source that reads well without them can tell where they are."""
    try:
        _lenient(text)
    except yaml_rs.YAMLDecodeError as second:
        return _unreadable(text, str(second))
    named = (error.partition(": ")[2].strip("'\""), 1, 1)
    found = sorted(source.duplicates(text), key=lambda place: place[1:]) or [named]
    return tuple(
        Fault("duplicate-key", line, column, f"the key `{name[:80]}` is here twice", "keep one of them")
        for name, line, column in found
    )


def _second_document(text: str) -> int:
    """Return the line where a second document begins, or 0."""
    content = False
    ended = False
    for number, line in enumerate(text.splitlines(), 1):
        marker = line[:3] == "---" and line[3:4] in {"", " ", "\t"}
        if content and (marker or (ended and line.strip() and not line.startswith(("#", "...")))):
            return number
        ended = ended or line.rstrip() == "..."
        content = content or marker or bool(line.strip() and not line.startswith(("#", "%")))
    return 0


def _place(body: bytes, index: int) -> tuple[int, int]:
    """Return line and column of a byte."""
    before = body[:index]
    start = before.rfind(b"\n") + 1
    return before.count(b"\n") + 1, len(before[start:].decode(errors="replace")) + 1


def _merge(value: Any, pointer: Pointer) -> Any:
    """Return the value with every `<<` resolved: own keys win, then the first of a list."""
    if len(pointer) > DEPTH_LIMIT:
        raise BadMerge("too-deep", pointer[:DEPTH_LIMIT])
    if isinstance(value, list):
        return [_merge(item, (*pointer, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    own = {key: _merge(item, (*pointer, key)) for key, item in value.items() if key != "<<"}
    if "<<" not in value:
        return own
    given = _merge(value["<<"], (*pointer, "<<"))
    merged: dict[Any, Any] = {}
    for parent in reversed(given if isinstance(given, list) else [given]):
        if not isinstance(parent, dict):
            raise BadMerge("bad-merge", (*pointer, "<<"))
        merged |= parent
    return merged | own
