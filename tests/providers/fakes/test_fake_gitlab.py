"""The fake GitLab, spoken to by plain HTTP and git: merge requests, branches and commits."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.fake_gitlab_world import PROJECT, GitLabWorld, gitlab_world

from bot.model.observed import CiStatus, MergeRequest


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GitLabWorld]:
    """A server with a first commit, and a checkout."""
    with gitlab_world(tmp_path) as made:
        yield made


def test_a_push_moves_the_merge_request_and_its_ref(world: GitLabWorld) -> None:
    first = world.commit("change", "two\n")
    world.opens()
    second = world.commit("change", "three\n", start=first)
    assert world.detail()["sha"] == second
    world.git("-C", world.checkout, "fetch", "--quiet", "origin", "refs/merge-requests/1/head")
    assert world.git("-C", world.checkout, "rev-parse", "FETCH_HEAD") == second
    versions = world.ask("GET", f"{PROJECT}/merge_requests/1/versions")
    assert [version["head_commit_sha"] for version in versions] == [second, first]
    assert [(note["system"], note["body"].split("\n")[0]) for note in world.notes()] == [(True, "added 1 commit")]


def test_a_second_open_merge_request_for_a_branch_is_refused(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    world.opens()
    body = {"title": "Again", "source_branch": "change", "target_branch": "main"}
    answer = world.ask("POST", f"{PROJECT}/merge_requests", status=409, json=body)
    assert answer == {"message": ["Another open merge request already exists for this source branch: !1"]}


def test_lists_are_stale_and_the_first_detail_after_a_change_is_checking(world: GitLabWorld) -> None:
    old = world.commit("change", "two\n")
    world.opens()
    assert world.detail()["detailed_merge_status"] == "mergeable"
    new = world.commit("change", "three\n", start=old)
    assert world.listed()[0]["sha"] == old
    first = world.ask("GET", f"{PROJECT}/merge_requests/1")
    assert (first["sha"], first["detailed_merge_status"], first["merge_status"]) == (new, "checking", "checking")
    assert world.listed()[0]["sha"] == old
    assert world.detail()["detailed_merge_status"] == "mergeable"
    assert world.listed()[0]["sha"] == new


def test_lists_catch_up_with_the_clock(world: GitLabWorld) -> None:
    old = world.commit("change", "two\n")
    world.opens()
    world.detail()
    new = world.commit("change", "three\n", start=old)
    world.later(seconds=59)
    assert world.listed()[0]["sha"] == old
    world.later(seconds=2)
    assert world.listed()[0]["sha"] == new


def test_a_conflict_shows_after_the_target_moved(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    world.opens()
    assert world.detail()["has_conflicts"] is False
    world.commit("main", "other\n")
    assert world.listed()[0]["has_conflicts"] is False
    found = world.detail()
    assert (found["has_conflicts"], found["detailed_merge_status"]) == (True, "conflict")
    assert world.listed()[0]["has_conflicts"] is True
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=405, json={"sha": found["sha"]})
    world.server.state.old_merges = True
    refused = world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=422, json={"sha": found["sha"]})
    assert refused == {"message": "Branch cannot be merged"}


def test_merging_is_guarded_by_the_head_and_deletes_the_branch(world: GitLabWorld) -> None:
    head = world.commit("change", "two\n")
    world.opens(remove_source_branch=True)
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=409, json={"sha": "0" * 40})
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge?sha={'0' * 40}", status=409)
    merged = world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", json={"sha": head})
    assert (merged["state"], merged["merged_by"]["username"]) == ("merged", "saasbot")
    branches = world.ask("GET", f"{PROJECT}/repository/branches", params={"search": "^ma"})
    assert [branch["name"] for branch in branches] == ["main"]
    assert branches[0]["commit"]["parent_ids"][1] == head
    assert world.ask("GET", f"{PROJECT}/repository/branches/change", status=404) is not None
    events = world.ask("GET", f"{PROJECT}/merge_requests/1/resource_state_events")
    assert [event["state"] for event in events] == ["merged"]
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=405, json={})


def test_a_push_that_brings_the_head_to_the_target_merges(world: GitLabWorld) -> None:
    head = world.commit("change", "two\n")
    world.opens()
    world.git("-C", world.checkout, "push", "--quiet", "origin", f"{head}:refs/heads/main")
    assert world.detail()["state"] == "merged"


def test_deleting_the_branch_closes_the_merge_request(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    world.opens()
    world.git("-C", world.checkout, "push", "--quiet", world.server.login_url("bob"), ":refs/heads/change")
    assert world.detail()["state"] == "closed"
    world.commit("change", "three\n")
    assert len(world.ask("GET", f"{PROJECT}/merge_requests/1/versions")) == 1
    reopened = world.server.people.reopen_as("bob", 1)
    assert isinstance(reopened, MergeRequest)
    assert len(world.ask("GET", f"{PROJECT}/merge_requests/1/versions")) == 2


def test_drafts_and_closed_ones_are_not_merged(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    assert world.opens(title="Draft: A change")["draft"] is True
    assert world.detail()["detailed_merge_status"] == "draft_status"
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=405, json={})
    world.ask("PUT", f"{PROJECT}/merge_requests/1", json={"title": "A change", "labels": "b,a"})
    closed = world.ask("PUT", f"{PROJECT}/merge_requests/1", json={"state_event": "close"})
    assert (closed["state"], closed["closed_by"]["username"], closed["draft"]) == ("closed", "saasbot", False)
    assert closed["labels"] == ["a", "b"]
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=405, json={})


def test_auto_merge_waits_for_the_pipeline_and_ends_with_a_push(world: GitLabWorld) -> None:
    head = world.commit("change", "two\n")
    world.opens()
    world.detail()
    body = {"auto_merge": True, "sha": head}
    world.server.state.old_merges = True
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=405, json=body)
    world.server.people.set_ci(1, CiStatus.RUNNING)
    assert world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", json=body)["merge_when_pipeline_succeeds"] is True
    head = world.commit("change", "three\n", start=head)
    found = world.detail()
    assert (found["merge_when_pipeline_succeeds"], found["head_pipeline"]["sha"] == head) == (False, False)
    world.server.people.set_ci(1, CiStatus.RUNNING)
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", json={"auto_merge": True})
    world.ask("POST", f"{PROJECT}/merge_requests/1/cancel_merge_when_pipeline_succeeds", status=201)
    world.ask("POST", f"{PROJECT}/merge_requests/1/cancel_merge_when_pipeline_succeeds", status=406)
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", json={"merge_when_pipeline_succeeds": True})
    world.server.people.set_ci(1, CiStatus.SUCCESS)
    assert world.detail()["state"] == "merged"
    assert len(world.ask("GET", f"{PROJECT}/merge_requests/1/pipelines")) == 2


def test_auto_merge_has_nothing_to_wait_for_or_waits_for_an_approval(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    world.opens()
    world.server.main.approvals_required = 1
    url = f"{PROJECT}/merge_requests/1/merge"
    world.ask("PUT", url, status=405, json={})
    assert world.ask("PUT", url, json={"auto_merge": True})["state"] == "opened"
    world.server.people.approve_as("alice", 1)
    assert world.detail()["state"] == "merged"
    world.commit("other", "two\n", path="b.yml")
    world.opens("other")
    world.server.people.approve_as("alice", 2)
    merged = world.ask("PUT", f"{PROJECT}/merge_requests/2/merge", json={"auto_merge": True})
    assert merged["state"] == "merged"


def test_a_branch_is_rebuilt_in_one_call(world: GitLabWorld) -> None:
    base = world.git("-C", world.checkout, "rev-parse", "origin/main")
    content = base64.b64encode(b"two\n").decode()
    action = {"action": "update", "file_path": "a.yml", "content": content, "encoding": "base64"}
    body = {"branch": "saasbot/x", "commit_message": "Two", "start_sha": base, "actions": [action]}
    identity = {"author_name": "bot", "author_email": "bot@localhost"}
    url = f"{PROJECT}/repository/commits"
    made = world.ask("POST", url, status=201, json=body | identity)
    assert (made["parent_ids"], made["author_name"], made["stats"]["total"]) == ([base], "bot", 2)
    assert "already exists" in world.ask("POST", url, status=400, json=body)["message"]
    again = world.ask("POST", url, status=201, json=body | {"force": True})
    branch = world.ask("GET", f"{PROJECT}/repository/branches/saasbot%2Fx")
    assert (branch["commit"]["id"], again["parent_ids"]) == (again["id"], [base])
    action["file_path"] = "missing.yml"
    missing = world.ask("POST", url, status=400, json=body | {"force": True})
    assert missing == {"message": "A file with this name doesn't exist"}
    compared = world.ask("GET", f"{PROJECT}/repository/compare", params={"from": "main", "to": "saasbot/x"})
    assert [diff["new_path"] for diff in compared["diffs"]] == ["a.yml"]
    assert "-one\n+two" in compared["diffs"][0]["diff"]
    world.ask("DELETE", f"{PROJECT}/repository/branches/saasbot%2Fx", status=204)
    world.ask("GET", f"{PROJECT}/repository/branches/saasbot%2Fx", status=404)


def test_git_refuses_protected_branches_and_wrong_tokens(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    world.server.git_login = True
    bob = world.server.login_url("bob")
    with pytest.raises(AssertionError, match=r"protected branch"):
        world.git("-C", world.checkout, "push", "--quiet", bob, "HEAD:refs/heads/main")
    world.git("-C", world.checkout, "push", "--quiet", bob, "HEAD:refs/heads/bob/other")
    world.git("-C", world.checkout, "push", "--quiet", world.server.login_url("alice"), "HEAD:refs/heads/main")
    with pytest.raises(AssertionError, match=r"not allowed|403"):
        world.git("-C", world.checkout, "push", "--quiet", world.server.login_url("guest"), "HEAD:refs/heads/x")
    for address in (world.server.clone_url, world.server.clone_url.replace("://", "://x:wrong@")):
        with pytest.raises(AssertionError, match=r"Authentication failed|could not read"):
            world.git("ls-remote", address)


def test_a_fork_is_fetched_from_the_project(world: GitLabWorld) -> None:
    fork = world.root / "fork.git"
    world.git("clone", "--quiet", "--bare", str(world.server.main.repository.path), str(fork))
    head = world.git("-C", str(fork), "commit-tree", "-p", "main", "-m", "Forked", "main^{tree}")
    world.git("-C", str(fork), "update-ref", "refs/heads/theirs", head)
    opened = world.server.people.open_as("carol", "theirs", "From a fork", fork=fork)
    assert isinstance(opened, MergeRequest)
    assert world.git("ls-remote", world.server.clone_url, "refs/merge-requests/1/head").startswith(head)
    found = world.detail()
    assert found["source_project_id"] != found["target_project_id"]
