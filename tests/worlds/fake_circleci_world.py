"""A world with a fake CircleCI, a clock, and the provider of its instance, which may be made again as a new process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worlds.fake_circleci import TOKEN, FakeCircleCI
from worlds.fake_circleci_model import Pipeline as Made

from bot.model.observed import RunFact
from bot.model.runs import Run
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.providers.cache import FolderCache
from bot.providers.pipelines.circleci import CircleCiPipelines, circleci_pipelines

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SLUG = "gh/acme/web"
AT = "/api/v2/project/gh%2Facme%2Fweb"
PARAMETERS = {"gio_action": "string", "dry_run": "boolean", "count": "integer", "run_key": "string"}


class World:
    """The server, its clock, and the bot's provider."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.environ = {"CIRCLECI_TOKEN": TOKEN}
        self.waits: list[float] = []
        """The seconds that the bot has slept."""
        self.server = FakeCircleCI(now=lambda: self.now)
        self.web = self.server.add(SLUG, dict(PARAMETERS))

    def instance(self, **more: Any) -> Instance:
        token = SecretRef(env="CIRCLECI_TOKEN")
        return Instance("circleci", "circleci", **{"url": self.server.url, "token": token, **more})

    def pipelines(self, **more: Any) -> CircleCiPipelines:
        """The provider, as another process makes it: nothing is remembered."""
        cache = FolderCache(self.folder / "cache")
        made = circleci_pipelines(
            self.instance(**more), self.environ, self.folder, cache, lambda: self.now, self.waits.append
        )
        assert isinstance(made, CircleCiPipelines), made
        return made

    def pipeline(self, **options: Any) -> Pipeline:
        given = {"project": SLUG, "branch": "1.2.x", **options}
        return Pipeline("web", self.instance(), {name: value for name, value in given.items() if value is not None})

    def run(self, key: str = "a" * 32, **more: Any) -> Run:
        return Run(key, 1, "", "c", "web", **{"intent_at": self.now, "instance": self.instance(), **more})

    def told(self, run: Run) -> Mapping[str, str]:
        return {
            "SAASBOT_TRIGGER": "release",
            "SAASBOT_JOB": "web",
            "SAASBOT_RUN_KEY": run.key,
            "SAASBOT_REASONS": "command",
            "PATH": "/bin",
        }

    def start(self, run: Run, **options: Any) -> Run:
        """Start a run that is taken, and keep its handle as a pass would."""
        fact = self.pipelines().start(self.pipeline(**options), run, self.told(run))
        assert isinstance(fact, RunFact), fact
        return replace(run, handle=fact.handle, url=fact.url, status=fact.status)

    def status(self, run: Run, **options: Any) -> RunFact:
        """What a new process sees of it."""
        return self.pipelines().status(self.pipeline(**options), run)

    def later(self, **time: float) -> None:
        """Time goes by at the server and here."""
        with self.server.lock:
            self.now += timedelta(**time)

    @property
    def made(self) -> Made:
        """The newest pipeline of the project."""
        return self.web.pipelines[-1]

    def posts(self) -> list[tuple[str, int]]:
        """What was posted, with the status that it got."""
        return [(each.path, each.status) for each in self.server.requests if each.method == "POST"]


@contextmanager
def serving(folder: Path) -> Iterator[World]:
    """A world whose server runs."""
    world = World(folder)
    with world.server:
        yield world
