"""Worlds of a test, each with a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.world import NewWorld, World


@pytest.fixture
def new_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewWorld:
    """Lay out a world; the arguments are those of `World`."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    return lambda **wishes: World(tmp_path / "world", **wishes)
