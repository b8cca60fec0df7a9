"""The command `trigger`: whom it obeys, what it asks for, what it answers, and what of it would be sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from core_values import (
    NOW,
    World,
    context,
    decided,
    deliberated,
    desired,
    merge_request,
    note,
    observed,
    settings,
    sha,
)

from bot.core.trigger_orders import awaited, is_over, without_success
from bot.core.trigger_previews import LATER, Upcoming, upcoming
from bot.core.verbs import TriggerCmd
from bot.model.observed import BranchDiff, Down, Unreachable
from bot.model.plan import Plan, StartJob
from bot.model.rounds import Result, Round, RoundJob, TriggerRequest, TriggerState
from bot.model.servers import Instance
from bot.model.state import Answer, Question, State
from bot.model.triggers import HealthCheck, Job, JobsFrom, Stage, Trigger

PROW = Instance("prow", "gangway", "https://gangway.example.com")
CIRCLE = Instance("circle", "circleci", "https://circleci.example.com")
LIST = JobsFrom("gravitee-release", folder_env="FOLDER", key_env="RELEASE")
RELEASE = b"""{"name": "apim", "version": "1.2.0-SNAPSHOT",
 "components": [{"name": "web", "version": ""}], "buildDependencies": [["web"]]}"""


def trigger(*jobs: str | Job, **fields: Any) -> Trigger:
    """A definition with these jobs that its owners may start."""
    made = tuple(Job(each) if isinstance(each, str) else each for each in jobs)
    given = {"stages": (Stage("", made),), "owners": ("crew",), "command": True, "file": "nightly.yml", **fields}
    return Trigger("nightly", given.pop("instance", PROW), **given)


NIGHTLY = trigger("one", "two")
RUNNING = Round(3, NOW, (), jobs=(RoundJob("one"),), stages=("",), stage_at=NOW)
AGO = NOW - timedelta(hours=1)


def known(present: Round | None = None, **fields: Any) -> State:
    """A statefile that knows the definition."""
    rounds = present.number if present is not None else 0
    record = TriggerState("nightly", AGO, round=present, rounds=rounds, file="nightly.yml", **fields)
    return State(lineage="lin", triggers={"nightly": record})


def say(text: str, given: Trigger = NIGHTLY, recorded: State | None = None, by: str = "ana", **fields: Any) -> Plan:
    """The plan after a command without a merge request."""
    config = desired(triggers={given.name: given}, **fields.pop("config", {}))
    seen = replace(observed(commands=(note(text, author=by),)), **fields.pop("seen", {}))
    options = settings(groups={"crew": ("ana", "bo")})
    world = fields.pop("world", World())
    return decided(context(config=config, seen=seen, recorded=recorded or known(), options=options, **fields), world)


def answer(plan: Plan) -> Answer:
    """The one answer."""
    (found,) = plan.answers
    return found


def the_round(plan: Plan) -> Round:
    """The round that begins with a plan, or runs."""
    assert plan.record is not None
    found = plan.record.triggers["nightly"].round
    assert found is not None
    return found


def started(plan: Plan) -> list[str]:
    """The jobs that start."""
    return [each.job for each in plan.actions if isinstance(each, StartJob)]


# Who, and what


def test_an_owner_of_a_group_starts_it_in_the_same_pass() -> None:
    plan = say("trigger nightly")
    assert (answer(plan).ok, answer(plan).text) == (True, "begins now: nightly with one, two")
    assert started(plan) == ["one", "two"]
    assert [reason.text for reason in the_round(plan).reasons] == ["ana asked for it"]
    assert plan.record is not None
    assert plan.record.trigger_requests == {}


def test_only_the_named_jobs_start() -> None:
    plan = say("trigger nightly two")
    assert (started(plan), answer(plan).text) == (["two"], "begins now: nightly with two")


REFUSED = {
    "trigger nightle": "there is no trigger nightle; did you mean nightly?",
    "trigger xyzzy": "there is no trigger xyzzy",
    "trigger nightly twp": "nightly has no job twp; did you mean two?",
    'trigger nightly one ""': "nightly has no job ",
    "trigger nightly --dry-run=pipelines": (
        "nightly runs on a server of kind gangway: only pipelines of circleci are told of a dry run"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_there_is_not_is_refused(text: str) -> None:
    plan = say(text)
    assert (answer(plan).ok, answer(plan).text) == (False, REFUSED[text])
    assert started(plan) == []


def test_a_stranger_is_refused_and_told_who_may() -> None:
    assert answer(say("trigger nightly", by="eve")).text == "`trigger` is for the owners (ana, bo)"


def test_a_definition_that_takes_no_commands_says_what_to_do() -> None:
    given = trigger("one", command=False)
    assert answer(say("trigger nightly", given)).text == (
        "nightly takes no commands: write `command: true` under `on` in nightly.yml"
    )


def test_an_invalid_definition_says_why() -> None:
    config = desired(invalid_triggers={"nightly.yml": "line 3: no"})
    seen = observed(commands=(note("trigger nightly"),))
    plan = decided(context(config=config, seen=seen, recorded=known()))
    assert answer(plan).text == "nightly is invalid: line 3: no"


# Lists outside of the config


def listed(data: bytes | Unreachable, text: str = "trigger nightly web") -> Plan:
    """The plan for a definition whose jobs stand in a folder of secrets."""
    given = trigger(stages=(), jobs_from=LIST, read=False, instance=CIRCLE)
    return say(text, given, seen={"job_lists": {LIST: data}})


def test_jobs_of_a_list_outside_of_the_config_are_known_by_name() -> None:
    assert started(listed(RELEASE)) == ["web"]
    assert answer(listed(RELEASE, "trigger nightly wep")).text == "nightly has no job wep; did you mean web?"


@pytest.mark.parametrize("data", [Unreachable("RELEASE is not set"), b"{}"])
def test_a_list_that_cannot_be_read_starts_nothing(data: bytes | Unreachable) -> None:
    plan = listed(data)
    assert answer(plan).text.startswith("the jobs of nightly are not known: RELEASE")
    assert started(plan) == []


# When


def test_a_second_round_waits_for_the_end_of_the_first() -> None:
    plan = say("trigger nightly one", recorded=known(RUNNING))
    assert answer(plan).text == "waits for the end of round 3, then begins: nightly with one"
    assert plan.record is not None
    assert plan.record.trigger_requests["nightly"].jobs == ("one",)
    assert the_round(plan).number == 3


def waiting(**fields: Any) -> State:
    """A statefile with a request that still waits for the end of a round."""
    return replace(known(RUNNING), trigger_requests={"nightly": TriggerRequest("nightly", "bo", AGO, **fields)})


@pytest.mark.parametrize(
    ("before", "text", "jobs"),
    [
        (("one",), "trigger nightly two", ("one", "two")),
        ((), "trigger nightly two", ()),
        (("one",), "trigger nightly", ()),
    ],
)
def test_a_request_joins_one_that_waits(before: tuple[str, ...], text: str, jobs: tuple[str, ...]) -> None:
    plan = say(text, recorded=waiting(jobs=before))
    assert plan.record is not None
    assert plan.record.trigger_requests["nightly"].jobs == jobs


def test_a_request_that_is_meant_in_another_way_is_not_joined() -> None:
    plan = say("trigger nightly --force", recorded=waiting())
    assert answer(plan).text == "bo asked for nightly in another way, and that still waits; say it again then"
    assert plan.record is None or plan.record.trigger_requests == waiting().trigger_requests


# How


def test_jobs_that_will_be_left_out_are_named_with_the_way_around() -> None:
    given = trigger(
        Job("one", active=False), Job("two", active_after=date(2027, 1, 1)), Job("three", once=True), "four"
    )
    plan = say("trigger nightly", given, known(succeeded={"three": AGO}))
    assert answer(plan).text == (
        "begins now: nightly with one, two, three, four; left out: one (not active: `--force` starts it all the same),"
        " two (not before 2027-01-01: `--force` starts it all the same),"
        " three (it has run already, and is to run once: `saasbot trigger clean` takes that back)"
    )
    assert started(plan) == ["four"]
    assert answer(say("trigger nightly one --force", given)).text == (
        "begins now: nightly with one, whatever would hold them back"
    )


def test_a_version_that_was_released_is_left_out() -> None:
    given = trigger(Job("web", version="1.2.0-SNAPSHOT"))
    plan = say("trigger nightly", given, known(released={"web": "1.2.0-SNAPSHOT"}))
    assert "web (1.2.0-SNAPSHOT was released already: `--force` starts it all the same)" in answer(plan).text


def test_a_rehearsal_tells_the_pipelines() -> None:
    plan = say("trigger nightly --dry-run=pipelines", trigger("one", instance=CIRCLE))
    assert answer(plan).text == "begins now: nightly with one, as a rehearsal"
    (start,) = (each for each in plan.actions if isinstance(each, StartJob))
    assert start.pipeline.options["parameters"] == {"dry_run": True}


def test_many_jobs_are_counted_and_none_are_told() -> None:
    many = trigger(*(f"job-{number:02}" for number in range(12)))
    assert answer(say("trigger nightly", many)).text.endswith("job-08, job-09 and 2 more")
    assert answer(say("trigger nightly", trigger())).text == "begins now: nightly, which has no jobs at present"


# On merge requests


def on_merge_request(recorded: State) -> Plan:
    """The plan after the command on a person's merge request."""
    request = merge_request("feature", author="eve", notes=(note("/saasbot trigger nightly", head=sha("head-1")),))
    seen = observed(merge_requests={1: request})
    config = desired(triggers={"nightly": NIGHTLY})
    options = settings(groups={"crew": ("ana",)})
    world = World(diffs={1: BranchDiff(sha("base"), ())}, proposals={1: config})
    return decided(context(config=config, seen=seen, recorded=recorded, options=options), world)


