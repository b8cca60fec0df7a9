"""A service that carries out background jobs, as far as it asks the store and writes into it.

Its questions are those of the services that saasbot creates jobs for (a graph maintainer, a dump maker): it learns of a
task by its status, asks whether it is one of its own, in one graph, and whether another job keeps it from beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worlds.triple_stores import STATUS, Store

from bot.config.sparql_rules import TASK_OPERATIONS


@dataclass(frozen=True)
class Consumer:
    """A service for jobs of these kinds in any graph, at the store where they are."""

    store: Store
    kinds: Sequence[str] = ("initial-sync", "healing", "dump")

    def scheduled_task(self, kind: str) -> str:
        """The one task of a kind that is to be carried out, empty where there is none."""
        rows = self.store.select(f"""SELECT DISTINCT ?task WHERE {{ GRAPH ?where {{
  ?job a cogs:Job ; task:operation <{self.store.operations[kind]}> .
  ?task a task:Task ; dct:isPartOf ?job ; task:operation <{TASK_OPERATIONS[kind]}> ; adms:status <{STATUS}scheduled> .
}} }}""")
        found = [row["task"] for row in rows]
        assert len(found) <= 1, "a service takes one task at a time"
        return found[0] if found else ""

    def takes(self, task: str) -> bool:
        """Whether a task, of which it was told that it is scheduled now, is a new one for this service."""
        return bool(
            self.store.select(f"""SELECT ?job WHERE {{ GRAPH ?where {{
  ?job a cogs:Job ; task:operation ?operation .
  <{task}> a task:Task ; dct:isPartOf ?job ; task:operation ?of ; adms:status <{STATUS}scheduled> .
  FILTER(?operation IN ({self._operations()})) }} }}""")
        )

    def waits(self, *, beside: str = "") -> bool:
        """Whether a job of its kinds is active, besides one."""
        rows = self.store.select(f"""SELECT DISTINCT ?job WHERE {{ GRAPH ?where {{
  ?job a cogs:Job ; task:operation ?operation ; adms:status ?status .
  FILTER(?status IN (<{STATUS}scheduled>, <{STATUS}busy>)) FILTER(?operation IN ({self._operations()})) }} }}""")
        return bool({row["job"] for row in rows} - {beside})

    def carries_out(self, kind: str, word: str = "success", at: str = "2026-03-01T13:00:00Z") -> str:
        """Carry the scheduled task of a kind out, and its job with it, as a job controller does; the job's URI."""
        task = self.scheduled_task(kind)
        assert task, f"there is no task of kind {kind} to be carried out"
        assert self.takes(task)
        (job,) = (row["job"] for row in self.store.select(
            f"SELECT ?job WHERE {{ GRAPH ?where {{ <{task}> dct:isPartOf ?job }} }}"
        ))  # fmt: skip
        assert not self.waits(beside=job)
        for each, status in ((task, "busy"), (task, word), (job, word)):
            self.store.set_status(each, status, at)
        return job

    def _operations(self) -> str:
        return ", ".join(f"<{self.store.operations[kind]}>" for kind in self.kinds)
