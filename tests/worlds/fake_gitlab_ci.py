"""Pipelines of the fake GitLab: the API's handlers, and what tests make of a pipeline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from worlds.fake_gitlab_acts import pipeline_ended
from worlds.fake_gitlab_api import PROJECT, GitLabGround, in_order, not_before
from worlds.fake_gitlab_model import ACTIVE, DEVELOPER, Pipeline, Project, User
from worlds.fake_gitlab_state import State
from worlds.fake_http import Answer, Refusal, Request, Route

ONE = rf"{PROJECT}/pipelines/(\d+)"
ORDERS: dict[str, Any] = {
    "id": lambda found: found.id,
    "updated_at": lambda found: (found.updated_at, found.id),
    "status": lambda found: (found.status, found.id),
    "ref": lambda found: (found.ref, found.id),
    "user_id": lambda found: (found.user.id, found.id),
}
FILTERS = ("ref", "sha", "source", "status", "username", "updated_after", "created_after", "order_by", "sort")


class Pipelines:
    """What happens to pipelines outside the API: runners take them up and end them."""

    def __init__(self, state: State, lock: AbstractContextManager[object]) -> None:
        self.state = state
        self._lock = lock
        self.first_status = "pending"
        """The status that a pipeline has when it was just started."""

    def all(self, path: str = "") -> list[Pipeline]:
        """Every pipeline, or those of one project, by id."""
        with self._lock:
            wanted = [project for project in self.state.projects if path in {"", project.path}]
            found = [pipeline for project in wanted for pipeline in project.pipelines.values()]
        return sorted(found, key=lambda pipeline: pipeline.id)

    def start(
        self,
        project: Project,
        user: User,
        ref: tuple[str, str],
        source: str,
        variables: Sequence[Mapping[str, str]] = (),
        inputs: Mapping[str, Any] | None = None,
    ) -> Pipeline:
        """A new pipeline for a ref's (name, sha)."""
        when = self.state.tick()
        made = Pipeline(
            self.state.new_id("pipeline"),
            len(project.pipelines) + 1,
            ref[1],
            ref[0],
            source,
            user,
            when,
            when,
            self.first_status,
            variables=tuple(variables),
            inputs=dict(inputs or {}),
            jobs=[(self.state.new_id("job"), "deploy")],
        )
        project.pipelines[made.id] = made
        return made

    def set_status(self, number: int, status: str) -> Pipeline:
        """Bring a pipeline to a status; one that ends a merge request's wait merges it."""
        with self._lock:
            project = next(project for project in self.state.projects if number in project.pipelines)
            pipeline = project.pipelines[number]
            pipeline.status, pipeline.updated_at = status, self.state.tick()
            if status not in {"created", "pending"} and pipeline.started_at is None:
                pipeline.started_at = pipeline.updated_at
            pipeline.finished_at = None if status in ACTIVE else pipeline.updated_at
            pipeline_ended(self.state, project, pipeline)
            return pipeline

    def run(self, number: int) -> Pipeline:
        """A runner takes it up."""
        return self.set_status(number, "running")

    def finish(self, number: int, status: str = "success") -> Pipeline:
        """It ends."""
        return self.set_status(number, status)


