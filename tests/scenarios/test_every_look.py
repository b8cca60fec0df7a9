"""The same stories told by looks at one subject at a time, with a fault at every call of any of them.

Each story is told once by looks, in random order, and comes to the very same as by passes. Then each call of each look
fails, loses its answer, kills its processor, or is overtaken by another processor, by another look at the same subject
or by a whole pass. At the end of the step everything is as it is after passes, and a pass finds nothing to do.
"""

from __future__ import annotations

import pytest
from worlds.fault_plans import EVERYTHING, WHOLE, Pair, looked, once, recovered, sample, seeds, shown, twice
from worlds.memory_job_stories import ASKED, JOB_STORIES, UNLISTED
from worlds.memory_looks import LookWalk
from worlds.memory_move_stories import MOVES
from worlds.memory_stories import STORIES
from worlds.memory_walk import Story

ALIKE = (ASKED, UNLISTED)
"""By looks they differ little from the one that is told by default."""

ALL = tuple(each for each in (*STORIES, MOVES, *JOB_STORIES) if EVERYTHING or each not in ALIKE)
FAULTS = 5
"""Faults of a story that are tried by default."""

PAIRS = 300 if EVERYTHING else 2
"""Random pairs for each story."""


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.name)
def test_any_single_fault_of_a_look_is_recovered_from(story: Story) -> None:
    telling = looked(story)
    chosen = sample(telling, FAULTS)
    failures = [(place, failure) for place in chosen if (failure := once(LookWalk(telling, place[0]), place))]
    assert not failures, shown(telling, failures, len(chosen))


@pytest.mark.parametrize("story", ALL, ids=lambda story: story.name)
def test_random_pairs_of_faults_in_looks_are_recovered_from(story: Story) -> None:
    telling, ends = looked(story), []
    for seed in seeds(story, PAIRS):
        pair = Pair(telling, seed)
        ends.append(twice(LookWalk(telling, pair.start, shortcuts=bool(seed % WHOLE), faults=2), pair))
    recovered(story, ends)
