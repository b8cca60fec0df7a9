"""The local forge on real repositories: what the bot writes, what people do, and what many do at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.errors import ServerUnreachable, WrongUsage
from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note, Role, Unreachable
from bot.model.plan import Commit
from bot.model.state import Thread
from bot.ports import Forge, Refused
from bot.providers.forge.local import LocalForge, local_forge
from bot.providers.forge.local_people import LocalPeople
from bot.providers.forge.local_store import LocalStore
from bot.settings import BotSettings, ForgeSettings, Settings, StateSettings

BOT = BotSettings("saasbot", "saasbot@localhost")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BRANCH = "saasbot/a"
FILE = "a.yml"
BASE = b"ref: one\n" + b"\n" * 8 + b"owner: team\n"
RACER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from bot.model.state import Thread
from bot.providers.forge.local import LocalForge
from bot.settings import BotSettings
forge = LocalForge(Path(sys.argv[1]), "main", BotSettings(), {}, lambda: datetime(2026, 1, 1, tzinfo=UTC))
for number in range(5):
    mr = forge.open(f"saasbot/{number}", "t", "d", [])
    note = forge.comment(Thread.MERGE_REQUEST, mr.iid, "hello")
    print(mr.iid, note.id)
"""
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from bot.model.state import Thread
from bot.providers.forge.local import LocalForge
from bot.settings import BotSettings
forge = LocalForge(Path(sys.argv[1]), "main", BotSettings(), {}, lambda: datetime(2026, 1, 1, tzinfo=UTC))
print(flush=True)
mr = forge.open(sys.argv[2], "t", "d", [])
forge.comment(Thread.MERGE_REQUEST, mr.iid, "hello")
forge.merge(mr.iid, mr.head_sha)
"""


def git(repo: Path, *args: str) -> str:
    identity = ["-c", "user.name=alice", "-c", "user.email=alice@localhost"]
    done = subprocess.run(["git", *identity, *args], cwd=repo, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class World:
    """A local forge with a person's checkout of its config repository."""

    folder: Path
    checkout: Path

    @property
    def forge(self) -> LocalForge:
        """The forge as a fresh process sees it."""
        return LocalForge(self.folder, "main", BOT, {"alice": Role.OWNER}, lambda: NOW)

    @property
    def people(self) -> LocalPeople:
        return LocalPeople(self.forge.folder)

    @property
    def main(self) -> str:
        return self.forge.branches("main")["main"]

    def person_pushes(self, branch: str, files: Mapping[str, bytes], *, start: str = "origin/main") -> str:
        """A person's commit on a branch, pushed with plain git."""
        git(self.checkout, "fetch", "-q", "origin")
        git(self.checkout, "checkout", "-q", "-B", "work", start)
        for path, content in files.items():
            (self.checkout / path).write_bytes(content)
        git(self.checkout, "add", ".")
        git(self.checkout, "commit", "-q", "-m", "by hand")
        git(self.checkout, "push", "-q", "origin", f"work:refs/heads/{branch}")
        return git(self.checkout, "rev-parse", "HEAD")

    def commit(self, new: bytes, *, branch: str = BRANCH, head: str = "", keep: str = "") -> Commit:
        return Commit(branch, self.main, "promote", {FILE: BASE.replace(b"one", new)}, head, keep)

    def bot_opens(self, new: bytes = b"two", branch: str = BRANCH) -> MergeRequest:
        pushed(self.forge.push(self.commit(new, branch=branch)))
        return opened(self.forge.open(branch, "promote", "text", ["saasbot"]))

    def file(self, revision: str, path: str = FILE) -> bytes:
        show = ["git", "show", f"{revision}:{path}"]
        return subprocess.run(show, cwd=self.folder / "config.git", check=True, capture_output=True).stdout


def pushed(answer: str | Refused) -> str:
    assert isinstance(answer, str), answer
    return answer


def opened(answer: MergeRequest | Refused | None) -> MergeRequest:
    assert isinstance(answer, MergeRequest), answer
    return answer


