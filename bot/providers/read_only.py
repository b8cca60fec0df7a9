"""Read-only ports: what a dry run, and every command that only looks, is given. A write is refused before it is made.

What counts as a write is told by the ports' own halves (`ForgeWriter`, `PipelinesWriter`), so that none is forgotten.
The cache is written all the same: losing it, or having it, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn, TypeVar, cast

from bot.errors import WriteFailed
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.ports import ForgeWriter, Pipelines, PipelinesWriter, Ports

Port = TypeVar("Port")


def _named(writer: type) -> frozenset[str]:
    return frozenset(name for name in vars(writer) if not name.startswith("_"))


FORGE, PIPELINES, STATE = _named(ForgeWriter), _named(PipelinesWriter), frozenset({"write"})
"""The methods that write, by port."""


class ReadOnly:
    """A port without its writes; all else is `port`'s own."""

    def __init__(self, port: Any, name: str, writes: frozenset[str]) -> None:
        self.port = port
        self.name = name
        self.writes = writes

    def __getattr__(self, name: str) -> Any:
        return _refusing(f"{self.name}.{name}") if name in self.writes else getattr(self.port, name)


def _refusing(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise WriteFailed(f"{what} is a write, and this command only reads", hint="nothing was written")

    return refuse


def read_only(ports: Ports) -> Ports:
    """The same ports, of which none writes to a server or to the statefile."""

    def pipelines(instance: Instance) -> Pipelines | Unreachable:
        found = ports.pipelines(instance)
        return found if isinstance(found, Unreachable) else _without(found, "pipelines", PIPELINES)

    return replace(
        ports,
        forge=_without(ports.forge, "forge", FORGE),
        pipelines=pipelines,
        state=_without(ports.state, "state", STATE),
    )


def _without(port: Port, name: str, writes: frozenset[str]) -> Port:
    return cast("Port", ReadOnly(port, name, writes))
