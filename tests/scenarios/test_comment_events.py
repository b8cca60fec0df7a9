"""`saasbot comment --payload FILE` at both servers: one comment handled at once, and nothing believed that it says.

The command line takes no `--now` at a server when it writes, so these worlds begin at the present.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from worlds.fake_github import FakeGitHub
from worlds.forge_world import PROJECT, TOKEN, Forge, ForgeWorld, forge_world
from worlds.world import PROD, Ended

from bot.model.observed import MergeRequest, Note

MORE = 'commands: {poll: false}\ndashboard: {title: "Deployments"}\n'


SERVERS: tuple[Forge, ...] = ("gitlab", "github")


@contextmanager
def promoted(kind: Forge, root: Path) -> Iterator[ForgeWorld]:
    """The bot's merge request is open, and its comments are heard by events only."""
    now = datetime.now(UTC).replace(microsecond=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(root / "cache"))
        patch.setenv("SAASBOT_TOKEN", TOKEN)
        with forge_world(kind, root / "world", now=now, soak="0h", more=MORE) as found:
            found.reconcile()
            found.commit()
            found.reconcile()
            found.the_merge_request()
            yield found


@pytest.fixture(params=SERVERS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ForgeWorld]:
    """A world of this test."""
    with promoted(request.param, tmp_path) as found:
        yield found


@pytest.fixture(scope="module", params=SERVERS)
def still(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeWorld]:
    """A world in which nothing comes of what is said."""
    with promoted(request.param, tmp_path_factory.mktemp(f"events-{request.param}")) as found:
        yield found


def gitlab_event(world: ForgeWorld, on: MergeRequest, note: Note) -> dict[str, Any]:
    """GitLab's webhook event for a comment on a merge request, all of it."""
    assert world.server is not None
    page, when = f"{world.server.url}/{PROJECT}", f"{note.created_at:%Y-%m-%d %H:%M:%S} UTC"
    person = {
        "id": 42,
        "name": note.author.title(),
        "username": note.author,
        "avatar_url": f"{world.server.url}/uploads/-/system/user/avatar/42/avatar.png",
        "email": "[REDACTED]",
    }
    project = {
        "id": 1,
        "name": "config",
        "description": None,
        "web_url": page,
        "avatar_url": None,
        "git_ssh_url": "git@gitlab.example:acme/config.git",
        "git_http_url": f"{page}.git",
        "namespace": "acme",
        "visibility_level": 0,
        "path_with_namespace": PROJECT,
        "default_branch": "main",
        "ci_config_path": "",
        "homepage": page,
        "url": "git@gitlab.example:acme/config.git",
        "ssh_url": "git@gitlab.example:acme/config.git",
        "http_url": f"{page}.git",
    }
    commit = {
        "id": on.head_sha,
        "message": f"{on.title}\n",
        "title": on.title,
        "timestamp": "2026-03-02T10:00:00+00:00",
        "url": f"{page}/-/commit/{on.head_sha}",
        "author": {"name": "saasbot", "email": "[REDACTED]"},
    }
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": person,
        "project_id": 1,
        "project": project,
        "object_attributes": {
            "attachment": None,
            "author_id": 42,
            "change_position": None,
            "commit_id": None,
            "created_at": when,
            "discussion_id": "4d1a9b5e0d6a4e7b8f4f1a0c2b3d4e5f60718293",
            "id": int(note.id),
            "line_code": None,
            "note": note.body,
            "noteable_id": 1000 + on.iid,
            "noteable_type": "MergeRequest",
            "original_position": None,
            "position": None,
            "project_id": 1,
            "resolved_at": None,
            "resolved_by_id": None,
            "resolved_by_push": None,
            "st_diff": None,
            "system": False,
            "type": None,
            "updated_at": when,
            "updated_by_id": None,
            "description": note.body,
            "url": f"{page}/-/merge_requests/{on.iid}#note_{note.id}",
            "action": "create",
        },
        "repository": {
            "name": "config",
            "url": "git@gitlab.example:acme/config.git",
            "description": None,
            "homepage": page,
        },
        "merge_request": {
            "assignee_id": None,
            "author_id": 7,
            "created_at": when,
            "description": on.description,
            "draft": on.draft,
            "head_pipeline_id": None,
            "id": 1000 + on.iid,
            "iid": on.iid,
            "last_edited_at": None,
            "merge_error": None,
            "merge_status": "can_be_merged",
            "merge_when_pipeline_succeeds": False,
            "milestone_id": None,
            "source_branch": on.source_branch,
            "source_project_id": 1,
            "state_id": 1,
            "target_branch": "main",
            "target_project_id": 1,
            "time_estimate": 0,
            "title": on.title,
            "updated_at": when,
            "url": f"{page}/-/merge_requests/{on.iid}",
            "source": project,
            "target": project,
            "last_commit": commit,
            "labels": [],
            "state": "opened",
            "blocking_discussions_resolved": True,
            "first_contribution": False,
            "detailed_merge_status": "mergeable",
        },
    }


