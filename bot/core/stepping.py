"""Stepping: what a running round does next: ask for health, start a batch, wait, begin the next stage, or end.

Every wait is a moment in the record (`probe_at`, `batch_at`, a job's `next_at`), so that it survives the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from bot.core.conditions import new_builds
from bot.core.jobs import begin, chronology, pipeline_of, with_job
from bot.core.rounds import ended, job_of
from bot.core.sheet import Sheet
from bot.core.stopping import stop_again, stop_runs
from bot.model.plan import Gate
from bot.model.rounds import JobStatus, Result, Round, RoundJob, TriggerState
from bot.model.runs import RunStatus
from bot.model.triggers import Trigger, Wait
from bot.render.words import span

MOMENT = timedelta(seconds=1)
"""How soon a round that has given something up is looked at again."""


def stepped(sheet: Sheet, trigger: Trigger, record: TriggerState) -> TriggerState:
    """The record after everything that is due now; one stage after another, as long as one is over at once."""
    present = record.round
    if present is not None:
        stop_again(sheet, trigger, present)
    while present is not None and present.result is Result.RUNNING:
        record = _step(sheet, trigger, record, present)
        if record.round is None or record.round.stage == present.stage:
            break
        present = record.round
    return record


def stepped_blindly(sheet: Sheet, trigger: Trigger, record: TriggerState) -> TriggerState:
    """The record of a definition whose list of jobs cannot be read: nothing is started, but a round still ends."""
    present = record.round
    if present is None or present.result is not Result.RUNNING:
        return record
    if all(job.status is not JobStatus.WAITING for job in present.jobs):
        return stepped(sheet, trigger, record)
    limit = _began(trigger, present, of_stage(present)) + trigger.timeout
    if sheet.now >= limit:
        return _end(sheet, trigger, record, present, Result.TIMEOUT, f"not done within {span(trigger.timeout)}")
    sheet.due(limit)
    return record


def _step(sheet: Sheet, trigger: Trigger, record: TriggerState, present: Round) -> TriggerState:
    asks = any(job.status is JobStatus.WAITING for job in present.jobs)
    if not asks or present.up or trigger.health_check is None:
        return _stage(sheet, trigger, record, present)
    probed = _probed(sheet, trigger, present)
    record = replace(record, round=probed)
    return _stage(sheet, trigger, record, probed) if probed.up else record


def _probed(sheet: Sheet, trigger: Trigger, present: Round) -> Round:
    """The round after the server was asked whether it is up, if it is time to ask."""
    check = trigger.health_check
    if check is None or (present.probe_at is not None and sheet.now < present.probe_at):
        sheet.due(present.probe_at)
        return present
    first = next((found for each in present.jobs if (found := job_of(trigger, each.name)) is not None), None)
    answer = (
        sheet.facts.probe(f"{trigger.name}/{first.name}", pipeline_of(trigger, first)) if first is not None else None
    )
    if answer is None:
        return replace(present, up=True, probe_at=None, stage_at=sheet.now)  # the wait was none of the stage's time
    probes = present.probes + 1
    if answer.final or probes >= check.attempts:
        often = "" if answer.final else f" in {probes} looks"
        text = f"nothing was started: the server was not up{often}: {answer.text}"
        return ended(replace(present, probes=probes), Result.ERROR, text, sheet.now)
    at = sheet.now + check.interval
    sheet.hold(f"trigger:{trigger.name}", Gate.UNREACHABLE, f"waits for its server: {answer.text}", at)
    return replace(present, probes=probes, probe_at=at)


def _stage(sheet: Sheet, trigger: Trigger, record: TriggerState, present: Round) -> TriggerState:
    """One look at the present stage: failures first, then time, then what may be started, then the end of it."""
    stage = of_stage(present)
    limit = _began(trigger, present, stage) + trigger.timeout
    if trigger.fail_fast and any(job.failed for job in stage):
        return _end(sheet, trigger, record, present, Result.ERROR, failure(stage))
    over = sheet.now >= limit and not _settled(stage)
    if over and _goes_on(trigger, stage) and _late(stage):
        return replace(record, round=_without_late(sheet, trigger, present))
    if over and not any(job.given_up for job in stage):
        return _end(sheet, trigger, record, present, Result.TIMEOUT, f"not done within {span(trigger.timeout)}")
    record = _started(sheet, trigger, record, present)
    present = record.round or present
    stage = of_stage(present)
    if not _settled(stage):
        sheet.due(limit)
        return record
    if trigger.staged and any(job.failed for job in stage):
        return _end(sheet, trigger, record, present, Result.ERROR, failure(stage))
    if present.stage + 1 < len(present.stages):
        ends = (*present.stage_ends, sheet.now)
        following = replace(
            present, stage=present.stage + 1, stage_at=sheet.now, stage_ends=ends, batch=0, batch_at=None
        )
        return replace(record, round=following)
    if any(job.failed for job in present.jobs):
        return _end(sheet, trigger, record, present, Result.ERROR, failure(present.jobs))
    return _end(sheet, trigger, record, present, Result.SUCCESS, summary(present.jobs))


def _goes_on(trigger: Trigger, stage: Sequence[RoundJob]) -> bool:
    """Whether jobs that had to wait for a late one are not to fall with it: they have nothing else to do with it."""
    alone = trigger.batch.wait is Wait.FINISHED and not trigger.staged and not trigger.fail_fast
    return alone and any(job.status is JobStatus.WAITING for job in stage)


def _late(stage: Sequence[RoundJob]) -> bool:
    """Whether a job runs that was not given up yet."""
    return any(job.in_flight and not job.given_up for job in stage)


def _without_late(sheet: Sheet, trigger: Trigger, present: Round) -> Round:
    """The round that goes on without the jobs whose time is over, from the next pass on."""
    text = f"not done within {span(trigger.timeout)}"
    jobs = tuple(replace(job, given_up=True, text=text) if job.in_flight else job for job in present.jobs)
    sheet.due(sheet.now + MOMENT)
    return stop_runs(sheet, trigger, replace(present, jobs=jobs))


def _began(trigger: Trigger, present: Round, stage: Sequence[RoundJob]) -> datetime:
    """Since when the time-out counts; anew with each batch where one waits until the one before it is over."""
    began = present.stage_at or present.began_at
    if trigger.batch.wait is not Wait.FINISHED:
        return began
    runs = (job.run for job in stage if job.run is not None and not job.given_up)
    return max((began, *(run.started_at or run.intent_at or began for run in runs)))


def of_stage(present: Round) -> tuple[RoundJob, ...]:
    """The jobs of the stage that a round is in."""
    return tuple(job for job in present.jobs if job.stage == present.stage)


def failure(jobs: Sequence[RoundJob]) -> str:
    """Which of these jobs failed."""
    return f"failed: {', '.join(job.name for job in jobs if job.failed)}"


def _settled(jobs: Sequence[RoundJob]) -> bool:
    return all(job.settled for job in jobs)


def summary(jobs: Sequence[RoundJob]) -> str:
    """What became of jobs of which none failed."""
    ran = sum(job.succeeded for job in jobs)
    return f"{ran} of {len(jobs)} jobs ran and succeeded" if ran else "there was nothing to start"


def _end(
    sheet: Sheet, trigger: Trigger, record: TriggerState, present: Round, result: Result, text: str
) -> TriggerState:
    """The record at the end of its round; runs that still go on are stopped only where the definition says so."""
    present = stop_runs(sheet, trigger, ended(present, result, text, sheet.now))
    accepted = not present.rehearsal and any(job.status is JobStatus.STARTED for job in present.jobs)
    urls = {each.url for each in new_builds(trigger)}
    known = {url: value for url, value in {**record.builds, **present.builds}.items() if url in urls}
    return replace(record, round=present, builds=known if accepted else record.builds)


def _started(sheet: Sheet, trigger: Trigger, record: TriggerState, present: Round) -> TriggerState:
    """The record with every job of the batches so far started that may be, and of those that follow at once."""
    while True:
        record = _batches(sheet, trigger, record, present)
        after = _next_batch(sheet, trigger, record.round or present)
        record = replace(record, round=after)
        begun = any(job.in_flight for job in of_stage(after) if job.batch <= present.batch)
        if after.batch == present.batch or begun:
            return record
        present = after


def _batches(sheet: Sheet, trigger: Trigger, record: TriggerState, present: Round) -> TriggerState:
    """The record with every job of the batches so far started that may be; one that never started waits again."""
    present = _next_batch(sheet, trigger, present)
    record = replace(record, round=present)
    for job in of_stage(present):
        if job.batch > present.batch or job.status is not JobStatus.WAITING:
            continue
        found = job_of(trigger, job.name)
        if found is None:
            changed = replace(job, status=JobStatus.SKIPPED, text="no longer in the config")
        else:
            changed = chronology(found, job, record) if found.after or found.once else job
        if changed is job and found is not None:
            record, changed = begin(sheet, trigger, record, job, found)
        record = with_job(record, changed)
    return record


def _next_batch(sheet: Sheet, trigger: Trigger, present: Round) -> Round:
    """The round with the next batch at hand, when all so far was asked for and waited for, and the pause is over."""
    stage = of_stage(present)
    batch = [job for job in stage if job.batch <= present.batch]
    more = any(job.batch > present.batch for job in stage)
    if any(job.status is JobStatus.WAITING for job in batch):
        return replace(present, batch_at=None)  # the pause begins when all of them have been started
    if not more or not _waited(trigger.batch.wait, batch):
        return present
    at = present.batch_at or sheet.now + trigger.batch.pause
    if sheet.now < at:
        sheet.due(at)
        return replace(present, batch_at=at)
    return replace(present, batch=present.batch + 1, batch_at=None)


def _waited(wait: Wait, batch: Sequence[RoundJob]) -> bool:
    match wait:
        case Wait.NONE:
            return True
        case Wait.STARTED:
            return all(job.run is None or job.run.status is not RunStatus.PENDING for job in batch)
        case Wait.FINISHED:
            return all(job.settled for job in batch)
        case _:
            assert_never(wait)
