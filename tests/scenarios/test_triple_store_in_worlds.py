"""Background jobs in a triple store by the whole bot: definitions in a config repository, real stores, some days."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from worlds.fake_http import Fault
from worlds.faulty_ports import Call, Injector, Killed, Kind, faulty
from worlds.line_world import broken, held, kinds
from worlds.object_stores import Between
from worlds.producer_world import Producer
from worlds.triple_stores import STATUS, Store
from worlds.world import World

from bot.errors import StateRace
from bot.model.plan import Report
from bot.model.rounds import JobStatus, Result
from bot.reconcile import reconcile

DCT = "http://purl.org/dc/terms/"
TASK = "http://redpencil.data.gift/vocabularies/tasks/"
CREATOR = "http://lblod.data.gift/services/delta-producer-background-jobs-initiator"


def test_bj_2_a_job_that_is_due_is_written_whole_and_found_by_its_service(producer: Producer) -> None:
    store = producer.store
    producer.defines()
    assert store.triples() == set()
    producer.passes(hours=14)
    (job,) = store.jobs("initial-sync")
    task = producer.service.scheduled_task("initial-sync")
    assert producer.service.takes(task)
    assert producer.service.waits()
    assert not producer.service.waits(beside=job)
    at = {"2026-03-03T00:00:00.000Z", "2026-03-03T00:00:00Z"}
    told = [(s, p, "now" if o in at else o) for s, p, o in store.triples()]
    assert sorted(told) == sorted(
        [
            (job, "http://www.w3.org/1999/02/22-rdf-syntax-ns#type", "http://vocab.deri.ie/cogs#Job"),
            (job, "http://mu.semte.ch/vocabularies/core/uuid", job.rpartition("/")[2]),
            (job, f"{DCT}creator", CREATOR),
            (job, "http://www.w3.org/ns/adms#status", f"{STATUS}busy"),
            (job, f"{DCT}created", "now"),
            (job, f"{DCT}modified", "now"),
            (job, f"{TASK}operation", store.operations["initial-sync"]),
            (task, "http://www.w3.org/1999/02/22-rdf-syntax-ns#type", f"{TASK}Task"),
            (task, "http://mu.semte.ch/vocabularies/core/uuid", task.rpartition("/")[2]),
            (task, "http://www.w3.org/ns/adms#status", f"{STATUS}scheduled"),
            (task, f"{DCT}created", "now"),
            (task, f"{DCT}modified", "now"),
            (task, f"{TASK}operation", "http://redpencil.data.gift/id/jobs/concept/TaskOperation/deltas/initialPublicationGraphSyncing"),
            (task, f"{TASK}index", "0"),
            (task, f"{DCT}isPartOf", job),
        ]
    )  # fmt: skip


def test_bj_3_and_bj_5_several_days(producer: Producer) -> None:
    """Tuesday: the initial sync and healing. The bot sleeps until Friday. Saturday: the dump waits for healing."""
    store, service = producer.store, producer.service
    producer.defines().passes(hours=14)
    (sync,) = store.jobs("initial-sync")
    waits = producer.passes(hours=2)[-1].plan.held[0].text
    assert waits.endswith("came due at 2026-03-03T02:00:00Z: waits for the end of the present round")
    assert not store.jobs("healing")
    assert service.carries_out("initial-sync", at="2026-03-03T02:30:00Z") == sync
    producer.passes(minutes=45)
    assert (producer.round().number, producer.stands("healing")) == (2, "running")
    service.carries_out("healing", at="2026-03-03T03:00:00Z")
    producer.passes(hours=1)
    assert (producer.round().result, producer.round().text) == (Result.SUCCESS, "1 of 1 jobs ran and succeeded")

    producer.passes(days=3)
    assert [reason.text for reason in producer.round().reasons] == ["0 0 2 * * * came due at 2026-03-06T02:00:00Z"]
    assert len(store.jobs("healing")) == 2
    last = producer.passes(hours=21)[-1]
    assert (held(last), store.jobs("dump")) == ({("leidinggevenden", "run_in_flight")}, [])
    service.carries_out("healing", at="2026-03-07T00:55:00Z")
    producer.passes(minutes=1)
    (dump,) = store.jobs("dump")
    assert service.carries_out("dump", at="2026-03-07T01:00:00Z") == dump
    producer.passes(minutes=30)
    assert (producer.round().number, producer.stands("dump")) == (4, "succeeded")
    assert store.jobs("initial-sync") == [sync]
    assert producer.errors() == []


def test_bj_5_and_bj_6_a_refused_slot_is_one_error_and_no_flood(producer: Producer) -> None:
    store = producer.store
    store.put_job("initial-sync", "success")
    producer.defines().passes(hours=14)
    assert producer.stands("initial-sync") == "succeeded"
    blocker = store.put_job("dump", "busy")
    first, *_ = producer.passes(hours=2)
    (refused,) = broken(first)
    assert (refused.status, blocker in refused.text) == ("refused", True)
    assert (producer.round().result, producer.round().text) == (Result.ERROR, "failed: healing")
    for _ in range(5):
        assert kinds(producer.passes(hours=1)[-1]) == []
    assert (producer.errors(), producer.stands("healing")) == ([refused.text], JobStatus.REFUSED)
    producer.passes(days=1)
    assert len(producer.errors()) == 2
    store.set_status(blocker, "failed")
    producer.passes(days=1)
    assert producer.stands("healing") == "running"
    assert len(producer.errors()) == 2


def test_bj_5_slots_that_are_due_together_are_carried_out_one_after_another(producer: Producer) -> None:
    """The bot was away on Saturday night: healing and the dump are due, and would be in each other's way."""
    store, service = producer.store, producer.service
    store.put_job("initial-sync", "success")
    producer.defines(timeout="6h").passes(hours=14)
    producer.passes(days=4, hours=10)
    assert (producer.stands("healing"), producer.stands("dump")) == ("running", "waiting")
    producer.passes(hours=5)
    service.carries_out("healing", at="2026-03-07T15:00:00Z")
    producer.passes()
    assert (producer.stands("healing"), producer.stands("dump")) == ("succeeded", "running")
    producer.passes(hours=5)
    assert producer.stands("dump") == "running", "a job has the whole time-out"
    service.carries_out("dump", at="2026-03-07T20:00:00Z")
    producer.passes()
    assert (producer.round().text, producer.errors()) == ("2 of 2 jobs ran and succeeded", [])


