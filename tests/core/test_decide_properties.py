"""Whatever the world looks like: a decision never breaks, never contradicts itself, and keeps the house's promises."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from core_values import (
    DEPLOY,
    HOUR,
    ME,
    NOW,
    URL,
    World,
    a_run,
    change_of,
    context,
    deliberated,
    desired,
    merge_request,
    moved,
    mr_record,
    note,
    observed,
    prod,
    published,
    record,
    settings,
    sha,
    sheet,
    stage,
    state,
)
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bot.core.context import Context
from bot.core.decide import ORDER, decide, deliberate, wants
from bot.core.explain import explain
from bot.core.overview import overview
from bot.core.record import settle
from bot.core.saved import replay, save
from bot.core.statefile import decode, encode
from bot.model.desired import Recurring, Target, is_sha
from bot.model.observed import CiStatus, MergeRequestStatus, Role, RunFact, Unreachable, Wants
from bot.model.plan import (
    ACTION_KINDS,
    CloseMergeRequest,
    Gate,
    OpenMergeRequest,
    Outcome,
    OutcomeStatus,
    Plan,
    RegenerateMergeRequest,
    SplitMergeRequest,
    StartRun,
    UpdateMergeRequest,
)
from bot.model.runs import RunStatus
from bot.model.servers import OnNewer
from bot.model.state import CommandFreeze, FailedContent, Hold, Pin, PromotionRequest, RunRequest, State, Veto
from bot.settings import BatchBy, Merge, PromotionSettings, Regenerate, RunSettings, Update

SHAS = [sha(name) for name in "abcd"]
STAGES = ("svc/web/stage", "svc/web/other")
PRODS = ("svc/web/one", "svc/web/two", "far/web/prod")
REBUILDS = (UpdateMergeRequest, RegenerateMergeRequest, SplitMergeRequest)
COMMANDS = (
    "help", "status", "retry", "cancel", "hold x", "unhold", "split", "group", "ignore", "regenerate", "nonsense",
    f"promote {PRODS[0]}", f"rollback {PRODS[0]}", f"pin {PRODS[0]}", "unpin", f'override soak {PRODS[0]} reason="x"',
    'freeze all reason="x"', f"explain {PRODS[1]}", "regenerate --discard-edits",
)  # fmt: skip

some_sha = st.sampled_from(SHAS)
rarely = st.sampled_from([False] * 5 + [True])


@st.composite
def configs(draw: st.DrawFn) -> list[Target]:
    pipeline = replace(DEPLOY, retries=draw(st.integers(0, 1)), on_newer=draw(st.sampled_from(OnNewer)))
    found = [stage(each, disable=draw(rarely), pipeline=pipeline) for each in STAGES if not draw(rarely)]
    for number, each in enumerate(PRODS):
        if draw(rarely):
            continue
        one = prod(
            each,
            draw(some_sha),
            auto=not draw(rarely),
            index=number % 2,
            soak=draw(st.sampled_from([0, 0, 20])) * HOUR,
            windows=draw(st.sampled_from([(), (), (Recurring("0 22 * * *", HOUR),)])),
            redeploy_on_publisher_config_change=draw(st.booleans()),
        )
        parameters = {"X": 1} if draw(rarely) else {}
        found.append(replace(one, parameters=parameters, delete=draw(rarely), disable=draw(rarely), pipeline=pipeline))
    return found


@st.composite
def states(draw: st.DrawFn, targets: list[Target]) -> State | None:
    if draw(rarely):
        return None
    known = []
    for each in targets:
        if draw(rarely):
            continue
        at = draw(some_sha)
        was = replace(each, ref=at) if each.pinned and draw(rarely) else each
        status = draw(st.none() | st.sampled_from(RunStatus))
        handle = "h" if draw(st.booleans()) else ""
        run = a_run(was, draw(some_sha), status, handle=handle, previous=draw(some_sha)) if status else None
        known.append(record(was, at if not was.pinned else "", run=run, adopted=draw(rarely)))
    if draw(rarely):
        known.append(record(prod("svc/web/gone"), removed_at=NOW - timedelta(days=draw(st.integers(0, 40)))))
    ok = tuple(
        published(by, what, draw(st.integers(0, 40)) * HOUR) for by in STAGES for what in SHAS if draw(st.booleans())
    )
    whom = st.sampled_from(PRODS)
    return state(
        *known,
        ok=ok,
        time=NOW + HOUR if draw(rarely) else NOW - HOUR,
        vetoes=(Veto(draw(whom), draw(some_sha), "bob", NOW),) if draw(rarely) else (),
        failed_contents=(FailedContent(frozenset({f"{draw(whom)}@{draw(some_sha)}"}), NOW, 1),) if draw(rarely) else (),
        pins={draw(whom): Pin(draw(some_sha), "ana", NOW, rollback=draw(st.booleans()))} if draw(rarely) else {},
        requests={(w := draw(whom)): PromotionRequest(w, draw(some_sha), "ana", NOW)} if draw(rarely) else {},
        run_requests={(w := draw(whom)): RunRequest(w, "retry", "ana", NOW)} if draw(rarely) else {},
        freezes=(CommandFreeze("all", "ana", NOW, "x"),) if draw(rarely) else (),
        splits=frozenset({"all"}) if draw(rarely) else frozenset(),
    )


@st.composite
def contexts(draw: st.DrawFn) -> tuple[Context, World]:
    targets = draw(configs())
    config = desired(*targets, invalid_targets={"svc/web/bad": "bad"} if draw(rarely) else {})
    recorded = draw(states(targets))
    requests, diffs, kept = {}, {}, {}
    subscribers = [each for each in targets if each.id in PRODS]
    for iid, file in enumerate(("svc.yml", "far.yml"), 1):
        own = [each for each in subscribers if each.file == file]
        if not own or not draw(st.booleans()):
            continue
        edits = tuple(moved(each, new) for each in own if (new := draw(some_sha)) != each.ref)
        notes = (note(f"/saasbot {draw(st.sampled_from(COMMANDS))}"),) if draw(rarely) else ()
        request = merge_request(
            f"saasbot/{file}",
            iid,
            ci=draw(st.sampled_from(CiStatus)),
            state=MergeRequestStatus.OPENED if not draw(rarely) else draw(st.sampled_from(MergeRequestStatus)),
            has_conflicts=draw(rarely),
            draft=draw(rarely),
            approved_by=("bob",) if draw(rarely) else (),
            closed_by=draw(st.sampled_from(["", ME, "bob"])),
            notes=notes,
        )
        requests[iid] = request
        diffs[iid] = change_of(config, *edits) if not draw(rarely) else Unreachable("refused")
        if draw(st.booleans()):
            held = Hold("bob", NOW) if draw(rarely) else None
            asked = draw(st.sampled_from(["", "", "", "keep", "discard", "close"]))
            kept[request.source_branch] = mr_record(request, *edits, hold=held, asked=asked)
    if recorded is not None:
        recorded = replace(recorded, merge_requests=kept)
    fact = st.none() | st.builds(RunFact, st.sampled_from(RunStatus)) | st.just(Unreachable("refused"))
    records = recorded.targets.values() if recorded is not None else ()
    runs = {r.run.key: draw(fact) for r in records if r.run is not None and r.run.status.in_flight}
    options = settings(
        promotions=PromotionSettings(
            batch_by=draw(st.sampled_from(BatchBy)),
            max_batch=draw(st.integers(1, 3)),
            regenerate=draw(st.sampled_from(Regenerate)),
            update=draw(st.sampled_from(Update)),
            merge=draw(st.sampled_from(Merge)),
            max_open=draw(st.integers(1, 3)),
        ),
        runs=RunSettings(draw(st.integers(1, 4)), draw(st.integers(1, 4))),
    )
    seen = observed(
        refs={URL: {"main": draw(some_sha)}} if not draw(rarely) else {URL: Unreachable("refused")},
        runs=runs,
        merge_requests=requests,
        commands=(note(draw(st.sampled_from(COMMANDS))),) if draw(rarely) else (),
    )
    found = context(config=config, recorded=recorded, seen=seen, options=options)
    return found, World(diffs=diffs, roles={"ana": Role.OWNER})


worlds = contexts()
EXAMPLES = int(os.environ.get("SAASBOT_EXAMPLES", "50"))
modest = examples(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def actions(plan: Plan, *kinds: type) -> list[Any]:
    return [each for each in plan.actions if isinstance(each, kinds)]


@modest
@given(worlds)
def test_a_decision_is_total_and_always_the_same(given_world: tuple[Context, World]) -> None:
    full, plan = deliberated(*given_world)
    assert decide(full) == plan
    assert wants(full) == Wants()
    assert deliberate(full) == (plan, Wants())
    assert decide(replay(save(full))) == plan


@modest
@given(worlds)
def test_a_plan_keeps_the_promises_of_the_house(given_world: tuple[Context, World]) -> None:
    full, plan = deliberated(*given_world)
    starts = Counter(each.target for each in actions(plan, StartRun))
    assert all(count == 1 for count in starts.values()), "two reasons are one run"
    positions = [ORDER[ACTION_KINDS[type(each)]] for each in plan.actions]
    assert positions == sorted(positions)
    assert len(plan.held) == len(set(plan.held))
    assert plan.next_due is None or plan.next_due > full.now
    for start in actions(plan, StartRun):
        target = full.desired.targets[start.target]
        assert not target.disable
        assert plan.record is None or plan.record.targets[start.target].run == start.run
        known = plan.record or full.state
        assert known is not None
        assert known.targets[start.target].run == start.run, "the intent is on record before the start"
    assert decode(encode(plan.record), "x") == plan.record if plan.record is not None else True


@modest
@given(worlds)
def test_no_two_open_merge_requests_touch_the_same_file(given_world: tuple[Context, World]) -> None:
    full, plan = deliberated(*given_world)
    closed = {each.iid for each in actions(plan, CloseMergeRequest)}
    files = {each.commit.branch: set(each.commit.files) for each in actions(plan, OpenMergeRequest, *REBUILDS)}
    records = plan.record.merge_requests if plan.record is not None else {}
    for branch, kept in records.items():
        request = full.observed.merge_requests.get(kept.iid)
        if not kept.merged and request is not None and kept.iid not in closed:
            files.setdefault(branch, {each.file for each in kept.edits})
    touched = [file for each in files.values() for file in each]
    assert len(touched) == len(set(touched))


@modest
@given(worlds)
def test_a_version_goes_where_every_publisher_has_published_it_or_a_person_says_so(
    given_world: tuple[Context, World],
) -> None:
    full, plan = deliberated(*given_world)
    known = plan.record or full.state
    publishers = [t.id for t in full.desired.targets.values() if t.promotion.publish and not (t.disable or t.delete)]
    for action in actions(plan, OpenMergeRequest):
        assert len(action.edits) == len({each.target for each in action.edits})
        assert len(set(action.commit.files)) <= max(1, full.settings.promotions.max_batch)
        for each in action.edits:
            assert is_sha(each.new)
            assert each.old == full.desired.targets[each.target].ref
            assert known is not None
            record_of = known.targets.get(each.target)
            adopted = record_of is not None and record_of.adopted and record_of.sha == each.new
            back = each.target in known.requests or each.target in known.pins
            pairs = {(p.target, p.sha) for p in known.channels.get("ok", ())}
            assert adopted or back or all((by, each.new) in pairs for by in publishers)
            assert Gate.BLOCKED_VERSION not in {h.gate for h in plan.held if h.subject == f"target:{each.target}"}


@modest
@given(worlds, st.sampled_from(OutcomeStatus))
def test_an_outcome_folded_in_twice_is_folded_in_once(
    given_world: tuple[Context, World], status: OutcomeStatus
) -> None:
    full, plan = deliberated(*given_world)
    before = plan.record or full.state or State()
    for action in plan.actions:
        run = getattr(action, "run", None)
        request = merge_request(iid=9) if status is OutcomeStatus.DONE else None
        outcome = Outcome(status, "words", run=run if status is OutcomeStatus.DONE else None, merge_request=request)
        once = settle(before, full.desired, (action,), (outcome,), full.now)
        assert settle(once, full.desired, (action,), (outcome,), full.now) == once


@modest
@given(worlds)
def test_everything_can_be_explained(given_world: tuple[Context, World]) -> None:
    full, plan = deliberated(*given_world)
    for target in (*full.desired.targets, "svc/web/bad", "nothing"):
        found = explain(full, target)
        assert found.problem or found.run
    rows = overview(full, plan).rows
    assert len(rows) == len({each.id for each in rows})


def test_there_is_an_order_for_every_kind_of_action() -> None:
    assert set(ORDER) == set(ACTION_KINDS.values())


def test_what_is_due_lies_ahead() -> None:
    where = sheet(context())
    for moment in (None, NOW - HOUR, NOW, NOW + HOUR):
        where.due(moment)
    assert where.dues == [NOW + HOUR]
