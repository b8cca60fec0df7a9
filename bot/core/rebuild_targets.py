"""The records of targets, their runs and what they published, taken back from comments, servers and git's history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bot.core import channels, diff
from bot.core.follow import describe, observed_run, settled
from bot.core.rebuild_records import records, take_untold
from bot.core.statefile import Seen
from bot.core.taking import Taking, Told
from bot.model.desired import Desired, Target, is_sha
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunAction, RunStatus
from bot.model.servers import Pipeline
from bot.model.state import Publication, TargetState
from bot.render.words import short


def ran(record: TargetState | None, sha: str) -> bool:
    """Whether a record says that this version has run well."""
    run = record.run if record is not None else None
    return run is not None and (run.sha, run.status) == (sha, RunStatus.SUCCEEDED)


def take_publications(taking: Taking, told: Sequence[Told]) -> None:
    """What the channels held of the versions in the bot's merge requests."""
    found: dict[str, dict[tuple[str, str], Publication]] = {}
    for each in told:
        for channel, published in each.excerpt.part.channels.items():
            own = found.setdefault(channel, {})
            for new in published:
                old = own.get((new.target, new.sha), new)
                newest = max(old, new, key=lambda publication: publication.finished_at)
                own[new.target, new.sha] = replace(newest, first_at=min(old.first_at, new.first_at))
    ordered = {name: sorted(own.values(), key=lambda each: each.finished_at) for name, own in found.items() if own}
    taking.state = replace(taking.state, channels={name: tuple(each) for name, each in ordered.items()})
    taking.taken += [
        f"channel {name}: {short(each.sha)} by {each.target}" for name, own in sorted(ordered.items()) for each in own
    ]


def take_targets(taking: Taking, told: Sequence[Told]) -> None:
    """The best that is known of each target."""
    best: dict[str, tuple[bool, TargetState, Told]] = {}
    for each in told:
        own = {edit.target for edit in each.edits}
        for name, record in records(taking, each).items():
            in_flight = record.run is not None and record.run.status.in_flight
            current = each.current and (name in own or (each.merge_request is None and in_flight))
            known = best.get(name)
            if known is None or (record.run_number, current) >= (known[1].run_number, known[0]):
                best[name] = (current, record, each)
    for name, (current, record, each) in sorted(best.items()):
        target = taking.targets.get(name)
        if target is not None and name in taking.state.targets:
            _take_target(taking, target, record, each, current=current)
    take_untold(taking, told, best)


def _take_target(taking: Taking, target: Target, told: TargetState, by: Told, *, current: bool) -> None:
    found = taking.state.targets[target.id]
    same = _ran_with(told) == _ran_with(found)
    run = _with_instance(taking, target, told.run)
    _publish(taking, target, run)
    if not (same or current):
        previous = told.sha if told.sha != found.sha else told.previous
        taking.put(replace(found, run_number=told.run_number, previous=previous))
        return
    config = found.config if same else _config_of(target, told)
    taking.put(replace(told, config=config, run=run, file=found.file, publish=found.publish, removed_at=None))
    if run is not None:
        taking.taken.append(f"{target.id}: run {run.number} of {short(run.sha)} {describe(run)}")
    seen = by.excerpt.seen
    if same or seen is None or not found.sha or (run is not None and run.status.in_flight):
        return
    taking.taken.append(
        f"{target.id}: {short(told.sha)} -> {short(found.sha)} has not run yet, as far as {by.where} says"
    )
    next_run = replace(_next_run(taking, target, found, told, seen), intent_at=by.excerpt.changed_at)
    taking.begun[target.id] = replace(
        found,
        run=next_run,
        run_number=next_run.number,
        adopted=False,
        deployed_sha=told.deployed_sha,
        deployed_at=told.deployed_at,
    )


def _ran_with(record: TargetState) -> tuple[object, ...]:
    """What would start a target if it changed."""
    deleted = record.deleted or (record.run is not None and record.run.action is RunAction.DELETE)
    return record.sha, record.config_hash, record.sources, deleted


def _config_of(target: Target, told: TargetState) -> str:
    """The text behind a hash, where only the ref has moved since; else it is not known any more."""
    config = diff.canonical(diff.effective(replace(target, ref=told.ref)))
    return config if diff.config_hash(config) == told.config_hash else ""


def _next_run(taking: Taking, target: Target, found: TargetState, told: TargetState, seen: Seen) -> Run:
    """The run that the lost statefile would have started next: its key is known."""
    number = told.run_number + 1
    return Run(
        key=diff.run_key(seen.lineage, target.id, found.config_hash, found.sha, number),
        number=number,
        sha=found.sha,
        config_hash=found.config_hash,
        pipeline=target.pipeline.name,
        action=RunAction.DELETE if target.delete else RunAction.DEPLOY,
        config_sha=taking.context.desired.sha or "",
        previous=told.deployed_sha or told.sha,
        timeout=target.pipeline.timeout,
        instance=target.pipeline.instance,
    )


