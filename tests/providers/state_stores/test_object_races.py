"""Several writers of one statefile: no increment is lost, and of those who create it one wins."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from worlds.object_stores import Store

PROCESSES, INCREMENTS = 5, 40
RACER = Path(__file__).with_name("racing_increments.py")


@pytest.mark.parametrize("name", ["moto", "ministack"])
def test_no_increment_of_five_processes_is_lost(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    store: Store = request.getfixturevalue(name)
    state = store.state(key := f"{tmp_path.name}/counter")
    assert isinstance(state.write(b'{"number": 0}', ""), str)
    racers = [
        subprocess.Popen(
            (sys.executable, RACER, store.url, store.settings(key).url, str(INCREMENTS)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    told = [racer.communicate() for racer in racers]
    assert [err.decode() for _, err in told] == [""] * PROCESSES
    found = state.read()
    assert found is not None
    assert json.loads(found[0]) == {"number": PROCESSES * INCREMENTS}
    assert sum(int(out) for out, _ in told) > 0, "they did race"


@pytest.mark.parametrize("name", ["moto", "ministack", "azurite", "google"])
def test_one_of_twelve_creates_it(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    store: Store = request.getfixturevalue(name)
    states = [store.state(f"{tmp_path.name}/first") for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        told = [*pool.map(lambda number: states[number].write(b'{"by": %d}' % number, ""), range(12))]
    (winner,) = (number for number, each in enumerate(told) if isinstance(each, str))
    assert states[0].read() == (b'{"by": %d}' % winner, told[winner])
