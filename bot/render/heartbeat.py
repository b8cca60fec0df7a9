"""The heartbeat of a sticky text: it says by when it would have been told again, so that silence can be seen.

A text cannot know how late it is when it is read; a moment that has passed, its reader can see.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.render.words import utc

GRACE = 2
"""So many intervals without a word mean that the bot has stopped: the last edit, the interval, the next pass."""


def is_due(known: Mapping[str, Any], now: datetime, every: timedelta | None) -> bool:
    """Whether a text with the marker `known` is to be told again only for this.

    That is so once the interval is over, and where the text speaks of an interval that the settings do not have.
    """
    if every is None:
        return "heartbeat" in known
    return known.get("heartbeat") != every.total_seconds() or now - _at(known, "changed_at", now - every) >= every


def fields(known: Mapping[str, Any] | None, now: datetime, every: timedelta | None, *, changed: bool) -> dict[str, Any]:
    """What the marker says of it, beside `changed_at`: the interval, and since when the content is what it is."""
    if every is None:
        return {}
    since = now if changed or known is None else _since(known, now)
    return {"heartbeat": every.total_seconds(), "since": utc(since)}


def sentence(known: Mapping[str, Any] | None, now: datetime, every: timedelta | None, *, changed: bool) -> str:
    """When the content last changed, and with a heartbeat until when the bot may be silent."""
    since = now if changed or known is None else _since(known, now)
    alive = ""
    if every is not None:
        alive = f"Alive at {utc(now)}. If it is later than {utc(now + GRACE * every)} by now, the bot has stopped. "
    return f"{alive}This content last changed at {utc(since)}."


def _since(known: Mapping[str, Any], now: datetime) -> datetime:
    return _at(known, "since", _at(known, "changed_at", now))


def _at(known: Mapping[str, Any], name: str, default: datetime) -> datetime:
    """A moment in a marker; one that cannot be read is as good as none."""
    try:
        found = datetime.fromisoformat(known.get(name, ""))
    except (TypeError, ValueError):
        return default
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
