"""Deltas: what a decision changes, applied to whatever the statefile is by then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_values import HOUR, NOW, PROD, STAGE, a_run, prod, published, record, stage, state
from hypothesis import given
from hypothesis import strategies as st

from bot.core.deltas import applied, delta
from bot.model.state import Block, Flag, Pin, State, Veto

BOTH = state(record(stage()), record(prod()), ok=(published(STAGE, "a"), published(PROD, "a")))


def test_nothing_changes_nothing() -> None:
    assert delta(BOTH, BOTH) == ()
    assert applied(BOTH, (), BOTH) == BOTH


def test_a_change_is_applied_beside_another_writers() -> None:
    mine = replace(BOTH, targets={**BOTH.targets, STAGE: record(stage(), run=a_run(stage()))}, time=NOW)
    theirs = replace(BOTH, pins={PROD: Pin("a", "bob", NOW)}, serial=7, time=NOW + HOUR)
    found = applied(theirs, delta(BOTH, mine), mine)
    assert found == replace(theirs, targets=mine.targets)


def test_what_somebody_else_has_decided_meanwhile_is_not_written_over() -> None:
    mine = replace(BOTH, targets={**BOTH.targets, STAGE: record(stage(), run=a_run(stage()))})
    theirs = replace(BOTH, targets={**BOTH.targets, STAGE: record(stage(), at="b")})
    assert applied(theirs, delta(BOTH, mine), mine) is None
    gone = replace(BOTH, targets={PROD: BOTH.targets[PROD]})
    assert applied(gone, delta(BOTH, mine), mine) is None
    new = replace(BOTH, targets={**BOTH.targets, "x": record(stage("x/y/z"))})
    assert applied(new, delta(BOTH, new), new) is None


def test_publishers_of_one_channel_do_not_meet() -> None:
    mine = replace(BOTH, channels={"ok": (published(STAGE, "b"), published(PROD, "a"))})
    theirs = replace(BOTH, channels={"ok": (published(STAGE, "a"), published(PROD, "c"))})
    found = applied(theirs, delta(BOTH, mine), mine)
    assert found is not None
    assert found.channels == {"ok": (published(STAGE, "b"), published(PROD, "c"))}


def test_only_what_is_kept_is_a_change() -> None:
    mine = replace(BOTH, pins={PROD: Pin("a", "bob", NOW)}, targets={STAGE: BOTH.targets[STAGE]})
    assert [each.part for each in delta(BOTH, mine, lambda change: change.part == "pins")] == ["pins"]


def test_lists_and_sets_are_changed_by_their_elements() -> None:
    veto, other = Veto(PROD, "a", "bob", NOW), Veto(PROD, "b", "bob", NOW)
    before = State(vetoes=(veto,), splits=frozenset({"x"}))
    after = State(vetoes=(other,), splits=frozenset({"y"}))
    block = Block("url", "a", "bob", NOW, "bad")
    fresh = State(vetoes=(veto,), splits=frozenset({"x", "z"}), blocks=(block,))
    found = applied(fresh, delta(before, after), after)
    assert found == State(vetoes=(other,), splits=frozenset({"y", "z"}), blocks=(block,))


NAMES = st.sampled_from(["a", "b", "c"])
FLAGS = st.dictionaries(NAMES, st.builds(Flag, NAMES, st.just(NOW)))
STATES = st.builds(
    State,
    attention=FLAGS,
    cursors=st.dictionaries(NAMES, st.integers(0, 3)),
    splits=st.frozensets(NAMES),
    channels=st.dictionaries(NAMES, st.tuples(st.just(published(STAGE, "a")), st.just(published(PROD, "b")))),
    time=st.sampled_from([None, NOW, NOW - timedelta(hours=1)]),
)


@given(STATES, STATES)
def test_a_delta_leads_from_one_to_the_other(before: State, after: State) -> None:
    found = applied(before, delta(before, after), after)
    times = [each for each in (before.time, after.time) if each is not None]
    assert found == replace(after, time=max(times, default=None))


@given(STATES, STATES, STATES)
def test_two_writers_do_not_take_each_others_changes_back(before: State, mine: State, theirs: State) -> None:
    ours, others = delta(before, mine), delta(before, theirs)
    found = applied(theirs, ours, mine)
    shared = {(each.part, each.key) for each in ours} & {(each.part, each.key) for each in others}
    differ = [key for key in shared if _new(ours, key) != _new(others, key)]
    assert (found is None) >= bool(differ)
    if found is not None:
        assert {(c.part, c.key, c.new) for c in others if (c.part, c.key) not in shared} <= {
            (c.part, c.key, c.new) for c in delta(before, found)
        }


def _new(changes: object, key: tuple[str, object]) -> object:
    return next(each.new for each in changes if (each.part, each.key) == key)  # type: ignore[attr-defined]  # changes
