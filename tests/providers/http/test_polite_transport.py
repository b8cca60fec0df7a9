"""The polite transport against a real server on this machine: what is repeated, waited for, kept and told."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest
import requests
from github import Auth, Github, GithubException

from bot.act import FRESH
from bot.providers import http
from bot.providers.cache import FolderCache
from bot.providers.downstream import CARRIED_OUT
from bot.providers.http import (
    CONNECT,
    Budget,
    RateLimited,
    TooLate,
    cause,
    polite_retry,
    promptly,
    session,
    too_long,
    wait_asked,
)
from bot.providers.http_limits import LONGEST_SAID, PROMPT
from bot.providers.secrets import remember

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Answer:
    """What the server says; `acts` first if it counts as done, `lost` closes instead of it, `short` within it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    acts: bool = True
    lost: bool = False
    short: bool = False
    delay: float = 0.0


class Server:
    """Gives the answers in their order, the last one for ever; `seen` is what came in, `done` what was acted on."""

    def __init__(self, *answers: Answer, tls: tuple[Path, Path] | None = None) -> None:
        self.answers = list(answers) or [Answer()]
        self.seen: list[tuple[str, str, Mapping[str, str]]] = []
        self.done: list[str] = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.answer(self)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.scheme = "https" if tls else "http"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            self.seen.append((handler.command, handler.path, dict(handler.headers)))
            said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if said.acts:
                self.done.append(handler.command)
        time.sleep(said.delay)
        if said.lost:
            handler.close_connection = True
            return
        fresh = {name.lower(): value for name, value in self.seen[-1][2].items()}
        status = 304 if fresh.get("if-none-match", "-") == said.headers.get("ETag") else said.status
        body = b"" if status == 304 else said.body
        handler.send_response(status)
        for name, value in said.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) + 7 * said.short))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection |= said.short

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*PROXIES, *map(str.lower, PROXIES), "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def waits() -> list[float]:
    """The waits that were asked for; none is waited."""
    return []


@pytest.fixture
def client(waits: list[float]) -> Iterator[requests.Session]:
    with session(sleep=waits.append) as made:
        yield made


def limited(seconds: str = "2") -> Answer:
    return Answer(429, {"Retry-After": seconds}, acts=False)


@pytest.mark.parametrize("status", [429, 403, 503])
def test_a_write_that_was_not_taken_is_sent_again_after_the_wait(
    client: requests.Session, waits: list[float], status: int
) -> None:
    with Server(Answer(status, {"Retry-After": "2"}, acts=False), Answer(201)) as server:
        assert client.post(server.url, data=b"x").status_code == 201
    assert (len(server.seen), server.done, waits) == (2, ["POST"], [2.0])


def test_a_limit_without_a_time_is_tried_again_a_few_times(client: requests.Session, waits: list[float]) -> None:
    with Server(Answer(429, acts=False)) as server, pytest.raises(RateLimited):
        client.post(server.url)
    assert (len(server.seen), waits) == (http.ATTEMPTS, [0.5, 1.0, 2.0])


GIVEN_UP = 60.0
"""Seconds after which GitLab, or what stands before a Jenkins, gives a request up."""


def test_an_intent_counts_for_longer_than_any_start_may_take() -> None:
    assert CARRIED_OUT.total_seconds() >= FRESH.total_seconds() + PROMPT + 2 * CONNECT + GIVEN_UP + 30.0


@pytest.mark.parametrize("status", [429, 403, 503])
def test_what_must_begin_soon_does_not_wait_long(client: requests.Session, waits: list[float], status: int) -> None:
    said = Answer(status, {"Retry-After": "2"}, acts=False)
    with Server(said, said, Answer(201)) as server, promptly(1.0):
        if status == 429:
            with pytest.raises(RateLimited):
                client.post(server.url, data=b"x")
        else:
            assert client.post(server.url, data=b"x").status_code == status
        assert (len(server.seen), waits) == (1, [])
        with promptly(9.0), suppress(RateLimited):
            client.get(server.url)
        assert waits == [], "a block within another does not prolong it"
    with Server(said, Answer(201)) as server, promptly(9.0):
        assert client.post(server.url, data=b"x").status_code == 201
    assert waits == [2.0]


