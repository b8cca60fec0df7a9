"""What a process keeps and is given, in memory: the statefile with compare-and-swap, the cache, the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot.ports import Refused


@dataclass
class MemoryState:
    """A `bot.ports.StateStore`; the etag is the number of the write."""

    content: bytes | None = None
    writes: int = 0

    def read(self) -> tuple[bytes, str] | None:
        """Content and etag."""
        return None if self.content is None else (self.content, str(self.writes))

    def write(self, data: bytes, etag: str) -> str | Refused:
        """Replace it if it still is what was read."""
        if etag != ("" if self.content is None else str(self.writes)):
            return Refused("another writer was faster")
        self.content, self.writes = data, self.writes + 1
        return str(self.writes)


@dataclass
class MemoryCache:
    """A `bot.ports.Cache`."""

    content: dict[str, bytes] = field(default_factory=dict)

    def get(self, name: str) -> bytes | None:
        """What was kept."""
        return self.content.get(name)

    def put(self, name: str, data: bytes) -> None:
        """Keep it."""
        self.content[name] = data


@dataclass(frozen=True)
class MemoryClock:
    """A `bot.ports.Clock` of a world; whoever waits does so at once."""

    tell: Callable[[], datetime]

    def now(self) -> datetime:
        """The time in the world."""
        return self.tell()

    def real(self) -> datetime:
        """The same."""
        return self.tell()

    def nonce(self) -> str:
        """A lineage: the same one, as everything here happens the same way each time."""
        return "lineage"

    def sleep(self, seconds: float) -> None:
        """No time goes by."""
