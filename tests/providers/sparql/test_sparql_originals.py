"""What the original service gets wrong (SYSTEMS.md B, 1.4), by number: here it is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from worlds.triple_stores import NOW, STATUS, Store, a_run

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.ports import Refused
from bot.providers.pipelines.sparql_jobs import StoredJob

ADMS = "http://www.w3.org/ns/adms#status"


def job_of(answer: RunFact | Refused) -> str:
    assert isinstance(answer, RunFact), answer
    return answer.handle.split(" ")[0]


def test_b_1_a_young_job_is_not_timed_out_by_the_next_start(store: Store) -> None:
    """There, a job of two seconds was set to failed after "60 minutes", and a second one started beside it."""
    job = job_of(store.pipelines().start(store.job(kind="dump"), a_run(), {}))
    soon = store.pipelines(now=lambda: NOW + timedelta(seconds=2))
    assert isinstance(soon.start(store.job(kind="dump"), a_run(), {}), Refused)
    assert store.jobs("dump") == [job]
    assert (job, ADMS, f"{STATUS}busy") in store.triples()


def test_b_2_a_store_that_is_down_is_an_error_in_words(oxigraph: Store) -> None:
    """There, the error about the error broke the process."""
    store = oxigraph.fresh()
    with pytest.raises(ServerUnreachable, match=r"^http://127\.0\.0\.1:9/update: Connection refused; what came of it"):
        store.pipelines(url="http://127.0.0.1:9").start(store.job(kind="dump"), a_run(), {})


def test_b_3_the_answer_says_what_happened(store: Store) -> None:
    """There, "triggered" was said before anybody knew, and without the job."""
    pipelines = store.pipelines()
    first = pipelines.start(store.job(kind="dump"), a_run(), {})
    assert job_of(first) == store.jobs("dump")[0]
    assert isinstance(pipelines.start(store.job(kind="dump"), a_run(), {}), Refused)


def test_b_4_a_failed_initial_sync_does_not_block_for_ever(store: Store) -> None:
    pipelines, again = store.pipelines(), store.job(kind="initial-sync", retryFailed=True)
    store.put_job("initial-sync", "failed")
    assert isinstance(pipelines.start(store.job(kind="healing"), a_run(), {}), Refused)
    sync = job_of(pipelines.start(again, a_run(), {}))
    assert job_of(pipelines.start(again, a_run(), {})) == sync
    store.set_status(sync, "success")
    assert job_of(pipelines.start(again, a_run(), {})) == sync
    job_of(pipelines.start(store.job(kind="healing"), a_run(), {}))


def test_b_5_jobs_of_other_graphs_neither_count_nor_go(store: Store) -> None:
    elsewhere = f"{store.graph}/of-somebody-else"
    there = store.put_job("dump", "busy", graph=elsewhere)
    job = job_of(store.pipelines().start(store.job(kind="dump"), a_run(), {}))
    store.set_status(job, "success")
    removed = store.pipelines().clean(store.job(kind="dump"), force=True)
    assert not isinstance(removed, Refused)
    assert job in removed
    assert store.jobs("dump") == [there]


def test_b_6_there_is_no_job_without_its_task(store: Store) -> None:
    """There, a crash between two inserts left a busy job that nobody would ever work on; here it is one update."""
    text = store.pipelines().preview(store.job(kind="dump"), a_run(), {})["update"]
    assert (text.count("INSERT"), "cogs:Job" in text, "task:Task" in text, ";\nINSERT" in text) == (
        1,
        True,
        True,
        False,
    )
    store.pipelines().start(store.job(kind="dump"), a_run(), {})
    rows = store.select(
        f"SELECT ?task WHERE {{ GRAPH <{store.graph}> {{ ?task dct:isPartOf ?job . ?job a cogs:Job }} }}"
    )
    assert len(rows) == 1


def test_b_7_a_job_that_was_never_modified_is_seen(store: Store) -> None:
    there = store.put_job("dump", "busy", at="")
    answer = store.pipelines().start(store.job(kind="dump"), a_run(), {})
    assert isinstance(answer, Refused)
    assert f"{there} (busy)" in answer.text
    run = a_run(handle=f"{there} {store.graph}{_way(store)}")
    assert store.pipelines().status(None, run).status is RunStatus.RUNNING
    ended = store.pipelines().cancel(store.job(kind="dump"), run)
    assert isinstance(ended, RunFact)
    assert (ended.status, ended.started_at, ended.finished_at) == (RunStatus.FAILED, None, NOW)
    assert [job.modified for job in _listed(store)] == [NOW]


def _listed(store: Store) -> tuple[StoredJob, ...]:
    found = store.pipelines().jobs(store.job(kind="dump"))
    assert not isinstance(found, Refused)
    return found


def _way(store: Store) -> str:
    """What a handle says of a store that is not reached the usual way."""
    return "".join(f" {key}={value}" for key, value in store.reach.items())


def test_b_8_cleaning_leaves_nothing_behind_and_takes_nothing_that_runs(store: Store) -> None:
    pipelines, dump = store.pipelines(), store.job(kind="dump")
    job = job_of(pipelines.start(dump, a_run(), {}))
    assert isinstance(pipelines.clean(dump, force=False), Refused)
    store.add(f"<{job}> task:error <{job}/error> . <{job}/error> a oslc:Error ; oslc:message 'no' .")
    store.set_status(job, "failed")
    assert not isinstance(pipelines.clean(dump, force=False), Refused)
    assert store.triples() == set()


def test_b_9_a_kept_message_is_one_clean_line(store: Store) -> None:
    store.put_job("dump", "busy")
    pipelines = store.pipelines()
    pipelines.start(replace(store.job(kind="dump"), name="a\njob"), a_run(), {"SAASBOT_TRIGGER": "a\n  name"})
    (message,) = [o for _, p, o in store.triples() if p.endswith("#message")]
    assert message == " ".join(message.split())
    assert message.isprintable()
