"""A downstream server that cannot be asked by run key: what may have started is `unknown`, visible, never guessed.

`retry` is the one command that settles it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from worlds.faulty_ports import Call, Injector, Kind, faulty, survived
from worlds.line_world import said
from worlds.memory_state import MemoryClock
from worlds.memory_world import MemoryWorld

from bot.cli.answers import explanation_text, status_text
from bot.core.explain import explain
from bot.core.overview import overview
from bot.model.plan import Gate, Report, StartRun
from bot.model.runs import Run, RunStatus
from bot.reconcile import plan, reconcile
from bot.render.terminal import report_text

STAGE = "svc/svc/stage"
PROD = "svc/svc/prod"
BOARD = 'dashboard: {title: "Deployments"}\n'


def broken_start(kind: Kind) -> tuple[MemoryWorld, str]:
    """A commit whose run on staging was asked for, with this fault; the server cannot tell whether it began."""
    world = MemoryWorld(more=BOARD)
    world.server.asked = False
    world.calm()
    sha = world.later(hours=1).commit()
    injector = Injector(lambda call: kind if call.name == "pipelines.start" else None)
    ports = faulty(world.ports(), injector)
    survived(lambda: world.one_pass(ports))
    assert [each for _, each in injector.struck] == [kind]
    world.later(minutes=5).calm()
    return world, sha


def run_of(world: MemoryWorld, target: str = STAGE) -> Run:
    """The latest run of a target."""
    run = world.state().targets[target].run
    assert run is not None
    return run


def say(world: MemoryWorld, text: str) -> Report:
    """`saasbot say`, by somebody who may, and passes until idle."""
    report = reconcile(world.job(), said(("bob", text)))
    world.calm()
    return report


STARTS = [Kind.BEFORE, Kind.LOST, Kind.KILLED_BEFORE, Kind.KILLED_AFTER]


@pytest.mark.parametrize("kind", STARTS)
def test_what_nobody_can_tell_is_unknown_and_starts_nothing_by_itself(kind: Kind) -> None:
    world, sha = broken_start(kind)
    before = world.runs()
    assert before == ([(STAGE, sha, "deploy")] if kind in (Kind.LOST, Kind.KILLED_AFTER) else [])
    for _ in range(3):
        world.later(hours=25).calm()
        world.commit()
        world.calm()
    world.edit("svc/saas.yml", "LEVEL: info", "LEVEL: debug")
    world.later(hours=1).calm()
    assert world.runs() == before, "neither it nor anything newer starts before somebody has looked"
    assert run_of(world).status is RunStatus.UNKNOWN
    assert world.state().channels == {}, "and nothing is published that may never have run"


def printed(world: MemoryWorld) -> dict[str, str]:
    """What plan, status and explain print, and what the dashboard says."""
    job = world.job()
    context, report = plan(job, job.ports.config.working_tree())
    assert world.forge.board is not None
    return {
        "plan": report_text(report),
        "status": status_text(overview(context, report.plan)),
        "explain": explanation_text(explain(context, STAGE)),
        "dashboard": world.forge.board.body,
    }


def test_it_is_seen_everywhere_with_the_command_that_settles_it() -> None:
    world, sha = broken_start(Kind.KILLED_AFTER)
    for place, text in printed(world).items():
        assert "unknown" in text, place
        assert "this server cannot be asked by run key" in text, place
        assert "retry" in text, place
        assert sha[:7] in text, place
    held = plan(world.job(), world.job().ports.config.working_tree())[1].plan.held
    assert [(each.subject, each.gate) for each in held] == [(f"target:{STAGE}", Gate.UNKNOWN)]


def test_it_is_said_on_the_merge_request_that_led_to_it() -> None:
    world = MemoryWorld()
    world.calm()
    world.later(hours=1).commit()
    world.calm()
    world.later(hours=25).calm()
    world.merge(1)
    world.server.asked = False
    injector = Injector(lambda call: Kind.KILLED_AFTER if call.name == "pipelines.start" else None)
    assert not survived(lambda: world.one_pass(faulty(world.ports(), injector)))
    world.later(minutes=5).calm()
    (report,) = (note.body for note in world.people.list_all()[0].notes)
    assert f"`{PROD}` at `{world.shas[0][:7]}`: unknown – this server cannot be asked by run key" in report
    assert "look, then `retry`" in report
    say(world, f"retry {PROD}")
    (report,) = (note.body for note in world.people.list_all()[0].notes)
    assert f"`{PROD}` at `{world.shas[0][:7]}`: succeeded" in report


@pytest.mark.parametrize("kind", STARTS)
def test_retry_settles_it_with_one_new_run(kind: Kind) -> None:
    world, sha = broken_start(kind)
    lost, before = run_of(world), world.runs()
    (answer,) = say(world, f"retry {STAGE}").plan.answers
    assert (answer.ok, answer.text) == (True, f"runs again: {STAGE}")
    assert world.runs() == [*before, (STAGE, sha, "deploy")]
    run = run_of(world)
    assert (run.status, run.number, run.key == lost.key) == (RunStatus.SUCCEEDED, lost.number + 1, False)
    assert [each.sha for each in world.state().channels["svc-ok"]] == [sha]
    assert plan(world.job(), world.job().ports.config.working_tree())[1].plan.actions == ()


def test_what_is_newer_by_then_is_what_runs() -> None:
    world, _ = broken_start(Kind.KILLED_AFTER)
    newest = world.later(hours=1).commit()
    world.calm()
    say(world, f"retry {STAGE}")
    assert world.runs()[1:] == [(STAGE, newest, "deploy")]


def overridden(world: MemoryWorld) -> None:
    """An owner lets what is newer go, whatever became of the one before."""
    report = reconcile(world.job(), said(("alice", f'override unknown {STAGE} reason="it went well"')))
    assert report.plan.answers[0].ok, report.plan.answers
    world.calm()


def test_an_override_lets_a_newer_version_go_without_another_run_of_the_old_one() -> None:
    world, old = broken_start(Kind.KILLED_AFTER)
    newest = world.later(hours=1).commit()
    world.calm()
    overridden(world)
    assert world.runs() == [(STAGE, old, "deploy"), (STAGE, newest, "deploy")]
    assert run_of(world).status is RunStatus.SUCCEEDED


def test_cancel_has_nothing_to_stop() -> None:
    world, _ = broken_start(Kind.KILLED_AFTER)
    (answer,) = say(world, f"cancel {STAGE}").plan.answers
    assert (answer.ok, answer.text) == (False, "no run is in flight here")
    assert run_of(world).status is RunStatus.UNKNOWN


def killed_again(world: MemoryWorld) -> None:
    """The run that `retry` starts is lost as well."""
    injector = Injector(lambda call: Kind.KILLED_AFTER if call.name == "pipelines.start" else None)
    ports = faulty(world.ports(), injector)
    assert not survived(lambda: reconcile(world.job(ports), said(("bob", f"retry {STAGE}"))))


def test_a_retry_that_is_lost_is_unknown_again_and_asks_again() -> None:
    world, _ = broken_start(Kind.KILLED_AFTER)
    killed_again(world)
    world.later(minutes=5).calm()
    assert run_of(world).status is RunStatus.UNKNOWN
    assert len(world.runs()) == 2
    say(world, f"retry {STAGE}")
    assert len(world.runs()) == 3
    assert run_of(world).status is RunStatus.SUCCEEDED


def stopped(world: MemoryWorld) -> None:
    """SIGTERM comes when the intent has been saved, and nothing was asked of the server yet."""
    writes = world.store.writes
    reconcile(replace(world.job(), stopped=lambda: world.store.writes > writes))


def without_a_token(world: MemoryWorld) -> None:
    """The server's token can be read when the run is decided, and cannot when it is to be started."""
    seen: list[Call] = []

    def choose(call: Call) -> Kind | None:
        seen.append(call)
        late = call.name == "pipelines" and any(each.name == "state.write" for each in seen)
        return Kind.UNAVAILABLE if late else None

    world.one_pass(faulty(world.ports(), Injector(choose)))


