"""The small languages inside the documents: durations, time zones, moments and windows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from bot.model.desired import Interval, Recurring, Window

_DURATION = re.compile(r"(?:[0-9]+[dhms])+")
_PART = re.compile(r"([0-9]+)([dhms])")
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
LONGEST = 10_000 * 86_400
"""The longest duration, in seconds: far from what `timedelta` and `datetime` refuse."""


@lru_cache(maxsize=4096)
def duration(text: str) -> timedelta | None:
    """Return the length of `24h`, `30m`, `1d12h` or `60s`; None for anything else."""
    if len(text) > 24 or not _DURATION.fullmatch(text):  # noqa: PLR2004 - the schema's maxLength
        return None
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return timedelta(seconds=seconds) if seconds <= LONGEST else None


@lru_cache(maxsize=1024)
def is_timezone(name: str) -> bool:
    """Whether the IANA database has a time zone of this name."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - only repositories with windows need it

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=1024)
def moment(text: str) -> datetime | None:
    """Return an RFC 3339 time in UTC; None for anything else."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo and "T" in text.upper() else None
    except (ValueError, OverflowError):
        return None


def window(value: Mapping[str, Any]) -> Window | None:
    """Return a window as a model value; None where a part cannot be read."""
    if "from" in value:
        start, end = moment(value["from"]), moment(value["to"])
        return Interval(start, end) if start and end else None
    length = duration(value["duration"])
    return Recurring(value["cron"], length, value.get("timezone", "UTC")) if length is not None else None
