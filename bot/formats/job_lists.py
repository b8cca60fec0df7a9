"""Job lists: the jobs that a list behind `jobsFrom` asks for, put into its trigger definition (DESIGN section 7)."""

from __future__ import annotations

from dataclasses import replace

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
    match source.format:
        case "gravitee-release":
            plan = read_release(data)
            return plan if isinstance(plan, tuple) else _release(trigger, plan)
        case other:
            raise ValueError(other)


def _release(trigger: Trigger, plan: ReleasePlan) -> Trigger:
    """A set after another; a set is a row of `buildDependencies` that has something to release."""
    stages = tuple(
        Stage(f"set {index}", tuple(_component(trigger, plan, component) for component in row))
        for index, row in enumerate(plan.rows)
        if row
    )
    return replace(trigger, stages=stages, staged=True, process=plan.name, version=plan.version, read=True)


def _component(trigger: Trigger, plan: ReleasePlan, component: ReleaseComponent) -> Job:
    return Job(component.name, options=job_options(plan, component, trigger.options), version=component.version)
