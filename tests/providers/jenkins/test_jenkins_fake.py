"""The fake Jenkins answers as Jenkins does where the bot relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from worlds.fake_jenkins import API_TOKEN, USER
from worlds.fake_jenkins_model import git
from worlds.fake_jenkins_tree import Map, parse, pruned
from worlds.fake_jenkins_world import World, serving

AUTH = (USER, API_TOKEN)
JOB = "/job/team/job/deploy%20prod"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("tree", "left"),
    [
        ("a", {"_class": "k", "a": 1}),
        ("b", {"_class": "k", "b": [{}, {}, {}]}),
        ("b[c]{1,3}", {"_class": "k", "b": [{"c": 2}, {"c": 3}]}),
        ("b[*]{0,1}", {"_class": "k", "b": [{"c": 1, "d": 1}]}),
        ("m[x]", {"_class": "k", "m": {"any/name": {"x": 1}}}),
        ("nothing", {"_class": "k"}),
    ],
)
def test_only_what_was_asked_for_is_there(tree: str, left: Any) -> None:
    rows = [{"c": number, "d": 1} for number in (1, 2, 3)]
    value = {"_class": "k", "a": 1, "b": rows, "m": Map({"any/name": {"x": 1, "y": 2}})}
    assert pruned(value, parse(tree)) == left


@pytest.mark.parametrize("tree", ["", "a[b", "a,,b", "a{1}", "a]", "[a]"])
def test_a_tree_that_is_none_is_refused(tree: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse(tree)


def test_equal_orders_are_one_item_and_others_are_not(world: World) -> None:
    """What is not defined is dropped, so orders that differ in nothing else are the same."""
    items = set()
    for form in ({"VERSION": "1", "UNDEFINED": "a"}, {"VERSION": "1", "UNDEFINED": "b"}, {"VERSION": "2"}):
        answer = requests.post(f"{world.server.url}{JOB}/buildWithParameters", form, auth=AUTH, timeout=5)
        items.add(answer.headers["Location"])
    assert len(items) == 2
    assert all("UNDEFINED" not in item.parameters for item in world.server.queue.values())


def test_unstable_is_successful_to_jenkins_and_not_stable(world: World) -> None:
    for result in ("SUCCESS", "UNSTABLE"):
        world.deploy.build(world.now, scm=[git("a" * 40)]).end(world.now, result)
    tree = "lastSuccessfulBuild[number],lastStableBuild[number]"
    answer = requests.get(f"{world.server.url}{JOB}/api/json", {"tree": tree}, auth=AUTH, timeout=5).json()
    assert (answer["lastSuccessfulBuild"]["number"], answer["lastStableBuild"]["number"]) == (2, 1)


def test_a_request_without_tree_counts_as_broken(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="without tree="), serving(tmp_path) as world:
        requests.get(f"{world.server.url}{JOB}/api/json", auth=AUTH, timeout=5)
