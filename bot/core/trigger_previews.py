"""Trigger previews: what a `trigger` command would start, job by job, also what would wait for its turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.core.conditions import idle
from bot.core.context import Context
from bot.core.diff import run_key
from bot.core.facts import Facts
from bot.core.job_lists import whole
from bot.core.jobs import pipeline_of, start_job, subject_of
from bot.core.verbs import TriggerCmd
from bot.model.observed import Unreachable
from bot.model.plan import Plan, StartJob
from bot.model.rounds import JobStatus, Round, RoundJob, TriggerState
from bot.model.runs import Reason, Run
from bot.model.state import State
from bot.model.triggers import Trigger

LATER = "later in its round"


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A job that a command names. `start` is None where it would not be started, and `text` says why.

    Of one that would start later, `text` says so, and the key of `start` is only an example.
    """

    job: str
    start: StartJob | None
    text: str = ""


Sent = Sequence[tuple[Upcoming, Mapping[str, Any] | Unreachable]]
"""Jobs that would be started, each with what its server would be sent; nothing for one that would not be."""


def upcoming(context: Context, plan: Plan, command: TriggerCmd, by: str) -> tuple[Upcoming, ...]:
    """Every job of the round that a command would lead to, in the order of the definition.

    `plan` is what was decided with the command. Empty where the command was refused.
    """
    given = context.desired.triggers.get(command.trigger)
    trigger = whole(Facts(context.observed), given) if given is not None else None
    if not isinstance(trigger, Trigger) or not all(answer.ok for answer in plan.answers):
        return ()
    return tuple(_upcoming(context, plan, trigger, command, by))


def _upcoming(context: Context, plan: Plan, trigger: Trigger, command: TriggerCmd, by: str) -> Iterator[Upcoming]:
    state = plan.record or context.state or State()
    record = state.triggers.get(trigger.name) or TriggerState(trigger.name, context.now)
    present = _begun(context, record)
    starts = _starts(plan, trigger) if present is not None else {}
    jobs = {job.name: job for job in trigger.jobs}
    runs = record.runs
    for seen in _jobs(context, present, trigger, command):
        if seen.name in starts:
            yield Upcoming(seen.name, starts[seen.name])
        elif seen.status is not JobStatus.WAITING:
            yield Upcoming(seen.name, None, seen.text)
        else:
            runs += 1
            run = _example(context, state.lineage, trigger, seen.name, runs, by)
            pipeline = pipeline_of(trigger, jobs[seen.name], rehearsal=command.rehearsal)
            start = start_job(trigger, jobs[seen.name], run, pipeline, force=command.force)
            yield Upcoming(seen.name, start, LATER)


def _begun(context: Context, record: TriggerState) -> Round | None:
    """The round that begins with this plan; None where the command has to wait for the end of another."""
    before = context.state.triggers.get(record.name) if context.state is not None else None
    return record.round if record.rounds > (before.rounds if before is not None else 0) else None


def _starts(plan: Plan, trigger: Trigger) -> dict[str, StartJob]:
    return {each.job: each for each in plan.actions if isinstance(each, StartJob) and each.trigger == trigger.name}


def _jobs(context: Context, present: Round | None, trigger: Trigger, command: TriggerCmd) -> Iterable[RoundJob]:
    """The jobs of the round that begins with this plan, or those that would be in it."""
    if present is not None:
        for job in present.jobs:
            yield replace(job, text=job.text or present.text or job.status.value)
        return
    for each in trigger.jobs:
        if not command.jobs or each.name in command.jobs:
            why = "" if command.force else idle(each, trigger, context.now)
            yield RoundJob(each.name, status=JobStatus.SKIPPED if why else JobStatus.WAITING, text=why)


def _example(context: Context, lineage: str, trigger: Trigger, job: str, number: int, by: str) -> Run:
    """A run as it would be written down at its start."""
    return Run(
        key=run_key(lineage, subject_of(trigger.name, job), "", "", number),
        number=number,
        sha="",
        config_hash="",
        pipeline=job,
        reasons=(Reason("manual", f"{by} asked for it"),),
        intent_at=context.now,
        timeout=trigger.timeout,
        instance=trigger.instance,
    )
