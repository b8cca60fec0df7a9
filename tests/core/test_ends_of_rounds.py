"""What is left when a round has ended: runs that are told to stop until somebody answers, and jobs that ran once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from core_values import NOW, held_gates
from test_trigger_rounds import SUBJECT, Line, due, trigger

from bot.core.stopping import END
from bot.model.observed import RunFact, Unreachable
from bot.model.plan import CancelRun, Outcome, OutcomeStatus
from bot.model.rounds import Result, TriggerRequest
from bot.model.runs import RunStatus
from bot.model.triggers import Batch, Job, Schedule, Stage, Wait

HOUR = timedelta(hours=1)
AWAY = Outcome(OutcomeStatus.SKIPPED, "out of reach; the next pass asks again")
NO = Outcome(OutcomeStatus.REFUSED, "it cannot be stopped")


class Stopped(Line):
    """A line whose server answers the wish to stop as `said` says."""

    said: Outcome = AWAY

    def outcome(self, action: Any) -> Outcome:
        """What comes of an action."""
        return self.said if isinstance(action, CancelRun) else super().outcome(action)

    @property
    def stops(self) -> int:
        """How many runs the last pass told to stop."""
        return sum(isinstance(action, CancelRun) for action in self.plan.actions)


def over(*, cancels: bool = True) -> Stopped:
    """A round that has just ended by time while its job still runs, the server being out of reach."""
    given = trigger("a", timeout=HOUR, cancel_on_error=cancels)
    line = Stopped(given, NOW - timedelta(minutes=30)).one_pass().later(timedelta(minutes=30)).one_pass()
    line.given = replace(given, schedule=None)
    line.later(HOUR).one_pass()
    assert (line.started, line.round.result) == (["a"], Result.TIMEOUT)
    return line


def test_bj_7_a_run_is_told_to_stop_until_its_server_has_answered() -> None:
    line = over()
    assert line.stops == 1
    line.one_pass()
    assert line.stops == 1
    (stop,) = (action for action in line.plan.actions if isinstance(action, CancelRun))
    assert (stop.run.stop, [reason.text for reason in stop.reasons]) == (
        END,
        ["the round has ended: not done within 1h"],
    )
    line.runs["a"] = Unreachable("no answer")
    assert line.one_pass().plan.actions == ()
    line.runs["a"] = RunFact(RunStatus.RUNNING, handle="h-a")
    line.said = Outcome(OutcomeStatus.DONE, run=replace(stop.run, status=RunStatus.FAILED, finished_at=line.now))
    assert line.one_pass().jobs() == {"a": "failed"}
    assert line.one_pass().plan.actions == ()


def test_bj_7_the_next_round_waits_until_that_is_settled() -> None:
    line = over()
    line.given = trigger("a", timeout=HOUR, cancel_on_error=True)
    line.one_pass().later(HOUR).one_pass()
    assert (line.stops, line.round.number, held_gates(line.plan, SUBJECT)) == (1, 1, {"run_in_flight"})
    line.ends("a", status=RunStatus.FAILED).one_pass()
    assert (line.round.number, line.started) == (2, ["a", "a"])


def test_a_server_that_will_not_stop_a_run_is_told_once() -> None:
    line = over()
    line.said = NO
    line.one_pass()
    assert line.stops == 1
    line.one_pass()
    assert (line.stops, line.jobs()) == (0, {"a": "running"})


def test_what_goes_on_after_it_was_told_is_told_once() -> None:
    line = over()
    assert line.state is not None
    run = line.round.jobs[0].run
    assert run is not None
    line.said = Outcome(OutcomeStatus.DONE, run=replace(run, status=RunStatus.RUNNING))
    line.one_pass()
    line.one_pass()
    assert (line.stops, line.jobs()) == (0, {"a": "running"})


def test_a_job_that_left_the_config_is_told_no_more_and_one_that_may_go_on_never_is() -> None:
    line = over()
    line.given = replace(line.given, stages=(Stage("", (Job("b"),)),))
    line.one_pass()
    assert line.stops == 0
    assert over(cancels=False).stops == 0


def test_bj_3_the_schedule_of_a_job_that_runs_once_is_over_when_it_has_succeeded() -> None:
    line = due(trigger(Job("sync", once=True, schedule=Schedule("0 * * * *")), schedule=None))
    line.ends("sync", status=RunStatus.FAILED).one_pass()
    line.runs.clear()
    line.later().one_pass()
    assert line.started == ["sync", "sync"]
    line.ends("sync").one_pass().later().one_pass()
    assert (line.started, line.plan.next_due, line.round.number) == (["sync", "sync"], None, 2)


def test_no_batch_waits_for_one_behind_it() -> None:
    """And what comes after each other in a ring does not keep anybody from being looked at."""
    alone = Batch(1, wait=Wait.FINISHED)
    line = due(trigger(Job("heal", after=("sync",)), "sync", batch=alone))
    assert line.started == ["sync"]
    line.ends("sync").one_pass().one_pass()
    assert line.started == ["sync", "heal"]
    ring = due(trigger(Job("a", after=("b",)), Job("b", after=("a",)), batch=alone))
    assert [job.name for job in ring.round.jobs] == ["a", "b"]


def test_bj_7_the_time_out_counts_anew_with_each_batch_that_waited_for_the_one_before() -> None:
    given = trigger("a", "b", timeout=HOUR, schedule=None, batch=Batch(1, wait=Wait.FINISHED))
    line = Line(given).one_pass().asks(TriggerRequest("nightly", "ana", NOW)).one_pass()
    line.later(HOUR * 0.9).ends("a").one_pass().one_pass()
    assert line.started == ["a", "b"]
    line.later(HOUR * 0.9).one_pass()
    assert line.round.result is Result.RUNNING
    line.later(HOUR * 0.1).one_pass()
    assert (line.round.result, line.round.text) == (Result.TIMEOUT, "not done within 1h")
