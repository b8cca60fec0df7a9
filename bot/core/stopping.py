"""Stopping: the runs that a round leaves behind at its end, told to stop until their server has given an answer."""

from __future__ import annotations

from dataclasses import replace

from bot.core.jobs import pipeline_of, subject_of
from bot.core.rounds import job_of
from bot.core.sheet import Sheet
from bot.model.observed import Unreachable
from bot.model.plan import CancelRun
from bot.model.rounds import Round, RoundJob
from bot.model.runs import Reason
from bot.model.triggers import Trigger

END = "the end of its round"
"""Who asks to stop such a run (`Run.stop`)."""


def stop_runs(sheet: Sheet, trigger: Trigger, present: Round) -> Round:
    """The ended round with its runs in flight told to stop, where its definition says so."""
    jobs = (_stopped(sheet, trigger, present, job) for job in present.jobs)
    return replace(present, jobs=tuple(jobs)) if trigger.cancel_on_error else present


def stop_again(sheet: Sheet, trigger: Trigger, present: Round) -> None:
    """Tell those of them again whose server has not answered: it was out of reach, or the pass did not get there."""
    for job in present.jobs:
        if job.run is not None and job.run.stop and not isinstance(sheet.facts.run(job.run.key), Unreachable):
            _stopped(sheet, trigger, present, job)


def _stopped(sheet: Sheet, trigger: Trigger, present: Round, job: RoundJob) -> RoundJob:
    found = job_of(trigger, job.name)
    if not job.in_flight or job.run is None or found is None:
        return job
    run = replace(job.run, stop=END)
    reason = Reason("ended", f"the round has ended: {present.text}")
    sheet.actions.append(CancelRun(subject_of(trigger.name, job.name), "", run, pipeline_of(trigger, found), (reason,)))
    return replace(job, run=run)
