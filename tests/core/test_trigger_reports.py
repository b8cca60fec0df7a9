"""The report of a round, set by set: made once when a set ends, whatever ends it, and told wherever people look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import (
    ME,
    NOW,
    World,
    context,
    decided,
    deliberated,
    desired,
    merge_request,
    observed,
    of_kind,
    settings,
)
from test_trigger_rounds import REFUSED, Line, due, staged, trigger

from bot.core.overview import overview
from bot.core.trigger_reports import set_reports
from bot.model.desired import Desired
from bot.model.observed import BranchDiff, Change, Down, Issue, Note, Role, RunFact, Unreachable
from bot.model.plan import CommentAction, DashboardAction, Plan
from bot.model.rounds import Result, SetReport, TriggerRequest, TriggerState
from bot.model.runs import RunStatus
from bot.model.state import Question
from bot.model.triggers import DayOfMonth, HealthCheck, Job, NewBuild, Stage, Trigger

MINUTE = timedelta(minutes=1)
TOLD = {"pipeline_guid": "h-a", "error": None}


def sets(line: Line) -> list[tuple[int, str, str]]:
    """What the last pass reported: index, result and words of each set."""
    return [(each.index, each.result.value, each.text) for each in line.plan.sets]


def words(report: SetReport) -> dict[str, str]:
    """Where each job of a set stands."""
    return {job.name: job.word for job in report.jobs}


def record(line: Line) -> TriggerState:
    """What the statefile knows of the definition."""
    assert line.state is not None
    return line.state.triggers[line.given.name]


# Which sets end, and when


def test_rp_9_a_set_is_reported_once_when_it_ends_and_then_the_next_one() -> None:
    line = due(staged(("a", "b"), ("c",)))
    assert not line.plan.sets
    line.later(MINUTE).ends("a", "b").one_pass()
    assert sets(line) == [(0, "success", "2 of 2 jobs ran and succeeded")]
    (first,) = line.plan.sets
    assert (first.trigger, first.process, first.version, first.round) == ("nightly", "nightly", "", 1)
    assert (first.name, first.started_at, first.ended_at) == ("set 0", NOW, NOW + MINUTE)
    assert (words(first), first.error, first.not_started) == ({"a": "succeeded", "b": "succeeded"}, None, ())
    line.later(MINUTE).one_pass()
    assert sets(line) == []
    line.later(MINUTE).ends("c").one_pass()
    assert sets(line) == [(1, "success", "1 of 1 jobs ran and succeeded")]
    assert (line.plan.sets[0].started_at, line.plan.sets[0].ended_at) == (NOW + MINUTE, NOW + 3 * MINUTE)
    line.one_pass()
    assert line.plan.sets == ()


def test_jobs_without_stages_are_one_set_and_all_of_them_are_in_it() -> None:
    line = due(trigger("a", Job("b", active=False), "c"), answers={"c": REFUSED}).ends("a").one_pass()
    (report,) = line.plan.sets
    assert (report.index, report.name, report.result, report.text) == (0, "", Result.ERROR, "failed: c")
    assert words(report) == {"a": "succeeded", "b": "skipped", "c": "refused"}
    assert [job.text for job in report.jobs] == ["", "not active", "403: not yours"]
    assert report.error is report.jobs[2]


def test_rp_7_a_set_that_failed_is_reported_at_that_moment_with_what_still_runs() -> None:
    line = due(staged(("a", "b"), ("c",), ("d",), fail_fast=True)).ends("b", status=RunStatus.FAILED).one_pass()
    (report,) = line.plan.sets
    assert (report.result, report.text, words(report)) == (
        Result.ERROR,
        "failed: b",
        {"a": "running", "b": "failed"},
    )
    assert (report.not_started, report.error) == (("set 1", "set 2"), report.jobs[1])
    line.later(MINUTE).ends("a").one_pass()
    assert not line.plan.sets, "what ends later changes no report"


def test_rp_8_a_set_that_took_too_long_is_reported_in_the_same_shape() -> None:
    line = due(staged(("a", "b"), ("c",), timeout=MINUTE)).ends("a").later(MINUTE).one_pass()
    (report,) = line.plan.sets
    assert (report.result, report.text) == (Result.TIMEOUT, "not done within 1m")
    assert (words(report), report.error) == ({"a": "succeeded", "b": "running"}, None)
    assert report.not_started == ("set 1",)


@pytest.mark.parametrize(
    ("given", "world", "result", "text"),
    [
        (trigger("a", conditions=(DayOfMonth(30),)), World(), Result.SKIPPED, "day 14 of the month"),
        (
            trigger("a", conditions=(NewBuild("https://x", "name"),)),
            World(newest=Unreachable("no answer")),
            Result.ERROR,
            "nothing was started: no answer",
        ),
    ],
)
def test_gw_3_a_round_that_ends_before_its_jobs_are_known_is_one_set_without_jobs(
    given: Trigger, world: World, result: Result, text: str
) -> None:
    (report,) = due(given, world=world).plan.sets
    assert (report.index, report.jobs, report.result, report.error) == (0, (), result, None)
    assert text in report.text


def test_gw_5_a_server_that_is_down_ends_the_first_set_with_nothing_started() -> None:
    given = staged(("a",), ("b",), health_check=HealthCheck(1, MINUTE))
    (report,) = due(given, world=World(down=Down("503"))).plan.sets
    assert (report.result, words(report), report.not_started) == (Result.ERROR, {"a": "not_started"}, ("set 1",))


def test_a_definition_that_left_the_config_ends_its_set() -> None:
    line = due(trigger("a"), world=World(details=TOLD))
    assert line.state is not None
    runs = {key: RunFact(RunStatus.RUNNING, handle="h-a") for key in line.in_flight().values()}
    plan = decided(
        context(config=desired(), seen=observed(runs=runs), recorded=line.state, now=NOW), World(details=TOLD)
    )
    (report,) = plan.sets
    assert (report.result, report.text) == (Result.ERROR, "the definition left the config")
    assert (words(report), report.jobs[0].details) == ({"a": "running"}, TOLD)


def test_stages_that_nobody_asked_for_are_no_sets() -> None:
    line = Line(staged(("a",), ("b",), ("c",), schedule=None)).one_pass()
    assert line.state is not None
    line.state = replace(line.state, trigger_requests={"nightly": TriggerRequest("nightly", "ana", NOW, ("b",))})
    line.one_pass().ends("b").one_pass()
    assert sets(line) == [(1, "success", "1 of 1 jobs ran and succeeded")]
    assert [each.index for each in set_reports(record(line), line.given)] == [1]


def test_rp_2_a_round_with_nothing_to_do_is_a_set_that_succeeded() -> None:
    line = due(trigger(stages=(Stage("one", ()), Stage("two", ()))))
    assert sets(line) == [(0, "success", "there was nothing to start")]


def test_several_sets_may_end_in_one_pass() -> None:
    off = tuple(Stage(name, (Job(f"job-{name}", active=False),)) for name in ("one", "two"))
    line = due(trigger(stages=off, staged=True))
    assert sets(line) == [(0, "success", "there was nothing to start"), (1, "success", "there was nothing to start")]


def test_rp_13_a_rehearsal_is_told_as_one_and_uses_up_no_build() -> None:
    line = Line(trigger("a", schedule=None, conditions=(NewBuild("https://x", "name"),))).one_pass()
    assert line.state is not None
    request = TriggerRequest("nightly", "ana", NOW, rehearsal=True)
    line.state = replace(line.state, trigger_requests={"nightly": request})
    line.one_pass().ends("a").one_pass()
    assert [each.rehearsal for each in line.plan.sets] == [True]
    assert record(line).builds == {}


# What servers tell


def test_rp_9_what_the_server_tells_is_asked_once_a_set_ends() -> None:
    line = due(trigger("a", "b"), world=World(details=TOLD), answers={"b": REFUSED}).ends("a").one_pass()
    (report,) = line.plan.sets
    assert [dict(job.details) for job in report.jobs] == [TOLD, {}]


def test_rp_10_what_cannot_be_had_is_told_and_stops_nothing() -> None:
    line = due(trigger("a"), world=World(details=Unreachable("ci: no answer"))).ends("a").one_pass()
    assert line.round.result is Result.SUCCESS
    assert [dict(job.details) for job in line.plan.sets[0].jobs] == [{"unavailable": "ci: no answer"}]


def test_the_list_of_a_release_gives_its_name_and_its_version() -> None:
    line = due(trigger("a", process="Gravitee APIM", version="1.2.0-SNAPSHOT")).ends("a").one_pass()
    assert [(each.process, each.version) for each in line.plan.sets] == [("Gravitee APIM", "1.2.0-SNAPSHOT")]


# Rounds that run


def test_a_round_that_runs_is_told_without_asking_anybody() -> None:
    line = due(staged(("a", "b"), ("c",))).ends("a").one_pass()
    (report,) = set_reports(record(line), None)
    assert (report.result, report.text, report.ended_at) == (Result.RUNNING, "1 of 2 jobs are over", None)
    line.ends("b").one_pass()
    first, second = set_reports(record(line), line.given)
    assert (first.result, second.result, second.not_started) == (Result.SUCCESS, Result.RUNNING, ())


def test_a_round_of_an_older_release_has_the_times_that_are_known() -> None:
    line = due(staged(("a",), ("b",))).later(MINUTE).ends("a").one_pass()
    older = replace(record(line), round=replace(line.round, stage_ends=()))
    assert [each.started_at for each in set_reports(older, None)] == [NOW, NOW + MINUTE]


def test_a_definition_without_a_round_has_no_sets() -> None:
    assert set_reports(TriggerState("nightly", NOW), trigger("a")) == ()


# On merge requests


def told_on_merge_request(
    line: Line, question: Question | None = None, notes: tuple[Note, ...] = (), **world: Any
) -> tuple[str, Plan]:
    """The comment on a merge request of a person after one more look, empty where it is not edited; and the plan."""
    assert line.state is not None
    request = merge_request("feature", author="eve", notes=notes)
    recorded = replace(line.state, questions={"1": question} if question is not None else line.state.questions)
    seen = observed(
        merge_requests={1: request}, runs={key: line.runs.get(job) for job, key in line.in_flight().items()}
    )
    compared = BranchDiff("base", (Change("README.md", b"a", b"b"),))
    config = desired(triggers={line.given.name: line.given})
    known = World(diffs={1: compared}, proposals={1: config}, roles={"eve": Role.OWNER}, **world)
    plan = decided(context(config=config, seen=seen, recorded=recorded, now=line.now), known)
    bodies = [each.body for each in of_kind(plan, CommentAction)]
    line.state = plan.record or recorded
    return (bodies[0] if bodies else ""), plan


ASKED = Question("trigger", "nightly", "ana")


def test_gw_15_a_merge_request_shows_the_round_that_was_asked_for_there() -> None:
    line = due(staged(("a", "b"), ("c",)))
    line.runs["a"] = RunFact(RunStatus.RUNNING, handle="h-a", url="https://ci.example.com/7")
    body, _ = told_on_merge_request(line.one_pass(), ASKED)
    assert "**trigger nightly**" in body
    assert "- 0 \\* \\* \\* \\* came due at 2026-01-14T12:00:00Z" in body
    assert "`nightly`, round 1, `set 0`: **running** – 0 of 2 jobs are over" in body
    assert "| job | state | link |\n|---|---|---|\n| `a` | running | [open](https://ci.example.com/7) |" in body
    assert "| `b` | running |  |" in body


def test_the_comment_is_edited_only_where_it_says_something_new() -> None:
    line = due(trigger("a"))
    body, _ = told_on_merge_request(line, ASKED)
    note = (Note("9", ME, body, created_at=NOW),)
    assert told_on_merge_request(line.later(MINUTE), notes=note)[0] == ""
    edited, plan = told_on_merge_request(line.ends("a"), notes=note)
    assert "**success** – 1 of 1 jobs ran and succeeded" in edited
    assert [each.note for each in of_kind(plan, CommentAction)] == ["9"]


def test_the_round_stays_whatever_is_asked_afterwards() -> None:
    line = due(trigger("a"))
    ask = Note("5", "eve", "/saasbot status", created_at=NOW)
    body, plan = told_on_merge_request(line, ASKED, (ask,))
    assert "answered by this report" in body
    assert "| `a` | running |" in body
    assert plan.record is not None
    assert plan.record.questions == {"1": Question("status", "", "eve", rounds=("nightly",))}


def test_what_waits_and_what_holds_is_told_without_moments_that_pass() -> None:
    given = trigger("a", health_check=HealthCheck(60, MINUTE), schedule=None)
    line = Line(given).one_pass()
    body, _ = told_on_merge_request(line, ASKED)
    assert "no round has begun yet" in body
    assert line.state is not None
    line.state = replace(line.state, trigger_requests={"nightly": TriggerRequest("nightly", "ana", NOW)})
    first, _ = told_on_merge_request(line, ASKED, down=Down("503"))
    assert "- ana asked for it\n- `unreachable` holds nightly: waits for its server: 503" in first
    note = (Note("9", ME, first, created_at=NOW),)
    assert told_on_merge_request(line.later(MINUTE), notes=note, down=Down("503"))[0] == ""


def test_a_start_that_waits_for_the_end_of_a_round_is_told() -> None:
    line = due(trigger("a"))
    assert line.state is not None
    line.state = replace(line.state, trigger_requests={"nightly": TriggerRequest("nightly", "bob", NOW)})
    assert "bob asked for it, and it has not begun yet" in told_on_merge_request(line, ASKED)[0]


def test_a_definition_that_nobody_knows_has_no_round() -> None:
    line = due(trigger("a"))
    assert "no round has begun yet" in told_on_merge_request(line, Question("trigger", "other", "ana"))[0]


# On the dashboard, and for those who ask without a merge request

BOARD = settings(dashboard_title="Deployments")


def board(line: Line, config: Desired | None = None, issue: Issue | None = None, **world: Any) -> str:
    """The text of the dashboard after one more look, empty where it is not edited."""
    config = config or desired(triggers={line.given.name: line.given})
    seen = observed(dashboard=issue, runs={key: line.runs.get(job) for job, key in line.in_flight().items()})
    given = context(config=config, seen=seen, recorded=line.state, now=line.now, options=BOARD)
    plan = decided(given, World(**world))
    line.state = plan.record or line.state
    return next((each.body for each in of_kind(plan, DashboardAction)), "")


def test_the_dashboard_tells_rounds_that_run_or_have_ended_badly_and_no_others() -> None:
    line = due(trigger("a", "b", Job("c", active=False)))
    line.runs["a"] = RunFact(RunStatus.RUNNING, handle="h-a", url="https://ci.example.com/7")
    running = board(line)
    assert "### Rounds that run\n\n- `nightly`, round 1, set 0: **running** – 1 of 3 jobs are over\n" in running
    assert "  - `a`: running ([open](https://ci.example.com/7))\n  - `b`: running\n" in running
    assert "`c`" not in running
    bad = board(line.ends("a").ends("b", status=RunStatus.FAILED))
    assert "### Rounds that ended badly\n\n- `nightly`, round 1, set 0: **error** – failed: b\n  - `b`: failed" in bad
    assert "Rounds that run" not in bad
    assert "round 1" not in board(due(trigger("a")).ends("a"))
    assert "round 1" not in board(due(trigger("a", conditions=(DayOfMonth(30),))))
    assert "round" not in board(Line(trigger("a")))


def test_the_dashboard_is_not_edited_for_each_look_at_a_server_that_is_down() -> None:
    line = due(trigger("a", health_check=HealthCheck(60, MINUTE)), world=World(down=Down("503")))
    body = board(line.later(MINUTE), down=Down("503"))
    assert "`nightly`: `unreachable` – waits for its server: 503\n" in body
    assert board(line.later(MINUTE), issue=Issue(5, body), down=Down("503")) == ""


def test_a_definition_that_left_the_config_is_told_until_its_runs_are_over() -> None:
    line = due(trigger("a"))
    gone = board(line, desired())
    assert "the definition left the config" in gone
    assert "round 1" not in board(line.ends("a"), desired())


def test_status_without_a_merge_request_tells_rounds_too() -> None:
    line = due(trigger("a")).ends("a", status=RunStatus.FAILED)
    config = desired(triggers={"nightly": line.given})
    seen = observed(
        commands=(Note("0", "ana", "status"),), runs={key: line.runs[job] for job, key in line.in_flight().items()}
    )
    plan = decided(context(config=config, seen=seen, recorded=line.state, now=NOW), World(roles={"ana": Role.OWNER}))
    assert plan.answers[0].text == "\nnightly: round 1, set 0: error: failed: a\n  a: failed"


# At the command line


def test_the_overview_has_every_definition_once() -> None:
    line = due(trigger("a"))
    other, gone = replace(trigger("x"), name="other"), TriggerState("gone", NOW, removed_at=NOW)
    assert line.state is not None
    recorded = replace(line.state, triggers={**line.state.triggers, "gone": gone})
    config = desired(triggers={"nightly": line.given, "other": other})
    runs = {key: line.runs[job] for job, key in line.in_flight().items()}
    full, plan = deliberated(context(config=config, seen=observed(runs=runs), recorded=recorded, now=NOW))
    rows = {each.name: each for each in overview(full, plan).triggers}
    assert list(rows) == ["nightly", "other", "gone"]
    assert rows["nightly"].due == NOW + timedelta(hours=1)
    assert [words(each) for each in rows["nightly"].sets] == [{"a": "running"}]
    assert (rows["other"].record, rows["other"].due) == (None, None)
    assert (rows["gone"].trigger, rows["gone"].sets) == (None, ())
