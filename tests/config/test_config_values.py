"""Durations, cron expressions, time zones, moments and windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.schema import is_plain, shown
from bot.config.values import duration, is_timezone, moment, window
from bot.formats.cron import cron_fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", timedelta(hours=24)),
        ("30m", timedelta(minutes=30)),
        ("1d12h", timedelta(hours=36)),
        ("60s", timedelta(minutes=1)),
        ("0s", timedelta()),
        ("", None),
        ("24", None),
        ("-1h", None),
        ("1.5h", None),
        ("1h ", None),
        ("10001d", None),
        ("1s" * 13, None),
        ("٣h", None),
    ],
)
def test_durations(text: str, expected: timedelta | None) -> None:
    assert duration(text) == expected


@given(st.integers(0, 9999), st.integers(0, 999_999), st.integers(0, 999))
def test_a_duration_is_the_sum_of_its_parts(days: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, minutes=minutes, seconds=seconds)
    assert duration(f"{days}d{minutes}m{seconds}s") == (expected if expected <= timedelta(days=10_000) else None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0 9 * * 1-4", ""),
        ("*/5 * * * *", ""),
        ("0 0 29 2 *", ""),
        ("0 0 30 2 *", "unreachable-window"),
        ("0 0 31 2,4 *", "unreachable-window"),
        ("0 0 32 * *", "bad-cron"),
        ("0 0 30 2 9", "bad-cron"),
        ("@daily", "bad-cron"),
        ("", "bad-cron"),
        ("0 0 0 * * *", "bad-cron"),
        ("x * * * *", "bad-cron"),
        ("*/" + "9" * 5000 + " * * * *", "bad-cron"),
    ],
)
def test_cron_expressions(text: str, rule: str) -> None:
    fault = cron_fault(text)
    assert (fault[0] if fault else "") == rule


@given(st.text(alphabet="0123456789*/-,# LMONTUE", max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_cron_expression_gets_an_answer(text: str) -> None:
    fault = cron_fault(text, (5, 6))
    assert fault is None or fault[0] in {"bad-cron", "unreachable-window"}


@pytest.mark.parametrize(
    ("name", "known"), [("UTC", True), ("Europe/Prague", True), ("Europe", False), ("../UTC", False), ("X\0", False)]
)
def test_time_zones(name: str, known: bool) -> None:
    assert is_timezone(name) is known


def test_moments_are_in_utc() -> None:
    assert moment("2026-12-23T13:00:00+01:00") == datetime(2026, 12, 23, 12, tzinfo=UTC)
    assert moment("2026-12-23T13:00:00") is None
    assert moment("2026-12-23") is None
    assert moment("0001-01-01T00:00:00+23:00") is None


def test_a_window_with_an_unreadable_part_is_none() -> None:
    assert window({"from": "x", "to": "y"}) is None
    assert window({"cron": "0 0 * * *", "duration": "x"}) is None


def test_values_in_words() -> None:
    values: list[object] = [{}, [], None, "a" * 99, True, {1}, 5]
    words = ["a mapping", "a list", "nothing", f'"{"a" * 80}"', "true", "a set", "the number 5"]
    assert [shown(value) for value in values] == words
    assert [is_plain(value) for value in (1, 2**63, 1.5, float("nan"), None, "x", {1})] == [
        True,
        False,
        True,
        False,
        True,
        True,
        False,
    ]
