"""What is decided after an effect whose answer or record was lost; whole stories are in `test_every_fault.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import (
    ME,
    NOW,
    STAGE,
    World,
    a_run,
    change_of,
    context,
    decided,
    desired,
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
    target,
)

from bot.core.own_notes import answered, mark_answer, number_of, said_already
from bot.core.record import settle
from bot.model.observed import CiStatus, MergeRequestStatus, RunFact
from bot.model.plan import (
    AnswerCommand,
    CancelRun,
    MergeHow,
    MergeMergeRequest,
    OpenMergeRequest,
    Outcome,
    OutcomeStatus,
    Plan,
    StartRun,
    UpdateMergeRequest,
)
from bot.model.runs import Run, RunStatus
from bot.model.state import Answer, Hold, MergeRequestState
from bot.settings import Merge, PromotionSettings

A, B, C = sha("a"), sha("b"), sha("c")
OURS = merge_request()
TO_B = moved(prod(), B)
CONFIG = desired(prod(), stage())


def after(record_of_it: MergeRequestState, world: World | None = None, **fields: Any) -> Plan:
    """The plan with the bot's merge request as the fields say and its record as it is; the channel has published B."""
    known = state(
        record(prod()), record(stage()), ok=(published(STAGE, B),), merge_requests={OURS.source_branch: record_of_it}
    )
    seen = observed(merge_requests={1: replace(OURS, **fields)})
    options = settings(promotions=PromotionSettings(merge=Merge.WHEN_PIPELINE_SUCCEEDS))
    return decided(context(prod(), stage(), recorded=known, seen=seen, options=options, config=CONFIG), world)


def record_in(plan: Plan) -> MergeRequestState:
    """The record of the merge request that is saved."""
    assert plan.record is not None
    return plan.record.merge_requests[OURS.source_branch]


# A push was carried out, and nothing that follows it


def pushed(**known: Any) -> Plan:
    """The branch holds B by now, while the record and the texts are about C."""
    before = mr_record(OURS, moved(prod(), C), **{"head": sha("before"), **known})
    return after(before, World(diffs={1: change_of(CONFIG, TO_B)}), ci=CiStatus.RUNNING)


def test_texts_that_are_behind_their_branch_are_written_without_a_push() -> None:
    plan = pushed()
    (action,) = of_kind(plan, UpdateMergeRequest)
    assert (action.commit.files, action.commit.expected_head) == ({}, OURS.head_sha)
    assert B[:7] in action.title
    assert B[:7] in action.description
    assert (record_in(plan).edits, record_in(plan).asked) == ((TO_B,), "texts")
    done = Outcome(OutcomeStatus.DONE, merge_request=OURS)
    assert plan.record is not None
    settled = settle(plan.record, CONFIG, (action,), (done,), NOW).merge_requests[OURS.source_branch]
    assert (settled.asked, settled.head, settled.edits) == ("", OURS.head_sha, (TO_B,))


def test_texts_are_asked_for_until_they_are_written() -> None:
    still = mr_record(OURS, TO_B, asked="texts")
    (action,) = of_kind(after(still, draft=True), UpdateMergeRequest)
    assert not action.commit.files
    assert not of_kind(after(still), UpdateMergeRequest), "what is merged now needs no other title"
    assert of_kind(after(still), MergeMergeRequest)


def test_what_a_command_asked_for_goes_before_the_texts() -> None:
    assert record_in(pushed(asked="keep")).asked == "keep"


def test_a_branch_rebuilt_with_the_same_content_keeps_its_texts() -> None:
    before = mr_record(OURS, TO_B, head=sha("before"))
    plan = after(before, World(diffs={1: change_of(CONFIG, TO_B)}), ci=CiStatus.RUNNING)
    assert not of_kind(plan, UpdateMergeRequest)
    assert (record_in(plan).asked, record_in(plan).head) == ("", OURS.head_sha)


# Auto-merge


def test_an_auto_merge_of_the_bot_whose_answer_was_lost_is_known_again() -> None:
    plan = after(mr_record(OURS, TO_B), ci=CiStatus.RUNNING, auto_merge=True, auto_merge_by=ME)
    assert record_in(plan).auto_merge == OURS.head_sha
    assert not of_kind(plan, MergeMergeRequest)


def test_an_auto_merge_that_was_taken_back_is_set_again_when_it_is_let_go() -> None:
    held = mr_record(OURS, TO_B, auto_merge=OURS.head_sha, hold=Hold("ana", NOW))
    plan = after(held, ci=CiStatus.RUNNING)
    assert record_in(plan).auto_merge == ""
    let_go = after(replace(record_in(plan), hold=None), ci=CiStatus.RUNNING)
    assert [each.how for each in of_kind(let_go, MergeMergeRequest)] == [MergeHow.WHEN_GREEN]


# A merge that the base does not show yet


