"""How much is asked of GitHub: two pages of open pull requests, five of them the bot's, and nothing to do.

`SAASBOT_OPEN` says how many there are; by default they are few, and the pages short.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from github_forge_world import OWN, GitHubWorld, github_world
from worlds.git_world import run_git

from bot.model.observed import CiStatus

MINE = 5
PEOPLE = int(os.environ.get("SAASBOT_OPEN", "30")) - MINE
PAGE = 100 if PEOPLE > 100 else 20
PAGES = -(-(PEOPLE + MINE) // PAGE)


def crowd(world: GitHubWorld) -> None:
    """Many pull requests of people, each with a comment, and the bot's own."""
    head = world.branch("person/0", {"other.yml": "ref: two\n"})
    moves = "".join(f"update refs/heads/person/{number} {head}\n" for number in range(1, PEOPLE))
    run_git(world.repository.bare, "update-ref", "--stdin", stdin=moves.encode())
    for number in range(PEOPLE):
        opened = world.people.open_as("bob", f"person/{number}", f"Change {number}")
        world.people.comment_as("alice", opened.iid, "what is this?")
    forge = world.forge()
    for number in range(MINE):
        world.opened(forge, branch=f"saasbot/file{number}.yml")


def test_an_idle_pass_asks_a_page_at_a_time_and_once_for_each_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with github_world(tmp_path) as world:
        crowd(world)
        world.server.most_on_a_page = PAGE
        world.later(20)
        with world.counted() as first:
            assert len(world.forge().open_merge_requests()) == PEOPLE + MINE
        assert first["GET issues/N/comments"] == PEOPLE
        world.later(1)
        forge = world.forge()  # another process, with the cache of the first
        before = world.server.rate_used
        with world.counted() as idle:
            found = forge.open_merge_requests()
            forge.me()
            forge.freezes()
        cost = world.server.rate_used - before
    assert sum(len(each.notes) for each in found) == PEOPLE
    assert {name.removesuffix(" 304"): count for name, count in idle.items()} == {
        "GET pulls": PAGES,
        "GET pulls/N": MINE,
        "GET git/matching-refs/heads/saasbot/": 1,
        "GET user": 1,
    }
    assert idle["GET pulls 304"] == PAGES
    assert idle["GET pulls/N 304"] == MINE
    assert cost <= 1
    with capsys.disabled():
        text = f"{PEOPLE + MINE} open: {first.total()} requests with an empty cache, {idle.total()} idle"
        sys.stdout.write(f"\nGitHub, {text} ({cost} of them off the hour's limit): {dict(idle)}\n")


def test_an_own_one_that_waits_for_a_review_costs_nothing_off_the_limit(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.rules.approvals = 1
        forge = world.forge()
        world.opened(forge)
        world.people.set_ci(1, CiStatus.SUCCESS)
        assert forge.open_merge_requests()[0].ci is CiStatus.SUCCESS
        world.later(20)
        assert forge.open_merge_requests()[0].ci is CiStatus.SUCCESS
        with world.counted() as idle:
            assert forge.open_merge_requests()[0].ci is CiStatus.SUCCESS
        assert idle == {
            "GET pulls 304": 1,
            "GET pulls/N 304": 1,
            "GET git/matching-refs/heads/saasbot/ 304": 1,
            "GET commits/N/check-runs 304": 1,
            "GET commits/N/status 304": 1,
        }, "what ran may run again, so it is asked, and costs nothing of the hour's limit"
        world.rules.approvals = 0
        world.people.set_ci(1, CiStatus.RUNNING)
        assert forge.open_merge_requests()[0].ci is CiStatus.RUNNING


def test_one_that_ended_costs_little_while_it_is_on_record(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.comment_as("alice", 1, "fine")
        world.people.merge_as("alice", 1)
        world.later(10)
        forge.merge_request(1)
        with world.counted() as asked:
            seen = forge.merge_request(1)
        assert seen is not None
        assert [each.body for each in seen.notes] == ["fine"]
        assert asked == {"GET pulls/N 304": 1}


def test_what_was_read_soon_after_a_change_is_read_again(tmp_path: Path) -> None:
    """Two things within one second have one `updated_at`."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.comment_as("alice", 1, "one")
        assert len(forge.open_merge_requests()[0].notes) == 1
        pull = world.server.config.issues[1]
        before = pull.updated_at
        world.people.comment_as("alice", 1, "two")
        pull.updated_at = before
        assert len(forge.open_merge_requests()[0].notes) == 2
        world.later(6)
        forge.open_merge_requests()
        with world.counted() as settled:
            assert len(forge.open_merge_requests()[0].notes) == 2
        assert not any("comments" in name for name in settled)


def test_a_new_comment_an_edit_and_an_approval_are_seen_at_once_when_all_was_settled(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.later(10)
        forge.open_merge_requests()
        written = world.people.comment_as("alice", 1, "hello")
        assert [each.body for each in forge.open_merge_requests()[0].notes] == ["hello"]
        world.later(10)
        forge.open_merge_requests()
        world.people.edit_comment_as("alice", 1, written.id, "bye")
        assert [(each.body, each.edited) for each in forge.open_merge_requests()[0].notes] == [("bye", True)]
        world.later(10)
        forge.open_merge_requests()
        world.people.approve_as("alice", 1)
        assert forge.open_merge_requests()[0].approved_by == ("alice",)


def test_a_cache_that_another_time_wrote_is_not_believed(tmp_path: Path) -> None:
    """`plan --now` in the future reads as if everything had settled long ago; a pass of today must not trust that."""
    with github_world(tmp_path) as world:
        world.opened(world.forge())
        today = world.now
        world.later(60 * 24 * 365)
        world.forge().open_merge_requests()
        world.now = today
        world.people.approve_as("alice", 1)
        assert world.forge().open_merge_requests()[0].approved_by == ("alice",)


def test_each_write_makes_the_requests_that_it_needs(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        with world.counted() as pushed:
            forge.push(world.change())
        assert pushed == {
            "POST git/trees": 1,
            "POST git/commits": 1,
            "GET git/ref/heads/saasbot/app.yml": 1,
            "POST git/refs": 1,
        }
        with world.counted() as opened:
            forge.open(OWN, "T", "D", ["saasbot"])
        assert opened == {"POST pulls": 1, "POST issues/N/labels": 1}
        with world.counted() as merged:
            forge.merge(1, world.heads()[OWN])
        assert merged == {"PUT pulls/N/merge": 1, "GET pulls/N": 1, "DELETE git/refs/heads/saasbot/app.yml": 1}
