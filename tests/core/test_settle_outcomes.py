"""What an outcome means for the statefile; folding it in twice is folding it in once (DESIGN section 8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_values import (
    NOW,
    PROD,
    STAGE,
    a_run,
    desired,
    merge_request,
    moved,
    mr_record,
    prod,
    published,
    record,
    sha,
    stage,
    state,
)

from bot.core.branches import with_record, without_record
from bot.core.follow import start
from bot.core.record import settle
from bot.model.observed import MergeRequestStatus
from bot.model.plan import (
    Action,
    AnswerCommand,
    CancelRun,
    CloseMergeRequest,
    CommentAction,
    Commit,
    DashboardAction,
    FollowRun,
    MergeHow,
    MergeMergeRequest,
    OpenMergeRequest,
    Outcome,
    OutcomeStatus,
    RecordState,
    RegenerateMergeRequest,
    UpdateMergeRequest,
)
from bot.model.runs import RunStatus
from bot.model.state import Answer, Hold, State, Thread

B = sha("b")
INTENT = a_run(stage(), status=RunStatus.PENDING, handle="")
START = start(stage(), INTENT)
OPEN = merge_request()
EDITS = (moved(prod(), B),)
BRANCH = OPEN.source_branch
SUBJECT = f"merge-request:{BRANCH}"
COMMIT = Commit(BRANCH, sha("base 2"), "message", {})
OPENED = OpenMergeRequest(SUBJECT, "svc.yml", 1, COMMIT, "t", "d", (), EDITS, ())
KEPT = mr_record(OPEN, asked="keep")
DONE = Outcome(OutcomeStatus.DONE, merge_request=replace(OPEN, head_sha=sha("new head")))
CONFIG = desired(prod(), stage())


def rebuilt(kind: type = UpdateMergeRequest, **commit: Any) -> Any:
    return kind(SUBJECT, 1, "svc.yml", 1, replace(COMMIT, **commit), "t", "d", EDITS, ())


def before() -> State:
    return state(
        record(prod()),
        record(stage(), run=INTENT),
        merge_requests={BRANCH: KEPT},
        answers={"1:5:0": Answer("5", 1, "ana", "hold", ok=True, text="")},
        ok=(published(STAGE, sha("a")),),
    )


def after(action: Action, outcome: Outcome, given: State | None = None) -> State:
    return settle(given or before(), CONFIG, (action,), (outcome,), NOW)


CLOSE = CloseMergeRequest(SUBJECT, 1, BRANCH, "because", ())
MERGE = MergeMergeRequest(SUBJECT, 1, OPEN.head_sha, ())
ANSWER = AnswerCommand(SUBJECT, 1, "5", "ok", "", ())
CANCEL = CancelRun(f"target:{STAGE}", STAGE, INTENT, stage().pipeline, ())
ACTIONS: tuple[Action, ...] = (
    START,
    CANCEL,
    OPENED,
    rebuilt(),
    rebuilt(RegenerateMergeRequest, keep=sha("theirs")),
    MERGE,
    CLOSE,
    ANSWER,
    RecordState("target:x", ()),
    FollowRun(f"target:{STAGE}", STAGE, INTENT, ()),
    CommentAction(SUBJECT, 1, BRANCH, "", "body", ()),
    DashboardAction("dashboard", 0, "title", "body", ()),
)


def ids(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("status", list(OutcomeStatus))
@pytest.mark.parametrize("action", ACTIONS, ids=ids)
def test_folding_twice_is_folding_once(action: Action, status: OutcomeStatus) -> None:
    ran = replace(INTENT, status=RunStatus.SUCCEEDED, finished_at=NOW, handle="h")
    outcome = replace(DONE, status=status, run=ran if isinstance(action, type(START) | CancelRun) else None)
    once = after(action, outcome)
    assert after(action, outcome, once) == once


@pytest.mark.parametrize("action", ACTIONS, ids=ids)
def test_a_document_that_knows_nothing_of_it_stays_as_it_is(action: Action) -> None:
    fresh = state()
    found = after(action, DONE, fresh)
    assert found == fresh or isinstance(action, OpenMergeRequest)


def test_a_started_run_gets_its_handle() -> None:
    begun = replace(INTENT, handle="h9", status=RunStatus.RUNNING)
    assert after(START, Outcome(OutcomeStatus.DONE, run=begun)).targets[STAGE].run == begun


def test_a_run_that_ended_at_once_publishes() -> None:
    ran = replace(INTENT, status=RunStatus.SUCCEEDED, finished_at=NOW, sha=B)
    assert {each.sha for each in after(START, Outcome(OutcomeStatus.DONE, run=ran)).channels["ok"]} == {sha("a"), B}


def test_a_start_that_was_refused_is_a_failed_run() -> None:
    run = after(START, Outcome(OutcomeStatus.REFUSED, "no such job")).targets[STAGE].run
    assert run is not None
    assert (run.status, run.text, run.finished_at) == (RunStatus.FAILED, "no such job", NOW)


@pytest.mark.parametrize("status", [OutcomeStatus.FAILED, OutcomeStatus.SKIPPED])
def test_a_start_that_nobody_knows_of_stays_an_intent(status: OutcomeStatus) -> None:
    assert after(START, Outcome(status)) == before()


def test_another_run_of_the_target_is_not_touched() -> None:
    other = state(record(stage(), run=replace(INTENT, key="another")))
    assert after(START, Outcome(OutcomeStatus.REFUSED), other) == other


def test_an_opened_merge_request_is_remembered() -> None:
    found = after(OPENED, DONE, state()).merge_requests[BRANCH]
    assert (found.iid, found.head, found.base, found.edits) == (1, sha("new head"), sha("base 2"), EDITS)
    assert (found.opened_at, found.changed_at) == (NOW, NOW)
    assert after(OPENED, Outcome(OutcomeStatus.REFUSED), state()) == state()


@pytest.mark.parametrize(("keep", "head"), [("", sha("new head")), (sha("theirs"), "")])
def test_a_rebuilt_branch_is_remembered(keep: str, head: str) -> None:
    found = after(rebuilt(RegenerateMergeRequest, keep=keep), DONE).merge_requests[BRANCH]
    assert (found.head, found.asked, found.base) == (head, "", sha("base 2"))


def test_what_a_command_asked_for_since_is_not_done_by_an_update() -> None:
    assert after(rebuilt(), DONE).merge_requests[BRANCH].asked == "keep"
    joined = state(merge_requests={BRANCH: replace(KEPT, asked="group")})
    assert after(rebuilt(), DONE, joined).merge_requests[BRANCH].asked == ""


def test_what_another_pass_was_told_of_a_fresh_merge_request_is_kept() -> None:
    held = state(merge_requests={BRANCH: replace(KEPT, hold=Hold("ana", NOW, "not yet"))})
    assert after(OPENED, DONE, held) == held


@pytest.mark.parametrize("action", [rebuilt(), MERGE, CLOSE], ids=ids)
def test_the_next_merge_request_of_a_branch_is_not_touched(action: Action) -> None:
    followed = state(merge_requests={BRANCH: replace(KEPT, iid=2)})
    assert after(action, DONE, followed) == followed


def test_each_command_of_a_note_is_answered_for_itself() -> None:
    answers = {f"1:5:{number}": Answer("5", 1, "ana", "hold", ok=True, text="") for number in (0, 1)}
    assert set(after(ANSWER, DONE, state(answers=answers)).answers) == {"1:5:1"}
    assert set(after(replace(ANSWER, number=1), DONE, state(answers=answers)).answers) == {"1:5:0"}


@pytest.mark.parametrize(("status", "asked"), [(OutcomeStatus.REFUSED, ""), (OutcomeStatus.FAILED, "keep")])
def test_a_command_to_rebuild_that_was_refused_is_over(status: OutcomeStatus, asked: str) -> None:
    assert after(rebuilt(), Outcome(status)).merge_requests[BRANCH].asked == asked


def test_merged_closed_answered() -> None:
    merged = replace(DONE, merge_request=replace(OPEN, state=MergeRequestStatus.MERGED))
    assert after(MERGE, merged).merge_requests[f"{BRANCH}!1"].merged
    assert not after(CLOSE, DONE).merge_requests
    assert not after(ANSWER, DONE).answers
    for action in (MERGE, CLOSE, ANSWER):
        assert after(action, Outcome(OutcomeStatus.FAILED)) == before()


def test_a_run_that_could_not_be_stopped_still_runs() -> None:
    assert after(CANCEL, Outcome(OutcomeStatus.REFUSED, "not yours")) == before()


def test_what_is_set_to_merge_is_remembered_by_its_head_until_it_is_taken_back() -> None:
    waits = after(replace(MERGE, how=MergeHow.WHEN_GREEN), replace(DONE, merge_request=replace(OPEN, auto_merge=True)))
    assert (waits.merge_requests[BRANCH].auto_merge, waits.merge_requests[BRANCH].merged) == (OPEN.head_sha, False)
    back = settle(waits, CONFIG, (replace(MERGE, how=MergeHow.NOT_WHEN_GREEN),), (Outcome(OutcomeStatus.DONE),), NOW)
    assert back.merge_requests[BRANCH].auto_merge == ""


def test_an_answer_is_settled_on_its_own_thread() -> None:
    on_dashboard = replace(ANSWER, thread=Thread.DASHBOARD)
    assert after(on_dashboard, DONE).answers == before().answers


def test_a_merged_one_makes_room_for_the_next_of_its_branch() -> None:
    merged = with_record(before(), replace(KEPT, merged=True))
    both = with_record(merged, mr_record(merge_request(iid=2)))
    assert set(both.merge_requests) == {BRANCH, f"{BRANCH}!1"}
    assert with_record(both, both.merge_requests[BRANCH]) is both
    assert set(without_record(both, both.merge_requests[f"{BRANCH}!1"]).merge_requests) == {BRANCH}
    assert without_record(both, KEPT) is both, "the branch belongs to another merge request by now"


def test_every_action_needs_an_outcome() -> None:
    with pytest.raises(ValueError, match="shorter"):
        settle(before(), CONFIG, (START, CANCEL), (DONE,), NOW)
    assert before().targets[PROD].run is None
