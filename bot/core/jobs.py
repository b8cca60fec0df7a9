"""Jobs of trigger definitions: the start of one, what became of it, and what it waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core.diff import run_key
from bot.core.follow import describe, looked_at, next_look
from bot.core.sheet import Sheet
from bot.model.desired import Desired
from bot.model.observed import RunFact, Unreachable
from bot.model.plan import FollowRun, Gate, StartJob
from bot.model.rounds import JobStatus, Result, RoundJob, TriggerState
from bot.model.runs import Reason, Run, RunStatus
from bot.model.servers import Pipeline
from bot.model.state import State
from bot.model.triggers import Job, Retry, Trigger

DRY_RUN = "dry_run"
"""The parameter that tells a release pipeline that it is a rehearsal."""


FOLLOWED = timedelta(days=1)
"""How long after its end a round's runs are followed: a late success still counts."""


def subject_of(trigger: str, job: str) -> str:
    """The subject of a job (DESIGN section 9)."""
    return f"job:{trigger}/{job}"


def pipeline_of(trigger: Trigger, job: Job, *, rehearsal: bool = False) -> Pipeline:
    """The pipeline that a job is: its own options over the definition's. In a rehearsal it is told that it is one."""
    options = {**trigger.options, **job.options}
    if rehearsal:
        options["parameters"] = {**options.get("parameters", {}), DRY_RUN: True}
    return Pipeline(
        job.name,
        trigger.instance,
        options,
        timeout=trigger.timeout,
        file=trigger.file,
    )


def chronology(job: Job, seen: RoundJob, record: TriggerState) -> RoundJob:
    """The job as its order leaves it: the same where it may start or still waits, else skipped with the reason.

    `after` asks for a success of each of these jobs, ever; one that runs in the same round is waited for.
    """
    if job.once and job.name in record.succeeded:
        return replace(seen, status=JobStatus.SKIPPED, text="it has run already, and is to run once")
    present = record.round.jobs if record.round is not None else ()
    for name in job.after:
        if name in record.succeeded:
            continue
        other = next((each for each in present if each.name == name), None)
        if other is None or other.settled or other.stage > seen.stage:
            return replace(seen, status=JobStatus.SKIPPED, text=f"{name} has not succeeded yet")
    return seen


def waits(job: Job, record: TriggerState) -> bool:
    """Whether a job that it comes after still runs."""
    return any(name not in record.succeeded for name in job.after)


def begin(
    sheet: Sheet, trigger: Trigger, record: TriggerState, seen: RoundJob, job: Job
) -> tuple[TriggerState, RoundJob]:
    """Start a job now, or leave it waiting with what holds it."""
    subject = subject_of(trigger.name, job.name)
    if waits(job, record):
        return record, seen
    if seen.next_at is not None and sheet.now < seen.next_at:
        sheet.due(seen.next_at)
        return record, seen
    if sheet.starts >= sheet.context.settings.runs.max_starts:
        sheet.hold(subject, Gate.BUDGET, "as many runs as one pass may start were started")
        return record, seen
    most = sheet.context.settings.runs.max_in_flight
    if sheet.in_flight >= most:
        sheet.hold(subject, Gate.BUDGET, f"{sheet.in_flight} runs are in flight (runs.maxInFlight {most})")
        return record, seen
    pipeline = pipeline_of(trigger, job, rehearsal=record.round is not None and record.round.rehearsal)
    mark = seen.mark or sheet.facts.mark(subject.removeprefix("job:"), pipeline)
    if isinstance(mark, Unreachable):
        sheet.hold(subject, Gate.UNREACHABLE, mark.text)
        if mark.again is not None:
            return record, put_off(seen, mark.text, sheet.now + (mark.again or trigger.retry.interval), crowded=True)
        return record, tried(seen, trigger.retry, mark.text, sheet.now, None)
    number = record.runs + 1
    reasons = record.round.reasons if record.round is not None else ()
    run = Run(
        key=run_key(sheet.state.lineage, subject, "", "", number),
        number=number,
        sha="",
        config_hash="",
        pipeline=job.name,
        attempt=seen.tries + 1,
        reasons=reasons,
        intent_at=sheet.now,
        mark=mark,
        config_sha=sheet.context.desired.sha or "",
        timeout=trigger.timeout,
        instance=trigger.instance,
    )
    sheet.starts += 1
    sheet.in_flight += 1
    force = record.round is not None and record.round.force
    sheet.actions.append(start_job(trigger, job, run, pipeline, force=force))
    return replace(record, runs=number), replace(seen, status=JobStatus.STARTED, run=run, next_at=None, text="")


def start_job(trigger: Trigger, job: Job, run: Run, pipeline: Pipeline, *, force: bool) -> StartJob:
    """The action that starts a job, with what its server is told; by force also beside what it does not go with."""
    return StartJob(
        subject=subject_of(trigger.name, job.name),
        trigger=trigger.name,
        job=job.name,
        run=run,
        pipeline=pipeline,
        environment={
            "SAASBOT_TRIGGER": trigger.name,
            "SAASBOT_JOB": job.name,
            "SAASBOT_RUN_KEY": run.key,
            "SAASBOT_REASONS": ",".join(dict.fromkeys(reason.kind for reason in run.reasons)),
            **({"SAASBOT_FORCE": "true"} if force else {}),
        },
        reasons=run.reasons,
        retry=trigger.retry,
    )


def refused(seen: RoundJob, text: str) -> RoundJob:
    """The job after a start that its server will never take."""
    return replace(seen, status=JobStatus.REFUSED, run=None, next_at=None, text=text)


