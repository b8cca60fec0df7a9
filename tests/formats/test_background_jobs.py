"""Settings of the background jobs initiator, both generations (SYSTEMS B 1.1, BJ-1, BJ-3)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.sparql_rules import TASK_OPERATIONS
from bot.config.with_rules import with_issues
from bot.formats.background_jobs import (
    DEFAULT_CRON,
    DEFAULT_GRAPH,
    ERROR_CREATOR,
    SYNC_CRON,
    BackgroundJobs,
    background_of,
    read_background,
)
from bot.formats.background_variables import VARIABLES, read_variables
from bot.formats.job_lists import expanded
from bot.model.servers import Instance, Pipeline
from bot.model.triggers import Job, JobsFrom, Schedule, Trigger
from bot.providers.pipelines.sparql_settings import CREATOR, settings_of

GRAPH = "http://mu.semte.ch/graphs/organizations/1/LoketAdmin"
OPERATION = "http://redpencil.data.gift/id/jobs/concept/JobOperation/deltas/"
OPERATIONS = {kind: f"{OPERATION}{kind}/people" for kind in ("initial-sync", "dump", "healing")}


def entry(name: str = "people", **more: Any) -> dict[str, Any]:
    """An entry as in the initiator's own example."""
    return {
        "name": name,
        "jobsGraph": GRAPH,
        "dumpFileCreationJobOperation": OPERATIONS["dump"],
        "initialPublicationGraphSyncJobOperation": OPERATIONS["initial-sync"],
        "healingJobOperation": OPERATIONS["healing"],
        "cronPatternDumpJob": "0 0 0 * * 6",
        "cronPatternHealingJob": "0 0 2 * * *",
        "startInitialSync": True,
    } | more


VARIABLES_ = {
    "INITIAL_PUBLICATION_GRAPH_SYNC_JOB_OPERATION": OPERATIONS["initial-sync"],
    "DUMP_FILE_CREATION_JOB_OPERATION": OPERATIONS["dump"],
    "HEALING_JOB_OPERATION": OPERATIONS["healing"],
}


def lines(variables: dict[str, str]) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in variables.items()).encode()


def found(document: Any, *, convert: bool = False) -> BackgroundJobs:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    read = read_background(data, convert=convert)
    assert isinstance(read, BackgroundJobs), read
    return read


def faults(document: Any) -> tuple[str, ...]:
    read = read_background(document if isinstance(document, bytes) else json.dumps(document).encode())
    assert isinstance(read, tuple), read
    return read


def jobs(document: Any, trigger: str = "people", *, convert: bool = False) -> dict[str, Job]:
    return {job.name: job for job in found(document, convert=convert).jobs_in(trigger)}


def trigger(**more: Any) -> Trigger:
    source = JobsFrom("mu-background-jobs", "config.json")
    return Trigger("people", Instance("store", "sparql", "https://store.example.com"), jobs_from=source, **more)


def test_bj_1_an_entry_has_three_jobs() -> None:
    shared = {"graph": GRAPH, "operations": OPERATIONS}
    assert list(found([entry()]).jobs_in("people")) == [
        Job("initial-sync", schedule=Schedule(SYNC_CRON), once=True, options={**shared, "kind": "initial-sync"}),
        Job("dump", schedule=Schedule("0 0 0 * * 6"), options={**shared, "kind": "dump"}),
        Job(
            "healing",
            schedule=Schedule("0 0 2 * * *"),
            after=("initial-sync",),
            options={**shared, "kind": "healing"},
        ),
    ]


def test_bj_1_what_is_not_said_is_as_in_the_initiator() -> None:
    bare = entry()
    for key in ("cronPatternDumpJob", "cronPatternHealingJob", "startInitialSync"):
        del bare[key]
    read = jobs([bare])
    assert [read[name].schedule for name in ("dump", "healing")] == [Schedule(DEFAULT_CRON)] * 2
    assert (read["initial-sync"].active, read["initial-sync"].schedule) == (False, None)
    assert jobs([bare | {"cronPatternDumpJob": ""}])["dump"].schedule == Schedule(DEFAULT_CRON)


