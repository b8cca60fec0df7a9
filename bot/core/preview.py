"""Preview: what the merge of a person's merge request would start, judged by the same gates as everything else."""

from __future__ import annotations

from collections.abc import Iterable

from bot.core import diff, promotion, triggers
from bot.core.branches import is_own
from bot.core.gates import gates, holding
from bot.core.sheet import Sheet
from bot.core.sources import Missing, Offer, offer_of
from bot.model.desired import Target
from bot.model.observed import BranchDiff, MergeRequest, MergeRequestStatus, Proposal, Unreachable
from bot.model.plan import Held
from bot.render import comments

MOST = 20
"""Targets that are named one by one."""


def of_people(sheet: Sheet) -> Iterable[MergeRequest]:
    """Open merge requests of people that touch YAML files of the config, or on which somebody has asked something."""
    for merge_request in sorted(sheet.context.observed.merge_requests.values(), key=lambda each: each.iid):
        if is_own(sheet, merge_request) or merge_request.state is not MergeRequestStatus.OPENED:
            continue
        if str(merge_request.iid) in sheet.state.questions:
            yield merge_request
            continue
        compared = sheet.facts.diff(merge_request.iid)
        if isinstance(compared, BranchDiff) and any(_is_data(sheet, change.path) for change in compared.changes):
            yield merge_request


def _is_data(sheet: Sheet, path: str) -> bool:
    folder = sheet.context.settings.data_dir
    return path.endswith((".yml", ".yaml")) and (folder == "." or path.startswith(f"{folder}/"))


def change(sheet: Sheet, merge_request: MergeRequest) -> comments.ChangeView | None:
    """What the report says; None while the config after the merge is yet to be read."""
    proposal = sheet.facts.proposal(merge_request.iid)
    prefix = sheet.context.settings.commands.prefix
    if proposal is None:
        return None
    if isinstance(proposal, Unreachable):
        return comments.ChangeView(notices=(f"no plan: {proposal.text}",), prefix=prefix)
    starts: list[comments.StartLine] = []
    held: list[Held] = []
    for target in proposal.changed.values():
        before = sheet.context.desired.targets.get(target.id)
        if target.disable:
            continue
        start = _start(sheet, target)
        if start is None:
            continue
        starts.append(start)
        held += _held(sheet, before, target)
    return comments.ChangeView(tuple(starts), tuple(held), tuple(_notices(proposal)), prefix=prefix)


def _offer(sheet: Sheet, target: Target) -> Offer:
    """What the target would run; what is missing yet is waited for after the merge."""
    offer = offer_of(sheet.facts, target, sheet.target_state(target.id))
    if isinstance(offer, Missing):
        return offer.offer
    return Offer("") if isinstance(offer, Unreachable) else offer


def _start(sheet: Sheet, target: Target) -> comments.StartLine | None:
    config = diff.canonical(diff.effective(target))
    record = sheet.target_state(target.id)
    offer = _offer(sheet, target)
    if not offer.sha and record is not None:
        offer = Offer(record.sha, record.sources)
    reasons = triggers.reasons_of(sheet, target, record, config, offer)
    return comments.StartLine(target.id, reasons) if reasons else None


def _held(sheet: Sheet, before: Target | None, target: Target) -> Iterable[Held]:
    sha = _offer(sheet, target).sha
    moved = before is not None and bool(target.promotion.subscribe) and before.ref != target.ref
    if before is not None and moved:
        candidate = promotion.candidate(target, sha, person=True, current=before.ref)
    else:
        digest = diff.config_hash(diff.canonical(diff.effective(target)))
        candidate = triggers.candidate(sheet, target, sha, digest, frozenset())
    for verdict in holding(gates(candidate, sheet)):
        yield Held(f"target:{target.id}", verdict.gate, verdict.text, verdict.until)


def _notices(proposal: Proposal) -> Iterable[str]:
    for path, text in proposal.invalid.items():
        yield f"{path} would be invalid: {text}"
    gone = proposal.gone
    for each in gone[:MOST]:
        yield f"{each} would be gone from the config; nothing is undeployed, `delete: true` does that"
    if len(gone) > MOST:
        yield f"and {len(gone) - MOST} more targets would be gone"
