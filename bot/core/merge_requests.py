"""Merge requests: from choices to opened, updated, regenerated, split, merged and closed ones (DESIGN section 5).

The content is a function of batch key, edits and base; whatever differs from that on a branch of the bot is built
anew, in the same merge request. Nothing is pushed that changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from bot.core.batches import Batch, content, cut, file_keys
from bot.core.branches import TEXTS, Branch, Lock, forget, note_failures, own_branches, remember
from bot.core.drafts import close_branch, edited, is_rollback, open_batch, rebuild, update_texts
from bot.core.gates import gates, holding
from bot.core.merging import merge, stop, withdraw
from bot.core.promotion import Choice, candidate, choices
from bot.core.released import is_release, turn_down
from bot.core.sheet import Sheet
from bot.model.desired import Target
from bot.model.observed import MergeRequestStatus
from bot.model.plan import (
    Action,
    CloseMergeRequest,
    Gate,
    MergeHow,
    MergeMergeRequest,
    RecordState,
    RegenerateMergeRequest,
    SplitMergeRequest,
    UpdateMergeRequest,
)
from bot.model.runs import Reason
from bot.model.state import Edit, MergeRequestState, Veto
from bot.render.words import short
from bot.render.yaml_edit import ScalarEdit
from bot.settings import Regenerate

GIVES_UP = frozenset({Gate.PUBLISHED, Gate.SAME_SHA, Gate.BLOCKED_VERSION, Gate.VETOED, Gate.GOING_BACK})
"""Gates whose no takes a version out of an open merge request; any other no only waits."""

LOCKED = {
    Lock.HUMAN_COMMIT: (Gate.HUMAN_COMMIT, "a person has committed to this branch; `regenerate [--discard-edits]`"),
    Lock.HOLD: (Gate.HOLD, "held by {by}{reason}; `unhold` lets it go"),
    Lock.APPROVED: (Gate.HOLD, "approved or set to merge: left alone, newer versions follow after it"),
    Lock.CI_RUNNING: (Gate.RUN_IN_FLIGHT, "its CI is running: not disturbed, what is newer follows after it"),
    Lock.DRAFT: (Gate.HOLD, "a draft: left alone, newer versions follow when it is ready"),
    Lock.INVALID: (Gate.INVALID, "a file that it changes is invalid on the base"),
}  # fmt: skip

GIVES_WAY = timedelta(minutes=1)
"""How soon to look again whether a merge request has given up a file that belongs to another one now."""


def tend_merge_requests(sheet: Sheet) -> tuple[Branch, ...]:
    """Do all that is due on the bot's promotions; returns all of its merge requests that were open before."""
    unread = _note_ended(sheet)
    opened = own_branches(sheet)
    branches = tuple(each for each in opened if not is_release(each.record.batch))
    note_failures(sheet, branches)
    sheet.opened = len(opened)
    due_now = {target: e for target, e in _wanted(sheet, branches, choices(sheet)).items() if e.file not in unread}
    wanted = _safe(sheet, branches, due_now)
    batches = {name: _free(sheet, branches, batch) for name, batch in _batches(sheet, branches, wanted).items()}
    by_branch = {each.name: each for each in branches}
    for open_branch in branches:
        due = content(each for each in wanted if each.file in open_branch.files)
        before = len(sheet.actions)
        _tend(sheet, open_branch, batches.get(open_branch.name), due)
        if open_branch.record.asked == TEXTS and not any(map(_says_itself, sheet.actions[before:])):
            update_texts(sheet, open_branch)
    for batch in batches.values():
        if batch.branch not in by_branch and batch.edits:
            open_batch(sheet, batch)
    return opened


