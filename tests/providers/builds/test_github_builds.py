"""Workflow runs of GitHub as upstreams: which one counts, what it costs, and what is said where none can be seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from worlds import planted
from worlds.fake_github import FakeGitHub
from worlds.fake_github_model import Project, WorkflowRun
from worlds.fake_http import Answer, Fault
from worlds.git_world import Repository, run_git

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance, SecretRef
from bot.model.state import Build
from bot.providers.cache import FolderCache
from bot.providers.sources.github_builds import OF_A_PULL_REQUEST, PAGE, PAGES, GitHubBuilds, github_builds

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOKEN = planted.token("bot")
JOB = "acme/service/build.yml"
URL = "https://github.com/acme/service"
RUNS = "/api/v3/repos/acme/service/actions/workflows/build.yml/runs"
FILES = {
    ".github/workflows/build.yml": "name: build image\non: push\njobs: {build: {}}\n",
    ".github/workflows/one.yml": "name: twice\non: push\njobs: {build: {}}\n",
    ".github/workflows/two.yml": "name: twice\non: push\njobs: {build: {}}\n",
}


class World:
    """A GitHub with a repository, a fork of it, and a branch of its own in each test."""

    def __init__(self, folder: Path, server: FakeGitHub, service: Project, fork: Project) -> None:
        self.folder = folder
        self.server = server
        self.service = service
        self.fork = fork
        self.ref = ""
        self.numbers = count()

    @property
    def sha(self) -> str:
        return self.service.repository.resolve(self.ref)

    def builds(self, **more: Any) -> GitHubBuilds | Unreachable:
        token = SecretRef(env="GITHUB_TOKEN")
        instance = Instance("gh", "github", **{"url": self.server.url, "token": token, "rate_limit": "1000/s", **more})
        return github_builds(instance, {"GITHUB_TOKEN": TOKEN}, self.folder, FolderCache(self.folder / "cache"))

    def newest(self, job: str = JOB, ref: str = "") -> Build | None:
        found = self.builds()
        assert isinstance(found, GitHubBuilds), found
        return found.newest(job, ref or self.ref, URL)

    def run(
        self, conclusion: str = "success", event: str = "push", head: Project | None = None, file: str = "build.yml"
    ) -> WorkflowRun:
        """A run of a workflow that ended; without a conclusion it goes on."""
        made = self.server.triggered(self.service, file, self.ref, event, head)
        if conclusion:
            self.server.runs.finish(made.id, conclusion)
        return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("github")
    config, service = Repository(folder, "config"), Repository(folder, "service")
    config.commit()
    service.commit(files=FILES)
    run_git(folder, "clone", "--quiet", "--bare", str(service.bare), "fork.git")
    with FakeGitHub(config.bare, now=lambda: NOW, members={"alice": "admin"}, token=TOKEN) as server:
        ours = server.add_project("acme/service", service.bare)
        theirs = server.add_project("mallory/service", folder / "fork.git")
        yield World(folder, server, ours, theirs)


@pytest.fixture
def world(served: World) -> World:
    served.ref = f"branch/{next(served.numbers)}"
    for project in (served.service, served.fork):
        run_git(project.repository.path, "branch", served.ref, "main")
    served.server.requests.clear()
    return served


def test_the_newest_that_succeeded_and_a_newer_failure_hides_nothing(world: World) -> None:
    assert world.newest() is None
    world.run()
    wanted = world.run()
    for conclusion in ("failure", "cancelled", "skipped", "timed_out", ""):
        world.run(conclusion)
    world.run(file="one.yml")
    url = f"{world.server.url.removesuffix('/api/v3')}/acme/service/actions/runs/{wanted.id}"
    assert world.newest() == Build(wanted.id, world.sha, wanted.created_at, url)
    assert world.newest(ref=f"refs/heads/{world.ref}") == world.newest()


def test_a_tag_has_runs_too(world: World) -> None:
    run_git(world.service.repository.path, "tag", "v1.0", "main")
    world.ref = "v1.0"
    wanted = world.run()
    assert [found.number for ref in ("v1.0", "refs/tags/v1.0") if (found := world.newest(ref=ref))] == [wanted.id] * 2


def test_runs_of_pull_requests_and_forks_do_not_count(world: World) -> None:
    """A fork's branch may be called as ours is."""
    wanted = world.run(event="workflow_dispatch")
    for event in OF_A_PULL_REQUEST:
        world.run(event=event)
        world.run(event=event, head=world.fork)
    world.run(head=world.fork)
    world.run()
    world.server.runs.all[max(world.server.runs.all)].project = world.fork  # it is of another repository altogether
    found = world.newest()
    assert found is not None
    assert found.number == wanted.id


