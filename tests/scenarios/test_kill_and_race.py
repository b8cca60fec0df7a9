"""Killed at any moment, the next pass starts nothing twice and loses nothing; two passes at once do no harm."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from worlds.faulty_ports import Call, Injector, Killed, Kind, faulty
from worlds.line_world import LineWorld

from bot.errors import StateRace
from bot.model.plan import Report
from bot.providers.git import git
from bot.reconcile import reconcile, until_idle

WRITES = 24
"""Writes of the whole story below, give or take a poll that sees a run pending; the test checks it."""

ALL = os.environ.get("SAASBOT_FAULTS") == "all"
"""Killed both before and after each write; by default in turns, before one and after the next."""

RACES = int(os.environ.get("SAASBOT_RACES", "5"))
"""Rounds of three times two passes at once."""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], LineWorld]:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    return lambda: LineWorld(tmp_path / "world")


@dataclass
class Fate:
    """Counts the writes of any number of processes and kills right before or after one of them; 0 kills never."""

    at: int = 0
    after: bool = False
    names: tuple[str, ...] = ()

    def __call__(self, call: Call) -> Kind | None:
        """What becomes of a call."""
        if not call.effect:
            return None
        self.names = (*self.names, call.name)
        kind = Kind.KILLED_AFTER if self.after else Kind.KILLED_BEFORE
        return kind if len(self.names) == self.at else None


def walk(world: LineWorld, fate: Fate) -> None:
    """Passes until idle with a fate; whoever is killed is started again, alive and well."""
    job = world.job()
    try:
        tuple(until_idle(replace(job, ports=faulty(job.ports, Injector(fate))), None))
    except Killed:
        world.reconcile()


def story(world: LineWorld, fate: Fate) -> None:
    """Adoption, stage, merge request, conflict, merge, production; a command in between."""
    walk(world, fate)
    sha = world.commit()
    walk(world, fate)
    world.later(hours=25)
    walk(world, fate)
    old = world.state().targets["svc/svc/prod"].sha
    world.edit("svc/saas.yml", f"ref: {old}", f"ref: {old}  # a note")
    world.people.comment_as("alice", 1, "/saasbot status")
    walk(world, fate)
    world.people.merge_as("alice", 1)
    walk(world, fate)
    world.reconcile()
    assert world.runs() == [("svc/svc/stage", sha, "deploy"), ("svc/svc/prod", sha, "deploy")]
    (merged,) = world.people.list_all()
    assert merged.state == "merged"
    assert "succeeded" in world.report_on(1)
    state = world.state()
    assert {key: (each.sha, each.deployed_sha) for key, each in state.targets.items()} == {
        "svc/svc/stage": (sha, sha),
        "svc/svc/prod": (sha, sha),
    }
    assert [publication.sha for publication in state.channels["svc-ok"]] == [sha]
    assert (dict(state.answers), dict(state.merge_requests), state.vetoes) == ({}, {}, ())


@pytest.mark.parametrize(
    ("at", "after"),
    [(at, after) for at in range(WRITES + 1) for after in (False, True) if ALL or after == bool(at % 2)],
)
def test_killed_around_any_write(fresh: Callable[[], LineWorld], at: int, *, after: bool) -> None:
    fate = Fate(at=at, after=after)
    story(fresh(), fate)
    if at == 0:
        assert WRITES - 4 <= len(fate.names) <= WRITES, f"set WRITES to the writes that there are: {fate.names}"


def both(world: LineWorld) -> list[Report | StateRace]:
    """Two passes that start at the same moment."""
    ended: list[Report | StateRace] = []
    start = threading.Barrier(2)

    def one() -> None:
        job = world.job()
        start.wait()
        try:
            ended.append(reconcile(job))
        except StateRace as race:
            ended.append(race)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def test_two_passes_at_once(fresh: Callable[[], LineWorld]) -> None:
    world = fresh()
    world.reconcile()
    lost = 0
    for number in range(1, RACES + 1):
        sha = world.later(hours=1).commit()
        for moment in ("stage", "promotion", "production"):
            world.later(hours=25 if moment == "promotion" else 0)
            ended = both(world)
            assert len(ended) == 2
            lost += sum(isinstance(each, StateRace) for each in ended)
            world.reconcile()
            if moment == "promotion":
                world.people.merge_as("alice", world.the_merge_request().iid)
        assert world.runs()[-2:] == [("svc/svc/stage", sha, "deploy"), ("svc/svc/prod", sha, "deploy")]
        assert len(world.runs()) == 2 * number
        assert len(world.people.list_all()) == number
    assert lost, "the two never met: this test shows nothing"


def test_a_person_who_pushes_first_wins(fresh: Callable[[], LineWorld]) -> None:
    world = fresh()
    world.reconcile()
    world.commit()
    world.reconcile()
    world.later(hours=25)
    job = world.job()
    forge, repo = job.ports.forge, world.folders.forge / "config.git"

    class Overtaken:
        def __getattr__(self, name: str) -> object:
            if name == "push":
                git(repo, "branch", "--force", "saasbot/svc/saas.yml", "main")
            return getattr(forge, name)

    report = reconcile(replace(job, ports=replace(job.ports, forge=Overtaken())))  # type: ignore[arg-type] # by name
    assert [outcome.status for outcome in report.outcomes] == ["refused", "skipped"]
    world.reconcile()
    assert len(world.merge_requests()) == 1
