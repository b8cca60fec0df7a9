"""Registries under their own names behind TLS: where credentials go, and where they never go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from worlds.fake_http import Answer, Fault
from worlds.fake_registry import HUB, OPEN, QUAY, FakeRegistry, Switchboard, fake_digest

from bot.errors import ServerUnreachable
from bot.model.servers import Instance, SecretRef
from bot.providers.cache import FolderCache
from bot.providers.sources.registry import RegistryImages, registry_images

DIGEST = fake_digest("web")
LOGIN = "robot:open-sesame"
MANIFEST = "/v2/acme/web/manifests/1"


@dataclass
class Net:
    """Docker Hub, Quay and a registry that sends its callers elsewhere, by name."""

    hub: FakeRegistry
    quay: FakeRegistry
    elsewhere: FakeRegistry
    board: Switchboard
    folder: Path

    def images(self, url: str, token: str = "") -> RegistryImages:
        secret = SecretRef(env="REGISTRY_TOKEN") if token else None
        instance = Instance("images", "registry", url, secret, ca=str(self.board.ca))
        cache = FolderCache(self.folder)
        made = registry_images(instance, {"REGISTRY_TOKEN": token}, self.folder, cache, sleep=lambda _: None)
        assert isinstance(made, RegistryImages), made
        return made

    def secrets(self, server: FakeRegistry) -> list[str]:
        """What a server was shown: the path and the kind of credentials, wherever there were any."""
        shown = [(request.path, request.headers.get("authorization", "")) for request in server.seen]
        return [f"{path} {given.partition(' ')[0]}" for path, given in shown if given]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("net")
    hub, quay = FakeRegistry(HUB, "https://auth.docker.io/token"), FakeRegistry(QUAY, "https://quay.io/v2/auth")
    with hub, quay, FakeRegistry(OPEN) as elsewhere:
        hosts = {
            "registry-1.docker.io": hub,
            "auth.docker.io": hub,
            "quay.io": quay,
            "k8s.example.com": elsewhere,
            "mirror.example.com": elsewhere,
            "gone.example.com": elsewhere,
        }
        with Switchboard(hosts, folder) as board:
            yield Net(hub, quay, elsewhere, board, folder)


@pytest.fixture
def net(servers: Net, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Net:
    for name in ("ALL_PROXY", "NO_PROXY", "all_proxy", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", servers.board.url)
    for server in (servers.hub, servers.quay, servers.elsewhere):
        server.seen.clear()
        server.requests.clear()
        server.faults.clear()
        server.accounts = {"robot": "open-sesame"}
        server.private = set()
        server.images = {("acme/web", "1"): DIGEST, ("library/nginx", "1"): DIGEST}
    servers.board.called.clear()
    servers.quay.realm = "https://quay.io/v2/auth"
    servers.folder = tmp_path
    return servers


def refusal(images: RegistryImages) -> str:
    with pytest.raises(ServerUnreachable) as caught:
        images.digest("acme/web", "1")
    return caught.value.message


@pytest.mark.parametrize("url", ["https://docker.io", "https://index.docker.io/v1/", "https://registry-1.docker.io"])
def test_docker_hub(net: Net, url: str) -> None:
    images = net.images(url, LOGIN)
    assert images.digest("nginx", "1") == DIGEST
    assert images.digest("acme/web", "1") == DIGEST
    nginx = "/v2/library/nginx/manifests/1"
    assert net.hub.heads == [(nginx, 401), (nginx, 200), (MANIFEST, 200)]
    assert {*net.board.called} == {"registry-1.docker.io", "auth.docker.io"}
    assert net.secrets(net.hub) == ["/token Basic", f"{nginx} Bearer", "/token Basic", f"{MANIFEST} Bearer"]


def test_quay_with_an_organisation_in_the_address(net: Net) -> None:
    net.quay.private.add("acme/web")
    assert net.images("https://quay.io/acme", LOGIN).digest("web", "1") == DIGEST
    assert "cannot read repository acme/web" in refusal(net.images("https://quay.io"))


def test_the_login_is_not_sent_to_a_realm_without_tls(net: Net) -> None:
    net.quay.realm = f"{net.elsewhere.url}/v2/auth"
    assert f"names {net.elsewhere.url} for the login" in refusal(net.images("https://quay.io", LOGIN))
    assert f"names {net.elsewhere.url} for the login" in refusal(net.images("https://quay.io"))
    assert net.elsewhere.seen == []


def test_a_redirect_to_another_host_is_followed_without_the_login(net: Net) -> None:
    there = "https://mirror.example.com/v2/acme/web/manifests/1"
    net.hub.faults.append(
        Fault(lambda request: "bearer" in str(request.headers), Answer(307, b"", {"Location": there}))
    )
    assert net.images("https://docker.io", LOGIN).digest("acme/web", "1") == DIGEST
    assert [request.headers["host"] for request in net.elsewhere.seen] == ["mirror.example.com"]
    assert net.secrets(net.elsewhere) == []


def test_a_redirect_that_leads_to_a_login_is_not_answered(net: Net) -> None:
    there = "https://quay.io/v2/acme/web/manifests/1"
    net.elsewhere.faults.append(Fault(("HEAD", ".*"), Answer(307, b"", {"Location": there}), times=2))
    message = refusal(net.images("https://k8s.example.com", LOGIN))
    assert message == (
        f"https://k8s.example.com: HEAD {MANIFEST}: "
        "it is redirected to https://quay.io, and the login is not shown there"
    )
    assert [request.path for request in net.quay.seen] == [MANIFEST]
    assert net.secrets(net.quay) == []


def test_a_redirect_out_of_tls_is_not_followed(net: Net) -> None:
    there = f"{net.quay.url}{MANIFEST}"
    net.elsewhere.faults.append(Fault(("HEAD", ".*"), Answer(307, b"", {"Location": there})))
    assert "which is not followed" in refusal(net.images("https://k8s.example.com"))
    assert net.quay.seen == []


def test_a_token_server_that_redirects_is_not_followed(net: Net) -> None:
    there = "https://mirror.example.com/token"
    net.hub.faults.append(Fault(("GET", "/token"), Answer(302, b"", {"Location": there})))
    assert refusal(net.images("https://docker.io", LOGIN)) == (
        "https://auth.docker.io: GET /token: there is no token in the answer (302)"
    )
    assert net.elsewhere.seen == []


def test_a_certificate_that_is_not_trusted(net: Net) -> None:
    instance = Instance("images", "registry", "https://quay.io")
    images = registry_images(instance, {}, net.folder, FolderCache(net.folder), sleep=lambda _: None)
    assert isinstance(images, RegistryImages)
    assert refusal(images).startswith(f"https://quay.io: HEAD {MANIFEST}: the certificate is not trusted: ")
