"""Container images of a registry (`provider: registry`); implements `bot.ports.Images`.

One HEAD of the manifest for each image: it brings no content, and Docker Hub does not count it as a pull. Source: the
OCI Distribution Specification, "Checking if content exists in the registry".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import requests

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.ports import Cache
from bot.providers.downstream import budget_of, secret_text
from bot.providers.http import session
from bot.providers.http_limits import Sleep
from bot.providers.secrets import read_secret
from bot.providers.sources.registry_challenge import challenges
from bot.providers.sources.registry_login import USER, Credentials, Grant, Login, NoGrant, credentials
from bot.providers.sources.registry_place import NotAPlace, Place, on_this_machine, place, shown
from bot.providers.sources.registry_transport import Clock, RegistryTransport

KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""What a tag may stand for; a registry says that there is nothing where its kind is not named."""

JOB_USER = "gitlab-ci-token"
"""The user to whom GitLab gives the token of a CI job."""

HOPS = 5
"""How many redirects are followed."""

_JOB_TOKENS = frozenset({"CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD"})
_OK, _NOT_MODIFIED, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 304, 401, 403, 404
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|(?!sha256:)[a-z0-9+._-]+:[0-9a-f]{32,}")
_ETAG = re.compile(r'(?:W/)?"?([^"]*)"?')


class _Kept(msgspec.Struct, array_like=True):
    """What a tag stood for when it was last asked for, and the etag of that answer."""

    etag: str
    digest: str


def registry_images(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    cache: Cache,
    sleep: Sleep = time.sleep,
    clock: Clock = time.time,
) -> RegistryImages | Unreachable:
    """The images of an instance; `Unreachable` where its address or its token cannot be used.

    `clock` is the real time and `sleep` waits in it.
    """
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    try:
        where = place(instance.url)
    except NotAPlace as error:
        return Unreachable(f"instance {instance.name}: url {error}")
    owner = _owner(instance, environ, config)
    if isinstance(owner, Unreachable):
        return owner
    if owner and where.url.startswith("http:") and not on_this_machine(where.url):
        return Unreachable(f"instance {instance.name}: its token would be sent without TLS: write https:// in its url")
    ca = str(config / instance.ca) if instance.ca else ""
    transport = RegistryTransport(session(ca, budget=budget, sleep=sleep), clock)
    token = secret_text(instance.token) if owner else ""
    return RegistryImages(where, transport, Login(where, transport, owner, clock), cache, token)


def _owner(instance: Instance, environ: Mapping[str, str], config: Path) -> Credentials | Unreachable | None:
    """Whom the instance signs in as; None where it has no token."""
    if instance.token is None:
        return None
    secret = read_secret(instance.token, config, environ)
    if secret is None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    found = credentials(secret, JOB_USER if instance.token.env in _JOB_TOKENS else USER)
    if found is None:
        said = secret_text(instance.token)
        return Unreachable(f"instance {instance.name}: {said} is neither user:password nor a token")
    return found


