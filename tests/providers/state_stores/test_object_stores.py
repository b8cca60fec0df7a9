"""The statefile in each object store: read, create, replace, and the writes that must be refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import zstandard
from worlds.object_stores import Store

from bot.errors import ServerUnreachable, WrongUsage
from bot.ports import Refused

STORES = ("moto", "ministack", "azurite", "google")
DOCUMENT = b'{"version": 1}\n'


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Store)
    return found


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_it_is_swapped_by_its_etag(store: Store, tmp_path: Path) -> None:
    first, second = store.state(key := f"{tmp_path.name}/state"), store.state(key)
    assert first.read() is None
    etag = first.write(DOCUMENT, "")
    assert isinstance(etag, str)
    assert second.read() == (DOCUMENT, etag)
    assert second.write(DOCUMENT, "") == Refused(f"another writer changed {where(store, key)} since it was read")
    newer = second.write(DOCUMENT, etag)
    assert isinstance(newer, str)
    assert newer != etag, "the same content, but another write"
    assert isinstance(first.write(b'{"version": 2}', etag), Refused)
    assert first.read() == (DOCUMENT, newer)
    assert isinstance(first.write(b'{"version": 2}', newer), str)


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_missing_bucket_is_told_in_one_line(store: Store) -> None:
    with pytest.raises(ServerUnreachable) as caught:
        store.state(bucket="nowhere").read()
    text = caught.value.message
    assert text.startswith(f"{store.scheme}://nowhere/team/state.json.zst at {store.url}: cannot read the state:")
    assert "there is no such bucket (404 " in text
    assert "\n" not in text
    assert "RequestId" not in text
    assert "make the bucket first" in caught.value.hint
    with pytest.raises(ServerUnreachable, match="there is no such bucket"):
        store.state(bucket="nowhere").write(DOCUMENT, "")


@pytest.mark.parametrize("store", [name for name in STORES if name != "google"], indirect=True)
def test_nothing_of_the_probe_is_left(store: Store, tmp_path: Path) -> None:
    assert isinstance(store.state(f"{tmp_path.name}/s").write(DOCUMENT, ""), str)
    assert [each["path"] for page in store.client().list(tmp_path.name) for each in page] == [f"{tmp_path.name}/s"]


@pytest.mark.parametrize("name", ["a", "Zusatz äöü/%41 b+c.json", "x=1&y?#z", "quo'te\"s"])
def test_any_name_may_be_the_key(moto: Store, name: str, tmp_path: Path) -> None:
    state = moto.state(f"{tmp_path.name}/{name}")
    etag = state.write(DOCUMENT, "")
    assert state.read() == (DOCUMENT, etag)


def test_what_is_stored_opens_with_the_tools_of_zstd(moto: Store, tmp_path: Path) -> None:
    moto.state(key := f"{tmp_path.name}/state").write(DOCUMENT * 100, "")
    stored = moto.content(key)
    assert len(stored) < len(DOCUMENT * 100)
    opened = zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True).read()
    assert opened == DOCUMENT * 100
    told = subprocess.run(("zstd", "--decompress", "--stdout"), input=stored, capture_output=True, check=True)
    assert told.stdout == opened


def test_a_document_put_there_by_hand_is_read_and_replaced(moto: Store, tmp_path: Path) -> None:
    for number, content in enumerate((b'\n {"by": "hand"}', b'\xef\xbb\xbf{"by": "hand"}')):
        moto.client().put(key := f"{tmp_path.name}/{number}", content)
        state = moto.state(key)
        found = state.read()
        assert found is not None
        assert found[0].strip() == b'{"by": "hand"}'
        assert isinstance(state.write(DOCUMENT, found[1]), str)


@pytest.mark.parametrize("content", [b"", b"\x89PNG and so on", b"[]", b"<html></html>", b"\x28\xb5\x2f\xfd broken"])
def test_foreign_content_is_neither_read_nor_replaced(moto: Store, content: bytes, tmp_path: Path) -> None:
    moto.client().put(key := f"{tmp_path.name}/foreign", content)
    state = moto.state(key)
    with pytest.raises(WrongUsage, match=f"s3://states/{key} at .*: (this is no statefile|the statefile is cut off)"):
        state.read()
    with pytest.raises(WrongUsage, match="statefile"):
        state.write(DOCUMENT, "")
    assert moto.content(key) == content


def where(store: Store, key: str) -> str:
    """How messages name an object."""
    return f"{store.scheme}://states/{key} at {store.url}"
