"""Signing in at registries of each kind: a token a repository, one at a time, and a no that says what to look at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from worlds.fake_http import Answer, Fault
from worlds.fake_registry import GHCR, GITLAB, HUB, OPEN, PLAIN, QUAY, FakeRegistry, Kind, fake_digest
from worlds.registry_world import DIGEST, LOGIN, PASSWORD, RegistryClient, filled, refusal

from bot.model.servers import SecretRef
from bot.providers.secrets import redact


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


def test_a_missing_repository_may_be_refused(client: RegistryClient, registry: FakeRegistry) -> None:
    images = client.images(registry, LOGIN)
    if not registry.kind.token_path:
        assert images.digest("acme/none", "1") == ""
        return
    message = refusal(images, "acme/none")
    assert message.startswith(f"{registry.url}: cannot read repository acme/none: ")
    assert "check the environment variable REGISTRY_TOKEN or check the repository's name" in message
    assert "some registries refuse what is not there" in message
    assert len(registry.logins) == 1
    assert len(registry.heads) == (1 if registry.kind is GHCR else 2)


@pytest.mark.parametrize("kind", [HUB, GITLAB, QUAY, GHCR], ids=["hub", "gitlab", "quay", "ghcr"])
def test_public_images_need_no_credentials(client: RegistryClient, kind: Kind) -> None:
    with filled(kind) as registry:
        registry.images["acme/hidden", "1"] = DIGEST
        registry.private.add("acme/hidden")
        images = client.images(registry)
        assert images.digest("acme/web", "1") == DIGEST
        assert "give the instance a token" in refusal(images, "acme/hidden")
        assert client.images(registry, LOGIN).digest("acme/hidden", "1") == DIGEST
        assert ["authorization" in request.headers for request in registry.logins] == [False, False, True]


@pytest.mark.parametrize("kind", [HUB, GITLAB, PLAIN], ids=["hub", "gitlab", "plain"])
def test_a_wrong_password_is_refused_once(client: RegistryClient, kind: Kind) -> None:
    with filled(kind) as registry:
        images = client.images(registry, "robot:something-else")
        for requests in (2, 3):
            message = refusal(images)
            assert "cannot read repository acme/web" in message
            assert ("incorrect username or password" in message) == bool(kind.token_path)
            assert len(registry.seen) == requests


def test_a_plain_registry_without_a_token(client: RegistryClient) -> None:
    with filled(PLAIN) as registry:
        assert "the registry wants a login; give the instance a token" in refusal(client.images(registry))


def test_others_know_of_the_login_from_the_first(client: RegistryClient, registry: FakeRegistry) -> None:
    names = [f"acme/app-{number}" for number in range(24)]
    registry.images.update({(name, "1"): fake_digest(name) for name in names})
    images = client.images(registry, LOGIN)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: images.digest(name, "1"), names))
    assert found == [fake_digest(name) for name in names]
    refused = [status for _, status in registry.heads].count(401)
    assert (refused, len(registry.heads)) == (int(registry.kind is not OPEN), len(names) + refused)
    assert len(registry.logins) == (len(names) if registry.kind.token_path else 0)


def test_sixteen_threads_ask_for_one_token(client: RegistryClient, gitlab: FakeRegistry) -> None:
    gitlab.images.update({("acme/web", str(number)): fake_digest(str(number)) for number in range(32)})
    images = client.images(gitlab, LOGIN)
    for _ in range(2):
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(lambda number: images.digest("acme/web", str(number)), range(32)))
        gitlab.tokens.clear()  # the second time it was revoked
    assert len(gitlab.logins) == 2


@pytest.mark.parametrize("broken", [False, True])
def test_sixteen_threads_share_one_refusal(client: RegistryClient, gitlab: FakeRegistry, broken: bool) -> None:
    images = client.images(gitlab, LOGIN)
    assert images.digest("acme/web", "1")
    client.now += 1000
    gitlab.accounts["robot"] = "another"
    gitlab.faults.append(Fault(("GET", "/jwt/auth"), 0.3))
    if broken:
        gitlab.sign, gitlab.accounts["robot"] = lambda _: "two words", PASSWORD
    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda tag: refusal(images, tag=str(tag)), range(16)))
    assert len(set(said)) == 1
    assert len(gitlab.logins) <= 3, "late ones may try for themselves"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"expires_in": 300}, 285),
        ({}, 45),
        ({"expires_in": 20}, 15),
        ({"expires_in": "soon"}, 45),
        ({"expires_in": -5, "issued_at": "never"}, 45),
        ({"expires_in": 300, "issued_at": "2037-01-01T00:00:00.123456789Z"}, 285),
    ],
)
def test_a_token_is_used_until_shortly_before_its_end(
    client: RegistryClient, gitlab: FakeRegistry, said: dict[str, object], seconds: int
) -> None:
    gitlab.lifetime = said
    images = client.images(gitlab, LOGIN)
    for step, logins in ((0.0, 1), (seconds - 0.5, 1), (1.0, 2)):
        client.now += step
        assert images.digest("acme/web", "1") == DIGEST
        assert len(gitlab.logins) == logins
    assert [status for _, status in gitlab.heads].count(401) == 1, "the end of a token is no news"


def test_the_age_of_a_token_is_told_by_its_servers_clock(client: RegistryClient, gitlab: FakeRegistry) -> None:
    gitlab.lifetime = {
        "expires_in": 300,
        "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 200)),
    }
    images = client.images(gitlab, LOGIN)
    for step, logins in ((0.0, 1), (80.0, 1), (10.0, 2)):
        client.now += step
        assert images.digest("acme/web", "1") == DIGEST
        assert len(gitlab.logins) == logins


def test_a_token_that_ended_early_is_renewed(client: RegistryClient, gitlab: FakeRegistry) -> None:
    images = client.images(gitlab, LOGIN)
    assert images.digest("acme/web", "1") == DIGEST
    gitlab.tokens.clear()
    assert images.digest("acme/web", "1") == DIGEST
    assert [status for _, status in gitlab.heads] == [401, 200, 401, 304]


@pytest.mark.parametrize(
    ("env", "secret", "user"),
    [
        ("REGISTRY_TOKEN", "open-sesame", "token"),
        ("CI_JOB_TOKEN", "open-sesame", "gitlab-ci-token"),
        ("REGISTRY_TOKEN", "acme+bot:open-sesame", "acme+bot"),
        ("REGISTRY_TOKEN", "ünï:open:sesame", "ünï"),
    ],
)
def test_who_signs_in(client: RegistryClient, gitlab: FakeRegistry, env: str, secret: str, user: str) -> None:
    gitlab.accounts = {user: secret.removeprefix(f"{user}:")}
    gitlab.private.add("acme/web")
    images = client.images(gitlab, secret, token=SecretRef(env=env))
    assert images.digest("acme/web", "1") == DIGEST
    encoded = gitlab.logins[0].headers["authorization"].removeprefix("Basic ")
    assert redact(f"{encoded} {secret}") == "[secret] [secret]"


def test_a_token_may_be_all_that_is_wanted(client: RegistryClient) -> None:
    with filled(HUB) as registry:
        registry.challenges = ["Bearer"]
        registry.tokens["open-sesame"] = frozenset({"acme/web"})
        assert client.images(registry, "open-sesame").digest("acme/web", "1") == DIGEST
        assert "wants a login by bearer, which is not known here" in refusal(client.images(registry, LOGIN))
        assert registry.logins == []


BEARER = 'Bearer realm="{realm}",service="{service}",scope="{scope}"'


@pytest.mark.parametrize(
    "said",
    [
        ['Basic realm="a, b"', BEARER],
        [f'Negotiate, Basic realm="x", {BEARER}'],
        [BEARER.replace("Bearer", "bEARER"), 'Basic realm="x"'],
        ["Digest nonce=abc", 'Bearer realm="{realm}",service="{service}"'],
    ],
)
def test_a_token_is_preferred_among_several_challenges(
    client: RegistryClient, gitlab: FakeRegistry, said: list[str]
) -> None:
    gitlab.challenges = said
    assert client.images(gitlab, LOGIN).digest("acme/web", "1") == DIGEST
    assert gitlab.logins[0].get("scope") == "repository:acme/web:pull"


@pytest.mark.parametrize(
    ("scope", "logins"),
    [
        ("{scope},push", ["repository:acme/web:pull,push", "repository:acme/other:pull,push"]),
        ("*", ["*"]),
    ],
)
def test_the_scopes_of_others_are_foreseen(
    client: RegistryClient, gitlab: FakeRegistry, scope: str, logins: list[str]
) -> None:
    gitlab.images["acme/other", "1"] = DIGEST
    gitlab.challenges = [BEARER.replace("{scope}", scope)]
    images = client.images(gitlab, LOGIN)
    assert [images.digest(name, "1") for name in ("acme/web", "acme/other")] == [DIGEST, DIGEST]
    assert [request.get("scope") for request in gitlab.logins] == logins
    assert [status for _, status in gitlab.heads] == [401, 200, 200]


def test_a_scope_that_says_nothing_of_others(client: RegistryClient, gitlab: FakeRegistry) -> None:
    gitlab.challenges = [BEARER.replace("{scope}", "repository:acme/web:pull")]
    images = client.images(gitlab, LOGIN)
    assert "the registry refused access" in refusal(images, "acme/other")
    assert images.digest("acme/web", "1") == DIGEST
    assert [status for _, status in gitlab.heads] == [401, 401, 401, 200]
    assert len(gitlab.logins) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["Negotiate", 'Digest realm="x"'], "wants a login by negotiate, digest, which is not known here"),
        ([""], "wants a login by no way that is named"),
        (['Bearer realm="/token"'], "names no address for the login, and nothing secret may be sent there"),
        (['Bearer realm="http://localhost:1/token"'], "names http://localhost:1 for the login"),
        (['Bearer realm="https://auth.example.com/token"'], "names https://auth.example.com for the login"),
    ],
)
def test_a_login_that_cannot_be(client: RegistryClient, gitlab: FakeRegistry, said: list[str], words: str) -> None:
    gitlab.challenges = said
    assert words in refusal(client.images(gitlab, LOGIN))
    assert len(gitlab.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}),
        Answer(200, []),
        Answer(200, b"<html>"),
        Answer(200, {"token": "two\nlines"}),
        Answer(200, {"token": 5}),
        Answer(404, {"token": "x"}),
        Answer(302, b"", {"Location": "http://127.0.0.1:1/"}),
    ],
)
def test_an_answer_without_a_token(client: RegistryClient, gitlab: FakeRegistry, answer: Answer) -> None:
    gitlab.faults.append(Fault(("GET", "/jwt/auth"), answer))
    message = refusal(client.images(gitlab, LOGIN))
    assert message == f"{gitlab.url}: GET /jwt/auth: there is no token in the answer ({answer.status})"


def test_nothing_secret_is_kept(client: RegistryClient, gitlab: FakeRegistry) -> None:
    assert client.images(gitlab, LOGIN).digest("acme/web", "1") == DIGEST
    stored = b"".join(path.read_bytes() for path in (client.folder / "cache").rglob("*") if path.is_file())
    assert DIGEST.encode() in stored
    assert all(secret not in stored for secret in (PASSWORD.encode(), b"bearer-", b"Basic"))
