"""Commands of people: who is heard, once; what each writes down; what it answers (DESIGN section 6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_values import (
    APP,
    DEPLOY,
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

from bot.core.own_notes import mark_answer
from bot.model.desired import Desired
from bot.model.observed import BranchDiff, CiStatus, Issue, MergeRequestStatus, Note, Role, RunFact
from bot.model.plan import AnswerCommand, CancelRun, CloseMergeRequest, Plan, StartRun
from bot.model.runs import RunStatus
from bot.model.state import (
    Answer,
    Block,
    CommandFreeze,
    FailedContent,
    Hold,
    Pin,
    PromotionRequest,
    Question,
    State,
    Thread,
    Veto,
)
from bot.settings import CommandSettings

A, B, C = sha("a"), sha("b"), sha("c")
PEOPLE = {"ana": Role.OWNER, "dev": Role.DEVELOPER, "gus": Role.GUEST}
FOLLOWER = target("svc/web/follow", ref="main", index=1)


def known(**fields: Any) -> State:
    found = {"ok": (published(STAGE, B),), **fields}
    return state(record(prod()), record(stage()), record(FOLLOWER), **found)


def say(text: str, recorded: State | None = None, by: str = "ana", *targets: Any, **fields: Any) -> Plan:
    """The plan after a command without a merge request."""
    seen = {"refs": {URL: {"main": A}}, "commands": (note(text, author=by),), **fields.pop("seen", {})}
    found = context(
        *(targets or (prod(), stage(), FOLLOWER)), recorded=recorded or known(), seen=observed(**seen), **fields
    )
    return decided(found, World(roles=PEOPLE))


def on_branch(text: str, by: str = "ana", recorded: dict[str, Any] | None = None, **fields: Any) -> Plan:
    """The plan after a command on the bot's own merge request of prod to B."""
    ours = fields.pop("known_as", {})
    request = merge_request(notes=(note(text, author=by, head=sha("head-1")),), **fields)
    kept = mr_record(request, moved(prod(), B), **ours)
    found = known(merge_requests={kept.branch: kept}, **(recorded or {}))
    seen = observed(merge_requests={1: request})
    return decided(context(prod(), stage(), FOLLOWER, recorded=found, seen=seen), World(roles=PEOPLE))


def on_change(text: str, proposal: Desired, by: str = "ana", recorded: State | None = None, **fields: Any) -> Plan:
    """The plan after a command on a person's merge request."""
    request = merge_request("feature", author="eve", notes=(note(text, author=by, head=sha("head-1")),), **fields)
    world = World(roles=PEOPLE, proposals={1: proposal}, diffs={1: BranchDiff(sha("base"), ())})
    seen = observed(merge_requests={1: request})
    return decided(context(prod(), stage(), FOLLOWER, recorded=recorded or known(), seen=seen), world)


def reply(plan: Plan) -> Answer:
    """The one answer: at once without a merge request, else owed in the record."""
    if plan.answers:
        (found,) = plan.answers
        return found
    assert plan.record is not None
    (found,) = plan.record.answers.values()
    return found


def kept(plan: Plan) -> State:
    assert plan.record is not None
    return plan.record


# Who is heard


@pytest.mark.parametrize(
    "heard", [{"system": True}, {"bot": True}, {"author": ME}], ids=["system note", "another bot", "itself"]
)
def test_notes_of_no_person_are_ignored(heard: dict[str, Any]) -> None:
    fields = {"author": "ana", **heard}
    request = merge_request("feature", author="eve", notes=(Note("1", body="/saasbot pin svc/web/prod", **fields),))
    world = World(roles=PEOPLE, diffs={1: BranchDiff(sha("base"), ())})
    plan = decided(context(prod(), recorded=state(record(prod())), seen=observed(merge_requests={1: request})), world)
    assert plan.record is None
    assert not plan.actions


def test_a_note_is_handled_once_even_if_its_merge_request_is_opened_again() -> None:
    request = merge_request("feature", author="eve", notes=(note(f"/saasbot pin {PROD}"),))
    world = World(roles=PEOPLE, diffs={1: BranchDiff(sha("base"), ())})
    first = decided(context(prod(), recorded=state(record(prod())), seen=observed(merge_requests={1: request})), world)
    assert PROD in kept(first).pins
    after = replace(kept(first), pins={}, answers={})
    again = context(prod(), recorded=after, seen=observed(merge_requests={1: request}))
    assert decided(again, world).record is None
    closed = decided(context(prod(), recorded=after, seen=observed()), world)
    back = closed.record or after
    assert decided(context(prod(), recorded=back, seen=observed(merge_requests={1: request})), world).record is None


