"""One polite transport under the libraries that use requests: time-outs, careful repeats, a rate budget, kept answers.

A request that may have been acted on is never sent twice: what writes is repeated only where no connection came about,
or where the server said itself that it did not take the request (429, or 403 and 503 with a time to come back at).
Sources: RFC 9110 (If-None-Match), GitHub's "Rate limits for the REST API", GitLab's "Rate limits".
"""

from __future__ import annotations

import hashlib
import io
import re
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse

from bot import __version__
from bot.ports import Cache
from bot.providers import trace
from bot.providers.git import without_credentials
from bot.providers.http_limits import (
    ATTEMPTS,
    LONGEST_WAIT,
    Budget,
    RateLimited,
    Sleep,
    TooLate,
    polite_retry,
    promptly,
    time_left,
    too_long,
    wait_asked,
)
from bot.providers.secrets import redact, remember

__all__ = (
    "ATTEMPTS",
    "CONNECT",
    "LONGEST_WAIT",
    "READ",
    "USER_AGENT",
    "Budget",
    "PoliteAdapter",
    "RateLimited",
    "TooLate",
    "cause",
    "polite_retry",
    "promptly",
    "session",
    "too_long",
    "wait_asked",
)

CONNECT = 10.0
"""Seconds until a connection must stand."""

READ = 30.0
"""Seconds of silence after which an answer is given up."""

USER_AGENT = f"saasbot/{__version__}"
"""Who the bot says it is to servers."""

_MOST_KEPT = 4 * 1024 * 1024  # bytes of an answer that is kept for the next time
_LONGEST_CAUSE = 300  # characters
_CREDENTIAL_HEADERS = ("Authorization", "Private-Token", "Job-Token", "Deploy-Token")
_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"})
_TELLING = (urllib3.exceptions.TimeoutError, ssl.SSLCertVerificationError)  # what lies below these says less
_TIMEOUT = re.compile(r"timeout=([0-9.]+)")
_ERRNO = re.compile(r"\[Errno -?\d+\] *")


class _Kept(msgspec.Struct, array_like=True):
    """A successful answer with its etag; the body is decoded."""

    etag: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class PoliteAdapter(HTTPAdapter):
    """The adapter of `session`, to be mounted in a session that a library made; see there."""

    def __init__(
        self,
        budget: Budget | None = None,
        conditional: Cache | None = None,
        sleep: Sleep = time.sleep,
        timeout: tuple[float, float] = (CONNECT, READ),
        *,
        patient: bool = True,
    ) -> None:
        self._timeout = timeout
        self._budget = budget
        self._cache = conditional
        self._patient = patient
        super().__init__(pool_maxsize=16, max_retries=polite_retry(budget=budget, sleep=sleep) if patient else 0)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send within the budget and with time-outs. Raises `requests.RequestException`, `RateLimited` among them."""
        for name in _CREDENTIAL_HEADERS:  # also those that a library made, such as an app's signed token
            remember(str(request.headers.get(name, "")).rpartition(" ")[2], passing=True)
        if self._budget:
            self._budget.take()
        if time_left() < 0:
            raise TooLate(request=request)
        name = self._name(request, stream)
        kept = self._kept(name)
        if kept:
            request.headers["If-None-Match"] = kept.etag
        try:
            response = self._sent(request, stream, timeout or self._timeout, verify, cert, proxies)
        except requests.RequestException:
            raise
        except OSError as error:  # what requests says of a CA file that is missing or holds no certificate
            raise requests.exceptions.SSLError(error, request=request) from error
        long = too_long(response.status_code, response.headers) if self._patient else None
        if long or (self._patient and response.status_code == requests.codes.too_many_requests):
            response.close()
            raise RateLimited(long.until.timestamp() if long else time.time() + LONGEST_WAIT, request=request)
        if kept and response.status_code == requests.codes.not_modified:
            return self._again(kept, request, response)
        self._keep(name, response)
        return response

    def _sent(self, request: requests.PreparedRequest, stream: bool, *how: Any) -> requests.Response:
        """Send, and read what is not wanted as a stream; a read whose answer breaks off is sent once more."""
        response = self._traced(request, stream, *how)
        if stream or request.method != "GET" or not self._patient:
            return response
        try:
            response.content  # noqa: B018 - reading keeps it
        except requests.RequestException:
            response.close()
            if self._budget:
                self._budget.take()
            return self._traced(request, stream, *how, attempt=2)
        return response

    def _traced(
        self, request: requests.PreparedRequest, stream: bool, *how: Any, attempt: int = 1
    ) -> requests.Response:
        """Send, and say so where requests are traced."""
        if not trace.on():
            return super().send(request, stream, *how)
        with trace.Exchange(request.method, request.url, request.headers, request.body, attempt) as exchange:
            response = super().send(request, stream, *how)
            exchange.answered(response.status_code)
            return response

    def _name(self, request: requests.PreparedRequest, stream: bool) -> str:
        """The name under which the answer to a request is kept; empty where it is not."""
        own = {name.lower() for name in request.headers}
        if self._cache is None or stream or request.method != "GET" or own & {"if-none-match", "range"}:
            return ""
        about = [str(request.headers.get(name, "")) for name in ("Accept", *_CREDENTIAL_HEADERS)]
        text = "\0".join((request.url or "", *about))
        return f"http-{hashlib.sha256(text.encode()).hexdigest()}"

    def _kept(self, name: str) -> _Kept | None:
        data = self._cache.get(name) if self._cache and name else None
        if data is None:
            return None
        try:
            return msgspec.msgpack.decode(data, type=_Kept)
        except msgspec.DecodeError:  # another release wrote it
            return None

    def _keep(self, name: str, response: requests.Response) -> None:
        """Keep a successful answer that has an etag; its body is read for that, as the caller would anyway."""
        etag = response.headers.get("ETag", "")
        if not self._cache or not name or not etag or response.status_code != requests.codes.ok:
            return
        if "no-store" in response.headers.get("Cache-Control", "") or len(response.content) > _MOST_KEPT:
            return
        headers = [(key, value) for key, value in response.headers.items() if key.lower() not in _OF_THE_BODY]
        kept = _Kept(etag, response.status_code, headers, response.content)
        self._cache.put(name, msgspec.msgpack.encode(kept))

    def _again(self, kept: _Kept, request: requests.PreparedRequest, fresh: requests.Response) -> requests.Response:
        """The kept answer with the fresh one's headers (rate limits, date) over its own."""
        fresh.close()
        headers = CaseInsensitiveDict(kept.headers)
        headers.update({key: value for key, value in fresh.headers.items() if key.lower() not in _OF_THE_BODY})
        answer = HTTPResponse(
            io.BytesIO(kept.body), dict(headers), kept.status, reason="OK", preload_content=False, decode_content=False
        )
        return self.build_response(request, answer)