def test_bj_3_healing_waits_for_an_initial_sync_that_this_definition_starts() -> None:
    assert jobs([entry()])["healing"].after == ("initial-sync",)
    waiting = jobs([entry(startInitialSync=False)])["healing"]
    assert (waiting.after, "requires" in waiting.options) == ((), False)
    settings = settings_of(Pipeline("healing", trigger().instance, waiting.options), {"SAASBOT_TRIGGER": "people"})
    assert not hasattr(settings, "text")
    assert getattr(settings, "requires", None) == (OPERATIONS["initial-sync"],), "then the store is asked for a success"


def test_bj_3_healing_need_not_wait() -> None:
    healing = jobs([entry(healShouldNotWaitForInitialSync=True)])["healing"]
    assert (healing.after, healing.options["requires"]) == ((), [])


def test_a_job_that_is_disabled_is_there_and_not_active() -> None:
    read = jobs([entry(disableDumpFileCreation=True, disableHealingJobOperation=True, startInitialSync=False)])
    assert [job.active for job in read.values()] == [False, False, False]
    assert read["dump"].options["operations"] == OPERATIONS


def test_bj_1_an_enabled_job_needs_its_operation() -> None:
    bare = {"name": "people", "jobsGraph": GRAPH, "startInitialSync": True}
    assert faults([bare]) == tuple(
        f"[0]: the job `{kind}` is enabled, and its operation (`{key}`) is missing"
        for kind, key in (
            ("initial-sync", "initialPublicationGraphSyncJobOperation"),
            ("dump", "dumpFileCreationJobOperation"),
            ("healing", "healingJobOperation"),
        )
    )
    off = {"startInitialSync": False, "disableDumpFileCreation": True, "disableHealingJobOperation": True}
    assert jobs([bare | off]) == {}
    assert faults({}) == tuple(
        f"the job `{kind}` is enabled, and its operation (`{name}`) is missing"
        for kind, name in (("dump", "DUMP_FILE_CREATION_JOB_OPERATION"), ("healing", "HEALING_JOB_OPERATION"))
    )


