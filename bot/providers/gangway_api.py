"""Prow's Gangway: requests that are sent once, and its answers sorted by what they say of the request.

Gangway knows no key by which a start could be repeated safely. So each answer to a start is one of three: it was taken,
it was not taken (`Refused`), or nobody can tell (`ServerUnreachable`: the executions have to be looked at). Envoy in
front of it gives a gRPC error an empty body; its words are in the header `grpc-message`. Sources:
https://docs.prow.k8s.io/docs/components/optional/gangway/ and Envoy's gRPC-JSON transcoder.
"""

from __future__ import annotations

import html
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3.exceptions

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.ports import Refused
from bot.providers.downstream import budget_of, secret_text, utc_now
from bot.providers.gangway_pauses import Pauses
from bot.providers.git import without_credentials
from bot.providers.http import CONNECT, LONGEST_WAIT, Budget, RateLimited, TooLate, cause, session, wait_asked
from bot.providers.http_limits import time_left
from bot.providers.secrets import read_secret, redact

ANSWER = 60.0
"""Seconds until an answer is given up; Envoy gives up on Gangway after the same time."""

WHENEVER = timedelta(0)
"""The same request may be made again as soon as the caller likes."""

UNSURE = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, 499})
"""Statuses from 400 on that are no final no: out of time, too many, given up."""

NOT_CONNECTED = re.compile(
    r"connection (?:failure|timeout)|reset reason: overflow|refused stream reset|no healthy upstream",
    re.IGNORECASE,
)
"""Why Envoy could not pass a request on; any other reset came when Gangway may have had it."""

RESET = "disconnect/reset before headers"
REMOTE_RESET = re.compile(r"reset reason: remote reset\b")
NO_SUCH_JOB = "failed to find associated"

_LONGEST = 300  # characters of a server's own words that are told
_LONGEST_ID = 253  # characters; what Kubernetes lets a thing be called
_LONGEST_PAUSE = 86400.0  # seconds; no sensible server asks for more
_HANDSHAKE = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)  # what TLS calls failures that come before anything is sent
_NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)  # other errors of requests that are ValueErrors may be about an answer
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_LOOK = "whether it was carried out is looked up in the next pass"


