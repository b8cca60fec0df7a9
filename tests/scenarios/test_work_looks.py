"""Work: looks at one subject at a time come to the same as whole passes, with any number of processors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds import planted
from worlds.faulty_ports import Call, Injector, Killed, Kind, faulty
from worlds.forge_world import FORGES, TOKEN, ForgeWorld, forge_world
from worlds.looks_world import Looks, poison, told_by_looks
from worlds.memory_stories import STORIES
from worlds.memory_walk import Story
from worlds.world import BRANCH, PROD, STAGE, NewWorld, World

from bot.core.candidates import ATTENTION_LABEL
from bot.core.queueing import MOST_ATTEMPTS
from bot.errors import ServerUnreachable
from bot.looks import look
from bot.model.work import Again, Attention, Done, Due, Failed, Wait
from bot.work import COLLECT, collect

MERGE_REQUEST = f"merge-request:{BRANCH}"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_looks_come_to_the_same_as_whole_passes(story: Story) -> None:
    told_by_looks(story)


def test_a_first_collection_records_what_is_there_and_finds_nothing_due(plain: World) -> None:
    looks = Looks(plain)
    assert collect(plain.job(), looks.queue).added == ()
    assert plain.state().targets.keys() == {STAGE, PROD}
    assert plain.runs() == []


def test_a_look_without_a_statefile_waits_for_a_collection(plain: World) -> None:
    assert isinstance(look(plain.job(), f"target:{STAGE}").ending, Wait)
    assert not (plain.root / "state.json").exists()


def settled(looks: Looks) -> None:
    """Real programs end in real time: a processor until nothing is in flight, seconds apart."""
    for _ in range(200):
        looks.drain()
        records = looks.world.state().targets.values()
        if not any(each.run is not None and each.run.status.in_flight for each in records):
            return
        looks.world.job().ports.clock.sleep(0.02)
        looks.world.later(seconds=11)
    raise AssertionError(looks.endings[-5:])


def test_a_story_at_the_local_forge(plain: World) -> None:
    """A commit, its soak, the merge request, a command, the merge, production; each by looks alone."""
    looks = Looks(plain)
    settled(looks)
    sha = plain.commit()
    settled(looks)
    assert plain.runs() == [(STAGE, sha, "deploy")]
    plain.later(hours=25)
    settled(looks)
    opened = plain.the_merge_request()
    plain.people.comment_as("alice", opened.iid, "/saasbot hold not before lunch")
    looks.drain()
    assert "On hold" in plain.report_on(opened.iid)
    plain.people.comment_as("alice", opened.iid, f"/saasbot unhold\n/saasbot retry {STAGE}")
    settled(looks)
    assert "On hold" not in plain.report_on(opened.iid)
    assert plain.runs() == [(STAGE, sha, "deploy")] * 2
    plain.merge(opened.iid)
    settled(looks)
    assert plain.runs()[2:] == [(PROD, sha, "deploy")]
    plain.later(minutes=20)
    settled(looks)
    assert "succeeded" in plain.report_on(opened.iid)
    assert not plain.reconcile().plan.actions


FROZEN = 'dashboard: {title: "Deployments"}\ncommands: {freezeGroup: owners}\n'


def test_a_freeze_by_command_holds_the_looks_of_everything(new_world: NewWorld) -> None:
    world = new_world(more=FROZEN)
    looks = Looks(world)
    settled(looks)
    world.people.comment_dashboard_as("alice", '/saasbot freeze all reason="moving house"')
    looks.drain()
    assert [freeze.reason for freeze in world.state().freezes] == ["moving house"]
    world.commit()
    looks.drain()
    seen = look(world.job(), f"target:{STAGE}")
    assert seen.report is not None
    assert [held.gate for held in seen.report.plan.held] == ["freeze"]
    assert world.runs() == []
    world.people.comment_dashboard_as("alice", "/saasbot unfreeze all")
    looks.drain()
    settled(looks)
    assert len(world.runs()) == 1


ROUND = """\
$schema: /trigger-1.json
name: nightly
owners: [alice]
instance: {$ref: /instances/shell.yml}
with: {command: ["true"]}
on: {schedule: {cron: "0 * * * *"}, command: true}
jobs: [{name: first}, {name: second, after: [first]}]
"""


def test_a_trigger_round_goes_on_look_by_look(plain: World) -> None:
    plain.push({"triggers/nightly.yml": ROUND})
    looks = Looks(plain)
    looks.drain()
    plain.later(hours=1)
    for _ in range(100):
        looks.drain()
        record = plain.state().triggers["nightly"]
        if record.round is not None and record.round.result != "running":
            break
        plain.job().ports.clock.sleep(0.02)
        plain.later(seconds=11)
    assert record.round is not None
    assert (record.round.result, [job.status for job in record.round.jobs]) == ("success", ["started", "started"])
    assert {subject for subject, _ in looks.endings} == {COLLECT, "trigger:nightly"}


def services(new_world: NewWorld, *names: str, more: str = "") -> World:
    """A world with these services, adopted, each with a new commit."""
    world = new_world(services=names, more=more)
    world.reconcile()
    for name in names:
        world.commit(name)
    return world


def test_two_processors_at_different_subjects_lose_nothing(new_world: NewWorld) -> None:
    """Both have read the same statefile before either writes."""
    world = services(new_world, "a", "b", "c", "d")
    start = threading.Barrier(4)

    def at(name: str) -> Any:
        job = world.job()
        ports = replace(job.ports, refs=Waits(job.ports.refs, start))
        return look(replace(job, ports=ports), f"target:{name}/{name}/stage")

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(at, "abcd"))
    assert [type(each.ending) for each in seen] == [Wait] * 4
    records = world.state().targets
    assert all(records[f"{name}/{name}/stage"].run_number == 1 for name in "abcd")
    world.reconcile()
    assert sorted(target for target, _, _ in world.runs()) == [f"{name}/{name}/stage" for name in "abcd"]


class Waits:
    """Refs that are told when everybody has asked."""

    def __init__(self, refs: Any, everybody: threading.Barrier) -> None:
        self._refs, self._everybody = refs, everybody

    def resolve(self, *given: Any) -> Any:
        """Wait for the others, once the statefile was read."""
        self._everybody.wait(timeout=30)
        return self._refs.resolve(*given)


def test_who_loses_the_race_for_a_subject_does_nothing(new_world: NewWorld) -> None:
    world = services(new_world, "a")
    start = threading.Barrier(2)

    def at(_: int) -> Any:
        job = world.job()
        return look(replace(job, ports=replace(job.ports, refs=Waits(job.ports.refs, start))), "target:a/a/stage")

    with ThreadPoolExecutor(2) as pool:
        seen = sorted(pool.map(at, range(2)), key=lambda each: type(each.ending).__name__)
    lost, won = seen
    assert (type(lost.ending), lost.report) == (Again, None)
    assert "meanwhile" in lost.ending.why
    assert isinstance(won.ending, Wait)
    world.reconcile()
    assert len(world.runs()) == 1


def test_several_processors_keep_to_the_budget_together(new_world: NewWorld) -> None:
    """All decide while nothing is in flight; when they save, only one may."""
    world = services(new_world, "a", "b", "c", more="runs: {maxInFlight: 1}\n")
    start = threading.Barrier(3)

    def at(name: str) -> Any:
        job = world.job()
        ports = replace(job.ports, refs=Waits(job.ports.refs, start))
        return look(replace(job, ports=ports), f"target:{name}/{name}/stage")

    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(at, "abc"))
    assert sorted(type(each.ending).__name__ for each in seen) == ["Again", "Again", "Wait"]
    in_flight = [each.id for each in world.state().targets.values() if each.run is not None]
    assert len(in_flight) == 1


def test_a_processor_that_is_killed_between_intent_and_start_is_followed_by_one_that_starts_it_once(
    plain: World,
) -> None:
    plain.reconcile()
    sha = plain.commit()
    for at, kind in (("pipelines.start", Kind.KILLED_BEFORE), ("pipelines.start", Kind.KILLED_AFTER)):

        def fate(call: Call, at: str = at, kind: Kind = kind) -> Kind | None:
            return kind if call.name == at else None

        job = plain.job()
        with pytest.raises(Killed):
            look(replace(job, ports=faulty(job.ports, Injector(fate))), f"target:{STAGE}")
        plain.later(minutes=6)
        settled(Looks(plain))
        assert plain.runs().count((STAGE, sha, "deploy")) == 1
        sha = plain.later(hours=1).commit()
    assert len(plain.runs()) == 2


def test_a_command_that_meets_a_look_at_something_else_is_not_lost(plain: World) -> None:
    """What is written down on one thread is carried out by the target's own look, whoever looks in between."""
    plain.promoted()
    before = len(plain.runs())
    plain.people.comment_as("alice", 1, f"/saasbot retry {STAGE}")
    seen = look(plain.job(), MERGE_REQUEST)
    assert seen.report is not None
    assert set(plain.state().run_requests) == {STAGE}
    look(plain.job(), "dashboard")
    look(plain.job(), MERGE_REQUEST)
    assert len(plain.runs()) == before
    look(plain.job(), f"target:{STAGE}")
    plain.reconcile()
    assert len(plain.runs()) == before + 1


