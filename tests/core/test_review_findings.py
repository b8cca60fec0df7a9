"""What a reader of DESIGN found missing: each of these was wrong once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_values import NOW, PROD, a_run, context, decided, held_gates, prod, record, sha, state

from bot.model.desired import App, Component, Recurring
from bot.model.plan import StartRun
from bot.model.runs import RunStatus
from bot.model.state import CommandFreeze, Override

A, B = sha("a"), sha("b")
NEVER_NOW = (Recurring("0 0 1 1 *", timedelta(hours=1)),)


def test_a_hotfix_passes_a_window_where_nothing_is_subscribed_to() -> None:
    target = prod(ref=B, auto=False, subscribe=(), windows=NEVER_NOW)
    app = App(target.app.name, ("alice",), (Component(target.url, hotfix=frozenset({B})),))
    before = record(replace(target, ref=A))
    plan = decided(context(replace(target, app=app), recorded=state(before)))
    assert [type(action) for action in plan.actions] == [StartRun]


def test_a_hotfix_passes_no_window_on_a_later_change_of_configuration() -> None:
    target = prod(ref=B, auto=False, subscribe=(), windows=NEVER_NOW)
    app = App(target.app.name, ("alice",), (Component(target.url, hotfix=frozenset({B})),))
    before = record(target)
    changed = replace(target, app=app, parameters={"NEW": 1})
    plan = decided(context(changed, recorded=state(before)))
    assert held_gates(plan, f"target:{PROD}") == {"window"}


def override(gate: str, at_hours: float) -> Override:
    return Override(PROD, A, gate, "alice", NOW + timedelta(hours=at_hours), "urgent")


def test_an_override_ends_with_the_run_that_it_was_for() -> None:
    target = prod(ref=A, auto=False, subscribe=(), windows=NEVER_NOW)
    done = replace(a_run(target, status=RunStatus.SUCCEEDED), sha=A, intent_at=NOW - timedelta(hours=1))
    recorded = state(replace(record(target), run=done), overrides=(override("window", -2),))
    plan = decided(context(target, recorded=recorded))
    assert plan.record is not None
    assert plan.record.overrides == ()


def test_an_override_knows_nothing_of_a_freeze_that_was_ordered_after_it() -> None:
    target = replace(prod(ref=A, auto=False, subscribe=()), parameters={"NEW": 1})
    before = record(prod(ref=A, auto=False, subscribe=()))
    for at_hours, expected in ((-3, set()), (-1, {"freeze"})):
        order = CommandFreeze("all", "bob", NOW + timedelta(hours=at_hours), "two")
        recorded = state(before, overrides=(override("freeze", -2),), freezes=(order,))
        assert held_gates(decided(context(target, recorded=recorded)), f"target:{PROD}") == expected


def test_a_second_run_of_the_same_version_does_not_hide_what_was_there_before() -> None:
    target = replace(prod(ref=B, auto=False, subscribe=()), parameters={"NEW": 1})
    done = replace(a_run(target, status=RunStatus.SUCCEEDED), sha=B, previous=A)
    before = replace(record(prod(ref=B, auto=False, subscribe=())), run=done, deployed_sha=B)
    (start,) = decided(context(target, recorded=state(before))).actions
    assert isinstance(start, StartRun)
    assert start.run.previous == A
