"""Focus: what a subject's decision hangs on, what of it is carried out, and which subjects are to be looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import (
    HOUR,
    NOW,
    PROD,
    STAGE,
    URL,
    World,
    a_run,
    context,
    decided,
    desired,
    known_history,
    merge_request,
    moved,
    mr_record,
    note,
    observed,
    prod,
    published,
    record,
    sha,
    stage,
    state,
    target,
)

from bot.core.candidates import ATTENTION_LABEL, Candidates, candidates
from bot.core.deltas import delta
from bot.core.focus import (
    Focus,
    Room,
    as_recorded,
    focused,
    in_flight_of,
    is_subject,
    narrowed,
    ordered,
    own_part,
    subject_of_action,
)
from bot.model.desired import Desired
from bot.model.observed import Role, RunFact
from bot.model.plan import AnswerCommand, CancelRun, Gate, Held, Plan, StartRun
from bot.model.rounds import JobStatus, Result, Round, RoundJob, SetReport, TriggerRequest, TriggerState
from bot.model.runs import RunStatus
from bot.model.servers import Instance
from bot.model.state import Answer, CommandFreeze, FailedContent, Flag, Pin, PromotionRequest, RunRequest, State, Veto
from bot.model.triggers import Job, Schedule, Stage, Trigger
from bot.model.work import Due

OTHER = "other/web/stage"
NIGHTLY = Trigger(
    "nightly", Instance("prow", "gangway"), stages=(Stage("", (Job("a"),)),), schedule=Schedule("0 * * * *")
)
CONFIG = desired(stage(), prod(), target(OTHER, "main", file="other.yml"), triggers={"nightly": NIGHTLY})
RUNNING = TriggerState(
    "nightly",
    NOW - HOUR,
    round=Round(1, NOW, (), jobs=(RoundJob("a", status=JobStatus.STARTED, run=a_run(stage())), RoundJob("b"))),
)
KNOWN = state(
    record(stage(), run=a_run(stage())),
    record(prod()),
    record(CONFIG.targets[OTHER], run=a_run(CONFIG.targets[OTHER])),
    ok=(published(STAGE, "a"), published(OTHER, "a")),
    triggers={"nightly": RUNNING},
    pins={STAGE: Pin("a", "bob", NOW), OTHER: Pin("a", "bob", NOW)},
    answers={"1": Answer("1", 1, "bob", "help", ok=True, text="")},
)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("job:nightly/a", "trigger:nightly"),
        ("dashboard:7", "dashboard"),
        ("dashboard", "dashboard"),
        ("target:a/b/c", "target:a/b/c"),
    ],
)
def test_what_an_action_belongs_to(subject: str, expected: str) -> None:
    assert subject_of_action(subject) == expected


@pytest.mark.parametrize("text", ["target:a/b/c", "trigger:x", "merge-request:saasbot/x", "dashboard"])
def test_subjects(text: str) -> None:
    assert is_subject(text)
    assert Focus(text).subject == text


@pytest.mark.parametrize("text", ["", "target:", "job:a/b", "x", "collect", "dashboard:7"])
def test_no_subjects(text: str) -> None:
    assert not is_subject(text)


def test_rooms() -> None:
    assert Focus("target:a/b/c").room is Room.TARGETS
    assert (Focus("target:a/b/c").narrow, Focus("trigger:x").narrow) == (True, True)
    assert (Focus("merge-request:x").narrow, Focus("dashboard").narrow) == (False, False)


def test_a_target_hangs_on_itself_and_its_publishers() -> None:
    view = narrowed(CONFIG, KNOWN, Focus(f"target:{PROD}"))
    assert set(view.desired.targets) == set(view.state.targets) == {PROD, STAGE}
    assert view.state.channels == {"ok": (published(STAGE, "a"),)}
    assert (dict(view.state.pins), dict(view.state.answers), view.desired.triggers) == (
        {STAGE: Pin("a", "bob", NOW)},
        {},
        {},
    )
    assert (view.in_flight, view.whole) == (2, False)
    assert set(narrowed(CONFIG, KNOWN, Focus(f"target:{STAGE}")).state.targets) == {STAGE}


def test_a_publisher_hidden_by_an_error_is_near() -> None:
    hidden = replace(CONFIG, targets={PROD: prod()}, invalid_targets={STAGE: "broken", OTHER: "broken"})
    known = replace(KNOWN, targets={**KNOWN.targets, STAGE: record(stage(), publish=("ok",))})
    view = narrowed(hidden, known, Focus(f"target:{PROD}"))
    assert set(view.state.targets) == {PROD, STAGE}
    assert view.desired.invalid_targets == {STAGE: "broken"}


@pytest.mark.parametrize("subject", ["target:new/web/stage", "merge-request:saasbot/x", "dashboard"])
def test_what_hangs_on_everything(subject: str) -> None:
    view = narrowed(CONFIG, KNOWN, Focus(subject))
    assert (view.desired, view.state, view.in_flight, view.whole) == (CONFIG, KNOWN, 0, True)


def test_a_trigger_definition_hangs_on_itself() -> None:
    other = replace(NIGHTLY, name="other")
    config = replace(CONFIG, triggers={"nightly": NIGHTLY, "other": other}, invalid_triggers={"x.yml": "broken"})
    view = narrowed(config, KNOWN, Focus("trigger:nightly"))
    assert (set(view.desired.triggers), view.desired.targets, view.state.targets) == ({"nightly"}, {}, {})
    assert (set(view.state.triggers), view.in_flight) == ({"nightly"}, 2)
    assert view.desired.invalid_triggers == {}
    assert narrowed(config, KNOWN, Focus("trigger:gone")).state.triggers == {}


def test_jobs_count_as_runs_in_flight() -> None:
    assert in_flight_of(KNOWN) == 3
    assert in_flight_of(State(triggers={"x": TriggerState("x", NOW)})) == 0


def test_a_focused_decision_carries_out_what_concerns_the_subject() -> None:
    seen = observed(refs={URL: {"main": sha("b")}})
    config = desired(stage(), target(OTHER, "main", file="other.yml"))
    known = state(record(stage()), record(config.targets[OTHER]))
    whole = decided(context(config=config, seen=seen, recorded=known))
    assert {action.subject for action in whole.actions} == {f"target:{STAGE}", f"target:{OTHER}"}
    focus = Focus(f"target:{STAGE}")
    view = narrowed(config, known, focus)
    own = decided(replace(context(config=view.desired, seen=seen, recorded=view.state), focus=focus))
    assert own.actions == tuple(action for action in whole.actions if action.subject == f"target:{STAGE}")
    assert own.record is not None
    assert [change.key for change in delta(view.state, own.record)] == [STAGE]


def test_the_runs_elsewhere_count_against_the_budget() -> None:
    seen = observed(refs={URL: {"main": sha("b")}})
    given = context(stage(), seen=seen, recorded=state(record(stage())))
    plan = decided(replace(given, focus=Focus(f"target:{STAGE}"), in_flight=100))
    assert [held.gate for held in plan.held] == ["budget"]


def test_a_focused_plan_holds_what_is_about_its_subject() -> None:
    cancel = CancelRun(f"target:{STAGE}", STAGE, a_run(stage()), stage().pipeline, ())
    set_of = SetReport("nightly", "", "", 1, 0, "", Result.SUCCESS, "", NOW, NOW, ())
    held = Held("job:nightly/a", Gate.BUDGET, "many")
    plan = Plan(actions=(cancel,), held=(held,), sets=(set_of,))
    on_thread = focused(plan, Focus("merge-request:x"))
    assert (on_thread.actions, on_thread.held, on_thread.sets) == ((), (), ())
    trigger = focused(plan, Focus("trigger:nightly"))
    assert (trigger.actions, trigger.held, trigger.sets) == ((), (held,), (set_of,))
    assert focused(plan, Focus(f"target:{STAGE}")).actions == (cancel,)


def changes(subject: str, after: State, before: State = KNOWN) -> set[tuple[str, object]]:
    """What a decision about the subject may save of all that differs."""
    return {(change.part, change.key) for change in delta(before, own_part(Focus(subject), before, after))}


EDIT = moved(prod(), "b")
VETO = Veto(PROD, "b", "bob", NOW)
FAILED = FailedContent(frozenset({f"{PROD}@b"}), NOW, 1)


def test_which_changes_are_a_subjects_own() -> None:
    before = replace(KNOWN, merge_requests={"x": mr_record(merge_request("x"), EDIT)})
    after = replace(
        KNOWN,
        targets={PROD: record(prod(), at="b"), "new/a/b": record(stage())},
        channels={"ok": (published(STAGE, "b"), published(OTHER, "b"))},
        triggers={"nightly": replace(RUNNING, runs=5)},
        trigger_requests={"nightly": TriggerRequest("nightly", "bob", NOW)},
        merge_requests={"x!1": mr_record(merge_request("x")), "y": mr_record(merge_request("y"))},
        run_requests={PROD: RunRequest(PROD, "retry", "bob", NOW)},
        cursors={"notes:1": 5},
        vetoes=(VETO, replace(VETO, target=OTHER)),
        failed_contents=(FAILED, replace(FAILED, iid=2)),
        pins={},
        answers={},
    )
    assert changes(f"target:{PROD}", after, before) == {("targets", PROD), ("run_requests", PROD)}
    assert changes(f"target:{STAGE}", after, before) == {
        ("targets", STAGE),
        ("channels", ("ok", STAGE)),
        ("pins", STAGE),
    }
    assert changes("trigger:nightly", after, before) == {("triggers", "nightly"), ("trigger_requests", "nightly")}
    said = {("cursors", "notes:1"), ("run_requests", PROD), ("trigger_requests", "nightly"), ("answers", "1")}
    wide = {part for part, _ in changes("dashboard", after, before)}
    assert wide == {part for part, _ in changes("merge-request:y", after, before)} - {"merge_requests"}
    own = changes("merge-request:x", after, before)
    assert said < own
    assert {key for part, key in own if part == "merge_requests"} == {"x", "x!1"}
    assert {key for part, key in own if part == "vetoes"} == {VETO}
    assert {key for part, key in own if part == "failed_contents"} == {FAILED}
    assert not {"vetoes", "failed_contents"} & wide


def test_what_has_been_forgiven_or_has_come_true_is_forgotten_by_any_wide_decision() -> None:
    before = replace(KNOWN, vetoes=(VETO,), failed_contents=(FAILED,))
    assert changes("dashboard", KNOWN, before) == {("vetoes", VETO), ("failed_contents", FAILED)}


def test_a_wide_decision_leaves_targets_and_triggers_as_they_are_on_record() -> None:
    """What a pass would do with them is done by their own looks; what people ordered stands."""
    asked = {PROD: RunRequest(PROD, "retry", "bob", NOW)}
    round_asked = {"nightly": TriggerRequest("nightly", "bob", NOW)}
    stopped = record(stage(), run=replace(a_run(stage()), stop="bob", text="as it is seen by now"))
    other = record(CONFIG.targets[OTHER], run=a_run(CONFIG.targets[OTHER], number=7))
    ordered = replace(
        KNOWN, targets={**KNOWN.targets, STAGE: stopped, OTHER: other}, run_requests=asked, trigger_requests=round_asked
    )
    done = replace(
        ordered, targets={}, channels={}, triggers={}, run_requests={}, trigger_requests={}, cursors={"a": 1}
    )
    left = as_recorded(done, KNOWN, ordered)
    assert left.targets == {**KNOWN.targets, STAGE: record(stage(), run=replace(a_run(stage()), stop="bob"))}
    assert (left.channels, left.triggers) == (KNOWN.channels, KNOWN.triggers)
    assert (left.run_requests, left.trigger_requests, left.cursors) == (asked, round_asked, {"a": 1})


def wide(subject: str, known: State, **fields: object) -> Plan:
    """A decision about a merge request or the dashboard, with a newer commit of staging there."""
    seen = observed(**{"refs": {URL: {"main": sha("b")}}, **known_history(*map(sha, "ab")), **fields})
    given = context(stage(), prod(ref=sha("a")), seen=seen, recorded=known)
    return decided(replace(given, focus=Focus(subject)))


def test_a_command_on_a_thread_is_obeyed_and_left_to_its_target() -> None:
    """A pass would start it at once; here it is written down, and not taken for done."""
    mr = merge_request("bob/x", author="bob", notes=(note(f"/saasbot retry {STAGE}", "7", "bob"),))
    known = state(record(stage(), at=sha("a")), record(prod(ref=sha("a"))))
    fields = {"merge_requests": {1: mr}, "roles": {"bob": Role.OWNER}}
    plan = wide("merge-request:bob/x", known, **fields)
    assert {type(each) for each in plan.actions} == {AnswerCommand}
    assert plan.record is not None
    assert (set(plan.record.run_requests), plan.record.cursors) == ({STAGE}, {"notes:1": 7})
    assert plan.record.targets == known.targets
    assert plan.next_due is None
    assert wide("dashboard", known, **fields).record is None
    assert wide("merge-request:other", known, **fields).record is None


def test_a_command_that_waits_is_not_taken_for_done_by_a_look_at_something_else() -> None:
    known = state(
        record(stage(), at=sha("a")),
        record(prod(ref=sha("a"))),
        run_requests={STAGE: RunRequest(STAGE, "manual", "bob", NOW)},
    )
    assert wide("dashboard", known).record is None
    assert wide("merge-request:x", known).record is None
    assert wide("target:not/there/yet", known).record is None


def test_a_rename_moves_everything_whichever_of_its_looks_comes_first() -> None:
    old, new = stage(), replace(stage(), id="svc/web/renamed")
    known = state(
        record(old, at=sha("b")),
        vetoes=(Veto(STAGE, "b", "bob", NOW),),
        pins={STAGE: Pin("b", "bob", NOW)},
        ok=(published(STAGE, "b"),),
    )
    seen = observed(refs={URL: {"main": sha("b")}})
    for subject in (f"target:{STAGE}", f"target:{new.id}", "dashboard"):
        given = context(new, seen=seen, recorded=known)
        plan = decided(replace(given, focus=Focus(subject)))
        assert plan.record is not None
        assert (set(plan.record.targets), set(plan.record.pins)) == ({new.id}, {new.id})
        assert [each.target for each in plan.record.vetoes] == [new.id]
        assert [each.target for each in plan.record.channels["ok"]] == [new.id]


def test_a_part_renames_nothing_as_not_all_of_it_is_there() -> None:
    """A publisher that was renamed: what was said of it moves with a look at itself."""
    renamed = replace(stage(), id="svc/web/renamed")
    config = desired(renamed, prod(ref=sha("b")))
    known = state(record(stage(), at=sha("b"), publish=("ok",)), record(prod(ref=sha("b")), at=sha("b")))
    focus = Focus(f"target:{PROD}")
    view = narrowed(config, known, focus)
    assert set(view.state.targets) == {PROD, STAGE}
    seen = observed(refs={URL: {"main": sha("b")}})
    assert decided(replace(context(config=view.desired, seen=seen, recorded=view.state), focus=focus)).record is None


def test_a_look_waits_for_nothing_but_its_own() -> None:
    """A run of its publisher that is in flight, or over its time, is that one's business."""
    run = a_run(stage(), started_at=NOW)
    known = state(record(stage(), run=run), record(prod(ref=sha("a"))))
    seen = observed(refs={URL: {"main": sha("a")}}, runs={run.key: RunFact(RunStatus.RUNNING, run.handle)})
    given = context(stage(), prod(ref=sha("a")), seen=seen, recorded=known)
    assert decided(replace(given, focus=Focus(f"target:{PROD}"))).next_due is None
    assert decided(replace(given, focus=Focus(f"target:{STAGE}"))).next_due is not None


