"""Exactly once, shown: whole stories with a fault at every call of every port, and with random pairs of faults.

Each story is told once without faults, in memory and at the local forge. Then it is told from each of its passes with
each call of that pass failing, losing its answer, killing the process, or being overtaken by another process; further
passes recover. At the end of the step nobody can tell any more that anything went wrong (`worlds.memory_seen`): each
run key was started once, no promotion is lost, no command is answered twice, and the statefile is the same.

By default every so many faults are tried, and some pairs. SAASBOT_FAULTS=all is for all of them and thousands of pairs;
SAASBOT_FAULTS="STORY SEED" tells one pair again, as a failure names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

import pytest
from worlds.faulty_ports import Call, Injector, Kind, faulty, survived
from worlds.memory_stories import PROD, STORIES
from worlds.memory_walk import Story, Telling, Walk, tell
from worlds.memory_world import MemoryWorld
from worlds.story_world import StoryWorld

ASKED = os.environ.get("SAASBOT_FAULTS", "")
EVERYTHING = ASKED == "all"
STEP = 1 if EVERYTHING else 17
"""Of the faults of a story every so many is tried by default."""

PAIRS = 1000 if EVERYTHING else 24
"""Random pairs for each story."""

WHOLE = 20
"""Of so many pairs one is told to the story's end, even where nothing can be told any more."""

SECOND = {False: 0.03, True: 0.3}
"""The chance of each call after the first fault to be the second one: of a question, and of an effect."""

SHOWN = 5
"""Failures that are shown in full."""

EXPECTED = {
    "config": "fetch tree",
    "tree": "files read",
    "cache": "get put",
    "forge": (
        "me knows_me open_merge_requests merge_request branches diff merged_tree role freezes dashboard "
        "push open update close merge cancel_auto_merge comment react put_dashboard"
    ),
    "pipelines": "status start cancel",
    "builds": "newest",
    "images": "digest",
    "refs": "resolve",
    "histories": "lineage titles",
    "state": "read write",
    "clock": "now real nonce",
}
"""All that passes call; `pipelines.find` is called by recoveries only."""

Place = tuple[int, Call, Kind]
"""A fault: the pass, the call in it, and what becomes of it."""


@cache
def told(story: Story) -> Telling:
    """The story, told once."""
    return tell(story)


def kinds(call: Call) -> Sequence[Kind]:
    """The faults that a call may meet."""
    return tuple(kind for kind in (call.kinds if EVERYTHING else call.telling) if not hopeless(call, kind))


def hopeless(call: Call, kind: Kind) -> bool:
    """What no client can prevent: between its last look and the write right after it another one does the same.

    Forges know no "create unless there is one" for comments and issues, and a server that carries out a request minutes
    after it was sent cannot be told from one that never will. All that has such a guard is tried: pushes, merges, the
    opening of a merge request, the statefile; starts within the minute in which `find` does not say no.
    """
    late = kind is Kind.PAUSED and call.name in ("pipelines.start", "forge.comment", "forge.put_dashboard")
    created = call.name == "forge.comment" and call.about.count(",") == 1
    first = call.name == "forge.put_dashboard" and call.about.startswith("0,")
    return late or (kind in (Kind.OVERTAKEN, Kind.PAUSED) and (created or first))


def places(telling: Telling) -> Iterator[Place]:
    """Every single fault of a story."""
    for number, each in enumerate(telling.passes):
        for call in each.calls:
            yield from ((number, call, kind) for kind in kinds(call))


def walked(walk: Walk, choose: object) -> str:
    """Walk; what went wrong, or nothing."""
    try:
        walk.run(choose)  # type: ignore[arg-type] # a function of pass and call
    except (AssertionError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if walk.struck else "the fault was not met: the story is not told the same way twice"


def once(telling: Telling, place: Place) -> str:
    """Walk with one fault."""
    number, wanted, kind = place
    return walked(Walk(telling, number), lambda later, call: kind if later == 0 and call == wanted else None)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_any_single_fault_is_recovered_from(story: Story) -> None:
    telling = told(story)
    found = list(places(telling))
    chosen = found[len(story.name) % STEP :: STEP]
    failures = [(place, failure) for place in chosen if (failure := once(telling, place))]
    shown = "\n".join(f"pass {number}: {call} {kind}\n{failure}" for (number, call, kind), failure in failures[:SHOWN])
    assert not failures, f"{len(failures)} of {len(chosen)} faults of the story {story.name}:\n{shown}"


class Pair:
    """Two random faults: one anywhere in the story, the other one at any later call, as the dice of the seed fall."""

    def __init__(self, telling: Telling, seed: int) -> None:
        self.dice = f"{telling.story.name} {seed}"
        chance = Random(self.dice)  # noqa: S311 - no secret, the same faults each time
        self.start = chance.randrange(len(telling.passes))
        calls = [call for call in telling.passes[self.start].calls if kinds(call)]
        effects = [call for call in calls if call.effect]
        self.first = chance.choice(effects if effects and chance.random() < 2 / 3 else calls)
        self.kind = chance.choice(kinds(self.first))
        self.met = 0

    def __call__(self, number: int, call: Call) -> Kind | None:
        """What becomes of a call."""
        if not self.met:
            if number or call != self.first:
                return None
            self.met = 1
            return self.kind
        chance = Random(f"{self.dice} {number} {call}")  # noqa: S311 - as above, whatever thread asks first
        if self.met > 1 or not kinds(call) or chance.random() > SECOND[call.effect]:
            return None
        self.met = 2
        return chance.choice(kinds(call))


def twice(telling: Telling, seed: int) -> tuple[str, int]:
    """Walk with a random pair; what went wrong, with the pair, and how many faults were met."""
    walk = Walk(telling, (pair := Pair(telling, seed)).start, shortcuts=bool(seed % WHOLE), faults=2)
    failure = walked(walk, pair)
    met = "; ".join(f"pass {walk.start}+{number} {call} {kind}" for number, call, kind in walk.struck)
    again = f'SAASBOT_FAULTS="{telling.story.name} {seed}"'
    return (f"{again}: {met}\n{failure}" if failure else ""), len(walk.struck)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_random_pairs_of_faults_are_recovered_from(story: Story) -> None:
    name, _, seed = ASKED.partition(" ")
    seeds: Sequence[int] = (int(seed),) if seed and name == story.name else range(1, PAIRS + 1)
    ends = [twice(told(story), each) for each in seeds]
    failures = [failure for failure, _ in ends if failure]
    assert not failures, f"{len(failures)} of {len(seeds)} pairs:\n" + "\n".join(failures[:SHOWN])
    pairs = sum(met > 1 for _, met in ends)
    assert seed or pairs > len(seeds) / 3, f"only {pairs} of {len(seeds)} met a second fault: this shows little"


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
    called = {call.name for story in STORIES for each in told(story).passes for call in each.calls}
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
