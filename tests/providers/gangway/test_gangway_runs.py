"""Runs after their start: polls, the search after a lost answer, health, and that nothing can be stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worlds.gangway_front import World
from worlds.gangway_runs import ENVIRONMENT, JOB, LONG, TWIN, Clock, followed, instance, intent, job, provider

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import RunStatus
from bot.model.servers import SecretRef
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.downstream import CARRIED_OUT
from bot.providers.pipelines.gangway import OPENSHIFT_PAGE, GangwayPipelines, gangway_pipelines
from bot.providers.pipelines.gangway_executions import (
    REMEMBERED,
    execution_fact,
    is_new,
    labelled,
    mark_of,
    of_job,
    remembered,
)

AGO = datetime(2026, 1, 1, 6, 0, tzinfo=UTC)
BACK = "sha256~a-token-that-was-taken-back"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def search(
    made: GangwayPipelines, mark: str, *, key: str = "k1", name: str = JOB, minutes: float = 0.0
) -> RunFact | None:
    """What is found of a run that was intended so many minutes ago."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return made.find(job(name), intent(key, mark, intent_at=at))


def status_of(fact: RunFact | None) -> tuple[RunStatus, str] | None:
    return None if fact is None else (fact.status, fact.handle)


@pytest.mark.parametrize(
    ("word", "status", "text"),
    [
        ("SCHEDULING", RunStatus.PENDING, ""),
        ("TRIGGERED", RunStatus.PENDING, ""),
        ("", RunStatus.PENDING, ""),
        ("PENDING", RunStatus.RUNNING, ""),
        ("SUCCESS", RunStatus.SUCCEEDED, ""),
        ("FAILURE", RunStatus.FAILED, ""),
        ("ERROR", RunStatus.FAILED, "Prow could not run it (ERROR)"),
        ("ABORTED", RunStatus.CANCELED, "it was aborted at Prow"),
    ],
)
def test_g_b6_every_state_is_followed(gangway: World, word: str, status: RunStatus, text: str) -> None:
    """G-B6: the original kept no id, so nobody could ask what became of a job."""
    ended = 0.0 if status.in_flight else (AGO + timedelta(hours=1)).timestamp()
    made = gangway.prow.add(JOB, status=word, created=AGO.timestamp(), completed=ended)
    fact = provider(gangway.url("body")).status(None, followed(made.id, url="https://prow.example.com/1"))
    finished = None if status.in_flight else AGO + timedelta(hours=1)
    assert fact == RunFact(status, made.id, "https://prow.example.com/1", text, AGO, finished)


def test_where_a_run_can_be_looked_at(gangway: World) -> None:
    """Prow's own link, else what `with.page` says; OpenShift's page only for OpenShift."""
    made = provider(gangway.url("body"))
    with_page = job(page="https://prow.example.com/job?id=")
    started = made.start(with_page, intent(), ENVIRONMENT)
    assert isinstance(started, RunFact)
    assert started.url == f"https://prow.example.com/job?id={started.handle}"
    gangway.prow.executions[started.handle].url = "https://prow.example.com/view/gs/logs/1"
    assert made.status(with_page, followed(started.handle, url=started.url)).url.endswith("/view/gs/logs/1")
    gangway.prow.executions[started.handle].url = "javascript:alert(1)"
    assert made.status(None, followed(started.handle)).url == ""
    for host, page in {"gangway-ci.apps.ci.l2s4.p1.openshiftapps.com": OPENSHIFT_PAGE, "evilopenshift.org": ""}.items():
        found = gangway_pipelines(
            instance(f"https://{host}"), {"GANGWAY_TOKEN": "x"}, Path(), FolderCache(Path("/none"))
        )
        assert isinstance(found, GangwayPipelines)
        assert found._page == page


def test_gw_14_an_id_that_gangway_does_not_know_is_no_failure(gangway: World) -> None:
    young, old = followed(UNKNOWN_ID), followed(UNKNOWN_ID, intent_at=datetime.now(UTC) - timedelta(minutes=11))
    made = provider(gangway.url("body"))
    assert made.status(None, young) == RunFact(
        RunStatus.PENDING, UNKNOWN_ID, text="Gangway does not know its execution yet"
    )
    assert made.status(None, old) == RunFact(
        RunStatus.UNKNOWN, UNKNOWN_ID, text="Gangway does not know its execution any more", missing=True
    )