def test_the_cursor_never_goes_back() -> None:
    notes = (note("/saasbot status", "9"), note("/saasbot help", "8"), note("nice", "10"))
    request = merge_request("feature", author="eve", notes=notes)
    plan = decided(
        context(prod(), recorded=state(record(prod())), seen=observed(merge_requests={1: request})),
        World(roles=PEOPLE, diffs={1: BranchDiff(sha("base"), ())}),
    )
    assert kept(plan).cursors == {"notes:1": 9}


def test_notes_are_not_read_where_polling_is_off_or_the_merge_request_is_over() -> None:
    request = merge_request("feature", author="eve", notes=(note("/saasbot help"),))
    world = World(roles=PEOPLE, diffs={1: BranchDiff(sha("base"), ())})
    known_state = state(record(prod()))
    off = settings(commands=CommandSettings(poll=False))
    quiet = context(prod(), recorded=known_state, seen=observed(merge_requests={1: request}), options=off)
    assert decided(quiet, world).record is None
    over = replace(request, state=MergeRequestStatus.MERGED)
    assert decided(context(prod(), recorded=known_state, seen=observed(merge_requests={1: over}))).record is None


def test_a_thread_that_an_event_told_of_is_read_whatever_polling_says() -> None:
    over = merge_request(
        "feature", author="eve", state=MergeRequestStatus.CLOSED, notes=(note(f"/saasbot pin {PROD}"),)
    )
    off = settings(commands=CommandSettings(poll=False))
    fields: dict[str, Any] = {"recorded": known(), "seen": observed(merge_requests={1: over}), "options": off}
    plan = decided(context(prod(), stage(), heard=frozenset({"merge_request:1"}), **fields), World(roles=PEOPLE))
    assert PROD in kept(plan).pins
    elsewhere = context(prod(), stage(), heard=frozenset({"merge_request:2"}), **fields)
    assert PROD not in (decided(elsewhere, World(roles=PEOPLE)).record or known()).pins


def test_a_comment_that_was_changed_later_is_no_command() -> None:
    request = merge_request("feature", author="eve", notes=(note(f"/saasbot pin {PROD}", edited=True),))
    world = World(roles=PEOPLE, diffs={1: BranchDiff(sha("base"), ())})
    plan = decided(context(prod(), recorded=known(), seen=observed(merge_requests={1: request})), world)
    assert not kept(plan).pins
    assert (reply(plan).ok, reply(plan).text) == (
        False,
        "this comment was changed after it was written; say it in a new one",
    )


def test_adoption_obeys_nothing_that_was_said_before() -> None:
    request = merge_request(
        "feature", author="eve", notes=(note(f"/saasbot pin {PROD}", "4"), note(f"/saasbot pin {PROD}", "12"))
    )
    world = World(roles=PEOPLE, diffs={1: BranchDiff(sha("base"), ())})
    plan = decided(context(prod(), seen=observed(merge_requests={1: request})), world)
    assert (kept(plan).pins, kept(plan).cursors) == ({}, {"notes:1": 12})


# On the dashboard

BOARD = settings(dashboard_title="Deployments")


def on_dashboard(text: str, recorded: State | None = None, by: str = "ana", **fields: Any) -> Plan:
    """The plan after a command on the dashboard."""
    issue = Issue(5, "as it was", notes=(note(text, "7", author=by),))
    seen = observed(refs={URL: {"main": A}}, dashboard=issue)
    given: dict[str, Any] = {"options": BOARD, **fields}
    found = context(prod(), stage(), FOLLOWER, recorded=recorded or known(), seen=seen, **given)
    return decided(found, World(roles=PEOPLE))


def test_a_command_on_the_dashboard_works_as_on_a_merge_request() -> None:
    plan = on_dashboard(f"/saasbot pin {PROD}")
    assert PROD in kept(plan).pins
    assert kept(plan).cursors == {"dashboard:5": 7}
    (answer,) = of_kind(plan, AnswerCommand)
    assert (answer.subject, answer.thread, answer.iid, answer.note) == ("dashboard:5", Thread.DASHBOARD, 5, "7")
    again = on_dashboard(f"/saasbot pin {PROD}", replace(kept(plan), pins={}, answers={}))
    assert PROD not in (again.record or State()).pins


