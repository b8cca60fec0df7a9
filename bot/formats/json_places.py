"""Where the values of a JSON text stand, so that some of them can be changed and not a byte besides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_DEEP = re.compile(r"(?:[\[{][^\[\]{}]*){100}")
"""A hundred brackets that are opened with none closed in between."""


@dataclass(frozen=True, slots=True)
class Member:
    """A key of an object: where it begins and ends, quotes included, and its value."""

    key: str
    start: int
    end: int
    value: Place


@dataclass(frozen=True, slots=True)
class Place:
    """A value from `start` up to `end`; `members` of an object, `items` of a list."""

    start: int
    end: int
    members: tuple[Member, ...] = ()
    items: tuple[Place, ...] = ()

    def member(self, key: str) -> Member | None:
        """The member of this name."""
        return next((each for each in self.members if each.key == key), None)


@dataclass(frozen=True, slots=True)
class Splice:
    """A change: what stands from `start` up to `end` is replaced by `text`."""

    start: int
    end: int
    text: str


def parsed(text: str) -> Any:
    """The document. Raises ValueError for what is no JSON, has a key twice or is nested too deep, and says where."""
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if _DEEP.search(text):  # places go deeper into the stack than the library, so they are the ones to find out
            places(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return document


def places(text: str) -> Place:
    """The places in a text that `parsed` has taken."""
    return _place(text, _skip(text, 0))


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """The text with these changes, which do not overlap; of two at one place the first stands before the second."""
    parts, at = [], 0
    for each in sorted(splices, key=lambda splice: splice.start):
        parts += [text[at : each.start], each.text]
        at = each.end
    return "".join([*parts, text[at:]])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {json.dumps(next(key for key in keys if keys.count(key) > 1))} stands there twice")
    return made


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _place(text: str, at: int) -> Place:
    match text[at]:
        case "{":
            return _members(text, at)
        case "[":
            return _items(text, at)
        case _:
            return Place(at, _DECODER.raw_decode(text, at)[1])


def _members(text: str, start: int) -> Place:
    members: list[Member] = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        value = _place(text, _skip(text, _skip(text, end) + 1))
        members.append(Member(key, at, end, value))
        at = _next(text, value.end)
    return Place(start, at + 1, members=tuple(members))


def _items(text: str, start: int) -> Place:
    items: list[Place] = []
    at = _skip(text, start + 1)
    while text[at] != "]":
        items.append(_place(text, at))
        at = _next(text, items[-1].end)
    return Place(start, at + 1, items=tuple(items))


def _next(text: str, end: int) -> int:
    """Where the next part begins, or the bracket that ends them all stands."""
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else at
