"""Jenkins' remote access API: reading with `tree=`, posting with or without a crumb, and its answers in our words.

Shared by the pipelines provider and the builds of upstreams. A redirect is an answer and never followed: Jenkins gives
one after most posts, and what stands at its end may be another server. Sources:
https://www.jenkins.io/doc/book/using/remote-access-api/ and https://www.jenkins.io/doc/book/security/csrf-protection/.
"""

from __future__ import annotations

import base64
import html
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.providers.downstream import budget_of, secret_text
from bot.providers.git import without_credentials
from bot.providers.http import RateLimited, cause, session
from bot.providers.secrets import read_secret, redact, remember

OK, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 400, 401, 403, 404

ORDINARY = frozenset({BAD_REQUEST, FORBIDDEN, NOT_FOUND, 405, 409, 413, 422})
"""Statuses that say something of what was asked for; any other means that nobody can be asked now."""

MOVED = frozenset({301, 307, 308})
"""Redirects that mean the same request at another address."""

WINDOWS = (("builds", 0, 20), ("builds", 20, 100), ("allBuilds", 100, 500))
"""How a job's builds are read, newest first. `builds` ends at 100; `allBuilds` makes Jenkins count them all."""

_LONGEST = 300  # characters of a server's own words that are told
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_PARAGRAPH = re.compile(r"<h2[^>]*>Oops!</h2>\s*<p[^>]*>(.*?)</p>", re.IGNORECASE | re.DOTALL)
_EXCEPTION = re.compile(r"^(?:[\w$]+\.)+[\w$]*(?:Exception|Error|Failure): ")
_NO_CRUMB = "No valid crumb"  # every page of Jenkins has the word crumb in it somewhere
_LOGIN = re.compile(r"(?:^|/)(?:login|securityRealm)(?:/|$)")
_OWN = re.compile(r"(?:^|/)(?:job|queue)/")


@dataclass(frozen=True, slots=True)
class No:
    """The server's no: its status, its words in one line, and what it was asked."""

    status: int
    text: str
    request: str


@dataclass(frozen=True, slots=True)
class Done:
    """What a post was answered with: its status, and where it leads."""

    status: int
    location: str


def jenkins_api(instance: Instance, environ: Mapping[str, str], config: Path) -> JenkinsApi | Unreachable:
    """The server of an instance, not yet asked anything; `Unreachable` where its token cannot be read.

    The token is `user:apitoken`, or what goes into a Bearer header. Without one, Jenkins answers as it does anybody.
    """
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    token = read_secret(instance.token, config, environ)
    if token is None and instance.token is not None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    made = session(str(config / instance.ca) if instance.ca else "", budget=budget)
    made.headers["Accept-Language"] = "en"  # what Jenkins says of a queue item is in the caller's language
    if token is not None:
        made.headers["Authorization"] = _authorization(token)
    return JenkinsApi(made, instance.url, secret_text(instance.token))


