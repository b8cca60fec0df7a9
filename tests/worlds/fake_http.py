"""A small threaded HTTP server under the fakes of forges: routes, faults, a log, contract checks, and git.

    class FakeThing(FakeServer):
        routes = (*FakeServer.routes, Route("GET", r"/api/v4/user", "whoami"))
        def whoami(self, request: Request) -> Answer: ...

    server.faults.append(Fault(("GET", r"/api/v4/user"), Answer(503), times=2))
    server.faults.append(Fault(("POST", r".*/notes"), "drop after"))     # acts, then closes without an answer
    server.faults.append(Fault(("GET", r".*/merge_requests"), "stale"))  # the answer that the same GET got before
    server.faults.append(Fault(lambda request: b"x" in request.body, 1.5))  # seconds of delay, then as usual

Every request and every own answer is judged by the contract; what it finds stands in `violations`, and leaving the
`with` block raises AssertionError while anything stands there.
"""

from __future__ import annotations

import json
import re
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, cast
from urllib.parse import parse_qsl

from worlds import planted
from worlds.contract import Contract
from worlds.git_http import backend, read_body
from worlds.ref_files import refs


@dataclass(frozen=True)
class Request:
    """A request as it came in; `path` as it was sent, `headers` by lower-case name."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    groups: tuple[str, ...] = ()
    """What the route's expression captured, still escaped."""

    def get(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return dict(parse_qsl(self.query, keep_blank_values=True)).get(name, default)

    def all(self, name: str) -> list[str]:
        """Every value of a query parameter, said as `name=` or `name[]=`."""
        return [value for key, value in parse_qsl(self.query, keep_blank_values=True) if key in {name, f"{name}[]"}]

    def json(self) -> Any:
        """The body's value: JSON, or a form as a Rails server reads it; an empty object where there is none."""
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return _form(parse_qsl(self.body.decode(), keep_blank_values=True))
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True)
class Answer:
    """An answer: `body` is a JSON value, or bytes as they are; None is an empty body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[dict[str, str], bytes]:
        """The headers and the body's bytes."""
        if self.body is None:
            return dict(self.headers), b""
        if isinstance(self.body, bytes):
            return {"Content-Type": "text/plain"} | dict(self.headers), self.body
        return {"Content-Type": "application/json"} | dict(self.headers), json.dumps(self.body).encode()


@dataclass
class Fault:
    """Something that goes wrong for the next `times` requests that match.

    `match` is a function of the request, or a method (`*` for any) and an expression for the whole path. `answer` is
    an answer instead of the server's; "drop before" closes the connection without acting, "drop after" acts first;
    "stale" gives a GET what the same GET got before; a number is a delay in seconds before the usual.
    """

    match: Callable[[Request], bool] | tuple[str, str]
    answer: Answer | Literal["drop before", "drop after", "stale"] | float
    times: int = 1

    def hits(self, request: Request) -> bool:
        """Whether the fault is for this request."""
        if callable(self.match):
            return self.match(request)
        method, pattern = self.match
        return method in {"*", request.method} and re.fullmatch(pattern, request.path) is not None


@dataclass(frozen=True)
class Logged:
    """One line of the log: what was asked and what status was given, 0 for a connection that was dropped."""

    method: str
    path: str
    query: str
    status: int


@dataclass(frozen=True)
class Route:
    """A method and an expression for the whole path, and the name of the server's method that answers."""

    method: str
    pattern: str
    handler: str