def noted(answer: Note | Refused) -> Note:
    assert isinstance(answer, Note), answer
    return answer


def refused(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    assert "\n" not in answer.text
    return answer.text


@pytest.fixture
def world(tmp_path: Path) -> World:
    folder, checkout = tmp_path / "forge", tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "--bare", "-b", "main", "config.git")
    git(tmp_path, "init", "-q", "-b", "main", "checkout")
    git(checkout, "remote", "add", "origin", str(folder / "config.git"))
    (checkout / FILE).write_bytes(BASE)
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "first")
    git(checkout, "push", "-q", "origin", "main")
    return World(folder, checkout)


def test_the_bot_opens_a_merge_request(world: World) -> None:
    mr = world.bot_opens()
    assert (mr.iid, mr.state, mr.title, mr.description) == (1, MergeRequestStatus.OPENED, "promote", "text")
    assert (mr.source_branch, mr.target_branch, mr.author, mr.labels) == (BRANCH, "main", "saasbot", ("saasbot",))
    assert (mr.has_conflicts, mr.ci, mr.draft, mr.notes) == (False, CiStatus.NONE, False, ())
    assert mr.head_sha == world.forge.branches("saasbot/")[BRANCH]
    assert mr.url == (world.folder / "merge_requests" / "1.json").as_uri()
    assert world.forge.open_merge_requests() == [mr]
    assert world.forge.merge_request(1) == mr
    assert world.forge.merge_request(2) is None
    assert world.forge.me() == "saasbot"


def test_it_is_a_whole_forge_for_the_rest_of_the_program(world: World) -> None:
    forge: Forge = world.forge
    assert forge.open_merge_requests() == []
    assert forge.role("alice") is Role.OWNER


def test_opening_again_adopts_the_open_one(world: World) -> None:
    mr = world.bot_opens()
    assert world.forge.open(BRANCH, "other", "other", []) == mr
    assert "no branch" in refused(world.forge.open("saasbot/none", "t", "d", []))
    assert "no branch" in refused(world.forge.open("main", "t", "d", []))


def test_a_push_is_idempotent_and_has_a_lease(world: World) -> None:
    one = pushed(world.forge.push(world.commit(b"two")))
    assert world.forge.push(world.commit(b"two")) == one
    assert "moved" in refused(world.forge.push(world.commit(b"three")))
    assert "moved" in refused(world.forge.push(world.commit(b"three", head="1" * 40)))
    two = pushed(world.forge.push(world.commit(b"three", head=one)))
    assert world.forge.push(world.commit(b"three", head=one)) == two
    assert world.forge.branches("saasbot/") == {BRANCH: two}
    assert world.file(two) == BASE.replace(b"one", b"three")


def test_a_push_that_git_cannot_build_is_refused(world: World) -> None:
    assert "not pushed" in refused(world.forge.push(replace(world.commit(b"x"), parent="1" * 40)))
    assert "not pushed" in refused(world.forge.push(world.commit(b"x", branch="saasbot/a..b")))


def test_of_many_different_pushes_one_wins_and_of_many_equal_ones_all(world: World) -> None:
    with ThreadPoolExecutor(6) as pool:
        commits = [world.commit(str(number).encode()) for number in range(6)]
        different = list(pool.map(world.forge.push, commits))
        same = list(pool.map(world.forge.push, [world.commit(b"x", branch="saasbot/same")] * 6))
    assert sum(isinstance(answer, str) for answer in different) == 1
    assert {pushed(answer) for answer in same} == {world.forge.branches("saasbot/same")["saasbot/same"]}


def test_the_diff_is_against_the_merge_base(world: World) -> None:
    base = world.main
    mr = world.bot_opens()
    world.person_pushes("main", {"other.yml": b"x\n"})
    diff = world.forge.diff(mr)
    assert diff.merge_base == base
    assert [(change.path, change.old, change.new) for change in diff.changes] == [
        (FILE, BASE, BASE.replace(b"one", b"two"))
    ]


