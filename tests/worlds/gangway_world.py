"""The whole bot before a Gangway: a config repository with trigger definitions, and the servers of `gangway_front`.

    world = GangwayWorld(folder, front=servers); world.defines("nightly", jobs=["a", "b"]); world.slot()

Each pass is made by a new process, as a scheduled CI job makes it; time goes by when a test says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from worlds.faulty_ports import Injector, faulty
from worlds.gangway_front import World as Front
from worlds.line_world import said
from worlds.world import World

from bot.model.plan import Report, StartJob
from bot.model.rounds import Round, RoundJob
from bot.reconcile import reconcile

HOURLY = {"schedule": {"cron": "0 * * * *"}, "command": True}

INSTANCE = """\
$schema: /instance-1.json
name: prow
provider: gangway
url: {url}
token: {{env: GANGWAY_TOKEN}}
{more}"""


@dataclass
class GangwayWorld(World):
    """No services, only definitions; `door` is nginx's door that the instance leads to, `rate` its `rateLimit`."""

    services: tuple[str, ...] = ()
    front: Front | None = None
    door: str = "body"
    rate: str = ""
    names: list[str] = field(init=False, default_factory=list)

    @property
    def prow(self) -> Any:
        """The Prow behind all doors but `mortal`."""
        assert self.front is not None
        return self.front.prow

    def instance(self) -> str:
        """The instance's file."""
        assert self.front is not None
        return INSTANCE.format(url=self.front.url(self.door), more=f"rateLimit: {self.rate}\n" if self.rate else "")

    def defines(self, name: str, jobs: Iterable[str | Mapping[str, Any]] = (), **more: Any) -> None:
        """A person adds a definition, due every hour; a job is its name, or all that is to be said of it."""
        listed = [each if isinstance(each, Mapping) else {"name": each} for each in jobs]
        given = {
            "$schema": "/trigger-1.json",
            "name": name,
            "owners": ["alice"],
            "instance": {"$ref": "/instances/prow.yml"},
            "on": HOURLY,
            **({"jobs": listed} if listed else {}),
            **more,
        }
        self.names.append(name)
        self.push({"instances/prow.yml": self.instance(), f"triggers/{name}.yml": json.dumps(given)})

    def adopted(self) -> GangwayWorld:
        """The definitions are recorded, half an hour before they are due."""
        self.now = self.now.replace(minute=30)
        self.pass_of()
        assert self.prow.calls == []
        return self

    def slot(self) -> Report:
        """The next full hour, and the pass that begins the rounds."""
        self.now = self.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return self.pass_of()

    def pass_of(self, fate: Injector | None = None, *notes: tuple[str, str]) -> Report:
        """One pass of a new process; `fate` is what becomes of its calls, `notes` are (user, command)."""
        job = self.job()
        return reconcile(replace(job, ports=faulty(job.ports, fate)) if fate is not None else job, said(*notes))

    def passes(self, count: int, **span: float) -> None:
        """Passes of new processes, so far apart."""
        for _ in range(count):
            self.later(**span)
            self.pass_of()

    def round_of(self, name: str = "") -> Round:
        """The present round of a definition, or the last."""
        found = self.state().triggers[name or self.names[0]].round
        assert found is not None
        return found

    def job_of(self, job: str, name: str = "") -> RoundJob:
        """A job in it."""
        return next(each for each in self.round_of(name).jobs if each.name == job)

    def stand(self, name: str = "") -> dict[str, str]:
        """By job: the status of its run, or its own where it has none."""
        jobs = self.round_of(name).jobs
        return {job.name: str(job.run.status if job.run is not None else job.status) for job in jobs}

    def executed(self) -> list[str]:
        """The names of all jobs that were started, in order."""
        return [each.job for each in self.prow.executions.values()]

    def posts(self) -> int:
        """How many starts Prow was asked for."""
        return int(self.prow.calls.count("create"))


def starts(report: Report) -> list[str]:
    """The jobs that a pass wanted to start."""
    return [action.job for action in report.plan.actions if isinstance(action, StartJob)]


def refusals(report: Report) -> list[str]:
    """The words of all outcomes that were refused."""
    return [outcome.text for outcome in report.outcomes if outcome.status == "refused"]


def at(text: str) -> datetime:
    """A moment."""
    return datetime.fromisoformat(text)