# Attention


def failing(looks: Looks, subject: str, broken: Callable[[], Any]) -> list[Any]:
    """The endings of a subject whose looks break, until it leaves the queue; due times are waited for."""
    looks.queue.ask(Due(subject, looks.world.now))
    endings: list[Any] = []
    while found := [each for each in looks.queue.items() if each.subject == subject]:
        looks.world.now = max(looks.world.now, found[0].at)
        endings += [ending for name, ending in looks.drain(broken(), collects=False) if name == subject]
    return endings


def test_a_subject_that_fails_five_times_is_left_to_a_person_and_blocks_nobody(new_world: NewWorld) -> None:
    world = services(new_world, "a", "b", more='dashboard: {title: "Deployments"}\n')
    looks, url = Looks(world), str(world.folders.service("a"))
    looks.queue.ask(Due("target:b/b/stage", world.now))
    error = ValueError("nobody has thought of this")
    endings = failing(looks, "target:a/a/stage", lambda: poison(world.job(), "refs", "resolve", url, error))
    assert [type(each) for each in endings] == [*[Failed] * MOST_ATTEMPTS, Attention]
    assert "failed 5 times" in endings[-1].why
    assert "nobody has thought of this" in endings[-1].why
    assert [target for target, _, _ in world.runs()] == ["b/b/stage"]
    (flag,) = world.state().attention.values()
    assert (flag.text, flag.iid) == (endings[-1].why, 0)
    looks.drain()
    looks.drain()
    assert "target:a/a/stage" not in {each.subject for each in looks.queue.items()}
    board = world.job().ports.forge.dashboard("Deployments")
    assert board is not None
    assert "failed 5 times" in board.body
    assert "failed 5 times" in world.saasbot("status").out
    assert "attention:target:a/a/stage" in world.saasbot("state", "list").out
    assert "failed 5 times" in world.saasbot("state", "show", "attention:target:a/a/stage").out
    world.saasbot("state", "rm", "attention:target:a/a/stage")
    assert not world.state().attention
    settled(looks)
    assert [target for target, _, _ in world.runs()] == ["b/b/stage", "a/a/stage"]


