"""Looks: one subject at a time: load, observe, decide, save the intent, act, save the outcome (SYSTEMS section C).

A look is the same line as a pass of `bot.reconcile`, for one subject. What it decides is saved as a delta, so that any
number of processors share one statefile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from bot import reconcile as line
from bot.core.batches import PREFIX
from bot.core.context import Context
from bot.core.decide import deliberate
from bot.core.deltas import Delta, applied, delta
from bot.core.endings import ending_of
from bot.core.focus import Focus, Room, View, in_flight_of, is_subject, narrowed, ordered
from bot.core.intents import dated
from bot.core.statefile import encode, next_serial
from bot.errors import LostState, ServerUnreachable, StateRace, WrongUsage
from bot.model.observed import MergeRequest, MergeRequestStatus, Recorded
from bot.model.plan import CommentAction, Plan, Report, StartJob, StartRun
from bot.model.state import State
from bot.model.work import Again, Done, Failed, Look, Wait
from bot.observe import observe
from bot.ports import Refused

MERGE_REQUEST = "merge-request:"

GONE = Done("there is no such subject")
"""The ending of a look at what nobody knows (any more)."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A subject with all that was decided about it, before anything is done."""

    context: Context
    decided: Plan
    focus: Focus
    view: View

    @property
    def changes(self) -> Delta:
        """What the decision changes in the statefile."""
        record = self.decided.record
        return delta(self.view.state, record) if record is not None else ()


def look(job: line.Job, subject: str) -> Look:
    """One look at a subject, with everything that is done about it."""
    return _told(partial(_act, job), job, subject)


def considered(job: line.Job, subject: str) -> Look:
    """What a look at a subject would do; nothing is written."""
    return _told(_only_told, job, subject)


def _told(then: Callable[[_Seen], Report], job: line.Job, subject: str) -> Look:
    """The look with what stopped it in words.

    Raises what is wrong with the config, the statefile or the servers that everything hangs on: that is no subject's.
    """
    if not is_subject(subject):
        raise WrongUsage(
            f"{subject!r} is no subject", hint="write target:ID, merge-request:BRANCH, trigger:NAME or dashboard"
        )
    try:
        named = resolved(job, subject)
        seen = _seen(job, Focus(named)) if named else None
        if seen is None:
            return Look(
                subject, Wait("there is no statefile yet: a collection records what is there") if named else GONE
            )
        if _is_unknown(seen):
            return Look(subject, GONE)
        report = then(seen)
    except StateRace as error:
        return Look(subject, Again(error.message))
    except ServerUnreachable as error:
        _require_servers(job)
        return Look(subject, Failed(error.message))
    branch = seen.focus.name if seen.focus.room is Room.MERGE_REQUESTS else ""
    found = seen.context.observed.merge_requests.values()
    iid = next((each.iid for each in found if each.source_branch == branch and _is_open(each)), 0)
    flag = seen.view.state.attention.get(seen.focus.subject)
    return Look(subject, ending_of(report), report, iid, flag, ordered(seen.changes, seen.focus))


def _is_unknown(seen: _Seen) -> bool:
    """Whether neither the config nor the statefile knows a target or a trigger definition of this name."""
    desired, state, name = seen.view.desired, seen.view.state, seen.focus.name
    match seen.focus.room:
        case Room.TARGETS:
            return name not in desired.targets and name not in desired.invalid_targets and name not in state.targets
        case Room.TRIGGERS:
            return name not in desired.triggers and name not in state.triggers
        case _:
            return False


def _is_open(merge_request: MergeRequest) -> bool:
    return merge_request.state is MergeRequestStatus.OPENED


def _require_servers(job: line.Job) -> None:
    """Raise ServerUnreachable where the config's origin, the state or the forge cannot be reached at all."""
    job.ports.config.fetch(job.settings.branch)
    job.ports.state.read()
    job.ports.forge.branches(PREFIX)


