"""Starting background jobs at real stores: what is written, what keeps a job from starting, what consumers find."""

from __future__ import annotations

import uuid

import pytest
from worlds.triple_stores import NOW, STATUS, Store, a_run

from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.ports import Refused

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
MU = "http://mu.semte.ch/vocabularies/core/uuid"
DCT = "http://purl.org/dc/terms/"
ADMS = "http://www.w3.org/ns/adms#status"
TASK = "http://redpencil.data.gift/vocabularies/tasks/"
CREATOR = "http://lblod.data.gift/services/delta-producer-background-jobs-initiator"
HEALING_TASK = "http://redpencil.data.gift/id/jobs/concept/TaskOperation/deltas/healing/patchPublicationGraph"
TOLD = {"SAASBOT_TRIGGER": "leidinggevenden"}


def job_of(fact: RunFact | Refused) -> str:
    """The job that a start led to."""
    assert isinstance(fact, RunFact), fact
    return fact.handle.split(" ")[0]


def refused(answer: RunFact | Refused) -> Refused:
    assert isinstance(answer, Refused), answer
    return answer


def shortened(store: Store) -> set[tuple[str, str, str]]:
    """The graph's triples, times without the milliseconds that one store keeps and another does not."""
    return {(s, p, o.replace(".000Z", "Z")) for s, p, o in store.triples()}


def test_bj_2_exactly_seven_and_eight_triples(store: Store) -> None:
    fact = store.pipelines().start(store.job(kind="dump"), a_run(), TOLD)
    assert isinstance(fact, RunFact)
    job = job_of(fact)
    (task,) = {s for s, _, _ in store.triples()} - {job}
    at, kind = "2026-03-01T12:00:00Z", "http://redpencil.data.gift/id/jobs/concept/TaskOperation/deltas/"
    assert shortened(store) == {
        (job, RDF, "http://vocab.deri.ie/cogs#Job"),
        (job, MU, job.removeprefix("http://redpencil.data.gift/id/job/")),
        (job, f"{DCT}creator", CREATOR),
        (job, ADMS, f"{STATUS}busy"),
        (job, f"{DCT}created", at),
        (job, f"{DCT}modified", at),
        (job, f"{TASK}operation", store.operations["dump"]),
        (task, RDF, f"{TASK}Task"),
        (task, MU, task.removeprefix("http://redpencil.data.gift/id/task/")),
        (task, ADMS, f"{STATUS}scheduled"),
        (task, f"{DCT}created", at),
        (task, f"{DCT}modified", at),
        (task, f"{TASK}operation", f"{kind}deltaDumpFileCreation"),
        (task, f"{TASK}index", "0"),
        (task, f"{DCT}isPartOf", job),
    }
    assert (fact.status, fact.started_at, fact.finished_at) == (RunStatus.RUNNING, NOW, None)
    assert job in fact.text


def test_bj_2_the_index_is_a_string_and_the_times_are_times(store: Store) -> None:
    store.pipelines().start(store.job(kind="dump"), a_run(), TOLD)
    found = store.select(f"""SELECT ?task WHERE {{ GRAPH <{store.graph}> {{
  ?task task:index "0" ; dct:created ?at . FILTER(?at < "2030-01-01T00:00:00Z"^^xsd:dateTime) }} }}""")
    assert len(found) == 1


def test_bj_2_every_run_has_uuids_of_its_own(store: Store) -> None:
    keys = [uuid.uuid4().hex for _ in range(3)]
    jobs = []
    for key in keys:
        job = job_of(store.pipelines().start(store.job(kind="dump"), a_run(key), TOLD))
        store.set_status(job, "success")
        jobs.append(job)
    ids = [o for _, p, o in store.triples() if p == MU]
    assert len(set(jobs)) == 3
    assert len(ids) == len(set(ids)) == 6
    assert all(uuid.UUID(each).version == 5 for each in ids)