class PipelinesApi(GitLabGround):
    """Handlers for pipelines."""

    pipelines: Pipelines
    pipeline_routes = (
        Route("GET", rf"{PROJECT}/pipelines", "list_pipelines"),
        Route("POST", rf"{PROJECT}/pipeline", "create_pipeline"),
        Route("POST", rf"{PROJECT}/trigger/pipeline", "trigger_pipeline"),
        Route("GET", ONE, "show_pipeline"),
        Route("GET", rf"{ONE}/variables", "list_variables"),
        Route("GET", rf"{ONE}/jobs", "list_jobs"),
        Route("GET", rf"{PROJECT}/jobs", "list_all_jobs"),
        Route("POST", rf"{ONE}/cancel", "cancel_pipeline"),
        Route("POST", rf"{ONE}/retry", "retry_pipeline"),
    )

    def list_pipelines(self, request: Request) -> Answer:
        """Pipelines that the query asks for, newest first."""
        project, _ = self.project(request)
        self.reads(request, *FILTERS)
        found = in_order((each for each in project.pipelines.values() if _wanted(request, each)), request, ORDERS, "id")
        return self.paged(request, found, lambda each: self.entities.pipeline_basic(project, each))

    def create_pipeline(self, request: Request) -> Answer:
        """Start one as the user who asks."""
        project, user = self.project(request, DEVELOPER)
        body = self.body(request, "ref")
        listed = body.get("variables") or []
        if not isinstance(listed, list) or any(not isinstance(each, dict) or "key" not in each for each in listed):
            raise Refusal(400, {"error": "variables is invalid"})
        variables = {str(each["key"]): each.get("value", "") for each in listed}
        return self._start(project, user, body, variables, "api")

    def trigger_pipeline(self, request: Request) -> Answer:
        """Start one by a trigger token; JSON or a form, no login."""
        project = self.project_named(_unescaped(request.groups[0]))
        body = self.body(request, "token", "ref")
        owner = project.trigger_tokens.get(str(body["token"])) if project is not None else None
        if project is None or owner is None:
            raise Refusal(404, {"message": "404 Not Found"})
        self.state.sync(project)
        return self._start(project, owner, body, body.get("variables") or {}, "trigger")

    def _start(
        self, project: Project, user: User, body: Mapping[str, Any], variables: Mapping[str, Any], source: str
    ) -> Answer:
        """Start for a branch or tag that exists, with variables that are texts."""
        name = str(body["ref"])
        sha = project.heads.get(name) or project.repository.refs("refs/tags/").get(name, "")
        if not sha:
            raise Refusal(400, {"message": {"base": ["Reference not found"]}})
        for key, value in variables.items():
            if not isinstance(value, str) or not re.fullmatch(r"[a-zA-Z0-9_]+", key):
                raise Refusal(400, {"message": "variables needs to be a map of key-valued strings"})
        listed = [{"key": key, "value": value} for key, value in variables.items()]
        made = self.pipelines.start(project, user, (name, sha), source, listed, body.get("inputs"))
        return Answer(201, self.entities.pipeline(project, made))

    def show_pipeline(self, request: Request) -> Answer:
        """One pipeline."""
        project, _ = self.project(request)
        found = self._pipeline(request, project)
        return Answer(200, {**self.entities.pipeline(project, found), "name": None})

    def list_variables(self, request: Request) -> Answer:
        """The variables a pipeline was started with."""
        project, _ = self.project(request, DEVELOPER)
        body = [
            {"variable_type": "env_var", "key": each["key"], "value": each["value"], "raw": False}
            for each in self._pipeline(request, project).variables
        ]
        return Answer(200, body)

    def list_jobs(self, request: Request) -> Answer:
        """The jobs of a pipeline."""
        project, _ = self.project(request)
        self.reads(request, "include_retried", "scope")
        found = self._pipeline(request, project)
        scopes = request.all("scope")
        jobs = [job for job in found.jobs if not scopes or found.job_status.get(job[1], found.status) in scopes]
        return self.paged(request, jobs, lambda job: self.entities.job(project, found, job))

    def list_all_jobs(self, request: Request) -> Answer:
        """The jobs of a project, newest first."""
        project, _ = self.project(request)
        self.reads(request, "scope")
        scopes = request.all("scope")
        jobs = [(job, found) for found in project.pipelines.values() for job in found.jobs]
        wanted = [each for each in jobs if not scopes or each[1].job_status.get(each[0][1], each[1].status) in scopes]
        wanted.sort(key=lambda each: -each[0][0])
        return self.paged(request, wanted, lambda each: self.entities.job(project, each[1], each[0]))

    def cancel_pipeline(self, request: Request) -> Answer:
        """Stop one; one that is over stays as it is."""
        project, _ = self.project(request, DEVELOPER)
        found = self._pipeline(request, project)
        if found.status in ACTIVE:
            self.pipelines.set_status(found.id, "canceled")
        return Answer(201, self.entities.pipeline(project, found))

    def retry_pipeline(self, request: Request) -> Answer:
        """Run what failed again."""
        project, _ = self.project(request, DEVELOPER)
        found = self._pipeline(request, project)
        if found.status in {"failed", "canceled"}:
            found.jobs.append((self.state.new_id("job"), "deploy"))
            self.pipelines.set_status(found.id, "running")
        return Answer(201, self.entities.pipeline(project, found))

    @staticmethod
    def _pipeline(request: Request, project: Project) -> Pipeline:
        """The pipeline of the address."""
        found = project.pipelines.get(int(request.groups[1]))
        if found is None:
            raise Refusal(404, {"message": "404 Not found"})
        return found


def _wanted(request: Request, found: Pipeline) -> bool:
    """Whether a pipeline matches the query."""
    facts = {
        "ref": found.ref,
        "sha": found.sha,
        "source": found.source,
        "status": found.status,
        "username": found.user.username,
    }
    return (
        all(request.get(name, value) == value for name, value in facts.items())
        and not_before(found.updated_at, request.get("updated_after"))
        and not_before(found.created_at, request.get("created_after"))
    )


def _unescaped(word: str) -> str:
    """A project's path from an address."""
    return word.replace("%2F", "/").replace("%2f", "/")
