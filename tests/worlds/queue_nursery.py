"""A Redis and the processes around one queue on it: `worlds.queue_crew` as a test or a measurement gives it orders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worlds import queue_crew
from worlds.redis_server import RedisServer, redis_server

NAME = "crowd"
"""The queue's."""


@dataclass
class Crew:
    """The processes around one queue, begun by one that has imported everything."""

    server: RedisServer
    folder: Path
    nursery: subprocess.Popen[str]

    def order(self, text: str) -> int:
        """Give an order to the nursery; its answer."""
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(f"{text}\n")
        self.nursery.stdin.flush()
        return int(self.nursery.stdout.readline())

    def end(self, hand: int, number: signal.Signals) -> int:
        """Send a signal to a process, and wait for its end; its exit code."""
        os.kill(hand, number)
        return self.order(f"wait {hand}")

    def told(self) -> str:
        """What they have said to people."""
        return (self.folder / "told").read_text()

    def lines(self, name: str) -> list[str]:
        """The lines of a file that they write, which need not be there yet."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@contextmanager
def crew(tmp_path: Path, lease: float = 60.0) -> Iterator[Crew]:
    """A crew on a Redis that keeps its data; all of it ends with the block."""
    folder = tmp_path / "crew"
    for name in ("effects", "locks", "overlaps"):
        (folder / name).mkdir(parents=True)
    with redis_server(tmp_path / "redis", kept=True) as server, (folder / "told").open("w") as told:
        command = (sys.executable, queue_crew.__file__, server.url, NAME, str(folder), str(lease))
        nursery = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True, start_new_session=True
        )
        try:
            yield Crew(server, folder, nursery)
        finally:
            os.killpg(nursery.pid, signal.SIGKILL)  # a session of our own making
            nursery.communicate()
