"""Object stores on this machine: real servers in processes of their own, a proxy that does harm, Google's in memory.

    with moto() as server: server.state().write(b"{}", "")
    with Between(server.url) as proxy: proxy.faults.append(Fault(("PUT", r".*"), "drop after"))

The programs come from `requirements/dev.txt` and, those of npm, from `.ci/services`; without one the test is skipped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from worlds.contract import Contract
from worlds.fake_http import Answer, FakeServer, Request

from bot.providers.state.objects import ObjectState, object_state
from bot.providers.state.objects_client import Client, connect
from bot.settings import StateSettings

ROOT = Path(__file__).resolve().parents[2]
NPM = ROOT / ".build" / "npm" / "node_modules" / ".bin"
BUCKET = "states"
KEY = "team/state.json.zst"

NOWHERE = {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9", "AZURE_IDENTITY_ENDPOINT": "http://127.0.0.1:9"}
"""Whoever has no credentials asks the cloud's machine for some; in tests there is none to be asked."""

AWS = NOWHERE | {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER", "AWS_REGION": "us-east-1"}
"""What s3rver knows; moto and ministack take anything."""

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account, the same on every machine: it is in Microsoft's documentation and no secret."""


@dataclass(frozen=True)
class Store:
    """A server with an empty bucket: its scheme, where it is, and the environment that may use it."""

    scheme: str
    url: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def settings(self, key: str = KEY, bucket: str = BUCKET) -> StateSettings:
        """`state` in `saasbot.yml`."""
        return StateSettings(f"{self.scheme}://{bucket}/{key}", endpoint=self.url)

    def state(self, key: str = KEY, bucket: str = BUCKET, **environ: str) -> ObjectState:
        """The statefile's store, as a new process has it."""
        return object_state(self.settings(key, bucket), ROOT, {**self.environ, **environ})

    def behind(self, proxy: Between) -> Store:
        """The same by way of a proxy."""
        return Store(self.scheme, proxy.url + urlsplit(self.url).path, self.environ)

    def client(self, bucket: str = BUCKET) -> Client:
        """The bare client, for what people do to a bucket by hand."""
        return connect(self.settings(bucket=bucket), ROOT, self.environ)[1]

    def content(self, key: str) -> bytes:
        """An object as it is stored."""
        return bytes(self.client().get(key).bytes())


MOTO = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""
"""moto with one request at a time: its own threads look at a condition and write with a gap in between."""


@contextmanager
def moto() -> Iterator[Store]:
    """Moto's server: S3 that honours conditions."""
    with _served(lambda port: ((sys.executable, "-c", MOTO, str(port)), {})) as url:
        yield _with_bucket(Store("s3", url, AWS))


@contextmanager
def ministack() -> Iterator[Store]:
    """Ministack: S3 that honours conditions, by other people."""
    program = str(Path(sys.executable).with_name("ministack"))
    with _served(lambda port: ((program,), {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)})) as url:
        yield _with_bucket(Store("s3", url, AWS))


@contextmanager
def s3rver() -> Iterator[Store]:
    """S3rver of npm: S3 that ignores conditions, and checks signatures."""
    program = _of_npm("s3rver")
    with tempfile.TemporaryDirectory() as folder:
        fixed = ("--address", "127.0.0.1", "--directory", folder, "--configure-bucket", BUCKET, "--silent")
        with _served(lambda port: ((program, *fixed, "--port", str(port)), {})) as url:
            yield Store("s3", url, AWS)