def _seen(job: line.Job, focus: Focus) -> _Seen | None:
    """Load, observe and decide; None where there is no statefile."""
    before = line.present(job)
    if before.state is None:
        return None
    base = job.ports.config.fetch(job.settings.branch)
    tree = job.ports.config.tree(base)
    view = narrowed(line.loaded(job, tree), before.state, focus)
    context = observe(
        job.ports, job.settings, view.desired, Recorded(view.state, before.etag), base, heard=job.heard, focus=focus
    )
    context = replace(context, in_flight=view.in_flight, report_key=job.report_key)
    if not focus.narrow:
        line.refuse_lost(job, context)
    context, decided = line.informed(job, tree, context, deliberate)
    return _Seen(context, decided, focus, view)


def resolved(job: line.Job, subject: str) -> str:
    """The subject by its branch, where it names a merge request by its number (`!7`); empty if there is no such."""
    number = subject.removeprefix(f"{MERGE_REQUEST}!")
    if number == subject or not number.isdecimal():
        return subject
    found = job.ports.forge.merge_request(int(number))
    return f"{MERGE_REQUEST}{found.source_branch}" if found is not None else ""


def _only_told(seen: _Seen) -> Report:
    context = seen.context
    return Report(context.desired.sha, context.now, seen.decided, invalid=context.desired.invalid)


def _act(job: line.Job, seen: _Seen) -> Report:
    """Save what is intended, act, save what came of it."""
    context = seen.context
    decided = dated(seen.decided, job.ports.clock.now())
    seen = replace(seen, decided=decided)
    saved = _save(job, seen)
    outcomes = tuple(line.acted(job, context, decided))
    if saved is not None:
        line.save_outcomes(job, context, decided, outcomes, *saved)
    return Report(context.desired.sha, context.now, decided, outcomes, context.desired.invalid)


def _save(job: line.Job, seen: _Seen) -> tuple[State, str] | None:
    """Save the intent into whatever the statefile is by now; None where nothing is intended.

    Raises StateRace where somebody else has decided about the same meanwhile; then nothing was done.
    """
    changes = seen.changes
    if not (changes or seen.decided.actions):
        return None
    record = seen.decided.record or replace(seen.view.state, time=seen.context.now)
    for _ in range(line.RACES):
        fresh = line.present(job)
        if fresh.state is None:
            raise LostState(f"the statefile was removed meanwhile: {line.LOST}", hint=line.GONE)
        _refuse_changed(seen, fresh.state)
        merged = applied(fresh.state, changes, record)
        if merged is None:
            raise StateRace("somebody else has decided about it meanwhile; nothing was done", hint="look again")
        _refuse_crowded(job, seen, merged)
        merged = next_serial(merged)
        written = job.ports.state.write(encode(merged), fresh.etag)
        if not isinstance(written, Refused):
            line.remember(job, merged)
            return merged, written
    raise StateRace("the statefile changes faster than it can be written; nothing was done", hint="look again")


def _refuse_changed(seen: _Seen, fresh: State) -> None:
    """Raise StateRace where what the decision hangs on is not as it was."""
    if not seen.view.whole:
        now = narrowed(seen.context.desired, fresh, seen.focus).state
        if _timeless(now) != _timeless(seen.view.state):
            raise StateRace("what it hangs on has changed meanwhile; nothing was done", hint="look again")


def _refuse_crowded(job: line.Job, seen: _Seen, intended: State) -> None:
    """Raise StateRace where others have used the budget meanwhile that runs are to be started from."""
    starts = any(isinstance(action, StartRun | StartJob) for action in seen.decided.actions)
    if starts and in_flight_of(intended) > job.settings.runs.max_in_flight:
        raise StateRace("as many runs as may be are in flight by now; nothing was done", hint="look again")


def _timeless(state: State) -> State:
    return replace(state, serial=0, time=None, attention={})


def report_only(job: line.Job, subject: str) -> Look:
    """A look that does nothing but bring the report of a merge request up to date."""
    return _told(partial(_comment, job), job, subject)


def _comment(job: line.Job, seen: _Seen) -> Report:
    """Only the comment; the statefile is written all the same, as a report names the serial that it came with."""
    comments = tuple(each for each in seen.decided.actions if isinstance(each, CommentAction))
    return _act(job, replace(seen, decided=Plan(actions=comments, held=seen.decided.held)))
