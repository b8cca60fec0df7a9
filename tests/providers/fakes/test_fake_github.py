"""The fake GitHub against plain requests, PyGithub and git; a broken contract fails at the end of a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from github import Auth, GithubIntegration
from github.GithubException import GithubException
from worlds import planted
from worlds.fake_github import APP, INSTALLATION
from worlds.fake_github_world import TOKEN, GitHubWorld
from worlds.git_world import run_git

from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note
from bot.ports import Refused


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GitHubWorld]:
    made = GitHubWorld(tmp_path)
    with made.server:
        yield made
    assert made.server.violations == []


def test_pull_request_by_pygithub_from_git_data_to_merge(world: GitHubWorld) -> None:
    github = world.github
    assert github.get_user().login == "saasbot"
    repo = github.get_repo("acme/config")
    base = repo.get_git_commit(world.start)
    tree = world.post("~/git/trees", {"base_tree": base.tree.sha, "tree": [
        {"path": "a.yml", "mode": "100644", "type": "blob", "content": "a: 2\n"},
        {"path": "b.yml", "mode": "100644", "type": "blob", "sha": None},
    ]})  # fmt: skip
    who = {"name": "saasbot", "email": "s@x.example", "date": "2026-01-01T00:01:00Z"}
    wanted = {"message": "promote", "tree": tree["sha"], "parents": [world.start], "author": who, "committer": who}
    commit = world.post("~/git/commits", wanted)
    assert commit == world.post("~/git/commits", wanted), "the same commit has the same sha"
    assert repo.create_git_ref("refs/heads/saasbot/one", commit["sha"]).object.sha == commit["sha"]
    assert run_git(world.config.bare, "show", "saasbot/one:a.yml") == "a: 2"
    pull = repo.create_pull(base="main", head="saasbot/one", title="Promote", body="because")
    assert (pull.mergeable_state, pull.user.login) == ("unknown", "saasbot")
    pull.add_to_labels("promotion")
    assert repo.get_pull(pull.number).mergeable is None
    again = repo.get_pull(pull.number)
    assert (again.mergeable, again.mergeable_state) == (True, "clean")
    assert [label.name for label in again.labels] == ["promotion"]
    assert (again.changed_files, again.commits) == (2, 1)
    assert run_git(world.config.bare, "rev-parse", f"refs/pull/{pull.number}/head") == commit["sha"]
    merged = again.merge(sha=commit["sha"])
    assert merged.merged
    assert run_git(world.config.bare, "rev-parse", "main") == merged.sha
    assert run_git(world.config.bare, "rev-parse", f"{merged.sha}^2") == commit["sha"]
    assert repo.get_pull(pull.number).merged
    seen = world.server.people.show(pull.number)
    assert seen is not None
    assert (seen.state, seen.labels, seen.closed_by) == (MergeRequestStatus.MERGED, ("promotion",), "")
    assert world.get("~/activity?ref=main&activity_type=pr_merge")[0]["actor"]["login"] == "saasbot"


def test_refs_move_forward_only_unless_forced(world: GitHubWorld) -> None:
    head = world.branch("feature", {"a.yml": "a: 3\n"})
    world.post("~/git/refs", {"ref": "refs/heads/feature", "sha": head}, 422)
    assert world.get("~/git/ref/heads/feature")["object"]["sha"] == head
    assert world.get("~/git/ref/heads%2Ffeature")["object"]["sha"] == head
    path = "~/git/refs/heads/feature"
    assert "fast forward" in world.post(path, {"sha": world.start}, 422, "PATCH")["message"]
    assert world.post(path, {"sha": world.start, "force": True}, 200, "PATCH")["object"]["sha"] == world.start
    assert world.api("DELETE", "~/git/refs/heads/feature").status_code == 204
    assert world.api("DELETE", "~/git/refs/heads/feature").status_code == 422
    assert world.get("~/git/matching-refs/heads/fea") == []
    kinds = [row["activity_type"] for row in world.get("~/activity?ref=refs/heads/feature")]
    assert kinds == ["branch_deletion", "force_push", "branch_creation"]


def test_conflict_is_told_on_the_second_read_and_refuses_the_merge(world: GitHubWorld) -> None:
    world.branch("feature", {"a.yml": "a: 3\n"})
    pull = world.opened("feature")
    assert world.settled(pull.iid)["mergeable_state"] == "clean"
    world.config.commit("other", {"a.yml": "a: 4\n"})
    first = world.get(f"~/pulls/{pull.iid}")
    assert (first["mergeable"], first["mergeable_state"]) == (None, "unknown")
    second = world.get(f"~/pulls/{pull.iid}")
    assert (second["mergeable"], second["mergeable_state"]) == (False, "dirty")
    assert "mergeable" not in world.get("~/pulls")[0]
    assert world.post(f"~/pulls/{pull.iid}/merge", {}, 405, "PUT")["message"] == "Pull Request is not mergeable"
    refused = world.server.people.merge_as("alice", pull.iid)
    assert isinstance(refused, Refused)
    shown = world.server.people.show(pull.iid)
    assert shown is not None
    assert shown.has_conflicts


def test_head_that_moved_is_a_409(world: GitHubWorld) -> None:
    old = world.branch("feature", {"a.yml": "a: 3\n"})
    pull = world.opened("feature")
    new = world.branch("feature2", {"a.yml": "a: 5\n"}, "feature")
    run_git(world.config.work, "push", "--quiet", "origin", "feature2:feature")
    answer = world.post(f"~/pulls/{pull.iid}/merge", {"sha": old}, 409, "PUT")
    assert answer["message"].startswith("Head branch was modified")
    assert world.get(f"~/pulls/{pull.iid}")["head"]["sha"] == new


def test_states_of_mergeability(world: GitHubWorld) -> None:
    world.branch("feature", {"a.yml": "a: 3\n"})
    people, rules = world.server.people, world.server.config.rules
    iid = world.opened("feature").iid

    def state() -> str:
        return str(world.settled(iid)["mergeable_state"])

    people.set_ci(iid, CiStatus.RUNNING)
    assert state() == "unstable"
    people.set_ci(iid, CiStatus.SUCCESS)
    assert state() == "clean"
    people.set_draft(iid, draft=True)
    assert state() == "draft"
    people.set_draft(iid, draft=False)
    rules.approvals = 1
    assert state() == "blocked"
    assert "approving review" in world.post(f"~/pulls/{iid}/merge", {}, 405, "PUT")["message"]
    assert isinstance(people.approve_as("alice", iid), Refused)
    people.approve_as("bob", iid)
    assert state() == "clean"
    people.request_changes_as("bob", iid)
    assert state() == "blocked"
    people.approve_as("bob", iid)
    world.config.commit("elsewhere", {"c.yml": "c: 1\n"})
    rules.up_to_date = True
    assert state() == "behind"
    states = [row["state"] for row in world.get(f"~/pulls/{iid}/reviews")]
    assert states == ["APPROVED", "CHANGES_REQUESTED", "APPROVED"]
    shown = people.show(iid)
    assert shown is not None
    assert (shown.approved_by, shown.ci) == (("bob",), CiStatus.SUCCESS)


def test_checks_and_statuses(world: GitHubWorld) -> None:
    head = world.branch("feature", {"a.yml": "a: 3\n"})
    people = world.server.people
    iid = world.opened("feature").iid
    assert world.get(f"~/commits/{head}/check-runs") == {"total_count": 0, "check_runs": []}
    assert world.get(f"~/commits/{head}/status")["state"] == "pending"
    people.set_ci(iid, CiStatus.FAILED)
    people.set_ci(iid, CiStatus.SUCCESS)
    runs = world.get("~/commits/feature/check-runs")
    assert [run["conclusion"] for run in runs["check_runs"]] == ["success"]
    assert world.get(f"~/commits/{head}/check-runs?filter=all")["total_count"] == 2
    people.set_status(head, "other", "failure")
    assert world.get(f"~/commits/{head}/status")["state"] == "failure"
    shown = people.show(iid)
    assert shown is not None
    assert shown.ci is CiStatus.FAILED


def test_comments_reactions_and_edits(world: GitHubWorld) -> None:
    head = world.branch("feature", {"a.yml": "a: 3\n"})
    people = world.server.people
    iid = world.opened("feature").iid
    note = people.comment_as("bob", iid, "/saasbot status")
    assert isinstance(note, Note)
    assert (note.author, note.head, note.edited, note.bot) == ("bob", head, False, False)
    mine = world.post(f"~/issues/{iid}/comments", {"body": "report"})
    world.post(f"~/issues/comments/{mine['id']}", {"body": "report 2"}, 200, "PATCH")
    path = f"~/issues/comments/{note.id}/reactions"
    first = world.post(path, {"content": "+1"})
    assert world.post(path, {"content": "+1"}, 200)["id"] == first["id"]
    assert [row["content"] for row in world.get(path)] == ["+1"]
    edited = people.edit_comment_as("bob", iid, note.id, "/saasbot plan", by="alice")
    assert isinstance(edited, Note)
    assert edited == replace(note, body="/saasbot plan", edited=True)
    assert isinstance(people.edit_comment_as("alice", iid, "1", "x"), Refused)
    rows = world.get(f"~/issues/{iid}/comments")
    assert [row["user"]["login"] for row in rows] == ["bob", "saasbot"]
    assert all(row["updated_at"] > row["created_at"] for row in rows)
    assert world.get(f"~/issues/{iid}/comments?since={rows[0]['updated_at']}") == [rows[0]]
    detail = world.get(f"~/pulls/{iid}")
    assert (detail["comments"], detail["updated_at"]) == (2, rows[0]["updated_at"])
    world.post(f"~/issues/{iid}/comments", {"body": " "}, 422)
    assert world.api("PATCH", "~/issues/comments/1", {"body": "x"}).status_code == 404


def test_lists_have_pages_and_filters(world: GitHubWorld) -> None:
    for number in range(5):
        world.branch(f"f{number}", {f"f{number}.yml": "x: 1\n"})
        world.opened(f"f{number}")
    world.server.people.close_as("bob", 2)
    answer = world.api("GET", "~/pulls?state=all&sort=created&direction=asc&per_page=2&page=2")
    assert [row["number"] for row in answer.json()] == [3, 4]
    assert set(answer.links) == {"first", "prev", "next", "last"}
    assert [row["number"] for row in world.get(answer.links["next"]["url"])] == [5]
    assert [row["number"] for row in world.get("~/pulls?head=acme:f3&base=main")] == [4]
    assert [pull.number for pull in world.github.get_repo("acme/config").get_pulls()] == [5, 4, 3, 1]
    assert "closed_by" not in world.get("~/issues?state=closed")[0]
    assert world.get("~/issues/2")["closed_by"]["login"] == "bob"
    assert [mr.iid for mr in world.server.people.list_all()] == [1, 2, 3, 4, 5]


def test_opening_twice_and_nothing_to_merge(world: GitHubWorld) -> None:
    world.branch("feature", {"a.yml": "a: 3\n"})
    body = {"head": "feature", "base": "main", "title": "One"}
    number = world.post("~/pulls", body)["number"]
    errors = world.post("~/pulls", body, 422)["errors"]
    assert errors[0]["message"] == "A pull request already exists for acme:feature."
    same = world.server.people.open_as("bob", "feature", "Two")
    assert isinstance(same, MergeRequest)
    assert same.iid == number
    run_git(world.config.work, "push", "--quiet", "origin", "main:same")
    assert world.post("~/pulls", body | {"head": "same"}, 422)["errors"][0]["message"].startswith("No commits")
    assert isinstance(world.server.people.open_as("bob", "nowhere", "x"), Refused)


def test_closing_reopening_and_a_deleted_branch(world: GitHubWorld) -> None:
    head = world.branch("feature", {"a.yml": "a: 3\n"})
    iid = world.opened("feature").iid
    assert world.post(f"~/pulls/{iid}", {"state": "closed"}, 200, "PATCH")["closed_at"]
    assert world.post(f"~/pulls/{iid}", {"state": "open", "title": "New", "body": "b"}, 200, "PATCH")["title"] == "New"
    assert world.api("DELETE", "~/git/refs/heads/feature").status_code == 204
    shown = world.server.people.show(iid)
    assert shown is not None
    assert (shown.state, shown.closed_by, shown.head_sha) == (MergeRequestStatus.CLOSED, "saasbot", head)
    world.post(f"~/pulls/{iid}", {"state": "open"}, 422, "PATCH")
    assert run_git(world.config.bare, "rev-parse", f"refs/pull/{iid}/head") == head


def test_people_merge_and_a_push_can_merge_too(world: GitHubWorld) -> None:
    world.branch("one", {"a.yml": "a: 3\n"})
    world.branch("two", {"b.yml": "b: 3\n"})
    one, two = world.opened("one"), world.opened("two")
    merged = world.server.people.merge_as("alice", one.iid)
    assert isinstance(merged, MergeRequest)
    assert merged.state is MergeRequestStatus.MERGED
    assert [row["name"] for row in world.get("~/branches")] == ["main", "two"]
    run_git(world.config.work, "fetch", "--quiet", "origin")
    run_git(world.config.work, "reset", "--quiet", "--hard", "origin/main")
    run_git(world.config.work, "merge", "--quiet", "--no-edit", "two")
    world.config.push()
    assert world.get(f"~/pulls/{two.iid}")["merged"] is True


def test_auto_merge_waits_for_its_requirements(world: GitHubWorld) -> None:
    head = world.branch("feature", {"a.yml": "a: 3\n"})
    iid = world.opened("feature").iid
    pull = world.github.get_repo("acme/config").get_pull(iid)
    with pytest.raises(GithubException, match="clean status"):
        pull.enable_automerge()
    world.server.config.rules.checks = True
    pull.enable_automerge(expected_head_oid=head)
    assert world.get(f"~/pulls/{iid}")["auto_merge"]["merge_method"] == "merge"
    pull.disable_automerge()
    assert world.get("~/pulls")[0]["auto_merge"] is None
    with pytest.raises(GithubException, match="Head branch was modified"):
        pull.enable_automerge(expected_head_oid=world.start)
    pull.enable_automerge()
    seen = world.server.people.set_ci(iid, CiStatus.SUCCESS)
    assert isinstance(seen, MergeRequest)
    assert seen.state is MergeRequestStatus.MERGED


def test_other_graphql_is_a_violation(world: GitHubWorld) -> None:
    url = world.server.url.replace("/v3", "/graphql")
    assert "errors" in world.post(url, {"query": "query { viewer { login } }", "variables": {}}, 200)
    assert len(world.server.violations) == 1
    world.server.violations.clear()


def test_dashboard_issue(world: GitHubWorld) -> None:
    issue = world.post("~/issues", {"title": "Dashboard", "body": "one", "labels": ["saasbot"]})
    world.post(f"~/issues/{issue['number']}", {"body": "two"}, 200, "PATCH")
    rows = world.get("~/issues?labels=saasbot&creator=saasbot&state=open")
    assert [(row["number"], row["body"]) for row in rows] == [(issue["number"], "two")]
    note = world.server.people.comment_dashboard_as("alice", "/saasbot status")
    assert isinstance(note, Note)
    assert world.get(f"~/issues/{issue['number']}")["comments"] == 1
    seen = world.server.people.dashboard()
    assert seen is not None
    assert (seen.iid, seen.body, seen.notes) == (issue["number"], "two", (note,))
    assert world.api("GET", f"~/pulls/{issue['number']}").status_code == 404
    world.branch("feature", {"a.yml": "a: 3\n"})
    assert world.opened("feature").iid == issue["number"] + 1, "issues and pull requests share their numbers"


def test_event_of_a_comment(world: GitHubWorld) -> None:
    world.branch("feature", {"a.yml": "a: 3\n"})
    note = world.server.people.comment_as("bob", world.opened("feature").iid, "hello")
    assert isinstance(note, Note)
    event = world.server.event(note.id)
    assert (event["comment"]["body"], event["sender"]["login"], event["action"]) == ("hello", "bob", "created")
    assert event["issue"]["pull_request"]["url"].endswith("/pulls/1")


def test_roles_and_what_a_token_may_not_see(world: GitHubWorld) -> None:
    words = {name: world.get(f"~/collaborators/{name}/permission") for name in ("alice", "bob", "carol", "dora")}
    assert {name: (said["permission"], said["role_name"]) for name, said in words.items()} == {
        "alice": ("admin", "admin"),
        "bob": ("write", "write"),
        "carol": ("read", "triage"),
        "dora": ("read", "read"),
    }
    assert world.api("GET", "~/collaborators/nobody/permission").status_code == 404
    assert world.api("GET", "~", by="wrong").status_code == 401
    world.server.login("eve", "eves")
    world.server.login("dora", "doras")
    assert world.api("GET", "~", by="eves").status_code == 404
    assert world.api("GET", "~", by="doras").json()["permissions"]["push"] is False
    assert world.api("POST", "~/git/blobs", {"content": "x"}, by="doras").status_code == 403
    assert world.api("GET", "/user", by=world.server.actions_token).status_code == 403
    assert world.api("GET", "~", by=world.server.actions_token).status_code == 200
    assert requests.get(f"{world.server.url}/user", timeout=10).status_code == 401


def test_app_signs_in_by_its_key(world: GitHubWorld) -> None:
    auth = Auth.AppAuth(APP, world.server.app_key)
    integration = GithubIntegration(base_url=world.server.url, auth=auth)
    assert integration.get_app().slug == "saasbot"
    found = integration.get_repo_installation("acme", "config")
    assert [each.id for each in integration.get_installations()] == [found.id] == [INSTALLATION]
    repo = found.get_github_for_installation().get_repo("acme/config")
    comment = repo.create_issue("Dashboard", "x").create_comment("hello")
    assert (comment.user.login, comment.user.type) == ("saasbot[bot]", "Bot")
    token = integration.get_access_token(INSTALLATION).token
    assert world.api("GET", "/user", by=token).json()["message"] == "Resource not accessible by integration"
    assert world.api("GET", "/app", by="no.jwt.this").status_code == 401


def test_git_over_http_pushes_as_the_tokens_user(world: GitHubWorld) -> None:
    world.server.login("dora", "doras")
    clone = world.folder / "clone"
    url = world.server.clone_url
    as_bob, as_dora = (url.replace("://", f"://x:{token}@") for token in (TOKEN, "doras"))
    run_git(world.folder, "clone", "--quiet", as_bob, str(clone))
    planted.left(clone / ".git" / "config")
    world.branch("feature", {"a.yml": "a: 3\n"})
    pull = world.opened("feature")
    run_git(clone, "fetch", "--quiet", "origin", f"refs/pull/{pull.iid}/head:taken")
    run_git(clone, "switch", "--quiet", "taken")
    (clone / "a.yml").write_text("a: 9\n")
    run_git(clone, "commit", "--quiet", "--all", "--message=more")
    run_git(clone, "push", "--quiet", "origin", "taken:feature", f"--force-with-lease=feature:{pull.head_sha}")
    head = run_git(clone, "rev-parse", "HEAD")
    shown = world.server.people.show(pull.iid)
    assert shown is not None
    assert shown.head_sha == head
    newest = world.get("~/activity?ref=feature")[0]
    assert (newest["actor"]["login"], newest["before"], newest["after"]) == ("saasbot", pull.head_sha, head)
    for address, said in ((as_dora, "403"), (url, "could not read Username")):
        with pytest.raises(AssertionError, match=said):
            run_git(clone, "push", "--quiet", address, "taken:other", env={"GIT_TERMINAL_PROMPT": "0"})


def test_pull_request_from_a_fork(world: GitHubWorld) -> None:
    fork = world.server.fork("eve", world.folder / "fork.git")
    world.branch("theirs", {"a.yml": "a: 7\n"})
    run_git(world.config.work, "push", "--quiet", str(fork.repository.path), "theirs")
    run_git(world.config.work, "push", "--quiet", "--delete", "origin", "theirs")
    pull = world.opened("eve:theirs", "eve")
    detail = world.settled(pull.iid)
    assert (detail["head"]["label"], detail["mergeable_state"]) == ("eve:theirs", "clean")
    assert detail["head"]["repo"]["full_name"] == "eve/config"
    assert run_git(world.config.bare, "rev-parse", f"refs/pull/{pull.iid}/head") == pull.head_sha
    assert (detail["author_association"], pull.source_branch) == ("NONE", "eve:theirs")


def test_compare_and_branches(world: GitHubWorld) -> None:
    head = world.branch("saasbot/x", {"a.yml": "a: 3\n", "new.yml": "n: 1\n"})
    world.config.commit("main goes on", {"b.yml": "b: 2\n"})
    compared = world.get("~/compare/main...saasbot/x")
    assert (compared["status"], compared["ahead_by"], compared["behind_by"]) == ("diverged", 1, 1)
    assert compared["merge_base_commit"]["sha"] == world.start
    files = [(row["filename"], row["status"], row["additions"], row["deletions"]) for row in compared["files"]]
    assert files == [("a.yml", "modified", 1, 1), ("new.yml", "added", 1, 0)]
    assert world.get("~/branches/saasbot/x")["commit"]["sha"] == head
    assert world.api("GET", "~/branches/nowhere").status_code == 404
