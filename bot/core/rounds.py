"""Rounds: when a trigger definition is due, and what its round consists of.

Missed slots collapse into one. A slot that comes due while a round runs waits for its end; nothing is started twice for
the same slot, because the moment until which the schedules were looked at is saved with the round's first intent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from bot.core import schedule
from bot.core.conditions import builds_of, first_unmet, idle, today_of
from bot.core.sheet import Sheet
from bot.formats.gravitee_release import releases
from bot.model.observed import Unreachable
from bot.model.plan import Gate
from bot.model.rounds import Counted, JobStatus, Result, Round, RoundJob, RoundResult, TriggerRequest, TriggerState
from bot.model.runs import Reason
from bot.model.triggers import Job, Schedule, Trigger
from bot.render.words import utc

REASONS_KEPT = 5
"""Schedules that a round names; there are as many as its jobs have different ones."""

RESULTS_KEPT = 10
"""Rounds before the present one of which the result is known."""


def counted(trigger: Trigger, record: TriggerState, now: datetime) -> TriggerState:
    """The record with each schedule and the moment from which it counts: one that is new or was changed, from now."""
    known = record.schedules
    begins = record.checked_at if known is None else now
    since = {
        name: known[name] if known and name in known and known[name].cron == cron else Counted(cron, begins)
        for name, cron in ((name, f"{given.cron} {given.timezone}") for name, given in _schedules(trigger))
    }
    return record if known is not None and since == dict(known) else replace(record, schedules=since)


def _schedules(trigger: Trigger) -> Iterator[tuple[str, Schedule]]:
    """Every schedule by its job; the definition's own has no name."""
    if trigger.schedule is not None:
        yield "", trigger.schedule
    yield from ((job.name, job.schedule) for job in trigger.jobs if job.schedule is not None)


def _since(record: TriggerState, name: str) -> datetime:
    """The moment up to which a schedule was looked at."""
    found = (record.schedules or {}).get(name)
    return max(record.checked_at, found.since) if found is not None else record.checked_at


def due_jobs(trigger: Trigger, record: TriggerState, now: datetime) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """The jobs whose schedule came due since it was last looked at, in the order of the file, and why."""
    reasons: list[Reason] = []
    names: set[str] = set()
    if trigger.schedule is not None and (slot := schedule.slot(trigger.schedule, _since(record, ""), now)):
        reasons.append(_due(trigger.schedule, slot))
        names |= {job.name for job in trigger.jobs if job.schedule is None}
    for job in trigger.jobs:
        if (
            job.schedule is not None
            and not _idle(job, record)
            and (slot := schedule.slot(job.schedule, _since(record, job.name), now))
        ):
            reasons.append(_due(job.schedule, slot))
            names.add(job.name)
    return tuple(job.name for job in trigger.jobs if job.name in names), tuple(dict.fromkeys(reasons))


def _idle(job: Job, record: TriggerState) -> bool:
    """Whether a job's own schedule starts nothing: it is switched off, or runs once and has succeeded."""
    return not job.active or (job.once and job.name in record.succeeded)


def _due(given: Schedule, slot: datetime) -> Reason:
    return Reason("schedule", f"{given.cron} came due at {utc(slot)}")


