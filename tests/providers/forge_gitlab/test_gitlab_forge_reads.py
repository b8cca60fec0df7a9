"""What the forge tells of a GitLab project."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds.fake_http import Answer
from worlds.git_world import run_git
from worlds.gitlab_forge_world import BASE, OWN, gitlab_world, granted, status

from bot.model.desired import Between
from bot.model.observed import BranchDiff, Change, CiStatus, MergeRequest, MergeRequestStatus, Role, Unreachable
from bot.ports import Forge
from bot.providers.forge.gitlab import GitLabForge
from bot.providers.forge.gitlab_ci import ci_status
from bot.providers.forge.gitlab_wire import (
    Facts,
    MergeRequestWire,
    NoteWire,
    Pipeline,
    User,
    VersionWire,
    by_program,
    head_at,
    merge_request,
    note,
)

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
HEAD, OLD = "a" * 40, "b" * 40


def first(forge: GitLabForge) -> MergeRequest:
    """The only open merge request."""
    (found,) = forge.open_merge_requests()
    return found


def test_it_is_a_forge(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge: Forge = world.forge()
        assert forge.me() == "saasbot"


def test_nothing_is_asked_before_somebody_asks(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.forge()
        assert world.server.requests == []


def test_a_forge_knows_whether_it_was_here(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.branch("topic", {"app.yml": "x\n"})
        world.people.open_as("bob", "topic", "Mine")
        assert not forge.knows_me()
        opened = world.opened(forge)
        assert forge.knows_me()
        granted(forge.merge(opened.iid, world.heads()[OWN]))
        assert OWN not in world.heads()
        assert forge.knows_me()


def test_the_bots_own_are_read_in_detail_and_with_the_heads_of_their_branches(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        granted(forge.push(world.change("ref: three\n", expected=world.heads()[OWN])))
        world.breaks("GET", "merge_requests", "stale")
        found = first(forge)
        assert found == forge.merge_request(1)
        assert (found.head_sha, found.state, found.author) == (world.heads()[OWN], MergeRequestStatus.OPENED, "saasbot")
        assert (found.title, found.description, found.labels) == ("Promote saasbot/app.yml", "Because.", ("saasbot",))
        assert found.url == f"{world.server.url}/acme/config/-/merge_requests/1"
        assert (found.source_branch, found.target_branch) == (OWN, "main")


def test_a_list_that_is_stale_opens_nothing_that_is_merged(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        assert len(forge.open_merge_requests()) == 1
        world.people.merge_as("alice", 1)
        world.breaks("GET", "merge_requests", "stale")
        assert forge.open_merge_requests() == []
        ended = forge.merge_request(1)
        assert ended is not None
        assert ended.state is MergeRequestStatus.MERGED


def test_there_is_no_such_merge_request(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        assert world.forge().merge_request(77) is None


def test_conflicts_are_known_while_the_server_still_looks(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.on_main({"app.yml": "ref: ninety\n"})
        assert first(forge).has_conflicts
        world.server.checking_reads = 9
        world.on_main({"app.yml": "ref: one\n"})
        found = first(forge)
        assert not found.has_conflicts
        assert found.ci is CiStatus.RUNNING
        world.on_main({"app.yml": "ref: ninety\n"})
        assert first(forge).has_conflicts


def test_without_git_a_conflict_is_seen_when_the_server_knows(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.on_main({"app.yml": "ref: ninety\n"})
        run_git(world.checkout, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
        world.server.checking_reads = 9
        world.on_main({"app.yml": "ref: ninety-one\n"})
        assert not first(forge).has_conflicts
        world.server.checking_reads = 0
        world.on_main({"app.yml": "ref: ninety-two\n"})
        assert first(forge).has_conflicts


def test_a_deleted_branch_leaves_an_empty_head(tmp_path: Path) -> None:
    """GitLab closes such a merge request, in its own time."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.breaks("GET", "repository/branches", Answer(200, []))
        world.breaks("GET", "repository/branches/.*", status(404, "404 Branch Not Found"))
        found = first(forge)
        assert (found.head_sha, found.has_conflicts) == ("", False)
        assert forge.diff(found).changes == ()
        assert isinstance(forge.merged_tree(found), Unreachable)