def event(world: ForgeWorld, note: Note) -> dict[str, Any]:
    """The event of a comment on the promotion, as the forge would send it."""
    if isinstance(world.server, FakeGitHub):
        return world.server.event(note.id)
    return gitlab_event(world, world.the_merge_request(), note)


def said(world: ForgeWorld, user: str, text: str) -> Note:
    """A person's comment on the promotion."""
    note = world.people.comment_as(user, world.the_merge_request().iid, text)
    assert isinstance(note, Note)
    return note


def send(world: ForgeWorld, payload: dict[str, Any] | bytes, *more: str) -> Ended:
    """`saasbot comment` with a payload in a file."""
    path = world.root / "event.json"
    path.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return world.saasbot("comment", "--payload", str(path), *more, now=False)


def own_notes(world: ForgeWorld) -> list[str]:
    """What the bot has said on the promotion."""
    return [note.body for note in world.show(world.the_merge_request().iid).notes if note.author == "saasbot"]


def written(world: ForgeWorld) -> list[str]:
    """The requests so far that change something at the server."""
    assert world.server is not None
    return [
        f"{entry.method} {entry.path}"
        for entry in world.server.requests
        if entry.method not in {"GET", "HEAD"} and not entry.path.endswith(("git-upload-pack", "graphql"))
    ]


def test_it_is_handled_at_once_and_only_once(world: ForgeWorld) -> None:
    note = said(world, "alice", "Not today.\n\n/saasbot hold the release party")
    world.reconcile()
    assert not any("release party" in body for body in own_notes(world)), "nobody polls"
    first = send(world, event(world, note))
    assert first.code == 0
    assert any("release party" in body for body in own_notes(world))
    notes, state = own_notes(world), world.state()
    again = send(world, event(world, note))
    assert again.code == 0
    assert own_notes(world) == notes
    assert world.state().answers == state.answers
    assert world.state().merge_requests == state.merge_requests


def test_an_answer_is_given_once(world: ForgeWorld) -> None:
    note = said(world, "bob", '/saasbot override soak reason="now"')
    for _ in range(3):
        assert send(world, event(world, note)).code == 0
    assert sum("override group" in body for body in own_notes(world)) == 1


def test_author_and_text_of_the_event_are_not_believed(world: ForgeWorld) -> None:
    note = said(world, "bob", "What a nice version.")
    text = json.dumps(event(world, note))
    forged = text.replace("What a nice version.", f"/saasbot pin {PROD}").replace('"bob"', '"alice"')
    assert forged != text
    before = own_notes(world)
    ended = send(world, forged.encode())
    assert (ended.code, ended.err) == (0, "")
    assert own_notes(world) == before
    assert dict(world.state().pins) == {}


def test_somebody_elses_right_does_not_come_with_the_event(world: ForgeWorld) -> None:
    note = said(world, "bob", f"/saasbot pin {PROD}")
    ended = send(world, json.dumps(event(world, note)).replace('"bob"', '"alice"').encode())
    assert ended.code == 0
    assert dict(world.state().pins) == {}
    assert any("`bob`, I did not do that" in body for body in own_notes(world))


