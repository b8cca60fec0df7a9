"""Releases on CircleCI that meet trouble: lost answers, processes that die, dry runs, secrets, and time.

The numbers in the names are those of the specification: RP-n a requirement, C-Bn a bug of the orchestrator before.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from worlds.fake_circleci import TOKEN
from worlds.fake_circleci_model import ends
from worlds.fake_circleci_release import PATIENT, RELEASE, ReleaseWorld, prepare, releasing
from worlds.fake_http import Answer, Fault
from worlds.faulty_ports import Call, Choose, Injector, Killed, Kind
from worlds.line_world import held

from bot.model.rounds import Result
from bot.providers.pipelines.circleci import POLL
from bot.reconcile import until_idle


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    """No definition and no components yet."""
    prepare(monkeypatch, tmp_path)
    with releasing(tmp_path) as made:
        yield made


# --- starts that go wrong


def test_rp_4_c_b4_rp_10_each_way_in_which_a_start_may_go_wrong(world: ReleaseWorld) -> None:
    world.components([["ok", "taken", "lost", "broken", "limited", "refused"], ["next"]], definition=PATIENT)

    def fails(name: str, answer: Answer | str, times: int = 1) -> None:
        world.server.faults.append(Fault(("POST", f".*%2F{name}/pipeline"), answer, times))  # type: ignore[arg-type] # a word of `Fault`

    fails("taken", "drop after")
    fails("lost", "drop before")
    fails("broken", Answer(503, b"<title>503 Service Unavailable</title>"))
    fails("limited", Answer(429, {"message": "Rate limit exceeded"}, {"Retry-After": "90"}))
    fails("refused", Answer(429, {"message": "Rate limit exceeded"}), times=3)
    world.begins().passes(2, every=20)
    assert world.words() == {
        "ok": "succeeded",
        "taken": "succeeded",
        "lost": "pending",
        "broken": "pending",
        "limited": "waiting",
        "refused": "waiting",
        "next": "waiting",
    }
    assert world.texts()["lost"] == "its pipeline is looked for"
    world.passes(9, every=45)
    assert set(world.words().values()) == {"succeeded", "refused", "not_started"}
    assert world.texts()["refused"].endswith("Rate limit exceeded after 3 tries")
    assert (world.round.result, world.round.text) == (Result.ERROR, "failed: refused")
    assert sorted(world.started()) == ["broken", "limited", "lost", "ok", "taken"], "each of them once"
    again = next(each.created_at for each in world.pipelines("limited"))
    assert (again - world.round.began_at).total_seconds() >= 90


def test_rp_10_a_server_that_is_away_for_a_while_holds_and_fails_nothing(world: ReleaseWorld) -> None:
    world.components([["a"]]).begins().one_pass()
    world.server.faults.append(Fault(("GET", ".*"), Answer(429, {"message": "slow down"}, {"Retry-After": "5"}), 1))
    world.server.faults.append(Fault(("GET", ".*"), Answer(500, b"oops"), 1))
    for _ in range(2):
        assert ("release/a", "unreachable") in held(world.later(seconds=20).one_pass())
    world.later(seconds=20).one_pass()
    assert (world.round.result, world.started()) == (Result.SUCCESS, ["a"])


# --- a process that dies, and what goes on without it

MOMENTS: list[tuple[str, int, Kind, int]] = [
    ("state.write", 1, Kind.KILLED_BEFORE, 0),
    ("state.write", 1, Kind.KILLED_AFTER, 0),
    ("pipelines.start", 1, Kind.KILLED_AFTER, 1),
    ("pipelines.start", 2, Kind.KILLED_AFTER, 2),
    ("state.write", 2, Kind.KILLED_AFTER, 2),
]
"""Before the intent, after it, after each start and after what came of them was saved; and the pipelines by then.