def test_that_a_branch_is_gone_is_asked_twice(tmp_path: Path) -> None:
    """A list of several pages leaves one out when another is deleted meanwhile."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.breaks("GET", "repository/branches", Answer(200, []))
        assert first(forge).head_sha == world.heads()[OWN]


def test_a_branch_that_is_deleted_closes_its_merge_request(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        run_git(world.repository.bare, "update-ref", "-d", f"refs/heads/{OWN}")
        assert forge.open_merge_requests() == []
        ended = forge.merge_request(1)
        assert ended is not None
        assert ended.state is MergeRequestStatus.CLOSED


def test_drafts_auto_merge_approvals_and_who_closed_it(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        opened = world.opened(forge)
        world.people.set_draft(1, draft=True)
        world.people.approve_as("alice", 1)
        found = first(forge)
        assert (found.draft, found.approved_by, found.auto_merge) == (True, ("alice",), False)
        world.people.set_draft(1, draft=False)
        world.people.set_ci(1, CiStatus.RUNNING)
        granted(forge.merge(1, world.heads()[OWN], when_green=True))
        assert first(forge).auto_merge
        world.people.close_as("bob", 1)
        closed = forge.merge_request(opened.iid)
        assert closed is not None
        assert (closed.state, closed.closed_by) == (MergeRequestStatus.CLOSED, "bob")


@pytest.mark.parametrize("ref", ["", "refs/merge-requests/1/merge", "refs/merge-requests/1/train"])
@pytest.mark.parametrize("word", [CiStatus.RUNNING, CiStatus.SUCCESS, CiStatus.FAILED])
def test_the_ci_of_the_head(tmp_path: Path, word: CiStatus, ref: str) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.later(3)
        assert first(forge).ci is CiStatus.NONE
        world.people.set_ci(1, word, ref=ref)
        assert first(forge).ci is word


def test_the_ci_of_an_older_head_says_nothing(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.set_ci(1, CiStatus.SUCCESS)
        granted(forge.push(world.change("ref: three\n", expected=world.heads()[OWN])))
        assert first(forge).ci is CiStatus.RUNNING
        world.later(11)
        assert first(forge).ci is CiStatus.NONE  # ten minutes on, no pipeline will come and GitLab would merge it


@pytest.mark.parametrize(
    ("status", "pipeline", "expected"),
    [
        ("mergeable", None, CiStatus.NONE),
        ("preparing", None, CiStatus.RUNNING),
        ("checking", None, CiStatus.RUNNING),
        ("unchecked", None, CiStatus.RUNNING),
        ("ci_still_running", None, CiStatus.RUNNING),
        ("ci_must_pass", None, CiStatus.WAITING),
        ("mergeable", "success", CiStatus.SUCCESS),
        ("checking", "success", CiStatus.RUNNING),
        ("ci_must_pass", "failed", CiStatus.FAILED),
        ("ci_must_pass", "canceled", CiStatus.FAILED),
        ("mergeable", "skipped", CiStatus.NONE),
        ("ci_must_pass", "skipped", CiStatus.WAITING),
        ("ci_must_pass", "manual", CiStatus.WAITING),
        ("mergeable", "scheduled", CiStatus.WAITING),
        ("ci_still_running", "waiting_for_resource", CiStatus.RUNNING),
    ],
)
def test_statuses_of_ci_in_our_words(status: str, pipeline: str | None, expected: CiStatus) -> None:
    found = MergeRequestWire(
        1, "t", "opened", "s", "main", sha=HEAD, detailed_merge_status=status,
        head_pipeline=Pipeline(pipeline, HEAD, "s") if pipeline else None,
    )  # fmt: skip
    assert ci_status(found, HEAD, NOW) is expected
    assert ci_status(replace(found, sha=OLD), HEAD, NOW) is (expected if pipeline else CiStatus.RUNNING)


def test_peoples_come_from_the_list_with_their_notes(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        head = world.branch("topic", {"app.yml": "ref: two\n"})
        world.people.open_as("bob", "topic", "Mine", "By hand.")
        world.people.comment_as("alice", 1, "/saasbot plan")
        world.people.comment_as("saasbot", 1, "the plan")
        with world.counted() as asked:
            found = first(world.forge())
        assert "GET merge_requests/N" not in asked
        assert (found.author, found.head_sha, found.title) == ("bob", head, "Mine")
        assert [(each.author, each.bot, each.system, each.head) for each in found.notes] == [
            ("alice", False, False, head),
            ("saasbot", True, False, head),
        ]
        assert [int(each.id) for each in found.notes] == sorted(int(each.id) for each in found.notes)


def test_a_persons_head_is_no_older_than_the_notes_that_speak_of_it(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        old = world.branch("topic", {"app.yml": "ref: two\n"})
        world.people.open_as("bob", "topic", "Mine")
        forge = world.forge()
        forge.merge_request(1)
        world.people.comment_as("bob", 1, "before")
        new = world.branch("topic2", {"app.yml": "ref: three\n"}, start="topic")
        run_git(world.repository.bare, "update-ref", "refs/heads/topic", new)
        world.people.comment_as("bob", 1, "after")
        found = first(forge)
        assert found.head_sha == new
        assert [each.head for each in found.notes] == [old, new]


def test_a_fork_is_read_from_the_config_project(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        fork = tmp_path / "fork.git"
        run_git(tmp_path, "clone", "--quiet", "--bare", str(world.repository.bare), "fork.git")
        head = world.branch("topic", {"app.yml": "ref: two\n"})
        run_git(world.repository.work, "push", "--quiet", str(fork), f"{head}:refs/heads/{OWN}")
        run_git(world.repository.bare, "update-ref", "-d", "refs/heads/topic")
        world.people.open_as("bob", OWN, "From afar", fork=fork)
        forge = world.forge()
        found = first(forge)
        assert (found.author, found.head_sha) == ("bob", head)
        assert forge.diff(found) == BranchDiff(world.base, (Change("app.yml", b"ref: one\n", b"ref: two\n"),))
        tree = forge.merged_tree(found)
        assert not isinstance(tree, Unreachable)
        assert {file.path for file in tree.files()} == set(BASE)


def test_differences_and_merges_are_asked_by_many_threads_at_once(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        for number in range(6):
            world.opened(forge, branch=f"saasbot/file{number}.yml")
        found = forge.open_merge_requests()
        world.on_main({"late.yml": "x\n"})
        with ThreadPoolExecutor(8) as pool:
            diffs = list(pool.map(forge.diff, found))
            again = list(pool.map(lambda each: forge.merge_request(each.iid), found))
        assert [each.changes[0].path for each in diffs] == [f"file{number}.yml" for number in range(6)]
        assert [each and each.iid for each in again] == [each.iid for each in found]


def test_the_merged_config(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.on_main({"other.yml": "ref: five\n"})
        found = first(forge)
        tree = forge.merged_tree(found)
        assert not isinstance(tree, Unreachable)
        files = list(tree.files())
        contents = dict(zip((file.path for file in files), tree.read(files), strict=True))
        assert (contents["app.yml"], contents["other.yml"]) == (b"ref: two\n", b"ref: five\n")
        world.on_main({"app.yml": "ref: nine\n"})
        forge.open_merge_requests()
        conflict = forge.merged_tree(found)
        assert isinstance(conflict, Unreachable)
        assert "conflicts" in conflict.text


def test_branches_of_a_prefix_with_their_heads(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        one = world.branch("saasbot/a.yml", {"app.yml": "1\n"})
        world.branch("other/saasbot/a.yml", {"app.yml": "2\n"})
        assert world.forge().branches("saasbot/") == {"saasbot/a.yml": one}


def test_roles(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.main.members |= {"bobby": 50, "blocked": 50}
        world.server.block("blocked")
        users = ("alice", "saasbot", "bob", "Bob", "rita", "gus", "nobody", "ali", "blocked")
        found = {user: world.forge().role(user) for user in users}
        assert found == {
            "alice": Role.OWNER,
            "saasbot": Role.OWNER,
            "bob": Role.DEVELOPER,
            "Bob": Role.DEVELOPER,
            "rita": Role.GUEST,
            "gus": Role.GUEST,
            "nobody": Role.NONE,
            "ali": Role.NONE,
            "blocked": Role.NONE,
        }


def test_freeze_periods_are_freezes(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.add_freeze("0 16 * * 5", "0 8 * * 1", "Berlin")
        world.server.add_freeze("0 0 24 12 *", "0 8 3 1 *", "Pacific Time (US & Canada)")
        one, two = world.forge().freezes()
        assert (one.name, one.owner, one.reason) == (
            "GitLab freeze period 1", "GitLab", "Freeze Period of acme/config"
        )  # fmt: skip
        assert one.windows == (Between("0 16 * * 5", "0 8 * * 1", "Europe/Berlin"),)
        assert two.windows == (Between("0 0 24 12 *", "0 8 3 1 *", "America/Los_Angeles"),)


def test_the_dashboard_is_the_bots_own_open_issue_of_that_title(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        assert forge.dashboard("Deployments") is None
        granted(forge.put_dashboard(0, "Deployment", "another"))
        made = granted(forge.put_dashboard(0, "Deployments", "all is well"))
        granted(forge.put_dashboard(0, "Deployments", "a second one"))
        found = forge.dashboard("Deployments")
        assert found is not None
        assert (found.iid, found.body, found.notes, found.url) == (made.iid, "all is well", (), made.url)


def test_commands_in_the_dashboards_comments_are_read(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        granted(forge.put_dashboard(0, "Deployments", "all is well"))
        world.people.comment_dashboard_as("alice", "/saasbot status")
        world.later(10)
        found = forge.dashboard("Deployments")
        assert found is not None
        assert [(each.author, each.body, each.head) for each in found.notes] == [("alice", "/saasbot status", "")]
        with world.counted() as asked:
            assert world.forge().dashboard("Deployments") == found
        assert asked == {"GET user": 1, "GET issues": 1}


def test_names_of_programs() -> None:
    programs = (
        "project_7_bot_1a2b",
        "project_7_bot2",
        "group_12_bot",
        "service_account_group_3_0123456789abcdef",
        "service_account_0123456789abcdef",
        "ghost",
        "support-bot",
    )
    assert [by_program(name) for name in programs] == [True] * len(programs)


def test_people_whose_names_sound_like_programs_are_heard() -> None:
    people = (
        "alice",
        "botond",
        "project_manager",
        "ghostwriter",
        "ghost7",
        "jean-bot",
        "duo-lipa",
        "service_account_x",
    )
    assert [by_program(name) for name in people] == [False] * len(people)


def test_a_note_that_changed_within_two_seconds_was_only_saved() -> None:
    written = NoteWire(5, "x", User("alice"), NOW, NOW.replace(second=1))
    assert not note(written, "saasbot").edited
    assert note(NoteWire(5, "x", User("alice"), NOW, NOW.replace(second=2)), "saasbot").edited


def test_the_head_at_a_moment() -> None:
    versions = (VersionWire(HEAD, NOW), VersionWire(OLD, NOW.replace(hour=8)))
    assert head_at(versions, NOW) == HEAD
    assert head_at(versions, NOW.replace(minute=0, hour=8, second=1)) == OLD
    assert head_at(versions, NOW.replace(hour=7)) == ""
    assert head_at((), NOW) == ""


def test_one_that_is_being_merged_is_left_alone() -> None:
    """GitLab calls it `locked` while it merges."""
    found = merge_request(MergeRequestWire(1, "t", "locked", "s", "main"), Facts(HEAD, has_conflicts=False))
    assert (found.state, found.auto_merge) == (MergeRequestStatus.OPENED, True)
