"""What a statefile is in an object store: a label, then the JSON document compressed with zstd.

The label is a skippable frame (RFC 8878, section 3.1.2): zstd's own tools pass over it, and no store or copy can drop
it as they drop metadata. It says who wrote the object and what is known of the store. Since its writer is random, two
writes never make the same bytes, nor the same ETag where that is a hash of them.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass

import zstandard

from bot.errors import WrongUsage

LARGEST = 256 * 1024 * 1024
"""Bytes of a document; a larger one is refused, compressed or not. A target takes about 900 (docs/benchmarks.md)."""

_SKIPPABLE = 0x184D2A5B
"""One of the sixteen magic numbers that RFC 8878 leaves to users."""

_LEVEL = 6
_WINDOW = 1 << 27  # bytes; what zstd's own tools accept without being asked
_LONGEST_LABEL = 1024
_HEAD = struct.Struct("<II")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Label:
    """`writer` is the id of one write, random; `conditions` is what `objects_probe` found; empty where unknown."""

    writer: str = ""
    conditions: str = ""


def pack(document: bytes, label: Label) -> bytes:
    """The object's bytes."""
    told = json.dumps(asdict(label)).encode()
    packed = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(document)
    return _HEAD.pack(_SKIPPABLE, len(told)) + told + packed


def unpack(content: bytes, where: str) -> tuple[bytes, Label]:
    """The document and its label. A plain JSON object, as put there by hand, is taken as it is.

    Raises WrongUsage for what is neither, is damaged, or is larger than `LARGEST`.
    """
    label, packed = _labelled(content)
    if packed.startswith(zstandard.FRAME_HEADER):
        return _decompressed(packed, where), label
    if content.removeprefix(_BOM).lstrip().startswith(b"{"):
        return content.removeprefix(_BOM), Label()
    raise WrongUsage(
        f"{where}: this is no statefile: neither JSON nor compressed with zstd",
        hint="check the key in state.url; saasbot takes no object over that it did not write",
    )


def refuse_large(size: int, where: str) -> None:
    """Raise WrongUsage for an object of that many bytes, before it is loaded."""
    if size > LARGEST:
        raise WrongUsage(
            f"{where}: this is no statefile: more than {LARGEST >> 20} MiB", hint="check the key in state.url"
        )


def _labelled(content: bytes) -> tuple[Label, bytes]:
    """The label, empty where there is none or it makes no sense, and the bytes after it."""
    if len(content) < _HEAD.size:
        return Label(), content
    magic, size = _HEAD.unpack_from(content)
    if magic != _SKIPPABLE:
        return Label(), content
    told, rest = content[_HEAD.size : _HEAD.size + size], content[_HEAD.size + size :]
    try:
        found = json.loads(told[:_LONGEST_LABEL])
        return Label(str(found["writer"]), str(found["conditions"])), rest
    except (ValueError, KeyError, TypeError):
        return Label(), rest


def _decompressed(packed: bytes, where: str) -> bytes:
    """The document; never more than `LARGEST` bytes of it are made."""
    damaged = WrongUsage(f"{where}: the statefile is cut off or damaged", hint="put the last good copy in its place")
    try:
        promised = zstandard.frame_content_size(packed)  # -1 where whoever wrote it did not know
        refuse_large(promised, where)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        document = decompressor.stream_reader(packed, read_across_frames=True).read(LARGEST + 1)
    except zstandard.ZstdError as error:
        raise damaged from error
    refuse_large(len(document), where)
    if len(document) < promised:
        raise damaged
    return document
