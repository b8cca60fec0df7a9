"""The report of `plan` and `reconcile` as text, Markdown and JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from bot.model.plan import (
    ACTION_KINDS,
    Action,
    AnswerCommand,
    CancelRun,
    CloseMergeRequest,
    CommentAction,
    Commit,
    DashboardAction,
    FollowRun,
    Gate,
    Held,
    MergeMergeRequest,
    OpenMergeRequest,
    Outcome,
    OutcomeStatus,
    Plan,
    RecordState,
    RegenerateMergeRequest,
    Report,
    SplitMergeRequest,
    StartJob,
    StartRun,
    UpdateMergeRequest,
)
from bot.model.runs import Reason, Run
from bot.model.servers import Instance, Pipeline
from bot.model.state import Edit, TargetState
from bot.model.triggers import Retry
from bot.render.terminal import Style, report_json, report_markdown, report_text

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHA = "a" * 40
T = "orders/orders/stage"
WHY = (Reason("moving_commit", "main moved 1a2b3c4 -> 5d6e7f8"),)
RUN = Run("key1", 3, SHA, "hash", "deploy")
SHELL = Pipeline("deploy", Instance("shell", "command"))
COMMIT = Commit("saasbot/orders", SHA, "m", {})
EDITS = (Edit(T, "orders.yml", "main", SHA),)
MR: dict[str, Any] = {
    "subject": "merge-request:saasbot/orders",
    "batch": "orders",
    "part": 0,
    "commit": COMMIT,
    "title": "Promote",
    "description": "",
    "edits": EDITS,
    "reasons": WHY,
}
START = StartRun(f"target:{T}", T, RUN, SHELL, {}, WHY)
ALL: tuple[Action, ...] = (
    RecordState(f"target:{T}", WHY, TargetState(T, "f", "main", SHA, "{}", "h")),
    RecordState("target:gone", ()),
    START,
    StartJob("job:nightly/a", "nightly", "a", RUN, SHELL, {}, WHY, Retry()),
    FollowRun(f"target:{T}", T, RUN, WHY),
    CancelRun(f"target:{T}", T, RUN, SHELL, WHY),
    OpenMergeRequest(**MR, labels=()),
    UpdateMergeRequest(**MR, iid=1),
    RegenerateMergeRequest(**MR, iid=1),
    SplitMergeRequest(**MR, iid=1),
    MergeMergeRequest("merge-request:b", 1, SHA, WHY),
    CloseMergeRequest("merge-request:b", 1, "b", "bye", WHY),
    CommentAction("merge-request:b", 0, "b", "", "body", WHY),
    DashboardAction("dashboard:5", 5, "Deployments", "body", WHY),
    AnswerCommand("merge-request:b", 1, "7", "ok", "body", WHY),
)
KEYS = [
    f"target:{T}",
    "target:gone",
    *["key1"] * 4,
    *["saasbot/orders"] * 4,
    f"1:{SHA}",
    "b",
    "b",
    "dashboard:5",
    "1:7",
]


def report(actions: tuple[Action, ...] = (), **more: Any) -> Report:
    names = {field.name for field in fields(Plan)}
    plan = Plan(actions, **{key: value for key, value in more.items() if key in names})
    return Report(SHA, NOW, plan, **{key: value for key, value in more.items() if key not in names})


SOAK = Held("target:orders/orders/production", Gate.SOAK, "soaks 24h", NOW + timedelta(days=1))


def test_every_kind_of_action_has_its_place_in_each_format() -> None:
    assert {type(action) for action in ALL} == set(ACTION_KINDS)
    whole = report(ALL)
    document = json.loads(report_json(whole))
    assert [entry["kind"] for entry in document["actions"]] == [ACTION_KINDS[type(action)] for action in ALL]
    assert [entry["key"] for entry in document["actions"]] == KEYS
    text = report_text(whole)
    for title in ("Start runs (1)", "Cancel runs (1)", "Merge (1)", "Record (2)", "Answer commands (1)"):
        assert f"{title}\n" in text
        assert f"### {title}\n" in report_markdown(whole)
    assert text.index("Start runs") < text.index("Record")


def test_json_is_the_contracts() -> None:
    outcome = Outcome(OutcomeStatus.DONE, "started", "https://ci/1")
    due = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    done = report((START,), held=(SOAK, Held("target:x", Gate.FREEZE, "frozen")), next_due=due, outcomes=(outcome,))
    assert json.loads(report_json(done)) == {
        "schema": "saasbot.plan/1",
        "config_sha": SHA,
        "now": "2026-01-01T00:00:00Z",
        "actions": [
            {
                "kind": "start_run",
                "subject": f"target:{T}",
                "key": "key1",
                "reasons": [{"kind": "moving_commit", "text": "main moved 1a2b3c4 -> 5d6e7f8"}],
                "details": {
                    "sha": SHA,
                    "action": "deploy",
                    "number": 3,
                    "attempt": 1,
                    "status": "pending",
                    "pipeline": "deploy",
                },
                "outcome": {"status": "done", "text": "started", "url": "https://ci/1"},
            }
        ],
        "held": [
            {"subject": SOAK.subject, "gate": "soak", "text": "soaks 24h", "until": "2026-01-02T00:00:00Z"},
            {"subject": "target:x", "gate": "freeze", "text": "frozen", "until": None},
        ],
        "next_due": "2026-01-01T00:00:00Z",
    }
    planned = report_json(report((START,)), indent=None)
    assert "\n" not in planned
    assert "outcome" not in json.loads(planned)["actions"][0]
    assert json.loads(planned)["next_due"] is None


def test_text_says_what_was_done_and_what_is_held() -> None:
    outcomes = (Outcome(OutcomeStatus.DONE, "started", "https://ci/1"), Outcome(OutcomeStatus.SKIPPED))
    done = report((START, ALL[1]), held=(SOAK,), next_due=NOW, outcomes=outcomes)
    assert report_text(done) == (
        "Start runs (1)\n"
        "  ▶ orders/orders/stage  moving_commit: main moved 1a2b3c4 -> 5d6e7f8\n"
        "      done: started https://ci/1\n"
        "Record (1)\n"
        "  · gone\n"
        "      skipped\n"
        "Held by soak (1)\n"
        "  ⏸ orders/orders/production: soaks 24h (until 2026-01-02T00:00:00Z)\n"
        "Next due: 2026-01-01T00:00:00Z\n"
    )
    assert report_markdown(done) == (
        "### Start runs (1)\n\n"
        "- `orders/orders/stage`: `moving_commit` main moved 1a2b3c4 -> 5d6e7f8 – **done** started\n\n"
        "### Record (1)\n\n"
        "- `gone` – **skipped**\n\n"
        "### Held by soak (1)\n\n"
        "- `orders/orders/production`: soaks 24h (until 2026-01-02T00:00:00Z)\n\n"
        "Next due: 2026-01-01T00:00:00Z\n"
    )


def test_nothing_to_do() -> None:
    assert report_text(report()) == "Nothing to do.\n"
    assert report_markdown(report()) == "Nothing to do.\n"


def test_the_first_line_says_what_the_budget_holds() -> None:
    text = "this pass may start 50 runs (runs.maxStarts)"
    starts = tuple(Held(f"target:{number}", Gate.BUDGET, text) for number in range(17_550))
    merge_request = Held("target:x", Gate.BUDGET, "20 merge requests are open (promotions.maxOpen 20)")
    held = report((START,), held=(merge_request, *starts))
    lines = report_text(held).splitlines()
    assert lines[0] == f"17550 starts are held by `budget`: {text}"
    assert lines[1].startswith("1 promotion is held by `budget`")
    assert "  ... and 17531 more" in lines
    assert report_markdown(held).startswith(f"> **17550 starts are held by `budget`: {text}**\n")


def test_many_similar_actions_are_cut() -> None:
    many = report(tuple(RecordState(f"target:{number}", ()) for number in range(17_600)))
    lines = report_text(many).splitlines()
    assert lines[0] == "Record (17600)"
    assert len(lines) == 22
    assert lines[-1] == "  ... and 17580 more"
    assert "- ... and 17580 more\n" in report_markdown(many)


def test_colour_only_where_it_is_asked_for() -> None:
    done = report((START,), held=(SOAK,), outcomes=(Outcome(OutcomeStatus.FAILED, "no"),))
    coloured = report_text(done, Style(colour=True))
    assert "\x1b[31mfailed\x1b[0m: no" in coloured
    assert "\x1b" not in report_text(done)


def test_foreign_text_neither_steers_a_terminal_nor_tells_a_secret() -> None:
    evil = (Reason("moving_commit", "\x1b[2J x\n/approve glpat-abcdefghijklmnopqrst\u202e"),)
    shown = report((StartRun("target:a\nb", "a", RUN, SHELL, {}, evil),))
    assert report_text(shown) == "Start runs (1)\n  ▶ a b  moving_commit: [2J x /approve [redacted]\n"
    assert "glpat" not in report_json(shown) + report_markdown(shown)
