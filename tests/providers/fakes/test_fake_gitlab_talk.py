"""The fake GitLab, spoken to by plain HTTP: comments, issues, roles, pipelines, and people."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.fake_gitlab_quick import split
from worlds.fake_gitlab_world import PROJECT, START, GitLabWorld, gitlab_world

from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note
from bot.ports import Refused


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GitLabWorld]:
    """A server with a first commit, and a checkout."""
    with gitlab_world(tmp_path) as made:
        yield made


def test_quick_actions_are_carried_out_and_not_kept(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    world.opens()
    url = f"{PROJECT}/merge_requests/1/notes"
    answer = world.ask("POST", url, status=202, json={"body": "/close"})
    assert answer["commands_changes"] == {"close": ""}
    assert world.detail()["state"] == "closed"
    kept = world.ask(
        "POST", url, status=201, json={"body": "done\n/label ~bug\n/saasbot help\n`/merge`\n```\n/close\n```"}
    )
    assert kept["body"] == "done\n/saasbot help\n`/merge`\n```\n/close\n```"
    assert [(action.user, action.name) for action in world.server.quick_actions] == [
        ("saasbot", "close"),
        ("saasbot", "label"),
    ]
    assert world.detail()["labels"] == ["bug"]


def test_quick_actions_hide_in_descriptions_and_edits_too(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    assert world.opens(description="why\n/label ~a")["labels"] == ["a"]
    url = f"{PROJECT}/merge_requests/1/notes"
    note = world.ask("POST", url, status=201, json={"body": "text"})
    world.ask("PUT", f"{url}/{note['id']}", json={"body": "text\n/close"})
    found = world.detail()
    assert (found["state"], found["description"]) == ("closed", "why")
    assert [action.name for action in world.server.quick_actions] == ["label", "close"]


@pytest.mark.parametrize("text", ["/saasbot retry", " /merge", "see /merge", "/merged", ">>>\n/merge\n>>>", "    x"])
def test_what_is_no_quick_action_is_kept(text: str) -> None:
    assert split(text) == (text, [])


def test_notes_move_the_count_at_once_and_the_time_once_a_minute(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    opened = world.opens()
    world.later(minutes=5)
    note = world.server.people.comment_as("bob", 1, "first")
    assert isinstance(note, Note)
    first = world.listed()[0]
    assert (first["user_notes_count"], first["updated_at"] > opened["updated_at"]) == (1, True)
    world.later(seconds=30)
    world.server.people.comment_as("bob", 1, "second")
    world.server.people.approve_as("alice", 1)
    second = world.listed()[0]
    assert (second["user_notes_count"], second["updated_at"]) == (2, first["updated_at"])
    approvals = world.ask("GET", f"{PROJECT}/merge_requests/1/approvals")
    assert [entry["user"]["username"] for entry in approvals["approved_by"]] == ["alice"]
    world.server.people.edit_comment_as("bob", 1, note.id, "changed")
    shown = world.ask("GET", f"{PROJECT}/merge_requests/1/notes/{note.id}")
    assert (shown["body"], shown["updated_at"] > shown["created_at"]) == ("changed", True)


def test_emoji_are_given_once(world: GitLabWorld) -> None:
    world.commit("change", "two\n")
    world.opens()
    note = world.server.people.comment_as("bob", 1, "look")
    assert isinstance(note, Note)
    url = f"{PROJECT}/merge_requests/1/notes/{note.id}/award_emoji"
    award = world.ask("POST", url, status=201, json={"name": "thumbsup"})
    assert "already been taken" in world.ask("POST", url, status=404, json={"name": "thumbsup"})["message"]
    assert [entry["name"] for entry in world.ask("GET", url)] == ["thumbsup"]
    world.ask("DELETE", f"{url}/{award['id']}", status=204)
    assert world.ask("GET", url) == []


def test_issues_hold_a_dashboard(world: GitLabWorld) -> None:
    made = world.ask("POST", f"{PROJECT}/issues", status=201, json={"title": "Line", "description": "all well"})
    world.server.people.comment_dashboard_as("bob", "/saasbot status")
    notes = world.ask("GET", f"{PROJECT}/issues/{made['iid']}/notes")
    assert [note["body"] for note in notes] == ["/saasbot status"]
    world.ask("PUT", f"{PROJECT}/issues/{made['iid']}", json={"description": "changed"})
    params = {"state": "opened", "author_username": "saasbot", "search": "Line", "in": "title"}
    found = world.ask("GET", f"{PROJECT}/issues", params=params)
    assert [(issue["description"], issue["user_notes_count"]) for issue in found] == [("changed", 1)]
    award = f"{PROJECT}/issues/1/notes/{notes[0]['id']}/award_emoji"
    world.ask("POST", award, status=201, json={"name": "eyes"})
    dashboard = world.server.people.dashboard()
    assert dashboard is not None
    assert (dashboard.iid, dashboard.body, len(dashboard.notes)) == (1, "changed", 1)


def test_pipelines_run_downstream(world: GitLabWorld) -> None:
    project = world.server.add_project("acme/deploy", world.root / "deploy.git")
    project.repository.update({"refs/heads/main": (_first_commit(world, project.repository.path), None)})
    variables = [{"key": "SAASBOT_RUN_KEY", "value": "k1"}]
    url = "projects/acme%2Fdeploy"
    made = world.ask("POST", f"{url}/pipeline", status=201, json={"ref": "main", "variables": variables})
    assert (made["status"], made["source"], made["user"]["username"]) == ("pending", "api", "saasbot")
    read = world.ask("GET", f"{url}/pipelines/{made['id']}/variables")
    assert [(entry["key"], entry["value"]) for entry in read] == [("SAASBOT_RUN_KEY", "k1")]
    world.server.pipelines.finish(made["id"], "failed")
    shown = world.ask("GET", f"{url}/pipelines/{made['id']}")
    assert (shown["status"], shown["finished_at"] is None) == ("failed", False)
    assert world.ask("POST", f"{url}/pipelines/{made['id']}/retry", status=201)["status"] == "running"
    assert world.ask("POST", f"{url}/pipelines/{made['id']}/cancel", status=201)["status"] == "canceled"
    assert len(world.ask("GET", f"{url}/pipelines/{made['id']}/jobs")) == 2
    missing = world.ask("POST", f"{url}/pipeline", status=400, json={"ref": "gone"})
    assert missing == {"message": {"base": ["Reference not found"]}}
    world.server.add_trigger("acme/deploy", "trigger-token")
    form = {"token": "trigger-token", "ref": "main", "variables[SAASBOT_RUN_KEY]": "k2"}
    second = world.ask("POST", f"{url}/trigger/pipeline", status=201, data=form)
    world.ask("POST", f"{url}/trigger/pipeline", status=404, json={"token": "wrong", "ref": "main"})
    params = {"ref": "main", "source": "trigger", "updated_after": START.isoformat(), "username": "saasbot"}
    assert [entry["id"] for entry in world.ask("GET", f"{url}/pipelines", params=params)] == [second["id"]]


def _first_commit(world: GitLabWorld, repository: Path) -> str:
    tree = world.git("-C", str(repository), "hash-object", "-w", "-t", "tree", os.devnull)
    return world.git("-C", str(repository), "commit-tree", "-m", "First", tree)


def test_roles_and_tokens(world: GitLabWorld) -> None:
    members = world.ask("GET", f"{PROJECT}/members/all", params={"query": "bo"})
    assert [(member["username"], member["access_level"]) for member in members] == [("saasbot", 40), ("bob", 30)]
    assert world.ask("GET", "user")["username"] == "saasbot"
    assert world.ask("GET", PROJECT)["default_branch"] == "main"
    assert [user["id"] for user in world.ask("GET", "users", params={"username": "bob"})] == [
        world.server.user("bob").id
    ]
    world.server.add_freeze("0 23 * * 5", "0 7 * * 1", "Europe/Prague")
    periods = world.ask("GET", f"{PROJECT}/freeze_periods")
    assert [period["freeze_start"] for period in periods] == ["0 23 * * 5"]
    world.commit("change", "two\n")
    head = world.opens()["sha"]
    world.session.headers["PRIVATE-TOKEN"] = world.server.user("bob").token
    world.ask("PUT", f"{PROJECT}/merge_requests/1/merge", status=401, json={"sha": head})
    actions = [{"action": "delete", "file_path": "a.yml"}]
    body = {"branch": "main", "commit_message": "No", "actions": actions}
    world.ask("POST", f"{PROJECT}/repository/commits", status=403, json=body)
    world.session.headers["PRIVATE-TOKEN"] = world.server.user("stranger").token
    world.ask("GET", f"{PROJECT}/merge_requests/1", status=404)
    world.session.headers["PRIVATE-TOKEN"] = "wrong"
    world.ask("GET", "user", status=401)


def test_people_see_the_truth(world: GitLabWorld) -> None:
    people, head = world.server.people, world.commit("bob/change", "two\n")
    opened = people.open_as("bob", "bob/change", "A change", draft=True)
    assert isinstance(opened, MergeRequest)
    assert (opened.iid, opened.draft, opened.head_sha, opened.author) == (1, True, head, "bob")
    assert isinstance(people.open_as("bob", "nowhere", "A change"), Refused)
    people.set_draft(1, draft=False)
    people.set_ci(1, CiStatus.FAILED)
    people.approve_as("alice", 1)
    world.commit("main", "other\n")
    found = people.show(1)
    assert found is not None
    assert (found.title, found.has_conflicts, found.ci, found.approved_by) == (
        "A change",
        True,
        CiStatus.FAILED,
        ("alice",),
    )
    assert isinstance(people.merge_as("alice", 1), Refused)
    closed = people.close_as("alice", 1)
    assert isinstance(closed, MergeRequest)
    assert (closed.state, closed.closed_by) == (MergeRequestStatus.CLOSED, "alice")
    shown = world.detail()
    assert (shown["state"], shown["closed_by"]["username"], shown["draft"]) == ("closed", "alice", False)
    assert shown["head_pipeline"]["status"] == "failed"
    assert people.list_all() == (closed,)
