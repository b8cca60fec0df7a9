"""Digests from registries of each kind: one HEAD an image, and every answer in plain words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds.fake_http import Answer, Fault
from worlds.fake_registry import GHCR, GITLAB, HUB, MANIFEST, OPEN, PLAIN, QUAY, FakeRegistry, fake_digest
from worlds.registry_world import DIGEST, LOGIN, WEB, RegistryClient, filled, refusal

from bot.model.observed import Unreachable
from bot.model.servers import Instance, SecretRef
from bot.providers.sources.registry import KINDS, RegistryImages, registry_images
from bot.providers.sources.registry_transport import FAILURES, REST


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client(tmp_path: Path) -> RegistryClient:
    return RegistryClient(tmp_path)


@pytest.fixture(params=[HUB, GITLAB, QUAY, GHCR, PLAIN, OPEN], ids=["hub", "gitlab", "quay", "ghcr", "plain", "open"])
def registry(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with filled(request.param) as made:
        yield made


@pytest.fixture
def gitlab() -> Iterator[FakeRegistry]:
    with filled(GITLAB) as made:
        yield made


@pytest.fixture
def plain() -> Iterator[FakeRegistry]:
    with filled(OPEN) as made:
        yield made


def test_a_digest_costs_one_head_after_the_login(client: RegistryClient, registry: FakeRegistry) -> None:
    registry.images["acme/web", "2"] = fake_digest("other")
    images = client.images(registry, LOGIN)
    assert images.digest("acme/web", "1") == DIGEST
    challenged = registry.kind is not OPEN
    assert registry.heads == [(WEB, 401)] * challenged + [(WEB, 200)]
    assert images.digest("acme/web", "2") == fake_digest("other")
    assert registry.heads[1 + challenged :] == [("/v2/acme/web/manifests/2", 200)]
    assert len(registry.logins) == bool(registry.kind.token_path)
    assert {request.method for request in registry.seen if "/manifests/" in request.path} == {"HEAD"}
    assert {tuple(request.headers["accept"].split(", ")) for request in registry.seen[:1]} == {KINDS}


def test_what_is_not_there_is_empty(client: RegistryClient, registry: FakeRegistry) -> None:
    images = client.images(registry, LOGIN)
    assert images.digest("acme/web", "1")
    assert images.digest("acme/web", "no-such-tag") == ""
    assert registry.heads[-1] == ("/v2/acme/web/manifests/no-such-tag", 404)


def test_a_tag_is_asked_for_again_by_its_etag(client: RegistryClient, registry: FakeRegistry) -> None:
    for _ in range(2):
        assert client.images(registry, LOGIN).digest("acme/web", "1") == DIGEST
    last = registry.seen[-1]
    assert last.headers.get("if-none-match") == (f'"{DIGEST}"' if registry.kind.etag else None)
    assert registry.heads[-1][1] == (304 if registry.kind.etag else 200)
    registry.images["acme/web", "1"] = fake_digest("moved")
    assert client.images(registry, LOGIN).digest("acme/web", "1") == fake_digest("moved")
    assert client.images(registry, LOGIN).digest("acme/web", "1") == fake_digest("moved")
    del registry.images["acme/web", "1"]
    registry.images["acme/web", "other"] = DIGEST
    assert client.images(registry, LOGIN).digest("acme/web", "1") == ""


@pytest.mark.parametrize(
    ("headers", "digest"),
    [
        ({"ETag": f'"{DIGEST}"'}, DIGEST),
        ({"ETag": f'W/"{DIGEST}"'}, DIGEST),
        ({"ETag": DIGEST}, DIGEST),
        ({"Docker-Content-Digest": DIGEST, "ETag": '"seven"'}, DIGEST),
        ({"Docker-Content-Digest": "sha512:" + "0" * 128}, "sha512:" + "0" * 128),
    ],
)
def test_where_the_digest_stands(
    client: RegistryClient, plain: FakeRegistry, headers: dict[str, str], digest: str
) -> None:
    plain.headers = lambda _: headers
    assert client.images(plain).digest("acme/web", "1") == digest
    assert client.images(plain).digest("acme/web", "1") == digest
    assert plain.heads[-1][1] == (304 if "ETag" in headers else 200)


@pytest.mark.parametrize(
    "headers",
    [{}, {"ETag": '"seven"'}, {"Docker-Content-Digest": "sha256:abc"}, {"Docker-Content-Digest": DIGEST.upper()}],
)
def test_a_registry_that_tells_no_digest(client: RegistryClient, plain: FakeRegistry, headers: dict[str, str]) -> None:
    plain.headers = lambda _: headers
    for _ in range(2):
        assert refusal(client.images(plain)) == (
            f"{plain.url}: HEAD {WEB}: the registry tells no digest (no Docker-Content-Digest, nor an ETag that is one)"
        )


def test_single_manifests_count_like_indexes(client: RegistryClient, plain: FakeRegistry) -> None:
    for number, kind in enumerate((*KINDS, MANIFEST)):
        plain.images["acme/kinds", str(number)] = fake_digest(kind)
        plain.types["acme/kinds", str(number)] = kind
        assert client.images(plain).digest("acme/kinds", str(number)) == fake_digest(kind)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(403), "cannot read repository acme/web: the registry refused access (403)"),
        (Answer(400), f"HEAD {WEB}: the registry answered 400 Bad Request"),
        (Answer(304), f"HEAD {WEB}: the registry answered 304 Not Modified"),
        (Answer(404, b"", {"Content-Type": "text/html; charset=utf-8"}), "is this a registry?"),
        (
            Answer(302, b"", {"Location": "http://u:p@127.0.0.1:1/x"}),
            "redirected to http://127.0.0.1:1, which is not foll",
        ),
        (Answer(302), "it is redirected to nowhere, which is not followed"),
    ],
)
def test_other_answers(client: RegistryClient, plain: FakeRegistry, answer: Answer, words: str) -> None:
    plain.faults.append(Fault(("HEAD", ".*"), answer))
    images = client.images(plain)
    assert words in refusal(images)
    assert images.digest("acme/web", "1") == DIGEST


def test_redirects_within_the_registry_are_followed(client: RegistryClient, plain: FakeRegistry) -> None:
    away = Answer(307, b"", {"Location": "/v2/acme/web/manifests/1"})
    plain.faults.append(Fault(("HEAD", ".*/old"), away))
    assert client.images(plain).digest("acme/web", "old") == DIGEST
    plain.faults.append(Fault(("HEAD", ".*"), away, times=9))
    assert "redirected more than 5 times" in refusal(client.images(plain))


@pytest.mark.parametrize("path", [WEB, "/jwt/auth"])
def test_a_broken_server_is_asked_again_and_then_let_be(
    client: RegistryClient, gitlab: FakeRegistry, path: str
) -> None:
    method = "HEAD" if path == WEB else "GET"
    gitlab.faults.append(Fault((method, path), Answer(502), times=4 * FAILURES))
    images = client.images(gitlab, LOGIN)
    said = f"{gitlab.url}: {method} {path}: "
    for _ in range(FAILURES):
        assert refusal(images) == f"{said}the server answered 502 Bad Gateway"
    before = len(gitlab.seen)
    assert "not asked again: the server answered 502 Bad Gateway" in refusal(images)
    assert len(gitlab.seen) == before
    client.now += REST
    assert images.digest("acme/web", "1") == DIGEST


def test_one_failure_says_nothing_of_the_server(client: RegistryClient, plain: FakeRegistry) -> None:
    images = client.images(plain)
    for _ in range(2 * FAILURES):
        plain.faults.append(Fault(("HEAD", ".*/bad"), Answer(500), times=4))
        refusal(images, tag="bad")
        assert images.digest("acme/web", "1") == DIGEST


def test_a_server_that_wants_a_longer_wait_is_not_asked_before(client: RegistryClient, plain: FakeRegistry) -> None:
    client.now = time.time()
    plain.faults.append(Fault(("HEAD", ".*"), Answer(429, None, {"Retry-After": "600"})))
    images = client.images(plain)
    assert "too many requests, it takes the next one at 20" in refusal(images)
    assert "not asked again: too many requests" in refusal(images, "acme/other")
    assert len(plain.seen) == 1
    client.now += 610
    assert images.digest("acme/web", "1") == DIGEST


def test_a_short_wait_is_waited(client: RegistryClient, plain: FakeRegistry) -> None:
    plain.faults.append(Fault(("HEAD", ".*"), Answer(429, None, {"Retry-After": "2"})))
    assert client.images(plain).digest("acme/web", "1") == DIGEST
    assert client.waits == [2.0]


def test_the_rate_limit_counts(client: RegistryClient, plain: FakeRegistry) -> None:
    images = client.images(plain, rate_limit="2/h")
    assert [images.digest("acme/web", "1") for _ in range(2)] == [DIGEST] * 2
    assert "too many requests" in refusal(images)
    assert len(plain.seen) == 2


def test_nobody_listens(client: RegistryClient) -> None:
    with FakeRegistry(OPEN) as gone:
        url = gone.url
    images = client.images(url)
    assert refusal(images) == f"{url}: HEAD {WEB}: Connection refused"


def test_what_cannot_be_asked_for_is_not(client: RegistryClient, plain: FakeRegistry) -> None:
    images = client.images(plain)
    assert f"{plain.url}: image acme/web:feature+x is no tag: " in refusal(images, tag="feature+x")
    assert "image Acme:1 is no name of a repository" in refusal(images, "Acme")
    assert plain.seen == []


def test_a_damaged_cache_is_no_news(client: RegistryClient, plain: FakeRegistry) -> None:
    class Broken:
        def get(self, name: str) -> bytes:
            return b"\xff" if "web" in name else b"\x92\xa3abc\xa3abc"

        def put(self, name: str, data: bytes) -> None:
            del name, data

    plain.images["acme/other", "1"] = DIGEST
    images = registry_images(Instance("images", "registry", plain.url), {}, client.folder, Broken())
    assert isinstance(images, RegistryImages)
    assert (images.digest("acme/web", "1"), images.digest("acme/other", "1")) == (DIGEST, DIGEST)


@pytest.mark.parametrize(
    ("url", "secret", "more", "words"),
    [
        ("quay.io", "", {}, "instance images: url is no address of a registry"),
        ("https://u:p@quay.io", "", {}, "url holds credentials: name them under `token`"),
        ("http://registry.example.com", LOGIN, {}, "its token would be sent without TLS"),
        ("https://quay.io", "", {"token": SecretRef(env="REGISTRY_TOKEN")}, "variable REGISTRY_TOKEN holds no token"),
        ("https://quay.io", "robot:", {}, "REGISTRY_TOKEN is neither user:password nor a token"),
        ("https://quay.io", "", {"rate_limit": "often"}, "rateLimit: 'often' is not a number"),
    ],
)
def test_instances_that_cannot_be_used(
    client: RegistryClient, url: str, secret: str, more: dict[str, Any], words: str
) -> None:
    made = client.made(url, secret, **more)
    assert isinstance(made, Unreachable)
    assert words in made.text


def test_plain_http_without_a_token_may_be_anywhere(client: RegistryClient) -> None:
    assert isinstance(client.made("http://registry.example.com"), RegistryImages)