def test_bj_3_healing_waits_for_an_initial_sync_that_succeeded(quick: Producer) -> None:
    """Also where the definition does not say `after`; and B-4: one that failed holds nobody for ever."""
    store = quick.store
    quick.defines()
    quick.world.edit("triggers/leidinggevenden.yml", "after: [initial-sync], ", "")
    quick.passes(hours=14)
    quick.service.carries_out("initial-sync", "failed")
    quick.passes(hours=2, minutes=30)
    assert next(job.text for job in quick.round().jobs if job.name == "healing").endswith(
        f"needs a successful job of {store.operations['initial-sync']} first"
    )
    assert "ran before and did not succeed" in quick.round().jobs[0].text
    quick.world.edit("triggers/leidinggevenden.yml", "{kind: initial-sync}", "{kind: initial-sync, retryFailed: true}")
    quick.passes(hours=1)
    quick.service.carries_out("initial-sync")
    quick.passes(days=1)
    assert quick.stands("healing") == "running"


def away(proxy: Between) -> None:
    """The store does not answer any more."""
    proxy.faults.append(Fault(("*", r".*"), "drop before", times=1000))


def test_bj_6_and_b_2_a_store_that_is_down_holds_and_the_job_starts_when_it_is_back(quick: Producer) -> None:
    with Between(quick.store.url) as proxy:
        quick.defines(proxy.url)
        away(proxy)
        first, *_, last = quick.passes(hours=14)
        (outcome,) = broken(first)
        assert (outcome.status, "the next pass asks again" in outcome.text) == ("skipped", True)
        assert held(last) == {("leidinggevenden/initial-sync", "unreachable")}
        quick.passes(minutes=10)
        assert quick.store.triples() == set()
        proxy.faults.clear()
        quick.passes(minutes=10)
    assert len(quick.store.triples()) == 15
    assert quick.stands("initial-sync") == "running"


def test_bj_6_an_update_whose_answer_is_lost_is_one_job(quick: Producer) -> None:
    with Between(quick.store.url) as proxy:
        quick.defines(proxy.url)
        proxy.faults.append(Fault(("*", r"/update"), "drop after"))
        quick.passes(hours=14)
    assert len(quick.store.triples()) == 15
    assert quick.stands("initial-sync") == "running"


@pytest.mark.parametrize("kind", [Kind.KILLED_BEFORE, Kind.KILLED_AFTER])
@pytest.mark.parametrize("name", ["pipelines.start", "state.write"])
def test_b_6_the_bot_killed_around_its_update_leaves_one_whole_job(quick: Producer, name: str, kind: Kind) -> None:
    quick.defines().world.later(hours=14)
    job = quick.world.job()

    def fate(call: Call) -> Kind | None:
        return kind if call.name == name else None

    with pytest.raises(Killed):
        quick.world.one_pass(replace(job, ports=faulty(job.ports, Injector(fate))))
    quick.passes(minutes=10)
    assert len(quick.store.triples()) == 15
    assert quick.stands("initial-sync") == "running"
    quick.service.carries_out("initial-sync")


def race(worlds: Sequence[World]) -> list[Report | StateRace]:
    """A pass in each world at the same moment."""
    gate = threading.Barrier(len(worlds))

    def one(world: World) -> Report | StateRace:
        job = world.job()
        gate.wait()
        try:
            return reconcile(job)
        except StateRace as race:
            return race

    with ThreadPoolExecutor(len(worlds)) as pool:
        return list(pool.map(one, worlds))


