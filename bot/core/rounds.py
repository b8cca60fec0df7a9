"""Rounds: when a trigger definition is due, and what its round consists of.

Missed slots collapse into one. A slot that comes due while a round runs waits for its end; nothing is started twice for
the same slot, because the moment until which the schedules were looked at is saved with the round's first intent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from bot.core import schedule
from bot.core.conditions import builds_of, first_unmet, idle, today_of
from bot.core.sheet import Sheet
from bot.model.observed import Unreachable
from bot.model.plan import Gate
from bot.model.rounds import JobStatus, Result, Round, RoundJob, TriggerRequest, TriggerState
from bot.model.runs import Reason
from bot.model.triggers import Job, Schedule, Trigger
from bot.render.words import utc


def due_jobs(trigger: Trigger, record: TriggerState, now: datetime) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """The jobs whose schedule came due since it was last looked at, in the order of the file, and why."""
    reasons: list[Reason] = []
    names: set[str] = set()
    if trigger.schedule is not None and (slot := schedule.slot(trigger.schedule, record.checked_at, now)):
        reasons.append(_due(trigger.schedule, slot))
        names |= {job.name for job in trigger.jobs if job.schedule is None}
    for job in trigger.jobs:
        if job.schedule is not None and (slot := schedule.slot(job.schedule, record.checked_at, now)):
            reasons.append(_due(job.schedule, slot, f"{job.name}: "))
            names.add(job.name)
    return tuple(job.name for job in trigger.jobs if job.name in names), tuple(dict.fromkeys(reasons))


def _due(given: Schedule, slot: datetime, whose: str = "") -> Reason:
    return Reason("schedule", f"{whose}{given.cron} came due at {utc(slot)}")


def next_due(trigger: Trigger, now: datetime) -> datetime | None:
    """When a schedule of the definition is due next."""
    schedules = [trigger.schedule, *(job.schedule for job in trigger.jobs)]
    times = [at for each in schedules if each is not None and (at := schedule.next_slot(each, now)) is not None]
    return min(times, default=None)


def opened(sheet: Sheet, trigger: Trigger, record: TriggerState) -> TriggerState:
    """The record with a new round where one is due and none is running."""
    request = sheet.state.trigger_requests.get(trigger.name)
    names, reasons = due_jobs(trigger, record, sheet.now)
    if request is None and not reasons:
        sheet.due(next_due(trigger, sheet.now))
        return record
    running = record.round is not None and record.round.result is Result.RUNNING
    if running:
        text = "; ".join(reason.text for reason in reasons) or f"{request.by if request else ''} asked for it"
        sheet.hold(f"trigger:{trigger.name}", Gate.RUN_IN_FLIGHT, f"{text}: waits for the end of the present round")
        return record
    if request is not None:
        sheet.forget_request(trigger.name)
        reasons = (Reason("manual", f"{request.by} asked for it"), *reasons)
    force, rehearsal = (request.force, request.rehearsal) if request is not None else (False, False)
    began = Round(
        record.rounds + 1,
        sheet.now,
        reasons,
        stage_at=sheet.now,
        force=force,
        rehearsal=rehearsal,
        version=trigger.version,
    )
    began = _conditions(sheet, trigger, record, began, request)
    if began.result is Result.RUNNING:
        began = replace(
            began,
            jobs=tuple(_jobs(sheet, trigger, record, began, _chosen(trigger, names, request))),
            stages=tuple(stage.name for stage in trigger.stages),
        )
    return replace(record, round=began, rounds=began.number, checked_at=sheet.now)


def _chosen(trigger: Trigger, due: Iterable[str], request: TriggerRequest | None) -> frozenset[str]:
    if request is None:
        return frozenset(due)
    return frozenset(request.jobs or (job.name for job in trigger.jobs)) | frozenset(due)


def _conditions(
    sheet: Sheet, trigger: Trigger, record: TriggerState, began: Round, request: TriggerRequest | None
) -> Round:
    """The round, ended at once where a condition does not hold; who asks for it by hand overrides the conditions."""
    builds = builds_of(sheet.facts, trigger)
    if isinstance(builds, Unreachable):
        if request is None:
            return ended(began, Result.ERROR, f"nothing was started: {builds.text}", sheet.now)
        return began
    today = today_of(trigger, sheet.now)
    text = "" if request is not None else first_unmet(trigger.conditions, today, record.builds, builds)
    began = replace(began, builds=builds)
    return ended(began, Result.SKIPPED, f"skipped: {text}", sheet.now) if text else began


def _jobs(
    sheet: Sheet, trigger: Trigger, record: TriggerState, began: Round, chosen: frozenset[str]
) -> Iterable[RoundJob]:
    for index, stage in enumerate(trigger.stages):
        position = 0
        for job in stage.jobs:
            if job.name not in chosen:
                continue
            text = "" if began.force else _left_out(sheet, trigger, record, began, job)
            if text:
                yield RoundJob(job.name, index, status=JobStatus.SKIPPED, text=text, version=job.version)
                continue
            batch = position // trigger.batch.size if trigger.batch.size else 0
            yield RoundJob(job.name, index, batch, version=job.version)
            position += 1


def _left_out(sheet: Sheet, trigger: Trigger, record: TriggerState, began: Round, job: Job) -> str:
    """Why a job is not in this round, or an empty text; who asks for it by hand overrides its conditions."""
    if job.version and record.released.get(job.name) == job.version:
        return f"{job.version} was released already; the config does not say so yet"
    by_hand = any(reason.kind == "manual" for reason in began.reasons)
    unmet = "" if by_hand else first_unmet(job.conditions, today_of(trigger, sheet.now), record.builds, began.builds)
    return idle(job, trigger, sheet.now) or unmet


def ended(present: Round, result: Result, text: str, now: datetime) -> Round:
    """The round at its end; what was not started by then is not started any more."""
    jobs = tuple(
        replace(job, status=JobStatus.NOT_STARTED, next_at=None) if job.status is JobStatus.WAITING else job
        for job in present.jobs
    )
    return replace(present, result=result, text=text, ended_at=now, jobs=jobs, probe_at=None, batch_at=None)


def job_of(trigger: Trigger, name: str) -> Job | None:
    """The definition of a job; None where it left the config."""
    return next((job for job in trigger.jobs if job.name == name), None)
