"""Promotion merge requests: opened, updated, rebuilt, cut, merged, closed, or left alone (DESIGN section 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_values import (
    HOUR,
    ME,
    NOW,
    PROD,
    STAGE,
    World,
    change_of,
    context,
    decided,
    desired,
    file_bytes,
    held_gates,
    merge_request,
    moved,
    mr_record,
    observed,
    of_kind,
    prod,
    published,
    record,
    records,
    settings,
    sha,
    stage,
    state,
)

from bot.core.focus import Focus
from bot.model.desired import Target
from bot.model.observed import BranchDiff, Change, CiStatus, MergeRequest, MergeRequestStatus, Unreachable
from bot.model.plan import (
    CloseMergeRequest,
    CommentAction,
    MergeHow,
    MergeMergeRequest,
    OpenMergeRequest,
    Plan,
    RegenerateMergeRequest,
    SplitMergeRequest,
    UpdateMergeRequest,
)
from bot.model.state import Block, Edit, FailedContent, Hold, MergeRequestState, Pin, PromotionRequest, State, Veto
from bot.settings import BatchBy, Merge, PromotionSettings, Regenerate, Update

A, B, C = sha("a"), sha("b"), sha("c")
SUBJECT = "merge-request:saasbot/svc.yml"
ONE, TWO = prod("svc/web/one"), prod("svc/web/two", index=1)
FAR = prod("far/web/prod")
TO_B = (published(STAGE, B),)
TO_C = (published(STAGE, B, 2 * HOUR), published(STAGE, C))
REBUILT = (UpdateMergeRequest, RegenerateMergeRequest, SplitMergeRequest)


def known(*targets: Target, ok: Any = TO_B, **fields: Any) -> State:
    return state(*(record(each) for each in targets), record(stage()), ok=ok, **fields)


def options(**fields: Any) -> Any:
    return settings(promotions=PromotionSettings(**fields))


def opened(
    *edits: Edit,
    targets: tuple[Target, ...] = (prod(),),
    ok: Any = TO_B,
    world: World | None = None,
    recorded: dict[str, Any] | None = None,
    known_as: dict[str, Any] | None = None,
    seen: dict[str, Any] | None = None,
    config: Any = None,
    policy: Any = None,
    **fields: Any,
) -> Plan:
    """The plan with one open merge request of these edits; `fields` are the merge request's."""
    request = merge_request(**fields)
    ours = mr_record(request, *(edits or (moved(prod(), B),)), **(known_as or {}))
    given = known(*targets, ok=ok, **{"merge_requests": {ours.branch: ours}, **(recorded or {})})
    found = context(
        *targets,
        stage(),
        recorded=given,
        seen=observed(merge_requests={1: request}, **(seen or {})),
        options=policy or settings(),
        config=config or desired(*targets, stage()),
    )
    return decided(found, world)


def kinds(plan: Plan) -> list[str]:
    """The actions that touch merge requests; comments aside."""
    return [type(each).__name__ for each in plan.actions if not isinstance(each, CommentAction)]


# Opening


def test_a_new_version_opens_a_merge_request_with_its_final_bytes() -> None:
    plan = decided(context(prod(), stage(), recorded=known(prod())))
    (action,) = of_kind(plan, OpenMergeRequest)
    assert action.commit.branch == "saasbot/svc.yml"
    assert action.commit.files == {"svc.yml": file_bytes(prod(ref=B))}
    assert (action.commit.parent, action.commit.expected_head) == (sha("base"), "")
    assert action.edits == (moved(prod(), B),)
    assert action.reasons[0].kind == "promotion"
    (comment,) = of_kind(plan, CommentAction)
    assert (comment.iid, comment.branch, comment.note) == (0, "saasbot/svc.yml", "")


def test_a_branch_left_over_is_replaced_knowingly() -> None:
    plan = decided(
        context(prod(), stage(), recorded=known(prod())), World(branches={"saasbot/svc.yml": sha("left over")})
    )
    assert of_kind(plan, OpenMergeRequest)[0].commit.expected_head == sha("left over")