def test_an_unrelated_branch_differs_in_everything_and_conflicts(world: World) -> None:
    git(world.checkout, "checkout", "-q", "--orphan", "alone")
    git(world.checkout, "commit", "-q", "-m", "alone")
    git(world.checkout, "push", "-q", "origin", "alone")
    mr = opened(world.people.open_as("alice", "alone", "t"))
    assert mr.has_conflicts
    diff = world.forge.diff(mr)
    assert (diff.merge_base, [change.old for change in diff.changes]) == ("", [None])


def test_the_merged_tree_is_the_config_after_the_merge(world: World) -> None:
    mr = world.bot_opens()
    world.person_pushes("main", {FILE: BASE.replace(b"team", b"us")})
    tree = world.forge.merged_tree(mr)
    assert not isinstance(tree, Unreachable)
    assert tree.sha is None
    files = tree.files()
    assert [file.path for file in files] == [FILE]
    assert list(tree.read(files)) == [BASE.replace(b"one", b"two").replace(b"team", b"us")]


def test_a_conflict_shows_and_goes_with_a_rebuilt_branch(world: World) -> None:
    mr = world.bot_opens()
    world.person_pushes("main", {FILE: BASE.replace(b"one", b"hand")})
    seen = opened(world.forge.merge_request(mr.iid))
    assert seen.has_conflicts
    tree = world.forge.merged_tree(seen)
    assert isinstance(tree, Unreachable)
    assert "conflicts with main" in tree.text
    assert "conflicts with main" in refused(world.forge.merge(mr.iid, mr.head_sha))
    pushed(world.forge.push(world.commit(b"two", head=mr.head_sha)))
    rebuilt = opened(world.forge.merge_request(mr.iid))
    assert (rebuilt.iid, rebuilt.has_conflicts) == (mr.iid, False)


def test_ci_belongs_to_the_head_it_was_given_for(world: World) -> None:
    mr = world.bot_opens()
    assert opened(world.people.set_ci(mr.iid, CiStatus.FAILED)).ci is CiStatus.FAILED
    pushed(world.forge.push(world.commit(b"three", head=mr.head_sha)))
    assert opened(world.forge.merge_request(mr.iid)).ci is CiStatus.NONE
    world.people.set_ci(mr.iid, CiStatus.RUNNING)
    assert opened(world.forge.merge_request(mr.iid)).ci is CiStatus.RUNNING
    assert "no merge request" in refused(world.people.set_ci(9, CiStatus.SUCCESS))


def test_a_merge_is_a_merge_commit_that_deletes_the_branch(world: World) -> None:
    base = world.main
    mr = world.bot_opens()
    merged = opened(world.forge.merge(mr.iid, mr.head_sha))
    assert (merged.state, merged.head_sha) == (MergeRequestStatus.MERGED, mr.head_sha)
    assert git(world.folder / "config.git", "rev-list", "--parents", "-1", "main").split()[1:] == [base, mr.head_sha]
    assert world.file("main") == BASE.replace(b"one", b"two")
    assert world.forge.branches("saasbot/") == {}
    assert world.forge.open_merge_requests() == []
    again = opened(world.forge.merge(mr.iid, mr.head_sha))
    assert again == merged == opened(world.people.show(mr.iid))
    assert "moved" in refused(world.forge.merge(mr.iid, "1" * 40))


def test_a_merge_is_guarded_by_the_head(world: World) -> None:
    mr = world.bot_opens()
    world.person_pushes(BRANCH, {FILE: BASE.replace(b"one", b"three")}, start=f"origin/{BRANCH}")
    assert "branch has moved" in refused(world.forge.merge(mr.iid, mr.head_sha))
    assert opened(world.people.merge_as("alice", mr.iid)).state is MergeRequestStatus.MERGED
    assert git(world.folder / "config.git", "log", "-1", "--format=%cn", "main") == "alice"


