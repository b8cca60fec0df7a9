"""A lost statefile from what is left of it: markers, servers' answers, and the config's history."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import (
    HOUR,
    ME,
    NOW,
    PROD,
    STAGE,
    URL,
    a_run,
    config_of,
    context,
    decided,
    desired,
    digest_of,
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
    sheet,
    stage,
    state,
    target,
)

from bot.core import excerpts
from bot.core.diff import run_key
from bot.core.excerpts import Excerpt, beside, content_of, excerpt_on, fitted, lean, read_excerpt, sightings
from bot.core.rebuild import Rebuilt, adopt_all, take_back, with_answers
from bot.core.statefile import REPLACED_KEPT, Seen, accepted, contradiction, read_seen, write_seen
from bot.model.desired import Desired, Target
from bot.model.observed import Issue, MergeRequest, MergeRequestStatus, RunFact, Unreachable
from bot.model.plan import CloseMergeRequest, CommentAction, DashboardAction, Gate, StartRun
from bot.model.runs import RunAction, RunStatus
from bot.model.state import (
    Block,
    Build,
    CommandFreeze,
    Edit,
    FailedContent,
    Hold,
    Override,
    Pin,
    PromotionRequest,
    RunRequest,
    Sources,
    State,
    TargetState,
    Veto,
)
from bot.render import marker
from bot.render.comments import LARGEST, STICKY, Fits, sticky

A, B, C = sha("a"), sha("b"), sha("c")
KEY = b"a key"
BOARD = "Deployments"
EDIT = moved(prod(), B)
MERGED = MergeRequestStatus.MERGED
CLOSED = MergeRequestStatus.CLOSED


def lost(*records: TargetState, **fields: Any) -> State:
    """A statefile, as it was before it was lost."""
    given: dict[str, Any] = {"ok": (published(STAGE, B),), "serial": 8, **fields}
    return state(*(records or (record(prod()), record(stage(), B))), **given)


def reported(
    before: State, *edits: Edit, config: Desired | None = None, ours: Any = None, room: int = 0, **fields: Any
) -> MergeRequest:
    """A merge request with the report that the last pass before the loss left on it; `room`: characters of JSON."""
    request = merge_request(**fields)
    kept = mr_record(request, *(edits or (EDIT,)), **(ours or {}))
    config = config or desired(prod(), stage())
    made = sheet(context(recorded=before, config=config))
    urls = {config.targets[each.target].url for each in kept.edits if each.target in config.targets}
    data = {"branch": request.source_branch, **content_of(before, kept, urls)}

    def told(fits: Fits) -> dict[str, Any]:
        return beside(made, data, kept, (lambda more: len(json.dumps(more)) <= room) if room else fits)

    text = sticky("body\n", data, None, NOW - HOUR, KEY, beside=told)
    assert text is not None
    return replace(request, notes=(*request.notes, note(text, "7", ME)))


def board(before: State, *notes: Any) -> Issue:
    """The dashboard that the last pass before the loss left."""
    options = settings(dashboard_title=BOARD)
    plan = decided(context(prod(), stage(), recorded=before, options=options, report_key=KEY))
    (action,) = of_kind(plan, DashboardAction)
    return Issue(5, action.body, notes=notes)


def rebuilt(
    *own: MergeRequest,
    config: Desired | None = None,
    past: tuple[Desired, ...] = (),
    runs: Any = None,
    known: tuple[Seen, ...] = (),
    **fields: Any,
) -> Rebuilt:
    """What is made of these merge requests."""
    opened = {each.iid: each for each in own if each.state is MergeRequestStatus.OPENED}
    seen = observed(nonce="fresh", refs={URL: {"main": B}}, merge_requests=opened, **fields)
    options = settings(dashboard_title=BOARD if "dashboard" in fields else "")
    given = context(
        config=config or desired(prod(), stage()), seen=seen, options=options, report_key=KEY, bootstrap="adopt"
    )
    adopted, wanted = adopt_all(given)
    assert not wanted
    found = take_back(adopted, given, own, past, known)
    asked = {each.run.key for each in found.to_ask.targets.values() if each.run is not None}
    assert {each.run.key for each in found.begun.values() if each.run is not None} <= asked
    return with_answers(found, given, {} if runs is None else runs)


def louder(given: Target) -> Target:
    """The same target with another configuration."""
    return replace(given, parameters={"LEVEL": "debug"})


# What a marker carries


FULL = lost(
    record(prod(), run=a_run(prod(), status=RunStatus.SUCCEEDED), deployed_at=NOW, publishers={STAGE: "1:x"}),
    record(stage(), B, run=a_run(stage(), B, text="told a secret", url="https://ci.example.com/1")),
    vetoes=(Veto(PROD, C, "bob", NOW), Veto("x/y/z", C, "bob", NOW)),
    failed_contents=(FailedContent(frozenset({f"{PROD}@{C}"}), NOW, 3), FailedContent(frozenset({f"x@{C}"}), NOW, 3)),
    requests={PROD: PromotionRequest(PROD, B, "ana", NOW, rollback=True), "x": PromotionRequest("x", B, "ana", NOW)},
    run_requests={PROD: RunRequest(PROD, "retry", "ana", NOW)},
    pins={PROD: Pin(B, "ana", NOW)},
    blocks=(Block(URL, C, "ana", NOW, "broken"), Block("https://git.example.com/other", C, "ana", NOW, "x")),
    overrides=(Override(PROD, B, "soak", "ovi", NOW, "x"),),
    freezes=(CommandFreeze("all", "ana", NOW, "fair", NOW + HOUR),),
    splits=frozenset({"svc.yml", "other.yml"}),
)


def of_mine(found: State) -> dict[str, Any]:
    """The orders of a state, by kind."""
    kinds = (
        "vetoes", "failed_contents", "requests", "run_requests", "pins", "blocks", "overrides", "freezes", "splits",
    )  # fmt: skip
    return {kind: getattr(found, kind) for kind in kinds}


def test_a_marker_gives_back_what_concerns_its_merge_request() -> None:
    request = reported(FULL, ours={"hold": Hold("bob", NOW, "wait"), "part": 2})
    found = excerpt_on(request, ME, KEY)
    assert found is not None
    assert (found.seen, found.left_out, found.changed_at) == (Seen("lin", 9), 0, NOW - HOUR)
    assert found.hold == Hold("bob", NOW, "wait")
    part = found.part
    assert of_mine(part) == of_mine(
        replace(
            FULL,
            vetoes=FULL.vetoes[:1],
            failed_contents=FULL.failed_contents[:1],
            requests={PROD: FULL.requests[PROD]},
            blocks=FULL.blocks[:1],
            splits=frozenset({"svc.yml"}),
        )
    )
    assert part.channels == FULL.channels
    assert set(part.targets) == {PROD, STAGE}
    kept = part.merge_requests["saasbot/svc.yml"]
    assert (kept.edits, kept.part, kept.hold) == ((EDIT,), 2, None)


def test_neither_configuration_nor_words_of_programs_get_into_a_comment() -> None:
    (sticky_note,) = reported(FULL).notes
    data = marker.read(sticky_note.body, STICKY, KEY)
    text = json.dumps(data)
    for private in ("told a secret", "ci.example.com", config_of(prod()), "shell"):
        assert private not in text


def test_a_comment_is_edited_for_an_order_and_a_run_but_not_for_a_serial() -> None:
    def comments(recorded: State, *notes: Any) -> list[CommentAction]:
        request = merge_request(notes=notes)
        recorded = replace(recorded, merge_requests={request.source_branch: mr_record(request, EDIT)})
        seen = observed(merge_requests={1: request})
        return of_kind(decided(context(prod(), stage(), recorded=recorded, seen=seen, report_key=KEY)), CommentAction)

    (first,) = comments(lost())
    written = note(first.body, "7", ME)
    assert not comments(lost(serial=99), written)
    assert comments(lost(pins={PROD: Pin(A, "ana", NOW)}), written)
    running = lost(record(prod(), run=a_run(prod(), status=RunStatus.SUCCEEDED)), record(stage(), B))
    assert comments(running, written)
    assert comments(replace(lost(), lineage="other"), written)


def test_an_excerpt_has_an_end() -> None:
    rows = {"pins": {str(n): "x" * 90 for n in range(50)}, "vetoes": ["y" * 90] * 50, "none": []}
    found, left_out = fitted(rows, 1000)
    assert set(found) == {"pins"}
    assert list(found["pins"])[-1] == "49", "the newest stay"
    assert left_out == 100 - len(found["pins"])


def many(count: int, ref: str = A) -> list[Target]:
    """Targets with names as long as they are in use; those of a batch are in one file."""
    return [prod(f"customer-orders/customer-orders/production-{n:03d}", ref, index=n) for n in range(count)]


def merged_before(count: int, room: int = 0, **runs: Any) -> tuple[MergeRequest, Desired]:
    """A promotion of so many targets, merged when the statefile was lost already, and the config that it left."""
    old = many(count)
    before = lost(record(stage(), B), *(record(each, **runs) for each in old))
    edits = [moved(each, B) for each in old]
    fields: dict[str, Any] = {"branch": f"saasbot/{old[0].file}", "state": MERGED}
    request = reported(before, *edits, config=desired(stage(), *old), room=room, **fields)
    return request, desired(stage(), *many(count, B))


class Never(dict[str, Any]):
    """Servers that know no run."""

    def get(self, key: str, default: Any = None) -> Any:
        del key, default


@pytest.mark.parametrize(("count", "room"), [(80, 0), (300, 0), (80, 34_000), (80, 27_000)])
def test_no_promotion_of_many_targets_is_taken_for_run(count: int, room: int) -> None:
    """Whole records, then run numbers and edits alone; at any size the next key is known, and its server asked."""
    request, config = merged_before(count, room, run_number=4)
    assert len(request.notes[0].body) < LARGEST
    told = excerpt_on(request, ME, KEY)
    assert told is not None
    assert len(told.part.targets) + len(told.runs) == count + (len(told.part.targets) > count)
    assert (told.left_out == 0) == (room == 0)
    found = rebuilt(request, config=config, runs=Never())
    kept = [found.state.targets[each.id] for each in many(count)]
    assert {(each.sha, each.ref, each.run_number) for each in kept} == {(A, A, 4)}
    assert not any("is not known" in each for each in found.missing)


@pytest.mark.parametrize("room", [20_000, 9_000, 600])
def test_what_had_no_room_at_all_waits_for_a_human_by_name(room: int) -> None:
    request, config = merged_before(80, room)
    found = rebuilt(request, config=config, runs=Never())
    unknown = 0
    for each in many(80):
        kept = found.state.targets[each.id]
        words = f"{each.id}: whether {B[:7]} has run is not known; `retry {each.id}` runs it"
        assert (kept.sha == B) == (words in found.missing)
        if kept.sha == B:
            assert kept.run is not None
            assert (kept.run.status, kept.run.sha) == (RunStatus.UNKNOWN, B)
            unknown += 1
    assert any("had no room for" in each for each in found.missing)
    plan = decided(context(config=config, recorded=found.state, seen=observed(refs={URL: {"main": B}})))
    stopped = {each.subject for each in plan.held if each.gate is Gate.UNKNOWN}
    assert len(stopped) == unknown > 0
    assert not stopped & {each.subject for each in of_kind(plan, StartRun)}


def test_a_run_that_a_comment_tells_in_short_is_followed() -> None:
    config = desired(prod(ref=B), stage())
    key = next_key(5)
    ran = record(prod(ref=B), run=a_run(prod(ref=B), B, RunStatus.RUNNING, number=5, key=key), run_number=5)
    whole = reported(lost(ran, record(stage(), B)), config=config, state=MERGED)
    room = len(json.dumps(marker.read(whole.notes[0].body, STICKY, KEY)))
    cut = (reported(lost(ran, record(stage(), B)), config=config, state=MERGED, room=n) for n in range(room, 0, -20))
    request = next(each for each in cut if (told := excerpt_on(each, ME, KEY)) and told.runs)
    run = rebuilt(request, config=config, runs={key: RunFact(RunStatus.RUNNING, "h9")}).state.targets[PROD].run
    assert run is not None
    assert (run.key, run.number, run.status, run.handle, run.previous) == (key, 5, RunStatus.RUNNING, "h9", A)
    assert run.instance == prod().pipeline.instance
    other = rebuilt(request, config=desired(louder(prod(ref=B)), stage()), runs=Never())
    kept = other.state.targets[PROD].run
    assert kept is not None
    assert kept.status is RunStatus.UNKNOWN, "its configuration then is not known"


def test_a_merged_one_whose_report_cannot_be_read_is_told_of() -> None:
    request = merge_request(state=MERGED)
    assert any(f"whether these have run is not known: {PROD}" in each for each in rebuilt(request).missing)


def test_a_long_reason_takes_nothing_elses_room() -> None:
    blocks = (Block(URL, C, "ana", NOW, "\N{PILE OF POO}" * 50_000),)
    request = reported(replace(FULL, blocks=blocks), ours={"hold": Hold("bob", NOW, "x" * 60_000)})
    assert len(request.notes[0].body) < LARGEST
    found = excerpt_on(request, ME, KEY)
    assert found is not None
    assert (found.left_out, found.part.pins) == (0, FULL.pins)
    assert found.hold == Hold("bob", NOW, "x" * 500)


def test_a_comment_that_the_last_release_wrote_is_read() -> None:
    """Its records stood in one place, uncompressed, and it named no branch."""
    (written,) = reported(lost()).notes
    data = dict(marker.read(written.body, STICKY, KEY) or {})
    own = data["state"]["merge_requests"]["saasbot/svc.yml"]
    own["edits"] = data.pop("edits")
    del data["base"]
    old = f"body\n{marker.plain(STICKY, data)}\n"
    found = excerpt_on(merge_request(notes=(note(old, "7", ME),)), ME, None, "main")
    assert found is not None
    assert found.part.merge_requests["saasbot/svc.yml"].edits == (EDIT,)


def test_the_reports_of_a_bot_for_another_branch_speak_of_its_own_statefile() -> None:
    request, issue = reported(lost()), board(lost())
    assert len(sightings([request], issue, ME, KEY, "main")) == 2
    assert sightings([request], issue, ME, KEY, "release") == ()
    assert excerpts.excerpt_of_dashboard(issue, KEY, "release") is None


def test_many_orders_on_the_dashboard_end_with_the_newest() -> None:
    many = tuple(Veto(PROD, sha(str(n)), "bob", NOW) for n in range(3000))
    pins = {f"svc/web/t{n}": Pin(B, "ana", NOW + timedelta(minutes=n)) for n in range(300)}
    issue = board(lost(vetoes=many, pins=pins))
    assert len(issue.body) < 40_000
    found = excerpts.excerpt_of_dashboard(issue, KEY)
    assert found is not None
    assert "svc/web/t299" in found.part.pins
    assert "svc/web/t0" not in found.part.pins


@pytest.mark.parametrize(
    "change",
    [
        {"hold": ["bob"]},
        {"hold": ["bob", "2026-01-05T10:00:00", "no zone"]},
        {"changed_at": "yesterday"},
        {"changed_at": "2026-01-05T10:00:00"},
        {"orders": 5},
        {"state": []},
        {"orders": {"pins": 5}},
        {"orders": {"vetoes": [{"target": "x", "sha": "y", "by": "z", "at": "2026-01-05T10:00:00"}]}},
        {"state": {"version": 99}},
    ],
)
def test_what_no_release_wrote_is_no_excerpt(change: dict[str, Any]) -> None:
    data = {"lineage": "lin", "serial": 3, "changed_at": "2026-01-05T10:00:00Z"}
    assert read_excerpt(data) is not None
    assert read_excerpt({**data, **change}) is None


def test_what_the_last_release_wrote_tells_of_its_hold() -> None:
    hold = Hold("bob", NOW, "wait")
    data = {"branch": "saasbot/svc.yml", "hold": ["bob", "2026-01-14T12:00:00Z", "wait"], "left_out": "many"}
    assert read_excerpt(data) == Excerpt(State(), None, hold, 0, None)
    text = sticky("body\n", data, None, NOW, KEY)
    assert text is not None
    request = merge_request(notes=(note(text, "7", ME),))
    found = rebuilt(request)
    kept = found.state.merge_requests["saasbot/svc.yml"]
    assert (kept.iid, kept.batch, kept.edits, kept.hold) == (1, "svc.yml", (), hold)
    assert sightings([request], None, ME, KEY) == ()
    assert found.state.replaced == ()


def test_lean_is_the_whole_value_in_less() -> None:
    assert lean(Pin(A, "ana", NOW)) == {"sha": A, "by": "ana", "at": "2026-01-14T12:00:00Z"}
    assert lean(Hold("", NOW)) == {"by": "", "at": "2026-01-14T12:00:00Z"}, "what is required is always said"
    assert lean(State()) == {}


# Older, and other


def test_a_statefile_contradicts_what_was_seen_of_a_newer_or_another_one() -> None:
    here = replace(lost(), serial=5, replaced=("gone",))
    assert not contradiction(here, Seen("lin", 5))
    assert not contradiction(here, Seen("gone", 99))
    assert "its serial is 5, and 6 was seen" in contradiction(here, Seen("lin", 6))
    assert "its lineage is lin, and far was seen" in contradiction(here, Seen("far", 1))
    meant = accepted(here, (Seen("lin", 9), Seen("far", 1), Seen("gone", 2)))
    assert (meant.serial, meant.replaced) == (9, ("gone", "far"))
    assert accepted(here, ()) == here
    many = accepted(here, (Seen(f"l{n}", 1) for n in range(50)))
    assert (len(many.replaced), many.replaced[-1]) == (REPLACED_KEPT, "l49")


@pytest.mark.parametrize("data", [None, b"", b"{}", b"\xff", b'{"lineage": 1, "serial": 2}'])
def test_what_a_cache_does_not_know_was_not_seen(data: bytes | None) -> None:
    assert read_seen(data) is None
    assert read_seen(write_seen(Seen("lin", 3))) == Seen("lin", 3)


def test_reports_tell_which_statefile_wrote_them() -> None:
    one = reported(lost(serial=3))
    other = reported(lost(serial=20), iid=2, branch="saasbot/b.yml")
    forged = replace(reported(lost(serial=50), iid=3), author="eve")
    found = sightings([one, other, forged], board(lost(serial=11)), ME, KEY)
    assert found == (("on !2", Seen("lin", 21)), ("on the dashboard", Seen("lin", 12)), ("on !1", Seen("lin", 4)))


# What is taken back


def test_without_any_word_everything_is_as_it_is_found() -> None:
    found = rebuilt()
    assert found.taken == ("2 targets, as they are found",)
    assert any("dashboard" in each for each in found.missing)
    assert (found.state.lineage, found.state.time, found.state.serial) == ("fresh", NOW, 0)
    assert found.state.targets[PROD].adopted


def test_an_open_promotion_comes_back_with_all_that_was_said_of_it() -> None:
    request = reported(FULL, ours={"hold": Hold("bob", NOW, "wait"), "forgiven": "x"})
    answers = {f"key-{STAGE}": RunFact(RunStatus.SUCCEEDED, "h1", finished_at=NOW)}
    found = rebuilt(request, runs=answers)
    after = found.state
    kept = after.merge_requests["saasbot/svc.yml"]
    assert (kept.iid, kept.edits, kept.hold, kept.merged) == (1, (EDIT,), Hold("bob", NOW, "wait"), False)
    assert kept.changed_at == NOW - HOUR
    assert after.pins == FULL.pins
    assert (after.vetoes, after.blocks, after.freezes) == (FULL.vetoes[:1], FULL.blocks[:1], FULL.freezes)
    assert after.replaced == ("lin",)
    assert after.targets[PROD].config == config_of(prod())
    assert after.targets[PROD].run_number == 1
    assert after.channels["ok"][-1].sha == B
    lines = "\n".join(found.taken)
    for words in (
        "!1 opened, held by bob: wait (svc/web/prod",
        f"pin of {PROD} at {B[:7]} by ana",
        f"veto of {PROD} at {C[:7]} by bob",
        "freeze of all by ana: fair (until 2026-01-14T13:00:00Z)",
        f"block of {C[:7]} of {URL} by ana: broken",
        f"rollback of {PROD} to {B[:7]}, asked for by ana",
        f"retry of {PROD}, asked for by ana",
        f"override of soak for {PROD} at {B[:7]} by ovi",
        "!3 failed its CI: ",
        "batch svc.yml is cut",
        f"channel ok: {B[:7]} by {STAGE}",
        f"{STAGE}: its server knows run 1 of {B[:7]}: succeeded",
    ):
        assert words in lines, words


def test_a_run_in_flight_is_what_its_server_says() -> None:
    running = a_run(prod(ref=B), B, handle="")
    before = lost(record(prod(ref=B), run=running), record(stage(), B))
    request = reported(before, EDIT, config=desired(prod(ref=B), stage()), state=MERGED)
    config = desired(prod(ref=B), stage())
    for fact, status in (
        (RunFact(RunStatus.RUNNING, "h9"), RunStatus.RUNNING),
        (RunFact(RunStatus.SUCCEEDED, "h9", finished_at=NOW), RunStatus.SUCCEEDED),
        (None, RunStatus.RUNNING),
        (Unreachable("ci: no answer"), RunStatus.RUNNING),
    ):
        found = rebuilt(request, config=config, runs={running.key: fact})
        run = found.state.targets[PROD].run
        assert run is not None
        assert (run.key, run.status, run.instance) == (running.key, status, prod().pipeline.instance)
        assert ("next pass asks again" in " ".join(found.missing)) is isinstance(fact, Unreachable)
        assert ("never started" in " ".join(found.taken)) is (fact is None)
    with_handle = reported(
        lost(record(prod(ref=B), run=a_run(prod(ref=B), B)), record(stage(), B)), config=config, state=MERGED
    )
    found = rebuilt(with_handle, config=config, runs={running.key: None})
    run = found.state.targets[PROD].run
    assert run is not None
    assert run.status is RunStatus.UNKNOWN
    assert "it was not asked" in " ".join(rebuilt(with_handle, config=config).missing)


def test_a_run_whose_pipeline_is_gone_is_for_a_human() -> None:
    before = lost(record(prod(), run=a_run(prod(), pipeline="gone")), record(stage(), B))
    run = rebuilt(reported(before)).state.targets[PROD].run
    assert run is not None
    assert (run.status, run.instance) == (RunStatus.UNKNOWN, None)
    ended = lost(record(prod(), run=a_run(prod(), pipeline="gone", status=RunStatus.SUCCEEDED)), record(stage(), B))
    run = rebuilt(reported(ended)).state.targets[PROD].run
    assert run is not None
    assert run.status is RunStatus.SUCCEEDED


# What has not run yet

ON_BASE = desired(prod(ref=B), stage())


def test_a_merge_that_the_lost_statefile_had_not_run_is_not_taken_for_run() -> None:
    found = rebuilt(reported(lost(), state=MERGED), config=ON_BASE, runs={next_key(): None})
    kept = found.state.targets[PROD]
    assert (kept.sha, kept.ref, kept.config) == (A, A, config_of(prod()))
    assert found.state.merge_requests["saasbot/svc.yml!1"].merged
    assert "has not run yet" in " ".join(found.taken)
    assert found.begun == {}


def next_key(number: int = 1, config: Target | None = None) -> str:
    """The key of the run that the lost statefile would have started."""
    return run_key("lin", PROD, digest_of(config or prod(ref=B)), B, number)


def test_unless_its_server_knows_the_run() -> None:
    fact = RunFact(RunStatus.RUNNING, "h9")
    before = lost(record(prod(), run_number=4, deployed_at=NOW - HOUR), record(stage(), B))
    found = rebuilt(reported(before, state=MERGED), config=ON_BASE, runs={next_key(5): fact})
    kept = found.state.targets[PROD]
    assert kept.run is not None
    assert (kept.sha, kept.run_number, kept.run.key, kept.run.status) == (B, 5, next_key(5), RunStatus.RUNNING)
    assert (kept.run.previous, kept.deployed_sha, kept.config) == (A, A, config_of(prod(ref=B)))


@pytest.mark.parametrize(
    "fact",
    [
        Unreachable("ci: no answer"),
        RunFact(RunStatus.UNKNOWN, text="it cannot tell"),
        RunFact(RunStatus.PENDING, text="its run is looked for"),
    ],
)
def test_or_nobody_can_tell_and_a_human_must(fact: RunFact | Unreachable) -> None:
    found = rebuilt(reported(lost(), state=MERGED), config=ON_BASE, runs={next_key(): fact})
    run = found.state.targets[PROD].run
    assert run is not None
    assert run.status is RunStatus.UNKNOWN
    assert any(f"`retry {PROD}`" in each for each in found.missing)


def test_a_configuration_that_changed_while_it_was_lost_runs_after_that() -> None:
    config = desired(louder(prod()), stage())
    found = rebuilt(reported(lost()), config=config, runs={})
    kept = found.state.targets[PROD]
    assert kept.run is not None
    assert kept.run.status is RunStatus.UNKNOWN, "it was not asked"
    key = run_key("lin", PROD, digest_of(config.targets[PROD]), A, 1)
    found = rebuilt(reported(lost()), config=config, runs={key: None})
    kept = found.state.targets[PROD]
    assert (kept.config_hash, kept.config) == (digest_of(prod()), ""), "its text is not known any more"


def test_images_that_moved_while_it_was_lost_count_as_not_run() -> None:
    old = Sources(Build(1, A, NOW))
    before = lost(record(prod(), sources=old), record(stage(), B))
    key = run_key("lin", PROD, digest_of(prod()), A, 1)
    assert rebuilt(reported(before), runs={key: None}).state.targets[PROD].sources == old


def test_a_target_to_be_deleted_is_deleted_after_that() -> None:
    config = desired(replace(prod(), delete=True), stage())
    key = run_key("lin", PROD, digest_of(prod()), A, 1)
    found = rebuilt(reported(lost()), config=config, runs={key: RunFact(RunStatus.RUNNING, "h")})
    run = found.state.targets[PROD].run
    assert run is not None
    assert run.action is RunAction.DELETE


def test_a_run_in_flight_comes_before_what_is_newer() -> None:
    before = lost(record(prod(), run=a_run(prod())), record(stage(), B))
    config = desired(louder(prod()), stage())
    found = rebuilt(reported(before), config=config, runs={f"key-{PROD}": RunFact(RunStatus.RUNNING, "h1")})
    run = found.state.targets[PROD].run
    assert run is not None
    assert (run.key, run.status, found.state.targets[PROD].config_hash) == (
        f"key-{PROD}", RunStatus.RUNNING, digest_of(prod())
    )  # fmt: skip


def test_what_follows_a_branch_that_cannot_be_read_waits_for_it() -> None:
    follows = prod(ref="main")
    before = lost(record(follows, C), record(stage(), B))
    request = reported(before, moved(follows, B), config=desired(follows, stage()))
    opened = {1: request}
    seen = observed(nonce="fresh", refs={URL: Unreachable("git: no answer")}, merge_requests=opened)
    given = context(follows, stage(), seen=seen, report_key=KEY, bootstrap="adopt")
    found = take_back(adopt_all(given)[0], given, [request], ())
    assert (found.state.targets[PROD].sha, found.begun) == (C, {})


# What is only history


def test_a_comment_that_nobody_kept_up_to_date_starts_nothing() -> None:
    ran = record(prod(ref=B), run=a_run(prod(ref=B), B, RunStatus.SUCCEEDED), run_number=3)
    request = reported(lost(ran, record(stage(), B)), config=ON_BASE, state=MERGED)
    later = desired(prod(ref=C), stage())
    found = rebuilt(request, config=later)
    kept = found.state.targets[PROD]
    assert (kept.sha, kept.adopted, kept.run_number, kept.previous, kept.run) == (C, True, 3, B, None)
    assert not found.state.merge_requests
    changed = rebuilt(request, config=desired(louder(prod(ref=B)), stage()))
    kept = changed.state.targets[PROD]
    assert (kept.sha, kept.previous, kept.adopted) == (B, "", True)


def test_the_newest_run_of_a_target_counts() -> None:
    old = record(prod(ref=B), run=a_run(prod(ref=B), B, RunStatus.SUCCEEDED, number=3), run_number=3)
    new = replace(old, run=a_run(prod(ref=B), B, RunStatus.FAILED, number=4, key="k4"), run_number=4)
    first = reported(lost(old, record(stage(), B)), config=ON_BASE, state=MERGED)
    second = reported(lost(new, record(stage(), B), serial=20), config=ON_BASE, iid=2, branch="saasbot/b", state=MERGED)
    for own in ((first, second), (second, first)):
        run = rebuilt(*own, config=ON_BASE).state.targets[PROD].run
        assert run is not None
        assert run.key == "k4"


def test_a_target_that_left_the_config_stays_away() -> None:
    found = rebuilt(reported(lost()), config=desired(stage()))
    assert set(found.state.targets) == {STAGE}


def test_what_a_full_comment_left_out_is_said() -> None:
    request = reported(State(lineage="lin", serial=3), state=MERGED)
    found = rebuilt(request, config=ON_BASE)
    assert any(f"whether {B[:7]} has run is not known" in each for each in found.missing)


# What was published


def test_success_publishes_and_failure_takes_back() -> None:
    own = replace(prod(ref=B), promotion=replace(prod().promotion, publish=("done",)))
    config = desired(own, stage(), target("z/web/z", promotion=replace(prod().promotion, subscribe=("done",))))
    good = record(own, run=a_run(own, B, RunStatus.SUCCEEDED), run_number=1)
    request = reported(lost(good, record(stage(), B)), config=config, state=MERGED)
    found = rebuilt(request, config=config)
    assert [(each.target, each.sha) for each in found.state.channels["done"]] == [(PROD, B)]
    bad = record(stage(), B, run=a_run(stage(), B, RunStatus.FAILED))
    found = rebuilt(reported(lost(record(prod()), bad)))
    assert found.state.channels["ok"] == ()


def test_the_first_success_and_the_last_one_are_both_known() -> None:
    early, late = published(STAGE, B, 30 * HOUR), published(STAGE, B, HOUR)
    one = reported(lost(ok=(early,)))
    other = reported(lost(ok=(late,), serial=20), iid=2, branch="saasbot/b.yml")
    for own in ((one, other), (other, one)):
        (found,) = rebuilt(*own).state.channels["ok"]
        assert (found.first_at, found.finished_at) == (early.first_at, late.finished_at)


# Vetoes


@pytest.mark.parametrize("by", ["bob", ""])
def test_what_a_person_closed_stays_closed(by: str) -> None:
    found = rebuilt(reported(lost(), state=CLOSED, closed_by=by))
    assert [(each.target, each.sha, each.by) for each in found.state.vetoes] == [(PROD, B, by or "somebody")]
    assert not found.state.merge_requests


def test_what_the_bot_closed_by_itself_is_no_veto_but_what_it_closed_on_command_is() -> None:
    closed = reported(lost(), state=CLOSED, closed_by=ME)
    assert rebuilt(closed).state.vetoes == ()
    request = merge_request()
    kept = mr_record(request, EDIT, asked="close")
    before = lost(merge_requests={kept.branch: kept}, vetoes=(Veto(PROD, B, "ana", NOW),))
    seen = observed(merge_requests={1: request})
    plan = decided(context(prod(), stage(), recorded=before, seen=seen, report_key=KEY))
    (action,) = of_kind(plan, CloseMergeRequest)
    ignored = replace(closed, notes=(*closed.notes, note(action.comment, "8", ME)))
    assert rebuilt(ignored).state.vetoes == (Veto(PROD, B, "ana", NOW),)


def test_a_veto_that_was_taken_back_or_overtaken_does_not_come_back() -> None:
    asked = reported(lost(requests={PROD: PromotionRequest(PROD, B, "ana", NOW)}), iid=2, branch="saasbot/b.yml")
    closed = reported(lost(), state=CLOSED, closed_by="bob")
    assert rebuilt(asked, closed).state.vetoes == ()
    assert rebuilt(closed, config=ON_BASE).state.vetoes == ()
    assert rebuilt(closed, config=desired(stage())).state.vetoes == ()
    known = reported(lost(vetoes=(Veto(PROD, B, "ana", NOW),)), iid=2, branch="saasbot/b.yml")
    assert [each.by for each in rebuilt(known, closed).state.vetoes] == ["ana"]


def test_a_closed_one_without_a_report_is_told_of() -> None:
    found = rebuilt(merge_request(state=CLOSED, closed_by="bob"), merge_request("saasbot/b", 2))
    assert any("!1: a person closed it" in each for each in found.missing)
    assert any("!2: it has no report" in each for each in found.missing)


def test_merge_requests_of_others_say_nothing() -> None:
    foreign = reported(lost(), branch="bob/x")
    theirs = replace(reported(lost()), author="eve")
    found = rebuilt(foreign, theirs)
    assert not found.state.merge_requests
    assert found.state.replaced == ()


# The dashboard, cursors, history, and what this machine remembers


def test_the_dashboard_knows_every_order_and_every_run() -> None:
    issue = board(FULL, note("/saasbot unpin", "44", "ana"))
    found = rebuilt(dashboard=issue, runs={f"key-{STAGE}": RunFact(RunStatus.RUNNING, "h1")})
    assert of_mine(found.state) == {
        **of_mine(FULL),
        "vetoes": FULL.vetoes[:1],
        "splits": FULL.splits,
    }  # a veto on a target that there is not is of no use
    run = found.state.targets[STAGE].run
    assert run is not None
    assert run.status is RunStatus.RUNNING
    assert found.state.cursors["dashboard:5"] == 44
    assert not any("only a dashboard" in each for each in found.missing)
    assert rebuilt(dashboard=Issue(5, "no marker")).state.cursors == {}


def test_old_commands_are_not_obeyed_again() -> None:
    told = note("/saasbot hold", "31", "bob")
    opened = reported(lost(), notes=(told,))
    merged = reported(lost(), iid=2, branch="saasbot/b.yml", state=MERGED, notes=(told,))
    found = rebuilt(opened, merged)
    assert found.state.cursors == {"notes:1": 31, "notes:2": 31}
    assert any("say again" in each for each in found.missing)


def test_versions_before_the_present_ones_come_from_the_history() -> None:
    follows, other = prod("svc/web/follows", "main", index=1), prod("svc/web/other", B, index=2)
    new, broken = prod("svc/web/new", B, index=3), prod("svc/web/broken", B, index=4)
    config = desired(prod(ref=C), other, follows, new, broken, stage())
    past = (
        config,
        desired(prod(ref=C), prod("svc/web/other", "main"), stage(), invalid_targets={broken.id: "broken"}),
        desired(prod(ref=B), prod("svc/web/broken", A), stage()),
        desired(prod(ref=A), prod("svc/web/other", A), stage()),
    )
    found = rebuilt(config=config, past=past)
    previous = {key: each.previous for key, each in found.state.targets.items() if each.previous}
    assert previous == {PROD: B, broken.id: A}
    assert "the versions before the present ones of 2 targets, from the config's history" in found.taken

    def never() -> Any:
        raise AssertionError("nothing is wanted of it")
        yield

    known = record(prod(), run=replace(a_run(prod(), status=RunStatus.SUCCEEDED), previous=C))
    given = reported(lost(known, record(stage(), B)))
    assert rebuilt(given, past=never()).state.targets[PROD].run is not None
    rebuilt(given, past=(desired(stage()),))


def test_what_this_machine_remembers_is_replaced_as_well() -> None:
    assert rebuilt(known=(Seen("far", 3),)).state.replaced == ("far",)


def test_a_first_pass_after_a_loss_takes_the_place_of_what_its_reports_speak_of() -> None:
    request = reported(lost())
    seen = observed(nonce="fresh", merge_requests={1: request})
    plan = decided(context(prod(), stage(), seen=seen, report_key=KEY, bootstrap="adopt"))
    assert plan.record is not None
    assert plan.record.replaced == ("lin",)
