"""Followed CircleCI pipelines: each state in our words (RP-5, RP-6, RP-10), and how they are stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from worlds.fake_circleci_model import Script, WorkflowScript, ends
from worlds.fake_circleci_world import NOW, World
from worlds.fake_http import Answer, Fault, Request

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.ports import Refused
from bot.providers.pipelines.circleci_verdicts import SENTENCES, VERDICTS, Verdict

RUNNING = ((0, "running"),)


def going(world: World, *workflows: WorkflowScript, **more: Any) -> Run:
    """A run whose pipeline goes like this, half a minute after its start."""
    world.web.script = Script(workflows, **more)
    run = world.start(world.run())
    world.later(seconds=30)
    return run


def test_rp_5_a_pipeline_is_followed_from_pending_to_success_without_its_definition(world: World) -> None:
    run = world.start(world.run())
    provider = world.pipelines()
    fact = provider.status(None, run)
    assert (fact.status, fact.text, fact.handle, fact.started_at) == (RunStatus.PENDING, "", run.handle, NOW)
    world.later(seconds=10)
    fact = provider.status(None, run)
    assert (fact.status, fact.text, fact.finished_at) == (RunStatus.RUNNING, "", None)
    world.later(seconds=60)
    fact = provider.status(None, run)
    assert (fact.status, fact.text, fact.url) == (RunStatus.SUCCEEDED, "", run.url)
    assert fact.finished_at == NOW + timedelta(seconds=62)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("success", RunStatus.SUCCEEDED),
        ("failed", RunStatus.FAILED),
        ("error", RunStatus.FAILED),
        ("unauthorized", RunStatus.FAILED),
        ("canceled", RunStatus.CANCELED),
        ("failing", RunStatus.FAILED),
        ("on_hold", RunStatus.FAILED),
        ("running", RunStatus.RUNNING),
        ("queued", RunStatus.RUNNING),
        ("not_run", RunStatus.RUNNING),
    ],
)
def test_rp_5_each_status_of_a_workflow_is_one_of_our_words(world: World, word: str, status: RunStatus) -> None:
    world.web.script = ends(word)
    run = world.start(world.run())
    world.later(seconds=70)
    fact = world.status(run)
    assert fact.status is status
    assert fact.text.startswith(
        "" if status in {RunStatus.SUCCEEDED, RunStatus.RUNNING} else f"{SENTENCES[word]}: release"
    )


def test_the_table_knows_every_status_and_has_a_sentence_for_each_bad_one() -> None:
    bad = {word for word, verdict in VERDICTS.items() if verdict not in {Verdict.SUCCESS, Verdict.WAITS}}
    assert bad <= SENTENCES.keys()


def test_rp_5_failing_is_an_error_before_it_is_failed(world: World) -> None:
    slow = WorkflowScript("slow", ((0, "running"), (10, "failing"), (600, "failed")))
    run = going(world, WorkflowScript("fast", ((0, "running"), (5, "success"))), slow)
    fact = world.status(run)
    assert (fact.status, fact.text, fact.finished_at) == (RunStatus.FAILED, "failing: slow", None)


def test_rp_5_one_error_is_enough_while_others_run(world: World) -> None:
    bad = [WorkflowScript(name, ((0, "failed"),)) for name in ("b", "a")]
    run = going(world, WorkflowScript("c", RUNNING), WorkflowScript("d", ((0, "error"),)), *bad)
    fact = world.status(run)
    assert (fact.status, fact.finished_at) == (RunStatus.FAILED, None)
    assert set(fact.text.split("; ")) == {"failed: a, b", "CircleCI could not start a job: d"}


def test_rp_5_a_config_error_fails_without_any_workflow(world: World) -> None:
    run = going(world, states=((0, "pending"), (5, "errored")), errors=(("config", "mapping values are not allowed"),))
    fact = world.status(run)
    assert (fact.status, fact.text) == (RunStatus.FAILED, "config: mapping values are not allowed")
    assert fact.finished_at == NOW


@pytest.mark.parametrize("word", ["pending", "setup-pending", "setup"])
def test_rp_5_a_pipeline_that_is_still_taken_in_waits_however_long(world: World, word: str) -> None:
    run = going(world, states=((0, word),))
    world.later(hours=1)
    assert world.status(run).status is RunStatus.PENDING


def test_c_b2_no_workflows_yet_is_neither_an_error_nor_a_success(world: World) -> None:
    run = going(world)
    assert world.status(run).status is RunStatus.PENDING
    world.later(seconds=89)
    assert world.status(run).status is RunStatus.PENDING
    world.later(seconds=1)
    fact = world.status(run)
    assert (fact.status, fact.text.partition(":")[0]) == (RunStatus.FAILED, "no workflows")


def test_a_server_whose_clock_is_behind_has_its_time_all_the_same(world: World) -> None:
    world.web.script = Script(())
    run = world.start(world.run())
    run = replace(run, intent_at=NOW + timedelta(minutes=4))
    world.later(minutes=4, seconds=90)
    assert world.status(run).status is RunStatus.PENDING
    world.later(seconds=30)
    assert world.status(run).status is RunStatus.FAILED


def test_the_setup_workflow_alone_is_no_success(world: World) -> None:
    setup = WorkflowScript("setup", ((0, "running"), (100, "success")), tag="setup")
    later = WorkflowScript("release", ((0, "running"), (60, "success")), appears=120)
    run = going(world, setup, later, states=((0, "setup-pending"), (2, "setup"), (110, "pending"), (115, "created")))
    seen = []
    for _ in range(16):
        seen.append(world.status(run).status)
        world.later(seconds=10)
    assert set(seen[:-1]) == {RunStatus.RUNNING}
    assert seen[-1] is RunStatus.SUCCEEDED


def test_a_setup_that_leads_to_nothing_fails_after_the_grace(world: World) -> None:
    setup = WorkflowScript("setup", ((0, "running"), (100, "success")), tag="setup")
    run = going(world, setup, states=((0, "setup"), (110, "created")))
    world.later(seconds=190)
    assert world.status(run).status is RunStatus.RUNNING
    world.later(seconds=5)
    assert world.status(run).text.startswith("no workflows")


def test_c_b3_on_hold_fails_or_waits_as_the_job_says(world: World) -> None:
    run = going(world, WorkflowScript("release", ((0, "on_hold"), (300, "running"), (400, "success"))))
    assert world.status(run).status is RunStatus.FAILED
    assert world.status(run).text == "waiting for an approval: release; `with.onHold: wait` waits for it"
    assert world.pipelines().status(None, run).status is RunStatus.FAILED
    waits = world.status(run, onHold="wait")
    assert (waits.status, waits.text) == (RunStatus.RUNNING, "waiting for an approval: release")
    world.later(seconds=400)
    assert world.status(run, onHold="wait").status is RunStatus.SUCCEEDED


def test_rp_5_what_was_not_run_waits_until_it_is_stopped(world: World) -> None:
    run = going(world, WorkflowScript("release", ((0, "not_run"),)))
    assert world.status(run).status is RunStatus.RUNNING
    world.made.workflows[0].stopped = True
    fact = world.status(run)
    assert (fact.status, fact.text) == (RunStatus.FAILED, "not run: release")


def test_a_status_that_nobody_knows_is_no_success(world: World) -> None:
    run = going(world, WorkflowScript("release"))
    shown = {"id": "x", "name": "release", "status": "glorious", "created_at": "2026-03-02T12:00:00Z"}
    page = {"items": [shown], "next_page_token": None}
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(200, page)))
    assert world.status(run).status is RunStatus.RUNNING
    page = {"items": [shown | {"stopped_at": "2026-03-02T12:01:00Z"}], "next_page_token": None}
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(200, page)))
    fact = world.status(run)
    assert (fact.status, fact.text) == (RunStatus.UNKNOWN, "CircleCI calls it glorious: release")


def test_c_b6_rp_6_of_workflows_of_one_name_the_newest_counts(world: World) -> None:
    run = going(world, WorkflowScript("build", ((0, "failed"),)), WorkflowScript("lint", ((0, "success"),)))
    assert world.status(run).status is RunStatus.FAILED
    world.made.rerun("build", world.now, ((0, "running"), (60, "success")))
    assert world.status(run).status is RunStatus.RUNNING
    world.later(seconds=60)
    fact = world.status(run)
    assert (fact.status, fact.finished_at) == (RunStatus.SUCCEEDED, NOW + timedelta(seconds=90))


def test_c_b6_a_rerun_that_fails_is_no_success_of_the_first(world: World) -> None:
    run = going(world, WorkflowScript("build", ((0, "success"),)))
    world.made.rerun("build", world.now, ((0, "failed"),))
    assert world.status(run).status is RunStatus.FAILED


def test_rp_1_one_process_asks_for_a_run_in_flight_every_seven_seconds_at_most(world: World) -> None:
    world.web.script = ends("success", after=16)
    provider = world.pipelines()
    fact = provider.start(world.pipeline(), world.run(), world.told(world.run()))
    assert isinstance(fact, RunFact)
    run = replace(world.run(), handle=fact.handle)
    seen = []
    for _ in range(10):
        seen.append((provider.status(None, run).status, len(world.server.looks)))
        world.later(seconds=3)
    pending, running, succeeded = RunStatus.PENDING, RunStatus.RUNNING, RunStatus.SUCCEEDED
    assert seen[:7] == [(pending, 0)] * 3 + [(running, 1)] * 3 + [(succeeded, 2)]
    assert seen[7:] == [(succeeded, 3), (succeeded, 4), (succeeded, 5)], "an end is no state that may change"


def test_rp_1_a_start_that_is_looked_for_is_looked_for_every_seven_seconds_at_most(world: World) -> None:
    world.server.faults.append(Fault(("POST", ".*/pipeline"), "drop before"))
    provider, run = world.pipelines(), world.run()
    with pytest.raises(ServerUnreachable):
        provider.start(world.pipeline(), run, world.told(run))
    for _ in range(5):
        assert provider.find(world.pipeline(), run) == RunFact(RunStatus.PENDING, text="its pipeline is looked for")
        world.later(seconds=3)
    assert len(world.server.requests) == 1 + 2


def test_c_b1_rp_10_every_page_is_asked_for_by_its_token(world: World) -> None:
    world.server.page_size = 2
    good = [WorkflowScript(f"w{number}", ((0, "success"),), appears=10 - number) for number in range(4)]
    run = going(world, *good, WorkflowScript("last", ((0, "failed"),), appears=0))
    assert world.status(run).text == "failed: last"
    asked = [each.query for each in world.server.requests if each.path.endswith("/workflow")]
    assert asked == ["", "page-token=from-2", "page-token=from-4"]


def test_c_b1_pages_that_repeat_end_the_question_and_not_the_program(world: World) -> None:
    run = going(world, WorkflowScript("release", ((0, "success"),)))
    page = {"items": [], "next_page_token": "again"}
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(200, page), times=9))
    with pytest.raises(ServerUnreachable, match="the pages of the list repeat"):
        world.status(run)
    assert world.server.faults[0].times == 7


def test_a_list_without_end_is_given_up(world: World) -> None:
    run = going(world)
    world.server.page_size = 1
    for number in range(60):
        world.made.project.add_workflow(world.made, WorkflowScript(f"w{number}"), world.now)
    with pytest.raises(ServerUnreachable, match="more than 50 pages"):
        world.status(run)


def test_an_answer_that_is_no_list_is_no_success(world: World) -> None:
    run = going(world, WorkflowScript("release", ((0, "success"),)))
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(200, {"items": "none"})))
    with pytest.raises(ServerUnreachable, match="the answer is no list"):
        world.status(run)


@pytest.mark.parametrize("path", [r"/api/v2/pipeline/[^/]+", r".*/workflow"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(502, b""), "502 Bad Gateway"),
        (Answer(429, {"message": "slow down"}), "429 slow down"),
        (Answer(401, {"message": "You must log in first."}), "401 You must log in first"),
        (Answer(200, b"<title>Sign in</title>"), "the answer is not CircleCI's"),
        ("drop before", "GET /pipeline/"),
    ],
)
def test_a_server_that_does_not_answer_says_nothing_of_the_run(
    world: World, path: str, answer: Any, words: str
) -> None:
    run = world.start(world.run())
    world.server.faults.append(Fault(("GET", path), answer))
    with pytest.raises(ServerUnreachable, match=words):
        world.status(run)
    assert world.waits == []


def test_a_pipeline_may_be_unknown_for_a_while_and_not_for_ever(world: World) -> None:
    world.server.lag = 20
    run = world.start(world.run())
    provider = world.pipelines()
    fact = provider.status(None, run)
    assert (fact.status, fact.text) == (RunStatus.PENDING, "CircleCI does not know its pipeline yet")
    world.later(seconds=30)
    assert provider.status(None, run).status is RunStatus.RUNNING
    world.server.lag = 1000
    world.later(minutes=3)
    fact = provider.status(None, replace(run, status=RunStatus.RUNNING))
    assert (fact.status, fact.url) == (RunStatus.UNKNOWN, run.url)


def test_workflows_that_are_not_known_yet_are_none(world: World) -> None:
    run = world.start(world.run())
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(404, {"message": "Pipeline not found"})))
    assert world.status(run).status is RunStatus.PENDING


def test_rp_7_cancel_stops_every_workflow_that_is_not_over(world: World) -> None:
    scripts = [("a", "running"), ("b", "failing"), ("c", "on_hold"), ("d", "success"), ("e", "queued")]
    run = going(world, *(WorkflowScript(name, ((0, word),)) for name, word in scripts))
    fact = world.pipelines().cancel(world.pipeline(onHold="wait"), run)
    assert not isinstance(fact, Refused)
    assert (fact.status, fact.text) == (RunStatus.CANCELED, "canceled: a, b, c, e")
    assert [status for path, status in world.posts() if path.endswith("/cancel")] == [202] * 4


def test_a_pipeline_that_is_over_is_an_ordinary_answer_to_cancel(world: World) -> None:
    run = going(world, WorkflowScript("release", ((0, "success"),)))
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert not isinstance(fact, Refused)
    assert fact.status is RunStatus.SUCCEEDED
    assert [path for path, _ in world.posts() if path.endswith("/cancel")] == []


def test_a_workflow_that_ends_while_it_is_stopped_is_an_ordinary_answer(world: World) -> None:
    run = going(world, WorkflowScript("release", ((0, "running"), (40, "success"))))

    def meanwhile(request: Request) -> bool:
        if request.path.endswith("/cancel"):
            world.later(seconds=60)
        return False

    world.server.faults.append(Fault(meanwhile, Answer(500)))
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert not isinstance(fact, Refused)
    assert fact.status is RunStatus.SUCCEEDED


def test_a_token_that_may_not_cancel_is_refused_in_words(world: World) -> None:
    world.server.may_cancel = False
    run = going(world, WorkflowScript("release", RUNNING))
    found = world.pipelines().cancel(world.pipeline(), run)
    assert isinstance(found, Refused)
    assert found.text == f"CircleCI would not stop pipeline {run.handle}: 403 Permission denied"


@pytest.mark.parametrize(("method", "path"), [("POST", r".*/cancel"), ("GET", r".*/workflow")])
def test_a_server_that_is_away_is_asked_to_cancel_again(world: World, method: str, path: str) -> None:
    run = going(world, WorkflowScript("release", RUNNING))
    world.server.faults.append(Fault((method, path), Answer(503, b"")))
    with pytest.raises(ServerUnreachable, match="503"):
        world.pipelines().cancel(world.pipeline(), run)


def test_a_pipeline_without_workflows_cannot_be_stopped_yet(world: World) -> None:
    run = world.start(world.run())
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert not isinstance(fact, Refused)
    assert fact.status is RunStatus.PENDING
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(404, {"message": "no"}), times=2))
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert not isinstance(fact, Refused)
    assert fact.status is RunStatus.PENDING
