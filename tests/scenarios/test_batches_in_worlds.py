"""Batches (DESIGN section 5): how promotions share merge requests, are cut, joined, and bisected when a CI fails."""

from __future__ import annotations

import re

import pytest
from worlds.line_world import broken, document, held, kinds
from worlds.world import NewWorld, World, reasons

from bot.model.observed import CiStatus, MergeRequest

NAMES = ("a", "b", "c", "d")


def due(world: World, *names: str) -> dict[str, str]:
    """New commits of these services that have run on stage and soaked, all in the same pass."""
    shas = {name: world.commit(name) for name in names or world.services}
    world.reconcile()
    world.later(hours=2).reconcile()
    return shas


def batch_world(new_world: NewWorld, settings: str, names: tuple[str, ...] = NAMES) -> World:
    world = new_world(services=names, soak="1h", more=f"promotions: {{{settings}}}\n")
    world.reconcile()
    return world


def contents(world: World) -> dict[str, list[str]]:
    """By branch: the services that its merge request moves."""
    return {each.source_branch: content(each) for each in world.merge_requests()}


def content(merge_request: MergeRequest) -> list[str]:
    return sorted(set(re.findall(r"\b(\w+)/\w+/prod", merge_request.description)))


def test_by_file_each_service_has_its_own(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: file")
    due(world)
    assert contents(world) == {f"saasbot/{name}/saas.yml": [name] for name in NAMES}


def test_by_app_services_of_one_app_share_one(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: app")
    world.push({"b/saas.yml": world.on_main("b/saas.yml").replace("/b/app.yml", "/a/app.yml")})
    world.reconcile()
    due(world)
    assert sorted(contents(world).values()) == [["a", "b"], ["c"], ["d"]]


def test_by_channel_subscribers_of_one_channel_share_one(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: channel", ("a", "b"))
    content_of_b = world.on_main("b/saas.yml").replace(str(world.folders.service("b")), str(world.folders.service("a")))
    second = content_of_b.replace(world.ref("b"), world.ref("a")).replace("subscribe: [b-ok]", "subscribe: [a-ok]")
    world.push({"b/saas.yml": second})
    world.reconcile()
    due(world, "a")
    assert list(contents(world).values()) == [["a", "b"]]


def test_all_is_cut_at_max_batch_files_and_parts_keep_their_files(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: all, maxBatch: 2")
    due(world, "a", "b", "d")
    before = contents(world)
    assert sorted(map(len, before.values())) == [1, 2]
    iids = {each.source_branch: each.iid for each in world.merge_requests()}
    due(world, "c")
    after = contents(world)
    assert sorted(map(len, after.values())) == [2, 2]
    assert all(set(files) <= set(after[branch]) for branch, files in before.items())
    assert {each.source_branch: each.iid for each in world.merge_requests()} == iids


def test_a_merged_part_makes_room_for_what_comes_later(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: all, maxBatch: 2")
    due(world)
    world.merge(1)
    report = world.reconcile()
    assert len(reasons(report)) == 2
    assert kinds(world.reconcile()) == []
    due(world, "a")
    assert sorted(map(len, contents(world).values())) == [1, 2]


def test_max_open_holds_the_rest_and_lets_it_follow(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: file, maxOpen: 2")
    due(world)
    assert len(world.merge_requests()) == 2
    assert sum(gate == "budget" for _, gate in held(world.plan())) == 2
    for each in world.merge_requests():
        world.merge(each.iid)
    world.reconcile()
    assert len(world.merge_requests()) == 2
    assert not any(gate == "budget" for _, gate in held(world.plan()))


def test_split_and_group_by_command(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: all")
    due(world)
    first = world.show(1)
    world.comment("alice", "/saasbot split", 1)
    assert sorted(contents(world).values()) == [["a"], ["b"], ["c"], ["d"]]
    assert world.reconcile().plan.actions == ()
    world.comment("alice", "/saasbot group", 1)
    assert contents(world) == {first.source_branch: list(NAMES)}
    assert world.reconcile().plan.actions == ()
    assert world.state().vetoes == (), "what the bot closes itself is no veto"


def test_a_conflict_in_one_file_regenerates_the_whole_batch_in_place(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: all")
    due(world)
    world.edit("b/saas.yml", f"ref: {world.ref('b')}", f"ref: {world.ref('b')} # by hand")
    assert kinds(world.reconcile()) == ["regenerate_merge_request"]
    assert len(world.difference(1)) == 8
    assert world.show(1).state == "opened"


def test_one_already_on_the_base_leaves_the_batch(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: all")
    shas = due(world)
    world.edit("b/saas.yml", f"ref: {world.ref('b')}", f"ref: {shas['b']}")
    world.reconcile()
    assert list(contents(world).values()) == [["a", "c", "d"]]


def test_an_invalid_file_holds_its_batch_but_nobody_elses(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: file", ("a", "b"))
    due(world)
    world.edit("a/saas.yml", "path: /template.yml", "path: /template.yml\n  colour: blue")
    report = world.reconcile()
    assert ("saasbot/a/saas.yml", "invalid") in held(report)
    assert len(world.merge_requests()) == 2
    newer = due(world)
    titles = {each.source_branch: each.title for each in world.merge_requests()}
    assert newer["b"][:7] in titles["saasbot/b/saas.yml"]
    assert newer["a"][:7] not in titles["saasbot/a/saas.yml"]


def judge(world: World, culprits: set[str]) -> None:
    """The CI says no to whatever contains all the culprits' changes, else yes; people merge what is green."""
    for each in world.merge_requests():
        if each.ci != CiStatus.NONE:
            continue
        bad = culprits & set(content(each))
        world.ci("failed" if bad else "success", each.iid)
        if not bad:
            world.merge(each.iid)


@pytest.mark.parametrize("culprits", [{"b"}, {"a", "d"}], ids=["one", "two"])
def test_a_failed_batch_is_bisected_down_to_the_culprits(new_world: NewWorld, culprits: set[str]) -> None:
    world = batch_world(new_world, "batchBy: all, merge: never")
    shas = due(world)
    for _ in range(8):
        judge(world, culprits)
        report = world.later(minutes=1).reconcile()
        assert broken(report) == []
    went = {name for name in NAMES if world.ref(name) == shas[name]}
    assert went == set(NAMES) - culprits
    assert {f"{name}/{name}/prod" for name in culprits} <= {
        subject for subject, gate in held(world.plan()) if gate == "failed"
    }
    assert document(world.reconcile())["actions"] == []
    assert len(world.people.list_all()) <= 6


def test_a_newer_version_of_the_culprit_goes(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: all", ("a", "b"))
    due(world)
    for _ in range(4):
        judge(world, {"b"})
        world.later(minutes=1).reconcile()
    newer = due(world, "b")["b"]
    for _ in range(2):
        judge(world, set())
        world.later(minutes=1).reconcile()
    assert world.ref("b") == newer
    assert world.merge_requests() == []


def test_a_batch_that_was_vetoed_lets_newer_versions_of_its_parts_go(new_world: NewWorld) -> None:
    world = batch_world(new_world, "batchBy: all", ("a", "b"))
    due(world)
    world.close(1)
    world.reconcile()
    assert {subject for subject, gate in held(world.plan()) if gate == "vetoed"} == {"a/a/prod", "b/b/prod"}
    due(world, "b")
    assert list(contents(world).values()) == [["b"]]
