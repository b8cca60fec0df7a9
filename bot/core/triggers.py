"""Triggers: which targets run, and for which reasons (DESIGN section 3).

Two reasons to start the same target give one run with two reasons. No other code starts anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from bot.core import diff
from bot.core.adoption import adopt, adopt_missing, present, publisher_configs, record_as, rerecord
from bot.core.follow import cancel, start
from bot.core.gates import ENDED_BADLY, Candidate, Occasion, gates, holding
from bot.core.renames import adopting, gone
from bot.core.sheet import Sheet
from bot.core.source_changes import FRESH, moved_sources
from bot.core.sources import Missing, Offer, follows_builds, known_build, offer_of, with_images
from bot.model.desired import Target
from bot.model.observed import Unreachable
from bot.model.plan import Gate, RecordState
from bot.model.runs import Reason, Run, RunAction, RunStatus
from bot.model.servers import OnNewer
from bot.model.state import TargetState
from bot.render.words import short

REMOVED_KEPT = timedelta(days=30)
"""How long the record of a removed target is kept."""

ROOM = frozenset({Gate.RUN_IN_FLIGHT, Gate.BUDGET})
"""Gates that the end of the run in flight opens: nothing else may hold what `onNewer: cancel` makes room for."""


def start_runs(sheet: Sheet) -> None:
    """Go through all targets: adopt, re-record, start or hold each; then note those that are gone."""
    for target in sheet.context.desired.targets.values():
        _consider(sheet, target)
    _hold_invalid(sheet)
    _removed(sheet)


def _consider(sheet: Sheet, target: Target) -> None:
    record = sheet.target_state(target.id)
    if record is not None:
        record = present(sheet, target, record)
    adopted = record is None and adopting(sheet.context)
    if target.disable and not adopted:
        return
    offer = offer_of(sheet.facts, target, record)
    if adopted:
        adopt(sheet, target, offer)
        return
    if not isinstance(offer, Offer):
        sheet.hold(f"target:{target.id}", Gate.UNREACHABLE, offer.text)
        if isinstance(offer, Missing):
            record = adopt_missing(sheet, record, offer)
            offer = _meanwhile(sheet, target, record)
    if not isinstance(offer, Offer):
        return
    config = diff.canonical(diff.effective(target))
    if record is not None:
        record = rerecord(sheet, target, record, config, offer)
    _start_or_hold(sheet, target, record, config, offer)


def _meanwhile(sheet: Sheet, target: Target, record: TargetState | None) -> Offer | Missing | Unreachable:
    """What a target runs while its newer commit waits: a changed configuration goes out at the commit it has."""
    if record is None or not record.sha or target.pinned or record.ref != target.ref:
        return Missing("has run nothing yet that could run again", Offer(""))
    build = known_build(target, record)
    if build is None and follows_builds(target):
        return Missing("has run no build yet of what it follows now", Offer(""))
    return with_images(sheet.facts, target, record.sha, build)


def reasons_of(
    sheet: Sheet, target: Target, record: TargetState | None, config: str, offer: Offer
) -> tuple[Reason, ...]:
    """Every reason to run this target now; empty if there is none."""
    sha = offer.sha
    if record is None:
        return (Reason("new_target", f"{target.id} is new at {target.ref} {short(sha)}"),)
    if target.delete:
        gone = record.deleted or (record.run is not None and record.run.action is RunAction.DELETE)
        reasons = [] if gone else [Reason("config_change", "marked to be deleted")]
        return (*reasons, *_again(sheet, target, record, diff.hash_of(config, record), sha))
    reasons = []
    if record.deleted or (record.run is not None and record.run.action is RunAction.DELETE):
        reasons.append(Reason("new_target", f"{target.id} was to be deleted and is wanted again"))
    reasons += _config_reasons(target, record, config, sha)
    reasons += moved_sources(target, record, offer, same_config=diff.hash_of(config, record) == record.config_hash)
    reasons += _moving_commit(target, record, sha)
    reasons += _publisher_config(sheet, target, record, sha)
    return (*reasons, *_again(sheet, target, record, diff.hash_of(config, record), sha, fresh=_fresh(reasons)))


def _fresh(reasons: Iterable[Reason]) -> bool:
    return any(reason.kind in FRESH for reason in reasons)


def _config_reasons(target: Target, record: TargetState, config: str, sha: str) -> list[Reason]:
    if diff.hash_of(config, record) == record.config_hash:
        return []
    subscriber_moved = bool(target.promotion.subscribe) and record.ref != target.ref
    if not subscriber_moved:
        return [Reason("config_change", diff.words(record.config, config))]
    reasons = [Reason("promotion", f"ref moved {short(record.sha) or record.ref} -> {short(sha)}")]
    old, new = diff.canonical(diff.without_ref(record.config)), diff.canonical(diff.without_ref(config))
    if old != new:
        reasons.append(Reason("config_change", diff.words(old, new)))
    return reasons


def _moving_commit(target: Target, record: TargetState, sha: str) -> list[Reason]:
    if target.pinned or record.ref != target.ref or record.sha == sha or target.upstream or target.images:
        return []
    return [Reason("moving_commit", f"{target.ref} moved {short(record.sha) or 'from nothing'} -> {short(sha)}")]


def _publisher_config(sheet: Sheet, target: Target, record: TargetState, sha: str) -> list[Reason]:
    now = publisher_configs(sheet, target, sha)
    changed = sorted(p for p, digest in now.items() if record.publishers.get(p, digest) != digest)
    return [Reason("publisher_config", f"{publisher} succeeded with a new configuration") for publisher in changed]


def _again(
    sheet: Sheet, target: Target, record: TargetState, config_hash: str, sha: str, *, fresh: bool = False
) -> tuple[Reason, ...]:
    """A command asked, or a failed run has retries left; with a `fresh` build or image it is another content."""
    request = sheet.state.run_requests.get(target.id)
    if request is not None:
        return (Reason(request.kind, f"{request.by} asked for it"),)
    run = record.run
    same = run is not None and run.same_content(sha, config_hash, delete=target.delete)
    if run is None or not same or fresh or run.status is not RunStatus.FAILED or run.attempt > target.pipeline.retries:
        return ()
    return (Reason("retry", f"attempt {run.attempt + 1} of {target.pipeline.retries + 1}"),)


def candidate(sheet: Sheet, target: Target, sha: str, config_hash: str, kinds: frozenset[str]) -> Candidate:
    """The candidate that a start of this target is, for these kinds of reasons."""
    record = sheet.target_state(target.id)
    moved = bool(target.promotion.subscribe) and (record is None or record.sha != sha)
    run = record.run if record is not None else None
    again = run is not None and run.sha == sha != run.previous and run.status in ENDED_BADLY
    by_hand = target.pinned and (record is None or record.ref != target.ref or again)
    return Candidate(
        target=target,
        sha=sha,
        occasion=Occasion.REF_CHANGE if moved else Occasion.SAME_REF,
        current=record.sha if record is not None else "",
        config_hash=config_hash,
        person=by_hand,
        asked=target.id in sheet.state.run_requests,
        retry="retry" in kinds,
        fresh=bool(kinds & FRESH),
    )


def _start_or_hold(sheet: Sheet, target: Target, record: TargetState | None, config: str, offer: Offer) -> None:
    reasons = reasons_of(sheet, target, record, config, offer)
    digest, sha = diff.hash_of(config, record), offer.sha
    if not reasons:
        _hold_stuck(sheet, target, record, sha, digest)
        return
    kinds = frozenset(reason.kind for reason in reasons)
    wanted = candidate(sheet, target, sha, digest, kinds)
    unavailable = sheet.context.observed.unavailable.get(target.pipeline.instance.name)
    if unavailable:
        sheet.hold(f"target:{target.id}", Gate.UNREACHABLE, unavailable)
        return
    verdicts = holding(gates(wanted, sheet))
    for verdict in verdicts:
        sheet.hold(f"target:{target.id}", verdict.gate, verdict.text, verdict.until)
    if Gate.RUN_IN_FLIGHT in (stops := {verdict.gate for verdict in verdicts}) and stops <= ROOM:
        _cancel_older(sheet, target, record, sha, digest)
    if verdicts:
        return
    _start(sheet, target, record, config, offer, reasons)


def _hold_stuck(sheet: Sheet, target: Target, record: TargetState | None, sha: str, digest: str) -> None:
    """A target with nothing new still says that its last run failed or is unknown."""
    if record is None or record.run is None or record.run.status not in (*ENDED_BADLY, "unknown"):
        return
    for verdict in holding(gates(candidate(sheet, target, sha, digest, frozenset()), sheet)):
        if verdict.gate in (Gate.FAILED, Gate.UNKNOWN):
            sheet.hold(f"target:{target.id}", verdict.gate, verdict.text, verdict.until)


def _cancel_older(sheet: Sheet, target: Target, record: TargetState | None, sha: str, digest: str) -> None:
    run = record.run if record is not None else None
    if record is None or run is None or target.pipeline.on_newer is not OnNewer.CANCEL:
        return
    if (run.sha, run.config_hash) != (sha, digest):
        reason = Reason("newer", f"a newer state ({short(sha)}) is wanted and the pipeline says onNewer: cancel")
        cancel(sheet, record, run, target.pipeline, reason)


def _start(
    sheet: Sheet, target: Target, record: TargetState | None, config: str, offer: Offer, reasons: tuple[Reason, ...]
) -> None:
    digest, sha = diff.config_hash(config), offer.sha
    number = (record.run_number if record is not None else 0) + 1
    last = record.run if record is not None else None
    same = last is not None and last.same_content(sha, digest, delete=target.delete)
    again = last is not None and same and last.status in ENDED_BADLY
    run = Run(
        key=diff.run_key(sheet.state.lineage, target.id, digest, sha, number),
        number=number,
        sha=sha,
        config_hash=digest,
        pipeline=target.pipeline.name,
        action=RunAction.DELETE if target.delete else RunAction.DEPLOY,
        attempt=last.attempt + 1 if again and last is not None and "retry" in {r.kind for r in reasons} else 1,
        reasons=reasons,
        intent_at=sheet.now,
        config_sha=sheet.context.desired.sha or "",
        previous=_before(record, sha),
        timeout=target.pipeline.timeout,
        instance=target.pipeline.instance,
    )
    before = record or TargetState(target.id, target.file, target.ref, "", "", "")
    publishers = {**before.publishers, **publisher_configs(sheet, target, sha)}
    sheet.put_target(
        replace(
            before, ref=target.ref, sha=sha, config=config, config_hash=digest, run_number=number, run=run,
            adopted=False, deleted=False, publishers=publishers, sources=offer.sources,
        )
    )  # fmt: skip
    requests = {key: value for key, value in sheet.state.run_requests.items() if key != target.id}
    sheet.state = replace(sheet.state, run_requests=requests)
    sheet.starts += 1
    sheet.in_flight += 1
    sheet.actions.append(start(target, run))


def _before(record: TargetState | None, sha: str) -> str:
    """The last other version that was there; a second run of the same one does not hide it."""
    if record is None:
        return ""
    present = record.deployed_sha or record.sha
    return present if present != sha or record.run is None else record.run.previous


def _hold_invalid(sheet: Sheet) -> None:
    desired = sheet.context.desired
    for target, text in desired.invalid_targets.items():
        sheet.hold(f"target:{target}", Gate.INVALID, text)
    for record in sheet.state.targets.values():
        known = record.id in desired.targets or record.id in desired.invalid_targets
        if not known and record.file in desired.invalid:
            sheet.hold(f"target:{record.id}", Gate.INVALID, desired.invalid[record.file])


def _removed(sheet: Sheet) -> None:
    for record in gone(sheet):
        subject = f"target:{record.id}"
        if record.removed_at is None:
            record_as(sheet, replace(record, removed_at=sheet.now), Reason("removed", "no longer in the config"))
        elif sheet.now - record.removed_at >= REMOVED_KEPT and not (record.run and record.run.status.in_flight):
            sheet.drop_target(record.id)
            sheet.actions.append(RecordState(subject, (Reason("collected", "removed 30 days ago"),)))