def test_a_flagged_subject_comes_back_when_there_is_something_else_to_do(new_world: NewWorld) -> None:
    world = services(new_world, "a")
    looks, url = Looks(world), str(world.folders.service("a"))
    failing(looks, "target:a/a/stage", lambda: poison(world.job(), "refs", "resolve", url, ValueError("x")))
    looks.drain()
    assert world.runs() == []
    sha = world.commit("a")
    looks.drain()
    assert not world.state().attention
    settled(looks)
    assert world.runs() == [("a/a/stage", sha, "deploy")]


def test_attention_is_ignored_where_somebody_says_so(new_world: NewWorld) -> None:
    world = services(new_world, "a")
    looks, url = Looks(world), str(world.folders.service("a"))
    failing(looks, "target:a/a/stage", lambda: poison(world.job(), "refs", "resolve", url, ValueError("x")))
    assert collect(world.job(), looks.queue).added == ()
    assert [each.subject for each in collect(world.job(), looks.queue, ignore_attention=True).added] == [
        "target:a/a/stage"
    ]


def test_nobody_is_asked_for_what_is_wrong_with_everything(plain: World) -> None:
    """An outage of hours, or a statefile that cannot be the right one, is not a matter of each subject."""
    looks = Looks(plain)
    settled(looks)
    away = ServerUnreachable("the forge is away")
    for _ in range(MOST_ATTEMPTS + 2):
        looks.queue.ask(Due(MERGE_REQUEST, plain.now))
        job = plain.job()
        broken = replace(job, ports=replace(job.ports, forge=Away(away)))
        assert {type(ending) for _, ending in looks.drain(broken, collects=False)} == {Wait}
        plain.later(hours=1)
    assert not plain.state().attention
    old = (plain.root / "state.json").read_bytes()
    plain.commit()
    settled(looks)
    (plain.root / "state.json").write_bytes(old)
    looks.queue.ask(Due(f"target:{STAGE}", plain.now))
    (ended,) = (ending for name, ending in looks.drain(collects=False) if name == f"target:{STAGE}")
    assert isinstance(ended, Wait)
    assert "older copy" in ended.why


