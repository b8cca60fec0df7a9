"""Plans of faults for the walks of stories: which of them are tried, singly and in random pairs.

By default so many faults of a story are tried, spread over all of it, and some pairs. SAASBOT_FAULTS=all is for all of
them and thousands of pairs; SAASBOT_FAULTS="STORY SEED" tells one pair again, as a failure names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from random import Random
from typing import Protocol

from worlds.faulty_ports import Call, Kind
from worlds.memory_looks import looked_at
from worlds.memory_walk import Story, Telling, tell

from bot.errors import LostState

ASKED = os.environ.get("SAASBOT_FAULTS", "")
EVERYTHING = ASKED == "all"

WHOLE = 20
"""Of so many pairs one is told to the story's end, even where nothing can be told any more."""

SECOND = {False: 0.03, True: 0.3}
"""The chance of each call after the first fault to be the second one: of a question, and of an effect."""

SHOWN = 5
"""Failures that are shown in full."""

Place = tuple[int, Call, Kind]
"""A fault: the process, the call in it, and what becomes of it."""


class Walker(Protocol):
    """A walk of a story with faults, by passes or by looks."""

    telling: Telling
    start: int
    struck: list[tuple[int, Call, Kind]]

    def run(self, choose: Callable[[int, Call], Kind | None]) -> None:
        """Walk."""


@cache
def told(story: Story) -> Telling:
    """The story, told once by passes."""
    return tell(story)


@cache
def looked(story: Story) -> Telling:
    """The story, told once by looks."""
    return looked_at(told(story))


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


def sample(telling: Telling, most: int) -> Sequence[Place]:
    """So many of them, spread over the story, or all."""
    found = list(places(telling))
    step = 1 if EVERYTHING else max(1, len(found) // most)
    return found[len(telling.story.name) % step :: step]


def shown(telling: Telling, failures: Sequence[tuple[Place, str]], tried: int) -> str:
    """Some failures in full."""
    lines = (
        f"{number} ({telling.passes[number].subject or 'pass'}): {call} {kind}\n{failure}"
        for (number, call, kind), failure in failures[:SHOWN]
    )
    return f"{len(failures)} of {tried} faults of the story {telling.story.name}:\n" + "\n".join(lines)


def once(walk: Walker, place: Place) -> str:
    """Walk with one fault; what went wrong, or nothing."""
    _, wanted, kind = place
    return walked(walk, lambda later, call: kind if later == 0 and call == wanted else None)


def walked(walk: Walker, choose: Callable[[int, Call], Kind | None]) -> str:
    """Walk; what went wrong, or nothing."""
    try:
        walk.run(choose)
    except (AssertionError, ValueError, KeyError, LostState) as error:
        return f"{type(error).__name__}: {error}"
    return "" if walk.struck else "the fault was not met: the story is not told the same way twice"


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


def seeds(story: Story, most: int) -> Sequence[int]:
    """The pairs to be tried: the one that was asked for, or so many."""
    name, _, seed = ASKED.partition(" ")
    return (int(seed),) if seed and name == story.name else range(1, most + 1)


def twice(walk: Walker, pair: Pair) -> tuple[str, int]:
    """Walk with a random pair; what went wrong, with the pair, and how many faults were met."""
    failure = walked(walk, pair)
    met = "; ".join(f"{walk.start}+{number} {call} {kind}" for number, call, kind in walk.struck)
    return (f'SAASBOT_FAULTS="{pair.dice}": {met}\n{failure}' if failure else ""), len(walk.struck)


def recovered(story: Story, ends: Sequence[tuple[str, int]]) -> None:
    """No pair failed, and enough of them were pairs."""
    failures = [failure for failure, _ in ends if failure]
    assert not failures, f"{len(failures)} of {len(ends)} pairs of {story.name}:\n" + "\n".join(failures[:SHOWN])
    pairs = sum(met > 1 for _, met in ends)
    assert not EVERYTHING or pairs > len(ends) / 8, f"only {pairs} of {len(ends)} met a second: this shows little"
