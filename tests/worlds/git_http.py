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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
        body = self._body()
        git.requests.append(Request(self.command, self.path, dict(self.headers), body))
        if git.answers:
            self._canned(git.answers.popleft())
        elif git.users and not self._allowed():
            self._canned(Canned(401, b"who are you?\n", {"WWW-Authenticate": 'Basic realm="git"'}))
        else:
            self._backend(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

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
        git, parts = self.server.git, urlsplit(self.path)
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") if git.newest_protocol else "",
            "REMOTE_USER": "world",
            "REMOTE_ADDR": "127.0.0.1",
        } | _configuration(git)
        done = subprocess.run(("git", "http-backend"), input=body, capture_output=True, env=env, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split(" ")[0])
        self._send(status, headers, content)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _configuration(git: GitServer) -> dict[str, str]:
    """The server's own git configuration, whatever the machine's says."""
    settings = {"http.receivepack": "true", "uploadpack.allowFilter": str(git.filters).lower(), "safe.directory": "*"}
    pairs = {f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)}
    pairs |= {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())}
    return pairs | {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_CONFIG_GLOBAL": os.devnull}