class RegistryImages:
    """A `bot.ports.Images` of one registry, for any number of threads. `token` says where its token is, if it has one.

    The first image is asked for alone, so that the others know whether the registry wants a login, and which.
    """

    def __init__(self, where: Place, transport: RegistryTransport, login: Login, cache: Cache, token: str) -> None:
        self._place = where
        self._transport = transport
        self._login = login
        self._cache = cache
        self._token = token
        self._first = threading.Lock()
        self._known = threading.Event()

    def digest(self, repository: str, tag: str) -> str:
        """The digest that a tag stands for, of an index as of a single manifest; empty where there is no such image.

        Raises ServerUnreachable, also where the registry does not let the repository be read.
        """
        try:
            name = self._place.name(repository)
            url = self._place.manifest(name, tag)
        except NotAPlace as error:
            raise ServerUnreachable(f"{self._place.url}: image {repository}:{tag} {error}") from error
        if not self._known.is_set():
            with self._first:
                if not self._known.is_set():
                    try:
                        return self._digest(name, url)
                    finally:
                        self._known.set()
        return self._digest(name, url)

    def _digest(self, name: str, url: str) -> str:
        kept = self._kept(url)
        grant = self._login.foresee(name)
        if isinstance(grant, NoGrant):
            raise self._refused(name, grant.text)
        answer = self._head(url, kept, grant)
        if answer.status_code == _UNAUTHORIZED:
            following = self._login.answer(challenges(answer.headers.get("WWW-Authenticate", "")), name, grant)
            if isinstance(following, NoGrant):
                raise self._refused(name, following.text)
            answer = self._head(url, kept, following)
        if answer.status_code in {_UNAUTHORIZED, _FORBIDDEN}:
            raise self._refused(name, f"the registry refused access ({answer.status_code})")
        return self._read(url, kept, answer)

    def _head(self, url: str, kept: _Kept | None, grant: Grant | None) -> requests.Response:
        """The answer where the redirects end; what is secret goes to the registry itself only."""
        plain = {"Accept": ", ".join(KINDS), "Accept-Encoding": "identity"} | (
            {"If-None-Match": kept.etag} if kept else {}
        )
        signed = plain | ({"Authorization": grant.header} if grant else {})
        at = url
        for _ in range(HOPS + 1):
            own = self._place.owns(at)
            answer = self._transport.ask("HEAD", at, signed if own else plain)
            if answer.status_code not in _REDIRECTS:
                if not own and answer.status_code == _UNAUTHORIZED:
                    raise self._unreadable(url, f"it is redirected to {shown(at)}, and the login is not shown there")
                return answer
            there = answer.headers.get("Location", "")
            following = self._place.follows(at, there)
            if not following:
                raise self._unreadable(url, f"it is redirected to {shown(there) or 'nowhere'}, which is not followed")
            at = following
        raise self._unreadable(url, f"it is redirected more than {HOPS} times")

    def _read(self, url: str, kept: _Kept | None, answer: requests.Response) -> str:
        """The digest that a final answer tells."""
        match answer.status_code:
            case status if status == _NOT_MODIFIED and kept is not None:
                return kept.digest
            case status if status == _OK:
                return self._fresh(url, kept, answer)
            case status if status == _NOT_FOUND:
                if answer.headers.get("Content-Type", "").startswith("text/html"):
                    raise self._unreadable(url, "the answer is a page for people (404): is this a registry?")
                return ""
            case status:
                raise self._unreadable(url, f"the registry answered {status} {answer.reason or ''}".rstrip())

    def _fresh(self, url: str, kept: _Kept | None, answer: requests.Response) -> str:
        """The digest of a successful answer, kept for the next time if it has an etag."""
        etag = answer.headers.get("ETag", "").strip()
        said = answer.headers.get("Docker-Content-Digest", "").strip()
        bare = _ETAG.fullmatch(etag)
        digest = said or (bare[1] if bare else "")
        if not _DIGEST.fullmatch(digest):
            raise self._unreadable(
                url, "the registry tells no digest (no Docker-Content-Digest, nor an ETag that is one)"
            )
        now = _Kept(etag, digest)
        if etag and now != kept:
            self._cache.put(_name(url), msgspec.msgpack.encode(now))
        return digest

    def _kept(self, url: str) -> _Kept | None:
        data = self._cache.get(_name(url))
        try:
            kept = msgspec.msgpack.decode(data, type=_Kept) if data else None
        except msgspec.DecodeError:  # another release wrote it
            return None
        return kept if kept and _DIGEST.fullmatch(kept.digest) else None

    def _refused(self, name: str, why: str) -> ServerUnreachable:
        advice = f"check {self._token}" if self._token else "give the instance a token"
        return ServerUnreachable(
            f"{self._place.url}: cannot read repository {name}: {why}; {advice} or check the repository's name, "
            "some registries refuse what is not there"
        )

    def _unreadable(self, url: str, why: str) -> ServerUnreachable:
        path = url.removeprefix(self._place.url)
        return ServerUnreachable(f"{self._place.url}: HEAD {path}: {why}", hint="check the instance's url")


def _name(url: str) -> str:
    """The name under which the answer for an image is kept; another list of kinds may lead to another digest."""
    return f"image {KINDS} {url}"
