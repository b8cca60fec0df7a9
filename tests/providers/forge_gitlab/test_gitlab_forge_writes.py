"""What the forge writes to a GitLab project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from worlds.fake_gitlab_model import MergeRequest as Stored
from worlds.git_world import run_git
from worlds.gitlab_forge_world import OWN, GitLabWorld, gitlab_world, granted, refused, said, status

from bot.model.observed import CiStatus, MergeRequestStatus, Note
from bot.model.state import Thread
from bot.ports import Refused

MR, BOARD = Thread.MERGE_REQUEST, Thread.DASHBOARD


def stored(world: GitLabWorld, iid: int = 1) -> Stored:
    """The merge request as the server keeps it."""
    return world.server.main.merge_requests[iid]


def show(world: GitLabWorld, revision: str, style: str) -> str:
    """What git says of a commit at the server."""
    return run_git(world.repository.bare, "show", "--no-patch", f"--format={style}", revision)


def test_a_push_is_one_request_from_the_base(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        files = {"app.yml": b"ref: two\n", "run.sh": b"#!/bin/sh\necho\n", "deep/é new.bin": b"\0\xff"}
        world.on_main({"other.yml": "later\n"})
        head = granted(world.forge().push(world.change(files=files)))
        assert world.heads()[OWN] == head
        assert [(each.method, each.path.rsplit("/", 1)[-1]) for each in world.writes()] == [("POST", "commits")]
        assert show(world, head, "%P|%an <%ae>|%B").strip() == f"{world.base}|saasbot <b@c>|Promote app.yml"
        changed = run_git(
            world.repository.bare, "-c", "core.quotePath=false", "diff", "--name-status", "-z", f"{head}~", head
        )
        assert changed.split("\0")[:-1] == ["M", "app.yml", "A", "deep/é new.bin", "M", "run.sh"]
        blobs = {path: world.server.main.repository.read(head, path) for path in files}
        assert blobs == files


def test_what_is_there_already_is_not_pushed_again(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = granted(forge.push(world.change()))
        before = len(world.writes())
        assert forge.push(world.change()) == head  # asked again after a crash
        assert world.forge().push(world.change(expected=head)) == head
        assert len(world.writes()) == before


@pytest.mark.parametrize(
    "wished", [{"message": "Other words\n"}, {"files": {"app.yml": b"ref: three\n"}}, {"parent": "main"}]
)
def test_what_differs_is_pushed(tmp_path: Path, wished: dict[str, Any]) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = granted(forge.push(world.change()))
        if "parent" in wished:
            wished["parent"] = world.on_main({"other.yml": "ref: two\n"})
            run_git(world.checkout, "fetch", "--quiet", "origin")
        new = granted(forge.push(world.change(expected=head, **wished)))
        assert new != head
        assert world.heads()[OWN] == new


def test_a_branch_that_moved_is_left_alone(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = granted(forge.push(world.change()))
        run_git(world.repository.work, "fetch", "--quiet", "origin")
        person = world.branch(OWN, {"app.yml": "mine\n"}, start=head)
        assert "moved" in refused(forge.push(world.change("ref: three\n", expected=head)))
        assert "moved" in refused(forge.push(world.change("ref: three\n")))
        assert world.heads()[OWN] == person


def test_a_branch_that_appears_between_look_and_push_is_left_alone(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        person = world.branch(OWN, {"app.yml": "mine\n"})
        world.breaks("GET", "repository/branches/.*", status(404, "404 Branch Not Found"))
        assert "already exists" in refused(world.forge().push(world.change()))
        assert world.heads()[OWN] == person


def test_a_persons_commits_are_kept_by_git(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = granted(forge.push(world.change()))
        run_git(world.repository.work, "fetch", "--quiet", "origin")
        person = world.branch(OWN, {"other.yml": "mine\n"}, start=head)
        parent = world.on_main({"late.yml": "x\n"})
        run_git(world.checkout, "fetch", "--quiet", "origin")
        new = granted(forge.push(world.change("ref: three\n", expected=person, keep=person, parent=parent)))
        assert world.heads()[OWN] == new
        files = [
            run_git(world.repository.bare, "show", f"{new}:{path}") for path in ("app.yml", "other.yml", "late.yml")
        ]
        assert files == ["ref: three", "mine", "x"]
        assert show(world, new, "%an") == "alice"


def test_signed_commits_go_through_git(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        key = tmp_path / "key"
        program = shutil.which("ssh-keygen")
        if program is None:
            pytest.skip("there is no ssh-keygen")
        subprocess.run((program, "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)
        for name, value in {"gpg.format": "ssh", "user.signingKey": str(key)}.items():
            run_git(world.checkout, "config", name, value)
        forge = world.forge(sign=True)
        head = granted(forge.push(world.change()))
        assert world.heads()[OWN] == head
        assert "gpgsig" in run_git(world.repository.bare, "cat-file", "commit", head)
        assert world.writes() == []
        assert forge.push(world.change()) == head


def test_what_is_opened(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        granted(forge.push(world.change()))
        opened = granted(forge.open(OWN, "Promote", "Because of\n\n* this", ["saasbot", "two words"]))
        assert (opened.iid, opened.state, opened.labels) == (1, MergeRequestStatus.OPENED, ("saasbot", "two words"))
        assert opened.head_sha == world.heads()[OWN]
        assert stored(world).remove_source
        assert (stored(world).title, stored(world).description) == ("Promote", "Because of\n\n* this")


def test_the_open_one_of_a_branch_is_adopted(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        opened = world.opened(forge)
        again = granted(forge.open(OWN, "Other title", "", []))
        assert (again.iid, again.title) == (opened.iid, opened.title)
        world.breaks("POST", "merge_requests", status(409, ["it is there"]))
        assert granted(forge.open(OWN, "Other title", "", [])).iid == opened.iid


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        assert "does not exist" in refused(world.forge().open("saasbot/none", "Promote", "", []))


def test_title_and_description_are_sent_where_they_differ(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        opened = world.opened(forge)
        forge.open_merge_requests()
        before = len(world.writes())
        assert forge.update(1, opened.title, opened.description) is None
        assert len(world.writes()) == before
        assert forge.update(1, "New", "words") is None
        assert (stored(world).title, stored(world).description) == ("New", "words")
        assert world.forge().update(1, "New", "words") is None
        assert len(world.writes()) == before + 1
        assert refused(forge.update(9, "New", "words")) == "there is no merge request 9"


def test_a_draft_stays_one(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.set_draft(1, draft=True)
        forge.open_merge_requests()
        assert forge.update(1, "New", "words") is None
        assert (stored(world).title, stored(world).draft) == ("Draft: New", True)


def test_closing_says_why_and_takes_the_branch_away(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        assert forge.close(1, OWN, "All of it is on the base.") is None
        assert (stored(world).state, OWN in world.heads()) == ("closed", False)
        closed = world.forge().merge_request(1)
        assert closed is not None
        assert (closed.closed_by, [each.body for each in closed.notes]) == ("saasbot", ["All of it is on the base."])
        before = len(world.writes())
        assert forge.close(1, OWN, "All of it is on the base.") is None
        assert [each.method for each in world.writes()[before:]] == ["DELETE"]


def test_a_close_that_was_cut_short_says_it_once(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.breaks("PUT", "merge_requests/1", status(409, "busy"))
        assert "busy" in refused(forge.close(1, OWN, "Done."))
        assert forge.close(1, OWN, "Done.") is None
        assert [each.body for each in stored(world).notes if not each.system] == ["Done."]


def test_a_branch_that_another_one_needs_stays(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.branch("release", {"app.yml": "x\n"})
        world.people.state.sync_all()
        other = forge.place.post("merge_requests", {"source_branch": OWN, "target_branch": "release", "title": "b"})
        assert forge.close(1, OWN, "") is None
        assert OWN in world.heads()
        assert other["iid"] == 2


def test_only_the_merge_requests_own_branch_is_deleted(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.branch("topic", {"app.yml": "x\n"})
        assert forge.close(1, "topic", "") is None
        assert {"topic", OWN} <= world.heads().keys()


def test_what_cannot_be_closed(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.merge_as("alice", 1)
        assert refused(forge.close(1, OWN, "x")) == "merge request 1 is merged already"
        assert refused(forge.close(8, OWN, "x")) == "there is no merge request 8"


def test_merging(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        merged = granted(forge.merge(1, head))
        assert (merged.state, OWN in world.heads()) == (MergeRequestStatus.MERGED, False)
        assert granted(forge.merge(1, head)).state is MergeRequestStatus.MERGED  # asked again after a crash
        assert "it is merged" in refused(forge.merge(1, "a" * 40))


def test_merging_another_head_is_refused(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        old = world.opened(forge).head_sha
        granted(forge.push(world.change("ref: three\n", expected=old)))
        assert "moved" in refused(forge.merge(1, old))
        assert stored(world).state == "opened"


def test_why_it_was_not_merged(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_draft(1, draft=True)
        assert refused(forge.merge(1, head)) == "merge request 1 was not merged: it is a draft"
        world.people.set_draft(1, draft=False)
        world.server.main.approvals_required = 1
        assert refused(forge.merge(1, head)) == "merge request 1 was not merged: it lacks approvals"
        world.server.main.approvals_required = 0
        world.on_main({"app.yml": "ref: nine\n"})
        assert refused(forge.merge(1, head)) == "merge request 1 was not merged: it conflicts"
        world.people.close_as("bob", 1)
        assert "it is closed" in refused(forge.merge(1, head))
        assert "there is no" in refused(forge.merge(5, head))


@pytest.mark.parametrize("code", [405, 406, 409, 422])
def test_ordinary_noes_to_a_merge_are_values(tmp_path: Path, code: int) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.breaks("PUT", "merge_requests/1/merge", status(code, f"{code} not now"))
        assert "not now" in refused(forge.merge(1, head))


def test_a_bot_that_may_not_merge_says_so(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.server.main.members["saasbot"] = 30
        assert "may not merge into main" in refused(forge.merge(1, head))


def test_merging_when_the_ci_is_green(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        waits = granted(forge.merge(1, head, when_green=True))
        assert (waits.state, waits.auto_merge) == (MergeRequestStatus.OPENED, True)
        assert granted(forge.merge(1, head, when_green=True)).auto_merge
        world.breaks("PUT", "merge_requests/1/merge", status(405, "it is set to already"))
        assert granted(forge.merge(1, head, when_green=True)).auto_merge
        world.people.set_ci(1, CiStatus.SUCCESS)
        ended = forge.merge_request(1)
        assert ended is not None
        assert (ended.state, OWN in world.heads()) == (MergeRequestStatus.MERGED, False)


@pytest.mark.parametrize("word", [CiStatus.NONE, CiStatus.SUCCESS])
def test_with_nothing_to_wait_for_it_is_merged_at_once(tmp_path: Path, word: CiStatus) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, word)
        world.later(3)
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.MERGED


def test_a_server_that_will_not_wait_for_nothing_merges_at_once(tmp_path: Path) -> None:
    """Without a pipeline, some releases answer 405 to an automatic merge."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.later(3)
        world.breaks("PUT", "merge_requests/1/merge", status(405, "405 Method Not Allowed"))
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.MERGED
        merges = [each.status for each in world.writes() if each.path.endswith("/merge")]
        assert merges == [405, 200]


