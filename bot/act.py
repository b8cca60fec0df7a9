"""Act: carry a plan out. The only writes; every action ends with an outcome, and none stops the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from bot.core.batches import batch_of
from bot.core.follow import observed_run
from bot.core.own_notes import own_note
from bot.errors import ServerUnreachable, WriteFailed
from bot.model.observed import MergeRequestStatus, Note, RunFact, Unreachable
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
    Plan,
    RecordState,
    RegenerateMergeRequest,
    SplitMergeRequest,
    StartRun,
    UpdateMergeRequest,
)
from bot.model.state import Thread
from bot.ports import Pipelines, Ports, Refused
from bot.render.comments import STICKY

PATIENCE = 3
"""Actions that the forge may leave unanswered in one pass; more would only wait until the CI job's time is over."""

RECORDED = Outcome(OutcomeStatus.DONE, "recorded")


@dataclass(slots=True)
class Acting:
    """What earlier actions of the same plan led to, for later ones that hang on it."""

    ports: Ports
    now: datetime
    report_key: bytes | None = None
    opened: dict[str, int] = field(default_factory=dict)
    silent: int = 0
    """How many actions the forge has not answered."""
    uncut: set[str] = field(default_factory=set)


def act(ports: Ports, plan: Plan, now: datetime, report_key: bytes | None = None) -> Iterator[Outcome]:
    """Carry out the actions in order; yields each outcome as it comes, so that a pass may stop between two."""
    acting = Acting(ports, now, report_key)
    for action in plan.actions:
        yield _outcome(acting, action)


def _outcome(acting: Acting, action: Action) -> Outcome:
    runs = isinstance(action, StartRun | CancelRun)
    if acting.silent >= PATIENCE and not isinstance(action, StartRun | CancelRun | RecordState | FollowRun):
        _note_uncut(acting, action)
        return Outcome(OutcomeStatus.SKIPPED, "the forge does not answer; the next pass goes on")
    try:
        return _do(acting, action)
    except (ServerUnreachable, WriteFailed) as error:
        _note_uncut(acting, action)
        if isinstance(error, ServerUnreachable) and runs:
            return Outcome(OutcomeStatus.SKIPPED, f"{error.message}; the next pass asks again")
        acting.silent += isinstance(error, ServerUnreachable)
        return Outcome(OutcomeStatus.FAILED, error.message)


def _do(acting: Acting, action: Action) -> Outcome:
    match action:
        case RecordState() | FollowRun():
            return RECORDED
        case StartRun():
            return _start(acting, action)
        case CancelRun():
            return _cancel(acting, action)
        case OpenMergeRequest():
            return _open(acting, action)
        case UpdateMergeRequest() | RegenerateMergeRequest() | SplitMergeRequest():
            return _rebuild(acting, action)
        case MergeMergeRequest() | CloseMergeRequest():
            return _end(acting, action)
        case CommentAction() | DashboardAction() | AnswerCommand():
            return _say(acting, action)
        case _:
            assert_never(action)


def _said(answer: object, text: str) -> Outcome:
    """The outcome of a write whose only interesting answer is a refusal."""
    if isinstance(answer, Refused):
        return Outcome(OutcomeStatus.REFUSED, answer.text)
    return Outcome(OutcomeStatus.DONE, text)


def _provider(acting: Acting, action: StartRun | CancelRun) -> Pipelines:
    provider = acting.ports.pipelines(action.pipeline.instance)
    if isinstance(provider, Unreachable):
        raise WriteFailed(provider.text)
    return provider


def _start(acting: Acting, action: StartRun) -> Outcome:
    fact = _provider(acting, action).start(action.pipeline, action.run, action.environment)
    return _run_outcome(acting, action, fact, f"run {action.run.number} started")


def _cancel(acting: Acting, action: CancelRun) -> Outcome:
    fact = _provider(acting, action).cancel(action.pipeline, action.run)
    return _run_outcome(acting, action, fact, f"run {action.run.number} stopped")


def _run_outcome(acting: Acting, action: StartRun | CancelRun, fact: RunFact | Refused, text: str) -> Outcome:
    if isinstance(fact, Refused):
        return Outcome(OutcomeStatus.REFUSED, fact.text)
    run = replace(observed_run(action.run, fact, acting.now), started_at=fact.started_at or acting.now)
    return Outcome(OutcomeStatus.DONE, text, fact.url, run=run)


def _open(acting: Acting, action: OpenMergeRequest) -> Outcome:
    if action.batch in acting.uncut:
        return Outcome(OutcomeStatus.SKIPPED, "a file of it is still in another merge request; the next pass opens it")
    head = acting.ports.forge.push(action.commit)
    if isinstance(head, Refused):
        return Outcome(OutcomeStatus.REFUSED, head.text)
    opened = acting.ports.forge.open(action.commit.branch, action.title, action.description, action.labels)
    if isinstance(opened, Refused):
        return Outcome(OutcomeStatus.REFUSED, opened.text)
    acting.opened[action.commit.branch] = opened.iid
    return Outcome(
        OutcomeStatus.DONE, f"opened !{opened.iid}", opened.url, merge_request=replace(opened, head_sha=head)
    )


