"""The fake GitHub: workflow runs, conditional requests, rates and faults, and that a wrong request is reported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from worlds.fake_github import primary_limit, secondary_limit
from worlds.fake_github_world import NOW, GitHubWorld
from worlds.fake_http import Answer, Fault
from worlds.git_world import Repository, run_git

from bot.ports import Refused

WORKFLOW = """\
name: deploy
run-name: deploy ${{ inputs.target }} ${{ inputs.key }}
on:
  workflow_dispatch:
    inputs:
      target: {required: true}
      key: {default: none}
jobs:
  build: {runs-on: ubuntu-latest}
  roll-out: {name: roll out, runs-on: ubuntu-latest}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GitHubWorld]:
    made = GitHubWorld(tmp_path)
    with made.server:
        yield made
    assert made.server.violations == []


def deploy_project(world: GitHubWorld) -> Repository:
    deploy = Repository(world.folder / "downstream", "deploy")
    deploy.commit("workflow", {".github/workflows/deploy.yml": WORKFLOW})
    world.server.add_project("acme/deploy", deploy.bare)
    return deploy


def test_workflow_runs_appear_late_unless_asked_for(world: GitHubWorld) -> None:
    deploy = deploy_project(world)
    path = "/repos/acme/deploy/actions"
    body = {"ref": "main", "inputs": {"target": "stage", "key": "k1"}}
    world.post(f"{path}/workflows/deploy.yml/dispatches", body, 204)
    runs = f"{path}/workflows/deploy.yml/runs?event=workflow_dispatch&branch=main&created=>=2026-03-01T12:00:00Z"
    assert [world.get(runs)["total_count"] for _ in range(3)] == [0, 0, 1]
    run = world.get(f"{path}/runs")["workflow_runs"][0]
    assert (run["display_title"], run["head_sha"], run["status"]) == ("deploy stage k1", deploy.head(), "queued")
    assert world.get(runs.replace("12:00:00Z", "13:00:00Z"))["total_count"] == 0
    given = world.post(f"{path}/workflows/{run['workflow_id']}/dispatches", body | {"return_run_details": True}, 200)
    assert world.get(given["run_url"])["id"] == given["workflow_run_id"]
    assert world.get(f"{path}/workflows/deploy.yml")["id"] == run["workflow_id"]
    for wrong in ({"ref": "nowhere"}, {"ref": "main", "inputs": {"bad": "x"}}, {"ref": "main"}):
        world.post(f"{path}/workflows/deploy.yml/dispatches", wrong, 422)
    assert world.api("POST", f"{path}/workflows/none.yml/dispatches", {"ref": "main"}).status_code == 404


def test_workflow_runs_finish_are_cancelled_and_tried_again(world: GitHubWorld) -> None:
    deploy_project(world)
    path = "/repos/acme/deploy/actions"
    body = {"ref": "main", "inputs": {"target": "stage"}, "return_run_details": True}
    ids = [world.post(f"{path}/workflows/deploy.yml/dispatches", body, 200)["workflow_run_id"] for _ in range(2)]
    runs = world.server.runs
    runs.begin(ids[0])
    assert world.get(f"{path}/runs/{ids[0]}")["status"] == "in_progress"
    runs.finish(ids[0], "failure")
    jobs = world.get(f"{path}/runs/{ids[0]}/jobs")["jobs"]
    assert [(job["name"], job["conclusion"]) for job in jobs] == [("build", "success"), ("roll out", "failure")]
    assert world.api("POST", f"{path}/runs/{ids[0]}/rerun-failed-jobs").status_code == 201
    again = world.get(f"{path}/runs/{ids[0]}")
    assert (again["status"], again["conclusion"], again["run_attempt"]) == ("queued", None, 2)
    assert world.api("POST", f"{path}/runs/{ids[1]}/cancel").status_code == 202
    assert world.api("POST", f"{path}/runs/{ids[1]}/cancel").status_code == 409
    assert world.get(f"{path}/runs?status=cancelled")["total_count"] == 1


