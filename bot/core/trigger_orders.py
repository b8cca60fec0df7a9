"""Trigger orders: what a `trigger` command names, whose it is, and the start that is written down for it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from bot.core.conditions import idle
from bot.core.job_lists import Unlisted, whole
from bot.core.phrases import FORCE
from bot.core.sheet import Sheet
from bot.core.verbs import TriggerCmd
from bot.model.rounds import Result, Round, TriggerRequest, TriggerState
from bot.model.state import State
from bot.model.triggers import Job, Trigger

REHEARSED = "circleci"
"""The kind of server whose pipelines know a dry run."""

MOST = 10
"""Jobs that one sentence names."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is written down for a command, and what will happen in words; no request where it is refused.

    `later` says that not all of it happens at once, or not as it was asked for.
    """

    text: str
    request: TriggerRequest | None = None
    later: bool = False


def owners_of_trigger(sheet: Sheet, trigger: Trigger) -> frozenset[str]:
    """The people who own a definition; groups are spelled out."""
    groups = sheet.context.settings.groups
    return frozenset(user for name in trigger.owners for user in groups.get(name, (name,)))


def triggered(sheet: Sheet, command: TriggerCmd) -> Trigger | str:
    """The definition that a command names, with its jobs, or one sentence that says why it cannot be started so."""
    trigger = sheet.context.desired.triggers.get(command.trigger)
    if trigger is None:
        return unknown_trigger(sheet, command.trigger)
    if not trigger.command:
        return f"{trigger.name} takes no commands: write `command: true` under `on` in {trigger.file}"
    if command.rehearsal and trigger.instance.provider != REHEARSED:
        kind = trigger.instance.provider
        return f"{trigger.name} runs on a server of kind {kind}: only pipelines of {REHEARSED} are told of a dry run"
    found = whole(sheet.facts, trigger)
    if isinstance(found, Unlisted):
        return f"the jobs of {trigger.name} are not known: {found.text}"
    return unknown_job(found, command.jobs) or found


def unknown_trigger(sheet: Sheet, name: str) -> str:
    """The sentence for a definition that the config does not have."""
    desired = sheet.context.desired
    record = sheet.state.triggers.get(name)
    if record is not None and record.file in desired.invalid_triggers:
        return f"{name} is invalid: {desired.invalid_triggers[record.file]}"
    return f"there is no trigger {name}{_meant(name, desired.triggers)}"


def unknown_job(trigger: Trigger, names: Iterable[str]) -> str:
    """The sentence for the first of these jobs that a definition does not have; empty where it has them all."""
    known = [job.name for job in trigger.jobs]
    name = next((each for each in names if each not in known), None)
    return f"{trigger.name} has no job {name}{_meant(name, known)}" if name is not None else ""


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else ""


def asked(sheet: Sheet, trigger: Trigger, command: TriggerCmd, by: str) -> Order:
    """The start that a command asks for, joined with one that still waits; and when it will happen."""
    request = TriggerRequest(trigger.name, by, sheet.now, command.jobs, command.force, command.rehearsal)
    waiting = sheet.state.trigger_requests.get(trigger.name)
    if waiting is not None:
        if (waiting.force, waiting.rehearsal) != (request.force, request.rehearsal):
            return Order(
                f"{waiting.by} asked for {trigger.name} in another way, and that still waits; say it again then"
            )
        request = replace(request, jobs=_both(waiting.jobs, request.jobs))
    jobs = [job for job in trigger.jobs if not request.jobs or job.name in request.jobs]
    record = sheet.state.triggers.get(trigger.name) or TriggerState(trigger.name, sheet.now)
    running = record.round is not None and record.round.result is Result.RUNNING
    left = {job.name: why for job in jobs if (why := _left_out(trigger, job, record, request))}
    when = _when(record.round if running else None)
    return Order(f"{when}{_what(trigger, jobs)}{_how(request)}{_without(left)}", request, later=running or bool(left))


def _left_out(trigger: Trigger, job: Job, record: TriggerState, request: TriggerRequest) -> str:
    """Why a job would be left out as things stand, and what to do about it; empty where it would not be."""
    if job.once and job.name in record.succeeded:
        return "it has run already, and is to run once: `saasbot trigger clean` takes that back"
    if request.force:
        return ""
    released = bool(job.version) and record.released.get(job.name) == job.version
    why = f"{job.version} was released already" if released else idle(job, trigger, request.at)
    return f"{why}: `{FORCE}` starts it all the same" if why else ""


def _both(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """The jobs of two requests; none means all of them."""
    return tuple(dict.fromkeys((*first, *second))) if first and second else ()


def _when(present: Round | None) -> str:
    return "begins now: " if present is None else f"waits for the end of round {present.number}, then begins: "


def _what(trigger: Trigger, jobs: list[Job]) -> str:
    if not jobs:
        return f"{trigger.name}, which has no jobs at present"
    return f"{trigger.name} with {_listed([job.name for job in jobs])}"


def _how(request: TriggerRequest) -> str:
    force = ", whatever would hold them back" if request.force else ""
    return f"{force}, as a rehearsal" if request.rehearsal else force


def _without(left: dict[str, str]) -> str:
    if not left:
        return ""
    return f"; left out: {_listed([f'{name} ({why})' for name, why in left.items()])}"


def _listed(names: list[str]) -> str:
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")


def awaited(state: State, trigger: str) -> int:
    """The number of the round that carries a request out, seen right after the pass that wrote the request down."""
    record = state.triggers.get(trigger)
    rounds = record.rounds if record is not None else 0
    return rounds + 1 if trigger in state.trigger_requests else rounds


def is_over(state: State, trigger: str, number: int) -> bool:
    """Whether nothing more becomes of a round, as far as the statefile tells; also where its definition is gone."""
    record = state.triggers.get(trigger)
    if record is None or record.removed_at is not None or record.rounds > number:
        return True
    present = record.round
    return present is not None and present.number == number and present.result is not Result.RUNNING


def without_success(state: State, trigger: str, jobs: Collection[str]) -> State:
    """The statefile in which these jobs have never succeeded."""
    record = state.triggers.get(trigger)
    if record is None or not record.succeeded.keys() & set(jobs):
        return state
    kept = {name: at for name, at in record.succeeded.items() if name not in jobs}
    return replace(state, triggers={**state.triggers, trigger: replace(record, succeeded=kept)})
