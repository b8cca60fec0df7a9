"""Rounds of trigger definitions, pass by pass: when they begin, what they start and wait for, and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

import pytest
from core_values import NOW, World, context, decided, desired, held_gates, observed, settings

from bot.core.jobs import seen_run, with_job
from bot.core.record import settle
from bot.model.observed import Down, RunFact, Unreachable
from bot.model.plan import CancelRun, FollowRun, Outcome, OutcomeStatus, Plan, StartJob
from bot.model.rounds import JobStatus, Result, Round, TriggerRequest, TriggerState
from bot.model.runs import RunStatus
from bot.model.servers import Instance
from bot.model.state import State
from bot.model.triggers import (
    Batch,
    DateRange,
    DayOfMonth,
    HealthCheck,
    IsoWeek,
    Job,
    JobsFrom,
    NewBuild,
    Retry,
    Schedule,
    Stage,
    Trigger,
    Wait,
)
from bot.settings import RunSettings

PROW = Instance("prow", "gangway", "https://gangway.example.com")
HOURLY = Schedule("0 * * * *")
MINUTE = timedelta(minutes=1)
SUBJECT = "trigger:nightly"


def trigger(*jobs: str | Job, **fields: Any) -> Trigger:
    """A definition with these jobs, due every hour."""
    made = tuple(Job(each) if isinstance(each, str) else each for each in jobs)
    given: dict[str, Any] = {"stages": (Stage("", made),), "schedule": HOURLY, "file": "nightly.yml"}
    return Trigger("nightly", PROW, **{**given, **fields})


def staged(*stages: tuple[str, ...], **fields: Any) -> Trigger:
    """A definition with stages."""
    made = tuple(Stage(f"set {n}", tuple(map(Job, names))) for n, names in enumerate(stages))
    return trigger(stages=made, staged=True, **fields)


@dataclass
class Line:
    """Passes one after another; what servers say is `world`, `answers` (by job) and `runs` (by job)."""

    given: Trigger
    now: datetime = NOW
    state: State | None = field(default_factory=lambda: State(lineage="lin"))
    world: World = field(default_factory=World)
    answers: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, RunFact | Unreachable | None] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    lists: dict[JobsFrom, bytes | Unreachable] = field(default_factory=dict)
    most_in_flight: int = 100

    def asks(self, request: TriggerRequest) -> Self:
        """A command has asked for it."""
        assert self.state is not None
        self.state = replace(self.state, trigger_requests={request.trigger: request})
        return self

    def later(self, span: timedelta = timedelta(hours=1)) -> Self:
        """Let time go by."""
        self.now += span
        return self

    def one_pass(self) -> Self:
        """Decide, act on a server that says what the test wants, settle."""
        config = desired(triggers={self.given.name: self.given})
        runs = {key: self.runs.get(job) for job, key in self.in_flight().items()}
        seen = replace(observed(runs=runs), job_lists=self.lists)
        options = settings(runs=RunSettings(max_in_flight=self.most_in_flight))
        given = context(config=config, seen=seen, recorded=self.state, now=self.now, options=options)
        self.plan = decided(given, self.world)
        self.state = self.plan.record or self.state
        outcomes = [self.outcome(action) for action in self.plan.actions]
        assert self.state is not None
        self.state = settle(self.state, config, self.plan.actions, outcomes, self.now)
        return self

    def in_flight(self) -> dict[str, str]:
        """The keys of runs in flight, by job."""
        record = self.state.triggers.get(self.given.name) if self.state is not None else None
        jobs = record.round.jobs if record is not None and record.round is not None else ()
        return {job.name: job.run.key for job in jobs if job.in_flight and job.run is not None}

    def outcome(self, action: Any) -> Outcome:
        """What comes of an action."""
        if not isinstance(action, StartJob):
            return Outcome(OutcomeStatus.DONE)
        answer = self.answers.get(action.job, RunStatus.RUNNING)
        if isinstance(answer, Outcome):
            return answer
        self.started.append(action.job)
        self.keys.append(action.run.key)
        run = replace(action.run, status=answer, handle=f"h-{action.job}", started_at=self.now)
        if not answer.in_flight:
            run = replace(run, finished_at=self.now)
        self.runs.setdefault(action.job, RunFact(RunStatus.RUNNING, handle=run.handle, started_at=self.now))
        return Outcome(OutcomeStatus.DONE, run=run)

    def ends(self, *jobs: str, status: RunStatus = RunStatus.SUCCEEDED) -> Self:
        """The runs of these jobs have ended."""
        for job in jobs:
            self.runs[job] = RunFact(status, handle=f"h-{job}", finished_at=self.now)
        return self

    @property
    def round(self) -> Round:
        """The present round, or the last."""
        assert self.state is not None
        found = self.state.triggers[self.given.name].round
        assert found is not None
        return found

    def jobs(self) -> dict[str, str]:
        """Where each job stands."""
        return {job.name: str(job.run.status if job.run is not None else job.status) for job in self.round.jobs}


def due(given: Trigger, **fields: Any) -> Line:
    """A line whose definition was recorded half an hour before it is due, and is looked at when it is."""
    line = Line(given, NOW - timedelta(minutes=30), **fields).one_pass()
    assert not line.plan.actions
    line.now = NOW
    return line.one_pass()


REFUSED = Outcome(OutcomeStatus.REFUSED, "403: not yours")
BUSY = Outcome(OutcomeStatus.REFUSED, "429: too many", again=timedelta(seconds=7))
LOST = Outcome(OutcomeStatus.SKIPPED, "no answer")

# When a round begins


def test_a_new_definition_is_recorded_and_starts_nothing() -> None:
    line = Line(trigger("a"), NOW).one_pass()
    assert (line.plan.actions, line.plan.next_due) == ((), NOW + timedelta(hours=1))
    assert line.state is not None
    assert line.state.triggers["nightly"].round is None


def test_a_slot_starts_its_jobs_once() -> None:
    line = due(trigger("a", "b"))
    assert line.started == ["a", "b"]
    (start, _) = [action for action in line.plan.actions if isinstance(action, StartJob)]
    assert start.subject == "job:nightly/a"
    assert [reason.kind for reason in start.reasons] == ["schedule"]
    assert start.environment["SAASBOT_JOB"] == "a"
    line.later(MINUTE).one_pass()
    assert line.plan.actions == ()
    line.ends("a", "b").one_pass()
    assert (line.round.result, line.round.text) == (Result.SUCCESS, "2 of 2 jobs ran and succeeded")
    line.later(MINUTE).one_pass()
    assert line.started == ["a", "b"]


def test_a_pass_with_nothing_to_do_writes_nothing() -> None:
    line = due(trigger("a")).ends("a").one_pass()
    line.one_pass()
    assert (line.plan.record, line.plan.actions) == (None, ())


def test_missed_slots_count_as_one() -> None:
    line = due(trigger("a")).ends("a").one_pass()
    line.later(timedelta(hours=9)).one_pass()
    assert line.started == ["a", "a"]
    assert len(set(line.keys)) == 2


def test_a_slot_waits_for_the_end_of_the_round_before() -> None:
    line = due(trigger("a")).later().one_pass()
    assert line.started == ["a"]
    assert held_gates(line.plan, SUBJECT) == {"run_in_flight"}
    line.ends("a").one_pass()
    assert line.one_pass().started == ["a", "a"]


def test_a_job_has_a_schedule_of_its_own_with_seconds() -> None:
    line = due(trigger("a", Job("b", schedule=Schedule("30 15 * * * *"))))
    assert line.started == ["a"]
    line.ends("a").one_pass().later(timedelta(minutes=16)).one_pass()
    assert line.started == ["a", "b"]


def test_a_schedule_is_read_in_its_time_zone() -> None:
    at_six = trigger("a", schedule=Schedule("0 6 * * *", "Europe/Prague"))
    line = Line(at_six, datetime(2026, 7, 1, 3, 59, tzinfo=UTC)).one_pass()
    assert line.plan.next_due == datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
    assert line.later(MINUTE).one_pass().started == ["a"]


def test_a_command_starts_what_it_names_whatever_the_conditions() -> None:
    line = Line(trigger("a", "b", conditions=(DayOfMonth(30, 31),))).one_pass()
    assert line.state is not None
    line.state = replace(line.state, trigger_requests={"nightly": TriggerRequest("nightly", "ana", NOW, ("b",))})
    line.one_pass()
    assert (line.started, line.round.reasons[0].text) == (["b"], "ana asked for it")
    assert line.state.trigger_requests == {}


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (DayOfMonth(1, 7), "day 14 of the month is not in 1 to 7"),
        (DayOfMonth(8, 31), ""),
        (IsoWeek(2), "ISO week 3 is not one of every 2"),
        (IsoWeek(2, 1), ""),
        (DateRange(date(2026, 2, 1)), "2026-01-14 is not in 2026-02-01 to ..."),
        (DateRange(None, date(2026, 1, 13)), "2026-01-14 is not in ... to 2026-01-13"),
        (DateRange(date(2026, 1, 14), date(2026, 1, 14)), ""),
    ],
)
def test_gw_3_a_condition_that_does_not_hold_skips_the_round(condition: Any, text: str) -> None:
    line = due(trigger("a", conditions=(condition,)))
    assert line.started == ([] if text else ["a"])
    assert line.round.result is (Result.SKIPPED if text else Result.RUNNING)
    assert line.round.text == (f"skipped: {text}" if text else "")


@pytest.mark.parametrize("day", [8, 9])
def test_g_b3_the_eighth_and_ninth_are_days_like_others(day: int) -> None:
    line = Line(trigger("a", conditions=(DayOfMonth(8, 9),)), datetime(2026, 1, day, 11, 30, tzinfo=UTC)).one_pass()
    assert line.later().one_pass().started == ["a"]


BUILD = NewBuild("https://releases.example.com/latest", "name")


def test_gw_4_a_new_build_starts_once_and_an_old_one_is_skipped() -> None:
    line = due(trigger("a", conditions=(BUILD,)))
    assert line.started == ["a"]
    line.ends("a").one_pass().later().one_pass()
    assert (line.round.result, line.round.text) == (Result.SKIPPED, "skipped: no new build since the last start")
    line.world = World(newest="b2")
    assert line.later().one_pass().started == ["a", "a"]


def test_gw_4_a_build_counts_as_started_only_where_a_job_was_accepted() -> None:
    line = due(trigger("a", conditions=(BUILD,)), answers={"a": REFUSED}).one_pass()
    assert line.round.result is Result.ERROR
    line.answers.clear()
    assert line.later().one_pass().started == ["a"]


def test_gw_4_a_source_out_of_reach_starts_nothing_and_changes_nothing() -> None:
    line = due(trigger("a", conditions=(BUILD,)), world=World(newest=Unreachable("no answer")))
    assert (line.started, line.round.result, line.round.text) == ([], Result.ERROR, "nothing was started: no answer")


# Which jobs


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (Job("a", active=False), "not active"),
        (Job("a", active_after=date(2026, 1, 15)), "not before 2026-01-15"),
        (Job("a", active_after=date(2026, 1, 14)), ""),
        (Job("a", active_until=date(2026, 1, 13)), "not after 2026-01-13"),
        (Job("a", active_until=date(2026, 1, 14)), ""),
        (Job("a", active_after=NOW + MINUTE), "not before 2026-01-14T12:01:00Z"),
        (Job("a", active_until=NOW), ""),
        (Job("a", active_until=NOW - MINUTE), "not after 2026-01-14T11:59:00Z"),
    ],
)
def test_gw_1_and_gw_2_activity_and_its_dates(job: Job, text: str) -> None:
    line = due(trigger(job))
    assert (line.started, line.round.jobs[0].text) == ([] if text else ["a"], text)


@pytest.mark.parametrize(("zone", "starts"), [("UTC", True), ("Pacific/Kiritimati", False)])
def test_gw_2_a_day_is_a_day_in_the_time_zone(zone: str, *, starts: bool) -> None:
    line = due(trigger(Job("a", active_until=date(2026, 1, 14)), timezone=zone))
    assert line.started == (["a"] if starts else [])


def test_bj_3_a_job_waits_for_the_success_of_another_ever() -> None:
    given = trigger("sync", Job("heal", after=("sync",)))
    line = due(given)
    assert (line.started, line.jobs()) == (["sync"], {"sync": "running", "heal": "waiting"})
    line.ends("sync").one_pass()
    assert line.started == ["sync", "heal"]
    failing = due(given).ends("sync", status=RunStatus.FAILED).one_pass()
    assert failing.jobs()["heal"] == "skipped"
    assert failing.round.jobs[1].text == "sync has not succeeded yet"


def test_bj_3_a_job_that_runs_once_is_not_repeated() -> None:
    line = due(trigger(Job("sync", once=True))).ends("sync").one_pass().later().one_pass()
    assert (line.started, line.round.jobs[0].text) == (["sync"], "it has run already, and is to run once")


# Health


def test_gw_5_the_server_is_asked_until_it_is_up() -> None:
    given = trigger("a", health_check=HealthCheck(3, MINUTE))
    line = due(given, world=World(down=Down("503")))
    assert (line.started, line.plan.next_due) == ([], NOW + MINUTE)
    assert held_gates(line.plan, SUBJECT) == {"unreachable"}
    assert line.one_pass().round.probes == 1
    line.world = World()
    assert line.later(MINUTE).one_pass().started == ["a"]
    line.ends("a").one_pass()
    assert line.round.result is Result.SUCCESS


def test_gw_5_a_server_that_never_comes_up_starts_nothing() -> None:
    line = due(trigger("a", health_check=HealthCheck(2, MINUTE)), world=World(down=Down("503")))
    line.later(MINUTE).one_pass()
    assert (line.started, line.round.result) == ([], Result.ERROR)
    assert line.round.text == "nothing was started: the server was not up in 2 looks: 503"


def test_gw_5_a_rejected_token_ends_it_at_once() -> None:
    line = due(trigger("a", health_check=HealthCheck()), world=World(down=Down("token rejected", final=True)))
    assert (line.started, line.round.result) == ([], Result.ERROR)


# Tries


def test_gw_6_a_start_that_was_not_taken_is_tried_again_after_the_interval() -> None:
    line = due(trigger("a", retry=Retry(3, MINUTE)), answers={"a": BUSY})
    assert line.jobs() == {"a": "waiting"}
    assert line.round.jobs[0].next_at == NOW + MINUTE
    assert line.later(timedelta(seconds=30)).one_pass().plan.actions == ()
    line.answers.clear()
    assert line.later(MINUTE).one_pass().started == ["a"]


def test_gw_6_and_gw_8_tries_end_without_another_wait() -> None:
    line = due(trigger("a", retry=Retry(2, MINUTE)), answers={"a": BUSY}).later(MINUTE).one_pass().one_pass()
    assert (line.jobs(), line.round.result) == ({"a": "refused"}, Result.ERROR)
    assert line.round.jobs[0].text == "429: too many after 2 tries"


def test_gw_9_all_jobs_are_attempted_although_one_is_refused() -> None:
    line = due(trigger("a", "b"), answers={"a": REFUSED}).ends("b").one_pass()
    assert line.jobs() == {"a": "refused", "b": "succeeded"}
    assert (line.round.result, line.round.text) == (Result.ERROR, "failed: a")


def test_gw_7_a_lost_answer_is_settled_by_asking_and_never_by_a_second_start() -> None:
    line = due(trigger("a"), answers={"a": LOST})
    line.runs["a"] = RunFact(RunStatus.RUNNING, handle="h-a")
    line.one_pass()
    assert (line.started, line.jobs()) == ([], {"a": "running"})


def test_gw_7_a_start_that_never_happened_is_made_again_and_counts_as_a_try() -> None:
    line = due(trigger("a", retry=Retry(2, timedelta())), answers={"a": LOST})
    line.runs["a"] = None
    line.answers.clear()
    line.one_pass()
    assert (line.started, line.round.jobs[0].tries) == (["a"], 1)


def test_gw_7_nobody_can_tell_is_unknown_and_a_failure() -> None:
    line = due(trigger("a"), answers={"a": LOST})
    line.runs["a"] = RunFact(RunStatus.UNKNOWN, text="two new executions")
    line.one_pass()
    assert (line.started, line.jobs(), line.round.result) == ([], {"a": "unknown"}, Result.ERROR)


# Batches


def test_gw_10_batches_start_one_after_another_with_a_pause() -> None:
    line = due(trigger(*"abcde", batch=Batch(2, 10 * MINUTE)))
    assert (line.started, line.plan.next_due) == (["a", "b"], NOW + 10 * MINUTE)
    assert line.later(9 * MINUTE).one_pass().started == ["a", "b"]
    line.later(MINUTE).one_pass()
    assert line.started == ["a", "b", "c", "d"]


def test_gw_10_a_batch_waits_for_the_end_of_the_one_before() -> None:
    line = due(trigger(*"abc", batch=Batch(2, MINUTE, Wait.FINISHED))).later().one_pass()
    assert line.started == ["a", "b"]
    line.ends("a", "b").one_pass()
    assert line.started == ["a", "b"]
    assert line.later(MINUTE).one_pass().started == ["a", "b", "c"]


def test_gw_10_a_batch_waits_until_the_one_before_runs() -> None:
    line = due(trigger(*"ab", batch=Batch(1, timedelta(), Wait.STARTED)), answers={"a": RunStatus.PENDING})
    line.runs["a"] = RunFact(RunStatus.PENDING, handle="h-a")
    assert line.one_pass().one_pass().started == ["a"]
    line.runs["a"] = RunFact(RunStatus.RUNNING, handle="h-a")
    line.one_pass().one_pass()
    assert line.started == ["a", "b"]


# Stages


def test_rp_3_stages_are_strictly_sequential() -> None:
    line = due(staged(("a", "b"), ("c",)))
    assert line.started == ["a", "b"]
    assert line.ends("a").one_pass().started == ["a", "b"]
    assert line.ends("b").one_pass().started == ["a", "b", "c"]
    assert line.ends("c").one_pass().round.result is Result.SUCCESS


def test_rp_3_a_failed_stage_is_the_last() -> None:
    line = due(staged(("a", "b"), ("c",))).ends("a", status=RunStatus.FAILED).one_pass()
    assert line.round.result is Result.RUNNING
    line.ends("b").one_pass()
    assert (line.round.result, line.jobs()) == (
        Result.ERROR,
        {"a": "failed", "b": "succeeded", "c": "not_started"},
    )


@pytest.mark.parametrize("cancels", [False, True])
def test_rp_7_fail_fast_ends_at_the_first_error_and_stops_only_what_it_is_told_to(*, cancels: bool) -> None:
    line = due(staged(("a", "b"), ("c",), fail_fast=True, cancel_on_error=cancels))
    line.ends("a", status=RunStatus.FAILED).one_pass()
    assert (line.round.result, line.round.text) == (Result.ERROR, "failed: a")
    stopped = [action.subject for action in line.plan.actions if isinstance(action, CancelRun)]
    assert stopped == (["job:nightly/b"] if cancels else [])


def test_rp_8_a_stage_that_takes_too_long_ends_the_round() -> None:
    line = due(staged(("a",), ("b",), timeout=timedelta(hours=2))).later(timedelta(hours=2)).one_pass()
    assert (line.round.result, line.round.text) == (Result.TIMEOUT, "not done within 2h")
    assert line.jobs() == {"a": "running", "b": "not_started"}


def test_what_runs_on_after_the_end_of_its_round_is_followed_to_its_own_end() -> None:
    line = due(staged(("a", "b"), fail_fast=True)).ends("a", status=RunStatus.FAILED).one_pass()
    line.ends("b").one_pass()
    assert [type(action) for action in line.plan.actions] == [FollowRun]
    assert line.jobs() == {"a": "failed", "b": "succeeded"}


def test_a_stage_whose_jobs_are_all_left_out_is_passed_over() -> None:
    given = trigger(stages=(Stage("one", (Job("a", active=False),)), Stage("two", (Job("b"),))), staged=True)
    assert due(given).started == ["b"]


# Changes of the config


def test_a_definition_that_left_the_config_ends_its_round_and_is_forgotten_in_time() -> None:
    line = due(trigger("a", batch=Batch(1)))
    assert line.state is not None
    seen = observed(runs=dict.fromkeys(line.keys, line.runs["a"]))
    gone = decided(context(config=desired(), recorded=line.state, now=line.now, seen=seen))
    assert gone.record is not None
    record = gone.record.triggers["nightly"]
    assert (record.removed_at, record.round.result if record.round else "") == (line.now, Result.ERROR)
    later = decided(context(config=desired(), recorded=gone.record, now=line.now + timedelta(days=31)))
    assert later.record is not None
    assert later.record.triggers == {}
    broken = desired(invalid_triggers={"nightly.yml": "its instance is broken"})
    invalid = decided(context(config=broken, recorded=line.state, now=line.now, seen=seen))
    assert (invalid.record or line.state).triggers["nightly"].removed_at is None
    assert held_gates(invalid, SUBJECT) == {"invalid"}
    back = decided(context(config=desired(triggers={"nightly": line.given}), recorded=gone.record, now=line.now))
    assert back.record is not None
    assert back.record.triggers["nightly"].removed_at is None


def test_a_job_that_left_the_definition_is_left_out() -> None:
    line = due(trigger("a", "b", batch=Batch(1, MINUTE)))
    line.given = trigger("a", batch=Batch(1, MINUTE))
    line.later(MINUTE).one_pass()
    assert (line.started, line.jobs()["b"]) == (["a"], "skipped")


def test_as_many_starts_as_a_pass_may_make() -> None:
    line = due(trigger(*(f"j{n}" for n in range(60))))
    assert len(line.started) == 50
    assert {held.gate for held in line.plan.held} == {"budget"}
    assert len(line.one_pass().started) == 60


def test_a_server_that_cannot_be_asked_what_is_there_starts_nothing() -> None:
    line = due(trigger("a", retry=Retry(2, MINUTE)), world=World(mark=Unreachable("no answer")))
    assert (line.started, line.round.jobs[0].tries) == ([], 1)
    assert held_gates(line.plan, "job:nightly/a") == {"unreachable"}
    line.world = World(mark="seen")
    line.later(MINUTE).one_pass()
    (start,) = (action for action in line.plan.actions if isinstance(action, StartJob))
    assert (line.started, start.run.mark, line.round.jobs[0].status) == (["a"], "seen", JobStatus.STARTED)
    assert line.round.jobs[0].run is not None
    assert line.round.jobs[0].run.mark == "", "it is of no use any more"


RELEASE = b"""{"name": "apim", "version": "1.2.0-SNAPSHOT", "scmHttpUrl": "https://github.com/acme/",
 "components": [{"name": "core", "version": "1.2.0-SNAPSHOT"}, {"name": "docs", "version": "1.1.0"}],
 "buildDependencies": [["docs"], ["core"]]}"""
OUTSIDE = JobsFrom("gravitee-release", folder_env="SECRETS", key_env="LIST")


def test_a_list_outside_of_the_config_is_read_in_every_pass() -> None:
    line = due(trigger(jobs_from=OUTSIDE, stages=(), read=False), lists={OUTSIDE: RELEASE})
    assert (line.started, line.round.version) == (["core"], "1.2.0-SNAPSHOT")
    assert line.state is not None
    assert line.ends("core").one_pass().state.triggers["nightly"].released == {"core": "1.2.0-SNAPSHOT"}  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize(
    ("data", "gate", "words"),
    [
        (Unreachable("jobsFrom: SECRETS is not set"), "unreachable", "jobsFrom: SECRETS is not set"),
        (b"{", "invalid", "LIST: the manifest is no JSON"),
        (b"{}", "invalid", "more faults"),
        (None, "unreachable", "LIST was not read"),
    ],
)
def test_a_list_that_cannot_be_read_starts_nothing(data: Any, gate: str, words: str) -> None:
    line = due(trigger(jobs_from=OUTSIDE, stages=(), read=False), lists={OUTSIDE: data} if data is not None else {})
    (held,) = line.plan.held
    assert (held.gate, line.started) == (gate, [])
    assert words in held.text


def test_a_job_may_have_conditions_of_its_own() -> None:
    first, last = DayOfMonth(last=7), DayOfMonth(first=8)
    line = due(trigger(Job("early", conditions=(first,)), Job("late", conditions=(last,))))
    early, late = line.jobs()["early"], line.jobs()["late"]
    assert {early, late} == {"running", "skipped"}
    asked = TriggerRequest("nightly", "alice", NOW)
    line = due(trigger(Job("a", conditions=(first, last))))
    assert line.jobs() == {"a": "skipped"}
    assert line.asks(asked).one_pass().started == ["a"]


def test_a_job_may_wait_for_a_new_build() -> None:
    source = NewBuild("https://release.example.com", "name")
    given = trigger("always", Job("a", conditions=(source, source)))
    line = due(given, world=World(newest="4.20"))
    assert line.started == ["always", "a"]
    line.ends("a", "always").one_pass()
    line.runs.clear()
    assert line.later().one_pass().jobs() == {"always": "running", "a": "skipped"}


def test_a_released_version_is_not_built_again_until_the_config_says_more() -> None:
    line = due(trigger(Job("core", version="1.2.0-SNAPSHOT"), Job("docs", version="1.2.0-SNAPSHOT")))
    line.ends("core").ends("docs", status=RunStatus.FAILED).one_pass()
    assert line.state is not None
    assert line.state.triggers["nightly"].released == {"core": "1.2.0-SNAPSHOT"}
    line.runs.clear()
    assert line.later().one_pass().jobs() == {"core": "skipped", "docs": "running"}
    line.ends("docs").one_pass()
    line.runs.clear()
    line.given = trigger(Job("core", version="1.3.0-SNAPSHOT"))
    assert line.later().one_pass().jobs() == {"core": "running"}
    assert line.state.triggers["nightly"].released == {}


def test_rp_13_a_rehearsal_tells_the_pipelines_and_counts_as_nothing() -> None:
    given = trigger(Job("core", version="1.2.0-SNAPSHOT", options={"parameters": {"x": 1}}), schedule=None)
    line = due(given).asks(TriggerRequest("nightly", "alice", NOW, rehearsal=True)).one_pass()
    (start,) = (action for action in line.plan.actions if isinstance(action, StartJob))
    assert start.pipeline.options == {"parameters": {"x": 1, "dry_run": True}}
    assert line.ends("core").one_pass().state is not None
    record = line.state.triggers["nightly"]  # type: ignore[union-attr]  # asserted above
    assert (record.released, record.succeeded) == ({}, {})


def test_rp_13_what_is_due_comes_after_a_rehearsal() -> None:
    line = Line(trigger("a", "b"), NOW - timedelta(minutes=30)).one_pass()
    line.now = NOW
    line.asks(TriggerRequest("nightly", "alice", NOW, jobs=("a",), rehearsal=True)).one_pass()
    assert (line.jobs(), line.round.rehearsal) == ({"a": "running"}, True)
    line.ends("a").one_pass()
    line.runs.clear()
    assert line.later(MINUTE).one_pass().jobs() == {"a": "running", "b": "running"}
    assert not line.round.rehearsal


VERSIONED = (Job("bad", version="1.0.0-SNAPSHOT"), Job("slow", version="1.0.0-SNAPSHOT"))


@pytest.mark.parametrize(
    ("then", "expected"),
    [(VERSIONED, 1), ((VERSIONED[0], Job("slow", version="1.1.0-SNAPSHOT")), 2), ((VERSIONED[0], Job("slow")), 2)],
)
def test_rp_11_a_run_that_outlives_its_round_is_taken_over_by_the_next(then: tuple[Job, ...], expected: int) -> None:
    line = due(trigger(*VERSIONED, fail_fast=True)).ends("bad", status=RunStatus.FAILED).one_pass()
    assert (line.round.result, line.jobs()["slow"]) == (Result.ERROR, "running")
    line.given = trigger(*then, fail_fast=True)
    del line.runs["bad"]
    line.later().one_pass()
    assert (line.started.count("slow"), line.started.count("bad")) == (expected, 2)
    (slow,) = (job for job in line.round.jobs if job.name == "slow")
    assert (slow.text == "its run of round 1 still goes on") == (expected == 1)


def test_rp_7_what_outlives_its_round_is_followed_for_a_day() -> None:
    line = due(trigger("bad", "slow", fail_fast=True)).ends("bad", status=RunStatus.FAILED).one_pass()
    line.given = replace(line.given, schedule=None)
    assert line.later(timedelta(hours=23)).one_pass().jobs()["slow"] == "running"
    assert line.later().one_pass().jobs()["slow"] == "unknown"


def test_a_start_that_was_put_off_is_no_try() -> None:
    late = Outcome(OutcomeStatus.SKIPPED, "its intent is too old by now", untouched=True)
    line = due(trigger("a", retry=Retry(1)), answers={"a": late})
    assert line.jobs() == {"a": "waiting"}
    line.answers.clear()
    assert line.one_pass().jobs() == {"a": "running"}


def test_by_force_everything_is_started_and_the_server_is_told() -> None:
    given = trigger(Job("a", active=False), Job("b", version="1.0.0-SNAPSHOT"), schedule=None)
    line = due(given).asks(TriggerRequest("nightly", "alice", NOW, force=True)).one_pass()
    starts = [action for action in line.plan.actions if isinstance(action, StartJob)]
    assert [each.job for each in starts] == ["a", "b"]
    assert {each.environment["SAASBOT_FORCE"] for each in starts} == {"true"}


def test_a_definition_without_jobs_has_nothing_to_start() -> None:
    line = due(trigger())
    assert (line.round.result, line.round.text) == (Result.SUCCESS, "there was nothing to start")


def test_a_run_that_cannot_be_asked_about_is_waited_for() -> None:
    line = due(trigger("a"))
    line.runs["a"] = Unreachable("no answer")
    line.one_pass()
    assert (held_gates(line.plan, "job:nightly/a"), line.jobs()) == ({"unreachable"}, {"a": "running"})


def test_an_intent_whose_round_is_over_is_not_started_any_more() -> None:
    line = due(staged(("a", "b"), fail_fast=True), answers={"b": LOST}).ends("a", status=RunStatus.FAILED)
    line.runs["b"] = Unreachable("no answer")
    line.one_pass()
    assert line.round.result is Result.ERROR
    line.runs["b"] = None
    line.one_pass()
    assert (line.started, line.jobs()["b"]) == (["a"], "not_started")


def test_a_health_check_is_not_made_before_its_time() -> None:
    given = trigger(Job("off", active=False), "a", health_check=HealthCheck(3, MINUTE))
    line = due(given, world=World(down=Down("503")))
    line.world = World()
    line.later(MINUTE / 2).one_pass()
    assert (line.started, line.plan.next_due) == ([], NOW + MINUTE)


def test_what_was_stopped_at_the_end_is_seen_as_it_ended() -> None:
    line = due(staged(("a", "b"), fail_fast=True, cancel_on_error=True)).ends("a", status=RunStatus.FAILED).one_pass()
    assert line.state is not None
    (stop,) = [action for action in line.plan.actions if isinstance(action, CancelRun)]
    run = replace(stop.run, status=RunStatus.CANCELED, finished_at=line.now)
    config = desired(triggers={"nightly": line.given})
    for outcome in (Outcome(OutcomeStatus.DONE, run=run), Outcome(OutcomeStatus.SKIPPED)):
        line.state = settle(line.state, config, (stop,), (outcome,), line.now)
    assert line.jobs()["b"] == "canceled"
    elsewhere = replace(stop, subject="job:gone/b")
    assert settle(line.state, config, (elsewhere,), (Outcome(OutcomeStatus.DONE, run=run),), line.now) == line.state
    other = replace(run, key="another")
    assert seen_run(line.state.triggers["nightly"], "b", other) == line.state.triggers["nightly"]
    assert with_job(TriggerState("x", NOW), line.round.jobs[0]).round is None


def test_a_command_starts_although_the_source_of_builds_is_out_of_reach() -> None:
    line = Line(trigger("a", conditions=(BUILD,)), world=World(newest=Unreachable("no answer"))).one_pass()
    assert line.state is not None
    line.state = replace(line.state, trigger_requests={"nightly": TriggerRequest("nightly", "ana", NOW)})
    assert line.one_pass().started == ["a"]


def test_a_definition_that_left_with_nothing_running_is_kept_for_a_while() -> None:
    line = due(trigger("a")).ends("a").one_pass()
    gone = decided(context(config=desired(), recorded=line.state, now=line.now))
    assert gone.record is not None
    after = decided(context(config=desired(), recorded=gone.record, now=line.now + timedelta(days=29)))
    known = (after.record or gone.record).triggers["nightly"]
    assert (known.removed_at, known.round) == (line.now, line.round)


def test_a_stage_goes_on_after_a_failure_where_stages_were_not_asked_for() -> None:
    given = trigger(stages=(Stage("one", (Job("a"),)), Stage("two", (Job("b"),))))
    line = due(given, answers={"a": REFUSED})
    assert line.started == []
    assert line.one_pass().started == ["b"]
    assert line.ends("b").one_pass().round.text == "failed: a"
