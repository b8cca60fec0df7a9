"""The cache, where losing anything is safe, and secrets, which leave every text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.model.servers import SecretRef
from bot.providers.cache import FolderCache, cache_root, locked
from bot.providers.secrets import MASK, read_secret, redact


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300), st.binary(max_size=300))
def test_what_is_put_is_got(tmp_path: Path, name: str, data: bytes) -> None:
    FolderCache(tmp_path / "c").put(name, data)
    assert FolderCache(tmp_path / "c").get(name) == data
    assert FolderCache(tmp_path / "c").get(f"{name}!") is None


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 40])
def test_what_is_damaged_is_a_miss(tmp_path: Path, damage: bytes) -> None:
    cache = FolderCache(tmp_path)
    cache.put("a", b"data")
    for entry in (tmp_path / "entries").iterdir():
        entry.write_bytes(damage)
    assert cache.get("a") is None
    cache.put("a", b"again")
    assert cache.get("a") == b"again"


def test_a_cache_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = FolderCache(tmp_path / "file" / "cache")
    cache.put("a", b"data")
    assert cache.get("a") is None
    spare = cache.folder("clone")
    assert spare.is_dir()
    assert spare == cache.folder("clone")
    assert tmp_path not in spare.parents


def test_an_entry_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    cache = FolderCache(tmp_path)
    cache.put("a", b"data")
    entry = next((tmp_path / "entries").iterdir())
    entry.unlink()
    entry.mkdir()
    cache.put("a", b"data")
    assert cache.get("a") is None
    assert [*(tmp_path / "entries").iterdir()] == [entry]


def test_names_that_look_alike_are_kept_apart(tmp_path: Path) -> None:
    cache = FolderCache(tmp_path)
    assert len({cache.folder(name) for name in ("a/b", "a-b", "A-b", "../a/b")}) == 4
    assert all(tmp_path in cache.folder(name).parents for name in ("../..", "/etc", ""))


def test_writers_at_once_leave_one_of_their_values(tmp_path: Path) -> None:
    cache = FolderCache(tmp_path)
    values = [bytes([number]) * 10_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda value: cache.put("a", value), values))
    assert cache.get("a") in values


def test_a_lock_admits_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []

    def enter(number: int) -> bool:
        with locked(tmp_path / "clone"):
            inside.append(number)
            alone = inside == [number]
            inside.remove(number)
        return alone

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(enter, range(64)))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SAASBOT_CACHE_DIR": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/saasbot"),
    ],
)
def test_where_the_cache_is(environ: dict[str, str], expected: str) -> None:
    assert cache_root(environ) == Path(expected)


def test_without_a_word_it_is_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    assert cache_root({}) == cache_root({"XDG_CACHE_HOME": "relative"}) == Path("/home/alice/.cache/saasbot")
    monkeypatch.setenv("HOME", "relative")
    assert cache_root({}) == Path("/dev/null/saasbot")


def test_a_secret_is_read_and_taken_out_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"file-secret/1\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert read_secret(SecretRef(env="TOKEN"), environ={"TOKEN": " env-secret-1 "}) == "env-secret-1"
    assert read_secret(SecretRef(file="token"), tmp_path) == "file-secret/1"
    assert read_secret(SecretRef(file=str(tmp_path / "token"))) == "file-secret/1"
    assert redact("a env-secret-1 b file-secret/1 c file-secret%2F1") == f"a {MASK} b {MASK} c {MASK}"
    for nothing in (None, SecretRef(), SecretRef(env="NO_SUCH"), SecretRef(file="none"), SecretRef(file="binary")):
        assert read_secret(nothing, tmp_path, {}) is None


def test_a_short_value_is_left_in_texts() -> None:
    assert read_secret(SecretRef(env="TOKEN"), environ={"TOKEN": "main"}) == "main"
    assert redact("the main branch") == "the main branch"