def due(config: Desired, known: State, *, ignore: bool = False, **fields: object) -> dict[str, Due]:
    """The candidates by subject."""
    seen = observed(**{"refs": {URL: {"main": sha("a")}}, **known_history(*map(sha, "ab")), **fields})
    given = context(config=config, seen=seen, recorded=known)
    found = candidates(given, decided(given, World()), ignore_attention=ignore)
    return {each.subject: each for each in found.due}


def test_wq_6_what_is_due_is_a_candidate() -> None:
    found = due(CONFIG, replace(KNOWN, answers={}))
    assert set(found) == {f"target:{STAGE}", f"target:{OTHER}", "trigger:nightly"}
    assert {each.at for each in found.values()} == {NOW}


def test_wq_6_what_waits_is_a_candidate_at_its_time_and_so_is_its_promotion() -> None:
    config = desired(stage(), prod(ref=sha("a"), soak=2 * HOUR))
    known = state(record(stage(), at=sha("b")), record(prod(ref=sha("a"))), ok=(published(STAGE, sha("b")),))
    found = due(config, known, refs={URL: {"main": sha("b")}})
    assert {subject: each.at for subject, each in found.items()} == {
        f"target:{PROD}": NOW + HOUR,
        "merge-request:saasbot/svc.yml": NOW + HOUR,
    }


