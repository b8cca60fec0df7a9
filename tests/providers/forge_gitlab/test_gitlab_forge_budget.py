"""How much is asked of GitLab: two pages of open merge requests, five of them the bot's, and nothing to do.

`SAASBOT_OPEN` says how many there are; by default they are few, and the pages short.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from worlds.git_world import run_git
from worlds.gitlab_forge_world import GitLabWorld, gitlab_world

OWN = 5
PEOPLE = int(os.environ.get("SAASBOT_OPEN", "30")) - OWN
PAGE = 100 if PEOPLE > 100 else 20
PAGES = -(-(PEOPLE + OWN) // PAGE)


def crowd(world: GitLabWorld) -> None:
    """Many merge requests of people, each with a comment, and the bot's own."""
    head = world.branch("person/0", {"other.yml": "ref: two\n"})
    bare = world.repository.bare
    moves = "".join(f"update refs/heads/person/{number} {head}\n" for number in range(1, PEOPLE))
    run_git(bare, "update-ref", "--stdin", stdin=moves.encode())
    for number in range(PEOPLE):
        opened = world.people.open_as("bob", f"person/{number}", f"Change {number}")
        world.people.comment_as("alice", opened.iid, "what is this?")
    forge = world.forge()
    for number in range(OWN):
        world.opened(forge, branch=f"saasbot/file{number}.yml")


def test_an_idle_pass_asks_a_page_at_a_time_and_once_for_each_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gitlab_world(tmp_path) as world:
        crowd(world)
        world.server.most_on_a_page = PAGE
        world.later(10)
        with world.counted() as first:
            assert len(world.forge().open_merge_requests()) == PEOPLE + OWN
        assert first["GET merge_requests/N/notes"] == PEOPLE + OWN
        world.later(1)
        forge = world.forge()  # another process, with the cache of the first
        with world.counted() as idle:
            found = forge.open_merge_requests()
            forge.me()
            forge.freezes()
    assert sum(len(each.notes) for each in found) == PEOPLE
    assert idle == {
        "GET merge_requests": PAGES,
        "GET merge_requests/N": OWN,
        "GET repository/branches": 1,
        "GET user": 1,
        "GET freeze_periods": 1,
    }
    with capsys.disabled():
        text = f"{PEOPLE + OWN} open: {first.total()} requests with an empty cache, {idle.total()} idle: {dict(idle)}"
        sys.stdout.write(f"\nGitLab, {text}\n")


def test_what_was_read_soon_after_a_change_is_read_again(tmp_path: Path) -> None:
    """A second approval within a minute does not move `updated_at`."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.later(2)
        world.people.approve_as("alice", 1)
        assert forge.open_merge_requests()[0].approved_by == ("alice",)
        world.later(0.2)
        world.people.approve_as("bob", 1)
        assert forge.open_merge_requests()[0].approved_by == ("alice", "bob")
        world.later(6)
        forge.open_merge_requests()
        with world.counted() as settled:
            assert forge.open_merge_requests()[0].approved_by == ("alice", "bob")
        assert "GET merge_requests/N/approvals" not in settled


def test_a_new_note_and_an_edit_are_seen_at_once_when_all_was_settled(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.later(10)
        forge.open_merge_requests()
        written = world.people.comment_as("alice", 1, "hello")
        assert [each.body for each in forge.open_merge_requests()[0].notes] == ["hello"]
        world.later(10)
        forge.open_merge_requests()
        world.people.edit_comment_as("bob", 1, written.id, "bye")
        note = forge.open_merge_requests()[0].notes[0]
        assert (note.body, note.edited, note.author) == ("bye", True, "alice")


def test_a_cache_that_another_time_wrote_is_not_believed(tmp_path: Path) -> None:
    """`plan --now` in the future reads as if everything had settled long ago; a pass of today must not trust that."""
    with gitlab_world(tmp_path) as world:
        world.opened(world.forge())
        today = world.now
        world.later(60 * 24 * 365)
        world.forge().open_merge_requests()
        world.now = today
        world.people.approve_as("alice", 1)
        assert world.forge().open_merge_requests()[0].approved_by == ("alice",)


class Shelf:
    """A cache in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def put(self, name: str, data: bytes) -> None:
        self.kept[name] = data


def test_a_damaged_or_older_entry_is_read_again(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        shelf = Shelf()
        forge = world.forge(cache=shelf)
        world.opened(forge)
        world.people.comment_as("alice", 1, "hello")
        world.later(10)
        seen = forge.open_merge_requests()
        for damaged in (b"", b"{", b'{"key": 7}'):
            shelf.kept = dict.fromkeys(shelf.kept, damaged)
            assert forge.open_merge_requests() == seen


def test_another_user_of_the_same_cache_reads_for_itself(tmp_path: Path) -> None:
    """Which notes are the bot's own depends on who it is."""
    with gitlab_world(tmp_path) as world:
        world.opened(world.forge())
        world.people.comment_as("deployer", 1, "hello")
        world.later(10)
        (one,) = world.forge().open_merge_requests()
        (two,) = world.forge(user="deployer").open_merge_requests()
        assert [(each.notes[0].author, each.notes[0].bot) for each in (one, two)] == [
            ("deployer", False),
            ("deployer", True),
        ]
