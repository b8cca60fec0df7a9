"""However long the bot has run, the statefile is bounded by the config, the open merge requests and a few numbers."""

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
    a_run,
    context,
    desired,
    merge_request,
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
    target,
)
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from bot.core import collect as limits
from bot.core.collect import collect
from bot.core.effects import ORDERS_MOST
from bot.core.orders import take_orders
from bot.model.observed import MergeRequestStatus, Role
from bot.model.rounds import Round, TriggerRequest, TriggerState
from bot.model.servers import Instance
from bot.model.state import (
    Answer,
    Block,
    CommandFreeze,
    FailedContent,
    Flag,
    MergeRequestState,
    Override,
    Pin,
    PromotionRequest,
    Question,
    RunRequest,
    State,
    Veto,
)
from bot.model.triggers import Trigger

CONFIG = desired(prod(), stage())
NAMES = (PROD, STAGE, "svc/web/gone", "old/web/gone")
A, B = sha("a"), sha("b")

names = st.sampled_from(NAMES)
shas = st.sampled_from((A, B, sha("c")))
times = st.integers(0, 200).map(lambda days: NOW - timedelta(days=days))
channels = st.sampled_from(("ok", "gone-1", "gone-2"))
iids = st.integers(1, 8)


def kept(found: State, seen: Any = None, config: Any = CONFIG, **fields: Any) -> State:
    """What is left of a state."""
    made = sheet(context(recorded=found, config=config, seen=seen or observed(), **fields))
    collect(made)
    return made.state


@st.composite
def states(draw: st.DrawFn) -> State:
    """Any state, as years of promotions, renames and commands may leave it."""
    targets = {name: record(target(name), removed_at=draw(st.none() | times)) for name in NAMES[2:]}
    targets |= {each.id: record(each, publishers={draw(names | st.just("x/y/z")): "1:x"}) for each in (prod(), stage())}
    publications = st.builds(published, names, shas)
    records = [
        MergeRequestState(f"saasbot/{n}", n, f"{n}", 1, (), "", "", merged=draw(st.booleans()), changed_at=draw(times))
        for n in draw(st.sets(iids))
    ]
    return State(
        lineage="lin",
        targets=targets,
        channels=draw(st.dictionaries(channels, st.lists(publications, max_size=4).map(tuple))),
        merge_requests={each.branch: each for each in records},
        vetoes=tuple(draw(st.lists(st.builds(Veto, names, shas, st.just("bob"), times), max_size=5))),
        failed_contents=tuple(
            FailedContent(frozenset({f"{name}@{what}"}), NOW, 1)
            for name, what in draw(st.lists(st.tuples(names, shas), max_size=4))
        ),
        splits=draw(st.frozensets(st.sampled_from(("svc.yml", "rollback/svc.yml", "gone.yml")))),
        requests={n: PromotionRequest(n, B, "ana", NOW) for n in draw(st.sets(names | st.just("x/y/z")))},
        run_requests={n: RunRequest(n, "retry", "ana", NOW) for n in draw(st.sets(names | st.just("x/y/z")))},
        pins={n: Pin(B, "ana", NOW) for n in draw(st.sets(names | st.just("x/y/z")))},
        overrides=tuple(
            draw(st.lists(st.builds(Override, names, shas, st.just("soak"), st.just("o"), times, st.just("r"))))
        ),
        freezes=(CommandFreeze("all", "ana", NOW, "x", draw(st.none() | times)),),
        questions={str(n): Question("plan", "", "ana") for n in draw(st.sets(iids))},
        cursors={f"notes:{n}": n for n in draw(st.sets(iids))},
    )


@effort(max_examples=60, deadline=None)
@given(states(), st.sets(iids))
def test_what_is_left_is_bounded(given_state: State, open_iids: set[int]) -> None:
    seen = observed(merge_requests={iid: merge_request(f"bob/{iid}", iid, author="bob") for iid in open_iids})
    found = kept(given_state, seen)
    known = CONFIG.targets.keys() | {r.id for r in found.targets.values() if r.removed_at or r.id in NAMES}
    assert set(found.channels) <= {"ok"}
    assert all(each.target in known for own in found.channels.values() for each in own)
    assert set().union(*(each.publishers for each in found.targets.values())) <= known
    assert set(found.questions) <= set(map(str, open_iids))
    assert found.splits <= {"svc.yml", "rollback/svc.yml", *(each.batch for each in found.merge_requests.values())}
    assert all(
        NOW - each.changed_at <= limits.MERGED_KEPT
        for each in found.merge_requests.values()
        if each.merged and each.changed_at
    )
    for orders in (found.requests, found.run_requests, found.pins):
        assert set(orders) <= known
    assert {each.target for each in found.vetoes} | {each.target for each in found.overrides} <= known
    assert kept(found, seen) == found, "once is enough"


