"""Words for times, durations and shas, the same in every sentence, table and JSON document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY = 86400
"""Seconds."""


def utc(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def until(moment: datetime | None) -> str:
    """The end of a sentence about something that is held, where it is known until when."""
    return f" (until {utc(moment)})" if moment is not None else ""


def short(sha: str) -> str:
    """The first seven digits, as people read them."""
    return sha[:7]


def span(length: timedelta) -> str:
    """A duration as it is written in SaaS files, e.g. `24h` or `3d12h30m`; days count from two of them."""
    seconds = int(length.total_seconds())
    days = seconds // DAY if seconds >= 2 * DAY else 0
    rest = seconds - days * DAY
    parts = [(days, "d"), (rest // 3600, "h"), (rest % 3600 // 60, "m"), (rest % 60, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
