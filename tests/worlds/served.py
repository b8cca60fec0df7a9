"""`saasbot serve` over a world: a real uvicorn at a free port of this machine, in a thread of this process.

with serving(world) as served: served.post("/hooks/gitlab", json={...}, headers=served.gitlab())
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests
from worlds import planted
from worlds.world import World

from bot.cli.session import Session
from bot.providers.queue.memory import MemoryQueue
from bot.serve import looks
from bot.serve.access import Log
from bot.serve.command import listening
from bot.serve.desk import Desk
from bot.serve.server import laid_out, serve

SECRET = planted.token("hook")
TOKEN = planted.token("serve")
SETTINGS = "serve: {webhookSecret: {env: SERVE_HOOK}, token: {env: SERVE_TOKEN}}\n"

STARTED = 20.0
"""Seconds that a server may take to answer, on a machine with other work to do."""


@dataclass(frozen=True, slots=True)
class Lines(Log):
    """The log of a server, kept instead of written."""

    kept: list[dict[str, object]] = field(default_factory=list)

    def __call__(self, level: str, message: str, **fields: object) -> None:
        """Keep one line."""
        planted.printed("the log", json.dumps([message, fields], default=str))
        self.kept.append({"level": level, "message": message, **fields})


@dataclass(frozen=True)
class Served:
    """A server that runs: where it is, what its routes work with, and what it said."""

    url: str
    desk: Desk
    log: Lines

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """A request; whatever it brings is answered."""
        return requests.request(method, self.url + path, timeout=60, allow_redirects=False, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        """A request that reads."""
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> requests.Response:
        """A request that starts something."""
        return self.ask("POST", path, **more)

    def gitlab(self, payload: Any, key: str = "", **headers: str) -> requests.Response:
        """An event as GitLab sends it."""
        given = {"X-Gitlab-Token": SECRET, **({"Idempotency-Key": key} if key else {}), **headers}
        return self.post("/hooks/gitlab", data=_bytes(payload), headers={"Content-Type": "application/json", **given})

    def github(self, kind: str, payload: Any, key: str = "", **headers: str) -> requests.Response:
        """An event as GitHub sends it."""
        body = _bytes(payload)
        given = {"X-GitHub-Event": kind, "X-Hub-Signature-256": signed(body), "X-GitHub-Delivery": key, **headers}
        return self.post("/hooks/github", data=body, headers={"Content-Type": "application/json", **given})

    def queued(self) -> list[str]:
        """The subjects in the queue."""
        assert self.desk.queue is not None
        return [item.subject for item in self.desk.queue.items()]

    def emptied(self) -> None:
        """Take everything out of the queue."""
        assert self.desk.queue is not None
        self.desk.queue.clear()


def signed(body: bytes, secret: str = SECRET) -> str:
    """A body's signature, as GitHub makes it."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def bearer(token: str = TOKEN) -> dict[str, str]:
    """The header that opens the background jobs' routes."""
    return {"Authorization": f"Bearer {token}"}


def _bytes(payload: Any) -> bytes:
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()


@contextmanager
def secrets(**more: str) -> Iterator[None]:
    """The environment in which the server reads its secrets."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SERVE_HOOK": SECRET, "SERVE_TOKEN": TOKEN, **more}.items():
            patch.setenv(name, value)
        yield


@contextmanager
def serving(world: World, *, process: bool = False, verbose: bool = False, **changes: Any) -> Iterator[Served]:
    """Serve a world. Without `process` and Redis its queue is in memory, and nobody works it.

    `changes` are of the desk.
    """
    session = Session(world.config)
    log = Lines(verbose=verbose)
    with secrets():
        desk, processor = laid_out(session, session.settings(), os.environ, log, process=process)
        if not process and not desk.job.settings.queue.url:
            queue = MemoryQueue(desk.job.ports.clock)
            desk = replace(desk, queue=queue, parts=looks.parts(session.ports(desk.job.settings), queue, log))
        desk = replace(desk, **changes)
        listener = listening("127.0.0.1", 0)
        thread = threading.Thread(target=serve, args=(session, desk, listener, log), daemon=True)
        thread.start()
        if processor is not None:
            processor.start()
        try:
            yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", desk, log)
        finally:
            session.stopping = True
            thread.join(STARTED)
            if processor is not None:
                processor.join()
        assert not thread.is_alive()


def soon(ask: Callable[[], object], seconds: float = STARTED) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.05)