def _with_instance(taking: Taking, target: Target, run: Run | None) -> Run | None:
    """The run with the server that it runs at; no comment names that."""
    if run is None:
        return None
    pipelines: dict[str, Pipeline] = {each.pipeline.name: each.pipeline for each in taking.targets.values()}
    pipelines[target.pipeline.name] = target.pipeline
    found = pipelines.get(run.pipeline)
    if found is not None:
        return replace(run, instance=found.instance)
    text = f"the config has no pipeline {run.pipeline} any more"
    return replace(run, status=RunStatus.UNKNOWN, text=text) if run.status.in_flight else run


def _publish(taking: Taking, target: Target, run: Run | None) -> None:
    """What a run published by its success, or took back by its failure."""
    if run is None:
        return
    found = taking.state.channels
    if run.status is RunStatus.FAILED:
        found = channels.withdraw(found, target.id, run.sha)
    known = {(p.target, p.sha, name) for name, published in found.items() for p in published}
    told = all((target.id, run.sha, name) in known for name in target.promotion.publish)
    if (
        run.status is RunStatus.SUCCEEDED
        and run.finished_at is not None
        and run.action is RunAction.DEPLOY
        and not told
    ):
        found = channels.publish(found, target, run, run.finished_at)
        taking.taken += [f"channel {name}: {short(run.sha)} by {target.id}" for name in target.promotion.publish]
    taking.state = replace(taking.state, channels=found)


def take_history(taking: Taking, past: Iterable[Desired]) -> None:
    """The version before the present one of each pinned target, as the config's history knows it."""
    wanted = {
        record.id: taking.targets[record.id].ref
        for record in taking.state.targets.values()
        if record.id in taking.targets and taking.targets[record.id].pinned and not _previous(record)
    }
    count = 0
    for before in past if wanted else ():
        for name, ref in list(wanted.items()):
            target = before.targets.get(name)
            if target is None and (name in before.invalid_targets or before.invalid):
                continue
            if target is None or target.ref != ref:
                del wanted[name]
            if target is not None and target.ref != ref and is_sha(target.ref):
                count += 1
                taking.put(replace(taking.state.targets[name], previous=target.ref))
        if not wanted:
            break
    if count:
        taking.taken.append(f"the versions before the present ones of {count} targets, from the config's history")


def _previous(record: TargetState) -> str:
    return (record.run.previous if record.run is not None else "") or record.previous


def answered(taking: Taking, runs: Mapping[str, RunFact | Unreachable | None]) -> None:
    """What the servers say of the runs in flight, and of those that may have begun."""
    for record in list(taking.state.targets.values()):
        run = record.run
        if run is not None and run.status.in_flight and record.id not in taking.begun:
            _follow(taking, record, run, runs.get(run.key, Unreachable("it was not asked")))
    for record, run in [(each, each.run) for each in taking.begun.values() if each.run is not None]:
        _look(taking, record, run, runs.get(run.key, Unreachable("it was not asked")))


def _follow(taking: Taking, record: TargetState, run: Run, fact: RunFact | Unreachable | None) -> None:
    if isinstance(fact, Unreachable):
        taking.missing.append(f"{record.id}: what became of run {run.number}: {fact.text}; the next pass asks again")
        return
    if fact is None and not run.handle:
        taking.taken.append(f"{record.id}: run {run.number} never started; the next pass does, if it is still wanted")
        return
    fact = fact or RunFact(RunStatus.UNKNOWN, text="the server knows nothing of it")
    _settle(taking, record, observed_run(run, fact, taking.context.now))


def _look(taking: Taking, record: TargetState, run: Run, fact: RunFact | Unreachable | None) -> None:
    """A run without a word on any comment: it is there, it is not, or nobody can tell and a human must."""
    if fact is None:
        return
    unseen = isinstance(fact, Unreachable) or fact.status is RunStatus.UNKNOWN or not fact.handle
    if not isinstance(fact, Unreachable) and not unseen:
        _settle(taking, record, observed_run(run, fact, taking.context.now))
        return
    text = f"whether run {run.number} of {short(run.sha)} has begun could not be told: {fact.text}"
    taking.put(replace(record, run=replace(run, status=RunStatus.UNKNOWN, text=text)))
    taking.missing.append(f"{record.id}: {text}; `retry {record.id}` when it has not")


def _settle(taking: Taking, record: TargetState, seen: Run) -> None:
    taking.state, record = settled(taking.state, record, seen, taking.targets.get(record.id))
    taking.put(record)
    taking.taken.append(f"{record.id}: its server knows run {seen.number} of {short(seen.sha)}: {describe(seen)}")
