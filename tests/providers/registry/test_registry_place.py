"""Where a registry is, what its images are called, and whom credentials may be shown to."""

from __future__ import annotations

import pytest

from bot.providers.sources.registry_place import HUB, NotAPlace, Place, on_this_machine, place


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://docker.io", Place(HUB)),
        ("https://registry-1.docker.io/", Place(HUB)),
        ("https://index.docker.io/v1/", Place(HUB)),
        ("https://hub.docker.com/acme", Place(HUB, "acme/")),
        ("https://quay.io/acme", Place("https://quay.io", "acme/")),
        ("https://GHCR.io//acme/team/", Place("https://ghcr.io", "acme/team/")),
        ("https://registry.example.com:5000/v2/", Place("https://registry.example.com:5000")),
        ("http://127.0.0.1:5000", Place("http://127.0.0.1:5000")),
    ],
)
def test_places(url: str, expected: Place) -> None:
    assert place(url) == expected


@pytest.mark.parametrize("url", ["quay.io", "ftp://quay.io", "https://", "https://[", "https://a:99999", "oci://x/y"])
def test_no_places(url: str) -> None:
    with pytest.raises(NotAPlace, match="is no address"):
        place(url)


def test_credentials_do_not_stand_in_an_address() -> None:
    with pytest.raises(NotAPlace, match="holds credentials"):
        place("https://user:open-sesame@quay.io")


@pytest.mark.parametrize(
    ("url", "repository", "name"),
    [
        (HUB, "nginx", "library/nginx"),
        (HUB, "acme/web", "acme/web"),
        ("https://hub.docker.com/acme", "web", "acme/web"),
        ("https://quay.io", "nginx", "nginx"),
        ("https://quay.io/acme", "web", "acme/web"),
        ("https://registry.example.com", "/group/sub.group/a--b__c/", "group/sub.group/a--b__c"),
    ],
)
def test_names(url: str, repository: str, name: str) -> None:
    assert place(url).name(repository) == name


@pytest.mark.parametrize(
    "repository", ["", "Acme/web", "acme//web", "acme/../web", "acme/web?n=1", "acme/web:1", "-a", "a/" * 200 + "a"]
)
def test_no_names(repository: str) -> None:
    with pytest.raises(NotAPlace, match="is no name"):
        place("https://quay.io").name(repository)


@pytest.mark.parametrize(("url", "host"), [("https://quay.io", "quay.io"), (HUB, "docker.io")])
def test_the_host_is_not_part_of_a_name(url: str, host: str) -> None:
    with pytest.raises(NotAPlace, match="write acme/web"):
        place(url).name(f"{host}/acme/web")


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a/b", "a+b", "a" * 129, "sha256:abc", "a b"])
def test_no_tags(tag: str) -> None:
    with pytest.raises(NotAPlace, match="is no tag"):
        place("https://quay.io").manifest("acme/web", tag)


SECURE, PLAIN = Place("https://registry.example.com"), Place("http://127.0.0.1:5000")


@pytest.mark.parametrize(
    ("registry", "realm", "anonymously", "with_credentials"),
    [
        (SECURE, "https://auth.example.com/token", True, True),
        (SECURE, "https://registry.example.com/v2/auth", True, True),
        (SECURE, "http://registry.example.com/v2/auth", False, False),
        (SECURE, "http://auth.example.com/token", False, False),
        (PLAIN, "http://127.0.0.1:3000/jwt/auth", True, True),
        (PLAIN, "http://auth.example.com/token", True, False),
        (PLAIN, "https://auth.example.com/token", True, False),
        (PLAIN, "/token", False, False),
        (SECURE, "https://[", False, False),
    ],
)
def test_whom_credentials_are_shown_to(registry: Place, realm: str, anonymously: bool, with_credentials: bool) -> None:
    assert registry.trusts(realm, credentials=False) is anonymously
    assert registry.trusts(realm, credentials=True) is with_credentials


@pytest.mark.parametrize(
    ("at", "location", "to"),
    [
        ("https://a.example/v2/x", "/v2/y", "https://a.example/v2/y"),
        ("https://a.example/v2/x", "https://b.example/v2/y", "https://b.example/v2/y"),
        ("https://a.example/v2/x", "http://a.example/v2/x", ""),
        ("https://a.example/v2/x", "file:///etc/passwd", ""),
        ("http://127.0.0.1:5000/v2/x", "http://127.0.0.1:5000/v2/y", "http://127.0.0.1:5000/v2/y"),
        ("http://127.0.0.1:5000/v2/x", "http://127.0.0.1:6000/v2/y", ""),
    ],
)
def test_redirects(at: str, location: str, to: str) -> None:
    assert SECURE.follows(at, location) == to


def test_this_machine() -> None:
    assert [on_this_machine(f"http://{host}:1") for host in ("127.0.0.9", "[::1]", "localhost")] == [True] * 3
    assert not on_this_machine("http://localhost.example.com")
    assert not on_this_machine("http://10.0.0.1")
