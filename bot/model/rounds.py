"""Rounds: what became of a trigger definition's jobs, as the statefile remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.model.runs import Reason, Run, RunStatus


class JobStatus(StrEnum):
    """Where a job of a round stands; how its run goes is the run's own status."""

    WAITING = "waiting"
    SKIPPED = "skipped"
    STARTED = "started"
    REFUSED = "refused"
    NOT_STARTED = "not_started"


class Result(StrEnum):
    """How a round ended."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class RoundJob:
    """One job in a round. `tries` counts the starts that the server did not take; `next_at` is when to try again.

    `mark` is what was on the server before a start that it did not take: the next start need not ask for it again.
    `crowded` says that it had no room for the request; then starts come before looks at what runs there.
    """

    name: str
    stage: int = 0
    batch: int = 0
    status: JobStatus = JobStatus.WAITING
    text: str = ""
    run: Run | None = None
    tries: int = 0
    next_at: datetime | None = None
    mark: str = ""
    crowded: bool = False
    version: str = ""
    """What is released by it, as the list of jobs had it when the round began."""
    given_up: bool = False
    """Whether its time was over while it ran, and the round has gone on without it."""

    @property
    def in_flight(self) -> bool:
        """Whether it has a run that may still change."""
        return self.run is not None and self.status is JobStatus.STARTED and self.run.status.in_flight

    @property
    def settled(self) -> bool:
        """Whether nothing more becomes of it in this round."""
        return self.status is not JobStatus.WAITING and (self.given_up or not self.in_flight)

    @property
    def succeeded(self) -> bool:
        """Whether its run has ended well."""
        return self.run is not None and self.run.status is RunStatus.SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether it ended badly, or nobody can tell how."""
        if self.status is JobStatus.REFUSED:
            return True
        return self.status is JobStatus.STARTED and self.settled and not self.succeeded


@dataclass(frozen=True, slots=True)
class Round:
    """One execution of a trigger definition, from the first look to the end of its last job.

    `stage` and `batch` are those at work; `stage_at` is when that stage began, `batch_at` when the next batch may.
    `probes` is how often the server was found down, `probe_at` when it is asked again, `up` that it was up. `builds`
    are the values of the conditions `newBuild` by url, which count from the first start on.
    """

    number: int
    began_at: datetime
    reasons: tuple[Reason, ...]
    jobs: tuple[RoundJob, ...] = ()
    stages: tuple[str, ...] = ()
    stage: int = 0
    batch: int = 0
    stage_at: datetime | None = None
    batch_at: datetime | None = None
    probes: int = 0
    probe_at: datetime | None = None
    up: bool = False
    builds: Mapping[str, str] = field(default_factory=dict)
    force: bool = False
    """Whether a command said to start what would be held back."""
    rehearsal: bool = False
    """Whether its pipelines were told that it is a dry run: then nothing of it counts as done."""
    version: str = ""
    """What is released, as the list of jobs had it when the round began."""
    stage_ends: tuple[datetime, ...] = ()
    """When each of the stages before the present one was over."""
    result: Result = Result.RUNNING
    text: str = ""
    ended_at: datetime | None = None

    @property
    def stopping(self) -> bool:
        """Whether it has left runs behind whose servers have not answered yet to being told to stop them."""
        return any(job.in_flight and job.run is not None and job.run.stop for job in self.jobs)


@dataclass(frozen=True, slots=True)
class Counted:
    """A schedule as it was when it was looked at last, and the moment from which it counts."""

    cron: str
    since: datetime


@dataclass(frozen=True, slots=True)
class RoundResult:
    """How a round ended that has made room for another one."""

    number: int
    result: Result
    text: str


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What is known of a trigger definition. `round` is the present round, or the last one.

    `checked_at` is until when its schedules were looked at; `succeeded` maps a job to the last end of a run that
    succeeded; `builds` the values of `newBuild` conditions, by url, at the last start; `runs` counts all runs.
    """

    name: str
    checked_at: datetime
    round: Round | None = None
    rounds: int = 0
    runs: int = 0
    succeeded: Mapping[str, datetime] = field(default_factory=dict)
    builds: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    removed_at: datetime | None = None
    released: Mapping[str, str] = field(default_factory=dict)
    """By job: the version of it that has succeeded, until the config says so as well."""
    schedules: Mapping[str, Counted] | None = None
    """By job, the definition's own under no name: each schedule, and since when it counts; None: not noted yet."""
    results: tuple[RoundResult, ...] = ()
    """How the rounds before the present one ended, the newest last."""
    turned_down: str = ""
    """The digest of what a person closed the merge request of that would have said so."""


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """A start that a command asked for; no jobs means all of them. Consumed by the round that it opens."""

    trigger: str
    by: str
    at: datetime
    jobs: tuple[str, ...] = ()
    force: bool = False
    """Start what its dates, its conditions or an incompatible job would hold back."""
    rehearsal: bool = False
    """Tell the pipelines that it is a dry run."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job in a report: where it stands, in one word, and all that is known of its run.

    `word` is the run's status, or `skipped`, `refused`, `not_started` or `waiting`. `details` is the provider's own
    account, ready for JSON.
    """

    name: str
    word: str
    text: str = ""
    run: Run | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetReport:
    """A set of a round: the jobs of one stage, how that ended, and the stages that were not begun (SYSTEMS RP-9).

    `error` names the first job that failed, None where none did. `ended_at` is None while it runs.
    """

    trigger: str
    process: str
    version: str
    round: int
    index: int
    name: str
    result: Result
    text: str
    started_at: datetime
    ended_at: datetime | None
    jobs: tuple[JobReport, ...]
    error: JobReport | None = None
    not_started: tuple[str, ...] = ()
    rehearsal: bool = False
