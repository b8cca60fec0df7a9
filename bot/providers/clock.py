"""The clock: the only source of time and randomness of a process."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock; `fixed` replaces it in everything that is decided and recorded (`--now`)."""

    fixed: datetime | None = None

    def now(self) -> datetime:
        """Now, to the second, aware and in UTC."""
        return self.fixed if self.fixed is not None else self.real().replace(microsecond=0)

    def real(self) -> datetime:
        """The real time, whatever is decided with."""
        return datetime.now(UTC)

    def nonce(self) -> str:
        """A fresh lineage: 128 random bits in hex."""
        return secrets.token_hex(16)

    def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        time.sleep(seconds)
