"""Time as data: windows, freezes and backoff. Everything is answered for one `now`; nothing waits here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from bot.model.desired import Between, Freeze, Interval, Recurring, Target, Window
from bot.model.state import CommandFreeze
from bot.model.triggers import Schedule

BACKOFF_LIMIT = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def closes(window: Window, now: datetime) -> datetime | None:
    """When an open window closes; None if it is not open at `now`."""
    if isinstance(window, Interval):
        return window.end if window.start <= now < window.end else None
    if isinstance(window, Between):
        return _closes_between(window, now)
    opened = _last_fire(window, now)
    return opened + window.duration if opened is not None else None


def opens(window: Window, now: datetime) -> datetime | None:
    """When a window next opens after `now`; None if never again."""
    if isinstance(window, Interval):
        return window.start if window.start > now else None
    if isinstance(window, Between):
        return _next_fire(window.start, window.timezone, now)
    return _next_fire(window.cron, window.timezone, now)


def open_until(windows: Iterable[Window], now: datetime) -> datetime | None:
    """The latest end of those windows that are open at `now`, following one that takes over from another."""
    windows = tuple(windows)
    end: datetime | None = None
    moment = now
    for _ in range(len(windows) * 4):
        ends = [at for window in windows if (at := closes(window, moment)) is not None and at > moment]
        if not ends:
            break
        end = moment = max(ends)
    return end


def next_open(windows: Iterable[Window], now: datetime) -> datetime | None:
    """When the first of these windows opens after `now`."""
    return min((at for window in windows if (at := opens(window, now)) is not None), default=None)


def freezes_target(freeze: Freeze, target: Target) -> bool:
    """Whether a freeze has this target in scope: every list that is not empty must name it."""
    return (
        (not freeze.environments or target.namespace.environment in freeze.environments)
        and (not freeze.apps or target.app.name in freeze.apps)
        and (not freeze.targets or target.id in freeze.targets)
    )


def command_freezes_target(freeze: CommandFreeze, target: Target) -> bool:
    """Whether a freeze by command has this target in scope."""
    kind, _, name = freeze.scope.partition(":")
    return kind == "all" or name == {
        "environment": target.namespace.environment,
        "app": target.app.name,
        "target": target.id,
    }.get(kind)


def slot(schedule: Schedule, after: datetime, now: datetime) -> datetime | None:
    """The last moment of a schedule after one and up to another; the ones before it that were missed count as one."""
    last = _fire(schedule.cron, schedule.timezone, now + SECOND, reverse=True)
    return last if last is not None and after < last <= now else None


def next_slot(schedule: Schedule, now: datetime) -> datetime | None:
    """The next moment of a schedule; None where there is none any more."""
    return _fire(schedule.cron, schedule.timezone, now, reverse=False)


def backoff(attempt: int) -> timedelta:
    """How long to wait after failed attempt number `attempt` (from 1): a minute, doubling, at most an hour."""
    return min(timedelta(minutes=2 ** min(attempt - 1, 10)), BACKOFF_LIMIT)


def _last_fire(window: Recurring, now: datetime) -> datetime | None:
    """The last opening whose window still contains `now`."""
    last: datetime | None = None
    moment = now - window.duration
    while (fire := _next_fire(window.cron, window.timezone, moment)) is not None and fire <= now:
        last = moment = fire
    return last


def _closes_between(window: Between, now: datetime) -> datetime | None:
    """Open from a start to the next end; one that never ends is open for good, as far as anybody can tell."""
    soon = now.replace(second=0, microsecond=0) + MINUTE  # what matches this very minute has happened
    opened = _fire(window.start, window.timezone, soon, reverse=True)
    closed = _fire(window.end, window.timezone, soon, reverse=True)
    if opened is None or (closed is not None and opened <= closed):
        return None
    return _next_fire(window.end, window.timezone, now) or FOREVER


def _next_fire(cron: str, timezone: str, after: datetime) -> datetime | None:
    return _fire(cron, timezone, after, reverse=False)


@lru_cache(maxsize=4096)
def _fire(cron: str, timezone: str, moment: datetime, *, reverse: bool) -> datetime | None:
    """The next match after a moment, or the last one before it."""
    try:
        return next(CronSim(cron, moment.astimezone(ZoneInfo(timezone)), reverse)).astimezone(UTC)
    except (StopIteration, OverflowError):  # never again, or not before the end of the calendar
        return None
