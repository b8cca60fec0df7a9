"""The JSON list of the `trigger-jobs` step: both shapes, what counts, and what is refused (SYSTEMS A, GW-1, 2, 16)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.formats.gangway_list import GangwayList, gangway_list_of, read_gangway_list
from bot.formats.job_lists import expanded
from bot.formats.time_conditions import time_condition
from bot.model.servers import Instance
from bot.model.triggers import DayOfMonth, IsoWeek, Job, JobsFrom, Stage, Trigger

STEP = "trigger-jobs-trig-time-eval"


def job(name: str = "periodic-ci-a", *, active: Any = True, **more: Any) -> dict[str, Any]:
    return {"job_name": name, "active": active} | more


def listed(name: str = "periodic-ci-a", *, active: Any = True, **more: Any) -> dict[str, Any]:
    return {"jobName": name, "active": active} | more


def condition(date_: list[str], *expressions: str, flags: Any = 1, step: str = STEP) -> dict[str, Any]:
    pars = {"trigCondFlag": "marker", "datePars": date_, "mathExpr": list(expressions)}
    return {"trigCondFlgs": flags, "trigCondStep": step, "trigCondPars": pars}


def found(*elements: Any, mask: int = 0) -> GangwayList:
    read = read_gangway_list(json.dumps(elements).encode(), mask)
    assert isinstance(read, GangwayList), read
    return read


def faults(*elements: Any, mask: int = 0) -> tuple[str, ...]:
    read = read_gangway_list(json.dumps(elements).encode(), mask)
    assert isinstance(read, tuple), read
    return read


def trigger(mask: int = 0) -> Trigger:
    source = JobsFrom("gangway-list", "jobs.json", mask=mask)
    return Trigger("nightly", Instance("gangway", "gangway", "https://gangway.example.com"), jobs_from=source)


def test_gw_16_both_shapes_are_read_in_the_order_of_the_file() -> None:
    read = found(
        job("a"),
        {"jobList": [listed("b", jobType="periodic"), listed("c", active=False)]},
        job("d"),
    )
    assert read == GangwayList((Job("a"), Job("b"), Job("c", active=False), Job("d")))


def test_a_list_becomes_the_jobs_of_its_definition() -> None:
    data = json.dumps([job("a"), job("b")]).encode()
    made = expanded(trigger(), data)
    assert isinstance(made, Trigger)
    assert (made.stages, made.staged, made.read) == ((Stage("", (Job("a"), Job("b"))),), False, True)
    empty = expanded(trigger(), b"[]")
    assert isinstance(empty, Trigger)
    assert empty.stages == ()
    assert expanded(trigger(), b"{}") == ("it is not a list of jobs",)


def test_gw_1_a_job_that_does_not_say_that_it_is_active_is_not() -> None:
    assert found({"job_name": "a"}).jobs == (Job("a", active=False),)


@pytest.mark.parametrize("active", ["true", 1, None, "yes", 0])
def test_gw_1_active_is_true_or_false_and_nothing_else(active: Any) -> None:
    assert faults(job("a"), job("b", active=active)) == ("[1]: `active` is `true` or `false`, not a text or a number",)


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        ("periodic-ci-a", "[0]: an element is an object with `job_name` or `jobList`"),
        ({}, "[0]: there is neither `job_name` nor `jobList`"),
        ({"jobName": "a"}, "[0]: there is neither `job_name` nor `jobList`; `jobName` stands in a `jobList`"),
        (job(""), "[0]: `job_name` is missing or empty"),
        (job(" "), "[0]: `job_name` is missing or empty"),
        ({"job_name": 7}, "[0]: `job_name` is missing or empty"),
        ({"jobList": [{"active": True}]}, "[0].jobList[0]: `jobName` is missing or empty"),
        ({"jobList": {}}, "[0]: `jobList` is a list"),
        ({"jobList": ["a"]}, "[0].jobList[0]: it is not an object"),
        ({"jobList": [], "skipJobTriggers": "yes"}, "[0]: `skipJobTriggers` is `true` or `false`"),
    ],
)
def test_gw_1_a_fault_names_its_place(element: Any, fault: str) -> None:
    assert faults(element) == (fault,)


@pytest.mark.parametrize(
    ("element", "place", "key"),
    [
        (job(jobType="periodic"), "[0]", "jobType"),
        ({"jobList": [], "postTasks": []}, "[0]", "postTasks"),
        ({"jobList": [listed(actve=True)]}, "[0].jobList[0]", "actve"),
        ({"jobList": [], "trigCond": [condition(["+%d"], "1") | {"flags": 1}]}, "[0].trigCond[0]", "flags"),
        ({"postTask": [{"step": "x"}]}, "[0].postTask[0]", "step"),
    ],
)
def test_gw_1_an_unknown_key_is_a_fault(element: Any, place: str, key: str) -> None:
    assert faults(element)[0].startswith(f"{place}: there is no key `{key}`: known are ")


def test_gw_1_a_job_stands_there_once() -> None:
    group = {"jobList": [listed("a")]}
    assert faults(job("a"), group) == ("[1].jobList[0]: the job `a` stands at [0] already",)


def test_all_faults_are_told_and_nothing_else() -> None:
    assert len(faults(job("a", active=1), job(""), 7)) == 3
    assert read_gangway_list(b"\xff") == ("it is not UTF-8",)
    assert faults_of_text('[{"job_name": "a", "job_name": "b"}]').startswith("it is no JSON: the key")
    assert faults_of_text("[" * 5000).startswith("it is no JSON: ")


def faults_of_text(text: str) -> str:
    read = read_gangway_list(text.encode())
    assert isinstance(read, tuple)
    return read[0]


def test_a_byte_order_mark_is_no_fault() -> None:
    assert read_gangway_list(b'\xef\xbb\xbf[{"job_name": "a", "active": true}]') == GangwayList((Job("a"),))


@pytest.mark.parametrize(("after", "until"), [("activeAfter", "activeUntil"), ("active_after", "active_until")])
def test_gw_2_days_and_times_in_both_spellings(after: str, until: str) -> None:
    read = found(job("a", **{after: "2026-01-01", until: "2026-03-31T06:00:00.5+02:00"}))
    until_ = datetime(2026, 3, 31, 4, 0, 0, 500_000, UTC)
    assert read.jobs == (Job("a", active_after=date(2026, 1, 1), active_until=until_),)
    group = found({"jobList": [listed("a", **{until: "2026-03-31"}), listed("b", **{after: None})]})
    assert group.jobs == (Job("a", active_until=date(2026, 3, 31)), Job("b"))


@pytest.mark.parametrize(
    "text", ["2026-02-30", "20260101", "tomorrow", 7, "2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59", ""]
)
def test_gw_2_what_is_no_day_and_no_time_is_a_fault(text: Any) -> None:
    fault = "[0]: `activeAfter` is a day (2026-01-31) or a time (2026-01-31T06:00:00Z)"
    assert faults(job(activeAfter=text)) == (fault,)


def test_gw_2_an_end_before_the_beginning_is_a_fault() -> None:
    fault = "[0]: it ends before it begins: `activeUntil` lies before `activeAfter`"
    assert faults(job(activeAfter="2026-02-01", activeUntil="2026-01-31")) == (fault,)
    assert faults(job(activeAfter="2026-02-01T00:00:01Z", active_until="2026-02-01")) == (fault,)
    assert found(job(activeAfter="2026-02-01", activeUntil="2026-02-01")).jobs


def test_gw_2_one_key_in_two_spellings_is_a_fault() -> None:
    text = "[0]: `activeAfter` and `active_after` are the same"
    assert faults(job(activeAfter="2026-02-01", active_after="2026-02-01")) == (text,)


def test_gw_16_an_unknown_kind_of_job_is_a_fault() -> None:
    fault = "[0].jobList[0]: the `jobType` `postsubmit` is not known: known is periodic"
    assert faults({"jobList": [listed(jobType="postsubmit")]}) == (fault,)
    assert "(no text)" in faults({"jobList": [listed(jobType=["periodic"])]})[0]


@pytest.mark.parametrize(
    ("flags", "mask", "counts"),
    [(1, 1, True), (3, 2, True), (1, 2, False), (4, 0, True), (0, 0, False), (0, 1, False), (6, 5, True)],
)
def test_gw_16_a_condition_counts_by_its_flags(flags: int, mask: int, *, counts: bool) -> None:
    group = {"trigCond": [condition(["+%d"], "timeVal <= 7", flags=flags)], "jobList": [listed("a")]}
    made = expanded(trigger(mask), json.dumps([group]).encode())
    assert isinstance(made, Trigger)
    assert made.jobs == (Job("a", conditions=(DayOfMonth(1, 7),) if counts else ()),)


def test_gw_16_a_condition_without_flags_never_counts() -> None:
    group = {"trigCond": [{"trigCondStep": "anything"}], "jobList": [listed("a")]}
    read = found(group)
    assert read == GangwayList(
        (Job("a"),), notes=("[0].trigCond[0]: left aside, because its `trigCondFlgs` do not count",)
    )


@pytest.mark.parametrize("flags", ["1", True, 1.5, -1])
def test_gw_16_flags_are_a_whole_number(flags: Any) -> None:
    group = {"trigCond": [condition(["+%d"], "1", flags=flags)], "jobList": []}
    assert faults(group) == ("[0].trigCond[0]: `trigCondFlgs` is a whole number",)


def test_gw_16_an_unknown_condition_is_a_fault_and_no_silent_skip() -> None:
    group = {"trigCond": [condition([], step="trigger-jobs-trig-moon")], "jobList": [listed("a")]}
    fault = f"[0].trigCond[0]: the condition `trigger-jobs-trig-moon` is not known: known is {STEP}"
    assert faults(group) == (fault,)
    owner = {"trigCond": [condition([], step="trigger-jobs-trig-check-resource-owner")], "jobList": []}
    assert faults(owner)[0].endswith("it holds in even weeks so far, which is `isoWeek: {every: 2}`")


def test_a_condition_holds_for_all_jobs_of_its_group() -> None:
    conditions = [condition(["+%d"], "timeVal > 7"), condition(["-u", "+%V"], "timeVal % 2")]
    read = found({"trigCond": conditions, "jobList": [listed("a"), listed("b")]}, job("c"))
    both = (DayOfMonth(8, 31), IsoWeek(2, 1))
    assert read.jobs == (Job("a", conditions=both), Job("b", conditions=both), Job("c"))


def test_a_condition_that_cannot_be_said_is_a_fault() -> None:
    group = {"trigCond": [condition(["-d", "next week", "+%d"], "timeVal <= 7")], "jobList": [listed("a")]}
    text = (
        "`date -d next week +%d` cannot be carried over: only the day of the month, `+%d`, and the ISO week, `+%V`, can"
    )
    assert faults(group) == (f"[0].trigCond[0]: {text}",)


def test_jobs_that_are_skipped_are_not_active() -> None:
    read = found({"skipJobTriggers": True, "jobList": [listed("a")]})
    assert read.jobs == (Job("a", active=False),)
    assert read.notes == ("[0]: its jobs are not active, because of `skipJobTriggers`",)


def test_a_post_task_is_a_fault_where_nobody_would_carry_it_out() -> None:
    task = {"postTaskFlgs": 1, "postTaskStep": "trigger-jobs-post-message", "postTaskPars": {}}
    group = {"jobList": [listed("a")], "postTask": [task]}
    fault = "[0].postTask[0]: the task `trigger-jobs-post-message` is not carried out here"
    assert expanded(trigger(), json.dumps([group]).encode()) == (fault,)
    assert found(group) == GangwayList((Job("a"),), (fault,))
    empty = {"jobList": [listed("a")], "postTask": [], "trigCond": None}
    assert found(empty) == GangwayList((Job("a"),))


def test_a_rehearsal_is_not_started() -> None:
    read = found(job("rehearse-12345-periodic-ci-a"), job("periodic-ci-rehearse-tool"))
    assert [each.active for each in read.jobs] == [False, True]
    assert read.notes == (
        "[0]: the job `rehearse-12345-periodic-ci-a` is a rehearsal, which Gangway cannot start: it is not active",
    )


KEYS = ("job_name", "jobList", "jobName", "active", "activeAfter", "skipJobTriggers", "postTask")
MORE = ("trigCond", "trigCondFlgs", "trigCondStep", "trigCondPars", "datePars", "mathExpr")
SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(["a", STEP, "2026-01-01", "+%d", "timeVal > 7"])


@settings(max_examples=40)
@given(
    st.recursive(
        SCALARS, lambda parts: st.lists(parts) | st.dictionaries(st.sampled_from(KEYS + MORE), parts), max_leaves=12
    )
)
def test_any_document_is_read_or_refused(document: Any) -> None:
    read = gangway_list_of([document])
    assert isinstance(read, GangwayList) or all(fault.startswith("[0]") for fault in read)


def test_g_b3_the_eighth_and_the_ninth_are_days_like_others() -> None:
    read = found({"trigCond": [condition(["+%d"], "timeVal >= 8 && timeVal <= 9")], "jobList": [listed("a")]})
    assert read.jobs == (Job("a", conditions=(DayOfMonth(8, 9),)),)
    assert time_condition({"datePars": ["+%d"], "mathExpr": ["timeVal <= 08"]}) == (DayOfMonth(1, 8),)
    assert time_condition({"datePars": ["+%d"], "mathExpr": ["timeVal >= 07"]}) == (DayOfMonth(7, 31),)


def test_g_b3_a_number_that_bash_would_read_as_another_is_refused() -> None:
    read = time_condition({"datePars": ["+%d"], "mathExpr": ["timeVal <= 010"]})
    assert read == "`mathExpr` cannot be carried over: `010` is 8 to bash; write it without the zero in front"


@pytest.mark.parametrize(
    ("format_", "expression", "condition_"),
    [
        ("+%d", "timeVal <= 7", DayOfMonth(1, 7)),
        ("+%-d", "timeVal > 15", DayOfMonth(16, 31)),
        ("+%e", "7 >= timeVal", DayOfMonth(1, 7)),
        ("+%_d", "timeVal == 1", DayOfMonth(1, 1)),
        ("+%d", "!(timeVal < 8 || timeVal > 14)", DayOfMonth(8, 14)),
        ("+%d", "(timeVal - 1) / 7 == 1", DayOfMonth(8, 14)),
        ("+%d", "timeVal / -8 == 0", DayOfMonth(1, 7)),
        ("+%d", "-timeVal % 32 + 7 >= 0", DayOfMonth(1, 7)),
        ("+%d", "timeVal * 2 < +20", DayOfMonth(1, 9)),
        ("+%V", "timeVal % 2", IsoWeek(2, 1)),
        ("+%-V", "!(timeVal % 2)", IsoWeek(2, 0)),
        ("+%V", "timeVal % 4 == 3", IsoWeek(4, 3)),
        ("+%_V", "timeVal == 53", IsoWeek(53, 0)),
        ("+%V", "timeVal != 0 && timeVal % 3 == 0", IsoWeek(3, 0)),
    ],
)
def test_an_expression_is_the_condition_that_holds_on_the_same_days(
    format_: str, expression: str, condition_: Any
) -> None:
    assert time_condition({"datePars": ["-u", format_], "mathExpr": [expression]}) == (condition_,)


def test_what_always_holds_is_no_condition() -> None:
    assert time_condition({"datePars": ["+%d"], "mathExpr": ["timeVal"]}) == ()
    assert time_condition({"datePars": ["+%V"], "mathExpr": ["timeVal >= 1"]}) == ()


def test_the_last_of_several_expressions_decides_as_in_bash() -> None:
    assert time_condition({"datePars": ["+%d"], "mathExpr": ["timeVal > 7", "timeVal <= 14"]}) == (DayOfMonth(1, 14),)


@pytest.mark.parametrize(
    ("pars", "fault"),
    [
        (None, "`trigCondPars` is an object"),
        ({"datePars": ["+%d"], "mathExpr": ["1"], "x": 1}, "`trigCondPars` has no `x`"),
        ({"mathExpr": ["1"]}, "`datePars` is a list"),
        ({"datePars": ["+%d"], "mathExpr": []}, "`mathExpr` is a list"),
        ({"datePars": ["+%d"], "mathExpr": [""]}, "`mathExpr` is a list"),
        ({"datePars": "+%d", "mathExpr": ["1"]}, "`datePars` is a list"),
        ({"datePars": ["+%H"], "mathExpr": ["1"]}, "`date +%H` cannot be carried over"),
        ({"datePars": ["-u"], "mathExpr": ["1"]}, "`date -u` cannot be carried over"),
        ({"datePars": ["+%d", "+%V"], "mathExpr": ["1"]}, "`date +%d +%V` cannot be carried over"),
        ({"datePars": ["+%d"], "mathExpr": ["0"]}, "`mathExpr` holds on no day of a month"),
        ({"datePars": ["+%V"], "mathExpr": ["timeVal > 60"]}, "`mathExpr` holds in weeks of no year"),
        ({"datePars": ["+%d"], "mathExpr": ["timeVal % 10 == 0"]}, "no range: 10, 20, 30"),
        ({"datePars": ["+%V"], "mathExpr": ["timeVal < 4"]}, "not every n-th: 1, 2, 3"),
    ],
)
def test_what_no_condition_says_is_refused(pars: Any, fault: str) -> None:
    read = time_condition(pars)
    assert isinstance(read, str)
    assert fault in read


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("timeVal <<= 1", "`<<= 1` is not understood"),
        ("timeVal = 3", "`= 3` is not understood"),
        ("x <= 3", "`x <= 3` is not understood"),
        ("$(id)", "`$(id)` is not understood"),
        ("0x1f", "`0x1f` is not understood"),
        ("2#11", "`2#11` is not understood"),
        ("timeVal 3", "`3` stands where an operator should be"),
        ("timeVal <=", "it breaks off"),
        ("* 3", "`*` stands where a value should be"),
        ("(timeVal", "a bracket is not closed"),
        ("1 / 0", "it divides by 0"),
        ("timeVal % 0", "it divides by 0"),
        ("(" * 30 + "1" + ")" * 30, "more than 20 deep"),
        ("!" * 190 + "1", "more than 20 deep"),
        ("1 + " * 60 + "1", "more than 200 characters"),
    ],
)
def test_an_expression_that_is_not_understood_is_refused(expression: str, fault: str) -> None:
    read = time_condition({"datePars": ["+%d"], "mathExpr": [expression]})
    assert isinstance(read, str)
    assert read.startswith("`mathExpr` cannot be carried over: ")
    assert fault in read


@settings(max_examples=40)
@given(first=st.integers(1, 31), length=st.integers(0, 30), unary=st.sampled_from(["", "!!", "0 + "]))
def test_every_range_of_days_is_found_again(first: int, length: int, unary: str) -> None:
    last = min(31, first + length)
    read = time_condition(
        {"datePars": ["+%d"], "mathExpr": [f"{unary}(timeVal >= {first} && timeVal <= {last})".replace("!!", "! !")]}
    )
    assert read == (() if (first, last) == (1, 31) else (DayOfMonth(first, last),))


@settings(max_examples=40)
@given(st.text(alphabet="timeVal 0189()<>=!&|+-*/%", max_size=40))
def test_any_expression_is_read_or_refused(expression: str) -> None:
    read = time_condition({"datePars": ["+%V"], "mathExpr": [expression or "1"]})
    assert isinstance(read, str | tuple)
