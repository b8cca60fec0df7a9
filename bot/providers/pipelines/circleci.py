"""Pipelines of CircleCI projects (`provider: circleci`), started through API v2 and followed to their end.

A pipeline carries no run key by itself: after a lost answer the own pipelines of the project are listed, and one that
was not there before the start is the run. Source: https://circleci.com/docs/api/v2/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot.config.circleci_rules import JOB, too_long
from bot.config.with_rules import with_issues
from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.ports import Cache, Refused
from bot.providers.asked_by_key import KeepsNoJobs
from bot.providers.downstream import CARRIED_OUT, StartTimes, filled, utc_now
from bot.providers.http import promptly
from bot.providers.pipelines.circleci_api import (
    API,
    Apis,
    No,
    circleci_apis,
    pipeline_path,
    project_path,
    workflow_path,
)
from bot.providers.pipelines.circleci_details import Sweep
from bot.providers.pipelines.circleci_search import Search, Several, number_of
from bot.providers.pipelines.circleci_verdicts import ERRORED, GRACE, Item, is_over, run_fact

PAGE = "https://app.circleci.com/pipelines/{slug}/{number}"
"""Where people look at a pipeline, unless `page` says otherwise."""

APPEARS = timedelta(minutes=2)
"""How long CircleCI may not know a pipeline that it has just started."""

POLL = timedelta(seconds=7)
"""How long one process goes by what it saw of a run in flight, however fast its passes follow each other."""


def circleci_pipelines(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    cache: Cache,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> CircleCiPipelines | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read.

    `now` is the real time; `sleep` waits between the repeats of what is read for reports.
    """
    del cache  # a pipeline's state changes by itself: there is nothing to keep
    apis = circleci_apis(instance, environ, config, sleep)
    return apis if isinstance(apis, Unreachable) else CircleCiPipelines(apis, now)