def test_what_cannot_be_merged_says_why(world: World) -> None:
    world.person_pushes("topic", {"b.yml": b"x\n"})
    mr = opened(world.people.open_as("alice", "topic", "t", draft=True))
    assert mr.draft
    assert "draft" in refused(world.people.merge_as("alice", mr.iid))
    assert not opened(world.people.set_draft(mr.iid, draft=False)).draft
    git(world.checkout, "push", "-q", "origin", ":topic")
    assert opened(world.people.show(mr.iid)).head_sha == ""
    assert world.forge.diff(opened(world.people.show(mr.iid))).changes == ()
    assert isinstance(world.forge.merged_tree(opened(world.people.show(mr.iid))), Unreachable)
    assert "branch is gone" in refused(world.people.merge_as("alice", mr.iid))
    world.people.close_as("alice", mr.iid)
    assert "closed" in refused(world.people.merge_as("alice", mr.iid))
    assert "no merge request" in refused(world.people.merge_as("alice", 9))


def test_merges_and_pushes_to_main_at_once_lose_nothing(world: World) -> None:
    for number in range(6):
        world.person_pushes(f"topic{number}", {f"{number}.yml": b"x\n"})
        world.people.open_as("alice", f"topic{number}", "t")
    with ThreadPoolExecutor(5) as pool:
        pushing = pool.submit(push_to_main, world, 6)
        answers = list(pool.map(lambda iid: world.people.merge_as("alice", iid), range(1, 7)))
        assert pushing.result() > 0
    assert [opened(answer).state for answer in answers] == [MergeRequestStatus.MERGED] * 6
    names = git(world.folder / "config.git", "ls-tree", "--name-only", "main").split()
    assert set(names) == {*(f"{number}.yml" for number in range(6)), *(f"own{number}.yml" for number in range(6)), FILE}


def push_to_main(world: World, times: int) -> int:
    """A person who pushes to main and, when somebody was faster, rebases and pushes again; counts the pushes."""
    tries = 0
    for number in range(times):
        git(world.checkout, "fetch", "-q", "origin")
        git(world.checkout, "checkout", "-q", "-B", "work", "origin/main")
        (world.checkout / f"own{number}.yml").write_bytes(b"x")
        git(world.checkout, "add", ".")
        git(world.checkout, "commit", "-q", "-m", "own")
        pushed_now = False
        while not pushed_now:
            tries += 1
            git(world.checkout, "pull", "-q", "--rebase", "origin", "main")
            push = ["git", "push", "-q", "origin", "work:main"]
            pushed_now = subprocess.run(push, cwd=world.checkout, check=False, capture_output=True).returncode == 0
    return tries


def test_a_writer_killed_at_any_moment_leaves_a_forge_that_goes_on(world: World) -> None:
    for number in range(12):
        branch = f"saasbot/{number}"
        pushed(world.forge.push(world.commit(b"two", branch=branch)))
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(world.folder), branch], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()  # it has loaded and begins now
        time.sleep(0.004 * number)
        process.kill()
        process.communicate()
        world.forge.folder.recover()
        found = world.forge.open(branch, "t", "d", [])
        if isinstance(found, MergeRequest):
            opened(world.forge.merge(found.iid, found.head_sha))
    every = world.people.list_all()
    assert [mr.source_branch for mr in every] == [f"saasbot/{number}" for number in range(12)]
    assert {mr.state for mr in every} == {MergeRequestStatus.MERGED}
    assert git(world.folder / "config.git", "rev-list", "--count", "--merges", "main") == "12"


def test_a_merge_that_was_cut_short_is_seen_and_finished(world: World) -> None:
    mr = world.bot_opens()
    opened(world.forge.merge(mr.iid, mr.head_sha))
    store = LocalStore(world.folder)
    document = store.get(mr.iid)
    assert document is not None
    git(world.folder / "config.git", "branch", BRANCH, mr.head_sha)
    with store.writing():
        store.put(replace(document, state=MergeRequestStatus.OPENED, merged_by=""))
    assert opened(world.forge.merge_request(mr.iid)).state is MergeRequestStatus.MERGED
    assert world.forge.open_merge_requests() == []
    head = world.main
    assert opened(world.forge.merge(mr.iid, mr.head_sha)).state is MergeRequestStatus.MERGED
    assert (world.main, world.forge.branches("saasbot/")) == (head, {})


