"""Write-backs: the merge requests that say in the config what a release has built (SYSTEMS RP-12)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.core.batches import branch as branch_name
from bot.core.branches import TEXTS, Branch, Lock, remember
from bot.core.drafts import close_branch, holder_of
from bot.core.merge_requests import LOCKED
from bot.core.merging import merge, stop, withdraw
from bot.core.released import WriteBack, batch_key, digest, is_release, manifest_of, take_over, turn_down, write_back
from bot.core.sheet import Sheet
from bot.model.plan import Commit, Gate, OpenMergeRequest, RegenerateMergeRequest, UpdateMergeRequest
from bot.model.rounds import TriggerState
from bot.model.runs import Reason
from bot.model.triggers import Trigger
from bot.render.releases import ReleaseTexts, release_texts


def tend_write_backs(sheet: Sheet, branches: Iterable[Branch]) -> None:
    """Do all that is due on the merge requests of releases; `branches` are the bot's own that are open."""
    own = {each.name: each for each in branches if is_release(each.record.batch)}
    for trigger in sheet.context.desired.triggers.values():
        record = sheet.state.triggers.get(trigger.name)
        if record is not None and manifest_of(trigger):
            _tend(sheet, trigger, record, own.pop(branch_name(batch_key(trigger.name), 1), None))
    for left in own.values():
        remember(sheet, left.record)
        if left.lock is not Lock.HUMAN_COMMIT and not _invalid(sheet, left):
            close_branch(sheet, left, "withdrawn", "its definition left the config")


def _invalid(sheet: Sheet, open_branch: Branch) -> bool:
    """Whether its definition is only hidden by an error."""
    names = {edit.target.removeprefix("job:").partition("/")[0] for edit in open_branch.edits}
    records = (sheet.state.triggers.get(name) for name in names)
    return any(each is not None and each.file in sheet.context.desired.invalid_triggers for each in records)


def _tend(sheet: Sheet, trigger: Trigger, record: TriggerState, open_branch: Branch | None) -> None:
    if open_branch is not None:
        remember(sheet, open_branch.record)
        record = take_over(trigger, record, open_branch.edits)
        sheet.put_trigger(record)
    wish = write_back(sheet, trigger, record)
    if isinstance(wish, str):
        sheet.hold(f"trigger:{trigger.name}", Gate.UNSAFE_EDIT, wish)
    elif wish is not None and open_branch is not None:
        before = len(sheet.actions)
        _tend_open(sheet, trigger, wish, open_branch)
        if open_branch.record.asked == TEXTS and open_branch.edits == wish.edits and len(sheet.actions) == before:
            _update_texts(sheet, trigger, wish, open_branch)
    elif wish is not None and wish.edits and not _just_merged(sheet, trigger):
        _open(sheet, trigger, record, wish)


def _just_merged(sheet: Sheet, trigger: Trigger) -> bool:
    """Whether it was merged after the base was read: the next pass sees what is left."""
    key = batch_key(trigger.name)
    return any(each.merged and each.batch == key for each in sheet.state.merge_requests.values())


def _open(sheet: Sheet, trigger: Trigger, record: TriggerState, wish: WriteBack) -> None:
    subject = f"trigger:{trigger.name}"
    name = branch_name(batch_key(trigger.name), 1)
    taken = holder_of(sheet, name)
    if record.turned_down == digest(wish.edits):
        sheet.hold(subject, Gate.VETOED, "a person closed the merge request that says what was released")
    elif taken is not None:
        text = f"!{taken.iid} of {taken.author} uses the branch {name}, which is the bot's"
        sheet.hold(subject, Gate.HUMAN_COMMIT, text)
    else:
        sheet.opened += 1
        texts = _texts(trigger, wish)
        sheet.actions.append(
            OpenMergeRequest(
                subject=f"merge-request:{name}",
                batch=batch_key(trigger.name),
                part=1,
                commit=_commit(sheet, trigger, wish, texts, name, sheet.facts.branch_head(name)),
                title=texts.title,
                description=texts.description,
                labels=("saasbot",),
                edits=wish.edits,
                reasons=(Reason("released", f"{len(wish.edits)} components of {trigger.name} were released"),),
            )
        )


