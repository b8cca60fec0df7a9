"""Login: what a registry's challenge is answered with, and the tokens that are held for it.

Source: the Distribution project's "Token Authentication Specification". Docker Hub, GitLab, Quay and GHCR all follow
it; a plain registry asks for a name and a password (Basic).
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from bot.errors import ServerUnreachable
from bot.providers.secrets import redact, remember
from bot.providers.sources.registry_challenge import Challenge
from bot.providers.sources.registry_place import Place, shown
from bot.providers.sources.registry_transport import Clock, RegistryTransport

LIFETIME = 60.0
"""Seconds that a token is good for where its server does not say; the specification's own default."""

MARGIN = 15.0
"""Seconds before its end at which a token is no longer used, or a quarter of its life where that is less."""

USER = "token"
"""The user's name beside a token that came without one; GitLab and GHCR take any."""

_OK, _DENIED = 200, frozenset({400, 401, 403})
_LONGEST = 200  # characters of a server's own words
_VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an instance signs in with; `bare` where the secret is a token alone."""

    user: str
    password: str = field(repr=False)
    bare: bool = False

    @property
    def basic(self) -> str:
        """The value of `Authorization` with name and password."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


def credentials(secret: str, user: str = USER) -> Credentials | None:
    """The secret `user:password`, or a token alone, which goes with `user`; None where one half is missing."""
    name, colon, password = secret.partition(":")
    found = Credentials(name, password) if colon else Credentials(user, secret, bare=True)
    if not found.user or not found.password:
        return None
    remember(found.password)
    remember(found.basic.removeprefix("Basic "))
    return found


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What a token is for: the address that gives it, the service, and the scope."""

    realm: str
    service: str
    scope: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A value for `Authorization`; `fresh` where it was got for this very request, so that there is no better one."""

    header: str = field(repr=False)
    scope: TokenScope | None = None
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class NoGrant:
    """There is nothing (more) to sign in with; `text` says what was refused."""

    text: str


