"""The hidden marker of a sticky comment: an HTML comment with data, signed where a key is configured.

A comment is the bot's only by its author's id *and* this marker; a marker with a wrong or missing signature is as good
as none (DESIGN section 6).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

# The URL-safe alphabet, but with a dot in place of the hyphen: no `-->` can arise, nor the `--` that older Markdown
# readers do not allow inside a comment.
_ALTERNATIVES = b"._"
_MARKER = re.compile(r"<!-- saasbot:([a-z_]+) ([A-Za-z0-9._=]+) ([0-9a-f]{64}|unsigned) -->")


def mark(kind: str, data: Mapping[str, Any], key: bytes | None) -> str:
    """Write a marker around JSON data, signed with HMAC-SHA256 if there is a key; `kind` is of `a` to `z` and `_`."""
    payload = base64.b64encode(_canonical(data), _ALTERNATIVES).decode()
    return f"<!-- saasbot:{kind} {payload} {_signature(kind, payload, key)} -->"


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


def _signature(kind: str, payload: str, key: bytes | None) -> str:
    if key is None:
        return "unsigned"
    return hmac.new(key, f"{kind}\n{payload}".encode(), hashlib.sha256).hexdigest()


def _canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _data(payload: str) -> Mapping[str, Any] | None:
    try:
        data = json.loads(base64.b64decode(payload, _ALTERNATIVES, validate=True))
    except (binascii.Error, ValueError):
        return None
    return data if isinstance(data, dict) else None
