"""What became of the runs in flight, and what follows from it (DESIGN sections 3 and 4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from core_values import (
    DEPLOY,
    HOUR,
    NOW,
    PROD,
    STAGE,
    a_run,
    context,
    decided,
    held_gates,
    observed,
    of_kind,
    published,
    record,
    sha,
    stage,
    state,
    target,
)

from bot.core.context import Context
from bot.core.follow import TIMED_OUT, describe, observed_run
from bot.model.desired import Target
from bot.model.observed import RunFact, Unreachable
from bot.model.plan import CancelRun, FollowRun, Plan, StartRun
from bot.model.runs import Run, RunStatus
from bot.model.state import CommandFreeze, Publication, State

A, B = sha("a"), sha("b")
INTENT = a_run(target(), status=RunStatus.PENDING, handle="")


def seen(run: Run, fact: RunFact | Unreachable | None, *targets: Target, recorded: State | None = None) -> Context:
    given = targets or (target(),)
    known = recorded or state(record(given[0], run=run))
    return context(*given, recorded=known, seen=observed(runs={run.key: fact}))


def run_of(plan: Plan, name: str = PROD) -> Run:
    assert plan.record is not None
    run = plan.record.targets[name].run
    assert run is not None
    return run


def test_a_run_seen_as_it_was_is_no_news() -> None:
    run = a_run(target())
    plan = decided(seen(run, RunFact(RunStatus.RUNNING, "h1")))
    assert plan.actions == ()
    assert plan.record is None
    assert plan.next_due == NOW + timedelta(seconds=10), "it is looked at again soon"


def test_a_server_out_of_reach_holds_its_run() -> None:
    plan = decided(seen(a_run(target()), Unreachable("ci: refused")))
    assert held_gates(plan, f"target:{PROD}") == {"unreachable"}
    assert not plan.actions


@pytest.mark.parametrize(
    ("told", "counts"), [(NOW - HOUR, NOW - HOUR), (NOW + HOUR, NOW), (None, NOW)], ids=["past", "future", "none"]
)
def test_a_success_publishes_at_the_earlier_of_both_clocks(told: datetime | None, counts: datetime) -> None:
    run = a_run(stage())
    plan = decided(seen(run, RunFact(RunStatus.SUCCEEDED, finished_at=told), stage()))
    (action,) = of_kind(plan, FollowRun)
    assert action.reasons[0].text == f"run 1 of {A[:7]} succeeded"
    assert plan.record is not None
    assert plan.record.channels["ok"] == (Publication(STAGE, A, run.config_hash, counts, counts, run.key),)
    known = plan.record.targets[STAGE]
    assert (known.deployed_sha, known.deployed_at) == (A, counts)


@pytest.mark.parametrize(("failed", "left"), [(A, {B}), (B, {A})])
def test_a_failure_withdraws_the_same_sha_only(failed: str, left: set[str]) -> None:
    run = a_run(stage(), failed)
    recorded = state(record(stage(), run=run), ok=(published(STAGE, A), published(STAGE, B)))
    plan = decided(seen(run, RunFact(RunStatus.FAILED, text="exit 1"), stage(), recorded=recorded))
    assert plan.record is not None
    assert {each.sha for each in plan.record.channels["ok"]} == left
    assert plan.record.targets[STAGE].deployed_sha == A, "what failed is not deployed"


@pytest.mark.parametrize("status", [RunStatus.CANCELED, RunStatus.UNKNOWN])
def test_what_did_not_fail_withdraws_nothing(status: RunStatus) -> None:
    run = a_run(stage())
    recorded = state(record(stage(), run=run), ok=(published(STAGE, A),))
    plan = decided(seen(run, RunFact(status), stage(), recorded=recorded))
    assert plan.record is not None
    assert plan.record.channels == recorded.channels


def test_a_run_of_a_removed_target_is_followed_and_publishes_nothing() -> None:
    run = a_run(stage())
    plan = decided(
        context(recorded=state(record(stage(), run=run)), seen=observed(runs={run.key: RunFact(RunStatus.SUCCEEDED)}))
    )
    assert run_of(plan, STAGE).status is RunStatus.SUCCEEDED
    assert plan.record is not None
    assert not plan.record.channels


# Time-outs


def test_a_run_over_its_time_out_is_canceled_and_counts_as_failed() -> None:
    given = target(pipeline=replace(DEPLOY, timeout=timedelta(minutes=5)))
    run = a_run(given)
    plan = decided(seen(run, RunFact(RunStatus.RUNNING, "h1"), given))
    (action,) = of_kind(plan, CancelRun)
    assert action.reasons[0].kind == "timeout"
    assert "5m" in action.reasons[0].text
    stopped = run_of(plan)
    assert (stopped.text, stopped.status) == (TIMED_OUT, RunStatus.RUNNING)
    assert plan.record is not None
    ended = decided(seen(stopped, RunFact(RunStatus.CANCELED, text="killed"), given, recorded=plan.record))
    assert (run_of(ended).status, run_of(ended).text) == (RunStatus.FAILED, TIMED_OUT)


def test_a_run_that_succeeded_while_it_was_stopped_succeeded() -> None:
    run = a_run(target(), text=TIMED_OUT)
    ended = observed_run(run, RunFact(RunStatus.SUCCEEDED, text="fine"), NOW)
    assert (ended.status, ended.text) == (RunStatus.SUCCEEDED, "fine")


def test_a_time_out_has_a_due_time() -> None:
    given = target(pipeline=replace(DEPLOY, timeout=timedelta(minutes=5, seconds=1)))
    plan = decided(seen(a_run(given), RunFact(RunStatus.RUNNING, "h1"), given))
    assert plan.next_due == NOW + timedelta(seconds=1)
    assert not plan.actions


def test_a_time_out_counts_from_the_start_where_it_is_known() -> None:
    given = target(pipeline=replace(DEPLOY, timeout=timedelta(minutes=5)))
    started = RunFact(RunStatus.RUNNING, "h1", started_at=NOW - timedelta(minutes=4))
    assert not of_kind(decided(seen(a_run(given), started, given)), CancelRun)
    never = a_run(given, intent_at=None)
    assert not of_kind(decided(seen(never, RunFact(RunStatus.RUNNING, "h1"), given)), CancelRun)


# An intent whose start may not have happened


def test_an_intent_that_never_started_starts_with_the_same_key() -> None:
    plan = decided(seen(INTENT, None))
    (action,) = of_kind(plan, StartRun)
    assert action.run == replace(INTENT, intent_at=NOW)
    assert run_of(plan) == action.run, "what asks for it next counts from this request, not from the first"


def test_an_intent_that_did_start_is_followed() -> None:
    plan = decided(seen(INTENT, RunFact(RunStatus.RUNNING, "h9")))
    assert run_of(plan).handle == "h9"
    assert not of_kind(plan, StartRun)


def test_an_intent_of_a_target_that_is_gone_ends() -> None:
    plan = decided(context(recorded=state(record(target(), run=INTENT)), seen=observed(runs={INTENT.key: None})))
    assert run_of(plan).status is RunStatus.CANCELED
    assert "its target is gone" in of_kind(plan, FollowRun)[0].reasons[0].text


@pytest.mark.parametrize("given", [target(disable=True), target(parameters={"X": 1})])
def test_an_intent_that_is_no_longer_wanted_is_taken_back(given: Target) -> None:
    plan = decided(seen(INTENT, None, given, recorded=state(record(target(), run=INTENT))))
    (action,) = of_kind(plan, CancelRun)
    assert action.reasons[0].kind == "superseded"
    assert not of_kind(plan, StartRun)


def test_an_intent_is_held_by_what_came_up_since() -> None:
    frozen = state(record(target(), run=INTENT), freezes=(CommandFreeze("all", "ana", NOW, "x"),))
    plan = decided(seen(INTENT, None, recorded=frozen))
    assert held_gates(plan, f"target:{PROD}") == {"freeze"}
    assert not plan.actions
    away = context(
        target(),
        recorded=state(record(target(), run=INTENT)),
        seen=observed(runs={INTENT.key: None}, unavailable={"shell": "no token"}),
    )
    assert held_gates(decided(away), f"target:{PROD}") == {"unreachable"}


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (RunStatus.FAILED, "exit 1", "failed: exit 1"),
        (RunStatus.SUCCEEDED, "x", "succeeded"),
        (RunStatus.RUNNING, "", "running"),
    ],
)
def test_how_a_run_stands_in_words(status: RunStatus, text: str, said: str) -> None:
    assert describe(a_run(target(), status=status, text=text)) == said


def test_a_run_of_which_nothing_is_known_any_more_is_not_stopped() -> None:
    lost = a_run(stage(), instance=None, timeout=None, started_at=NOW - timedelta(days=9))
    seen = observed(runs={lost.key: RunFact(RunStatus.RUNNING, handle="h")})
    plan = decided(context(seen=seen, recorded=state(record(stage(), run=lost))))
    assert not any(isinstance(action, CancelRun) for action in plan.actions)


def test_a_late_run_of_a_target_that_is_gone_is_stopped_where_it_was_started() -> None:
    late = a_run(stage(), instance=stage().pipeline.instance, started_at=NOW - timedelta(days=9))
    seen = observed(runs={late.key: RunFact(RunStatus.RUNNING, handle="h")})
    plan = decided(context(seen=seen, recorded=state(record(stage(), run=late))))
    (stop,) = (action for action in plan.actions if isinstance(action, CancelRun))
    assert (stop.pipeline.instance, stop.pipeline.timeout) == (stage().pipeline.instance, timedelta(hours=1))