@contextmanager
def azurite() -> Iterator[Store]:
    """Azurite of npm: Azure's blobs; obstore may speak a newer version of the protocol, so that is not checked."""
    program = _of_npm("azurite-blob")
    fixed = ("--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry", "--silent")
    with _served(lambda port: ((program, *fixed, "--blobHost", "127.0.0.1", "--blobPort", str(port)), {})) as url:
        _make_container(f"{url}/{AZURE_ACCOUNT}", BUCKET)
        environ = NOWHERE | {"AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY}
        yield Store("az", f"{url}/{AZURE_ACCOUNT}", environ)


def _of_npm(name: str) -> str:
    program = NPM / name
    if not program.exists():
        pytest.skip(f"there is no {name}; `make services` installs it where there is npm")
    return str(program)


@contextmanager
def _served(command: Callable[[int], tuple[tuple[str, ...], dict[str, str]]]) -> Iterator[str]:
    """A program that serves on a free port, from the moment it answers; ended with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv, environ = command(port)
    with tempfile.TemporaryFile() as told, tempfile.TemporaryDirectory() as home:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_"))}
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=told, stderr=told, cwd=home, env=clean | {"HOME": home} | environ
        )
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not serve; it ended with {process.poll()}")


def _with_bucket(store: Store) -> Store:
    _put(f"{store.url}/{BUCKET}", {})
    return store


def _make_container(url: str, name: str) -> None:
    """Sign and send Azure's Create Container: obstore makes none."""
    headers = {"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": "2021-12-02"}
    canonical = "".join(f"{key}:{value}\n" for key, value in headers.items())
    text = "PUT" + "\n" * 12 + canonical + f"/{AZURE_ACCOUNT}{urlsplit(url).path}/{name}\nrestype:container"
    digest = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    _put(f"{url}/{name}?restype=container", headers)


def _put(url: str, headers: dict[str, str]) -> None:
    """An empty PUT that must succeed; a port may be open a moment before the server behind it answers."""
    parts, end = urlsplit(url), time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        try:
            connection.request("PUT", f"{parts.path}?{parts.query}".rstrip("?"), headers=headers)
            answer = connection.getresponse()
            told = answer.read()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            assert answer.status in {200, 201}, told
            return
        finally:
            connection.close()


class _Unjudged(FakeServer):
    """A fake without a contract: no vendor publishes one for these protocols."""

    def __init__(self) -> None:
        super().__init__(cast("Contract", None))

    def answered(self, request: Request) -> Answer:
        """The answer to a request."""
        raise NotImplementedError

    def _judged(self, request: Request) -> Answer:
        return self.answered(request)

    @property
    def asked(self) -> list[str]:
        """`METHOD status` of all requests in their order; those for probes are `probe METHOD status`."""
        return [
            f"{'probe ' if '.probe-' in each.path else ''}{each.method} {each.status or 'lost'}"
            for each in self.requests
        ]


class Between(_Unjudged):
    """A proxy before a server: counts, and does harm by `faults`; `edit` may change or answer a request itself."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target).netloc
        self.edit: Callable[[Request], Request | Answer] = lambda request: request

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def answered(self, request: Request) -> Answer:
        """The server's answer."""
        found = self.edit(request)
        if isinstance(found, Answer):
            return found
        connection = http.client.HTTPConnection(self._target, timeout=30)
        headers = {name: value for name, value in found.headers.items() if name not in {"connection", "expect"}}
        try:
            path = found.path + (f"?{found.query}" if found.query else "")
            connection.request(found.method, path, found.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        hop = {"connection", "content-length", "transfer-encoding", "server", "date", "keep-alive"}
        told = {name.title(): value for name, value in answer.getheaders() if name.lower() not in hop}
        return Answer(answer.status, body, told)


def refuses_quotes(request: Request) -> Request | Answer:
    """Ceph's gateway: it compares `If-Match` with the bare ETag (FACTS; DigitalOcean's Spaces do the same)."""
    if request.headers.get("if-match", "").startswith('"'):
        return Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
    return request


class FakeGoogle(_Unjudged):
    """Google's XML API in memory, as much as a statefile needs of it.

    `gcp-storage-emulator`, the one emulator that can be installed, stores what the XML API is given but does not know
    `x-goog-if-generation-match`. Source: https://cloud.google.com/storage/docs/xml-api/reference-headers.
    """

    token = "of-a-fake"  # noqa: S105 - of a server that lives for one test

    def __init__(self, *, ignoring: bool = False) -> None:
        super().__init__()
        self.objects: dict[str, tuple[int, bytes]] = {}
        self._ignoring = ignoring
        self._generation = 1700000000000000

    @property
    def store(self) -> Store:
        """The server with its bucket."""
        return Store("gs", self.url, {"GOOGLE_BEARER_TOKEN": self.token})

    def answered(self, request: Request) -> Answer:
        """One request of GET, PUT and DELETE."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _error(401, "AuthenticationRequired", "Authentication required.")
        if not request.path.startswith(f"/{BUCKET}/"):
            return _error(404, "NoSuchBucket", "The specified bucket does not exist.")
        with self.lock:
            found = self.objects.get(request.path)
            match request.method:
                case "PUT":
                    return self._put(request, found)
                case "DELETE":
                    return Answer(204) if self.objects.pop(request.path, None) else _error(404, "NoSuchKey", "None.")
                case _:
                    return self._told(*found) if found else _error(404, "NoSuchKey", "None.")

    def _put(self, request: Request, found: tuple[int, bytes] | None) -> Answer:
        wanted = request.headers.get("x-goog-if-generation-match", "")
        if wanted and not self._ignoring and wanted != str(found[0] if found else 0):
            return _error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
        self._generation += 1
        self.objects[request.path] = (self._generation, request.body)
        return self._told(self._generation, b"")

    @staticmethod
    def _told(generation: int, body: bytes) -> Answer:
        etag = hashlib.md5(str(generation).encode(), usedforsecurity=False).hexdigest()
        headers: dict[str, Any] = {
            "ETag": f'"{etag}"',
            "x-goog-generation": str(generation),
            "Last-Modified": format_datetime(datetime.now(UTC), usegmt=True),
        }
        return Answer(200, body, headers)


def _error(status: int, code: str, words: str) -> Answer:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{words}</Message></Error>"
    return Answer(status, body.encode())
