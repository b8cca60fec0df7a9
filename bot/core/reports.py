"""Reports: the sticky comment of every merge request that concerns the bot (DESIGN section 6).

A comment is edited in place, and only when what it says has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from bot.core import excerpts, preview
from bot.core.batches import batch_of, file_keys
from bot.core.branches import Branch, forget
from bot.core.candidates import ATTENTION_LABEL
from bot.core.endings import wants_a_person
from bot.core.own_notes import own_note
from bot.core.released import is_release
from bot.core.sections import sections
from bot.core.sheet import Sheet
from bot.model.observed import MergeRequest, MergeRequestStatus
from bot.model.plan import (
    CloseMergeRequest,
    CommentAction,
    Held,
    MergeHow,
    MergeMergeRequest,
    OpenMergeRequest,
    RegenerateMergeRequest,
    SplitMergeRequest,
    UpdateMergeRequest,
)
from bot.model.runs import Reason, Run, RunStatus
from bot.model.state import Edit, MergeRequestState
from bot.render import comments, releases

FOLLOWED = timedelta(days=7)
"""How long a merged merge request waits for the runs that it leads to."""

FIRST = (Reason("report", "the first report"),)
AGAIN = (Reason("report", "the report says something new"),)


def write_reports(sheet: Sheet, branches: tuple[Branch, ...]) -> None:
    """Bring every sticky comment up to date."""
    for action in list(sheet.actions):
        if isinstance(action, OpenMergeRequest):
            text = _own(sheet, None, action.commit.branch, action.edits)
            _report(sheet, None, action.commit.branch, text, _to_be(action))
    contents = _contents(sheet)
    for branch in branches:
        if branch.name in contents or branch.name not in _ending(sheet):
            edits = contents.get(branch.name, branch.edits)
            record = replace(sheet.state.merge_requests.get(branch.name, branch.record), edits=edits)
            _report(sheet, branch.merge_request, branch.name, _own(sheet, branch, branch.name, edits), record)
    for record in list(sheet.state.merge_requests.values()):
        if record.merged:
            _report_merged(sheet, record)
    for merge_request in preview.of_people(sheet):
        _report_change(sheet, merge_request)


def _contents(sheet: Sheet) -> dict[str, tuple[Edit, ...]]:
    """By branch: what this plan puts on it."""
    kinds = (UpdateMergeRequest, RegenerateMergeRequest, SplitMergeRequest)
    return {action.commit.branch: action.edits for action in sheet.actions if isinstance(action, kinds)}


def _ending(sheet: Sheet) -> frozenset[str]:
    """Branches that this plan closes; the closing comment says all there is to say."""
    return frozenset(action.branch for action in sheet.actions if isinstance(action, CloseMergeRequest))


def _to_be(action: OpenMergeRequest) -> MergeRequestState:
    """The record of a merge request that has no number yet."""
    return MergeRequestState(action.commit.branch, 0, action.batch, action.part, action.edits, action.commit.parent, "")


def _report(
    sheet: Sheet, merge_request: MergeRequest | None, branch: str, body: str, record: MergeRequestState | None = None
) -> bool:
    """Put a sticky comment in place if it says something new; returns whether it does.

    `record` is that of a merge request of the bot's own: its marker carries what a lost statefile is rebuilt from.
    """
    note, previous = _previous(sheet, merge_request)
    data: dict[str, Any] = {"branch": branch}
    beside: comments.Beside = comments.nothing_beside
    if record is not None:
        targets = sheet.context.desired.targets
        urls = {targets[edit.target].url for edit in record.edits if edit.target in targets}
        data |= excerpts.content_of(sheet.state, record, urls)
        beside = partial(excerpts.beside, sheet, data, record)
    text = comments.sticky(body, data, previous, sheet.now, sheet.context.report_key, beside=beside)
    if text is None:
        return False
    iid = merge_request.iid if merge_request is not None else 0
    sheet.actions.append(CommentAction(f"merge-request:{branch}", iid, branch, note, text, AGAIN if note else FIRST))
    return True


def _previous(sheet: Sheet, merge_request: MergeRequest | None) -> tuple[str, str | None]:
    """The id and text of the sticky comment that is there."""
    notes = merge_request.notes if merge_request is not None else ()
    note = own_note(notes, sheet.context.observed.me, comments.STICKY, sheet.context.report_key)
    return (note.id, note.body) if note is not None else ("", None)


def _own(sheet: Sheet, branch: Branch | None, name: str, edits: tuple[Edit, ...]) -> str:
    """The sticky comment of a merge request of the bot's own: a promotion, or what a release has built."""
    if is_release(batch_of(name)[0]):
        return _release(sheet, branch, edits)
    return _promotion(sheet, branch, name, edits)


def _release(sheet: Sheet, branch: Branch | None, edits: tuple[Edit, ...]) -> str:
    trigger = edits[0].target.removeprefix("job:").partition("/")[0] if edits else ""
    record = sheet.state.triggers.get(trigger)
    last = record.round if record is not None else None
    runs = {job.name: job.run for job in last.jobs if job.run is not None} if last is not None else {}
    names = [edit.target.removeprefix("job:").partition("/")[2] for edit in edits]
    lines = (
        releases.ReleaseLine(name, edit.old, edit.new, runs[name].url if name in runs else "")
        for name, edit in zip(names, edits, strict=True)
    )
    subjects = {f"trigger:{trigger}", *((branch.subject,) if branch is not None else ())}
    view = releases.ReleaseView(
        trigger,
        tuple(lines),
        round=f"Round {last.number}: {last.result}, {last.text}" if last is not None else "",
        held=tuple(held for held in sheet.held if held.subject in subjects),
        hold=branch.record.hold if branch is not None else None,
        notices=_given_up(sheet, branch.name) if branch is not None else (),
        answers=sections(sheet, branch.merge_request.iid, ()) if branch is not None else (),
        prefix=sheet.context.settings.commands.prefix,
    )
    return releases.release_report(view)


