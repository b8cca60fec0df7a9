"""The bytes of a statefile in an object store: what comes back, and what is no statefile."""

from __future__ import annotations

import hashlib
import struct
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import WrongUsage
from bot.providers.state.objects_content import LARGEST, Label, pack, refuse_large, unpack

LABEL = Label("0123456789abcdef", "quoted 00112233")
WHERE = "s3://bucket/key"
DOCUMENT = b'{"version": 1, "targets": {' + hashlib.sha256().hexdigest().encode() * 4 + b"}}"


@given(st.binary(max_size=2000), st.text(max_size=40), st.text(max_size=40))
def test_what_is_packed_comes_back(document: bytes, writer: str, conditions: str) -> None:
    label = Label(writer, conditions)
    assert unpack(pack(document, label), WHERE) == (document, label)


def test_two_writes_never_make_the_same_bytes() -> None:
    assert pack(b"{}", Label("a", "")) != pack(b"{}", Label("b", ""))


@given(st.data())
def test_a_changed_byte_or_a_cut_is_never_taken_for_the_document(data: st.DataObject) -> None:
    whole = pack(DOCUMENT, LABEL)
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    broken = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with suppress(WrongUsage):
        assert unpack(broken, WHERE)[0] == DOCUMENT, "what is broken is the label or the checksum alone"


@pytest.mark.parametrize("label", [b"", b"[]", b"{}", b"\xff", b'{"writer": 1}', b"x" * 5000])
def test_a_label_that_makes_no_sense_is_left_out(label: bytes) -> None:
    packed = zstandard.ZstdCompressor().compress(b"{}")
    content = struct.pack("<II", 0x184D2A5B, len(label)) + label + packed
    assert unpack(content, WHERE) == (b"{}", Label())


def test_what_people_compress_by_hand_is_read() -> None:
    compressor = zstandard.ZstdCompressor().compressobj()  # as in a pipe: it does not say how large it will be
    piped = compressor.compress(b'{"n": 1}') + compressor.flush()
    assert unpack(piped, WHERE) == (b'{"n": 1}', Label())
    assert unpack(piped + piped, WHERE) == (b'{"n": 1}' * 2, Label())


@pytest.mark.parametrize("told", [True, False])
def test_a_bomb_is_refused_before_it_goes_off(told: bool) -> None:
    compressor = zstandard.ZstdCompressor(level=1)
    size = LARGEST + 1
    streamed = compressor.compressobj(size=size if told else -1)
    bomb = b"".join(streamed.compress(bytes(min(1 << 24, size - at))) for at in range(0, size, 1 << 24))
    bomb += streamed.flush()
    assert len(bomb) < 100_000
    with pytest.raises(WrongUsage, match="s3://bucket/key: this is no statefile: more than 256 MiB"):
        unpack(bomb, WHERE)


def test_a_window_that_takes_too_much_memory_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=29, format=zstandard.FORMAT_ZSTD1)
    streamed = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    with pytest.raises(WrongUsage, match="cut off or damaged"):
        unpack(streamed.compress(b"{}") + streamed.flush(), WHERE)


def test_a_large_object_is_not_even_loaded() -> None:
    refuse_large(LARGEST, WHERE)
    with pytest.raises(WrongUsage, match="more than 256 MiB"):
        refuse_large(LARGEST + 1, WHERE)
