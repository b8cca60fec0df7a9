"""A triple store as the bot sees it: one request at once, its answers as rows, and its no sorted by what it says.

An update is sent once. Its answer is one of three things: it was carried out, it surely was not (`Refused`), or nobody
can tell (`ServerUnreachable`). A query only reads, so it is sent a second time where the first came to nothing.
Sources: SPARQL 1.1 Protocol, SPARQL 1.1 Query Results JSON Format, and what Virtuoso 7 and Oxigraph 0.5 really answer.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.ports import Refused
from bot.providers.downstream import budget_of, secret_text
from bot.providers.git import without_credentials
from bot.providers.http import RateLimited, cause, session, wait_asked
from bot.providers.secrets import read_secret, redact
from bot.providers.sparql_terms import PREFIXES

RESULTS = "application/sparql-results+json"
UPDATE = "application/sparql-update"

WHENEVER = timedelta(0)
"""The same request may be made again as soon as the caller likes."""

Row = Mapping[str, str]
"""A solution: its variables that have a value, with the text of the value."""

_REJECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_AWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_UNSURE = frozenset({HTTPStatus.REQUEST_TIMEOUT, 499})  # statuses below 500 after which it may have been carried out
_VIRTUOSO = re.compile(r"Virtuoso ([0-9A-Z]{2})([0-9A-Z]{3}) Error")
_NEVER = frozenset({"22", "37", "42"})  # classes of SQL states: data, syntax, rights and names
_DEADLOCK = "40001"
_KINDS = frozenset({"uri", "literal", "typed-literal", "bnode"})  # the third is Virtuoso's own, of an older draft
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_LONGEST = 300  # characters of a server's own words that are told


@dataclass(frozen=True, slots=True)
class Place:
    """Where on the instance's server requests go, and in which form; empty paths are the instance's own address."""

    endpoint: str = ""
    update_endpoint: str = ""
    update: str = "update"
    auth: str = "digest"


def sparql_api(instance: Instance, environ: Mapping[str, str], config: Path) -> SparqlApi | Unreachable:
    """The store of an instance, not yet asked anything; `Unreachable` where its token cannot be read."""
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    token = read_secret(instance.token, config, environ)
    if token is None and instance.token is not None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    if token is not None and ":" not in token:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} does not hold `user:password`")
    ca = str(config / instance.ca) if instance.ca else ""
    made = session(ca, budget=budget, patient=False)
    made.headers.update({"Accept": RESULTS, "mu-auth-sudo": "true"})
    return SparqlApi(made, instance.url, token or "", secret_text(instance.token))


class SparqlApi:
    """The requests. `login` is `user:password` or empty, `source` says where it is, for errors."""

    def __init__(self, made: requests.Session, url: str, login: str, source: str) -> None:
        self._session = made
        self._url = url.rstrip("/")
        self._source = source
        user, _, password = login.partition(":")
        self._digest: AuthBase | None = HTTPDigestAuth(user, password) if login else None
        self._basic: AuthBase | None = HTTPBasicAuth(user.encode(), password.encode()) if login else None

    def select(self, place: Place, text: str) -> tuple[Row, ...]:
        """The solutions of a query. Raises ServerUnreachable where there are none to be had."""
        url = self._at(place.endpoint)
        answer = self._asked(url, place, text)
        if not _good(answer):
            raise self._broken(url, _told(answer), self._advice(answer))
        rows = _rows(answer)
        if rows is None:
            raise self._broken(url, f"the answer is no result of a query: {_told(answer)}", "check the address")
        return rows

    def update(self, place: Place, text: str) -> Refused | None:
        """Send an update once. `Refused` is sure: nothing was changed; where nobody can tell, ServerUnreachable."""
        url = self._at(place.update_endpoint or place.endpoint)
        try:
            answer = self._sent(url, place, text, place.update)
        except RateLimited as error:
            return Refused(f"{url}: {cause(error)}", max(WHENEVER, error.until - datetime.now(UTC)))
        except requests.RequestException as error:
            raise self._broken(url, f"{_line(cause(error))}; what came of it is looked up in the next pass") from error
        return None if _good(answer) else self._no(url, answer)

    def probe(self, place: Place) -> Refused | None:
        """Whether the store answers; `Refused` for good where it rejects the token."""
        url = self._at(place.endpoint)
        try:
            answer = self._sent(url, place, "ASK {}", "query")
        except requests.RequestException as error:
            return Refused(f"{url} cannot be reached: {_line(cause(error))}", WHENEVER)
        if _good(answer) and _rows(answer) is not None:
            return None
        rejected = answer.status_code in _REJECTED
        return Refused(f"{url} is not up: {self._words(answer)}", None if rejected else _pause(answer))

    def _asked(self, url: str, place: Place, text: str) -> requests.Response:
        """The answer to a query, asked for once more where the first request came to nothing."""
        try:
            answer = self._sent(url, place, text, "query")
            if answer.status_code not in _AWAY:
                return answer
        except RateLimited as error:
            raise self._broken(url, cause(error), "ask less often, or raise the instance's `rateLimit`") from error
        except requests.RequestException:
            pass
        try:
            return self._sent(url, place, text, "query")
        except requests.RequestException as error:
            raise self._broken(url, _line(cause(error))) from error

    def _sent(self, url: str, place: Place, text: str, form: str) -> requests.Response:
        auth = self._basic if place.auth == "basic" else self._digest
        if form == "body":
            headers, data = {"Content-Type": UPDATE}, (PREFIXES + text).encode()
            return self._session.post(url, data=data, headers=headers, auth=auth, allow_redirects=False)
        return self._session.post(url, data={form: PREFIXES + text}, auth=auth, allow_redirects=False)

    def _at(self, path: str) -> str:
        return urlsplit(self._url)._replace(path=path, query="", fragment="").geturl() if path else self._url

    def _no(self, url: str, answer: requests.Response) -> Refused:
        """What to make of an update that was not taken; ServerUnreachable where it may have been, all the same."""
        state = _VIRTUOSO.search(answer.text) if answer.status_code >= HTTPStatus.BAD_REQUEST else None
        text = f"{url}: {self._words(answer)}"
        if state is not None and state[1] + state[2] == _DEADLOCK:
            return Refused(text, WHENEVER)
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            return Refused(text, _pause(answer))
        final = answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status_code not in _UNSURE
        if final or (state is not None and state[1] in _NEVER):
            return Refused(text)
        raise self._broken(url, f"{_told(answer)}; what came of it is looked up in the next pass")

    def _words(self, answer: requests.Response) -> str:
        """A no in words, with what is wrong with the token where that is it."""
        rejected = answer.status_code in _REJECTED
        return f"token rejected ({_told(answer)}): check {self._source}" if rejected else _told(answer)

    def _advice(self, answer: requests.Response) -> str:
        return f"check {self._source}" if answer.status_code in _REJECTED else ""

    def _broken(self, url: str, words: str, hint: str = "") -> ServerUnreachable:
        advice = hint or "try again later; check the address, the network, the proxy and the certificates"
        return ServerUnreachable(without_credentials(f"{url}: {words}"), hint=advice)


def _good(answer: requests.Response) -> bool:
    return HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES


def _rows(answer: requests.Response) -> tuple[Row, ...] | None:
    """The solutions in an answer, an ASK's as one or none; None where it holds none in this format."""
    try:
        document = answer.json()
        asked = document.get("boolean")
        found = [{}] * asked if isinstance(asked, bool) else document["results"]["bindings"]
        return tuple(dict(_values(row)) for row in found)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _values(row: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, term in row.items():
        if term["type"] not in _KINDS:
            raise ValueError(term["type"])
        yield name, str(term["value"])


def one_line(text: str, longest: int = _LONGEST) -> str:
    """A text in one line without control characters, cut, and without secrets."""
    line = " ".join("".join(c if c.isprintable() else " " for c in redact(without_credentials(text))).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _line(text: str) -> str:
    return one_line(text)


def _told(answer: requests.Response) -> str:
    return f"{answer.status_code} {_said(answer)}".rstrip()


def _said(answer: requests.Response) -> str:
    """What was said, in one line: where a redirect leads, the title of a page, or the first line."""
    if answer.is_redirect:
        to = urlsplit(answer.headers.get("Location", ""))
        return one_line(f"it leads to {to.netloc}{to.path}: check the instance's url and its token")
    text = answer.text.strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = html.unescape(title[1]).strip() if title else ""
        text = text.removeprefix(f"{answer.status_code} ")
    first: Sequence[str] = text.splitlines() or (answer.reason or "",)
    return "" if _good(answer) else one_line(first[0])


def _pause(answer: requests.Response) -> timedelta:
    """How long an answer asks to wait, in `Retry-After`; nothing where it does not say."""
    return timedelta(seconds=wait_asked(answer.status_code, answer.headers) or 0.0)
