"""What became of a start whose answer was lost (RP-4, RP-11): the project's own pipelines are looked through."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from worlds.fake_circleci_model import ends
from worlds.fake_circleci_world import AT, World
from worlds.fake_http import Answer, Fault

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.ports import Refused
from bot.providers.downstream import CARRIED_OUT

MINE = ("GET", r".*/pipeline/mine")


def lost(world: World, fault: Any = "drop after", key: str = "a" * 32, **options: Any) -> Run:
    """A run whose start was asked for, and whose answer was lost."""
    run = world.run(key, mark=world.pipelines().mark(world.pipeline(**options)))
    world.server.faults.append(Fault(("POST", r".*/pipeline"), fault))
    with pytest.raises(ServerUnreachable):
        world.pipelines().start(world.pipeline(**options), run, world.told(run))
    return run


def found(world: World, run: Run, **options: Any) -> RunFact | None:
    """What a new process finds."""
    return world.pipelines().find(world.pipeline(**options), run)


def text(fact: RunFact | None) -> tuple[RunStatus, str]:
    assert fact is not None
    assert fact.handle == ""
    return fact.status, fact.text


def test_rp_4_a_start_whose_answer_was_lost_is_adopted_and_not_made_again(world: World) -> None:
    for _ in range(3):
        world.web.add(world.now, branch="1.2.x")
    run = lost(world)
    assert run.mark == "3"
    world.later(seconds=10)
    fact = found(world, run)
    assert fact is not None
    assert (fact.status, fact.handle) == (RunStatus.RUNNING, world.made.id)
    assert fact.url.endswith("/gh/acme/web/4")
    assert len(world.posts()) == 1


def test_rp_4_a_start_that_never_arrived_is_a_clear_no_after_a_while(world: World) -> None:
    run = lost(world, "drop before")
    assert text(found(world, run)) == (RunStatus.PENDING, "its pipeline is looked for")
    world.later(seconds=CARRIED_OUT.total_seconds() - 1)
    assert text(found(world, run)) == (RunStatus.PENDING, "its pipeline is looked for")
    world.later(seconds=1)
    assert found(world, run) is None


@pytest.mark.parametrize("status", [500, 502, 504])
def test_rp_4_a_gateway_that_gave_up_may_have_passed_it_on(world: World, status: int) -> None:
    run = lost(world, Answer(status, b""))
    world.web.add(world.now, branch="1.2.x")
    fact = found(world, run)
    assert fact is not None
    assert fact.handle == world.made.id


def test_rp_4_of_several_new_ones_nobody_can_tell(world: World) -> None:
    run = lost(world)
    world.web.add(world.now, branch="1.2.x")
    status, words = text(found(world, run))
    assert status is RunStatus.UNKNOWN
    assert words.startswith("2 pipelines of gh/acme/web are new, and nobody can tell which is this run: 2 (")
    assert all(each.id in words for each in world.web.pipelines)


@pytest.mark.parametrize(
    "more",
    [
        {"branch": "master"},
        {"tag": "1.2.x"},
        {"branch": "1.2.x", "login": "alice"},
        {"branch": "1.2.x", "trigger": "webhook"},
    ],
)
def test_pipelines_of_others_and_of_other_branches_are_not_taken_for_it(world: World, more: dict[str, str]) -> None:
    run = lost(world, "drop before")
    world.web.add(world.now, **more)
    world.later(minutes=4)
    assert found(world, run) is None


def test_a_branch_from_a_placeholder_may_have_been_any(world: World) -> None:
    run = lost(world, "drop before", branch="{reasons}.x")
    world.web.add(world.now, branch="master")
    world.later(minutes=4)
    assert found(world, run, branch="{reasons}.x") is None
    world.web.add(world.now, branch="command.x")
    fact = found(world, run, branch="{reasons}.x")
    assert fact is not None
    assert fact.handle == world.made.id


@pytest.mark.parametrize("vcs", [True, False])
def test_without_a_branch_of_its_own_any_will_do(world: World, vcs: bool) -> None:
    world.web.vcs = vcs
    options: dict[str, Any] = {"branch": None} if vcs else {}
    run = lost(world, **options)
    fact = found(world, run, **options)
    assert fact is not None
    assert fact.handle == world.made.id


def test_pipelines_that_belong_to_other_runs_are_not_taken_for_it(world: World) -> None:
    """The same process has started one of them and followed another."""
    provider = world.pipelines()
    mark = provider.mark(world.pipeline())
    first, second = world.run("b" * 32, mark=mark), world.run("c" * 32, mark=mark)
    assert isinstance(provider.start(world.pipeline(), first, world.told(first)), RunFact)
    followed = world.start(second)
    provider.status(world.pipeline(), followed)
    run = replace(lost(world), mark=mark)
    fact = provider.find(world.pipeline(), run)
    assert fact is not None
    assert fact.handle == world.made.id
    assert provider.find(world.pipeline(), run) == fact


def test_the_run_key_tells_several_apart_where_the_config_shows_it(world: World) -> None:
    world.web.shows_parameters = True
    options = {"runKeyParameter": "run_key"}
    run = lost(world, **options)
    other = replace(lost(world, key="b" * 32, **options), mark=run.mark)
    for each in (run, other):
        fact = found(world, each, **options)
        assert fact is not None
        assert [p.parameters["run_key"] for p in world.web.pipelines if p.id == fact.handle] == [each.key]


def test_a_config_that_shows_the_run_keys_of_others_leaves_it_to_a_person(world: World) -> None:
    """It may be somebody else's; and where a parameter is used in a condition, CircleCI leaves it out."""
    world.web.shows_parameters = True
    options = {"runKeyParameter": "run_key"}
    run = lost(world, "drop before", **options)
    for count in (1, 2):
        world.web.add(world.now, branch="1.2.x", parameters={"run_key": str(count) * 32})
        status, words = text(found(world, run, **options))
        assert status is RunStatus.UNKNOWN
        assert words.startswith(f"{count} pipelines of gh/acme/web are new, and nobody can tell which is this run")
        assert "none shows the run key, which `run_key` was started with" in words


