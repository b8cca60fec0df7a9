"""One pipeline down to its jobs, for reports: a single sweep that goes on without what it cannot have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bot.errors import ServerUnreachable
from bot.model.runs import Run
from bot.providers.pipelines.circleci_api import CircleCiApi, No, pipeline_path, project_path, workflow_path
from bot.providers.pipelines.circleci_verdicts import Item, pipeline_errors, trouble

GONE_ON = "not asked for: CircleCI did not answer before"
"""What stands in the place of what was left out once the server was away."""

Answer = TypeVar("Answer")

_WORKFLOW = ("id", "name", "status", "created_at", "stopped_at")
_JOB = ("id", "name", "job_number", "type", "status", "started_at", "stopped_at")


class Sweep:
    """The requests for one report. A part that is not to be had says `unavailable` and why.

    After a request that came to nothing no other is made: the rest of the report is not worth a wait at each part.
    """

    def __init__(self, api: CircleCiApi) -> None:
        self._api = api
        self._silent = False

    def details(self, run: Run, on_hold: str) -> dict[str, Any]:
        """The pipeline of a run with its workflows, reruns too, and their jobs.

        `error` is what kept it from succeeding, or None; `unavailable` at any level says why a part is missing.
        """
        pipeline = self._one(pipeline_path(run.handle))
        if isinstance(pipeline, No):
            return _described(run, {}) | {"error": None, "workflows": [], "unavailable": pipeline.words}
        known = _described(run, pipeline)
        workflows = self._list(pipeline_path(run.handle, "workflow"))
        if isinstance(workflows, No):
            return known | {
                "error": _error(run, pipeline, [], on_hold),
                "workflows": [],
                "unavailable": workflows.words,
            }
        parts = [self._workflow(each, known["project_slug"]) for each in sorted(workflows, key=_created)]
        return known | {"error": _error(run, pipeline, workflows, on_hold), "workflows": parts}

    def _workflow(self, workflow: Item, slug: str) -> dict[str, Any]:
        known = {key: workflow.get(key) for key in _WORKFLOW}
        jobs = self._list(workflow_path(workflow, "job"))
        if isinstance(jobs, No):
            return known | {"jobs": [], "unavailable": jobs.words}
        return known | {"jobs": [self._job(each, slug) for each in jobs]}

    def _job(self, job: Item, slug: str) -> dict[str, Any]:
        """A job; only one that has begun has a number, and with it a page."""
        known = {key: job.get(key) for key in _JOB}
        number = job.get("job_number")
        if not isinstance(number, int):
            return known
        found = self._one(project_path(str(job.get("project_slug") or slug), "job", str(number)))
        if isinstance(found, No):
            return known | {"unavailable": found.words}
        return known | {key: found[key] for key in ("web_url", "duration") if found.get(key) is not None}

    def _one(self, path: str) -> Item | No:
        return self._asked(path, self._api.get)

    def _list(self, path: str) -> list[Item] | No:
        return self._asked(path, self._api.items)

    def _asked(self, path: str, ask: Callable[[str], Answer | No]) -> Answer | No:
        if self._silent:
            return No(0, GONE_ON, path)
        try:
            return ask(path)
        except ServerUnreachable as error:
            self._silent = True
            return No(0, error.message, path)


def _described(run: Run, pipeline: Item) -> dict[str, Any]:
    """What is known of the pipeline itself."""
    vcs = pipeline.get("vcs")
    branch = vcs.get("branch") or vcs.get("tag") if isinstance(vcs, Mapping) else None
    return {
        "pipeline_guid": run.handle,
        "project_slug": pipeline.get("project_slug"),
        "branch": branch,
        "number": pipeline.get("number"),
        "state": pipeline.get("state"),
        "created_at": pipeline.get("created_at"),
        "errors": pipeline_errors(pipeline),
        "http_link": run.url,
    }


def _error(run: Run, pipeline: Item, workflows: list[Item], on_hold: str) -> dict[str, str] | None:
    found = trouble(pipeline, workflows, on_hold)
    if found is None:
        return None
    return {"pipeline": run.handle, "workflow": found.workflow, "status": found.status, "message": found.message}


def _created(workflow: Item) -> str:
    return str(workflow.get("created_at"))
