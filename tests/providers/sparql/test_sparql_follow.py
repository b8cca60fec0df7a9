"""Following, ending and finding again jobs at real stores."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worlds.triple_stores import NOW, STATUS, Store, a_run

from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.model.servers import Pipeline
from bot.ports import Refused

ADMS = "http://www.w3.org/ns/adms#status"
LATER = NOW + timedelta(hours=2)


def started(store: Store, pipeline: Pipeline | None = None) -> tuple[Run, str, str]:
    """A run that was started, with its job and its task."""
    run = a_run()
    fact = store.pipelines().start(pipeline or store.job(kind="dump"), run, {})
    assert isinstance(fact, RunFact), fact
    job = fact.handle.split(" ")[0]
    (task,) = {s for s, p, o in store.triples() if p.endswith("isPartOf") and o == job}
    return replace(run, handle=fact.handle), job, task


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("busy", RunStatus.RUNNING),
        ("scheduled", RunStatus.PENDING),
        ("success", RunStatus.SUCCEEDED),
        ("failed", RunStatus.FAILED),
        ("canceled", RunStatus.CANCELED),
        ("paused", RunStatus.UNKNOWN),
    ],
)
def test_bj_13_statuses_in_our_words(store: Store, word: str, status: RunStatus) -> None:
    run, job, _ = started(store)
    store.set_status(job, word, "2026-03-01T13:30:00Z")
    fact = store.pipelines().status(None, run)
    over = status not in {RunStatus.RUNNING, RunStatus.PENDING}
    ended = datetime(2026, 3, 1, 13, 30, tzinfo=UTC) if over else None
    assert (fact.status, fact.started_at, fact.finished_at, fact.handle) == (status, NOW, ended, run.handle)
    assert ("paused" in fact.text) == (word == "paused")


def test_bj_13_error_messages_are_told_in_one_line_each(store: Store) -> None:
    run, job, task = started(store)
    store.set_status(job, "failed")
    store.add(rf"""<{task}> task:error <urn:error:{job[-12:]}> .
<urn:error:{job[-12:]}> a oslc:Error ; oslc:message "no such file\n    at load (app.js)" .
<{job}> task:error <urn:error:{job[-12:]}:2> . <urn:error:{job[-12:]}:2> oslc:message "it broke" .""")
    fact = store.pipelines().status(None, run)
    assert fact.text == "no such file; it broke"


def test_what_a_start_said_is_kept_until_there_are_errors(store: Store) -> None:
    run, _, _ = started(store)
    assert store.pipelines().status(None, replace(run, text="job ...; also active: ...")).text.startswith("job ...;")


def test_many_errors_are_counted(store: Store) -> None:
    run, job, task = started(store)
    for number in range(5):
        error = f"<urn:error:{job[-12:]}:{number}>"
        store.add(f'<{task}> task:error {error} . {error} oslc:message "error {number}" .')
    assert store.pipelines().status(None, run).text == "error 0; error 1; error 2 and 2 more"


def test_details_of_a_job_with_several_tasks(store: Store) -> None:
    run, job, task = started(store)
    for index, status in (("2", "scheduled"), ("10", "scheduled"), ("2.1", "busy")):
        store.add(f"""<{job}/{index}> a task:Task ; dct:isPartOf <{job}> ; task:index "{index}" ;
  adms:status <{STATUS}{status}> ; task:operation <urn:step:{index}> .""")
    found = store.pipelines().details(None, run)["job"]
    assert (found["uri"], found["status"], found["operation"]) == (job, "running", store.operations["dump"])
    assert [each["index"] for each in found["tasks"]] == ["0", "2", "2.1", "10"]
    assert [each["status"] for each in found["tasks"]] == ["pending", "pending", "running", "pending"]
    assert found["tasks"][0]["uri"] == task
    assert found["tasks"][2] == {
        "uri": f"{job}/2.1",
        "status": "running",
        "operation": "urn:step:2.1",
        "index": "2.1",
    }


def test_a_job_that_is_gone_is_unknown(store: Store) -> None:
    run, job, _ = started(store)
    store.update(f"DELETE {{ GRAPH <{store.graph}> {{ ?s ?p ?o }} }} WHERE {{ GRAPH <{store.graph}> {{ ?s ?p ?o }} }}")
    fact = store.pipelines().status(None, run)
    assert fact == RunFact(RunStatus.UNKNOWN, run.handle, "", f"the store has no job {job} any more")
    assert store.pipelines().details(None, run) == {}
    assert store.pipelines().details(None, a_run()) == {}


def test_two_statuses_of_one_job(store: Store) -> None:
    """Whoever wrote the second one did not take the first away: as long as one is active, it may go on."""
    run, job, _ = started(store)
    store.add(f"<{job}> adms:status <{STATUS}success> .")
    assert store.pipelines().status(None, run).status is RunStatus.RUNNING
    store.update(f"DELETE DATA {{ GRAPH <{store.graph}> {{ <{job}> adms:status <{STATUS}busy> }} }}")
    store.add(f"<{job}> adms:status <{STATUS}failed> .")
    fact = store.pipelines().status(None, run)
    assert (fact.status, fact.text) == (RunStatus.UNKNOWN, "its status is failed and success")


@pytest.mark.parametrize("word", ["failed", "canceled"])
def test_bj_7_a_job_is_ended_with_its_tasks_in_one_update(store: Store, word: str) -> None:
    pipeline = store.job(kind="dump", onCancel=word)
    run, job, task = started(store, pipeline)
    store.add(f"""<{job}/1> a task:Task ; dct:isPartOf <{job}> ; adms:status <{STATUS}success> ;
  dct:modified "2026-03-01T12:30:00Z"^^xsd:dateTime .
