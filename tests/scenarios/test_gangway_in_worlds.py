"""The whole bot, a real Envoy and a real nginx: every job is started exactly once, whatever breaks on the way.

A pass is a new process each time: what a test finds later stood in the statefile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from worlds.faulty_ports import Call, Injector, Killed, Kind
from worlds.gangway_front import TOKEN, front
from worlds.gangway_front import World as Front
from worlds.gangway_world import GangwayWorld, refusals, starts

from bot.core.follow import LOOKS
from bot.model.rounds import Result
from bot.model.runs import RunStatus

NewWorld = Callable[..., GangwayWorld]
SIXTEEN = [f"periodic-ci-{number:02}" for number in range(16)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("front")) as running:
        yield running


@pytest.fixture
def gangway(servers: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewWorld]:
    """Lay out a world before a Gangway in which nothing ran yet; the arguments are those of `GangwayWorld`."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GANGWAY_TOKEN", TOKEN)
    servers.prow.clear()
    yield lambda **wishes: GangwayWorld(tmp_path / "world", front=servers, **wishes)
    servers.bury()
    (servers.folder / "mortal.json").unlink(missing_ok=True)


def nth(name: str, number: int, kind: Kind) -> Injector:
    """The fate of a process: its `number`-th call of this name, whatever it is about, ends so."""
    seen: list[Call] = []

    def choose(call: Call) -> Kind | None:
        if call.name != name:
            return None
        seen.append(call)
        return kind if len(seen) == number else None

    return Injector(choose)


# Limits


def test_gw_6_sixteen_jobs_through_the_limit_are_accepted_once_each_without_a_rate_limit_of_ours(
    gangway: NewWorld,
) -> None:
    """Nginx says 429, the statefile says when to try again; a minute takes two seconds here (`SPEED`)."""
    world = gangway(door="quick")
    world.defines("many", SIXTEEN, retry={"attempts": 3, "interval": "20s"})
    world.adopted()
    limited = world.slot()
    assert any("429 Rate limit exceeded" in each.text for each in limited.plan.held)
    for _ in range(12):
        if len(world.prow.executions) == len(SIXTEEN):
            break
        time.sleep(0.6)
        world.passes(1, seconds=20)
    assert sorted(world.executed()) == SIXTEEN
    world.passes(1, seconds=300)
    assert sorted(world.executed()) == SIXTEEN
    assert {job.run.handle for job in world.round_of().jobs if job.run is not None} == {*world.prow.executions}
    assert not any(job.failed for job in world.round_of().jobs)


def test_gw_11_with_a_rate_limit_sixteen_jobs_are_started_in_one_pass_and_never_meet_the_limit(
    gangway: NewWorld,
) -> None:
    world = gangway(door="quick2", rate="20/s")
    world.defines("many", SIXTEEN)
    world.adopted()
    report = world.slot()
    assert world.executed() == SIXTEEN
    assert (refusals(report), report.plan.held) == ([], ())
    assert world.prow.calls.count("list") == len(SIXTEEN)


# Lost answers


def test_gw_7_and_g_b5_a_gangway_that_dies_after_receipt_has_executed_it_once(gangway: NewWorld) -> None:
    """G-B5: the original sent the request again."""
    world = gangway(door="mortal", now=datetime.now(UTC))
    assert world.front is not None
    world.front.revive()
    world.defines("nightly", ["deadly-job"])
    world.adopted()
    (skipped,) = world.slot().outcomes
    assert "whether it was carried out is looked up in the next pass" in skipped.text
    world.passes(1, minutes=1)
    assert world.stand() == {"deadly-job": "pending"}
    world.front.revive()
    world.passes(2, minutes=1)
    (execution,) = world.front.mortals()
    run = world.job_of("deadly-job").run
    assert run is not None
    assert (run.handle, run.status) == (execution.id, RunStatus.PENDING)
    world.passes(2, minutes=5)
    assert len(world.front.mortals()) == 1


@pytest.mark.parametrize("kind", [Kind.KILLED_AFTER, Kind.LOST, Kind.KILLED_BEFORE])
def test_gw_13_a_bot_that_dies_between_the_request_and_the_statefile_starts_each_job_once(
    gangway: NewWorld, kind: Kind
) -> None:
    world = gangway()
    world.defines("nightly", ["one", "two", "three"])
    world.adopted()
    world.now = world.now.replace(minute=0) + timedelta(hours=1)
    fate = nth("pipelines.start", 2, kind)
    if kind is Kind.LOST:
        world.pass_of(fate)
    else:
        with pytest.raises(Killed):
            world.pass_of(fate)
    world.passes(2, minutes=5)
    assert sorted(world.executed()) == ["one", "three", "two"]
    assert world.stand() == {"one": "pending", "two": "pending", "three": "pending"}
    world.prow.ends()
    world.passes(1, minutes=5)
    assert world.round_of().result is Result.SUCCESS
    assert len(world.prow.executions) == 3