def started_job(record: TriggerState | None, name: str, key: str) -> RoundJob | None:
    """The job of a round that has the run with this key; None where the round has gone on without it."""
    jobs = record.round.jobs if record is not None and record.round is not None else ()
    return next((job for job in jobs if job.name == name and job.run is not None and job.run.key == key), None)


def tried(seen: RoundJob, retry: Retry, text: str, now: datetime, again: timedelta | None) -> RoundJob:
    """The job after a start that its server did not take: it waits, or has been refused often enough."""
    tries = seen.tries + 1
    if tries >= retry.attempts:
        often = f" after {tries} tries" if tries > 1 else ""
        return replace(seen, status=JobStatus.REFUSED, run=None, tries=tries, next_at=None, text=f"{text}{often}")
    at = now + max(retry.interval, again or timedelta())
    return put_off(replace(seen, tries=tries), text, at, crowded=bool(again))


def put_off(seen: RoundJob, text: str, at: datetime, *, crowded: bool) -> RoundJob:
    """The job after a start that came to nothing, which does not count as a try by that: it waits until then."""
    mark = seen.run.mark if seen.run is not None else seen.mark
    return replace(seen, status=JobStatus.WAITING, run=None, next_at=at, text=text, mark=mark, crowded=crowded)


def crowded_servers(desired: Desired, state: State, now: datetime) -> frozenset[str]:
    """The addresses of servers on which a start is due now that they had no room for before.

    What runs there is not looked at in this pass, or the looks would take the room again.
    """
    found = set()
    for record in state.triggers.values():
        trigger = desired.triggers.get(record.name)
        jobs = record.round.jobs if record.round is not None else ()
        if trigger is not None and any(_due_again(job, now) for job in jobs):
            found.add(trigger.instance.url)
    return frozenset(found)


def _due_again(job: RoundJob, now: datetime) -> bool:
    waits = job.status is JobStatus.WAITING and job.crowded
    return waits and job.next_at is not None and job.next_at <= now


def follow_jobs(sheet: Sheet) -> None:
    """Look at every run of a round that may still change."""
    for record in list(sheet.state.triggers.values()):
        seen = record
        for job in record.round.jobs if record.round is not None else ():
            if job.in_flight and job.run is not None:
                seen = _follow(sheet, seen, job, job.run)
        sheet.put_trigger(seen)


def _follow(sheet: Sheet, record: TriggerState, job: RoundJob, run: Run) -> TriggerState:
    subject = subject_of(record.name, job.name)
    fact = sheet.facts.run(run.key)
    if isinstance(fact, Unreachable) and not _forgotten(sheet, record):
        sheet.hold(subject, Gate.UNREACHABLE, fact.text)
        sheet.due(next_look(sheet, run))
        return record
    if fact is None and not run.handle:
        return _never_started(sheet, record, job)
    if isinstance(fact, Unreachable):
        fact = RunFact(run.status, run.handle, text=fact.text)
    fact = fact or RunFact(RunStatus.UNKNOWN, text="the server knows nothing of it")
    seen = looked_at(run, fact, sheet.now)
    if seen.status.in_flight and _forgotten(sheet, record):
        seen = replace(seen, status=RunStatus.UNKNOWN, text="no longer followed: its round was over a day ago")
    if seen.status.in_flight:
        sheet.in_flight += 1
        sheet.due(next_look(sheet, run))
    if seen == run:
        return record
    sheet.actions.append(FollowRun(subject, "", seen, (Reason("follow", f"{job.name} {describe(seen)}"),)))
    return seen_run(record, job.name, seen)


def _forgotten(sheet: Sheet, record: TriggerState) -> bool:
    """Whether the round ended so long ago that what still runs is left to itself."""
    ended = record.round.ended_at if record.round is not None else None
    return ended is not None and sheet.now - ended >= FOLLOWED


def seen_run(record: TriggerState, name: str, run: Run) -> TriggerState:
    """The record after a job's run was seen in its present status; its success counts for what comes after it."""
    job = started_job(record, name, run.key)
    if job is None:
        return record
    run = replace(run, mark="") if run.handle else run  # it has told what was there before; it is of no use any more
    record = with_job(record, replace(job, run=run))
    rehearsal = record.round is not None and record.round.rehearsal
    if run.status is not RunStatus.SUCCEEDED or run.finished_at is None or rehearsal:
        return record
    released = {**record.released, name: job.version} if job.version else record.released
    return replace(record, succeeded={**record.succeeded, name: run.finished_at}, released=released)


def _never_started(sheet: Sheet, record: TriggerState, seen: RoundJob) -> TriggerState:
    """The server has no run of this key: it is started again with it, as often as the definition allows."""
    trigger = sheet.context.desired.triggers.get(record.name)
    over = record.round is None or record.round.result is not Result.RUNNING
    if trigger is None or over:
        return with_job(record, replace(seen, status=JobStatus.NOT_STARTED, run=None, text="it never started"))
    text = "the server did not take it, and said nothing"
    again = tried(seen, trigger.retry, text, sheet.now, None)
    return with_job(record, replace(again, next_at=None, mark=""))  # what was never asked for need not wait


def with_job(record: TriggerState, job: RoundJob) -> TriggerState:
    """The record with one job of its round replaced."""
    present = record.round
    if present is None:
        return record
    jobs = tuple(job if each.name == job.name else each for each in present.jobs)
    return replace(record, round=replace(present, jobs=jobs))
