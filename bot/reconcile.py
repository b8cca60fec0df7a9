"""The straight line on one screen: load, validate, observe, decide, act, report, save (DESIGN section 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from bot.act import act
from bot.act import clean as cleaned
from bot.config.load import Loaded, load
from bot.core.context import Context
from bot.core.decide import deliberate
from bot.core.excerpts import sightings
from bot.core.intents import dated
from bot.core.jobs import pipeline_of
from bot.core.rebuild import Rebuilt, adopt_all, take_back, with_answers
from bot.core.record import settle
from bot.core.statefile import ACCEPT, Seen, accepted, contradiction, decode, encode, next_serial, read_seen, write_seen
from bot.core.trigger_orders import without_success
from bot.errors import InvalidConfiguration, LostState, ServerUnreachable, StateRace, WrongUsage
from bot.model.desired import Desired
from bot.model.observed import Note, Recorded, Unreachable, Wants
from bot.model.plan import Action, Outcome, OutcomeStatus, Plan, Report, StartJob, StartRun
from bot.model.rounds import Result
from bot.model.state import State
from bot.model.triggers import Trigger
from bot.observe import look_up, observe
from bot.ports import ConfigTree, Ports, Refused
from bot.settings import Settings

ROUNDS = 12
"""Rounds of looking things up; a decision asks in three or four, more is a bug and ends in what is known."""

RESTLESS = 100
"""Passes with actions and no run in flight after which `until_idle` ends: the next schedule goes on."""

RACES = 20
"""Times that outcomes are merged into a fresh statefile before the pass gives up."""


LOST = "the state was lost"
GONE = (
    "put a copy back, or `saasbot state rebuild` takes back what comments, servers and git still know; "
    "`saasbot reconcile --bootstrap adopt` starts afresh"
)
"""What to do where there is no statefile any more."""

RECENT = 100
"""Merge requests that are over, of which a lost statefile is rebuilt."""

LOOKED_BACK = 200
"""Commits of the config that are looked at for the versions before the present ones."""

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Memory:
    """What this process has seen last: a statefile, which the next may not contradict, and a config.

    The config of a commit is read once, however often it is looked at.
    """

    seen: Seen | None = None
    loaded: Loaded | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What a pass works with, the same for all passes of a process."""

    ports: Ports
    settings: Settings
    schemas: dict[str, bytes]
    bootstrap: str = ""
    report_key: bytes | None = None
    place: str = ""
    """Which statefile this is, in words that mean the same in every process of this machine; empty: unknown."""
    memory: Memory = field(default_factory=Memory)
    heard: frozenset[str] = frozenset()
    """Threads that an event told of; see `bot.core.context.heard_of`."""
    stopped: Callable[[], bool] = lambda: False
    progress: Callable[[Action, Outcome], None] = lambda _action, _outcome: None


def plan(job: Job, tree: ConfigTree, commands: tuple[Note, ...] = ()) -> tuple[Context, Report]:
    """What a reconcile of this tree would do, and all it was decided from: the same line, stopped before `act`."""
    context, decided = _decided(job, present(job), tree, tree.sha or "", commands)
    refuse_lost(job, context)
    return context, Report(context.desired.sha, context.now, decided, invalid=context.desired.invalid)


def reconcile(job: Job, commands: tuple[Note, ...] = (), started: int = 0) -> Report:
    """One pass. Raises StateRace if another writer won before the first effect; then nothing was done.

    `started` is the number of runs that earlier passes of the same invocation have started.
    """
    before = present(job)  # first: whoever changes the world after this makes the write of the intent fail
    base = job.ports.config.fetch(job.settings.branch)
    context, decided = _decided(job, before, job.ports.config.tree(base), base, commands, started)
    refuse_lost(job, context)
    decided = dated(decided, job.ports.clock.now())
    state, etag = _save_intent(job, context, decided, before.etag)
    outcomes = tuple(acted(job, context, decided))
    save_outcomes(job, context, decided, outcomes, state, etag)
    return Report(base, context.now, decided, outcomes, context.desired.invalid)


