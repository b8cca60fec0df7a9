"""A Gangway provider as a process has it, and runs to be started by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worlds.gangway_front import TOKEN

from bot.model.observed import Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.providers.cache import FolderCache
from bot.providers.pipelines.gangway import GangwayPipelines, gangway_pipelines

JOB = "periodic-ci-nightly"
LONG = "periodic-ci-openshift-release-master-nightly-4.20-e2e-aws-ovn-upgrade-from-stable-4.19"
TWIN = f"{LONG[:63]}-of-another"
"""A job that Prow gives the same label as `LONG`."""

ENVIRONMENT = {"SAASBOT_TRIGGER": "nightly", "SAASBOT_JOB": JOB, "SAASBOT_RUN_KEY": "k1", "SAASBOT_REASONS": "schedule"}


@dataclass
class Clock:
    """The provider's real time, which a test may move."""

    shift: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift


def instance(url: str, rate: str = "", provider: str = "gangway") -> Instance:
    """The instance file."""
    return Instance("prow", provider, url, SecretRef(env="GANGWAY_TOKEN"), rate_limit=rate)


def provider(
    url: str, rate: str = "", *, token: str = TOKEN, clock: Clock | None = None, answer: float = 10.0
) -> GangwayPipelines:
    """The provider of a new process."""
    environ, cache = {"GANGWAY_TOKEN": token}, FolderCache(Path("/nonexistent"))
    made = gangway_pipelines(instance(url, rate), environ, Path(), cache, clock or Clock(), answer)
    assert not isinstance(made, Unreachable)
    return made


def job(name: str = JOB, url: str = "http://prow.example.com", **options: Any) -> Pipeline:
    """A job of a trigger definition, as the provider sees it."""
    return Pipeline(name, instance(url), options=options)


def intent(key: str = "k1", mark: str = "", **more: Any) -> Run:
    """A run whose start was just intended."""
    return replace(Run(key, 1, "", "", JOB, intent_at=datetime.now(UTC), mark=mark), **more)


def followed(handle: str, status: RunStatus = RunStatus.PENDING, **more: Any) -> Run:
    """A run that was started."""
    return intent(handle=handle, status=status, **more)


def told(environment: Mapping[str, str] = ENVIRONMENT, **more: str) -> dict[str, str]:
    """What a run is told."""
    return {**environment, **more}
