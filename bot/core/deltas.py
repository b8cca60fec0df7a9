"""Deltas: what one decision changes in a statefile, apart from the rest, so that several writers share one document.

A delta names each entry that it touches with what it was before. It is applied to whatever the document is by then;
where an entry is not as it was any more, somebody else has decided about it meanwhile, and nothing is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from bot.model.state import State

GONE = object()
"""Stands for an entry that is not there."""

ALONE = frozenset({"version", "lineage", "serial", "time", "channels"})
"""Parts of the statefile that are not compared entry by entry."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry: the part of the statefile, its key there, and what it was and is; `GONE` where it is not there."""

    part: str
    key: Any
    old: Any
    new: Any


Delta = tuple[Change, ...]


def delta(before: State, after: State, keep: Callable[[Change], bool] = lambda _change: True) -> Delta:
    """What leads from one state to the other, of which `keep` takes only a part."""
    found = [*_channels(before, after)]
    for each in fields(State):
        if each.name not in ALONE:
            found += _changes(each.name, _entries(before, each.name), _entries(after, each.name))
    return tuple(change for change in found if keep(change))


def applied(state: State, changes: Delta, after: State) -> State | None:
    """The state with these changes at the time of `after`; None where one of the entries is not as it was."""
    entries = {part: _keyed(state, part) for part in {change.part for change in changes}}
    as_it_was = all(entries[change.part].get(change.key, GONE) == change.old for change in changes)
    return made(state, changes, after) if as_it_was else None


def made(state: State, changes: Delta, after: State) -> State:
    """The state with these changes at the time of `after`, whatever the entries were."""
    parts: dict[str, dict[Any, Any]] = {}
    for change in changes:
        if change.part not in parts:
            parts[change.part] = _keyed(state, change.part)
        entries = parts[change.part]
        if change.new is GONE:
            entries.pop(change.key, None)
        else:
            entries[change.key] = change.new
    changed = {part: _part(state, part, entries) for part, entries in parts.items()}
    times = [time for time in (state.time, after.time) if time is not None]
    return replace(state, **changed, time=max(times, default=None))


def _changes(part: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> list[Change]:
    if old == new:
        return []
    keys = dict.fromkeys((*old, *new))
    return [
        Change(part, key, old.get(key, GONE), new.get(key, GONE))
        for key in keys
        if old.get(key, GONE) != new.get(key, GONE)
    ]


def _keyed(state: State, part: str) -> dict[Any, Any]:
    return _published(state) if part == "channels" else _entries(state, part)


def _entries(state: State, part: str) -> dict[Any, Any]:
    """A part of the statefile by key; of a list or a set each element is its own key."""
    value = getattr(state, part)
    return dict(value) if isinstance(value, Mapping) else dict.fromkeys(value, True)


def _part(state: State, part: str, entries: dict[Any, Any]) -> Any:
    if part == "channels":
        return _joined(entries)
    value = getattr(state, part)
    return entries if isinstance(value, Mapping) else type(value)(entries)


def _published(state: State) -> dict[Any, Any]:
    """What each publisher has published on each channel, in order."""
    found: dict[Any, Any] = {}
    for channel, published in state.channels.items():
        for each in published:
            found[channel, each.target] = (*found.get((channel, each.target), ()), each)
    return found


def _joined(entries: Mapping[Any, Any]) -> dict[str, tuple[Any, ...]]:
    channels: dict[str, tuple[Any, ...]] = {}
    for (channel, _), published in entries.items():
        channels[channel] = (*channels.get(channel, ()), *published)
    return channels


def _channels(before: State, after: State) -> list[Change]:
    return [] if before.channels == after.channels else _changes("channels", _published(before), _published(after))
