"""A light git server on 127.0.0.1 that answers one question: `ls-refs` of protocol v2, for any repository.

    with LsRefsServer() as server:
        server.url("org/service-0001")        # http://127.0.0.1:PORT/org/service-0001
        server.asked                          # how often each path was asked, by method and path

Every repository has one branch, `main`, whose commit is a function of the path. It takes thousands of connections in a
second without a process for each, which `worlds.git_http` (a real git behind it) cannot. Whatever is no such question
is counted, too, and answered with 404.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections import Counter
from types import TracebackType
from typing import Self

_HEAD = re.compile(rb"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SERVICE = "/git-upload-pack"


def main_of(path: str) -> str:
    """The commit of `main` in the repository at this path (with its leading slash)."""
    return hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()


class LsRefsServer:
    """Runs in a thread of its own while it is entered."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def url(self, path: str = "") -> str:
        """Where a repository is reached."""
        return f"http://127.0.0.1:{self._port}/{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        starting = self._loop.create_server(lambda: _Connection(self.asked), "127.0.0.1", 0, backlog=1024)
        server = self._loop.run_until_complete(starting)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()


class _Connection(asyncio.Protocol):
    """One request, one answer, then the connection is closed."""

    def __init__(self, asked: Counter[tuple[str, str]]) -> None:
        self._asked = asked
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer as soon as head and body are here."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < int(length[1] if length else 0) or self._transport is None:
            return
        self._transport.write(self._answer(self._data, body))
        self._transport.close()

    def _answer(self, request: bytes, body: bytes) -> bytes:
        found = _HEAD.match(request)
        method, path = (found["method"].decode(), found["path"].decode("latin-1")) if found else ("", "")
        self._asked[method, path] += 1
        if method != "POST" or not path.endswith(SERVICE) or b"command=ls-refs" not in body:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        line = f"{main_of(path.removesuffix(SERVICE))} refs/heads/main\n".encode()
        content = b"%04x%s0000" % (len(line) + 4, line)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\nConnection: close\r\n"
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