def test_targets_of_one_file_share_a_merge_request_and_files_do_not() -> None:
    plan = decided(context(ONE, TWO, FAR, stage(), recorded=known(ONE, TWO, FAR)))
    assert {a.commit.branch: len(a.edits) for a in of_kind(plan, OpenMergeRequest)} == {
        "saasbot/svc.yml": 2,
        "saasbot/far.yml": 1,
    }
    together = context(ONE, FAR, stage(), recorded=known(ONE, FAR), options=options(batch_by=BatchBy.ALL))
    assert [a.commit.branch for a in of_kind(decided(together), OpenMergeRequest)] == ["saasbot/all"]


def test_only_so_many_are_open_at_once() -> None:
    found = context(ONE, FAR, stage(), recorded=known(ONE, FAR), options=options(max_open=1))
    plan = decided(found)
    assert len(of_kind(plan, OpenMergeRequest)) == 1
    assert [each.gate for each in plan.held] == ["budget"]


@pytest.mark.parametrize(("rollback", "kind"), [(False, "promote"), (True, "rollback")])
def test_a_command_is_told_as_the_reason(rollback: bool, kind: str) -> None:
    asked = {PROD: PromotionRequest(PROD, B, "ana", NOW, rollback=rollback)}
    plan = decided(context(prod(auto=False), stage(), recorded=known(prod(), requests=asked)))
    (action,) = of_kind(plan, OpenMergeRequest)
    assert action.reasons[0].kind == kind
    assert "asked for by ana" in action.reasons[0].text


def test_what_cannot_be_edited_safely_is_refused_and_the_rest_goes() -> None:
    text = file_bytes(ONE, TWO).replace(f"ref: {A}\n".encode(), f"ref: &x {A}\n".encode(), 1)
    text = text.replace(f"ref: {A}\n".encode(), b"ref: *x\n")
    plan = decided(context(ONE, TWO, stage(), recorded=known(ONE, TWO)), World(blobs={"svc.yml": text}))
    assert "unsafe_edit" in {str(each.gate) for each in plan.held}
    assert not of_kind(plan, OpenMergeRequest)
    other = file_bytes(ONE, TWO).replace(f"ref: {A}\n".encode(), f"ref: {C}\n".encode(), 1)
    plan = decided(context(ONE, TWO, stage(), recorded=known(ONE, TWO)), World(blobs={"svc.yml": other}))
    assert [a.edits for a in of_kind(plan, OpenMergeRequest)] == [(moved(TWO, B),)]
    assert held_gates(plan, f"target:{ONE.id}") == {"unsafe_edit"}


# One that is open


def test_nothing_is_pushed_where_nothing_changed() -> None:
    assert kinds(opened()) == []


def test_a_newer_version_updates_in_place() -> None:
    plan = opened(ok=TO_C)
    (action,) = of_kind(plan, UpdateMergeRequest)
    assert (action.iid, action.commit.branch) == (1, "saasbot/svc.yml")
    assert action.commit.expected_head == sha("head-1")
    assert action.edits == (moved(prod(), C),)
    assert action.reasons[0].text == f"{PROD} {B[:7]} -> {C[:7]}"


def test_a_conflict_regenerates_in_place() -> None:
    plan = opened(has_conflicts=True, ci=CiStatus.RUNNING)
    (action,) = of_kind(plan, RegenerateMergeRequest)
    assert action.commit.files == {"svc.yml": file_bytes(prod(ref=B))}
    assert action.commit.keep == ""


@pytest.mark.parametrize(("policy", "count"), [(Regenerate.CONFLICT, 0), (Regenerate.BEHIND, 1)])
def test_a_moved_base_regenerates_where_asked(policy: Regenerate, count: int) -> None:
    plan = opened(known_as={"base": sha("old base")}, policy=options(regenerate=policy))
    assert len(of_kind(plan, RegenerateMergeRequest)) == count


def test_what_is_on_the_base_is_closed_as_done() -> None:
    plan = opened(targets=(prod(ref=B),), recorded={"targets": records(record(prod(ref=B)), record(stage()))})
    (action,) = of_kind(plan, CloseMergeRequest)
    assert action.reasons[0].kind == "done"
    assert kinds(plan)[0] == "CloseMergeRequest"