def too_late(world: MemoryWorld) -> None:
    """Between the intent and the start the process stands still for a minute."""
    clock = world.ports().clock
    readings = iter([world.now, world.now, world.now, world.now + timedelta(minutes=1)])
    slow = MemoryClock(lambda: next(readings, world.now + timedelta(minutes=1)))
    assert clock.now() == world.now
    world.one_pass(replace(world.ports(), clock=slow))


@pytest.mark.parametrize("interrupted", [stopped, without_a_token, too_late])
def test_what_certainly_was_not_started_is_not_unknown(interrupted: Callable[[MemoryWorld], None]) -> None:
    world = MemoryWorld()
    world.server.asked = False
    world.calm()
    sha = world.later(hours=1).commit()
    interrupted(world)
    run = run_of(world)
    assert (run.status, run.handle, run.intent_at) == (RunStatus.PENDING, "", None)
    assert world.runs() == []
    world.later(minutes=5).calm()
    assert world.runs() == [(STAGE, sha, "deploy")]
    assert (run_of(world).key, run_of(world).status) == (run.key, RunStatus.SUCCEEDED)


def test_no_run_is_started_twice_in_one_pass_of_recovery() -> None:
    world, _ = broken_start(Kind.LOST)
    job = world.job()
    _, report = plan(job, job.ports.config.working_tree())
    assert not [each for each in report.plan.actions if isinstance(each, StartRun)]
