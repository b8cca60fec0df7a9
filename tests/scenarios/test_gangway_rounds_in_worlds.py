"""Before a real Envoy: on which days, for which builds and from which lists jobs start, and what is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from worlds.contract import Contract
from worlds.fake_http import Answer, FakeServer, Fault, Request, Route
from worlds.gangway_front import TOKEN, front
from worlds.gangway_front import World as Front
from worlds.gangway_world import GangwayWorld, at, starts

from bot.model.rounds import Result

NewWorld = Callable[..., GangwayWorld]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("front")) as running:
        yield running


@pytest.fixture
def gangway(servers: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewWorld:
    """Lay out a world before a Gangway whose jobs succeed at once; the arguments are those of `GangwayWorld`."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GANGWAY_TOKEN", TOKEN)
    servers.prow.clear()
    servers.prow.at_once = "SUCCESS"
    return lambda **wishes: GangwayWorld(tmp_path / "world", front=servers, **wishes)


class Releases(FakeServer):
    """A release controller with one stream."""

    routes: ClassVar = (Route("GET", r"/api/v1/releasestream/4-stable/latest", "latest"),)
    unjudged: ClassVar[re.Pattern[str]] = re.compile(r".*")

    def __init__(self) -> None:
        super().__init__(cast("Contract", None))
        self.name = "4.20.1"

    def latest(self, request: Request) -> Answer:
        del request
        return Answer(200, {"name": self.name, "phase": "Accepted", "pullSpec": f"registry.example.com/{self.name}"})

    @property
    def condition(self) -> dict[str, Any]:
        """As a definition asks for it."""
        return {"newBuild": {"url": f"{self.url}/api/v1/releasestream/4-stable/latest", "field": "name"}}


@pytest.fixture(scope="module")
def controller() -> Iterator[Releases]:
    with Releases() as server:
        yield server


@pytest.fixture
def releases(controller: Releases) -> Releases:
    controller.faults.clear()
    controller.name = "4.20.1"
    return controller


# Days


def test_gw_2_days_begin_and_end_where_the_definition_counts_them(gangway: NewWorld) -> None:
    """Tokyo is nine hours ahead: its 31st ends, and its 1st begins, at 15:00 UTC."""
    world = gangway(now=at("2026-03-31T13:30:00Z"))
    for city, zone in {"utc": "UTC", "tokyo": "Asia/Tokyo"}.items():
        dates = [
            {"name": f"until-{city}", "activeUntil": "2026-03-31"},
            {"name": f"after-{city}", "activeAfter": "2026-04-01"},
        ]
        world.defines(city, dates, on={"schedule": {"cron": "0 * * * *", "timezone": zone}})
    world.adopted()
    found = {}
    for hour in ("2026-03-31T14:00:00Z", "2026-03-31T15:00:00Z", "2026-03-31T23:00:00Z", "2026-04-01T00:00:00Z"):
        world.now = at(hour)
        found[hour[8:13]] = starts(world.pass_of())
        world.passes(1, minutes=1)
    assert found == {
        "31T14": ["until-tokyo", "until-utc"],
        "31T15": ["after-tokyo", "until-utc"],
        "31T23": ["after-tokyo", "until-utc"],
        "01T00": ["after-tokyo", "after-utc"],
    }
    assert [job.text for job in world.round_of("utc").jobs] == ["not after 2026-03-31", ""]


def test_gw_3_and_g_b3_the_eighth_and_the_ninth_are_days_like_others(gangway: NewWorld) -> None:
    """G-B3: the original died of `08` and `09`, which no shell takes for numbers."""
    world = gangway(now=at("2026-03-07T10:30:00Z"))
    world.defines("late", ["on-late-days"], conditions=[{"dayOfMonth": {"min": 8}}])
    world.defines("early", ["on-early-days"], conditions=[{"dayOfMonth": {"max": 7}}])
    world.adopted()
    found = {}
    for day in (7, 8, 9, 10):
        world.now = world.now.replace(day=day)
        found[day] = starts(world.slot())
        world.passes(1, minutes=1)
    assert found == {7: ["on-early-days"], 8: ["on-late-days"], 9: ["on-late-days"], 10: ["on-late-days"]}
    assert world.round_of("early").text == "skipped: day 10 of the month is not in 1 to 7"