def test_a_run_again_stays_the_build_that_it_was(world: World) -> None:
    """And the older one counts while it goes on, which is no newer build."""
    older, newer = world.run(), world.run()
    first = world.newest()
    world.server.runs.again(newer.id)
    during = world.newest()
    world.server.runs.finish(newer.id)
    assert first is not None
    assert during is not None
    assert (during.number, first.number) == (older.id, newer.id)
    assert world.newest() == first


def test_one_request_and_the_next_time_nothing_is_sent_again(world: World) -> None:
    for _ in range(PAGE + 1):
        world.run()
    assert world.newest() == world.newest()
    assert [(each.path, each.status) for each in world.server.requests] == [(RUNS, 200), (RUNS, 304)]


def test_a_build_behind_too_many_others_is_not_called_missing(world: World) -> None:
    world.run()
    for _ in range(PAGE * PAGES):
        world.run(event="pull_request", head=world.fork)
    with pytest.raises(ServerUnreachable, match=rf"the newest {PAGE * PAGES} successful runs for {world.ref} are of"):
        world.newest()
    assert len(world.server.requests) == PAGES


def test_a_workflow_by_file_path_number_or_name(world: World) -> None:
    wanted = world.run()
    for word in (".github/workflows/build.yml", str(wanted.workflow), "build image"):
        found = world.newest(f"acme/service/{word}")
        assert found is not None
        assert found.number == wanted.id
    assert len(world.server.requests) == 4


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ("acme/service/twice", "GET /repos/acme/service/actions/workflows: 2 workflows are called twice"),
        ("acme/service/none", "GET /repos/acme/service/actions/workflows: no workflows are called none"),
        ("acme/service/no.yml", "GET /repos/acme/service/actions/workflows/no.yml/runs: 404 Not Found"),
        ("acme/nothing/a.yml", "GET /repos/acme/nothing/actions/workflows/a.yml/runs: 404 Not Found"),
        ("acme/service", "acme/service names no workflow"),
        ("acme//a.yml", "acme//a.yml names no workflow"),
    ],
)
def test_what_is_not_there_or_not_shown_is_one_sentence(world: World, job: str, text: str) -> None:
    with pytest.raises(ServerUnreachable) as caught:
        world.newest(job)
    assert str(caught.value).endswith(f": {text}")
    assert caught.value.hint


def test_a_missing_right_and_a_wrong_token_are_one_sentence(world: World) -> None:
    no = Answer(403, {"message": "Resource not accessible by personal access token"})
    world.server.faults.append(Fault(("GET", RUNS), no))
    with pytest.raises(ServerUnreachable, match=r"403 Resource not accessible by personal access token$") as caught:
        world.newest()
    assert "actions: read" in str(caught.value.hint)
    world.server.faults.append(Fault(("GET", RUNS), Answer(401, {"message": "Bad credentials"})))
    with pytest.raises(ServerUnreachable, match="401 Bad credentials"):
        world.newest()


def test_a_run_that_says_no_commit_is_passed_over(world: World) -> None:
    whole = {
        "event": "push",
        "repository": {"id": 1},
        "head_repository": {"id": 1},
        "created_at": "2026-03-02T12:00:00Z",
    }
    runs: list[dict[str, Any]] = [
        {"id": 9, "head_sha": "", **whole},
        {"id": 8, "head_sha": world.sha, **whole, "created_at": None},
        {"id": 7, "head_sha": world.sha, **whole, "head_repository": None},
        {"id": 6, "head_sha": world.sha, **whole},
    ]
    world.server.faults.append(Fault(("GET", RUNS), Answer(200, {"total_count": 4, "workflow_runs": runs})))
    assert world.newest() == Build(6, world.sha, NOW)


def test_the_token_is_read_when_the_provider_is_made(world: World) -> None:
    missing = world.builds(token=SecretRef(env="NONE"))
    assert missing == Unreachable("instance gh: the environment variable NONE holds no token")
    assert world.builds(rate_limit="often") == Unreachable(
        "instance gh: rateLimit: 'often' is not a number of requests and a unit, such as 10/s"
    )
    assert isinstance(world.builds(token=None), GitHubBuilds)
