"""Pipelines of GitLab projects (`provider: gitlab`), started by API or trigger token and followed to their end.

A pipeline carries its run key as the variable `SAASBOT_RUN_KEY`: after a lost answer it is found again by that. Source:
https://docs.gitlab.com/api/pipelines/ and https://docs.gitlab.com/api/pipeline_triggers/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.config.with_rules import with_issues
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.ports import Cache, Refused
from bot.providers.asked_by_key import AskedByKey
from bot.providers.downstream import CARRIED_OUT, StartTimes, filled, listed, moment, secret_text, utc_now
from bot.providers.gitlab_api import FORBIDDEN, NOT_FOUND
from bot.providers.gitlab_server import JOB_TOKEN, GitLabServer, No, gitlab_server, path_of
from bot.providers.http import promptly
from bot.providers.secrets import read_secret

RUN_KEY = "SAASBOT_RUN_KEY"

WORDS: Mapping[str, RunStatus] = {
    "created": RunStatus.PENDING,
    "waiting_for_resource": RunStatus.PENDING,
    "preparing": RunStatus.PENDING,
    "waiting_for_callback": RunStatus.PENDING,
    "pending": RunStatus.PENDING,
    "running": RunStatus.RUNNING,
    "scheduled": RunStatus.RUNNING,
    "manual": RunStatus.RUNNING,
    "canceling": RunStatus.RUNNING,
    "success": RunStatus.SUCCEEDED,
    "failed": RunStatus.FAILED,
    "canceled": RunStatus.CANCELED,
    "skipped": RunStatus.CANCELED,
}
"""GitLab's words for the state of a pipeline in ours."""

SENTENCES: Mapping[str, str] = {
    "manual": "it waits for somebody to start a manual job",
    "scheduled": "it waits for a delayed job",
    "waiting_for_resource": "it waits for a resource group",
    "skipped": "GitLab skipped it: nothing ran",
}
"""What is worth saying of a state besides its word."""

STARTED_BY = frozenset({"api", "trigger", "pipeline"})
"""The sources of the pipelines that the three ways to start one make."""

LOOKED_AT = 200
"""How many pipelines are looked at for one run key."""


