"""Branches: what each open merge request of the bot holds, and whether it may be touched now (DESIGN section 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from bot.core.batches import PREFIX, batch_of, content
from bot.core.released import edits_of, is_release
from bot.core.sheet import Sheet
from bot.model.desired import is_sha
from bot.model.observed import BranchDiff, CiStatus, MergeRequest, MergeRequestStatus
from bot.model.plan import Gate
from bot.model.state import Edit, FailedContent, MergeRequestState, State
from bot.render.yaml_edit import ref_edits
from bot.settings import Update

TEXTS = "texts"
"""What a record of a merge request asks for whose title and description are behind its branch."""


class Lock(StrEnum):
    """Why the content of an open merge request stays as it is in this pass."""

    NONE = ""
    HUMAN_COMMIT = "human_commit"
    HOLD = "hold"
    APPROVED = "approved"
    CI_RUNNING = "ci_running"
    INVALID = "invalid"
    DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Branch:
    """An open merge request of the bot, with the edits that its branch holds now."""

    merge_request: MergeRequest
    record: MergeRequestState
    edits: tuple[Edit, ...]
    lock: Lock
    diff: BranchDiff | None

    @property
    def name(self) -> str:
        """The branch's name."""
        return self.merge_request.source_branch

    @property
    def subject(self) -> str:
        """The subject of everything said about it."""
        return f"merge-request:{self.name}"

    @property
    def files(self) -> frozenset[str]:
        """The files it touches, those of a person's commits included."""
        changes = self.diff.changes if self.diff is not None else ()
        return frozenset((*(edit.file for edit in self.edits), *(change.path for change in changes)))


def own_branches(sheet: Sheet) -> tuple[Branch, ...]:
    """The bot's open merge requests, in the order of their numbers; one with unknown content is left out this pass."""
    found = []
    for merge_request in sorted(sheet.context.observed.merge_requests.values(), key=lambda each: each.iid):
        if is_own(sheet, merge_request) and merge_request.state is MergeRequestStatus.OPENED:
            branch = _branch(sheet, merge_request)
            if branch is not None:
                found.append(branch)
    return tuple(found)


def is_own(sheet: Sheet, merge_request: MergeRequest) -> bool:
    """Whether a merge request is the bot's: on a branch of its name, and opened by it or on its record."""
    if not merge_request.source_branch.startswith(PREFIX):
        return False
    known = any(record.iid == merge_request.iid for record in sheet.state.merge_requests.values())
    return known or merge_request.author == sheet.context.observed.me


def _branch(sheet: Sheet, merge_request: MergeRequest) -> Branch | None:
    record = sheet.state.merge_requests.get(merge_request.source_branch)
    if record is not None and record.iid == merge_request.iid and record.head == merge_request.head_sha:
        return _judged(sheet, merge_request, record, record.edits, None)
    diff = sheet.facts.diff(merge_request.iid)
    if not isinstance(diff, BranchDiff):
        if diff is not None:
            sheet.hold(f"merge-request:{merge_request.source_branch}", Gate.UNREACHABLE, diff.text)
        return None
    batch, part = batch_of(merge_request.source_branch)
    desired = sheet.context.desired
    edits = edits_of(desired, diff, batch) if is_release(batch) else _edits(sheet, diff, record)
    if record is None or record.iid != merge_request.iid:
        record = MergeRequestState(
            merge_request.source_branch, merge_request.iid, batch, part, edits or (), diff.merge_base, "",
            opened_at=sheet.now, changed_at=sheet.now,
        )  # fmt: skip
    if edits is None:
        return Branch(merge_request, record, record.edits, Lock.HUMAN_COMMIT, diff)
    # The push was carried out, but what follows it was lost: its texts are still about the old content.
    asked = record.asked or (TEXTS if record.head and edits != record.edits else "")
    head, base = merge_request.head_sha, diff.merge_base
    record = replace(record, edits=edits, head=head, base=base, asked=asked, changed_at=sheet.now)
    remember(sheet, record)
    return _judged(sheet, merge_request, record, edits, diff)