def test_the_run_key_tells_several_apart_where_the_pipeline_shows_it(world: World) -> None:
    options = {"runKeyParameter": "run_key"}
    run = lost(world, **options)
    theirs = world.web.add(world.now, branch="1.2.x", parameters={"run_key": "b" * 32})
    shown = [
        each.shown(world.now) | {"trigger_parameters": {"circleci": [{"run_key": each.parameters["run_key"]}]}}
        for each in world.web.pipelines
    ]
    page = Answer(200, {"items": shown, "next_page_token": None})
    world.server.faults.append(Fault(MINE, page, times=2))
    fact = found(world, run, **options)
    assert fact is not None
    assert fact.handle == world.web.pipelines[0].id
    fact = found(world, replace(run, key="b" * 32), **options)
    assert fact is not None
    assert fact.handle == theirs.id


def test_a_pipeline_that_shows_another_run_key_is_not_the_run(world: World) -> None:
    options = {"runKeyParameter": "run_key"}
    run = lost(world, "drop before", **options)
    theirs = world.web.add(world.now, branch="1.2.x", parameters={"run_key": "b" * 32})
    shown = theirs.shown(world.now) | {"trigger_parameters": {"run_key": "b" * 32}}
    world.later(minutes=4)
    world.server.faults.append(Fault(MINE, Answer(200, {"items": [shown], "next_page_token": None})))
    assert found(world, run, **options) is None


def test_where_the_run_key_is_shown_nowhere_the_one_that_is_new_is_the_run(world: World) -> None:
    options = {"runKeyParameter": "run_key"}
    run = lost(world, **options)
    fact = found(world, run, **options)
    assert fact is not None
    assert fact.handle == world.made.id
    world.server.faults.append(Fault(("GET", r".*/config"), Answer(404, {"message": "no config"})))
    assert found(world, run, **options) == fact
    world.server.faults.append(Fault(("GET", r".*/config"), Answer(502, b"")))
    with pytest.raises(ServerUnreachable, match="502"):
        found(world, run, **options)


