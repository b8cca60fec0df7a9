"""Windows, freezes and pauses: answered for one `now`, and the same as a look at every single minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from core_values import HOUR, NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.schedule import backoff, closes, next_open, open_until, opens
from bot.model.desired import Between, Interval, Recurring, Window

MINUTE = timedelta(minutes=1)


def fires(cron: str, zone: str, moment: datetime) -> bool:
    """Whether a simple cron expression (minute, hour, weekday) matches this minute."""
    minute, hour, _, _, weekday = cron.split()
    local = moment.astimezone(ZoneInfo(zone))
    return (
        local.minute == int(minute)
        and hour in ("*", str(local.hour))
        and (weekday == "*" or local.isoweekday() % 7 == int(weekday))
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 59),
    st.one_of(st.just("*"), st.integers(4, 23)),
    st.one_of(st.just("*"), st.integers(0, 6)),
    st.integers(1, 30),
    st.sampled_from(["UTC", "Europe/Prague", "Asia/Kolkata"]),
    st.integers(0, 24 * 60),
)
def test_a_recurring_window_agrees_with_a_look_at_every_minute(
    minute: int, hour: object, weekday: object, hours: int, zone: str, offset: int
) -> None:
    window = Recurring(f"{minute} {hour} * * {weekday}", timedelta(hours=hours), zone)
    now = NOW + offset * MINUTE
    past = [now - back * MINUTE for back in range(hours * 60)]
    opened = next((moment for moment in past if fires(window.cron, zone, moment)), None)
    assert closes(window, now) == (opened + window.duration if opened else None)
    coming = (now + ahead * MINUTE for ahead in range(1, 8 * 24 * 60 + 1))
    assert opens(window, now) == next(moment for moment in coming if fires(window.cron, zone, moment))


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(0, 59), st.integers(4, 23), st.one_of(st.just("*"), st.integers(0, 6))),
    st.tuples(st.integers(0, 59), st.integers(4, 23), st.one_of(st.just("*"), st.integers(0, 6))),
    st.sampled_from(["UTC", "Europe/Prague", "Asia/Kolkata"]),
    st.integers(0, 24 * 60 * 60),
)
def test_a_window_between_two_crons_agrees_with_a_look_at_every_minute(
    start: tuple[int, int, object], end: tuple[int, int, object], zone: str, offset: int
) -> None:
    crons = [f"{minute} {hour} * * {weekday}" for minute, hour, weekday in (start, end)]
    window = Between(crons[0], crons[1], zone)
    now = NOW + timedelta(seconds=offset)
    minute = now.replace(second=0)
    is_open = False
    for back in range(8 * 24 * 60, -1, -1):
        moment = minute - back * MINUTE
        is_open = not fires(window.end, zone, moment) and (is_open or fires(window.start, zone, moment))
    ahead = (minute + step * MINUTE for step in range(1, 8 * 24 * 60 + 1))
    assert closes(window, now) == (
        next(moment for moment in ahead if fires(window.end, zone, moment)) if is_open else None
    )


def test_a_window_that_never_ends_stays_open_and_one_that_never_starts_shut() -> None:
    leap, daily = "0 0 29 2 *", "0 0 * * *"
    late, early = NOW.replace(year=9997), NOW.replace(year=2)
    forever = closes(Between(daily, leap), late)
    assert forever is not None
    assert forever.year == 9999
    assert open_until([Between(daily, leap)], late) == forever
    assert closes(Between(leap, daily), early) is None
    assert opens(Between(daily, leap), late) == late.replace(hour=0) + timedelta(days=1)


def test_an_interval_is_open_from_its_start_to_just_before_its_end() -> None:
    window = Interval(NOW, NOW + HOUR)
    assert closes(window, NOW) == NOW + HOUR
    assert closes(window, NOW + HOUR) is None
    assert closes(window, NOW - MINUTE) is None
    assert opens(window, NOW - MINUTE) == NOW
    assert opens(window, NOW) is None


def test_a_window_of_local_time_follows_the_clocks_of_its_place() -> None:
    window = Recurring("0 9 * * *", HOUR, "Europe/Prague")
    winter, summer = datetime(2026, 3, 28, 0, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC)
    assert opens(window, winter) == datetime(2026, 3, 28, 8, tzinfo=UTC)
    assert opens(window, summer) == datetime(2026, 3, 29, 7, tzinfo=UTC)


def test_a_window_that_takes_over_keeps_it_open() -> None:
    windows = (Interval(NOW - HOUR, NOW + HOUR), Interval(NOW + HOUR, NOW + 3 * HOUR), Interval(NOW + 9 * HOUR, NOW))
    assert open_until(windows, NOW) == NOW + 3 * HOUR
    assert open_until((), NOW) is None
    assert open_until(windows, NOW + 3 * HOUR) is None


def test_the_first_of_the_coming_windows_counts() -> None:
    windows: tuple[Window, ...] = (Interval(NOW + 3 * HOUR, NOW + 4 * HOUR), Recurring("0 13 * * *", HOUR))
    assert next_open(windows, NOW) == NOW + HOUR
    assert next_open((Interval(NOW - HOUR, NOW),), NOW) is None


@pytest.mark.parametrize(("attempt", "minutes"), [(1, 1), (2, 2), (6, 32), (7, 60), (1000, 60)])
def test_the_pause_doubles_up_to_an_hour(attempt: int, minutes: int) -> None:
    assert backoff(attempt) == timedelta(minutes=minutes)


def test_nothing_opens_after_the_end_of_the_calendar() -> None:
    last = datetime(9999, 12, 31, 23, 30, tzinfo=UTC)
    assert opens(Recurring("0 0 1 1 *", timedelta(hours=1)), last) is None
