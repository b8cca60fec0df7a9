"""Definitions: which trigger definition, and which job of it, a route of the background jobs is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bot import reconcile as line
from bot.core.jobs import pipeline_of
from bot.formats.job_lists import expanded
from bot.model.triggers import Trigger
from bot.serve.answers import Refusal, later

PROVIDER = "sparql"
"""The kind of server on which background jobs are kept."""


@dataclass(frozen=True, slots=True)
class Found:
    """A definition, and the name of its one job of a kind."""

    trigger: Trigger
    job: str


def one(job: line.Job, name: str, kind: str, path: str) -> Found:
    """The job of a kind in the definition of this name; without a name, in the only definition that has such a job.

    Raises Refusal where there is none, or more than one.
    """
    tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
    desired = line.loading(job)(tree).desired
    every = [each for each in desired.triggers.values() if each.instance.provider == PROVIDER]
    found = [each for trigger in every if name in ("", trigger.name) for each in _jobs(job, trigger, kind)]
    if not found:
        raise Refusal(404, f"{name or 'no definition'} has {'no' if name else 'a'} job of kind {kind}")
    names = dict.fromkeys(each.trigger.name for each in found)
    if len(names) > 1:
        raise Refusal(404, "several definitions have such jobs: " + ", ".join(f"/{each}{path}" for each in names))
    if len(found) > 1:
        jobs = ", ".join(each.job for each in found)
        raise Refusal(
            404, f"{found[0].trigger.name} has several jobs of kind {kind} ({jobs}): `saasbot trigger` takes one"
        )
    return found[0]


def _jobs(job: line.Job, trigger: Trigger, kind: str) -> Iterator[Found]:
    whole = _whole(job, trigger)
    for each in whole.jobs:
        if pipeline_of(whole, each).options.get("kind") == kind:
            yield Found(whole, each.name)


def _whole(job: line.Job, trigger: Trigger) -> Trigger:
    """The definition with its jobs, also where they stand in a list outside of the config."""
    if trigger.read or trigger.jobs_from is None:
        return trigger
    found = expanded(trigger, job.ports.job_lists.read(trigger.jobs_from))
    if isinstance(found, tuple):
        raise later(f"the jobs of {trigger.name} are not known: {found[0]}")
    return found
