"""Job lists: the jobs that a list behind `jobsFrom` asks for, put into its trigger definition (DESIGN section 7)."""

from __future__ import annotations

from dataclasses import replace

from bot.formats.background_jobs import BackgroundJobs, read_background
from bot.formats.gangway_list import read_gangway_list
from bot.formats.gravitee_release import ReleaseComponent, ReleasePlan, job_options, read_release
from bot.model.triggers import Job, Stage, Trigger

FORMATS = ("gangway-list", "gravitee-release", "mu-background-jobs")
"""The formats of lists, by the names that `jobsFrom.format` gives them."""


def expanded(trigger: Trigger, data: bytes) -> Trigger | tuple[str, ...]:
    """The definition with the jobs of its list, or everything that is wrong with the list.

    A fault begins with its place in the list (`[3].jobList[0]`), where it has one.
    """
    source = trigger.jobs_from
    if source is None:
        return trigger
    if trigger.stages:
        return ("its definition has jobs of its own beside `jobsFrom`: only one of the two can be",)
    match source.format:
        case "gangway-list":
            found = read_gangway_list(data, source.mask)
            return found if isinstance(found, tuple) else found.post_tasks or _flat(trigger, found.jobs)
        case "mu-background-jobs":
            settings = read_background(data)
            return settings if isinstance(settings, tuple) else _background(trigger, settings)
        case "gravitee-release":
            plan = read_release(data)
            return plan if isinstance(plan, tuple) else _release(trigger, plan)
        case other:
            raise ValueError(other)


def _flat(trigger: Trigger, jobs: tuple[Job, ...]) -> Trigger:
    """The jobs side by side."""
    return replace(trigger, stages=(Stage("", jobs),) if jobs else (), read=True)


def _background(trigger: Trigger, settings: BackgroundJobs) -> Trigger:
    """The jobs of all entries; a time-out that the settings name is the definition's."""
    jobs = tuple(
        replace(job, schedule=replace(job.schedule, timezone=trigger.timezone)) if job.schedule else job
        for job in settings.jobs_in(trigger.name)
    )
    timeout = next((each.timeout for each in settings.entries if each.timeout), trigger.timeout)
    return replace(_flat(trigger, jobs), timeout=timeout)


def _release(trigger: Trigger, plan: ReleasePlan) -> Trigger:
    """A set after another: each row of `buildDependencies`, also those without anything to release (SYSTEMS RP-2)."""
    stages = tuple(
        Stage(f"set {index}", tuple(_component(trigger, plan, component) for component in row))
        for index, row in enumerate(plan.rows)
    )
    return replace(trigger, stages=stages, staged=True, process=plan.name, version=plan.version, read=True)


def _component(trigger: Trigger, plan: ReleasePlan, component: ReleaseComponent) -> Job:
    return Job(component.name, options=job_options(plan, component, trigger.options), version=component.version)