class JenkinsApi:
    """The requests. `token` says where the token is, for errors. Every method may raise ServerUnreachable."""

    def __init__(self, made: requests.Session, url: str, token: str) -> None:
        self._session = made
        self._token = token
        self._crumb: dict[str, str] = {}
        self._lock = threading.Lock()
        self.server = url.rstrip("/")

    def get(self, path: str, tree: str) -> Any | No:
        """What stands at a path, as far as `tree` asks for it; `_class` says of which kind it is."""
        request = f"GET {path}/api/json"
        answer = self._sent("GET", f"{path}/api/json", request, query={"tree": tree})
        if answer.status_code != OK:
            return self._no(answer, request)
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            hint = "check the address: is it a Jenkins, and does it ask for a login of its own?"
            raise self._broken(request, "the answer is a page for people, not the API's", hint) from error

    def post(self, path: str, form: Mapping[str, str] | None = None) -> Done | No:
        """Have something done; the server may have acted even where no answer came.

        A crumb is asked for when Jenkins wants one, and once more when it no longer takes the one that it gave.
        """
        request = f"POST {path}"
        answer = self._sent("POST", path, request, form=form, headers=self._crumb)
        if answer.status_code == FORBIDDEN and _NO_CRUMB in answer.text and self._has_crumb():
            answer = self._sent("POST", path, request, form=form, headers=self._crumb)
        location = answer.headers.get("Location", "")
        if answer.ok and answer.status_code not in MOVED and not self._leads_away(location, path):
            return Done(answer.status_code, location)
        return self._no(answer, request)

    def missing(self, job: str, answer: No) -> ServerUnreachable:
        """The error for a job that is not there, or that may not be seen: Jenkins says the same of both."""
        return self._broken(
            answer.request,
            f"there is no job {job}, or {self._token} may not see it ({answer.status})",
            "check its name with all its folders, and that the token's user has Job/Read there",
        )

    def refused(self, answer: No) -> ServerUnreachable:
        """The error for a no that leaves open what was asked."""
        return self._broken(answer.request, f"{answer.status} {answer.text}", f"check what {self._token} may do there")

    def _has_crumb(self) -> bool:
        """Ask for a crumb; its session is kept with the session's cookies. False where the server gives none."""
        with self._lock:
            found = self.get("/crumbIssuer", "crumb,crumbRequestField")
            if isinstance(found, No):
                return False
            remember(str(found["crumb"]))
            self._crumb = {str(found["crumbRequestField"]): str(found["crumb"])}
            return True

    def _sent(
        self,
        method: str,
        path: str,
        request: str,
        *,
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        try:
            return self._session.request(
                method, f"{self.server}{path}", params=query, data=form, headers=headers, allow_redirects=False
            )
        except RateLimited as error:
            raise self._broken(request, _line(cause(error)), "ask less often, or raise its limit") from error
        except requests.RequestException as error:
            hint = "try again later; check the address, the network, the proxy and the certificates"
            raise self._broken(request, _line(cause(error)), hint) from error

    def _no(self, answer: requests.Response, request: str) -> No:
        """An ordinary no; raises for any other answer that is not what was asked for."""
        if answer.status_code in ORDINARY:
            return No(answer.status_code, _said(answer), request)
        if answer.status_code == UNAUTHORIZED:
            hint = f"check {self._token}: it holds `user:apitoken`, and the token was not revoked"
        elif answer.is_redirect:
            hint = "correct the instance's url, or check its token: the server sends the request elsewhere"
        else:
            hint = "try again later"
        raise self._broken(request, f"{answer.status_code} {_said(answer)}", hint)

    def _leads_away(self, location: str, path: str) -> bool:
        """Whether a redirect leads to a login, or to the same thing elsewhere, instead of to what Jenkins did.

        Behind a proxy Jenkins may call itself by another name, so another server's name alone says nothing.
        """
        to, own = urlsplit(location), urlsplit(f"{self.server}{path}")
        if _OWN.search(to.path):
            return to.path == own.path
        return bool(_LOGIN.search(to.path)) or to.netloc not in {"", own.netloc}

    def _broken(self, request: str, words: str, hint: str) -> ServerUnreachable:
        return ServerUnreachable(without_credentials(f"{self.server}: {request}: {words}"), hint=hint)


def _authorization(token: str) -> bytes:
    """The header's value; each form in which a text could hold the secret is remembered."""
    _, colon, password = token.partition(":")
    remember(password if colon else token)
    if not colon:
        return f"Bearer {token}".encode()
    basic = base64.b64encode(token.encode())
    remember(basic.decode())
    return b"Basic " + basic


def _said(answer: requests.Response) -> str:
    """What Jenkins said, in one line: a missing permission, its own words, or the title of a page."""
    permission = answer.headers.get("X-Required-Permission", "")
    if permission:
        user = answer.headers.get("X-You-Are-Authenticated-As", "") or "the token's user"
        return _line(f"{user} lacks the permission {_permission(permission)}")
    if answer.is_redirect:
        return _line(f"it leads to {answer.headers.get('Location', '')}")
    text = answer.text.lstrip()
    if text.startswith("<"):
        found = _PARAGRAPH.search(text) or _TITLE.search(text)
        text = html.unescape(re.sub(r"<[^>]*>", "", found[1])) if found else ""
        text = re.sub(rf"^\s*Error {answer.status_code}\s*", "", text)
    first = text.strip().partition("\n")[0]
    return _line(_EXCEPTION.sub("", first)) or answer.reason or ""


def _permission(name: str) -> str:
    """A permission as Jenkins' own pages call it: `hudson.model.Item.Build` is Job/Build."""
    return "/".join(name.split(".")[-2:]).replace("Item/", "Job/")


def _line(text: str) -> str:
    """The text in one line, cut, and without secrets."""
    line = " ".join(redact(without_credentials(text)).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