def test_a_running_ci_is_never_merged_over(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        world.breaks("PUT", "merge_requests/1/merge", status(405, "405 Method Not Allowed"))
        assert "Method Not Allowed" in refused(forge.merge(1, head, when_green=True))
        assert stored(world).state == "opened"


def test_auto_merge_is_taken_back(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        assert forge.cancel_auto_merge(1) is None  # it was not set to
        world.people.set_ci(1, CiStatus.RUNNING)
        granted(forge.merge(1, head, when_green=True))
        world.breaks("POST", "merge_requests/1/cancel.*", status(405, "not now"))
        assert "not now" in refused(forge.cancel_auto_merge(1))
        assert forge.cancel_auto_merge(1) is None
        assert stored(world).auto_merge is None
        assert forge.cancel_auto_merge(6) is None


@pytest.mark.parametrize("thread", [MR, BOARD])
def test_notes_are_written_and_edited_in_place(tmp_path: Path, thread: Thread) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        granted(forge.put_dashboard(0, "Deployments", "text"))
        first = said(forge.comment(thread, 1, "the report"))
        assert (first.author, first.body, first.bot) == ("saasbot", "the report", True)
        second = said(forge.comment(thread, 1, "the newer report", first.id))
        assert (second.id, second.body) == (first.id, "the newer report")
        before = len(world.writes())
        assert said(forge.comment(thread, 1, "the newer report", first.id)).id == first.id
        assert len(world.writes()) == before
        assert isinstance(forge.comment(thread, 1, "x", "4711"), Refused)
        assert isinstance(forge.comment(thread, 9, "x"), Refused)


def test_only_its_own_notes_are_edited(tmp_path: Path) -> None:
    """A maintainer may change anybody's note; the bot does not."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        hers = world.people.comment_as("alice", 1, "hands off")
        assert "is alice's" in refused(forge.comment(MR, 1, "mine", hers.id))


def test_a_note_of_quick_actions_alone_is_no_note(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        assert "quick actions" in refused(forge.comment(MR, 1, "/estimate 1h"))


@pytest.mark.parametrize("thread", [MR, BOARD])
def test_reactions(tmp_path: Path, thread: Thread) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        granted(forge.put_dashboard(0, "Deployments", "text"))
        speak = (
            world.people.comment_dashboard_as
            if thread is BOARD
            else lambda user, text: world.people.comment_as(user, 1, text)
        )
        hers = speak("alice", "/saasbot help")
        assert isinstance(hers, Note)
        assert forge.react(thread, 1, hers.id, ok=True) is None
        assert forge.react(thread, 1, hers.id, ok=True) is None
        assert forge.react(thread, 1, hers.id, ok=False) is None
        thing = stored(world) if thread is MR else world.server.main.issues[1]
        note = next(each for each in thing.notes if str(each.id) == hers.id)
        assert [each.name for each in note.awards] == ["thumbsup", "thumbsdown"]
        assert isinstance(forge.react(thread, 1, "4711", ok=True), Refused)


def test_the_dashboard_is_opened_and_edited(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        opened = granted(forge.put_dashboard(0, "Deployments", "all is well"))
        edited = granted(forge.put_dashboard(opened.iid, "Deployments now", "all is better"))
        assert (edited.iid, edited.body) == (opened.iid, "all is better")
        assert world.server.main.issues[1].title == "Deployments now"
        assert isinstance(forge.put_dashboard(5, "Deployments", "x"), Refused)


def test_a_label_is_put_on_and_taken_off(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        opened = world.opened(forge)
        for on in (True, True, False, False):
            assert forge.label(opened.iid, "needs-attention", on=on) is None
            assert ("needs-attention" in stored(world).labels) is on
            seen = forge.merge_request(opened.iid)
            assert seen is not None
            assert set(seen.labels) == {*opened.labels, *(["needs-attention"] if on else [])}
        assert "was not given the label x" in refused(forge.label(9, "x", on=True))


def test_a_label_that_the_bot_may_not_set_is_a_no(tmp_path: Path) -> None:
    """GitLab passes over in silence what a user may not set."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.server.main.members["saasbot"] = 10
        assert "may not set labels" in refused(forge.label(1, "x", on=True))
