"""Secrets: read from the environment or a file when needed, kept only to be taken out of texts again."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from bot.model.desired import SecretRef

SHORTEST = 6
"""Characters; a shorter value is not looked for in texts, it would blot out ordinary words."""

MASK = "[secret]"

_known: set[str] = set()
_lock = threading.Lock()


def read_secret(
    ref: SecretRef | None, base: Path | None = None, environ: Mapping[str, str] | None = None
) -> str | None:
    """The secret's value without surrounding white space, or None where there is none or it is empty.

    A relative file is seen from `base`. The value is remembered for `redact`; it must never be logged or saved.
    """
    value = _value(ref, base or Path(), os.environ if environ is None else environ) if ref else ""
    remember(value)
    return value or None


def _value(ref: SecretRef, base: Path, environ: Mapping[str, str]) -> str:
    if ref.env:
        return environ.get(ref.env, "").strip()
    if not ref.file:
        return ""
    try:
        return (base / ref.file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def remember(value: str) -> None:
    """Add a value to those that `redact` takes out, also in its URL-quoted form."""
    if len(value) >= SHORTEST:
        with _lock:
            _known.update({value, quote(value, safe="")})


def redact(text: str) -> str:
    """The text with every secret that this process has read replaced by a mark."""
    with _lock:
        values = sorted(_known, key=len, reverse=True)  # a secret that contains another goes first
    for value in values:
        text = text.replace(value, MASK)
    return text
