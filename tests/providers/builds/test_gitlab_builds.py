"""Pipelines of GitLab projects as upstreams: which one counts, what it costs, what is said where none is seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from worlds import planted
from worlds.fake_gitlab import FakeGitLab
from worlds.fake_gitlab_model import Pipeline
from worlds.fake_http import Answer, Fault
from worlds.git_world import Repository

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance, SecretRef
from bot.model.state import Build
from bot.providers.cache import FolderCache
from bot.providers.sources.gitlab_builds import ASKED, LOOKED_AT, PAGE, SOURCES, SUCCESSES, GitLabBuilds, gitlab_builds

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOKEN = planted.token("bot")
PROJECT = "acme/service"
URL = "https://gitlab.example.com/acme/service"


class World:
    """A GitLab with a project that builds a branch of its own in each test."""

    def __init__(self, folder: Path, server: FakeGitLab, sha: str) -> None:
        self.folder = folder
        self.server = server
        self.sha = sha
        self.ref = ""
        self.numbers = count()

    def builds(self, cache: str = "cache", **more: Any) -> GitLabBuilds | Unreachable:
        token = SecretRef(env="GITLAB_TOKEN")
        instance = Instance("gl", "gitlab", **{"url": self.server.url, "token": token, "rate_limit": "1000/s", **more})
        return gitlab_builds(instance, {"GITLAB_TOKEN": TOKEN}, self.folder, FolderCache(self.folder / cache))

    def newest(self, job: str = PROJECT, ref: str = "") -> Build | None:
        found = self.builds()
        assert isinstance(found, GitLabBuilds), found
        return found.newest(job, ref or self.ref, URL)

    def pipeline(self, status: str = "success", source: str = "push", **jobs: str) -> Pipeline:
        """A pipeline of the branch, with its jobs' own statuses."""
        project = self.server.project_named(PROJECT)
        assert project is not None
        made = self.server.pipelines.start(project, self.server.bot, (self.ref, self.sha), source)
        if jobs:
            made.jobs[:] = [(made.id * 10 + number, name) for number, name in enumerate(jobs)]
            made.job_status |= jobs
        self.server.pipelines.set_status(made.id, status)
        return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("gitlab")
    config, service = Repository(folder, "config"), Repository(folder, "service")
    config.commit()
    sha = service.commit()
    with FakeGitLab(config.bare, now=lambda: NOW, members={"alice": 50}) as server:
        server.add_project(PROJECT, service.bare)
        yield World(folder, server, sha)


@pytest.fixture
def world(served: World) -> World:
    served.ref = f"branch/{next(served.numbers)}"
    served.server.requests.clear()
    return served


def test_the_newest_that_succeeded_and_a_newer_failure_hides_nothing(world: World) -> None:
    assert world.newest() is None
    world.pipeline()
    wanted = world.pipeline()
    for status in ("failed", "canceled", "running", "skipped", "manual"):
        world.pipeline(status)
    url = f"{world.server.url}/acme/service/-/pipelines/{wanted.id}"
    assert world.newest() == Build(wanted.id, world.sha, wanted.created_at, url)
    assert world.newest(ref=f"refs/heads/{world.ref}") == world.newest("2")


def test_another_branch_is_no_matter(world: World) -> None:
    world.pipeline()
    assert world.newest(ref="elsewhere") is None


def test_a_tag_has_pipelines_too(world: World) -> None:
    world.ref = "v1.0"
    wanted = world.pipeline()
    assert [found.number for ref in ("v1.0", "refs/tags/v1.0") if (found := world.newest(ref=ref))] == [wanted.id] * 2


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_pipelines_that_build_a_branch_count_however_they_were_started(world: World, source: str) -> None:
    wanted = world.pipeline(source=source)
    found = world.newest()
    assert found is not None
    assert found.number == wanted.id


@pytest.mark.parametrize(
    "source", ["merge_request_event", "external_pull_request_event", "security_orchestration_policy"]
)
def test_what_is_no_build_of_the_branch_does_not_count(world: World, source: str) -> None:
    wanted = world.pipeline()
    for _ in range(PAGE):
        world.pipeline(source=source)
    found = world.newest()
    assert found is not None
    assert found.number == wanted.id
    assert len(world.server.requests) == 2


def test_one_request_and_the_next_time_nothing_is_sent_again(world: World) -> None:
    for _ in range(PAGE + 1):
        world.pipeline()
    assert world.newest() == world.newest()
    assert [(each.path, each.status) for each in world.server.requests] == [
        ("/api/v4/projects/acme%2Fservice/pipelines", status) for status in (200, 304)
    ]