def _free(sheet: Sheet, branches: tuple[Branch, ...], batch: Batch) -> Batch:
    """The batch without files that another open merge request has and is to give up.

    A whole pass makes it do so first; a decision about one merge request alone waits for that.
    """
    if sheet.context.focus is None:
        return batch
    others = {file: each for each in branches if each.name != batch.branch for file in each.files}
    taken = {edit.file: others[edit.file].merge_request.iid for edit in batch.edits if edit.file in others}
    for file, iid in sorted(taken.items()):
        until = sheet.now + GIVES_WAY
        sheet.hold(f"merge-request:{batch.branch}", Gate.HOLD, f"{file} follows when !{iid} has given it up", until)
    free = tuple(edit for edit in batch.edits if edit.file not in taken)
    return replace(batch, edits=free) if taken else batch


def _says_itself(action: Action) -> bool:
    """Whether it sets the texts of a merge request, or ends it."""
    merged = isinstance(action, MergeMergeRequest) and action.how is MergeHow.NOW
    return merged or isinstance(
        action, UpdateMergeRequest | RegenerateMergeRequest | SplitMergeRequest | CloseMergeRequest
    )


def _note_ended(sheet: Sheet) -> frozenset[str]:
    """Merged: forget it. Closed by a human: veto each (target, sha) in it until a newer version comes.

    Returns the files of what was merged after the base was read: what is due in them is told by the next pass.
    """
    targets = sheet.context.desired.targets
    unread: set[str] = set()
    for record in list(sheet.state.merge_requests.values()):
        seen = sheet.context.observed.merge_requests.get(record.iid)
        if record.merged or (seen is not None and seen.state is MergeRequestStatus.OPENED):
            continue
        if seen is not None and seen.state is MergeRequestStatus.MERGED:
            remember(sheet, replace(record, merged=True))
            unread |= {e.file for e in record.edits if e.target in targets and targets[e.target].ref == e.old}
            continue
        closed = seen is not None and seen.state is MergeRequestStatus.CLOSED
        if seen is not None and closed and seen.closed_by != sheet.context.observed.me:
            _veto(sheet, record, seen.closed_by or "somebody")
        forget(sheet, record)
    return frozenset(unread)


def _veto(sheet: Sheet, record: MergeRequestState, by: str) -> None:
    if is_release(record.batch):
        turn_down(sheet, record, by)
        return
    vetoes = tuple(Veto(each.target, each.new, by, sheet.now) for each in record.edits)
    targets = {each.target for each in record.edits}
    sheet.state = replace(
        sheet.state,
        vetoes=(*sheet.state.vetoes, *vetoes),
        requests={key: value for key, value in sheet.state.requests.items() if key not in targets},
    )
    text = f"{by} closed !{record.iid}: its {len(vetoes)} versions wait for newer ones"
    sheet.actions.append(RecordState(f"merge-request:{record.branch}", (Reason("vetoed", text),)))


def _wanted(sheet: Sheet, branches: tuple[Branch, ...], made: tuple[Choice, ...]) -> dict[str, Edit]:
    """By target: the edit that some merge request should hold."""
    targets = sheet.context.desired.targets
    wanted = {c.target.id: Edit(c.target.id, c.target.file, c.target.ref, c.sha) for c in made if c.passed}
    for open_branch in branches:
        for present in open_branch.edits:
            target = targets.get(present.target)
            if target is None or target.id in wanted or target.ref == present.new:
                continue
            if _still_good(sheet, target, present.new):
                wanted[target.id] = Edit(target.id, target.file, target.ref, present.new)
    return wanted


def _still_good(sheet: Sheet, target: Target, sha: str) -> bool:
    """Whether a version stays in its open merge request although it passes not every gate just now."""
    request = sheet.state.requests.get(target.id)
    asked = request is not None and request.sha in ("", sha)
    if target.disable or target.delete or not (target.promotion.auto or asked):
        return False
    held = {verdict.gate for verdict in holding(gates(candidate(target, sha, person=asked), sheet))}
    return not held & GIVES_UP


