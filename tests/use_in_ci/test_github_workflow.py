"""GitHub: which jobs run for which event, that what they run works and is safe; the same for the Action."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from use_in_ci.ci_expressions import github
from use_in_ci.ci_jobs import (
    ACTION,
    BIN,
    GITHUB_FILE,
    ROOT,
    Ran,
    embedded_world,
    github_event,
    read,
    run_steps,
    seconds,
    shell,
)

from bot.providers.git import git
from bot.providers.scaffold import write_repository

WORKFLOW = read(GITHUB_FILE)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
FILES = {"workflow": WORKFLOW, "action": read(ACTION)}


EVENTS: list[tuple[dict[str, Any], list[str]]] = [
    (github_event("pull_request", "refs/pull/3/merge"), ["validate"]),
    (github_event("push"), ["reconcile"]),
    (github_event("push", "refs/heads/feature"), []),
    (github_event("schedule"), ["reconcile"]),
    (github_event("workflow_dispatch"), ["reconcile"]),
    (github_event("workflow_dispatch", "refs/heads/feature"), []),
    (github_event("issue_comment", body="/saasbot status"), ["reconcile"]),
    (github_event("issue_comment", body="please @SaasBot retry"), ["reconcile"]),
    (github_event("issue_comment", body="looks fine"), []),
    (github_event("issue_comment", body="/saasbot help", user="Bot"), []),
    (github_event("merge_group", "refs/heads/main"), []),
]


@pytest.mark.parametrize(("names", "expected"), EVENTS)
def test_each_event_runs_what_it_should(names: dict[str, Any], expected: list[str]) -> None:
    assert [name for name, job in WORKFLOW["jobs"].items() if github(job["if"], names)] == expected


@pytest.mark.parametrize("text", ["a = b", "a == ", "(a", "a b", "format('x')", 'a == "x"', "a && ", "unknown.name"])
def test_a_condition_that_is_not_understood_fails(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        github(text, {"a": 1, "b": 2})


def test_the_workflow_hears_of_nothing_else() -> None:
    assert set(WORKFLOW["on"]) == {"pull_request", "push", "schedule", "workflow_dispatch", "issue_comment"}
    assert WORKFLOW["on"]["push"] == {"branches": ["main"]}
    assert WORKFLOW["on"]["issue_comment"] == {"types": ["created"]}


def test_the_job_that_writes_takes_turns_and_is_not_cut_off() -> None:
    job = WORKFLOW["jobs"]["reconcile"]
    assert job["concurrency"] == {"group": "saasbot", "cancel-in-progress": False}
    assert job["steps"][0]["with"]["fetch-depth"] == 0
    length = re.findall(r"--for (\w+)", json.dumps(job))
    assert seconds(length[0]) <= job["timeout-minutes"] * 60 / 2


def test_rights_are_minimal() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()} == {
        "validate": {"contents": "read"},
        "reconcile": {"contents": "read"},
    }
    assert "secrets." not in json.dumps(WORKFLOW["jobs"]["validate"])


def steps(document: Any) -> Iterator[dict[str, Any]]:
    """Every step below."""
    if isinstance(document, dict):
        yield from document.get("steps", [])
        for value in document.values():
            yield from steps(value)


@pytest.mark.parametrize("name", FILES)
def test_no_expression_stands_in_the_text_of_a_script(name: str) -> None:
    """What an expression stands for would be run by the shell: a comment's text, a branch's name."""
    scripts = [step["run"] for step in steps(FILES[name]) if "run" in step]
    assert scripts
    assert [script for script in scripts if "${{" in script] == []


@pytest.mark.parametrize("name", FILES)
def test_foreign_actions_are_pinned_by_commit(name: str) -> None:
    used = [step["uses"] for step in steps(FILES[name]) if "uses" in step]
    assert [use for use in used if not re.fullmatch(r"actions/[a-z/-]+@[0-9a-f]{40}", use)] == []
    assert used


def test_the_installed_version_is_this_one() -> None:
    assert WORKFLOW["env"]["SAASBOT_PACKAGE"] == f"saasbot=={VERSION}"


def test_only_what_may_be_lost_is_cached() -> None:
    """An entry is never overwritten, so each job writes one of its own and begins with the newest."""
    (cache,) = (step["with"] for step in steps(WORKFLOW) if "actions/cache" in step.get("uses", ""))
    assert WORKFLOW["env"]["SAASBOT_CACHE_DIR"] == "${{ github.workspace }}/" + cache["path"]
    assert cache["key"].startswith(cache["restore-keys"])
    assert "${{ github.run_id }}" in cache["key"]


def test_the_settings_keep_the_state_in_the_repository(tmp_path: Path) -> None:
    write_repository(tmp_path / "config", "github")
    assert read(tmp_path / "config" / "saasbot.yml")["state"] == {"url": "git:refs/saasbot/state"}
    assert all("state" not in json.dumps(step) for step in steps(WORKFLOW))


def test_validate_annotates(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    write_repository(folder, "github")
    git(folder, "init", "--quiet")
    assert [
        done.code for done in run_steps(folder, WORKFLOW["jobs"]["validate"], github_event("pull_request"), {})
    ] == [0]
    app = folder / "services" / "orders" / "app.yml"
    app.write_text(app.read_text().replace("owners:", "ownerz:"))
    (done,) = run_steps(folder, WORKFLOW["jobs"]["validate"], github_event("pull_request"), {})
    assert done.code == 1
    assert "::error file=services/orders/app.yml,line=8,col=1" in done.out


def test_reconcile_deploys_and_leaves_its_report(tmp_path: Path) -> None:
    world = embedded_world(tmp_path)
    done = run_steps(world.config, WORKFLOW["jobs"]["reconcile"], github_event("schedule"), {})
    assert [ran.code for ran in done] == [0], done[-1].err
    report = json.loads((world.config / "saasbot-reconcile.json").read_text())
    assert ("start_run", "target:orders/orders/stage") in {(x["kind"], x["subject"]) for x in report["actions"]}
    (world.forge / "config.git").rename(tmp_path / "away")
    (failed,) = run_steps(world.config, WORKFLOW["jobs"]["reconcile"], github_event("push"), {})
    assert failed.code == 4


def payload(folder: Path, repository: str) -> dict[str, str]:
    """GitHub's event file."""
    path = folder / "an event.json"
    found = {
        "action": "created",
        "issue": {"number": 3, "pull_request": {"url": "there"}},
        "comment": {"id": 9, "body": "/saasbot status", "user": {"login": "eve", "type": "User"}},
        "repository": {"full_name": repository},
    }
    path.write_text(json.dumps(found))
    return {"GITHUB_EVENT_PATH": str(path)}


