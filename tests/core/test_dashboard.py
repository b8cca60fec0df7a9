"""The dashboard: one issue that says what is held, what runs and what is where; edited only where it changes."""

from __future__ import annotations

from dataclasses import replace

from core_values import (
    NOW,
    PROD,
    STAGE,
    URL,
    World,
    a_run,
    context,
    decided,
    merge_request,
    moved,
    mr_record,
    observed,
    of_kind,
    prod,
    published,
    record,
    settings,
    sha,
    stage,
    state,
)

from bot.core.context import Context
from bot.model.observed import Issue
from bot.model.plan import DashboardAction, Plan
from bot.model.runs import RunStatus

A, B = sha("a"), sha("b")
ON = settings(dashboard_title="Deployments")
KNOWN = state(record(prod()), record(stage()), ok=(published(STAGE, A),))


def board(plan: Plan) -> DashboardAction:
    (found,) = of_kind(plan, DashboardAction)
    assert isinstance(found, DashboardAction)
    return found


def given(issue: Issue | None = None, key: bytes | None = None) -> Context:
    seen = observed(refs={URL: {"main": A}}, dashboard=issue)
    return context(prod(), stage(), recorded=KNOWN, seen=seen, options=ON, report_key=key)


def test_there_is_none_unless_the_settings_ask_for_one() -> None:
    assert not of_kind(decided(replace(given(), settings=settings()), World()), DashboardAction)


def test_it_is_opened_once_and_edited_only_if_it_says_something_new() -> None:
    first = board(decided(given(), World()))
    assert (first.subject, first.iid, first.title) == ("dashboard", 0, "Deployments")
    assert PROD in first.body
    there = Issue(5, first.body)
    assert not of_kind(decided(given(there), World()), DashboardAction)
    later = replace(given(there), state=state(record(prod()), record(stage()), record(prod("svc/web/other"))))
    assert (board(decided(later, World())).iid, board(decided(later, World())).subject) == (5, "dashboard:5")


def test_a_text_that_somebody_else_wrote_or_that_has_another_key_is_written_anew() -> None:
    body = board(decided(given(key=b"one"), World())).body
    assert not of_kind(decided(given(Issue(5, body), b"one"), World()), DashboardAction)
    assert board(decided(given(Issue(5, body), b"two"), World())).iid == 5
    assert board(decided(given(Issue(5, "by hand")), World())).iid == 5


def test_it_says_what_runs_what_is_open_what_waits_and_what_needs_a_person() -> None:
    request = merge_request(url="https://git.example.com/mr/1", title="Promote it")
    ours = mr_record(request, moved(prod(), B))
    failed = a_run(prod("svc/web/bad"), status=RunStatus.FAILED)
    known = state(
        record(prod()),
        record(stage(), run=a_run(stage(), status=RunStatus.RUNNING)),
        record(prod("svc/web/bad"), run=failed),
        merge_requests={ours.branch: ours},
        ok=(published(STAGE, B),),
    )
    seen = observed(refs={URL: {"main": B}}, merge_requests={1: request})
    targets = (prod(soak=NOW - NOW.replace(year=2025)), stage(), prod("svc/web/bad"))
    body = board(decided(context(*targets, recorded=known, seen=seen, options=ON), World())).body
    assert "[open](https://git.example.com/mr/1)" in body
    assert "### Needs a person" in body
    assert "### Running" in body
    assert "### Waits" in body
    assert f"`{STAGE}` at" in body