class _Session(requests.Session):
    """A session that trusts the configured CA only, and takes no credentials but those of its caller."""

    def __init__(self, ca: str) -> None:
        super().__init__()
        self._ca = ca
        self.auth = _as_it_is

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As usual, but what `ca` says is not overruled by REQUESTS_CA_BUNDLE or by a library's `verify=True`."""
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if self._ca and settings.get("verify") is not False:
            settings["verify"] = self._ca
        return settings

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer leads; nowhere where its `Location` is no address, which requests would stumble over."""
        target = super().get_redirect_target(resp)
        try:
            urlsplit(target or "")
        except ValueError:
            return None
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """On a redirect to another host take away every credential, not only `Authorization`."""
        before, after = response.request.url or "", prepared_request.url or ""
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call] # so in the stubs
            for name in _CREDENTIAL_HEADERS:
                prepared_request.headers.pop(name, None)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that adds nothing; without one, requests would put what `~/.netrc` says over the token."""
    return request


def session(
    ca: str = "",
    *,
    budget: Budget | None = None,
    conditional: Cache | None = None,
    sleep: Sleep = time.sleep,
    timeout: tuple[float, float] = (CONNECT, READ),
    patient: bool = True,
) -> requests.Session:
    """A session with polite transport, for any number of threads.

    `ca` is a file of certificates that alone is trusted, else the usual ones are (REQUESTS_CA_BUNDLE counts); proxies
    come from the environment. `budget` is taken from before each try. With `conditional`, answers that carry an etag
    are kept there, asked for with If-None-Match, and handed out (status 200) where the server says 304. `timeout` is
    for a connection and for silence, where a request does not say. Requests raise
    `requests.RequestException` (`cause` puts it into words), `RateLimited` among them: no final 429 is handed out.
    Where it is not `patient`, each request is sent once and every answer handed out, for those who time repeats
    themselves; only the budget is still waited for.
    """
    made = _Session(ca)
    made.headers["User-Agent"] = USER_AGENT
    adapter = PoliteAdapter(budget, conditional, sleep, timeout, patient=patient)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


def cause(error: BaseException) -> str:
    """What went wrong in one line, without secrets and without the request's address."""
    words = " ".join(_words(error).split())
    return redact(without_credentials(words))[:_LONGEST_CAUSE] or type(error).__name__


def _words(error: BaseException) -> str:
    match error:
        case RateLimited():
            return str(error)
        case requests.exceptions.ProxyError():
            return f"the proxy did not let it through: {_innermost(error)}"
        case requests.exceptions.SSLError():
            return f"the certificate is not trusted: {_innermost(error)}"
        case requests.RequestException():
            return _innermost(error)
        case _:
            return str(error)


def _innermost(error: BaseException) -> str:
    """The words of the error at the bottom; libraries wrap it three times and add the address each time."""
    inner: BaseException = error
    while not isinstance(inner, _TELLING):
        wrapped = [inner.__cause__, getattr(inner, "reason", None), getattr(inner, "original_error", None), *inner.args]
        below = next((item for item in wrapped if isinstance(item, BaseException) and item is not inner), None)
        if below is None:
            break
        inner = below
    match inner:
        case urllib3.exceptions.NameResolutionError():
            return "the server's name is not known"
        case ssl.SSLCertVerificationError():
            return inner.verify_message or str(inner)
        case urllib3.exceptions.NewConnectionError():
            return _ERRNO.sub("", str(inner).rpartition(": ")[2])
        case urllib3.exceptions.ConnectTimeoutError() | urllib3.exceptions.ReadTimeoutError():
            what = "answer" if isinstance(inner, urllib3.exceptions.ReadTimeoutError) else "connection"
            seconds = _TIMEOUT.search(str(inner))
            return f"no {what} within {seconds[1]} s" if seconds else f"no {what} in time"
        case _:
            return (isinstance(inner, OSError) and inner.strerror) or str(inner)