<{job}/2> a task:Task ; dct:isPartOf <{job}> ; adms:status <{STATUS}busy> .""")
    fact = store.pipelines(now=lambda: LATER).cancel(pipeline, run)
    assert isinstance(fact, RunFact)
    assert (fact.status, fact.finished_at) == (RunStatus(word), LATER)
    ends = {(s, o) for s, p, o in store.triples() if p.endswith("#status")}
    end = f"{STATUS}{word}"
    assert ends == {(job, end), (task, end), (f"{job}/1", f"{STATUS}success"), (f"{job}/2", end)}
    modified = {(s, o[:16]) for s, p, o in store.triples() if p.endswith("modified")}
    assert modified == {
        *((each, "2026-03-01T14:00") for each in (job, task, f"{job}/2")),
        (f"{job}/1", "2026-03-01T12:30"),
    }


def test_bj_7_only_what_is_still_active_is_ended(store: Store) -> None:
    pipeline = store.job(kind="dump")
    run, job, _ = started(store, pipeline)
    store.set_status(job, "success")
    before = store.triples()
    fact = store.pipelines(now=lambda: LATER).cancel(pipeline, run)
    assert isinstance(fact, RunFact)
    assert fact.status is RunStatus.SUCCEEDED
    assert store.triples() == before


def test_bj_7_another_job_is_left_alone(store: Store) -> None:
    pipeline = store.job(blockedBy=[])
    run, _, _ = started(store, pipeline)
    other, _, _ = started(store.fresh())
    neighbour = store.put_job("dump", "busy")
    store.pipelines().cancel(pipeline, run)
    assert (neighbour, "http://www.w3.org/ns/adms#status", f"{STATUS}busy") in store.triples()
    assert store.pipelines().status(None, other).status is RunStatus.RUNNING


MINUTES = 60
AGES = [("2026-03-01T11:00:01Z", False), ("2026-03-01T11:00:00Z", True), ("2026-01-01T00:00:00Z", True), ("", False)]
"""When a job was modified last, and whether 60 minutes are over at noon; nobody knows of one that does not say."""


@pytest.mark.parametrize(("at", "over"), AGES)
def test_bj_7_a_job_in_the_way_is_given_up_after_its_minutes(store: Store, at: str, *, over: bool) -> None:
    there, elsewhere = store.put_job("healing", "busy", at=at), f"{store.graph}/of-somebody-else"
    others = store.put_job("healing", "busy", at=at, graph=elsewhere)
    store.add(f"<{there}/1> a task:Task ; dct:isPartOf <{there}> ; adms:status <{STATUS}scheduled> .")
    answer = store.pipelines().start(store.job(kind="dump", timeoutMinutes=MINUTES), a_run(), {})
    assert isinstance(answer, RunFact) == over
    assert (there in answer.text, others in answer.text) == (True, False)
    word = "failed" if over else "busy"
    assert ((there, ADMS, f"{STATUS}{word}") in store.triples(), len(store.jobs("dump"))) == (True, int(over))
    assert ((f"{there}/1", ADMS, f"{STATUS}failed") in store.triples()) == over
    assert (others, ADMS, f"{STATUS}busy") in store.triples(elsewhere)


def test_bj_7_what_counts_is_the_last_change_and_without_one_the_creation(store: Store) -> None:
    old, new = '"2026-03-01T09:00:00Z"^^xsd:dateTime', '"2026-03-01T11:30:00Z"^^xsd:dateTime'
    active = f"a cogs:Job ; adms:status <{STATUS}busy> ; task:operation <{store.operations['dump']}>"
    store.add(f"<urn:changed:{store.graph[-12:]}> {active} ; dct:created {old} ; dct:modified {new} .")
    pipelines, job = store.pipelines(), store.job(kind="dump", timeoutMinutes=MINUTES, onCancel="canceled")
    assert isinstance(pipelines.start(job, a_run(), {}), Refused)
    store.set_status(f"urn:changed:{store.graph[-12:]}", "success")
    created = f"urn:created:{store.graph[-12:]}"
    store.add(f"<{created}> {active} ; dct:created {old} .")
    fact = pipelines.start(job, a_run(), {})
    assert isinstance(fact, RunFact)
    assert fact.text.endswith(f"; ended first, for their time was over: {created}")
    assert (created, ADMS, f"{STATUS}canceled") in store.triples()


def test_bj_7_an_initial_sync_past_its_minutes_is_one_that_failed(store: Store) -> None:
    store.put_job("initial-sync", "busy")
    pipelines = store.pipelines()
    answer = pipelines.start(store.job(kind="initial-sync", timeoutMinutes=MINUTES), a_run(), {})
    assert isinstance(answer, Refused)
    assert "ran before and did not succeed" in answer.text
    again = store.job(kind="initial-sync", timeoutMinutes=MINUTES, retryFailed=True)
    assert isinstance(pipelines.start(again, a_run(), {}), RunFact)


def test_bj_7_without_minutes_and_by_force_nobody_is_given_up(store: Store) -> None:
    there = store.put_job("dump", "busy")
    pipelines = store.pipelines()
    assert isinstance(pipelines.start(store.job(kind="dump"), a_run(), {}), Refused)
    forced = {"SAASBOT_FORCE": "true"}
    assert isinstance(pipelines.start(store.job(kind="dump", timeoutMinutes=MINUTES), a_run(), forced), RunFact)
    assert (there, ADMS, f"{STATUS}busy") in store.triples()


def test_what_never_started_is_canceled_by_that(store: Store) -> None:
    fact = store.pipelines().cancel(store.job(kind="dump"), a_run())
    assert isinstance(fact, RunFact)
    assert (fact.status, store.triples()) == (RunStatus.CANCELED, set())


def test_a_start_that_was_not_saved_is_found_and_can_be_ended(store: Store) -> None:
    pipeline = store.job(kind="dump")
    run, job, _ = started(store, pipeline)
    lost = replace(run, handle="")
    found = store.pipelines().find(pipeline, lost)
    assert found is not None
    assert (found.status, found.handle) == (RunStatus.RUNNING, run.handle)
    ended = store.pipelines().cancel(pipeline, lost)
    assert isinstance(ended, RunFact)
    assert (ended.status, ended.handle.split(" ")[0]) == (RunStatus.FAILED, job)


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from worlds.triple_stores import Store, a_run
store = Store("store", sys.argv[2], eval(sys.argv[3]), sys.argv[4], eval(sys.argv[5]))
store.pipelines().start(store.job(kind="dump"), a_run("the key of the killed"), {})
os.kill(os.getpid(), 9)
"""


