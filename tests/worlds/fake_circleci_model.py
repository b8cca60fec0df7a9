"""What a fake CircleCI keeps: projects, pipelines that go through their script as time passes, workflows and jobs.

A script says when what happens, in seconds since the pipeline (or the workflow) was created. Nothing moves by itself:
every state is worked out from the clock at the moment of the question.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Steps = tuple[tuple[float, str], ...]
"""Words, each with the second from which it holds."""

STOPPED = frozenset({"success", "failed", "error", "canceled", "unauthorized"})
"""Statuses of workflows after which nothing happens any more."""

JOB_WORDS = {"failing": "failed", "error": "infrastructure_fail", "queued": "queued"}
"""The status of a workflow's jobs where it is another word than the workflow's."""

USER = "5f3b0a3e-0d4c-4a68-9c3f-6a2f0c4b8d11"
"""The id of the token's user."""


@dataclass(frozen=True)
class JobScript:
    """A job; approvals, and jobs that have not begun, have no number."""

    name: str
    type: str = "build"
    numbered: bool = True


@dataclass(frozen=True)
class WorkflowScript:
    """A workflow that appears so many seconds after its pipeline, and goes through its statuses from then on."""

    name: str
    steps: Steps = ((0, "running"), (60, "success"))
    appears: float = 2
    jobs: tuple[JobScript, ...] = (JobScript("build"),)
    tag: str = ""


@dataclass(frozen=True)
class Script:
    """How a pipeline goes."""

    workflows: tuple[WorkflowScript, ...] = (WorkflowScript("release"),)
    states: Steps = ((0, "pending"), (1, "created"))
    errors: tuple[tuple[str, str], ...] = ()


def ends(word: str, after: float = 60) -> Script:
    """A pipeline whose one workflow ends with this status."""
    return Script((WorkflowScript("release", ((0, "running"), (after, word))),))


@dataclass
class Workflow:
    """One workflow; `canceled_at` is when somebody stopped it."""

    script: WorkflowScript
    created_at: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    canceled_at: datetime | None = None
    stopped: bool | None = None
    """Whether it has a `stopped_at` although its status does not say so, or the other way round."""
    jobs: list[tuple[str, int]] = field(default_factory=list)
    """The ids of its jobs, with their numbers."""

    def status(self, now: datetime) -> tuple[str, datetime]:
        """The present status, and since when."""
        steps = [(self.created_at + timedelta(seconds=at), word) for at, word in self.script.steps]
        at, word = [step for step in steps if step[0] <= now][-1]
        if self.canceled_at is not None:
            at, word = self.canceled_at, "canceled"
        return word, at

    def stopped_at(self, now: datetime) -> str | None:
        """When it ended."""
        word, at = self.status(now)
        over = word in STOPPED if self.stopped is None else self.stopped
        return written(at) if over else None


@dataclass
class Pipeline:
    """One pipeline of a project."""

    project: Project
    number: int
    created_at: datetime
    script: Script
    branch: str = ""
    tag: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    login: str = "release-bot"
    trigger: str = "api"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    workflows: list[Workflow] = field(default_factory=list)

    def state(self, now: datetime) -> str:
        """The present state."""
        return [word for at, word in self.script.states if self.created_at + timedelta(seconds=at) <= now][-1]

    def present(self, now: datetime) -> list[Workflow]:
        """Its workflows by now, the newest first."""
        return sorted((w for w in self.workflows if w.created_at <= now), key=lambda w: w.created_at, reverse=True)

    def rerun(self, name: str, now: datetime, steps: Steps) -> Workflow:
        """A new workflow of the same name; the old one stays in the list."""
        old = next(each for each in self.workflows if each.script.name == name)
        script = WorkflowScript(name, steps, jobs=old.script.jobs)
        return self.project.add_workflow(self, script, now)

    def shown(self, now: datetime) -> dict[str, Any]:
        """As CircleCI shows it."""
        errors = self.script.errors if self.state(now) == "errored" else ()
        vcs = {
            "provider_name": "GitHub",
            "origin_repository_url": f"https://github.com/{self.project.name}",
            "target_repository_url": f"https://github.com/{self.project.name}",
            "revision": "d2ae1134f62e24b9d745f3d74357424de6bdc96d",
        }
        where = {key: value for key, value in (("branch", self.branch), ("tag", self.tag)) if value}
        return {
            "id": self.id,
            "errors": [{"type": kind, "message": message} for kind, message in errors],
            "project_slug": self.project.slug,
            "updated_at": written(self.created_at),
            "number": self.number,
            "state": self.state(now),
            "created_at": written(self.created_at),
            "trigger": {
                "type": self.trigger,
                "received_at": written(self.created_at),
                "actor": {"login": self.login, "avatar_url": None},
            },
        } | ({"vcs": vcs | where} if self.project.vcs else {})