def _safe(sheet: Sheet, branches: tuple[Branch, ...], wanted: dict[str, Edit]) -> tuple[Edit, ...]:
    """Leave out what cannot be edited safely; what an open merge request holds already was safe."""
    held = {(each.target, each.old, each.new) for each_branch in branches for each in each_branch.edits}
    fresh = [each for each in wanted.values() if (each.target, each.old, each.new) not in held]
    for file in sorted({each.file for each in fresh}):
        blob = sheet.facts.blob(file)
        if blob is None:
            continue
        by_pointer = {sheet.context.desired.targets[e.target].pointer: e for e in fresh if e.file == file}
        for refused in edited(blob, tuple(ScalarEdit(p, e.old, e.new) for p, e in by_pointer.items())).unsafe:
            each = by_pointer[refused.pointer]
            sheet.unsafe[each.target] = f"{file}: {refused.reason}"
            sheet.hold(f"target:{each.target}", Gate.UNSAFE_EDIT, sheet.unsafe[each.target])
    return tuple(each for each in wanted.values() if each.target not in sheet.unsafe)


def _batches(sheet: Sheet, branches: tuple[Branch, ...], wanted: tuple[Edit, ...]) -> dict[str, Batch]:
    """Cut what is wanted into batches, by branch; locked merge requests keep their files to themselves."""
    if not wanted:
        return {}
    settings = sheet.context.settings.promotions
    keys = file_keys(sheet.context.desired, settings.batch_by)
    locked = frozenset(file for each in branches if each.lock is not Lock.NONE for file in each.files)
    failed = tuple(each.content for each in sheet.state.failed_contents)
    groups: dict[str, list[Edit]] = {}
    for each in _after_rollbacks(sheet, wanted):
        if each.file not in locked:
            key = keys[each.file]
            groups.setdefault(f"rollback/{key}" if is_rollback(sheet, each) else key, []).append(each)
    found: dict[str, Batch] = {}
    for key, edits in sorted(groups.items()):
        own = [b for b in branches if b.record.batch == key]
        split = key in sheet.state.splits
        before = {b.record.part: _kept_files(b, split=split) for b in own if b.lock is Lock.NONE}
        taken = frozenset(b.record.part for b in own if b.lock is not Lock.NONE)
        size = 1 if split else settings.max_batch
        result = cut(key, edits, before, failed, size, taken)
        found.update((batch.branch, batch) for batch in result.batches)
        for each in result.waiting:
            sheet.hold(f"target:{each.target}", Gate.FAILED, "waits for the other half of a batch whose CI failed")
    return found


def _after_rollbacks(sheet: Sheet, wanted: tuple[Edit, ...]) -> Iterable[Edit]:
    """Leave a file to its rollback: it must not wait for, or bring along, a promotion of a neighbour."""
    files = frozenset(each.file for each in wanted if is_rollback(sheet, each))
    for each in wanted:
        if each.file not in files or is_rollback(sheet, each):
            yield each
        else:
            sheet.hold(f"target:{each.target}", Gate.HOLD, f"follows after the rollback in {each.file}")


def _kept_files(open_branch: Branch, *, split: bool) -> frozenset[str]:
    """The files that an open merge request keeps: all, but one where a command cut it, none where one joins it."""
    if open_branch.record.asked == "group":
        return frozenset()
    return frozenset(sorted(open_branch.files)[:1]) if split else open_branch.files


def _tend(sheet: Sheet, open_branch: Branch, batch: Batch | None, due: frozenset[str]) -> None:
    """Look after one open merge request; `due` is what should be in its files by now."""
    remember(sheet, open_branch.record)
    targets = sheet.context.desired.targets
    left = tuple(e for e in open_branch.edits if e.target not in targets or targets[e.target].ref != e.new)
    if not open_branch.merge_request.head_sha:
        close_branch(sheet, open_branch, "withdrawn", "its branch is gone; what is still due comes in a new one")
    elif open_branch.record.asked == "close":
        close_branch(sheet, open_branch, "ignored", "a command said to ignore it")
    elif not left and open_branch.lock is not Lock.HUMAN_COMMIT:
        close_branch(sheet, open_branch, "done", "all of it is on the base already")
    elif open_branch.record.asked in ("keep", "discard") and (batch is not None or open_branch.lock is not Lock.NONE):
        _carry_out_regenerate(sheet, open_branch, left if batch is None else batch.edits)
    elif open_branch.lock is not Lock.NONE:
        _tend_locked(sheet, open_branch, left, due)
    elif batch is None or not batch.edits:
        close_branch(sheet, open_branch, "withdrawn", "nothing in it is wanted any more")
    else:
        _tend_free(sheet, open_branch, batch)