A process that is killed before anything else leaves the world as one that is killed after what was before it.
"""


def at_the(name: str, nth: int, kind: Kind) -> Choose:
    """Strike the process at its `nth` call of this name."""
    met = Counter[str]()

    def choose(call: Call) -> Kind | None:
        met[call.name] += 1
        return kind if (call.name, met[call.name]) == (name, nth) else None

    return choose


def test_rp_11_a_process_killed_at_any_moment_of_a_set_starts_nothing_twice(world: ReleaseWorld) -> None:
    """Each of several rounds is begun by a process that dies at another moment."""
    pairs = [(f"a{number}", f"b{number}") for number in range(len(MOMENTS))]
    world.components([[name for pair in pairs for name in pair]], definition=PATIENT).one_pass()
    for number, (pair, (name, nth, kind, made)) in enumerate(zip(pairs, MOMENTS, strict=True), 1):
        world.begins(*pair)
        before = len(world.started())
        with pytest.raises(Killed):
            world.dies(Injector(at_the(name, nth, kind)))
        assert len(world.started()) - before == made
        while (world.record.rounds, world.round_result) != (number, "success"):
            world.later(seconds=130).one_pass()
            assert len(world.started()) - before <= len(pair)
    assert sorted(world.started()) == sorted(name for pair in pairs for name in pair)


def test_rp_11_a_process_that_is_asked_to_stop_has_not_tried_what_it_did_not_start(world: ReleaseWorld) -> None:
    once = RELEASE.replace("attempts: 3", "attempts: 1")
    world.components([["a", "b", "c"]], definition=once).begins()
    done: list[object] = []
    world.one_pass(replace(world.job(), stopped=lambda: bool(done), progress=lambda *what: done.append(what)))
    assert world.started() == ["a"]
    world.passes(4, every=10)
    assert (world.round.result, world.started()) == (Result.SUCCESS, ["a", "b", "c"])


def test_rp_11_what_was_released_is_not_built_again_and_what_failed_is(world: ReleaseWorld) -> None:
    world.project("bad", ends("failed", after=8))
    world.components([["first"], ["bad", "good"], ["next"]]).begins().passes(4, every=10)
    assert (world.round.number, world.round.result) == (1, Result.ERROR)
    assert world.record.released == {"first": "1.2.0-SNAPSHOT", "good": "1.2.0-SNAPSHOT"}
    world.project("bad", ends("success", after=8)).begins().passes(4, every=10)
    assert (world.round.number, world.round.result) == (2, Result.SUCCESS)
    assert world.started() == ["first", "bad", "good", "bad", "next"]
    assert world.texts()["first"] == "1.2.0-SNAPSHOT was released already; the config does not say so yet"
    requests = len(world.server.requests)
    world.begins().passes(2)
    assert (world.round.number, world.round.result) == (3, Result.SUCCESS)
    assert len(world.server.requests) == requests, "nothing is left, so nothing is asked"
    newer = dict.fromkeys(("first", "bad", "good", "next"), "1.2.1-SNAPSHOT")
    world.components([["first"], ["bad", "good"], ["next"]], newer).begins().one_pass()
    assert world.words()["first"] == "pending", "another version is to be built"


def test_rp_11_a_pipeline_that_outlives_its_round_is_attached_to_the_next(world: ReleaseWorld) -> None:
    world.project("bad", ends("failed", after=5)).project("slow", ends("success", after=60))
    world.components([["bad", "slow"], ["next"]]).begins().passes(3, every=10)
    assert world.words() == {"bad": "failed", "slow": "running", "next": "not_started"}
    world.project("bad", ends("success", after=5)).begins().passes(8, every=10)
    assert world.round.result is Result.SUCCESS
    assert world.started() == ["bad", "slow", "bad", "next"]


def test_rp_12_what_was_released_is_written_into_the_manifest_and_the_rest_is_what_is_left(
    world: ReleaseWorld,
) -> None:
    world.project("bad", ends("failed", after=8))
    world.components([["first"], ["bad", "good"]], {"good": "2.0.1-SNAPSHOT"}).begins().passes(6, every=10)
    first = [{"name": "first", "version": "1.2.0", "since": "1.2.0"}, {"name": "bad", "version": ""}]
    merge_request = world.the_merge_request()
    assert merge_request.title == "Release 1.2.0 of apim: 2 components so far"
    world.merge(merge_request.iid)
    manifest = json.loads(world.on_main("release.json"))
    assert manifest["components"] == [*first, {"name": "good", "version": "2.0.1", "since": "1.2.0"}]
    assert manifest["version"] == "1.2.0-SNAPSHOT"
    world.project("bad", ends("success", after=8)).begins().passes(5, every=10)
    assert (world.round.result, world.started()) == (Result.SUCCESS, ["first", "bad", "good", "bad"])
    assert world.record.released == {"bad": "1.2.0-SNAPSHOT"}, "the config says the rest by now"
    world.merge(world.the_merge_request().iid)
    manifest = json.loads(world.on_main("release.json"))
    assert manifest["version"] == "1.2.0"
    assert [each["since"] for each in manifest["components"]] == ["1.2.0"] * 3
    requests = len(world.server.requests)
    world.begins().passes(2)
    assert (world.round.text, len(world.server.requests)) == ("there was nothing to start", requests)
    assert world.record.released == {}


# --- dry runs, secrets, and how often it is looked


def test_rp_13_only_a_rehearsal_says_dry_run_and_it_counts_as_nothing(world: ReleaseWorld) -> None:
    world.components([["a"], ["b"]]).one_pass()
    before = world.state()
    start = ("trigger", "start", "release", "--as", "alice")
    shown = world.saasbot(*start, "--dry-run", "--format", "json")
    bodies = [each["preview"]["body"]["parameters"] for each in shown.document["jobs"]]
    assert [body["dry_run"] for body in bodies] == [False, False], "the whole plan is shown, later sets as well"
    assert (world.asked("POST"), world.state()) == ([], before)
    assert world.saasbot(*start, "--dry-run=pipelines", "--no-wait").code == 0
    world.later(seconds=5).passes(5)
    assert (world.round.result, world.round.rehearsal) == (Result.SUCCESS, True)
    assert (world.record.released, world.record.succeeded) == ({}, {})
    assert world.merge_requests() == []
    world.begins().passes(6)
    assert world.round.result is Result.SUCCESS
    assert [body["parameters"]["dry_run"] for body in world.server.bodies] == [True, True, False, False]
    assert world.started() == ["a", "b", "a", "b"]
    assert world.record.released.keys() == {"a", "b"}


def test_c_b5_rp_14_the_token_is_in_nothing_that_is_printed_or_kept(world: ReleaseWorld) -> None:
    """The server repeats it in every error; that it is in no file either is looked at after each test."""
    world.components([["a", "b"], ["c"]]).one_pass()
    echo = {"message": f"no: curl -H 'Circle-Token: {TOKEN}'"}
    world.server.faults.append(Fault(("POST", ".*%2Fa/pipeline"), Answer(400, echo)))
    world.server.faults.append(Fault(("GET", ".*/pipeline/[0-9a-f-]+"), Answer(401, echo), 3))
    said = world.saasbot("--verbose", "--verbose", "trigger", "start", "release", "--as", "alice")
    assert said.code == 1, "RP-7: a failure ends the process so"
    assert "Circle-Token" in said.out, "the rest of what the server said is told"
    every = [
        said,
        world.saasbot("--log-format", "json", "reconcile", "--format", "json"),
        world.saasbot("status"),
        world.saasbot("trigger", "status"),
        world.saasbot("trigger", "start", "release", "--as", "alice", "--dry-run"),
        world.saasbot("state", "show", "trigger:release"),
    ]
    assert [ended.code for ended in every[1:]] == [0] * 5
    assert TOKEN not in "".join(ended.out + ended.err for ended in every)


def test_rp_1_one_process_looks_at_a_run_every_seven_seconds_at_most(world: ReleaseWorld) -> None:
    world.project("a", ends("success", after=30))
    world.components([["a", "b"], ["c"]]).begins()
    began = world.now
    passes = sum(1 for _ in until_idle(world.job(), None))
    assert world.round.result is Result.SUCCESS
    assert (world.now - began).total_seconds() < 30 + 8 + 2 * 17 + 10
    for name in "abc":
        (pipeline,) = world.pipelines(name)
        seen = {at for handle, at in world.server.looks if handle == pipeline.id}  # the report reads it as it ends
        looks = [pipeline.created_at, *sorted(seen)]
        assert all(later - earlier >= POLL for earlier, later in pairwise(looks))
    assert passes > 2 * len(world.server.looks)
