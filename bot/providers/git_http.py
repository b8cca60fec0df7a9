"""One request to a smart-HTTP git server: `ls-refs` of protocol v2.

`git ls-remote` asks twice and is sent every ref of the repository; this asks once, for the wanted prefixes only. Where
the answer is not plain (a redirect, a login, an old server) the caller asks git itself, which knows the ways around.
Source: gitprotocol-v2 and gitprotocol-http of the git documentation.
"""

from __future__ import annotations

import base64
import http.client
import netrc
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from bot.providers import trace
from bot.providers.secrets import remember

TIMEOUT = 30.0
"""Seconds for one request, the answer's body included."""

MOST = 16 * 1024 * 1024
"""Bytes that an answer may have."""

_RESULT = "application/x-git-upload-pack-result"
_OID = re.compile(rb"[0-9a-f]{40}")
_BUSY = frozenset({429, 500, 502, 503, 504})
_TRANSPORT = re.compile(r"(?:extraheader|proxy\w*|ssl\w*|cookiefile|curloptresolve|emptyauth|delegation)$")


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, and git would get none either; `text` is the cause."""

    text: str


@dataclass(frozen=True, slots=True)
class AskGit:
    """The answer was not plain; git may know more. `text` says what came."""

    text: str


Answer = Mapping[str, str] | Failed | AskGit


def configured(url: str, configuration: Iterable[tuple[str, str]]) -> bool:
    """Whether git's configuration (names and values) says something about how this url is reached."""
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return True  # git will say what is wrong with it
    for name, value in configuration:
        section, _, rest = name.partition(".")
        subsection, _, key = rest.rpartition(".")
        if section == "url" and key == "insteadof" and url.startswith(value):
            return True
        about = subsection.partition("://")[2].partition("/")[0].rpartition("@")[2] if subsection else host
        if section == "http" and _TRANSPORT.match(key) and ("*" in about or about == host):
            return True
    return False


def ls_refs(url: str, prefixes: Sequence[str]) -> Answer:
    """Full names and commits of all refs that start with one of `prefixes`; annotated tags are peeled."""
    parts = urlsplit(url)
    headers = {
        "Content-Type": "application/x-git-upload-pack-request",
        "Accept": _RESULT,
        "Git-Protocol": "version=2",
        "User-Agent": "git/saasbot",  # some servers tell git from browsers by this
        **_authorization(parts),
    }
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    request = urllib.request.Request(f"{bare}/git-upload-pack", _question(prefixes), headers)  # noqa: S310 - the caller checked the scheme
    try:
        return _send(request)
    except urllib.error.HTTPError as error:
        error.close()
        text = f"HTTP {error.code} {error.reason}".strip()
        return Failed(text) if error.code in _BUSY else AskGit(text)
    except urllib.error.URLError as error:
        # Another set of trusted certificates may be configured for git.
        certificate = isinstance(error.reason, ssl.SSLCertVerificationError)
        return AskGit(str(error.reason)) if certificate else Failed(_reason(error.reason))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Failed(_reason(error))


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


@lru_cache(maxsize=4)
def _opener(scheme: str, authority: str, proxies: tuple[tuple[str, str], ...]) -> urllib.request.OpenerDirector:
    """One opener for all requests: to make one takes as long as a request to a near server."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), urllib.request.ProxyHandler(dict(proxies))]
    if scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=_trust(authority)))
    return urllib.request.build_opener(*handlers)


def _send(request: urllib.request.Request) -> Answer:
    proxies = tuple(sorted(urllib.request.getproxies().items()))
    opener = _opener(request.type or "", os.environ.get("GIT_SSL_CAINFO", ""), proxies)
    deadline = time.monotonic() + TIMEOUT
    exchange = trace.Exchange(request.get_method(), request.full_url, dict(request.header_items()), request.data)
    with exchange, opener.open(request, timeout=TIMEOUT) as response:
        exchange.answered(response.status)
        if response.headers.get("Content-Type", "").partition(";")[0].strip() != _RESULT:
            return AskGit("the answer is not git's")
        body = bytearray()
        while chunk := response.read1(1 << 16):
            body += chunk
            if len(body) > MOST:
                return Failed("the answer is too long")
            if time.monotonic() > deadline:
                raise TimeoutError
    return _answer(bytes(body))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would repeat a redirected POST as a GET; git knows better."""

    def redirect_request(self, *args: object) -> None:
        """Refuse, which leaves the status for the caller."""


@lru_cache(maxsize=1)
def _trust(certificates: str) -> ssl.SSLContext:
    """The certificates that git is told to trust, else the machine's; reading them takes 50 ms."""
    return ssl.create_default_context(cafile=certificates or None)


def _authorization(parts: SplitResult) -> Mapping[str, str]:
    """Basic authorization from the url, else from `.netrc`; empty where neither has a password."""
    login, password = parts.username, parts.password
    if password is None:
        try:
            found = netrc.netrc().authenticators(parts.hostname or "")
        except (OSError, netrc.NetrcParseError):
            found = None
        if not found or (login and login != found[0]):
            return {}
        login, password = found[0], found[2]
    else:
        login, password = unquote(login or ""), unquote(password)
    remember(password)
    token = base64.b64encode(f"{login}:{password}".encode()).decode()
    remember(token)
    return {"Authorization": f"Basic {token}"}


def _question(prefixes: Sequence[str]) -> bytes:
    arguments = ["peel\n", *(f"ref-prefix {prefix}\n" for prefix in prefixes)]
    head = _packet("command=ls-refs\n") + _packet("agent=saasbot\n") + _packet("object-format=sha1\n")
    return head + b"0001" + b"".join(_packet(argument) for argument in arguments) + b"0000"


def _packet(line: str) -> bytes:
    data = line.encode("utf-8", "surrogateescape")
    return b"%04x%s" % (len(data) + 4, data)


def _answer(body: bytes) -> Answer:
    """Read the lines `<oid> <name>[ peeled:<oid>][ ...]` up to the flush."""
    if not body:  # what an old server says to a command that it does not know
        return AskGit("the answer is empty")
    refs: dict[str, str] = {}
    try:
        for line in _packets(body):
            oid, *rest = line.rstrip(b"\n").split(b" ")
            if not rest or not _OID.fullmatch(oid):
                said = line[:80].decode("utf-8", "replace").strip()
                return AskGit(f"the server does not speak protocol v2: {said}")
            peeled = next((attribute[7:] for attribute in rest[1:] if attribute.startswith(b"peeled:")), oid)
            refs[rest[0].decode("utf-8", "surrogateescape")] = peeled.decode("ascii", "replace")
    except ValueError as error:
        return Failed(str(error))
    return refs


def _packets(body: bytes) -> Iterator[bytes]:
    """The packets before the first flush; raises `ValueError` where there is none or a length is no length."""
    at = 0
    while at + 4 <= len(body):
        head = body[at : at + 4]
        size = int(head, 16) if re.fullmatch(rb"[0-9a-fA-F]{4}", head) else _garbled()
        if size == 0:
            return
        if size <= 4 or at + size > len(body):  # noqa: PLR2004 - four digits of length, then at least one byte
            break
        yield body[at + 4 : at + size]
        at += size
    _garbled()


def _garbled() -> NoReturn:
    raise ValueError("the answer is cut short or garbled")
