"""What a file written for app-interface turns into while it is translated, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bot.config.source import Pointer

LOST_PARAMETERS: Final = {
    "secretParameters": "secret parameters are not passed on: the pipeline has to read them itself"
}
"""Keys of every level of parameters that mean something there and are lost here, with the words to say so."""


@dataclass(slots=True)
class Draft:
    """What is said about a document: warnings with a pointer into the source, and pointers of ours that moved."""

    path: str
    warnings: list[tuple[Pointer, str]] = field(default_factory=list)
    moved: dict[Pointer, Pointer] = field(default_factory=dict)

    def warn(self, pointer: Pointer, message: str) -> None:
        """Say something about a place in the source."""
        self.warnings.append((pointer, message))

    def unknown(self, source: Mapping[str, Any], known: frozenset[str], at: Pointer) -> None:
        """Warn of each key that is not known."""
        for key in source:
            if key not in known:
                self.warn((*at, str(key)), f"`{key}` has no meaning here and is ignored")

    def lost(self, source: Mapping[str, Any], lost: Mapping[str, str], at: Pointer) -> None:
        """Warn of keys whose meaning is lost here; an empty or false value means nothing anywhere."""
        for key, message in lost.items():
            if source.get(key):
                self.warn((*at, key), message)

    def clean_name(self, out: dict[str, Any], at: Pointer) -> None:
        """Make the name fit for ids and commands: no slash, no white space in it."""
        name = out.get("name")
        if not isinstance(name, str):
            return
        cleaned = re.sub(r"[/\s\x00-\x1f\x7f]+", "-", name)
        if cleaned != name:
            out["name"] = cleaned
            self.warn((*at, "name"), f"the name is read as `{cleaned}`: a slash or white space cannot be part of an id")


def kept(source: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Those of the keys that are there, with their values."""
    return {key: source[key] for key in keys if key in source}
