"""Parameterised builds of Jenkins jobs: started, found again by run key, followed from the queue on, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from worlds.fake_http import Answer, Fault
from worlds.fake_jenkins_world import DEPLOY, NOW, PATH, World, serving

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.providers.downstream import CARRIED_OUT
from bot.providers.pipelines.jenkins_runs import SENTENCES, WORDS

START = ("POST", r".*/buildWithParameters")
JOB = "job/team/job/deploy%20prod"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as made:
        yield made


def test_a_build_is_queued_with_everything_the_job_defines(world: World) -> None:
    run = world.start(world.run(), parameters={"VERSION": "{sha7} of {target}", "DRY": True})
    (item,) = world.server.queue.values()
    assert item.parameters == {
        "SAASBOT_RUN_KEY": run.key,
        "SAASBOT_SHA": run.sha,
        "VERSION": "8f14e45 of orders/web/stage",
        "DRY": "true",
    }
    (form,) = world.server.bodies
    assert form.keys() - item.parameters.keys() == {"SAASBOT_TARGET", "SAASBOT_REF", "SAASBOT_ACTION"}
    assert (run.handle, run.status) == (f"queue/{item.id}/{JOB}", RunStatus.PENDING)
    assert run.url == f"{world.server.url}/{JOB}/"


def test_another_parameter_may_take_the_run_key(world: World) -> None:
    world.deploy.parameters = {"KEY": "String"}
    run = world.start(world.run(), runKeyParameter="KEY")
    world.later(minutes=7)
    assert world.deploy.builds[1].parameters == {"KEY": run.key}
    assert world.pipelines().status(None, run).handle == f"{JOB}/1"


def test_the_definitions_of_a_job_are_read_once(world: World) -> None:
    provider = world.pipelines()
    for key in ("a" * 32, "b" * 32):
        assert isinstance(provider.start(world.pipeline(), world.run(key), world.told(world.run(key))), RunFact)
    assert world.server.counts["GET", f"{PATH}/api/json"] == 1
    assert len(world.server.queue) == 2


def test_a_run_is_followed_from_the_queue_to_its_end_without_its_definition(world: World) -> None:
    run = world.start(world.run())
    provider = world.pipelines()
    fact = provider.status(None, run)
    assert (fact.status, fact.text, fact.handle) == (RunStatus.PENDING, "In the quiet period", run.handle)
    world.server.idle = False
    world.later(seconds=6)
    assert provider.status(None, run).text == "Waiting for next available executor"
    world.server.stuck = True
    assert provider.status(None, run).text == "stuck in the queue: Waiting for next available executor"
    world.server.idle = True
    world.later(seconds=1)
    fact = provider.status(None, run)
    assert (fact.status, fact.handle) == (RunStatus.RUNNING, f"{JOB}/1")
    assert (fact.url, fact.started_at) == (f"{world.server.url}/{JOB}/1/", NOW + timedelta(seconds=7))
    run = world.seen(run, fact)
    world.later(minutes=3)
    world.end("SUCCESS")
    fact = provider.status(None, run)
    assert (fact.status, fact.handle, fact.text) == (RunStatus.SUCCEEDED, run.handle, "")
    assert fact.finished_at == world.now


def test_what_is_said_of_a_wait_does_not_change_with_every_look(world: World) -> None:
    """A text that changes is a change of the state, and that is a write."""
    run = world.start(world.run())
    texts = set()
    for _ in range(3):
        texts.add(world.pipelines().status(None, run).text)
        world.later(seconds=1)
    assert texts == {"In the quiet period"}


@pytest.mark.parametrize("word", [word for word in WORDS if word.isupper()])
def test_each_result_is_one_of_our_words(world: World, word: str) -> None:
    run = world.building(world.run())
    world.end(word)
    fact = world.pipelines().status(None, run)
    assert (fact.status, fact.text) == (WORDS[word], SENTENCES.get(word, ""))
    assert fact.finished_at == world.now


def test_a_result_that_nobody_knows_is_no_success(world: World) -> None:
    run = world.building(world.run())
    world.end("GLORIOUS")
    fact = world.pipelines().status(None, run)
    assert (fact.status, fact.text) == (RunStatus.UNKNOWN, "Jenkins calls it GLORIOUS")


def test_a_result_before_the_end_is_not_the_end(world: World) -> None:
    run = world.building(world.run())
    world.deploy.builds[1].result = "FAILURE"
    assert world.pipelines().status(None, run).status is RunStatus.RUNNING


def test_an_item_that_jenkins_has_forgotten_is_found_as_a_build(world: World) -> None:
    world.start(world.run("b" * 32))
    run = world.start(world.run())
    world.later(minutes=1)
    world.later(minutes=6)
    fact = world.pipelines().status(None, run)
    assert (fact.status, fact.handle) == (RunStatus.RUNNING, f"{JOB}/2")
    assert world.pipelines().status(world.pipeline(), world.seen(run, fact)).handle == f"{JOB}/2"


def test_an_item_that_was_taken_out_of_the_queue_is_canceled(world: World) -> None:
    run = world.start(world.run())
    with world.server.lock:
        next(iter(world.server.queue.values())).left = world.now
    fact = world.pipelines().status(None, run)
    assert (fact.status, fact.text) == (RunStatus.CANCELED, "it was taken out of Jenkins' queue")
    world.later(minutes=6)
    fact = world.pipelines().status(None, run)
    assert fact.status is RunStatus.UNKNOWN
    item = run.handle.split("/")[1]
    assert fact.text == f"Jenkins has forgotten queue item {item}, and no build of {DEPLOY} carries the run key"


def test_an_item_of_somebody_else_with_the_same_number_is_not_the_run(world: World) -> None:
    """Jenkins counts from 1 again when it has lost its queue."""
    run = world.building(world.run())
    other = world.start(world.run("b" * 32))
    fact = world.pipelines().status(None, replace(run, handle=other.handle))
    assert (fact.status, fact.handle) == (RunStatus.RUNNING, run.handle)
    assert world.pipelines().cancel(world.pipeline(), replace(run, handle=other.handle)).status is RunStatus.CANCELED
    assert [item.left for item in world.server.queue.values()][1] is None


def test_a_deleted_build_is_unknown_and_a_hidden_job_is_not(world: World) -> None:
    run = world.building(world.run())
    del world.deploy.builds[1]
    fact = world.pipelines().status(None, run)
    text = f"Jenkins has no build 1 of {DEPLOY} any more"
    assert (fact.status, fact.text, fact.handle) == (RunStatus.UNKNOWN, text, run.handle)
    assert world.pipelines().cancel(world.pipeline(), run) == fact
    world.server.permissions.clear()
    for handle in (run.handle, f"queue/77/{JOB}"):
        with pytest.raises(ServerUnreachable, match=f"there is no job {DEPLOY}, or the environment variable"):
            world.pipelines().status(None, replace(run, handle=handle))


def test_a_handle_of_another_provider_is_unknown(world: World) -> None:
    assert world.pipelines().status(None, world.run(handle="2/17")).status is RunStatus.UNKNOWN


@pytest.mark.parametrize("begun", [False, True])
def test_a_lost_answer_is_found_again_and_not_started_twice(world: World, *, begun: bool) -> None:
    run = world.run()
    world.server.faults.append(Fault(START, "drop after"))
    with pytest.raises(ServerUnreachable):
        world.start(run)
    if begun:
        world.later(seconds=6)
    found = world.pipelines().find(world.pipeline(), run)
    assert found is not None
    handle = f"{JOB}/1" if begun else f"queue/{next(iter(world.server.queue))}/{JOB}"
    assert (found.status, found.handle) == (RunStatus.RUNNING if begun else RunStatus.PENDING, handle)
    assert world.posts() == [(f"{PATH}/buildWithParameters", 0)]


def test_a_start_that_would_have_to_wait_long_is_not_made(world: World) -> None:
    """By the end of that wait another pass may have started it."""
    run = world.run()
    world.server.faults.append(Fault(START, Answer(429, None, {"Retry-After": "60"})))
    with pytest.raises(ServerUnreachable, match="too many requests"):
        world.start(run)
    assert world.posts() == [(f"{PATH}/buildWithParameters", 429)]
    assert not world.server.queue


def test_what_never_started_is_a_clear_no_only_after_a_request_could_be_at_work(world: World) -> None:
    """Others' builds, older ones and those of other runs do not hide that."""
    for _ in range(3):
        world.deploy.build(world.now - timedelta(hours=1)).end(world.now, "SUCCESS")
    world.building(world.run("b" * 32))
    world.start(world.run("c" * 32))
    run = world.run()
    provider = world.pipelines()
    world.server.faults.append(Fault(START, "drop before"))
    with pytest.raises(ServerUnreachable):
        provider.start(world.pipeline(), run, world.told(run))
    for each in (provider, world.pipelines()):
        assert each.find(world.pipeline(), run) == RunFact(RunStatus.PENDING, text="its build is looked for")
    world.later(seconds=CARRIED_OUT.total_seconds())
    assert provider.find(world.pipeline(), run) is None
    assert world.pipelines().find(world.pipeline(), run) is None


