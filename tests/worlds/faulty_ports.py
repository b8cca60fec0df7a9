"""Ports with faults: every call of every port is numbered, and any of them may fail, be lost, kill or be overtaken.

One injector for all tests that break things. A call is named by port, method and what it is about, and by how often
that was asked in this process, so that the threads of an observation do not blur it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bot.errors import ServerUnreachable, StateRace
from bot.model.observed import MergeRequest, Unreachable
from bot.model.plan import Commit
from bot.model.runs import Run
from bot.model.servers import Instance, Pipeline
from bot.model.triggers import NewBuild
from bot.model.work import Due
from bot.ports import ConfigTree, Ports

FORGE_WRITES = (
    *("push", "open", "update", "close", "merge", "cancel_auto_merge", "comment", "react", "label", "put_dashboard"),
)
EFFECTS = frozenset(
    {
        *(f"forge.{name}" for name in FORGE_WRITES),
        *("pipelines.start", "pipelines.cancel", "state.write", "queue.add", "queue.ask", "queue.remove"),
    }
)
"""Calls that change the world."""

SILENT = frozenset({"clock", "cache"})
"""Ports whose methods never raise: a cache that fails has missed, a clock does not fail."""

TOLD = frozenset({"known"})
"""Methods that ask no server anything: nothing can become of them."""

PROVIDERS = frozenset({"pipelines", "builds", "images"})
"""Ports that are asked for the provider of an instance first; their no is a value."""


class Kind(StrEnum):
    """What may become of a call."""

    BEFORE = "before"
    """The server cannot be reached; nothing happened."""
    LOST = "lost"
    """The server did it, and the connection was lost before it said so."""
    KILLED_BEFORE = "killed-before"
    """The process is gone, right before the call."""
    KILLED_AFTER = "killed-after"
    """The process is gone, right after the call."""
    OVERTAKEN = "overtaken"
    """Right before the call another process makes a whole pass."""
    PAUSED = "paused"
    """Right before the call the process stands still for minutes; another one makes all passes that are due in them."""
    MISSED = "missed"
    """The cache has lost it, or does not keep it."""
    UNAVAILABLE = "unavailable"
    """There is no provider for the instance just now: its token cannot be read."""


TELLING = frozenset({Kind.BEFORE, Kind.OVERTAKEN, Kind.MISSED, Kind.UNAVAILABLE})
"""The kinds of fault of a question that differ from each other (`Call.telling`)."""


class Killed(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Call:
    """The `nth` call of a process of this name about this subject."""

    name: str
    about: str
    nth: int

    def __str__(self) -> str:
        """As it is written in a plan of faults."""
        return f"{self.name}({self.about})#{self.nth}"

    @property
    def port(self) -> str:
        """The port that is called."""
        return self.name.partition(".")[0]

    @property
    def effect(self) -> bool:
        """Whether it changes the world."""
        return self.name in EFFECTS

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Every kind of fault that it may meet."""
        if self.name in PROVIDERS:
            return (Kind.UNAVAILABLE, Kind.KILLED_BEFORE)
        kills = (Kind.KILLED_BEFORE, Kind.KILLED_AFTER)
        if self.port in SILENT:
            return kills if self.port == "clock" else (Kind.MISSED, *kills)
        others = (Kind.OVERTAKEN, Kind.PAUSED) if self.effect else (Kind.OVERTAKEN,)
        return (Kind.BEFORE, Kind.LOST, *kills, *others)

    @property
    def telling(self) -> tuple[Kind, ...]:
        """The kinds that differ from all others.

        An answer to a question that is lost is a question that was not answered, and a process that is killed at a
        question leaves the world as one that is killed after its last effect.
        """
        if self.effect or self.name == "cache.put":
            return self.kinds
        return tuple(kind for kind in self.kinds if kind in TELLING)


LONG = 80
"""Characters from which on a text is no name."""

Choose = Callable[[Call], Kind | None]
"""What becomes of a call; None lets it pass."""


def nobody(_kind: Kind) -> None:
    """Nobody overtakes."""


