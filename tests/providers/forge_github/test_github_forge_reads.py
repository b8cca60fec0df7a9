"""What the GitHub forge tells: of the bot's pull requests in detail, of people's as listed, of roles and notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from github_forge_world import MEMBERS, OWN, PROJECT, github_world, granted, status
from worlds.fake_github import APP, INSTALLATION
from worlds.git_world import run_git

from bot.errors import ServerUnreachable, WrongUsage
from bot.model.observed import Change, CiStatus, MergeRequestStatus, Role, Unreachable
from bot.model.state import Thread
from bot.settings import Merge


def test_the_bot_is_who_its_token_says_and_that_is_asked_once(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        assert world.server.requests == []
        assert (forge.me(), forge.me()) == ("saasbot", "saasbot")
        assert [each.path for each in world.server.requests] == ["/api/v3/user"]


def test_a_workflows_token_cannot_tell_who_it_is(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        environ = {"GITHUB_TOKEN": world.server.actions_token}
        assert world.forge(environ=environ | {"GITHUB_ACTIONS": "true"}).me() == "github-actions[bot]"
        with pytest.raises(WrongUsage) as caught:
            world.forge(environ=environ).me()
        assert "forge.user" in caught.value.hint


def test_an_app_is_a_bot_of_its_name_and_its_token_is_made_once(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        environ = {"KEY": world.server.app_key}
        for installation in (INSTALLATION, None):
            app = {"id": APP, "key": {"env": "KEY"}} | ({"installation": installation} if installation else {})
            forge = world.forge(environ=environ, app=app)
            with world.counted() as asked:
                assert forge.me() == "saasbot[bot]"
                assert forge.open_merge_requests() == []
                assert forge.branches("main") == {"main": world.base}
            assert asked["POST app/installations/N/access_tokens"] == 1
        assert world.opened(forge).author == "saasbot[bot]"
        assert (
            granted(forge.put_dashboard(0, "Board", "one")).iid == granted(forge.put_dashboard(0, "Board", "two")).iid
        )
        assert [each.source_branch for each in forge.open_merge_requests()] == [OWN]


def test_an_app_with_a_wrong_key_or_installation_says_what_to_check(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        with pytest.raises(WrongUsage, match="private key"):
            world.forge(environ={"KEY": "no key at all"}, app={"id": APP, "installation": 1, "key": {"env": "KEY"}})
        forge = world.forge(
            environ={"KEY": world.server.app_key}, app={"id": APP, "installation": 1, "key": {"env": "KEY"}}
        )
        with pytest.raises(ServerUnreachable, match="installation 1") as caught:
            forge.open_merge_requests()
        assert "forge.app" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        ({"project": "config"}, {}, "not owner/name"),
        ({"url": "github.example"}, {}, "not the address"),
        ({}, {"OTHER": "x"}, "no token for GitHub in $SAASBOT_TOKEN or $GITHUB_TOKEN or $GH_TOKEN"),
        ({"token": {"file": "nothing"}}, {}, "the file nothing"),
        ({"app": {"id": 1}}, {}, "forge.app"),
        ({"app": {"id": 1, "installation": 2, "key": {"env": "NOTHING"}}}, {}, "$NOTHING"),
        ({"ca": "nothing.pem"}, {}, "forge.ca"),
    ],
)
def test_settings_that_cannot_work_are_told_with_advice(
    tmp_path: Path, options: dict[str, Any], environ: dict[str, str], said: str
) -> None:
    with github_world(tmp_path) as world, pytest.raises(WrongUsage) as caught:
        world.forge(environ=environ or None, **options)
    assert said in caught.value.message
    assert caught.value.hint


def test_an_own_pull_request_is_told_in_detail(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        opened = world.opened(forge)
        head = world.heads()[OWN]
        assert (opened.iid, opened.head_sha, opened.labels) == (1, head, ("saasbot",))
        world.people.approve_as("alice", 1)
        world.people.set_ci(1, CiStatus.RUNNING)
        (seen,) = forge.open_merge_requests()
        assert (seen.title, seen.description, seen.author) == (f"Promote {OWN}", "Because.", "saasbot")
        assert (seen.state, seen.source_branch, seen.target_branch) == (MergeRequestStatus.OPENED, OWN, "main")
        assert (seen.ci, seen.approved_by, seen.has_conflicts) == (CiStatus.RUNNING, ("alice",), False)
        assert (seen.draft, seen.auto_merge, seen.url) == (False, False, f"{world.server.web}/{PROJECT}/pull/1")
        assert forge.merge_request(1) == seen
        assert forge.merge_request(7) is None


def test_approvals_of_those_who_may_not_write_do_not_count(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        for user in ("rita", "bob", "alice"):
            world.people.approve_as(user, 1)
        world.people.request_changes_as("bob", 1)
        assert forge.open_merge_requests()[0].approved_by == ("alice",)


def test_a_conflict_is_known_and_git_answers_where_github_has_not_yet(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.on_main({"app.yml": "ref: three\n"})
        world.server.world.unknown_reads = 2
        with world.counted() as asked:
            assert forge.open_merge_requests()[0].has_conflicts
        assert asked["GET pulls/N"] + asked["GET pulls/N 304"] == 3
        world.on_main({"other.yml": "ref: three\n"})
        world.server.world.unknown_reads = 50
        assert forge.open_merge_requests()[0].has_conflicts
        assert forge.merge_request(1) == forge.open_merge_requests()[0]


@pytest.mark.parametrize("state", ["merged", "closed"])
def test_one_that_ended_says_how_and_by_whom(tmp_path: Path, state: str) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        end = world.people.merge_as if state == "merged" else world.people.close_as
        end("bob", 1)
        seen = forge.merge_request(1)
        assert seen is not None
        assert (seen.state, seen.closed_by) == (state, "bob" if state == "closed" else "")
        assert forge.open_merge_requests() == []


def test_a_branch_that_is_gone_leaves_an_empty_head_and_one_that_moved_its_own(tmp_path: Path) -> None:
    """GitHub closes the pull request, and moves its head, some time after the branch."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        pull = world.server.config.issues[1]
        world.people.set_ci(1, CiStatus.SUCCESS)
        world.breaks("GET", "pulls/1", "stale", times=2)
        forge.merge_request(1)
        persons = world.more_on(OWN, {"app.yml": "ref: bob\n"})
        world.on_main({"app.yml": "ref: three\n"})
        world.breaks("GET", "pulls/1", "stale", times=1)
        (seen,) = forge.open_merge_requests()
        assert (seen.head_sha, seen.ci, seen.has_conflicts) == (persons, CiStatus.RUNNING, True)
        world.breaks("GET", "pulls", "stale")
        world.breaks("GET", "pulls/1", "stale")
        run_git(world.repository.bare, "update-ref", "-d", f"refs/heads/{OWN}")
        (seen,) = forge.open_merge_requests()
        assert (seen.head_sha, seen.has_conflicts) == ("", False)
        assert forge.diff(seen).changes == ()
        assert isinstance(forge.merged_tree(seen), Unreachable)
        assert pull.state == "closed"