@dataclass
class Project:
    """A project; `parameters` are those that its config declares, with their types."""

    slug: str
    parameters: dict[str, str] = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    pipelines: list[Pipeline] = field(default_factory=list)
    vcs: bool = True
    """Whether its pipelines say where they ran; those of a GitHub App do not."""
    shows_parameters: bool = False
    """Whether its config uses the parameters, so that they stand in it once it is filled in."""
    jobs: int = 100

    @property
    def name(self) -> str:
        """Organization and repository."""
        return self.slug.partition("/")[2]

    def add(self, now: datetime, **more: Any) -> Pipeline:
        """A new pipeline."""
        script = more.pop("script", self.script)
        number = max((each.number for each in self.pipelines), default=0) + 1
        made = Pipeline(self, number, now, script, **more)
        self.pipelines.append(made)
        for each in script.workflows:
            self.add_workflow(made, each, now + timedelta(seconds=each.appears))
        return made

    def add_workflow(self, pipeline: Pipeline, script: WorkflowScript, at: datetime) -> Workflow:
        """A new workflow of a pipeline, with its jobs."""
        made = Workflow(script, at)
        for _ in script.jobs:
            self.jobs += 1
            made.jobs.append((str(uuid.uuid4()), self.jobs))
        pipeline.workflows.append(made)
        return made

    def wrong(self, parameters: Mapping[str, Any]) -> str:
        """What CircleCI says of parameters that the config does not declare, or not so; empty if they are right."""
        unknown = sorted(parameters.keys() - self.parameters.keys())
        if unknown:
            return f"Unexpected argument(s): {', '.join(unknown)}"
        kinds = {bool: "boolean", int: "integer", str: "string"}
        for name, value in parameters.items():
            if kinds[type(value)] != self.parameters[name]:
                return f"Type error for argument {name}: expected type: {self.parameters[name]}, actual value: {value}"
        return ""


def workflow_shown(pipeline: Pipeline, workflow: Workflow, now: datetime) -> dict[str, Any]:
    """A workflow as CircleCI shows it."""
    tag = {"tag": workflow.script.tag} if workflow.script.tag else {}
    return {
        "pipeline_id": pipeline.id,
        "id": workflow.id,
        "name": workflow.script.name,
        "project_slug": pipeline.project.slug,
        "status": workflow.status(now)[0],
        "started_by": USER,
        "pipeline_number": pipeline.number,
        "created_at": written(workflow.created_at),
        "stopped_at": workflow.stopped_at(now),
    } | tag


def jobs_shown(pipeline: Pipeline, workflow: Workflow, now: datetime) -> list[dict[str, Any]]:
    """The jobs of a workflow as CircleCI lists them."""
    word, _ = workflow.status(now)
    return [
        {
            "id": name,
            "name": script.name,
            "type": script.type,
            "status": JOB_WORDS.get(word, word),
            "dependencies": [],
            "project_slug": pipeline.project.slug,
            "started_at": written(workflow.created_at),
            "stopped_at": workflow.stopped_at(now),
        }
        | ({"job_number": number} if script.numbered else {})
        for script, (name, number) in zip(workflow.script.jobs, workflow.jobs, strict=True)
    ]


def written(at: datetime) -> str:
    """A time as CircleCI writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
