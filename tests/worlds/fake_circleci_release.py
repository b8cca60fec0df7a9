"""A world whose bot releases components on a fake CircleCI; one clock for both, which moves when a test says so.

world.components([["common"], ["gateway", "portal"]])
world.project("portal", ends("failed", after=20))
world.begins().passes(4, every=5)
assert world.started() == ["common", "gateway", "portal"]
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest
from worlds.fake_circleci import TOKEN, FakeCircleCI
from worlds.fake_circleci_model import Pipeline, Script, ends
from worlds.faulty_ports import Injector, faulty
from worlds.world import World

from bot.core.statefile import encode, next_serial
from bot.model.observed import Unreachable
from bot.model.plan import Report
from bot.model.rounds import Round, RoundJob, TriggerRequest, TriggerState
from bot.model.servers import Instance
from bot.model.state import State
from bot.ports import Pipelines
from bot.providers.pipelines.circleci import circleci_pipelines
from bot.providers.sealed import sealed
from bot.reconcile import Job, recorded

SLUG = "gh/acme/"
PARAMETERS = {"gio_action": "string", "dry_run": "boolean", "s3_bucket_name": "string", "secrethub_org": "string"}
INSTANCE = """\
$schema: /instance-1.json
name: circleci
provider: circleci
url: {url}
token: {{env: CIRCLECI_TOKEN}}
"""
RELEASE = """\
$schema: /trigger-1.json
name: release
owners: [alice]
instance: {$ref: /instances/circleci.yml}
on: {command: true, schedule: {cron: "0 12 * * *"}}
retry: {attempts: 3, interval: 60s}
timeout: 1h
with: {project: "gh/acme/{job}", parameters: {secrethub_org: acme}}
jobsFrom: {file: release.json, format: gravitee-release}
"""
PATIENT = RELEASE.replace("retry:", "failFast: false\nretry:")
"""A release that goes on with a set although a component of it has failed."""


def prepare(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A cache and a token for the command line, and no proxy between the bot and the server."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("CIRCLECI_TOKEN", TOKEN)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@dataclass
class Clock:
    """The bot's clock: the world's time in every respect, and a sleep lets it go by."""

    world: ReleaseWorld

    def now(self) -> datetime:
        """Now."""
        return self.world.now

    def real(self) -> datetime:
        """The same: nothing in this world is real."""
        return self.world.now

    def nonce(self) -> str:
        """A lineage."""
        return "1" * 32

    def sleep(self, seconds: float) -> None:
        """Time goes by."""
        self.world.later(seconds=seconds)


@dataclass
class ReleaseWorld(World):
    """The world; its server has a project for each component, whose pipelines succeed after ten seconds."""

    services: tuple[str, ...] = ()
    server: FakeCircleCI = field(init=False)
    environ: dict[str, str] = field(init=False, default_factory=lambda: {"CIRCLECI_TOKEN": TOKEN})

    def __post_init__(self) -> None:
        """Lay it out; the server is not started yet."""
        self.server = FakeCircleCI(now=lambda: self.now)
        super().__post_init__()

    def components(
        self,
        rows: Sequence[Sequence[str]],
        own: Mapping[str, str] | None = None,
        version: str = "1.2.0-SNAPSHOT",
        definition: str = RELEASE,
    ) -> Self:
        """Push a definition and its manifest: the rows, its own version, and versions of components' own."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        for name in names:
            if SLUG + name not in self.server.projects:
                self.project(name, ends("success", after=8))
        components = [{"name": name, "version": (own or {}).get(name, "")} for name in names]
        return self.manifest(
            {"name": "apim", "version": version, "components": components, "buildDependencies": rows}, definition
        )

    def manifest(self, document: object, definition: str = RELEASE) -> Self:
        """Push a definition and a manifest as it is."""
        self.push(
            {
                "instances/circleci.yml": INSTANCE.format(url=self.server.url),
                "triggers/release.yml": definition,
                "release.json": json.dumps(document, indent=2) + "\n",
            }
        )
        return self

    def project(self, name: str, script: Script) -> Self:
        """A component's project at the server, or another script for those pipelines of it that are yet to come."""
        if SLUG + name in self.server.projects:
            self.server.projects[SLUG + name].script = script
        else:
            self.server.add(SLUG + name, dict(PARAMETERS), script)
        return self

    def job(self, **more: Any) -> Job:
        """A new process, with the world's clock."""
        job = super().job(**more)
        clock = Clock(self)
        made: dict[Instance, Pipelines | Unreachable] = {}

        def pipelines(instance: Instance) -> Pipelines | Unreachable:
            if instance not in made:
                given = (instance, self.environ, self.config, job.ports.cache, clock.now, clock.sleep)
                made[instance] = sealed(circleci_pipelines(*given))
            return made[instance]

        return replace(job, ports=replace(job.ports, pipelines=pipelines, clock=clock))

    def later(self, **span: float) -> Self:
        """Time goes by at the server and here."""
        with self.server.lock:
            return super().later(**span)

    def begins(self, *jobs: str, rehearsal: bool = False) -> Self:
        """Somebody has asked for a round; it begins with the next pass."""
        ports = self.ports()
        found = recorded(ports)
        state = found.state or State(lineage="1" * 32)
        asked = TriggerRequest("release", "alice", self.now, jobs, rehearsal=rehearsal)
        ports.state.write(encode(next_serial(replace(state, trigger_requests={"release": asked}))), found.etag)
        return self

    def passes(self, number: int, every: float = 5) -> list[Report]:
        """So many passes, each of a new process, and so many seconds before each of them but the first."""
        found = []
        for index in range(number):
            if index:
                self.later(seconds=every)
            found.append(self.one_pass())
        return found

    def dies(self, injector: Injector) -> None:
        """A pass of a process that this befalls."""
        job = self.job()
        self.one_pass(replace(job, ports=faulty(job.ports, injector)))

    @property
    def record(self) -> TriggerState:
        """What is known of the definition."""
        return self.state().triggers["release"]

    @property
    def round(self) -> Round:
        """The present round, or the last one."""
        found = self.record.round
        assert found is not None
        return found

    @property
    def round_result(self) -> str:
        """How that ended; empty where there is none."""
        return str(self.record.round.result) if self.record.round is not None else ""

    @property
    def jobs(self) -> dict[str, RoundJob]:
        """The components in that round, by name."""
        return {job.name: job for job in self.round.jobs}

    def words(self) -> dict[str, str]:
        """By component: the status of its run, or its own where it has none."""
        return {job.name: str(job.run.status if job.run is not None else job.status) for job in self.round.jobs}

    def texts(self) -> dict[str, str]:
        """By component: what is said of its run, or of itself where it has none."""
        return {job.name: job.run.text if job.run is not None else job.text for job in self.round.jobs}

    def pipelines(self, name: str) -> list[Pipeline]:
        """The pipelines of a component's project."""
        return self.server.projects[SLUG + name].pipelines

    def started(self) -> list[str]:
        """The component of each pipeline, in the order in which they began."""
        every = [each for project in self.server.projects.values() for each in project.pipelines]
        return [each.project.slug.removeprefix(SLUG) for each in sorted(every, key=lambda one: one.created_at)]

    def asked(self, method: str) -> list[str]:
        """The paths of all requests by this method, in order."""
        return [each.path for each in self.server.requests if each.method == method]


@contextmanager
def releasing(folder: Path) -> Iterator[ReleaseWorld]:
    """A world whose server runs."""
    world = ReleaseWorld(folder / "world")
    with world.server:
        yield world
