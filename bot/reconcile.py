"""The straight line on one screen: load, validate, observe, decide, act, report, save (DESIGN section 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from bot.act import act
from bot.config.load import Loaded, load
from bot.core.context import Context
from bot.core.decide import deliberate
from bot.core.record import settle
from bot.core.statefile import decode, encode, next_serial
from bot.errors import LostState, StateRace
from bot.model.observed import Note, Recorded
from bot.model.plan import Action, Outcome, OutcomeStatus, Plan, Report, StartRun
from bot.model.state import State
from bot.observe import look_up, observe
from bot.ports import ConfigTree, Ports, Refused
from bot.settings import Settings

ROUNDS = 12
"""Rounds of looking things up; a decision asks in three or four, more is a bug and ends in what is known."""

RESTLESS = 100
"""Passes with actions and no run in flight after which `until_idle` ends: the next schedule goes on."""

RACES = 20
"""Times that outcomes are merged into a fresh statefile before the pass gives up."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a pass works with, the same for all passes of a process."""

    ports: Ports
    settings: Settings
    schemas: dict[str, bytes]
    bootstrap: str = ""
    report_key: bytes | None = None
    heard: frozenset[str] = frozenset()
    """Threads that an event told of; see `bot.core.context.heard_of`."""
    stopped: Callable[[], bool] = lambda: False
    progress: Callable[[Action, Outcome], None] = lambda _action, _outcome: None


def plan(job: Job, tree: ConfigTree, commands: tuple[Note, ...] = ()) -> tuple[Context, Report]:
    """What a reconcile of this tree would do, and all it was decided from: the same line, stopped before `act`."""
    context, _, decided = _decided(job, tree, tree.sha or "", commands)
    _refuse_lost(job, context)
    return context, Report(context.desired.sha, context.now, decided, invalid=context.desired.invalid)


def reconcile(job: Job, commands: tuple[Note, ...] = (), started: int = 0) -> Report:
    """One pass. Raises StateRace if another writer won before the first effect; then nothing was done.

    `started` is the number of runs that earlier passes of the same invocation have started.
    """
    base = job.ports.config.fetch(job.settings.branch)
    context, etag, decided = _decided(job, job.ports.config.tree(base), base, commands, started)
    _refuse_lost(job, context)
    state, etag = _save_intent(job, context, decided, etag)
    outcomes = tuple(_acted(job, context, decided))
    _save_outcomes(job, context, decided, outcomes, state, etag)
    return Report(base, context.now, decided, outcomes, context.desired.invalid)


def _refuse_lost(job: Job, context: Context) -> None:
    if context.observed.state_lost and not job.bootstrap:
        raise LostState(
            "there is no statefile, but the forge shows branches or merge requests of this bot: the state was lost",
            hint="put a copy back or, in releases that have it, `saasbot state rebuild`; "
            "`saasbot reconcile --bootstrap adopt` starts afresh",
        )


def until_idle(job: Job, deadline: datetime | None, commands: tuple[Note, ...] = ()) -> Iterator[Report]:
    """Passes until no run is pending or running and no action is due; polls in real time, 50 ms growing to 10 s."""
    wait, started, restless = 0.05, 0, 0
    while restless < RESTLESS:
        report = reconcile(job, commands, started)
        commands = ()
        yield report
        started += sum(isinstance(action, StartRun) for action in report.plan.actions)
        busy = _in_flight(job)
        restless = 0 if busy else restless + 1
        if job.stopped() or _over(job, deadline) or (not report.plan.actions and not busy):
            return
        moved = any(outcome.status is OutcomeStatus.DONE for outcome in report.outcomes)
        if not moved and not busy:
            return
        wait = 0.05 if moved else min(wait * 1.6, 10.0)
        if busy:
            job.ports.clock.sleep(wait)


def _over(job: Job, deadline: datetime | None) -> bool:
    return deadline is not None and job.ports.clock.real() >= deadline


def _in_flight(job: Job) -> bool:
    state = recorded(job.ports).state
    return state is not None and any(t.run is not None and t.run.status.in_flight for t in state.targets.values())


def recorded(ports: Ports) -> Recorded:
    """The statefile as it is now."""
    found = ports.state.read()
    return Recorded(None) if found is None else Recorded(decode(found[0], "the statefile"), found[1])


def _decided(
    job: Job, tree: ConfigTree, base: str, commands: tuple[Note, ...], started: int = 0
) -> tuple[Context, str, Plan]:
    loading: Callable[[ConfigTree], Loaded] = partial(
        load, settings=job.settings, schemas=job.schemas, cache=job.ports.cache
    )
    before = recorded(job.ports)
    context = observe(job.ports, job.settings, loading(tree).desired, before, base, commands, job.heard)
    context = replace(context, bootstrap=job.bootstrap, report_key=job.report_key, started=started)
    decided, wanted = deliberate(context)
    for _ in range(ROUNDS):
        if not wanted:
            break
        context = look_up(job.ports, tree, loading, context, wanted)
        decided, wanted = deliberate(context)
    return context, before.etag, decided


def _save_intent(job: Job, context: Context, decided: Plan, etag: str) -> tuple[State | None, str]:
    """Save what is intended before the first effect; whoever loses this race has done nothing."""
    if decided.record is None and not decided.actions:
        return None, etag
    state = next_serial(decided.record or replace(_known(context), time=context.now))
    written = job.ports.state.write(encode(state), etag)
    if isinstance(written, Refused):
        raise StateRace("another writer changed the statefile meanwhile; nothing was done", hint="try again")
    return state, written


def _known(context: Context) -> State:
    return context.state or State(lineage=context.observed.nonce)


def _acted(job: Job, context: Context, decided: Plan) -> Iterator[Outcome]:
    """Outcomes of all actions; after SIGTERM the action at hand is finished and the rest is skipped."""
    carried_out = act(job.ports, decided, context.now, context.report_key)
    for action in decided.actions:
        if job.stopped():
            yield Outcome(OutcomeStatus.SKIPPED, "the process was asked to stop")
            continue
        outcome = next(carried_out)
        job.progress(action, outcome)
        yield outcome


def _save_outcomes(
    job: Job, context: Context, decided: Plan, outcomes: Sequence[Outcome], state: State | None, etag: str
) -> None:
    """Save what came of it; if another writer was faster, fold the outcomes into what he left."""
    for _ in range(RACES):
        if state is None:
            return
        settled = settle(state, context.desired, decided.actions, outcomes, context.now)
        if settled == state:
            return
        written = job.ports.state.write(encode(next_serial(settled)), etag)
        if not isinstance(written, Refused):
            return
        fresh = recorded(job.ports)
        state, etag = fresh.state, fresh.etag
    raise StateRace("the statefile changes faster than it can be written; the next pass looks again", hint="try again")