def test_conditional_requests_and_rates(world: GitHubWorld) -> None:
    first = world.api("GET", "~/pulls")
    left = int(first.headers["X-RateLimit-Remaining"])
    second = world.api("GET", "~/pulls", headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.content) == (304, b"")
    assert int(second.headers["X-RateLimit-Remaining"]) == left
    world.branch("feature", {"a.yml": "a: 3\n"})
    world.opened("feature")
    assert world.api("GET", "~/pulls", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    assert [entry.status for entry in world.server.requests] == [200, 304, 200]


def test_used_up_rate_refuses(world: GitHubWorld) -> None:
    world.server.rate_limit = 1
    assert world.api("GET", "~").status_code == 200
    refused = world.api("GET", "~")
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (403, "0")


def test_faults_of_github(world: GitHubWorld) -> None:
    world.server.faults.append(Fault(("GET", r".*/pulls"), secondary_limit(3)))
    assert world.api("GET", "~/pulls").headers["Retry-After"] == "3"
    world.server.faults.append(Fault(("GET", r".*/pulls"), primary_limit(NOW + timedelta(hours=1))))
    limited = world.api("GET", "~/pulls")
    assert (limited.status_code, limited.headers["X-RateLimit-Remaining"]) == (403, "0")
    world.server.faults.append(Fault(("*", r".*"), Answer(502)))
    assert world.api("GET", "~").status_code == 502
    world.server.faults.append(Fault(("POST", r".*/issues"), "drop after"))
    with pytest.raises(requests.ConnectionError):
        world.api("POST", "~/issues", {"title": "acted on"})
    assert [row["title"] for row in world.get("~/issues")] == ["acted on"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "~/pulls?stat=open", None),
        ("GET", "~/pulls?state=opened", None),
        ("POST", "~/pulls", {"head": "feature"}),
        ("POST", "~/issues", {"title": "x", "descripton": "y"}),
        ("GET", "~/pulls/1/files", None),
        ("GET", "~/pull/1", None),
    ],
)
def test_wrong_request_is_reported(tmp_path: Path, method: str, path: str, body: Any) -> None:
    made = GitHubWorld(tmp_path)
    made.branch("feature", {"a.yml": "a: 3\n"})
    with pytest.raises(AssertionError, match="the contract was broken"), made.server:
        made.api(method, path, body)
    assert len(made.server.violations) >= 1


def test_squash_deletes_the_branch_where_the_repository_says_so(world: GitHubWorld) -> None:
    world.server.config.delete_branch_on_merge = True
    world.server.config.rules.dismiss_stale = True
    world.branch("feature", {"a.yml": "a: 3\n"})
    iid = world.opened("feature").iid
    world.server.people.approve_as("bob", iid)
    world.branch("more", {"a.yml": "a: 4\n"}, "feature")
    run_git(world.config.work, "push", "--quiet", "origin", "more:feature")
    shown = world.server.people.show(iid)
    assert shown is not None
    assert shown.approved_by == ()
    merged = world.post(f"~/pulls/{iid}/merge", {"merge_method": "squash", "commit_title": "All of it"}, 200, "PUT")
    assert run_git(world.config.bare, "log", "--format=%s|%P", "-1", "main") == f"All of it|{world.start}"
    pull = world.get(f"~/pulls/{iid}")
    assert (pull["merged"], pull["merge_commit_sha"], pull["commits"]) == (True, merged["sha"], 2)
    assert {row["name"] for row in world.get("~/branches")} == {"main", "more"}
    assert world.post(f"~/pulls/{iid}/merge", {}, 405, "PUT")["message"] == "Pull Request is not mergeable"
    assert isinstance(world.server.people.reopen_as("bob", iid), Refused), "what is merged stays so"


def test_people_act_while_requests_come_in(world: GitHubWorld) -> None:
    world.branch("feature", {"a.yml": "a: 3\n"})
    iid = world.opened("feature").iid
    with ThreadPoolExecutor(6) as pool:
        written = [pool.submit(world.post, f"~/issues/{iid}/comments", {"body": str(number)}) for number in range(12)]
        said = [pool.submit(world.server.people.comment_as, "bob", iid, str(number)) for number in range(12)]
    assert all(each.exception() is None for each in (*written, *said))
    rows = world.get(f"~/issues/{iid}/comments?per_page=100")
    assert len({row["id"] for row in rows}) == len({row["created_at"] for row in rows}) == 24
    assert rows == sorted(rows, key=lambda row: row["created_at"])


def test_answers_come_fast_with_many_pull_requests(world: GitHubWorld) -> None:
    heads = [f"b{number}" for number in range(120)]
    tree = run_git(world.config.bare, "rev-parse", f"{world.start}^{{tree}}")
    sha = run_git(world.config.bare, "commit-tree", tree, "-p", world.start, "-m", "All the same")
    lines = [f"create refs/heads/{name} {sha}\n" for name in heads]
    run_git(world.config.bare, "update-ref", "--stdin", stdin="".join(lines).encode())
    for name in heads:
        world.opened(name)
    world.api("GET", "~/pulls?per_page=100")
    began = time.monotonic()
    assert len(world.get("~/pulls?per_page=100&page=2")) == 20
    assert time.monotonic() - began < 5