@pytest.mark.parametrize(
    ("given_", "fault"),
    [
        (["people"], "[0]: an entry is an object with `name`, `jobsGraph` and operations"),
        ([entry(name="")], "[0]: `name` is missing"),
        ([entry(jobsGraph="")], "[0]: `jobsGraph` is missing"),
        ([entry(name="a b")], "[0]: `name` has neither a slash nor white space"),
        ([entry(startInitialSync="false")], "[0]: `startInitialSync` is `true` or `false`"),
        ([entry(jobsGraph=7)], "[0]: `jobsGraph` is a text"),
        ([entry(), entry()], "the name `people` stands there 2 times"),
        ([entry(cronPatternDumpJob="often")], "[0]: `cronPatternDumpJob`: `often`: expected 5 or 6 fields, found 1"),
        ([entry(cronPatternHealingJob="0 0 32 * *")], "[0]: `cronPatternHealingJob`: `0 0 32 * *`: Bad day-of-month"),
        (7, "line 1 is neither JSON nor KEY=VALUE"),
        (b"[7", "it is no JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (b"\xff", "it is not UTF-8"),
    ],
)
def test_a_fault_names_its_place(given_: Any, fault: str) -> None:
    assert fault in faults(given_)


def test_an_unknown_key_is_a_fault() -> None:
    assert faults([entry(cronPaternDumpJob="0 0 1 * *")])[0].startswith("[0]: there is no key `cronPaternDumpJob`")


def test_what_is_no_object_and_no_list_is_refused() -> None:
    assert background_of("x") == ("it is neither a list of entries nor an object of environment variables",)


def test_jobs_of_several_entries_begin_with_their_names() -> None:
    read = jobs([entry("people"), entry("places", errorCreatorUri="http://example.com/errors")])
    assert list(read) == [f"{name}-{kind}" for name in ("people", "places") for kind in OPERATIONS]
    assert read["places-healing"].after == ("places-initial-sync",)
    assert "errorCreator" not in read["people-dump"].options
    assert read["places-dump"].options["errorCreator"] == "http://example.com/errors"


def test_errors_are_created_by_the_same_as_before() -> None:
    assert ERROR_CREATOR == CREATOR
    for name, document in (("people", [entry()]), ("other", [entry()]), ("people", VARIABLES_)):
        options = jobs(document, name)["dump"].options
        settings = settings_of(Pipeline("dump", trigger().instance, options), {"SAASBOT_TRIGGER": name})
        expected = CREATOR if document is VARIABLES_ else f"{CREATOR}/people"
        assert getattr(settings, "error_creator", None) == expected, name


def test_variables_in_lines_and_in_json_say_the_same() -> None:
    assert found(lines(VARIABLES_)) == found(VARIABLES_)
    read = jobs(VARIABLES_)
    assert list(read) == list(OPERATIONS)
    assert read["dump"].options["graph"] == DEFAULT_GRAPH
    assert read["initial-sync"].active is False, "the program took anything but `false` for true; its page says false"
    assert read["healing"].schedule == Schedule(DEFAULT_CRON)


def test_variables_are_what_the_keys_of_an_entry_are() -> None:
    given_ = VARIABLES_ | {
        "JOBS_GRAPH": GRAPH,
        "CRON_PATTERN_DUMP_JOB": "0 0 0 * * 6",
        "CRON_PATTERN_HEALING_JOB": "0 0 2 * * *",
        "START_INITIAL_SYNC": "true",
        "ENABLE_DUMP_FILE_CREATION": "true",
        "ENABLE_HEALING_JOB_OPERATION": True,
        "HEAL_MUST_WAIT_FOR_INITIAL_SYNC": "",
        "ERROR_CREATOR_URI": f"{CREATOR}/people",
    }
    assert jobs(given_) == jobs([entry()])
    off = given_ | {
        "START_INITIAL_SYNC": False,
        "ENABLE_DUMP_FILE_CREATION": "false",
        "ENABLE_HEALING_JOB_OPERATION": "false",
        "HEAL_MUST_WAIT_FOR_INITIAL_SYNC": "false",
    }
    read = jobs(off)
    assert [job.active for job in read.values()] == [False, False, False]
    assert read["healing"].options["requires"] == []


def test_a_task_operation_of_ones_own_is_kept() -> None:
    read = jobs(
        VARIABLES_ | {"HEALING_TASK_OPERATION": "http://example.com/heal", "DUMP_FILE_CREATION_TASK_OPERATION": ""}
    )
    assert read["healing"].options["taskOperation"] == "http://example.com/heal"
    assert "taskOperation" not in read["dump"].options
    assert TASK_OPERATIONS["healing"].endswith("/healing/patchPublicationGraph"), "the one that the services look for"


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"START_INITIAL_SYNC": "yes"}, "`START_INITIAL_SYNC` is `true` or `false`"),
        ({"JOBS_GRAPH": ["a"]}, "`JOBS_GRAPH` is a text"),
        ({"JOB_TIMEOUT_MINUTES": "1h"}, "`JOB_TIMEOUT_MINUTES` is a whole number of minutes, at most 525600"),
        ({"JOB_TIMEOUT_MINUTES": "525601"}, "`JOB_TIMEOUT_MINUTES` is a whole number of minutes, at most 525600"),
        ({"JOB_TIMEOUT_MINUTES": "9" * 20}, "`JOB_TIMEOUT_MINUTES` is a whole number of minutes, at most 525600"),
        ({"CRON_PATTERN_DUMP_JOB": "x"}, "`CRON_PATTERN_DUMP_JOB`: `x`: expected 5 or 6 fields, found 1"),
    ],
)
def test_a_variable_that_cannot_be_read_is_a_fault(variables: dict[str, Any], fault: str) -> None:
    assert faults(VARIABLES_ | variables) == (fault,)


def test_a_variable_that_looks_like_a_setting_is_a_fault_and_others_are_left_aside() -> None:
    assert faults(VARIABLES_ | {"CRON_PATERN_DUMP_JOB": "x"})[0].startswith(
        "`CRON_PATERN_DUMP_JOB` is not known: known"
    )
    note = "`MU_SPARQL_ENDPOINT` is none of the initiator's own settings, and is left aside"
    assert found(VARIABLES_ | {"MU_SPARQL_ENDPOINT": "http://virtuoso:8890/sparql"}).notes == (note,)


@pytest.mark.parametrize(
    ("minutes", "timeout"),
    [("60", timedelta(minutes=60)), (90, timedelta(minutes=90)), ("0", None), ("00", None), ("", None), (False, None)],
)
def test_the_time_out_is_in_minutes(minutes: Any, timeout: timedelta | None) -> None:
    (entry_,) = found(VARIABLES_ | {"JOB_TIMEOUT_MINUTES": minutes}).entries
    assert entry_.timeout == timeout
    assert entry_.options.get("timeoutMinutes") == (timeout and timeout.total_seconds() / 60)


