"""A statefile that is lost and made anew from comments, runs and git: nothing starts twice, nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds.faulty_ports import Injector, Killed, Kind, faulty
from worlds.forge_world import FORGES, TOKEN, ForgeWorld, forge_world
from worlds.line_world import held, kinds
from worlds.world import PROD, STAGE, World

from bot.core.rebuild import Rebuilt
from bot.errors import LostState, StateRace, WrongUsage
from bot.model.state import State
from bot.reconcile import create, rebuild, reconcile

NAMES = ("calm", "down", "fast")
CALM, DOWN, FAST = (f"{name}/{name}/prod" for name in NAMES)

PATIENT = """\
#!/bin/sh
echo "$SAASBOT_RUN_KEY $SAASBOT_TARGET $SAASBOT_SHA $SAASBOT_ACTION" >> "{root}/log"
n=0
while [ -e "{root}/closed/$(echo "$SAASBOT_TARGET" | tr / _)" ] && [ $n -lt 400 ]; do sleep 0.05; n=$((n+1)); done
"""

NewForgeWorld = Callable[..., AbstractContextManager[ForgeWorld]]


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """One service at the local forge."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    return World(tmp_path / "world")


@pytest.fixture
def new_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewForgeWorld:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    monkeypatch.setenv("SAASBOT_KEY", "a key of this test")

    @contextmanager
    def made(kind: str = "local", **wishes: Any) -> Iterator[ForgeWorld]:
        with forge_world(kind, tmp_path / kind, **wishes) as world:  # type: ignore[arg-type] # one of FORGES
            (world.root / "closed").mkdir()
            world.push({"deploy.sh": PATIENT.format(root=world.root)})
            yield world

    return made


def door(world: ForgeWorld, target: str) -> Path:
    """While this file is there, runs of the target do not end."""
    return world.root / "closed" / target.replace("/", "_")


def lose(world: ForgeWorld) -> State:
    """The statefile is gone, and what the machine remembered with it."""
    state = world.state()
    (world.root / "state.json").unlink()
    return state


def rebuilt(world: World) -> Rebuilt:
    """`saasbot state rebuild --yes`, as a server's world has its own clock."""
    job = world.job()
    found = rebuild(job)
    create(job, found.state)
    return found


def number(world: ForgeWorld, name: str) -> int:
    """The merge request of a service."""
    return next(each.iid for each in world.people.list_all() if name in each.source_branch)


def three_promotions(world: ForgeWorld) -> dict[str, str]:
    """Three open promotions, each of a version that ran on stage and has soaked; returns the shas by service."""
    world.reconcile()
    shas = {name: world.commit(name) for name in NAMES}
    world.reconcile()
    world.later(hours=25).reconcile()
    assert len(world.merge_requests()) == len(NAMES)
    return shas


def published(state: State) -> set[tuple[str, str, str]]:
    return {(name, each.target, each.sha) for name, own in state.channels.items() for each in own}


@pytest.mark.parametrize("kind", FORGES)
def test_a_held_a_vetoed_and_a_running_promotion_survive_the_loss(kind: str, new_world: NewForgeWorld) -> None:
    with new_world(kind, services=NAMES) as world:
        shas = three_promotions(world)
        world.people.comment_as("bob", number(world, "calm"), "/saasbot hold the fair")
        world.close(number(world, "down"))
        door(world, FAST).touch()
        world.merge(number(world, "fast"))
        world.one_pass()
        world.one_pass()
        before = lose(world)
        run = before.targets[FAST].run
        assert run is not None
        assert run.status.in_flight
        with pytest.raises(LostState, match="lost") as lost:
            world.one_pass()
        assert (lost.value.exit_code, "`saasbot state rebuild`" in lost.value.hint) == (2, True)

        found = rebuilt(world)
        says = "\n".join(found.taken)
        assert f"!{number(world, 'calm')} opened, held by bob: the fair" in says
        assert f"veto of {DOWN} at {shas['down'][:7]} by bob" in says
        assert f"{FAST}: its server knows run 1 of {shas['fast'][:7]}: " in says
        after = world.state()
        assert after.lineage != before.lineage
        assert after.replaced == (before.lineage,)
        assert published(after) == published(before)

        first = world.later(minutes=1).one_pass()
        assert not {"start_run", "open_merge_request", "close_merge_request"} & set(kinds(first))
        door(world, FAST).unlink()
        idle = world.reconcile()
        assert {("saasbot/calm/saas.yml", "hold"), (DOWN, "vetoed")} <= held(idle)
        assert len(world.runs()) == 4, "three times stage, once production"
        assert world.state().targets[FAST].deployed_sha == shas["fast"]
        assert [each.iid for each in world.merge_requests()] == [number(world, "calm")]
        state = (world.root / "state.json").read_bytes()
        assert world.later(minutes=10).reconcile().plan.actions == ()
        assert (world.root / "state.json").read_bytes() == state


# At the local forge: what the command says, and what can happen around a loss


