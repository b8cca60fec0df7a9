"""Ancestry from the cache: how commits descend from each other never changes, so it is asked for once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from bot.model.observed import Lineage, Title, Unreachable
from bot.ports import Cache, Histories

Kind = TypeVar("Kind")


class CachedHistories:
    """Implements `bot.ports.Histories` before another one; only answers that knew every commit are kept."""

    def __init__(self, inner: Histories, cache: Cache) -> None:
        self._inner = inner
        self._cache = cache

    def lineage(self, url: str, shas: Iterable[str]) -> Lineage | Unreachable:
        """How these commits descend from each other."""
        wanted = sorted(set(shas))
        name = f"lineage {url} {hashlib.sha256(' '.join(wanted).encode()).hexdigest()}"
        known = self._kept(name, Lineage)
        if known is not None:
            return known
        found = self._inner.lineage(url, wanted)
        if isinstance(found, Lineage) and set(wanted) <= found.ancestors.keys():
            self._cache.put(name, msgspec.msgpack.encode(found))
        return found

    def titles(self, url: str, old: str, new: str) -> tuple[Title, ...] | Unreachable:
        """Commits after `old` up to `new`."""
        name = f"titles {url} {old}..{new}"
        known = self._kept(name, tuple[Title, ...])
        if known is not None:
            return known
        found = self._inner.titles(url, old, new)
        if not isinstance(found, Unreachable):
            self._cache.put(name, msgspec.msgpack.encode(found))
        return found

    def _kept(self, name: str, kind: type[Kind]) -> Kind | None:
        kept = self._cache.get(name)
        if kept is None:
            return None
        try:
            return msgspec.msgpack.decode(kept, type=kind)
        except msgspec.DecodeError:
            return None
