"""Prow jobs started through Gangway (`provider: gangway`) and followed to their end.

An execution carries no run key: after a lost answer the job's executions are listed, and one that was not there before
the start is the run. Gangway stops none. Source: https://docs.prow.k8s.io/docs/components/optional/gangway/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bot.config.with_rules import GANGWAY_TYPES, with_issues
from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.ports import Cache, Refused
from bot.providers.asked_by_key import KeepsNoJobs
from bot.providers.downstream import CARRIED_OUT, StartTimes, filled, listed, utc_now
from bot.providers.gangway_api import ANSWER, WHENEVER, GangwayApi, No, Reset, gangway_api
from bot.providers.gangway_pauses import Pauses
from bot.providers.http import promptly
from bot.providers.pipelines.gangway_executions import (
    execution_fact,
    is_new,
    labelled,
    mark_of,
    of_job,
    remembered,
)

EXECUTIONS = "/v1/executions"

APPEARS = timedelta(minutes=10)
"""How long Gangway may not know an execution that it has started, or give no executions where there were some."""

LOOKED_AT = 5
"""How many new executions of a job are looked at for the one that is ours."""

OPENSHIFT = ("openshift.org", "openshiftapps.com")
OPENSHIFT_PAGE = "https://prow.ci.openshift.org/prowjob?prowjob="
"""Where OpenShift's Prow shows an execution, up to its id."""

_SPECS = ("envs", "labels", "annotations")


