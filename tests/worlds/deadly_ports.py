"""Ports that kill the pass right before or after its n-th write, as `kill -9` would: nothing runs any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bot.model.desired import Instance
from bot.model.observed import Unreachable
from bot.ports import Pipelines, Ports

WRITES = frozenset({"push", "open", "update", "close", "merge", "comment", "react", "start", "cancel", "write"})


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Fate:
    """Counts the writes of any number of passes; `at` is the one that kills, 0 kills never."""

    at: int = 0
    after: bool = False
    seen: int = 0
    names: tuple[str, ...] = ()

    def meet(self, name: str, write: Callable[[], Any]) -> Any:
        """Let a write happen, or not."""
        self.seen += 1
        self.names = (*self.names, name)
        if self.seen == self.at and not self.after:
            raise Killed(name)
        answer = write()
        if self.seen == self.at:
            raise Killed(name)
        return answer


class Deadly:
    """Any port, with a fate on its writes."""

    def __init__(self, inner: Any, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        """Give reads through, and put a fate on writes."""
        found = getattr(self._inner, name)
        if name not in WRITES:
            return found
        return lambda *given, **named: self._fate.meet(name, lambda: found(*given, **named))


def deadly(ports: Ports, fate: Fate) -> Ports:
    """The same ports, with a fate."""

    def pipelines(instance: Instance) -> Pipelines | Unreachable:
        provider = ports.pipelines(instance)
        return provider if isinstance(provider, Unreachable) else Deadly(provider, fate)  # type: ignore[return-value] # by name

    return replace(
        ports,
        forge=Deadly(ports.forge, fate),  # type: ignore[arg-type] # gives everything through by name
        state=Deadly(ports.state, fate),  # type: ignore[arg-type] # as above
        pipelines=pipelines,
    )
