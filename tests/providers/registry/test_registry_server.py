"""The same against a real `docker-registry`: open, with names and passwords, and with signed tokens."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from worlds.fake_registry import GITLAB, FakeRegistry, self_signed
from worlds.registry_server import PROGRAM, RegistryServer

from bot.errors import ServerUnreachable
from bot.model.servers import Instance, SecretRef
from bot.providers.cache import FolderCache
from bot.providers.sources.registry import RegistryImages, registry_images

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="docker-registry is not installed")

LOGIN = "robot:open-sesame"
HTPASSWD = "robot:$2b$04$/pN7fyG8ROP5zaVR8B6I1OFar5CbuKevDjsK/yt.j/i6HgMqwgDYe\n"  # that password, as bcrypt hides it
ISSUER = "the-test"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("open")) as made:
        yield made


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    folder = tmp_path_factory.mktemp("locked")
    (folder / "htpasswd").write_text(HTPASSWD)
    with RegistryServer(folder, {"htpasswd": {"realm": "a, b", "path": str(folder / "htpasswd")}}) as made:
        yield made


@pytest.fixture(scope="module")
def tokens() -> Iterator[FakeRegistry]:
    """A token server as GitLab's; the registry beside it takes what it signs."""
    with FakeRegistry(GITLAB) as made:
        made.accounts["robot"] = "open-sesame"
        yield made


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, tokens: FakeRegistry) -> Iterator[RegistryServer]:
    folder = tmp_path_factory.mktemp("signed")
    certificate, key = self_signed(["issuer.example.com"])
    (folder / "issuer.pem").write_bytes(certificate)
    chain = [base64.b64encode(x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)).decode()]

    def sign(names: Sequence[str]) -> str:
        now = int(time.time())
        access = [{"type": "repository", "name": name, "actions": ["pull", "push"]} for name in names]
        claims = {"iss": ISSUER, "aud": GITLAB.service, "nbf": now - 10, "iat": now, "exp": now + 300, "jti": str(now)}
        return jwt.encode({**claims, "sub": "", "access": access}, key, "ES256", {"x5c": chain})

    tokens.sign = sign
    part = {"realm": tokens.realm, "service": GITLAB.service, "issuer": ISSUER}
    with RegistryServer(folder, {"token": {**part, "rootcertbundle": str(folder / "issuer.pem")}}) as made:
        yield made


def images(server: RegistryServer, folder: Path, token: str = "") -> RegistryImages:
    instance = Instance("images", "registry", server.url, SecretRef(env="REGISTRY_TOKEN") if token else None)
    made = registry_images(instance, {"REGISTRY_TOKEN": token}, folder, FolderCache(folder), sleep=lambda _: None)
    assert isinstance(made, RegistryImages), made
    return made


def test_digests_of_indexes_and_single_manifests(registry: RegistryServer, tmp_path: Path) -> None:
    single, index = registry.push("acme/web", "single"), registry.push("acme/web", "index", index=True)
    for _ in range(2):  # the second time by etag
        client = images(registry, tmp_path)
        assert client.digest("acme/web", "single") == single
        assert client.digest("acme/web", "index") == index
        assert client.digest("acme/web", "index-part") == single
    assert client.digest("acme/web", "none") == ""
    assert client.digest("acme/none", "1") == ""


def test_a_tag_that_moves(registry: RegistryServer, tmp_path: Path) -> None:
    before = registry.push("acme/moving", "main")
    client = images(registry, tmp_path)
    assert client.digest("acme/moving", "main") == before
    after = registry.push("acme/moving", "main", text='{"os": "linux"}')
    assert before != after == client.digest("acme/moving", "main")


def test_names_and_passwords(locked: RegistryServer, tmp_path: Path) -> None:
    basic = base64.b64encode(LOGIN.encode()).decode()
    digest = locked.push("acme/web", "1", headers={"Authorization": f"Basic {basic}"})
    assert images(locked, tmp_path, LOGIN).digest("acme/web", "1") == digest
    assert images(locked, tmp_path, LOGIN).digest("acme/web", "none") == ""
    for token in ("", "robot:wrong-one"):
        with pytest.raises(ServerUnreachable, match="cannot read repository acme/web: the registry"):
            images(locked, tmp_path, token).digest("acme/web", "1")


def test_signed_tokens(signed: RegistryServer, tokens: FakeRegistry, tmp_path: Path) -> None:
    assert tokens.sign
    digest = signed.push("acme/web", "1", headers={"Authorization": f"Bearer {tokens.sign(['acme/web'])}"})
    tokens.images["acme/web", "1"] = digest
    client = images(signed, tmp_path, LOGIN)
    assert [client.digest("acme/web", tag) for tag in ("1", "none", "1")] == [digest, "", digest]
    assert len(tokens.logins) == 1
    assert tokens.logins[0].get("scope") == "repository:acme/web:pull"
    with pytest.raises(ServerUnreachable, match="cannot read repository acme/none: the registry refused access"):
        client.digest("acme/none", "1")
