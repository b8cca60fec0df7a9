"""Workflows of GitHub repositories (`provider: github`), dispatched, found again by run key and followed to their end.

The run key is an input of the workflow, which says it in its `run-name`: GitHub shows a run's title, never its inputs.
Source: https://docs.github.com/en/rest/actions/workflows and .../workflow-runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot.config.with_rules import RUN_KEY_INPUT, with_issues
from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.ports import Cache, Refused
from bot.providers.asked_by_key import AskedByKey
from bot.providers.downstream import (
    CARRIED_OUT,
    StartTimes,
    budget_of,
    filled,
    listed,
    moment,
    secret_text,
    utc_now,
)
from bot.providers.github_api import GitHubApi, No, client
from bot.providers.http import promptly
from bot.providers.secrets import read_secret

STATES: Mapping[str, RunStatus] = {
    "requested": RunStatus.PENDING,
    "queued": RunStatus.PENDING,
    "pending": RunStatus.PENDING,
    "waiting": RunStatus.PENDING,
    "in_progress": RunStatus.RUNNING,
}
"""GitHub's words for a run that has not ended, in ours."""

CONCLUSIONS: Mapping[str, RunStatus] = {
    "success": RunStatus.SUCCEEDED,
    "neutral": RunStatus.SUCCEEDED,
    "failure": RunStatus.FAILED,
    "timed_out": RunStatus.FAILED,
    "startup_failure": RunStatus.FAILED,
    "cancelled": RunStatus.CANCELED,
    "skipped": RunStatus.CANCELED,
    "action_required": RunStatus.UNKNOWN,
    "stale": RunStatus.UNKNOWN,
}
"""GitHub's words for how a run ended, in ours."""

SENTENCES: Mapping[str, str] = {
    "waiting": "it waits for the approval of an environment",
    "timed_out": "GitHub stopped it: it took too long",
    "startup_failure": "the workflow could not be started",
    "action_required": "it needs an approval on GitHub",
    "skipped": "GitHub skipped it: nothing ran",
    "stale": "GitHub gave it up without an answer",
}
"""What is worth saying of a state besides its word."""

SHOWN = CARRIED_OUT + timedelta(minutes=5)
"""How long after its intent a run may still come to be shown: GitHub may take minutes from its dispatch."""

PAGE = 100
"""How many runs are looked at for one run key, and how many jobs for those that failed."""

FORBIDDEN = 403
NOT_FOUND = 404

_KEY = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
"""What a run key looks like in a title."""


