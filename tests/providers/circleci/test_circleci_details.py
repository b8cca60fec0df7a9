"""One pipeline in a report, down to its jobs (RP-9, RP-10), and real answers of CircleCI as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from worlds.contract import NoSpecs
from worlds.fake_circleci import fixtures_folder
from worlds.fake_circleci_model import JobScript, Script, WorkflowScript
from worlds.fake_circleci_world import World
from worlds.fake_http import Answer, Fault

from bot.model.runs import Run, RunStatus

GUID = "b4f4eabc-d572-4fdf-916a-d5f05d178221"
PROJECT = "gh/gravitee-lab/GraviteeCiCdOrchestrator"
PIPELINE = {
    "pipeline_guid",
    "project_slug",
    "branch",
    "number",
    "state",
    "created_at",
    "errors",
    "workflows",
    "http_link",
    "error",
}
WORKFLOW = {"id", "name", "status", "created_at", "stopped_at", "jobs"}
JOB = {"id", "name", "job_number", "type", "status", "started_at", "stopped_at"}


def details(world: World, run: Run, **options: Any) -> Any:
    """As they are written into a report."""
    return json.loads(json.dumps(world.pipelines().details(world.pipeline(**options), run)))


@pytest.fixture
def golden(world: World) -> Run:
    """The run of the pipeline whose real answers are kept."""
    try:
        world.server.load(fixtures_folder())
    except NoSpecs as missing:
        pytest.skip(str(missing))
    return world.run(handle=GUID, url="https://ci.example.com/126")


def test_a_real_pipeline_with_one_workflow_failed_and_one_succeeded(world: World, golden: Run) -> None:
    fact = world.pipelines().status(None, golden)
    assert (fact.status, fact.text) == (RunStatus.FAILED, "failed: docker_build_and_push")
    assert fact.url == f"https://app.circleci.com/pipelines/{PROJECT}/126"
    assert fact.started_at is not None
    assert fact.finished_at is not None
    assert (f"{fact.started_at:%H:%M:%S}", f"{fact.finished_at:%H:%M:%S}") == ("17:47:21", "17:48:26")


def test_rp_9_a_real_pipeline_in_a_report(world: World, golden: Run) -> None:
    found = details(world, golden)
    assert {key: found[key] for key in PIPELINE - {"workflows"}} == {
        "pipeline_guid": GUID,
        "project_slug": PROJECT,
        "branch": "feature/specs_implementation",
        "number": 126,
        "state": "created",
        "created_at": "2020-09-12T17:47:21.364Z",
        "errors": [],
        "http_link": "https://ci.example.com/126",
        "error": {
            "pipeline": GUID,
            "workflow": "docker_build_and_push",
            "status": "failed",
            "message": "failed: docker_build_and_push",
        },
    }
    failed, succeeded = found["workflows"]
    (job,) = failed.pop("jobs")
    assert failed == {
        "id": "75e83261-5b3c-4bc0-ad11-514bb01f634c",
        "name": "docker_build_and_push",
        "status": "failed",
        "created_at": "2020-09-12T17:47:21Z",
        "stopped_at": "2020-09-12T17:48:26Z",
    }
    assert job == {
        "id": "fc2332c9-ce54-405b-8b4f-d5af38210627",
        "name": "build",
        "job_number": 127,
        "type": "build",
        "status": "failed",
        "started_at": "2020-09-12T17:47:25Z",
        "stopped_at": "2020-09-12T17:48:26Z",
        "web_url": "https://circleci.com/gh/gravitee-lab/GraviteeCiCdOrchestrator/127",
        "duration": 61896,
    }
    (job,) = succeeded["jobs"]
    assert (job["name"], job["status"], job["unavailable"]) == (
        "yet_another_test_job",
        "success",
        "404 Project not found",
    )


def test_rp_9_the_shape_is_the_same_while_it_runs_and_when_it_is_over(world: World) -> None:
    approval = JobScript("ok?", "approval", numbered=False)
    world.web.script = Script((WorkflowScript("release", jobs=(JobScript("build"), approval)),))
    run = world.start(world.run())
    shapes = []
    for seconds in (0, 30, 60):
        world.later(seconds=seconds)
        found = details(world, run)
        shapes.append((set(found), found["workflows"]))
    assert [keys for keys, _ in shapes] == [PIPELINE] * 3
    assert shapes[0][1] == []
    for _, (workflow,) in shapes[1:]:
        build, held = workflow["jobs"]
        assert (set(workflow), set(held)) == (WORKFLOW, JOB)
        assert (held["job_number"], held["type"]) == (None, "approval")
        assert build["web_url"].endswith(f"/{build['job_number']}")
    assert [found[0]["jobs"][0].get("duration") for _, found in shapes[1:]] == [None, 60000]


def test_rp_9_a_config_error_is_told_with_all_its_words(world: World) -> None:
    world.web.script = Script((), ((0, "errored"),), (("config", "line 1\nline 2"),))
    found = details(world, world.start(world.run()))
    assert found["errors"] == [{"type": "config", "message": "line 1\nline 2"}]
    assert (found["error"]["workflow"], found["error"]["status"]) == ("", "errored")
    assert found["error"]["message"] == "config: line 1 line 2"


def test_rp_9_reruns_are_listed_in_their_order(world: World) -> None:
    world.web.script = Script((WorkflowScript("build", ((0, "failed"),)),))
    run = world.start(world.run())
    world.later(seconds=30)
    world.made.rerun("build", world.now, ((0, "success"),))
    found = details(world, run)
    assert ([each["status"] for each in found["workflows"]], found["error"]) == (["failed", "success"], None)


def test_c_b3_what_is_on_hold_is_an_error_as_the_job_says(world: World) -> None:
    world.web.script = Script((WorkflowScript("release", ((0, "on_hold"),)),))
    run = world.start(world.run())
    world.later(seconds=30)
    assert details(world, run)["error"]["status"] == "on_hold"
    assert details(world, run, onHold="wait")["error"] is None


def test_c_b1_rp_10_every_page_of_workflows_and_jobs_is_read(world: World) -> None:
    world.server.page_size = 2
    jobs = tuple(JobScript(f"j{number}") for number in range(5))
    world.web.script = Script(tuple(WorkflowScript(f"w{number}", jobs=jobs) for number in range(5)))
    run = world.start(world.run())
    world.later(seconds=30)
    found = details(world, run)
    names = {each["name"]: [job["name"] for job in each["jobs"]] for each in found["workflows"]}
    assert names == {f"w{number}": [f"j{number}" for number in range(5)] for number in range(5)}
    queries = {each.query for each in world.server.requests}
    assert queries == {"", "page-token=from-2", "page-token=from-4"}


def going(world: World) -> Run:
    """A run with two workflows of one job each."""
    world.web.script = Script((WorkflowScript("a"), WorkflowScript("b", appears=3)))
    run = world.start(world.run())
    world.later(seconds=30)
    return run


def test_rp_10_a_job_that_cannot_be_had_is_a_part_that_is_missing(world: World) -> None:
    run = going(world)
    world.server.faults.append(Fault(("GET", r".*/job/101"), Answer(404, {"message": "Job not found"})))
    a, b = details(world, run)["workflows"]
    assert a["jobs"][0]["unavailable"] == "404 Job not found"
    assert (a["jobs"][0]["name"], "web_url" in b["jobs"][0]) == ("build", True)


def test_rp_10_reads_for_a_report_are_repeated_politely(world: World) -> None:
    run = going(world)
    world.server.faults.append(Fault(("GET", r".*/job/101"), Answer(502, b""), times=2))
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(429, {"message": "x"}, {"Retry-After": "3"})))
    assert "unavailable" not in json.dumps(details(world, run))
    assert world.waits == [3.0, 0.5, 1.0]


@pytest.mark.parametrize("answer", [Answer(500, {"message": "broken"}), Answer(404, {"message": "gone"})])
def test_rp_10_the_jobs_of_one_workflow_may_be_missing(world: World, answer: Answer) -> None:
    run = going(world)
    first = world.made.workflows[0].id
    world.server.faults.append(Fault(("GET", rf".*/workflow/{first}/job"), answer, times=4))
    a, b = details(world, run)["workflows"]
    assert (a["jobs"], a["unavailable"]) == ([], f"{answer.status} {answer.body['message']}")
    assert len(b["jobs"]) == 1


def test_rp_10_the_workflows_may_be_missing(world: World) -> None:
    run = going(world)
    world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(500, b"broken"), times=4))
    found = details(world, run)
    assert (set(found), found["unavailable"]) == (PIPELINE | {"unavailable"}, "500 broken")
    assert (found["workflows"], found["number"]) == ([], 1)


def test_rp_10_the_pipeline_itself_may_be_missing(world: World) -> None:
    run = going(world)
    world.server.faults.append(Fault(("GET", rf".*/pipeline/{run.handle}"), Answer(404, {"message": "gone"})))
    found = details(world, run)
    assert (set(found), found["unavailable"]) == (PIPELINE | {"unavailable"}, "404 gone")
    assert (found["pipeline_guid"], found["http_link"]) == (run.handle, run.url)


def test_rp_10_a_server_that_wants_a_long_pause_is_asked_no_more(world: World) -> None:
    run = going(world)
    first = world.made.workflows[0].id
    slow = Answer(429, {"message": "x"}, {"Retry-After": "900"})
    world.server.faults.append(Fault(("GET", rf".*/workflow/{first}/job"), slow))
    before = len(world.server.requests)
    a, b = details(world, run)["workflows"]
    assert "too many requests, it takes the next one at" in a["unavailable"]
    assert b["unavailable"] == "not asked for: CircleCI did not answer before"
    assert (len(world.server.requests) - before, world.waits) == (3, [])


def test_a_run_that_has_no_pipeline_yet_has_no_details(world: World) -> None:
    assert world.pipelines().details(None, world.run()) == {}
    assert world.server.requests == []


def test_details_need_no_definition(world: World) -> None:
    run = going(world)
    assert world.pipelines().details(None, run) == world.pipelines().details(world.pipeline(), run)
