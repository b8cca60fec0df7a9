"""Summaries: what one file says, judged by itself, in a form that the cache keeps for the file's blob id.

A summary holds the findings of the file, its name, the files it refers to, a row for each target that the checks
across files need, and the document itself packed for those who build the model.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bot.config.source import Pointer

UNREADABLE = "?"
"""The kind of a data file that has no readable document."""

COMPAT_PIPELINE = "/compat.pipeline"
"""Stands in an app-interface SaaS file for the pipeline that `compat.pipeline` of the settings names."""


NO_DOCUMENT = msgspec.Raw(b"\xc0")
"""The packed document of a file that has none or whose document nobody may build on: MessagePack's nil."""


class Place(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A finding of the file itself; the path is the key that the summary is kept under."""

    line: int
    column: int
    rule: str
    message: str
    hint: str = ""
    warning: bool = False


class Reference(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A `$ref` of a field that we interpret: as written, the kind it must lead to, and where it stands."""

    path: str
    kind: str
    pointer: tuple[str | int, ...]


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One target as the checks across files see it; empty strings stand for what is missing or of a wrong type."""

    template: str
    name: str
    url: str
    namespace: str
    pipeline: str
    template_index: int
    target_index: int
    idle: bool = False
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()

    @property
    def pointer(self) -> Pointer:
        """Where the target stands in our shape of the document."""
        return ("resourceTemplates", self.template_index, "targets", self.target_index)


class Summary(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One file. `kind` is the part of `$schema` before the number; empty: not a data file; `?`: unreadable.

    `moved` maps pointers of our shape to pointers of the source, where an app-interface file was translated.
    `facts` holds what checks across files need of a small file, by kind.
    """

    kind: str
    name: str = ""
    findings: tuple[Place, ...] = ()
    references: tuple[Reference, ...] = ()
    rows: tuple[Row, ...] = ()
    facts: dict[str, Any] = {}
    moved: tuple[tuple[tuple[str | int, ...], tuple[str | int, ...]], ...] = ()
    compat: bool = False
    doc: msgspec.Raw = NO_DOCUMENT

    def origin(self, pointer: Pointer) -> Pointer:
        """Return where a value of our shape stands in the source."""
        if not self.moved:
            return pointer
        moved = dict(self.moved)
        for length in range(len(pointer), 0, -1):
            source = moved.get(pointer[:length])
            if source is not None:
                return source + pointer[length:]
        return pointer

    def document(self) -> Any:
        """Return the document in our shape."""
        return msgspec.msgpack.decode(self.doc)


NOT_DATA = Summary("")


class Kept(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A summary with the blob id that it was made from."""

    blob: str
    summary: Summary
