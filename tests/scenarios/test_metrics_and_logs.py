"""What machines read of a pass: metrics in a file, log lines of runs, and the page; in real worlds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from worlds.world import PROD, STAGE, NewWorld, World


def metrics(path: Path) -> dict[str, float]:
    """Every sample of a file by its name and labels."""
    return {
        " ".join((each.name, *each.labels.values())): each.value
        for family in text_string_to_metric_families(path.read_text())
        for each in family.samples
    }


def lines(err: str) -> list[dict[str, Any]]:
    """The log, line by line."""
    return [json.loads(line) for line in err.splitlines()]


def test_a_pass_leaves_its_metrics_in_a_file(plain: World, tmp_path: Path) -> None:
    path = tmp_path / "saasbot.prom"
    plain.reconcile()
    plain.commit()
    assert plain.saasbot("reconcile", "--until-idle", "--metrics", str(path)).code == 0
    found = metrics(path)
    assert found["saasbot_actions start_run done"] == 1
    assert found["saasbot_targets succeeded"] == 1
    assert found["saasbot_targets none"] == 1
    assert found["saasbot_held soak"] == 1
    assert found["saasbot_runs_in_flight target"] == 0
    assert found["saasbot_statefile_serial"] == plain.state().serial
    assert found["saasbot_last_pass_timestamp_seconds"] == plain.now.timestamp()
    assert 0 < found["saasbot_pass_duration_seconds"] < 60
    assert found["saasbot_statefile_size_bytes"] > 1000
    assert plain.later(hours=1).saasbot("reconcile", "--metrics", str(path)).code == 0
    found = metrics(path)
    assert found["saasbot_last_pass_timestamp_seconds"] == plain.now.timestamp(), "also where nothing was done"
    assert found["saasbot_actions start_run done"] == 0
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["saasbot.prom"]


def test_a_pass_that_never_came_to_its_end_leaves_the_last_metrics_in_place(plain: World, tmp_path: Path) -> None:
    path = tmp_path / "saasbot.prom"
    assert plain.saasbot("reconcile", "--metrics", str(path)).code == 0
    before = path.read_bytes()
    (plain.folders.forge / "config.git").rename(tmp_path / "gone.git")
    assert plain.later(hours=1).saasbot("reconcile", "--metrics", str(path)).code == 4
    assert path.read_bytes() == before


def test_metrics_that_cannot_be_written_are_refused_before_or_told_after(plain: World, tmp_path: Path) -> None:
    refused = plain.saasbot("reconcile", "--metrics", str(tmp_path / "nowhere" / "m.prom"))
    assert (refused.code, "there is no folder" in refused.err) == (2, True)
    (tmp_path / "m.prom.tmp").mkdir()
    told = plain.saasbot("--log-format", "json", "reconcile", "--metrics", str(tmp_path / "m.prom"))
    assert told.code == 1
    assert [(each["level"], each["file"]) for each in lines(told.err)[-1:]] == [("error", str(tmp_path / "m.prom"))]


def test_while_watching_each_pass_leaves_its_own(plain: World, tmp_path: Path) -> None:
    path = tmp_path / "saasbot.prom"
    assert plain.saasbot("reconcile", "--watch", "--for", "1s", "--metrics", str(path)).code == 0
    assert metrics(path)["saasbot_pass_duration_seconds"] > 0


def test_a_processor_leaves_the_metrics_of_its_last_look(plain: World, tmp_path: Path) -> None:
    path = tmp_path / "saasbot.prom"
    plain.reconcile()
    plain.commit()
    assert plain.saasbot("process", "--drain", "--metrics", str(path)).code == 0
    found = metrics(path)
    assert found["saasbot_queue_items taken"] == 1, "the subject at hand"
    assert found["saasbot_queue_oldest_due_seconds"] == 0
    assert found["saasbot_last_pass_timestamp_seconds"] == plain.now.timestamp()
    assert not any(name.startswith("saasbot_actions") for name in found)
    refused = plain.saasbot("process", "--metrics", str(path), "item", "dashboard")
    assert (refused.code, "for the whole queue" in refused.err) == (2, True)


def test_all_lines_of_a_run_are_found_by_its_key(plain: World) -> None:
    plain.reconcile()
    plain.commit()
    ended = plain.saasbot("--log-format", "json", "reconcile", "--until-idle")
    run = plain.state().targets[STAGE].run
    assert run is not None
    of_run = [line for line in lines(ended.err) if line.get("run_key") == run.key]
    assert (of_run[0]["kind"], of_run[-1]["run_status"]) == ("start_run", "succeeded")
    for line in of_run:
        assert (line["subject"], line["target"], line["sha"]) == (f"target:{STAGE}", STAGE, run.sha)
        assert (line["level"], line["run_number"], line["outcome"]) == ("info", run.number, "done")
    assert "trigger" not in of_run[0]


JOB = """\
$schema: /trigger-1.json
name: nightly
owners: [alice]
instance: {$ref: /instances/shell.yml}
on: {command: true}
jobs: [{name: one, with: {command: [./job.sh]}}]
"""


def test_lines_of_a_job_name_its_definition(new_world: NewWorld) -> None:
    world = new_world()
    (world.config / "job.sh").write_text("#!/bin/sh\nexit 3\n")
    (world.config / "job.sh").chmod(0o755)
    world.push({"triggers/nightly.yml": JOB})
    world.reconcile()
    asked = world.saasbot("--log-format", "json", "say", "trigger nightly", "--as", "alice")
    followed = world.saasbot("--log-format", "json", "reconcile", "--until-idle")
    found = [line for line in lines(asked.err + followed.err) if "run_key" in line]
    assert {(line["trigger"], line["job"], line["subject"]) for line in found} == {
        ("nightly", "one", "job:nightly/one")
    }
    assert len({line["run_key"] for line in found}) == 1
    assert found[-1]["run_status"] == "failed"


@pytest.mark.parametrize("given", [("--log-format", "json"), ("--log-format=json",)])
def test_what_ends_the_process_is_a_line_of_the_log_as_well(plain: World, given: tuple[str, ...]) -> None:
    plain.reconcile()
    (told,) = lines(plain.saasbot(*given, "explain", "svc/svc/stag").err)
    assert (told["level"], told["exit_code"]) == ("error", 2)
    assert "svc/svc/stag" in told["message"]
    assert "saasbot status" in told["hint"]
    (told,) = lines(plain.saasbot(*given, "reconcile", "--for", "ever").err)
    assert (told["exit_code"], "'ever'" in told["message"]) == (2, True)
    (told,) = lines(plain.saasbot(*given, "reconcile", "--colour").err)
    assert (told["exit_code"], "--colour" in told["message"]) == (2, True)


def test_text_stays_text(plain: World) -> None:
    plain.reconcile()
    assert plain.saasbot("explain", "nobody", "--", "--log-format", "json").err.startswith("Usage:")
    assert plain.saasbot("explain", "svc/svc/stag").err.startswith("saasbot: ")


BROKEN = """\
import sys
from bot import cli
from bot.__main__ import main
cli.COMMANDS["version"] = ("bot.cli.lost:version", "")
sys.argv = ["saasbot", *sys.argv[1:], "version"]
main()
"""
"""A program with a part missing."""


@pytest.mark.parametrize("whole", [False, True])
def test_a_bug_is_one_line_too(*, whole: bool) -> None:
    environ = {**os.environ, "SAASBOT_TRACEBACK": "1" if whole else ""}
    text, log = (
        subprocess.run((sys.executable, "-c", BROKEN, *given), env=environ, capture_output=True, text=True, check=False)
        for given in ((), ("--log-format", "json"))
    )
    assert (text.returncode, log.returncode) == (1, 1)
    (told,) = lines(log.stderr)
    assert told["message"].startswith("internal error: ModuleNotFoundError")
    assert ("Traceback" in told.get("traceback", ""), "hint" in told) == (whole, not whole)
    assert text.stderr.startswith("Traceback" if whole else "saasbot: internal error: ModuleNotFoundError")


def test_the_page_shows_the_same_as_the_text(plain: World) -> None:
    plain.promoted()
    page = plain.saasbot("status", "--format", "html")
    assert page.code == 0
    assert page.out.startswith("<!doctype html>")
    for word in ("!1 Promote svc/svc/prod", "All is well", STAGE.partition("/")[2], PROD.partition("/")[2]):
        assert word in page.out
    found = plain.saasbot("status", "--format", "json").document
    assert (found["attention"], found["written_at"]) == ([], f"{plain.now:%Y-%m-%dT%H:%M:%SZ}")
    assert f"last sign of life {found['written_at']}" in plain.saasbot("status").out


def test_the_dashboard_shows_that_the_bot_is_alive_without_an_edit_a_pass(new_world: NewWorld) -> None:
    world = new_world(more="dashboard: {title: Deployments, heartbeat: 1h}\n")
    world.reconcile()
    serial = world.state().serial
    world.later(minutes=30)
    assert world.reconcile().plan.actions == ()
    assert world.state().serial == serial, "nothing is written"
    (action,) = world.later(minutes=31).saasbot("reconcile", "--format", "json").document["actions"]
    assert (action["subject"], action["reasons"][0]["text"]) == ("dashboard:1", "it says that the bot is alive")
    assert world.state().time == world.now
    page = world.later(hours=3).saasbot("status", "--format", "html").out
    assert "no sign of life" in page
