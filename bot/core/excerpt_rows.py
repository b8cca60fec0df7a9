"""Rows of an excerpt: what goes into a marker in the order of its worth, as much of it as there is room for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.render.comments import Fits

EDITS = "edits"
"""The field of a merge request's edits; a list."""

EDITS_LEFT_OUT = "edits_left_out"
"""Whether some of them had no room."""

RAN = "ran"
"""The field of the newest runs of targets whose records had no room."""

TARGETS = ("state", "targets")
CHANNELS = ("state", "channels")
"""Where records of targets, and lists of publications, are in a marker's data."""

ORDERS = "orders"
_IN_A_LIST = 2  # the length of a path to a list of orders; those by name have their name beside

Row = tuple[tuple[str, ...], Any]
"""A value, and where it goes: under a name, or in front of a list."""


def order_rows(content: Mapping[str, Any]) -> Iterator[Row]:
    """The orders in a marker's content; of each kind the newest first."""
    for kind, entries in content.get(ORDERS, {}).items():
        if isinstance(entries, dict):
            yield from (((ORDERS, kind, name), entries[name]) for name in reversed(entries))
        else:
            yield from (((ORDERS, kind), each) for each in reversed(entries))


def filled(head: Mapping[str, Any], rows: Sequence[Row], fits: Fits) -> dict[str, Any]:
    """The fields of `head`, which always have room, with as many rows as fit, the first ones; and how many did not."""
    whole = _assembled(head, rows, len(rows))
    if fits(whole):
        return whole
    least, most = 0, len(rows)
    while least < most - 1:  # `least` fits, `most` does not
        middle = (least + most) // 2
        least, most = (middle, most) if fits(_assembled(head, rows, middle)) else (least, middle)
    return _assembled(head, rows, least)


def _assembled(head: Mapping[str, Any], rows: Sequence[Row], count: int) -> dict[str, Any]:
    found: dict[str, Any] = {key: dict(each) if isinstance(each, dict) else each for key, each in head.items()}
    for path, value in rows[:count]:
        place = found
        for name in path[:-1]:
            place = place.setdefault(name, {})
        if _in_list(path):
            place.setdefault(path[-1], []).insert(0, value)
        else:
            place[path[-1]] = value
        if path[:-1] == TARGETS:
            found.get(RAN, {}).pop(path[-1], None)
    rest = rows[count:]
    if rest:
        found["left_out"] = len(rest)
    if any(path == (EDITS,) for path, _ in rest):
        found[EDITS_LEFT_OUT] = True
    return found


def _in_list(path: tuple[str, ...]) -> bool:
    return path == (EDITS,) or path[:2] == CHANNELS or (path[0] == ORDERS and len(path) == _IN_A_LIST)
