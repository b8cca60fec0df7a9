"""The dashboard's heartbeat: with one, a pass that has nothing to say still says in time that the bot is alive."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_values import (
    NOW,
    URL,
    a_run,
    context,
    decided,
    observed,
    of_kind,
    prod,
    record,
    settings,
    sha,
    stage,
    state,
)

from bot.core.context import Context
from bot.core.overview import overview
from bot.model.observed import Issue
from bot.model.plan import DashboardAction, Plan
from bot.model.runs import RunStatus

HOUR = timedelta(hours=1)
ON = settings(dashboard_title="Deployments", heartbeat=HOUR)
KNOWN = state(record(prod()), record(stage()))


def given(issue: Issue | None = None, after: timedelta = timedelta()) -> Context:
    seen = observed(refs={URL: {"main": sha("a")}}, dashboard=issue)
    return replace(context(prod(), stage(), recorded=KNOWN, seen=seen, options=ON), now=NOW + after)


def told(plan: Plan) -> list[tuple[str, str]]:
    """What the dashboard is edited for, and what it says then."""
    return [(each.reasons[0].text, each.body) for each in of_kind(plan, DashboardAction)]


def test_a_pass_with_nothing_to_say_writes_nothing_until_the_interval_is_over() -> None:
    ((why, body),) = told(decided(given()))
    assert (why, "Alive at 2026-01-14T12:00:00Z" in body) == ("there is none yet", True)
    quiet = decided(given(Issue(5, body), HOUR / 2))
    assert (quiet.actions, quiet.record) == ((), None)
    ((why, body),) = told(decided(given(Issue(5, body), HOUR)))
    assert why == "it says that the bot is alive"
    assert "later than 2026-01-14T15:00:00Z" in body
    assert "last changed at 2026-01-14T12:00:00Z" in body


def test_what_is_new_is_told_as_such() -> None:
    ((_, body),) = told(decided(given()))
    runs = state(record(prod()), record(stage(), run=a_run(stage(), status=RunStatus.FAILED)))
    ((why, _),) = told(decided(replace(given(Issue(5, body), HOUR / 2), state=runs)))
    assert why == "it says something new"


def test_the_overview_knows_when_silence_means_that_the_bot_has_stopped() -> None:
    early = overview(given(after=HOUR), Plan())
    assert (early.written_at, early.heartbeat, early.silent) == (NOW - HOUR, HOUR, False)
    assert overview(given(after=2 * HOUR), Plan()).silent
    assert not overview(replace(given(after=9 * HOUR), settings=settings()), Plan()).silent
