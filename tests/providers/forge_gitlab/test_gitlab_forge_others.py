"""What others do at the same time, in the same project or with the same account: none of it is undone or mistaken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from worlds.fake_http import Answer, Fault, Request
from worlds.git_world import run_git
from worlds.gitlab_forge_world import OWN, GitLabWorld, gitlab_world, granted, refused, status

from bot.model.observed import MergeRequest, Note, Role
from bot.model.state import Thread
from bot.providers.forge.gitlab import GitLabForge
from bot.providers.forge.gitlab_wire import MemberWire, role

DAY = date(2026, 1, 5)


def first(forge: GitLabForge) -> MergeRequest:
    """The only open merge request."""
    (found,) = forge.open_merge_requests()
    return found


def forked(world: GitLabWorld, user: str = "mallory") -> None:
    """Somebody opens a merge request from a fork, with a branch that is called as the bot's."""
    fork = world.root / "fork.git"
    run_git(world.root, "clone", "--quiet", "--bare", str(world.repository.bare), str(fork))
    run_git(fork, "update-ref", f"refs/heads/{OWN}", run_git(fork, "rev-parse", "main").strip())
    granted(world.people.open_as(user, OWN, "From afar", fork=fork))


def cuts_in(world: GitLabWorld, when: Callable[[Request], bool], do: Callable[[], None]) -> None:
    """Somebody does something once, just before the server answers such a request."""
    done: list[bool] = []

    def hit(request: Request) -> bool:
        if not done and when(request):
            done.append(True)
            do()
        return False

    world.server.faults.append(Fault(hit, Answer(500)))


def test_a_push_during_the_slow_part_of_a_rebuild_is_kept(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        pushed: list[str] = []

        def person() -> None:
            run_git(world.repository.bare, "update-ref", f"refs/heads/{OWN}", mine)
            pushed.append(mine)

        run_git(world.repository.work, "fetch", "--quiet", "origin")
        mine = world.branch("mine", {"other.yml": "mine\n"}, start=head)
        cuts_in(world, lambda request: request.path.endswith("git-upload-pack"), person)
        assert "moved" in refused(forge.push(world.change("ref: three\n", expected=head)))
        assert (pushed, world.heads()[OWN]) == ([mine], mine)


def test_a_draft_that_was_made_after_the_look_stays_one(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        forge.open_merge_requests()
        world.people.set_draft(1, draft=True)
        assert forge.update(1, "Promote more", "Because.") is None
        found = world.server.main.merge_requests[1]
        assert (found.draft, found.title) == (True, "Draft: Promote more")


def test_a_title_that_is_right_is_not_sent_again(tmp_path: Path) -> None:
    """What becomes of the title between look and write is not undone by a change of the description."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        opened = world.opened(forge)
        cuts_in(
            world,
            lambda request: request.method == "PUT",
            lambda: granted(world.people.set_draft(1, draft=True)) and None,
        )
        assert forge.update(1, opened.title, "New words.") is None
        found = world.server.main.merge_requests[1]
        assert (found.draft, found.description) == (True, "New words.")


def test_a_forks_branch_is_never_taken_for_the_bots(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        forked(world)
        found = first(forge)
        number = world.server.main.id + 1000
        assert (found.author, found.source_branch) == ("mallory", f"{number}:{OWN}")
        seen = forge.merge_request(1)
        assert seen is not None
        assert seen.source_branch == f"{number}:{OWN}"


def test_a_forks_branch_does_not_keep_the_bots_from_being_deleted(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        forked(world)
        opened = world.opened(forge)
        assert forge.close(opened.iid, OWN, "Done.") is None
        assert OWN not in world.heads()


def test_what_its_user_opened_for_other_branches_is_no_trace_of_the_bot(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.branch("docs", {"other.yml": "x\n"})
        granted(world.people.open_as("saasbot", "docs", "Docs, with the same token"))
        forked(world, "saasbot")
        assert not forge.knows_me()
        opened = world.opened(forge)
        world.people.merge_as("alice", opened.iid)
        assert OWN not in world.heads()
        assert forge.knows_me()


def test_what_must_be_rebased_first_is_rebuilt(tmp_path: Path) -> None:
    """Projects that only fast-forward merge nothing that is behind."""
    with gitlab_world(tmp_path) as world:
        world.server.checking_reads = 0
        forge = world.forge()
        world.opened(forge)
        forge.open_merge_requests()
        seen = replace(forge.seen[1], detailed_merge_status="need_rebase", has_conflicts=False)
        assert forge._conflicts(seen, seen.sha or "")
        theirs = replace(seen, source_branch="topic")
        assert not forge._conflicts(theirs, theirs.sha or "")


def note_of(world: GitLabWorld, forge: GitLabForge) -> Note:
    """The only comment of people."""
    world.later(10)
    (note,) = (each for each in first(forge).notes if not each.bot)
    return note


def test_a_reaction_to_a_comment_is_no_edit_of_it(tmp_path: Path) -> None:
    """GitLab moves a note's `updated_at` for it."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        written = granted(world.people.comment_as("alice", 1, "/saasbot hold"))
        world.later(3)
        world.people.react_as("bob", 1, written.id)
        assert not note_of(world, forge).edited


def test_an_edit_is_not_hidden_by_a_later_reaction(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        written = granted(world.people.comment_as("alice", 1, "hello"))
        world.later(3)
        granted(world.people.edit_comment_as("bob", 1, written.id, "/saasbot hold"))
        world.people.react_as("bob", 1, written.id)
        assert note_of(world, forge).edited


@pytest.mark.parametrize(
    "answer",
    [
        status(404, "404 Not Found"),
        status(401, "401 Unauthorized"),
        Answer(200, {"errors": [{"message": "no such field"}]}),
        Answer(200, {"data": {}}),
    ],
)
def test_without_graphql_whatever_changed_counts_as_edited(tmp_path: Path, answer: Answer) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        written = granted(world.people.comment_as("alice", 1, "/saasbot hold"))
        world.later(3)
        world.people.react_as("bob", 1, written.id)
        world.server.faults.append(Fault(("POST", "/api/graphql"), answer))
        assert note_of(world, forge).edited


def test_many_comments_with_reactions_are_asked_about_at_once(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        written = [granted(world.people.comment_as("alice", 1, f"hello {number}")) for number in range(60)]
        granted(forge.comment(Thread.MERGE_REQUEST, 1, "mine"))
        world.later(3)
        for each in written:
            world.people.react_as("bob", 1, each.id)
        world.later(10)
        with world.counted() as asked:
            assert not any(each.edited for each in first(forge).notes)
        assert sum(count for what, count in asked.items() if "graphql" in what) == 2


def test_memberships_that_ran_out_or_await_approval_give_no_role(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.main.member_facts = {
            "alice": {"expires_at": "2020-01-01"},
            "bob": {"membership_state": "awaiting"},
            "rita": {"expires_at": "2030-01-01"},
        }
        found = {user: world.forge().role(user) for user in ("alice", "bob", "rita")}
        assert found == {"alice": Role.NONE, "bob": Role.NONE, "rita": Role.GUEST}


@pytest.mark.parametrize(("ends", "expected"), [(4, Role.NONE), (5, Role.NONE), (6, Role.OWNER)])
def test_a_membership_ends_on_its_day(ends: int, expected: Role) -> None:
    assert datetime(2026, 1, 5, tzinfo=UTC).date() == DAY
    assert role([MemberWire("alice", 40, expires_at=DAY.replace(day=ends))], "alice", DAY) is expected
