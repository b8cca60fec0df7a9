"""The statefile as bytes: one versioned JSON document; a newer, foreign or older one is refused in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from bot.core.migrations import migrated
from bot.errors import WrongUsage
from bot.model.state import VERSION, State

_LOOKS_LIKE_NO_ZONE = re.compile(rb'"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d+)?"')
"""What a time without a zone is written like; only where such a text stands, the whole document is gone through."""

REPLACED_KEPT = 20
"""Lineages of lost statefiles that a statefile remembers."""

ACCEPT = "put the right copy back; if this one is meant: `saasbot state repair --accept`"


@dataclass(frozen=True, slots=True)
class Seen:
    """A statefile that was seen before: its lineage and its serial at that time."""

    lineage: str
    serial: int


def encode(state: State) -> bytes:
    """The document of a state, with a final newline."""
    return msgspec.json.encode(state, order="deterministic") + b"\n"


def decode(data: bytes, where: str) -> State:
    """The state in a document; `where` names it in errors."""
    try:
        version = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("version", msgspec.Raw(b"null"))
        if msgspec.json.decode(version) != VERSION:  # parsed once more as a plain document, which few files ever are
            data = msgspec.json.encode(migrated(msgspec.json.decode(data), where))
        state = msgspec.json.decode(data, type=State)
    except msgspec.ValidationError as error:
        raise WrongUsage(
            f"{where}: this is not a statefile of saasbot: {error}",
            hint="`saasbot state repair` keeps what can be read",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(
            f"{where}: this is cut off or no JSON at all: {error}",
            hint="put the last good copy in its place, or start afresh: remove it and `reconcile --bootstrap adopt`",
        ) from error
    if not state.lineage or (_LOOKS_LIKE_NO_ZONE.search(data) and without_zone(state)):
        what = "a time in it has no time zone" if state.lineage else "it has no lineage"
        raise WrongUsage(
            f"{where}: this is not a statefile of saasbot: {what}", hint="put the last good copy in its place"
        )
    return state


def without_zone(value: Any) -> bool:
    """Whether some time in it could be compared with none of ours."""
    if isinstance(value, datetime):
        return value.tzinfo is None
    if isinstance(value, str | int | None):
        return False
    if isinstance(value, Mapping):
        return any(map(without_zone, value.values()))
    if isinstance(value, tuple | frozenset):
        return any(map(without_zone, value))
    return is_dataclass(value) and any(without_zone(getattr(value, field.name)) for field in fields(value))


def next_serial(state: State) -> State:
    """The state as its next write."""
    return replace(state, serial=state.serial + 1)


def contradiction(state: State, seen: Seen) -> str:
    """Why a statefile cannot be what became of one that was seen before, up to who saw it; empty where it can."""
    if seen.lineage == state.lineage:
        if seen.serial <= state.serial:
            return ""
        return f"the statefile is an older copy: its serial is {state.serial}, and {seen.serial} was seen"
    if seen.lineage in state.replaced:
        return ""
    return f"this is another statefile: its lineage is {state.lineage}, and {seen.lineage} was seen"


def write_seen(seen: Seen) -> bytes:
    """A sighting as it is kept in a cache."""
    return msgspec.json.encode(seen)


def read_seen(data: bytes | None) -> Seen | None:
    """The sighting in a cache; None where there is none that can be read."""
    try:
        return msgspec.json.decode(data, type=Seen) if data is not None else None
    except msgspec.DecodeError:
        return None


def accepted(state: State, seen: Iterable[Seen]) -> State:
    """The state that contradicts none of these any more: a higher serial, and other lineages as replaced by it."""
    seen = tuple(seen)
    serial = max((each.serial for each in seen if each.lineage == state.lineage), default=0)
    others = (each.lineage for each in seen if each.lineage != state.lineage)
    replaced = tuple(dict.fromkeys((*state.replaced, *others)))[-REPLACED_KEPT:]
    return replace(state, serial=max(serial, state.serial), replaced=replaced)