def test_killed_between_start_and_save(oxigraph: Store) -> None:
    store = oxigraph.fresh()
    tests = Path(__file__).parents[2]
    told = (store.url, repr(dict(store.reach)), store.graph, repr(dict(store.operations)))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tests), *told], cwd=tests.parent, check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr
    found = store.pipelines().find(store.job(kind="dump"), a_run("the key of the killed"))
    assert found is not None
    assert found.status is RunStatus.RUNNING
    assert len(store.triples()) == 15


def test_a_key_that_never_started_is_a_clear_no(store: Store) -> None:
    started(store)
    assert store.pipelines().find(store.job(kind="dump"), a_run()) is None


def test_a_run_is_followed_when_its_definition_is_gone(store: Store) -> None:
    """The handle knows the way where it is not the usual one; a lost start is found only at the instance's address."""
    run, _, _ = started(store)
    assert store.pipelines().status(None, run).status is RunStatus.RUNNING
    base = replace(store, url=store.url + str(store.reach.get("endpoint", "")))
    found = base.pipelines().find(None, replace(run, handle=""))
    assert found is not None
    assert (found.status, found.handle.split(" ")[:2]) == (RunStatus.RUNNING, run.handle.split(" ")[:2])
    nowhere = base.pipelines().find(None, a_run())
    assert nowhere is not None
    assert nowhere.status is RunStatus.UNKNOWN


@pytest.mark.parametrize("handle", ["", "42", "urn:a", "urn:a urn:b colour=red", "urn:a no> urn:b", "<x> urn:b"])
def test_a_handle_of_another_provider_is_unknown(oxigraph: Store, handle: str) -> None:
    assert oxigraph.pipelines().status(None, a_run(handle=handle)).status is RunStatus.UNKNOWN
    assert oxigraph.pipelines().details(None, a_run(handle=handle)) == {}


def test_probe_and_mark(store: Store) -> None:
    assert store.pipelines().probe(store.job(kind="dump")) is None
    assert store.pipelines().mark(store.job(kind="dump")) == ""
    answer = store.pipelines(url="http://127.0.0.1:9").probe(store.job(kind="dump"))
    assert isinstance(answer, Refused)
    assert answer.again == timedelta(0)