@dataclass
class Injector:
    """The fate of one process: it sees every call in turn and says what becomes of it."""

    choose: Choose = lambda _: None
    overtake: Callable[[Kind], None] = nobody
    calls: list[Call] = field(default_factory=list)
    struck: list[tuple[Call, Kind]] = field(default_factory=list)
    dead: bool = False
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def meet(self, name: str, given: tuple[Any, ...], carry_out: Callable[[], Any]) -> Any:
        """Let a call happen, or not; one after the other, whatever threads they come from."""
        with self._lock:
            if self.dead:
                raise Killed(name)
            about = _about(given)
            self._counts[f"{name} {about}"] += 1
            call = Call(name, about, self._counts[f"{name} {about}"])
            self.calls.append(call)
            kind = self.choose(call)
            if kind is None:
                return carry_out()
            self.struck.append((call, kind))
            return self._struck(call, kind, carry_out)

    def _struck(self, call: Call, kind: Kind, carry_out: Callable[[], Any]) -> Any:
        match kind:
            case Kind.KILLED_BEFORE | Kind.KILLED_AFTER:
                if kind is Kind.KILLED_AFTER:
                    carry_out()
                self.dead = True
                raise Killed(str(call))
            case Kind.OVERTAKEN | Kind.PAUSED:
                self.overtake(kind)
                return carry_out()
            case Kind.MISSED:
                return None
            case Kind.UNAVAILABLE:
                return Unreachable("its token cannot be read")
            case Kind.BEFORE | Kind.LOST:
                if kind is Kind.LOST:
                    carry_out()
                raise ServerUnreachable(f"{call}: no answer")


def _about(given: tuple[Any, ...]) -> str:
    """What a call is about: names and numbers, no texts."""
    match given[0] if given else "":
        case Commit() as commit:
            return commit.branch
        case MergeRequest() as merge_request:
            return str(merge_request.iid)
        case Instance() as instance:
            return instance.name
        case Due() as due:
            return due.subject
        case NewBuild() as source:
            return source.url
        case Pipeline() as pipeline if not given[1:]:
            return pipeline.name
    runs = [each.key[:8] for each in given if isinstance(each, Run)]
    words = [str(each) for each in given if isinstance(each, str | int)]
    return ",".join([*runs, *(word for word in words if word and len(word) < LONG and not word.split()[1:])])


class Faulty:
    """Any port, with an injector on its methods."""

    def __init__(self, inner: Any, name: str, injector: Injector) -> None:
        self._inner = inner
        self._name = name
        self._injector = injector

    def __getattr__(self, method: str) -> Any:
        """A method meets its fate; anything else is given through."""
        found = getattr(self._inner, method)
        return self._method(method, found) if callable(found) and method not in TOLD else found

    def _method(self, method: str, found: Callable[..., Any]) -> Callable[..., Any]:
        def meet(*given: Any, **named: Any) -> Any:
            answer = self._injector.meet(f"{self._name}.{method}", given, lambda: found(*given, **named))
            if method in ("tree", "working_tree", "merged_tree") and not isinstance(answer, Unreachable):
                tree: ConfigTree = answer
                return Faulty(tree, "tree", self._injector)
            return answer

        return meet


def faulty(ports: Ports, injector: Injector) -> Ports:
    """The same ports for one process, with an injector on every call."""
    wrapped: dict[str, Any] = {}
    for name in ("config", "cache", "forge", "refs", "histories", "documents", "state", "clock"):
        wrapped[name] = Faulty(getattr(ports, name), name, injector)
    for name in sorted(PROVIDERS):
        wrapped[name] = _providers(name, getattr(ports, name), injector)
    return replace(ports, **wrapped)


def _providers(name: str, provider_for: Callable[[Instance], Any], injector: Injector) -> Callable[[Instance], Any]:
    def provider(instance: Instance) -> Any:
        found = injector.meet(name, (instance,), lambda: provider_for(instance))
        return found if isinstance(found, Unreachable) else Faulty(found, name, injector)

    return provider


def survived(make_a_pass: Callable[[], Any]) -> bool:
    """Make a pass as a scheduler sees it: it ends well, or with an error that the next pass gets over."""
    try:
        make_a_pass()
    except (Killed, StateRace, ServerUnreachable):
        return False
    return True
