"""Where a value stands in a YAML source: lines, columns and scalars as written, looked up only when somebody asks.

PyYAML's C parser gives the marks. Only its events are read, never a composed document: a composed alias bomb costs
minutes and a deep nest the process. The source has been accepted by the loader, which stops at a depth of 255.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Pointer = tuple[str | int, ...]
"""A path into a document: keys of mappings and indexes of lists."""

MERGE_DEPTH = 64
"""How many `<<` are followed one after the other."""


@dataclass(slots=True, eq=False)
class Node:
    """A node of the source; `line` and `column` count from 1, `text` is a scalar as written without its quotes."""

    line: int
    column: int
    text: str | None = None
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)


def position(text: str, pointer: Pointer, *, key: bool = False) -> tuple[int, int]:
    """Return line and column of the value at `pointer`, or of its key, or else of the nearest ancestor."""
    root = _tree(text)
    place = (1, 1) if root is None else (root.line, root.column)
    node = root
    for step, part in enumerate(pointer):
        found = _child(node, part) if node is not None else None
        if found is None:
            break
        key_node, node = found
        chosen = key_node if key and key_node is not None and step == len(pointer) - 1 else node
        place = (chosen.line, chosen.column)
    return place


def scalar_text(text: str, pointer: Pointer) -> str | None:
    """Return the scalar at `pointer` as written, without quotes; None where there is no scalar."""
    node = _tree(text)
    for part in pointer:
        found = _child(node, part) if node is not None else None
        if found is None:
            return None
        node = found[1]
    return None if node is None else node.text


def deeper_than(text: str, limit: int) -> bool:
    """Whether collections lie deeper than this; also where PyYAML cannot tell."""
    import yaml  # noqa: PLC0415 - 20 ms that only a strange file needs

    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            kind = type(event).__name__
            depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
            if depth > limit + 2:  # the stream and the document have events too
                return True
    except (yaml.YAMLError, UnicodeError):
        return True
    return False


def duplicates(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each key that its mapping holds already, with line and column."""
    root = _tree(text)
    waiting = [] if root is None else [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        keys: set[str] = set()
        for key, _ in node.pairs:
            if key.text is None:
                continue
            if key.text in keys:
                yield key.text, key.line, key.column
            keys.add(key.text)
        waiting += node.items
        waiting += [value for _, value in node.pairs]


def _child(node: Node, part: str | int, depth: int = 0) -> tuple[Node | None, Node] | None:
    """Return key and value of a mapping, or the item of a list; a merged value counts where there is no own one."""
    if node.items:
        inside = isinstance(part, int) and part < len(node.items)
        return (None, node.items[int(part)]) if inside else None
    for key, value in reversed(node.pairs):
        if key.text == str(part):
            return key, value
    if depth < MERGE_DEPTH:
        for merged in _merged(node):
            found = _child(merged, part, depth + 1)
            if found is not None:
                return found
    return None


def _merged(node: Node) -> Iterator[Node]:
    """Yield the mappings that a mapping merges, the strongest first."""
    for key, value in node.pairs:
        if key.text == "<<":
            yield from value.items or [value]


@lru_cache(maxsize=8)
def _tree(text: str) -> Node | None:
    """Return the first document's root; None where PyYAML does not read what the loader read."""
    import yaml  # noqa: PLC0415 - 20 ms that only a finding needs

    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
            if builder.done:
                break
    except (yaml.YAMLError, UnicodeError):
        return builder.root
    return builder.root


class _Builder:
    """Puts events together to a tree that shares its aliased nodes."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.done = False
        self._open: list[tuple[Node, list[Node], bool]] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        """Take the next event of the first document."""
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._place(self._aliased(event))
        elif kind == "ScalarEvent":
            self._place(self._named(event, _node(event, event.value)))
        elif kind in {"MappingStartEvent", "SequenceStartEvent"}:
            node = self._named(event, _node(event))
            self._place(node)
            self._open.append((node, [], kind == "MappingStartEvent"))
        elif kind in {"MappingEndEvent", "SequenceEndEvent"}:
            self._close()
        elif kind == "DocumentEndEvent":
            self.done = True

    def _aliased(self, event: Any) -> Node:
        """Return the node that an alias stands for; not one that is still open, which would make the tree a circle."""
        node = self._anchors.get(event.anchor)
        return _node(event) if node is None or any(node is open_node for open_node, _, _ in self._open) else node

    def _named(self, event: Any, node: Node) -> Node:
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _place(self, node: Node) -> None:
        if self.root is None:
            self.root = node
        if self._open:
            parent, children, mapping = self._open[-1]
            children.append(node)
            if not mapping:
                parent.items.append(node)
            elif len(children) % 2 == 0:
                parent.pairs.append((children[-2], node))

    def _close(self) -> None:
        self._open.pop()


def _node(event: Any, text: str | None = None) -> Node:
    """Return a node at an event's start."""
    return Node(event.start_mark.line + 1, event.start_mark.column + 1, text)
