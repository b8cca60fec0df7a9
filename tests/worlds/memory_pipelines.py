"""A downstream server in memory, as strict as a real one: it starts whatever it is told to, as often as it is told.

Like GitLab it cannot say at once whether a start whose answer was lost will still be carried out: for a minute after
the intent `find` answers "looked for". It may also be one that can never be asked by run key (`asked=False`), or one
that only lists its runs (`MarkedPipelines`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.model.servers import Pipeline
from bot.ports import Refused
from bot.providers.asked_by_key import AskedByKey, KeepsNoJobs

CARRIED_OUT = timedelta(minutes=1)
"""How long a request whose answer was lost may still be carried out.

Real providers wait longer before they say no (four minutes, `bot.providers.downstream`): who may not start twice here
may not there.
"""

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
    takes: dict[str, timedelta] = field(default_factory=dict)
    """How long runs of a target take, where it is not `TAKES`."""
    asked: bool = True
    """Whether it can be asked by run key."""
    down_until: datetime | None = None
    """Until when it answers to no health check."""
    busy_until: datetime | None = None
    """Until when it has no room for a start."""

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """How the run with this handle stands."""
        del pipeline
        return self.fact(next(each for each in self.executions if each.handle == run.handle))

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Whether this key started; None is a clear no."""
        del pipeline
        if not self.asked:
            return RunFact(RunStatus.UNKNOWN, text="this server cannot be asked by run key")
        found = next((each for each in self.executions if each.key == run.key), None)
        if found is not None:
            return self.fact(found)
        asked = run.intent_at is not None and self.now - run.intent_at < CARRIED_OUT
        return RunFact(RunStatus.PENDING, text="its run is looked for") if asked else None

    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start one, whatever ran before; a job is a target too."""
        del pipeline
        if self.busy_until is not None and self.now < self.busy_until:
            return Refused("429 Too Many Requests", CARRIED_OUT)
        job = f"job:{environment.get('SAASBOT_TRIGGER')}/{environment.get('SAASBOT_JOB')}"
        target = environment.get("SAASBOT_TARGET", job)
        number = 1 + sum(each.target == target for each in self.executions)
        status = RunStatus.FAILED if target in self.failing else RunStatus.SUCCEEDED
        ends = None if target in self.hanging else self.now + self.takes.get(target, TAKES)
        action = environment.get("SAASBOT_ACTION", "")
        begun = Execution(run.key, target, run.sha, action, f"{target}#{number}", self.now, ends, status)
        self.executions.append(begun)
        return self.fact(begun)

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

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Whether it answers."""
        down = self.down_until is not None and self.now < self.down_until
        return Refused("503 Service Unavailable", CARRIED_OUT) if down else super().probe(pipeline)

    def end(self, target: str) -> None:
        """What hangs of a target ends now."""
        for number, each in enumerate(self.executions):
            if each.target == target and each.ends is None:
                self.executions[number] = replace(each, ends=self.now)

    def fact(self, each: Execution) -> RunFact:
        """How a run stands."""
        if each.ends is None or each.ends > self.now:
            return RunFact(RunStatus.RUNNING, each.handle, started_at=each.began)
        return RunFact(each.status, each.handle, started_at=each.began, finished_at=each.ends)


@dataclass
class MarkedPipelines(KeepsNoJobs):
    """One process's view of a server that knows no run keys, as Gangway is: it lists the executions of a job.

    One that was not there before the start, and is no other run's, is the run. Without `lists` it does not even do
    that, and nobody can tell what became of a start whose answer was lost.
    """

    server: MemoryPipelines
    lists: bool = True
    owners: dict[str, str] = field(default_factory=dict)

    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start one."""
        fact = self.server.start(pipeline, run, environment)
        if isinstance(fact, RunFact):
            self.owners[fact.handle] = run.key
        return fact

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """How the run with this handle stands."""
        self.owners[run.handle] = run.key
        return self.server.status(pipeline, run)

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """The execution that is new since the mark; None is a clear no."""
        assert pipeline is not None
        if not self.lists:
            return RunFact(RunStatus.UNKNOWN, text="nobody can tell whether it started")
        new = [each for each in self._of(pipeline)[int(run.mark) :] if self.owners.get(each.handle, run.key) == run.key]
        if len(new) > 1:
            return RunFact(RunStatus.UNKNOWN, text=f"{len(new)} executions are new")
        if new:
            self.owners[new[0].handle] = run.key
            return self.server.fact(new[0])
        asked = run.intent_at is not None and self.server.now - run.intent_at < CARRIED_OUT
        return RunFact(RunStatus.PENDING, text="its execution is looked for") if asked else None

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact | Refused:
        """It stops none."""
        fact = self.status(pipeline, run) if run.handle else self.find(pipeline, run)
        return RunFact(RunStatus.CANCELED, text="it was never started") if fact is None else fact

    def known(self, runs: Iterable[Run]) -> None:
        """The executions of these runs are theirs."""
        for each in runs:
            self.owners.setdefault(each.handle, each.key)

    def mark(self, pipeline: Pipeline) -> str:
        """How many executions of the job there are."""
        return str(len(self._of(pipeline))) if self.lists else ""

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Whether it answers."""
        return self.server.probe(pipeline)

    def details(self, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any]:
        """The handle."""
        del pipeline
        return {"execution": run.handle}

    def preview(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> Mapping[str, Any]:
        """Nobody asks for it here."""
        raise NotImplementedError((pipeline, run, environment))

    def _of(self, pipeline: Pipeline) -> list[Execution]:
        return [each for each in self.server.executions if each.target.endswith(f"/{pipeline.name}")]