def refuse_lost(job: Job, context: Context) -> None:
    """Raise LostState where the forge shows that the statefile is gone, older than it was, or another one."""
    if context.state is None and context.observed.state_lost and not job.bootstrap:
        error = LostState(
            f"there is no statefile, but the forge shows branches or merge requests of this bot: {LOST}", hint=GONE
        )
    elif context.state is not None and (found := _contradicted(context, context.state)):
        error = LostState(found, hint=ACCEPT)
    else:
        return
    if recorded(job.ports).state != context.state:
        raise StateRace("another writer changed the statefile meanwhile; nothing was done", hint="try again")
    raise error


def _contradicted(context: Context, state: State) -> str:
    """Why the bot's own reports cannot speak of this statefile; empty where they can."""
    observed = context.observed
    key, base = context.report_key, context.settings.branch
    seen = sightings(observed.merge_requests.values(), observed.dashboard, observed.me, key, base)
    return next((f"{found} {where}" for where, each in seen if (found := contradiction(state, each))), "")


def until_idle(job: Job, deadline: datetime | None, commands: tuple[Note, ...] = ()) -> Iterator[Report]:
    """Passes until no run is pending or running and no action is due; polls in real time, 50 ms growing to 10 s."""
    wait, started, restless = 0.05, 0, 0
    while restless < RESTLESS:
        report = reconcile(job, commands, started)
        commands = ()
        yield report
        started += sum(isinstance(action, StartRun | StartJob) for action in report.plan.actions)
        busy = _in_flight(job)
        restless = 0 if busy else restless + 1
        if job.stopped() or _over(job, deadline) or (not report.plan.actions and not busy):
            return
        moved = report.moved
        if not moved and not busy:
            return
        wait = 0.05 if moved else min(wait * 1.6, 10.0)
        if busy:
            job.ports.clock.sleep(wait)


def _over(job: Job, deadline: datetime | None) -> bool:
    return deadline is not None and job.ports.clock.real() >= deadline


def _in_flight(job: Job) -> bool:
    state = recorded(job.ports).state
    if state is None:
        return False
    found = (record.round for record in state.triggers.values())
    rounds = (each for each in found if each is not None and each.result is Result.RUNNING)
    targets = any(t.run is not None and t.run.status.in_flight for t in state.targets.values())
    return targets or any(job.in_flight for each in rounds for job in each.jobs)


def recorded(ports: Ports) -> Recorded:
    """The statefile as it is now."""
    found = ports.state.read()
    return Recorded(None) if found is None else Recorded(decode(found[0], "the statefile"), found[1])


def present(job: Job) -> Recorded:
    """The statefile as it is now. Raises LostState where it cannot be the one that was seen here before, or is gone.

    Where only this machine remembers one, the place may have been made anew on purpose: that is a first pass.
    """
    known = remembered(job)  # before it is read: another writer may be at work
    found = _agreeing(job, known)
    seen = job.memory.seen
    if found.state is None and seen is not None and not job.bootstrap:
        raise LostState(
            f"there is no statefile, but this process has seen one of lineage {seen.lineage}: {LOST}", hint=GONE
        )
    return found


def _agreeing(job: Job, known: tuple[tuple[str, Seen], ...]) -> Recorded:
    """The statefile as it is now, if there is one, and nothing that was seen contradicts it."""
    found = recorded(job.ports)
    if found.state is not None:
        for where, seen in known:
            contradicted = contradiction(found.state, seen)
            if contradicted:
                raise LostState(f"{contradicted} by {where}", hint=ACCEPT)
        remember(job, found.state)
    return found


def remembered(job: Job) -> tuple[tuple[str, Seen], ...]:
    """The statefiles that this process and this machine saw last."""
    kept = read_seen(job.ports.cache.get(_seen(job))) if job.place else None
    both = (("this process", job.memory.seen), ("this machine", kept))
    return tuple((where, seen) for where, seen in both if seen is not None)


