"""Act: carry a plan out. The only writes; every action ends with an outcome, and none stops the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from bot.core.batches import batch_of
from bot.core.follow import observed_run
from bot.core.own_notes import own_note, said_already
from bot.errors import ServerUnreachable
from bot.model.observed import Issue, MergeRequest, MergeRequestStatus, Note, RunFact, Unreachable
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
    StartJob,
    StartRun,
    UpdateMergeRequest,
)
from bot.model.servers import Pipeline
from bot.model.state import Thread
from bot.ports import Ports, Refused
from bot.render import marker
from bot.render.comments import STICKY

PATIENCE = 3
"""Actions that the forge may leave unanswered in one pass; more would only wait until the CI job's time is over."""

FRESH = timedelta(seconds=30)
"""How old an intent may be when its run is started.

Four minutes after an intent (`CARRIED_OUT` of a provider) another pass may take a run that its server does not know
for one that was never started.
"""

RECORDED = Outcome(OutcomeStatus.DONE, "recorded")


@dataclass(slots=True)
class Acting:
    """What earlier actions of the same plan led to, for later ones that hang on it."""

    ports: Ports
    now: datetime
    report_key: bytes | None = None
    dashboard_title: str = ""
    opened: dict[str, int] = field(default_factory=dict)
    silent: int = 0
    """How many actions the forge has not answered."""
    uncut: set[str] = field(default_factory=set)
    began: datetime = field(init=False)
    """When the plan's intents had just been saved, in real time."""

    def __post_init__(self) -> None:
        """Look at the clock."""
        self.began = self.ports.clock.real()

    @property
    def late(self) -> bool:
        """Whether another pass may have begun meanwhile and not know what this one is about to do."""
        return self.ports.clock.real() - self.began > FRESH


def act(
    ports: Ports, plan: Plan, now: datetime, report_key: bytes | None = None, dashboard_title: str = ""
) -> Iterator[Outcome]:
    """Carry out the actions in order; yields each outcome as it comes, so that a pass may stop between two."""
    acting = Acting(ports, now, report_key, dashboard_title)
    for action in plan.actions:
        yield _outcome(acting, action)


def label(ports: Ports, iid: int, name: str, *, on: bool) -> Refused | None:
    """Put a label on a merge request, or take it off; a forge that does not answer is a no like any other."""
    try:
        return ports.forge.label(iid, name, on=on)
    except ServerUnreachable as error:
        return Refused(error.message)


def clean(ports: Ports, pipeline: Pipeline, *, force: bool) -> tuple[str, ...] | Refused:
    """Remove what a server keeps of a job's runs; the names of what is gone, or why it is still there."""
    provider = ports.pipelines(pipeline.instance)
    if isinstance(provider, Unreachable):
        return Refused(provider.text)
    try:
        return provider.clean(pipeline, force=force)
    except ServerUnreachable as error:
        return Refused(error.message)


def _outcome(acting: Acting, action: Action) -> Outcome:
    if acting.silent >= PATIENCE and not isinstance(action, StartRun | StartJob | CancelRun | RecordState | FollowRun):
        _note_uncut(acting, action)
        return Outcome(OutcomeStatus.SKIPPED, "the forge does not answer; the next pass goes on")
    try:
        return _do(acting, action)
    except ServerUnreachable as error:
        _note_uncut(acting, action)
        if isinstance(action, StartRun | StartJob | CancelRun):
            return Outcome(OutcomeStatus.SKIPPED, f"{error.message}; the next pass asks again")
        acting.silent += 1
        return Outcome(OutcomeStatus.FAILED, error.message)


def _do(acting: Acting, action: Action) -> Outcome:
    match action:
        case RecordState() | FollowRun():
            return RECORDED
        case StartRun() | StartJob():
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


def _start(acting: Acting, action: StartRun | StartJob) -> Outcome:
    provider = acting.ports.pipelines(action.pipeline.instance)
    if isinstance(provider, Unreachable):
        return Outcome(OutcomeStatus.FAILED, provider.text, untouched=True)
    if acting.late:
        return Outcome(OutcomeStatus.SKIPPED, "its intent is too old by now; the next pass starts it", untouched=True)
    fact = provider.start(action.pipeline, action.run, action.environment)
    return _run_outcome(acting, action, fact, f"run {action.run.number} started")


def _cancel(acting: Acting, action: CancelRun) -> Outcome:
    provider = acting.ports.pipelines(action.pipeline.instance)
    if isinstance(provider, Unreachable):
        return Outcome(OutcomeStatus.FAILED, provider.text)
    fact = provider.cancel(action.pipeline, action.run)
    return _run_outcome(acting, action, fact, f"run {action.run.number} stopped")


def _run_outcome(
    acting: Acting, action: StartRun | StartJob | CancelRun, fact: RunFact | Refused, text: str
) -> Outcome:
    if isinstance(fact, Refused):
        return Outcome(OutcomeStatus.REFUSED, fact.text, again=fact.again, untouched=fact.untried)
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
    commit = action.commit
    head = acting.ports.forge.push(commit) if commit.files else commit.expected_head
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
    if acting.late and _newer(acting, _notes(acting, Thread.MERGE_REQUEST, iid), action.body):
        return Outcome(OutcomeStatus.SKIPPED, "another pass has said something newer meanwhile")
    present = action.note or _written_meanwhile(acting, iid)
    note = acting.ports.forge.comment(Thread.MERGE_REQUEST, iid, action.body, present)
    return _said(note, f"{'edited' if present else 'wrote'} the report on !{iid}")


def _written_meanwhile(acting: Acting, iid: int) -> str:
    """The report that another pass wrote since this one looked; there is one sticky comment, never two."""
    me = acting.ports.forge.me()
    note = own_note(_notes(acting, Thread.MERGE_REQUEST, iid), me, STICKY, acting.report_key)
    return note.id if note is not None else ""


def _newer(acting: Acting, notes: Iterable[Note], body: str) -> bool:
    """Whether the report that is there now was made from a newer statefile than this one."""
    there = own_note(notes, acting.ports.forge.me(), STICKY, acting.report_key)
    return there is not None and _serial(acting, there.body) > _serial(acting, body)


def _serial(acting: Acting, body: str) -> int:
    """The serial of the statefile that a report was made from; 0 where it does not say."""
    serial = (marker.read(body, STICKY, acting.report_key) or {}).get("serial")
    return serial if isinstance(serial, int) else 0


def _notes(acting: Acting, thread: Thread, iid: int) -> tuple[Note, ...]:
    """The notes that are there now."""
    forge = acting.ports.forge
    if thread is Thread.MERGE_REQUEST:
        seen: MergeRequest | Issue | None = forge.merge_request(iid)
    else:
        seen = forge.dashboard(acting.dashboard_title) if acting.dashboard_title else None
    return seen.notes if seen is not None else ()


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
    me = acting.ports.forge.me()
    if said_already(_notes(acting, action.thread, action.iid), me, action.body, acting.report_key):
        return Outcome(OutcomeStatus.DONE, "answered by another pass")
    note: Note | Refused = acting.ports.forge.comment(action.thread, action.iid, action.body)
    return _said(note, "answered")