def github_pipelines(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    cache: Cache,
    now: Callable[[], datetime] = utc_now,
) -> GitHubPipelines | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read. `now` is the real time."""
    del cache  # a run's state changes by itself: there is nothing to keep
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    token = read_secret(instance.token, config, environ)
    if token is None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    ca = str(config / instance.ca) if instance.ca else ""
    return GitHubPipelines(client(instance.url, token, ca=ca, budget=budget), StartTimes(now))


class GitHubPipelines(AskedByKey):
    """A `bot.ports.Pipelines` of the workflows of one GitHub.

    A run's handle is `<owner>/<repository>/<run id>`: it is followed even when its definition has changed or gone. It
    stays empty until the run is found where a server does not tell the number of the run that it dispatched.
    """

    def __init__(self, api: GitHubApi, times: StartTimes) -> None:
        self._api = api
        self._times = times
        self._branches: dict[str, str] = {}
        self._tells = True

    @promptly()
    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Dispatch the workflow; GitHub's no is `Refused` with its words."""
        fault = next(with_issues("github", pipeline.options), None)
        if fault is not None:
            return Refused(f"pipeline {pipeline.name}: {fault.message}")
        repository, workflow = str(pipeline.options["repository"]), str(pipeline.options["workflow"])
        ref = self._ref(repository, pipeline.options, environment)
        if isinstance(ref, Refused):
            return ref
        body = {"ref": ref, "inputs": _inputs(pipeline.options, environment, run.key)}
        self._times.asks(run)
        answer = self._dispatch(_path(repository, "workflows", workflow, "dispatches"), body)
        if isinstance(answer, No):
            return Refused(f"GitHub would not start {workflow} of {repository} on {ref}: {answer.text}")
        if not answer.get("workflow_run_id"):
            return RunFact(RunStatus.PENDING, text="its run is looked for")
        handle = f"{repository}/{answer['workflow_run_id']}"
        return RunFact(RunStatus.PENDING, handle, str(answer.get("html_url") or ""))

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run; `unknown` where it was deleted."""
        del pipeline
        repository, _, number = run.handle.rpartition("/")
        path = _path(repository, "runs", number)
        answer = self._api.look(path)
        if isinstance(answer, No):
            if answer.status != NOT_FOUND or isinstance(self._api.look(f"/repos/{repository}"), No):
                raise self._may_not(f"GET {path}", answer)
            return RunFact(RunStatus.UNKNOWN, run.handle, run.url, f"GitHub has no run {number} any more")
        return self._explained(_fact(repository, answer), run.handle)

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? The title of a run says its key.

        None only when GitHub had time to show the run and every run that it shows says another key; while it may not
        be shown yet the answer is `pending` without a handle.
        """
        options = pipeline.options if pipeline is not None else {}
        if "repository" not in options or "workflow" not in options:
            return RunFact(RunStatus.UNKNOWN, text="its pipeline left the config before its start was confirmed")
        repository, workflow = str(options["repository"]), str(options["workflow"])
        path = _path(repository, "workflows", workflow, "runs")
        found = self._api.look(path, event="workflow_dispatch", per_page=PAGE)
        if isinstance(found, No):
            text = f"the runs of {workflow} of {repository} cannot be listed, so nobody can tell whether it started"
            return RunFact(RunStatus.UNKNOWN, text=f"{text}: {found.text}")
        for candidate in found["workflow_runs"]:
            if run.key in _title(candidate):
                fact = _fact(repository, candidate)
                return self._explained(fact, fact.handle)
        if not self._times.settled(run, SHOWN):
            return RunFact(RunStatus.PENDING, text="its run is looked for")
        since = self._times.since(run)
        recent = [each for each in found["workflow_runs"] if (moment(each.get("created_at")) or since) >= since]
        return _not_found(run, f"{workflow} of {repository}", recent)

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact:
        """Stop a run; one that is over answers as it stands. A run that never started is canceled by that.

        Raises ServerUnreachable where the token may not cancel.
        """
        found = RunFact(run.status, run.handle) if run.handle else self.find(pipeline, run)
        if found is None:
            return RunFact(RunStatus.CANCELED, text="it was never started")
        if not found.handle:
            return found
        repository, _, number = found.handle.rpartition("/")
        path = _path(repository, "runs", number, "cancel")
        answer = self._api.send("POST", path)
        if isinstance(answer, No) and answer.status == FORBIDDEN:
            raise self._may_not(f"POST {path}", answer)
        return self.status(pipeline, replace(run, handle=found.handle))

    def _dispatch(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any] | No:
        """Ask for the run's number too; a server that does not know the question is asked without it."""
        answer = self._api.send("POST", path, {**body, "return_run_details": True} if self._tells else body)
        if isinstance(answer, No) and self._tells and "return_run_details" in answer.text:
            self._tells = False
            answer = self._api.send("POST", path, body)
        return answer if isinstance(answer, No) else answer or {}

    def _may_not(self, request: str, no: No) -> ServerUnreachable:
        """The error for a no that leaves open what was asked."""
        hint = "the token needs the permission `actions: write` in the repository"
        return ServerUnreachable(f"{self._api.server}: {request}: {no.status} {no.text}", hint=hint)

    def _ref(self, repository: str, options: Mapping[str, Any], environment: Mapping[str, str]) -> str | Refused:
        """The branch or tag to run on; the repository's default branch is asked for once."""
        if "ref" in options:
            return str(filled(options["ref"], environment))
        if repository not in self._branches:
            answer = self._api.look(f"/repos/{repository}")
            if isinstance(answer, No):
                return Refused(f"the default branch of {repository} cannot be read: {answer.text}")
            self._branches[repository] = str(answer.get("default_branch") or "")
        return self._branches[repository] or Refused(f"{repository} has no default branch: name a ref")

    def _explained(self, fact: RunFact, handle: str) -> RunFact:
        """The fact with the names of the jobs that failed; that is one more request."""
        if fact.status is not RunStatus.FAILED:
            return fact
        repository, _, number = handle.rpartition("/")
        answer = self._api.look(_path(repository, "runs", number, "jobs"), per_page=PAGE)
        failed = () if isinstance(answer, No) else answer["jobs"]
        names = [str(job["name"]) for job in failed if CONCLUSIONS.get(str(job.get("conclusion"))) is RunStatus.FAILED]
        return replace(fact, text=f"failed: {listed(sorted(names))}") if names else fact


def _path(repository: str, *parts: str) -> str:
    return "/".join(["/repos", repository, "actions", *(quote(part, safe="") for part in parts)])


def _inputs(options: Mapping[str, Any], environment: Mapping[str, str], key: str) -> dict[str, str]:
    """The workflow's inputs as texts, which is what they are to GitHub, the run key among them."""
    given = {name: _input(filled(value, environment)) for name, value in options.get("inputs", {}).items()}
    return {**given, str(options.get("runKeyInput", RUN_KEY_INPUT)): key}


def _input(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _title(run: Mapping[str, Any]) -> str:
    return f"{run.get('display_title') or ''} {run.get('name') or ''}"


def _not_found(run: Run, workflow: str, recent: list[Mapping[str, Any]]) -> RunFact | None:
    """What it means that none of the runs since its start says the key, after the time in which GitHub shows one."""
    if any(not _KEY.search(_title(each)) for each in recent):
        text = f"runs of {workflow} say no run key in their title: let its `run-name` contain the input"
    elif len(recent) >= PAGE:
        text = f"{PAGE} runs or more of {workflow} began since: nobody can tell whether it started"
    elif run.started_at is not None:
        text = f"GitHub took the order for {workflow} and shows no run of it"
    else:
        return None
    return RunFact(RunStatus.UNKNOWN, text=text)


def _fact(repository: str, run: Mapping[str, Any]) -> RunFact:
    """What GitHub says of a run; a word that this program does not know is in flight until it has ended."""
    ended = run.get("status") == "completed"
    word = str(run.get("conclusion") if ended else run.get("status"))
    known = (CONCLUSIONS if ended else STATES).get(word)
    return RunFact(
        known or (RunStatus.UNKNOWN if ended else RunStatus.RUNNING),
        f"{repository}/{run['id']}",
        str(run.get("html_url") or ""),
        SENTENCES.get(word) or ("" if known else f"GitHub calls it {word}"),
        moment(run.get("run_started_at")),
        moment(run.get("updated_at")) if ended else None,
    )
