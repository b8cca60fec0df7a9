"""GitLab: which jobs run for which event, and that what they run works; the same for the component."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from use_in_ci.ci_expressions import gitlab
from use_in_ci.ci_jobs import (
    EXAMPLE,
    GITLAB_FILE,
    ROOT,
    component,
    embedded_world,
    jobs,
    read,
    run_job,
    running,
    seconds,
)

from bot.providers.git import git
from bot.providers.scaffold import write_repository

DOCUMENT = read(GITLAB_FILE)
JOBS = jobs(DOCUMENT)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

MAIN = {"CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BRANCH": "main"}
SIDE = {"CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BRANCH": "feature"}
TAG = {"CI_DEFAULT_BRANCH": "main", "CI_COMMIT_TAG": "v1"}
REQUEST = {"CI_DEFAULT_BRANCH": "main", "CI_MERGE_REQUEST_IID": "7"}
PAYLOAD = {"TRIGGER_PAYLOAD": '{"object_kind": "note"}'}

EVENTS: list[tuple[str, dict[str, str], list[str]]] = [
    ("merge_request_event", REQUEST, ["validate"]),
    ("push", MAIN, ["reconcile"]),
    ("push", SIDE, []),
    ("push", TAG, []),
    ("schedule", MAIN, ["reconcile"]),
    ("schedule", SIDE, []),
    ("web", MAIN, ["reconcile"]),
    ("web", SIDE, []),
    ("trigger", MAIN | PAYLOAD, ["comment"]),
    ("trigger", SIDE | PAYLOAD, []),
    ("trigger", MAIN, []),
    ("push", MAIN | PAYLOAD, ["reconcile"]),
    ("merge_request_event", REQUEST | PAYLOAD, ["validate"]),
    ("api", MAIN, []),
    ("pipeline", MAIN, []),
    ("parent_pipeline", MAIN, []),
    ("webide", SIDE, []),
    ("chat", MAIN, []),
    ("external_pull_request_event", SIDE, []),
]


@pytest.mark.parametrize(("source", "variables", "expected"), EVENTS)
def test_each_event_runs_what_it_should(source: str, variables: dict[str, str], expected: list[str]) -> None:
    assert running(DOCUMENT, {"CI_PIPELINE_SOURCE": source, **variables}) == expected
    assert running(component({}), {"CI_PIPELINE_SOURCE": source, **variables}) == [f"saasbot-{x}" for x in expected]


@pytest.mark.parametrize("text", ["$A = 1", "$A == 'x'", "$A &&", "($A", "A", "$A == ", "$A $B", "$A & $B"])
def test_a_condition_that_is_not_understood_fails(text: str) -> None:
    with pytest.raises(AssertionError):
        gitlab(text, {})


@pytest.mark.parametrize("name", ["reconcile", "comment"])
def test_jobs_that_write_take_turns_and_are_not_cut_off(name: str) -> None:
    job = JOBS[name]
    assert (job["resource_group"], job["interruptible"], job["variables"]["GIT_DEPTH"]) == ("saasbot", False, "0")
    assert job["cache"] == {"key": "saasbot", "paths": [".cache"], "when": "always"}


def test_passes_end_well_before_the_timeout() -> None:
    for found in (JOBS["reconcile"], jobs(component({}))["saasbot-reconcile"]):
        length = re.findall(r'--for "?(\w+)', " ".join(found["script"]))
        assert seconds(length[0]) <= seconds(found["timeout"]) / 2


def test_the_installed_version_is_this_one() -> None:
    assert DOCUMENT["variables"]["SAASBOT_PACKAGE"] == f"saasbot=={VERSION}"
    assert jobs(component({}))["saasbot-validate"]["variables"]["SAASBOT_PACKAGE"] == f"saasbot=={VERSION}"
    assert all(job["before_script"] == ['pip install --quiet "$SAASBOT_PACKAGE"'] for job in JOBS.values())


def plain(job: dict[str, Any]) -> dict[str, Any]:
    """A job without its names, and without what the component lets its user choose."""
    text = json.dumps(job).replace('--config \\".\\" ', "").replace('\\"10m\\"', "10m").replace("saasbot-validate", "v")
    found: dict[str, Any] = json.loads(text)
    return {key: value for key, value in found.items() if key not in {"extends", "stage", "image", "before_script"}}


def test_the_component_has_the_same_jobs() -> None:
    ours = jobs(component({}))
    assert {name.removeprefix("saasbot-"): plain(job) for name, job in ours.items()} == {
        name: plain(job) for name, job in JOBS.items()
    }


def test_the_component_takes_inputs() -> None:
    inputs = {"as": "bot", "image": "registry/saasbot:1", "package": "", "for": "5m", "stage": "late", "config": "c"}
    found = jobs(component(inputs))
    assert sorted(found) == ["bot-comment", "bot-reconcile", "bot-validate"]
    reconcile = found["bot-reconcile"]
    assert (reconcile["stage"], reconcile["resource_group"]) == ("late", "bot")
    assert reconcile["image"] == {"name": "registry/saasbot:1", "entrypoint": [""]}
    assert '--config "c" reconcile --for "5m"' in reconcile["script"][-1]


@pytest.fixture(scope="module", params=["example", "component"])
def script_jobs(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The jobs by their bare names, from either file."""
    if request.param == "example":
        return JOBS
    return {name.removeprefix("saasbot-"): job for name, job in jobs(component({})).items()}


