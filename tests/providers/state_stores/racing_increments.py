"""One racer: adds one to a statefile so many times, and prints how often another writer was faster.

Run as `racing_increments.py ENDPOINT URL TIMES`, in a process of its own.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from bot.ports import Refused, StateStore
from bot.providers.state.objects import object_state
from bot.settings import StateSettings


def increment(state: StateStore) -> int:
    """Add one, however often it takes; returns how often another writer was faster."""
    lost = 0
    while True:
        found = state.read()
        if found is None:
            raise SystemExit("it is gone")
        number = json.loads(found[0])["number"]
        if not isinstance(state.write(json.dumps({"number": number + 1}).encode(), found[1]), Refused):
            return lost
        lost += 1
        time.sleep(random.uniform(0, 0.1))  # noqa: S311 - so that racers do not walk in step


if __name__ == "__main__":
    endpoint, url, times = sys.argv[1:]
    environ = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    racing = object_state(StateSettings(url, endpoint=endpoint), Path(), environ)
    print(sum(increment(racing) for _ in range(int(times))))  # noqa: T201 - read by the test
