"""Runs: one execution of a downstream pipeline or job, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.model.servers import Instance


class RunStatus(StrEnum):
    """The state of a run in our words; each pipelines provider maps its own to these."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"

    @property
    def in_flight(self) -> bool:
        """Whether the run may still change."""
        return self in (RunStatus.PENDING, RunStatus.RUNNING)


class RunAction(StrEnum):
    """What a run does to its target (`SAASBOT_ACTION`)."""

    DEPLOY = "deploy"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something happens: a machine tag and a sentence for a human."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a target's pipeline.

    Written with status `pending` and no `handle` before the start (the intent), completed after it. `attempt` counts
    from 1 for the same content. `handle` is the provider's own opaque text to find the run again. Without a handle and
    without `intent_at` it is certain that its server was never asked to start it.
    """

    key: str
    number: int
    sha: str
    config_hash: str
    pipeline: str
    action: RunAction = RunAction.DEPLOY
    attempt: int = 1
    reasons: tuple[Reason, ...] = ()
    status: RunStatus = RunStatus.PENDING
    intent_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    handle: str = ""
    mark: str = ""
    """What was on the server before the start, in the provider's own words, where it cannot be asked by run key."""
    url: str = ""
    text: str = ""
    config_sha: str = ""
    previous: str = ""
    """The sha that was there before this run; what `rollback` goes back to."""
    timeout: timedelta | None = None
    instance: Instance | None = None
    """Where it runs; kept so that it is followed to its end even when its pipeline has left the config."""
    missed: int = 0
    """How many passes in a row its server has not known it."""
    stop: str = ""
    """Who asked to stop it by command; it is told to until it has ended or its server refuses.

    A job that a round leaves behind at its end is told until its server has given an answer.
    """

    def same_content(self, sha: str, config_hash: str, *, delete: bool) -> bool:
        """Whether it was a run of exactly this."""
        return (self.sha, self.config_hash, self.action is RunAction.DELETE) == (sha, config_hash, delete)
