"""A real smart-HTTP git server on 127.0.0.1: `git http-backend` behind the standard library's server.

    with GitServer(folder) as server:          # serves the bare repositories below `folder`
        server.url("code.git")                 # http://127.0.0.1:PORT/code.git
        server.requests                        # what came in, in order
        server.answers.append(Canned(503))     # the next request gets this instead

Clone, fetch and push work, with protocol v0 to v2, gzip and chunked bodies, and Basic authorization on demand.
"""

from __future__ import annotations

import base64
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """A request as it came in; `command` is git's service, such as `git-upload-pack`, and empty for all else."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def command(self) -> str:
        """The service that is spoken to."""
        name = self.path.partition("?")[0].rsplit("/", 1)[-1]
        return name if name.startswith("git-") else ""


@dataclass(frozen=True)
class Canned:
    """An answer that is not git's. `delay` in seconds comes first; `cut` closes the connection without any answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False


class GitServer:
    """Serves every repository below a folder; anybody may read and push unless `users` names who may."""

    def __init__(
        self, root: Path, *, users: Mapping[str, str] | None = None, newest_protocol: int = 2, filters: bool = True
    ) -> None:
        self.root = root
        self.users = dict(users or {})
        self.newest_protocol = newest_protocol
        self.filters = filters
        self.requests: list[Request] = []
        self.answers: deque[Canned] = deque()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.git = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str, *, login: str = "") -> str:
        """Where a repository is reached, with `user:password` in the address if wanted."""
        address = self.address.replace("://", f"://{login}@") if login else self.address
        return f"{address}/{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    git: GitServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _handle(self) -> None:
        git = self.server.git
        body = read_body(self.headers, self.rfile)
        git.requests.append(Request(self.command, self.path, dict(self.headers), body))
        if git.answers:
            self._canned(git.answers.popleft())
        elif git.users and not self._allowed():
            self._canned(Canned(401, b"who are you?\n", {"WWW-Authenticate": 'Basic realm="git"'}))
        else:
            self._backend(body)

    def _allowed(self) -> bool:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return False
        user, _, password = base64.b64decode(token).decode().partition(":")
        return self.server.git.users.get(user) == password

    def _canned(self, answer: Canned) -> None:
        time.sleep(answer.delay)
        self.close_connection = True
        if not answer.cut:
            self._send(answer.status, answer.headers, answer.body)

    def _backend(self, body: bytes) -> None:
        git = self.server.git
        answer = backend(
            git.root,
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            body,
            newest_protocol=git.newest_protocol,
            filters=git.filters,
        )
        self._send(*answer)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def read_body(headers: Message, stream: BufferedIOBase) -> bytes:
    """The body of a request, chunked or not."""
    if headers.get("Transfer-Encoding", "").lower() != "chunked":
        return stream.read(int(headers.get("Content-Length", 0)))
    parts = []
    while size := int(stream.readline().strip(), 16):
        parts.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(parts)


def backend(
    root: Path,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    newest_protocol: int = 2,
    filters: bool = True,
    more: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """What `git http-backend` answers for a path below `root`: status, headers, body.

    `headers` are the request's by lower-case name, `more` is added to the environment that hooks see.
    """
    parts = urlsplit(path)
    env = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", "") if newest_protocol else "",
        "REMOTE_USER": "world",
        "REMOTE_ADDR": "127.0.0.1",
    }
    env |= _configuration(filters=filters) | dict(more or {})
    done = subprocess.run(("git", "http-backend"), input=body, capture_output=True, env=env, check=False)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    answered = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
    return int(answered.pop("Status", "200").split(" ")[0]), answered, content


def _configuration(*, filters: bool) -> dict[str, str]:
    """The server's own git configuration, whatever the machine's says."""
    settings = {"http.receivepack": "true", "uploadpack.allowFilter": str(filters).lower(), "safe.directory": "*"}
    pairs = {f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)}
    pairs |= {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())}
    return pairs | {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_CONFIG_GLOBAL": os.devnull}
