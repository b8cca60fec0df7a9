"""Endings: what the look at one subject comes to, from what was done and what holds it (SYSTEMS WQ-4); pure."""

from __future__ import annotations

from datetime import timedelta

from bot.core.follow import POLL
from bot.model.plan import FollowRun, Gate, Held, OutcomeStatus, RecordState, Report, StartJob, StartRun
from bot.model.work import Again, Attention, Done, Ending, Failed, Wait

NEEDS_A_PERSON = frozenset({Gate.UNKNOWN, Gate.UNSAFE_EDIT, Gate.HUMAN_COMMIT, Gate.INVALID, Gate.FAILED})
"""Gates that a person has to open."""

LONGEST = timedelta(minutes=20)
"""How long a subject waits at most before it is looked at again: people and branches announce nothing."""

SHORTEST = timedelta(seconds=1)


def ending_of(report: Report) -> Ending:
    """How the look ended that this pass was made for."""
    plan, outcomes = report.plan, report.outcomes
    broken = [each.text for each in outcomes if each.status is OutcomeStatus.FAILED]
    if broken:
        return Failed(broken[0])
    put_off = [each.text for each in outcomes if each.status in (OutcomeStatus.REFUSED, OutcomeStatus.SKIPPED)]
    if put_off:
        return Again(put_off[0])
    if any(isinstance(action, StartRun | StartJob) for action in plan.actions):
        return Wait("a run was started", POLL)
    if plan.next_due is not None:
        delay = min(max(plan.next_due - report.now, SHORTEST), LONGEST)
        return Wait(plan.held[0].text if plan.held else "a run is in flight or a time has not come", delay)
    person = [each for each in plan.held if each.gate in NEEDS_A_PERSON]
    if person:
        return Attention(wants_a_person(person[0]))
    done = [action for action in plan.actions if not isinstance(action, RecordState | FollowRun)]
    if done:
        return Again(done[0].reasons[0].text if done[0].reasons else "something was done")
    return Done(plan.held[0].text if plan.held else "there is nothing to do")


def wants_a_person(held: Held) -> str:
    """What a person must do, as it is told where a gate waits for them."""
    return f"{held.gate}: {held.text}"
