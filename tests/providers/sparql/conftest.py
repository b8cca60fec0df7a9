"""Both stores, each started once where a test asks for it; every test has a graph and operations of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from worlds import triple_stores
from worlds.triple_stores import Store


@pytest.fixture(scope="session")
def oxigraph() -> Iterator[Store]:
    with triple_stores.oxigraph() as store:
        yield store


@pytest.fixture(scope="session")
def virtuoso() -> Iterator[Store]:
    with triple_stores.virtuoso() as store:
        yield store


@pytest.fixture(params=["oxigraph", "virtuoso"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found.fresh()
