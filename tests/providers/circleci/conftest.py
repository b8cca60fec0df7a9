"""A CircleCI for the tests of this folder, and no proxies between it and them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.fake_circleci_world import World, serving


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the proxies of the machine: the servers are on it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as made:
        yield made