@pytest.mark.parametrize(
    "over",
    [
        {"ok": ()},
        {"targets": (replace(prod(), disable=True),)},
        {"recorded": {"blocks": (Block("https://git.example.com/my/service", B, "ana", NOW, "x"),)}},
        {"targets": (prod(auto=False),)},
    ],
    ids=["withdrawn", "disabled", "blocked", "by command only"],
)
def test_what_nobody_wants_any_more_is_withdrawn(over: dict[str, Any]) -> None:
    (action,) = of_kind(opened(**over), CloseMergeRequest)
    assert action.reasons[0].kind == "withdrawn"


def test_what_only_waits_stays_open() -> None:
    assert kinds(opened(targets=(prod(soak=99 * HOUR),))) == []
    assert kinds(opened(recorded={"pins": {PROD: Pin(A, "ana", NOW)}})) == []


def test_a_request_keeps_its_version_open() -> None:
    asked = {PROD: PromotionRequest(PROD, B, "ana", NOW)}
    assert kinds(opened(targets=(prod(auto=False),), recorded={"requests": asked})) == []


def test_a_target_that_left_the_config_leaves_the_merge_request() -> None:
    plan = opened(moved(ONE, B), moved(TWO, B), targets=(ONE,))
    (action,) = of_kind(plan, UpdateMergeRequest)
    assert action.edits == (moved(ONE, B),)
    assert "svc/web/two taken out" in action.reasons[0].text


def test_a_branch_that_is_gone_is_closed_and_comes_again() -> None:
    plan = opened(head_sha="")
    assert of_kind(plan, CloseMergeRequest)[0].reasons[0].kind == "withdrawn"


# Left alone


@pytest.mark.parametrize(
    ("locked", "gate"),
    [
        ({"approved_by": ("bob",)}, "hold"),
        ({"auto_merge": True}, "hold"),
        ({"ci": CiStatus.RUNNING}, "run_in_flight"),
        ({"known_as": {"hold": Hold("bob", NOW, "wait")}}, "hold"),
    ],
    ids=["approved", "set to merge", "CI runs", "held"],
)
def test_a_newer_version_follows_after_one_that_is_left_alone(locked: dict[str, Any], gate: str) -> None:
    plan = opened(ok=TO_C, **locked)
    assert kinds(plan) == [], "neither updated nor a second one for the file"
    assert gate in held_gates(plan, SUBJECT)


@pytest.mark.parametrize("quiet", [{"approved_by": ("bob",)}, {"ci": CiStatus.RUNNING}])
def test_one_that_waits_for_nothing_is_not_held(quiet: dict[str, Any]) -> None:
    assert held_gates(opened(**quiet), SUBJECT) == set()


def test_a_hold_says_who_and_why() -> None:
    plan = opened(known_as={"hold": Hold("bob", NOW, "wait")})
    assert [each.text for each in plan.held] == ["held by bob: wait; `unhold` lets it go"]


def test_an_approved_one_is_updated_where_asked_and_rebuilt_on_conflict() -> None:
    assert kinds(opened(ok=TO_C, approved_by=("bob",), policy=options(update=Update.ALWAYS))) == ["UpdateMergeRequest"]
    plan = opened(ok=TO_C, approved_by=("bob",), has_conflicts=True)
    (action,) = of_kind(plan, RegenerateMergeRequest)
    assert action.edits == (moved(prod(), B),), "its own version, not the newer one"


def test_a_file_that_is_invalid_is_left_alone() -> None:
    config = desired(stage(), invalid={"svc.yml": "bad"})
    plan = opened(config=config)
    assert kinds(plan) == []
    assert held_gates(plan, SUBJECT) == {"invalid"}


# The branch itself


def found_on_the_forge(compared: BranchDiff | Unreachable, **fields: Any) -> Plan:
    return opened(
        known_as={"head": sha("another head"), **fields.pop("known_as", {})}, world=World(diffs={1: compared}), **fields
    )


CONFIG = desired(prod(), stage())


def test_a_rebase_by_the_forge_does_not_stop_the_bot() -> None:
    plan = found_on_the_forge(change_of(CONFIG, moved(prod(), B)))
    assert kinds(plan) == []
    assert plan.record is not None
    assert plan.record.merge_requests["saasbot/svc.yml"].head == sha("head-1")


