"""The statefile and the saved context: round trips, what is refused, upkeep by hand, and what may be forgotten."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from core_values import (
    HOUR,
    NOW,
    PROD,
    STAGE,
    URL,
    a_run,
    change_of,
    context,
    decided,
    deliberated,
    desired,
    known_history,
    merge_request,
    moved,
    mr_record,
    observed,
    prod,
    published,
    record,
    sha,
    stage,
    state,
)

from bot.core import saved, upkeep
from bot.core.decide import decide
from bot.core.statefile import decode, encode, next_serial
from bot.errors import WrongUsage
from bot.model.desired import Freeze, Interval, Recurring
from bot.model.observed import Role
from bot.model.rounds import Round, RoundJob, TriggerRequest, TriggerState
from bot.model.runs import Reason, RunStatus
from bot.model.state import (
    Answer,
    Block,
    CommandFreeze,
    FailedContent,
    Flag,
    Hold,
    Override,
    Pin,
    PromotionRequest,
    Question,
    RunRequest,
    State,
    TargetState,
    Veto,
)

B = sha("b")
REQUEST = merge_request()
ROUND = Round(2, NOW, (Reason("schedule", "due"),), (RoundJob("a", run=a_run(stage())), RoundJob("b")))
TRIGGER = TriggerState("nightly", NOW, ROUND, 2, 3, {"a": NOW}, {"https://x": "b1"}, "nightly.yml")
FULL = state(
    record(prod(), run=a_run(prod(), status=RunStatus.SUCCEEDED), publishers={STAGE: "1:x"}, deployed_at=NOW),
    record(stage(), run=a_run(stage())),
    ok=(published(STAGE, B),),
    serial=7,
    triggers={"nightly": TRIGGER},
    trigger_requests={"nightly": TriggerRequest("nightly", "ana", NOW, ("a",))},
    merge_requests={REQUEST.source_branch: mr_record(REQUEST, moved(prod(), B), hold=Hold("bob", NOW, "wait"))},
    vetoes=(Veto(PROD, sha("x"), "bob", NOW),),
    cursors={"notes:1": 9},
    failed_contents=(FailedContent(frozenset({f"{PROD}@{sha('y')}"}), NOW, 3),),
    splits=frozenset({"svc.yml"}),
    requests={PROD: PromotionRequest(PROD, B, "ana", NOW)},
    run_requests={PROD: RunRequest(PROD, "retry", "ana", NOW)},
    pins={PROD: Pin(B, "ana", NOW, rollback=True)},
    blocks=(Block(URL, sha("z"), "ana", NOW, "x"),),
    overrides=(Override(PROD, B, "soak", "ovi", NOW, "x"),),
    freezes=(CommandFreeze("all", "ana", NOW, "x", NOW + HOUR),),
    answers={"1:9:0": Answer("9", 1, "ana", "hold", ok=True, text="held")},
    questions={"1": Question("explain", PROD, "ana")},
    replaced=("old",),
    attention={f"target:{PROD}": Flag("look", NOW, 1, "it failed")},
)


def test_the_full_state_has_every_field() -> None:
    empty = State()
    assert [each.name for each in fields(State) if getattr(FULL, each.name) == getattr(empty, each.name)] == ["version"]


def test_a_state_comes_back_as_it_was() -> None:
    data = encode(FULL)
    assert decode(data, "x") == FULL
    assert data.endswith(b"}\n")
    assert data == encode(decode(data, "x")), "the same state is always the same bytes"
    assert next_serial(FULL) == replace(FULL, serial=8)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON at all"),
        (b"garbage", "no JSON at all"),
        (b"[]", "not a statefile"),
        (b"\xff{}", "no JSON at all"),
        (b"{}", "version None"),
        (b'{"version": 3}', "version 3"),
        (b'{"version": 0}', "version 0"),
        (b'{"version": true}', "version True"),
        (b'{"version": "1"}', "version '1'"),
        (b'{"version": 1, "targets": \xff}', "no JSON at all"),
        (b'{"version": 1, "targets": 3}', "not a statefile"),
        (b'{"version": 1, "time": "yesterday"}', "not a statefile"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(WrongUsage, match=words) as refused:
        decode(data, "state.json")
    assert refused.value.message.startswith("state.json: ")
    assert refused.value.hint


# By hand


def test_subjects_can_be_listed_found_and_removed() -> None:
    assert upkeep.subjects(FULL) == (
        f"target:{PROD}", f"target:{STAGE}", "merge-request:saasbot/svc.yml", "channel:ok", "trigger:nightly",
        f"attention:target:{PROD}",
    )  # fmt: skip
    for subject in upkeep.subjects(FULL):
        assert upkeep.find(FULL, subject)
        assert subject not in upkeep.subjects(upkeep.remove(FULL, subject))


@pytest.mark.parametrize("subject", ["target:none", "nonsense:x", "target", "target:", ""])
def test_what_is_not_there_cannot_be_removed(subject: str) -> None:
    with pytest.raises(WrongUsage):
        upkeep.remove(FULL, subject)


def test_a_target_can_be_moved_with_its_publications() -> None:
    found = upkeep.move(FULL, f"target:{STAGE}", "target:svc/web/new")
    assert found.targets["svc/web/new"].id == "svc/web/new"
    assert STAGE not in found.targets
    assert [each.target for each in found.channels["ok"]] == ["svc/web/new"]


@pytest.mark.parametrize(
    ("old", "new"),
    [(f"target:{STAGE}", f"target:{PROD}"), (f"target:{STAGE}", "channel:x"), ("channel:ok", "target:x")],
)
def test_a_move_that_cannot_be_is_refused(old: str, new: str) -> None:
    with pytest.raises(WrongUsage):
        upkeep.move(FULL, old, new)


def test_a_whole_state_is_salvaged_whole() -> None:
    assert upkeep.salvage(encode(FULL)) == (FULL, ())


def test_what_can_be_read_is_kept() -> None:
    document = json.loads(encode(FULL))
    document["targets"][STAGE]["sha"] = 5
    document["blocks"] = "nothing"
    document["vetoes"] = [{"target": 1}]
    document["unknown"] = 1
    found, lost = upkeep.salvage(json.dumps(document).encode())
    assert found.targets == {PROD: FULL.targets[PROD], STAGE: TargetState(STAGE, "", "", "", "", "", adopted=True)}
    assert (found.pins, found.blocks, found.vetoes) == (FULL.pins, (), ())
    assert [each.split(":")[0] for each in lost] == ["targets", "vetoes", "blocks"]
    assert STAGE in lost[0]


def test_a_lost_entry_of_anything_else_is_just_gone() -> None:
    document = json.loads(encode(state(record(prod()))))
    document["pins"] = {PROD: 5}
    found, lost = upkeep.salvage(json.dumps(document).encode())
    assert (dict(found.pins), len(lost)) == ({}, 1)


def test_a_target_whose_record_was_lost_is_adopted_again_and_not_started() -> None:
    document = json.loads(encode(state(record(prod()), record(stage()))))
    document["targets"][STAGE]["deployed_at"] = "2026-01-05T00:00:00"
    found, lost = upkeep.salvage(json.dumps(document).encode())
    assert len(lost) == 1
    plan = decided(context(prod(), stage(), recorded=found))
    assert [type(action).__name__ for action in plan.actions] == ["RecordState", "RecordState"]
    assert plan.record is not None
    back = plan.record.targets[STAGE]
    assert (back.ref, back.config_hash, bool(back.sha)) == ("main", record(stage()).config_hash, True)


@pytest.mark.parametrize(
    "data", [b"garbage", b"[]", b"{}", b'{"version": 9}', b'{"version": 1}', b'{"version": 1, "lineage": "a\xff"}']
)
def test_nothing_is_salvaged_from_what_is_no_statefile(data: bytes) -> None:
    with pytest.raises(WrongUsage):
        upkeep.salvage(data)


# What may be forgotten


def swept(recorded: State, **seen: Any) -> State:
    plan = decided(context(prod(), stage(), recorded=recorded, seen=observed(**seen)))
    return plan.record or recorded


def base(**extra: Any) -> State:
    return state(record(prod()), record(stage()), **extra)


A = sha("a")


@pytest.mark.parametrize(
    ("name", "gone", "stays"),
    [
        ("requests", {PROD: PromotionRequest(PROD, A, "ana", NOW)}, {PROD: PromotionRequest(PROD, B, "ana", NOW)}),
        ("pins", {"x": Pin(A, "ana", NOW)}, {PROD: Pin(A, "ana", NOW)}),
        ("vetoes", (Veto(PROD, A, "b", NOW),), (Veto(PROD, B, "b", NOW),)),
        ("vetoes", (Veto("x", B, "b", NOW),), (Veto(STAGE, B, "b", NOW),)),
        (
            "failed_contents",
            (FailedContent(frozenset({f"{PROD}@{A}", f"{PROD}@{B}"}), NOW, 1),),
            (FailedContent(frozenset({f"{PROD}@{B}"}), NOW, 1),),
        ),
        ("failed_contents", (FailedContent(frozenset({f"x@{B}"}), NOW, 1),), ()),
        (
            "overrides",
            (Override(PROD, B, "soak", "o", NOW - timedelta(days=90), "x"),),
            (Override(PROD, B, "soak", "o", NOW - timedelta(days=89), "x"),),
        ),
        (
            "freezes",
            (CommandFreeze("app:x", "a", NOW, "x", NOW),),
            (CommandFreeze("app:x", "a", NOW, "x", NOW + HOUR), CommandFreeze("app:x", "a", NOW, "x")),
        ),
        ("questions", {"7": Question("plan", "", "a")}, {}),
        ("run_requests", {"x": RunRequest("x", "retry", "a", NOW)}, {}),
    ],
)
def test_orders_that_came_true_or_ran_out_are_dropped(name: str, gone: Any, stays: Any) -> None:
    assert not getattr(swept(base(**{name: gone})), name)
    if stays:
        assert getattr(swept(base(**{name: stays})), name) == stays


# Saved contexts

EVERYTHING = context(
    recorded=FULL,
    config=desired(
        prod(windows=(Recurring("0 9 * * *", HOUR), Interval(NOW, NOW + HOUR))),
        stage(parameters={"A": [1, None, True, 1.5], "B": {"c": "d"}}),
        freezes=(Freeze("f", "o", "r", (), frozenset({"x", "y"})),),
    ),
    seen=observed(
        merge_requests={1: REQUEST},
        diffs={1: change_of(desired(prod()), moved(prod(), B))},
        roles={"ana": Role.OWNER},
        blobs={"svc.yml": b"\x00\xff"},
        **known_history(A, B),
    ),
    report_key=b"the report key",
)


def test_a_saved_context_replays_the_same_decision() -> None:
    data = saved.save(EVERYTHING)
    assert b"the report key" not in data
    assert "dGhlIHJlcG9ydCBrZX" not in data.decode(), "the key is never saved"
    back = saved.replay(data)
    assert back == replace(EVERYTHING, report_key=None)
    assert decide(back) == decide(replace(EVERYTHING, report_key=None))
    assert saved.save(back) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b'{"schema": "other/1", "context": 1}',
        b'{"schema": "saasbot.context/1", "context": 1}',
        b'{"schema": "saasbot.context/1", "context": {"!": "Nonsense", "value": {}}}',
        b'{"schema": "saasbot.context/1", "context": {"!": "Context", "value": {}}}',
    ],
)
def test_what_is_no_saved_context_is_refused(data: bytes) -> None:
    with pytest.raises(WrongUsage):
        saved.replay(data)


def test_only_plain_data_is_saved() -> None:
    class Odd(datetime):
        """A value that is still a datetime."""

    assert saved.replay(saved.save(replace(EVERYTHING, now=Odd(2026, 1, 1)))).now == datetime(2026, 1, 1)  # noqa: DTZ001
    strange = replace(EVERYTHING, bootstrap=object())  # type: ignore[arg-type] # on purpose
    with pytest.raises(TypeError, match="holds no object"):
        saved.save(strange)
    full, _ = deliberated(context(prod(), stage(), recorded=base()))
    assert saved.replay(saved.save(full)) == full


def test_a_document_with_little_in_it_is_a_state_with_little_in_it() -> None:
    assert upkeep.salvage(b'{"version": 1, "lineage": "l", "targets": {}}') == (State(lineage="l"), ())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"version": 1}', "no lineage"),
        (b'{"version": 1, "lineage": "l", "time": "2026-01-05T00:00:00"}', "no time zone"),
        (b'{"version": 1, "lineage": "\xe6"}', "cut off"),
    ],
)
def test_what_would_start_everything_or_break_a_pass_is_no_statefile(data: bytes, says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        decode(data, "the statefile")
