"""Worlds of a test, each with a cache of its own; some of them beside a real triple store."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.producer_world import Producer
from worlds.triple_stores import Store
from worlds.world import NewWorld, World


@pytest.fixture
def new_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewWorld:
    """Lay out a world; the arguments are those of `World`."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    return lambda **wishes: World(tmp_path / "world", **wishes)


@pytest.fixture
def plain(new_world: NewWorld) -> World:
    """One service with stage and production, a day of soak, one file a merge request."""
    return new_world()


@pytest.fixture(params=["oxigraph", "virtuoso"])
def store(request: pytest.FixtureRequest) -> Store:
    """Either triple store, with a graph and operations of the test's own."""
    found: Store = request.getfixturevalue(request.param)
    return found.fresh()


@pytest.fixture
def producer(new_world: NewWorld, store: Store) -> Producer:
    """A world without services for either store."""
    return Producer(new_world(services=()), store)


@pytest.fixture
def quick(new_world: NewWorld, oxigraph: Store) -> Producer:
    """The same at the quicker of the stores, for what the bot does by itself."""
    return Producer(new_world(services=()), oxigraph.fresh())
