"""A registry like Docker Hub's, GitLab's, Quay's, GHCR's or a plain one: manifests by tag, and its way to sign in.

    with FakeRegistry(GITLAB) as registry:
        registry.images["acme/web", "1234567"] = digest = fake_digest("web")
        registry.accounts["robot"] = "open-sesame"
        registry.private.add("acme/web")

`seen` holds every request with its headers. Asking for content (GET of a manifest) or for lists of tags is a violation,
and so are credentials where they do not belong. `Switchboard` puts fakes behind https addresses of any name.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from worlds import planted
from worlds.contract import Contract, Operation
from worlds.fake_http import Answer, FakeServer, Request, Route

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def fake_digest(text: str) -> str:
    """The digest of some content."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True)
class Kind:
    """How one kind of registry asks for a login and answers; without `token_path` it asks for Basic, or nothing."""

    challenge: str = ""
    """`{realm}`, `{service}`, `{scope}` and `{error}` are filled in."""
    token_path: str = ""
    service: str = ""
    token_fields: tuple[str, ...] = ("token",)
    denied_at_token: bool = False
    """Whether the token server refuses what may not be read, instead of giving a token without access."""
    etag: bool = True
    public: bool = True
    """Whether a public repository may be read by those who did not sign in (with a token, where there are tokens)."""


HUB = Kind(
    'Bearer realm="{realm}",service="{service}",scope="{scope}"{error}',
    "/token",
    "registry.docker.io",
    ("token", "access_token"),
)
GITLAB = Kind('Bearer realm="{realm}",service="{service}",scope="{scope}"{error}', "/jwt/auth", "container_registry")
QUAY = Kind('Bearer realm="{realm}",service="{service}",scope="{scope}"{error}', "/v2/auth", "quay.io", etag=False)
GHCR = Kind('Bearer realm="{realm}",service="{service}",scope="{scope}"', "/token", "ghcr.io", denied_at_token=True)
PLAIN = Kind('Basic realm="Registry Realm"', public=False)
OPEN = Kind()


class _NoDocument(Contract):
    """No document describes registries in OpenAPI; the fake judges by itself."""

    def __init__(self) -> None:  # the parent's would load one
        self.prefix = ""

    def operation(self, method: str, path: str) -> Operation | None:
        """None: there is nothing to look it up in."""
        del method, path
        return None


