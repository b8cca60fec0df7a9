"""Exactly once, shown: whole stories with a fault at every call of every port, and with random pairs of faults.

Each story is told once without faults, in memory and, those of promotions, at the local forge. Then it is told from
each of its passes with each call of that pass failing, losing its answer, killing the process, or being overtaken by
another process; further passes recover. At the end of the step nobody can tell any more that anything went wrong
(`worlds.memory_seen`): each run key was started once, no promotion is lost, no command is answered twice, each job of a
slot has run once, and the statefile is the same. `worlds.fault_plans` says which faults are tried.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds.fault_plans import EVERYTHING, WHOLE, Pair, once, recovered, sample, seeds, shown, told, twice
from worlds.faulty_ports import Call, Injector, Kind, faulty, survived
from worlds.memory_job_stories import JOB_STORIES
from worlds.memory_move_stories import MOVES
from worlds.memory_stories import PROD, STORIES
from worlds.memory_walk import Story, Walk
from worlds.memory_world import MemoryWorld
from worlds.story_world import StoryWorld

ALL = (*STORIES, MOVES, *JOB_STORIES)
FAULTS = 20
"""Faults of a story that are tried by default."""

PAIRS = 1000 if EVERYTHING else 6
"""Random pairs for each story."""

EXPECTED = {
    "config": "fetch tree",
    "tree": "files read",
    "cache": "get put",
    "forge": (
        "me knows_me open_merge_requests merge_request branches diff merged_tree role freezes dashboard "
        "push open update close merge cancel_auto_merge comment react put_dashboard"
    ),
    "pipelines": "status start cancel mark probe details",
    "builds": "newest",
    "images": "digest",
    "refs": "resolve",
    "histories": "lineage titles",
    "documents": "value",
    "state": "read write",
    "clock": "now real nonce",
}
"""All that passes call; `pipelines.find` is called by recoveries only."""


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.name)
def test_any_single_fault_is_recovered_from(story: Story) -> None:
    telling = told(story)
    chosen = sample(telling, FAULTS)
    failures = [(place, failure) for place in chosen if (failure := once(Walk(telling, place[0]), place))]
    assert not failures, shown(telling, failures, len(chosen))


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.name)
def test_random_pairs_of_faults_are_recovered_from(story: Story) -> None:
    telling, ends = told(story), []
    for seed in seeds(story, PAIRS):
        pair = Pair(telling, seed)
        ends.append(twice(Walk(telling, pair.start, shortcuts=bool(seed % WHOLE), faults=2), pair))
    recovered(story, ends)


def due() -> bytes:
    """A world with an open merge request of the bot, and a question asked on it."""
    world = MemoryWorld()
    world.calm()
    world.later(hours=1).commit()
    world.calm()
    world.later(hours=25).calm()
    world.later(hours=1).comment("alice", "/saasbot explain")
    return world.freeze()


def ended_meanwhile(world: MemoryWorld, act: str, moment: Call) -> MemoryWorld:
    """A person merges or closes it at this moment of a pass; then further passes."""
    injector = Injector(
        lambda call: Kind.OVERTAKEN if call == moment else None,
        lambda _: getattr(world, act)(1),
    )
    ports = faulty(world.ports(), injector)
    survived(lambda: world.one_pass(ports))
    world.later(minutes=5).calm()
    return world


@pytest.mark.parametrize("act", ["merge", "close"])
def test_a_person_may_end_a_merge_request_at_any_moment_of_a_pass(act: str) -> None:
    before = due()
    undisturbed = Injector()
    world = MemoryWorld.thaw(before)
    world.one_pass(faulty(world.ports(), undisturbed))
    for moment in undisturbed.calls:
        world = ended_meanwhile(MemoryWorld.thaw(before), act, moment)
        assert len(world.people.list_all()) == 1, f"{act} before {moment}: another one was opened"
        ran = [sha for target, sha, _ in world.runs() if target == PROD]
        assert (ran, len(world.state().vetoes)) == ((world.shas, 0) if act == "merge" else ([], 1)), moment


def test_the_stories_call_everything_that_a_pass_can_call() -> None:
    called = {call.name for story in ALL for each in told(story).passes for call in each.calls}
    providers = {"pipelines", "builds", "images"}
    assert called - providers == {f"{port}.{name}" for port, names in EXPECTED.items() for name in names.split()}
    assert called >= providers


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_stories_read_the_same_at_the_local_forge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    # The programs know the real time alone, and time-outs count from when they began.
    world = StoryWorld(tmp_path / "world", now=datetime.now(UTC).replace(microsecond=0), **story.wishes)
    for number, step in enumerate(story.steps):
        world.later(hours=1 if number else 0)
        step(world)
        world.calm()
        world.check()
    story.end(world)