class Away:
    """A forge that is away."""

    def __init__(self, error: ServerUnreachable) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        """Whatever is asked."""

        def ask(*_: Any, **__: Any) -> Any:
            raise self._error

        return ask


@pytest.fixture(params=FORGES)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeWorld]:
    """A world at each forge."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    monkeypatch.setenv("SAASBOT_KEY", planted.token("key"))
    with forge_world(request.param, tmp_path / "world") as found:
        yield found


def test_wq_5_a_label_asks_for_a_person_and_taking_it_off_is_the_way_back(anywhere: ForgeWorld) -> None:
    world, looks = anywhere, Looks(anywhere)
    world.promoted()
    world.on_branch(BRANCH, {"svc/notes.yml": "by: hand\n"}, start=BRANCH)
    for _ in range(2):
        looks.queue.ask(Due("merge-request:!1", world.now))
        (sent, ended) = looks.drain(collects=False)[-2:]
        assert (sent, ended[0]) == (("merge-request:!1", Done(f"it is {MERGE_REQUEST}")), MERGE_REQUEST)
        assert isinstance(ended[1], Attention)
        assert ATTENTION_LABEL in world.show().labels
        assert "human_commit" in world.state().attention[MERGE_REQUEST].text
    assert "a person has committed" in world.report_on(1)
    looks.drain()
    assert MERGE_REQUEST not in {each.subject for each in looks.queue.items()}
    world.granted(world.people.set_label(1, ATTENTION_LABEL, on=False))
    assert [type(ended) for name, ended in looks.drain() if name == MERGE_REQUEST] == [Attention]
    world.people.comment_as("alice", 1, "/saasbot regenerate --discard-edits")
    looks.drain()
    world.later(minutes=1)
    looks.drain()
    assert not world.state().attention
    assert ATTENTION_LABEL not in world.show().labels


def conflicting(world: World) -> Looks:
    """A merge request that conflicts, and so is to be built anew."""
    world.promoted()
    world.edit("svc/saas.yml", f"ref: {world.ref()}", f"ref: {world.ref()}  # a note")
    return Looks(world)


def test_wq_5_the_report_of_a_merge_request_that_fails_says_so(plain: World) -> None:
    looks, lost = conflicting(plain), ServerUnreachable("the forge has lost its mind")
    endings = failing(looks, MERGE_REQUEST, lambda: poison(plain.job(), "forge", "push", None, lost))
    assert [type(each) for each in endings] == [*[Failed] * MOST_ATTEMPTS, Attention]
    assert ATTENTION_LABEL in plain.show().labels
    assert "the bot has stopped here: it has failed 5 times: the forge has lost its mind" in plain.report_on(1)
    looks.drain()
    assert plain.show().has_conflicts
    plain.saasbot("local", "mr", "label", "1", ATTENTION_LABEL, "--remove", now=False)
    looks.drain()
    looks.drain()
    assert not plain.show().has_conflicts
    assert "the bot has stopped" not in plain.report_on(1)


def test_wq_5_what_cannot_be_labelled_is_flagged_all_the_same(plain: World) -> None:
    looks, lost = conflicting(plain), ServerUnreachable("the forge has lost its mind")

    def broken() -> Any:
        return poison(poison(plain.job(), "forge", "push", None, lost), "forge", "label", None, lost)

    failing(looks, MERGE_REQUEST, broken)
    assert plain.state().attention[MERGE_REQUEST].iid == 0
    assert f"saasbot queue add {MERGE_REQUEST}" in plain.report_on(1)