def test_what_must_begin_soon_is_not_sent_late(client: requests.Session, waits: list[float]) -> None:
    budget = Budget("1/m", sleep=waits.append)
    with Server() as server, promptly(0.05), session(budget=budget) as bounded:
        bounded.post(server.url)
        with pytest.raises(RateLimited):
            bounded.post(server.url)
        with pytest.raises(requests.ConnectionError):
            client.post("http://127.0.0.1:9/")
        time.sleep(0.06)
        with pytest.raises(TooLate, match="what came before it took too long"):
            client.post(server.url)
    assert (server.done, waits) == (["POST"], [])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_is_not_repeated_after_a_servers_error(
    client: requests.Session, waits: list[float], method: str, status: int
) -> None:
    with Server(Answer(status), Answer()) as server:
        assert client.request(method, server.url).status_code == status
    assert (server.done, waits) == ([method], [])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_read_is_repeated_after_a_servers_error(client: requests.Session, status: int) -> None:
    with Server(Answer(status), Answer(body=b"[]")) as server:
        assert client.get(server.url).json() == []
    assert len(server.seen) == 2


def test_a_read_is_not_repeated_for_ever_and_the_last_answer_is_handed_on(client: requests.Session) -> None:
    with Server(Answer(502, body=b"bad gateway")) as server:
        assert client.get(server.url).text == "bad gateway"
    assert len(server.seen) == http.ATTEMPTS


def test_a_plain_no_is_an_answer(client: requests.Session, waits: list[float]) -> None:
    with Server(Answer(403, body=b"no right")) as server:
        assert client.get(server.url).text == "no right"
        assert client.post(server.url).text == "no right"
    assert (len(server.seen), waits) == (2, [])


def test_a_write_whose_answer_was_lost_is_not_repeated(client: requests.Session) -> None:
    with Server(Answer(lost=True), Answer()) as server:
        with pytest.raises(requests.ConnectionError) as caught:
            client.post(server.url)
        assert server.done == ["POST"]
        assert cause(caught.value) == "Remote end closed connection without response"
        server.answers.insert(0, Answer(lost=True))
        assert client.get(server.url).status_code == 200


def test_a_write_without_a_connection_is_tried_again(client: requests.Session, waits: list[float]) -> None:
    with Server() as server:
        url = server.url
    with pytest.raises(requests.ConnectionError) as caught:
        client.post(url)
    assert cause(caught.value) == "Connection refused"
    assert len(waits) == http.ATTEMPTS - 1


@pytest.mark.parametrize("form", ["3600", "date", "reset"])
def test_a_long_wait_is_an_error_that_says_until_when(client: requests.Session, waits: list[float], form: str) -> None:
    until = time.time() + 3600
    headers = {
        "3600": {"Retry-After": "3600"},
        "date": {"Retry-After": formatdate(until, usegmt=True)},
        "reset": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(until))},
    }[form]
    with Server(Answer(403, headers)) as server, pytest.raises(RateLimited) as caught:
        client.get(server.url)
    assert (len(server.seen), waits) == (1, [])
    assert abs(caught.value.until.timestamp() - until) < 30
    assert f"{caught.value.until:%Y-%m-%dT%H:%M:%SZ}" in cause(caught.value)