class Bucket(Budget):
    """A rate as Gangway's own limiter counts it (`20r/m`, burst 10, no delay): half of it at once, then at its pace.

    The documented limits let through half a minute's worth and one request more at once; that one is kept in reserve.
    """

    def __init__(self, rate: str, *, clock: Any = time.monotonic, sleep: Any = time.sleep) -> None:
        super().__init__(rate)
        self._pace = self.period / self.count
        self._ahead = max(0, self.count // 2 - 1) * self._pace
        self._now, self._pause = clock, sleep
        self._even = float("-inf")  # when all that was let through would be used up at the pace
        self._one = threading.Lock()

    def take(self) -> None:
        """Wait until a request may be sent; raises `RateLimited` for more than `LONGEST_WAIT` or the time left."""
        with self._one:
            now = self._now()
            wait = max(0.0, self._even - self._ahead - now)
            if wait > min(LONGEST_WAIT, max(0.0, time_left())):
                raise RateLimited(time.time() + wait)
            self._even = max(self._even, now) + self._pace
        if wait:
            self._pause(wait)


@dataclass(frozen=True, slots=True)
class No:
    """An answer that is not what was asked for: its status, its words in one line, the request, and gRPC's code."""

    status: int
    text: str
    request: str
    code: str = ""

    @property
    def gone(self) -> bool:
        """Whether Gangway says that there is no such execution; what it says so of is an error without a code to it."""
        return self.code in {"2", "5"} and "not found" in self.text.lower()

    @property
    def inside(self) -> bool:
        """Whether Gangway was reached and something went wrong in it."""
        return bool(self.code) and self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def down(self) -> bool:
        """Whether it says that the server is away, not what it thinks of the request."""
        return self.status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


@dataclass(frozen=True, slots=True)
class Reset:
    """Gangway reset the request: it does not know the form of the address, or it broke off."""

    text: str


def gangway_api(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    answer: float = ANSWER,
    now: Callable[[], datetime] = utc_now,
) -> GangwayApi | Unreachable:
    """The server of an instance, not yet asked anything; `Unreachable` where its token cannot be read."""
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    token = read_secret(instance.token, config, environ)
    if token is None and instance.token is not None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    if token is not None and any(each.isspace() or not each.isprintable() for each in token):
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds more than a token")
    bucket = Bucket(instance.rate_limit) if budget is not None else None
    ca = str(config / instance.ca) if instance.ca else ""
    made = session(ca, budget=bucket, timeout=(CONNECT, answer), patient=False)
    made.headers["Accept"] = "application/json"
    if token is not None:
        made.headers["Authorization"] = f"Bearer {token}".encode()
    return GangwayApi(made, instance.url, secret_text(instance.token), now)


class GangwayApi:
    """The requests. `token` says where the token is, for errors; `now` is the real time."""

    def __init__(self, made: requests.Session, url: str, token: str, now: Callable[[], datetime]) -> None:
        self._session = made
        self._token = token
        self.server = url.rstrip("/")
        self._starts = Pauses(self.server, now)

    def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any] | Refused | Reset:
        """Start an execution; returns it, with its id. Raises ServerUnreachable where nobody can tell.

        `Refused` is sure: nothing was started. After a 429 no other start is sent before the time that it names.
        """
        request = f"POST {path}"
        pause = self._starts.left()
        if pause is not None:
            text = f"{self.server} takes no more starts just now; it takes the next one in {pause.seconds + 1} s"
            return Refused(text, pause, untried=True)
        try:
            answer = self._sent("POST", path, body=body)
        except requests.RequestException as error:
            again = _unsent(error)
            if again is None:
                raise self._broken(request, f"{_line(cause(error))}; {_LOOK}") from error
            untried = isinstance(error, RateLimited | TooLate)
            return Refused(f"{self.server}: {request}: {_line(cause(error))}", _later(error, again), untried)
        found = _object(answer)
        if found is not None and _has_id(found):
            return found
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and REMOTE_RESET.search(answer.text):
            return Reset(_said(answer))
        if not _untaken(answer):
            raise self._broken(request, f"{_told(answer)}; {_LOOK}")
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._starts.begin(_pause(answer))
        final = answer.status_code not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
        return Refused(self._no(answer), None if final else _pause(answer))

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any] | No:
        """What stands at a path. Raises ServerUnreachable where no answer of Gangway came, or it wants a pause."""
        request = f"GET {path}"
        try:
            answer = self._sent("GET", path, query=query)
        except requests.RequestException as error:
            again = _unsent(error) if isinstance(error, RateLimited) else None
            raise self._broken(request, _line(cause(error)), again=again) from error
        found = _object(answer)
        if found is not None:
            return found
        if answer.ok:
            hint = "check the address: is it a Gangway, and does it ask for a login of its own?"
            raise self._broken(request, f"the answer is not Gangway's: {_told(answer)}", hint)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            hint = "ask less often: set the instance's `rateLimit`"
            raise self._broken(request, self._no(answer), hint, _pause(answer))
        return No(answer.status_code, _said(answer), request, answer.headers.get("grpc-status", "").strip())

    def probe(self, path: str, query: Mapping[str, str] | None = None) -> Refused | None:
        """Whether Gangway answers at all: any 2xx will do, and a rejected token will not get better."""
        try:
            answer = self._sent("GET", path, query=query)
        except requests.RequestException as error:
            again = _later(error, _unsent(error) or WHENEVER)
            return Refused(f"{self.server} cannot be reached: {_line(cause(error))}", again)
        if HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
            return None
        rejected = answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        words = self._rejected(answer) if rejected else self._no(answer)
        return Refused(f"{self.server} is not up: {words}", None if rejected else _pause(answer))

    def unreachable(self, answer: No) -> ServerUnreachable:
        """The error for a no that leaves open what was asked."""
        rejected = answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        hint = f"check {self._token}: is the token still valid?" if rejected else "try again later"
        return self._broken(answer.request, f"{answer.status} {answer.text}".rstrip(), hint)

    def _sent(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> requests.Response:
        data = None if body is None else json.dumps(body).encode()
        headers = None if body is None else {"Content-Type": "application/json"}
        url = f"{self.server}{path}"
        return self._session.request(method, url, params=query, data=data, headers=headers, allow_redirects=False)

    def _no(self, answer: requests.Response) -> str:
        """A no in words, with what is wrong with the token where that is it."""
        rejected = answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        if rejected and "grpc-status" not in answer.headers:  # a proxy before Gangway said it
            return self._rejected(answer)
        pause = _pause(answer)
        wait = f"; it takes the next request in {pause.total_seconds():.0f} s" if pause else ""
        return f"{_told(answer)}{wait}"

    def _rejected(self, answer: requests.Response) -> str:
        return f"token rejected ({_told(answer)}): check {self._token}"

    def _broken(self, request: str, words: str, hint: str = "", again: timedelta | None = None) -> ServerUnreachable:
        advice = hint or "try again later; check the address, the network, the proxy and the certificates"
        return ServerUnreachable(without_credentials(f"{self.server}: {request}: {words}"), hint=advice, again=again)


def _object(answer: requests.Response) -> Mapping[str, Any] | None:
    """The JSON object of a good answer. A status of 200 alone says nothing: Envoy may give it to a gRPC error."""
    if answer.status_code != HTTPStatus.OK or answer.headers.get("grpc-status", "0").strip() not in {"", "0"}:
        return None
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _has_id(execution: Mapping[str, Any]) -> bool:
    name = execution.get("id")
    return isinstance(name, str) and bool(name.strip()) and len(name) <= _LONGEST_ID


def _untaken(answer: requests.Response) -> bool:
    """Whether an answer to a start is a sure no: Gangway, or what stands before it, did not carry it out."""
    status, text = answer.status_code, _said(answer)
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.NOT_IMPLEMENTED:
            return True
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            return text.startswith(NO_SUCH_JOB)
        case HTTPStatus.SERVICE_UNAVAILABLE if "grpc-status" in answer.headers or RESET in text:
            return NOT_CONNECTED.search(text) is not None
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return True
        case _:
            return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in UNSURE


def _unsent(error: requests.RequestException) -> timedelta | None:
    """When a request that was never sent may be made again; None for one that may have arrived."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    match error:
        case RateLimited():
            return max(WHENEVER, error.until - datetime.now(UTC))
        case requests.ConnectTimeout() | requests.exceptions.ProxyError() | TooLate():
            return WHENEVER
        case requests.exceptions.SSLError():
            return WHENEVER if _before_sending(error) else None
        case _:
            early = isinstance(error, _NO_ADDRESS) or isinstance(reason, urllib3.exceptions.NewConnectionError)
            return WHENEVER if early else None


def _later(error: requests.RequestException, again: timedelta) -> timedelta | None:
    """When to ask again after an error; never where the address is none."""
    return None if isinstance(error, _NO_ADDRESS) else again


def _before_sending(error: BaseException) -> bool:
    """Whether TLS failed before anything was sent; a file of certificates that cannot be read is one way."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLError):
            return isinstance(inner, ssl.SSLCertVerificationError) or inner.reason in _HANDSHAKE
        if isinstance(inner, OSError) and not isinstance(inner, requests.RequestException):
            return True
        wrapped = [getattr(inner, "reason", None), *inner.args]
        inner = next((each for each in wrapped if isinstance(each, BaseException)), None)
    return False


def _pause(answer: requests.Response) -> timedelta:
    """How long an answer asks to wait, in `Retry-After`; nothing where it does not say."""
    try:
        asked = wait_asked(answer.status_code, answer.headers) or 0.0
    except ValueError:  # a date in a year that there is not
        asked = 0.0
    return timedelta(seconds=min(asked, _LONGEST_PAUSE))


def _told(answer: requests.Response) -> str:
    return f"{answer.status_code} {_said(answer)}".rstrip()


def _said(answer: requests.Response) -> str:
    """What was said, in one line: gRPC's message, where a redirect leads, the title of a page, or the first line."""
    message = answer.headers.get("grpc-message", "")
    if message:
        return _line(unquote(message))
    if answer.is_redirect:
        return _line(f"it leads to {_place(answer.headers['Location'])}: check the instance's url and its token")
    code = answer.headers.get("grpc-status", "").strip()
    if code not in {"", "0"} and not answer.content:
        return _line(f"gRPC status {code}")
    text = answer.text.strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = html.unescape(title[1]).strip() if title else ""
        text = text.removeprefix(f"{answer.status_code} ")
    elif answer.ok:
        text = ""  # what was asked for, or a part of it: no complaint
    return _line(text.partition("\n")[0]) or _line(answer.reason or "")


def _place(location: str) -> str:
    """Host and path of an address; user, password and query may be secrets."""
    try:
        to = urlsplit(location)
    except ValueError:
        return "no address"
    return f"{to.hostname or ''}{to.path}"


def _line(text: str) -> str:
    """The text in one line, cut, and without secrets."""
    line = " ".join(redact(without_credentials(text)).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
