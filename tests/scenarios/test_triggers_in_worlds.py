"""Trigger definitions in a whole world: programs that are started by schedule, followed, and started once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds.faulty_ports import Injector, Killed, Kind, faulty
from worlds.line_world import kinds
from worlds.world import NewWorld, World

from bot.model.rounds import Result, Round

NIGHTLY = """\
$schema: /trigger-1.json
name: nightly
owners: [alice]
instance: {$ref: /instances/shell.yml}
on: {schedule: {cron: "0 * * * *"}}
retry: {attempts: 2, interval: 1m}
with: {command: [./job.sh]}
stages:
- {name: build, jobs: [{name: one}, {name: two}]}
- {name: release, jobs: [{name: three, activeAfter: 2026-03-03}, {name: four}]}
"""
JOB = """\
#!/bin/sh
echo "$SAASBOT_TRIGGER $SAASBOT_JOB $SAASBOT_REASONS" >> "{log}"
if [ -e "{fails}/$SAASBOT_JOB" ]; then exit 3; fi
"""


def with_nightly(world: World) -> World:
    """The world with the definition and its program, recorded half an hour before it is due."""
    program = JOB.format(log=world.root / "jobs", fails=world.root / "fails")
    (world.config / "job.sh").write_text(program)
    (world.config / "job.sh").chmod(0o755)
    world.push({"triggers/nightly.yml": NIGHTLY})
    world.later(minutes=30).reconcile()
    return world


def jobs(world: World) -> list[str]:
    """What the program was told, in order."""
    log = world.root / "jobs"
    return log.read_text().splitlines() if log.exists() else []


def the_round(world: World) -> Round:
    """The present round, or the last."""
    found = world.state().triggers["nightly"].round
    assert found is not None
    return found


def test_stages_run_one_after_another_and_once_for_a_slot(new_world: NewWorld) -> None:
    world = with_nightly(new_world())
    assert jobs(world) == []
    report = world.later(minutes=31).reconcile()
    assert kinds(report).count("start_job") == 3
    assert sorted(jobs(world)[:2]) == ["nightly one schedule", "nightly two schedule"]
    assert jobs(world)[2:] == ["nightly four schedule"]
    assert (the_round(world).result, the_round(world).text) == (Result.SUCCESS, "3 of 4 jobs ran and succeeded")
    assert [job.text for job in the_round(world).jobs if job.text] == ["not before 2026-03-03"]
    assert kinds(world.later(minutes=5).reconcile()) == []
    assert len(jobs(world)) == 3


def test_a_stage_that_failed_is_the_last_of_its_round_and_the_next_slot_begins_anew(new_world: NewWorld) -> None:
    world = with_nightly(new_world())
    (world.root / "fails" / "one").touch()
    world.later(minutes=31).reconcile()
    assert (the_round(world).result, the_round(world).text) == (Result.ERROR, "failed: one")
    assert [str(job.status) for job in the_round(world).jobs] == ["started", "started", "skipped", "not_started"]
    (world.root / "fails" / "one").unlink()
    world.later(hours=5).reconcile()
    assert the_round(world).result is Result.SUCCESS
    assert len(jobs(world)) == 5


def test_a_pass_that_was_killed_after_a_start_finds_its_job_again(new_world: NewWorld) -> None:
    world = with_nightly(new_world())
    fate = Injector(lambda call: Kind.KILLED_AFTER if call.name.endswith("start") else None)
    world.later(minutes=31)
    job = world.job()
    with pytest.raises(Killed):
        world.one_pass(replace(job, ports=faulty(job.ports, fate)))
    world.reconcile()
    assert sorted(jobs(world)) == ["nightly four schedule", "nightly one schedule", "nightly two schedule"]
    assert the_round(world).result is Result.SUCCESS
