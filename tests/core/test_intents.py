"""Intents are dated when they are saved, on record as in the actions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_values import NOW, PROD, a_run, context, decided, desired, prod, record, sha, state, target

from bot.core.intents import dated
from bot.model.plan import Plan, StartJob, StartRun
from bot.model.rounds import TriggerState
from bot.model.servers import Instance
from bot.model.triggers import Job, Schedule, Stage, Trigger

LATER = NOW + timedelta(minutes=6)
HOURLY = Trigger(
    "nightly",
    Instance("prow", "gangway", "https://x"),
    stages=(Stage("", (Job("a"),)),),
    schedule=Schedule("0 * * * *"),
)


def test_every_start_is_intended_when_it_is_saved() -> None:
    known = state(record(target(), sha("x"), run=a_run(target(), sha("x"))), record(prod("svc/web/other")))
    known = replace(known, targets={**known.targets, PROD: replace(known.targets[PROD], run=None)})
    checked = TriggerState("nightly", NOW - timedelta(minutes=1))
    known = replace(known, triggers={"nightly": checked, "idle": replace(checked, name="idle")})
    given = desired(target(parameters={"X": "1"}), prod("svc/web/other"), triggers={"nightly": HOURLY})
    plan = decided(context(config=given, recorded=known))
    after = dated(plan, LATER)
    starts = [action for action in after.actions if isinstance(action, StartRun | StartJob)]
    assert {type(action) for action in starts} == {StartRun, StartJob}
    assert {action.run.intent_at for action in starts} == {LATER}
    assert after.record is not None
    run = after.record.targets[PROD].run
    present = after.record.triggers["nightly"].round
    assert run is not None
    assert present is not None
    assert (run.intent_at, present.jobs[0].run) == (LATER, starts[-1].run)
    assert plan.record is not None
    assert replace(after.record, targets={}, triggers={}) == replace(plan.record, targets={}, triggers={})


def test_a_plan_without_starts_stays_as_it_is() -> None:
    plan = decided(context(target(), recorded=state(record(target()))))
    assert dated(plan, LATER) is plan
    assert dated(Plan(), LATER) == Plan()
