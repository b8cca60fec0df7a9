"""Listing and cleaning the jobs of an operation at real stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from worlds.triple_stores import STATUS, Store, a_run

from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.ports import Refused


def finished(store: Store, name: str) -> dict[str, str]:
    """A job with a task, an error of each, and a container that the task's successor took over; by what they are."""
    job = store.put_job("dump", "success")
    made = {what: f"{job}/{name}/{what}" for what in ("task", "next", "error", "job-error", "container", "file")}
    store.add(f"""<{made["task"]}> a task:Task ; dct:isPartOf <{job}> ; adms:status <{STATUS}success> ;
  task:error <{made["error"]}> ; task:resultsContainer <{made["container"]}> .
<{made["next"]}> a task:Task ; dct:isPartOf <{job}> ; task:inputContainer <{made["container"]}> .
<{job}> task:error <{made["job-error"]}> .
<{made["error"]}> a oslc:Error ; oslc:message "no" . <{made["job-error"]}> a oslc:Error ; oslc:message "no" .
<{made["container"]}> a <urn:container> ; task:hasFile <{made["file"]}> . <{made["file"]}> a <urn:file> .""")
    return {"job": job, **made}


def subjects(store: Store, graph: str = "") -> set[str]:
    return {s for s, _, _ in store.triples(graph)}


def test_bj_9_jobs_are_listed_by_creation(store: Store) -> None:
    second = store.put_job("dump", "failed", at="2026-02-01T00:00:00Z")
    first = store.put_job("dump", "success", at="2026-01-01T00:00:00Z")
    without = store.put_job("dump", "busy", at="")
    store.put_job("healing", "busy")
    found = store.pipelines().jobs(store.job(kind="dump"))
    assert not isinstance(found, Refused)
    at = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2)]
    assert list(found) == [
        (first, RunStatus.SUCCEEDED, at[0], at[0]),
        (second, RunStatus.FAILED, at[1], at[1]),
        (without, RunStatus.RUNNING, None, None),
    ]


def test_bj_9_clean_takes_all_that_belongs_to_a_job_and_nothing_else(store: Store) -> None:
    one, two = finished(store, "one"), finished(store, "two")
    other = store.put_job("healing", "success")
    removed = store.pipelines().clean(store.job(kind="dump"), force=False)
    assert not isinstance(removed, Refused)
    parts = ("job", "task", "next", "error", "job-error", "container")
    assert set(removed) == {each[part] for each in (one, two) for part in parts}
    assert set(removed[:2]) == {one["job"], two["job"]}
    assert subjects(store) == {other, one["file"], two["file"]}
    assert store.pipelines().clean(store.job(kind="dump"), force=False) == ()


def test_bj_9_what_somebody_else_refers_to_stays(store: Store) -> None:
    made = finished(store, "one")
    store.add(f"<urn:other-task> a task:Task ; task:inputContainer <{made['container']}> .")
    removed = store.pipelines().clean(store.job(kind="dump"), force=False)
    assert not isinstance(removed, Refused)
    assert made["container"] not in removed
    assert subjects(store) == {made["container"], made["file"], "urn:other-task"}


def test_bj_9_an_active_job_is_removed_by_force_only(store: Store) -> None:
    pipelines, job = store.pipelines(), store.job(kind="dump")
    fact = pipelines.start(job, a_run(), {})
    assert isinstance(fact, RunFact)
    old, before = finished(store, "old"), store.triples()
    answer = pipelines.clean(job, force=False)
    assert isinstance(answer, Refused)
    assert fact.handle.split(" ")[0] in answer.text
    assert store.triples() == before
    removed = pipelines.clean(job, force=True)
    assert not isinstance(removed, Refused)
    assert subjects(store) == {old["file"]}


def test_bj_8_clean_stays_in_its_graph_unless_told_otherwise(store: Store) -> None:
    elsewhere = f"{store.graph}/of-somebody-else"
    here, there = store.put_job("dump", "failed"), store.put_job("dump", "failed", graph=elsewhere)
    assert store.pipelines().clean(store.job(kind="dump"), force=False) == (here,)
    assert subjects(store, elsewhere) == {there}
    assert store.pipelines().clean(store.job(kind="dump", anyGraph=True), force=False) == (there,)
    assert subjects(store, elsewhere) == set()


def test_more_jobs_than_one_request_names(store: Store) -> None:
    operation, mine = store.operations["dump"], f"urn:{store.graph[-12:]}"
    for part in range(3):
        triples = (
            f"<{job}> a cogs:Job ; task:operation <{operation}> ; adms:status <{STATUS}success> . "
            f"<{job}:task> dct:isPartOf <{job}> ; task:error <{job}:error> . "
            for job in (f"{mine}:{part}:{number}" for number in range(15))
        )
        store.add("".join(triples))
    removed = store.pipelines().clean(store.job(kind="dump"), force=False)
    assert not isinstance(removed, Refused)
    assert len(removed) == 2 * 45 + 45
    assert {s for s, _, _ in store.triples()} == set()


def test_the_next_job_may_start_after_a_clean(store: Store) -> None:
    pipelines, job = store.pipelines(), store.job(kind="initial-sync")
    failed = store.put_job("initial-sync", "failed")
    assert isinstance(pipelines.start(job, a_run(), {}), Refused)
    assert pipelines.clean(job, force=False) == (failed,)
    fact = pipelines.start(replace(job), a_run(), {})
    assert isinstance(fact, RunFact)