def test_of_too_many_the_newest_stay() -> None:
    many = state(
        record(prod()),
        record(stage()),
        vetoes=tuple(Veto(PROD, sha(str(n)), "bob", NOW) for n in range(limits.VETOES_KEPT + 2)),
        failed_contents=tuple(
            FailedContent(frozenset({f"{PROD}@{sha(str(n))}"}), NOW, n) for n in range(limits.FAILED_KEPT + 2)
        ),
        overrides=tuple(Override(PROD, sha(str(n)), "soak", "o", NOW, "x") for n in range(limits.OVERRIDES_KEPT + 2)),
        answers={f"{n}": Answer(str(n), 1, "ana", "hold", ok=True, text="") for n in range(limits.ANSWERS_KEPT + 2)},
        cursors={
            **{f"dashboard:{n}": n for n in range(limits.DASHBOARDS_KEPT + 2)},
            **{f"notes:{n}": n for n in range(limits.CURSORS_KEPT + 2)},
            "notes:": 1,
            "something else": 1,
        },
    )
    found = kept(many)
    assert (len(found.vetoes), found.vetoes[-1]) == (limits.VETOES_KEPT, many.vetoes[-1])
    assert (len(found.failed_contents), found.failed_contents[-1]) == (limits.FAILED_KEPT, many.failed_contents[-1])
    assert (len(found.overrides), found.overrides[-1]) == (limits.OVERRIDES_KEPT, many.overrides[-1])
    assert (len(found.answers), "0" in found.answers, "2" in found.answers) == (limits.ANSWERS_KEPT, False, True)
    cursors = set(found.cursors)
    assert len(cursors) == limits.CURSORS_KEPT + limits.DASHBOARDS_KEPT
    assert {"dashboard:21", "dashboard:2", "notes:5001", "notes:2"} <= cursors
    assert not {"dashboard:1", "notes:1", "notes:", "something else"} & cursors


def test_the_dashboard_keeps_its_cursor_beside_thousands_of_merge_requests() -> None:
    """Without it, every old command on it would be obeyed once more."""
    cursors = {"dashboard:3": 99, **{f"notes:{n}": n for n in range(limits.CURSORS_KEPT + 1)}}
    assert kept(state(record(prod()), cursors=cursors)).cursors["dashboard:3"] == 99


def test_removed_targets_beyond_a_number_are_forgotten_but_never_one_that_runs() -> None:
    gone = [
        replace(record(target(f"old/web/t{n}")), removed_at=NOW - timedelta(minutes=n))
        for n in range(limits.REMOVED_KEPT + 2)
    ]
    running = replace(gone[-1], run=a_run(target(gone[-1].id)))
    found = kept(state(record(prod()), *gone[:-1], running))
    assert len(found.targets) == limits.REMOVED_KEPT + 2
    assert {PROD, gone[0].id, running.id} <= found.targets.keys()
    assert gone[-2].id not in found.targets


def test_a_channel_lives_as_long_as_somebody_takes_part_in_it() -> None:
    found = state(record(prod()), record(stage()), ok=(published(STAGE, B), published("gone/web/x", B)))
    assert [each.target for each in kept(found).channels["ok"]] == [STAGE]
    invalid = desired(prod(), invalid={"svc.yml": "broken"}, invalid_targets={STAGE: "broken"})
    assert kept(found, config=invalid).channels["ok"] == (published(STAGE, B),)
    assert kept(found, config=desired(target(PROD), target(STAGE))).channels == {"ok": (published(STAGE, B),)}, (
        "recorded"
    )
    alone = state(record(target(STAGE)), ok=(published(STAGE, B),))
    assert kept(alone, config=desired(target(PROD), target(STAGE))).channels == {}