def test_a_push_finishes_a_merge_that_was_cut_short_on_its_branch(world: World) -> None:
    mr = world.bot_opens()
    opened(world.forge.merge(mr.iid, mr.head_sha))
    path = world.folder / "merge_requests" / "1.json"
    path.write_text(path.read_text().replace('"merged"', '"opened"'))
    git(world.folder / "config.git", "branch", BRANCH, mr.head_sha)
    head = pushed(world.forge.push(world.commit(b"three")))
    assert world.forge.branches("saasbot/") == {BRANCH: head}
    assert opened(world.forge.open(BRANCH, "t", "d", [])).iid == 2


def test_a_merge_commit_that_never_reached_main_is_forgotten(world: World) -> None:
    mr = world.bot_opens()
    store = LocalStore(world.folder)
    document = store.get(mr.iid)
    assert document is not None
    with store.writing():
        store.put(replace(document, merge_sha="1" * 40))
    assert opened(world.forge.merge_request(mr.iid)).state is MergeRequestStatus.OPENED
    assert opened(world.forge.merge(mr.iid, mr.head_sha)).state is MergeRequestStatus.MERGED


def test_the_bot_closes_with_a_comment_and_deletes_the_branch(world: World) -> None:
    mr = world.bot_opens()
    assert world.forge.close(mr.iid, BRANCH, "already there") is None
    closed = opened(world.forge.merge_request(mr.iid))
    assert (closed.state, closed.closed_by, closed.head_sha) == (MergeRequestStatus.CLOSED, "saasbot", mr.head_sha)
    assert [note.body for note in closed.notes] == ["already there"]
    assert world.forge.branches("saasbot/") == {}
    assert world.forge.close(mr.iid, BRANCH, "already there") is None
    assert opened(world.forge.merge_request(mr.iid)) == closed


def test_closing_again_leaves_the_branch_of_a_later_merge_request(world: World) -> None:
    old = world.bot_opens()
    world.forge.close(old.iid, BRANCH, "")
    new = world.bot_opens()
    assert new.iid == old.iid + 1
    assert world.forge.close(old.iid, BRANCH, "") is None
    assert world.forge.branches("saasbot/") == {BRANCH: new.head_sha}
    opened(world.forge.merge(new.iid, new.head_sha))
    assert "merged" in refused(world.forge.close(new.iid, BRANCH, "late"))
    assert "no merge request" in refused(world.forge.close(9, BRANCH, ""))


def test_a_person_closes_and_the_branch_stays(world: World) -> None:
    mr = world.bot_opens()
    closed = opened(world.people.close_as("alice", mr.iid))
    assert (closed.state, closed.closed_by) == (MergeRequestStatus.CLOSED, "alice")
    assert BRANCH in world.forge.branches("saasbot/")
    assert opened(world.people.close_as("bob", mr.iid)).closed_by == "alice"
    opened(world.bot_opens(branch="saasbot/b"))
    opened(world.people.merge_as("alice", 2))
    assert "merged" in refused(world.people.close_as("alice", 2))


def test_title_description_and_approval_change_in_place(world: World) -> None:
    mr = world.bot_opens()
    assert world.forge.update(mr.iid, "newer", "words") is None
    world.people.approve_as("alice", mr.iid)
    assert opened(world.people.approve_as("alice", mr.iid)).approved_by == ("alice",)
    seen = opened(world.forge.merge_request(mr.iid))
    assert (seen.title, seen.description, seen.approved_by) == ("newer", "words", ("alice",))
    assert "no merge request" in refused(world.forge.update(9, "", ""))