@pytest.mark.parametrize(
    "change",
    [
        Change("svc.yml", file_bytes(prod()), file_bytes(prod(ref=B)) + b"# by hand\n"),
        Change("new.yml", None, b"x: 1\n"),
        Change("svc.yml", file_bytes(prod()), None),
        Change("else.yml", file_bytes(prod()), file_bytes(prod(ref=B))),
    ],
    ids=["a comment", "a new file", "a deleted file", "no target of ours"],
)
def test_a_persons_commit_stops_the_bot(change: Change) -> None:
    plan = found_on_the_forge(BranchDiff(sha("base"), (change,)), ok=TO_C)
    assert kinds(plan) == []
    assert held_gates(plan, SUBJECT) == {"human_commit"}


def test_an_order_to_regenerate_does_not_keep_a_file_that_has_got_another_batch() -> None:
    """Batched by app now, by file before: the old merge request goes, it is not built anew beside the new one."""
    plan = opened(known_as={"asked": "keep"}, policy=options(batch_by=BatchBy.APP))
    assert kinds(plan) == ["CloseMergeRequest", "OpenMergeRequest"]


@pytest.mark.parametrize(("asked", "keep"), [("keep", sha("head-1")), ("discard", "")])
def test_regenerate_keeps_or_drops_a_persons_commits(asked: str, keep: str) -> None:
    change = Change("svc.yml", file_bytes(prod()), b"by: hand\n")
    plan = found_on_the_forge(BranchDiff(sha("base"), (change,)), known_as={"asked": asked})
    (action,) = of_kind(plan, RegenerateMergeRequest)
    assert action.commit.keep == keep
    assert action.edits == (moved(prod(), B),)


def test_regenerate_of_nothing_left_is_forgotten() -> None:
    change = Change("svc.yml", file_bytes(prod(ref=B)), b"by: hand\n")
    plan = found_on_the_forge(
        BranchDiff(sha("base"), (change,)),
        known_as={"asked": "keep"},
        targets=(prod(ref=B),),
        recorded={"targets": records(record(prod(ref=B)), record(stage()))},
    )
    assert kinds(plan) == []
    assert plan.record is not None
    assert plan.record.merge_requests["saasbot/svc.yml"].asked == ""


def test_a_branch_out_of_reach_is_left_out_of_this_pass() -> None:
    plan = found_on_the_forge(Unreachable("forge: refused"))
    assert held_gates(plan, SUBJECT) == {"unreachable"}


def test_an_unknown_merge_request_of_the_bot_is_adopted() -> None:
    request = merge_request()
    found = context(prod(), stage(), recorded=known(prod()), seen=observed(merge_requests={1: request}))
    plan = decided(found, World(diffs={1: change_of(CONFIG, moved(prod(), B))}))
    assert kinds(plan) == []
    assert plan.record is not None
    assert plan.record.merge_requests["saasbot/svc.yml"].edits == (moved(prod(), B),)


def test_a_command_to_ignore_closes() -> None:
    (action,) = of_kind(opened(known_as={"asked": "close"}), CloseMergeRequest)
    assert action.reasons[0].kind == "ignored"


# Its end


def ended(request: MergeRequest, **fields: Any) -> Plan:
    ours = mr_record(request, moved(prod(), B), **fields)
    recorded = known(prod(), merge_requests={ours.branch: ours}, requests={PROD: PromotionRequest(PROD, B, "ana", NOW)})
    seen = observed(merge_requests={1: request} if request.iid == 1 else {})
    return decided(context(prod(), stage(), recorded=recorded, seen=seen))


def test_one_closed_by_a_person_vetoes_its_versions() -> None:
    plan = ended(merge_request(state=MergeRequestStatus.CLOSED, closed_by="bob"))
    assert plan.record is not None
    assert plan.record.vetoes == (Veto(PROD, B, "bob", NOW),)
    assert not plan.record.merge_requests
    assert not plan.record.requests
    assert kinds(plan) == ["RecordState"]
    assert held_gates(plan, f"target:{PROD}") == {"vetoed"}


@pytest.mark.parametrize("closed_by", [ME, "bob"])
def test_one_closed_by_the_bot_vetoes_nothing(closed_by: str) -> None:
    plan = ended(merge_request(state=MergeRequestStatus.CLOSED, closed_by=closed_by))
    assert plan.record is not None
    assert bool(plan.record.vetoes) is (closed_by == "bob")


