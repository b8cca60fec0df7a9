"""Flags: what the work queue leaves to a person is told on the dashboard and on the merge request's report."""

from __future__ import annotations

from dataclasses import replace

from core_values import (
    NOW,
    PROD,
    STAGE,
    URL,
    World,
    context,
    decided,
    desired,
    known_history,
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

from bot.model.observed import BranchDiff, Change
from bot.model.plan import CommentAction, DashboardAction, Plan
from bot.model.state import Flag

SUBJECT = "merge-request:saasbot/svc.yml"
FAILED = Flag("it has failed 5 times: the forge has lost its mind", NOW, iid=1)
ON = settings(dashboard_title="Deployments")


def plan(flags: dict[str, Flag], *, by_hand: bool = False) -> Plan:
    """A decision with these flags, where a promotion is open; `by_hand`: a person has committed on its branch."""
    config = desired(stage(), prod(ref=sha("a")))
    mr = merge_request("saasbot/svc.yml", head_sha="new" if by_hand else "head")
    edit = moved(prod(ref=sha("a")), sha("b"))
    known = state(
        record(stage(), at=sha("b")),
        record(prod(ref=sha("a"))),
        ok=(published(STAGE, sha("b")),),
        merge_requests={mr.source_branch: mr_record(mr, edit, head="head")},
        attention=flags,
    )
    seen = observed(refs={URL: {"main": sha("b")}}, merge_requests={1: mr}, **known_history(*map(sha, "ab")))
    given = context(config=config, seen=seen, recorded=known, options=ON)
    return decided(given, World(diffs={1: BranchDiff("base", (Change("README.md", b"old", b"new"),))}))


def report(found: Plan) -> str:
    """The sticky comment."""
    (action,) = of_kind(found, CommentAction)
    return str(action.body)


def board(found: Plan) -> str:
    """The dashboard."""
    (action,) = of_kind(found, DashboardAction)
    return str(action.body)


def test_what_failed_too_often_is_told_where_people_look() -> None:
    found = plan({SUBJECT: FAILED, f"target:{PROD}": replace(FAILED, iid=0)})
    for text in (report(found), board(found)):
        assert "it has failed 5 times: the forge has lost its mind" in text
    assert "take the label needs-attention off" in report(found)
    assert f"`{PROD}` – it has failed 5 times" in board(found)
    assert "since 2026-01-14" in board(found)


def test_without_a_label_the_way_back_is_a_command() -> None:
    assert f"call saasbot queue add {SUBJECT}" in report(plan({SUBJECT: replace(FAILED, iid=0)}))


def test_what_a_gate_says_already_is_not_said_twice() -> None:
    by_gate = plan({}, by_hand=True)
    (held,) = (each for each in by_gate.held if each.gate == "human_commit")
    text = f"human_commit: {held.text}"
    found = plan({SUBJECT: Flag(text, NOW, iid=1)}, by_hand=True)
    assert (report(found), board(found)) == (report(by_gate), board(by_gate))


def test_the_plan_on_a_persons_merge_request_says_it_too() -> None:
    mr = merge_request("bob/change", author="bob", labels=())
    config, after = desired(stage()), desired(stage(parameters={"LEVEL": "debug"}))
    known = state(record(stage(), at=sha("b")), attention={"merge-request:bob/change": FAILED})
    seen = observed(refs={URL: {"main": sha("b")}}, merge_requests={1: mr}, **known_history(*map(sha, "ab")))
    diff = BranchDiff("base", (Change(stage().file, b"old", b"new"),))
    world = World(diffs={1: diff}, proposals={1: after})
    found = decided(context(config=config, seen=seen, recorded=known), world)
    assert "the forge has lost its mind" in report(found)