def test_a_schedule_is_a_candidate_at_its_next_slot_and_a_new_definition_at_once() -> None:
    """A definition that is not recorded would never be due: its schedules count from when it is."""
    by_command = replace(NIGHTLY, name="by-command", schedule=None)
    given = {"nightly": NIGHTLY, "by-command": by_command}
    known = decided(context(config=desired(triggers=given), recorded=state()), World()).record
    assert known is not None
    slot = {"trigger:nightly": NOW.replace(minute=0) + HOUR}
    assert {subject: each.at for subject, each in due(desired(triggers=given), known).items()} == slot
    given["new"] = replace(NIGHTLY, name="new")
    found = due(desired(triggers=given), known)
    assert {subject: each.at for subject, each in found.items()} == {**slot, "trigger:new": NOW}


def test_what_is_to_be_forgotten_is_a_candidate_and_goes_with_the_dashboard() -> None:
    """So is what nobody but the owner of a record notes: a request that came true, a publisher that is gone."""
    over = CommandFreeze("all", "bob", NOW - HOUR, "lunch", NOW)
    calm = state(record(stage()), record(prod()), freezes=(over,))
    assert set(due(desired(stage(), prod()), calm)) == {"dashboard"}
    came_true = replace(calm, freezes=(), requests={PROD: PromotionRequest(PROD, sha("a"), "bob", NOW)})
    assert set(due(desired(stage(), prod()), came_true)) == {f"target:{PROD}"}
    unpublished = replace(calm, freezes=(), channels={"ok": (published("gone", sha("a")),)})
    assert set(due(desired(stage(), prod()), unpublished)) == {"target:gone"}