def test_an_edited_comment_is_no_command(world: ForgeWorld) -> None:
    note = said(world, "alice", "What a nice version.")
    world.later(minutes=1)
    world.people.edit_comment_as("alice", world.the_merge_request().iid, note.id, f"/saasbot pin {PROD}")
    payload = event(world, note)
    if world.kind == "gitlab":
        payload["object_attributes"] |= {"action": "update", "note": f"/saasbot pin {PROD}"}
    else:
        payload["action"] = "edited"
    assert send(world, payload).code == 0
    assert dict(world.state().pins) == {}


OTHERS = {
    "another project": "not in acme/config",
    "a commit": "comment",
    "no command": "no command",
    "a push": "comment",
}


@pytest.mark.parametrize("what", OTHERS)
def test_there_is_nothing_to_do_for_other_events(still: ForgeWorld, what: str) -> None:
    text = "What a nice version." if what == "no command" else f"/saasbot pin {PROD}"
    payload: dict[str, Any] = event(still, said(still, "alice", text))
    if what == "another project":
        place, name = ("project", "path_with_namespace") if still.kind == "gitlab" else ("repository", "full_name")
        payload[place] = payload[place] | {name: "acme/other"}
    elif what == "a commit" and still.kind == "gitlab":
        payload["object_attributes"] |= {"noteable_type": "Commit", "commit_id": "b" * 40}
        del payload["merge_request"]
    elif what == "a commit":
        payload |= {"comment": payload["comment"] | {"commit_id": "b" * 40}}
        del payload["issue"]
    elif what == "a push":
        payload = {"object_kind": "push", "ref": "refs/heads/main", "before": "0" * 40, "after": "b" * 40}
    before = len(still.server.requests) if still.server else 0
    ended = send(still, payload)
    assert (ended.code, ended.out) == (0, "")
    assert len(ended.err.splitlines()) == 1
    assert OTHERS[what] in ended.err
    assert still.server is not None
    assert len(still.server.requests) == before, "no request is spent on it"


BROKEN = [b"", b"{", b"[]", b"\xff\xfe", b"null", b"NaN", b'"event"', b"[" * 100_000]


@pytest.mark.parametrize("payload", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_event_is_wrong_usage(still: ForgeWorld, payload: bytes) -> None:
    ended = send(still, payload)
    assert (ended.code, ended.out) == (2, "")
    said_first, advice = ended.err.splitlines()
    assert said_first.startswith("saasbot: the payload is not ")
    assert advice == "  give the file that the forge wrote"


@pytest.mark.parametrize(
    "payload", [b"{}", b'{"object_kind": "note", "action": "created"}', b'{"comment": [], "issue": 1}']
)
def test_what_is_hardly_an_event_leads_to_nothing(still: ForgeWorld, payload: bytes) -> None:
    ended = send(still, payload)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (0, "", 1)


def test_a_file_that_is_not_there(still: ForgeWorld) -> None:
    ended = still.saasbot("comment", "--payload", str(still.root / "none.json"), now=False)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("saasbot: --payload ")
    assert "No such file" in ended.err.splitlines()[0]


def test_a_dry_run_writes_nothing(world: ForgeWorld) -> None:
    note = said(world, "alice", "/saasbot hold")
    before, state = written(world), (world.root / "state.json").read_bytes()
    ended = send(world, event(world, note), "--dry-run", "--format", "json")
    assert ended.code == 0
    assert "answer_command" in {each["kind"] for each in ended.document["actions"]}
    assert written(world) == before
    assert (world.root / "state.json").read_bytes() == state
    assert send(world, event(world, note)).code == 0
    assert len(written(world)) > len(before)


def test_a_comment_on_the_dashboard(world: ForgeWorld) -> None:
    note = world.people.comment_dashboard_as("alice", f"/saasbot explain {PROD}")
    assert isinstance(note, Note)
    payload = event(world, note)
    if world.kind == "gitlab":
        iid = world.people.dashboard().url.rpartition("/")[2]
        payload["object_attributes"]["noteable_type"] = "Issue"
        payload["issue"] = {"id": 2000, "iid": int(iid), "state": "opened", "title": "Deployments", "labels": []}
        del payload["merge_request"]
    for _ in range(2):
        assert send(world, payload).code == 0
    answers = [each.body for each in world.people.dashboard().notes if each.author == "saasbot"]
    assert len(answers) == 1
    assert PROD in answers[0]
