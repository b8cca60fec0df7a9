"""Answers that a well-kept Envoy does not give, one by one: taken, refused, to be asked again, or nobody can tell."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import requests
from worlds.contract import Contract
from worlds.fake_http import Answer, FakeServer, Fault, Request, Route
from worlds.gangway_runs import ENVIRONMENT, JOB, followed, instance, intent, job, provider

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.ports import Pipelines, Refused
from bot.providers.build import build
from bot.providers.gangway_api import Bucket, gangway_api
from bot.providers.http import RateLimited, session
from bot.settings import ForgeSettings, Settings, StateSettings

TOKEN = "sha256~only-for-these-answers-4711"  # noqa: S105 - nobody's
CREATED = {"id": "some-id", "job_name": JOB, "job_status": "TRIGGERED"}
ENVOY = "upstream connect error or disconnect/reset before headers. reset reason: "


class Odd(FakeServer):
    """A server that says what a test wants, else what Gangway says; `sent` holds the requests."""

    routes: ClassVar = (Route("GET", r"/.*", "replied"), Route("POST", r"/.*", "replied"))
    unjudged: ClassVar[re.Pattern[str]] = re.compile(r".*")

    def __init__(self) -> None:
        super().__init__(cast("Contract", None))
        self.sent: list[Request] = []

    def replied(self, request: Request) -> Answer:
        self.sent.append(request)
        return Answer(200, CREATED if request.method == "POST" else {"job_execution": [CREATED]})

    def says(self, answer: Any, method: str = "*") -> None:
        """Give this answer from now on."""
        self.faults[:] = [Fault((method, r".*"), answer, times=99)]


@pytest.fixture(scope="module")
def servers() -> Iterator[Odd]:
    with Odd() as server:
        yield server


@pytest.fixture
def server(servers: Odd) -> Odd:
    servers.faults.clear()
    servers.sent.clear()
    servers.requests.clear()
    return servers


def asked(server: Odd, **more: Any) -> Any:
    """What comes of a start: the fact, the refusal, or the words of the error where nobody can tell."""
    made = provider(server.url, token=TOKEN, **more)
    try:
        return made.start(job(), intent(), ENVIRONMENT)
    except ServerUnreachable as error:
        return error.message


def grpc(status: int, code: int, message: str = "", body: bytes | None = None) -> Answer:
    return Answer(status, body, {"grpc-status": str(code), "grpc-message": message})


def text(status: int, words: str, **headers: str) -> Answer:
    return Answer(status, words.encode(), {name.replace("_", "-"): value for name, value in headers.items()})


SURE = {
    "a bad request": (grpc(400, 3, "empty job%5Fname"), "400 empty job_name"),
    "a bad field": (text(400, "job_execution_type: invalid value"), "400 job_execution_type: invalid value"),
    "a login": (text(401, "<html><title>401 Authorization Required</title>"), "token rejected (401 Authorization"),
    "a tenant": (grpc(403, 7, "not your job"), "403 not your job"),
    "no such page": (text(404, "404 page not found"), "404 404 page not found"),
    "no such method": (grpc(501, 12), "501 gRPC status 12"),
    "no such job": (grpc(500, 2, "failed to find associated periodic job %22x%22"), 'periodic job "x"'),
    "a conflict": (grpc(409, 10, "aborted"), "409 aborted"),
    "a redirect": (
        text(302, "", Location="https://login.example.com/oauth?state=4711"),
        "302 it leads to login.example.com/oauth: check the instance's url and its token",
    ),
    "the same elsewhere": (text(307, "", Location="/v1/executions/"), "307 it leads to /v1/executions/"),
}
AGAIN = {
    "too many": (text(429, "Rate limit exceeded", Retry_After="7"), 7.0),
    "too many for a day": (text(429, "x", Retry_After="9" * 30), 86400.0),
    "too many, unsaid": (text(429, "Rate limit exceeded"), 0.0),
    "too many, in no year": (text(429, "x", Retry_After="Fri, 31 Dec 99999 23:59:59 GMT"), 0.0),
    "maintenance": (text(503, "down for an hour", Retry_After="3600"), 3600.0),
    "no route": (text(503, "<html><title>Application is not available</title></html>"), 0.0),
    "no connection": (text(503, f"{ENVOY}connection failure"), 0.0),
    "no connection in gRPC": (grpc(503, 14, f"{ENVOY}remote connection failure, transport failure"), 0.0),
    "no backend": (grpc(503, 14, "no healthy upstream"), 0.0),
    "too many connections": (text(503, f"{ENVOY}overflow"), 0.0),
}
NOBODY_KNOWS = {
    "an error inside": (grpc(500, 2, "rpc error: etcdserver: request timed out"), "500 rpc error: etcdserver"),
    "an error without words": (Answer(500), "500 Internal Server Error"),
    "a gateway": (text(502, "<title>502 Bad Gateway</title>"), "502 Bad Gateway"),
    "out of time": (text(504, "upstream request timeout"), "504 upstream request timeout"),
    "out of time in gRPC": (grpc(504, 4, "deadline exceeded"), "504 deadline exceeded"),
    "a slow request": (text(408, "request timeout"), "408 request timeout"),
    "given up": (grpc(499, 1, "CANCELLED"), "499 CANCELLED"),
    "cut off": (text(503, f"{ENVOY}connection termination"), "503 upstream connect error"),
    "unavailable": (grpc(503, 14, "transport is closing"), "503 transport is closing"),
    "a gRPC error with 200": (grpc(200, 13, "Error parsing ':method' metadata"), "200 Error parsing ':method'"),
    "a gRPC error with an id": (Answer(200, CREATED, {"grpc-status": "13"}), "200"),
    "a page for people": (text(200, "<html><title>Welcome</title></html>"), "200 Welcome"),
    "no JSON": (text(200, '{"id": "some'), "200"),
    "nothing": (Answer(200), "200"),
    "no object": (Answer(200, [CREATED]), "200"),
    "no id": (Answer(200, {**CREATED, "id": " "}), "200"),
    "a number for an id": (Answer(200, {**CREATED, "id": 7}), "200"),
    "an endless id": (Answer(200, {**CREATED, "id": "x" * 300}), "200"),
    "deep": (Answer(200, b"[" * 100_000), "200"),
    "another success": (Answer(202, CREATED), "202"),
    "no answer": ("drop after", "Remote end closed connection without response"),
    "two lengths": (Answer(200, b'{"id"', {"Content-Length": "999"}), "Content-Length contained multiple"),
    "an answer in no code": (Answer(200, b'{"id"', {"Content-Encoding": "gzip"}), "incorrect header check"),
}


def test_an_answer_is_a_success_only_with_an_id(server: Odd) -> None:
    assert asked(server).handle == "some-id"
    server.says(Answer(200, CREATED, {"grpc-status": "0", "grpc-message": ""}))
    assert asked(server).handle == "some-id"


@pytest.mark.parametrize("name", SURE)
def test_gw_6_a_sure_no_is_final(server: Odd, name: str) -> None:
    answer, words = SURE[name]
    server.says(answer)
    found = asked(server)
    assert isinstance(found, Refused), found
    assert words in found.text
    assert (found.again, len(server.requests)) == (None, 1)


@pytest.mark.parametrize("name", AGAIN)
def test_gw_6_what_was_not_taken_may_be_asked_again(server: Odd, name: str) -> None:
    answer, seconds = AGAIN[name]
    server.says(answer)
    found = asked(server)
    assert isinstance(found, Refused), found
    assert (found.again, len(server.requests)) == (timedelta(seconds=seconds), 1)


def test_gw_6_the_time_to_wait_may_be_a_date(server: Odd) -> None:
    at = datetime.now(UTC) + timedelta(seconds=90)
    server.says(text(429, "slow down", Retry_After=format_datetime(at, usegmt=True)))
    found = asked(server)
    assert isinstance(found, Refused)
    assert found.again is not None
    assert timedelta(seconds=85) < found.again <= timedelta(seconds=90)


@pytest.mark.parametrize("name", NOBODY_KNOWS)
def test_gw_7_nobody_can_tell(server: Odd, name: str) -> None:
    answer, words = NOBODY_KNOWS[name]
    server.says(answer)
    found = asked(server)
    assert isinstance(found, str), found
    assert words in found
    assert "whether it was carried out is looked up in the next pass" in found
    assert f"{server.url}: POST /v1/executions: " in found
    assert len(server.requests) == 1


def test_g_b2_a_start_is_a_post(server: Odd) -> None:
    """G-B2: the newer script sent GET with a body, which asks for an execution and starts nothing."""
    asked(server)
    (request,) = server.sent
    assert (request.method, request.path, request.query) == ("POST", "/v1/executions", "")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.json() == {"job_name": JOB, "job_execution_type": "1"}


def test_gw_17_errors_hold_neither_token_nor_headers_nor_body(server: Odd) -> None:
    answers = [
        text(400, f"bad header Authorization: Bearer {TOKEN}"),
        grpc(500, 2, f"token {TOKEN} expired"),
        text(302, "", Location=f"https://user:pass-4711-x@login.example.com/?token={TOKEN}"),
        text(500, "<html><title>oh</title>" + TOKEN),
        text(200, TOKEN),
    ]
    for answer in answers:
        server.says(answer)
        found = asked(server)
        words = found if isinstance(found, str) else found.text
        assert TOKEN not in words
        assert "pass-4711-x" not in words
        assert JOB not in words
        probed = provider(server.url, token=TOKEN).probe(job())
        assert TOKEN not in (probed.text if probed else "")
        assert TOKEN not in polled(server)


def polled(server: Odd) -> str:
    """What is said of a poll, as a fact or as an error."""
    try:
        return provider(server.url, token=TOKEN).status(None, followed("some-id")).text
    except ServerUnreachable as error:
        return f"{error.message} {error.hint}"


def test_gw_17_what_is_no_token_is_not_sent() -> None:
    for token in ("first\nsecond-line-of-it", "Bearer second-line-of-it", "x\0second-line-of-it"):
        environ = {"GANGWAY_TOKEN": token}
        found = gangway_api(instance("http://127.0.0.1:9"), environ, Path())
        assert found == Unreachable("instance prow: the environment variable GANGWAY_TOKEN holds more than a token")


def test_a_server_that_asks_for_no_token(server: Odd) -> None:
    made = gangway_api(replace(instance(server.url), token=None), {}, Path())
    assert not isinstance(made, Unreachable)
    made.create("/v1/executions", {"job_name": JOB})
    assert "authorization" not in server.sent[0].headers


def test_half_an_answer_after_the_start() -> None:
    """The connection ends within the body: what it said may be a success."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def half() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(65536)
                client.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id": "some-id"}')

        thread = threading.Thread(target=half)
        thread.start()
        made = provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(ServerUnreachable, match="whether it was carried out"):
            made.start(job(), intent(), ENVIRONMENT)
        thread.join()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (text(200, "<html><title>Log in</title></html>"), "the answer is not Gangway's: 200 Log in"),
        (grpc(200, 13, "method"), "the answer is not Gangway's: 200 method"),
        (text(302, "", Location="/login"), "the answer is not Gangway's: 302 it leads to /login"),
        (text(429, "slow down", Retry_After="7"), "429 slow down; it takes the next request in 7 s"),
        (text(404, "404 page not found"), "404 404 page not found"),
        ("drop before", "Remote end closed connection"),
    ],
)
def test_polls_that_tell_nothing(server: Odd, answer: Any, words: str) -> None:
    server.says(answer)
    for ask in (lambda made: made.status(None, followed("some-id")), lambda made: made.mark(job())):
        if isinstance(answer, Answer) and answer.status == 404 and "mark" in ask.__code__.co_names:
            assert ask(provider(server.url)) == ""
            continue
        with pytest.raises(ServerUnreachable) as caught:
            ask(provider(server.url))
        assert words in caught.value.message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (grpc(400, 3, "no"), "its executions cannot be listed, so nobody can tell whether it started: 400 no"),
        (text(401, "no"), "its executions cannot be listed, so nobody can tell whether it started: 401 no"),
        (grpc(500, 2, "no"), "its executions cannot be listed, so nobody can tell whether it started: 500 no"),
    ],
)
def test_gw_7_without_a_list_nobody_can_tell(server: Odd, answer: Answer, words: str) -> None:
    server.says(answer)
    made = provider(server.url)
    found = made.find(job(), intent())
    assert isinstance(found, RunFact)
    assert (found.status, found.text, made.mark(job())) == ("unknown", words, "")