class FakeServer:
    """The server; a fake derives from it, names its routes and says where its git repositories stand."""

    routes: ClassVar[Sequence[Route]] = ()
    unjudged: ClassVar[re.Pattern[str]] = re.compile(r"(?!)")
    """Paths that no document describes, such as a GraphQL endpoint; the fake judges them itself."""

    most_on_a_page = 100
    """Things on one page of a list, however many are asked for; with less, two pages need no hundred things."""

    told: ClassVar[re.Pattern[str]] = re.compile(r".*/trigger/pipeline")
    """Paths whose requests carry a secret in their body, as the server's documentation has it."""

    def __init__(self, contract: Contract) -> None:
        planted.watch()
        self.contract = contract
        self.faults: list[Fault] = []
        self.requests: list[Logged] = []
        self.violations: list[str] = []
        self.lock = threading.RLock()
        """Held while a request is acted on; tests that change the server's state from outside hold it too."""
        self._earlier: dict[tuple[str, str], Answer] = {}
        self._kept: dict[tuple[object, ...], tuple[object, Answer]] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each method and path was asked."""
        return Counter((entry.method, entry.path) for entry in self.requests)

    def git_repository(self, request: Request) -> tuple[Path, str] | Answer | None:
        """For a path below a repository: the bare repository, and the path inside; None for all else."""
        del request
        return None

    def git_environment(self, request: Request) -> Mapping[str, str]:
        """What hooks of the repository may read in their environment."""
        del request
        return {}

    def git_moved(self, request: Request) -> None:
        """Called after git served a request that may have moved refs."""

    def authorized(self, request: Request) -> Answer | None:
        """An answer that refuses a request of the API, or None; called under the lock."""
        del request
        return None

    def missing(self, request: Request) -> Answer:
        """The answer to a path that no route knows."""
        del request
        return Answer(404, {"message": "404 Not Found"})

    def respond(self, request: Request) -> Answer | None:
        """The answer to a request, faults applied; None closes the connection."""
        fault = self._fault(request)
        if isinstance(fault, float | int):
            time.sleep(fault)
        if fault == "drop before":
            return self._log(request, None)
        if isinstance(fault, Answer):
            return self._log(request, fault)
        if fault == "stale":
            with self.lock:
                earlier = self._earlier.get((request.path, request.query))
            if earlier is not None:
                return self._log(request, earlier)
        answer = self._git(request) or self._judged(request)
        return self._log(request, None if fault == "drop after" else answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if kind is None and self.violations:
            raise AssertionError("the contract was broken:\n" + "\n".join(self.violations))

    def _fault(self, request: Request) -> object:
        """The first fault that hits, used up once."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.hits(request):
                    fault.times -= 1
                    if fault.times == 0:
                        self.faults.remove(fault)
                    return fault.answer
        return None

    def _judged(self, request: Request) -> Answer:
        """The fake's own answer, both sides held against the contract."""
        judged = self.unjudged.fullmatch(request.path) is None
        asked = (request.method, request.path)
        problems = self.contract.check_request(*asked, request.query, request.headers, request.body) if judged else []
        with self.lock:
            answer = self.authorized(request) or self._routed(request)
            headers, body = answer.encoded()
            if judged and not problems:
                problems = self.contract.check_response(*asked, answer.status, headers, body)
            self.violations.extend(problems)
            if request.method == "GET" and answer.status == 200:
                self._earlier[(request.path, request.query)] = answer
        return answer

    def _routed(self, request: Request) -> Answer:
        """The answer of the first route that matches."""
        for route in self.routes:
            if route.method != ("GET" if request.method == "HEAD" else request.method):
                continue
            match = re.fullmatch(route.pattern, request.path)
            if match is not None:
                found = Request(
                    request.method, request.path, request.query, request.headers, request.body, match.groups()
                )
                try:
                    return cast("Answer", getattr(self, route.handler)(found))
                except Refusal as refusal:
                    return refusal.answer
        if self.contract.operation(request.method, request.path) is not None:
            self.violations.append(f"{request.method} {request.path}: the fake does not serve this operation")
        return self.missing(request)

    def _git(self, request: Request) -> Answer | None:
        """Git's own answer, or None for a request that is not git's."""
        found = self.git_repository(request)
        if found is None or isinstance(found, Answer):
            return found
        repository, inside = found
        state = _refs_asked(repository, inside, request)
        asked = (repository, inside, request.query, request.body, request.headers.get("git-protocol", ""))
        known, answer = self._kept.get(asked, (None, Answer()))
        if known is None or known != state:
            status, headers, body = backend(
                repository.parent,
                request.method,
                f"/{repository.name}{inside}" + (f"?{request.query}" if request.query else ""),
                request.headers,
                request.body,
                more=self.git_environment(request),
            )
            answer = Answer(status, body, headers)
        if state is not None:
            self._kept[asked] = (state, answer)
        if inside.endswith("git-receive-pack"):
            with self.lock:
                self.git_moved(request)
        return answer

    def _log(self, request: Request, answer: Answer | None) -> Answer | None:
        """Write the log's line. What a server is told in a URL or a body, it shows to others."""
        if not request.path.endswith(("git-upload-pack", "git-receive-pack")) and not self.told.fullmatch(request.path):
            asked = f"{request.method} {request.path}?{request.query}"
            planted.printed(f"told to the fake: {request.method}", f"{asked}\n{request.body.decode(errors='replace')}")
        self.requests.append(
            Logged(request.method, request.path, request.query, 0 if answer is None else answer.status)
        )
        return answer


class Refusal(Exception):
    """Raised by a handler to end with an answer."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.answer = Answer(status, body)


def _refs_asked(repository: Path, inside: str, request: Request) -> object | None:
    """What git's answer to a question about refs depends on; None for anything else.

    Git itself answers each question once, and again when a ref has moved: that is a process less for most passes.
    """
    if request.headers.get("git-protocol") != "version=2" or "content-encoding" in request.headers:
        return None
    if inside == "/info/refs" and request.query == "service=git-upload-pack":
        return "what the server can do"
    if inside == "/git-upload-pack" and request.body.startswith(b"0014command=ls-refs\n"):
        return (refs(repository), (repository / "HEAD").read_text(encoding="utf-8"))
    return None


def _form(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A form with `a[b]=1` as nested objects and `a[]=1` as lists."""
    value: dict[str, Any] = {}
    for name, text in pairs:
        root, _, rest = name.partition("[")
        if rest == "]":
            value.setdefault(root, []).append(text)
        elif rest:
            value.setdefault(root, {})[rest.removesuffix("]")] = text
        else:
            value[root] = text
    return value


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    fake: FakeServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news; faults of the fake itself never come so far."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Every method goes the same way."""
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, read_body(self.headers, self.rfile))
        try:
            answer = self.server.fake.respond(request)
        except Exception as error:  # noqa: BLE001 - whatever breaks inside a fake must fail the test, not hang it
            self.server.fake.violations.append(
                f"{self.command} {self.path}: the fake broke: {error!r}\n{traceback.format_exc()}"
            )
            answer = Answer(500, {"message": "the fake broke"})
        if answer is None:
            self.close_connection = True
            return
        self._send(answer)

    do_POST = do_GET  # noqa: N815 - the base class's names, here and below
    do_PUT = do_GET  # noqa: N815
    do_PATCH = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815
    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _send(self, answer: Answer) -> None:
        headers, body = answer.encoded()
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
