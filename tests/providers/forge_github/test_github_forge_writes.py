"""What the GitHub forge writes: commits, pull requests, comments, merges; and twice, as after a crash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from github_forge_world import BASE, OWN, github_world, granted, refused, said, status
from worlds.fake_http import Answer, Fault
from worlds.git_world import run_git

from bot.errors import ServerUnreachable
from bot.model.observed import CiStatus, MergeRequestStatus
from bot.model.state import Thread
from bot.settings import Merge

BINARY = b"\xff\xfe\x00ref: two\n"


def test_a_push_is_one_commit_on_the_parent_and_the_same_one_whenever_it_is_made(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        commit = world.change(files={"app.yml": b"ref: two\n", "run.sh": b"#!/bin/sh\nexit\n", "new/b.bin": BINARY})
        head = granted(forge.push(commit))
        assert world.heads()[OWN] == head
        bare = world.repository.bare
        shown = run_git(bare, "log", "-1", "--format=%P|%an|%ae|%cn|%ce|%at|%ct|%B", head)
        when = run_git(bare, "log", "-1", "--format=%ct", world.base)
        who = "saasbot|saasbot@example.com"
        assert shown.strip() == f"{world.base}|{who}|{who}|{when}|{when}|Promote app.yml"
        assert run_git(bare, "diff-tree", "-r", "--no-commit-id", "--name-status", head).splitlines() == [
            "M\tapp.yml",
            "A\tnew/b.bin",
            "M\trun.sh",
        ]
        assert run_git(bare, "ls-tree", head, "run.sh").startswith("100755")
        world.later(60)
        assert granted(world.forge().push(commit)) == head
        moves = [each for each in world.writes() if "/git/refs" in each.path]
        assert len(moves) == 1


def test_a_push_moves_the_branch_from_the_head_that_was_judged_and_no_other(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        first = granted(forge.push(world.change()))
        second = granted(forge.push(world.change("ref: three\n", expected=first)))
        assert world.heads()[OWN] == second
        persons = world.more_on(OWN, {"other.yml": "ref: bob\n"})
        assert refused(forge.push(world.change("ref: four\n", expected=second))) == f"somebody else moved {OWN}"
        assert refused(forge.push(world.change("ref: four\n"))) == f"somebody else moved {OWN}"
        assert world.heads()[OWN] == persons


def test_a_branch_that_appears_meanwhile_is_a_lost_race(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        forge.push(world.change())
        world.breaks("GET", f"git/ref/heads/{OWN}", status(404, "Not Found"))
        assert refused(forge.push(world.change("ref: three\n"))) == f"somebody else moved {OWN}"


def test_a_branch_on_a_newer_base_with_a_persons_commits_kept(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        persons = world.more_on(OWN, {"other.yml": "ref: bob\n"})
        base = world.on_main({"third.yml": "x\n"})
        run_git(world.checkout, "fetch", "--quiet", str(world.repository.bare), "main")
        commit = world.change("ref: three\n", expected=persons, keep=persons, parent=base)
        head = granted(forge.push(commit))
        assert world.heads()[OWN] == head
        assert world.file(head, "app.yml") == "ref: three"
        assert world.file(head, "other.yml") == "ref: bob"
        assert run_git(world.repository.bare, "rev-list", "--count", f"{base}..{head}") == "2"


def test_opening_twice_gives_the_same_pull_request(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        first = world.opened(forge)
        again = granted(forge.open(OWN, "Other", "Words", ["saasbot", "later"]))
        assert (again.iid, again.title, again.labels) == (first.iid, first.title, ("saasbot", "later"))
        assert world.people.show(1).labels == ("saasbot", "later")
        assert "no pull request was opened for nothing" in refused(forge.open("nothing", "T", "D", []))
        run_git(world.repository.bare, "branch", "same", "main")
        assert "No commits between" in refused(forge.open("same", "T", "D", []))
        assert [each.path.rpartition("/")[2] for each in world.writes()].count("pulls") == 4


def test_labels_that_are_refused_do_not_stop_the_opening(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.breaks("POST", r"issues/1/labels", status(403, "Resource not accessible by integration"))
        assert world.opened(world.forge()).iid == 1


def test_title_and_description_are_set(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        assert forge.update(1, "New", "Text") is None
        seen = forge.merge_request(1)
        assert seen is not None
        assert (seen.title, seen.description) == ("New", "Text")
        assert "was not updated" in refused(forge.update(9, "New", "Text"))


def test_closing_says_why_once_and_takes_the_branch_away(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        assert forge.close(1, OWN, "It is on main.") is None
        assert forge.close(1, OWN, "It is on main.") is None
        seen = forge.merge_request(1)
        assert seen is not None
        assert (seen.state, seen.closed_by) == (MergeRequestStatus.CLOSED, "saasbot")
        assert [note.body for note in seen.notes] == ["It is on main."]
        assert OWN not in world.heads()
        assert refused(forge.close(9, OWN, "")) == "there is no merge request 9"


def test_a_crash_after_the_comment_does_not_say_it_twice(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        said(forge.comment(Thread.MERGE_REQUEST, 1, "It is on main."))
        assert forge.close(1, OWN, "It is on main.\n") is None
        assert [note.body for note in world.people.show(1).notes] == ["It is on main."]


def test_a_branch_that_another_open_pull_request_has_stays(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.branch("release", {})
        server = world.server.world
        with world.server.lock:
            server.sync()
            other = server.open_pull(world.server.config, server.user("bob"), OWN, "release", "Also", "", draft=False)
        assert forge.close(1, OWN, "") is None
        assert OWN in world.heads()
        assert other.state == "open"


def test_a_merge_is_a_merge_commit_of_the_head_that_was_judged(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        assert refused(forge.merge(1, world.base)) == "merge request 1 was not merged: its branch has moved"
        merged = granted(forge.merge(1, head))
        assert merged.state is MergeRequestStatus.MERGED
        assert OWN not in world.heads()
        parents = run_git(world.repository.bare, "log", "-1", "--format=%P", "main")
        assert parents == f"{world.base} {head}"
        again = granted(forge.merge(1, head))
        assert (again.state, again.head_sha) == (MergeRequestStatus.MERGED, head)
        assert refused(forge.close(1, OWN, "why")) == "merge request 1 is merged already"


def test_what_cannot_be_merged_is_refused_with_the_reason(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_draft(1, draft=True)
        assert refused(forge.merge(1, head)) == "merge request 1 was not merged: it is a draft"
        world.people.set_draft(1, draft=False)
        world.rules.approvals = 1
        assert "At least 1 approving review is required" in refused(forge.merge(1, head))
        world.rules.approvals = 0
        world.on_main({"app.yml": "ref: three\n"})
        assert "not mergeable" in refused(forge.merge(1, head))
        world.people.close_as("bob", 1)
        assert refused(forge.merge(1, head)) == "merge request 1 was not merged: it is closed"
        assert refused(forge.merge(9, head)) == "merge request 9 was not merged: there is no such one"


def test_where_merge_commits_are_not_allowed_it_is_squashed(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.breaks("PUT", "pulls/1/merge", status(405, "Merge commits are not allowed on this repository."))
        assert granted(forge.merge(1, head)).state is MergeRequestStatus.MERGED
        assert run_git(world.repository.bare, "log", "-1", "--format=%P", "main") == world.base


def test_set_to_merge_when_green_and_taken_back(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.rules.checks = True
        forge = world.forge(merge=Merge.WHEN_PIPELINE_SUCCEEDS)
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        assert "moved" in refused(forge.merge(1, world.base, when_green=True))
        waits = granted(forge.merge(1, head, when_green=True))
        assert (waits.state, waits.auto_merge) == (MergeRequestStatus.OPENED, True)
        assert granted(forge.merge(1, head, when_green=True)).auto_merge
        assert forge.open_merge_requests()[0].auto_merge
        assert forge.cancel_auto_merge(1) is None
        assert forge.cancel_auto_merge(1) is None
        assert not forge.open_merge_requests()[0].auto_merge
        granted(forge.merge(1, head, when_green=True))
        world.people.set_ci(1, CiStatus.SUCCESS)
        seen = forge.merge_request(1)
        assert seen is not None
        assert seen.state is MergeRequestStatus.MERGED
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.MERGED
        assert refused(forge.cancel_auto_merge(9)) == "there is no merge request 9"


def test_what_is_green_already_merges_at_once(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.MERGED


def test_no_ci_yet_is_nothing_to_merge_on_where_the_bot_merges_by_itself(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge(merge=Merge.WHEN_PIPELINE_SUCCEEDS)
        head = world.opened(forge).head_sha
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.OPENED
        world.later(2)
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.MERGED


def test_what_github_refuses_of_auto_merge_is_told(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.rules.checks = True
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        for message in ("Something else", "Merge method merge commits are not allowed on this repository"):
            no = Answer(200, {"data": {"enablePullRequestAutoMerge": None}, "errors": [{"message": message}]})
            world.server.faults.append(Fault(("POST", "/api/graphql"), no, times=1 if message[0] == "S" else 3))
            text = refused(forge.merge(1, head, when_green=True))
            assert "merge request 1 was not set to merge" in text
        granted(forge.merge(1, head, when_green=True))
        no = Answer(200, {"data": None, "errors": [{"message": "Not you"}]})
        world.server.faults.append(Fault(("POST", "/api/graphql"), no))
        assert refused(forge.cancel_auto_merge(1)) == "merge request 1 is still set to merge: Not you"
        world.server.faults.append(Fault(("POST", "/api/graphql"), "drop after"))
        with pytest.raises(ServerUnreachable, match="may have been carried out"):
            forge.cancel_auto_merge(1)
        assert forge.cancel_auto_merge(1) is None


def test_what_github_refuses_of_a_close_is_told(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.breaks("POST", "issues/1/comments", status(422, "locked"))
        assert "locked" in refused(forge.close(1, OWN, "why"))
        world.breaks("PATCH", "pulls/1", status(422, "no"))
        assert refused(forge.close(1, OWN, "why")) == "merge request 1 was not closed: no"
        world.breaks("DELETE", f"git/refs/heads/{OWN}", status(422, "Cannot delete protected branch"))
        assert refused(forge.close(1, OWN, "why")) == f"{OWN} was not deleted: Cannot delete protected branch"
        assert forge.close(1, OWN, "why") is None
        assert [note.body for note in world.people.show(1).notes] == ["why"]


def test_clean_by_the_time_that_github_is_asked_to_wait_merges_at_once(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.rules.checks = True
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        forge.merge_request(1)
        world.people.set_ci(1, CiStatus.SUCCESS)
        world.breaks("GET", "pulls/1", "stale")
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.MERGED


@pytest.mark.parametrize("required", [True, False])
def test_where_github_would_not_wait_the_bot_waits_itself(tmp_path: Path, *, required: bool) -> None:
    """Auto-merge is off, or no check is required: the pull request stays as it is, and is no refusal each pass."""
    with github_world(tmp_path) as world:
        world.rules.checks = required
        world.server.config.allow_auto_merge = not required
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        waits = granted(forge.merge(1, head, when_green=True))
        assert (waits.state, waits.auto_merge) == (MergeRequestStatus.OPENED, False)


def test_comments_are_written_edited_and_acknowledged(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        note = said(forge.comment(Thread.MERGE_REQUEST, 1, "one"))
        assert (note.author, note.body) == ("saasbot", "one")
        assert said(forge.comment(Thread.MERGE_REQUEST, 1, "two", note.id)).id == note.id
        hers = world.people.comment_as("alice", 1, "/saasbot hold")
        assert forge.react(Thread.MERGE_REQUEST, 1, hers.id, ok=True) is None
        assert forge.react(Thread.MERGE_REQUEST, 1, hers.id, ok=True) is None
        assert forge.react(Thread.MERGE_REQUEST, 1, hers.id, ok=False) is None
        reactions = [each.content for each in world.server.config.issues[1].comments[1].reactions]
        assert reactions == ["+1", "-1"]
        seen = forge.merge_request(1)
        assert seen is not None
        assert [each.body for each in seen.notes] == ["two", "/saasbot hold"]
        assert "was not written" in refused(forge.comment(Thread.MERGE_REQUEST, 9, "x"))
        assert "was not edited" in refused(forge.comment(Thread.MERGE_REQUEST, 1, "x", "999999"))
        assert "no reaction" in refused(forge.react(Thread.MERGE_REQUEST, 1, "999999", ok=True))


def test_a_report_that_is_too_long_is_refused_in_one_line(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        text = refused(forge.comment(Thread.MERGE_REQUEST, 1, "x" * 70_000))
        assert "too long" in text
        assert "\n" not in text


def test_without_the_right_to_write_each_write_is_refused(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.server.config.members["saasbot"] = "read"
        assert "push access" in refused(forge.push(world.change("ref: three\n", expected=head)))
        assert refused(forge.merge(1, head))
        assert refused(forge.put_dashboard(99, "Board", "text"))
        assert sorted(BASE) == sorted(run_git(world.repository.bare, "ls-tree", "--name-only", "main").split())


def test_a_push_that_must_be_signed_goes_through_git(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        key = tmp_path / "key"
        run_keygen(key)
        for name, value in (("gpg.format", "ssh"), ("user.signingkey", str(key))):
            run_git(world.checkout, "config", name, value)
        forge = world.forge(sign=True)
        commit = world.change()
        head = granted(forge.push(commit))
        assert world.heads()[OWN] == head
        assert "gpgsig" in run_git(world.repository.bare, "cat-file", "commit", head)
        assert granted(forge.push(commit)) == head
        assert not [each for each in world.writes() if "/git/" in each.path]


def run_keygen(key: Path) -> None:
    """A key to sign with."""
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)


def test_a_label_is_put_on_and_taken_off(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        opened = world.opened(forge)
        for on in (True, True, False, False):
            assert forge.label(opened.iid, "needs attention/x", on=on) is None
            seen = forge.merge_request(opened.iid)
            assert seen is not None
            assert set(seen.labels) == {*opened.labels, *(["needs attention/x"] if on else [])}
        assert "was not given the label x" in refused(forge.label(9, "x", on=True))
        assert "was not relieved of the label x" in refused(forge.label(9, "x", on=False))
