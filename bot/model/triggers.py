"""Trigger definitions as the config asks for them: when, and which jobs (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from bot.model.servers import Instance, SecretRef


@dataclass(frozen=True, slots=True)
class Schedule:
    """Moments at which something is due: cron with five or six fields (seconds first), local time of `timezone`."""

    cron: str
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class DayOfMonth:
    """Holds from day `first` to day `last` of a month, both included."""

    first: int = 1
    last: int = 31


@dataclass(frozen=True, slots=True)
class IsoWeek:
    """Holds in every `every`-th ISO week of a year, counted so that the week `offset` is one of them."""

    every: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class DateRange:
    """Holds from the first day to the last, both included; None is open."""

    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class NewBuild:
    """Holds when the field of a JSON document at `url` has another value than at the last start."""

    url: str
    field: str
    token: SecretRef | None = None


Condition = DayOfMonth | IsoWeek | DateRange | NewBuild


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How often and how long apart the server is asked whether it is up, before anything is started."""

    attempts: int = 60
    interval: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a start that the server did not take is tried in all, and how long apart."""

    attempts: int = 3
    interval: timedelta = timedelta(seconds=60)


class Wait(StrEnum):
    """What a batch waits for before its pause begins."""

    NONE = "none"
    STARTED = "started"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Batch:
    """How many jobs are started at once (0: all), and how long later the next ones."""

    size: int = 0
    pause: timedelta = timedelta()
    wait: Wait = Wait.NONE


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a trigger. Dates without a time are days in the trigger's time zone, both ends included."""

    name: str
    active: bool = True
    active_after: date | datetime | None = None
    active_until: date | datetime | None = None
    schedule: Schedule | None = None
    after: tuple[str, ...] = ()
    once: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    """What must hold for this job besides the definition's own conditions."""
    version: str = ""
    """What is released by it, as its list says (`1.2.3-SNAPSHOT`); a version that has succeeded is not built again."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Jobs that run side by side; the next stage begins when all of them have succeeded."""

    name: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class JobsFrom:
    """Jobs read from elsewhere: a file of the config, or a key in a folder of secrets (named in the environment).

    `file` is its path from the config repository's root. `mask` are the flags of conditions that count; 0: all.
    """

    format: str
    file: str = ""
    folder_env: str = ""
    key_env: str = ""
    mask: int = 0


@dataclass(frozen=True, slots=True)
class Trigger:
    """One definition. `staged` says that its stages were written as such: then they run one after another."""

    name: str
    instance: Instance
    owners: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    staged: bool = False
    jobs_from: JobsFrom | None = None
    schedule: Schedule | None = None
    command: bool = False
    timezone: str = "UTC"
    conditions: tuple[Condition, ...] = ()
    health_check: HealthCheck | None = None
    retry: Retry = Retry()
    batch: Batch = Batch()
    fail_fast: bool = False
    cancel_on_error: bool = False
    timeout: timedelta = timedelta(hours=6)
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    process: str = ""
    """What the list behind `jobsFrom` calls itself."""
    version: str = ""
    """What the list behind `jobsFrom` releases, as it stands there (`1.2.0-SNAPSHOT`)."""
    read: bool = True
    """Whether its jobs are known; not while the list behind `jobsFrom` is yet to be read."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs in the order of the file."""
        return tuple(job for stage in self.stages for job in stage.jobs)