def test_started_twice_it_is_there_once(store: Store) -> None:
    run = a_run()
    first = store.pipelines().start(store.job(kind="dump"), run, TOLD)
    again = store.pipelines().start(store.job(kind="dump"), run, TOLD)
    assert again == first
    assert len(store.triples()) == 15
    store.set_status(job_of(first), "success")
    later = store.pipelines().start(store.job(kind="dump"), run, TOLD)
    assert isinstance(later, RunFact)
    assert (later.status, job_of(later)) == (RunStatus.SUCCEEDED, job_of(first))
    assert len(store.triples()) == 15


@pytest.mark.parametrize("status", ["busy", "scheduled"])
@pytest.mark.parametrize(
    ("kind", "other"),
    [
        *(("healing", other) for other in ("healing", "initial-sync", "dump")),
        *(("dump", other) for other in ("dump", "initial-sync", "healing")),
        *(("initial-sync", other) for other in ("healing", "dump")),
    ],
)
def test_bj_3_an_active_job_of_these_kinds_is_in_the_way(store: Store, kind: str, other: str, status: str) -> None:
    there = store.put_job(other, status)
    answer = refused(store.pipelines().start(store.job(kind=kind, requires=[]), a_run(), TOLD))
    assert answer.again is None
    assert there in answer.text
    assert store.jobs(kind) == ([there] if kind == other else [])


@pytest.mark.parametrize("status", ["success", "failed", "canceled"])
def test_bj_3_jobs_that_are_over_are_in_nobodys_way(store: Store, status: str) -> None:
    for kind in ("healing", "dump"):
        store.put_job(kind, status)
    job_of(store.pipelines().start(store.job(kind="dump"), a_run(), TOLD))
    assert len(store.jobs("dump")) == 2


def test_bj_3_healing_needs_a_successful_initial_sync_and_a_dump_does_not(store: Store) -> None:
    pipelines = store.pipelines()
    store.put_job("initial-sync", "failed")
    answer = refused(pipelines.start(store.job(kind="healing"), a_run(), TOLD))
    assert answer.again is None
    assert store.operations["initial-sync"] in answer.text
    dump = job_of(pipelines.start(store.job(kind="dump"), a_run(), TOLD))
    store.set_status(dump, "success")
    store.put_job("initial-sync", "success")
    healing = job_of(pipelines.start(store.job(kind="healing"), a_run(), TOLD))
    assert (healing, f"{TASK}operation", store.operations["healing"]) in store.triples()
    assert (healing, f"{DCT}isPartOf", healing) not in store.triples()
    assert HEALING_TASK in {o for _, _, o in store.triples()}


def test_bj_3_which_successes_are_needed_can_be_said(store: Store) -> None:
    needs = store.job(kind="dump", requires=[store.operations["initial-sync"], store.operations["healing"]])
    store.put_job("initial-sync", "success")
    assert store.operations["healing"] in refused(store.pipelines().start(needs, a_run(), TOLD)).text
    store.put_job("healing", "success")
    job_of(store.pipelines().start(needs, a_run(), TOLD))
    waits_for_nothing = store.fresh()
    job_of(store.pipelines().start(waits_for_nothing.job(kind="healing", requires=[]), a_run(), TOLD))


def test_bj_9_forced_past_active_jobs_but_not_past_the_chronology(store: Store) -> None:
    dump, forced = store.put_job("dump", "busy"), {**TOLD, "SAASBOT_FORCE": "true"}
    pipelines, healing = store.pipelines(), store.job(kind="healing")
    answer = refused(pipelines.start(healing, a_run(), forced))
    assert ("needs a successful job" in answer.text, answer.again) == (True, None)
    store.put_job("initial-sync", "success")
    assert "Incompatible" in refused(pipelines.start(healing, a_run(), TOLD)).text
    fact = pipelines.start(healing, a_run(), forced)
    assert isinstance(fact, RunFact)
    assert fact.text == f"job {job_of(fact)}; also active, for it was started by force: {dump}"


def test_bj_9_an_initial_sync_that_ran_is_not_repeated_by_force(store: Store) -> None:
    forced = {**TOLD, "SAASBOT_FORCE": "true"}
    pipelines, failed = store.pipelines(), store.put_job("initial-sync", "failed")
    assert failed in refused(pipelines.start(store.job(kind="initial-sync"), a_run(), forced)).text
    store.put_job("dump", "busy")
    again = store.job(kind="initial-sync", retryFailed=True)
    assert "Incompatible" in refused(pipelines.start(again, a_run(), TOLD)).text
    sync = job_of(pipelines.start(again, a_run(), forced))
    assert job_of(pipelines.start(again, a_run(), forced)) == sync