def test_a_merge_request_shows_the_round_from_then_on() -> None:
    plan = on_merge_request(known())
    assert plan.record is not None
    assert plan.record.questions == {"1": Question("trigger", "nightly", "ana")}
    (owed,) = plan.record.answers.values()
    assert (owed.ok, owed.public) == (True, False)
    assert started(plan) == ["one", "two"]


def test_what_happens_later_is_worth_a_reply() -> None:
    plan = on_merge_request(known(RUNNING))
    assert plan.record is not None
    (owed,) = plan.record.answers.values()
    assert (owed.public, owed.author) == (True, "ana")


# The statefile afterwards


def test_the_round_that_carries_a_request_out() -> None:
    assert awaited(known(RUNNING), "nightly") == 3
    assert awaited(waiting(), "nightly") == 4
    assert awaited(replace(waiting(), triggers={}), "nightly") == 1


def test_a_round_is_over_when_it_has_ended_or_is_gone() -> None:
    ended = replace(RUNNING, result=Result.SUCCESS)
    assert not is_over(known(RUNNING), "nightly", 3)
    assert not is_over(known(ended), "nightly", 4)
    assert not is_over(known(), "nightly", 1)
    assert is_over(known(ended), "nightly", 3)
    assert is_over(known(ended), "nightly", 2)
    assert is_over(known(), "other", 1)
    assert is_over(known(RUNNING, removed_at=NOW), "nightly", 3)