def test_notes_are_written_edited_and_reacted_to(world: World) -> None:
    mr = world.bot_opens()
    first = noted(world.people.comment_as("alice", mr.iid, "/saasbot hold"))
    second = noted(world.forge.comment(Thread.MERGE_REQUEST, mr.iid, "report"))
    assert (first.id, first.author, first.bot, first.head) == ("1", "alice", False, mr.head_sha)
    assert (second.id, second.bot, second.created_at) == ("2", True, NOW)
    assert noted(world.forge.comment(Thread.MERGE_REQUEST, mr.iid, "newer report", "2")).body == "newer report"
    assert world.forge.react(Thread.MERGE_REQUEST, mr.iid, "1", ok=True) is None
    assert world.forge.react(Thread.MERGE_REQUEST, mr.iid, "1", ok=True) is None
    assert world.forge.react(Thread.MERGE_REQUEST, mr.iid, "1", ok=False) is None
    assert [note.body for note in opened(world.people.show(mr.iid)).notes] == ["/saasbot hold", "newer report"]
    stored = json.loads((world.folder / "merge_requests" / "1.json").read_text())
    assert stored["notes"][0]["reactions"] == {"ok": ["saasbot"], "no": ["saasbot"]}


def test_notes_of_others_and_missing_ones_are_refused(world: World) -> None:
    mr = world.bot_opens()
    world.people.comment_as("alice", mr.iid, "mine")
    assert "not saasbot's" in refused(world.forge.comment(Thread.MERGE_REQUEST, mr.iid, "forged", "1"))
    assert "no note 7" in refused(world.forge.comment(Thread.MERGE_REQUEST, mr.iid, "x", "7"))
    assert "no merge request" in refused(world.forge.comment(Thread.MERGE_REQUEST, 9, "x", "1"))
    assert "no merge request" in refused(world.forge.comment(Thread.MERGE_REQUEST, 9, "x"))
    assert "no note 7" in refused(world.forge.react(Thread.MERGE_REQUEST, mr.iid, "7", ok=True))


def test_note_ids_rise_over_the_whole_forge_and_survive_a_lost_counter(world: World) -> None:
    world.bot_opens()
    world.bot_opens(branch="saasbot/b")
    ids = [noted(world.forge.comment(Thread.MERGE_REQUEST, iid, "x")).id for iid in (1, 2, 1)]
    (world.folder / "numbers.json").unlink()
    ids.append(noted(world.forge.comment(Thread.MERGE_REQUEST, 2, "x")).id)
    assert ids == ["1", "2", "3", "4"]
    assert world.bot_opens(branch="saasbot/c").iid == 3


def test_a_persons_commits_are_kept_on_top_of_the_rebuilt_branch(world: World) -> None:
    mr = world.bot_opens()
    hand = world.person_pushes(BRANCH, {"note.txt": b"by hand\n"}, start=f"origin/{BRANCH}")
    world.person_pushes("main", {FILE: BASE.replace(b"one", b"moved")})
    commit = world.commit(b"two", head=hand, keep=hand)
    head = pushed(world.forge.push(commit))
    assert world.forge.push(commit) == head
    assert world.file(head, "note.txt") == b"by hand\n"
    assert world.file(head) == BASE.replace(b"one", b"two")
    authors = git(world.folder / "config.git", "log", "--format=%an", f"main..{head}").split()
    assert authors == ["alice", "saasbot"]
    assert not opened(world.forge.merge_request(mr.iid)).has_conflicts


def test_a_persons_commits_that_do_not_apply_or_cannot_be_told_apart_are_refused(world: World) -> None:
    world.bot_opens()
    hand = world.person_pushes(BRANCH, {FILE: BASE.replace(b"one", b"hand")}, start=f"origin/{BRANCH}")
    assert "do not apply" in refused(world.forge.push(world.commit(b"three", head=hand, keep=hand)))
    git(world.checkout, "checkout", "-q", "-B", "work", f"origin/{BRANCH}~0")
    git(world.checkout, "reset", "-q", "--hard", f"{hand}~1")
    (world.checkout / "smuggled.txt").write_text("x")
    git(world.checkout, "add", ".")
    git(world.checkout, "commit", "-q", "--amend", "--no-edit")
    git(world.checkout, "push", "-q", "--force", "origin", f"work:{BRANCH}")
    amended = world.forge.branches(BRANCH)[BRANCH]
    assert "as it was made" in refused(world.forge.push(world.commit(b"three", head=amended, keep=amended)))
    assert world.forge.branches(BRANCH)[BRANCH] == amended


