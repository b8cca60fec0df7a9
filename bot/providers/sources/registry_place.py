"""Place: where a registry is, what an image is called there, and whom credentials may be shown to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urljoin, urlsplit

HUB = "https://registry-1.docker.io"
"""Docker Hub's registry, whatever it is called."""

HUB_NAMES = frozenset({"docker.io", "index.docker.io", "hub.docker.com", "registry.hub.docker.com", "www.docker.com"})
"""Other hosts by which people know it."""

_PORTS = {"https": 443, "http": 80}
_API = frozenset({"v1", "v2"})  # what people copy along with the address
_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST_NAME = 255


class NotAPlace(ValueError):
    """An address, a repository or a tag that no registry can have; the message is one sentence without the subject."""


@dataclass(frozen=True, slots=True)
class Place:
    """A registry. `url` is scheme, host and port; `prefix` is what stands before the names of its images, with a slash.

    Image names follow the host, so an instance whose address has a path (`https://quay.io/acme`) stands for a part of
    the registry.
    """

    url: str
    prefix: str = ""

    @property
    def hub(self) -> bool:
        """Whether it is Docker Hub, where official images stand under `library/`."""
        return self.url == HUB

    def name(self, repository: str) -> str:
        """The repository's full name there. Raises NotAPlace."""
        host = urlsplit(self.url).netloc
        for said in (host, "docker.io") if self.hub else (host,):
            if repository.startswith(f"{said}/"):
                raise NotAPlace(f"begins with the registry's host: write {repository.removeprefix(f'{said}/')}")
        name = self.prefix + repository.strip("/")
        if self.hub and "/" not in name:
            name = f"library/{name}"
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise NotAPlace("is no name of a repository: small letters, digits and `.`, `_`, `-` between them, and `/`")
        return name

    def manifest(self, name: str, tag: str) -> str:
        """The address of a tag's manifest. Raises NotAPlace."""
        if not _TAG.fullmatch(tag):
            raise NotAPlace("is no tag: at most 128 letters, digits and `.`, `_`, `-`, the first no `.` or `-`")
        return f"{self.url}/v2/{name}/manifests/{tag}"

    def owns(self, url: str) -> bool:
        """Whether an address is on this very server: the credentials' own place."""
        return origin(url) == origin(self.url)

    def follows(self, at: str, location: str) -> str:
        """Where a redirect leads, or empty where it is not followed: what is not TLS stays with its own server."""
        to = urljoin(at, location)
        parts = split(to)
        if not location or parts is None or (parts.scheme != "https" and origin(to) != origin(at)):
            return ""
        return to

    def trusts(self, realm: str, *, credentials: bool) -> bool:
        """Whether a token may be asked for at an address that the registry's challenge named.

        From a registry with TLS: anywhere with TLS. From one without: credentials stay on its own host.
        """
        there, here = split(realm), urlsplit(self.url)
        if there is None:
            return False
        if here.scheme == "https":
            return there.scheme == "https"
        return not credentials or there.hostname == here.hostname


def place(url: str) -> Place:
    """The registry at an instance's address. Raises NotAPlace."""
    parts = split(url)
    if parts is None:
        raise NotAPlace("is no address of a registry: it begins with https://, or with http:// on this machine")
    if "@" in parts.netloc:
        raise NotAPlace("holds credentials: name them under `token`")
    path = "/".join(part for part in parts.path.split("/") if part)
    prefix = f"{path}/" if path and path not in _API else ""
    if parts.hostname in HUB_NAMES or parts.hostname == urlsplit(HUB).hostname:
        return Place(HUB, prefix)
    return Place(f"{parts.scheme}://{parts.netloc.lower()}", prefix)


def on_this_machine(url: str) -> bool:
    """Whether an address is a loopback one: nobody listens on the way."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def shown(url: str) -> str:
    """Scheme, host and port for a sentence, without credentials; empty for what is no address."""
    parts = split(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts else ""


def split(url: str) -> SplitResult | None:
    """The parts of an HTTP address; None where it is none."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if known else None
