"""A statefile that is older than it was, or another one, is refused: by this process, this machine, and the reports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from worlds.world import NewWorld, World

from bot.core.statefile import decode, encode
from bot.errors import LostState, StateRace
from bot.model.state import State
from bot.ports import Refused, StateStore
from bot.providers.state_place import state_place
from bot.reconcile import Job, reconcile
from bot.settings import StateSettings


@pytest.fixture
def due(plain: World) -> World:
    """An open promotion; `old.json` is a copy of the statefile from before it."""
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    shutil.copy(statefile(plain), plain.root / "old.json")
    plain.later(hours=25).reconcile()
    return plain


def statefile(world: World) -> Path:
    return world.root / "state.json"


def git(*args: str) -> None:
    subprocess.run(["git", *args], check=True, capture_output=True)


def read(path: Path) -> State:
    return decode(path.read_bytes(), path.name)


def put_back(world: World) -> tuple[int, int]:
    """An older copy takes the statefile's place; returns its serial and the one it had."""
    serials = read(world.root / "old.json").serial, read(statefile(world)).serial
    shutil.copy(world.root / "old.json", statefile(world))
    return serials


def elsewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine: nothing is remembered there."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(world.root / "another-cache"))


@pytest.mark.parametrize("command", ["reconcile", "plan"])
def test_an_older_copy_is_refused_by_the_machine_that_saw_a_newer_one(due: World, command: str) -> None:
    old, new = put_back(due)
    ended = due.saasbot(command)
    assert (ended.code, ended.out) == (2, "")
    assert f"an older copy: its serial is {old}, and {new} was seen by this machine" in ended.err
    assert "saasbot state repair --accept" in ended.err
    assert read(statefile(due)).serial == old, "nothing was written"