SUBJECT = "merge-request:saasbot/svc.yml"


def flagged(flag: Flag, *, ignore: bool = False, name: str = SUBJECT, **fields: Any) -> Candidates:
    """The candidates where a promotion waits for a person, and conflicts."""
    config = desired(stage(), prod(ref=sha("a")))
    mr = merge_request("saasbot/svc.yml", **{"has_conflicts": True, **fields})
    edit = moved(prod(ref=sha("a")), sha("b"))
    known = state(
        record(stage(), at=sha("b")),
        record(prod(ref=sha("a"))),
        ok=(published(STAGE, sha("b")),),
        merge_requests={mr.source_branch: mr_record(mr, edit)},
        attention={name: flag},
    )
    seen = observed(
        refs={URL: {"main": sha("b")}},
        merge_requests={1: mr},
        roles={"bob": Role.OWNER},
        **known_history(*map(sha, "ab")),
    )
    given = context(config=config, seen=seen, recorded=known)
    return candidates(given, decided(given, World()), ignore_attention=ignore)


def told(found: Candidates) -> tuple[set[str], tuple[str, ...], tuple[str, ...]]:
    """What is due, which flags have had their time, and which stand."""
    return {each.subject for each in found.due}, found.cleared, found.flagged


def test_wq_5_what_waits_for_a_person_is_left_out_until_its_label_is_taken_off() -> None:
    flag = Flag("somebody must look", NOW, iid=1)
    assert told(flagged(flag, labels=(ATTENTION_LABEL,))) == (set(), (), (SUBJECT,))
    assert told(flagged(flag, labels=(ATTENTION_LABEL,), ignore=True)) == ({SUBJECT}, (), ())
    assert told(flagged(flag)) == ({SUBJECT}, (SUBJECT,), ())
    gone = told(flagged(flag, name="merge-request:closed/by/now"))
    assert gone == ({SUBJECT, "merge-request:closed/by/now"}, ("merge-request:closed/by/now",), ())


