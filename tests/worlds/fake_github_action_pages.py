"""Endpoints of the fake GitHub about Actions: workflows are the files below `.github/workflows` of the repository.

A dispatch without `return_run_details` answers 204, and its run shows in lists only after `run_delay` more reads of
lists. Runs do not run: `server.runs.begin(id)` and `server.runs.finish(id, conclusion)` say how they go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import unquote

import yaml
from worlds.fake_github_desk import REPO, Desk, body_of
from worlds.fake_github_model import Project, WorkflowRun
from worlds.fake_github_shapes import stamp
from worlds.fake_github_state import World, denied, invalid
from worlds.fake_http import Answer, Request, Route

FOLDER = ".github/workflows"
INPUT = re.compile(r"\$\{\{\s*(?:github\.event\.)?inputs\.([\w-]+)\s*\}\}")


@dataclass
class Runs:
    """The workflow runs of a server by id, and how they go on."""

    world: World
    all: dict[int, WorkflowRun] = field(default_factory=dict)

    def begin(self, run: int) -> None:
        """A runner took it."""
        self.all[run].status, self.all[run].updated_at = "in_progress", self.world.tick()

    def finish(self, run: int, conclusion: str = "success") -> None:
        """It came to its end."""
        found = self.all[run]
        found.status, found.conclusion, found.updated_at = "completed", conclusion, self.world.tick()

    def again(self, run: int) -> None:
        """A new attempt."""
        found = self.all[run]
        found.status, found.conclusion, found.attempt = "queued", None, found.attempt + 1
        found.started_at = found.updated_at = self.world.tick()


class ActionPages(Desk):
    """Workflows and their runs; `run_delay` is how many reads of lists a dispatched run stays hidden for."""

    run_delay = 2
    runs: Runs
    routes: ClassVar[Sequence[Route]] = (
        Route("GET", REPO + r"/actions/workflows", "workflows"),
        Route("GET", REPO + r"/actions/workflows/([^/]+)", "workflow"),
        Route("POST", REPO + r"/actions/workflows/([^/]+)/dispatches", "dispatch"),
        Route("GET", REPO + r"/actions/workflows/([^/]+)/runs", "workflow_runs"),
        Route("GET", REPO + r"/actions/runs", "all_runs"),
        Route("GET", REPO + r"/actions/runs/(\d+)", "get_run"),
        Route("GET", REPO + r"/actions/runs/(\d+)/jobs", "jobs"),
        Route("POST", REPO + r"/actions/runs/(\d+)/cancel", "cancel_run"),
        Route("POST", REPO + r"/actions/runs/(\d+)/rerun", "rerun"),
        Route("POST", REPO + r"/actions/runs/(\d+)/rerun-failed-jobs", "rerun_failed"),
    )

    def workflow(self, request: Request) -> Answer:
        """One workflow by id or file name."""
        project = self.project(request)
        return Answer(200, self._shown(project, *self._workflow(project, request.groups[1])))

    def workflows(self, request: Request) -> Answer:
        """The workflows of a repository."""
        project = self.project(request)
        rows = self._workflows(project)
        return self.listed(request, rows, lambda row: self._shown(project, *row), "workflows")

    def _shown(self, project: Project, path: str, identity: int) -> dict[str, Any]:
        content = self._content(project, path, project.default_branch)
        url, web = f"{self.shapes.repo_url(project)}/actions/workflows/{identity}", f"{self.web}/{project.full_name}"
        return {
            "id": identity,
            "node_id": f"W_{identity}",
            "name": content.get("name", path),
            "path": path,
            "state": "active",
            "url": url,
            "html_url": f"{web}/blob/{project.default_branch}/{path}",
            "badge_url": f"{web}/workflows/{identity}/badge.svg",
            "created_at": stamp(project.created_at),
            "updated_at": stamp(project.created_at),
        }

    def dispatch(self, request: Request) -> Answer:
        """Start a run on a branch or tag."""
        project, body = self.project(request, "write"), body_of(request)
        path, identity = self._workflow(project, request.groups[1])
        ref = body["ref"].removeprefix("refs/heads/").removeprefix("refs/tags/")
        sha = project.repository.resolve(ref)
        if not sha or re.fullmatch("[0-9a-f]{40}", ref):
            raise invalid(f"No ref found for: {body['ref']}")
        content = self._content(project, path, sha)
        trigger = _trigger(content)
        if trigger is None:
            raise invalid("Workflow does not have 'workflow_dispatch' trigger")
        inputs = _inputs(trigger.get("inputs") or {}, body.get("inputs") or {})
        run = self._start(project, (path, identity), (ref, sha), inputs)
        if not body.get("return_run_details"):
            run.hidden = self.run_delay
            return Answer(204)
        shape = self.shapes.run(run, self.owner(project))
        return Answer(
            200, {"workflow_run_id": run.id, "run_url": shape["url"], "html_url": shape["html_url"]}
        )  # fmt: skip

    def triggered(
        self, project: Project, workflow: str, ref: str, event: str = "push", head: Project | None = None
    ) -> WorkflowRun:
        """A run that an event on a branch or tag of the repository (or of a fork, `head`) has started."""
        with self.lock:
            sha = (head or project).repository.resolve(ref)
            run = self._start(project, self._workflow(project, workflow), (ref, sha), {}, project.owner, event)
            run.head = head
            return run

    def _start(
        self, project: Project, workflow: tuple[str, int], at: tuple[str, str], inputs: Mapping[str, Any],
        actor: str = "", event: str = "workflow_dispatch",
    ) -> WorkflowRun:  # fmt: skip
        path, identity = workflow
        content = self._content(project, path, project.default_branch if actor else at[1])
        number = 1 + sum(run.workflow == identity for run in self.runs.all.values())
        name, when = content.get("name", path), self.world.tick()
        title = INPUT.sub(lambda match: str(inputs.get(match[1], "")), str(content.get("run-name", name)))
        jobs = tuple(str(job.get("name", key)) for key, job in content["jobs"].items())
        run = WorkflowRun(
            self.world.id(), number, project, identity, path, name, title, event, *at,
            self.world.user(actor) if actor else self.me, inputs, jobs, when, when, when,
        )  # fmt: skip
        self.runs.all[run.id] = run
        return run

    def _workflow(self, project: Project, word: str) -> tuple[str, int]:
        """Path and id of a workflow on the default branch, by id or file name."""
        for path, identity in self._workflows(project):
            if unquote(word) in {str(identity), path.rpartition("/")[2]}:
                return path, identity
        raise denied(404, "Not Found")

    def _workflows(self, project: Project) -> list[tuple[str, int]]:
        """Path and id of the workflows on the default branch."""
        head = project.heads.get(project.default_branch, "")
        paths = project.repository.names(head, FOLDER) if head else ()
        return [(path, project.workflows.setdefault(path, len(project.workflows) + 501)) for path in paths]

    def _content(self, project: Project, path: str, commit: str) -> Any:
        content = project.repository.read(commit, path)
        if content is None:
            raise invalid(f"Workflow file {path} does not exist on the ref")
        return yaml.safe_load(content)

    def workflow_runs(self, request: Request) -> Answer:
        """The runs of one workflow."""
        project = self.project(request)
        _, identity = self._workflow(project, request.groups[1])
        return self._listed(request, project, identity)

    def all_runs(self, request: Request) -> Answer:
        """The runs of a repository."""
        return self._listed(request, self.project(request), 0)

    def _listed(self, request: Request, project: Project, workflow: int) -> Answer:
        """Runs that are shown already, newest first."""
        mine = [run for run in self.runs.all.values() if run.project is project and workflow in {0, run.workflow}]
        rows = [run for run in mine if not run.hidden and _asked_for(request, run)]
        for run in mine:
            run.hidden -= run.hidden > 0
        rows.sort(key=lambda run: run.id, reverse=True)
        owner = self.owner(project)
        return self.listed(request, rows, lambda run: self.shapes.run(run, owner), "workflow_runs")

    def get_run(self, request: Request) -> Answer:
        """One run."""
        project = self.project(request)
        return Answer(200, self.shapes.run(self._run(request, project), self.owner(project)))

    def jobs(self, request: Request) -> Answer:
        """The jobs of a run's last attempt."""
        run = self._run(request, self.project(request))
        return self.listed(request, range(len(run.jobs)), lambda number: self.shapes.job(run, number), "jobs")

    def cancel_run(self, request: Request) -> Answer:
        """Stop a run."""
        run = self._run(request, self.project(request, "write"))
        if run.status == "completed":
            raise denied(409, "Cannot cancel a workflow run that is completed.")
        self.runs.finish(run.id, "cancelled")
        return Answer(202, {})

    def rerun(self, request: Request) -> Answer:
        """Run it again."""
        run = self._run(request, self.project(request, "write"))
        if run.status != "completed":
            raise denied(403, "This workflow is already running")
        self.runs.again(run.id)
        return Answer(201, {})

    def rerun_failed(self, request: Request) -> Answer:
        """Run again what failed of it."""
        run = self._run(request, self.project(request, "write"))
        if run.conclusion == "success":
            raise denied(403, "The workflow run containing this job has no failed jobs")
        return self.rerun(request)

    def _run(self, request: Request, project: Project) -> WorkflowRun:
        run = self.runs.all.get(int(request.groups[1]))
        if run is None or run.project is not project:
            raise denied(404, "Not Found")
        return run