def test_bj_4_two_bots_with_one_statefile_and_one_slot_are_one_job(producer: Producer) -> None:
    producer.store.put_job("initial-sync", "success")
    producer.defines().passes(hours=14)
    world = producer.world.later(days=1)
    race([world, world])
    producer.passes()
    assert (len(producer.store.jobs("healing")), producer.stands("healing")) == (1, "running")
    assert producer.errors() == []


def test_bj_4_two_bots_that_know_nothing_of_each_other_are_one_job(producer: Producer, tmp_path: Path) -> None:
    other = replace(producer, world=World(tmp_path / "other", services=()))
    producer.store.put_job("initial-sync", "success")
    for each in (producer, other):
        each.defines().passes(hours=14)
        each.world.later(days=3)
    race([producer.world, other.world])
    assert len(producer.store.jobs("healing")) == 1
    stands = sorted([producer.stands("healing"), other.stands("healing")])
    assert stands == ["refused", "running"]
    assert len(producer.errors()) == 1


def test_b_5_and_bj_8_two_tenants_do_not_see_each_other(producer: Producer) -> None:
    """The same operations in two graphs, by one bot: neither waits for the other, or is cleaned with it."""
    here = producer.store
    there = replace(here, graph=f"{here.graph}/of-somebody-else")
    producer.defines().defines(store=there, name="mandatendatabank")
    producer.passes(hours=14)
    assert [len(here.triples(graph)) for graph in (here.graph, there.graph)] == [15, 15]
    runs = [producer.round(name).jobs[0].run for name in ("leidinggevenden", "mandatendatabank")]
    assert all(run is not None and run.status == "running" for run in runs)


def statuses(store: Store, job: str) -> list[str]:
    """The statuses of a job and of its tasks, the job's first."""
    found = {s: o.removeprefix(STATUS) for s, p, o in store.triples() if p == "http://www.w3.org/ns/adms#status"}
    tasks = sorted(s for s, p, o in store.triples() if p.endswith("isPartOf") and o == job)
    return [found[each] for each in (job, *tasks)]


def test_bj_7_and_b_1_a_job_past_its_minutes_is_set_to_failed_with_its_tasks(producer: Producer) -> None:
    """There, "60 minutes" was over after two seconds."""
    store = producer.store
    producer.defines(timeout="60m").passes(hours=14)
    (job,) = store.jobs("initial-sync")
    store.add(f"<{job}/done> a task:Task ; dct:isPartOf <{job}> ; adms:status <{STATUS}success> .")
    before = store.triples()
    producer.passes(seconds=2)
    producer.passes(minutes=59)
    assert store.triples() == before
    producer.world.later(minutes=1).one_pass()
    assert sorted(statuses(store, job)) == ["failed", "failed", "success"]
    modified = [o[:19] for s, p, o in store.triples() if p == f"{DCT}modified"]
    assert modified == ["2026-03-03T01:00:02"] * 2
    assert (producer.round().result, producer.stands("initial-sync")) == (Result.TIMEOUT, "failed")
    producer.passes(hours=1)
    assert store.jobs("initial-sync") == [job]


def test_bj_7_a_store_that_is_down_when_the_time_is_over_is_told_when_it_is_back(quick: Producer) -> None:
    with Between(quick.store.url) as proxy:
        quick.defines(proxy.url, timeout="60m").passes(hours=14)
        (job,) = quick.store.jobs("initial-sync")
        away(proxy)
        quick.world.later(hours=2).one_pass()
        assert (quick.round().result, quick.stands("initial-sync")) == (Result.TIMEOUT, "running")
        quick.passes(minutes=10)
        assert statuses(quick.store, job) == ["busy", "scheduled"]
        proxy.faults.clear()
        quick.world.later(minutes=10).one_pass()
    assert statuses(quick.store, job) == ["failed", "failed"]
    assert quick.stands("initial-sync") == "failed"


def test_bj_7_a_job_of_somebody_else_past_the_minutes_is_given_up_by_the_next_start(producer: Producer) -> None:
    """As the initiator does it: what counts is when it was modified last, and without that when it was created."""
    store = producer.store
    store.put_job("initial-sync", "success")
    crashed = store.put_job("dump", "busy", at="2026-03-03T01:00:00Z")
    producer.defines()
    producer.world.edit("triggers/leidinggevenden.yml", "with: {graph", "with: {timeoutMinutes: 60, graph")
    producer.passes(hours=15)
    producer.passes(hours=1)
    assert statuses(store, crashed) == ["failed"]
    assert producer.stands("healing") == "running"
    (healing,) = (job.run for job in producer.round().jobs if job.run is not None)
    assert f"ended first, for their time was over: {crashed}" in healing.text
    assert producer.errors() == []
