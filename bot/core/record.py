"""Record: what an outcome means for the statefile. Pure, so that it can be done again on a fresh document.

A race for the statefile that was lost after an effect is settled here: the outcomes of this pass are folded, subject
by subject, into whatever the other writer left (DESIGN section 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from bot.core.branches import TEXTS, with_record, without_record
from bot.core.follow import observed_run, settled
from bot.core.jobs import put_off, refused, seen_run, started_job, tried, with_job
from bot.core.own_notes import number_of
from bot.model.desired import Desired
from bot.model.observed import MergeRequestStatus, RunFact
from bot.model.plan import (
    Action,
    AnswerCommand,
    CancelRun,
    CloseMergeRequest,
    CommentAction,
    DashboardAction,
    FollowRun,
    MergeHow,
    MergeMergeRequest,
    OpenMergeRequest,
    Outcome,
    OutcomeStatus,
    RecordState,
    RegenerateMergeRequest,
    SplitMergeRequest,
    StartJob,
    StartRun,
    UpdateMergeRequest,
)
from bot.model.rounds import JobStatus, RoundJob
from bot.model.runs import RunStatus
from bot.model.state import Answer, MergeRequestState, State, Thread

Rebuild = UpdateMergeRequest | RegenerateMergeRequest | SplitMergeRequest


def settle(
    state: State, desired: Desired, actions: Sequence[Action], outcomes: Sequence[Outcome], now: datetime
) -> State:
    """The statefile after these outcomes of these actions."""
    for action, outcome in zip(actions, outcomes, strict=True):
        state = _settle(state, desired, action, outcome, now)
    return state


def _settle(state: State, desired: Desired, action: Action, outcome: Outcome, now: datetime) -> State:
    match action:
        case StartJob() | CancelRun(target=""):
            return _job(state, action, outcome, now)
        case StartRun() | CancelRun():
            return _run(state, desired, action, outcome, now)
        case OpenMergeRequest():
            return _opened(state, action, outcome, now)
        case UpdateMergeRequest() | RegenerateMergeRequest() | SplitMergeRequest():
            return _rebuilt(state, action, outcome, now)
        case MergeMergeRequest():
            return _merged(state, action, outcome)
        case CloseMergeRequest():
            return _closed(state, action, outcome)
        case AnswerCommand():
            return _answered(state, action) if outcome.status is not OutcomeStatus.FAILED else state
        case RecordState() | FollowRun() | CommentAction() | DashboardAction():
            return state
        case _:
            assert_never(action)


def _run(state: State, desired: Desired, action: StartRun | CancelRun, outcome: Outcome, now: datetime) -> State:
    """A start or a cancellation: what the provider said of the run; a start that it would not make has failed."""
    target, run = action.target, action.run
    record = state.targets.get(target)
    if record is None or record.run is None or record.run.key != run.key:
        return state
    if outcome.run is not None:
        seen = outcome.run
    elif outcome.status is OutcomeStatus.REFUSED and isinstance(action, StartRun):
        seen = observed_run(run, RunFact(RunStatus.FAILED, text=outcome.text, finished_at=now), now)
    elif outcome.status is OutcomeStatus.REFUSED:
        seen = replace(record.run, stop="")
    elif outcome.untouched and record.run == run:
        seen = replace(run, intent_at=None)
    else:
        return state
    state, record = settled(state, record, seen, desired.targets.get(target))
    return replace(state, targets={**state.targets, target: record})


def _job(state: State, action: StartJob | CancelRun, outcome: Outcome, now: datetime) -> State:
    """A job of a trigger definition: the server's run of it, another try in time, or a refusal."""
    trigger, _, name = action.subject.removeprefix("job:").partition("/")
    record = state.triggers.get(trigger)
    job = started_job(record, name, action.run.key)
    if record is None or job is None:
        return state
    if outcome.run is not None:
        record = seen_run(record, name, replace(outcome.run, stop=""))
    elif isinstance(action, StartJob):
        record = with_job(record, _not_taken(job, action, outcome, now))
    elif outcome.status is OutcomeStatus.REFUSED:
        record = with_job(record, replace(job, run=replace(action.run, stop="")))
    return replace(state, triggers={**state.triggers, trigger: record})