def test_processes_at_once_share_merge_requests_and_never_a_number(world: World) -> None:
    for number in range(5):
        pushed(world.forge.push(world.commit(b"two", branch=f"saasbot/{number}")))
    words = [sys.executable, "-c", RACER, str(world.folder)]
    racers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    rows = [line.split() for racer in racers for line in racer.communicate(timeout=30)[0].splitlines()]
    assert {iid for iid, _ in rows} == {"1", "2", "3", "4", "5"}
    assert sorted(int(note) for _, note in rows) == list(range(1, 21))
    assert sum(len(mr.notes) for mr in world.people.list_all()) == 20


def test_lists_are_by_number_and_the_port_shows_open_ones_into_the_branch(world: World) -> None:
    for number in range(11):
        world.bot_opens(branch=f"saasbot/{number}")
    world.people.close_as("alice", 2)
    assert [mr.iid for mr in world.people.list_all()] == list(range(1, 12))
    assert [mr.iid for mr in world.forge.open_merge_requests()] == [1, *range(3, 12)]


def test_a_missing_or_broken_forge_is_unreachable_with_advice(world: World, tmp_path: Path) -> None:
    missing = LocalForge(tmp_path / "nowhere", "main", BOT, {}, lambda: NOW)
    asks: list[Callable[[], object]] = [
        missing.open_merge_requests,
        lambda: missing.merge_request(1),
        lambda: missing.branches("saasbot/"),
        lambda: missing.push(world.commit(b"x")),
        lambda: missing.open(BRANCH, "", "", []),
    ]
    for ask in asks:
        with pytest.raises(ServerUnreachable, match="no local forge") as caught:
            ask()
        assert "forge.path" in caught.value.hint
    world.bot_opens()
    (world.folder / "merge_requests" / "1.json").write_text('{"iid": 1')
    with pytest.raises(ServerUnreachable, match=r"1\.json"):
        world.forge.open_merge_requests()
    (world.folder / "config.git" / "HEAD").unlink()
    with pytest.raises(ServerUnreachable, match="cannot read the local forge"):
        world.forge.branches("")


def test_strange_files_among_the_documents_do_not_disturb(world: World) -> None:
    world.bot_opens()
    for name in ("README.md", "1.json.tmp", "x.json"):
        (world.folder / "merge_requests" / name).write_text("x")
    assert len(world.people.list_all()) == 1


def settings(**options: object) -> Settings:
    return Settings("main", ForgeSettings("local", options), StateSettings("file:s"))


def test_settings_make_a_forge_beside_them(world: World) -> None:
    wished = settings(path="../forge", members={"alice": "owner", "bob": "developer"})
    forge = local_forge(wished, world.checkout, lambda: NOW)
    assert forge.branches("main") == {"main": world.main}
    assert local_forge(settings(path="../forge", members=None), world.checkout, lambda: NOW).role("alice") is Role.NONE
    assert [forge.role(user) for user in ("alice", "bob", "eve")] == [Role.OWNER, Role.DEVELOPER, Role.NONE]


@pytest.mark.parametrize(
    "options", [{}, {"path": 1}, {"path": "x", "members": []}, {"path": "x", "members": {"a": "king"}}]
)
def test_options_that_cannot_work_are_wrong_usage(options: dict[str, object]) -> None:
    with pytest.raises(WrongUsage):
        local_forge(settings(**options), Path(), lambda: NOW)


