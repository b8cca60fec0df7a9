"""Trigger reports: a round told set by set, in the same words whether it runs, succeeded, failed or took too long.

A set is the jobs of one stage; a round without stages is one set, and a stage without jobs is none (SYSTEMS RP-9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.core.jobs import pipeline_of
from bot.core.rounds import job_of
from bot.core.sheet import Sheet
from bot.core.stepping import summary
from bot.model.observed import Unreachable
from bot.model.rounds import JobReport, JobStatus, Result, Round, RoundJob, SetReport, TriggerState
from bot.model.runs import Run, RunStatus
from bot.model.servers import Pipeline
from bot.model.triggers import Trigger

QUIET = frozenset(
    {RunStatus.SUCCEEDED.value, JobStatus.SKIPPED.value, JobStatus.WAITING.value, JobStatus.NOT_STARTED.value}
)
"""The words of jobs that nobody has to look at, once it is said how their set stands."""

Details = Callable[[Pipeline | None, Run], Mapping[str, Any] | Unreachable]
"""What a server tells of a run; the pipeline is None where the job has left the config."""


def no_details(_pipeline: Pipeline | None, _run: Run) -> Mapping[str, Any]:
    """For reports that no server is asked for."""
    return {}


def set_reports(record: TriggerState, trigger: Trigger | None, details: Details = no_details) -> tuple[SetReport, ...]:
    """Every set of the present (or last) round that was begun, in order; `trigger` is None where it left the config."""
    present = record.round
    if present is None:
        return ()
    return tuple(_report(record, present, trigger, index, details) for index in _begun(present))


def note_sets(sheet: Sheet, before: TriggerState | None, after: TriggerState, trigger: Trigger | None) -> None:
    """Report the sets that were not over in the record `before` and are in the record `after`.

    All that servers tell of their runs is looked up for it; what cannot be had is told as `unavailable`.
    """
    present = after.round
    if present is None:
        return
    for _, index in sorted(_over(after) - _over(before)):
        sheet.sets.append(_report(after, present, trigger, index, sheet.facts.details))


def notable_sets(sheet: Sheet) -> tuple[SetReport, ...]:
    """Of each definition's round that runs or has ended badly: the set it is in, with the jobs worth a look."""
    found = []
    for record in sheet.state.triggers.values():
        present = record.round
        if present is None or present.result in (Result.SUCCESS, Result.SKIPPED):
            continue
        if record.removed_at is not None and not any(job.in_flight for job in present.jobs):
            continue
        last = set_reports(record, sheet.context.desired.triggers.get(record.name))[-1]
        found.append(replace(last, jobs=tuple(job for job in last.jobs if job.word not in QUIET)))
    return tuple(found)


def _over(record: TriggerState | None) -> frozenset[tuple[int, int]]:
    """The sets that have ended, each with its round's number."""
    present = record.round if record is not None else None
    if present is None:
        return frozenset()
    begun = _begun(present)
    return frozenset((present.number, index) for index in begun if _result(present, index) is not Result.RUNNING)


def _begun(present: Round) -> Sequence[int]:
    """The stages with jobs that were begun; where there is none, or the round ended in another, that one as well."""
    begun = {job.stage for job in present.jobs if job.stage <= present.stage}
    if present.result not in (Result.RUNNING, Result.SUCCESS):
        begun.add(present.stage)
    return sorted(begun) or (0,)


def _result(present: Round, index: int) -> Result:
    """How a set ended: the next one is begun only where it succeeded."""
    return present.result if index == present.stage else Result.SUCCESS


def _report(record: TriggerState, present: Round, trigger: Trigger | None, index: int, details: Details) -> SetReport:
    result = _result(present, index)
    own = [job for job in present.jobs if job.stage == index]
    jobs = tuple(_job(trigger, job, details) for job in own)
    errors = (report for job, report in zip(own, jobs, strict=True) if job.failed)
    stopped = result not in (Result.RUNNING, Result.SUCCESS)
    return SetReport(
        trigger=record.name,
        process=(trigger.process if trigger is not None else "") or record.name,
        version=present.version,
        round=present.number,
        index=index,
        name=_name(present, index),
        result=result,
        text=present.text if stopped else _progress(own, result),
        started_at=_began_at(present, index),
        ended_at=None if result is Result.RUNNING else _ended_at(present, index),
        jobs=jobs,
        error=next(errors, None),
        not_started=tuple(_later(present)) if stopped else (),
        rehearsal=present.rehearsal,
    )


def _job(trigger: Trigger | None, job: RoundJob, details: Details) -> JobReport:
    if job.status is not JobStatus.STARTED or job.run is None:
        return JobReport(job.name, job.status.value, job.text)
    known: Mapping[str, Any] | Unreachable = {}
    if job.run.handle:
        found = job_of(trigger, job.name) if trigger is not None else None
        known = details(pipeline_of(trigger, found) if trigger is not None and found is not None else None, job.run)
    if isinstance(known, Unreachable):
        known = {"unavailable": known.text}
    return JobReport(job.name, job.run.status.value, job.run.text or job.text, job.run, known)


def _progress(jobs: Sequence[RoundJob], result: Result) -> str:
    if result is Result.RUNNING:
        return f"{sum(job.settled for job in jobs)} of {len(jobs)} jobs are over"
    return summary(jobs)


def _later(present: Round) -> Iterable[str]:
    """The stages that had jobs and were not begun."""
    return (_name(present, index) for index in sorted({job.stage for job in present.jobs if job.stage > present.stage}))


def _name(present: Round, index: int) -> str:
    return present.stages[index] if index < len(present.stages) else ""


def _began_at(present: Round, index: int) -> datetime:
    return _ended_at(present, index - 1) if index else present.began_at


def _ended_at(present: Round, index: int) -> datetime:
    """When a stage was over, and with it the next one began."""
    if index < len(present.stage_ends):
        return present.stage_ends[index]
    return present.ended_at or present.stage_at or present.began_at