def _rebuild(acting: Acting, action: UpdateMergeRequest | RegenerateMergeRequest | SplitMergeRequest) -> Outcome:
    head = acting.ports.forge.push(action.commit)
    if isinstance(head, Refused):
        _note_uncut(acting, action)
        return Outcome(OutcomeStatus.REFUSED, head.text)
    updated = acting.ports.forge.update(action.iid, action.title, action.description)
    if isinstance(updated, Refused):
        return Outcome(OutcomeStatus.REFUSED, updated.text)
    seen = acting.ports.forge.merge_request(action.iid)
    if seen is None:
        return Outcome(OutcomeStatus.REFUSED, f"!{action.iid} is gone")
    return Outcome(
        OutcomeStatus.DONE, f"!{action.iid} is at {head[:7]}", seen.url, merge_request=replace(seen, head_sha=head)
    )


def _end(acting: Acting, action: MergeMergeRequest | CloseMergeRequest) -> Outcome:
    if isinstance(action, MergeMergeRequest):
        return _merge(acting, action)
    closed = acting.ports.forge.close(action.iid, action.branch, action.comment)
    if isinstance(closed, Refused):
        _note_uncut(acting, action)
    return _said(closed, f"closed !{action.iid}")


def _merge(acting: Acting, action: MergeMergeRequest) -> Outcome:
    forge = acting.ports.forge
    if action.how is MergeHow.NOT_WHEN_GREEN:
        return _said(forge.cancel_auto_merge(action.iid), f"!{action.iid} is no longer set to merge")
    merged = forge.merge(action.iid, action.head, when_green=action.how is MergeHow.WHEN_GREEN)
    if isinstance(merged, Refused):
        return Outcome(OutcomeStatus.REFUSED, merged.text)
    text = f"merged !{action.iid}"
    if merged.state is MergeRequestStatus.OPENED:
        waits = f"!{action.iid} merges when its CI succeeds"
        text = (
            waits if merged.auto_merge else f"the forge does not wait for the CI of !{action.iid}; a later one merges"
        )
    return Outcome(OutcomeStatus.DONE, text, merged.url, merge_request=merged)


def _note_uncut(acting: Acting, action: Action) -> None:
    """A batch that kept its old content: what was cut off it must not be opened beside it."""
    if isinstance(action, UpdateMergeRequest | SplitMergeRequest | CloseMergeRequest):
        acting.uncut.add(batch_of(action.branch)[0] if isinstance(action, CloseMergeRequest) else action.batch)


def _say(acting: Acting, action: CommentAction | DashboardAction | AnswerCommand) -> Outcome:
    match action:
        case CommentAction():
            return _comment(acting, action)
        case DashboardAction():
            return _dashboard(acting, action)
        case AnswerCommand():
            return _answer(acting, action)
        case _:
            assert_never(action)


def _comment(acting: Acting, action: CommentAction) -> Outcome:
    iid = action.iid or acting.opened.get(action.branch, 0)
    if not iid:
        return Outcome(OutcomeStatus.SKIPPED, "its merge request was not opened")
    present = action.note or _written_meanwhile(acting, iid)
    note = acting.ports.forge.comment(Thread.MERGE_REQUEST, iid, action.body, present)
    return _said(note, f"{'edited' if present else 'wrote'} the report on !{iid}")


def _written_meanwhile(acting: Acting, iid: int) -> str:
    """The report that another pass wrote since this one looked; there is one sticky comment, never two."""
    seen = acting.ports.forge.merge_request(iid)
    notes = seen.notes if seen is not None else ()
    note = own_note(notes, acting.ports.forge.me(), STICKY, acting.report_key)
    return note.id if note is not None else ""


def _dashboard(acting: Acting, action: DashboardAction) -> Outcome:
    forge = acting.ports.forge
    seen = None if action.iid else forge.dashboard(action.title)  # another pass may have opened it meanwhile
    written = forge.put_dashboard(seen.iid if seen is not None else action.iid, action.title, action.body)
    url = "" if isinstance(written, Refused) else written.url
    return replace(_said(written, f"{'edited' if action.iid else 'opened'} the dashboard"), url=url)


def _answer(acting: Acting, action: AnswerCommand) -> Outcome:
    reacted = acting.ports.forge.react(action.thread, action.iid, action.note, ok=action.reaction == "ok")
    if isinstance(reacted, Refused) or not action.body:
        return _said(reacted, "acknowledged" if action.reaction == "ok" else "refused")
    note: Note | Refused = acting.ports.forge.comment(action.thread, action.iid, action.body)
    return _said(note, "answered")