@pytest.mark.parametrize("deleted", ["the newest", "one between", "the oldest"])
def test_a_deleted_build_of_that_time_may_have_been_the_run(world: World, deleted: str) -> None:
    world.deploy.build(world.now - timedelta(hours=1)).end(world.now, "SUCCESS")
    run = world.run()
    for _ in range(3):
        world.deploy.build(world.now).end(world.now, "SUCCESS")
    number = {"the newest": 4, "one between": 3, "the oldest": 2}[deleted]
    del world.deploy.builds[number]
    world.later(seconds=CARRIED_OUT.total_seconds())
    found = world.pipelines().find(world.pipeline(), run)
    assert found is not None
    text = "builds of that time are deleted, or there are too many: nobody can tell whether it started"
    assert (found.status, found.text) == (RunStatus.UNKNOWN, text)


def test_more_builds_than_are_looked_at_leave_it_open(world: World) -> None:
    run = world.run()
    for _ in range(510):
        world.deploy.build(world.now)
    world.later(seconds=CARRIED_OUT.total_seconds())
    found = world.pipelines().find(world.pipeline(), run)
    assert found is not None
    assert found.status is RunStatus.UNKNOWN
    first = world.deploy.builds[20]
    first.parameters = {"SAASBOT_RUN_KEY": run.key}
    found = world.pipelines().find(world.pipeline(), run)
    assert found is not None
    assert found.handle == f"{JOB}/20"