def _trigger(content: Any) -> Mapping[str, Any] | None:
    """What a workflow says of `workflow_dispatch`; YAML 1.1 reads the key `on` as true."""
    on = content.get("on", content.get(True))
    if isinstance(on, dict):
        return on.get("workflow_dispatch") or {} if "workflow_dispatch" in on else None
    return {} if on == "workflow_dispatch" or "workflow_dispatch" in (on or []) else None


def _inputs(known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a run; 422 for one that is unknown or missing."""
    unexpected = sorted(set(given) - set(known))
    if unexpected:
        raise invalid(f"Unexpected inputs provided: {unexpected}".replace("'", '"'))
    for name, about in known.items():
        if (about or {}).get("required") and "default" not in about and name not in given:
            raise invalid(f"Required input '{name}' not provided")
    defaults = {name: about["default"] for name, about in known.items() if "default" in (about or {})}
    return defaults | dict(given)


def _asked_for(request: Request, run: WorkflowRun) -> bool:
    """Whether a run is among those that a list is asked for."""
    return (
        request.get("event") in {"", run.event}
        and request.get("branch") in {"", run.branch}
        and request.get("head_sha") in {"", run.sha}
        and request.get("actor") in {"", run.actor.login}
        and request.get("status") in {"", run.status, run.conclusion}
        and _created(request.get("created"), stamp(run.created_at))
    )


def _created(wanted: str, when: str) -> bool:
    """GitHub's date syntax: `>=T`, `>T`, `<=T`, `<T`, `A..B` with `*` for open ends, or one day or time."""
    if not wanted:
        return True
    if ".." in wanted:
        low, high = wanted.split("..", 1)
        return (low == "*" or when >= low) and (high == "*" or when[: len(high)] <= high)
    sign = re.match("[<>]=?", wanted)
    moment = wanted[sign.end() :] if sign else wanted
    moment = re.sub(r"\.\d+", "", moment).replace("+00:00", "Z")
    here = when[: len(moment)]
    match sign and sign[0]:
        case ">=":
            return here >= moment
        case ">":
            return here > moment
        case "<=":
            return here <= moment
        case "<":
            return here < moment
        case _:
            return here == moment
