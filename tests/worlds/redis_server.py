"""A real Redis on this machine, from Debian's `redis-server`, on loopback.

    with redis_server(folder) as server: queue = server.queue("some-name")

Without the program the test is skipped. Every test has a queue of its own by its name; RQ's workers are everybody's.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis, RedisError

from bot.model.servers import SecretRef
from bot.providers.clock import SystemClock
from bot.providers.queue.redis import RedisQueue, redis_queue
from bot.settings import QueueSettings

STARTED = 30.0
"""Seconds that a server may take to answer."""

LEASE = timedelta(seconds=60)


@dataclass
class RedisServer:
    """A server that may be stopped and started again at the same port; `kept` says that its data outlive that."""

    folder: Path
    kept: bool = False
    more: Sequence[str] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    told: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Redis:
        """A client for looking at it and for playing somebody else."""
        return Redis(host="127.0.0.1", port=self.port)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = self.port or _free()
        kept = ("--appendonly", "yes" if self.kept else "no", "--save", "")
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        with (self.folder / "redis.log").open("ab") as log:
            command = ("redis-server", *place, *kept, *self.more)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + STARTED
        while self.process.poll() is None and time.monotonic() < end:
            with suppress(RedisError), self.client as client:
                client.ping()
                return
            time.sleep(0.02)
        raise RuntimeError(f"redis-server does not answer:\n{(self.folder / 'redis.log').read_text()}")

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        if self.process is not None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()
            self.process = None

    def queue(
        self,
        name: str = "",
        *,
        url: str = "",
        password: str = "",
        ca: str = "",
        lease: timedelta = LEASE,
        tell: Callable[[str], None] | None = None,
        clock: SystemClock | None = None,
    ) -> RedisQueue:
        """A queue on it, as a new process has it; without a name, one that nobody else has."""
        ref = SecretRef(env="REDIS_PASSWORD") if password else None
        settings = QueueSettings(url or self.url, name or f"t{uuid.uuid4().hex[:12]}", ref, ca)
        environ = {"REDIS_PASSWORD": password}
        return redis_queue(settings, environ, self.folder, clock or SystemClock(), tell or self.told.append, lease)


@contextmanager
def redis_server(folder: Path, *, kept: bool = False, more: Sequence[str] = ()) -> Iterator[RedisServer]:
    """A server for the block."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server; `make services` installs it where that may be done")
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, kept, more)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