def _promotion(sheet: Sheet, branch: Branch | None, name: str, edits: tuple[Edit, ...]) -> str:
    targets = sheet.context.desired.targets
    changes = tuple(
        comments.PromotionChange(
            target=each.target,
            url=targets[each.target].url,
            old=each.old,
            new=each.new,
            titles=sheet.facts.titles(targets[each.target].url, each.old, each.new),
        )
        for each in edits
        if each.target in targets
    )
    held = _held(sheet, name, edits)
    merged = branch is not None and any(
        isinstance(a, MergeMergeRequest) and a.iid == branch.merge_request.iid and a.how is MergeHow.NOW
        for a in sheet.actions
    )
    view = comments.PromotionView(
        changes=changes,
        held=held,
        runs=tuple(_runs(sheet, edits)),
        starts=tuple(_starts(edits)),
        unsafe=_unsafe(sheet, name),
        hold=branch.record.hold if branch is not None else None,
        vetoes=tuple(veto for veto in sheet.state.vetoes if veto.target in {edit.target for edit in edits}),
        notices=(*(("every gate passes: it is being merged",) if merged else ()), *_given_up(sheet, name)),
        answers=sections(sheet, branch.merge_request.iid, edits) if branch is not None else (),
        prefix=sheet.context.settings.commands.prefix,
    )
    return comments.promotion_report(view)


def _given_up(sheet: Sheet, branch: str) -> tuple[str, ...]:
    """What a person must do before the work queue takes a merge request up again, where no gate says it already."""
    subject = f"merge-request:{branch}"
    flag = sheet.state.attention.get(subject)
    if flag is None or any(flag.text == wants_a_person(held) for held in sheet.held):
        return ()
    then = f"take the label {ATTENTION_LABEL} off" if flag.iid else f"call saasbot queue add {subject}"
    return (f"the bot has stopped here: {flag.text}; when that is mended, {then}, and it goes on",)


def _held(sheet: Sheet, branch: str, edits: Iterable[Edit]) -> tuple[Held, ...]:
    subjects = {f"merge-request:{branch}", *(f"target:{each.target}" for each in edits)}
    return tuple(held for held in sheet.held if held.subject in subjects)


def _unsafe(sheet: Sheet, branch: str) -> tuple[comments.RefusedEdit, ...]:
    """The edits of the same batch that were refused; there is no merge request of their own to say so on."""
    if not sheet.unsafe:
        return ()
    targets = sheet.context.desired.targets
    keys = file_keys(sheet.context.desired, sheet.context.settings.promotions.batch_by)
    batch, _ = batch_of(branch)
    return tuple(
        comments.RefusedEdit(target, reason)
        for target, reason in sheet.unsafe.items()
        if keys[targets[target].file] == batch
    )


def _starts(edits: Iterable[Edit]) -> Iterable[comments.StartLine]:
    for each in edits:
        move = f"{comments.short(each.old)} -> {comments.short(each.new)}"
        yield comments.StartLine(each.target, (Reason("promotion", move),))


def _runs(sheet: Sheet, edits: Iterable[Edit]) -> Iterable[comments.RunLine]:
    """The runs of exactly these versions."""
    for each in edits:
        record = sheet.target_state(each.target)
        if record is not None and record.run is not None and record.run.sha == each.new:
            run = record.run
            yield comments.RunLine(each.target, run.sha, run.status, run.text, run.url, _took(run))


def _took(run: Run) -> timedelta | None:
    """How long a run took, as far as two clocks (the server's and the pass's) agree about it."""
    if run.started_at is None or run.finished_at is None or run.finished_at < run.started_at:
        return None
    return run.finished_at - run.started_at


def _report_merged(sheet: Sheet, record: MergeRequestState) -> None:
    """Follow the runs that a merge led to; when they have ended and that was told, the record goes."""
    merge_request = sheet.context.observed.merge_requests.get(record.iid)
    if merge_request is None or merge_request.state is MergeRequestStatus.OPENED:
        return
    if is_release(record.batch):
        forget(sheet, record)
        return
    targets = sheet.context.desired.targets
    present = tuple(e for e in record.edits if e.target in targets and targets[e.target].ref == e.new)
    runs = tuple(_runs(sheet, record.edits))
    view = comments.PromotionView(
        changes=tuple(comments.PromotionChange(e.target, targets[e.target].url, e.old, e.new) for e in present),
        held=_held(sheet, record.branch, present),
        runs=runs,
        notices=("merged",),
        prefix="",
    )
    told = not _report(sheet, merge_request, record.branch, comments.promotion_report(view), record)
    good = {run.target for run in runs if run.status is RunStatus.SUCCEEDED}
    ended = all(each.target in good for each in present)
    late = record.changed_at is not None and sheet.now - record.changed_at > FOLLOWED
    if told and (ended or late):
        forget(sheet, record)


def _report_change(sheet: Sheet, merge_request: MergeRequest) -> None:
    """The plan on a merge request of a person; none where nothing of it concerns the bot."""
    view = preview.change(sheet, merge_request)
    if view is None:
        return
    view = replace(view, answers=sections(sheet, merge_request.iid, ()))
    view = replace(view, notices=(*view.notices, *_given_up(sheet, merge_request.source_branch)))
    note, _ = _previous(sheet, merge_request)
    if view.starts or view.held or view.notices or view.answers or note:
        _report(sheet, merge_request, merge_request.source_branch, comments.change_report(view))