def gitlab_pipelines(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    cache: Cache,
    now: Callable[[], datetime] = utc_now,
) -> GitLabPipelines | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read. `now` is the real time."""
    del cache  # a pipeline's state changes by itself: there is nothing to keep
    server = gitlab_server(instance, environ, config)
    if isinstance(server, Unreachable):
        return server
    job_token = read_secret(instance.token, config, environ) if instance.token == JOB_TOKEN else None
    return GitLabPipelines(server, job_token, lambda ref: read_secret(ref, config, environ), StartTimes(now))


class GitLabPipelines(AskedByKey):
    """A `bot.ports.Pipelines` of the projects of one GitLab.

    `job_token` starts multi-project pipelines where the instance's token is a CI job's. `read` reads a trigger token.
    A run's handle is `<project id>/<pipeline id>`: it is followed even when its definition has changed or gone.
    """

    def __init__(
        self,
        server: GitLabServer,
        job_token: str | None,
        read: Callable[[SecretRef], str | None],
        times: StartTimes,
    ) -> None:
        self._server = server
        self._job_token = job_token
        self._read = read
        self._times = times
        self._branches: dict[str, str] = {}

    @promptly()
    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start a pipeline with the run's variables; GitLab's no is `Refused` with its words."""
        fault = next(with_issues("gitlab", pipeline.options), None)
        if fault is not None:
            return Refused(f"pipeline {pipeline.name}: {fault.message}")
        project = str(pipeline.options["project"])
        token = self._trigger(pipeline.options)
        ref = self._ref(project, pipeline.options, environment)
        if isinstance(token, Refused):
            return token
        if isinstance(ref, Refused):
            return ref
        path, body = _request(project, ref, token, pipeline.options, environment)
        self._times.asks(run)
        answer = self._server.post(path, body)
        if isinstance(answer, No):
            advice = "; check the trigger token" if token and answer.status == NOT_FOUND else ""
            return Refused(f"GitLab would not start a pipeline of {project} on {ref}: {answer.text}{advice}")
        return _fact(answer)

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run; `unknown` where its pipeline is gone."""
        del pipeline
        project, _, number = run.handle.rpartition("/")
        answer = self._server.get(path_of(project, "pipelines", number))
        if isinstance(answer, No):
            if not answer.missing:
                raise self._server.unreachable(answer)
            return RunFact(RunStatus.UNKNOWN, run.handle, run.url, f"GitLab has no pipeline {number} any more")
        return self._explained(_fact(answer), answer)

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? The newest pipelines since then are asked for their variables.

        None only after the time in which GitLab may still be at work on a request whose answer was lost.
        """
        project = str(pipeline.options.get("project", "")) if pipeline is not None else ""
        if not project:
            return RunFact(RunStatus.UNKNOWN, text="its pipeline left the config before its start was confirmed")
        candidates = self._candidates(project, self._times.since(run))
        if isinstance(candidates, No):
            text = f"the pipelines of {project} cannot be listed, so nobody can tell whether it started"
            return RunFact(RunStatus.UNKNOWN, text=f"{text}: {candidates.text}")
        unread = ""
        for candidate in candidates:
            carried = self._run_key(project, candidate)
            if carried == run.key:
                return self._explained(_fact(candidate), candidate)
            unread = carried.text if isinstance(carried, No) else unread
        if unread:
            text = f"the variables of pipelines of {project} cannot be read, so nobody can tell whether it started"
            return RunFact(RunStatus.UNKNOWN, text=f"{text}: {unread}")
        if not self._times.settled(run, CARRIED_OUT):
            return RunFact(RunStatus.PENDING, text="its pipeline is looked for")
        return None

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact:
        """Stop a pipeline; one that is over answers as it stands. A run that never started is canceled by that.

        Raises ServerUnreachable where the token may not cancel.
        """
        found = RunFact(run.status, run.handle) if run.handle else self.find(pipeline, run)
        if found is None:
            return RunFact(RunStatus.CANCELED, text="it was never started")
        if not found.handle:
            return found
        project, _, number = found.handle.rpartition("/")
        answer = self._server.post(path_of(project, "pipelines", number, "cancel"))
        if isinstance(answer, No) and answer.status == FORBIDDEN:
            raise self._server.unreachable(answer)
        return self.status(pipeline, replace(run, handle=found.handle)) if isinstance(answer, No) else _fact(answer)

    def _trigger(self, options: Mapping[str, Any]) -> str | Refused | None:
        """The token that starts it; None where the instance's own does."""
        if "trigger" not in options:
            return self._job_token
        ref = SecretRef(**options["trigger"])
        return self._read(ref) or Refused(f"with.trigger: {secret_text(ref)} holds no token")

    def _ref(self, project: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> str | Refused:
        """The branch or tag to run on; the project's default branch is asked for once."""
        if "ref" in options:
            return str(filled(options["ref"], environment))
        if project not in self._branches:
            answer = self._server.get(path_of(project))
            if isinstance(answer, No):
                return Refused(f"the default branch of {project} cannot be read: {answer.text}")
            self._branches[project] = str(answer.get("default_branch") or "")
        return self._branches[project] or Refused(f"{project} has no default branch: name a ref")

    def _candidates(self, project: str, since: datetime) -> list[Mapping[str, Any]] | No:
        """The pipelines that began since then and may have been started by us, newest first."""
        query = {"updated_after": since.isoformat(), "order_by": "id", "sort": "desc"}
        found = self._server.list(path_of(project, "pipelines"), query, LOOKED_AT)
        if isinstance(found, No):
            return found
        if len(found) >= LOOKED_AT:
            return No(0, f"more than {LOOKED_AT} changed since")
        return [each for each in found if each.get("source") in STARTED_BY and _began(each, since)]

    def _run_key(self, project: str, pipeline: Mapping[str, Any]) -> str | No:
        """The run key that a pipeline carries; empty for somebody else's."""
        found = self._server.get(path_of(project, "pipelines", str(pipeline["id"]), "variables"))
        if isinstance(found, No):
            return "" if found.missing else found
        return next((str(each.get("value")) for each in found if each.get("key") == RUN_KEY), "")

    def _explained(self, fact: RunFact, pipeline: Mapping[str, Any]) -> RunFact:
        """The fact with the names of the jobs that failed; that is one more request."""
        if fact.status is not RunStatus.FAILED:
            return fact
        path = path_of(str(pipeline["project_id"]), "pipelines", str(pipeline["id"]), "jobs")
        jobs = self._server.list(path, {"scope": "failed"}, LOOKED_AT)
        names = [] if isinstance(jobs, No) else [str(job["name"]) for job in jobs if not job.get("allow_failure")]
        if not names:
            return fact
        return replace(fact, text=f"failed: {listed(sorted(names))}")


def _request(
    project: str, ref: str, token: str | None, options: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """Path and body of the request that starts a pipeline: with a trigger or job token, or in the token's own name."""
    own = {name: value for name, value in environment.items() if name.startswith("SAASBOT_")}
    variables = {name: filled(value, environment) for name, value in options.get("variables", {}).items()} | own
    inputs = {name: filled(value, environment) for name, value in options.get("inputs", {}).items()}
    body: dict[str, Any] = {"ref": ref} | ({"inputs": inputs} if inputs else {})
    if token is not None:
        return path_of(project, "trigger", "pipeline"), body | {"token": token, "variables": variables}
    pairs = [{"key": name, "value": value} for name, value in variables.items()]
    return path_of(project, "pipeline"), body | {"variables": pairs}


def _fact(pipeline: Mapping[str, Any]) -> RunFact:
    """What GitLab says of a pipeline; a word that this program does not know is in flight until it has ended."""
    word = str(pipeline.get("status"))
    finished = moment(pipeline.get("finished_at"))
    status = WORDS.get(word) or (RunStatus.UNKNOWN if finished else RunStatus.RUNNING)
    text = SENTENCES.get(word) or ("" if word in WORDS else f"GitLab calls it {word}")
    if status is RunStatus.FAILED:
        text = " ".join(str(pipeline.get("yaml_errors") or "").split())
    return RunFact(
        status,
        f"{pipeline['project_id']}/{pipeline['id']}",
        str(pipeline.get("web_url") or ""),
        text,
        moment(pipeline.get("started_at")),
        None if status.in_flight else finished,
    )


def _began(pipeline: Mapping[str, Any], since: datetime) -> bool:
    created = moment(pipeline.get("created_at"))
    return created is None or created >= since
