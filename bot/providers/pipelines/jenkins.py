"""Parameterised builds of Jenkins jobs (`provider: jenkins`), from the queue to their end.

A build carries its run key as a parameter, in the queue as well as after it: after a lost answer, or when the queue has
forgotten its item (five minutes after it left), it is found again by that. Sources:
https://www.jenkins.io/doc/book/using/remote-access-api/ and Jenkins' own `Queue` and `ParametersDefinitionProperty`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.config.with_rules import JENKINS_RUN_KEY, with_issues
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.ports import Cache, Refused
from bot.providers.asked_by_key import AskedByKey
from bot.providers.downstream import CARRIED_OUT, StartTimes, filled, listed, utc_now
from bot.providers.http import promptly
from bot.providers.jenkins_api import FORBIDDEN, NOT_FOUND, JenkinsApi, No, jenkins_api
from bot.providers.jenkins_names import names, path
from bot.providers.pipelines.jenkins_runs import BUILD_TREE, Lost, Place, build_fact, place_of, queue_fact, search

CREATED = 201

UNREADABLE = ("Password", "NonStoredPassword", "Boolean", "Choice", "File", "Run", "Credentials")
"""Kinds of parameters that would not keep or not show a run key."""

_ITEM = re.compile(r"/queue/item/(\d+)/?$")
_ITEM_TREE = "cancelled,why,stuck,task[url],executable[number],actions[parameters[name,value]]"


def jenkins_pipelines(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    cache: Cache,
    now: Callable[[], datetime] = utc_now,
) -> JenkinsPipelines | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read. `now` is the real time."""
    del cache  # a build's state changes by itself: there is nothing to keep
    api = jenkins_api(instance, environ, config)
    return api if isinstance(api, Unreachable) else JenkinsPipelines(api, StartTimes(now))


