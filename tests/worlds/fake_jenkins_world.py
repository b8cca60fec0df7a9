"""A world with a fake Jenkins, a clock, and both providers of one instance; each may be made again as a new process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worlds.fake_jenkins import API_TOKEN, USER, FakeJenkins

from bot.model.observed import RunFact
from bot.model.runs import Run
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.providers.cache import FolderCache
from bot.providers.pipelines.jenkins import JenkinsPipelines, jenkins_pipelines
from bot.providers.sources.jenkins_builds import JenkinsBuilds, jenkins_builds

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SHA = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"
DEPLOY = "team/deploy prod"
PATH = "/jenkins/job/team/job/deploy%20prod"
PARAMETERS = {"SAASBOT_RUN_KEY": "String", "SAASBOT_SHA": "String", "VERSION": "String", "DRY": "Boolean"}


class World:
    """The server, its clock, and the bot's providers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.environ = {"JENKINS_TOKEN": f"{USER}:{API_TOKEN}"}
        self.server = FakeJenkins(now=lambda: self.now)
        self.deploy = self.server.add(DEPLOY, parameters=dict(PARAMETERS))

    def instance(self, **more: Any) -> Instance:
        token = SecretRef(env="JENKINS_TOKEN")
        return Instance("ci", "jenkins", **{"url": self.server.url, "token": token, "rate_limit": "200/s", **more})

    def builds(self, **more: Any) -> JenkinsBuilds:
        """Upstreams, as another process makes them."""
        cache = FolderCache(self.folder / "cache")
        made = jenkins_builds(self.instance(**more), self.environ, self.folder, cache)
        assert isinstance(made, JenkinsBuilds), made
        return made

    def pipelines(self, **more: Any) -> JenkinsPipelines:
        """Pipelines, as another process makes them: nothing is remembered."""
        cache = FolderCache(self.folder / "cache")
        made = jenkins_pipelines(self.instance(**more), self.environ, self.folder, cache, lambda: self.now)
        assert isinstance(made, JenkinsPipelines), made
        return made

    def pipeline(self, **options: Any) -> Pipeline:
        return Pipeline("deploy", self.instance(), {"job": DEPLOY, **options})

    def run(self, key: str = "a" * 32, **more: Any) -> Run:
        return Run(key, 1, SHA, "c", "deploy", **{"intent_at": self.now, "instance": self.instance(), **more})

    def told(self, run: Run) -> Mapping[str, str]:
        return {
            "SAASBOT_TARGET": "orders/web/stage",
            "SAASBOT_SHA": run.sha,
            "SAASBOT_REF": "main",
            "SAASBOT_RUN_KEY": run.key,
            "SAASBOT_ACTION": "deploy",
            "PATH": "/bin",
        }

    def start(self, run: Run, **options: Any) -> Run:
        """Start a run that is taken, and keep its handle as a pass would."""
        fact = self.pipelines().start(self.pipeline(**options), run, self.told(run))
        assert isinstance(fact, RunFact), fact
        return self.seen(run, fact)

    def seen(self, run: Run, fact: RunFact) -> Run:
        """The run as it is kept after it was looked at."""
        return replace(run, handle=fact.handle or run.handle, url=fact.url, status=fact.status)

    def building(self, run: Run) -> Run:
        """A run that was started and whose build was seen to begin."""
        started = self.start(run)
        self.later(seconds=6)
        return self.seen(started, self.pipelines().status(None, started))

    def end(self, result: str, number: int = 1) -> None:
        """A build of the job that deploys is over."""
        with self.server.lock:
            self.deploy.builds[number].end(self.now, result)

    def later(self, **time: float) -> None:
        """Time goes by at the server and here."""
        with self.server.lock:
            self.now += timedelta(**time)
            self.server.advance()

    def posts(self) -> list[tuple[str, int]]:
        """What was posted, with the status that it got."""
        return [(each.path, each.status) for each in self.server.requests if each.method == "POST"]


@contextmanager
def serving(folder: Path) -> Iterator[World]:
    """A world whose server runs."""
    world = World(folder)
    with world.server:
        yield world
