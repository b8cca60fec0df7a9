"""Pipelines of GitLab projects as upstreams (`provider: gitlab`): the newest one of a branch or tag that succeeded.

A job is a project by path or number (`acme/service`), or one job of its pipelines (`acme/service:build`). Source:
https://docs.gitlab.com/api/pipelines/ and https://docs.gitlab.com/api/jobs/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.model.state import Build
from bot.ports import Cache
from bot.providers.downstream import moment
from bot.providers.gitlab_server import GitLabServer, No, gitlab_server, path_of

SOURCES = frozenset({"push", "web", "trigger", "schedule", "api", "external", "pipeline", "chat", "webide"})
"""What starts the pipelines that build a branch or tag; those of merge requests, scans and policies are others."""

PAGE = 20
"""Pipelines that one request brings; nearly always the first one is it."""

LOOKED_AT = 200
"""How many pipelines that succeeded are looked at for one that built the branch."""

ASKED = 10
"""How many pipelines are asked for one job, a request each."""

SUCCESSES = 500
"""How many of a project's last successful jobs are looked at, a request for a hundred, for one behind those."""

MAY_READ = "the scope `read_api`, and its user must see the pipelines of the project"
"""What a token needs that reads pipelines."""


def gitlab_builds(
    instance: Instance, environ: Mapping[str, str], config: Path, cache: Cache
) -> GitLabBuilds | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read.

    Public projects need no token. Answers are kept in `cache` and asked for conditionally.
    """
    server = gitlab_server(instance, environ, config, cache)
    return server if isinstance(server, Unreachable) else GitLabBuilds(server)


class GitLabBuilds:
    """A `bot.ports.Builds` of the projects of one GitLab; a build's number is its pipeline's id."""

    def __init__(self, server: GitLabServer) -> None:
        self._server = server

    def newest(self, job: str, ref: str, url: str) -> Build | None:
        """The newest pipeline of `ref` that succeeded, or the newest one in which the job did; None where none did.

        One request in the ordinary case, two where a job is named; a job whose last success lies behind `ASKED`
        pipelines and `SUCCESSES` jobs has none. Raises ServerUnreachable for a project that is not there or may not be
        seen, and where a pipeline lies behind too many others.
        """
        del url  # a pipeline builds its own project
        project, _, name = job.partition(":")
        short = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        return self._with_job(project, short, name) if name else self._succeeded(project, short)

    def _succeeded(self, project: str, ref: str) -> Build | None:
        """The newest pipeline that succeeded as a whole."""
        seen, builds = self._builds(project, {"ref": ref, "status": "success"}, 1)
        if not builds and seen == LOOKED_AT:
            raise ServerUnreachable(
                f"{project}: none of the newest {LOOKED_AT} pipelines of {ref} that succeeded was started by a push, "
                "a schedule or a person",
                hint="those of merge requests, scans and policies do not count",
            )
        return next(iter(builds), None)

    def _with_job(self, project: str, ref: str, name: str) -> Build | None:
        """The newest pipeline, whatever became of the rest of it, in which the job of this name succeeded."""
        seen, builds = self._builds(project, {"ref": ref}, ASKED)
        for build in builds:
            path = path_of(project, "pipelines", str(build.number), "jobs")
            found = self._server.taken(
                path, {"scope": "success"}, lambda jobs: any(job["name"] == name for job in jobs)
            )
            if self._sure(found):
                return build
        if len(builds) < ASKED and seen < LOOKED_AT:
            return None
        found = self._server.taken(
            path_of(project, "jobs"), {"scope": "success"}, lambda jobs: _behind(islice(jobs, SUCCESSES), ref, name)
        )
        return next(iter(self._sure(found)), None)

    def _builds(self, project: str, query: Mapping[str, str], wanted: int) -> tuple[int, list[Build]]:
        """How many pipelines were looked at, and the newest `wanted` of them that built the branch or tag."""
        newest_first = {**query, "order_by": "id", "sort": "desc"}
        path = path_of(project, "pipelines")
        seen, builds = self._sure(self._server.taken(path, newest_first, lambda items: _taken(items, wanted), PAGE))
        return seen, builds

    def _sure(self, answer: Any | No) -> Any:
        if isinstance(answer, No):
            raise self._server.unreachable(answer, MAY_READ)
        return answer


def _taken(pipelines: Iterable[Mapping[str, Any]], wanted: int) -> tuple[int, list[Build]]:
    """How many pipelines were looked at for so many builds, and the builds."""
    seen, builds = 0, list[Build]()
    for pipeline in islice(pipelines, LOOKED_AT):
        seen += 1
        builds += _build(pipeline)
        if len(builds) == wanted:
            break
    return seen, builds


def _behind(jobs: Iterable[Mapping[str, Any]], ref: str, name: str) -> list[Build]:
    """The newest pipeline of `ref` that one of these jobs, newest first, is of; none where none is of this name.

    A job of an older pipeline that was run again comes before those of newer ones, but nothing of a newer pipeline is
    older than the pipeline itself.
    """
    found: list[Build] = []
    for job in jobs:
        if found and (moment(job.get("created_at")) or found[0].at) < found[0].at:
            break
        if job.get("name") == name and job.get("ref") == ref:
            found = sorted([*found, *_build(job.get("pipeline") or {})], key=lambda build: -build.number)[:1]
    return found


def _build(pipeline: Mapping[str, Any]) -> list[Build]:
    """What a pipeline built; nothing where it is of another kind or does not say its commit."""
    sha, at = str(pipeline.get("sha") or ""), moment(pipeline.get("created_at"))
    if pipeline.get("source") not in SOURCES or not sha or at is None:
        return []
    return [Build(int(pipeline["id"]), sha, at, str(pipeline.get("web_url") or ""))]