def remember(job: Job, state: State) -> None:
    """Note that this statefile was there; a cache that cannot be written is done without."""
    job.memory.seen = Seen(state.lineage, state.serial)
    if job.place and read_seen(job.ports.cache.get(_seen(job))) != job.memory.seen:
        job.ports.cache.put(_seen(job), write_seen(job.memory.seen))


def _seen(job: Job) -> str:
    return f"statefile seen {job.place}"


def _decided(
    job: Job, before: Recorded, tree: ConfigTree, base: str, commands: tuple[Note, ...], started: int = 0
) -> tuple[Context, Plan]:
    context = observe(job.ports, job.settings, loaded(job, tree), before, base, commands, job.heard)
    context = replace(context, bootstrap=job.bootstrap, report_key=job.report_key, started=started)
    return informed(job, tree, context, deliberate)


def loading(job: Job) -> Callable[[ConfigTree], Loaded]:
    """Read the config of a tree, with this process's settings, schemas and cache."""
    return partial(load, settings=job.settings, schemas=job.schemas, cache=job.ports.cache)


def loaded(job: Job, tree: ConfigTree) -> Desired:
    """What the config of a tree asks for."""
    known = job.memory.loaded
    if known is None or tree.sha is None or known.desired.sha != tree.sha:
        known = job.memory.loaded = loading(job)(tree)
    return known.desired


def informed(
    job: Job, tree: ConfigTree, context: Context, ask: Callable[[Context], tuple[Answer, Wants]]
) -> tuple[Context, Answer]:
    """The answer to a question, asked again until nothing is left to be looked up for it."""
    answer, wanted = ask(context)
    for _ in range(ROUNDS):
        if not wanted:
            break
        context = look_up(job.ports, tree, loading(job), context, wanted)
        answer, wanted = ask(context)
    return context, answer


def _save_intent(job: Job, context: Context, decided: Plan, etag: str) -> tuple[State | None, str]:
    """Save what is intended before the first effect; whoever loses this race has done nothing."""
    if decided.record is None and not decided.actions:
        return None, etag
    state = next_serial(decided.record or replace(_known(context), time=context.now))
    if context.state is None:  # it takes the place of what was here before, also for other machines that saw that
        state = accepted(state, (seen for _, seen in remembered(job)))
    written = job.ports.state.write(encode(state), etag)
    if isinstance(written, Refused):
        raise StateRace("another writer changed the statefile meanwhile; nothing was done", hint="try again")
    remember(job, state)
    return state, written


def _known(context: Context) -> State:
    return context.state or State(lineage=context.observed.nonce)


def acted(job: Job, context: Context, decided: Plan) -> Iterator[Outcome]:
    """Outcomes of all actions; after SIGTERM the action at hand is finished and the rest is skipped."""
    carried_out = act(job.ports, decided, context.now, context.report_key, job.settings.dashboard_title)
    for action in decided.actions:
        if job.stopped():
            yield Outcome(OutcomeStatus.SKIPPED, "the process was asked to stop", untouched=True)
            continue
        outcome = next(carried_out)
        job.progress(action, outcome)
        yield outcome


def save_outcomes(
    job: Job, context: Context, decided: Plan, outcomes: Sequence[Outcome], state: State | None, etag: str
) -> None:
    """Save what came of it; if another writer was faster, fold the outcomes into what he left."""
    for _ in range(RACES):
        if state is None:
            return
        settled = settle(state, context.desired, decided.actions, outcomes, context.now)
        if settled == state:
            return
        settled = next_serial(settled)
        written = job.ports.state.write(encode(settled), etag)
        if not isinstance(written, Refused):
            remember(job, settled)
            return
        state, etag = _written_meanwhile(job)
    raise StateRace("the statefile changes faster than it can be written; the next pass looks again", hint="try again")


def _written_meanwhile(job: Job) -> tuple[State, str]:
    """What another writer left. Outcomes are not folded into another statefile: there they would mean nothing."""
    fresh = _agreeing(job, remembered(job))
    if fresh.state is None:
        raise LostState(f"the statefile was removed while this pass was at work: {LOST}", hint=GONE)
    return fresh.state, fresh.etag


