"""Each gate of DESIGN section 4: value, threshold, until; who passes it; which occasion asks for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from core_values import (
    APP,
    HOUR,
    NOW,
    PROD,
    STAGE,
    URL,
    a_run,
    context,
    desired,
    digest_of,
    history,
    known_history,
    observed,
    prod,
    published,
    record,
    settings,
    sha,
    sheet,
    stage,
    state,
    target,
)

from bot.core.gates import REF_GATES, SAME_REF_GATES, Candidate, Occasion, gates, holding, same_url
from bot.core.sheet import Sheet
from bot.model.desired import Component, Freeze, Interval, Recurring, Target
from bot.model.observed import Lineage, Unreachable
from bot.model.plan import Gate, Verdict
from bot.model.runs import RunStatus
from bot.model.state import Block, CommandFreeze, FailedContent, Override, Pin, PromotionRequest, State, Veto
from bot.settings import RunSettings

A, B, C = sha("a"), sha("b"), sha("c")
NIGHT = Recurring("0 22 * * *", timedelta(hours=2))
NOON = Recurring("0 9 * * *", timedelta(hours=8))
OTHER = "svc/web/other"


def promotion_of(given: Target, to: str = B, **fields: Any) -> Candidate:
    return Candidate(given, to, Occasion.PROMOTION, **{"current": A, **fields})


def run_of(given: Target, at: str = A, **fields: Any) -> Candidate:
    return Candidate(given, at, Occasion.SAME_REF, **{"config_hash": digest_of(given), **fields})


def on(given: Target, recorded: State | None = None, *others: Target, **fields: Any) -> Sheet:
    seen = fields.pop("seen", observed(**known_history(A, B, C)))
    return sheet(context(given, *(others or (stage(),)), recorded=recorded or state(), seen=seen, **fields))


def verdict(gate: Gate, candidate: Candidate, where: Sheet) -> Verdict:
    """The one verdict of a gate; a history out of reach answers for `going_back` with a tag of its own."""
    found = [each for each in gates(candidate, where) if each.gate is gate]
    assert len(found) == 1
    return found[0]


# The occasion table.


@pytest.mark.parametrize(
    ("occasion", "asked"),
    [
        (Occasion.PROMOTION, REF_GATES),
        (Occasion.REF_CHANGE, REF_GATES),
        (Occasion.SAME_REF, SAME_REF_GATES),
    ],
)
def test_an_occasion_asks_its_gates_in_the_order_of_the_contract(occasion: Occasion, asked: tuple[Gate, ...]) -> None:
    found = [each.gate for each in gates(Candidate(prod(), A, occasion), on(prod()))]
    assert found == [gate for gate in Gate if gate in asked]


def test_a_run_of_the_same_ref_is_not_asked_about_its_version() -> None:
    about_versions = {Gate.PUBLISHED, Gate.SAME_SHA, Gate.SOAK, Gate.GOING_BACK, Gate.VETOED}
    assert about_versions.isdisjoint(SAME_REF_GATES)
    assert about_versions < set(REF_GATES)


# published, same_sha


def test_published_wants_one_success() -> None:
    given = prod()
    held = verdict(Gate.PUBLISHED, promotion_of(given), on(given))
    assert (held.passed, held.value, held.threshold, held.until) == (False, "0", "1", None)
    assert "override published" in held.text
    passed = verdict(Gate.PUBLISHED, promotion_of(given), on(given, state(ok=(published(STAGE, B),))))
    assert (passed.passed, passed.value) == (True, "1")


def test_who_subscribes_to_nothing_needs_no_publisher() -> None:
    assert verdict(Gate.PUBLISHED, promotion_of(target()), on(target())).passed


@pytest.mark.parametrize(("by", "passed"), [((STAGE,), False), ((STAGE, OTHER), True), ((), True)])
def test_same_sha_wants_all_publishers(by: tuple[str, ...], passed: bool) -> None:
    given = prod()
    second = stage(OTHER)
    where = on(given, state(ok=tuple(published(each, B) for each in by)), stage(), second)
    found = verdict(Gate.SAME_SHA, promotion_of(given), where)
    assert (found.passed, found.value, found.threshold) == (passed, str(len(by)), "2")
    assert (OTHER in found.text) == (by == (STAGE,)), "the missing one is named"


def test_a_publisher_on_two_channels_counts_once() -> None:
    given = prod(subscribe=("ok", "also"))
    both = stage(promotion=replace(stage().promotion, publish=("ok", "also")))
    channels = {"ok": (published(STAGE, B),), "also": ()}
    found = verdict(Gate.SAME_SHA, promotion_of(given), on(given, state(channels=channels), both))
    assert (found.passed, found.threshold) == (True, "1")


@pytest.mark.parametrize("gate", [Gate.PUBLISHED, Gate.SAME_SHA, Gate.SOAK])
def test_an_adopted_sha_counts_as_published_for_its_own_target(gate: Gate) -> None:
    given = prod(soak=24 * HOUR)
    channels = (published(OTHER, B),)
    there = state(record(given, B, adopted=True), ok=channels)
    elsewhere = state(record(given, C, adopted=True), ok=channels)
    both = (stage(), stage(OTHER))
    assert verdict(gate, promotion_of(given), on(given, there, *both)).passed
    assert verdict(gate, promotion_of(given), on(given, elsewhere, *both)).passed == (gate is Gate.PUBLISHED)


def test_a_disabled_publisher_is_not_waited_for() -> None:
    given = prod()
    where = on(given, state(ok=(published(STAGE, B),)), stage(), stage(OTHER, disable=True))
    assert verdict(Gate.SAME_SHA, promotion_of(given), where).passed


def test_a_publisher_in_an_invalid_file_still_counts() -> None:
    given = prod()
    recorded = state(record(stage(OTHER, file="other.yml")), ok=(published(STAGE, B), published(OTHER, A)))
    config = desired(given, stage(), invalid={"other.yml": "bad"})
    found = verdict(Gate.SAME_SHA, promotion_of(given), on(given, recorded, config=config))
    assert not found.passed
    assert OTHER in found.text


# soak


@pytest.mark.parametrize(
    ("ago", "passed", "value"),
    [
        (timedelta(0), False, "0s"),
        (timedelta(hours=23, minutes=59, seconds=59), False, "23h59m59s"),
        (timedelta(hours=24), True, "24h"),
        (timedelta(hours=49), True, "2d1h"),
    ],
)
def test_soak_counts_from_the_first_success(ago: timedelta, passed: bool, value: str) -> None:
    given = prod(soak=24 * HOUR)
    found = verdict(Gate.SOAK, promotion_of(given), on(given, state(ok=(published(STAGE, B, ago),))))
    assert (found.passed, found.value, found.threshold) == (passed, value, "24h")
    assert found.until == (None if passed else NOW - ago + timedelta(hours=24))


def test_soak_waits_for_the_last_publisher() -> None:
    given = prod(soak=24 * HOUR)
    ok = (published(STAGE, B, 30 * HOUR), published(OTHER, B, 2 * HOUR))
    found = verdict(Gate.SOAK, promotion_of(given), on(given, state(ok=ok), stage(), stage(OTHER)))
    assert found.until == NOW + 22 * HOUR


def test_no_soak_without_a_wish_or_a_success() -> None:
    assert verdict(Gate.SOAK, promotion_of(prod()), on(prod())).text == "no soak is asked"
    given = prod(soak=HOUR)
    assert verdict(Gate.SOAK, promotion_of(given), on(given)).text == "nothing soaks"


# window


@pytest.mark.parametrize(
    ("windows", "passed", "until"),
    [
        ((), True, None),
        ((NOON,), True, None),
        ((NIGHT,), False, NOW.replace(hour=22)),
        ((NIGHT, Interval(NOW + HOUR, NOW + 2 * HOUR)), False, NOW + HOUR),
        ((Interval(NOW - 2 * HOUR, NOW),), False, None),
    ],
)
def test_window(windows: tuple[Any, ...], passed: bool, until: datetime | None) -> None:
    given = prod(windows=windows)
    found = verdict(Gate.WINDOW, run_of(given), on(given))
    assert (found.passed, found.until) == (passed, until)
    if windows and not passed and until is None:
        assert "none opens again" in found.text


# freeze

YEAR_END = Freeze("year-end", "rel", "holidays", (Interval(NOW - HOUR, NOW + HOUR),))


@pytest.mark.parametrize(
    ("scope", "frozen"),
    [
        ({}, True),
        ({"environments": frozenset({"prod"})}, True),
        ({"environments": frozenset({"stage"})}, False),
        ({"apps": frozenset({"app"})}, True),
        ({"apps": frozenset({"x"})}, False),
        ({"targets": frozenset({PROD})}, True),
        ({"targets": frozenset({STAGE})}, False),
        ({"environments": frozenset({"prod"}), "apps": frozenset({"x"})}, False),
    ],
)
def test_the_scope_of_a_freeze(scope: dict[str, frozenset[str]], frozen: bool) -> None:
    given = prod()
    config = desired(given, freezes=(replace(YEAR_END, **scope),))  # type: ignore[arg-type] # scopes only
    found = verdict(Gate.FREEZE, run_of(given), on(given, config=config))
    assert found.passed is not frozen
    assert found.until == (NOW + HOUR if frozen else None)


def test_a_freeze_that_is_over_freezes_nothing() -> None:
    given = prod()
    config = desired(given, freezes=(replace(YEAR_END, windows=(Interval(NOW - HOUR, NOW),)),))
    assert verdict(Gate.FREEZE, run_of(given), on(given, config=config)).passed


@pytest.mark.parametrize(
    ("scope", "frozen"),
    [
        ("all", True),
        ("environment:prod", True),
        ("environment:stage", False),
        ("app:app", True),
        (f"target:{PROD}", True),
        ("target:x", False),
        ("nonsense:x", False),
    ],
)
def test_the_scope_of_a_freeze_by_command(scope: str, frozen: bool) -> None:
    order = CommandFreeze(scope, "ana", NOW, "incident")
    found = verdict(Gate.FREEZE, run_of(prod()), on(prod(), state(freezes=(order,))))
    assert found.passed is not frozen
    assert ("until it is lifted" in found.text) is frozen


def test_freezes_end_with_the_last_of_them() -> None:
    given = prod()
    config = desired(given, freezes=(YEAR_END,))
    later = CommandFreeze("all", "ana", NOW, "incident", NOW + 5 * HOUR)
    over = CommandFreeze("all", "bob", NOW, "gone", NOW)
    found = verdict(Gate.FREEZE, run_of(given), on(given, state(freezes=(later, over)), config=config))
    assert found.until == NOW + 5 * HOUR
    assert "year-end (rel: holidays)" in found.text
    assert "bob" not in found.text
    endless = CommandFreeze("app:app", "ana", NOW, "incident")
    found = verdict(Gate.FREEZE, run_of(given), on(given, state(freezes=(later, endless)), config=config))
    assert found.until is None


# A clock that is behind holds everything time-based.


@pytest.mark.parametrize("gate", [Gate.SOAK, Gate.WINDOW, Gate.FREEZE])
def test_a_clock_behind_the_statefile_holds_what_depends_on_time(gate: Gate) -> None:
    given = prod(soak=HOUR, windows=(NOON,))
    recorded = state(ok=(published(STAGE, B, 48 * HOUR),), time=NOW + 3 * HOUR)
    config = desired(given, stage(), freezes=(YEAR_END,))
    found = verdict(gate, promotion_of(given), on(given, recorded, config=config))
    assert (found.passed, found.until) == (False, NOW + 3 * HOUR)
    assert "before the statefile's last time" in found.text


def test_a_clock_behind_holds_nothing_that_has_no_time() -> None:
    recorded = state(ok=(published(STAGE, B, 48 * HOUR),), time=NOW + 3 * HOUR)
    config = desired(prod(), stage(), freezes=(replace(YEAR_END, apps=frozenset({"x"})),))
    assert not holding(gates(promotion_of(prod()), on(prod(), recorded, config=config)))


# blocked_version


@pytest.mark.parametrize("url", [URL, URL + "/", URL + ".git"])
def test_a_blocked_version_of_the_config(url: str) -> None:
    app = replace(APP, components=(Component(url, blocked=frozenset({B})),))
    given = prod()
    config = desired(given, stage(), apps={"app": app})
    found = verdict(Gate.BLOCKED_VERSION, promotion_of(given), on(given, config=config))
    assert (found.passed, found.value) == (False, B)
    assert "app.yml" in found.text
    assert verdict(Gate.BLOCKED_VERSION, promotion_of(given, C), on(given, config=config)).passed


def test_a_version_of_another_repository_is_not_blocked() -> None:
    app = replace(APP, components=(Component(URL + "2", blocked=frozenset({B})),))
    given = prod()
    assert verdict(
        Gate.BLOCKED_VERSION, promotion_of(given), on(given, config=desired(given, apps={"app": app}))
    ).passed


def test_a_version_blocked_by_command() -> None:
    block = Block(URL + ".git", B, "ana", NOW, "leaks")
    found = verdict(Gate.BLOCKED_VERSION, promotion_of(prod()), on(prod(), state(blocks=(block,))))
    assert not found.passed
    assert "ana: leaks" in found.text


def test_the_same_repository_in_two_spellings() -> None:
    assert same_url("https://x/y.git", "https://x/y/")
    assert not same_url("https://x/y", "https://x/z")


# going_back


@pytest.mark.parametrize(
    ("current", "to", "passed", "words"),
    [
        (A, B, True, "descends from"),
        (B, A, False, "is older than"),
        (A, A, True, "nothing to go back from"),
        ("", A, True, "nothing to go back from"),
        (A, sha("x"), False, "unknown or was rewritten"),
        (sha("x"), A, False, "unknown or was rewritten"),
    ],
)
def test_going_back(current: str, to: str, passed: bool, words: str) -> None:
    seen = observed(lineages={URL: history(A, B)}, looked_up={URL: frozenset({A, B, sha("x")})})
    found = verdict(Gate.GOING_BACK, promotion_of(prod(), to, current=current), on(prod(), seen=seen))
    assert found.passed is passed
    assert words in found.text


def test_a_side_branch_does_not_descend() -> None:
    side = Lineage({A: frozenset(), B: frozenset({A}), C: frozenset({A})})
    seen = observed(lineages={URL: side}, looked_up={URL: frozenset({A, B, C})})
    found = verdict(Gate.GOING_BACK, promotion_of(prod(), C, current=B), on(prod(), seen=seen))
    assert "does not descend" in found.text


def test_a_history_out_of_reach_holds_as_unreachable() -> None:
    where = on(prod(), seen=observed(lineages={URL: Unreachable("git.example.com: refused")}))
    held = holding(gates(promotion_of(prod()), where))
    assert "refused" in next(each.text for each in held if each.gate is Gate.UNREACHABLE)
    assert Gate.GOING_BACK not in {each.gate for each in held}


def test_a_history_that_was_not_read_is_wanted() -> None:
    where = on(prod(), seen=observed())
    assert "not looked up" in next(
        each.text for each in gates(promotion_of(prod()), where) if each.gate is Gate.UNREACHABLE
    )
    assert where.facts.wanted().histories == {(URL, A), (URL, B)}


# hold, budget, run_in_flight


@pytest.mark.parametrize(("pinned", "passed"), [(None, True), (B, True), (A, False)])
def test_a_pin_holds_every_other_version(pinned: str | None, passed: bool) -> None:
    pins = {PROD: Pin(pinned, "ana", NOW, "wait")} if pinned else {}
    found = verdict(Gate.HOLD, promotion_of(prod()), on(prod(), state(pins=pins)))
    assert found.passed is passed
    assert ("ana: wait" in found.text) is not passed


@pytest.mark.parametrize(("starts", "in_flight", "passed"), [(0, 0, True), (1, 1, True), (2, 2, False), (0, 3, False)])
def test_the_budget_of_a_pass(starts: int, in_flight: int, passed: bool) -> None:
    where = on(prod(), options=settings(runs=RunSettings(max_starts=2, max_in_flight=3)))
    where.starts, where.in_flight = starts, in_flight
    found = verdict(Gate.BUDGET, run_of(prod()), where)
    assert found.passed is passed
    assert verdict(Gate.BUDGET, promotion_of(prod()), where).passed, "merge requests have a limit of their own"
    if not passed:
        assert (found.value, found.threshold) in {("2", "2"), ("3", "3")}


@pytest.mark.parametrize("status", list(RunStatus))
def test_one_run_in_flight(status: RunStatus) -> None:
    given = prod()
    where = on(given, state(record(given, run=a_run(given, status=status))))
    found = verdict(Gate.RUN_IN_FLIGHT, run_of(given), where)
    assert found.passed is (status not in (RunStatus.PENDING, RunStatus.RUNNING))


# failed, unknown


def failed(given: Target, **fields: Any) -> State:
    run = a_run(given, status=fields.pop("status", RunStatus.FAILED), **fields)
    return state(record(given, run=run))


def test_a_failed_content_is_held_until_it_changes() -> None:
    given = prod()
    where = on(given, failed(given, text="exit 1"))
    held = verdict(Gate.FAILED, run_of(given), where)
    assert (held.passed, held.until) == (False, None)
    assert "exit 1" in held.text
    assert verdict(Gate.FAILED, run_of(given, B), where).passed, "another sha"
    assert verdict(Gate.FAILED, run_of(given, config_hash="1:x"), where).passed, "another configuration"
    assert verdict(Gate.FAILED, run_of(given, asked=True), where).passed, "a command"


@pytest.mark.parametrize("status", list(RunStatus))
def test_failed_and_canceled_hold(status: RunStatus) -> None:
    where = on(prod(), failed(prod(), status=status))
    held = not verdict(Gate.FAILED, run_of(prod()), where).passed
    assert held is (status in (RunStatus.FAILED, RunStatus.CANCELED))


@pytest.mark.parametrize(("attempt", "minutes"), [(1, 1), (2, 2), (3, 4), (7, 60), (40, 60)])
def test_a_retry_waits_longer_each_time(attempt: int, minutes: int) -> None:
    given = prod()
    ended = NOW - timedelta(minutes=minutes)
    due = on(given, failed(given, attempt=attempt, finished_at=ended))
    assert verdict(Gate.FAILED, run_of(given, retry=True), due).passed
    early = on(given, failed(given, attempt=attempt, finished_at=ended + timedelta(seconds=1)))
    held = verdict(Gate.FAILED, run_of(given, retry=True), early)
    assert (held.passed, held.until) == (False, NOW + timedelta(seconds=1))


def test_an_unknown_run_is_never_tried_again_by_itself() -> None:
    where = on(prod(), failed(prod(), status=RunStatus.UNKNOWN))
    held = verdict(Gate.UNKNOWN, run_of(prod(), retry=True), where)
    assert not held.passed
    assert verdict(Gate.UNKNOWN, run_of(prod(), asked=True), where).passed
    assert verdict(Gate.UNKNOWN, run_of(prod()), on(prod(), failed(prod()))).passed


def test_a_version_whose_merge_request_failed_waits_for_a_newer_one() -> None:
    bad = FailedContent(frozenset({f"{PROD}@{B}"}), NOW, 7)
    with_other = FailedContent(frozenset({f"{PROD}@{C}", f"{OTHER}@{C}"}), NOW, 8)
    where = on(prod(), state(failed_contents=(bad, with_other)))
    found = verdict(Gate.FAILED, promotion_of(prod()), where)
    assert (found.passed, found.value) == (False, "7")
    assert verdict(Gate.FAILED, promotion_of(prod(), C), where).passed, "only the whole content failed"


# vetoed


def test_a_veto_stands_until_a_newer_version_or_a_command() -> None:
    veto = Veto(PROD, B, "bob", NOW)
    where = on(prod(), state(vetoes=(veto,)))
    assert not verdict(Gate.VETOED, promotion_of(prod()), where).passed
    assert verdict(Gate.VETOED, promotion_of(prod(), C), where).passed
    asked = state(vetoes=(veto,), requests={PROD: PromotionRequest(PROD, B, "ana", NOW)})
    assert verdict(Gate.VETOED, promotion_of(prod()), on(prod(), asked)).passed


# Who passes a gate that holds.


def all_held(given: Target, **fields: Any) -> State:
    """A statefile in which as many gates as possible hold B at once."""
    return state(
        record(given, C, run=a_run(given, B, status=RunStatus.UNKNOWN)),
        ok=(published(OTHER, B, timedelta(0)),),
        freezes=(CommandFreeze("all", "ana", NOW, "x"),),
        blocks=(Block(URL, B, "ana", NOW, "x"),),
        vetoes=(Veto(PROD, B, "bob", NOW),),
        failed_contents=(FailedContent(frozenset({f"{PROD}@{B}"}), NOW, 1),),
        **{"pins": {PROD: Pin(A, "ana", NOW)}, **fields},
    )


HELD = prod(soak=HOUR, windows=(NIGHT,))
EVERY = {
    Gate.SAME_SHA,
    Gate.SOAK,
    Gate.WINDOW,
    Gate.FREEZE,
    Gate.BLOCKED_VERSION,
    Gate.GOING_BACK,
    Gate.HOLD,
    Gate.FAILED,
    Gate.UNKNOWN,
    Gate.VETOED,
}


def stops(recorded: State, **fields: Any) -> set[Gate]:
    given = fields.pop("given", HELD)
    where = on(given, recorded, stage(), stage(OTHER))
    return {each.gate for each in holding(gates(promotion_of(given, current=C, **fields), where))}


def test_all_gates_are_told_at_once() -> None:
    assert stops(all_held(HELD)) == EVERY


def test_a_hotfix_passes_five_gates_for_a_person_only() -> None:
    app = replace(APP, components=(Component(URL, hotfix=frozenset({B})),))
    hot = replace(HELD, app=app)
    assert stops(all_held(hot), given=hot) == EVERY
    passes = {Gate.SAME_SHA, Gate.SOAK, Gate.WINDOW, Gate.FREEZE}
    assert stops(all_held(hot), given=hot, person=True) == EVERY - passes
    unpublished = replace(all_held(hot), channels={})
    assert Gate.PUBLISHED in stops(unpublished, given=hot)
    assert Gate.PUBLISHED not in stops(unpublished, given=hot, person=True)


@pytest.mark.parametrize("by", ["request", "pin"])
def test_a_rollback_passes_what_asks_about_versions(by: str) -> None:
    asked: dict[str, dict[str, Any]] = {
        "request": {"requests": {PROD: PromotionRequest(PROD, B, "ana", NOW, rollback=True)}},
        "pin": {"pins": {PROD: Pin(B, "ana", NOW, rollback=True)}},
    }
    left = {Gate.WINDOW, Gate.FREEZE, Gate.BLOCKED_VERSION, Gate.HOLD, Gate.FAILED, Gate.UNKNOWN}
    assert stops(all_held(HELD, **asked[by])) == left - ({Gate.HOLD} if by == "pin" else set())


def test_a_rollback_to_another_sha_passes_nothing() -> None:
    asked = {PROD: PromotionRequest(PROD, C, "ana", NOW, rollback=True)}
    assert stops(all_held(HELD, requests=asked)) == EVERY


@pytest.mark.parametrize("gate", sorted(EVERY))
def test_an_override_passes_one_gate_for_one_version(gate: Gate) -> None:
    def given(**fields: str) -> tuple[Override, ...]:
        known = {"target": PROD, "sha": B, "gate": str(gate), "by": "ovi", "reason": "tested by hand"}
        return (Override(**{**known, **fields}, at=NOW),)  # type: ignore[arg-type] # words only

    assert stops(all_held(HELD, overrides=given())) == EVERY - {gate}
    assert stops(all_held(HELD, overrides=given(sha=C))) == EVERY
    assert stops(all_held(HELD, overrides=given(target=OTHER))) == EVERY
    where = on(HELD, all_held(HELD, overrides=given()), stage(), stage(OTHER))
    found = verdict(gate, promotion_of(HELD, current=C), where)
    assert (found.overridden_by, found.text) == ("ovi", "overridden by ovi: tested by hand")


@pytest.mark.parametrize("gate", [Gate.BUDGET, Gate.RUN_IN_FLIGHT])
def test_some_gates_are_never_overridden(gate: Gate) -> None:
    given = prod()
    recorded = state(record(given, run=a_run(given)), overrides=(Override(PROD, A, str(gate), "ovi", NOW, "x"),))
    where = on(given, recorded, options=settings(runs=RunSettings(max_starts=0)))
    assert not verdict(gate, run_of(given), where).passed