def test_gw_14_trouble_inside_gangway_changes_nothing(gangway: World) -> None:
    gangway.prow.get_fails = "etcdserver: request timed out"
    old = followed("some-id", RunStatus.RUNNING, intent_at=datetime.now(UTC) - timedelta(hours=3))
    fact = provider(gangway.url("body")).status(None, old)
    assert fact == RunFact(
        RunStatus.RUNNING, "some-id", text="Gangway could not tell its state: etcdserver: request timed out"
    )


@pytest.mark.parametrize("door", ["dead", "gone"])
def test_a_poll_of_a_server_that_is_down(gangway: World, door: str) -> None:
    with pytest.raises(ServerUnreachable, match=r"GET /v1/executions/some-id: 50[23] "):
        provider(gangway.url(door)).status(None, followed("some-id"))


def test_a_poll_with_a_rejected_token(gangway: World) -> None:
    with pytest.raises(ServerUnreachable, match="403 Sign in") as caught:
        provider(gangway.url("body"), token=BACK).status(None, followed("some-id"))
    assert caught.value.hint == "check the environment variable GANGWAY_TOKEN: is the token still valid?"


def test_gw_7_the_new_execution_is_adopted(gangway: World) -> None:
    old = gangway.prow.add(JOB)
    made = provider(gangway.url("body"))
    mark = made.mark(job())
    assert search(made, mark).text == "its execution is looked for"  # type: ignore[union-attr] # it is a fact
    new = gangway.prow.add(JOB, status="PENDING")
    gangway.prow.add("periodic-another")
    assert status_of(search(made, mark)) == (RunStatus.RUNNING, new.id)
    assert status_of(search(made, mark, minutes=60)) == (RunStatus.RUNNING, new.id)
    assert old.id not in mark


def test_gw_7_nothing_new_is_a_clear_no_once_enough_time_has_passed(gangway: World) -> None:
    gangway.prow.add(JOB)
    made = provider(gangway.url("body"))
    mark = made.mark(job())
    enough = CARRIED_OUT.total_seconds() / 60
    assert status_of(search(made, mark, minutes=enough - 0.1)) == (RunStatus.PENDING, "")
    assert search(made, mark, minutes=enough) is None
    assert search(made, made.mark(job("periodic-never-run")), name="periodic-never-run", minutes=enough) is None