class JenkinsPipelines(AskedByKey):
    """A `bot.ports.Pipelines` of the jobs of one Jenkins.

    A run's handle is `queue/<item>/<path of the job>` first and `<path of the job>/<number>` once it is being built: it
    is followed even when its definition has changed or gone.
    """

    def __init__(self, api: JenkinsApi, times: StartTimes) -> None:
        self._api = api
        self._times = times
        self._defined: dict[str, Mapping[str, str]] = {}

    @promptly()
    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Put a build with the run's parameters into the queue; Jenkins' no is `Refused` with its words.

        Jenkins drops parameters that a job does not define, so a job that would lose the run key is not started.
        """
        fault = next(with_issues("jenkins", pipeline.options), None)
        if fault is not None:
            return Refused(f"pipeline {pipeline.name}: {fault.message}")
        job = str(pipeline.options["job"])
        way = names(job, self._api.server)
        if not way:
            return Refused(f"pipeline {pipeline.name}: `{job}` names no job of {self._api.server}")
        lacking = self._lacking(job, path(way), pipeline.options)
        if lacking is not None:
            return lacking
        self._times.asks(run)
        answer = self._api.post(f"{path(way)}/buildWithParameters", _parameters(pipeline.options, environment, run.key))
        if isinstance(answer, No):
            return Refused(f"Jenkins would not build {job}: {answer.text}")
        item = _ITEM.search(answer.location)
        if item is not None:
            place = Place(path(way), int(item[1]), queued=True)
            return RunFact(RunStatus.PENDING, place.handle, f"{self._api.server}{path(way)}/")
        if answer.status == CREATED:
            return RunFact(RunStatus.PENDING, text="its build is looked for")
        found = search(self._api, path(way), run.key, self._times.since(run))
        return found if isinstance(found, RunFact) else Refused(f"Jenkins did not put {job} into its queue")

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run; `unknown` where Jenkins has forgotten it."""
        del pipeline
        place = place_of(run.handle)
        if place is None:
            return RunFact(RunStatus.UNKNOWN, run.handle, run.url, f"{run.handle} is no run of a Jenkins")
        return self._in_queue(place, run) if place.queued else self._build(place, run)

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? The queue, and the job's builds since then, are asked for their parameters.

        None only after the time in which Jenkins may still be at work on a request whose answer was lost, and only if
        no build of that time may have been deleted.
        """
        job = str(pipeline.options.get("job", "")) if pipeline is not None else ""
        way = names(job, self._api.server) if job else ()
        if not way:
            return RunFact(RunStatus.UNKNOWN, text="its pipeline left the config before its start was confirmed")
        found = search(self._api, path(way), run.key, self._times.since(run))
        if isinstance(found, RunFact):
            return found
        if isinstance(found, No):
            text = f"the builds of {job} cannot be listed, so nobody can tell whether it started: {found.text}"
            return RunFact(RunStatus.UNKNOWN, text=text)
        if not self._times.settled(run, CARRIED_OUT):
            return RunFact(RunStatus.PENDING, text="its build is looked for")
        if isinstance(found, Lost):
            return RunFact(RunStatus.UNKNOWN, text=f"{found.text}: nobody can tell whether it started")
        if run.started_at is not None:
            return RunFact(RunStatus.UNKNOWN, text=f"Jenkins took the order for {job} and shows no build of it")
        return None

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact:
        """Take a run out of the queue, or stop its build; one that is over answers as it stands.

        A run that never started is canceled by that. A build that is told to stop may take its time. Raises
        ServerUnreachable where the token may not cancel.
        """
        fact = self.status(pipeline, run) if run.handle else self.find(pipeline, run)
        if fact is None:
            return RunFact(RunStatus.CANCELED, text="it was never started")
        stopped = ""
        while fact.status.in_flight and fact.handle not in {"", stopped}:
            stopped = fact.handle
            self._stop(fact.handle)
            fact = self.status(pipeline, replace(run, handle=stopped))  # it may have left the queue in between
        return fact

    def _stop(self, handle: str) -> None:
        place = place_of(handle)
        if place is None:
            return
        order = f"/queue/cancelItem?id={place.number}" if place.queued else f"{place.job}/{place.number}/stop"
        answer = self._api.post(order)
        if isinstance(answer, No) and answer.status != NOT_FOUND:
            raise self._api.refused(answer)

    def _in_queue(self, place: Place, run: Run) -> RunFact:
        """The state of a run that was in the queue when it was last looked at."""
        item = self._api.get(f"/queue/item/{place.number}", _ITEM_TREE)
        if isinstance(item, No) and item.status == FORBIDDEN:
            raise self._api.refused(item)
        fact = None if isinstance(item, No) else queue_fact(self._api.server, place, item, run.key)
        if isinstance(fact, Place):
            return self._build(fact, run)
        return fact or self._after_queue(place, run)

    def _after_queue(self, place: Place, run: Run) -> RunFact:
        """The state of a run whose queue item is forgotten: its build is known by the run key."""
        found = search(self._api, place.job, run.key, self._times.since(run))
        if isinstance(found, RunFact):
            return found
        if isinstance(found, No):
            raise self._gone(place, found)
        text = f"Jenkins has forgotten queue item {place.number}, and no build of {place.name} carries the run key"
        return RunFact(RunStatus.UNKNOWN, run.handle, run.url, text)

    def _build(self, place: Place, run: Run) -> RunFact:
        answer = self._api.get(f"{place.job}/{place.number}", BUILD_TREE)
        if not isinstance(answer, No):
            return build_fact(place, answer)
        seen = self._api.get(place.job, "name") if answer.status == NOT_FOUND else answer
        if isinstance(seen, No):
            raise self._gone(place, seen)
        text = f"Jenkins has no build {place.number} of {place.name} any more"
        return RunFact(RunStatus.UNKNOWN, place.handle, run.url, text)

    def _gone(self, place: Place, answer: No) -> Exception:
        missing = answer.status == NOT_FOUND
        return self._api.missing(place.name, answer) if missing else self._api.refused(answer)

    def _lacking(self, job: str, at: str, options: Mapping[str, Any]) -> Refused | None:
        """Why the job would not take what it is started with; a job that takes it is asked once."""
        if at not in self._defined:
            answer = self._api.get(at, "property[parameterDefinitions[name,type]]")
            if isinstance(answer, No):
                hidden = f"there is no job {job}, or its token may not see it"
                return Refused(
                    f"Jenkins would not build {job}: {hidden if answer.status == NOT_FOUND else answer.text}"
                )
            self._defined[at] = _definitions(answer)
        refused = _refused(job, self._defined[at], options)
        if refused is not None:
            del self._defined[at]  # somebody will mend it, and is not to be told this again
        return refused


def _definitions(job: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a job with their kinds."""
    groups = ((each or {}).get("parameterDefinitions") or () for each in job.get("property") or ())
    return {str(each["name"]): str(each.get("type") or "") for group in groups for each in group}


def _refused(job: str, defined: Mapping[str, str], options: Mapping[str, Any]) -> Refused | None:
    key = _key_parameter(options)
    missing = [name for name in (key, *options.get("parameters", {})) if name not in defined]
    if missing:
        what = f"the job {job} does not define {listed(missing)}, and Jenkins drops what a job does not define"
        return Refused(f"{what}: add string parameters (those of a Jenkinsfile count from its first run on)")
    if defined[key].removesuffix("ParameterDefinition") in UNREADABLE:
        return Refused(f"the parameter {key} of the job {job} has to be a string parameter, it is a {defined[key]}")
    return None


def _key_parameter(options: Mapping[str, Any]) -> str:
    return str(options.get("runKeyParameter", JENKINS_RUN_KEY))


def _parameters(options: Mapping[str, Any], environment: Mapping[str, str], key: str) -> dict[str, str]:
    """The parameters as texts, which is what they are in a form, the run key among them."""
    own = {name: value for name, value in environment.items() if name.startswith("SAASBOT_")}
    given = {name: _text(filled(value, environment)) for name, value in options.get("parameters", {}).items()}
    return {**given, **own, _key_parameter(options): key}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
