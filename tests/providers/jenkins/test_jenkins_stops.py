"""Jobs that would not be started, and runs that are stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds.fake_http import Answer, Fault
from worlds.fake_jenkins_world import DEPLOY, PARAMETERS, PATH, World, serving

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.ports import Refused
from bot.providers.downstream import CARRIED_OUT
from bot.providers.jenkins_api import ORDINARY

START = ("POST", r".*/buildWithParameters")
JOB = "job/team/job/deploy%20prod"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("parameters", "options", "text"),
    [
        (None, {}, f"the job {DEPLOY} does not define SAASBOT_RUN_KEY, and Jenkins drops what"),
        ({"OTHER": "String"}, {}, "does not define SAASBOT_RUN_KEY"),
        (PARAMETERS, {"runKeyParameter": "KEY"}, "does not define KEY,"),
        (PARAMETERS, {"parameters": {"A": "1", "B": "2"}}, "does not define A, B,"),
        ({"SAASBOT_RUN_KEY": "Password"}, {}, "has to be a string parameter, it is a PasswordParameterDefinition"),
        (PARAMETERS, {"job": "team/gone"}, "there is no job team/gone, or its token may not see it"),
        (PARAMETERS, {"job": "https://other.example.com/job/x"}, "names no job of http"),
        (PARAMETERS, {"job": ""}, "pipeline deploy: `job` is a job's name with its folders"),
    ],
)
def test_a_job_that_would_lose_what_it_is_told_is_not_started(
    world: World, parameters: dict[str, str] | None, options: dict[str, Any], text: str
) -> None:
    world.deploy.parameters = parameters
    run = world.run()
    answer = world.pipelines().start(world.pipeline(**options), run, world.told(run))
    assert isinstance(answer, Refused), answer
    assert text in answer.text
    assert world.posts() == []


def test_a_job_that_was_mended_is_started(world: World) -> None:
    world.deploy.parameters, run, provider = None, world.run(), world.pipelines()
    assert isinstance(provider.start(world.pipeline(), run, world.told(run)), Refused)
    world.deploy.parameters = dict(PARAMETERS)
    assert isinstance(provider.start(world.pipeline(), run, world.told(run)), RunFact)


def test_a_no_of_the_server_is_told_in_its_words(world: World) -> None:
    run = world.run()
    world.server.permissions.remove("Job/Build")
    answer = world.pipelines().start(world.pipeline(), run, world.told(run))
    assert answer == Refused(f"Jenkins would not build {DEPLOY}: saasbot lacks the permission Job/Build")
    world.server.permissions.add("Job/Build")
    world.deploy.disabled = True
    answer = world.pipelines().start(world.pipeline(), run, world.told(run))
    assert answer == Refused(f"Jenkins would not build {DEPLOY}: deploy prod is not buildable!")
    world.deploy.disabled = False
    world.server.faults.append(Fault(START, Answer(302, headers={"Location": "."})))
    answer = world.pipelines().start(world.pipeline(), run, world.told(run))
    assert answer == Refused(f"Jenkins did not put {DEPLOY} into its queue")
    assert world.server.queue == {}


def test_a_server_that_breaks_may_have_started_it(world: World) -> None:
    world.server.faults.append(Fault(START, Answer(500, b"<html><title>Oops</title></html>")))
    with pytest.raises(ServerUnreachable, match="buildWithParameters: 500 Oops"):
        world.start(world.run())
    assert 500 not in ORDINARY


def test_a_run_is_taken_out_of_the_queue(world: World) -> None:
    run = world.start(world.run())
    for _ in range(2):
        fact = world.pipelines().cancel(world.pipeline(), run)
        assert (fact.status, fact.handle) == (RunStatus.CANCELED, run.handle)
    world.later(minutes=1)
    assert world.deploy.builds == {}


def test_a_build_is_stopped_and_again_without_harm(world: World) -> None:
    run = world.building(world.run())
    for _ in range(2):
        fact = world.pipelines().cancel(world.pipeline(), run)
        assert (fact.status, fact.handle) == (RunStatus.CANCELED, run.handle)
    assert world.posts()[1:] == [(f"{PATH}/1/stop", 302)]


def test_a_build_that_takes_its_time_to_stop_is_running(world: World) -> None:
    run = world.building(world.run())
    world.server.stubborn = True
    assert world.pipelines().cancel(world.pipeline(), run).status is RunStatus.RUNNING
    assert world.posts()[1:] == [(f"{PATH}/1/stop", 302)]


def test_an_item_that_leaves_the_queue_meanwhile_is_stopped_as_a_build(world: World) -> None:
    run = world.start(world.run())

    def leaves(request: Any) -> bool:
        if request.path.endswith("/cancelItem"):
            world.later(seconds=6)
        return False

    world.server.faults.append(Fault(leaves, Answer(500)))
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert (fact.status, fact.handle) == (RunStatus.CANCELED, f"{JOB}/1")
    assert world.posts()[1:] == [("/jenkins/queue/cancelItem", 404), (f"{PATH}/1/stop", 302)]


def test_a_cancel_that_comes_too_late_tells_the_end(world: World) -> None:
    run = world.building(world.run())
    world.end("SUCCESS")
    assert world.pipelines().cancel(world.pipeline(), run).status is RunStatus.SUCCEEDED
    assert len(world.posts()) == 1


def test_a_run_without_a_handle_is_looked_for_before_it_is_stopped(world: World) -> None:
    run = world.run()
    assert world.pipelines().cancel(world.pipeline(), run).status is RunStatus.PENDING
    world.start(run)
    assert world.pipelines().cancel(world.pipeline(), run).status is RunStatus.CANCELED
    never = world.run("b" * 32)
    world.later(seconds=CARRIED_OUT.total_seconds())
    fact = world.pipelines().cancel(world.pipeline(), never)
    assert fact == RunFact(RunStatus.CANCELED, text="it was never started")


@pytest.mark.parametrize("begun", [False, True])
def test_a_token_that_may_not_cancel_leaves_the_run_as_it_is(world: World, *, begun: bool) -> None:
    run = world.building(world.run()) if begun else world.start(world.run())
    world.server.permissions.remove("Job/Cancel")
    words = "403 saasbot lacks the permission Job/Cancel" if begun else "is not cancellable"
    with pytest.raises(ServerUnreachable, match=words):
        world.pipelines().cancel(world.pipeline(), run)
