"""Servers that want fewer questions: what is put off then, what counts as a try, and when the next look comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_values import NOW, World, a_run, context, decided, desired, observed, of_kind, record, state, target

from bot.core.follow import LOOKS, POLL, looked_at
from bot.core.jobs import crowded_servers
from bot.core.record import settle
from bot.model.observed import RunFact, Unreachable
from bot.model.plan import Outcome, OutcomeStatus, Plan, StartJob
from bot.model.rounds import JobStatus, Round, RoundJob, TriggerState
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance
from bot.model.state import State
from bot.model.triggers import Job, Retry, Stage, Trigger

PROW = Instance("prow", "gangway", "https://gangway.example.com")
RETRY = Retry(3, timedelta(minutes=1))
NIGHTLY = Trigger("nightly", PROW, stages=(Stage("", (Job("a"),)),), retry=RETRY, file="nightly.yml")
CONFIG = desired(triggers={"nightly": NIGHTLY})
SEVEN = timedelta(seconds=7)
RUN = Run("k1", 1, "", "", "a", intent_at=NOW, handle="h", status=RunStatus.RUNNING, instance=PROW)
GONE = RunFact(RunStatus.UNKNOWN, "h", text="not known any more", missing=True)


def with_job(job: RoundJob) -> State:
    """A statefile with a round of this one job."""
    began = Round(1, NOW, (), jobs=(job,), stages=("",), stage_at=NOW)
    return State(
        lineage="lin",
        time=NOW,
        triggers={"nightly": TriggerState("nightly", NOW, began, 1, file="nightly.yml", schedules={})},
    )


def job_of(recorded: State | None) -> RoundJob:
    """The one job."""
    assert recorded is not None
    present = recorded.triggers["nightly"].round
    assert present is not None
    return present.jobs[0]


def passed(job: RoundJob, world: World, **runs: RunFact | Unreachable) -> Plan:
    """A pass over the round of one job."""
    return decided(context(config=CONFIG, seen=observed(runs=runs), recorded=with_job(job)), world)


def test_gw_6_a_server_that_wants_no_question_now_costs_no_try() -> None:
    for asked, wait in ((SEVEN, SEVEN), (timedelta(), RETRY.interval)):
        plan = passed(RoundJob("a", tries=2), World(mark=Unreachable("429", asked)))
        job = job_of(plan.record)
        assert (job.status, job.tries, job.next_at) == (JobStatus.WAITING, 2, NOW + wait)
        assert [(each.gate.value, each.text) for each in plan.held] == [("unreachable", "429")]


def test_gw_6_a_server_that_is_away_costs_a_try() -> None:
    job = job_of(passed(RoundJob("a", tries=2), World(mark=Unreachable("no route"))).record)
    assert (job.status, job.text) == (JobStatus.REFUSED, "no route after 3 tries")


def begun(job: RoundJob, outcome: Outcome) -> RoundJob:
    """The job after a start that ended so."""
    plan = passed(job, World(mark="2:ab"))
    (action,) = of_kind(plan, StartJob)
    assert action.run.mark == (job.mark or "2:ab")
    assert plan.record is not None
    return job_of(settle(plan.record, CONFIG, (action,), (outcome,), NOW))


def test_gw_6_a_start_that_found_no_room_and_was_not_sent_costs_no_try() -> None:
    for asked, wait in ((SEVEN, SEVEN), (timedelta(), RETRY.interval)):
        job = begun(RoundJob("a"), Outcome(OutcomeStatus.REFUSED, "no room", again=asked, untouched=True))
        assert (job.status, job.tries, job.next_at, job.run) == (JobStatus.WAITING, 0, NOW + wait, None)


def test_gw_7_what_was_there_before_a_refused_start_is_not_asked_for_again() -> None:
    """Otherwise the questions of many jobs before their starts would use up a limit that starts share."""
    refused = begun(RoundJob("a"), Outcome(OutcomeStatus.REFUSED, "429", again=SEVEN))
    assert (refused.tries, refused.mark) == (1, "2:ab")
    plan = passed(replace(refused, next_at=None), World(mark=Unreachable("is not asked")))
    assert [action.run.mark for action in of_kind(plan, StartJob)] == ["2:ab"]
    lost = RoundJob("a", status=JobStatus.STARTED, run=replace(RUN, handle="", mark="2:ab"))
    recorded = with_job(lost)
    seen = replace(observed(), runs={"k1": None})
    again = decided(context(config=CONFIG, seen=seen, recorded=recorded), World(mark="3:abcd"))
    assert [action.run.mark for action in of_kind(again, StartJob)] == ["3:abcd"]


def test_gw_14_that_a_server_does_not_know_a_run_is_believed_after_three_passes() -> None:
    job = RoundJob("a", status=JobStatus.STARTED, run=RUN)
    seen = []
    for _ in range(LOOKS):
        job = job_of(passed(job, World(), k1=GONE).record)
        assert job.run is not None
        seen.append((str(job.run.status), job.run.missed, job.run.text))
    text = "not known any more"
    assert seen == [("running", 1, text), ("running", 2, text), ("unknown", 3, text)]


def test_gw_14_a_look_that_finds_it_begins_the_count_anew() -> None:
    run = looked_at(looked_at(RUN, GONE, NOW), GONE, NOW)
    assert run.missed == 2
    run = looked_at(run, RunFact(RunStatus.RUNNING, "h"), NOW)
    assert (run.missed, run.text) == (0, "")
    assert looked_at(run, GONE, NOW).status is RunStatus.RUNNING


def test_gw_11_the_next_look_comes_when_the_server_wants_it() -> None:
    job = RoundJob("a", status=JobStatus.STARTED, run=RUN)
    for asked, wait in ((None, POLL), (SEVEN, POLL), (timedelta(seconds=300), timedelta(seconds=300))):
        plan = passed(job, World(), k1=Unreachable("429", asked))
        assert plan.next_due == NOW + wait
        assert plan.record is None


def test_the_next_look_at_a_target_comes_when_its_server_wants_it() -> None:
    given = target()
    run = a_run(given, status=RunStatus.RUNNING)
    for asked, wait in ((None, POLL), (timedelta(minutes=3), timedelta(minutes=3))):
        seen = observed(runs={run.key: Unreachable("429", asked)})
        recorded = state(record(given, run=run))
        plan = decided(context(config=desired(given), seen=seen, recorded=recorded))
        assert plan.next_due == NOW + wait


def test_gw_11_starts_come_before_looks_where_a_server_had_no_room() -> None:
    """The looks at what runs would take the room again, pass by pass, and no start would ever get through."""
    refused = begun(RoundJob("a"), Outcome(OutcomeStatus.REFUSED, "429", again=SEVEN))
    away = begun(RoundJob("a"), Outcome(OutcomeStatus.REFUSED, "no route", again=timedelta()))
    assert (refused.next_at, away.next_at) == (NOW + RETRY.interval, NOW + RETRY.interval)
    for job, later, expected in (
        (refused, timedelta(), frozenset[str]()),
        (refused, RETRY.interval, frozenset({PROW.url})),
        (away, RETRY.interval, frozenset[str]()),
        (replace(refused, status=JobStatus.STARTED, run=RUN), RETRY.interval, frozenset[str]()),
        (replace(refused, next_at=None), RETRY.interval, frozenset[str]()),
    ):
        assert crowded_servers(CONFIG, with_job(job), NOW + later) == expected
    assert crowded_servers(desired(), with_job(refused), NOW + RETRY.interval) == frozenset()
    unbegun = State(lineage="lin", triggers={"nightly": TriggerState("nightly", NOW)})
    assert crowded_servers(CONFIG, unbegun, NOW) == frozenset()
