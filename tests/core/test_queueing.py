"""What becomes of a subject in the queue after a look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.core import queueing
from bot.core.queueing import abandoned, fault, pause, settled
from bot.model.work import Again, Attention, Done, Ending, Failed, QueueItem, Wait

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ITEM = QueueItem("target:a/b/c", NOW - timedelta(minutes=1), taken=True, attempts=2, agains=1, text="before")
MINUTE = timedelta(minutes=1)


def waits(after: timedelta, *, attempts: int = 0, agains: int = 0, text: str = "why") -> QueueItem:
    return QueueItem(ITEM.subject, NOW + after, attempts=attempts, agains=agains, text=text)


@pytest.mark.parametrize(
    ("ending", "after"),
    [
        (Done("why"), None),
        (Attention("why"), None),
        (Wait("why"), waits(20 * MINUTE)),
        (Wait("why", MINUTE), waits(MINUTE)),
        (Wait("why", timedelta(0)), waits(timedelta(0), agains=2)),
        (Again("why"), waits(timedelta(0), agains=2)),
        (Failed("why"), waits(60 * MINUTE, attempts=3)),
    ],
)
def test_how_it_goes_on(ending: Ending, after: QueueItem | None) -> None:
    assert settled(ITEM, ending, NOW) == after


@pytest.mark.parametrize(
    ("ending", "at", "attempts"),
    [
        (Done("why"), NOW - MINUTE, 0),
        (Attention("why"), NOW - MINUTE, 0),
        (Wait("why"), NOW - MINUTE, 0),
        (Again("why"), NOW - MINUTE, 0),
        (Failed("why"), NOW - MINUTE, 3),
    ],
)
def test_what_was_asked_for_meanwhile_is_not_forgotten(ending: Ending, at: datetime, attempts: int) -> None:
    after = settled(ITEM, ending, NOW, asked=NOW - MINUTE)
    assert after is not None
    assert (after.at, after.attempts, after.text, after.taken) == (at, attempts, "why", False)


def test_what_was_asked_for_later_than_it_is_due_changes_nothing() -> None:
    assert settled(ITEM, Wait("why", MINUTE), NOW, asked=NOW + 5 * MINUTE) == waits(MINUTE)


def test_looks_at_once_are_bounded() -> None:
    item, seen = QueueItem("dashboard", NOW), 0
    while item.at == NOW:
        after = settled(item, Again("why"), NOW)
        assert after is not None
        item, seen = after, seen + 1
    assert (seen, item.at - NOW, item.agains) == (queueing.MOST_AGAINS + 1, queueing.TOO_OFTEN, 0)
    assert item.text == "after 6 looks in a row: why"


def test_failures_rest_longer_and_longer_until_a_person_is_asked() -> None:
    rests = [pause(attempts) for attempts in range(1, 8)]
    assert rests == [15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 120 * MINUTE, timedelta(0), 240 * MINUTE, 240 * MINUTE]
    assert pause(10**9) == 240 * MINUTE


def test_a_look_whose_processor_died_counts_as_failed() -> None:
    after = abandoned(ITEM)
    assert (after.at, after.attempts, after.taken, after.text) == (
        ITEM.at,
        3,
        False,
        "its processor ended in the middle",
    )


@pytest.mark.parametrize(
    "subject", ["target:a/b/c", "merge-request:x", "merge-request:!7", "trigger:t", "dashboard", "collect"]
)
def test_subjects(subject: str) -> None:
    assert fault(subject) == ""


@pytest.mark.parametrize("subject", ["", "target:", "process_issue:RHEL-1", "job:t/j", "collect:x", "no"])
def test_no_subjects(subject: str) -> None:
    assert fault(subject) == "no such kind of subject is known to this release"


@pytest.mark.parametrize("subject", ["target:a\nb", "target:\x1b[31m", "trigger:\udc80"])
def test_names_that_cannot_be_shown(subject: str) -> None:
    assert fault(subject) == "its name has characters that cannot be shown"