def test_a_question_on_the_dashboard_is_answered_there_in_full() -> None:
    (answer,) = of_kind(on_dashboard(f"/saasbot explain {PROD}"), AnswerCommand)
    assert f"explain {PROD}" in answer.body
    assert "passes" in answer.body
    assert len(answer.body.splitlines()) > 5


def test_the_dashboard_is_silent_where_polling_is_off_until_an_event_tells_of_it() -> None:
    quiet = settings(dashboard_title="Deployments", commands=CommandSettings(poll=False))
    assert not of_kind(on_dashboard(f"/saasbot pin {PROD}", options=quiet), AnswerCommand)
    heard = on_dashboard(f"/saasbot pin {PROD}", options=quiet, heard=frozenset({"dashboard:5"}))
    assert of_kind(heard, AnswerCommand)


def test_what_branches_are_asked_on_the_dashboard_needs_one() -> None:
    (answer,) = of_kind(on_dashboard("/saasbot hold"), AnswerCommand)
    assert answer.reaction == "no"


def test_an_answer_on_a_dashboard_that_is_gone_is_still_given() -> None:
    owing = known(answers={"a": Answer("7", 5, "ana", "pin", ok=True, text="", thread=Thread.DASHBOARD)})
    plan = decided(context(prod(), stage(), recorded=owing, options=BOARD), World(roles=PEOPLE))
    (answer,) = of_kind(plan, AnswerCommand)
    assert (answer.subject, answer.thread) == ("dashboard:5", Thread.DASHBOARD)


def test_a_branch_that_moved_since_takes_questions_only() -> None:
    moved_on: dict[str, Any] = {
        "notes": (note("/saasbot ignore", head=sha("old")), note("/saasbot status", "2", head=sha("old")))
    }
    request = replace(merge_request(), **moved_on)
    ours = mr_record(request, moved(prod(), B))
    found = known(merge_requests={ours.branch: ours})
    plan = decided(context(prod(), stage(), FOLLOWER, recorded=found, seen=observed(merge_requests={1: request})))
    answers = kept(plan).answers
    assert [each.ok for each in answers.values()] == [False, True]
    assert "has moved" in answers["1:1:0"].text


# Rights


@pytest.mark.parametrize(
    ("text", "by", "ok"),
    [
        (f"promote {PROD}", "dev", False),
        (f"promote {PROD}", "ana", True),
        (f'override soak {PROD} reason="x"', "dev", False),
        ('freeze all reason="x"', "ana", True),
        ('freeze all reason="x"', "nobody", False),
    ],
)
def test_owners_and_groups_are_asked(text: str, by: str, ok: bool) -> None:
    assert reply(say(text, by=by)).ok is ok


def test_groups_are_spelled_out() -> None:
    options = settings(groups={"team": ("gus",)}, commands=CommandSettings(freeze_group="team", override_group="ovi"))
    assert reply(say('freeze all reason="x"', by="gus", options=options)).ok
    assert not reply(say('freeze all reason="x"', by="ana", options=options)).ok
    blocked = known(ok=())
    assert reply(say(f'override published {PROD} reason="x"', blocked, "ovi", prod(ref=B), stage(), options=options)).ok
    team = prod()
    owned = replace(team, app=replace(APP, name="other", owners=("team",)))
    assert reply(say(f"pin {PROD}", None, "gus", owned, options=options)).ok


def test_an_owner_overrides_for_his_own_targets_only() -> None:
    strange = replace(prod("far/web/prod"), app=replace(APP, name="far", owners=("zoe",)))
    both = desired(prod(ref=C), strange)
    plan = on_change(
        '/saasbot override soak reason="x"',
        replace(both, targets={**both.targets, strange.id: replace(strange, ref=C)}),
    )
    assert [each.target for each in kept(plan).overrides] == [PROD]