def test_a_success_is_forgotten() -> None:
    before = known(succeeded={"one": AGO, "two": AGO})
    assert without_success(before, "nightly", ["one", "zero"]).triggers["nightly"].succeeded == {"two": AGO}
    assert without_success(before, "nightly", ["zero"]) is before
    assert without_success(before, "other", ["one"]) is before


# What would be sent


def foreseen(text: str, given: Trigger, recorded: State | None = None, **fields: Any) -> tuple[Upcoming, ...]:
    """What a command would lead to."""
    command = TriggerCmd("nightly", **fields)
    seen = observed(commands=(note(text),))
    config = desired(triggers={"nightly": given})
    options = settings(groups={"crew": ("ana",)})
    found, plan = deliberated(context(config=config, seen=seen, recorded=recorded, options=options), fields_of(given))
    return upcoming(found, plan, command, "ana")


def fields_of(given: Trigger) -> World:
    """A world whose server is down where the definition would ask it."""
    return World(down=Down("no route", final=True) if given.health_check is not None else None)


def told(found: tuple[Upcoming, ...]) -> list[tuple[str, bool, str]]:
    """Each job, whether it would start, and what is said of it."""
    return [(each.job, each.start is not None, each.text) for each in found]


def test_every_job_is_foreseen_also_where_there_is_no_statefile_yet() -> None:
    stages = (Stage("a", (Job("one"), Job("off", active=False))), Stage("b", (Job("two"),)))
    found = foreseen("trigger nightly", trigger(stages=stages, staged=True))
    assert told(found) == [("one", True, ""), ("off", False, "not active"), ("two", True, LATER)]
    keys = {each.start.run.key for each in found if each.start is not None}
    assert len(keys) == 2


def test_a_round_that_has_to_wait_is_foreseen_as_well() -> None:
    given = trigger("one", Job("off", active=False), "two")
    text = "trigger nightly one off"
    found = foreseen(text, given, known(RUNNING), jobs=("one", "off"))
    assert told(found) == [("one", True, LATER), ("off", False, "not active")]
    forced = foreseen(f"{text} --force", given, known(RUNNING), jobs=("one", "off"), force=True)
    assert [each.start.environment["SAASBOT_FORCE"] for each in forced if each.start is not None] == ["true", "true"]


def test_a_server_that_is_down_is_foreseen() -> None:
    found = foreseen("trigger nightly", trigger("one", health_check=HealthCheck()))
    assert told(found) == [("one", False, "nothing was started: the server was not up: no route")]


def test_what_is_refused_is_not_foreseen() -> None:
    assert foreseen("trigger nightly zero", NIGHTLY, jobs=("zero",)) == ()
    assert foreseen("trigger nightly", trigger(stages=(), jobs_from=LIST, read=False)) == ()
    gone = deliberated(context(config=desired(), recorded=known()))
    assert upcoming(*gone, TriggerCmd("nightly"), "ana") == ()