def test_the_command_says_what_it_took_back_and_asks(plain: World) -> None:
    sha = plain.promoted()
    plain.comment("bob", "/saasbot hold")
    refused = plain.saasbot("state", "rebuild", "--yes")
    assert (refused.code, refused.out) == (2, "")
    assert "there is a statefile" in refused.err
    (plain.root / "state.json").unlink()
    ended = plain.saasbot("reconcile")
    assert ended.code == 2
    assert "saasbot state rebuild" in ended.err
    asked = plain.saasbot("state", "rebuild")
    assert asked.code != 0, "nobody was there to say yes"
    assert not (plain.root / "state.json").exists()
    done = plain.saasbot("state", "rebuild", "--yes")
    assert done.code == 0, done.err
    assert "taken back: 2 targets, as they are found" in done.out
    assert f"taken back: channel svc-ok: {sha[:7]} by {STAGE}" in done.out
    assert "taken back: !1 opened, held by bob" in done.out
    assert "not known: commands in comments" in done.out
    assert kinds(plain.later(minutes=1).reconcile()) == []
    assert plain.state().merge_requests["saasbot/svc/saas.yml"].hold is not None


def test_what_was_merged_while_it_was_lost_goes_out_once(plain: World) -> None:
    sha = plain.promoted()
    (plain.root / "state.json").unlink()
    plain.merge()
    done = plain.saasbot("state", "rebuild", "--yes")
    assert "has not run yet" in done.out
    report = plain.later(minutes=1).reconcile()
    assert kinds(report) == ["start_run"]
    assert plain.runs() == [(STAGE, sha, "deploy"), (PROD, sha, "deploy")]
    assert plain.state().targets[PROD].deployed_sha == sha
    assert plain.later(minutes=1).reconcile().plan.actions == ()


def test_a_run_that_no_comment_speaks_of_is_found_at_its_server(plain: World) -> None:
    """The pass died between the start and the comment, and the statefile was lost with it."""
    sha = plain.promoted()
    plain.merge()
    job = plain.job()
    at_the_forge = Injector(lambda call: Kind.KILLED_BEFORE if call.effect and call.port == "forge" else None)
    ports = faulty(job.ports, at_the_forge)
    with pytest.raises(Killed):
        reconcile(replace(job, ports=ports))
    (plain.root / "state.json").unlink()
    done = plain.saasbot("state", "rebuild", "--yes")
    assert f"{PROD}: its server knows run 1 of {sha[:7]}" in done.out
    plain.later(minutes=1).reconcile()
    assert plain.runs() == [(STAGE, sha, "deploy"), (PROD, sha, "deploy")]
    assert plain.state().targets[PROD].run is not None
    assert plain.state().targets[PROD].deployed_sha == sha


def test_the_version_before_comes_from_the_history_of_the_config(plain: World) -> None:
    plain.promoted()
    old = plain.ref()
    plain.merge()
    plain.reconcile()
    (plain.root / "state.json").unlink()
    plain.later(days=30)
    note = plain.folders.forge / "merge_requests" / "1.json"
    note.write_text(note.read_text().replace("saasbot:report", "saasbot:gone"))
    done = plain.saasbot("state", "rebuild", "--yes")
    assert "the versions before the present ones of 1 targets" in done.out
    assert plain.state().targets[PROD].previous == old
    _, answer = plain.say("alice", f"rollback {PROD}")
    assert (answer.ok, old[:7] in answer.text) == (True, True)
    plain.later(minutes=1).reconcile()
    assert old[:7] in plain.the_merge_request().title


def test_orders_that_touch_no_merge_request_are_on_the_dashboard(new_world: NewForgeWorld) -> None:
    with new_world(more='dashboard: {title: "Deployments"}\n') as world:
        sha = world.promoted()
        url = world.folders.service("svc")
        for text in ("freeze environment:prod reason=fair", f"pin {PROD}", f'block {url} {sha} reason="broken"'):
            _, answer = world.say("alice", text)
            assert answer.ok, answer.text
        door(world, STAGE).touch()
        world.commit()
        world.one_pass()
        world.one_pass()
        before = lose(world)
        assert before.targets[STAGE].run is not None
        done = world.saasbot("state", "rebuild", "--yes")
        assert f"taken back: pin of {PROD} at " in done.out
        assert f"taken back: {STAGE}: run " in done.out
        after = world.state()
        assert (after.freezes, after.blocks, after.pins) == (before.freezes, before.blocks, before.pins)
        door(world, STAGE).unlink()
        world.later(minutes=1).reconcile()
        assert len(world.runs()) == 2


def test_starting_afresh_still_works_and_the_old_reports_do_not_stand_in_the_way(plain: World) -> None:
    plain.promoted()
    before = plain.state()
    (plain.root / "state.json").unlink()
    assert plain.saasbot("reconcile", "--bootstrap", "adopt").code == 0
    assert plain.saasbot("reconcile").code == 0
    assert plain.state().lineage != before.lineage
    assert plain.state().replaced == (before.lineage,)
    plain.due()
    assert plain.the_merge_request().iid


def test_a_rebuild_that_came_second_writes_nothing(plain: World) -> None:
    plain.promoted()
    (plain.root / "state.json").unlink()
    job = plain.job()
    found = rebuild(job)
    rebuilt(plain)
    written = (plain.root / "state.json").read_bytes()
    with pytest.raises(StateRace):
        create(job, found.state)
    assert (plain.root / "state.json").read_bytes() == written
    with pytest.raises(WrongUsage):
        rebuild(plain.job())
