"""Rounds while the world changes: definitions, lists and clocks that are not what they were when a round began."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import NOW, World, held_gates
from test_trigger_rounds import HOURLY, LOST, MINUTE, OUTSIDE, RELEASE, SUBJECT, Line, due, trigger

from bot.model.observed import Down, RunFact, Unreachable
from bot.model.plan import CancelRun, RecordState, StartJob
from bot.model.rounds import Result, RoundResult, TriggerRequest
from bot.model.runs import RunStatus
from bot.model.triggers import Batch, DayOfMonth, HealthCheck, Job, NewBuild, Schedule, Stage, Wait

HOUR = timedelta(hours=1)
CHECK = HealthCheck(attempts=60, interval=MINUTE)


def asks(line: Line, *jobs: str, force: bool = False) -> Line:
    """Alice asks for these jobs."""
    return line.asks(TriggerRequest("nightly", "alice", line.now, jobs, force=force))


def test_a_job_that_leaves_the_config_while_its_server_is_down_stops_nobody() -> None:
    line = due(trigger("a", "b", health_check=CHECK), world=World(down=Down("no answer")))
    line.given = trigger("b", health_check=CHECK)
    line.later(MINUTE).one_pass()
    assert line.round.probes == 2
    line.given = trigger("c", health_check=CHECK)
    line.later(MINUTE).one_pass()
    assert {job.name: job.text for job in line.round.jobs} == dict.fromkeys("ab", "no longer in the config")


def test_the_wait_for_a_server_is_none_of_the_time_that_jobs_have() -> None:
    line = due(trigger("a", timeout=timedelta(minutes=30), health_check=CHECK), world=World(down=Down("no answer")))
    for _ in range(36):
        line.later(MINUTE).one_pass()
    line.world = World()
    assert line.later(MINUTE).one_pass().started == ["a"]
    assert line.later(timedelta(minutes=29)).one_pass().round.result is Result.RUNNING


def test_gw_7_a_lost_start_of_a_list_outside_is_made_up_for() -> None:
    given = trigger(jobs_from=OUTSIDE, stages=(), read=False)
    line = due(given, lists={OUTSIDE: RELEASE}, answers={"core": LOST})
    assert line.jobs() == {"core": "pending"}
    line.answers.clear()
    assert line.later(MINUTE).one_pass().started == ["core"]


def test_gw_4_a_start_by_hand_while_the_source_is_away_leaves_the_known_builds() -> None:
    source = NewBuild("https://release.example.com", "name")
    line = due(trigger("a", conditions=(source,)), world=World(newest="b1")).ends("a").one_pass()
    line.runs.clear()
    line.world = World(newest=Unreachable("away"))
    asks(line).later(MINUTE).one_pass().ends("a").one_pass()
    line.runs.clear()
    line.world = World(newest="b1")
    assert line.later().one_pass().round.result is Result.SKIPPED
    line.given = trigger("a")
    asks(line).one_pass().ends("a").one_pass()
    assert line.state is not None
    assert line.state.triggers["nightly"].builds == {}, "of a condition that is gone nothing is kept"


def test_no_slot_is_due_twice_when_the_clock_goes_back() -> None:
    line = due(trigger("a")).ends("a").one_pass()
    line.runs.clear()
    assert line.state is not None
    line.state = replace(line.state, time=line.now)
    line.now = NOW - timedelta(minutes=9)
    asks(line).one_pass().ends("a").one_pass()
    line.runs.clear()
    line.now = NOW + MINUTE
    line.one_pass()
    assert line.started == ["a", "a"]


def test_while_the_clock_is_behind_no_schedule_counts() -> None:
    line = due(trigger("a")).ends("a").one_pass()
    line.runs.clear()
    assert line.state is not None
    line.state = replace(line.state, time=NOW + 3 * HOUR)
    assert held_gates(line.later().one_pass().plan, SUBJECT) == {"window"}
    assert line.started == ["a"]


def test_a_schedule_that_is_new_or_changed_counts_from_now_on() -> None:
    line = Line(trigger("a", schedule=None), NOW - timedelta(days=100)).one_pass()
    line.now = NOW + timedelta(minutes=30)
    line.given = trigger("a", Job("b", schedule=Schedule("0 6 1 * *")), schedule=Schedule("0 6 1 * *"))
    assert line.one_pass().started == []
    line.given = trigger("a", schedule=HOURLY)
    assert line.one_pass().started == []
    assert line.later(timedelta(minutes=31)).one_pass().started == ["a"]


def test_a_definition_that_comes_back_counts_from_then_on() -> None:
    line = due(trigger("a")).ends("a").one_pass()
    there = line.given
    line.given = replace(there, name="other", file="other.yml")
    line.later(timedelta(days=2)).one_pass()
    line.given = there
    line.runs.clear()
    line.now = NOW + timedelta(days=3, minutes=30)
    assert line.one_pass().started == ["a"]
    assert line.later(timedelta(minutes=31)).one_pass().started == ["a", "a"]


def test_a_job_after_one_of_a_later_stage_does_not_wait_for_it() -> None:
    line = due(trigger(Job("a", after=("b",)), "b"))
    assert line.jobs() == {"a": "waiting", "b": "running"}
    stages = (Stage("one", (Job("a", after=("b",)),)), Stage("two", (Job("b"),)))
    line = due(trigger(stages=stages, staged=True))
    assert line.jobs() == {"a": "skipped", "b": "running"}


def test_a_start_by_hand_opens_a_round_of_its_own_jobs() -> None:
    given = trigger("a", Job("b", active=False), "c", conditions=(DayOfMonth(last=1),))
    line = Line(given, NOW - timedelta(minutes=30)).one_pass()
    line.now = NOW
    assert asks(line, "a", force=True).one_pass().started == ["a"]
    line.ends("a").one_pass()
    line.runs.clear()
    line.one_pass()
    assert (line.started, line.round.result) == (["a"], Result.SKIPPED), "the slot came after it, with its condition"


def test_while_a_list_cannot_be_read_a_round_still_ends() -> None:
    given = trigger(jobs_from=OUTSIDE, stages=(), read=False, timeout=HOUR)
    line = due(given, lists={OUTSIDE: RELEASE})
    line.lists[OUTSIDE] = Unreachable("gone")
    line.ends("core").one_pass()
    assert line.round.result is Result.SUCCESS
    waiting = due(given, lists={OUTSIDE: RELEASE}, answers={"core": LOST})
    waiting.lists[OUTSIDE] = Unreachable("gone")
    waiting.runs["core"] = None
    assert waiting.later(timedelta(minutes=30)).one_pass().round.result is Result.RUNNING
    assert waiting.later(timedelta(minutes=30)).one_pass().round.result is Result.TIMEOUT
    assert waiting.one_pass().round.result is Result.TIMEOUT


def test_rp_13_pipelines_that_are_told_of_a_dry_run_release_nothing() -> None:
    given = trigger(Job("core", version="1.0.0-SNAPSHOT", options={"parameters": {"dry_run": True}}))
    line = due(given).ends("core").one_pass()
    assert line.state is not None
    assert line.state.triggers["nightly"].released == {}
    line.runs.clear()
    assert line.later().one_pass().started == ["core", "core"]


def test_a_renamed_definition_is_the_same_one() -> None:
    line = due(trigger("a"))
    line.given = replace(line.given, name="other")
    line.runs = {}
    line.later(MINUTE).one_pass()
    assert line.state is not None
    assert set(line.state.triggers) == {"other"}
    (moved,) = (action for action in line.plan.actions if isinstance(action, RecordState))
    assert (moved.subject, moved.reasons[0].text) == ("trigger:other", "was nightly; the same file")
    assert line.started == ["a"]


def test_jobs_count_among_the_runs_in_flight() -> None:
    line = Line(trigger("a", "b", "c"), NOW - timedelta(minutes=30), most_in_flight=2).one_pass()
    line.now = NOW
    assert line.one_pass().started == ["a", "b"]
    assert held_gates(line.plan, "job:nightly/c") == {"budget"}
    assert line.ends("a").one_pass().started == ["a", "b", "c"]


def test_what_a_server_never_tells_of_is_left_after_a_day() -> None:
    line = due(trigger("a", timeout=HOUR))
    line.given = replace(line.given, schedule=None)
    line.later(HOUR).one_pass()
    line.runs["a"] = Unreachable("no answer")
    assert line.later(HOUR).one_pass().jobs() == {"a": "running"}
    assert line.later(timedelta(days=1)).one_pass().jobs() == {"a": "unknown"}


def test_a_round_names_a_few_of_many_schedules() -> None:
    jobs = [Job(f"j{n}", schedule=Schedule(f"{n} * * * *")) for n in range(10)]
    line = Line(trigger(*jobs, schedule=None), NOW - timedelta(minutes=30)).one_pass()
    line.now = NOW + timedelta(minutes=15)
    line.one_pass()
    assert [reason.text for reason in line.round.reasons][-1] == "and 5 more"
    (start, *_) = (action for action in line.plan.actions if isinstance(action, StartJob))
    assert start.environment["SAASBOT_REASONS"] == "schedule"


def test_how_the_last_rounds_ended_is_known_when_others_have_taken_their_place() -> None:
    line = due(trigger("a"))
    for _ in range(12):
        line.ends("a", status=RunStatus.FAILED).one_pass()
        line.runs.clear()
        line.later().one_pass()
    assert line.state is not None
    results = line.state.triggers["nightly"].results
    assert (len(results), results[-1]) == (10, RoundResult(12, Result.ERROR, "failed: a"))


@pytest.mark.parametrize("fact", [None, RunFact(RunStatus.UNKNOWN)])
def test_an_intent_of_a_definition_that_left_the_config_is_not_started(fact: Any) -> None:
    line = due(trigger("a"), answers={"a": LOST})
    line.given = replace(line.given, name="other", file="other.yml")
    line.runs["a"] = fact
    line.one_pass().one_pass()
    assert line.started == []


@pytest.mark.parametrize(("action", "counts"), [("nexus_staging", False), ("release", True)])
def test_rp_12_only_a_release_is_one(action: str, *, counts: bool) -> None:
    options = {"parameters": {"gio_action": action}}
    line = due(trigger(Job("core", version="1.0.0-SNAPSHOT", options=options))).ends("core").one_pass()
    assert line.state is not None
    assert bool(line.state.triggers["nightly"].released) == counts


def test_bj_7_a_late_job_does_not_take_along_those_that_wait_for_its_end() -> None:
    one = Batch(size=1, wait=Wait.FINISHED)
    line = due(trigger("a", "b", batch=one, timeout=HOUR, cancel_on_error=True))
    line.later(HOUR).one_pass()
    assert line.jobs() == {"a": "running", "b": "waiting"}
    assert line.round.jobs[0].text == "not done within 1h"
    assert sum(isinstance(action, CancelRun) for action in line.plan.actions) == 1
    line.given = replace(line.given, schedule=None)
    assert line.later(timedelta(seconds=1)).one_pass().started == ["a", "b"]
    line.ends("a", status=RunStatus.FAILED).ends("b").one_pass()
    assert (line.round.result, line.round.text) == (Result.ERROR, "failed: a")
    together = due(trigger("a", "b", batch=one, timeout=HOUR, fail_fast=True)).later(HOUR).one_pass()
    assert together.round.result is Result.TIMEOUT


def test_a_release_does_not_take_over_what_a_rehearsal_has_started() -> None:
    given = trigger(Job("bad", version="1.0.0-SNAPSHOT"), Job("slow", version="1.0.0-SNAPSHOT"), fail_fast=True)
    line = Line(replace(given, schedule=None), NOW).one_pass()
    line.asks(TriggerRequest("nightly", "alice", NOW, rehearsal=True)).one_pass()
    line.ends("bad", status=RunStatus.FAILED).one_pass()
    del line.runs["bad"]
    asks(line).one_pass()
    assert line.started.count("slow") == 2


def test_a_batch_that_nobody_has_to_wait_for_is_followed_by_the_next_at_once() -> None:
    one = Batch(size=1, wait=Wait.FINISHED)
    line = due(trigger(Job("a", once=True), Job("b", after=("x",)), "c", "d", batch=one))
    assert line.started == ["a"]
    line.ends("a").one_pass().ends("c", "d").one_pass().one_pass()
    line.runs.clear()
    line.later().one_pass()
    assert line.jobs() == {"a": "skipped", "b": "skipped", "c": "running", "d": "waiting"}
