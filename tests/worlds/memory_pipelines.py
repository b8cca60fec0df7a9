"""A downstream server in memory, as strict as a real one: it starts whatever it is told to, as often as it is told.

Like GitLab it cannot say at once whether a start whose answer was lost will still be carried out: for a minute after
the intent `find` answers "looked for". It may also be one that can never be asked by run key (`asked=False`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.model.servers import Pipeline
from bot.ports import Refused
from bot.providers.asked_by_key import AskedByKey

CARRIED_OUT = timedelta(minutes=1)
"""How long a request whose answer was lost may still be carried out."""

TAKES = timedelta(seconds=90)
"""How long a run takes: the second look at it finds it over."""


@dataclass(frozen=True)
class Execution:
    """One run that really happened; `ends` is when it is over, None for one that hangs."""

    key: str
    target: str
    sha: str
    action: str
    handle: str
    began: datetime
    ends: datetime | None
    status: RunStatus


@dataclass
class MemoryPipelines(AskedByKey):
    """A server of pipelines with all that ever ran there; `now` is set by the world before each use."""

    now: datetime
    executions: list[Execution] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    asked: bool = True
    """Whether it can be asked by run key."""

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """How the run with this handle stands."""
        del pipeline
        return self._fact(next(each for each in self.executions if each.handle == run.handle))

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Whether this key started; None is a clear no."""
        del pipeline
        if not self.asked:
            return RunFact(RunStatus.UNKNOWN, text="this server cannot be asked by run key")
        found = next((each for each in self.executions if each.key == run.key), None)
        if found is not None:
            return self._fact(found)
        asked = run.intent_at is not None and self.now - run.intent_at < CARRIED_OUT
        return RunFact(RunStatus.PENDING, text="its run is looked for") if asked else None

    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start one, whatever ran before."""
        del pipeline
        target = environment["SAASBOT_TARGET"]
        number = 1 + sum(each.target == target for each in self.executions)
        status = RunStatus.FAILED if target in self.failing else RunStatus.SUCCEEDED
        ends = None if target in self.hanging else self.now + TAKES
        action = environment["SAASBOT_ACTION"]
        begun = Execution(run.key, target, run.sha, action, f"{target}#{number}", self.now, ends, status)
        self.executions.append(begun)
        return self._fact(begun)

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact | Refused:
        """Stop one; one that is over answers as it stands."""
        found = RunFact(run.status, run.handle) if run.handle else self.find(pipeline, run)
        if found is None:
            return RunFact(RunStatus.CANCELED, text="it was never started")
        if not found.handle:
            return found
        for number, each in enumerate(self.executions):
            if each.handle == found.handle and (each.ends is None or each.ends > self.now):
                self.executions[number] = replace(each, ends=self.now, status=RunStatus.CANCELED)
        return self.status(pipeline, replace(run, handle=found.handle))

    def _fact(self, each: Execution) -> RunFact:
        if each.ends is None or each.ends > self.now:
            return RunFact(RunStatus.RUNNING, each.handle, started_at=each.began)
        return RunFact(each.status, each.handle, started_at=each.began, finished_at=each.ends)