def test_one_that_is_merged_is_kept_for_its_runs() -> None:
    plan = ended(merge_request(state=MergeRequestStatus.MERGED))
    assert plan.record is not None
    assert not plan.record.vetoes


def test_one_that_nobody_knows_any_more_is_forgotten() -> None:
    plan = ended(merge_request(iid=9))
    assert plan.record is not None
    assert set(plan.record.merge_requests) <= {"saasbot/svc.yml!9"} - {"saasbot/svc.yml"}
    assert not plan.record.vetoes


# CI


def test_a_failed_batch_is_cut_in_halves() -> None:
    edits = (moved(ONE, B), moved(TWO, B))
    plan = opened(*edits, targets=(ONE, TWO), ci=CiStatus.FAILED)
    assert plan.record is not None
    assert [each.content for each in plan.record.failed_contents] == [{f"{ONE.id}@{B}", f"{TWO.id}@{B}"}]
    (action,) = of_kind(plan, SplitMergeRequest)
    assert action.edits == edits[:1]
    assert "failed" in held_gates(plan, f"target:{TWO.id}"), "the other half waits, they share a file"


def test_a_failed_single_one_is_held_until_a_newer_version() -> None:
    plan = opened(ci=CiStatus.FAILED)
    assert kinds(plan) == []
    assert held_gates(plan, f"target:{PROD}") == {"failed"}
    assert kinds(opened(ci=CiStatus.FAILED, ok=TO_C)) == ["UpdateMergeRequest"]


def test_a_failure_that_was_forgiven_counts_no_more() -> None:
    plan = opened(ci=CiStatus.FAILED, known_as={"forgiven": sha("head-1")})
    assert plan.held == ()
    known_already = (FailedContent(frozenset({f"{PROD}@{B}"}), NOW, 1),)
    again = opened(ci=CiStatus.FAILED, recorded={"failed_contents": known_already})
    assert again.record is None or again.record.failed_contents == known_already


def test_a_command_cuts_a_batch_into_files() -> None:
    request = merge_request("saasbot/all")
    ours: MergeRequestState = mr_record(request, moved(FAR, B), moved(ONE, B))
    recorded = known(ONE, FAR, merge_requests={ours.branch: ours}, splits=frozenset({"all"}))
    plan = decided(
        context(
            ONE,
            FAR,
            stage(),
            recorded=recorded,
            seen=observed(merge_requests={1: request}),
            options=options(batch_by=BatchBy.ALL),
        )
    )
    (split,) = of_kind(plan, SplitMergeRequest)
    (extra,) = of_kind(plan, OpenMergeRequest)
    assert (split.edits, extra.edits) == ((moved(FAR, B),), (moved(ONE, B),))
    assert extra.commit.branch == "saasbot/all+2"
    assert kinds(plan) == ["SplitMergeRequest", "OpenMergeRequest"], "cut first, then open"


def focused_on(branch: str, there: tuple[Edit, ...], more: tuple[Edit, ...] = ()) -> Plan:
    """A decision about one branch alone, where a command has cut the batch; `more` is on its second part already."""
    first, second = merge_request("saasbot/all"), merge_request("saasbot/all+2", 2)
    ours = {first.source_branch: mr_record(first, *there)}
    seen = {1: first}
    if more:
        ours[second.source_branch] = mr_record(second, *more, part=2)
        seen[2] = second
    recorded = known(ONE, FAR, merge_requests=ours, splits=frozenset({"all"}))
    given = context(
        ONE,
        FAR,
        stage(),
        recorded=recorded,
        seen=observed(merge_requests=seen),
        options=options(batch_by=BatchBy.ALL),
    )
    return decided(replace(given, focus=Focus(f"merge-request:{branch}")))


def test_a_decision_about_one_branch_waits_until_another_one_has_given_up_its_files() -> None:
    """Looked at by different processors, the second part could be opened before the first one is cut."""
    both = (moved(FAR, B), moved(ONE, B))
    assert kinds(focused_on("saasbot/all", both)) == ["SplitMergeRequest"]
    second = focused_on("saasbot/all+2", both)
    (held,) = second.held
    assert (kinds(second), held.gate, held.text) == ([], "hold", f"{ONE.file} follows when !1 has given it up")
    assert second.next_due == held.until
    assert kinds(focused_on("saasbot/all+2", both[:1])) == ["OpenMergeRequest"]