# New builds


def test_gw_4_a_build_is_started_for_once_and_counts_only_when_a_job_was_accepted(
    gangway: NewWorld, releases: Releases
) -> None:
    world = gangway()
    world.defines("zstream", ["no-such-job", "on-new-build"], conditions=[releases.condition])
    world.adopted()
    world.slot()
    world.passes(1, minutes=1)
    assert world.executed() == ["on-new-build"]
    assert world.state().triggers["zstream"].builds == {releases.condition["newBuild"]["url"]: "4.20.1"}
    assert starts(world.slot()) == []
    assert (world.round_of().result, world.round_of().text) == (
        Result.SKIPPED,
        "skipped: no new build since the last start",
    )
    releases.name = "4.20.2"
    assert starts(world.slot()) == ["no-such-job", "on-new-build"]


def test_gw_4_a_build_for_which_no_job_was_accepted_is_still_new(gangway: NewWorld, releases: Releases) -> None:
    world = gangway()
    world.defines("zstream", ["no-such-job"], conditions=[releases.condition])
    world.adopted()
    world.slot()
    world.passes(1, minutes=1)
    assert world.state().triggers["zstream"].builds == {}
    assert starts(world.slot()) == ["no-such-job"]


def test_gw_4_a_source_that_is_away_fails_the_round_and_a_command_goes_past_it(
    gangway: NewWorld, releases: Releases
) -> None:
    world = gangway()
    world.defines("zstream", ["on-new-build"], conditions=[releases.condition])
    world.adopted()
    releases.faults.append(Fault(("GET", r".*"), Answer(404, {"error": "no such stream"}), times=99))
    assert starts(world.slot()) == []
    assert world.round_of().result is Result.ERROR
    assert world.round_of().text.startswith("nothing was started: http://127.0.0.1:")
    assert world.state().triggers["zstream"].builds == {}
    world.later(minutes=1)
    assert starts(world.pass_of(None, ("alice", "trigger zstream"))) == ["on-new-build"]


# Batches


def test_gw_10_a_batch_waits_for_the_end_of_the_one_before_and_for_the_pause(gangway: NewWorld) -> None:
    world = gangway()
    world.prow.at_once = "TRIGGERED"
    world.defines("many", list("abcde"), batch={"size": 2, "pause": "10m", "wait": "finished"})
    world.adopted()
    found = [starts(world.slot())]
    for minutes, ends in ((5, False), (5, True), (9, False), (1, True), (10, True)):
        if ends:
            world.prow.ends()
        world.later(minutes=minutes)
        found.append(starts(world.pass_of()))
    assert found == [["a", "b"], [], [], [], ["c", "d"], []]
    world.passes(1, minutes=10)
    assert world.executed() == list("abcde")


# Lists of jobs

LIST = [
    {"job_name": "periodic-ci-old", "active": True},
    {"job_name": "periodic-ci-off", "active": False},
    {"jobList": [{"jobType": "periodic", "jobName": "periodic-ci-new", "active": True}]},
    {"job_name": "periodic-ci-dated", "active": True, "activeUntil": "2026-01-31"},
]


def test_gw_1_and_gw_16_the_original_list_in_the_config(gangway: NewWorld) -> None:
    world = gangway()
    world.push({"lists/jobs.json": json.dumps(LIST)})
    world.defines("interop", jobsFrom={"file": "lists/jobs.json", "format": "gangway-list"})
    world.adopted()
    assert starts(world.slot()) == ["periodic-ci-old", "periodic-ci-new"]
    assert world.executed() == ["periodic-ci-old", "periodic-ci-new"]
    skipped = {job.name: job.text for job in world.round_of().jobs if job.status == "skipped"}
    assert skipped == {"periodic-ci-off": "not active", "periodic-ci-dated": "not after 2026-01-31"}
    # A text is no `true`: nothing is started, and the place is told.
    world.push({"lists/jobs.json": json.dumps([{"job_name": "x", "active": "true"}])})
    assert starts(world.slot()) == []
    ended = world.saasbot("validate", now=False)
    assert ended.code == 1
    assert re.search(r"lists/jobs\.json.*\[0\]: `active` is `true` or `false`", ended.out), ended.out


