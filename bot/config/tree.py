"""Which files of a tree may be data, and their git blob ids."""

from __future__ import annotations

import hashlib


def is_yaml(path: str) -> bool:
    """Whether a file is YAML by its name; a name that is no text cannot be referred to, and is left alone."""
    return path.endswith((".yml", ".yaml")) and not any("\ud800" <= char <= "\udfff" for char in path)


def blob_id(content: bytes) -> str:
    """Return the id that git gives this content (SHA-1 object format)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
