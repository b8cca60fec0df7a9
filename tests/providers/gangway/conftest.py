"""The servers of a Gangway, started once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from worlds.gangway_front import World, front


@pytest.fixture(scope="session")
def gangway_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with front(tmp_path_factory.mktemp("gangway")) as world:
        yield world


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the proxies of the machine: the servers are on it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def gangway(gangway_servers: World) -> World:
    """The servers, with no executions and nothing that goes wrong."""
    gangway_servers.prow.clear()
    return gangway_servers