def test_validate_reports_to_people_and_to_gitlab(script_jobs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    folder = tmp_path / "config"
    write_repository(folder, "gitlab")
    git(folder, "init", "--quiet")
    job = script_jobs["validate"]
    report = folder / job["artifacts"]["reports"]["codequality"]
    done = run_job(folder, job)
    assert (done.code, json.loads(report.read_text())) == (0, []), done.err
    app = folder / "services" / "orders" / "app.yml"
    app.write_text(app.read_text().replace("owners:", "ownerz:"))
    done = run_job(folder, job)
    assert done.code == 1
    assert "services/orders/app.yml:8:1: error[unknown-key]" in done.out
    assert {entry["location"]["path"] for entry in json.loads(report.read_text())} == {"services/orders/app.yml"}


def test_reconcile_deploys_and_leaves_its_report(script_jobs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    world = embedded_world(tmp_path)
    job = script_jobs["reconcile"]
    done = run_job(world.config, job)
    assert done.code == 0, done.err
    report = json.loads((world.config / job["artifacts"]["paths"][0]).read_text())
    assert ("start_run", "target:orders/orders/stage") in {(x["kind"], x["subject"]) for x in report["actions"]}
    assert json.loads(done.out) == report
    assert job["variables"]["SAASBOT_CACHE_DIR"] == f"$CI_PROJECT_DIR/{job['cache']['paths'][0]}/saasbot"


def test_a_reconcile_that_fails_fails_its_job(script_jobs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    world = embedded_world(tmp_path)
    (world.forge / "config.git").rename(tmp_path / "away")
    assert run_job(world.config, script_jobs["reconcile"]).code == 4


def test_comment_reads_the_payload_file(script_jobs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """A comment of another project needs no server to be turned down; a wrong option would end with 2."""
    folder = tmp_path / "config"
    write_repository(folder, "gitlab")
    payload = tmp_path / "with spaces.json"
    payload.write_text(
        json.dumps(
            {
                "object_kind": "note",
                "object_attributes": {"noteable_type": "MergeRequest", "note": "/saasbot status", "system": False},
                "merge_request": {"iid": 3},
                "project": {"path_with_namespace": "acme/another"},
            }
        )
    )
    done = run_job(folder, script_jobs["comment"], {"TRIGGER_PAYLOAD": str(payload)})
    assert done.code == 0, done.err
    assert done.err == "nothing to do: the comment stands in acme/another, not in acme/saas-config\n"
    payload.write_text("no JSON")
    assert run_job(folder, script_jobs["comment"], {"TRIGGER_PAYLOAD": str(payload)}).code == 2


def test_the_settings_keep_the_state_in_the_repository(tmp_path: Path) -> None:
    write_repository(tmp_path / "config", "gitlab")
    assert read(tmp_path / "config" / "saasbot.yml")["state"] == {"url": "git:refs/saasbot/state"}
    assert "state" not in json.dumps(JOBS)
    assert (EXAMPLE / ".gitlab-ci.yml").read_bytes() == (tmp_path / "config" / ".gitlab-ci.yml").read_bytes()
