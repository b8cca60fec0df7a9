"""Races of 24 starters at real stores: one job each, whoever wins.

`SAASBOT_SPARQL_RACES=30` runs thirty at each store; by default each runs what it does in a few seconds.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from worlds.triple_stores import Store, a_run

from bot.model.observed import RunFact
from bot.model.servers import Pipeline
from bot.ports import Refused

STARTERS = 24
PASSING = re.compile(r"what was in its way is over by now$|Virtuoso 40001 Error")
"""Said now and then by Virtuoso while the winner's transaction is not over yet: asked again, it says who is there."""

RACES = {"oxigraph": 12, "virtuoso": 3}


def races(store: Store) -> int:
    return int(os.environ.get("SAASBOT_SPARQL_RACES") or RACES[store.name])


def race(store: Store, job: Pipeline, pool: ThreadPoolExecutor, key: str = "") -> list[RunFact | Refused]:
    """All of them start a job at the same moment over connections that they share; what each was told."""
    pipelines, gate = store.pipelines(), threading.Barrier(STARTERS)

    def start(_: int) -> RunFact | Refused:
        gate.wait()
        return pipelines.start(job, a_run(key), {})

    return list(pool.map(start, range(STARTERS)))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(STARTERS) as made:
        yield made


def test_bj_4_of_24_starters_one_gets_its_job(store: Store, pool: ThreadPoolExecutor) -> None:
    for _ in range(races(store)):
        fresh = store.fresh()
        told = race(fresh, fresh.job(kind="dump"), pool)
        (job,) = fresh.jobs("dump")
        assert [each.handle.split(" ")[0] for each in told if isinstance(each, RunFact)] == [job]
        refusals = [each for each in told if isinstance(each, Refused)]
        final = [each for each in refusals if each.again is None]
        assert {job in each.text for each in final} == {True}
        assert [each.text for each in refusals if each not in final and not PASSING.search(each.text)] == []
        assert len([s for s, p, _ in fresh.triples() if p.endswith("#type") and "/error/" not in s]) == 2


def test_bj_4_with_everything_that_a_guard_may_ask(store: Store, pool: ThreadPoolExecutor) -> None:
    for _ in range(max(1, races(store) // 10)):
        fresh = store.fresh()
        fresh.put_job("initial-sync", "success")
        race(fresh, fresh.job(kind="healing", anyGraph=True), pool)
        assert len(fresh.jobs("healing")) == 1


def test_bj_4_24_initial_syncs_are_one(store: Store, pool: ThreadPoolExecutor) -> None:
    """Each of them follows the one that came about."""
    told = race(store, store.job(kind="initial-sync"), pool)
    assert {each.handle.split(" ")[0] for each in told if isinstance(each, RunFact)} == set(store.jobs("initial-sync"))
    assert len(store.triples()) == 15


def test_bj_4_one_run_started_by_24_at_once_is_written_once(store: Store, pool: ThreadPoolExecutor) -> None:
    told = race(store, store.job(kind="dump"), pool, "one key for all")
    assert len(set(told)) == 1
    assert len(store.triples()) == 15