def remember(sheet: Sheet, record: MergeRequestState) -> None:
    """Write the record of a merge request down."""
    sheet.state = with_record(sheet.state, record)


def forget(sheet: Sheet, record: MergeRequestState) -> None:
    """Drop the record of a merge request that is over."""
    sheet.state = without_record(sheet.state, record)


def with_record(state: State, record: MergeRequestState) -> State:
    """The state with this record. A merged one makes room for the next of its branch, under branch and number."""
    if record.merged:
        state = without_record(state, replace(record, merged=False))
    key = _key(record)
    if state.merge_requests.get(key) == record:
        return state
    return replace(state, merge_requests={**state.merge_requests, key: record})


def without_record(state: State, record: MergeRequestState) -> State:
    """The state without the record of this merge request."""
    kept = {key: value for key, value in state.merge_requests.items() if key != _key(record) or value.iid != record.iid}
    return replace(state, merge_requests=kept) if len(kept) != len(state.merge_requests) else state


def _key(record: MergeRequestState) -> str:
    return f"{record.branch}!{record.iid}" if record.merged else record.branch


def _judged(
    sheet: Sheet,
    merge_request: MergeRequest,
    record: MergeRequestState,
    edits: tuple[Edit, ...],
    diff: BranchDiff | None,
) -> Branch:
    return Branch(merge_request, record, edits, _lock(sheet, merge_request, record), diff)


def _lock(sheet: Sheet, merge_request: MergeRequest, record: MergeRequestState) -> Lock:
    if record.hold is not None:
        return Lock.HOLD
    desired = sheet.context.desired
    if any(edit.target in desired.invalid_targets or edit.file in desired.invalid for edit in record.edits):
        return Lock.INVALID
    if merge_request.draft:
        return Lock.DRAFT
    always = sheet.context.settings.promotions.update is Update.ALWAYS
    if not always and (merge_request.approved_by or merge_request.auto_merge):
        return Lock.APPROVED
    if merge_request.ci is CiStatus.RUNNING and not merge_request.has_conflicts:
        return Lock.CI_RUNNING
    return Lock.NONE


def _edits(sheet: Sheet, diff: BranchDiff, record: MergeRequestState | None) -> tuple[Edit, ...] | None:
    """The edits that a branch makes, or None where the bot could not have made it."""
    found: list[Edit] = []
    targets = {(target.file, target.pointer): target.id for target in sheet.context.desired.targets.values()}
    recorded = {(e.file, e.old, e.new): e.target for e in record.edits} if record is not None else {}
    for change in diff.changes:
        scalars = None if change.old is None or change.new is None else ref_edits(change.old, change.new)
        if scalars is None:
            return None
        for scalar in scalars:
            known = recorded.get((change.path, scalar.old, scalar.new)) or targets.get((change.path, scalar.pointer))
            if known is None or not is_sha(scalar.new):
                return None
            found.append(Edit(known, change.path, scalar.old, scalar.new))
    return tuple(sorted(found, key=lambda edit: (edit.file, edit.target)))


def note_failures(sheet: Sheet, branches: tuple[Branch, ...]) -> None:
    """Remember by content which merge requests failed their CI."""
    for branch in branches:
        merge_request = branch.merge_request
        forgiven = branch.record.forgiven == merge_request.head_sha
        if merge_request.ci is not CiStatus.FAILED or forgiven or branch.lock is Lock.HUMAN_COMMIT:
            continue
        failed = content(branch.edits)
        if failed and all(failed != known.content for known in sheet.state.failed_contents):
            entry = FailedContent(failed, sheet.now, merge_request.iid)
            sheet.state = replace(sheet.state, failed_contents=(*sheet.state.failed_contents, entry))
