"""A CircleCI for tests: a stateful server whose pipelines move with a clock, held to the official API document.

    with FakeCircleCI(now=clock) as server:
        server.add("gh/acme/web", parameters={"dry_run": "boolean"}, script=ends("failed"))
        server.page_size = 2
        server.faults.append(Fault(("POST", r".*/pipeline"), "drop after"))

`goldens` are answers that a real CircleCI once gave, by path; they are judged like its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from worlds import planted
from worlds.contract import Contract, NoSpecs, specs_folder
from worlds.fake_circleci_model import (
    STOPPED,
    USER,
    Pipeline,
    Project,
    Script,
    Workflow,
    jobs_shown,
    workflow_shown,
    written,
)
from worlds.fake_http import Answer, FakeServer, Refusal, Request, Route

API = r"/api/v2"
SLUG = rf"{API}/project/([^/]+)"
LOGIN = "release-bot"
TOKEN = planted.token("circleci")


class FakeCircleCI(FakeServer):
    """The server; its one user is `release-bot`."""

    routes = (
        Route("GET", rf"{API}/me", "me"),
        Route("POST", rf"{SLUG}/pipeline", "trigger"),
        Route("GET", rf"{SLUG}/pipeline/mine", "mine"),
        Route("GET", rf"{SLUG}/job/(\d+)", "job"),
        Route("GET", rf"{API}/pipeline/([^/]+)", "pipeline"),
        Route("GET", rf"{API}/pipeline/([^/]+)/workflow", "workflows"),
        Route("GET", rf"{API}/pipeline/([^/]+)/config", "config"),
        Route("GET", rf"{API}/workflow/([^/]+)/job", "jobs"),
        Route("POST", rf"{API}/workflow/([^/]+)/cancel", "cancel"),
    )

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(Contract("circleci-openapi.json", prefix=API))
        self.now = now
        self.projects: dict[str, Project] = {}
        self.goldens: dict[str, Any] = {}
        self.page_size = 20
        self.may_cancel = True
        self.lag = 0.0
        """Seconds for which a new pipeline is not known to those who ask for it by its id."""
        self.bodies: list[Any] = []
        """What was posted to start pipelines."""
        self.looks: list[tuple[str, datetime]] = []
        """Which pipeline was asked for by its id, and when."""

    def add(self, slug: str, parameters: dict[str, str] | None = None, script: Script | None = None) -> Project:
        """A project."""
        made = Project(slug, parameters or {}, script or Script())
        self.projects[slug] = made
        return made

    def load(self, fixtures: Path) -> None:
        """Serve the one pipeline whose answers are kept in that folder."""
        kept = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in fixtures.glob("*.json")}
        at = f"{API}/pipeline/{kept['pipeline']['id']}"
        self.goldens[at], self.goldens[f"{at}/workflow"] = kept["pipeline"], kept["pipeline-workflows"]
        for word in ("failed", "success"):
            self.goldens[f"{API}/workflow/{kept[f'workflow-{word}']['id']}/job"] = kept[f"workflow-{word}-jobs"]
        slug = kept["pipeline"]["project_slug"].replace("/", "%2F")
        self.goldens[f"{API}/project/{slug}/job/{kept['job-detail']['number']}"] = kept["job-detail"]

    def authorized(self, request: Request) -> Answer | None:
        """Who asks, by the one header that is not deprecated."""
        if request.headers.get("circle-token") != TOKEN:
            return Answer(401, {"message": "You must log in first."})
        if request.path in self.goldens:
            return Answer(200, self.goldens[request.path])
        return None

    def missing(self, request: Request) -> Answer:
        """Also what CircleCI says of what may not be seen."""
        del request
        return Answer(404, {"message": "Not found."})

    def me(self, request: Request) -> Answer:
        """The token's user."""
        del request
        return Answer(200, {"id": USER, "login": LOGIN, "name": "Release Bot"})

    def trigger(self, request: Request) -> Answer:
        """A new pipeline."""
        project = self._project(request)
        body = request.json()
        self.bodies.append(body)
        parameters = body.get("parameters", {})
        wrong = project.wrong(parameters)
        if wrong:
            return Answer(400, {"message": wrong})
        if "branch" in body and "tag" in body:
            return Answer(400, {"message": "branch and tag are mutually exclusive"})
        where = {key: body[key] for key in ("branch", "tag") if key in body} or {"branch": "main"}
        made = project.add(self.now(), parameters=parameters, **where)
        shown = made.shown(self.now())
        return Answer(201, {key: shown[key] for key in ("id", "state", "number", "created_at")})

    def mine(self, request: Request) -> Answer:
        """The user's own pipelines, the newest first."""
        project = self._project(request)
        own = [each for each in project.pipelines if each.login == LOGIN]
        return self._page(request, [each.shown(self.now()) for each in reversed(own)])

    def pipeline(self, request: Request) -> Answer:
        """One pipeline."""
        found = self._pipeline(request)
        self.looks.append((found.id, self.now()))
        if (self.now() - found.created_at).total_seconds() < self.lag:
            return self.missing(request)
        return Answer(200, found.shown(self.now()))

    def workflows(self, request: Request) -> Answer:
        """A pipeline's workflows, the newest first."""
        found = self._pipeline(request)
        return self._page(request, [workflow_shown(found, each, self.now()) for each in found.present(self.now())])

    def config(self, request: Request) -> Answer:
        """A pipeline's config; filled in, it holds the values of the parameters that it uses."""
        found = self._pipeline(request)
        if not found.project.shows_parameters:
            return Answer(200, {"source": "version: 2.1\n", "compiled": "version: 2\n"})
        source = "".join(f"{name}: << pipeline.parameters.{name} >>\n" for name in found.project.parameters)
        return Answer(200, {"source": source, "compiled": json.dumps(dict(found.parameters))})

    def jobs(self, request: Request) -> Answer:
        """A workflow's jobs."""
        pipeline, workflow = self._workflow(request)
        return self._page(request, jobs_shown(pipeline, workflow, self.now()))

    def cancel(self, request: Request) -> Answer:
        """Stop a workflow; one that is over says so."""
        if not self.may_cancel:
            return Answer(403, {"message": "Permission denied"})
        _, workflow = self._workflow(request)
        if workflow.status(self.now())[0] in STOPPED:
            return Answer(400, {"message": "Workflow is already finished."})
        workflow.canceled_at = self.now()
        return Answer(202, {"message": "Accepted."})

    def job(self, request: Request) -> Answer:
        """A job that has begun, in detail."""
        project, number = self._project(request), int(request.groups[1])
        for pipeline in project.pipelines:
            for workflow in pipeline.workflows:
                for script, (_, own) in zip(workflow.script.jobs, workflow.jobs, strict=True):
                    if own == number:
                        return Answer(200, self._job_shown(pipeline, workflow, script.name, number))
        return Answer(404, {"message": "Job not found"})

    def _job_shown(self, pipeline: Pipeline, workflow: Workflow, name: str, number: int) -> dict[str, Any]:
        word, at = workflow.status(self.now())
        return {
            "web_url": f"https://circleci.com/{pipeline.project.slug}/{number}",
            "project": {"slug": pipeline.project.slug, "name": name, "external_url": "https://github.com"},
            "parallel_runs": [{"index": 0, "status": word}],
            "started_at": written(workflow.created_at),
            "latest_workflow": {"id": workflow.id, "name": workflow.script.name},
            "name": name,
            "executor": {"type": "docker", "resource_class": "medium"},
            "parallelism": 1,
            "status": word,
            "number": number,
            "pipeline": {"id": pipeline.id},
            "duration": int((at - workflow.created_at).total_seconds() * 1000) if word in STOPPED else None,
            "created_at": written(workflow.created_at),
            "messages": [],
            "contexts": [{"name": "release"}],
            "organization": {"name": "acme"},
            "queued_at": written(workflow.created_at),
            "stopped_at": workflow.stopped_at(self.now()),
        }

    def _page(self, request: Request, items: Sequence[Any]) -> Answer:
        """One page; only `page-token` leads to the next, as the real one has it."""
        start = int(request.get("page-token").removeprefix("from-") or 0)
        end = start + self.page_size
        following = f"from-{end}" if end < len(items) else None
        return Answer(200, {"items": list(items[start:end]), "next_page_token": following})

    def _project(self, request: Request) -> Project:
        found = self.projects.get(unquote(request.groups[0]))
        if found is None:
            raise Refusal(404, {"message": "Project not found"})
        return found

    def _pipeline(self, request: Request) -> Pipeline:
        every = [each for project in self.projects.values() for each in project.pipelines]
        found = next((each for each in every if each.id == request.groups[0]), None)
        if found is None:
            raise Refusal(404, {"message": "Pipeline not found"})
        return found

    def _workflow(self, request: Request) -> tuple[Pipeline, Workflow]:
        for project in self.projects.values():
            for pipeline in project.pipelines:
                for workflow in pipeline.workflows:
                    if workflow.id == request.groups[0]:
                        return pipeline, workflow
        raise Refusal(404, {"message": "Workflow not found"})


def fixtures_folder() -> Path:
    """Where real answers stand, beside the official documents; raises NoSpecs where they do not."""
    folder = specs_folder().parent / "fixtures" / "circleci"
    if not folder.is_dir():
        raise NoSpecs(f"{folder} is missing")
    return folder