def test_wq_5_taking_the_label_off_is_reason_enough_for_a_look() -> None:
    held = flagged(Flag("a person has committed", NOW, iid=1), approved_by=("bob",), has_conflicts=False)
    (due,) = (each for each in held.due if each.subject == SUBJECT)
    assert due.at == NOW


def test_wq_5_what_people_say_where_a_person_is_wanted_is_heard() -> None:
    notes = (note("/saasbot help", "7", "bob"),)
    found = flagged(Flag("somebody must look", NOW, iid=1), labels=(ATTENTION_LABEL,), notes=notes)
    assert told(found) == ({SUBJECT}, (), (SUBJECT,))


def test_wq_5_a_flag_without_a_label_stands_while_there_is_the_same_to_do() -> None:
    why = "the base moved and the branch conflicts"
    assert told(flagged(Flag("it failed", NOW, why=why))) == (set(), (), (SUBJECT,))
    assert told(flagged(Flag("it failed", NOW, why="something else"))) == ({SUBJECT}, (SUBJECT,), ())
    assert told(flagged(Flag("it failed", NOW, why=why), name="target:x")) == ({SUBJECT}, ("target:x",), ())


def test_wq_5_what_there_is_to_do_is_noted_with_the_flag_that_is_seen_first() -> None:
    found = flagged(Flag("it failed", NOW))
    assert told(found) == (set(), (), (SUBJECT,))
    assert found.flags == {SUBJECT: Flag("it failed", NOW, why="the base moved and the branch conflicts")}


