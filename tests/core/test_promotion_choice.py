"""Which sha each subscriber should move to (DESIGN section 4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from core_values import (
    HOUR,
    NOW,
    PROD,
    STAGE,
    URL,
    context,
    deliberated,
    history,
    known_history,
    observed,
    prod,
    published,
    record,
    sha,
    sheet,
    stage,
    state,
    target,
    with_promotion,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.promotion import Choice, choices, choose, newest_first
from bot.model.desired import Target
from bot.model.observed import Unreachable
from bot.model.plan import Gate
from bot.model.state import FailedContent, PromotionRequest, Publication, State, Veto

A, B, C, D = (sha(name) for name in "abcd")
TWO = (stage(), stage("svc/web/other"))


def chosen(
    given_target: Target, ok: tuple[Publication, ...] = (), *publishers: Target, seen: Any = None, **fields: Any
) -> Choice | None:
    found = context(
        given_target,
        *(publishers or (stage(),)),
        recorded=state(record(given_target), ok=ok, **fields),
        seen=seen or observed(**known_history(A, B, C, D)),
    )
    return choose(sheet(found), given_target)


def sha_of(choice: Choice | None) -> str | None:
    return choice.sha if choice is not None and choice.passed else None


def test_the_newest_by_ancestry_and_not_by_time() -> None:
    ok = (published(STAGE, C, 2 * HOUR), published(STAGE, B, HOUR))
    assert sha_of(chosen(prod(), ok)) == C


def test_the_newest_that_passes_so_a_busy_branch_starves_nobody() -> None:
    ok = (published(STAGE, B, 30 * HOUR), published(STAGE, C, 25 * HOUR), published(STAGE, D, HOUR))
    assert sha_of(chosen(prod(soak=24 * HOUR), ok)) == C


def test_if_none_passes_the_newest_is_reported_as_held() -> None:
    ok = (published(STAGE, B, 2 * HOUR), published(STAGE, C, HOUR))
    found = chosen(prod(soak=24 * HOUR), ok)
    assert found is not None
    assert (found.sha, found.passed) == (C, False)


def test_publishers_that_skip_different_commits_still_agree() -> None:
    ok = (published(STAGE, B), published(STAGE, D), published("svc/web/other", B), published("svc/web/other", C))
    assert sha_of(chosen(prod(), ok, *TWO)) == B


def test_what_is_older_than_the_present_ref_is_no_news() -> None:
    assert chosen(prod(ref=C), (published(STAGE, B, HOUR),)) is None
    assert chosen(prod(ref=C), (published(STAGE, C, HOUR), published(STAGE, B, 2 * HOUR))) is None


def test_a_newer_sha_is_a_candidate_whenever_it_was_published() -> None:
    ok = (published(STAGE, B, 2 * HOUR), published(STAGE, A, HOUR))
    assert sha_of(chosen(prod(), ok)) == B


@pytest.mark.parametrize(
    "kept_back",
    [
        {"vetoes": (Veto(PROD, C, "bob", NOW),)},
        {"failed_contents": (FailedContent(frozenset({f"{PROD}@{C}"}), NOW, 1),)},
    ],
)
def test_a_version_turned_down_waits_for_a_newer_one_and_not_for_an_older(kept_back: dict[str, Any]) -> None:
    ok = (published(STAGE, B, 2 * HOUR), published(STAGE, C, HOUR))
    found = chosen(prod(), ok, **kept_back)
    assert found is not None
    assert (found.sha, found.passed) == (C, False)
    newer = (*ok, published(STAGE, D, timedelta(0)))
    assert sha_of(chosen(prod(), newer, **kept_back)) == D


OK = (published(STAGE, B),)


@pytest.mark.parametrize(
    "still",
    [
        prod(auto=False),
        target(),
        prod(ref="main"),
        target(PROD, disable=True, promotion=prod().promotion),
        target(PROD, delete=True, promotion=prod().promotion),
        prod(ref=B),
    ],
    ids=["by command only", "no subscriber", "a branch", "disabled", "deleted", "there already"],
)
def test_who_is_not_moved(still: Target) -> None:
    assert chosen(still, OK) is None


def test_a_request_decides_the_sha() -> None:
    asked = {PROD: PromotionRequest(PROD, C, "ana", NOW)}
    ok = (published(STAGE, C), published(STAGE, D))
    found = chosen(prod(auto=False), ok, requests=asked)
    assert sha_of(found) == C
    assert found is not None
    assert found.request == asked[PROD]
    assert chosen(prod(ref=C), ok, requests=asked) is None, "it is done"
    newest = {PROD: PromotionRequest(PROD, "", "ana", NOW)}
    assert sha_of(chosen(prod(auto=False), ok, requests=newest)) == D


def test_unknown_history_holds_and_is_ordered_by_time() -> None:
    ok = (published(STAGE, B, 2 * HOUR), published(STAGE, C, HOUR))
    found = chosen(prod(), ok, seen=observed(lineages={URL: Unreachable("refused")}))
    assert found is not None
    assert found.sha == C
    assert Gate.UNREACHABLE in {each.gate for each in found.verdicts if not each.passed}


def test_a_rewritten_history_holds_going_back() -> None:
    seen = observed(lineages={URL: history(B)}, looked_up={URL: frozenset({A, B})})
    found = chosen(prod(), OK, seen=seen)
    assert found is not None
    assert [each.gate for each in found.verdicts if not each.passed] == [Gate.GOING_BACK]


def test_what_holds_a_choice_is_noted() -> None:
    where = sheet(
        context(
            prod(),
            stage(),
            recorded=state(record(prod()), ok=OK, vetoes=(Veto(PROD, B, "bob", NOW),)),
            seen=observed(**known_history(A, B)),
        )
    )
    assert [each.sha for each in choices(where)] == [B]
    assert [(each.subject, each.gate) for each in where.held] == [(f"target:{PROD}", Gate.VETOED)]


def test_unknown_shas_come_last() -> None:
    where = sheet(context(prod(), seen=observed(lineages={URL: history(A, B)}, looked_up={URL: frozenset({A, B, C})})))
    assert list(newest_first(where, prod(), {C: NOW, B: NOW - HOUR})) == [B, C]


PUBLICATIONS = st.lists(
    st.tuples(st.sampled_from([each.id for each in TWO]), st.sampled_from("abcd"), st.integers(0, 50)),
    max_size=8,
    unique_by=lambda each: each[:2],
)


@settings(max_examples=150, deadline=None)
@given(PUBLICATIONS, st.integers(0, 30), st.sampled_from("abc"))
def test_a_promotion_is_always_published_by_everyone_soaked_and_newer(
    found: list[tuple[str, str, int]], soak: int, current: str
) -> None:
    ok = tuple(published(by, sha(name), hours * HOUR) for by, name, hours in found)
    subscriber = with_promotion(prod(ref=sha(current)), soak=soak * HOUR)
    recorded: State = state(record(subscriber), *(record(each) for each in TWO), ok=ok)
    full, _ = deliberated(context(subscriber, *TWO, recorded=recorded))
    choice = choose(sheet(full), subscriber)
    good = [
        name
        for name in "abcd"
        if name > current
        and all(
            any((p.target, p.sha) == (t.id, sha(name)) and p.first_at + soak * HOUR <= NOW for p in ok) for t in TWO
        )
    ]
    assert sha_of(choice) == (sha(max(good)) if good else None)
