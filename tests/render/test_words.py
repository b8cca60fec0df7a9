"""Words for times, durations and shas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.render.words import short, span, utc


def test_times_are_utc_with_a_z() -> None:
    assert utc(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)) == "2026-01-02T03:04:05Z"
    assert utc(datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T22:00:00Z"


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (timedelta(), "0s"),
        (timedelta(microseconds=1), "0s"),
        (timedelta(hours=24), "24h"),
        (timedelta(hours=36, minutes=5, seconds=1), "36h5m1s"),
        (timedelta(days=3, hours=12, minutes=30), "3d12h30m"),
    ],
)
def test_durations_are_written_as_in_saas_files(length: timedelta, written: str) -> None:
    assert span(length) == written


def test_a_sha_is_shown_by_seven_digits() -> None:
    assert short("8f14e45fceea167a5a36dedd4bea2543ce3dc40d") == "8f14e45"