def test_a_wait_of_what_is_no_subscriber_brings_no_merge_request() -> None:
    held = Held(f"target:{STAGE}", Gate.WINDOW, "closed", NOW + timedelta(hours=2))
    found = candidates(context(stage(), recorded=state(record(stage()))), Plan(held=(held,)))
    assert [(each.subject, each.at) for each in found.due] == [(f"target:{STAGE}", NOW + timedelta(hours=2))]
    assert candidates(context(stage()), Plan(actions=(without_reasons(),))).due[0].why == ""


def without_reasons() -> StartRun:
    """A start without a reason."""
    return StartRun(f"target:{STAGE}", STAGE, a_run(stage(), status=RunStatus.PENDING), stage().pipeline, {}, ())


# Renames


def test_a_renamed_definition_is_looked_at_with_the_record_that_it_had() -> None:
    """The look at its new name moves the record; one at the old name waits for that."""
    known = state(triggers={"nightly": replace(RUNNING, file="a.yml"), "other": replace(RUNNING, name="other")})
    config = desired(triggers={"weekly": replace(NIGHTLY, name="weekly", file="a.yml")})
    view = narrowed(config, known, Focus("trigger:weekly"))
    assert set(view.state.triggers) == {"nightly"}
    assert set(narrowed(config, known, Focus("trigger:nightly")).state.triggers) == set()
    assert set(narrowed(config, known, Focus("trigger:other")).state.triggers) == {"other"}
    given = replace(context(config=config, recorded=view.state), focus=Focus("trigger:weekly"))
    found = decided(given, World()).record
    assert found is not None
    assert {name: each.rounds for name, each in found.triggers.items()} == {"weekly": RUNNING.rounds}


def test_a_merge_request_whose_record_changes_is_looked_at() -> None:
    before = state(record(stage()))
    after = replace(before, merge_requests={"x": mr_record(merge_request("x"))})
    found = candidates(context(stage(), recorded=before), Plan(record=after))
    assert [each.subject for each in found.due] == ["merge-request:x"]


def test_what_was_ordered_of_others_is_due() -> None:
    requests = {"nightly": TriggerRequest("nightly", "ana", NOW)}
    before = replace(KNOWN, trigger_requests={"old": TriggerRequest("old", "ana", NOW)})
    after = replace(before, trigger_requests=requests, run_requests={PROD: RunRequest(PROD, "retry", "ana", NOW)})
    found = ordered(delta(before, after), Focus("merge-request:x"))
    assert set(found) == {"trigger:nightly", f"target:{PROD}"}
    assert ordered(delta(before, after), Focus("trigger:nightly")) == (f"target:{PROD}",)