@pytest.mark.parametrize(
    "answer", [text(502, "x"), text(503, "x"), text(504, "x"), text(429, "x"), Answer(200, {"a": 1}), "drop after"]
)
def test_a_server_that_cannot_list_now_is_asked_again(server: Odd, answer: Any) -> None:
    server.says(answer)
    made = provider(server.url)
    for ask in (lambda: made.find(job(), intent()), lambda: made.mark(job())):
        with pytest.raises(ServerUnreachable):
            ask()


def test_a_reset_start_that_began_is_adopted(server: Odd) -> None:
    server.says(text(503, f"{ENVOY}remote reset"), "POST")
    found = provider(server.url).start(job(), intent(mark="0:"), ENVIRONMENT)
    assert isinstance(found, RunFact)
    assert found.handle == "some-id"
    server.faults.append(Fault(("GET", r".*"), grpc(500, 2, "no")))
    with pytest.raises(ServerUnreachable, match="it may have started"):
        provider(server.url).start(job(), intent(mark="0:"), ENVIRONMENT)
    server.faults.append(Fault(("GET", r".*"), Answer(200, {})))
    with pytest.raises(ServerUnreachable, match="it may have started"):
        provider(server.url).start(job(), intent(mark="1:12345678"), ENVIRONMENT)


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (text(204, ""), "up"),
        (text(401, "x"), None),
        (grpc(403, 7, "x"), None),
        (text(429, "x", Retry_After="7"), 7.0),
        (text(500, "x"), 0.0),
        (text(302, "", Location="/login"), 0.0),
        (text(503, "x", Retry_After="60"), 60.0),
        ("drop before", 0.0),
    ],
)
def test_gw_5_what_a_probe_makes_of_answers(server: Odd, answer: Any, again: float | str | None) -> None:
    server.says(answer)
    found = provider(server.url).probe(job())
    if again == "up":
        assert found is None
        return
    assert isinstance(found, Refused)
    assert found.again == (None if again is None else timedelta(seconds=float(again)))
    assert ("token rejected" in found.text) == (again is None)


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("rate", "per_second", "burst"), [("20/m", 20 / 60, 10), ("9/m", 9 / 60, 5), ("10/s", 10, 10)])
def test_gw_11_the_bucket_keeps_within_the_limits_of_the_servers(rate: str, per_second: float, burst: int) -> None:
    """Beside it, the arithmetic of nginx: it counts what came, minus what the rate let through since."""
    clock = Time()
    bucket = Bucket(rate, clock=clock, sleep=clock.sleep)
    excess, last = 0.0, clock.now
    for number in range(100):
        clock.now += 0.001 * (number % 7)
        bucket.take()
        excess = max(0.0, excess - (clock.now - last) * per_second + (1 if number else 0))
        last = clock.now
        assert excess <= burst
    assert clock.slept.count(0.0) == 0
    assert sum(clock.slept) <= (100 - burst // 2) / per_second
    clock.now += 3600
    del clock.slept[:]
    bucket.take()
    assert clock.slept == []


def test_gw_11_a_wait_that_is_too_long_is_said() -> None:
    clock = Time()
    bucket = Bucket("2/h", clock=clock, sleep=clock.sleep)
    bucket.take()
    with pytest.raises(RateLimited):
        bucket.take()
    assert clock.slept == []


def test_gw_11_a_start_beyond_the_bucket_is_not_sent(server: Odd) -> None:
    made = provider(server.url, "1/h")
    assert isinstance(made.start(job(), intent(), ENVIRONMENT), RunFact)
    found = made.start(job(), intent("k2"), ENVIRONMENT)
    assert isinstance(found, Refused)
    assert found.again is not None
    assert timedelta(minutes=59) < found.again <= timedelta(hours=1, seconds=1)
    with pytest.raises(ServerUnreachable, match="too many requests"):
        made.status(None, followed("some-id"))
    assert len(server.requests) == 1


def test_an_impatient_session_sends_once_and_hands_out_every_answer(server: Odd) -> None:
    client = session(patient=False)
    for answer in (text(429, "x", Retry_After="1"), text(503, "x", Retry_After="1"), text(500, "x")):
        server.says(answer)
        server.requests.clear()
        began = time.monotonic()
        assert client.get(server.url).status_code == answer.status
        assert (len(server.requests), time.monotonic() - began < 0.5) == (1, True)
    server.says("drop before")
    with pytest.raises(requests.ConnectionError):
        client.get(server.url)


def test_the_composition_root_knows_it(tmp_path: Path, server: Odd) -> None:
    """Through `build`, sealed: what a server echoes of the token does not come through, when to ask again does."""
    forge, state = ForgeSettings("local", {"path": str(tmp_path)}), StateSettings(f"file:{tmp_path}/state.json")
    settings = Settings("main", forge, state)
    environ = {"GANGWAY_TOKEN": TOKEN, "SAASBOT_CACHE_DIR": str(tmp_path / "cache")}
    make: Callable[..., Pipelines | Unreachable] = build(tmp_path, settings, environ, None).pipelines
    made = make(instance(server.url))
    assert not isinstance(made, Unreachable)
    assert isinstance(made.start(job(), intent(), ENVIRONMENT), RunFact)
    server.says(text(429, f"not you, Bearer {TOKEN}", Retry_After="7"))
    found = made.start(job(), intent(), ENVIRONMENT)
    assert isinstance(found, Refused)
    assert (found.again, TOKEN in found.text) == (timedelta(seconds=7), False)