@dataclass
class _Held:
    """A token that is asked for by one thread at a time; `error` is how the last of `tries` ended, if badly."""

    token: str = field(default="", repr=False)
    until: float = 0.0
    error: ServerUnreachable | NoGrant | None = None
    tries: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Login:
    """Signs in at one registry, for any number of threads. Tokens live in memory only."""

    def __init__(
        self, registry: Place, transport: RegistryTransport, owner: Credentials | None, clock: Clock = time.time
    ) -> None:
        self._place = registry
        self._transport = transport
        self._credentials = owner
        self._clock = clock
        self._usual: Callable[[str], Grant | NoGrant] | None = None
        self._held: dict[TokenScope, _Held] = {}
        self._lock = threading.Lock()

    def foresee(self, name: str) -> Grant | NoGrant | None:
        """What the registry will want for a repository, as it did for others; None where it never asked.

        Raises ServerUnreachable.
        """
        return self._usual(name) if self._usual else None

    def answer(self, given: Sequence[Challenge], name: str, refused: Grant | None) -> Grant | NoGrant:
        """Answer the challenges that a request for a repository met with. Raises ServerUnreachable."""
        bearer = [each for each in given if each.scheme == "bearer"]
        realm = next((each for each in bearer if each.get("realm")), None)
        if realm is not None:
            return self._bearer(realm, name, refused)
        mine = self._credentials
        if any(each.scheme == "basic" for each in given) and mine is not None:
            return self._plain(Grant(mine.basic), refused)
        if bearer and mine is not None and mine.bare:
            return self._plain(Grant(f"Bearer {mine.password}"), refused)
        if mine is None:
            return NoGrant("the registry wants a login")
        schemes = ", ".join(dict.fromkeys(each.scheme for each in given)) or "no way that is named"
        return NoGrant(f"the registry wants a login by {schemes}, which is not known here")

    def _plain(self, grant: Grant, refused: Grant | None) -> Grant | NoGrant:
        """A grant that never changes: refused once, it is refused."""
        if refused is not None and refused.header == grant.header:
            return NoGrant("the registry refused the login")
        self._usual = lambda _: grant
        return grant

    def _bearer(self, challenge: Challenge, name: str, refused: Grant | None) -> Grant | NoGrant:
        realm, service = challenge.get("realm"), challenge.get("service")
        scope = challenge.get("scope") or f"repository:{name}:pull"
        wanted = TokenScope(realm, service, scope)
        if refused is not None and refused.fresh and refused.scope == wanted:
            return NoGrant("the registry refused access")
        if not self._place.trusts(realm, credentials=self._credentials is not None):
            return NoGrant(
                f"the registry names {shown(realm) or 'no address'} for the login, and nothing secret may be sent there"
            )
        if f":{name}:" in scope or ":" not in scope:  # then those of others can be told; Gitea's is `*` for all
            self._usual = lambda other: self._token(
                TokenScope(realm, service, scope.replace(f":{name}:", f":{other}:", 1))
            )
        return self._token(wanted, refused.header if refused else "")

    def _token(self, wanted: TokenScope, refused: str = "") -> Grant | NoGrant:
        """The token that is held for a scope, or a new one; `refused` is the header that is no good any more."""
        with self._lock:
            held = self._held.setdefault(wanted, _Held())
        before = held.tries
        with held.lock:
            header = f"Bearer {held.token}"
            if held.token and header != refused and self._clock() < held.until:
                return Grant(header, wanted, fresh=False)
            if held.error is not None and held.tries > before:  # who waited for a try does not make the same again
                return _told(held.error)
            return self._renewed(held, wanted)

    def _renewed(self, held: _Held, wanted: TokenScope) -> Grant | NoGrant:
        """A new token in the place of the one held; the lock is taken."""
        held.token, held.error = "", None
        try:
            found = self._fetched(wanted)
        except ServerUnreachable as error:
            held.error = error
            raise
        finally:
            held.tries += 1
        if isinstance(found, NoGrant):
            held.error = found
            return found
        held.token, held.until = found
        return Grant(f"Bearer {held.token}", wanted)

    def _fetched(self, wanted: TokenScope) -> tuple[str, float] | NoGrant:
        """A new token and the time at which it is no longer used."""
        mine = self._credentials
        parameters = {"service": wanted.service, "scope": wanted.scope}
        sent = self._clock()
        answer = self._transport.ask(
            "GET",
            wanted.realm,
            {"Accept": "application/json"} | ({"Authorization": mine.basic} if mine else {}),
            {key: value for key, value in parameters.items() if value},
        )
        if answer.status_code in _DENIED:
            words = _words(answer)
            return NoGrant(f"{shown(wanted.realm)} gave no token ({answer.status_code}{words and f': {words}'})")
        document = _document(answer) if answer.status_code == _OK else None
        token = document and (document.get("token") or document.get("access_token"))
        if not document or not isinstance(token, str) or not _VISIBLE.fullmatch(token):
            raise ServerUnreachable(
                f"{shown(wanted.realm)}: GET {urlsplit(wanted.realm).path}: "
                f"there is no token in the answer ({answer.status_code})",
                hint="check the instance's url, and how the registry's token server is set up",
            )
        return token, sent + _usable(document, answer)


def _told(error: ServerUnreachable | NoGrant) -> NoGrant:
    if isinstance(error, ServerUnreachable):
        raise ServerUnreachable(error.message, hint=error.hint)
    return error


def _document(answer: requests.Response) -> dict[str, Any]:
    """The answer's object; empty where it is none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _words(answer: requests.Response) -> str:
    """What a token server says of its no, in one line; each has a place of its own for it."""
    document = _document(answer)
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    said = (first.get("message"), *(document.get(key) for key in ("message", "details", "error")))
    text = next((each for each in said if isinstance(each, str) and each), "")
    return redact(" ".join(text.split()))[:_LONGEST]


def _usable(document: dict[str, Any], answer: requests.Response) -> float:
    """Seconds for which a token is used, from when it was asked for.

    Its age (a server may hand one out twice) is told by the server's own clock: ours may be another.
    """
    said = document.get("expires_in")
    life = float(said) if isinstance(said, int | float) and said > 0 else LIFETIME
    age = _age(document.get("issued_at"), answer.headers.get("Date", ""))
    return life - age - min(MARGIN, life / 4)


def _age(issued: Any, date: str) -> float:
    """Seconds between the two moments; 0 where they are not told, or in the wrong order."""
    try:
        began, now = datetime.fromisoformat(issued), parsedate_to_datetime(date)
        return max(0.0, (now - began).total_seconds())
    except (TypeError, ValueError):  # not both are there, or one has no time zone
        return 0.0