# What is said wrong


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("promot x", "did you mean `promote`"),
        ("promote svc/web/prode", f"did you mean {PROD}?"),
        ("promote nothing/like/it", "there is no target nothing/like/it"),
        ('freeze app:none reason="x"', "nothing is in the scope app:none"),
        (f'block https://x/y {B} reason="x"', "no target is made from https://x/y"),
        (f'block {URL} abc reason="x"', "not a full commit sha"),
        (f"promote {PROD} abcdefabcdef", "no published one starts with it"),
        (f"promote {PROD} {A}", "already"),
        (f"promote {FOLLOWER.id}", "follows main"),
        (f"rollback {FOLLOWER.id}", "revert there"),
        (f"rollback {PROD}", "no earlier version"),
        (f"rollback {PROD} to {A}", "already"),
        (f'override budget {PROD} reason="x"', "not a gate that can be overridden"),
        (f'override soak {STAGE} reason="x"', ""),
        ('freeze all yesterday reason="x"', "no time to come"),
        ('freeze all 2020-01-01T00:00:00Z reason="x"', "no time to come"),
        ("unfreeze all", "was not frozen"),
        (f"unblock {URL} {B}", "was not blocked"),
        (f"unpin {PROD}", "was not pinned"),
        (f"cancel {PROD}", "no run is in flight"),
        ("retry", "author and those who may push"),
        ("hold", "the author and the members"),
        ("split", "the owners (there are none)"),
    ],
)
def test_a_no_says_what_is_wrong(text: str, words: str) -> None:
    by = "nobody" if text in ("retry", "hold") else "ana"
    answer = reply(say(text, by=by))
    assert words in answer.text
    assert answer.ok is (words == "")


def test_an_invalid_target_is_named_as_such() -> None:
    config = desired(stage(), invalid_targets={PROD: "bad ref"})
    assert reply(say(f"promote {PROD}", config=config)).text == f"{PROD} is invalid: bad ref"


@pytest.mark.parametrize("text", ["hold", "regenerate"])
def test_a_command_for_promotions_needs_one(text: str) -> None:
    assert "promotion merge request of the bot only" in reply(say(text)).text


def test_nothing_newer_was_published() -> None:
    assert "nothing newer" in reply(say(f"promote {PROD}", known(ok=()))).text


def test_a_command_about_nothing_finds_nothing() -> None:
    options = settings(commands=CommandSettings(override_group="ana"))
    assert "no version here" in reply(say('override soak reason="x"', options=options)).text
    assert "nothing here has failed" in reply(on_change("/saasbot retry", desired(prod(), stage(), FOLLOWER))).text


# What each verb writes down


@pytest.mark.parametrize(("spelled", "full"), [("", B), (B, B), (B[:9], B)])
def test_promote_asks_for_a_version(spelled: str, full: str) -> None:
    vetoed = known(vetoes=(Veto(PROD, B, "bob", NOW),))
    plan = say(f"promote {PROD} {spelled}", vetoed)
    assert kept(plan).requests == {PROD: PromotionRequest(PROD, full, "ana", NOW)}
    assert not kept(plan).vetoes, "asking for it takes the veto back"


@pytest.mark.parametrize(("spelled", "full"), [("", C), (f"to {B}", B), (C[:10], C)])
def test_rollback_asks_and_pins(spelled: str, full: str) -> None:
    ran = replace(a_run(prod(), status=RunStatus.SUCCEEDED), previous=C)
    recorded = replace(known(), targets={**known().targets, PROD: record(prod(), run=ran)})
    plan = say(f"rollback {PROD} {spelled}", recorded)
    assert kept(plan).requests[PROD] == PromotionRequest(PROD, full, "ana", NOW, rollback=True)
    assert kept(plan).pins[PROD] == Pin(full, "ana", NOW, "rolled back", rollback=True)
    freed = say(f"unpin {PROD}", kept(plan))
    assert not kept(freed).pins
    assert PROD not in kept(freed).requests, "an unpinned rollback is asked for no more"


def test_pin_keeps_what_runs() -> None:
    assert kept(say(f"pin {PROD}")).pins[PROD].sha == A
    assert kept(say(f"pin {FOLLOWER.id}")).pins[FOLLOWER.id].sha == A
    unknown = state(record(prod()))
    assert "not known which version" in reply(say(f"pin {FOLLOWER.id}", unknown)).text


def test_an_override_needs_a_known_version_to_be_about() -> None:
    request = merge_request("feature", author="eve", notes=(note('/saasbot override soak reason="x"'),))
    world = World(roles=PEOPLE, proposals={1: desired(prod(ref=B))}, diffs={1: BranchDiff(sha("base"), ())})
    plan = decided(context(prod(), stage(), recorded=known(), seen=observed(merge_requests={1: request})), world)
    assert (kept(plan).overrides, reply(plan).ok) == ((), False)
    assert "not known which version" in reply(plan).text


def test_an_override_of_a_target_that_a_change_takes_away_is_about_nothing() -> None:
    plan = on_change(f'/saasbot override soak {PROD} reason="x"', desired(stage(), FOLLOWER))
    assert (kept(plan).overrides, reply(plan).text) == ((), "there is no version here that a gate holds")