def test_an_older_copy_is_refused_by_another_machine_as_the_reports_tell(
    due: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = put_back(due)
    elsewhere(due, monkeypatch)
    ended = due.saasbot("reconcile")
    assert ended.code == 2
    assert f"its serial is {old}, and " in ended.err
    assert "was seen on !1" in ended.err
    assert read(statefile(due)).serial == old


def test_an_older_copy_that_is_meant_is_accepted(due: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, new = put_back(due)
    accepted = due.saasbot("state", "repair", "--accept", "--yes")
    assert accepted.code == 0, accepted.err
    assert read(statefile(due)).serial == new + 1
    assert due.saasbot("reconcile").code == 0
    elsewhere(due, monkeypatch)
    assert due.saasbot("reconcile").code == 0
    due.later(minutes=1).reconcile()
    assert due.later(minutes=1).reconcile().plan.actions == ()


@pytest.mark.parametrize("machine", ["the same", "another"])
def test_the_statefile_of_something_else_is_refused_until_it_is_accepted(
    due: World, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = read(statefile(due))
    foreign = replace(own, lineage="f0e1d2", serial=900)
    statefile(due).write_bytes(encode(foreign))
    if machine == "another":
        elsewhere(due, monkeypatch)
    ended = due.saasbot("reconcile")
    assert ended.code == 2
    assert f"another statefile: its lineage is f0e1d2, and {own.lineage} was seen" in ended.err
    assert due.saasbot("state", "repair", "--accept", "--yes").code == 0
    assert read(statefile(due)).replaced == (own.lineage,)
    due.later(minutes=1).reconcile()
    assert due.later(minutes=1).reconcile().plan.actions == ()
    statefile(due).write_bytes(encode(own))
    assert due.saasbot("reconcile").code == 2, "what was replaced does not come back unnoticed"


def test_nothing_is_wrong_with_a_statefile_that_goes_on(due: World, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(due, monkeypatch)
    assert due.saasbot("reconcile").code == 0
    assert "sound" in due.saasbot("state", "repair").out


@dataclass
class Store:
    """A store in which something happens before the n-th write or after the first read."""

    inner: StateStore
    before: dict[int, bytes | None]
    path: Path
    first: tuple[bytes, str] | None = None
    writes: int = 0

    def read(self) -> tuple[bytes, str] | None:
        found, self.first = self.first or self.inner.read(), None
        return found

    def write(self, data: bytes, etag: str) -> str | Refused:
        self.writes += 1
        content = self.before.get(self.writes, b"")
        if content is None:
            self.path.unlink()
        elif content:
            self.path.write_bytes(content)
        return self.inner.write(data, etag)


def with_store(world: World, **given: Any) -> Job:
    job = world.job()
    store = Store(job.ports.state, path=statefile(world), **{"before": {}, **given})
    return replace(job, ports=replace(job.ports, state=store))


@pytest.mark.parametrize(
    ("other", "says"),
    [({"lineage": "f0e1d2"}, "another statefile"), ({"serial": 1}, "an older copy"), (None, "removed")],
)
def test_outcomes_are_not_folded_into_another_statefile(due: World, other: dict[str, Any] | None, says: str) -> None:
    """The second write, of what came of it, meets a statefile that is not what the first one left."""
    due.commit()
    content = encode(replace(read(statefile(due)), **other)) if other is not None else None
    with pytest.raises(LostState, match=says):
        reconcile(with_store(due, before={2: content}))
    assert (statefile(due).read_bytes() if content else None) == content


def test_a_pass_that_was_overtaken_lost_a_race_and_not_the_statefile(due: World) -> None:
    """Another pass wrote, and reported, after this one had read."""
    old = (due.root / "old.json").read_bytes()
    job = replace(with_store(due, first=(old, "etag")), place="")
    with pytest.raises(StateRace):
        reconcile(job)


def test_a_statefile_of_the_last_release_is_read_and_not_written_for_that(new_world: NewWorld) -> None:
    world = new_world()
    world.reconcile()
    document = json.loads(statefile(world).read_bytes())
    document["version"] = 1
    del document["replaced"]
    for target in document["targets"].values():
        del target["sources"], target["previous"]
    before = json.dumps(document).encode()
    statefile(world).write_bytes(before)
    assert world.later(minutes=1).one_pass().plan.actions == ()
    assert statefile(world).read_bytes() == before
    world.commit()
    world.reconcile()
    assert json.loads(statefile(world).read_bytes())["version"] == 2


def test_a_statefile_that_is_gone_is_missed_by_the_process_that_saw_it(plain: World) -> None:
    job = plain.job()
    plain.one_pass(job)
    kept = statefile(plain).read_bytes()
    statefile(plain).unlink()
    with pytest.raises(LostState, match="this process has seen one of lineage"):
        plain.one_pass(job)
    statefile(plain).write_bytes(kept)
    plain.one_pass(job)


def test_a_world_that_is_made_anew_at_the_same_place_begins_with_a_first_pass(plain: World) -> None:
    """What this machine remembers of the place says nothing where the forge shows nothing of the bot."""
    plain.reconcile()
    before = read(statefile(plain)).lineage
    statefile(plain).unlink()
    ended = plain.saasbot("reconcile", "--format", "json")
    assert {each["kind"] for each in ended.document["actions"]} == {"record_state"}
    assert read(statefile(plain)).replaced == (before,)
    assert (ended.code, plain.saasbot("reconcile").code) == (0, 0)


def test_a_fresh_start_is_known_to_the_other_machines_that_saw_the_lost_one(
    plain: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.reconcile()
    lost = read(statefile(plain)).lineage
    shutil.copytree(os.environ["SAASBOT_CACHE_DIR"], plain.root / "another-cache")
    statefile(plain).unlink()
    assert plain.saasbot("reconcile", "--bootstrap", "adopt").code == 0
    assert plain.saasbot("reconcile").code == 0, "this machine remembers the new one"
    assert read(statefile(plain)).replaced == (lost,)
    elsewhere(plain, monkeypatch)
    assert plain.saasbot("reconcile").code == 0


def test_two_bots_whose_checkouts_take_turns_at_a_path_are_two(tmp_path: Path) -> None:
    """As in containers that share a cache: what is remembered is remembered of a statefile, not of a folder."""
    checkout = tmp_path / "workspace"
    settings = StateSettings(url="git:refs/saasbot/state")
    git("init", "-q", str(checkout))
    names = set()
    for origin in ("https://git.example.com/a.git", "https://git.example.com/b.git", "../a", "git@example.com:a"):
        git("-C", str(checkout), "config", "remote.origin.url", origin)
        names |= {state_place(settings, checkout, {}), state_place(settings, checkout, {})}
    assert len(names) == 4
    elsewhere = tmp_path / "other" / "workspace"
    git("clone", "-q", "--no-local", str(checkout), str(elsewhere))
    for folder in (checkout, elsewhere):
        git("-C", str(folder), "config", "remote.origin.url", "https://me:word@git.example.com/a.git")
    assert state_place(settings, checkout, {}) == state_place(settings, elsewhere, {})
    assert "word" not in state_place(settings, checkout, {})


def test_a_file_and_an_object_are_named_by_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "config")
    here = StateSettings(url="file:../state.json")
    assert state_place(here, tmp_path / "config", {}) == f"file {tmp_path / 'state.json'}"
    assert state_place(StateSettings(url="file:state.json"), tmp_path / "link", {}) == (
        f"file {tmp_path / 'config' / 'state.json'}"
    )
    there = StateSettings(url="s3://bucket/state.json.zst")
    servers: tuple[dict[str, str], ...] = (
        {},
        {"AWS_ENDPOINT_URL": "https://staging.example"},
        {"AWS_ENDPOINT_URL": "https://live.example"},
    )
    assert len({state_place(there, tmp_path, each) for each in servers}) == 3
    named = StateSettings(url="s3://bucket/state.json.zst", endpoint="https://live.example")
    assert state_place(named, tmp_path, servers[1]) == state_place(there, tmp_path, servers[2])
    azure = StateSettings(url="az://box/state.json.zst")
    accounts = ({"AZURE_STORAGE_ACCOUNT_NAME": name, "AZURE_STORAGE_ACCOUNT_KEY": "eA=="} for name in ("one", "two"))
    assert len({state_place(azure, tmp_path, each) for each in accounts}) == 2