def _few(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """The first of many reasons, and how many more there are: each run of a round bears them."""
    more = len(reasons) - REASONS_KEPT
    return (*reasons[:REASONS_KEPT], Reason("schedule", f"and {more} more")) if more > 0 else reasons


def next_due(trigger: Trigger, record: TriggerState, now: datetime) -> datetime | None:
    """When a schedule of the definition is due next."""
    schedules = [trigger.schedule, *(job.schedule for job in trigger.jobs if not _idle(job, record))]
    times = [at for each in schedules if each is not None and (at := schedule.next_slot(each, now)) is not None]
    return min(times, default=None)


def opened(sheet: Sheet, trigger: Trigger, record: TriggerState) -> TriggerState:
    """The record with a new round where one is due and none is running."""
    request = sheet.state.trigger_requests.get(trigger.name)
    names, reasons = due_jobs(trigger, record, sheet.now)
    if reasons and sheet.time_is_behind:
        sheet.hold(f"trigger:{trigger.name}", Gate.WINDOW, "the clock is behind the statefile: no schedule counts")
        names, reasons = (), ()
    if request is None and not reasons:
        sheet.due(next_due(trigger, record, sheet.now))
        return record
    running = record.round is not None and (record.round.result is Result.RUNNING or record.round.stopping)
    if running:
        text = "; ".join(reason.text for reason in reasons) or f"{request.by if request else ''} asked for it"
        sheet.hold(f"trigger:{trigger.name}", Gate.RUN_IN_FLIGHT, f"{text}: waits for the end of the present round")
        return record
    if request is not None:
        sheet.forget_request(trigger.name)
        names, reasons = (), (Reason("manual", f"{request.by} asked for it"),)
    force, rehearsal = (request.force, request.rehearsal) if request is not None else (False, False)
    began = Round(
        record.rounds + 1,
        sheet.now,
        _few(reasons),
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
    # What is due by schedule comes after a start by hand; and no slot is due twice, whatever the clock says.
    checked_at = record.checked_at if request is not None else max(record.checked_at, sheet.now)
    return replace(record, round=began, rounds=began.number, checked_at=checked_at, results=_results(record))


def _results(record: TriggerState) -> tuple[RoundResult, ...]:
    """How the last rounds ended, for those who wait for one that has made room for the next."""
    last = record.round
    if last is None:
        return record.results
    return (*record.results, RoundResult(last.number, last.result, last.text))[-RESULTS_KEPT:]


def _chosen(trigger: Trigger, due: Iterable[str], request: TriggerRequest | None) -> frozenset[str]:
    if request is None:
        return frozenset(due)
    return frozenset(request.jobs or (job.name for job in trigger.jobs))


def _conditions(
    sheet: Sheet, trigger: Trigger, record: TriggerState, began: Round, request: TriggerRequest | None
) -> Round:
    """The round, ended at once where a condition does not hold; who asks for it by hand overrides the conditions."""
    builds = builds_of(sheet.facts, trigger)
    if isinstance(builds, Unreachable):
        if request is None:
            return ended(began, Result.ERROR, f"nothing was started: {builds.text}", sheet.now)
        return replace(began, builds=record.builds)  # what is known of them stands
    today = today_of(trigger, sheet.now)
    text = "" if request is not None else first_unmet(trigger.conditions, today, record.builds, builds)
    began = replace(began, builds=builds)
    return ended(began, Result.SKIPPED, f"skipped: {text}", sheet.now) if text else began


def _jobs(
    sheet: Sheet, trigger: Trigger, record: TriggerState, began: Round, chosen: frozenset[str]
) -> Iterable[RoundJob]:
    for index, stage in enumerate(trigger.stages):
        position = 0
        for job in _in_order(stage.jobs):
            if job.name not in chosen:
                continue
            again = _still_running(record, began, job, _version(trigger, job))
            if again is not None:
                yield replace(again, stage=index, batch=0)
                continue
            text = "" if began.force else _left_out(sheet, trigger, record, began, job)
            if text:
                yield RoundJob(job.name, index, status=JobStatus.SKIPPED, text=text, version=_version(trigger, job))
                continue
            batch = position // trigger.batch.size if trigger.batch.size else 0
            yield RoundJob(job.name, index, batch, version=_version(trigger, job))
            position += 1


def _version(trigger: Trigger, job: Job) -> str:
    """What a job releases; nothing where its pipeline is told of a dry run, or of something else to do."""
    parameters = {**trigger.options, **job.options}.get("parameters")
    return job.version if releases(parameters) else ""


def _still_running(record: TriggerState, began: Round, job: Job, version: str) -> RoundJob | None:
    """The same job of the last round, where its run goes on: it is taken over and not started a second time."""
    last = record.round
    if last is None or not version or (last.rehearsal, last.version) != (began.rehearsal, began.version):
        return None
    found = next((each for each in last.jobs if each.name == job.name and each.version == version), None)
    text = f"its run of round {last.number} still goes on"
    return replace(found, text=text) if found is not None and found.in_flight else None


def _in_order(jobs: tuple[Job, ...]) -> list[Job]:
    """The jobs as in the file, but each behind those that it comes after: no batch waits for one that is behind it."""
    ordered: list[Job] = []
    rest = list(jobs)
    while rest:
        names = {job.name for job in rest}
        job = next((each for each in rest if not names.intersection(each.after)), rest[0])
        ordered.append(job)
        rest.remove(job)
    return ordered


def _left_out(sheet: Sheet, trigger: Trigger, record: TriggerState, began: Round, job: Job) -> str:
    """Why a job is not in this round, or an empty text; who asks for it by hand overrides its conditions."""
    if (version := _version(trigger, job)) and record.released.get(job.name) == version:
        return f"{version} was released already; the config does not say so yet"
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
