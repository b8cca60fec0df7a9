"""Jenkins jobs as upstreams: the newest build that succeeded, with its commit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from worlds.fake_http import Answer, Fault
from worlds.fake_jenkins_model import FREESTYLE, MULTIBRANCH, ORGANIZATION, Job, git, revision
from worlds.fake_jenkins_world import NOW, World, serving

from bot.errors import ServerUnreachable
from bot.model.state import Build

URL = "https://git.example.com/acme/orders"
JOB = "team/orders build"
SHAS = [f"{number:040x}" for number in range(1, 700)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as made:
        yield made


def built(world: World, job: Job, *results: str | None) -> None:
    """Builds of the job, one a minute, each of the commit with its number; None is one that runs."""
    for result in results:
        made = job.build(world.now, scm=[git(SHAS[job.following], URL)])
        world.now += timedelta(minutes=1)
        if result is not None:
            made.end(world.now, result)


@pytest.mark.parametrize(
    ("results", "number"),
    [
        (["SUCCESS"], 1),
        (["SUCCESS", "SUCCESS"], 2),
        (["SUCCESS", "FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT", None], 1),
        ([None, "SUCCESS", "UNSTABLE"], 2),
        (["SUCCESS", *["FAILURE"] * 30], 1),
        (["SUCCESS", *["UNSTABLE"] * 150], 1),
    ],
)
@pytest.mark.parametrize("kind", [FREESTYLE, "org.jenkinsci.plugins.workflow.job.WorkflowJob"])
def test_the_newest_success_counts_in_one_request(
    world: World, kind: str, results: list[str | None], number: int
) -> None:
    job = world.server.add(JOB, kind)
    built(world, job, *results)
    found = world.builds().newest(JOB, "main", URL)
    at = NOW + timedelta(minutes=number - 1)
    url = f"{world.server.url}/job/team/job/orders%20build/{number}/"
    assert found == Build(number, SHAS[number], at, url)
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("results", [[], ["FAILURE", None], ["UNSTABLE"] * 130])
def test_a_job_without_a_success_has_none(world: World, results: list[str | None]) -> None:
    built(world, world.server.add(JOB), *results)
    assert world.builds().newest(JOB, "main", URL) is None
    assert len(world.server.requests) == 1


def test_a_build_that_says_success_before_its_end_is_not_over(world: World) -> None:
    job = world.server.add(JOB)
    built(world, job, "SUCCESS", None)
    job.builds[2].result = "SUCCESS"
    found = world.builds().newest(JOB, "main", URL)
    assert found is not None
    assert found.number == 1


def test_a_job_may_be_given_as_its_address(world: World) -> None:
    built(world, world.server.add(JOB), "SUCCESS")
    for job in (f"{world.server.url}/job/team/job/orders%20build/", "job/team/job/orders%20build"):
        found = world.builds().newest(job, "main", URL)
        assert found is not None
        assert found.number == 1


@pytest.mark.parametrize("others", [19, 25, 150])
def test_builds_of_other_things_are_passed_over(world: World, others: int) -> None:
    """One job that builds every branch, with a shared library, and the pull requests merged."""
    job = world.server.add(JOB)
    built(world, job, "SUCCESS")
    for number in range(others):
        branch = ["origin/feature", "origin/main"][number % 2]
        other = git(SHAS[500], URL, branch=branch, marked="" if branch == "origin/feature" else SHAS[501])
        job.build(world.now, scm=[git(SHAS[502], "https://git.example.com/acme/library"), other]).end(
            world.now, "SUCCESS"
        )
    found = world.builds().newest(JOB, "main", URL)
    assert found is not None
    assert (found.number, found.sha) == (1, SHAS[1])
    assert len(world.server.requests) <= 3


def test_builds_that_all_say_no_commit_are_told_and_not_taken_for_none(world: World) -> None:
    job = world.server.add(JOB)
    job.build(world.now, scm=[git(SHAS[1], "https://git.example.com/acme/scripts")]).end(world.now, "SUCCESS")
    with pytest.raises(ServerUnreachable) as told:
        world.builds().newest(JOB, "main", URL)
    assert told.value.message == (
        f"{world.server.url}: no successful build of {JOB} says which commit of {URL} it built: "
        "#1 checked out git.example.com/acme/scripts"
    )
    assert "git plugin" in told.value.hint


def test_of_a_multibranch_project_the_branch_of_the_target_counts(world: World) -> None:
    project = world.server.add("team/orders", MULTIBRANCH)
    main, feature = project.add(Job("main")), project.add(Job("feature%2Fx"))
    built(world, main, "SUCCESS")
    feature.build(world.now, scm=[revision(SHAS[77])]).end(world.now, "SUCCESS")
    feature.build(world.now, scm=[revision(SHAS[78], pull=True)]).end(world.now, "SUCCESS")
    found = world.builds().newest("team/orders", "feature/x", URL)
    assert found is not None
    assert (found.number, found.sha) == (1, SHAS[77])
    assert world.server.requests[-1].path == "/jenkins/job/team/job/orders/job/feature%252Fx/api/json"
    assert len(world.server.requests) == 2
    again = world.builds().newest("team/orders", "feature/x", URL)
    assert (again, len(world.server.requests)) == (found, 3)
    on_main = world.builds().newest("team/orders/main", "main", URL)
    assert on_main is not None
    assert on_main.sha == SHAS[1]


def test_of_an_organization_the_repository_and_its_branch_count(world: World) -> None:
    project = world.server.add("acme", ORGANIZATION).add(Job("orders", MULTIBRANCH))
    built(world, project.add(Job("main")), "SUCCESS")
    for asked in (3, 4):
        found = world.builds().newest("acme", "main", URL)
        assert found is not None
        assert (found.sha, len(world.server.requests)) == (SHAS[1], asked)


def test_what_was_remembered_of_a_project_is_found_out_again(world: World) -> None:
    project = world.server.add("orders", MULTIBRANCH)
    built(world, project.add(Job("main")), "SUCCESS")
    assert world.builds().newest("orders", "main", URL) is not None
    del world.server.root.jobs["orders"]
    built(world, world.server.add("orders"), "SUCCESS", "SUCCESS")
    found = world.builds().newest("orders", "main", URL)
    assert found is not None
    assert found.number == 2


def test_a_branch_without_a_job_says_so(world: World) -> None:
    world.server.add("orders", MULTIBRANCH)
    with pytest.raises(ServerUnreachable, match="there is no job orders/main, or the environment variable"):
        world.builds().newest("orders", "main", URL)


@pytest.mark.parametrize("permissions", [True, False])
def test_a_job_that_is_not_there_or_hidden_says_what_to_check(world: World, *, permissions: bool) -> None:
    if not permissions:
        built(world, world.server.add(JOB), "SUCCESS")
        world.server.permissions.clear()
    with pytest.raises(ServerUnreachable) as told:
        world.builds().newest(JOB, "main", URL)
    message = f"there is no job {JOB}, or the environment variable JENKINS_TOKEN may not see it (404)"
    assert told.value.message.endswith(f"GET /job/team/job/orders%20build/api/json: {message}")
    assert told.value.hint == "check its name with all its folders, and that the token's user has Job/Read there"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("team", "team is a folder, not a job"),
        ("https://other.example.com/job/x", "names no job there"),
        ("a//b", "names no job there"),
    ],
)
def test_what_is_no_job_is_no_upstream(world: World, job: str, words: str) -> None:
    with pytest.raises(ServerUnreachable, match=re.escape(words)):
        world.builds().newest(job, "main", URL)


def test_a_page_that_cannot_be_read_is_not_the_end_of_the_list(world: World) -> None:
    job = world.server.add(JOB)
    for _ in range(30):
        job.build(world.now).end(world.now, "SUCCESS")
    with world.server.lock:
        world.server.faults.append(Fault(lambda request: "lastStableBuild" not in request.query, Answer(403, b"no")))
    with pytest.raises(ServerUnreachable, match="403 no"):
        world.builds().newest(JOB, "main", URL)


def test_a_cache_with_rubbish_in_it_does_no_harm(world: World) -> None:
    project = world.server.add("orders", MULTIBRANCH)
    built(world, project.add(Job("main")), "SUCCESS")
    world.builds().newest("orders", "main", URL)
    for file in [each for each in (world.folder / "cache").rglob("*") if each.is_file()]:
        file.write_bytes(b"\xff\0 rubbish")
    found = world.builds().newest("orders", "main", URL)
    assert found is not None
    assert found.sha == SHAS[1]
