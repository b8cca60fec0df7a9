"""Whole passes through the command line with the statefile in S3: how often the store is asked, and what is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.fake_http import Fault, Request
from worlds.object_stores import AWS, Between, Store
from worlds.world import World

READ = "GET 200"
WRITE = "PUT 200"


@pytest.fixture
def proxy(moto: Store) -> Iterator[Between]:
    with Between(moto.url) as between:
        yield between


@pytest.fixture
def world(proxy: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose statefile is in S3 and was written by the first pass; the proxy has seen nothing yet."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    laid = World(tmp_path / "world")
    state = f'state: {{url: "s3://states/{tmp_path.name}/state.json.zst", endpoint: "{proxy.url}"}}'
    settings = (laid.config / "saasbot.yml").read_text()
    laid.push({"saasbot.yml": settings.replace('state: {url: "file:../state.json"}', state)})
    first = laid.saasbot("reconcile")
    assert (first.code, first.err) == (0, "")
    assert proxy.asked[0] == "GET 404"
    assert proxy.asked[-1] == WRITE
    proxy.requests.clear()
    return laid


def test_a_pass_with_nothing_to_do_asks_once(world: World, proxy: Between) -> None:
    done = world.saasbot("reconcile", "--format", "json")
    assert (done.code, done.document["actions"]) == (0, [])
    assert proxy.asked == [READ]


def test_a_changed_target_is_written_twice_intent_and_result(world: World, proxy: Between) -> None:
    world.commit()
    done = world.saasbot("reconcile", "--format", "json")
    assert done.code == 0
    assert [action["kind"] for action in done.document["actions"]] == ["start_run"]
    assert proxy.asked == [READ, WRITE, WRITE]


def test_commands_that_only_look_ask_once(world: World, proxy: Between) -> None:
    for command in (("plan",), ("state", "show"), ("state", "list"), ("status",)):
        proxy.requests.clear()
        done = world.saasbot(*command, now=False)
        assert done.code == 0, done.err
        assert proxy.asked == [READ], command
    assert json.loads(world.saasbot("state", "show", now=False).out)["serial"] == 1


def test_a_race_lost_before_the_first_effect_starts_nothing(
    world: World, proxy: Between, moto: Store, tmp_path: Path
) -> None:
    world.commit()
    other = moto.state(f"{tmp_path.name}/state.json.zst")
    found = other.read()
    assert found is not None

    def faster(request: Request) -> Request:
        """Another process writes just before this one's intent arrives."""
        if request.method == "PUT":
            other.write(*found)
        return request

    proxy.edit = faster
    done = world.saasbot("reconcile")
    assert done.code == 3
    assert "another writer changed the statefile meanwhile; nothing was done" in done.err
    assert world.runs() == []
    proxy.edit = lambda request: request
    assert world.saasbot("reconcile", "--until-idle").code == 0
    assert len(world.runs()) == 1


def test_answers_that_are_lost_at_every_write_change_nothing(world: World, proxy: Between) -> None:
    world.commit()
    carried_out: set[bytes] = set()

    def new(request: Request) -> bool:
        """Whether this content is sent for the first time."""
        seen = request.method != "PUT" or request.body in carried_out
        carried_out.add(request.body)
        return not seen

    proxy.faults.append(Fault(new, "drop after", times=99))
    done = world.saasbot("reconcile", "--until-idle", "--format", "json")
    assert done.code == 0, done.err
    assert len(world.runs()) == 1
    assert proxy.asked.count("PUT lost") >= 2
    assert world.state().targets["svc/svc/stage"].sha == world.runs()[0][1]


def test_a_store_that_cannot_be_reached_is_exit_code_4(world: World, proxy: Between) -> None:
    proxy.faults.append(Fault(("*", r".*"), "drop before", times=99))
    done = world.saasbot("reconcile")
    assert done.code == 4
    assert done.err.splitlines()[0].endswith("cannot read the state: the connection broke off")
    assert len(done.err.splitlines()) == 2


def test_an_address_that_names_no_object_is_exit_code_2(world: World) -> None:
    settings = world.config / "saasbot.yml"
    settings.write_text(settings.read_text().replace("s3://states/", "s3:states/"))
    done = world.saasbot("plan")
    assert done.code == 2
    assert "lacks the two slashes after s3:" in done.err
