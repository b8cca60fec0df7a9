"""Below GitHub's API: PyGithub's Requester over our transport, and the two ways to be somebody there.

PyGithub keeps the request in flight on a connection object that all threads would share, so each request has an
exchange of its own here, sent through one polite session.
Source: https://docs.github.com/rest (authenticating; best practices), PyGithub 2.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import jwt
import requests
from github.Auth import AppAuth, Auth
from github.Requester import HTTPRequestsConnectionClass, Requester, RequestsResponse

from bot.providers.http import USER_AGENT
from bot.providers.secrets import remember

PUBLIC = "https://api.github.com"
"""Where GitHub's own API is."""

VERSION = "2022-11-28"
"""The version of the REST API that is asked for; Enterprise servers of all supported releases know it."""

READS = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""

_EARLY = timedelta(minutes=5)
_VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class AppKey:
    """A GitHub App as which the bot acts. `installation` 0: that of the repository `project` is looked up."""

    id: str
    key: str = field(repr=False)
    installation: int = 0
    project: str = ""


def api_root(url: str) -> str:
    """The address of the API: as given, of github.com, or `/api/v3` of an Enterprise server's own address."""
    root = url.strip().rstrip("/") or PUBLIC
    parts = urlsplit(root)
    if parts.hostname in {"github.com", "www.github.com"}:
        return PUBLIC
    return f"{root}/api/v3" if not parts.path and not (parts.hostname or "").startswith("api.") else root


def signer(app: AppKey) -> AppAuth:
    """What signs for an app; raises `ValueError` for a key that cannot."""
    remember(app.key)
    made = AppAuth(app.id, app.key)
    try:
        made.create_jwt()
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise ValueError("the key of the app is no private key in PEM") from error
    return made


class _Exchange:
    """One request as PyGithub's Requester hands it down, sent through a session that all threads share."""

    host = ""

    def __init__(self, session: requests.Session, root: str) -> None:
        self._session = session
        self._server = "://".join(urlsplit(root)[:2])
        self._asked: tuple[str, str, Any, dict[str, str]] = ("GET", "/", None, {})

    def request(self, verb: str, url: str, body: Any, headers: dict[str, str], stream: bool = False) -> None:
        """Note the request; `getresponse` sends it."""
        del stream
        self._asked = (verb, url, body, headers)

    def getresponse(self) -> RequestsResponse:
        """Send and read. A moved repository is followed for reads only: a redirected POST would become a GET."""
        verb, url, body, headers = self._asked
        answer = self._session.request(
            verb,
            self._server + url,
            headers=headers,
            data=body,
            allow_redirects=verb in READS,
        )
        return RequestsResponse(answer)


class PoliteRequester(Requester):
    """PyGithub's Requester with our transport; each request has an exchange of its own, so threads may share it.

    PyGithub waits 0.25 s between requests and 1 s between writes by itself; that is off, `bot.providers.http` paces.
    """

    def __init__(self, auth: Auth | None, root: str, session: requests.Session) -> None:
        super().__init__(
            auth=auth,
            base_url=root,
            timeout=30,
            user_agent=USER_AGENT,
            per_page=100,
            verify=True,
            retry=None,
            pool_size=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,
            api_version=VERSION,
        )
        self._session = session
        # Its times of requests by verb are read while other threads write: with all keys there nothing grows meanwhile.
        vars(self)["_Requester__last_requests"] = dict.fromkeys(_VERBS, 0.0)

    def requestJson(  # noqa: N802 - the base class's
        self,
        verb: str,
        url: str,
        parameters: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        input: Any | None = None,  # noqa: A002 - the base class's
        cnx: Any = None,
        follow_302_redirect: bool = False,
    ) -> tuple[int, dict[str, Any], str]:
        """As the base class, over the shared session."""
        del cnx
        exchange = cast("HTTPRequestsConnectionClass", _Exchange(self._session, self.base_url))
        return super().requestJson(verb, url, parameters, headers, input, exchange, follow_302_redirect)


class Installation(Auth):
    """The token of an app's installation, made anew shortly before it ends; safe with any number of threads."""

    def __init__(self, make: Callable[[], tuple[str, datetime]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._token = ""
        self._until = datetime.min.replace(tzinfo=UTC)

    @property
    def token_type(self) -> str:
        """The word before the token."""
        return "token"

    @property
    def token(self) -> str:
        """A token that is good for some minutes more."""
        with self._lock:
            if not self._token or datetime.now(UTC) > self._until - _EARLY:
                self._token, self._until = self._make()
                remember(self._token)
            return self._token
