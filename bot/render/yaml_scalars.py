"""Where scalars stand in a YAML text, and how a string is written in a given quote style.

PyYAML's C events give the positions (character indexes); ruamel.yaml's events take over for a text that PyYAML does not
read or reads differently. The walk keeps a stack of its own, so that no nesting can exhaust the interpreter's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml_rs
from yaml import YAMLError
from yaml._yaml import CParser
from yaml.resolver import Resolver

Pointer = tuple[str | int, ...]
"""Keys and indexes from the root, e.g. `("resourceTemplates", 0, "targets", 1, "ref")`."""

DEEPEST = 400
"""Columns of indentation and compact `- ` or `? ` that a line may start with; far above anything a person writes.

yaml-rs 0.1.6 overflows the stack of the process at about 10,000 levels of `- - - -`.
"""

_DEEP = re.compile(rf"^[ ?:-]{{{DEEPEST}}}", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*")
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+[ \t]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_COMPLEX = "\0"  # stands for a key that is no scalar; no text that gets here has a NUL
_OPEN, _CLOSE, _SCALAR, _ALIAS = 1, 2, 3, 4
_KINDS = {
    "MappingStartEvent": _OPEN,
    "SequenceStartEvent": _OPEN,
    "MappingEndEvent": _CLOSE,
    "SequenceEndEvent": _CLOSE,
    "ScalarEvent": _SCALAR,
    "AliasEvent": _ALIAS,
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as it stands in the text: `text[start:end]` is its source without anchor, `value` what it says.

    `style` is empty (plain), `'` or `"`. Lines are not kept: a scalar that spans several is refused.
    """

    start: int
    end: int
    value: str
    style: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a scalar must not be spliced, in words that complete "not edited: ..."."""

    reason: str


@dataclass(slots=True)
class _Frame:
    """An open mapping or sequence on the way to something wanted."""

    path: Pointer
    mapping: bool
    key: str | int | None = None


@dataclass(slots=True)
class _Walk:
    """One walk over the events of a text."""

    wanted: frozenset[Pointer]
    prefixes: frozenset[Pointer]
    frames: list[_Frame] = field(default_factory=list)
    skipped: int = 0
    found: dict[Pointer, Any] = field(default_factory=dict)
    aliases: set[str] = field(default_factory=set)
    aliased: set[Pointer] = field(default_factory=set)
    anchored: bool = False

    def over(self, events: Iterable[Any]) -> None:
        """Take in events until everything wanted is found; an anchor among it makes the rest matter too."""
        for event in events:
            kind = _KINDS.get(type(event).__name__)
            if kind == _SCALAR:
                if not self.skipped:
                    self._scalar(event)
                    if len(self.found) == len(self.wanted) and not self.anchored:
                        return
            elif kind == _OPEN:
                self._open(event)
            elif kind == _CLOSE:
                self._close()
            elif kind == _ALIAS:
                self._alias(event)

    def _place(self) -> Pointer | None:
        """Return the pointer of the node that comes now, or None for a key."""
        if not self.frames:
            return ()
        frame = self.frames[-1]
        return None if frame.key is None else (*frame.path, frame.key)

    def _advance(self) -> None:
        """Move on: the node at `_place` is complete."""
        if self.frames:
            frame = self.frames[-1]
            frame.key = frame.key + 1 if isinstance(frame.key, int) else None

    def _open(self, event: Any) -> None:
        place = None if self.skipped else self._place()
        if place is None or place not in self.prefixes:
            self.skipped += 1
            return
        mapping = type(event).__name__ == "MappingStartEvent"
        self.frames.append(_Frame(place, mapping, None if mapping else 0))

    def _close(self) -> None:
        if self.skipped:
            self.skipped -= 1
            if self.skipped:
                return
        else:
            self.frames.pop()
        self._complete(_COMPLEX)

    def _complete(self, key: str) -> None:
        """Take note that a node ended: as a key it opens a value, as a value it makes room for the next."""
        frame = self.frames[-1] if self.frames else None
        if frame is not None and frame.mapping and frame.key is None:
            frame.key = key
        else:
            self._advance()

    def _alias(self, event: Any) -> None:
        self.aliases.add(event.anchor)
        if self.skipped:
            return
        place = self._place()
        if place is not None and (place in self.wanted or place in self.prefixes):
            self.aliased.add(place)
        self._complete(_COMPLEX)

    def _scalar(self, event: Any) -> None:
        place = self._place()
        if place is not None and place in self.wanted:
            self.found[place] = event
            self.anchored = self.anchored or event.anchor is not None
        self._complete(event.value)


def too_deep(text: str) -> bool:
    """Whether the text nests so deeply that a parser could overflow the stack; ask before any parser sees it."""
    return _DEEP.search(text) is not None


def locate(text: str, wanted: Iterable[Pointer]) -> Mapping[Pointer, Scalar | Refusal]:
    """Find scalars; a pointer that leads nowhere is missing from the answer. No BOM, no NUL, not `too_deep`."""
    pointers = frozenset(wanted)
    for events in (_pyyaml_events, _ruamel_events):
        try:
            return _located(text, pointers, events(text))
        except (YAMLError, _MarksDoNotServe):
            continue
    return dict.fromkeys(pointers, Refusal("its position in the file cannot be found with certainty"))


class _MarksDoNotServe(Exception):
    """The marks of a parser do not enclose the scalar that it reports."""


def _located(text: str, wanted: frozenset[Pointer], events: Iterable[Any]) -> dict[Pointer, Scalar | Refusal]:
    walk = _Walk(wanted, frozenset(pointer[:length] for pointer in wanted for length in range(len(pointer))))
    walk.over(events)
    answer: dict[Pointer, Scalar | Refusal] = {
        pointer: _scalar(text, event, walk.aliases) for pointer, event in walk.found.items()
    }
    for pointer in wanted - answer.keys():
        if any(pointer[:length] in walk.aliased for length in range(len(pointer) + 1)):
            answer[pointer] = Refusal("its value comes from an alias")
    return answer


def _scalar(text: str, event: Any, aliases: set[str]) -> Scalar | Refusal:
    """Turn an event into a scalar that may be spliced, or say why it may not."""
    start, end, style = event.start_mark.index, event.end_mark.index, event.style or ""
    if event.tag is not None:
        return Refusal("the value has a tag")
    if event.anchor in aliases:
        return Refusal(f"the value has the anchor `&{event.anchor}`, which is used elsewhere")
    if style in ("|", ">"):
        return Refusal("the value is a block scalar")
    if event.anchor is not None:
        anchor = _ANCHOR.match(text, start, end)
        if anchor is None:
            return Refusal("the value stands apart from its anchor")
        start = anchor.end()
    source = text[start:end]
    if "\n" in source or "\r" in source:
        return Refusal("the value spans several lines")
    if not source:
        return Refusal("the value is empty")
    if not _encloses(source, style, event.value):
        raise _MarksDoNotServe
    return Scalar(start, end, event.value, style)


def _encloses(source: str, style: str, value: str) -> bool:
    """Whether the marks enclose exactly this scalar."""
    if not style:
        return source == value
    return len(source) > 1 and source[0] == style and source[-1] == style


def _pyyaml_events(text: str) -> Iterator[Any]:
    return iter(CParser(text).get_event, None)


def _ruamel_events(text: str) -> Iterator[Any]:
    # Imported only here: 24 ms, and nearly every file is served by PyYAML.
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError as RuamelError  # noqa: PLC0415

    try:
        yield from YAML(typ="rt", pure=True).parse(text)
    except RuamelError as error:
        raise YAMLError(str(error)) from error


def written(value: str, style: str) -> str:
    """Write a string in a style (empty, `'` or `"`); quoted where the plain text would not read back as this string."""
    if style == '"' or not value.isprintable():
        return '"' + "".join(_escaped(char) for char in value) + '"'
    if style == "'" or not reads_back(value):
        return "'" + value.replace("'", "''") + "'"
    return value


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\U{ord(char):08x}"


@lru_cache(maxsize=4096)
def reads_back(value: str) -> bool:
    """Whether a plain scalar reads back as this very string for readers of YAML 1.2 and of YAML 1.1.

    About 2 % of seven-digit shas are numbers (`0123456`, `12e3456`), and a 40-digit one can be infinity.
    """
    if _PLAIN.fullmatch(value) is None or value in ("---", "..."):
        return False
    resolvers = [*Resolver.yaml_implicit_resolvers.get(value[0], ()), *Resolver.yaml_implicit_resolvers.get(None, ())]
    if any(pattern.match(value) for _, pattern in resolvers):
        return False
    document: Any = yaml_rs.loads(f"v: {value}", parse_datetime=False)
    return bool(document == {"v": value})