def test_block_and_unblock() -> None:
    plan = say(f'block {URL}.git {B} reason="leaks"')
    assert kept(plan).blocks == (Block(f"{URL}.git", B, "ana", NOW, "leaks"),)
    assert not kept(say(f"unblock {URL} {B}", kept(plan))).blocks


@pytest.mark.parametrize(("until", "moment"), [("", None), ("4h", NOW + 4 * HOUR)])
def test_freeze_and_unfreeze(until: str, moment: Any) -> None:
    plan = say(f'freeze target:{PROD} {until} reason="incident"')
    assert kept(plan).freezes == (CommandFreeze(f"target:{PROD}", "ana", NOW, "incident", moment),)
    assert not kept(say(f"unfreeze target:{PROD}", kept(plan))).freezes


def test_retry_by_name_runs_again() -> None:
    plan = say(f"retry {FOLLOWER.id}", by="dev")
    assert [each.kind for each in of_kind(plan, StartRun)[0].reasons] == ["manual"]
    failed = a_run(FOLLOWER, A, RunStatus.FAILED)
    recorded = replace(known(), targets={**known().targets, FOLLOWER.id: record(FOLLOWER, run=failed)})
    plan = say(f"retry {FOLLOWER.id}", recorded, "dev")
    assert [each.kind for each in of_kind(plan, StartRun)[0].reasons] == ["retry"]


def test_cancel_stops_the_run() -> None:
    run = a_run(FOLLOWER, A)
    recorded = replace(known(), targets={**known().targets, FOLLOWER.id: record(FOLLOWER, run=run)})
    seen = {"runs": {run.key: RunFact(RunStatus.RUNNING, "h1")}}
    plan = say(f"cancel {FOLLOWER.id}", recorded, "dev", seen=seen)
    assert of_kind(plan, CancelRun)[0].reasons[0].text == "dev asked to stop run 1"
    assert reply(plan).text == f"stops {FOLLOWER.id}"
    assert of_kind(plan, CancelRun)[0].pipeline == DEPLOY


@pytest.mark.parametrize("text", ["refresh", "help", "status"])
def test_a_question_without_a_merge_request_is_just_answered(text: str) -> None:
    assert reply(say(text)).ok


def test_override_for_what_waits_to_start_or_to_be_promoted() -> None:
    promoted = say(f'override soak {PROD} reason="x"', None, "ana", prod(soak=9 * HOUR), stage())
    assert [(each.sha, each.gate) for each in kept(promoted).overrides] == [(B, "soak")]
    waiting = say(f'override published {PROD} reason="x"', known(ok=()), "ana", prod(ref=C), stage())
    assert [(each.sha, each.head) for each in kept(waiting).overrides] == [(C, "")]
    twice = say(f'override published {PROD} reason="y"', kept(waiting), "ana", prod(ref=C), stage())
    assert [each.reason for each in kept(twice).overrides if each.sha == C][-1:] == ["y"]
    assert len(kept(twice).overrides) == 1
    out_of_reach = say(f'override soak {FOLLOWER.id} reason="x"', seen={"refs": {}})
    assert not reply(out_of_reach).ok


# On the bot's own merge request


def test_hold_and_unhold() -> None:
    plan = on_branch("/saasbot hold until monday", by="gus")
    assert kept(plan).merge_requests["saasbot/svc.yml"].hold == Hold("gus", NOW, "until monday")
    held = {"hold": Hold("gus", NOW)}
    assert kept(on_branch("/saasbot unhold", by="gus", known_as=held)).merge_requests["saasbot/svc.yml"].hold is None
    assert not reply(on_branch("/saasbot unhold", by="dev", known_as=held)).ok
    assert reply(on_branch("/saasbot unhold")).text == "it was not held"


@pytest.mark.parametrize(("text", "asked"), [("regenerate", "keep"), ("regenerate --discard-edits", "discard")])
def test_regenerate(text: str, asked: str) -> None:
    plan = on_branch(f"/saasbot {text}")
    assert kept(plan).merge_requests["saasbot/svc.yml"].asked == asked


def test_split_and_group() -> None:
    plan = on_branch("/saasbot split")
    assert kept(plan).splits == {"svc.yml"}
    assert not kept(on_branch("/saasbot group", recorded={"splits": frozenset({"svc.yml"})})).splits
    assert reply(on_branch("/saasbot group")).ok, "parts that a failed CI cut are joined, too"