def test_gw_7_the_time_counts_from_the_request_not_from_the_intent(gangway: World) -> None:
    gangway.prow.slow[JOB] = 0.6
    clock = Clock()
    made = provider(gangway.url("hasty"), clock=clock)
    run = intent(mark=made.mark(job()), intent_at=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(ServerUnreachable):
        made.start(job(), run, ENVIRONMENT)
    gangway.prow.executions.clear()
    assert status_of(made.find(job(), run)) == (RunStatus.PENDING, "")
    clock.shift = CARRIED_OUT
    assert made.find(job(), run) is None


def test_the_label_of_a_long_name_is_cut_and_jobs_that_share_it_are_told_apart(gangway: World) -> None:
    """Prow lists by the first 63 characters of a name, and both of the original's examples are longer."""
    assert len(LONG) > 63
    made = provider(gangway.url("body"))
    mark = made.mark(job(LONG))
    gangway.prow.add(TWIN)
    assert status_of(search(made, mark, name=LONG)) == (RunStatus.PENDING, "")
    new = gangway.prow.add(LONG)
    assert status_of(search(made, mark, name=LONG)) == (RunStatus.PENDING, new.id)
    for name in ("a" * 63, f"{'a' * 62}-b", f"{'a' * 60}_.-b", f"{'a' * 60}---", "a-"):
        assert gangway.prow.add(name).label == labelled(name)


def test_gw_7_of_several_new_executions_nobody_can_tell(gangway: World) -> None:
    made = provider(gangway.url("body"))
    mark = made.mark(job())
    ids = [gangway.prow.add(JOB).id for _ in range(2)]
    fact = search(made, mark)
    assert status_of(fact) == (RunStatus.UNKNOWN, "")
    assert fact is not None
    assert fact.text.startswith("2 executions of the job are new, and nobody can tell which is this run: ")
    assert all(each in fact.text for each in ids)
    for _ in range(5):
        gangway.prow.add(JOB)
    gangway.prow.calls.clear()
    fact = search(made, mark)
    assert fact is not None
    assert fact.text.startswith("7 executions of the job are new")
    assert fact.text.endswith("and 2 more")
    assert gangway.prow.calls == ["list"]


def test_executions_of_other_runs_and_of_the_past_are_not_adopted(gangway: World) -> None:
    made = provider(gangway.url("body"))
    mark = made.mark(job())
    other = made.start(job(), intent("k-other"), ENVIRONMENT)
    assert isinstance(other, RunFact)
    gangway.prow.add(JOB, created=(datetime.now(UTC) - timedelta(hours=1)).timestamp())
    assert status_of(search(made, mark)) == (RunStatus.PENDING, "")
    assert status_of(search(made, mark, key="k-other")) == (RunStatus.PENDING, other.handle)
    made.status(None, followed(gangway.prow.add(JOB).id, key="k-third"))
    assert search(made, mark, minutes=5) is None


def test_gw_7_what_the_statefile_knows_is_no_other_runs(gangway: World) -> None:
    """Two definitions may start one job: what the statefile has a handle of is not adopted by another process."""
    made = provider(gangway.url("body"))
    mark = made.mark(job())
    theirs = gangway.prow.add(JOB, status="SUCCESS", completed=AGO.timestamp())
    made.known([followed(theirs.id, key="k-theirs")])
    assert status_of(search(made, mark)) == (RunStatus.PENDING, "")
    ours = gangway.prow.add(JOB)
    assert status_of(search(made, mark)) == (RunStatus.PENDING, ours.id)
    assert status_of(search(made, mark, key="k-theirs")) == (RunStatus.SUCCEEDED, theirs.id)


def test_gw_7_two_runs_that_are_looked_up_at_once_do_not_share_an_execution(gangway: World) -> None:
    """Each of them sees the only new one; who is second waits, and is started again when nothing more comes."""
    made = provider(gangway.url("body"))
    mark = made.mark(job())
    new = gangway.prow.add(JOB)
    with ThreadPoolExecutor(8) as pool:
        facts = list(pool.map(lambda number: search(made, mark, key=f"k{number}", minutes=3), range(8)))
    assert sorted(fact.handle for fact in facts if fact is not None) == [""] * 7 + [new.id]


def test_without_a_mark_the_times_decide(gangway: World) -> None:
    made = provider(gangway.url("body"))
    gangway.prow.add(JOB, created=AGO.timestamp())
    assert search(made, "", minutes=5) is None
    new = gangway.prow.add(JOB)
    assert status_of(search(made, "", minutes=3)) == (RunStatus.PENDING, new.id)
    gangway.prow.get_fails = "etcdserver: request timed out"
    assert status_of(search(provider(gangway.url("body")), "", minutes=3)) == (RunStatus.UNKNOWN, "")


def test_an_empty_list_where_there_were_executions_is_no_clear_no(gangway: World) -> None:
    """Gangway logs that Kubernetes failed it, and gives an empty list."""
    gangway.prow.add(JOB)
    made = provider(gangway.url("body"))
    mark = made.mark(job())
    gangway.prow.list_fails = True
    text = "Gangway lists none of the executions that were there before"
    assert search(made, mark, minutes=3) == RunFact(RunStatus.PENDING, text=f"{text}; its execution is looked for")
    assert search(made, mark, minutes=11) == RunFact(
        RunStatus.UNKNOWN, text=f"{text}: nobody can tell whether it started"
    )


def test_a_job_that_left_the_config_before_its_start_was_confirmed(gangway: World) -> None:
    fact = provider(gangway.url("body")).find(None, intent())
    assert (status_of(fact), gangway.prow.calls) == ((RunStatus.UNKNOWN, ""), [])


def test_gw_5_the_probe(gangway: World) -> None:
    made = provider(gangway.url("body"))
    known = gangway.prow.add(JOB)
    assert made.probe(job(LONG)) is None
    assert made.probe(job(healthCheck=known.id)) is None
    assert gangway.prow.calls == ["list", "get"]
    unknown = made.probe(job(healthCheck=UNKNOWN_ID))
    assert isinstance(unknown, Refused)
    assert unknown.again == timedelta(0)
    assert "is not up: 500 prowjobs.prow.k8s.io" in unknown.text


def test_gw_5_the_probe_of_a_server_that_is_not_up(gangway: World) -> None:
    for url in (gangway.url("dead"), gangway.url("gone"), f"http://127.0.0.1:{gangway.ports['envoy-gone']}"):
        answer = provider(url).probe(job())
        assert isinstance(answer, Refused)
        assert answer.again == timedelta(0)
    rejected = provider(gangway.url("body"), token=BACK).probe(job())
    assert isinstance(rejected, Refused)
    assert rejected.again is None
    assert "token rejected (403 Sign in)" in rejected.text


def test_gangway_stops_nothing_and_says_so(gangway: World) -> None:
    made = provider(gangway.url("body"))
    running = gangway.prow.add(JOB, status="PENDING")
    fact = made.cancel(job(), followed(running.id))
    assert (fact.status, fact.handle) == (RunStatus.RUNNING, running.id)
    assert fact.text == "Gangway cannot stop an execution: it goes on at Prow until somebody aborts it there"
    over = gangway.prow.add(JOB, status="SUCCESS", completed=AGO.timestamp())
    assert made.cancel(job(), followed(over.id)).status is RunStatus.SUCCEEDED
    never = intent("k2", mark=made.mark(job()), intent_at=datetime.now(UTC) - CARRIED_OUT)
    assert made.cancel(job(), never) == RunFact(RunStatus.CANCELED, text="it was never started")
    assert made.cancel(job(), intent("k2", mark=never.mark)).text == "its execution is looked for"


def test_gw_9_what_a_report_shows(gangway: World) -> None:
    made = provider(gangway.url("body"))
    assert made.details(job(job="ci-a"), followed("some-id")) == {"job": "ci-a", "execution": "some-id"}
    assert made.details(None, followed("some-id")) == {"job": JOB, "execution": "some-id"}
    assert made.details(job(), intent()) == {}


def test_a_mark_is_short_and_remembers_what_was_there() -> None:
    ids = [f"execution-{number}" for number in range(REMEMBERED + 100)]
    before = remembered(mark_of(ids[:3]))
    assert before is not None
    assert [is_new(each, before) for each in ids[:4]] == [False, False, False, True]
    assert (mark_of([]), remembered("0:"), remembered("")) == ("0:", frozenset(), None)
    assert remembered("3:xyz") is None
    assert len(mark_of(ids)) < 3300
    assert mark_of(ids[:3]) == mark_of(reversed(ids[:3]))


def test_lists_and_executions_of_strange_shapes() -> None:
    assert of_job({}, JOB) == {}
    assert of_job({"jobExecution": []}, JOB) is None
    assert of_job({"job_execution": {}}, JOB) is None
    odd = {"job_execution": [None, {"id": 3}, {"id": ""}, {"id": "a"}, {"id": "b", "job_name": "other"}]}
    assert [*(of_job(odd, JOB) or ())] == ["a"]
    assert execution_fact({"id": "a", "job_status": 3}, "").status is RunStatus.SUCCEEDED
    assert execution_fact({"id": "a", "job_status": 99}, "").text == "Gangway calls it 99"
    assert execution_fact({"id": "a", "job_status": "NEW\nWORD"}, "p?").text == "Gangway calls it NEW WORD"
    ended = execution_fact({"id": "a", "job_status": "NEW", "completion_time": "2026-01-01T06:00:00Z"}, "p?")
    assert (ended.status, ended.finished_at, ended.url) == (RunStatus.UNKNOWN, AGO, "p?a")
    assert execution_fact({"id": "a", "job_status": True, "create_time": 5}, "").started_at is None


def test_gw_17_a_token_that_is_not_there() -> None:
    cache = FolderCache(Path("/none"))
    found = gangway_pipelines(instance("http://127.0.0.1:9"), {}, Path(), cache)
    assert found == Unreachable("instance prow: the environment variable GANGWAY_TOKEN holds no token")
    found = gangway_pipelines(instance("http://127.0.0.1:9", "20"), {"GANGWAY_TOKEN": "x"}, Path(), cache)
    assert isinstance(found, Unreachable)
    assert "rateLimit" in found.text
    assert SecretRef(env="GANGWAY_TOKEN") == instance("").token
