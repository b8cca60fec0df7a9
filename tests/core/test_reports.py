"""The sticky comments: on promotions, merged ones and people's changes; edited only when they say something new."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from core_values import (
    HOUR,
    ME,
    NOW,
    PROD,
    STAGE,
    URL,
    World,
    a_run,
    context,
    decided,
    desired,
    file_bytes,
    merge_request,
    moved,
    mr_record,
    note,
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

from bot.model.desired import Desired, Target
from bot.model.observed import BranchDiff, Change, CiStatus, MergeRequest, MergeRequestStatus, Title, Unreachable
from bot.model.plan import CommentAction, OpenMergeRequest, Plan
from bot.model.runs import RunStatus
from bot.model.state import Hold, Question
from bot.settings import Merge, PromotionSettings

A, B = sha("a"), sha("b")
EDIT = moved(prod(), B)


def comments(plan: Plan) -> list[CommentAction]:
    return of_kind(plan, CommentAction)


def on_promotion(
    *notes: Any, ours: dict[str, Any] | None = None, state_fields: dict[str, Any] | None = None, **fields: Any
) -> Plan:
    request = merge_request(notes=notes, **fields)
    kept = mr_record(request, EDIT, **(ours or {}))
    recorded = state(
        record(prod()),
        record(stage()),
        **{"ok": (published(STAGE, B),), "merge_requests": {kept.branch: kept}, **(state_fields or {})},
    )
    titles = {f"{URL} {A}..{B}": (Title(B, "Fix the door"),)}
    seen = observed(merge_requests={1: request}, titles=titles)
    return decided(context(prod(), stage(), recorded=recorded, seen=seen, report_key=b"k"))


def test_a_promotion_says_what_moves() -> None:
    (action,) = comments(on_promotion())
    assert (action.iid, action.note) == (1, "")
    for words in (PROD, A[:7], B[:7], "Fix the door", "/saasbot"):
        assert words in action.body


def test_a_comment_that_says_the_same_is_not_edited() -> None:
    (action,) = comments(on_promotion())
    assert not comments(on_promotion(note(action.body, "7", ME)))


@pytest.mark.parametrize("author", [ME, "eve"])
def test_only_the_bots_own_comment_is_edited(author: str) -> None:
    (first,) = comments(on_promotion())
    (action,) = comments(on_promotion(note(first.body, "7", author), ours={"hold": Hold("bob", NOW, "wait")}))
    assert action.note == ("7" if author == ME else "")
    assert "wait" in action.body


def test_a_merge_is_announced() -> None:
    request = merge_request()
    kept = mr_record(request, EDIT)
    recorded = state(record(prod()), record(stage()), ok=(published(STAGE, B),), merge_requests={kept.branch: kept})
    options = settings(promotions=PromotionSettings(merge=Merge.WHEN_PIPELINE_SUCCEEDS))
    plan = decided(
        context(prod(), stage(), recorded=recorded, seen=observed(merge_requests={1: request}), options=options)
    )
    assert "every gate passes" in comments(plan)[0].body


def test_one_that_is_closed_gets_no_report() -> None:
    assert not comments(on_promotion(state_fields={"ok": ()}))


def test_an_edit_that_was_refused_is_told_on_its_batch() -> None:
    one, two = prod("svc/web/one"), prod("svc/web/two", index=1)
    text = file_bytes(one, two).replace(f"ref: {A}\n".encode(), f"ref: {sha('z')}\n".encode(), 1)
    recorded = state(record(one), record(two), record(stage()), ok=(published(STAGE, B),))
    plan = decided(context(one, two, stage(), recorded=recorded), World(blobs={"svc.yml": text}))
    assert "svc/web/one" in comments(plan)[0].body
    far = prod("far/web/prod")
    recorded = state(record(one), record(far), record(stage()), ok=(published(STAGE, B),))
    plan = decided(context(one, far, stage(), recorded=recorded), World(blobs={"svc.yml": text}))
    assert len(of_kind(plan, OpenMergeRequest)) == 1
    assert "svc/web/one" not in comments(plan)[0].body


# After the merge


def merged(run: RunStatus | None, *notes: Any, began: datetime = NOW - timedelta(minutes=4), **fields: Any) -> Plan:
    now_at = prod(ref=B)
    request = merge_request(state=MergeRequestStatus.MERGED, notes=notes)
    kept = mr_record(request, EDIT, merged=True, **fields)
    ran = a_run(now_at, B, run, url="https://ci.example.com/1", started_at=began) if run else None
    key = f"{kept.branch}!1"
    recorded = state(record(now_at, run=ran), record(stage()), ok=(published(STAGE, B),), merge_requests={key: kept})
    seen = observed(merge_requests={1: request}, runs={ran.key: Unreachable("away")} if ran else {})
    return decided(context(now_at, stage(), recorded=recorded, seen=seen))


def test_the_runs_of_a_merge_are_reported_to_their_end() -> None:
    (running,) = comments(merged(RunStatus.RUNNING))
    assert "running" in running.body
    told = note(running.body, "7", ME)
    quiet = merged(RunStatus.RUNNING, told)
    assert not comments(quiet)
    assert quiet.record is None, "it is kept while the run goes on"
    (ended,) = comments(merged(RunStatus.SUCCEEDED, told))
    assert ended.note == "7"
    assert "succeeded after 3m" in ended.body
    over = merged(RunStatus.SUCCEEDED, note(ended.body, "7", ME))
    assert over.record is not None
    assert not over.record.merge_requests, "told and ended: it may be forgotten"


def test_no_duration_is_told_where_two_clocks_disagree() -> None:
    (ended,) = comments(merged(RunStatus.SUCCEEDED, began=NOW))
    assert "succeeded" in ended.body
    assert "succeeded after" not in ended.body


def test_a_merge_whose_runs_never_come_is_forgotten_after_a_week() -> None:
    (first,) = comments(merged(None))
    told = note(first.body, "7", ME)
    assert merged(None, told).record is None
    late = merged(None, told, changed_at=NOW - timedelta(days=8))
    assert late.record is not None
    assert not late.record.merge_requests


def test_a_merged_record_without_its_merge_request_waits() -> None:
    kept = mr_record(merge_request(), EDIT, merged=True)
    recorded = state(record(prod()), record(stage()), merge_requests={"saasbot/svc.yml!1": kept})
    assert decided(context(prod(), stage(), recorded=recorded)) == Plan()


# People's merge requests


def on_change(
    proposal: Desired | Unreachable, path: str = "svc.yml", question: Question | None = None, **fields: Any
) -> list[CommentAction]:
    request = merge_request("feature", author="eve", notes=fields.pop("notes", ()))
    compared = BranchDiff(sha("base"), (Change(path, b"a", b"b"),))
    recorded = state(
        record(prod()), record(stage()), questions={"1": question} if question else {}, ok=fields.pop("ok", ())
    )
    seen = observed(merge_requests={1: request})
    plan = decided(
        context(prod(), stage(), recorded=recorded, seen=seen, **fields),
        World(diffs={1: compared}, proposals={1: proposal}),
    )
    return [each for each in comments(plan) if each.branch == "feature"]


def test_a_persons_change_gets_the_plan() -> None:
    (action,) = on_change(desired(prod(), stage(parameters={"X": 1})))
    assert (action.branch, action.iid) == ("feature", 1)
    assert STAGE in action.body
    assert "config_change" in action.body


def test_a_persons_promotion_is_judged_by_the_same_gates() -> None:
    (action,) = on_change(desired(prod(ref=B), stage()))
    assert "was not published" in action.body
    (fine,) = on_change(desired(prod(ref=B), stage()), ok=(published(STAGE, B),))
    assert "was not published" not in fine.body
    assert PROD in fine.body


@pytest.mark.parametrize(
    ("proposal", "path"),
    [
        (desired(prod(), stage()), "svc.yml"),
        (desired(prod(), stage(parameters={"X": 1})), "README.md"),
        (desired(prod(auto=False), stage()), "svc.yml"),
        (desired(prod(), stage(), target("svc/web/off", disable=True)), "svc.yml"),
    ],
    ids=["no target", "no data", "nothing runs", "disabled"],
)
def test_a_change_that_concerns_nobody_gets_no_comment(proposal: Desired, path: str) -> None:
    assert not on_change(proposal, path)


def test_a_comment_that_is_there_is_kept_up_to_date() -> None:
    (first,) = on_change(desired(prod(), stage(parameters={"X": 1})))
    (second,) = on_change(desired(prod(), stage()), notes=(note(first.body, "7", ME),))
    assert second.note == "7"


def test_data_are_below_the_data_folder() -> None:
    options = replace(settings(), data_dir="data")
    proposal = desired(prod(), stage(parameters={"X": 1}))
    assert not on_change(proposal, "svc.yml", options=options)
    assert on_change(proposal, "data/svc.yml", options=options)


def test_a_change_that_cannot_be_read_says_so() -> None:
    (action,) = on_change(Unreachable("it conflicts"))
    assert "it conflicts" in action.body


def test_what_would_be_gone_or_invalid_is_told() -> None:
    proposal = desired(stage(), invalid={"svc.yml": "bad ref"})
    (action,) = on_change(proposal)
    assert "svc.yml would be invalid: bad ref" in action.body
    assert f"{PROD} would be gone" in action.body


def test_what_is_invalid_already_is_not_told_again() -> None:
    proposal = desired(prod(), stage(parameters={"X": 1}), invalid={"else.yml": "bad ref"})
    config = desired(prod(), stage(), invalid={"else.yml": "bad ref"})
    (action,) = on_change(proposal, config=config)
    assert "else.yml" not in action.body


def test_many_that_would_be_gone_are_counted() -> None:
    many: list[Target] = [target(f"svc/web/t{n}") for n in range(22)]
    request = merge_request("feature", author="eve")
    compared = BranchDiff(sha("base"), (Change("svc.yml", b"a", b"b"),))
    seen = observed(merge_requests={1: request})
    plan = decided(
        context(*many, recorded=state(*(record(each) for each in many)), seen=seen),
        World(diffs={1: compared}, proposals={1: desired()}),
    )
    assert "2 more targets would be gone" in comments(plan)[0].body


def test_a_new_target_of_a_change_is_told() -> None:
    (action,) = on_change(desired(prod(), stage(), target("svc/web/new")))
    assert "svc/web/new" in action.body
    (away,) = on_change(desired(prod(), stage(), stage("svc/web/new", url="https://x/y")))
    assert "svc/web/new" in away.body


# Questions


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question("help", "", "eve"), "override"),
        (Question("explain", PROD, "eve"), "`freeze`"),
        (Question("status", STAGE, "eve"), f"status {STAGE}"),
        (Question("plan", "", "eve"), "answered by this report"),
        (Question("explain", "no/such/target", "eve"), "the config has no target"),
    ],
)
def test_a_question_is_answered_in_the_report(question: Question, words: str) -> None:
    (action,) = on_change(desired(prod(), stage()), question=question)
    assert words in action.body


def test_a_question_on_a_promotion_is_about_what_is_in_it() -> None:
    asked = {"questions": {"1": Question("explain", "", "eve")}}
    (action,) = comments(on_promotion(state_fields=asked))
    assert f"explain {PROD}" in action.body
    assert f"next version {B[:7]}" in action.body


def test_an_explanation_tells_the_run_and_when_a_gate_may_pass() -> None:
    soaking: MergeRequest = merge_request("feature", author="eve")
    given = prod(soak=9 * HOUR)
    ran = a_run(given, status=RunStatus.SUCCEEDED)
    recorded = state(
        record(given, run=ran),
        record(stage()),
        ok=(published(STAGE, B),),
        questions={"1": Question("status", PROD, "x")},
    )
    compared = BranchDiff(sha("base"), (Change("svc.yml", b"a", b"b"),))
    plan = decided(
        context(given, stage(), recorded=recorded, seen=observed(merge_requests={1: soaking})),
        World(diffs={1: compared}, proposals={1: desired(given, stage())}),
    )
    body = comments(plan)[0].body
    assert "run 1 of" in body
    assert "`soak` holds" in body
    assert "2026-01-14T20:00:00Z" in body
    assert CiStatus.NONE is soaking.ci
