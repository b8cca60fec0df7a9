"""RP-9 from end to end: real answers of CircleCI, through the provider's sweep, as the report of a set."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from worlds.contract import NoSpecs
from worlds.fake_circleci import fixtures_folder
from worlds.fake_circleci_world import World
from worlds.fake_http import Answer, Fault

from bot.core.trigger_reports import set_reports
from bot.model.rounds import JobStatus, Result, Round, RoundJob, TriggerState
from bot.model.runs import Run, RunStatus
from bot.model.triggers import Job, Stage, Trigger
from bot.render.rounds import set_document, set_line

BEGAN = datetime(2020, 9, 12, 17, 47, 20, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=80)
PAGE = "https://app.circleci.com/pipelines/gh/gravitee-lab/GraviteeCiCdOrchestrator/126"


@pytest.fixture
def real(world: World) -> dict[str, Any]:
    """The answers that are kept, by file; the server gives them as they are."""
    try:
        folder = fixtures_folder()
    except NoSpecs as missing:
        pytest.skip(str(missing))
    world.server.load(folder)
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}


def golden(real: dict[str, Any]) -> dict[str, Any]:
    """What a report of that pipeline has to say, from the facts in the answers alone."""
    pipeline, detail = real["pipeline"], real["job-detail"]
    workflows = []
    for found in real["pipeline-workflows"]["items"]:
        word = "failed" if found["status"] == "failed" else "success"
        jobs = []
        for job in real[f"workflow-{word}-jobs"]["items"]:
            told = {key: job[key] for key in ("id", "name", "job_number", "type", "status", "started_at", "stopped_at")}
            if job["job_number"] == detail["number"]:
                told |= {"web_url": detail["web_url"], "duration": detail["duration"]}
            else:
                told |= {"unavailable": "404 Project not found"}
            jobs.append(told)
        workflows.append(
            {key: found[key] for key in ("id", "name", "status", "created_at", "stopped_at")} | {"jobs": jobs}
        )
    return {
        "process": "Gravitee APIM",
        "version": "1.2.0-SNAPSHOT",
        "set_index": 0,
        "result": "error",
        "error": {
            "pipeline": pipeline["id"],
            "workflow": real["workflow-failed"]["name"],
            "status": real["workflow-failed"]["status"],
            "message": f"failed: {real['workflow-failed']['name']}",
        },
        "started_at": "2020-09-12T17:47:20Z",
        "finished_at": "2020-09-12T17:48:40Z",
        "pipelines": [
            {
                "pipeline_guid": pipeline["id"],
                **{key: pipeline[key] for key in ("project_slug", "number", "state", "created_at", "errors")},
                "branch": pipeline["vcs"]["branch"],
                "workflows": workflows,
            }
        ],
        "pipeline_links": [{"pipeline_guid": pipeline["id"], "http_link": PAGE}],
    }


def ended(world: World, handle: str) -> tuple[TriggerState, Trigger]:
    """A definition whose first set has failed fast with one pipeline."""
    seen = world.pipelines().status(None, world.run(handle=handle))
    run: Run = replace(world.run(handle=handle), status=seen.status, url=seen.url, text=seen.text)
    jobs = (
        RoundJob("orchestrator", 0, status=JobStatus.STARTED, run=run),
        RoundJob("docs", 0, status=JobStatus.REFUSED, text="404 Project not found"),
        RoundJob("gateway", 1, status=JobStatus.NOT_STARTED),
    )
    stages = (Stage("set 2", (Job("orchestrator"), Job("docs"))), Stage("set 3", (Job("gateway"),)))
    present = Round(
        4,
        BEGAN,
        (),
        jobs,
        tuple(stage.name for stage in stages),
        version="1.2.0-SNAPSHOT",
        result=Result.ERROR,
        text="failed: orchestrator, docs",
        ended_at=ENDED,
    )
    trigger = Trigger("release", world.instance(), stages=stages, staged=True, process="Gravitee APIM")
    return TriggerState("release", ENDED, round=present), trigger


def test_rp_9_golden_a_real_pipeline_in_the_report_of_its_set(world: World, real: dict[str, Any]) -> None:
    record, trigger = ended(world, real["pipeline"]["id"])
    (report,) = set_reports(record, trigger, world.pipelines().details)
    found = set_document(report)
    expected = golden(real)
    assert {key: found[key] for key in expected} == expected
    assert list(found)[: len(expected)] == list(expected), "in the order of the specification"
    assert [(each["name"], each["status"]) for each in found["jobs"]] == [
        ("orchestrator", "failed"),
        ("docs", "refused"),
    ]
    assert (found["not_started"], found["round"], found["trigger"]) == (["set 3"], 4, "release")
    line = json.loads(set_line(report))
    assert {key: line[key] for key in expected} == expected
    assert report.jobs[0].run is not None
    assert report.jobs[0].run.status is RunStatus.FAILED


def test_rp_10_a_pipeline_that_cannot_be_had_keeps_its_place_in_the_report(world: World, real: dict[str, Any]) -> None:
    record, trigger = ended(world, real["pipeline"]["id"])
    world.server.goldens.clear()
    gone = Answer(404, {"message": "Pipeline not found"})
    world.server.faults.append(Fault(("GET", r".*/pipeline/[^/]+"), gone))
    (report,) = set_reports(record, trigger, world.pipelines().details)
    found = set_document(report)
    (pipeline,) = found["pipelines"]
    assert (pipeline["pipeline_guid"], pipeline["unavailable"]) == (real["pipeline"]["id"], "404 Pipeline not found")
    assert found["pipeline_links"] == golden(real)["pipeline_links"]
    assert found["error"] == {
        "pipeline": real["pipeline"]["id"],
        "workflow": None,
        "status": "failed",
        "message": "orchestrator: failed: docker_build_and_push",
    }
