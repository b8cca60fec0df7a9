"""Explain and overview: the same rooms that decide, told for people (DESIGN section 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_values import (
    CI,
    HOUR,
    NOW,
    PROD,
    STAGE,
    context,
    decided,
    deliberated,
    desired,
    merge_request,
    observed,
    prod,
    published,
    record,
    sha,
    stage,
    state,
    target,
)

from bot.core.explain import explain
from bot.core.overview import overview
from bot.model.desired import Desired, Recurring, Target, Upstream
from bot.model.observed import MergeRequestStatus
from bot.model.plan import Gate, Held, Plan
from bot.model.state import CommandFreeze

A, B = sha("a"), sha("b")


def test_explain_tells_reasons_and_gates_of_the_next_start() -> None:
    given = target(parameters={"X": 1})
    found = explain(context(given, recorded=state(record(target()))), PROD)
    assert [each.kind for each in found.reasons] == ["config_change"]
    assert {each.gate for each in found.run} >= {Gate.WINDOW, Gate.FREEZE, Gate.BUDGET}
    assert (found.sha, found.problem, found.next_time) == (A, "", None)


def test_explain_tells_the_next_version_and_when_it_may_move() -> None:
    given = prod(soak=9 * HOUR)
    full, plan = deliberated(
        context(given, stage(), recorded=state(record(given), record(stage()), ok=(published(STAGE, B),)))
    )
    found = explain(full, PROD)
    assert (found.promoted_sha, found.next_time) == (B, NOW + 8 * HOUR)
    assert plan.next_due == found.next_time, "the plan knows the same time"


def test_no_time_is_told_where_one_gate_knows_none() -> None:
    given = replace(prod(windows=(Recurring("0 22 * * *", HOUR),)), parameters={"X": 1})
    recorded = state(record(prod()), record(stage()))
    assert explain(context(given, stage(), recorded=recorded), PROD).next_time == NOW.replace(hour=22)
    frozen = replace(recorded, freezes=(CommandFreeze("all", "ana", NOW, "x"),))
    assert explain(context(given, stage(), recorded=frozen), PROD).next_time is None


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (desired(), "the config has no target"),
        (desired(invalid_targets={PROD: "bad ref"}), "bad ref"),
        (desired(target(ref="gone")), "no branch or tag 'gone'"),
        (desired(target(ref="main", upstream=Upstream(CI, "job"))), "was not asked"),
        (desired(target(disable=True, ref=B)), "disabled"),
    ],
)
def test_explain_says_why_nothing_can_be_told(config: Desired, problem: str) -> None:
    found = explain(context(config=config, recorded=state(record(target()))), PROD)
    assert problem in found.problem
    assert found.reasons == ()
    assert found.record is not None


def test_the_overview_has_every_target_once() -> None:
    gone: Target = target("svc/web/gone")
    config = desired(prod(), stage(), invalid_targets={"svc/web/bad": "bad"})
    recorded = state(record(prod()), record(gone))
    found = context(config=config, recorded=recorded)
    plan = decided(found)
    rows = {each.id: each for each in overview(found, plan).rows}
    assert list(rows) == [PROD, STAGE, "svc/web/bad", gone.id]
    assert rows[gone.id].target is None
    assert rows[STAGE].record is None
    assert [each.gate for each in rows["svc/web/bad"].held] == [Gate.INVALID]


def test_the_overview_lists_the_bots_open_merge_requests_and_what_holds_them() -> None:
    requests = (
        merge_request(iid=2),
        merge_request("saasbot/a", iid=1),
        merge_request("feature", iid=3),
        merge_request("saasbot/old", iid=4, state=MergeRequestStatus.MERGED),
    )
    held = Held("merge-request:saasbot/a", Gate.HOLD, "held by bob")
    found = context(prod(), seen=observed(merge_requests={each.iid: each for each in requests}))
    shown = overview(found, Plan(held=(held, Held(f"target:{PROD}", Gate.SOAK, "soaks"))))
    assert [each.iid for each in shown.merge_requests] == [1, 2]
    assert shown.held == (held,)
    assert [each.gate for each in shown.rows[0].held] == [Gate.SOAK]
