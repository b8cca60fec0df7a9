"""Endings: what the look at one subject comes to (SYSTEMS WQ-4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from core_values import NOW, PROD, a_run, prod

from bot.core.endings import LONGEST, ending_of
from bot.core.follow import POLL, start
from bot.model.plan import Action, CloseMergeRequest, FollowRun, Gate, Held, Outcome, OutcomeStatus, Plan, Report
from bot.model.runs import Reason
from bot.model.work import Again, Attention, Done, Ending, Failed, Wait

FOLLOW = FollowRun(f"target:{PROD}", PROD, a_run(prod()), (Reason("follow", "running"),))
CLOSE = CloseMergeRequest("merge-request:x", 1, "x", "", (Reason("done", "all of it is there"),))
START = start(prod(), a_run(prod()))
DONE = Outcome(OutcomeStatus.DONE)


def report(*actions: Action, outcomes: tuple[Outcome, ...] = (), **fields: object) -> Report:
    """A pass with these actions."""
    plan = replace(Plan(actions=actions), **fields)  # type: ignore[arg-type]  # fields as they come
    return Report("sha", NOW, plan, outcomes or tuple(DONE for _ in actions))


HELD = Held(f"target:{PROD}", Gate.SOAK, "soaks", NOW + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (report(), Done("there is nothing to do")),
        (report(held=(Held("x", Gate.VETOED, "closed by bob"),)), Done("closed by bob")),
        (report(FOLLOW), Done("there is nothing to do")),
        (report(START), Wait("a run was started", POLL)),
        (report(CLOSE), Again("all of it is there")),
        (report(replace(CLOSE, reasons=())), Again("something was done")),
        (report(held=(HELD,), next_due=HELD.until), Wait("soaks", timedelta(minutes=5))),
        (report(next_due=NOW + timedelta(days=1)), Wait("a run is in flight or a time has not come", LONGEST)),
        (report(next_due=NOW), Wait("a run is in flight or a time has not come", timedelta(seconds=1))),
        (report(held=(Held("x", Gate.FAILED, "run 3"),)), Attention("failed: run 3")),
        (report(CLOSE, outcomes=(Outcome(OutcomeStatus.FAILED, "no answer"),)), Failed("no answer")),
        (report(CLOSE, outcomes=(Outcome(OutcomeStatus.REFUSED, "lost a race"),)), Again("lost a race")),
        (report(CLOSE, outcomes=(Outcome(OutcomeStatus.SKIPPED, "asked to stop"),)), Again("asked to stop")),
    ],
)
def test_how_a_look_ends(given: Report, expected: Ending) -> None:
    assert ending_of(given) == expected