class CircleCiPipelines(KeepsNoJobs):
    """A `bot.ports.Pipelines` of the projects of one CircleCI.

    A run's handle is the id of its pipeline: it is followed even when its definition has changed or gone.
    """

    def __init__(self, apis: Apis, now: Callable[[], datetime]) -> None:
        self._api, self._patient = apis
        self._now = now
        self._times = StartTimes(now)
        self._owners: dict[str, str] = {}
        """The run keys of the pipelines that this process has dealt with: they are nobody else's."""
        self._looks: dict[str, tuple[datetime, RunFact]] = {}
        """By run key: when a run in flight was looked at, and what was seen."""

    @promptly()
    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start a pipeline with one request; what is surely not carried out is `Refused`."""
        fault = next(with_issues("circleci", pipeline.options), None)
        if fault is not None:
            return Refused(f"job {pipeline.name}: {fault.message}")
        body = _body(pipeline, run.key, environment)
        if isinstance(body, Refused):
            return body
        slug = _slug(pipeline)
        self._times.asks(run)
        made = self._api.start(project_path(slug, "pipeline"), body)
        if isinstance(made, Refused):
            return replace(made, text=f"CircleCI would not start a pipeline of {slug}: {made.text}")
        self._owners[str(made["id"])] = run.key
        known = self._with_errors(made) if made.get("state") == ERRORED else made
        return self._looked(run, run_fact(known, (), _on_hold(pipeline), None, _url(pipeline, made, slug)))

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run by its pipeline and all its workflows; `unknown` where the pipeline is gone.

        What was seen less than `POLL` ago is not asked for again.
        """
        return self._recent(run) or self._looked(run, self._status(pipeline, run))

    def _status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        found = self._api.get(pipeline_path(run.handle))
        if isinstance(found, No):
            return self._missing(run, found)
        workflows = self._api.items(pipeline_path(run.handle, "workflow"))
        if isinstance(workflows, No):
            if not workflows.missing:
                raise self._api.unreachable(workflows)
            workflows = []
        self._owners[run.handle] = run.key
        now = self._now() if self._times.settled(run, GRACE) else None  # the server's clock may be behind
        return run_fact(found, workflows, _on_hold(pipeline), now, _url(pipeline, found))

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? The project's own pipelines are held against those from before the start (`run.mark`).

        None only after the time in which CircleCI may still be at work on a request whose answer was lost. Of several
        new ones nobody can tell which is the run, unless they carry its key.
        """
        recent = self._recent(run)
        if recent is not None:
            return recent
        found = self._found(pipeline, run)
        return None if found is None else self._looked(run, found)

    def _found(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        if pipeline is None:
            return RunFact(RunStatus.UNKNOWN, text="its job left the config before its start was confirmed")
        slug = _slug(pipeline)
        found = Search(self._api, slug, pipeline.options).find(run, self._times.since(run), self._owners)
        if isinstance(found, No):
            if not found.settled and found.status:
                raise self._api.unreachable(found)
            text = f"the pipelines of {slug} cannot be listed, so nobody can tell whether it started"
            return RunFact(RunStatus.UNKNOWN, text=f"{text}: {found.words}")
        if isinstance(found, Several):
            return RunFact(RunStatus.UNKNOWN, text=found.text)
        if found is not None and self._owners.setdefault(str(found["id"]), run.key) == run.key:
            return self._status(pipeline, replace(run, handle=str(found["id"])))
        if found is not None or not self._times.settled(run, CARRIED_OUT):  # another run was looked up meanwhile
            return RunFact(RunStatus.PENDING, text="its pipeline is looked for")
        return None

    def known(self, runs: Iterable[Run]) -> None:
        """The pipelines of these runs are theirs; another job may run in the same project."""
        for each in runs:
            self._owners.setdefault(each.handle, each.key)

    def mark(self, pipeline: Pipeline) -> str:
        """The number of the project's newest own pipeline before a start, for `find`; empty where they are not listed.

        Raises ServerUnreachable where CircleCI does not answer: nothing should be started then.
        """
        answer = self._api.get(project_path(_slug(pipeline), "pipeline", "mine"))
        if isinstance(answer, No):
            if not answer.settled:
                raise self._api.unreachable(answer)
            return ""
        items = answer.get("items")
        return str(max(map(number_of, items), default=0)) if isinstance(items, list) else ""

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Whether CircleCI answers and knows the token's user."""
        del pipeline  # one server, whatever the project
        return self._api.probe()

    def cancel(self, pipeline: Pipeline | None, run: Run) -> RunFact | Refused:
        """Stop each workflow that is not over; one that ended meanwhile is an ordinary answer.

        `Refused` where the token may not. A run that never started is canceled by that.
        """
        found = RunFact(run.status, run.handle) if run.handle else self._found(pipeline, run)
        if found is None:
            return RunFact(RunStatus.CANCELED, text="it was never started")
        if not found.handle:
            return found
        workflows = self._api.items(pipeline_path(found.handle, "workflow"))
        if isinstance(workflows, No) and not workflows.missing:
            raise self._api.unreachable(workflows)
        running = [] if isinstance(workflows, No) else [each for each in workflows if not is_over(each)]
        noes = [no for no in map(self._stop, running) if no is not None]
        fact = self._looked(run, self._status(pipeline, replace(run, handle=found.handle)))
        if noes and fact.status.in_flight:
            return Refused(f"CircleCI would not stop pipeline {found.handle}: {noes[0].words}")
        return fact

    def details(self, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any]:
        """The pipeline down to its jobs, ready for JSON; parts that cannot be had say `unavailable`.

        The keys are those of one entry of a report's `pipelines`, and besides them `http_link`, and `error`: what kept
        it from succeeding, or None.
        """
        return Sweep(self._patient).details(run, _on_hold(pipeline)) if run.handle else {}

    def preview(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> Mapping[str, Any]:
        """What `start` would send: `method`, `url` and `body`, without the token; or `refused`, and why."""
        del run
        fault = next(with_issues("circleci", pipeline.options), None)
        key = environment.get("SAASBOT_RUN_KEY", "")
        body = Refused(fault.message) if fault is not None else _body(pipeline, key, environment)
        if isinstance(body, Refused):
            return {"refused": body.text}
        path = project_path(_slug(pipeline), "pipeline")
        return {"method": "POST", "url": f"{self._api.server}{API}{path}", "body": body}

    def _recent(self, run: Run) -> RunFact | None:
        """What this process has just seen of a run in flight."""
        looked = self._looks.get(run.key)
        return looked[1] if looked is not None and timedelta() <= self._now() - looked[0] < POLL else None

    def _looked(self, run: Run, fact: RunFact) -> RunFact:
        """The same, noted down as long as the run is in flight."""
        if fact.status.in_flight:
            self._looks[run.key] = (self._now(), fact)
        else:
            self._looks.pop(run.key, None)
        return fact

    def _with_errors(self, made: Item) -> Item:
        """A new pipeline with its errors, which the answer to a start does not tell; without them if need be."""
        try:
            found = self._api.get(pipeline_path(str(made["id"])))
        except ServerUnreachable:  # it was started, that is what counts
            return made
        return made if isinstance(found, No) else found

    def _stop(self, workflow: Item) -> No | None:
        """Ask for the end of a workflow. Raises ServerUnreachable where that has to be asked again."""
        answer = self._api.post(workflow_path(workflow, "cancel"))
        if not isinstance(answer, No):
            return None
        if not answer.settled:
            raise self._api.unreachable(answer)
        return answer

    def _missing(self, run: Run, answer: No) -> RunFact:
        """What a pipeline that is not found means: a new one may not be known everywhere yet."""
        if not answer.missing:
            raise self._api.unreachable(answer)
        if not self._times.settled(run, APPEARS):
            status = run.status if run.status.in_flight else RunStatus.PENDING
            return RunFact(status, run.handle, run.url, "CircleCI does not know its pipeline yet")
        return RunFact(RunStatus.UNKNOWN, run.handle, run.url, "CircleCI does not know its pipeline any more")


def _slug(pipeline: Pipeline) -> str:
    return str(pipeline.options.get("project", "")).replace(JOB, pipeline.name)


def _on_hold(pipeline: Pipeline | None) -> str:
    return str(pipeline.options.get("onHold", "fail")) if pipeline is not None else "fail"


def _url(pipeline: Pipeline | None, found: Item, slug: str = "") -> str:
    """The address of a pipeline's page."""
    template = str(pipeline.options.get("page") or PAGE) if pipeline is not None else PAGE
    known = {
        "slug": str(found.get("project_slug") or slug),
        "number": str(number_of(found)),
        "id": str(found.get("id")),
    }
    for name, value in known.items():
        template = template.replace(f"{{{name}}}", quote(value))
    return template


def _body(pipeline: Pipeline, key: str, environment: Mapping[str, str]) -> dict[str, Any] | Refused:
    """What the request that starts a pipeline says; `Refused` for a value that came out too long, or a branch empty."""
    options = pipeline.options
    body: dict[str, Any] = {}
    for kind in ("branch", "tag"):
        if kind in options:
            body[kind] = str(filled(options[kind], environment))
            if not body[kind]:
                return Refused(f"job {pipeline.name}: `with.{kind}` is empty for this run")
    parameters = {str(name): filled(value, environment) for name, value in options.get("parameters", {}).items()}
    if "runKeyParameter" in options:
        parameters[str(options["runKeyParameter"])] = key
    long = next((name for name, value in parameters.items() if too_long(name, value)), "")
    if long:
        return Refused(f"job {pipeline.name}: `with.parameters.{long}` is too long for CircleCI in this run")
    return body | ({"parameters": parameters} if parameters else {})
