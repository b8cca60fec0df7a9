"""Reports of rounds in a whole world: in the log, as files, on merge requests, on the dashboard and in `status`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from worlds.line_world import START
from worlds.world import Ended, NewWorld, World

from bot.cli.sets import file_name
from bot.model.rounds import Result, SetReport

NIGHTLY = """\
$schema: /trigger-1.json
name: nightly
owners: [alice]
instance: {$ref: /instances/shell.yml}
on: {schedule: {cron: "0 * * * *"}, command: true}
with: {command: [./job.sh]}
stages:
- {name: build, jobs: [{name: one}, {name: two}]}
- {name: release, jobs: [{name: three, activeAfter: 2026-03-03}, {name: four}]}
"""
JOB = """\
#!/bin/sh
echo "$SAASBOT_JOB $SAASBOT_REASONS" >> "{log}"
if [ -e "{fails}/$SAASBOT_JOB" ]; then exit 3; fi
"""


@pytest.fixture
def nightly(new_world: NewWorld) -> World:
    """A world with a definition of two stages, recorded half an hour before it is due, and a dashboard."""
    world = new_world(more="dashboard: {title: Deployments}\n")
    program = JOB.format(log=world.root / "jobs", fails=world.root / "fails")
    (world.config / "job.sh").write_text(program)
    (world.config / "job.sh").chmod(0o755)
    world.push({"triggers/nightly.yml": NIGHTLY})
    world.later(minutes=30).reconcile()
    return world


def jobs(world: World) -> list[str]:
    """What the programs were told, in order."""
    log = world.root / "jobs"
    return log.read_text().splitlines() if log.exists() else []


def logged(ended: Ended) -> list[dict[str, object]]:
    """The sets that were told on standard error, as a collector of logs reads them."""
    lines = [json.loads(line) for line in ended.err.splitlines()]
    return [line for line in lines if line.get("schema") == "saasbot.round/1"]


def reported(world: World, folder: Path, *before: str) -> Ended:
    """`saasbot reconcile --until-idle --reports FOLDER`."""
    return world.saasbot(*before, "reconcile", "--until-idle", "--reports", str(folder))


def test_rp_9_every_set_is_one_line_of_the_log_and_one_file(nightly: World, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "reports"
    ended = reported(nightly.later(minutes=31), folder, "--log-format", "json")
    assert ended.code == 0
    first, second = logged(ended)
    assert (first["set"], first["result"], first["level"]) == ("build", "success", "info")
    assert (second["set"], second["text"]) == ("release", "1 of 2 jobs ran and succeeded")
    assert sorted(path.name for path in folder.iterdir()) == ["nightly-1-0.json", "nightly-1-1.json"]
    kept = json.loads((folder / "nightly-1-1.json").read_text())
    assert kept == {key: value for key, value in second.items() if key not in ("level", "message")}
    assert [link["pipeline_guid"] for link in kept["pipeline_links"]] == [kept["jobs"][1]["run_key"]]
    assert logged(reported(nightly.later(minutes=5), folder, "--log-format", "json")) == []


def test_rp_7_a_set_that_failed_is_told_by_every_way_out(nightly: World, tmp_path: Path) -> None:
    (nightly.root / "fails" / "one").touch()
    ended = reported(nightly.later(minutes=31), tmp_path)
    assert ended.code == 0, "a job that failed is a fact"
    told = "nightly: round 1, build: error: failed: one"
    assert told in ended.err
    found = json.loads((tmp_path / "nightly-1-0.json").read_text())
    assert (found["result"], found["not_started"]) == ("error", ["release"])
    assert found["error"]["message"].startswith("one: ")
    assert len(found["pipeline_links"]) == 2
    assert told in nightly.saasbot("status").out
    (row,) = nightly.saasbot("status", "--format", "json").document["triggers"]
    assert (row["name"], row["next_due"], row["round"]["result"]) == ("nightly", "2026-03-02T12:00:00Z", "error")
    assert row["round"]["sets"][0]["jobs"][0]["status"] == "failed"
    board = nightly.ports().forge.dashboard("Deployments")
    assert board is not None
    assert "### Rounds that ended badly\n\n- `nightly`, round 1, `build`: **error** – failed: one" in board.body


def test_gw_15_the_merge_request_on_which_a_round_was_started_shows_it(nightly: World) -> None:
    nightly.proposes({"svc/stage.yml": nightly.on_main("svc/stage.yml") + "# a word\n"})
    nightly.comment("alice", "/saasbot trigger nightly two four")
    assert sorted(jobs(nightly)) == ["four manual", "two manual"]
    report = nightly.report_on(1)
    assert "**trigger nightly**" in report
    assert "alice asked for it" in report
    assert "`build`: **success** – 1 of 1 jobs ran and succeeded" in report
    assert "| `four` | succeeded |" in report
    assert nightly.reconcile().plan.actions == ()
    nightly.comment("alice", "/saasbot status")
    assert "| `four` | succeeded |" in nightly.report_on(1)


def test_a_round_on_a_merge_request_without_data_is_shown_as_well(nightly: World) -> None:
    nightly.proposes({"README.md": "A word.\n"})
    nightly.comment("alice", "/saasbot trigger nightly one")
    assert "| `one` | succeeded |" in nightly.report_on(1)


def test_a_set_that_ends_with_a_command_is_told_there(nightly: World) -> None:
    (nightly.root / "fails" / "one").touch()
    nightly.later(minutes=31).one_pass()
    found: list[dict[str, object]] = []
    for _ in range(100):  # its programs take a moment
        found = found or logged(nightly.saasbot("--log-format", "json", "say", "refresh", "--as", "alice"))
    assert [line["result"] for line in found] == ["error"]


def test_a_file_that_cannot_be_written_is_told_and_stops_nothing(nightly: World, tmp_path: Path) -> None:
    (tmp_path / "nightly-1-0.json").mkdir()
    ended = reported(nightly.later(minutes=31), tmp_path)
    assert ended.code == 1
    assert f"--reports {tmp_path}/nightly-1-0.json: Is a directory" in ended.err
    assert (tmp_path / "nightly-1-1.json").is_file()
    assert len(jobs(nightly)) == 3


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_done(nightly: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = reported(nightly.later(minutes=31), tmp_path / "file" / "reports")
    assert (ended.code, "Not a directory" in ended.err) == (2, True)
    assert jobs(nightly) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("nightly", "nightly"),
        ("a.b_c-d", "a.b_c-d"),
        ("..", "_.*"),
        ("-x", "x.*"),
        ("ä*:\\", "____.*"),
        ("x" * 400, f"{'x' * 100}.*"),
    ],
)
def test_files_have_safe_names(name: str, shown: str) -> None:
    made = SetReport(name, name, "", 3, 0, "", Result.SUCCESS, "", START, START, ())
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    assert file_name(made) == f"{shown.replace('*', digest)}-3-0.json"
