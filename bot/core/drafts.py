"""Drafts: the actions that open, rebuild and close a merge request, with their final bytes (DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from bot.core.batches import Batch
from bot.core.branches import Branch
from bot.core.excerpts import vetoes_mark
from bot.core.sheet import Sheet
from bot.model.observed import MergeRequest, MergeRequestStatus
from bot.model.plan import (
    CloseMergeRequest,
    Commit,
    Gate,
    OpenMergeRequest,
    RegenerateMergeRequest,
    SplitMergeRequest,
    UpdateMergeRequest,
)
from bot.model.runs import Reason
from bot.model.state import Edit
from bot.render import comments
from bot.render.words import short
from bot.render.yaml_edit import Edited, ScalarEdit, edit


@lru_cache(maxsize=512)
def edited(blob: bytes, edits: tuple[ScalarEdit, ...]) -> Edited:
    """The file with these edits; a decision asks for the same ones in each of its rounds."""
    return edit(blob, edits)


@dataclass(frozen=True, slots=True)
class Built:
    """The final bytes of a batch, and the edits that could not be made safely."""

    files: dict[str, bytes]
    edits: tuple[Edit, ...]


def open_batch(sheet: Sheet, batch: Batch) -> None:
    """Open a merge request for a batch, if the settings allow one more."""
    taken = holder_of(sheet, batch.branch)
    if taken is not None:
        for each in batch.edits:
            why = f"!{taken.iid} of {taken.author} uses the branch {batch.branch}, which is the bot's"
            sheet.hold(f"target:{each.target}", Gate.HUMAN_COMMIT, why)
        return
    limit = sheet.context.settings.promotions.max_open
    if sheet.opened >= limit:
        for each in batch.edits:
            many = f"{sheet.opened} merge requests are open (promotions.maxOpen {limit})"
            sheet.hold(f"target:{each.target}", Gate.BUDGET, many)
        return
    built = _build(sheet, batch.edits)
    if built is None or not built.edits:
        return
    sheet.opened += 1
    text = comments.title_and_description(built.edits, batch.key, rollback=_rolls_back(sheet, built.edits))
    sheet.actions.append(
        OpenMergeRequest(
            subject=f"merge-request:{batch.branch}",
            batch=batch.key,
            part=batch.part,
            commit=Commit(
                batch.branch,
                sheet.context.observed.base,
                text.commit_message,
                built.files,
                expected_head=sheet.facts.branch_head(batch.branch),
            ),
            title=text.title,
            description=text.description,
            labels=("saasbot",),
            edits=built.edits,
            reasons=tuple(_why(sheet, each) for each in built.edits[:20]),
        )
    )


def holder_of(sheet: Sheet, branch: str) -> MergeRequest | None:
    """The open merge request on a branch, whoever opened it."""
    return next((mr for mr in sheet.context.observed.merge_requests.values() if _holds(mr, branch)), None)


def _holds(merge_request: MergeRequest, branch: str) -> bool:
    return merge_request.state is MergeRequestStatus.OPENED and merge_request.source_branch == branch


def rebuild(
    sheet: Sheet,
    open_branch: Branch,
    edits: tuple[Edit, ...],
    kind: type[UpdateMergeRequest | RegenerateMergeRequest | SplitMergeRequest],
    why: str,
    *,
    keep: bool = False,
) -> None:
    """Build the branch anew from the present base, in the same merge request."""
    built = _build(sheet, edits)
    if built is None or not built.edits:
        return
    record = open_branch.record
    text = comments.title_and_description(built.edits, record.batch, rollback=_rolls_back(sheet, built.edits))
    commit = Commit(
        branch=open_branch.name,
        parent=sheet.context.observed.base,
        message=text.commit_message,
        files=built.files,
        expected_head=open_branch.merge_request.head_sha,
        keep=open_branch.merge_request.head_sha if keep else "",
    )
    tag = {UpdateMergeRequest: "newer", RegenerateMergeRequest: "regenerate", SplitMergeRequest: "split"}[kind]
    sheet.actions.append(
        kind(
            subject=open_branch.subject,
            iid=open_branch.merge_request.iid,
            batch=record.batch,
            part=record.part,
            commit=commit,
            title=text.title,
            description=text.description,
            edits=built.edits,
            reasons=(Reason(tag, why),),
        )
    )


def update_texts(sheet: Sheet, open_branch: Branch) -> None:
    """Let title and description tell of the present content; nothing is pushed."""
    record = open_branch.record
    text = comments.title_and_description(
        open_branch.edits, record.batch, rollback=_rolls_back(sheet, open_branch.edits)
    )
    head = open_branch.merge_request.head_sha
    sheet.actions.append(
        UpdateMergeRequest(
            subject=open_branch.subject,
            iid=open_branch.merge_request.iid,
            batch=record.batch,
            part=record.part,
            commit=Commit(open_branch.name, record.base, text.commit_message, {}, expected_head=head),
            title=text.title,
            description=text.description,
            edits=open_branch.edits,
            reasons=(Reason("texts", "its title and description are behind its branch"),),
        )
    )


def close_branch(sheet: Sheet, open_branch: Branch, kind: str, why: str) -> None:
    """Close a merge request, saying why."""
    sheet.opened -= 1
    sheet.actions.append(
        CloseMergeRequest(
            subject=open_branch.subject,
            iid=open_branch.merge_request.iid,
            branch=open_branch.name,
            comment=comments.closing_comment(kind, why) + vetoes_mark(sheet, open_branch.edits),
            reasons=(Reason(kind, why),),
        )
    )


def _build(sheet: Sheet, edits: Iterable[Edit]) -> Built | None:
    """The bytes of all files with these edits, on the present base; None while a file is yet to be read."""
    targets = sheet.context.desired.targets
    by_file: dict[str, list[Edit]] = {}
    for each in edits:
        target = targets.get(each.target)
        if target is not None and target.ref != each.new:
            by_file.setdefault(target.file, []).append(replace(each, file=target.file, old=target.ref))
    files: dict[str, bytes] = {}
    made: list[Edit] = []
    for file, own in sorted(by_file.items()):
        blob = sheet.facts.blob(file)
        if blob is None:
            return None
        by_pointer = {targets[each.target].pointer: each for each in own}
        made_of = edited(blob, tuple(ScalarEdit(pointer, e.old, e.new) for pointer, e in by_pointer.items()))
        refused = {each.pointer: each.reason for each in made_of.unsafe}
        for pointer, reason in refused.items():
            sheet.hold(f"target:{by_pointer[pointer].target}", Gate.UNSAFE_EDIT, f"{file}: {reason}")
        made += [each for pointer, each in by_pointer.items() if pointer not in refused]
        if made_of.content != blob:
            files[file] = made_of.content
    return Built(files, tuple(sorted(made, key=lambda each: (each.file, each.target))))


def _rolls_back(sheet: Sheet, edits: tuple[Edit, ...]) -> bool:
    """Whether every edit is a rollback that somebody asked for."""
    return all(is_rollback(sheet, each) for each in edits)


def is_rollback(sheet: Sheet, each: Edit) -> bool:
    """Whether somebody asked for this edit by `rollback`."""
    request = sheet.state.requests.get(each.target)
    return request is not None and request.rollback and request.sha == each.new


def _why(sheet: Sheet, each: Edit) -> Reason:
    request = sheet.state.requests.get(each.target)
    move = f"{each.target} {short(each.old)} -> {short(each.new)}"
    if request is not None:
        return Reason("rollback" if request.rollback else "promote", f"{move}, asked for by {request.by}")
    return Reason("promotion", f"{move}, published and past every gate")