class FakeRegistry(FakeServer):
    """The server; it is its own token server unless `realm` says otherwise."""

    routes: ClassVar[Sequence[Route]] = (
        Route("GET", r"/v2/(.+)/manifests/([^/]+)", "manifest"),
        Route("GET", r"/token|/jwt/auth|/v2/auth", "token"),
    )
    unjudged: ClassVar[re.Pattern[str]] = re.compile(".*")

    def __init__(self, kind: Kind, realm: str = "") -> None:
        super().__init__(_NoDocument())
        self.kind = kind
        self.realm = realm or f"{self.url}{kind.token_path}"
        self.images: dict[tuple[str, str], str] = {}
        """The digest of each (repository, tag)."""
        self.types: dict[tuple[str, str], str] = {}
        """The media type where it is not that of an OCI index."""
        self.private: set[str] = set()
        self.accounts: dict[str, str] = {}
        self.lifetime: Mapping[str, object] = {"expires_in": 300}
        self.challenges: Sequence[str] | None = None
        """The challenges instead of the kind's own, a header each; `{realm}` and the like are filled in."""
        self.headers: Callable[[str], Mapping[str, str]] | None = None
        """The headers of a found manifest instead of the usual, by digest."""
        self.tokens: dict[str, frozenset[str]] = {}
        """The repositories that each token opens; tests take tokens away to revoke them."""
        self.sign: Callable[[Sequence[str]], str] | None = None
        """Makes a token that opens these repositories; a number where it is not set."""
        self.seen: list[Request] = []
        self._numbers = itertools.count(1)

    def respond(self, request: Request) -> Answer | None:
        """As usual, and note the whole request."""
        with self.lock:
            self.seen.append(request)
        return super().respond(request)

    @property
    def heads(self) -> list[tuple[str, int]]:
        """Path and status of every HEAD."""
        return [(entry.path, entry.status) for entry in self.requests if entry.method == "HEAD"]

    @property
    def logins(self) -> list[Request]:
        """The requests for tokens."""
        return [request for request in self.seen if request.path == self.kind.token_path]

    def manifest(self, request: Request) -> Answer:
        """A tag's manifest, or why not."""
        name, tag = request.groups
        if request.method != "HEAD":
            self.violations.append(f"{request.method} {request.path}: content was asked for")
        if not self._may(request, name):
            return Answer(401, {"errors": [{"code": "UNAUTHORIZED"}]}, self._challenge(request, name))
        digest = self.images.get((name, tag))
        if digest is None or self.types.get((name, tag), INDEX) not in request.headers.get("accept", ""):
            return Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        headers = {"Docker-Content-Digest": digest} | ({"ETag": f'"{digest}"'} if self.kind.etag else {})
        headers = dict(self.headers(digest)) if self.headers else headers
        if headers.get("ETag") and request.headers.get("if-none-match") == headers["ETag"]:
            return Answer(304, None, {})
        return Answer(200, b"{}", headers | {"Content-Type": self.types.get((name, tag), INDEX)})

    def missing(self, request: Request) -> Answer:
        """Nothing else is to be asked."""
        self.violations.append(f"{request.method} {request.path}: why ask for that?")
        return super().missing(request)

    def token(self, request: Request) -> Answer:
        """A token with the access that the user has, or none."""
        user = self._user(request)
        if user is None:
            return Answer(401, {"details": "incorrect username or password"})
        if request.get("service") != self.kind.service:
            self.violations.append(f"{request.path}?{request.query}: not the service that was named")
        every = sorted({name for name, _ in self.images})
        scopes = request.all("scope")
        asked = every if scopes == ["*"] else [scope.split(":")[-2] for scope in scopes]
        opened = [name for name in asked if (user or name not in self.private) and self._known(name)]
        if self.kind.denied_at_token and opened != asked:
            return Answer(403, {"errors": [{"code": "DENIED", "message": "requested access is denied"}]})
        token = self.sign(opened) if self.sign else planted.token(f"bearer-{next(self._numbers)}")
        self.tokens[token] = frozenset(opened)
        return Answer(200, dict.fromkeys(self.kind.token_fields, token) | dict(self.lifetime))

    def _known(self, name: str) -> bool:
        """Docker Hub, GitLab and Quay give no access to what is not there."""
        return any(name == known for known, _ in self.images)

    def _may(self, request: Request, name: str) -> bool:
        """Whether the manifest may be read."""
        given = request.headers.get("authorization", "")
        if self.kind.token_path:
            if given.startswith("Basic"):
                self.violations.append(f"{request.path}: a password where a token belongs")
            return name in self.tokens.get(given.removeprefix("Bearer "), frozenset())
        return bool(self._user(request)) or (self.kind.public and name not in self.private)

    def _user(self, request: Request) -> str | None:
        """Who signed in with Basic; empty for nobody, None for wrong credentials."""
        given = request.headers.get("authorization", "")
        if not given:
            return ""
        user, _, password = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")
        return user if given.startswith("Basic ") and self.accounts.get(user) == password else None

    def _challenge(self, request: Request, name: str) -> dict[str, str]:
        """The headers of a 401; names that differ in capitals only become several headers."""
        error = ',error="insufficient_scope"' if "authorization" in request.headers else ""
        scope = f"repository:{name}:pull"
        said = [self.kind.challenge] if self.challenges is None else self.challenges
        filled = [
            each.format(realm=self.realm, service=self.kind.service, scope=scope, error=error) for each in said if each
        ]
        return dict(zip(("WWW-Authenticate", "Www-Authenticate", "www-authenticate"), filled, strict=False))


@dataclass
class Switchboard:
    """An HTTPS proxy behind which fakes have names: it ends TLS itself, with a certificate for all of them.

    `hosts` says which fake a name leads to, `ca` is the file that trusts the certificate, `called` who was asked for.
    """

    hosts: Mapping[str, FakeServer]
    folder: Path
    called: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ca = self.folder / "switchboard.pem"
        key = self.folder / "switchboard.key"
        certificate, private = self_signed(tuple(self.hosts))
        self.ca.write_bytes(certificate)
        key.write_bytes(private)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.ca, key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """What `HTTPS_PROXY` is set to."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # closed by __exit__
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, until either side ends it."""
        with client, suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)  # not a byte of the handshake that follows
            host = head.split()[1].decode().rpartition(":")[0]
            self.called.append(host)
            if host not in self.hosts:
                client.sendall(b"HTTP/1.1 502 Unknown\r\n\r\n")
                return
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            address = self.hosts[host].url.removeprefix("http://").split(":")
            with (
                self._tls.wrap_socket(client, server_side=True) as secure,
                socket.create_connection((address[0], int(address[1]))) as plain,
            ):
                _piped(secure, plain)


def _piped(secure: ssl.SSLSocket, plain: socket.socket) -> None:
    """Carry bytes both ways."""
    while True:
        ready = [secure] if secure.pending() else select.select([secure, plain], [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (plain if source is secure else secure).sendall(data)


def self_signed(names: Sequence[str]) -> tuple[bytes, bytes]:
    """A certificate for these hosts that is its own authority, and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throwaway")])
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    ) | {"encipher_only": False, "decipher_only": False, "digital_signature": True, "key_cert_sign": True}
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
