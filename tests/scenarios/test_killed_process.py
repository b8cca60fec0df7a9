"""Real processes: `kill -9` at any moment, SIGTERM, and two at once; nothing runs twice and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import pytest
from worlds.world import BRANCH, PROD, STAGE, World

KILLS = int(os.environ.get("SAASBOT_KILLS", "6"))
"""Processes killed at seeded moments."""

ROUNDS = int(os.environ.get("SAASBOT_RACES", "2"))
"""Rounds of two processes at once."""

LONGEST = 0.9
"""Seconds that an undisturbed process may take here before it is surely done."""


def killed(world: World, delay: float) -> bool:
    """Start a process and kill it after a while; returns whether it still lived."""
    process = world.process("reconcile", "--until-idle")
    time.sleep(delay)
    lived = process.poll() is None
    process.kill()
    process.communicate()
    return lived


def until_calm(world: World) -> None:
    """Passes until idle, by a process that nobody kills."""
    ended = world.saasbot("reconcile", "--until-idle")
    assert ended.code == 0, ended.err
    world.check()


def test_killed_at_any_moment_nothing_runs_twice_and_nothing_is_lost(plain: World) -> None:
    chance = random.Random("kill 20260302")  # noqa: S311 - no secret, the same moments each time
    plain.reconcile()
    lived, kills, expected = 0, 0, []
    while kills < KILLS:
        sha = plain.commit()
        for moment in ("stage", "promotion", "production"):
            if moment == "promotion":
                plain.later(hours=25)
            if moment == "production":
                plain.merge(plain.the_merge_request().iid)
            lived += killed(plain, chance.uniform(0.15, LONGEST))
            kills += 1
            until_calm(plain)
        expected += [(STAGE, sha, "deploy"), (PROD, sha, "deploy")]
        assert plain.runs() == expected
        assert [each.state for each in plain.people.list_all()] == ["merged"] * (len(expected) // 2)
        assert plain.ref() == plain.state().targets[PROD].deployed_sha == sha
        assert {key.partition("!")[0] for key in plain.state().merge_requests} <= {BRANCH}
    assert plain.reconcile().plan.actions == ()
    assert lived, "none was killed alive: this test shows nothing"


def test_sigterm_finishes_saves_and_ends_with_zero(plain: World) -> None:
    plain.reconcile()
    plain.edit("svc/saas.yml", "{LEVEL: info}", "{SLOW: 1}")
    plain.push({"deploy.sh": plain.on_main("deploy.sh").replace("sleep 30", "sleep 3")})
    process = plain.process("reconcile", "--until-idle")
    limit = time.monotonic() + 20
    while not plain.runs() and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    run = plain.state().targets[STAGE].run
    assert run is not None
    assert run.handle
    plain.reconcile()
    assert len(plain.runs()) == 1
    assert plain.state().targets[STAGE].run != run, "the next pass follows it to its end"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_processes_at_once_do_everything_once(plain: World, number: int) -> None:
    plain.reconcile()
    sha = plain.commit()
    for moment in ("stage", "promotion", "production"):
        if moment == "promotion":
            plain.later(hours=25 + number)
        if moment == "production":
            plain.merge(plain.the_merge_request().iid)
        both: list[subprocess.Popen[str]] = [plain.process("reconcile") for _ in range(2)]
        errors = [process.communicate()[1] for process in both]
        codes = sorted(process.returncode for process in both)
        assert codes in ([0, 0], [0, 3]), (codes, errors)
        until_calm(plain)
    assert plain.runs() == [(STAGE, sha, "deploy"), (PROD, sha, "deploy")]
    assert [each.state for each in plain.people.list_all()] == ["merged"]