def test_lines_may_be_written_as_shells_have_them() -> None:
    text = "\n# settings\nexport A=1\nB = 'two words' # why\nC=\"x=y\"\nD=plain # why\nE=\n  F=a#b\n"
    assert read_variables(text) == {"A": "1", "B": "two words", "C": "x=y", "D": "plain", "E": "", "F": "a#b"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("A=1\n- b", "line 2 is neither JSON nor KEY=VALUE"),
        ("A=1\nA=2", "line 2: A stands there twice"),
        ("# nothing\n", "it is empty"),
        ("", "it is empty"),
    ],
)
def test_lines_that_are_none_are_refused_by_their_number(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_variables(text)


@pytest.mark.parametrize(
    "pattern", ["0 0 0 * * 6", "*/5 * * * *", "0 0 0 1 */3 *", "0 0 0 1 jan,jul *", "0 9 * * mon-fri"]
)
def test_a_pattern_that_means_the_same_here_is_taken(pattern: str) -> None:
    assert jobs([entry(cronPatternDumpJob=pattern)])["dump"].schedule == Schedule(pattern)


@pytest.mark.parametrize(
    ("pattern", "here"),
    [
        ("0 0 0 1 1 *", "0 0 0 1 2 *"),
        ("0 0 1 0 *", "0 0 1 1 *"),
        ("0 0 0 1 0,3,6,9 *", "0 0 0 1 1,4,7,10 *"),
        ("0 0 0 1 5-11/2 *", "0 0 0 1 6-12/2 *"),
    ],
)
def test_months_by_number_are_refused_or_converted(pattern: str, here: str) -> None:
    hint = "write names (jan), which mean the same in both"
    fault = f"[0]: `cronPatternDumpJob`: `{pattern}` numbers its months from 0, here they begin with 1: {hint}"
    assert faults([entry(cronPatternDumpJob=pattern)]) == (fault,)
    read = found([entry(cronPatternDumpJob=pattern)], convert=True)
    assert {job.name: job for job in read.jobs_in("people")}["dump"].schedule == Schedule(here)
    note = f"[0]: `cronPatternDumpJob`: `{pattern}` is `{here}` here, where months begin with 1 and not with 0"
    assert read.notes == (note,)


def test_a_month_that_the_initiator_has_not_is_refused() -> None:
    read = background_of([entry(cronPatternDumpJob="0 0 0 1 12 *")], convert=True)
    assert read == ("[0]: `cronPatternDumpJob`: `0 0 0 1 13 *`: Bad month",)


def test_settings_become_the_jobs_of_their_definition() -> None:
    made = expanded(trigger(timezone="Europe/Brussels"), json.dumps([entry()]).encode())
    assert isinstance(made, Trigger)
    assert [job.name for job in made.jobs] == list(OPERATIONS)
    assert {job.schedule.timezone for job in made.jobs if job.schedule} == {"Europe/Brussels"}
    assert (made.timeout, made.staged, made.read) == (timedelta(hours=6), False, True)
    bare = expanded(trigger(), json.dumps(VARIABLES_ | {"JOB_TIMEOUT_MINUTES": 5}).encode())
    assert isinstance(bare, Trigger)
    assert (bare.timeout, bare.jobs[0].schedule) == (timedelta(minutes=5), None)
    assert expanded(trigger(), b"7") == ("line 1 is neither JSON nor KEY=VALUE",)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "startInitialSync": st.booleans(),
            "disableDumpFileCreation": st.booleans(),
            "disableHealingJobOperation": st.booleans(),
            "healShouldNotWaitForInitialSync": st.booleans(),
            "cronPatternDumpJob": st.sampled_from(["", "0 0 0 * * *", "30 4 * * 1", "0 0 0 1 jan *"]),
            "errorCreatorUri": st.just("http://example.com/errors"),
        },
    )
)
def test_whatever_is_read_is_what_the_provider_takes(more: dict[str, Any]) -> None:
    for job in found([entry(**more), entry("places")]).jobs_in("people"):
        assert list(with_issues("sparql", job.options)) == []


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from([*VARIABLES, "PATH"]), st.text(max_size=12) | st.booleans() | st.integers()))
def test_any_variables_are_read_or_refused(variables: dict[str, Any]) -> None:
    assert isinstance(background_of(variables), BackgroundJobs | tuple)