def test_git_variables_of_the_caller_do_not_matter(world: World, tmp_path: Path) -> None:
    code = RACER.replace("range(5)", "range(1)")
    pushed(world.forge.push(world.commit(b"two", branch="saasbot/0")))
    elsewhere = {**os.environ, "GIT_DIR": str(tmp_path / "none"), "GIT_AUTHOR_NAME": "eve"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.folder)], env=elsewhere, check=True, capture_output=True
    )
    assert done.stdout.split() == [b"1", b"1"]


# The dashboard, and merging when the CI is green


def test_the_dashboard_is_written_commented_and_reacted_to(world: World) -> None:
    assert world.forge.dashboard("Deployments") is None
    assert "no dashboard" in refused(world.people.comment_dashboard_as("bob", "hi"))
    assert world.forge.put_dashboard(0, "Deployments", "one") == world.forge.dashboard("Deployments")
    first = noted(world.people.comment_dashboard_as("bob", "/saasbot status"))
    second = noted(world.forge.comment(Thread.DASHBOARD, 1, "answer"))
    world.forge.put_dashboard(1, "Deployments", "two")
    seen = world.forge.dashboard("Deployments")
    assert seen is not None
    assert (seen.body, [note.body for note in seen.notes]) == ("two", ["/saasbot status", "answer"])
    assert world.forge.dashboard("Another") is None
    assert noted(world.forge.comment(Thread.DASHBOARD, 1, "newer", second.id)).body == "newer"
    assert "no note" in refused(world.forge.comment(Thread.DASHBOARD, 1, "forged", first.id))
    assert world.forge.react(Thread.DASHBOARD, 1, first.id, ok=True) is None
    before = (world.folder / "dashboard.json").read_bytes()
    assert world.forge.react(Thread.DASHBOARD, 1, first.id, ok=True) is None
    assert (world.folder / "dashboard.json").read_bytes() == before
    assert "no note" in refused(world.forge.react(Thread.DASHBOARD, 1, "99", ok=True))


def test_a_broken_dashboard_is_one_line(world: World) -> None:
    (world.folder / "dashboard.json").write_text("{")
    with pytest.raises(ServerUnreachable, match="dashboard"):
        world.forge.dashboard("Deployments")


def test_what_is_set_to_merge_says_by_whom_and_merges_when_its_ci_succeeds(world: World) -> None:
    mr = world.bot_opens()
    world.people.set_ci(mr.iid, CiStatus.RUNNING)
    waits = world.forge.merge(mr.iid, mr.head_sha, when_green=True)
    assert isinstance(waits, MergeRequest)
    assert (waits.state, waits.auto_merge) == (MergeRequestStatus.OPENED, True)
    seen = world.forge.merge_request(mr.iid)
    assert seen is not None
    assert (seen.auto_merge, seen.auto_merge_by) == (True, "saasbot")
    assert world.forge.cancel_auto_merge(mr.iid) is None
    world.people.set_ci(mr.iid, CiStatus.SUCCESS)
    still = world.forge.merge_request(mr.iid)
    assert still is not None
    assert still.state is MergeRequestStatus.OPENED
    world.people.set_ci(mr.iid, CiStatus.RUNNING)
    world.forge.merge(mr.iid, mr.head_sha, when_green=True)
    world.people.set_ci(mr.iid, CiStatus.SUCCESS)
    merged = world.forge.merge_request(mr.iid)
    assert merged is not None
    assert merged.state is MergeRequestStatus.MERGED


def test_a_label_is_put_on_and_taken_off_by_the_bot_and_by_people(world: World) -> None:
    mr = world.bot_opens()
    assert world.forge.label(mr.iid, "needs-attention", on=True) is None
    assert world.forge.label(mr.iid, "needs-attention", on=True) is None
    seen = world.forge.merge_request(mr.iid)
    assert seen is not None
    assert seen.labels == (*mr.labels, "needs-attention")
    changed = world.people.set_label(mr.iid, "needs-attention", on=False)
    assert isinstance(changed, MergeRequest)
    assert changed.labels == mr.labels
    assert world.forge.label(mr.iid, "needs-attention", on=False) is None
    assert "no merge request 9" in refused(world.forge.label(9, "x", on=True))
