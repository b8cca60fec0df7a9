"""The hidden marker of a sticky comment: an HTML comment with data, signed where a key is configured.

A comment is the bot's only by its author's id *and* this marker; a marker with a wrong or missing signature is as good
as none (DESIGN section 6).

The data is JSON in base64. Longer data is compressed; its payload begins with a sign that no base64 begins with. Two
versions of the compressor write different bytes for the same data: data is compared by `plain`, never by a marker.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

# The URL-safe alphabet, but with a dot in place of the hyphen: no `-->` can arise, nor the `--` that older Markdown
# readers do not allow inside a comment.
_ALTERNATIVES = b"._"
_PACKED = "="
_LEVEL = 9
LARGEST = 1_000_000
"""Bytes of JSON that are read at most; a small payload may say that it is a large one."""

_MARKER = re.compile(r"<!-- saasbot:([a-z_]+) ([A-Za-z0-9._=]+) ([0-9a-f]{64}|unsigned) -->")


def mark(kind: str, data: Mapping[str, Any], key: bytes | None) -> str:
    """Write a marker around JSON data, signed with HMAC-SHA256 if there is a key; `kind` is of `a` to `z` and `_`."""
    canonical = _canonical(data)
    payload, packed = _base64(canonical), _PACKED + _base64(zlib.compress(canonical, _LEVEL))
    return _around(kind, min(payload, packed, key=len), key)


def plain(kind: str, data: Mapping[str, Any]) -> str:
    """A text that is the same for the same data, in every release and with every compressor."""
    return _around(kind, _base64(_canonical(data)), None)


def read(body: str, kind: str, key: bytes | None) -> Mapping[str, Any] | None:
    """Read the first valid marker of `kind` in a comment, or None.

    With a key only a right signature is valid; without one only an unsigned marker, as a signature that cannot be
    checked says nothing.
    """
    for match in _MARKER.finditer(body):
        found, payload, signature = match.groups()
        if found == kind and hmac.compare_digest(signature, _signature(kind, payload, key)):
            data = _data(payload)
            if data is not None:
                return data
    return None


def _around(kind: str, payload: str, key: bytes | None) -> str:
    return f"<!-- saasbot:{kind} {payload} {_signature(kind, payload, key)} -->"


def _signature(kind: str, payload: str, key: bytes | None) -> str:
    if key is None:
        return "unsigned"
    return hmac.new(key, f"{kind}\n{payload}".encode(), hashlib.sha256).hexdigest()


def _canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data, _ALTERNATIVES).decode()


def _data(payload: str) -> Mapping[str, Any] | None:
    try:
        written = base64.b64decode(payload.removeprefix(_PACKED), _ALTERNATIVES, validate=True)
        data = json.loads(_unpacked(written) if payload.startswith(_PACKED) else written)
    except (zlib.error, ValueError, RecursionError):  # of which base64's own is a kind
        return None
    return data if isinstance(data, dict) else None


def _unpacked(written: bytes) -> bytes:
    """The whole of what was compressed; raises ValueError where it is too large or cut off."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(written, LARGEST)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("too large, cut off, or more than one")
    return data