def test_ignore_closes_and_vetoes() -> None:
    asked = {"requests": {PROD: PromotionRequest(PROD, B, "ana", NOW)}}
    plan = on_branch("/saasbot ignore", recorded=asked)
    assert kept(plan).vetoes == (Veto(PROD, B, "ana", NOW),)
    assert not kept(plan).requests
    assert len(of_kind(plan, CloseMergeRequest)) == 1


def test_retry_sets_a_failed_ci_aside() -> None:
    bad = {"failed_contents": (FailedContent(frozenset({f"{PROD}@{B}"}), NOW, 1),)}
    plan = on_branch("/saasbot retry", recorded=bad, ci=CiStatus.FAILED)
    assert not kept(plan).failed_contents
    assert kept(plan).merge_requests["saasbot/svc.yml"].forgiven == sha("head-1")


def test_an_override_on_a_branch_is_for_what_is_in_it() -> None:
    plan = on_branch('/saasbot override soak reason="x"')
    assert [(e.target, e.sha, e.head) for e in kept(plan).overrides] == [(PROD, B, sha("head-1"))]


@pytest.mark.parametrize(("text", "about"), [("explain", ""), (f"explain {PROD}", PROD), ("plan", "")])
def test_a_question_stands_on_its_merge_request(text: str, about: str) -> None:
    plan = on_branch(f"/saasbot {text}", by="nobody")
    assert kept(plan).questions == {"1": Question(text.split(maxsplit=1)[0], about, "nobody")}


# Answers


def owed(answer: Answer, *notes: Note, key: bytes | None = None) -> Plan:
    request = merge_request("feature", author="eve", notes=notes)
    recorded = state(record(prod()), answers={"1:5:0": answer}, cursors={"notes:1": 99})
    seen = observed(merge_requests={1: request} if answer.iid == 1 else {})
    world = World(roles=PEOPLE, diffs={1: BranchDiff(sha("base"), ())})
    return decided(context(prod(), recorded=recorded, seen=seen, report_key=key), world)


@pytest.mark.parametrize(("ok", "public", "talks"), [(True, False, False), (True, True, True), (False, False, True)])
def test_a_yes_is_a_reaction_and_a_no_has_words(ok: bool, public: bool, talks: bool) -> None:
    plan = owed(Answer("5", 1, "ana", "hold", ok, "because", public))
    (action,) = of_kind(plan, AnswerCommand)
    assert (action.reaction, action.note) == ("ok" if ok else "no", "5")
    assert ("because" in action.body) is talks


@pytest.mark.parametrize("author", [ME, "eve"])
def test_a_reply_is_said_once_and_only_by_the_bot(author: str) -> None:
    said = note(mark_answer("no", "5", b"k"), "6", author)
    (action,) = of_kind(owed(Answer("5", 1, "ana", "hold", ok=False, text="no"), said, key=b"k"), AnswerCommand)
    assert (action.body == "") is (author == ME)


def test_an_answer_for_a_merge_request_that_is_gone_is_still_given() -> None:
    (action,) = of_kind(owed(Answer("5", 7, "ana", "hold", ok=True, text="")), AnswerCommand)
    assert action.subject == "merge-request:7"


def test_a_short_sha_is_found_among_the_published_ones() -> None:
    plan = say(f"promote {PROD} {B[:8]}", state(record(stage()), ok=(published(STAGE, B),)))
    assert kept(plan).requests[PROD].sha == B
    assert "no published one starts with it" in reply(say(f"promote {PROD} {B[:6]}")).text, "too short to be one"


def test_a_run_is_canceled_once_a_pass() -> None:
    slow = replace(FOLLOWER, pipeline=replace(DEPLOY, timeout=HOUR / 60))
    run = a_run(slow, A)
    recorded = state(record(slow, run=run))
    seen = {"runs": {run.key: RunFact(RunStatus.RUNNING, "h1")}}
    plan = say(f"cancel {slow.id}", recorded, "dev", slow, seen=seen)
    assert [each.reasons[0].kind for each in of_kind(plan, CancelRun)] == ["timeout"]


def test_only_the_named_version_is_unblocked() -> None:
    others = (Block(URL, C, "ana", NOW, "x"), Block("https://x/y", B, "ana", NOW, "x"))
    recorded = known(blocks=(*others, Block(URL, B, "ana", NOW, "x")))
    assert kept(say(f"unblock {URL} {B}", recorded)).blocks == others


def test_a_retry_says_what_runs_again() -> None:
    answer = reply(say(f"retry {FOLLOWER.id}", by="dev"))
    assert (answer.ok, answer.text) == (True, f"runs again: {FOLLOWER.id}")