def _tend_open(sheet: Sheet, trigger: Trigger, wish: WriteBack, open_branch: Branch) -> None:
    asked = open_branch.record.asked
    if not open_branch.merge_request.head_sha:
        close_branch(sheet, open_branch, "withdrawn", "its branch is gone; what is still due comes in a new one")
    elif asked == "close":
        turn_down(sheet, open_branch.record, "a command")
        close_branch(sheet, open_branch, "ignored", "a command said to ignore it")
    elif not wish.edits and open_branch.lock is not Lock.HUMAN_COMMIT:
        close_branch(sheet, open_branch, "done", "all of it is on the base already")
    elif asked in ("keep", "discard") and wish.edits:
        keep = asked == "keep" and open_branch.lock is Lock.HUMAN_COMMIT
        _rebuild(sheet, trigger, wish, open_branch, RegenerateMergeRequest, "a command asked for it", keep=keep)
    elif open_branch.lock is not Lock.NONE:
        _tend_locked(sheet, trigger, wish, open_branch)
    elif open_branch.edits != wish.edits:
        _rebuild(sheet, trigger, wish, open_branch, UpdateMergeRequest, f"{len(wish.edits)} components by now")
    elif open_branch.merge_request.has_conflicts:
        why = "the base moved and the branch conflicts"
        _rebuild(sheet, trigger, wish, open_branch, RegenerateMergeRequest, why)
    else:
        if asked not in ("", TEXTS):
            remember(sheet, replace(open_branch.record, asked=""))
        merge(sheet, open_branch)


def _tend_locked(sheet: Sheet, trigger: Trigger, wish: WriteBack, open_branch: Branch) -> None:
    gate, text = LOCKED[open_branch.lock]
    hold = open_branch.record.hold
    by, why = (hold.by, f": {hold.reason}" if hold.reason else "") if hold is not None else ("", "")
    cured = open_branch.lock in (Lock.APPROVED, Lock.DRAFT)
    if cured and open_branch.merge_request.has_conflicts and wish.edits:
        why = "the base moved and the branch conflicts"
        _rebuild(sheet, trigger, wish, open_branch, RegenerateMergeRequest, why)
        return
    if open_branch.lock in (Lock.HUMAN_COMMIT, Lock.HOLD) or open_branch.edits != wish.edits:
        sheet.hold(open_branch.subject, gate, text.format(by=by, reason=why))
    if open_branch.lock is Lock.HOLD:
        stop(sheet, open_branch, f"held by {by}")
    elif open_branch.lock in (Lock.APPROVED, Lock.CI_RUNNING) and open_branch.edits == wish.edits:
        merge(sheet, open_branch)
    else:
        withdraw(sheet, open_branch, text)


def _rebuild(
    sheet: Sheet,
    trigger: Trigger,
    wish: WriteBack,
    open_branch: Branch,
    kind: type[UpdateMergeRequest | RegenerateMergeRequest],
    why: str,
    *,
    keep: bool = False,
) -> None:
    head = open_branch.merge_request.head_sha
    texts = _texts(trigger, wish)
    commit = _commit(sheet, trigger, wish, texts, open_branch.name, head)
    sheet.actions.append(
        kind(
            subject=open_branch.subject,
            iid=open_branch.merge_request.iid,
            batch=open_branch.record.batch,
            part=1,
            commit=replace(commit, keep=head) if keep else commit,
            title=texts.title,
            description=texts.description,
            edits=wish.edits,
            reasons=(Reason("newer" if kind is UpdateMergeRequest else "regenerate", why),),
        )
    )


def _update_texts(sheet: Sheet, trigger: Trigger, wish: WriteBack, open_branch: Branch) -> None:
    """Let title and description tell of what the branch holds; nothing is pushed."""
    record, texts = open_branch.record, _texts(trigger, wish)
    head = open_branch.merge_request.head_sha
    sheet.actions.append(
        UpdateMergeRequest(
            subject=open_branch.subject,
            iid=open_branch.merge_request.iid,
            batch=record.batch,
            part=1,
            commit=Commit(open_branch.name, record.base, texts.message, {}, expected_head=head),
            title=texts.title,
            description=texts.description,
            edits=wish.edits,
            reasons=(Reason("texts", "its title and description are behind its branch"),),
        )
    )


def _texts(trigger: Trigger, wish: WriteBack) -> ReleaseTexts:
    return release_texts(trigger.process or trigger.name, trigger.version, wish.edits, finished=wish.finished)


def _commit(
    sheet: Sheet, trigger: Trigger, wish: WriteBack, texts: ReleaseTexts, name: str, expected_head: str
) -> Commit:
    base = sheet.context.observed.base
    return Commit(name, base, texts.message, {manifest_of(trigger): wish.content}, expected_head=expected_head)
