"""A world whose trigger definitions create background jobs in a real triple store.

producer.defines().passes(hours=14)     # a definition is recorded; its initial sync is due at midnight
producer.service.carries_out("initial-sync")
"""

from __future__ import annotations

from dataclasses import dataclass

from worlds.job_consumer import Consumer
from worlds.line_world import kinds
from worlds.triple_stores import Store
from worlds.world import World

from bot.model.plan import Report
from bot.model.rounds import Round

INSTANCE = "$schema: /instance-1.json\nname: store\nprovider: sparql\nurl: {url}\n"
"""The store, at an address."""

DEFINITION = """\
$schema: /trigger-1.json
name: {name}
owners: [alice]
instance: {{$ref: /instances/store.yml}}
on: {{command: true}}
timeout: {timeout}
with: {{{reach}, operations: {{initial-sync: {initial-sync}, healing: {healing}, dump: {dump}}}}}
jobs:
- {{name: initial-sync, once: true, schedule: "0 0 * * * *", with: {{kind: initial-sync}}}}
- {{name: healing, schedule: "0 0 2 * * *", after: [initial-sync], with: {{kind: healing}}}}
- {{name: dump, schedule: "0 0 0 * * 6", with: {{kind: dump}}}}
"""
"""A stream of deltas with its three jobs, on six-field schedules."""

ERROR = "http://open-services.net/ns/core#Error"


@dataclass(frozen=True)
class Producer:
    """A world without services whose definitions are for one store, and the service that carries their jobs out."""

    world: World
    store: Store
    name: str = "leidinggevenden"

    @property
    def service(self) -> Consumer:
        """Who carries the jobs out."""
        return Consumer(self.store)

    def defines(self, url: str = "", *, timeout: str = "2d", store: Store | None = None, name: str = "") -> Producer:
        """A definition is written, and recorded at noon on Monday, 2 March 2026."""
        here = store or self.store
        reach = ", ".join(f"{key}: {value}" for key, value in {"graph": here.graph, **here.reach}.items())
        words = {"name": name or self.name, "reach": reach, "timeout": timeout, **here.operations}
        self.world.push(
            {
                "instances/store.yml": INSTANCE.format(url=url or here.url),
                f"triggers/{name or self.name}.yml": DEFINITION.format(**words),
            }
        )
        self.passes()
        return self

    def passes(self, **later: float) -> list[Report]:
        """Some time later: passes until nothing more is due, however long the jobs still run."""
        self.world.later(**later)
        reports = [self.world.one_pass()]
        while reports[-1].plan.actions:
            assert len(reports) < 10, kinds(reports[-1])
            reports.append(self.world.one_pass())
        return reports

    def round(self, name: str = "") -> Round:
        """The present round, or the last one."""
        found = self.world.state().triggers[name or self.name].round
        assert found is not None
        return found

    def stands(self, job: str) -> str:
        """How a job of the round stands: its run's status, or what became of it without a run."""
        (found,) = (each for each in self.round().jobs if each.name == job)
        return str(found.run.status if found.run is not None else found.status)

    def errors(self) -> list[str]:
        """The messages that are kept in the store."""
        graph = self.store.graph
        rows = self.store.select(f"SELECT ?m WHERE {{ GRAPH <{graph}> {{ ?e a <{ERROR}> ; oslc:message ?m }} }}")
        return [row["m"] for row in rows]
