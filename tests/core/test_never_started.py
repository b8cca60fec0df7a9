"""Jobs whose start came to nothing: they are started with their own batch, and nothing of that is told afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest
from core_values import NOW, World
from test_trigger_rounds import BUILD, BUSY, LOST, MINUTE, due, trigger

from bot.model.observed import Unreachable
from bot.model.plan import Outcome, OutcomeStatus
from bot.model.rounds import Result, TriggerRequest
from bot.model.triggers import Batch, Wait


@pytest.mark.parametrize("wait", list(Wait))
def test_one_that_never_started_is_started_although_the_next_batch_has_begun(wait: Wait) -> None:
    line = due(trigger("a", "b", batch=Batch(1, wait=wait)), answers={"a": BUSY})
    line.answers.clear()
    line.later(MINUTE).one_pass().one_pass()
    assert line.started[0] == "a"
    assert "b" in line.ends("a").one_pass().one_pass().started
    assert line.ends("b").one_pass().round.result is Result.SUCCESS


def test_a_lost_one_is_started_again_although_the_next_batch_has_begun() -> None:
    line = due(trigger("a", "b", batch=Batch(1)), answers={"a": LOST}).one_pass()
    assert line.started == ["b"]
    line.answers.clear()
    line.one_pass()  # the server has no run of that key
    assert line.started == ["b", "a"]


def test_the_pause_begins_when_the_whole_batch_has_been_started() -> None:
    line = due(trigger("a", "b", batch=Batch(1, 10 * MINUTE)), answers={"a": BUSY})
    line.answers.clear()
    line.later(8 * MINUTE).one_pass().later(8 * MINUTE).one_pass()
    assert line.started == ["a"]
    line.later(2 * MINUTE).one_pass()
    assert line.started == ["a", "b"]


def test_what_came_to_nothing_is_told_no_more_once_it_runs() -> None:
    line = due(trigger("a"), answers={"a": Outcome(OutcomeStatus.FAILED, "no token", untouched=True)})
    assert line.round.jobs[0].text == "no token"
    line.answers.clear()
    assert line.later(MINUTE).one_pass().round.jobs[0].text == ""


def test_gw_4_builds_that_cannot_be_read_are_not_forgotten_by_a_start_by_hand() -> None:
    line = due(trigger("a", conditions=(BUILD,))).ends("a").one_pass()
    line.world = World(newest=Unreachable("no answer"))
    line.asks(TriggerRequest("nightly", "ana", NOW)).one_pass().ends("a").one_pass()
    assert (line.started, line.round.number) == (["a", "a"], 2)
    line.world = World()
    line.later(timedelta(hours=1)).one_pass()
    assert (line.round.number, line.round.text) == (3, "skipped: no new build since the last start")