# Merging


@pytest.mark.parametrize(
    ("merge", "fields", "merges"),
    [
        (Merge.NEVER, {"ci": CiStatus.SUCCESS, "approved_by": ("bob",)}, False),
        (Merge.WHEN_PIPELINE_SUCCEEDS, {"ci": CiStatus.SUCCESS}, True),
        (Merge.WHEN_PIPELINE_SUCCEEDS, {"ci": CiStatus.NONE}, True),
        (Merge.WHEN_PIPELINE_SUCCEEDS, {"ci": CiStatus.FAILED}, False),
        (Merge.WHEN_PIPELINE_SUCCEEDS, {"ci": CiStatus.RUNNING}, True),
        (Merge.WHEN_APPROVED, {"ci": CiStatus.RUNNING, "approved_by": ("bob",)}, False),
        (Merge.WHEN_PIPELINE_SUCCEEDS, {"ci": CiStatus.SUCCESS, "draft": True}, False),
        (Merge.WHEN_PIPELINE_SUCCEEDS, {"ci": CiStatus.SUCCESS, "has_conflicts": True}, False),
        (Merge.WHEN_APPROVED, {"ci": CiStatus.SUCCESS}, False),
        (Merge.WHEN_APPROVED, {"ci": CiStatus.SUCCESS, "approved_by": ("bob",)}, True),
        (Merge.WHEN_APPROVED, {"ci": CiStatus.FAILED, "approved_by": ("bob",)}, False),
        (Merge.WHEN_PIPELINE_SUCCEEDS, {"known_as": {"hold": Hold("bob", NOW)}}, False),
    ],
)
def test_the_bot_merges_by_its_policy(merge: Merge, fields: dict[str, Any], merges: bool) -> None:
    plan = opened(policy=options(merge=merge), **fields)
    found = of_kind(plan, MergeMergeRequest)
    assert [(each.iid, each.head) for each in found] == ([(1, sha("head-1"))] if merges else [])


WHEN_GREEN = options(merge=Merge.WHEN_PIPELINE_SUCCEEDS)


def hows(plan: Plan) -> list[MergeHow]:
    return [each.how for each in of_kind(plan, MergeMergeRequest)]


def test_while_its_ci_runs_it_is_set_to_merge_once() -> None:
    assert hows(opened(policy=WHEN_GREEN, ci=CiStatus.RUNNING)) == [MergeHow.WHEN_GREEN]
    assert hows(opened(policy=WHEN_GREEN, ci=CiStatus.SUCCESS)) == [MergeHow.NOW]
    assert hows(opened(policy=WHEN_GREEN, ci=CiStatus.RUNNING, auto_merge=True)) == []


def test_with_a_newer_version_due_it_is_not_set_to_merge() -> None:
    assert hows(opened(policy=WHEN_GREEN, ok=TO_C, ci=CiStatus.RUNNING)) == []


def test_what_a_gate_or_a_person_holds_is_no_longer_set_to_merge() -> None:
    theirs: dict[str, Any] = {
        "ci": CiStatus.RUNNING, "auto_merge": True, "auto_merge_by": "bob", "policy": WHEN_GREEN,
    }  # fmt: skip
    ours = {**theirs, "auto_merge_by": ME}
    soaks = (prod(soak=99 * HOUR),)
    assert hows(opened(targets=soaks, **ours)) == [MergeHow.NOT_WHEN_GREEN]
    assert hows(opened(targets=soaks, **theirs)) == [], "a person has set it to merge: that is their decision"
    assert hows(opened(known_as={"hold": Hold("bob", NOW)}, **theirs)) == [MergeHow.NOT_WHEN_GREEN]
    assert hows(opened(**ours)) == []
    unknown = {**theirs, "auto_merge_by": ""}
    assert hows(opened(targets=soaks, known_as={"auto_merge": sha("head-1")}, **unknown)) == [MergeHow.NOT_WHEN_GREEN]