def _not_taken(job: RoundJob, action: StartJob, outcome: Outcome, now: datetime) -> RoundJob:
    """A start that led to no run; where nobody can tell, the intent stays, and the next pass asks by its key."""
    if outcome.status is OutcomeStatus.REFUSED and outcome.again is None:
        return refused(job, outcome.text)
    if outcome.status is OutcomeStatus.SKIPPED and outcome.untouched:
        return replace(job, status=JobStatus.WAITING, run=None, mark=job.run.mark if job.run is not None else job.mark)
    if outcome.status is OutcomeStatus.REFUSED and outcome.untouched:
        return put_off(job, outcome.text, now + (outcome.again or action.retry.interval), crowded=True)
    if outcome.status is OutcomeStatus.REFUSED or outcome.untouched:
        return tried(job, action.retry, outcome.text, now, outcome.again)
    return job


def _opened(state: State, action: OpenMergeRequest, outcome: Outcome, now: datetime) -> State:
    if outcome.status is not OutcomeStatus.DONE or outcome.merge_request is None:
        return state
    if _known(state, action.commit.branch, outcome.merge_request.iid) is not None:
        return state  # another pass has seen it meanwhile, and may have been told to hold it
    record = MergeRequestState(
        branch=action.commit.branch,
        iid=outcome.merge_request.iid,
        batch=action.batch,
        part=action.part,
        edits=action.edits,
        base=action.commit.parent,
        head=outcome.merge_request.head_sha,
        opened_at=now,
        changed_at=now,
    )
    return with_record(state, record)


def _known(state: State, branch: str, iid: int) -> MergeRequestState | None:
    """The record of this merge request; the branch may belong to another one by now."""
    record = state.merge_requests.get(branch)
    return record if record is not None and record.iid == iid else None


def _rebuilt(state: State, action: Rebuild, outcome: Outcome, now: datetime) -> State:
    record = _known(state, action.commit.branch, action.iid)
    if record is None:
        return state
    if outcome.status is not OutcomeStatus.DONE or outcome.merge_request is None:
        return with_record(state, replace(record, asked="")) if outcome.status is OutcomeStatus.REFUSED else state
    head = outcome.merge_request.head_sha
    kept = bool(action.commit.keep)
    return with_record(
        state,
        replace(
            record,
            edits=action.edits,
            base=action.commit.parent,
            head="" if kept else head,
            changed_at=now,
            asked="" if record.asked in _carried_out(action) else record.asked,
        ),
    )


def _carried_out(action: Rebuild) -> tuple[str, ...]:
    """What a command may have asked for that is done by this; another one was asked for since, and waits."""
    commands = ("keep", "discard") if isinstance(action, RegenerateMergeRequest) else ()
    return (TEXTS, "group", *commands)


def _closed(state: State, action: CloseMergeRequest, outcome: Outcome) -> State:
    record = _known(state, action.branch, action.iid)
    if record is None or outcome.status is not OutcomeStatus.DONE:
        return state
    return without_record(state, record)


def _merged(state: State, action: MergeMergeRequest, outcome: Outcome) -> State:
    record = _known(state, action.subject.removeprefix("merge-request:"), action.iid)
    if record is None or outcome.status is not OutcomeStatus.DONE:
        return state
    if action.how is MergeHow.NOT_WHEN_GREEN:
        return with_record(state, replace(record, auto_merge=""))
    seen = outcome.merge_request
    if seen is not None and seen.state is MergeRequestStatus.OPENED:
        return with_record(state, replace(record, auto_merge=action.head))
    return with_record(state, replace(record, merged=True))


def _answered(state: State, action: AnswerCommand) -> State:
    given = (action.thread, action.iid, action.note, action.number)
    return replace(
        state,
        answers={key: a for key, a in state.answers.items() if _asked(key, a) != given},
    )


def _asked(key: str, answer: Answer) -> tuple[Thread, int, str, int]:
    return answer.thread, answer.iid, answer.note, number_of(key)
