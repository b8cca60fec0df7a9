"""Everything that ends a command early, with its exit code (DESIGN section 9).

    SaasbotError
     x  InvalidConfiguration    1
     x  WriteFailed             1
     x  WrongUsage              2
     x  LostState               2
     x  StateRace               3
     x  ServerUnreachable       4

They are caught once, in `bot.__main__`. An ordinary "no" (a held target, a refused command, a lost race for a push)
is a value, not an exception.
"""

from __future__ import annotations

from datetime import timedelta


class SaasbotError(Exception):
    """A failure with one line for a human, an optional advice and the exit code of the process."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep what went wrong and what the user can do about it."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidConfiguration(SaasbotError):
    """The config repository, or `saasbot.yml`, has errors."""

    exit_code = 1


class WriteFailed(SaasbotError):
    """A write to the world was refused or broke."""

    exit_code = 1


class WrongUsage(SaasbotError):
    """Arguments or settings that cannot work."""

    exit_code = 2


class LostState(SaasbotError):
    """There is no statefile although the forge shows that there was one; or it is older than it was, or another one."""

    exit_code = 2


class StateRace(SaasbotError):
    """Another writer won the statefile; nothing was lost."""

    exit_code = 3


class ServerUnreachable(SaasbotError):
    """The config's origin, the forge or the state cannot be reached.

    `again` is how long a server wants no more questions of this kind; None where it did not say so.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "", again: timedelta | None = None) -> None:
        """Keep what went wrong, what the user can do about it, and when to ask again."""
        super().__init__(message, hint=hint)
        self.again = again