def gangway_pipelines(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    cache: Cache,
    now: Callable[[], datetime] = utc_now,
    answer: float = ANSWER,
) -> GangwayPipelines | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read.

    `now` is the real time, `answer` how many seconds one is waited for.
    """
    del cache  # an execution's state changes by itself: there is nothing to keep
    api = gangway_api(instance, environ, config, answer, now)
    if isinstance(api, Unreachable):
        return api
    host = (urlsplit(instance.url).hostname or "").lower()
    known = any(host == each or host.endswith(f".{each}") for each in OPENSHIFT)
    return GangwayPipelines(api, now, OPENSHIFT_PAGE if known else "")


class GangwayPipelines(KeepsNoJobs):
    """A `bot.ports.Pipelines` of the jobs of one Prow.

    A run's handle is the id of its execution: it is followed even when its definition has changed or gone. `page` is
    where an execution is shown, up to its id, where `with` does not say.
    """

    def __init__(self, api: GangwayApi, now: Callable[[], datetime], page: str = "") -> None:
        self._api = api
        self._times = StartTimes(now)
        self._polls = Pauses(api.server, now)
        self._page = page
        self._owners: dict[str, str] = {}
        """The run keys of the executions that this process, or the statefile, knows: they are nobody else's."""

    @promptly()
    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start an execution of the job with one request; what is surely not carried out is `Refused`."""
        fault = next(with_issues("gangway", pipeline.options), None)
        if fault is not None:
            return Refused(f"job {pipeline.name}: {fault.message}")
        request = _request(pipeline, environment)
        if isinstance(request, Refused):
            return request
        self._times.asks(run)
        answer = self._api.create(*request)
        if isinstance(answer, Refused):
            return answer
        if isinstance(answer, Reset):
            return self._after_reset(pipeline, run, answer)
        return self._own(run, execution_fact(answer, self._page_of(pipeline)))

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run; `unknown`, and missing, where Gangway does not know its execution any more."""
        answer = self._polls.ask(lambda: self._api.get(_at(run.handle)))
        if not isinstance(answer, No):
            fact = execution_fact({**answer, "id": run.handle}, self._page_of(pipeline), run.url)
            return self._own(run, fact)
        present = run.status if run.status.in_flight else RunStatus.PENDING
        if answer.gone and self._times.settled(run, APPEARS):
            text = "Gangway does not know its execution any more"
            return RunFact(RunStatus.UNKNOWN, run.handle, run.url, text, missing=True)
        if answer.gone:
            return RunFact(present, run.handle, run.url, "Gangway does not know its execution yet")
        if answer.inside:
            return RunFact(present, run.handle, run.url, f"Gangway could not tell its state: {answer.text}")
        raise self._api.unreachable(answer)

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? The job's executions are held against those from before the start (`run.mark`).

        None only after the time in which Gangway may still be at work on a request whose answer was lost. Of several
        new ones nobody can tell which is the run.
        """
        if pipeline is None:
            return RunFact(RunStatus.UNKNOWN, text="its job left the config before its start was confirmed")
        executions = self._polls.ask(lambda: self._executions(pipeline))
        if isinstance(executions, No):
            if executions.down:
                raise self._api.unreachable(executions)
            text = "its executions cannot be listed, so nobody can tell whether it started"
            return RunFact(RunStatus.UNKNOWN, text=f"{text}: {executions.status} {executions.text}".rstrip())
        found = self._new(pipeline, run, executions)
        if found is not None:
            return found
        if remembered(run.mark) and not executions:
            return self._unlisted(run)
        if not self._times.settled(run, CARRIED_OUT):
            return RunFact(RunStatus.PENDING, text="its execution is looked for")
        return None

    def known(self, runs: Iterable[Run]) -> None:
        """The executions of these runs are theirs; another definition may start the same job."""
        for each in runs:
            self._owners.setdefault(each.handle, each.key)

    def mark(self, pipeline: Pipeline) -> str:
        """The executions of the job before a start, for `find`; empty where Gangway does not list them.

        Raises ServerUnreachable where it does not answer: nothing should be started then.
        """
        executions = self._executions(pipeline)
        if not isinstance(executions, No):
            return mark_of(executions)
        if executions.down:
            raise self._api.unreachable(executions)
        return ""

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Whether Gangway answers: to a list of the job's executions, or for the one that `healthCheck` names."""
        wanted = str(pipeline.options.get("healthCheck", "list"))
        if wanted == "list":
            return self._api.probe(EXECUTIONS, {"job_name": labelled(_job(pipeline))})
        return self._api.probe(_at(wanted))

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact:
        """Gangway stops nothing: the run as it stands, and that it goes on. One that never started is canceled."""
        fact = self.status(pipeline, run) if run.handle else self.find(pipeline, run)
        if fact is None:
            return RunFact(RunStatus.CANCELED, text="it was never started")
        if not fact.status.in_flight or not fact.handle:
            return fact
        return replace(fact, text="Gangway cannot stop an execution: it goes on at Prow until somebody aborts it there")

    def details(self, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any]:
        """The job's name at Prow and the id of the execution; no request is made."""
        known = {"job": _job(pipeline) if pipeline is not None else run.pipeline, "execution": run.handle}
        return known if run.handle else {}

    def preview(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> Mapping[str, Any]:
        """What `start` would send: `method`, `url` and `body`, without the token; or `refused`, and why."""
        del run
        fault = next(with_issues("gangway", pipeline.options), None)
        request = Refused(fault.message) if fault is not None else _request(pipeline, environment)
        if isinstance(request, Refused):
            return {"refused": request.text}
        path, body = request
        return {"method": "POST", "url": f"{self._api.server}{path}", "body": body}

    def _executions(self, pipeline: Pipeline) -> dict[str, Mapping[str, Any]] | No:
        """The job's executions, by id. Raises ServerUnreachable for an answer that is no list."""
        job = _job(pipeline)
        answer = self._api.get(EXECUTIONS, {"job_name": labelled(job)})
        if isinstance(answer, No):
            return answer
        found = of_job(answer, job)
        if found is None:
            no = No(200, "the answer is no list of executions", f"GET {EXECUTIONS}")
            raise self._api.unreachable(no)
        return found

    def _new(self, pipeline: Pipeline, run: Run, executions: Mapping[str, Mapping[str, Any]]) -> RunFact | None:
        """The execution that this run began, as far as that can be told; None where there is none."""
        before = remembered(run.mark) or frozenset()
        ours = [each for each in executions if self._owners.get(each) == run.key]
        new = ours or [each for each in executions if is_new(each, before) and each not in self._owners]
        if len(new) > LOOKED_AT:
            return _several(len(new), new)
        facts = [self._looked_at(pipeline, run, executions[each]) for each in new]
        likely = [each for each in facts if each is not None]
        if len(likely) > 1:
            return _several(len(likely), [each.handle for each in likely])
        if likely and self._owners.setdefault(likely[0].handle, run.key) != run.key:
            return self._new(pipeline, run, executions)  # another run was looked up meanwhile, and is that one
        return likely[0] if likely else None

    def _looked_at(self, pipeline: Pipeline, run: Run, entry: Mapping[str, Any]) -> RunFact | None:
        """An execution in detail: the list has no times. None for one that began before the start was asked for."""
        answer = self._api.get(_at(str(entry["id"])))
        known = entry if isinstance(answer, No) else {**answer, "id": entry["id"]}
        fact = execution_fact(known, self._page_of(pipeline))
        earlier = fact.started_at is not None and fact.started_at < self._times.since(run)
        return None if earlier else fact

    def _after_reset(self, pipeline: Pipeline, run: Run, reset: Reset) -> RunFact | Refused:
        """What to make of a start that was reset: most likely this Gangway has the other form of the address."""
        unsure = ServerUnreachable(f"{self._api.server}: POST {EXECUTIONS}: {reset.text}; it may have started")
        if remembered(run.mark) is None:
            raise unsure
        executions = self._executions(pipeline)
        if isinstance(executions, No) or (remembered(run.mark) and not executions):
            raise unsure
        found = self._new(pipeline, run, executions)
        if found is not None:
            return found
        style = _style(pipeline)
        other = "path" if style == "body" else "body"
        advice = f"this server may take the other form of the address, try `with.urlStyle: {other}`"
        return Refused(f"{self._api.server} would not start {_job(pipeline)}: 503 {reset.text}; {advice}", WHENEVER)

    def _unlisted(self, run: Run) -> RunFact:
        """No execution at all is listed where there were some: Gangway gives an empty list when Kubernetes fails it."""
        text = "Gangway lists none of the executions that were there before"
        if self._times.settled(run, APPEARS):
            return RunFact(RunStatus.UNKNOWN, text=f"{text}: nobody can tell whether it started")
        return RunFact(RunStatus.PENDING, text=f"{text}; its execution is looked for")

    def _own(self, run: Run, fact: RunFact) -> RunFact:
        """The fact, and the execution noted as this run's."""
        self._owners[fact.handle] = run.key
        return fact

    def _page_of(self, pipeline: Pipeline | None) -> str:
        return str(pipeline.options.get("page") or self._page) if pipeline is not None else self._page


def _several(count: int, names: Sequence[str]) -> RunFact:
    text = f"{count} executions of the job are new, and nobody can tell which is this run: {listed(names)}"
    return RunFact(RunStatus.UNKNOWN, text=text)


def _job(pipeline: Pipeline) -> str:
    return str(pipeline.options.get("job") or pipeline.name)


def _style(pipeline: Pipeline) -> str:
    return str(pipeline.options.get("urlStyle", "body"))


def _at(execution: str) -> str:
    return f"{EXECUTIONS}/{quote(execution, safe='')}"


def _request(pipeline: Pipeline, environment: Mapping[str, str]) -> tuple[str, dict[str, Any]] | Refused:
    """Path and body of the request that starts the job; `Refused` for a value that came out empty."""
    options = pipeline.options
    specs = {kind: _texts(options[kind], environment) for kind in _SPECS if options.get(kind)}
    empty = next((f"{kind}.{name}" for kind, texts in specs.items() for name, text in texts.items() if not text), "")
    if empty:
        return Refused(f"job {pipeline.name}: `with.{empty}` is empty for this run, and Gangway takes no empty values")
    in_path = _style(pipeline) == "path"
    body: dict[str, Any] = {} if in_path else {"job_name": _job(pipeline)}
    body["job_execution_type"] = GANGWAY_TYPES[str(options.get("type", "periodic"))]
    if "refs" in options:
        body["refs"] = _deep(options["refs"], environment)
    if specs:
        body["pod_spec_options"] = specs
    return (_at(_job(pipeline)) if in_path else EXECUTIONS), body


def _texts(values: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    return {name: str(filled(value, environment)) for name, value in values.items()}


def _deep(value: Any, environment: Mapping[str, str]) -> Any:
    """A value with the placeholders in all its texts replaced, however deep."""
    match value:
        case Mapping():
            return {name: _deep(item, environment) for name, item in value.items()}
        case list():
            return [_deep(item, environment) for item in value]
        case _:
            return filled(value, environment)