@pytest.mark.parametrize("status", ["failed", "canceled", "somewhere"])
def test_bj_3_an_initial_sync_that_did_not_succeed_is_not_repeated_unasked(store: Store, status: str) -> None:
    there = store.put_job("initial-sync", status)
    answer = refused(store.pipelines().start(store.job(kind="initial-sync"), a_run(), TOLD))
    assert answer.again is None
    assert f"{there} ({status})" in answer.text
    assert "retryFailed" in answer.text
    assert store.jobs("initial-sync") == [there]
    job_of(store.pipelines().start(store.job(kind="initial-sync", retryFailed=True), a_run(), TOLD))
    assert len(store.jobs("initial-sync")) == 2


@pytest.mark.parametrize("retry_failed", [False, True])
@pytest.mark.parametrize(("status", "as_run"), [("success", RunStatus.SUCCEEDED), ("busy", RunStatus.RUNNING)])
def test_bj_3_an_initial_sync_from_before_is_the_run(
    store: Store, status: str, as_run: RunStatus, *, retry_failed: bool
) -> None:
    """The one who created it may be the original service: the bot goes on from there, and starts nothing."""
    store.put_job("initial-sync", "failed")
    there = store.put_job("initial-sync", status)
    fact = store.pipelines().start(store.job(kind="initial-sync", retryFailed=retry_failed), a_run(), TOLD)
    assert job_of(fact) == there
    assert isinstance(fact, RunFact)
    assert fact.status is as_run
    assert "nothing was started" in fact.text
    assert len(store.jobs("initial-sync")) == 2
    assert store.pipelines().status(None, a_run(handle=fact.handle)).status is as_run


def test_bj_3_a_dump_in_the_way_of_a_repeated_initial_sync(store: Store) -> None:
    store.put_job("initial-sync", "failed")
    dump = store.put_job("dump", "busy")
    answer = refused(store.pipelines().start(store.job(kind="initial-sync", retryFailed=True), a_run(), TOLD))
    assert dump in answer.text
    assert "Incompatible" in answer.text


def test_bj_6_a_refusal_is_kept_as_an_error_once(store: Store) -> None:
    blocker, run = store.put_job("dump", "busy"), a_run()
    for _ in range(2):
        answer = refused(store.pipelines().start(store.job(kind="dump"), run, TOLD))
    about = [(p, o) for s, p, o in shortened(store) if "/id/jobs/error/" in s]
    (error,) = {s for s, _, _ in store.triples() if "/id/jobs/error/" in s}
    assert sorted(about) == sorted(
        [
            (RDF, "http://open-services.net/ns/core#Error"),
            (RDF, "http://redpencil.data.gift/vocabularies/deltas/Error"),
            (MU, error.removeprefix("http://redpencil.data.gift/id/jobs/error/")),
            (f"{DCT}subject", "Delta Producer Background Jobs Initiator"),
            ("http://open-services.net/ns/core#message", answer.text),
            (f"{DCT}created", "2026-03-01T12:00:00Z"),
            (f"{DCT}creator", f"{CREATOR}/leidinggevenden"),
        ]
    )
    assert blocker in answer.text
    assert len(answer.text) <= 1000


def test_bj_6_many_blockers_make_a_message_of_bounded_length(store: Store) -> None:
    for _ in range(12):
        store.put_job("dump", "busy")
    answer = refused(store.pipelines().start(store.job(kind="dump"), a_run(), TOLD))
    assert len(answer.text) == 1000
    assert answer.text in {o for _, _, o in store.triples()}


def test_bj_6_creators_can_be_named(store: Store) -> None:
    named = {"creator": "http://example.com/bot", "errorCreator": "http://example.com/errors"}
    pipelines = store.pipelines()
    job_of(pipelines.start(store.job(kind="dump", **named), a_run(), TOLD))
    refused(pipelines.start(store.job(kind="dump", **named), a_run(), TOLD))
    created = {o for _, p, o in store.triples() if p == f"{DCT}creator"}
    assert created == set(named.values())