def _carry_out_regenerate(sheet: Sheet, open_branch: Branch, left: tuple[Edit, ...]) -> None:
    keep = open_branch.record.asked == "keep" and open_branch.lock is Lock.HUMAN_COMMIT
    if not left:
        remember(sheet, replace(open_branch.record, asked=""))
        return
    rebuild(sheet, open_branch, left, RegenerateMergeRequest, "a command asked for it", keep=keep)


def _tend_locked(sheet: Sheet, open_branch: Branch, left: tuple[Edit, ...], due: frozenset[str]) -> None:
    gate, text = LOCKED[open_branch.lock]
    hold = open_branch.record.hold
    by, why = (hold.by, f": {hold.reason}" if hold.reason else "") if hold is not None else ("", "")
    waits = open_branch.lock in (Lock.APPROVED, Lock.CI_RUNNING, Lock.DRAFT)
    if not waits or due != content(left):
        sheet.hold(open_branch.subject, gate, text.format(by=by, reason=why))
    cured = open_branch.lock in (Lock.APPROVED, Lock.DRAFT)
    if cured and open_branch.merge_request.has_conflicts:
        rebuild(sheet, open_branch, left, RegenerateMergeRequest, "the base moved and the branch conflicts")
        return
    if open_branch.lock is Lock.HOLD:
        stop(sheet, open_branch, f"held by {by}")
    elif open_branch.lock is Lock.APPROVED or (open_branch.lock is Lock.CI_RUNNING and due == content(left)):
        merge(sheet, open_branch)
    else:
        withdraw(sheet, open_branch, text)


def _tend_free(sheet: Sheet, open_branch: Branch, batch: Batch) -> None:
    present, due = content(open_branch.edits), batch.content
    merge_request = open_branch.merge_request
    behind = open_branch.record.base != sheet.context.observed.base
    if due < present and content(open_branch.edits) in {f.content for f in sheet.state.failed_contents}:
        rebuild(
            sheet, open_branch, batch.edits, SplitMergeRequest, f"its CI failed: cut to {len(due)} of {len(present)}"
        )
    elif due < present and batch.key in sheet.state.splits:
        rebuild(sheet, open_branch, batch.edits, SplitMergeRequest, "a command asked to cut the batch")
    elif due != present:
        rebuild(sheet, open_branch, batch.edits, UpdateMergeRequest, _difference(open_branch.edits, batch.edits))
    elif merge_request.has_conflicts:
        reason = "the base moved and the branch conflicts"
        rebuild(sheet, open_branch, batch.edits, RegenerateMergeRequest, reason)
    elif behind and sheet.context.settings.promotions.regenerate is Regenerate.BEHIND:
        rebuild(sheet, open_branch, batch.edits, RegenerateMergeRequest, "the base moved")
    else:
        if open_branch.record.asked not in ("", TEXTS):
            remember(sheet, replace(open_branch.record, asked=""))
        merge(sheet, open_branch)


def _difference(old: tuple[Edit, ...], new: tuple[Edit, ...]) -> str:
    before = {each.target: each.new for each in old}
    moved = [
        f"{e.target} {short(before.get(e.target, e.old))} -> {short(e.new)}"
        for e in new
        if before.get(e.target) != e.new
    ]
    gone = sorted(before.keys() - {each.target for each in new})
    words = [*moved[:5], *(f"{target} taken out" for target in gone[:5])]
    more = len(moved) + len(gone) - len(words)
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")