def test_a_stale_list_does_not_bring_back_what_is_closed(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        assert len(forge.open_merge_requests()) == 1
        world.people.close_as("bob", 1)
        world.breaks("GET", "pulls", "stale")
        assert world.forge().open_merge_requests() == []


def test_a_fork_is_never_taken_for_a_branch_of_the_bot(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        fork = world.server.fork("eve", tmp_path / "fork.git")
        world.branch(OWN, {"app.yml": "ref: evil\n"})
        run_git(world.repository.work, "push", "--quiet", str(fork.repository.path), OWN)
        run_git(world.repository.bare, "update-ref", "-d", f"refs/heads/{OWN}")
        granted(world.people.open_as("eve", f"eve:{OWN}", "Look"))
        forge = world.forge()
        (seen,) = forge.open_merge_requests()
        assert (seen.source_branch, seen.author) == (f"eve:{OWN}", "eve")
        assert forge.diff(seen).changes == (Change("app.yml", b"ref: one\n", b"ref: evil\n"),)
        assert not forge.knows_me()


def test_differences_and_merges_are_asked_of_git(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.branch("bob", {"other.yml": "ref: bob\n"})
        world.people.open_as("bob", "bob", "Mine")
        world.on_main({"app.yml": "ref: three\n"})
        own, bobs = forge.open_merge_requests()
        assert forge.diff(own).merge_base == world.base
        assert forge.diff(own).changes == (Change("app.yml", b"ref: one\n", b"ref: two\n"),)
        assert isinstance(forge.merged_tree(own), Unreachable)
        merged = forge.merged_tree(bobs)
        assert not isinstance(merged, Unreachable)
        files = {file.path: file for file in merged.files()}
        assert [*merged.read([files["other.yml"], files["app.yml"]])] == [b"ref: bob\n", b"ref: three\n"]


def test_branches_are_those_of_the_prefix_only(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        assert not forge.knows_me()
        world.branch("saasbot-notes", {"a": "b"})
        assert forge.branches("saasbot/") == {}
        assert not forge.knows_me()
        world.opened(forge)
        assert forge.branches("saasbot/") == {OWN: world.heads()[OWN]}
        assert forge.knows_me()
        world.people.merge_as("alice", 1)
        assert forge.branches("saasbot/") == {}
        assert forge.knows_me()


@pytest.mark.parametrize("private", [True, False])
def test_roles_are_read_live(tmp_path: Path, *, private: bool) -> None:
    with github_world(tmp_path, private=private) as world:
        forge = world.forge()
        assert {user: forge.role(user) for user in MEMBERS} == {
            "saasbot": Role.OWNER,
            "alice": Role.OWNER,
            "bob": Role.DEVELOPER,
            "tina": Role.GUEST,
            "rita": Role.GUEST if private else Role.NONE,
        }
        assert forge.role("stranger") is Role.NONE
        assert forge.role("some[bot]") is Role.NONE
        assert forge.role("") is Role.NONE
        world.server.config.members["bob"] = "admin"
        assert forge.role("bob") is Role.OWNER
        world.breaks("GET", "collaborators/bob/permission", status(403, "Must have push access"))
        with pytest.raises(ServerUnreachable, match="push access") as caught:
            forge.role("bob")
        assert "token" in caught.value.hint


def test_notes_tell_author_time_edit_and_the_head_they_stood_beside(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        first = world.opened(forge).head_sha
        world.later(1)
        early = world.people.comment_as("alice", 1, "/saasbot hold\r\n")
        world.later(1)
        second = world.more_on(OWN, {"app.yml": "ref: bob\n"})
        world.later(1)
        late = world.people.comment_as("bob", 1, "@bob & <b>co</b>")
        own = granted(forge.comment(Thread.MERGE_REQUEST, 1, "the report"))
        world.later(1)
        world.people.edit_comment_as("bob", 1, late.id, "changed")
        (seen,) = forge.open_merge_requests()
        assert [(note.author, note.body, note.head, note.edited, note.bot) for note in seen.notes] == [
            ("alice", "/saasbot hold\r\n", first, False, False),
            ("bob", "changed", second, True, False),
            ("saasbot", "the report", second, False, False),
        ]
        assert [note.id for note in seen.notes] == [early.id, late.id, own.id]
        assert seen.notes[0].created_at == early.created_at


def test_other_bots_are_bots(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        with world.server.lock:
            bot = world.server.world.user("renovate[bot]")
            world.server.world.comment(world.server.config.issues[1], bot, "/saasbot hold")
        with world.counted() as asked:
            assert [(note.author, note.bot) for note in forge.open_merge_requests()[0].notes] == [
                ("renovate[bot]", True)
            ]
        assert asked["GET activity"] == 0


def test_where_pushes_cannot_be_read_the_head_of_a_note_is_unknown(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.comment_as("alice", 1, "Well.\n\n@SaaSbot hold")
        world.breaks("GET", "activity", status(404, "Not Found"))
        (seen,) = forge.open_merge_requests()
        assert [note.head for note in seen.notes] == [""]


def test_which_head_a_comment_stood_beside_is_asked_for_commands_only(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.comment_as("alice", 1, "> /saasbot hold\n\nwhat is that?")
        with world.counted() as asked:
            assert len(forge.open_merge_requests()[0].notes) == 1
        assert asked["GET activity"] == 0


@pytest.mark.parametrize(
    ("word", "rules", "found"),
    [
        (CiStatus.NONE, False, CiStatus.SUCCESS),  # GitHub's "clean": nothing to wait for
        (CiStatus.NONE, True, CiStatus.NONE),
        (CiStatus.RUNNING, True, CiStatus.RUNNING),
        (CiStatus.RUNNING, False, CiStatus.RUNNING),
        (CiStatus.FAILED, True, CiStatus.FAILED),
        (CiStatus.FAILED, False, CiStatus.FAILED),
        (CiStatus.SUCCESS, True, CiStatus.SUCCESS),
    ],
)
def test_the_ci_of_the_head(tmp_path: Path, word: CiStatus, found: CiStatus, *, rules: bool) -> None:
    with github_world(tmp_path) as world:
        world.rules.checks = rules
        forge = world.forge()
        world.opened(forge)
        world.people.set_ci(1, word)
        assert forge.open_merge_requests()[0].ci is found


def test_statuses_of_other_services_count_like_checks(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.SUCCESS)
        world.people.set_status(head, "jenkins", "pending")
        assert forge.open_merge_requests()[0].ci is CiStatus.RUNNING
        world.people.set_status(head, "jenkins", "error")
        assert forge.open_merge_requests()[0].ci is CiStatus.FAILED
        world.people.set_status(head, "jenkins", "success")
        assert forge.open_merge_requests()[0].ci is CiStatus.SUCCESS


def test_no_ci_yet_is_not_green_where_the_bot_merges_by_itself(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge(merge=Merge.WHEN_PIPELINE_SUCCEEDS)
        world.opened(forge)
        assert forge.open_merge_requests()[0].ci is CiStatus.RUNNING
        world.later(2)
        assert forge.open_merge_requests()[0].ci is CiStatus.SUCCESS


def test_the_dashboard_is_the_bots_own_open_issue_of_that_title(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        assert forge.dashboard("Board") is None
        made = granted(forge.put_dashboard(0, "Board", "one"))
        again = granted(forge.put_dashboard(0, "Board", "two"))
        assert (made.iid, again.iid, again.body) == (2, 2, "two")
        world.people.comment_dashboard_as("alice", "/saasbot status")
        assert granted(forge.put_dashboard(2, "Board", "three")).body == "three"
        seen = forge.dashboard("Board")
        assert seen is not None
        assert (seen.iid, seen.body, [note.body for note in seen.notes]) == (2, "three", ["/saasbot status"])
        note = seen.notes[0]
        assert forge.react(Thread.DASHBOARD, 2, note.id, ok=True) is None
        assert granted(forge.comment(Thread.DASHBOARD, 2, "answer")).author == "saasbot"
        assert forge.dashboard("Other") is None
        assert list(forge.freezes()) == []