def test_a_build_behind_too_many_others_is_not_called_missing(world: World) -> None:
    world.pipeline()
    for _ in range(LOOKED_AT):
        world.pipeline(source="merge_request_event")
    with pytest.raises(ServerUnreachable, match=rf"{PROJECT}: none of the newest {LOOKED_AT} pipelines"):
        world.newest()
    assert len(world.server.requests) == LOOKED_AT / PAGE


def test_one_job_counts_whatever_became_of_the_others(world: World) -> None:
    world.pipeline("success", build="success", deploy="success")
    wanted = world.pipeline("failed", build="success", deploy="failed")
    world.pipeline("failed", build="failed", deploy="skipped")
    world.pipeline("success", lint="success")
    job = f"{PROJECT}:build"
    found = world.newest(job)
    assert found is not None
    assert (found.number, found.sha) == (wanted.id, world.sha)
    assert len(world.server.requests) == 4
    world.newest(job)
    assert [each.status for each in world.server.requests[4:]] == [304] * 4
    assert world.newest(f"{PROJECT}:no such") is None


def test_one_job_costs_two_requests_in_the_ordinary_case(world: World) -> None:
    wanted = world.pipeline(**{"build: image": "success"})
    found = world.newest(f"{PROJECT}:build: image")
    assert found is not None
    assert found.number == wanted.id
    assert len(world.server.requests) == 2


def test_many_failures_of_a_job_hide_no_older_success_of_it(world: World) -> None:
    branch = world.ref
    older = world.pipeline("failed", build="success")
    wanted = world.pipeline("failed", build="success")
    older.jobs.append((wanted.id * 100, "build"))  # somebody ran the older one's again
    for _ in range(ASKED):
        world.pipeline("failed", build="failed", lint="success")
    world.pipeline("success", "merge_request_event", build="success")
    world.ref = f"{branch}/other"
    world.pipeline(build="success")
    found = world.newest(f"{PROJECT}:build", branch)
    assert found is not None
    assert (found.number, found.at) == (wanted.id, wanted.created_at)
    assert len(world.server.requests) == ASKED + 2


def test_a_job_is_looked_for_in_a_bounded_number_of_requests(world: World) -> None:
    """Beyond that there is none: a target with a build on record keeps it, and its configuration is not held."""
    world.pipeline(build="success")
    many = world.pipeline("success")
    many.jobs[:] = [(many.id * 1000 + number, f"lint {number}") for number in range(SUCCESSES)]
    for _ in range(ASKED):
        world.pipeline("failed", build="failed")
    try:
        assert world.newest(f"{PROJECT}:build") is None
        assert len(world.server.requests) == 1 + ASKED + SUCCESSES / 100
    finally:
        many.jobs.clear()


def test_what_is_not_there_or_not_shown_is_one_sentence(world: World) -> None:
    with pytest.raises(ServerUnreachable) as caught:
        world.newest("acme/nothing")
    text = f"{world.server.url}: GET /projects/acme%2Fnothing/pipelines: 404 Project Not Found"
    assert str(caught.value) == text
    assert "GITLAB_TOKEN needs the scope `read_api`" in str(caught.value.hint)
    world.server.faults.append(Fault(("GET", r".*/pipelines"), Answer(403, {"message": "403 Forbidden"})))
    with pytest.raises(ServerUnreachable, match=r"403 Forbidden$"):
        world.newest()
    world.server.faults.append(Fault(("GET", r".*/pipelines"), Answer(401, {"message": "401 Unauthorized"})))
    with pytest.raises(ServerUnreachable, match=r"401 Unauthorized$"):
        world.newest()


def test_a_pipeline_that_says_no_commit_is_passed_over(world: World) -> None:
    listed = [{"id": 9, "source": "push", "sha": None, "created_at": "2026-03-02T12:00:00Z"}]
    listed += [{"id": 8, "source": "push", "sha": world.sha, "created_at": None}]
    listed += [{"id": 7, "source": "push", "sha": world.sha, "created_at": "2026-03-02T13:00:00.123+01:00"}]
    world.server.faults.append(Fault(("GET", r".*/pipelines"), Answer(200, listed)))
    assert world.newest() == Build(7, world.sha, NOW.replace(microsecond=123000))


def test_the_token_is_read_when_the_provider_is_made(world: World) -> None:
    missing = world.builds(token=SecretRef(env="NONE"))
    assert missing == Unreachable("instance gl: the environment variable NONE holds no token")
    assert world.builds(rate_limit="often") == Unreachable(
        "instance gl: rateLimit: 'often' is not a number of requests and a unit, such as 10/s"
    )
    assert isinstance(world.builds(token=None), GitLabBuilds)
