"""Markers: what was marked is read back, and nothing else is."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.render.marker import LARGEST, mark, plain, read

KEYS = st.none() | st.binary(min_size=1, max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DATA = st.dictionaries(st.text(), JSON, max_size=4)


@settings(max_examples=100, deadline=None)
@given(DATA, KEYS, st.text(), st.text())
def test_what_was_marked_is_read_back(data: dict[str, Any], key: bytes | None, before: str, after: str) -> None:
    text = mark("report", data, key)
    assert re.fullmatch(r"<!-- [^<>-]+ -->", text)
    assert read(before + text + after, "report", key) == data
    assert read(text, "other", key) is None


@settings(max_examples=50, deadline=None)
@given(DATA, KEYS, KEYS)
def test_only_the_right_key_opens_it(data: dict[str, Any], key: bytes | None, other: bytes | None) -> None:
    assert read(mark("report", data, key), "report", other) == (data if key == other else None)


@pytest.mark.parametrize(
    "payload", [b"[1]", b"not json", b"\xff", b'"text"'], ids=["a list", "no json", "no text", "a string"]
)
def test_payloads_that_are_no_object_are_none(payload: bytes) -> None:
    encoded = base64.b64encode(payload, b"._").decode()
    assert read(f"<!-- saasbot:report {encoded} unsigned -->", "report", None) is None
    assert read("<!-- saasbot:report abcde unsigned -->", "report", None) is None
    good = mark("report", {"a": 1}, None)
    assert read(f"<!-- saasbot:report {encoded} unsigned -->{good}", "report", None) == {"a": 1}


def test_a_changed_payload_is_refused() -> None:
    signed = mark("report", {"a": 1}, b"key")
    forged = signed.replace(signed.split()[2], mark("report", {"a": 2}, None).split()[2])
    assert read(signed, "report", b"key") == {"a": 1}
    assert read(forged, "report", b"key") is None
    assert read("", "report", b"key") is None


def test_long_data_is_compressed_and_what_older_releases_wrote_is_read() -> None:
    data = {"targets": [f"customer-orders/{n}" for n in range(500)]}
    written, old = mark("report", data, None), plain("report", data)
    assert len(written) < len(old) / 3
    assert read(written, "report", None) == read(old, "report", None) == data
    assert plain("report", dict(reversed([*{"a": 1, "b": 2}.items()]))) == plain("report", {"a": 1, "b": 2})


def packed(data: bytes) -> str:
    return f"<!-- saasbot:report ={base64.b64encode(data, b'._').decode()} unsigned -->"


@pytest.mark.parametrize(
    "payload",
    [
        b"nothing of zlib",
        zlib.compress(json.dumps({"a": "x" * 100}).encode())[:-5],
        zlib.compress(b"{}") + b"more",
        zlib.compress(json.dumps({"a": "x" * LARGEST}).encode()),
        zlib.compress(b"[" * 100_000),
    ],
    ids=["other", "cut off", "more", "too large", "too deep"],
)
def test_what_cannot_be_unpacked_is_none(payload: bytes) -> None:
    assert read(packed(payload), "report", None) is None
    assert read(packed(zlib.compress(b'{"a":1}')), "report", None) == {"a": 1}