def test_gw_13_a_slot_is_carried_out_once_and_each_execution_is_on_record(gangway: NewWorld) -> None:
    """G-B6: the original kept no id."""
    world = gangway()
    world.defines("nightly", ["one"], **{"with": {"page": "https://prow.example.com/job?id="}})
    world.adopted()
    world.slot()
    world.passes(3, minutes=10)
    (execution,) = world.prow.executions.values()
    run = world.job_of("one").run
    assert run is not None
    assert (run.handle, run.url) == (execution.id, f"https://prow.example.com/job?id={execution.id}")
    assert (run.pipeline, run.number, run.reasons[0].kind) == ("one", 1, "schedule")
    assert run.intent_at == world.now.replace(minute=0)


def test_gw_7_two_definitions_of_one_prow_job_do_not_share_an_execution(gangway: NewWorld) -> None:
    """The second start was never sent; the only new execution is the first one's, and is not taken for it."""
    world = gangway()
    for name in ("first", "second"):
        world.defines(name, [{"name": "it", "with": {"job": "periodic-shared", "envs": {"FOR": name}}}])
    world.adopted()
    world.now = world.now.replace(minute=0) + timedelta(hours=1)
    world.pass_of(nth("pipelines.start", 2, Kind.BEFORE))
    world.prow.ends()
    world.passes(2, minutes=5)
    assert [each.spec["envs"]["FOR"] for each in world.prow.of("periodic-shared")] == ["first", "second"]
    handles = [world.job_of("it", name).run for name in ("first", "second")]
    assert [run.handle for run in handles if run is not None] == [*world.prow.executions]


def test_gw_14_an_execution_that_prow_forgets_is_unknown_after_three_passes(gangway: NewWorld) -> None:
    world = gangway()
    world.defines("nightly", ["one"])
    world.adopted()
    world.slot()
    world.prow.executions.clear()
    for _ in range(LOOKS - 1):
        world.passes(1, minutes=5)
        assert world.stand() == {"one": "pending"}
    world.passes(1, minutes=5)
    run = world.job_of("one").run
    assert run is not None
    assert (run.status, run.text) == (RunStatus.UNKNOWN, "Gangway does not know its execution any more")
    assert (world.round_of().result, world.round_of().text) == (Result.ERROR, "failed: one")


# Refusals


def test_g_b1_a_job_that_is_refused_is_named_at_the_end_and_in_the_exit_code(gangway: NewWorld) -> None:
    """G-B1: the original said that no job failed, and ended with 0."""
    world = gangway()
    world.defines("nightly", ["one", "no-such-job", "others-job", "two"])
    world.adopted()
    world.now = world.now.replace(minute=0) + timedelta(hours=1)
    ended = world.saasbot("reconcile")
    assert ended.code == 1
    assert 'failed to find associated periodic job "no-such-job"' in ended.out
    assert world.executed() == ["one", "two"]
    world.prow.ends()
    world.later(minutes=5)
    ended = world.saasbot("reconcile")
    assert ended.code == 0, "what was refused is not refused again"
    assert (world.round_of().result, world.round_of().text) == (Result.ERROR, "failed: no-such-job, others-job")
    assert world.posts() == 4, "nothing is asked for again that is final"


def test_g_b4_a_rejected_token_is_asked_with_once(gangway: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGWAY_TOKEN", "sha256~a-token-that-was-taken-back")
    world = gangway()
    world.defines("nightly", ["one"], healthCheck={"attempts": 3, "interval": "1m"})
    world.adopted()
    world.slot()
    world.passes(3, minutes=1)
    assert world.round_of().result is Result.ERROR
    assert "token rejected (403 Sign in): check the environment variable GANGWAY_TOKEN" in world.round_of().text
    assert world.prow.calls == []


# Health


def test_gw_5_a_health_check_of_an_hour_survives_the_ends_of_processes(gangway: NewWorld) -> None:
    world = gangway(door="mortal")
    assert world.front is not None
    world.defines("nightly", ["one"], healthCheck={"attempts": 60, "interval": "15m"}, on=EVERY_DAY)
    world.adopted()
    world.now = world.now.replace(minute=0) + timedelta(hours=1)
    world.pass_of()
    for probes in range(2, 5):
        world.passes(1, minutes=7)
        world.passes(1, minutes=8)
        assert (world.round_of().probes, world.stand()) == (probes, {"one": "waiting"})
    world.front.revive()
    world.passes(1, minutes=15)
    assert [each.job for each in world.front.mortals()] == ["one"]
    assert world.round_of().up


def test_gw_5_a_server_that_is_never_up_gets_no_start(gangway: NewWorld) -> None:
    world = gangway(door="dead")
    world.defines("nightly", ["one"], healthCheck={"attempts": 4, "interval": "20m"})
    world.adopted()
    assert starts(world.slot()) == []
    for _ in range(3):
        world.later(minutes=20)
        assert starts(world.pass_of()) == []
    assert world.round_of().result is Result.ERROR
    assert world.round_of().text.startswith("nothing was started: the server was not up in 4 looks: ")


EVERY_DAY = {"schedule": {"cron": "0 11 * * *"}}
