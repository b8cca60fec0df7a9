"""Merging: when the bot merges by itself, or lets the forge do so as soon as the CI is green (`promotions.merge`)."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from bot.core.branches import Branch, remember
from bot.core.gates import Candidate, gates, holding
from bot.core.promotion import candidate
from bot.core.sheet import Sheet
from bot.model.observed import CiStatus, MergeRequest
from bot.model.plan import MergeHow, MergeMergeRequest, Verdict
from bot.model.runs import Reason
from bot.model.state import Edit
from bot.settings import Merge


def merge(sheet: Sheet, open_branch: Branch) -> None:
    """Merge by the settings' policy, if every version in it still passes every gate: now, or when its CI is green."""
    policy = sheet.context.settings.promotions.merge
    merge_request = open_branch.merge_request
    how = _how(policy, merge_request)
    if how is None:
        withdraw(sheet, open_branch, "it is not to be merged as it is now")
        return
    stops = [v for each in open_branch.edits for v in _verdicts(sheet, each)]
    for verdict in stops[:1]:
        sheet.hold(open_branch.subject, verdict.gate, verdict.text, verdict.until)
        withdraw(sheet, open_branch, verdict.text)
    if merge_request.auto_merge and merge_request.auto_merge_by == sheet.context.observed.me:
        remember(sheet, replace(open_branch.record, auto_merge=merge_request.head_sha))  # the answer may have been lost
    # What the forge made of it at this head is known: it may be set to merge, or have nothing to wait for.
    asked = merge_request.auto_merge or open_branch.record.auto_merge == merge_request.head_sha
    if not stops and not (how is MergeHow.WHEN_GREEN and asked):
        reason = Reason("merge", f"promotions.merge is {policy} and every gate passes")
        _act(sheet, open_branch, how, reason)


def withdraw(sheet: Sheet, open_branch: Branch, why: str) -> None:
    """Take back that it merges by itself, if the bot has set it so: a forge that merges by itself asks no gate."""
    merge_request = open_branch.merge_request
    by = merge_request.auto_merge_by
    ours = by == sheet.context.observed.me if by else open_branch.record.auto_merge == merge_request.head_sha
    if ours:
        stop(sheet, open_branch, why)


def stop(sheet: Sheet, open_branch: Branch, why: str) -> None:
    """Take back that it merges by itself, whoever has set it so."""
    if open_branch.merge_request.auto_merge:
        _act(sheet, open_branch, MergeHow.NOT_WHEN_GREEN, Reason("hold", why))
    elif open_branch.record.auto_merge:  # it was taken back before, and the answer to that was lost
        remember(sheet, replace(open_branch.record, auto_merge=""))


def _how(policy: Merge, merge_request: MergeRequest) -> MergeHow | None:
    """How the policy would merge this one if no gate holds it; None where it would not."""
    if policy is Merge.NEVER or merge_request.draft or merge_request.has_conflicts:
        return None
    if policy is Merge.WHEN_APPROVED and not merge_request.approved_by:
        return None
    match merge_request.ci:
        case CiStatus.NONE | CiStatus.SUCCESS:
            return MergeHow.NOW
        case CiStatus.RUNNING:
            return MergeHow.WHEN_GREEN if policy is Merge.WHEN_PIPELINE_SUCCEEDS else None
        case CiStatus.FAILED | CiStatus.WAITING:
            return None
        case _:
            assert_never(merge_request.ci)


def _act(sheet: Sheet, open_branch: Branch, how: MergeHow, reason: Reason) -> None:
    merge_request = open_branch.merge_request
    sheet.actions.append(
        MergeMergeRequest(open_branch.subject, merge_request.iid, merge_request.head_sha, (reason,), how)
    )


def _verdicts(sheet: Sheet, each: Edit) -> tuple[Verdict, ...]:
    target = sheet.context.desired.targets.get(each.target)
    if target is None:
        return ()
    request = sheet.state.requests.get(each.target)
    asked: Candidate = candidate(target, each.new, person=request is not None)
    return holding(gates(asked, sheet))
