"""Object stores, each started once where a test asks for it; every test has keys of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from worlds import object_stores
from worlds.object_stores import FakeGoogle, Store


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine says about clouds is not for tests: obstore looks there by itself."""
    for name in [*os.environ]:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def moto() -> Iterator[Store]:
    with object_stores.moto() as store:
        yield store


@pytest.fixture(scope="session")
def ministack() -> Iterator[Store]:
    with object_stores.ministack() as store:
        yield store


@pytest.fixture(scope="session")
def s3rver() -> Iterator[Store]:
    with object_stores.s3rver() as store:
        yield store


@pytest.fixture(scope="session")
def azurite() -> Iterator[Store]:
    with object_stores.azurite() as store:
        yield store


@pytest.fixture
def google() -> Iterator[Store]:
    with FakeGoogle() as server:
        yield server.store