def test_bj_8_other_graphs_count_only_where_any_graph_is_said(store: Store) -> None:
    elsewhere = f"{store.graph}/of-somebody-else"
    there = store.put_job("dump", "busy", graph=elsewhere)
    answer = refused(store.pipelines().start(store.job(kind="dump", anyGraph=True), a_run(), TOLD))
    assert there in answer.text
    assert len(store.triples(elsewhere)) == 5
    job_of(store.pipelines().start(store.job(kind="dump"), a_run(), TOLD))


def test_a_plain_job_is_blocked_by_its_own_operation_or_by_whatever_is_said(store: Store) -> None:
    pipelines, one = store.pipelines(), store.put_job("dump", "busy")
    store.put_job("healing", "success")
    assert one in refused(pipelines.start(store.job(), a_run(), TOLD)).text
    job_of(pipelines.start(store.job(blockedBy=[store.operations["healing"]]), a_run(), TOLD))
    assert "urn:task:plain" in {o for _, _, o in store.triples()}


def test_a_block_that_validate_would_refuse_is_refused(oxigraph: Store) -> None:
    store = oxigraph.fresh()
    wrong = store.job(kind="dump", graph="no uri")
    pipelines, no = store.pipelines(), Refused("job job: `graph` is an absolute URI")
    assert pipelines.start(wrong, a_run(), {}) == no
    assert pipelines.clean(wrong, force=True) == pipelines.jobs(wrong) == no
    assert pipelines.preview(wrong, a_run(), {}) == {"refused": no.text}
    found = pipelines.find(wrong, a_run())
    assert found is not None
    assert found.status is RunStatus.UNKNOWN


# What consumers ask: the graph maintainer looks for scheduled tasks of jobs of its operations, in one graph.


def test_bj_13_a_consumer_finds_the_task_of_its_job(store: Store) -> None:
    store.put_job("initial-sync", "success")
    job = job_of(store.pipelines().start(store.job(kind="healing"), a_run(), TOLD))
    tasks = store.select(f"""SELECT DISTINCT ?task ?job WHERE {{ GRAPH ?where {{
  ?job a cogs:Job ; task:operation <{store.operations["healing"]}> .
  ?task a task:Task ; dct:isPartOf ?job ; task:operation <{HEALING_TASK}> ; adms:status <{STATUS}scheduled> .
}} }}""")
    assert [row["job"] for row in tasks] == [job]


def test_bj_13_a_consumer_takes_the_task_for_a_new_one_of_interest(store: Store) -> None:
    """What it is told of first is the task's URI alone, because its status became `scheduled`."""
    store.pipelines().start(store.job(kind="dump"), a_run(), TOLD)
    (task,) = {s for s, p, o in store.triples() if (p, o) == (ADMS, f"{STATUS}scheduled")}
    found = store.select(f"""SELECT DISTINCT ?job ?of WHERE {{ GRAPH ?where {{
  ?job a cogs:Job ; task:operation ?operation .
  <{task}> dct:isPartOf ?job ; a task:Task ; task:operation ?of ; adms:status <{STATUS}scheduled> .
  FILTER(?operation IN (<{store.operations["healing"]}>, <{store.operations["dump"]}>)) }} }}""")
    assert len(found) == 1


def test_bj_13_a_consumer_sees_that_a_job_is_active(store: Store) -> None:
    asked = f"""SELECT DISTINCT ?job WHERE {{ GRAPH ?where {{
  ?job a cogs:Job ; task:operation ?operation ; adms:status ?status .
  FILTER(?status IN (<{STATUS}scheduled>, <{STATUS}busy>))
  FILTER(?operation IN (<{store.operations["initial-sync"]}>, <{store.operations["healing"]}>)) }} }}"""
    assert store.select(asked) == []
    job = job_of(store.pipelines().start(store.job(kind="initial-sync"), a_run(), TOLD))
    assert [row["job"] for row in store.select(asked)] == [job]