def test_c_b1_rp_10_new_pipelines_are_looked_for_on_every_page_that_may_have_them(world: World) -> None:
    world.server.page_size = 3
    for _ in range(10):
        world.web.add(world.now, branch="1.2.x")
    run = lost(world)
    for _ in range(4):
        world.web.add(world.now, branch="master")
    before = len(world.server.requests)
    fact = found(world, run)
    assert fact is not None
    assert fact.handle == world.web.pipelines[10].id
    asked = [each.query for each in world.server.requests[before:] if each.path.endswith("/mine")]
    assert asked == ["", "page-token=from-3", "page-token=from-6"]


def test_more_pages_than_anybody_reads_are_no_clear_no(world: World) -> None:
    run = lost(world, "drop before")
    world.server.page_size = 1
    for _ in range(12):
        world.web.add(world.now, branch="master")
    world.later(minutes=4)
    status, words = text(found(world, run))
    assert (status, words.endswith("the list has more than 10 pages")) == (RunStatus.UNKNOWN, True)


def test_a_list_that_is_refused_leaves_it_open(world: World) -> None:
    run = lost(world)
    world.server.faults.append(Fault(MINE, Answer(403, {"message": "Permission denied"})))
    words = (
        "the pipelines of gh/acme/web cannot be listed, so nobody can tell whether it started: 403 Permission denied"
    )
    assert text(found(world, run)) == (RunStatus.UNKNOWN, words)


@pytest.mark.parametrize("fault", [Answer(503, b""), Answer(401, {"message": "x"}), Answer(429, b""), "drop before"])
def test_a_server_that_does_not_answer_is_asked_again(world: World, fault: Any) -> None:
    run = lost(world)
    world.server.faults.append(Fault(MINE, fault, times=2))
    with pytest.raises(ServerUnreachable):
        found(world, run)
    with pytest.raises(ServerUnreachable):
        world.pipelines().mark(world.pipeline())


def test_a_job_that_left_the_config_is_not_looked_for(world: World) -> None:
    run = lost(world)
    status, words = text(world.pipelines().find(None, run))
    assert (status, words.startswith("its job left the config")) == (RunStatus.UNKNOWN, True)


def test_the_mark_is_the_number_of_the_newest_own_pipeline(world: World) -> None:
    assert world.pipelines().mark(world.pipeline()) == "0"
    world.web.add(world.now)
    assert world.pipelines().mark(world.pipeline()) == "1"
    assert world.server.counts["GET", f"{AT}/pipeline/mine"] == 2


def test_a_mark_that_cannot_be_had_leaves_the_time_to_go_by(world: World) -> None:
    assert world.pipelines().mark(world.pipeline(project="gh/acme/none")) == ""
    world.server.faults.append(Fault(MINE, Answer(200, {"items": "x"})))
    assert world.pipelines().mark(world.pipeline()) == ""
    world.web.add(world.now, branch="1.2.x")
    world.later(minutes=6)
    run = replace(lost(world), mark="")
    fact = found(world, run)
    assert fact is not None
    assert fact.handle == world.web.pipelines[1].id


def test_a_run_that_never_started_is_canceled_without_a_request_to_do_so(world: World) -> None:
    run = lost(world, "drop before")
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert not isinstance(fact, Refused)
    assert (fact.status, fact.text) == (RunStatus.PENDING, "its pipeline is looked for")
    world.later(minutes=4)
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert not isinstance(fact, Refused)
    assert (fact.status, fact.text) == (RunStatus.CANCELED, "it was never started")


def test_a_run_without_a_handle_is_found_to_be_stopped(world: World) -> None:
    run = lost(world)
    world.later(seconds=30)
    fact = world.pipelines().cancel(world.pipeline(), run)
    assert not isinstance(fact, Refused)
    assert (fact.status, fact.handle) == (RunStatus.CANCELED, world.made.id)


def test_rp_11_a_run_of_another_process_is_followed_by_its_handle_alone(world: World) -> None:
    world.web.script = ends("success")
    run = world.start(world.run())
    world.later(seconds=70)
    fact = world.pipelines().status(None, Run(run.key, 1, "", "", "web", handle=run.handle, intent_at=run.intent_at))
    assert (fact.status, fact.finished_at) == (RunStatus.SUCCEEDED, world.now - timedelta(seconds=8))