def test_gw_16_a_list_in_a_folder_of_secrets_named_by_the_environment(
    gangway: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = gangway()
    folder = tmp_path / "profile"
    folder.mkdir()
    monkeypatch.setenv("CLUSTER_PROFILE_DIR", str(folder))
    monkeypatch.setenv("JSON_TRIGGER_LIST", "self-managed-lp-interop-jobs")
    named = {"folder": {"env": "CLUSTER_PROFILE_DIR"}, "key": {"env": "JSON_TRIGGER_LIST"}, "format": "gangway-list"}
    world.defines("interop", jobsFrom=named)
    world.adopted()
    report = world.slot()
    assert starts(report) == []
    assert [each.gate for each in report.plan.held] == ["unreachable"]
    (folder / "self-managed-lp-interop-jobs").write_text(json.dumps(LIST))
    world.later(minutes=1)
    assert starts(world.pass_of()) == ["periodic-ci-old", "periodic-ci-new"]
    world.passes(1, minutes=1)
    assert world.round_of().result is Result.SUCCESS


# What is told


def test_gw_12_and_gw_17_a_dry_run_shows_the_requests_and_sends_none(gangway: NewWorld, tmp_path: Path) -> None:
    world = gangway()
    world.defines("nightly", ["one", {"name": "two", "active": False}])
    world.adopted()
    before = world.state()
    ended = world.saasbot("trigger", "start", "nightly", "--dry-run", "--as", "alice")
    assert ended.code == 0, ended
    assert world.front is not None
    url = f"{world.front.url('body')}/v1/executions"
    for words in ("method: POST", f"url: {url}", '"job_name": "one"', "two: not started: not active"):
        assert words in ended.out, ended.out
    assert (world.posts(), world.state()) == (0, before)
    assert TOKEN not in ended.out + ended.err
    world.slot()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_gw_9_and_g_b1_the_report_lists_what_was_started_skipped_refused_and_is_unknown(gangway: NewWorld) -> None:
    world = gangway()
    jobs: list[str | dict[str, Any]] = ["good", "bad", {"name": "off", "active": False}, "no-such-job", "forgotten"]
    world.defines("nightly", jobs, **{"with": {"page": "https://prow.example.com/job?id="}})
    world.adopted()
    world.prow.at_once = "TRIGGERED"
    world.slot()
    ids = {each.job: each.id for each in world.prow.executions.values()}
    world.prow.of("bad")[0].status = "FAILURE"
    world.prow.of("good")[0].status = "SUCCESS"
    del world.prow.executions[ids["forgotten"]]
    world.passes(3, minutes=5)
    assert (world.round_of().result, world.round_of().text) == (Result.ERROR, "failed: bad, no-such-job, forgotten")
    told = world.saasbot("trigger", "status", "nightly", "--format", "json").document
    (found,) = (each for trigger in told["triggers"] for each in trigger["sets"])
    rows = {each["name"]: each for each in found["jobs"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "good": "succeeded",
        "bad": "failed",
        "off": "skipped",
        "no-such-job": "refused",
        "forgotten": "unknown",
    }
    assert rows["good"]["url"] == f"https://prow.example.com/job?id={ids['good']}"
    assert rows["off"]["text"] == "not active"
    assert 'failed to find associated periodic job "no-such-job"' in rows["no-such-job"]["text"]


def test_gw_15_owners_start_jobs_by_command(gangway: NewWorld) -> None:
    world = gangway()
    world.defines("nightly", ["one", "two"])
    world.adopted()
    assert starts(world.pass_of(None, ("bob", "trigger nightly"))) == []
    assert starts(world.pass_of(None, ("alice", "trigger nightly two"))) == ["two"]
    assert world.executed() == ["two"]
