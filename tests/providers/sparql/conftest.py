"""Either store in turns; every test has a graph and operations of its own."""

from __future__ import annotations

import pytest
from worlds.triple_stores import Store


@pytest.fixture(params=["oxigraph", "virtuoso"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found.fresh()
