"""The heartbeat of a sticky text: told again in time, and never by a pass that could have kept quiet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.render import marker
from bot.render.comments import DASHBOARD, sticky

NOW = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def text(previous: str | None, now: datetime, every: timedelta | None = HOUR, body: str = "body\n") -> str | None:
    return sticky(body, {}, previous, now, b"key", DASHBOARD, every=every)


def first(every: timedelta | None = HOUR) -> str:
    found = text(None, NOW, every)
    assert found is not None
    return found


def test_it_says_by_when_its_silence_means_that_the_bot_has_stopped() -> None:
    assert (
        "<sub>Alive at 2026-01-02T03:00:00Z. If it is later than 2026-01-02T05:00:00Z by now, the bot has stopped. "
        "This content last changed at 2026-01-02T03:00:00Z.</sub>"
    ) in first()
    assert "Alive" not in first(None)


def test_it_is_told_again_once_the_interval_is_over_and_not_before() -> None:
    assert text(first(), NOW + timedelta(minutes=59)) is None
    again = text(first(), NOW + HOUR)
    assert again is not None
    assert "Alive at 2026-01-02T04:00:00Z" in again
    assert "This content last changed at 2026-01-02T03:00:00Z" in again
    assert text(again, NOW + 1.5 * HOUR) is None
    third = text(again, NOW + 2 * HOUR)
    assert third is not None
    assert "last changed at 2026-01-02T03:00:00Z" in third


def test_a_change_is_a_sign_of_life_too() -> None:
    changed = text(first(), NOW + HOUR / 2, body="news\n")
    assert changed is not None
    assert "last changed at 2026-01-02T03:30:00Z" in changed
    assert text(changed, NOW + 1.4 * HOUR, body="news\n") is None


@pytest.mark.parametrize("every", [None, 2 * HOUR])
def test_an_interval_that_holds_no_more_is_taken_out_at_once(every: timedelta | None) -> None:
    again = text(first(), NOW + HOUR / 6, every)
    assert again is not None
    assert ("Alive at" in again) is (every is not None)
    assert text(again, NOW + HOUR, every) is None


def test_it_begins_with_the_next_pass_where_it_was_off() -> None:
    assert text(first(None), NOW + HOUR / 6) is not None


@pytest.mark.parametrize(
    "broken", [{}, {"changed_at": 5, "since": None}, {"changed_at": "soon", "since": "2026-01-01T00:00:00"}]
)
def test_a_marker_without_readable_times_is_written_anew(broken: dict[str, object]) -> None:
    known = marker.read(first(), DASHBOARD, b"key")
    assert known is not None
    kept = {key: value for key, value in known.items() if key not in ("changed_at", "since")}
    again = text(marker.mark(DASHBOARD, {**kept, **broken}, b"key"), NOW + HOUR / 6)
    assert again is not None
    assert "Alive at 2026-01-02T03:10:00Z" in again
