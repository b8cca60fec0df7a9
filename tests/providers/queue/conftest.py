"""One Redis for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from worlds.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of this module."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server
