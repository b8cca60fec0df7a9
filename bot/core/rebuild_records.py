"""What a comment says of targets, record by record; what had no room is put together from its edit and its run key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from bot.core import diff
from bot.core.batches import batch_of, file_keys, slug
from bot.core.excerpts import Ran
from bot.core.taking import Taking, Told
from bot.model.desired import Target, is_sha
from bot.model.observed import MergeRequest, MergeRequestStatus
from bot.model.runs import Run, RunAction, RunStatus
from bot.model.state import Edit, TargetState
from bot.render.words import short


def records(taking: Taking, told: Told) -> Mapping[str, TargetState]:
    """The records of targets that a comment tells of, in full or in short."""
    full = told.excerpt.part.targets
    edits = {each.target: each for each in told.edits}
    found = {}
    for name, ran in told.excerpt.runs.items():
        record = _in_short(taking, told, edits[name], ran) if name in edits and name not in full else None
        if record is not None:
            found[name] = record
    return {**found, **full}


def _in_short(taking: Taking, told: Told, edit: Edit, ran: Ran) -> TargetState | None:
    """The record as it was, if the config but for the ref is still what it was: the run key shows that."""
    target, found = taking.targets.get(edit.target), taking.state.targets.get(edit.target)
    if target is None or found is None or not (is_sha(edit.old) and is_sha(edit.new)):
        return None  # pragma: no cover - a target that left the config between the two
    if not ran.key or ran.status is None:
        return replace(_at(target, found, edit.old), run_number=ran.number)
    lineage = told.excerpt.seen.lineage if told.excerpt.seen is not None else ""
    for sha in (edit.new, edit.old):
        record = _at(target, found, sha)
        if diff.run_key(lineage, target.id, record.config_hash, sha, ran.number) == ran.key:
            return replace(record, run=_run(target, record, ran, edit), run_number=ran.number)
    return None


def _at(target: Target, found: TargetState, sha: str) -> TargetState:
    config = diff.canonical(diff.effective(replace(target, ref=sha)))
    return replace(found, ref=sha, sha=sha, config=config, config_hash=diff.config_hash(config), adopted=False)


def _run(target: Target, record: TargetState, ran: Ran, edit: Edit) -> Run:
    return Run(
        key=ran.key,
        number=ran.number,
        sha=record.sha,
        config_hash=record.config_hash,
        pipeline=target.pipeline.name,
        action=RunAction.DELETE if target.delete else RunAction.DEPLOY,
        status=ran.status or RunStatus.UNKNOWN,
        previous=edit.old if record.sha == edit.new else "",
        timeout=target.pipeline.timeout,
    )


def take_untold(taking: Taking, told: Iterable[Told], known: Iterable[str]) -> None:
    """Promotions that were merged, of which no report tells a run: they may have run or not, and a human must say."""
    known = set(known)
    for each in told:
        for target, old in _merged(taking, each):
            if target.id not in known and taking.state.targets[target.id].sha:
                known.add(target.id)
                _take_unknown(taking, target, old)


def _merged(taking: Taking, told: Told) -> Iterator[tuple[Target, str]]:
    """The targets that a merged promotion has moved to where they are, each with the sha before; empty: not known."""
    for edit in told.edits if told.current else ():
        target = taking.targets.get(edit.target)
        if target is not None and target.ref == edit.new and edit.target in taking.state.targets:
            yield target, edit.old if is_sha(edit.old) else ""
    merge_request = told.merge_request
    if merge_request is not None and merge_request.state is MergeRequestStatus.MERGED and told.excerpt.edits_left_out:
        yield from ((target, "") for target in in_batch(taking, merge_request))


def in_batch(taking: Taking, merge_request: MergeRequest) -> Iterator[Target]:
    """The targets that a merge request may have been about."""
    keys = file_keys(taking.context.desired, taking.context.settings.promotions.batch_by)
    batch, _ = batch_of(merge_request.source_branch)
    for target in taking.targets.values():
        if target.pinned and batch in (keys[target.file], slug(target.file)) and target.id in taking.state.targets:
            yield target


def say_unread(taking: Taking, merge_requests: Iterable[MergeRequest], told: Iterable[Told]) -> None:
    """Merged promotions without a report that can be read, where no other report tells of their targets."""
    known = {name for each in told for name in (*records(taking, each), *(edit.target for edit in each.edits))}
    for each in merge_requests:
        names = [target.id for target in in_batch(taking, each) if target.id not in known]
        if names:  # pragma: no branch - else other reports tell of all
            why = "it was merged and has no report that can be read"
            taking.missing.append(f"!{each.iid}: {why}; whether these have run is not known: {', '.join(names)}")


def _take_unknown(taking: Taking, target: Target, old: str) -> None:
    found = taking.state.targets[target.id]
    text = f"whether {short(found.sha)} has run is not known"
    run = Run(
        key=diff.run_key(taking.state.lineage, target.id, found.config_hash, found.sha, 1),
        number=1,
        sha=found.sha,
        config_hash=found.config_hash,
        pipeline=target.pipeline.name,
        action=RunAction.DELETE if target.delete else RunAction.DEPLOY,
        status=RunStatus.UNKNOWN,
        intent_at=taking.context.now,
        text=text,
        previous=old,
        timeout=target.pipeline.timeout,
        instance=target.pipeline.instance,
    )
    taking.put(replace(found, run=run, run_number=1, adopted=False, deployed_sha=old, deployed_at=None))
    taking.missing.append(f"{target.id}: {text}; `retry {target.id}` runs it")