def test_a_cut_batch_is_remembered_while_nobody_knows_which_there_are() -> None:
    found = state(record(prod()), splits=frozenset({"gone.yml"}))
    assert kept(found, config=desired(prod(), invalid={"x.yml": "broken"})).splits == {"gone.yml"}
    assert kept(found).splits == frozenset()
    request = merge_request("saasbot/gone.yml")
    assert kept(replace(found, merge_requests={request.source_branch: mr_record(request)})).splits == {"gone.yml"}


@pytest.mark.parametrize(
    ("fields", "stays"),
    [
        ({"changed_at": NOW - timedelta(days=15)}, False),
        ({"changed_at": NOW - timedelta(days=13)}, True),
        ({"changed_at": None, "opened_at": NOW - timedelta(days=15)}, False),
        ({"changed_at": None, "opened_at": None}, False),
        ({"changed_at": NOW - timedelta(days=15), "merged": False}, True),
    ],
)
def test_a_merged_one_is_dropped_in_the_end_whatever_becomes_of_its_report(fields: dict[str, Any], stays: bool) -> None:
    request = merge_request(state=MergeRequestStatus.MERGED)
    old = mr_record(request, **{"merged": True, **fields})
    found = kept(state(record(prod()), merge_requests={"saasbot/svc.yml!1": old}))
    assert bool(found.merge_requests) is stays


BLOCKS = tuple(Block("https://git.example.com/my/service", sha(str(n)), "ana", NOW, "x") for n in range(ORDERS_MOST))
FREEZES = tuple(CommandFreeze(f"target:{n}", "ana", NOW, "x") for n in range(ORDERS_MOST))


@pytest.mark.parametrize(
    ("text", "of", "full"),
    [
        (f'/saasbot block https://git.example.com/my/service {B} reason="x"', "blocks", BLOCKS),
        ('/saasbot freeze all reason="x"', "freezes", FREEZES),
    ],
)
def test_orders_that_stand_for_ever_are_refused_beyond_a_number(text: str, of: str, full: tuple[Any, ...]) -> None:
    for present, ok in ((full, False), (full[1:], True)):
        request = merge_request(notes=(note(text, head=sha("head-1")),), author="ana", branch="ana/x")
        found = state(record(prod()), record(stage()), **{of: present})
        given_context = context(
            recorded=found,
            config=CONFIG,
            seen=observed(merge_requests={1: request}, roles={"ana": Role.OWNER}),
            options=settings(),
        )
        made = sheet(given_context)
        take_orders(made)
        (answer,) = made.state.answers.values()
        assert answer.ok is ok, answer.text
        assert len(getattr(made.state, of)) == len(full)


def test_a_question_and_a_freeze_that_are_over_are_forgotten() -> None:
    over = CommandFreeze("all", "ana", NOW - HOUR, "x", NOW)
    found = kept(state(record(prod()), freezes=(over,), questions={"1": Question("plan", "", "ana")}))
    assert (found.freezes, found.questions) == ((), {})


def test_starts_that_were_asked_for_go_with_their_definitions() -> None:
    there = Trigger("there", Instance("prow", "gangway"))
    requests = {name: TriggerRequest(name, "ana", NOW) for name in ("there", "hidden", "gone", "left")}
    triggers = {"hidden": TriggerState("hidden", NOW, file="h.yml"), "left": TriggerState("left", NOW, file="l.yml")}
    config = desired(triggers={"there": there}, invalid_triggers={"h.yml": "broken"})
    found = kept(state(trigger_requests=requests, triggers=triggers), config=config)
    assert set(found.trigger_requests) == {"there", "hidden"}
    later = {name: replace(each, at=NOW - timedelta(days=1)) for name, each in requests.items()}
    running = {"there": TriggerState("there", NOW, Round(1, NOW, ()))}
    assert kept(state(trigger_requests=later, triggers=triggers), config=config).trigger_requests == {}
    left = kept(state(trigger_requests=later, triggers=running), config=config)
    assert set(left.trigger_requests) == {"there"}


def test_of_too_many_flags_the_newest_stay() -> None:
    flags = {str(n): Flag("x", NOW + timedelta(seconds=n)) for n in range(limits.FLAGS_KEPT + 1)}
    assert set(flags) - set(kept(state(attention=flags)).attention) == {"0"}