def test_a_build_that_somebody_ran_again_is_not_the_run(world: World) -> None:
    """Rebuild and Replay give the same parameters again, the run key among them."""
    run = world.building(world.run())
    world.end("SUCCESS")
    world.deploy.build(world.now, world.deploy.builds[1].parameters)
    found = world.pipelines().find(world.pipeline(), run)
    assert found is not None
    assert (found.handle, found.status) == (f"{JOB}/1", RunStatus.SUCCEEDED)


def test_an_order_that_was_taken_and_is_nowhere_is_unknown(world: World) -> None:
    run = world.run(started_at=world.now)
    world.later(seconds=CARRIED_OUT.total_seconds())
    found = world.pipelines().find(world.pipeline(), run)
    assert found is not None
    text = f"Jenkins took the order for {DEPLOY} and shows no build of it"
    assert (found.status, found.text) == (RunStatus.UNKNOWN, text)


def test_builds_that_cannot_be_listed_leave_it_open(world: World) -> None:
    run = world.run()
    world.server.permissions.clear()
    found = world.pipelines().find(world.pipeline(), run)
    assert found is not None
    assert found.status is RunStatus.UNKNOWN
    assert found.text.startswith(f"the builds of {DEPLOY} cannot be listed, so nobody can tell whether it started: ")
    gone = world.pipelines().find(None, run)
    assert gone is not None
    assert gone.status is RunStatus.UNKNOWN


@pytest.mark.parametrize("answer", [Answer(201), Answer(302, headers={"Location": "."})])
def test_an_answer_that_names_no_item_is_no_reason_to_start_again(world: World, answer: Answer) -> None:
    run = world.run()
    world.server.faults.append(Fault(START, "drop after"))
    with pytest.raises(ServerUnreachable):
        world.start(run)
    world.server.faults.append(Fault(START, answer))
    fact = world.pipelines().start(world.pipeline(), run, world.told(run))
    assert isinstance(fact, RunFact), fact
    assert fact.status is RunStatus.PENDING