@pytest.mark.parametrize(("ref", "opens"), [(A, 0), (C, 1)])
def test_what_was_merged_after_the_base_was_read_is_not_opened_again(ref: str, opens: int) -> None:
    given = prod(ref=ref)
    known = state(
        record(given),
        record(stage()),
        ok=(published(STAGE, B),),
        merge_requests={OURS.source_branch: mr_record(OURS, TO_B)},
    )
    seen = observed(merge_requests={1: replace(OURS, state=MergeRequestStatus.MERGED)})
    config = desired(given, stage())
    world = World(history=(A, C, B))
    plan = decided(context(given, stage(), recorded=known, seen=seen, config=config), world)
    assert len(of_kind(plan, OpenMergeRequest)) == opens
    assert plan.record is not None
    again = decided(context(given, stage(), recorded=plan.record, seen=seen, config=config), world)
    assert len(of_kind(again, OpenMergeRequest)) == 1, "the next pass has read the base anew"


# Runs


def flying(run: Run, fact: RunFact | None) -> Plan:
    """The plan with a run in flight."""
    known = state(record(target(), run=run))
    return decided(context(target(), recorded=known, seen=observed(runs={run.key: fact})))


def test_a_run_that_a_command_stopped_is_stopped_until_it_has_ended() -> None:
    run = a_run(target(), stop="ana")
    (action,) = of_kind(flying(run, RunFact(RunStatus.RUNNING, "h1")), CancelRun)
    assert action.reasons[0].text == "ana asked to stop run 1"
    assert not of_kind(flying(run, RunFact(RunStatus.CANCELED, "h1")), CancelRun)


def test_a_server_that_refuses_to_stop_a_run_is_asked_once() -> None:
    run = a_run(target(), stop="ana")
    plan = flying(run, RunFact(RunStatus.RUNNING, "h1"))
    (action,) = of_kind(plan, CancelRun)
    known = state(record(target(), run=run))
    found = settle(known, desired(target()), (action,), (Outcome(OutcomeStatus.REFUSED, "not yours"),), NOW)
    assert found.targets[target().id].run == replace(run, stop="")


def test_a_run_that_was_not_asked_for_starts_without_a_question() -> None:
    intent = a_run(target(), status=RunStatus.PENDING, handle="", intent_at=None)
    (action,) = of_kind(flying(intent, RunFact(RunStatus.UNKNOWN, text="nobody knows")), StartRun)
    assert (action.run.key, action.run.intent_at) == (intent.key, NOW)


@pytest.mark.parametrize(("meanwhile", "begins_anew"), [({}, True), ({"handle": "h9"}, False)])
def test_only_the_intent_at_hand_is_taken_back(meanwhile: dict[str, str], begins_anew: bool) -> None:
    intent = a_run(target(), status=RunStatus.PENDING, handle="", intent_at=NOW - timedelta(minutes=2))
    (action,) = of_kind(flying(intent, None), StartRun)
    known = state(record(target(), run=replace(action.run, **meanwhile)))
    skipped = Outcome(OutcomeStatus.SKIPPED, "too late", untouched=True)
    run = settle(known, desired(target()), (action,), (skipped,), NOW).targets[target().id].run
    assert run is not None
    assert (run.intent_at is None) is begins_anew


# Answers


def test_each_command_of_a_note_has_a_reply_of_its_own() -> None:
    answers = {f"1:5:{number}": Answer("5", 1, "ana", "x", ok=False, text=f"no {number}") for number in (0, 1)}
    given = prod()
    person = merge_request("feature", author="eve", notes=())
    known = state(record(given), answers=answers, cursors={"notes:1": 99})

    def replies(*bodies: str) -> list[tuple[int, bool]]:
        notes = tuple(note_of(body, str(10 + number)) for number, body in enumerate(bodies))
        seen = observed(merge_requests={1: replace(person, notes=notes)})
        plan = decided(context(given, recorded=known, seen=seen), World(diffs={1: change_of(CONFIG)}))
        return [(action.number, bool(action.body)) for action in of_kind(plan, AnswerCommand)]

    assert replies() == [(0, True), (1, True)]
    assert replies(mark_answer("no 0", "5", None)) == [(0, False), (1, True)]
    assert replies(mark_answer("no 0", "5", None), mark_answer("no 1", "5", None, 1)) == [(0, False), (1, False)]


def note_of(body: str, number: str) -> Any:
    """A note of the bot."""
    from core_values import note  # noqa: PLC0415 - by the name that tests use

    return note(body, number, ME)


def test_a_reply_is_known_by_its_marker() -> None:
    first, second = mark_answer("no", "5", b"k"), mark_answer("no", "5", b"k", 1)
    notes = (note_of(first, "6"),)
    assert answered(notes, ME, "5", b"k")
    assert not answered(notes, ME, "5", b"k", 1)
    assert said_already(notes, ME, first, b"k")
    assert not said_already(notes, ME, second, b"k")
    assert not said_already(notes, ME, "a text without a marker", b"k")


@pytest.mark.parametrize(("key", "number"), [("1:5:0", 0), ("dashboard:1:5:3", 3), ("1:5", 5), ("whatever", 0)])
def test_the_number_of_a_command_is_in_its_key(key: str, number: int) -> None:
    assert number_of(key) == number
