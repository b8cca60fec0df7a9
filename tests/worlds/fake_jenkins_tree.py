"""What Jenkins' `tree=` leaves of an object: `builds[number,actions[parameters[name]]]{0,20}`.

It rests on Stapler's `NamedPathPruner` and `Property`: a name that was not asked for is not written, a name without
brackets writes an object of which only `_class` is left, a range is applied to a list, `*` is every name, the values of
a map are pruned as the map itself, and the kind of an object (`_class`) always stands in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r"[\[\]{},]|[^\[\]{},]+")


@dataclass
class Tree:
    """What is asked for below a name; `first` and `last` are the range of a list."""

    children: dict[str, Tree] = field(default_factory=dict)
    first: int = 0
    last: int | None = None


class Map(dict[str, Any]):
    """A Java map: its keys are data and no names of properties."""


def parse(text: str) -> Tree:
    """The tree of a query; raises ValueError for what Jenkins would not understand."""
    tokens = TOKEN.findall(text)
    tree = Tree()
    _list(tokens, tree)
    if tokens:
        raise ValueError(f"unexpected {tokens[0]!r}")
    return tree


def pruned(value: Any, tree: Tree) -> Any:
    """The value as far as it was asked for."""
    if isinstance(value, Map):
        return {key: pruned(item, tree) for key, item in value.items()}
    if isinstance(value, dict):
        kept = {"_class": value["_class"]} if "_class" in value else {}
        for name, item in value.items():
            child = tree.children.get(name) or tree.children.get("*")
            if child is not None and name != "_class":
                kept[name] = pruned(item, child)
        return kept
    if isinstance(value, list):
        return [pruned(item, tree) for item in value[tree.first : tree.last]]
    return value


def _list(tokens: list[str], tree: Tree) -> None:
    _node(tokens, tree)
    while tokens and tokens[0] == ",":
        tokens.pop(0)
        _node(tokens, tree)


def _node(tokens: list[str], tree: Tree) -> None:
    if not tokens or tokens[0] in "[]{},":
        raise ValueError("expected a name")
    child = tree.children[tokens.pop(0)] = Tree()
    if tokens and tokens[0] == "[":
        tokens.pop(0)
        _list(tokens, child)
        _expect(tokens, "]")
    if tokens and tokens[0] == "{":
        tokens.pop(0)
        child.first = int(tokens.pop(0))
        _expect(tokens, ",")
        child.last = int(tokens.pop(0))
        _expect(tokens, "}")


def _expect(tokens: list[str], token: str) -> None:
    if not tokens or tokens.pop(0) != token:
        raise ValueError(f"expected {token}")
