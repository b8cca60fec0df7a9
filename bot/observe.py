"""Observe: look at the world, as far as a decision needs it. The only threads, and one clock reading.

Observation is two-step: first what is always needed, then what the pure `wants` names, until nothing is wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from bot.config.load import SUMMARY_VERSION, Loaded
from bot.core.batches import PREFIX
from bot.core.context import Context
from bot.core.focus import Focus
from bot.core.jobs import crowded_servers, pipeline_of
from bot.core.proposal import proposed
from bot.core.saved import dump, restore
from bot.errors import ServerUnreachable
from bot.formats.job_lists import expanded
from bot.model.desired import Desired
from bot.model.observed import (
    Down,
    Issue,
    MergeRequest,
    Note,
    Observed,
    Proposal,
    Recorded,
    RunFact,
    Unreachable,
    Wants,
)
from bot.model.runs import Run
from bot.model.servers import Instance, Pipeline
from bot.model.state import Build, State, Thread
from bot.model.triggers import JobsFrom, Trigger
from bot.ports import ConfigTree, Ports
from bot.settings import Settings

THREADS = 16

GIVES_WAY = Unreachable("it is not asked in this pass: starts come first, its server takes few requests")
"""What is known of a run whose server had no room for a start that is due now."""

Load = Callable[[ConfigTree], Loaded]

Key = TypeVar("Key")
Value = TypeVar("Value")


def observe(
    ports: Ports,
    settings: Settings,
    desired: Desired,
    recorded: Recorded,
    base: str,
    commands: tuple[Note, ...] = (),
    heard: frozenset[str] = frozenset(),
    focus: Focus | None = None,
) -> Context:
    """What every decision needs: refs, runs in flight and merge requests, at one `now`.

    `heard` names the threads that an event told of (`heard_of`); their notes are read, whatever the lists say. With a
    narrow `focus`, merge requests are left alone.
    """
    narrow = focus is not None and focus.narrow
    state = recorded.state
    now = ports.clock.now()
    with ThreadPoolExecutor(THREADS) as pool:
        merge_requests = pool.submit(_merge_requests, ports, settings, state, heard) if not narrow else None
        freezes = pool.submit(ports.forge.freezes)
        dashboard = pool.submit(_dashboard, ports, settings) if not narrow else None
        refs = pool.submit(_refs, ports, desired)
        job_lists = _job_lists(ports, desired)
        runs = pool.submit(_runs, ports, desired, state, job_lists, now)
        observed = Observed(
            base=base,
            me=ports.forge.me(),
            nonce=ports.clock.nonce(),
            refs=refs.result(),
            runs=runs.result(),
            job_lists=job_lists,
            merge_requests=merge_requests.result() if merge_requests is not None else {},
            commands=commands,
            freezes=tuple(freezes.result()),
            dashboard=dashboard.result() if dashboard is not None else None,
            state_lost=state is None and ports.forge.knows_me(),
            unavailable=_unavailable(ports, desired),
        )
    return Context(settings, desired, observed, state, now, heard=heard, focus=focus)


def look_up(ports: Ports, tree: ConfigTree, load: Load, context: Context, wants: Wants) -> Context:
    """The same context with everything that was wanted; what cannot be had is there as `Unreachable`."""
    observed = context.observed
    merge_requests = observed.merge_requests
    looked_up = _histories(observed, wants)
    lineages = _all(looked_up, lambda url: ports.histories.lineage(url, looked_up[url]))
    titles = _all(wants.titles, lambda key: ports.histories.titles(*key))
    diffs = _all(wants.diffs, lambda iid: ports.forge.diff(merge_requests[iid]))
    marks = _all(wants.marks, lambda job: _mark(ports, wants.marks[job]))
    probes = {job: _probe(ports, wants.probes[job]) for job in sorted(wants.probes)}
    documents = _all(wants.documents, ports.documents.value)
    details = _all(wants.details, lambda key: _details(ports, *wants.details[key]))
    builds = _all(wants.builds, lambda key: _build(ports, *key))
    images = _all(wants.images, lambda key: _digest(ports, *key))
    proposals = {iid: _proposal(ports, load, context, merge_requests[iid]) for iid in sorted(wants.proposals)}
    found = replace(
        observed,
        lineages={**observed.lineages, **lineages},
        looked_up={**observed.looked_up, **looked_up},
        titles={**observed.titles, **{f"{url} {old}..{new}": found for (url, old, new), found in titles.items()}},
        builds={
            **observed.builds,
            **{(at.name, job, ref, url): found for (at, job, ref, url), found in builds.items()},
        },
        images={**observed.images, **{(key[0].name, *key[1:]): found for key, found in images.items()}},
        marks={**observed.marks, **marks},
        probes={**observed.probes, **probes},
        documents={**observed.documents, **documents},
        details={**observed.details, **details},
        blobs={**observed.blobs, **_blobs(tree, wants.blobs)},
        diffs={**observed.diffs, **diffs},
        proposals={**observed.proposals, **proposals},
        roles={**observed.roles, **{user: ports.forge.role(user) for user in sorted(wants.roles)}},
        branches=ports.forge.branches(PREFIX) if wants.branches else observed.branches,
    )
    return replace(context, observed=found)


def _all(keys: Iterable[Key], ask: Callable[[Key], Value]) -> dict[Key, Value | Unreachable]:
    """Ask for all keys at once; a server that cannot be reached is an answer and stops nobody else."""
    keys = list(keys)
    if not keys:
        return {}
    with ThreadPoolExecutor(min(THREADS, len(keys))) as pool:
        return dict(zip(keys, pool.map(lambda key: _asked(ask, key), keys), strict=True))


def _asked(ask: Callable[[Key], Value], key: Key) -> Value | Unreachable:
    try:
        return ask(key)
    except ServerUnreachable as error:
        return Unreachable(error.message, error.again)


def _merge_requests(
    ports: Ports, settings: Settings, state: State | None, heard: frozenset[str]
) -> dict[int, MergeRequest]:
    """All open merge requests, those on record that are no longer open, and those that an event told of."""
    found = {each.iid: each for each in ports.forge.open_merge_requests()}
    recorded = {record.iid for record in state.merge_requests.values()} if state is not None else set()
    told = {int(iid) for thread, _, iid in (each.partition(":") for each in heard) if thread == Thread.MERGE_REQUEST}
    for iid in sorted((recorded - found.keys()) | told):
        seen = ports.forge.merge_request(iid)
        if seen is not None and (iid in recorded or seen.target_branch == settings.branch):
            found[iid] = seen
    return found


def _dashboard(ports: Ports, settings: Settings) -> Issue | None:
    return ports.forge.dashboard(settings.dashboard_title) if settings.dashboard_title else None


def _refs(ports: Ports, desired: Desired) -> dict[str, Mapping[str, str] | Unreachable]:
    """One request for each code repository that has a followed ref; none for full shas, or where builds lead."""
    wanted: dict[str, set[str]] = {}
    for target in desired.targets.values():
        if not target.pinned and not target.disable and target.upstream is None:
            wanted.setdefault(target.url, set()).add(target.ref)
    return _all(wanted, lambda url: ports.refs.resolve(url, sorted(wanted[url])))


def _job_lists(ports: Ports, desired: Desired) -> dict[JobsFrom, bytes | Unreachable]:
    """The lists of jobs that stand outside of the config."""
    named = [each.jobs_from for each in desired.triggers.values() if not each.read and each.jobs_from is not None]
    return _all(dict.fromkeys(named), ports.job_lists.read)


def _runs(
    ports: Ports,
    desired: Desired,
    state: State | None,
    lists: Mapping[JobsFrom, bytes | Unreachable],
    now: datetime,
) -> dict[str, RunFact | Unreachable | None]:
    """What became of each run in flight; an intent without a handle is asked for by its key."""
    if state is None:
        return {}
    pipelines = {target.id: target.pipeline for target in desired.targets.values()}
    records = state.targets.values()
    runs = {r.run.key: (pipelines.get(r.id), r.run) for r in records if r.run is not None and r.run.status.in_flight}
    runs |= _job_runs(desired, state, lists)
    wholes = {name: _whole(each, lists) for name, each in desired.triggers.items()}
    readable = {name: each for name, each in wholes.items() if each is not None and each.read}
    crowded, known = crowded_servers(replace(desired, triggers=readable), state, now), _known(state)
    late = {key for key, (_, run) in runs.items() if run.handle and run.instance and run.instance.url in crowded}
    found = _all((key for key in runs if key not in late), lambda key: _run(ports, *runs[key], known))
    return {**found, **dict.fromkeys(late, GIVES_WAY)}


def _known(state: State) -> tuple[Run, ...]:
    """All runs of the statefile that have a handle, those that are over included."""
    of_targets = (record.run for record in state.targets.values())
    rounds = (record.round for record in state.triggers.values() if record.round is not None)
    of_jobs = (job.run for each in rounds for job in each.jobs)
    return tuple(run for run in (*of_targets, *of_jobs) if run is not None and run.handle)


def _job_runs(
    desired: Desired, state: State | None, lists: Mapping[JobsFrom, bytes | Unreachable]
) -> dict[str, tuple[Pipeline | None, Run]]:
    """The runs in flight of trigger definitions, by key, each with its pipeline."""
    found: dict[str, tuple[Pipeline | None, Run]] = {}
    for record in state.triggers.values() if state is not None else ():
        trigger = _whole(desired.triggers.get(record.name), lists)
        jobs = {job.name: job for job in trigger.jobs} if trigger is not None else {}
        for job in record.round.jobs if record.round is not None else ():
            if job.in_flight and job.run is not None:
                given = pipeline_of(trigger, jobs[job.name]) if trigger is not None and job.name in jobs else None
                found[job.run.key] = (given, job.run)
    return found


def _whole(trigger: Trigger | None, lists: Mapping[JobsFrom, bytes | Unreachable]) -> Trigger | None:
    """The definition with the jobs of its list, as far as that can be read."""
    if trigger is None or trigger.read or trigger.jobs_from is None:
        return trigger
    data = lists[trigger.jobs_from]
    found = () if isinstance(data, Unreachable) else expanded(trigger, data)
    return trigger if isinstance(found, tuple) else found


def _run(ports: Ports, pipeline: Pipeline | None, run: Run, known: tuple[Run, ...]) -> RunFact | Unreachable | None:
    instance = run.instance or (pipeline.instance if pipeline is not None else None)
    if instance is None:
        return Unreachable(f"nothing is known any more of where run {run.key} was started (pipeline {run.pipeline})")
    provider = ports.pipelines(instance)
    if isinstance(provider, Unreachable):
        return provider
    if run.handle:
        return provider.status(pipeline, run)
    provider.known(each for each in known if each.instance is not None and each.instance.url == instance.url)
    return provider.find(pipeline, run)


def _unavailable(ports: Ports, desired: Desired) -> dict[str, str]:
    """Instances that no run can be started on, with the reason."""
    instances = {target.pipeline.instance.name: target.pipeline.instance for target in desired.targets.values()}
    found = {name: ports.pipelines(instance) for name, instance in instances.items()}
    return {name: provider.text for name, provider in found.items() if isinstance(provider, Unreachable)}


def _mark(ports: Ports, pipeline: Pipeline) -> str | Unreachable:
    provider = ports.pipelines(pipeline.instance)
    return provider if isinstance(provider, Unreachable) else provider.mark(pipeline)


def _probe(ports: Ports, pipeline: Pipeline) -> Down | None:
    """Whether a server is up; one that cannot be reached at all is down for now."""
    provider = ports.pipelines(pipeline.instance)
    if isinstance(provider, Unreachable):
        return Down(provider.text, final=True)
    try:
        answer = provider.probe(pipeline)
    except ServerUnreachable as error:
        return Down(error.message)
    return None if answer is None else Down(answer.text, final=answer.again is None)


def _details(ports: Ports, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any] | Unreachable:
    instance = run.instance or (pipeline.instance if pipeline is not None else None)
    provider = ports.pipelines(instance) if instance is not None else Unreachable("it is not known where it ran")
    if isinstance(provider, Unreachable):
        return provider
    return provider.details(pipeline, run)


def _build(ports: Ports, instance: Instance, job: str, ref: str, url: str) -> Build | Unreachable | None:
    provider = ports.builds(instance)
    return provider if isinstance(provider, Unreachable) else provider.newest(job, ref, url)


def _digest(ports: Ports, instance: Instance, repository: str, tag: str) -> str | Unreachable:
    provider = ports.images(instance)
    return provider if isinstance(provider, Unreachable) else provider.digest(repository, tag)


def _histories(observed: Observed, wants: Wants) -> dict[str, frozenset[str]]:
    """By url: all shas to be ordered, those asked before included, so that one answer orders them all."""
    found: dict[str, set[str]] = {}
    for url, sha in wants.histories:
        found.setdefault(url, set(observed.looked_up.get(url, ()))).add(sha)
    return {url: frozenset(shas) for url, shas in found.items()}


def _blobs(tree: ConfigTree, paths: Iterable[str]) -> dict[str, bytes]:
    wanted = frozenset(paths)
    if not wanted:
        return {}
    files = [file for file in tree.files() if file.path in wanted]
    return dict(zip((file.path for file in files), tree.read(files), strict=True))


def _proposal(ports: Ports, load: Load, context: Context, merge_request: MergeRequest) -> Proposal | Unreachable:
    """What a merge would change; it is a function of two commits and the settings, so it is worked out once."""
    settings, base = context.settings, context.desired
    name = ""
    if base.sha and merge_request.head_sha:
        given = (SUMMARY_VERSION, settings.data_dir, settings.compat_pipeline, base.sha, merge_request.head_sha)
        name = f"proposals/{hashlib.sha256(repr(given).encode()).hexdigest()}"
        kept = _kept(ports, name)
        if kept is not None:
            return kept
    try:
        tree = ports.forge.merged_tree(merge_request)
    except ServerUnreachable as error:
        return Unreachable(error.message)
    if isinstance(tree, Unreachable):
        return tree
    found = proposed(base, load(tree).desired)
    if name:
        ports.cache.put(name, dump(found))
    return found


def _kept(ports: Ports, name: str) -> Proposal | None:
    data = ports.cache.get(name)
    try:
        found = restore(data) if data is not None else None
    except (ValueError, KeyError, TypeError):  # of another release
        return None
    return found if isinstance(found, Proposal) else None