def rebuild(job: Job) -> Rebuilt:
    """What comments, servers and git still know of a lost statefile; nothing is written.

    Raises WrongUsage where there is a statefile.
    """
    if job.ports.state.read() is not None:
        raise WrongUsage(
            "there is a statefile: `state rebuild` is for one that is gone",
            hint="`saasbot state repair` keeps what can be read of a damaged one",
        )
    base = job.ports.config.fetch(job.settings.branch)
    tree = job.ports.config.tree(base)
    context = observe(job.ports, job.settings, loaded(job, tree), Recorded(None), base)
    context = replace(context, bootstrap="adopt", report_key=job.report_key)
    context, adopted = informed(job, tree, context, adopt_all)
    own = job.ports.forge.own_merge_requests(RECENT)
    known = (seen for _, seen in remembered(job))
    found = take_back(adopted, context, own, _past(job, context.desired, base), known)
    asked = observe(job.ports, job.settings, context.desired, Recorded(found.to_ask), base)
    return with_answers(found, context, asked.observed.runs)


def _past(job: Job, desired: Desired, base: str) -> Iterator[Desired]:
    """The config at the commits that changed the files of its pinned targets, newest first, each read when wanted."""
    files = {target.file for target in desired.targets.values() if target.pinned}
    for sha in job.ports.config.history(base, files, LOOKED_BACK):
        try:
            yield loading(job)(job.ports.config.tree(sha)).desired
        except InvalidConfiguration:  # a folder of data that was not there yet
            return


def preview(job: Job, start: StartJob) -> Mapping[str, Any] | Unreachable:
    """What the server of a job would be sent for a start; nothing is sent."""
    provider = job.ports.pipelines(start.pipeline.instance)
    if isinstance(provider, Unreachable):
        return provider
    try:
        return provider.preview(start.pipeline, start.run, start.environment)
    except ServerUnreachable as error:
        return Unreachable(error.message)


def clean(job: Job, trigger: Trigger, names: Iterable[str], *, force: bool) -> dict[str, tuple[str, ...] | Refused]:
    """Remove what servers keep of these jobs of a definition, and forget that they have succeeded; by job.

    The server comes first: whoever is interrupted in between cleans again. Raises StateRace where the statefile
    changes faster than it can be written.
    """
    jobs = [each for each in trigger.jobs if each.name in set(names)]
    found = {each.name: cleaned(job.ports, pipeline_of(trigger, each), force=force) for each in jobs}
    gone = [name for name, names in found.items() if not isinstance(names, Refused)]
    for _ in range(RACES):
        seen = present(job)
        if seen.state is None or (left := without_success(seen.state, trigger.name, gone)) == seen.state:
            return found
        left = next_serial(left)
        if not isinstance(job.ports.state.write(encode(left), seen.etag), Refused):
            remember(job, left)
            return found
    raise StateRace("the statefile changes faster than it can be written; clean again", hint="try again")


def create(job: Job, state: State) -> None:
    """Write a statefile where there is none. Raises StateRace where there is one by now."""
    _write(job, state, "")


def accept(job: Job, state: State, etag: str) -> State:
    """Write the present statefile so that it contradicts nothing that was seen, on comments or here; return it."""
    forge, title = job.ports.forge, job.settings.dashboard_title
    board = forge.dashboard(title) if title else None
    seen = sightings(forge.own_merge_requests(RECENT), board, forge.me(), job.report_key, job.settings.branch)
    return _write(job, accepted(state, (each for _, each in (*remembered(job), *seen))), etag)


def _write(job: Job, state: State, etag: str) -> State:
    state = next_serial(state)
    if isinstance(job.ports.state.write(encode(state), etag), Refused):
        raise StateRace("another writer changed the statefile meanwhile; nothing was done", hint="try again")
    remember(job, state)
    return state