def test_what_the_bot_may_not_merge_any_more_is_no_longer_set_to_merge() -> None:
    ours: dict[str, Any] = {"auto_merge": True, "auto_merge_by": ME, "ci": CiStatus.RUNNING, "policy": WHEN_GREEN}
    by_hand = BranchDiff(sha("base"), (Change("NOTES", None, b"by hand"),))
    person = opened(world=World(diffs={1: by_hand}), known_as={"head": sha("before")}, **ours)
    assert hows(person) == [MergeHow.NOT_WHEN_GREEN], "nobody has looked at a person's commit"
    assert hows(opened(**{**ours, "draft": True})) == [MergeHow.NOT_WHEN_GREEN]
    assert hows(opened(**{**ours, "ci": CiStatus.FAILED})) == [MergeHow.NOT_WHEN_GREEN]
    always = options(merge=Merge.WHEN_PIPELINE_SUCCEEDS, update=Update.ALWAYS)
    assert hows(opened(ok=TO_C, **{**ours, "policy": always})) == [MergeHow.NOT_WHEN_GREEN], "something newer is due"


def test_a_forge_that_would_not_wait_is_asked_once_a_head() -> None:
    running: dict[str, Any] = {"ci": CiStatus.RUNNING, "policy": WHEN_GREEN}
    assert hows(opened(known_as={"auto_merge": sha("head-1")}, **running)) == []
    assert hows(opened(known_as={"auto_merge": sha("older")}, **running)) == [MergeHow.WHEN_GREEN]


def test_a_ci_that_waits_for_a_person_neither_locks_nor_merges() -> None:
    assert hows(opened(policy=WHEN_GREEN, ci=CiStatus.WAITING)) == []
    assert kinds(opened(ok=TO_C, ci=CiStatus.WAITING)) == ["UpdateMergeRequest"]


def test_nothing_is_merged_past_a_gate() -> None:
    plan = opened(targets=(prod(soak=99 * HOUR),), policy=options(merge=Merge.WHEN_PIPELINE_SUCCEEDS))
    assert not of_kind(plan, MergeMergeRequest)
    assert held_gates(plan, SUBJECT) == {"soak"}


def test_many_differences_are_counted() -> None:
    many = [prod(f"svc/web/p{n}", index=n) for n in range(8)]
    plan = opened(*(moved(each, B) for each in many), targets=tuple(many), ok=TO_C)
    (action,) = of_kind(plan, UpdateMergeRequest)
    assert action.reasons[0].text.endswith("; and 3 more")


# Where an edit cannot be made again, a neighbour is rolled back, or a target is gone


def test_a_rebuild_leaves_out_what_left_the_config() -> None:
    plan = opened(moved(ONE, B), moved(TWO, B), targets=(ONE,), known_as={"asked": "keep"})
    assert [each.edits for each in of_kind(plan, RegenerateMergeRequest)] == [(moved(ONE, B),)]


def test_a_conflict_of_an_approved_one_is_cured_without_what_left_the_config() -> None:
    plan = opened(moved(ONE, B), moved(TWO, B), targets=(ONE,), approved_by=("bob",), has_conflicts=True)
    assert [each.edits for each in of_kind(plan, RegenerateMergeRequest)] == [(moved(ONE, B),)]


def test_a_file_that_changed_its_style_cannot_be_edited_again() -> None:
    text = file_bytes(prod()).replace(b"ref: ", b"ref: &x ") + b"again: *x\n"
    plan = opened(has_conflicts=True, world=World(blobs={"svc.yml": text}))
    assert kinds(plan) == []
    assert "unsafe_edit" in held_gates(plan, f"target:{PROD}")


def test_a_rollback_takes_no_neighbour_along() -> None:
    back = {ONE.id: PromotionRequest(ONE.id, C, "ana", NOW, rollback=True)}
    plan = decided(context(ONE, TWO, stage(), recorded=known(ONE, TWO, requests=back)))
    assert [each.edits for each in of_kind(plan, OpenMergeRequest)] == [(moved(ONE, C),)]
    assert held_gates(plan, f"target:{TWO.id}") == {"hold"}


def test_a_target_that_is_gone_holds_no_merge() -> None:
    plan = opened(
        moved(ONE, B), moved(TWO, B), targets=(TWO,), approved_by=("bob",), policy=options(merge=Merge.WHEN_APPROVED)
    )
    assert len(of_kind(plan, MergeMergeRequest)) == 1