def test_comment_reads_the_event_file(tmp_path: Path) -> None:
    """A comment of another repository needs no server to be turned down; a wrong option would end with 2."""
    folder = tmp_path / "config"
    write_repository(folder, "github")
    done = run_steps(
        folder,
        WORKFLOW["jobs"]["reconcile"],
        github_event("issue_comment", body="/saasbot"),
        payload(tmp_path, "acme/another"),
    )
    assert [ran.code for ran in done] == [0], done[-1].err
    assert done[-1].err == "nothing to do: the comment stands in acme/another, not in acme/saas-config\n"


def act(folder: Path, temporary: Path, **inputs: str) -> Ran:
    """Run the Action's last step, as if the one before had installed the program."""
    (temporary / "saasbot" / "bin").mkdir(parents=True, exist_ok=True)
    program = temporary / "saasbot" / "bin" / "saasbot"
    if not program.exists():
        program.symlink_to(BIN / "saasbot")
    action = FILES["action"]
    step = action["runs"]["steps"][-1]
    default = {name: str(about.get("default", "")) for name, about in action["inputs"].items()}
    values = default | {name.replace("_", "-"): value for name, value in inputs.items()}
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found[1]], text)
        for name, text in step["env"].items()
    }
    known = {"RUNNER_TEMP": str(temporary), "GITHUB_OUTPUT": str(temporary / "outputs")}
    known |= payload(temporary, "acme/another")
    return shell(folder, step["run"], environment | known, "-eo", "pipefail")


def test_the_action_runs_each_command(tmp_path: Path) -> None:
    world = embedded_world(tmp_path / "world")
    temporary = tmp_path / "runner temp"
    assert act(world.config, temporary).code == 0
    plan = act(world.config, temporary, command="plan")
    assert (plan.code, "orders/orders/stage" in plan.out) == (0, True)
    done = act(world.config, temporary, command="reconcile", **{"for": "5m"}, format="json")
    assert (done.code, json.loads(done.out)["schema"]) == (0, "saasbot.plan/1")
    outputs = (temporary / "outputs").read_text().splitlines()
    assert Path(outputs[-1].removeprefix("output=")).read_text() == done.out
    assert act(world.config, temporary, command="reconcile", **{"for": "soon"}).code == 2
    assert act(world.config, temporary, command="state rm x; echo").code == 2


def test_the_action_hears_a_comment(tmp_path: Path) -> None:
    write_repository(tmp_path / "config", "github")
    done = act(tmp_path, tmp_path / "temporary", command="comment", config="config")
    assert (done.code, done.err[:14]) == (0, "nothing to do:"), done.err


def test_the_action_installs_its_own_source(tmp_path: Path) -> None:
    """Its step is run with what this environment has instead of what pip would fetch."""
    step = FILES["action"]["runs"]["steps"][1]
    assert step["env"]["PACKAGE"] == "${{ inputs.package || github.action_path }}"
    source = tmp_path / "source"
    subprocess.run(["git", "init", "--quiet", source], check=True)
    for name in ("pyproject.toml", "README.md", "bot", "schemas", "config-example"):
        (source / name).symlink_to(ROOT / name)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {
        "PYTHON": sys.executable,
        "PACKAGE": str(source),
        "RUNNER_TEMP": str(tmp_path),
        "PYTHONPATH": site,
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's own way to say that there is none
        "PIP_IGNORE_INSTALLED": "1",
    }
    done = shell(tmp_path, step["run"], environment, "-eo", "pipefail")
    assert done.code == 0, done.err
    version = shell(tmp_path, '"$RUNNER_TEMP/saasbot/bin/saasbot" version', environment)
    assert (version.code, version.out) == (0, f"{VERSION}\n"), version.err
