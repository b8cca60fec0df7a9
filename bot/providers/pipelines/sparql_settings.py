"""What a background job's `with` block comes to, and under which names its run is kept in the store."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from bot.config.sparql_rules import INITIAL_SYNC, KINDS, TASK_OPERATIONS, is_uri
from bot.config.with_rules import with_issues
from bot.model.servers import Pipeline
from bot.ports import Refused
from bot.providers.sparql_api import Place

CREATOR = "http://lblod.data.gift/services/delta-producer-background-jobs-initiator"
"""Who creates jobs, where `creator` does not say: consumers and reports know this name."""

JOBS = "http://redpencil.data.gift/id/job/"
TASKS = "http://redpencil.data.gift/id/task/"
ERRORS = "http://redpencil.data.gift/id/jobs/error/"

NOTHING: Mapping[str, str] = {}

_KEYS = {"endpoint": "endpoint", "updateEndpoint": "update_endpoint", "update": "update", "auth": "auth"}
"""The keys of a block that say how the store is talked to, with the fields of a `Place`."""


@dataclass(frozen=True, slots=True)
class JobSettings:
    """A job's block with everything that it leaves open filled in.

    `blocked_by` are the operations whose active jobs keep it from starting, `requires` those of each of which a job
    must have succeeded. `once`: a job of the same operation keeps it from starting too, in any status or, with
    `retry_failed`, if it succeeded or is active. `forced`: what is active is in nobody's way; what must have come first
    must have come first all the same. `stale_after` is how long an active job may go unmodified before it is given up.
    """

    place: Place
    graph: str
    any_graph: bool
    operation: str
    task_operation: str
    blocked_by: tuple[str, ...]
    requires: tuple[str, ...]
    once: bool
    retry_failed: bool
    creator: str
    error_creator: str
    on_cancel: str
    forced: bool
    stale_after: timedelta | None


@dataclass(frozen=True, slots=True)
class Names:
    """The ids of what a run writes: functions of its key alone, so that it is found again and never written twice."""

    job: str
    task: str
    error: str

    @property
    def job_uri(self) -> str:
        """The job."""
        return JOBS + self.job

    @property
    def task_uri(self) -> str:
        """Its one task."""
        return TASKS + self.task

    @property
    def error_uri(self) -> str:
        """The error that is kept where it was refused."""
        return ERRORS + self.error


def names(key: str) -> Names:
    """The ids for a run key."""
    made = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"saasbot:{what}:{key}")) for what in ("job", "task", "error"))
    return Names(*made)


@dataclass(frozen=True, slots=True)
class Handle:
    """A job, where it is, and how to get there: enough to follow it when its definition has changed or gone."""

    job: str
    graph: str
    place: Place

    def __str__(self) -> str:
        """The job and its graph; after them what of the place is not as usual."""
        usual = Place()
        words = [f"{key}={value}" for key, value in _words(self.place) if value != dict(_words(usual))[key]]
        return " ".join([self.job, self.graph, *words])


def handle_of(text: str) -> Handle | None:
    """The handle that a text stands for; None for one that this provider did not write."""
    job, _, rest = text.partition(" ")
    graph, *words = rest.split(" ")
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    if not is_uri(job) or not is_uri(graph) or not given.keys() <= set(_KEYS):
        return None
    return Handle(job, graph, _place(given))


def _words(place: Place) -> list[tuple[str, str]]:
    return [(key, str(getattr(place, field))) for key, field in _KEYS.items()]


def _place(options: Mapping[str, Any]) -> Place:
    return Place(**{field: str(options[key]) for key, field in _KEYS.items() if key in options})


def place_of(pipeline: Pipeline | None) -> Place:
    """Where a job's store is asked; the usual place where its definition has gone."""
    return _place(pipeline.options) if pipeline is not None else Place()


def settings_of(pipeline: Pipeline, environment: Mapping[str, str] = NOTHING) -> JobSettings | Refused:
    """A job's settings; `Refused` for a block that `validate` would refuse. `environment` is what its start is told."""
    fault = next(with_issues("sparql", pipeline.options), None)
    if fault is not None:
        return Refused(f"job {pipeline.name}: {fault.message}")
    given = pipeline.options
    kind = str(given.get("kind", ""))
    operations: Mapping[str, str] = given.get("operations", {})
    operation = str(given.get("operation") or operations[kind])
    creator, trigger = str(given.get("creator", CREATOR)), environment.get("SAASBOT_TRIGGER", "")
    minutes = given.get("timeoutMinutes")
    return JobSettings(
        place=_place(given),
        graph=str(given["graph"]),
        any_graph=bool(given.get("anyGraph", False)),
        operation=operation,
        task_operation=str(given.get("taskOperation") or TASK_OPERATIONS[kind]),
        blocked_by=tuple(given.get("blockedBy", _blockers(kind, operation, operations))),
        requires=tuple(given.get("requires", _required(kind, operations))),
        once=kind == INITIAL_SYNC,
        retry_failed=bool(given.get("retryFailed", False)),
        creator=creator,
        error_creator=str(given.get("errorCreator", f"{creator}/{quote(trigger, safe='')}" if trigger else creator)),
        on_cancel=str(given.get("onCancel", "failed")),
        forced=environment.get("SAASBOT_FORCE") == "true",
        stale_after=None if minutes is None else timedelta(minutes=minutes),
    )


def _blockers(kind: str, operation: str, operations: Mapping[str, str]) -> tuple[str, ...]:
    """The operations that a job may not run beside: its own, and for a known kind those of the other kinds."""
    others = [operations[each] for each in KINDS if each in operations] if kind else []
    return tuple(dict.fromkeys([operation, *others]))


def _required(kind: str, operations: Mapping[str, str]) -> tuple[str, ...]:
    """The operation that must have succeeded: healing mends what an initial sync has written."""
    first = operations.get(INITIAL_SYNC)
    return (first,) if kind == "healing" and first is not None else ()