def test_what_answers_ask_to_wait() -> None:
    assert wait_asked(429, {"retry-after": "7"}) == 7
    assert wait_asked(429, {"Retry-After": "soon"}) is None
    assert wait_asked(429, {"Retry-After": "Fri, 31 Dec 99999 23:59:59 GMT"}) is None
    assert wait_asked(429, {"Retry-After": "9" * 400}) == LONGEST_SAID
    assert wait_asked(429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 30}) == LONGEST_SAID + 1
    assert wait_asked(200, {"Retry-After": "7"}) is None
    assert wait_asked(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1010"}, now=1000) == 11
    assert wait_asked(403, {"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "1010"}, now=1000) is None
    assert wait_asked(429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "990"}, now=1000) == 1
    assert too_long(429, {"Retry-After": "60"}) is None
    assert isinstance(too_long(429, {"Retry-After": "61"}), RateLimited)


def test_there_is_always_a_time_out(waits: list[float]) -> None:
    client = session(timeout=(10, 0.2), sleep=waits.append)
    with Server(Answer(delay=1.0)) as server:
        with pytest.raises(requests.Timeout) as caught:
            client.post(server.url)
        assert server.done == ["POST"]
        assert cause(caught.value) == "no answer within 0.2 s"
        with pytest.raises(requests.Timeout) as again:
            client.get(server.url)
        assert cause(again.value) == "no answer within 0.2 s"
        assert len(server.seen) == 1 + 2, "a dead connection is worth a second try, a silent server no third"


def test_silence_among_other_troubles_is_repeated_once(waits: list[float]) -> None:
    client = session(timeout=(10, 0.2), sleep=waits.append)
    troubles = (Answer(503), Answer(delay=1.0), Answer(lost=True), Answer(body=b"done"))
    with Server(*troubles) as server:
        assert client.get(server.url).content == b"done"


def test_a_read_whose_answer_breaks_off_is_sent_once_more(client: requests.Session) -> None:
    cut = Answer(body=b"cut", short=True)
    with Server(cut, Answer(body=b"whole")) as server:
        assert client.get(server.url).content == b"whole"
        server.answers = [cut]
        with pytest.raises(requests.RequestException) as caught:
            client.get(server.url)
        assert cause(caught.value) == "IncompleteRead(3 bytes read, 7 more expected)"
        server.seen.clear()
        with pytest.raises(requests.RequestException):
            client.post(server.url)
        assert len(server.seen) == 1


def test_the_agent_is_named_and_netrc_is_left_alone(client: requests.Session, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password something-else\n")
    with Server() as server:
        client.get(server.url, headers={"Authorization": "Bearer mine"})
    headers = server.seen[0][2]
    assert (headers["User-Agent"], headers["Authorization"]) == (http.USER_AGENT, "Bearer mine")


def test_a_redirect_to_another_host_takes_no_credentials_along(client: requests.Session) -> None:
    with Server() as other:
        away = other.url.replace("127.0.0.1", "localhost")
        with Server(Answer(302, {"Location": away})) as server:
            client.get(server.url, headers={"Authorization": "Bearer mine", "Private-Token": "mine"})
    assert {"Authorization", "Private-Token"} & {*other.seen[0][2]} == set()


def test_an_answer_with_an_etag_is_kept_for_the_next_time(tmp_path: Path) -> None:
    cache = FolderCache(tmp_path / "cache")
    first = Answer(headers={"ETag": '"one"', "Link": '<next>; rel="next"'}, body=b'{"n": 1}')
    with Server(first) as server:
        for _ in range(3):
            client = session(conditional=cache)
            answer = client.get(server.url, headers={"Authorization": "Bearer mine"})
            assert (answer.status_code, answer.json(), answer.links["next"]["url"]) == (200, {"n": 1}, "next")
        sent = [headers.get("If-None-Match") for _, _, headers in server.seen]
        assert sent == [None, '"one"', '"one"']
        client.get(server.url, headers={"Authorization": "Bearer another"})
        client.get(f"{server.url}/?page=2", headers={"Authorization": "Bearer mine"})
        client.post(server.url, headers={"Authorization": "Bearer mine"})
        assert [headers.get("If-None-Match") for _, _, headers in server.seen[3:]] == [None, None, None]
        server.answers = [Answer(headers={"ETag": '"two"'}, body=b'{"n": 2}')]
        assert client.get(server.url, headers={"Authorization": "Bearer mine"}).json() == {"n": 2}
        assert client.get(server.url, headers={"Authorization": "Bearer mine"}).json() == {"n": 2}
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert b"mine" not in stored


def test_a_damaged_or_forbidden_answer_is_not_kept() -> None:
    class Broken:
        def get(self, name: str) -> bytes:
            return b"\xff" + name.encode()

        def put(self, name: str, data: bytes) -> None:
            raise AssertionError(name, data)

    secret = Answer(headers={"ETag": '"one"', "Cache-Control": "private, no-store"})
    with Server(secret) as server:
        assert session(conditional=Broken()).get(server.url).json() == {}
        assert "If-None-Match" not in server.seen[0][2]


@dataclass
class Clock:
    """A time that goes on only by sleeping, for any number of threads."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def within(moments: list[float], period: float) -> int:
    """The most moments in any stretch of this length."""
    return max(sum(start <= moment < start + period for moment in moments) for start in moments)


def test_eight_threads_stay_within_the_budget() -> None:
    clock = Clock()
    budget = Budget("10/s", clock=clock, sleep=clock.sleep)

    def take() -> None:
        for _ in range(20):
            budget.take()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moments = sorted([0.0] * (160 - len(clock.slept)) + clock.slept)
    assert len(moments) == 160
    assert within(moments, 1.0) == 10
    assert moments[-1] == 15.0


def test_a_budget_whose_wait_is_long_is_an_error() -> None:
    clock = Clock()
    budget = Budget("2/h", clock=clock, sleep=clock.sleep)
    budget.take()
    budget.take()
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            budget.take()
    assert 3500 < caught.value.until.timestamp() - time.time() < 3700
    clock.now += 3600
    budget.take()
    assert clock.slept == []


@pytest.mark.parametrize("rate", ["", "10", "0/s", "10/d", "-1/s", "10 / s"])
def test_a_budget_of_another_notation_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="number of requests"):
        Budget(rate)


def test_every_try_takes_from_the_budget(waits: list[float]) -> None:
    clock = Clock()
    budget = Budget("2/m", clock=clock, sleep=clock.sleep)
    with Server(Answer(502), Answer(502), Answer()) as server:
        assert session(budget=budget, sleep=waits.append).get(server.url).status_code == 200
    assert clock.slept == [60.0]


def make_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A throwaway authority, and a certificate and key of 127.0.0.1 that it signed."""

    def openssl(*args: str) -> None:
        subprocess.run(("openssl", *args), cwd=folder, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=throwaway", "-addext", "keyUsage=keyCertSign")
    ours = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE")
    openssl(*new, "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=127.0.0.1", *ours, *leaf)
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"


def test_a_ca_of_ones_own_is_trusted_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    ca, certificate, key = make_certificate(tmp_path)
    with Server(tls=(certificate, key)) as server:
        with pytest.raises(requests.exceptions.SSLError) as caught:
            session(sleep=waits.append).get(server.url)
        assert cause(caught.value).startswith("the certificate is not trusted: unable to get local issuer certificate")
        assert waits == []
        assert session(ca=str(ca)).get(server.url).status_code == 200
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        assert session(str(ca)).get(server.url, verify=True).status_code == 200
        with pytest.raises(requests.exceptions.SSLError) as caught:
            session(ca=str(tmp_path / "none.pem")).get(server.url)
        assert "none.pem" in cause(caught.value)


class Proxy(Server):
    """A proxy that answers what is asked of it in the open, and connects through for TLS."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.seen.append((handler.command, handler.path, dict(handler.headers)))
        if handler.command != "CONNECT":
            handler.send_response(200)
            handler.send_header("Content-Length", "5")
            handler.end_headers()
            handler.wfile.write(b"proxy")
            return
        import socket  # noqa: PLC0415 - this alone needs it

        host, _, port = handler.path.partition(":")
        with socket.create_connection((host, int(port))) as beyond:
            handler.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(beyond.recv, handler.connection.sendall), daemon=True)
            back.start()
            pump(handler.connection.recv, beyond.sendall)
            beyond.shutdown(socket.SHUT_RDWR)
            back.join()
        handler.close_connection = True


def pump(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
    """Hand on bytes until there are no more."""
    try:
        while data := read(65536):
            write(data)
    except OSError:
        return


def test_proxies_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca, certificate, key = make_certificate(tmp_path)
    with Proxy() as proxy, Server(Answer(body=b"beyond"), tls=(certificate, key)) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = session(ca=str(ca))
        assert client.get("http://forge.invalid/api").text == "proxy"
        assert client.get(f"{server.url}/api").text == "beyond"
        assert [seen[:2] for seen in proxy.seen] == [
            ("GET", "http://forge.invalid/api"),
            ("CONNECT", server.url.removeprefix("https://")),
        ]
        client.close()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert session(ca=str(ca)).get(f"{server.url}/api").text == "beyond"
        assert len(proxy.seen) == 2


def test_a_proxy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, client: requests.Session) -> None:
    with Server() as gone:
        url = gone.url
    monkeypatch.setenv("HTTP_PROXY", url)
    with pytest.raises(requests.ConnectionError) as caught:
        client.get("http://forge.invalid/api")
    assert cause(caught.value) == "the proxy did not let it through: Connection refused"


def test_a_cause_is_one_line_without_secrets() -> None:
    remember("swordfish-of-a-test")
    assert cause(ValueError("a\nb swordfish-of-a-test")) == "a b [secret]"
    assert cause(ValueError("at https://me:pw@host/x")) == "at https://host/x"
    assert cause(ValueError()) == "ValueError"
    assert len(cause(ValueError("x" * 1000))) <= 300
    with pytest.raises(requests.ConnectionError) as unknown:
        session(sleep=lambda _: None).get("http://forge.invalid/x?t=1")
    assert cause(unknown.value) == "the server's name is not known"


def test_the_same_repeats_serve_pygithub(waits: list[float]) -> None:
    answers = [limited(), Answer(body=b'{"login": "bot"}'), Answer(502), Answer(403, {"Retry-After": "3600"})]
    with Server(*answers) as server:
        client = Github(
            base_url=server.url,
            auth=Auth.Token("not-a-token"),
            retry=polite_retry(sleep=waits.append),
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        assert client.get_user().login == "bot"
        with pytest.raises(GithubException) as caught:
            client.get_user("other")
        client.close()
    assert waits == [2.0, 0.5]
    assert isinstance(too_long(caught.value.status, caught.value.headers or {}), RateLimited)


def test_an_answer_that_leads_to_no_address_is_handed_out() -> None:
    with Server(Answer(302, {"Location": "http://["})) as server:
        assert session().get(server.url).status_code == 302
