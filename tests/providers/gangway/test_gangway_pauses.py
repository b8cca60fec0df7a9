"""After a 429 to a poll, polls come further and further apart, and starts do not wait for them (GW-11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from worlds.gangway_front import World
from worlds.gangway_runs import JOB, Clock, followed, intent, job, provider

from bot.errors import ServerUnreachable
from bot.model.runs import RunStatus
from bot.providers.gangway_pauses import LONGEST, POLL, Pauses
from bot.providers.pipelines.gangway import GangwayPipelines

AT = datetime(2026, 1, 1, tzinfo=UTC)


def pause_of(made: GangwayPipelines, handle: str, most: int = 20) -> ServerUnreachable:
    """The error of the first poll that is not answered."""
    for _ in range(most):
        try:
            made.status(job(), followed(handle))
        except ServerUnreachable as error:
            return error
    raise AssertionError(f"{most} polls were answered")


def test_gw_11_each_429_to_a_poll_doubles_the_time_to_the_next_up_to_five_minutes(gangway: World) -> None:
    clock = Clock()
    made = provider(gangway.url("limited2"), clock=clock)
    known = gangway.prow.add(JOB)
    seen = []
    for _ in range(6):
        error = pause_of(made, known.id)
        assert "429 Rate limit exceeded" in error.message
        assert error.again is not None
        seen.append(round(error.again.total_seconds(), -1))
        quiet = pause_of(made, known.id, 1)
        assert "was asked too often: how its runs stand is asked again in" in quiet.message
        assert quiet.again is not None
        assert quiet.again <= error.again
        clock.shift += error.again
    assert seen == [20, 40, 80, 160, 300, 300]


def test_gw_11_while_polls_pause_a_lost_start_is_not_looked_for_either(gangway: World) -> None:
    clock = Clock()
    made = provider(gangway.url("limited2"), clock=clock)
    pause_of(made, gangway.prow.add(JOB).id)
    with pytest.raises(ServerUnreachable, match="was asked too often"):
        made.find(job(), intent())


def refuses(asked: float = 0.0) -> str:
    raise ServerUnreachable("429", again=timedelta(seconds=asked))


def test_gw_11_an_answer_brings_the_old_pace_back() -> None:
    now = [AT]
    pauses = Pauses("prow", lambda: now[0])
    for expected in (2 * POLL, 4 * POLL):
        with pytest.raises(ServerUnreachable) as caught:
            pauses.ask(refuses)
        assert caught.value.again == expected
        now[0] += expected
    assert pauses.ask(lambda: "fine") == "fine"
    with pytest.raises(ServerUnreachable) as caught:
        pauses.ask(lambda: refuses(100.0))
    assert caught.value.again == timedelta(seconds=100)
    assert pauses.left() == timedelta(seconds=100)
    assert LONGEST > 2 * POLL


def test_gw_11_polls_that_were_on_their_way_together_count_as_one() -> None:
    """Sixteen are asked at once, five are too many: the pause doubles once, and the eleven answers do not end it."""
    now = [AT]
    pauses = Pauses("prow", lambda: now[0])

    def five_at_once() -> str:
        for _ in range(5):
            assert pauses._refused(AT, timedelta()) == 2 * POLL
        pauses._answered(AT)
        return "fine"

    assert pauses.ask(five_at_once) == "fine"
    assert pauses.left() == 2 * POLL


def test_errors_without_a_time_begin_no_pause(gangway: World) -> None:
    made = provider(gangway.url("dead"))
    for _ in range(2):
        with pytest.raises(ServerUnreachable, match="503") as caught:
            made.status(None, followed("some-id", RunStatus.RUNNING))
        assert caught.value.again is None
