"""Upkeep: what people do to the statefile by hand, as pure functions from state to state.

A subject is `target:ID`, `merge-request:BRANCH`, `channel:NAME` or `trigger:NAME`; `attention:SUBJECT` is what the work
queue leaves to a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import msgspec

from bot.core.migrations import Document, migrated
from bot.core.renames import renamed
from bot.core.statefile import without_zone
from bot.errors import WrongUsage
from bot.model.state import VERSION, State, TargetState

UNREADABLE = (msgspec.DecodeError, ValueError)
"""What a damaged part of a statefile raises; bad UTF-8 is a ValueError."""

PLACES = {
    "target": "targets",
    "merge-request": "merge_requests",
    "channel": "channels",
    "trigger": "triggers",
    "attention": "attention",
}


def subjects(state: State) -> tuple[str, ...]:
    """Every subject on record, sorted within its kind."""
    return tuple(f"{kind}:{name}" for kind, place in PLACES.items() for name in sorted(getattr(state, place)))


def find(state: State, subject: str) -> Any:
    """The record of a subject. Raises WrongUsage if there is none."""
    place, name = _place(subject)
    entries: Mapping[str, Any] = getattr(state, place)
    if name not in entries:
        raise WrongUsage(f"the statefile has no {subject}", hint="`saasbot state list` lists what it has")
    return entries[name]


def remove(state: State, subject: str) -> State:
    """The state without a subject; the next pass sees it as new."""
    find(state, subject)
    place, name = _place(subject)
    entries = {key: value for key, value in getattr(state, place).items() if key != name}
    changes: dict[str, Any] = {place: entries}
    return replace(state, **changes)


def move(state: State, old: str, new: str) -> State:
    """The state with a target's record under another id, its publications included; nothing starts by that."""
    record = find(state, old)
    place, name = _place(new)
    if place != "targets" or _place(old)[0] != "targets":
        raise WrongUsage(
            f"only targets can be moved, not {old} to {new}", hint="saasbot state mv target:OLD target:NEW"
        )
    if name in state.targets:
        raise WrongUsage(f"the statefile has {new} already", hint=f"`saasbot state rm {new}` first, if that is meant")
    return renamed(state, record.id, name)


def _place(subject: str) -> tuple[str, str]:
    kind, _, name = subject.partition(":")
    if kind not in PLACES or not name:
        raise WrongUsage(f"{subject!r} is not a subject", hint=f"write KIND:NAME; kinds: {', '.join(PLACES)}")
    return PLACES[kind], name


def salvage(data: bytes) -> tuple[State, tuple[str, ...]]:
    """All of a damaged statefile that can be read, and one sentence for each thing that was given up.

    One of an older version is migrated first. Raises WrongUsage where it is not a JSON object of a known version at
    all: then nothing can be told from it.
    """
    try:
        raw = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        version = msgspec.json.decode(raw.get("version", msgspec.Raw(b"null")))
    except msgspec.DecodeError as error:
        raise WrongUsage(
            f"this is not a JSON object: {error}", hint="take the last good copy of the statefile"
        ) from error
    lost: list[str] = []
    if version != VERSION:
        raw = _migrated(raw, lost)
    values: dict[str, Any] = {}
    for field in fields(State):
        if field.name in raw:
            values |= _field(field.name, raw[field.name], lost)
    if not values.get("lineage") or "targets" not in values:
        raise WrongUsage(
            "its lineage or all of its targets are lost: a new statefile would start everything",
            hint="take the last good copy, or remove it and `reconcile --bootstrap adopt`",
        )
    return replace(State(), **values), tuple(lost)


def _migrated(raw: Mapping[str, msgspec.Raw], lost: list[str]) -> dict[str, msgspec.Raw]:
    """The fields of an older document in this version; what no program can read is given up before."""
    document: Document = {}
    for name, value in raw.items():
        try:
            document[name] = msgspec.json.decode(value)
        except UNREADABLE as error:
            lost.append(f"{name}: {error}")
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in migrated(document).items()}


def _field(name: str, raw: msgspec.Raw, lost: list[str]) -> dict[str, Any]:
    """One field whole, else entry by entry."""
    try:
        return {name: _sound(_decode({name: raw}), name)}
    except UNREADABLE as error:
        cause = str(error)
    try:
        entries = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        lost.append(f"{name}: {cause}")
        return {}
    kept: dict[str, Any] = {}
    for key, value in entries.items():
        try:
            kept |= _sound(_decode({name: msgspec.Raw(msgspec.json.encode({key: value}))}), name)
        except UNREADABLE as error:
            lost.append(f"{name}: {key}: {error}")
            if name == "targets":  # adopted anew by the next pass; without a record it would start
                kept[key] = TargetState(key, "", "", "", "", "", adopted=True)
    return {name: kept}


def _sound(part: State, name: str) -> Any:
    if without_zone(part):
        raise ValueError("a time without a time zone")
    return getattr(part, name)


def _decode(document: Mapping[str, msgspec.Raw]) -> State:
    return msgspec.json.decode(msgspec.json.encode(document), type=State)
