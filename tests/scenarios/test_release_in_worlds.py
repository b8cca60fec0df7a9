"""A release on CircleCI with the whole bot: real git, a local forge, a stateful CircleCI, and one clock for all.

The numbers in the names are those of the specification: RP-n a requirement, C-Bn a bug of the orchestrator before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from worlds.contract import NoSpecs
from worlds.fake_circleci import fixtures_folder
from worlds.fake_circleci_model import Script, WorkflowScript, ends
from worlds.fake_circleci_release import PATIENT, RELEASE, SLUG, ReleaseWorld, prepare, releasing
from worlds.fake_http import Answer, Fault
from worlds.line_world import held

from bot.model.rounds import Result
from bot.reconcile import until_idle
from bot.render.rounds import set_document

GUID = "b4f4eabc-d572-4fdf-916a-d5f05d178221"
"""The pipeline whose real answers are kept."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    """No definition and no components yet."""
    prepare(monkeypatch, tmp_path)
    with releasing(tmp_path) as made:
        yield made


def steps(*words: tuple[float, str], name: str = "release", appears: float = 2) -> WorkflowScript:
    """A workflow that goes through these words."""
    return WorkflowScript(name, words, appears)


def going(*workflows: WorkflowScript) -> Script:
    """A pipeline with these workflows."""
    return Script(workflows)


# --- the plan, and one set after another


def test_rp_1_rp_2_rp_3_sets_run_one_after_another_and_their_pipelines_side_by_side(world: ReleaseWorld) -> None:
    setup = WorkflowScript("setup", ((0, "running"), (2, "success")), tag="setup")
    late = steps((0, "running"), (5, "success"), appears=20)
    world.project("common", Script((setup, late), ((0, "setup-pending"), (1, "setup"), (18, "created"))))
    world.project("portal", going(steps((0, "success"), name="test"), steps((0, "running"), (20, "success"))))
    rows = [["common"], ["done"], [], ["gateway", "portal"], ["ui"]]
    world.components(rows, {"done": "1.1.7", "gateway": "1.20.3-SNAPSHOT", "ui": "3.0.0-SNAPSHOT"})
    world.begins()
    assert world.plan().plan.next_due is not None
    assert world.asked("POST") == [], "a plan starts nothing"
    seen = []
    for _ in range(7):
        world.one_pass()
        seen.append("".join(sorted(name[0] for name in world.started())))
        world.later(seconds=10)
    assert seen[:3] == ["c"] * 3, "neither `setup` nor a success of its workflow alone is a success"
    assert seen[3:6] == ["cgp"] * 3, "portal's second workflow still runs"
    assert seen[6:] == ["cgpu"]
    assert world.round.result is Result.RUNNING
    world.one_pass()
    assert (world.round.result, world.round.text) == (Result.SUCCESS, "4 of 4 jobs ran and succeeded")
    assert world.round.stages == tuple(f"set {row}" for row in range(5)), "empty rows are kept, and passed over"
    assert [body["branch"] for body in world.server.bodies] == ["master", "1.20.x", "master", "master"]
    assert world.server.bodies[1]["parameters"] == {
        "gio_action": "release",
        "dry_run": False,
        "s3_bucket_name": "prepared-nexus-staging-gravitee-apim-1_2_0",
        "secrethub_org": "acme",
    }


def test_rp_1_stages_may_be_written_by_hand(world: ReleaseWorld) -> None:
    stages = "stages: [{name: first, jobs: [{name: a, with: {branch: 1.2.x}}]}, {name: second, jobs: [{name: b}]}]\n"
    by_hand = RELEASE.replace("jobsFrom: {file: release.json, format: gravitee-release}\n", stages)
    world.components([["a"], ["b"]], definition=by_hand).begins().passes(6)
    assert (world.round.result, world.started()) == (Result.SUCCESS, ["a", "b"])
    assert [body.get("branch") for body in world.server.bodies] == ["1.2.x", None]
    assert world.record.released == {}


def test_rp_2_nothing_to_release_is_a_success_without_a_request_and_a_bad_list_starts_nothing(
    world: ReleaseWorld,
) -> None:
    world.components([["a"], ["b"]], {"a": "1.2.0", "b": "1.1.0"}).begins().passes(2)
    assert (world.round.result, world.round.text) == (Result.SUCCESS, "there was nothing to start")
    world.manifest(
        {
            "version": "1.2.0-SNAPSHOT",
            "components": [
                {"name": "a", "version": "1.2-SNAPSHOT"},
                {"name": "a", "version": ""},
                {"name": "not a repository", "version": "1.0.0"},
            ],
            "buildDependencies": [["a"], ["misnamed"]],
        }
    )
    ended = world.saasbot("validate")
    assert ended.code == 1
    assert ended.out.count("release.json: ") == 3
    for words in ("the component `a` stands there 2 times", "there is no component `misnamed`", "name of a repository"):
        assert words in ended.out
    world.components([["a"]], {"a": "1.2-SNAPSHOT"})
    assert "the component `a`: 1.2-SNAPSHOT is not three numbers" in world.saasbot("validate").out
    world.begins().passes(2)
    assert ("release", "invalid") in held(world.one_pass())
    assert world.server.requests == []


def test_rp_3_twenty_five_pipelines_of_a_set_are_all_started_before_one_is_looked_at(world: ReleaseWorld) -> None:
    names = [f"c{number:02}" for number in range(25)]
    world.server.page_size = 10
    world.components([names, ["last"]]).begins().passes(2, every=10)
    assert world.started() == [*names, "last"]
    everything = [(each.method, each.path.startswith("/api/v2/pipeline/")) for each in world.server.requests]
    assert everything.index(("GET", True)) > 25 + 25 - 1, "25 marks and 25 starts come first"


# --- what CircleCI says, as the whole bot understands it


@dataclass(frozen=True)
class Table:
    """What became of the components of one set: their words after ten seconds and in the end, and what was said."""

    world: ReleaseWorld
    early: dict[str, str]
    words: dict[str, str]
    texts: dict[str, str]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """A set with a component for each way in which a pipeline may go, looked at three times; pages of two items."""
    ways = {
        "success": ends("success", after=5),
        "failed": ends("failed", after=5),
        "error": ends("error", after=5),
        "canceled": ends("canceled", after=5),
        "unauthorized": ends("unauthorized", after=5),
        "failing": going(steps((0, "running"), (5, "failing"), (100, "failed"))),
        "onhold": going(steps((0, "running"), (5, "on_hold"))),
        "waits": going(steps((0, "queued"), (20, "not_run"), (50, "running"), (90, "success"))),
        "errored": Script((), ((0, "pending"), (5, "errored")), (("config", "there is no job `build`"),)),
        "empty": Script(()),
        "slow": going(steps((0, "running"), (20, "success"), appears=100)),
        "rerun": going(steps((0, "failed")), steps((0, "success"), appears=6)),
        "worse": going(steps((0, "success")), steps((0, "failed"), appears=6)),
        "second": going(*(steps((0, "failed" if n == 0 else "success"), name=f"w{n}", appears=n) for n in range(5))),
        "first": going(*(steps((0, "success"), name=f"w{n}", appears=n) for n in range(5))),
    }
    folder = tmp_path_factory.mktemp("table")
    with pytest.MonkeyPatch.context() as monkeypatch:
        prepare(monkeypatch, folder)
        with releasing(folder) as world:
            world.server.page_size = 2
            for name, script in ways.items():
                world.project(name, script)
            world.components([list(ways), ["next"]], definition=PATIENT).begins().passes(2, every=10)
            early = world.words()
            world.passes(3, every=62)
            yield Table(world, early, world.words(), world.texts())


@pytest.mark.parametrize(
    ("name", "word", "text"),
    [
        ("success", "succeeded", ""),
        ("failed", "failed", "failed: release"),
        ("error", "failed", "CircleCI could not start a job: release"),
        ("canceled", "canceled", "canceled: release"),
        ("unauthorized", "failed", "not authorized: release"),
        ("errored", "failed", "config: there is no job `build`"),
        ("waits", "succeeded", ""),
    ],
)
def test_rp_5_each_end_of_a_pipeline_is_one_of_our_words(table: Table, name: str, word: str, text: str) -> None:
    assert (table.words[name], table.texts[name]) == (word, text)


def test_rp_5_failing_is_an_error_while_it_is_not_failed_yet(table: Table) -> None:
    assert table.early["failing"] == "failed"
    assert table.texts["failing"] == "failing: release"


def test_rp_5_queued_and_not_run_are_waited_for(table: Table) -> None:
    assert table.early["waits"] == "running"


def test_c_b2_no_workflows_are_waited_for_and_are_no_success(table: Table) -> None:
    assert (table.early["slow"], table.words["slow"]) == ("pending", "succeeded")
    assert (table.early["empty"], table.words["empty"]) == ("pending", "failed")
    assert table.texts["empty"].startswith("no workflows: ")


def test_c_b3_rp_5_on_hold_ends_in_words_and_not_in_silence(table: Table) -> None:
    assert table.early["onhold"] == "failed"
    assert table.texts["onhold"] == "waiting for an approval: release; `with.onHold: wait` waits for it"


def test_c_b6_rp_6_of_workflows_of_one_name_the_newest_counts(table: Table) -> None:
    assert (table.words["rerun"], table.words["worse"]) == ("succeeded", "failed")


def test_c_b1_rp_10_the_failure_on_the_last_page_is_seen(table: Table) -> None:
    assert (table.words["first"], table.words["second"]) == ("succeeded", "failed")
    assert table.texts["second"] == "failed: w0"
    assert {each.query for each in table.world.server.requests if "token" in each.query} == {
        "page-token=from-2",
        "page-token=from-4",
    }


def test_rp_7_a_set_in_which_something_failed_is_the_last_one(table: Table) -> None:
    assert table.world.round.result is Result.ERROR
    failed = "failed, error, canceled, unauthorized, failing, onhold, errored, empty, worse, second"
    assert table.world.round.text == f"failed: {failed}"
    assert table.words["next"] == "not_started"


def test_rp_5_real_answers_of_circleci_end_a_release(world: ReleaseWorld) -> None:
    try:
        world.server.load(fixtures_folder())
    except NoSpecs as missing:
        pytest.skip(str(missing))
    made = {"id": GUID, "state": "created", "number": 126, "created_at": "2021-01-28T17:47:21Z"}
    world.server.faults.append(Fault(("POST", ".*/pipeline"), Answer(201, made)))
    world.components([["a"], ["next"]]).begins().passes(2, every=10)
    assert (world.texts()["a"], world.words()["next"]) == ("failed: docker_build_and_push", "not_started")


# --- the first error ends it


def test_rp_7_c_b4_the_first_error_ends_the_round_and_cancels_nothing(world: ReleaseWorld) -> None:
    world.project("bad", ends("failing", after=5)).project("slow", ends("success", after=60))
    world.components([["bad", "slow", "missing"], ["next"]])
    del world.server.projects[f"{SLUG}missing"]
    world.begins().one_pass()
    assert world.texts()["missing"].startswith("CircleCI would not start a pipeline of gh/acme/missing")
    world.later(seconds=10).one_pass()
    assert (world.round.result, world.round.text) == (Result.ERROR, "failed: bad, missing")
    assert world.words() == {"bad": "failed", "slow": "running", "missing": "refused", "next": "not_started"}
    run = world.jobs["slow"].run
    assert run is not None
    assert run.url == "https://app.circleci.com/pipelines/gh/acme/slow/1", "what goes on is still told, with its page"
    assert [path for path in world.asked("POST") if path.endswith("/cancel")] == []
    world.later(seconds=60).one_pass()
    assert world.record.released == {"slow": "1.2.0-SNAPSHOT"}
    before = len(world.server.requests)
    world.passes(3, every=60)
    assert len(world.server.requests) == before, "nothing is looked at once all is over"
    assert world.started() == ["bad", "slow"]


def test_rp_7_nobody_waits_for_what_outlives_its_round_and_nobody_polls_it_for_ever(world: ReleaseWorld) -> None:
    world.project("bad", ends("failed", after=5)).project("held", going(steps((0, "on_hold"))))
    waits = RELEASE.replace("parameters:", "onHold: wait, parameters:")
    world.components([["bad", "held"], ["next"]], definition=waits).begins()
    began = world.now
    for _ in until_idle(world.job(), began + timedelta(minutes=10)):
        pass
    assert (world.round.result, world.round.text) == (Result.ERROR, "failed: bad")
    assert (world.now - began).total_seconds() < 40, "the process ends with the round"
    calm = RELEASE.replace('"0 12 * * *"', '"0 12 1 1 *"')
    world.push({"triggers/release.yml": calm})
    world.passes(2, every=90_000)
    requests = len(world.server.requests)
    world.passes(2, every=90_000)
    assert len(world.server.requests) == requests


def test_rp_7_cancel_on_error_stops_the_others_where_that_is_asked_for(world: ReleaseWorld) -> None:
    world.project("bad", ends("failed", after=5)).project("slow", ends("success", after=600))
    cancels = RELEASE.replace("retry:", "cancelOnError: true\nretry:")
    world.components([["bad", "slow"], ["next"]], definition=cancels).begins().passes(3, every=10)
    assert world.words() == {"bad": "failed", "slow": "canceled", "next": "not_started"}
    (workflow,) = world.pipelines("slow")[0].workflows
    assert workflow.canceled_at is not None


def test_rp_8_rp_9_a_set_that_takes_too_long_ends_the_round_with_the_same_report(world: ReleaseWorld) -> None:
    world.project("slow", ends("success", after=90)).project("hangs", ends("success", after=10_000))
    short = RELEASE.replace("timeout: 1h", "timeout: 2m")
    world.components([["slow"], ["hangs", "quick"], ["next"]], definition=short).begins()
    reports = world.passes(3, every=50)
    assert world.round.result is Result.RUNNING
    reports += world.passes(3, every=61)
    assert (world.round.result, world.round.text) == (Result.TIMEOUT, "not done within 2m"), "counted for each set"
    assert world.words() == {"slow": "succeeded", "hangs": "running", "quick": "succeeded", "next": "not_started"}
    assert world.record.released.keys() == {"slow", "quick"}
    first, second = (set_document(each) for report in reports for each in report.plan.sets)
    assert first.keys() == second.keys(), "the same shape, however a set ended"
    assert (first["result"], first["error"], second["result"]) == ("success", None, "timeout")
    hangs, quick = world.pipelines("hangs")[0], world.pipelines("quick")[0]
    assert (second["error"]["status"], second["error"]["pipeline"]) == ("timeout", hangs.id)
    assert [each["pipeline_guid"] for each in second["pipeline_links"]] == [hangs.id, quick.id]
    assert [each["workflows"][0]["status"] for each in second["pipelines"]] == ["running", "success"]
    assert second["not_started"] == ["set 2"]


def test_c_b3_rp_5_an_approval_is_waited_for_where_that_is_asked_for(world: ReleaseWorld) -> None:
    world.project("held", going(steps((0, "on_hold"), (600, "running"), (610, "success"))))
    waits = RELEASE.replace("parameters:", "onHold: wait, parameters:")
    world.components([["held"]], definition=waits).begins().passes(2, every=300)
    assert (world.words()["held"], world.texts()["held"]) == ("running", "waiting for an approval: release")
    world.later(seconds=400).one_pass()
    assert world.round.result is Result.SUCCESS
