"""Which targets run, for which reasons, and what holds them (DESIGN section 3); renames and removals (section 2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import (
    APP,
    DEPLOY,
    HOUR,
    NOW,
    PROD,
    STAGE,
    URL,
    a_run,
    context,
    decided,
    deliberated,
    desired,
    digest_of,
    held_gates,
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

from bot.core.diff import run_key
from bot.model.desired import Component, Recurring, Target
from bot.model.observed import RunFact, Unreachable
from bot.model.plan import CancelRun, Plan, RecordState, StartRun
from bot.model.runs import Run, RunStatus
from bot.model.servers import OnNewer
from bot.model.state import CommandFreeze, FailedContent, Override, Pin, PromotionRequest, RunRequest, TargetState, Veto
from bot.settings import RunSettings

A, B, C = sha("a"), sha("b"), sha("c")
FROZEN = (CommandFreeze("all", "ana", NOW, "x"),)


def at(commit: str) -> Any:
    return observed(refs={URL: {"main": commit}})


def reasons(plan: Plan) -> dict[str, list[str]]:
    return {each.target: [reason.kind for reason in each.reasons] for each in of_kind(plan, StartRun)}


def recorded_at(plan: Plan, name: str) -> TargetState:
    assert plan.record is not None
    return plan.record.targets[name]


# Adoption


def test_the_first_pass_records_what_is_there_and_starts_nothing() -> None:
    plan = decided(context(prod(), stage(), target("svc/web/off", disable=True)))
    assert [each.reasons[0].kind for each in plan.actions] == ["adopted"] * 3
    found = recorded_at(plan, STAGE)
    assert (found.sha, found.adopted, found.run) == (A, True, None)
    assert plan.record is not None
    assert not plan.record.channels, "nothing is published"
    assert plan.record.lineage == "lin"


def test_an_adopted_ref_that_cannot_be_read_is_recorded_later() -> None:
    plan = decided(context(stage(), seen=observed(refs={URL: Unreachable("refused")})))
    assert "refused" in plan.actions[0].reasons[0].text
    later = decided(context(stage(), recorded=plan.record, seen=at(B)))
    assert [each.reasons[0].kind for each in later.actions] == ["adopted"]
    assert recorded_at(later, STAGE).sha == B


def test_bootstrap_run_starts_all() -> None:
    assert reasons(decided(context(target(), stage(), bootstrap="run"))) == {
        PROD: ["new_target"],
        STAGE: ["new_target"],
    }


def test_a_quiet_pass_writes_nothing() -> None:
    plan = decided(context(prod(), stage(), recorded=state(record(prod()), record(stage()))))
    assert plan == Plan()


# Reasons


def test_a_new_target_runs_with_everything_its_program_needs() -> None:
    given = target(parameters={"X": 1})
    (start,) = of_kind(decided(context(given, recorded=state())), StartRun)
    assert [each.kind for each in start.reasons] == ["new_target"]
    assert start.run.key == run_key("lin", PROD, digest_of(given), A, 1)
    assert start.environment == {
        "SAASBOT_TARGET": PROD,
        "SAASBOT_SAAS_FILE": "svc",
        "SAASBOT_SHA": A,
        "SAASBOT_REF": A,
        "SAASBOT_PARAMETERS": '{"X":1}',
        "SAASBOT_RUN_KEY": start.run.key,
        "SAASBOT_ACTION": "deploy",
        "SAASBOT_REASONS": "new_target",
    }


def test_the_intent_is_in_the_record_before_the_start() -> None:
    plan = decided(context(target(), recorded=state()))
    run = recorded_at(plan, PROD).run
    assert run is not None
    assert (run.status, run.handle, run.intent_at, run.config_sha) == (RunStatus.PENDING, "", NOW, sha("config"))


def test_two_reasons_are_one_run() -> None:
    known = record(stage(), A)
    changed = stage(parameters={"X": 1})
    plan = decided(context(changed, recorded=state(known), seen=at(B)))
    assert reasons(plan) == {STAGE: ["config_change", "moving_commit"]}
    (start,) = of_kind(plan, StartRun)
    assert (start.run.sha, start.run.previous, start.run.number) == (B, A, 1)


def test_a_moved_pin_of_a_subscriber_is_a_promotion_and_no_configuration_change() -> None:
    recorded = state(record(prod()), record(stage()), ok=(published(STAGE, B),))
    assert reasons(decided(context(prod(ref=B), stage(), recorded=recorded))) == {PROD: ["promotion"]}
    both = replace(prod(ref=B), parameters={"X": 1})
    assert reasons(decided(context(both, stage(), recorded=recorded))) == {PROD: ["promotion", "config_change"]}


def test_a_moved_pin_of_anybody_else_is_a_configuration_change() -> None:
    plan = decided(context(target(ref=B), recorded=state(record(target()))))
    assert reasons(plan) == {PROD: ["config_change"]}


def test_back_to_an_earlier_sha_is_a_new_run() -> None:
    first = decided(context(target(), recorded=state()))
    keys = []
    record_now = first.record
    for ref in (B, A):
        assert record_now is not None
        known = record_now.targets[PROD]
        done = replace(known, run=replace(known.run, status=RunStatus.SUCCEEDED), deployed_sha=known.sha)  # type: ignore[type-var] # it has run
        plan = decided(context(target(ref=ref), recorded=replace(record_now, targets={PROD: done})))
        (start,) = of_kind(plan, StartRun)
        keys.append(start.run.key)
        record_now = plan.record
    (old,) = of_kind(first, StartRun)
    assert len({old.run.key, *keys}) == 3


def test_a_new_subscriber_whose_sha_was_never_published_is_held_with_a_hint() -> None:
    plan = decided(context(prod(), stage(), recorded=state(record(stage()))))
    assert held_gates(plan, f"target:{PROD}") == {"published"}
    assert "override published" in plan.held[0].text
    ok = decided(context(prod(), stage(), recorded=state(record(stage()), ok=(published(STAGE, A),))))
    assert reasons(ok) == {PROD: ["new_target"]}


def test_a_publishers_new_configuration_redeploys_a_subscriber() -> None:
    given = prod(redeploy_on_publisher_config_change=True, auto=False)
    recorded = state(
        record(given, publishers={STAGE: "1:old"}), record(stage()), ok=(published(STAGE, A, config="1:new"),)
    )
    plan = decided(context(given, stage(), recorded=recorded))
    assert reasons(plan) == {PROD: ["publisher_config"]}
    assert recorded_at(plan, PROD).publishers == {STAGE: "1:new"}
    quiet = prod(auto=False)
    assert not decided(context(quiet, stage(), recorded=recorded)).actions
    same = replace(recorded, targets={PROD: record(given, publishers={STAGE: "1:new"}), STAGE: record(stage())})
    assert not decided(context(given, stage(), recorded=same)).actions


def test_a_publishers_new_configuration_redeploys_an_adopted_subscriber() -> None:
    given = prod(redeploy_on_publisher_config_change=True, auto=False)
    plan = decided(context(given, stage()))
    changed = stage(parameters={"X": 1})
    plan = decided(context(given, changed, recorded=plan.record))
    (start,) = of_kind(plan, StartRun)
    seen = observed(runs={start.run.key: RunFact(RunStatus.SUCCEEDED)})
    ended = decided(context(given, changed, recorded=plan.record, seen=seen))
    after = ended if reasons(ended) else decided(context(given, changed, recorded=ended.record))
    assert reasons(after) == {PROD: ["publisher_config"]}


def test_a_ref_that_does_not_exist_holds_its_own_target_only() -> None:
    plan = decided(context(stage(ref="gone"), target(ref=B), recorded=state(record(stage()), record(target()))))
    assert held_gates(plan, f"target:{STAGE}") == {"unreachable"}
    assert reasons(plan) == {PROD: ["config_change"]}
    never_asked = decided(context(stage(url="https://x/y"), recorded=state()))
    assert "was not asked" in never_asked.held[0].text


# Disable, delete


def test_a_disabled_target_never_runs() -> None:
    off = target(ref=B, disable=True)
    assert not decided(context(off, recorded=state(record(target())))).actions
    assert not decided(context(off, recorded=state())).actions


DELETED = target(delete=True)


@pytest.mark.parametrize("status", [None, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED])
def test_a_delete_is_one_run_whatever_the_last_one_did(status: RunStatus | None) -> None:
    last = a_run(target(), status=status) if status else None
    plan = decided(context(DELETED, recorded=state(record(target(), run=last))))
    (start,) = of_kind(plan, StartRun)
    assert start.environment["SAASBOT_ACTION"] == "delete"
    run = recorded_at(plan, PROD).run
    assert run is not None
    seen = observed(runs={run.key: RunFact(RunStatus.SUCCEEDED)})
    ended = decided(context(DELETED, recorded=plan.record, seen=seen))
    assert recorded_at(ended, PROD).deleted
    assert decided(context(DELETED, recorded=ended.record)) == Plan()
    back = decided(context(target(), recorded=ended.record))
    assert reasons(back) == {PROD: ["new_target"]}
    assert not recorded_at(back, PROD).deleted


# One run in flight, budget, retries


@pytest.mark.parametrize(("on_newer", "canceled"), [(OnNewer.WAIT, 0), (OnNewer.CANCEL, 1)])
def test_a_newer_state_waits_for_the_run_in_flight_or_cancels_it(on_newer: OnNewer, canceled: int) -> None:
    given = stage(pipeline=replace(DEPLOY, on_newer=on_newer))
    run = a_run(given)
    seen = observed(refs={URL: {"main": B}}, runs={run.key: RunFact(RunStatus.RUNNING, "h1")})
    plan = decided(context(given, recorded=state(record(given, run=run)), seen=seen))
    assert held_gates(plan, f"target:{STAGE}") == {"run_in_flight"}
    assert len(of_kind(plan, CancelRun)) == canceled
    assert not of_kind(plan, StartRun)
    assert plan.next_due == NOW + timedelta(seconds=10)


def test_nothing_is_canceled_for_a_state_that_may_not_start() -> None:
    given = stage(pipeline=replace(DEPLOY, on_newer=OnNewer.CANCEL))
    run = a_run(given)
    seen = observed(refs={URL: {"main": B}}, runs={run.key: RunFact(RunStatus.RUNNING, "h1")})
    plan = decided(context(given, recorded=state(record(given, run=run), freezes=FROZEN), seen=seen))
    assert not of_kind(plan, CancelRun)


def test_the_same_state_is_not_canceled_for_itself() -> None:
    given = target(pipeline=replace(DEPLOY, on_newer=OnNewer.CANCEL))
    run = a_run(given)
    asked = {PROD: RunRequest(PROD, "manual", "ana", NOW)}
    seen = observed(runs={run.key: RunFact(RunStatus.RUNNING, "h1")})
    plan = decided(context(given, recorded=state(record(given, run=run), run_requests=asked), seen=seen))
    assert held_gates(plan, f"target:{PROD}") == {"run_in_flight"}
    assert not of_kind(plan, CancelRun)
    assert plan.record is None, "the request is kept until it can start"


def test_a_bad_shared_parameter_does_not_start_everything() -> None:
    targets = [target(f"svc/web/t{n}") for n in range(5)]
    options = settings(runs=RunSettings(max_starts=2))
    plan = decided(context(*targets, recorded=state(), options=options))
    assert len(of_kind(plan, StartRun)) == 2
    assert [each.gate for each in plan.held] == ["budget"] * 3
    options = settings(runs=RunSettings(max_in_flight=1))
    assert len(of_kind(decided(context(*targets, recorded=state(), options=options)), StartRun)) == 1


@pytest.mark.parametrize(("retries", "attempt", "starts"), [(0, 1, False), (1, 1, True), (1, 2, False), (2, 2, True)])
def test_a_failed_run_is_tried_again_as_often_as_the_pipeline_says(retries: int, attempt: int, starts: bool) -> None:
    given = target(pipeline=replace(DEPLOY, retries=retries))
    run = a_run(given, status=RunStatus.FAILED, attempt=attempt, finished_at=NOW - HOUR)
    plan = decided(context(given, recorded=state(record(given, run=run))))
    if starts:
        assert reasons(plan) == {PROD: ["retry"]}
        again = recorded_at(plan, PROD).run
        assert again is not None
        assert (again.attempt, again.number) == (attempt + 1, 2)
    else:
        assert held_gates(plan, f"target:{PROD}") == {"failed"}
        assert not plan.actions


def test_a_retry_has_a_due_time() -> None:
    given = target(pipeline=replace(DEPLOY, retries=1))
    run = a_run(given, status=RunStatus.FAILED, finished_at=NOW)
    plan = decided(context(given, recorded=state(record(given, run=run))))
    assert plan.next_due == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELED, RunStatus.UNKNOWN])
def test_a_command_runs_what_ended_badly_again(status: RunStatus) -> None:
    asked = {PROD: RunRequest(PROD, "retry", "ana", NOW)}
    run = a_run(target(), status=status)
    quiet = decided(context(target(), recorded=state(record(target(), run=run))))
    assert held_gates(quiet, f"target:{PROD}") == {"unknown" if status is RunStatus.UNKNOWN else "failed"}
    plan = decided(context(target(), recorded=state(record(target(), run=run), run_requests=asked)))
    assert reasons(plan) == {PROD: ["retry"]}
    assert plan.record is not None
    assert not plan.record.run_requests, "a request is consumed by the start"


def test_a_new_content_starts_whatever_failed_before() -> None:
    run = a_run(target(), status=RunStatus.FAILED)
    assert reasons(decided(context(target(ref=B), recorded=state(record(target(), run=run))))) == {
        PROD: ["config_change"]
    }


def test_an_instance_out_of_reach_holds_its_targets() -> None:
    plan = decided(context(target(ref=B), recorded=state(record(target())), seen=observed(unavailable={"shell": "no"})))
    assert held_gates(plan, f"target:{PROD}") == {"unreachable"}
    assert not plan.actions


@pytest.mark.parametrize("ref", [A, B])
def test_a_hotfix_passes_a_freeze_only_where_its_ref_moves(ref: str) -> None:
    hot: dict[str, Any] = {"app": replace(APP, components=(Component(URL, hotfix=frozenset({A, B})),))}
    given = replace(prod(ref=ref), parameters={"X": 1} if ref == A else {}, **hot)
    recorded = state(record(replace(prod(), **hot)), record(stage()), freezes=FROZEN)
    plan = decided(context(given, stage(), recorded=recorded))
    assert bool(of_kind(plan, StartRun)) is (ref == B)


# The hash's version, renames, removals, invalid files


def test_a_new_version_of_the_hash_is_recorded_and_starts_nothing() -> None:
    plan = decided(context(target(), recorded=state(record(target(), config_hash="0:old"))))
    assert [each.reasons[0].kind for each in plan.actions] == ["hash_version"]
    assert recorded_at(plan, PROD).config_hash == digest_of(target())


OLD = target("svc/web/old")
NEW = target("svc/web/new", namespace=OLD.namespace)


def test_a_rename_moves_the_record_and_starts_nothing() -> None:
    plan = decided(context(NEW, recorded=state(record(OLD))))
    assert [(each.subject, each.reasons[0].kind) for each in plan.actions] == [("target:svc/web/new", "renamed")]
    assert plan.record is not None
    assert set(plan.record.targets) == {NEW.id}


def test_a_rename_moves_everything_that_was_said() -> None:
    other = target("svc/web/other", index=1)
    request = merge_request()
    recorded = state(
        record(OLD),
        record(other),
        pins={OLD.id: Pin(A, "ana", NOW)},
        vetoes=(Veto(OLD.id, B, "bob", NOW), Veto(other.id, B, "bob", NOW)),
        overrides=(Override(OLD.id, B, "soak", "ovi", NOW, "x"),),
        requests={OLD.id: PromotionRequest(OLD.id, B, "ana", NOW), other.id: PromotionRequest(other.id, B, "ana", NOW)},
        failed_contents=(FailedContent(frozenset({f"{OLD.id}@{B}", f"{other.id}@{B}"}), NOW, 1),),
        freezes=(CommandFreeze(f"target:{OLD.id}", "ana", NOW, "x"), CommandFreeze("app:x", "ana", NOW, "x")),
        run_requests={OLD.id: RunRequest(OLD.id, "manual", "ana", NOW)},
        merge_requests={request.source_branch: mr_record(request, moved(OLD, B), moved(other, B))},
    )
    seen = observed(merge_requests={1: request})
    found = decided(context(NEW, other, recorded=recorded, seen=seen)).record
    assert found is not None
    assert set(found.pins) == {NEW.id}
    assert {each.target for each in found.vetoes} == {NEW.id, other.id}
    assert found.overrides[0].target == NEW.id
    assert set(found.requests) == {NEW.id, other.id}
    assert found.failed_contents[0].content == {f"{NEW.id}@{B}", f"{other.id}@{B}"}
    assert [each.scope for each in found.freezes] == [f"target:{NEW.id}", "app:x"]
    assert OLD.id not in str(found.merge_requests)


def test_a_success_seen_together_with_a_rename_is_published() -> None:
    old = stage("svc/web/old")
    new = replace(old, id="svc/web/new")
    run = a_run(old)
    seen = observed(runs={run.key: RunFact(RunStatus.SUCCEEDED)})
    found = decided(context(new, recorded=state(record(old, run=run)), seen=seen)).record
    assert found is not None
    assert [(each.target, each.sha) for each in found.channels["ok"]] == [(new.id, A)]


def test_another_namespace_is_a_new_target_and_a_removed_one() -> None:
    plan = decided(context(target("svc/web/new"), recorded=state(record(OLD))))
    assert reasons(plan) == {"svc/web/new": ["new_target"]}
    assert recorded_at(plan, OLD.id).removed_at == NOW


def test_a_removed_target_is_remembered_thirty_days() -> None:
    gone = record(OLD, removed_at=NOW - timedelta(days=30))
    plan = decided(context(recorded=state(gone)))
    assert [each.reasons[0].kind for each in of_kind(plan, RecordState)] == ["collected"]
    assert plan.record is not None
    assert not plan.record.targets
    young = replace(gone, removed_at=NOW - timedelta(days=29))
    assert decided(context(recorded=state(young))) == Plan()
    run = a_run(OLD)
    seen = observed(runs={run.key: RunFact(RunStatus.RUNNING, "h1")})
    flying = replace(gone, run=run)
    assert not of_kind(decided(context(recorded=state(flying), seen=seen)), RecordState)


def test_a_target_that_comes_back_is_as_it_was() -> None:
    plan = decided(context(OLD, recorded=state(record(OLD, removed_at=NOW - HOUR))))
    assert not plan.actions
    assert recorded_at(plan, OLD.id).removed_at is None


@pytest.mark.parametrize("how", [{"invalid": {"svc.yml": "bad"}}, {"invalid_targets": {PROD: "bad"}}])
def test_an_invalid_target_is_held_and_never_counts_as_removed(how: dict[str, Any]) -> None:
    plan = decided(context(config=desired(stage(), **how), recorded=state(record(prod()), record(stage()))))
    assert held_gates(plan, f"target:{PROD}") == {"invalid"}
    assert not plan.actions


def test_each_gate_that_holds_is_told_once() -> None:
    shut = (Recurring("0 0 1 1 *", HOUR),)
    before = [prod(f"svc/web/p{n}", index=n, windows=shut) for n in range(25)]
    after: list[Target] = [replace(each, parameters={"X": 1}) for each in before]
    recorded = state(*(record(each) for each in before), record(stage()), ok=(published(STAGE, B),))
    _, plan = deliberated(context(*after, stage(), recorded=recorded))
    pairs = [(each.subject, each.gate, each.text) for each in plan.held]
    assert len(pairs) == len(set(pairs)) == 25


def test_a_stuck_target_without_a_run_says_nothing() -> None:
    fine: Run = a_run(target(), status=RunStatus.SUCCEEDED)
    assert decided(context(target(), recorded=state(record(target(), run=fine)))) == Plan()
