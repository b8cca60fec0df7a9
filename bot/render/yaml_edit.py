"""Byte-exact edits of YAML files: only the bytes of the scalar that is set change (DESIGN section 5).

The position comes from one parser, the text is spliced, and the result is read back with another parser, whose tree
must be the old one with exactly these leaves set. What cannot be done safely is refused with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import yaml_rs

from bot.model.desired import is_sha
from bot.render.yaml_scalars import Pointer, Refusal, Scalar, locate, too_deep, written

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ScalarEdit:
    """Set the scalar at `pointer` from `old` to `new`; both are strings as written, without quotes."""

    pointer: Pointer
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Unsafe:
    """An edit that was refused, with a reason that completes "not edited: ..."."""

    pointer: Pointer
    reason: str


@dataclass(frozen=True, slots=True)
class Edited:
    """The file after all safe edits, and those that were refused, in the order they were asked for."""

    content: bytes
    unsafe: tuple[Unsafe, ...]


@dataclass(frozen=True, slots=True)
class _Document:
    """A file taken apart: byte order mark, text without it, and the tree with its merge keys resolved."""

    bom: bytes
    text: str
    tree: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Splice:
    """An edit whose place is known; `text` is what will stand there."""

    edit: ScalarEdit
    start: int
    end: int
    text: str


def edit(source: bytes, edits: Sequence[ScalarEdit]) -> Edited:
    """Apply all safe edits in one splice; an unsafe one does not hinder the others."""
    if not edits:
        return Edited(source, ())
    document = _opened(source)
    if isinstance(document, str):
        return Edited(source, tuple(Unsafe(wish.pointer, document) for wish in edits))
    judged = _judged(document, edits)
    splices = [splice for splice in judged.values() if isinstance(splice, _Splice)]
    kept = _verified(document, splices)
    kept_edits = {splice.edit for splice in kept}
    unsafe = []
    for wish in dict.fromkeys(edits):
        splice = judged[wish]
        if isinstance(splice, Refusal):
            unsafe.append(Unsafe(wish.pointer, splice.reason))
        elif wish not in kept_edits:
            unsafe.append(
                Unsafe(
                    wish.pointer,
                    "the result would not read back as wished (is the value used elsewhere by alias or merge key?)",
                )
            )
    return Edited(document.bom + _spliced(document.text, kept).encode(), tuple(unsafe))


def ref_edits(old: bytes, new: bytes) -> tuple[ScalarEdit, ...] | None:
    """Find the edits that lead from `old` to `new` if the bot could have made exactly these, else None.

    The bot sets `ref` scalars of targets to full shas and touches nothing else.
    """
    if old == new:
        return ()
    before, after = _opened(old), _opened(new)
    if isinstance(before, str) or isinstance(after, str):
        return None
    refs, wished = _refs(before.tree), _refs(after.tree)
    moved = [place for place, ref in wished.items() if ref != refs.get(place) and isinstance(ref, str) and is_sha(ref)]
    places = locate(before.text, moved)
    edits = []
    for pointer in moved:
        place = places.get(pointer)
        if not isinstance(place, Scalar):
            return None
        edits.append(ScalarEdit(pointer, place.value, str(wished[pointer])))
    return tuple(edits) if edits and edit(old, edits) == Edited(new, ()) else None


def _opened(source: bytes) -> _Document | str:
    """Take a file apart, or say why nothing in it can be edited."""
    bom = _BOM if source.startswith(_BOM) else b""
    try:
        text = source[len(bom) :].decode()
    except UnicodeDecodeError:
        return "the file is not UTF-8"
    if "\0" in text:
        return "the file has NUL bytes"
    tree = _tree(text)
    if not isinstance(tree, dict):
        return "the file does not parse as one mapping without duplicate keys"
    return _Document(bom, text, tree)


def _tree(text: str) -> Any:
    """Read a text with the loader's parser, merge keys resolved; None where it is refused."""
    if too_deep(text):
        return None
    try:
        tree = yaml_rs.loads(text, parse_datetime=False)
    except yaml_rs.YAMLDecodeError:
        return None
    return _merged(tree) if "<<" in text else tree


def _merged(node: Any) -> Any:
    """Resolve `<<`: own keys win over merged ones, the first of several merged mappings wins."""
    if isinstance(node, list):
        return [_merged(item) for item in node]
    if not isinstance(node, dict):
        return node
    own = {key: _merged(value) for key, value in node.items()}
    if "<<" not in own:
        return own
    sources = own["<<"] if isinstance(own["<<"], list) else [own["<<"]]
    if not all(isinstance(source, dict) for source in sources):
        return own
    del own["<<"]
    return dict(chain(*(source.items() for source in reversed(sources)), own.items()))


def _judged(document: _Document, edits: Sequence[ScalarEdit]) -> Mapping[ScalarEdit, _Splice | Refusal]:
    """Find the place of each edit, or the reason against it."""
    places = locate(document.text, (wish.pointer for wish in edits))
    judged: dict[ScalarEdit, _Splice | Refusal] = {}
    taken: set[Pointer] = set()
    for wish in dict.fromkeys(edits):
        place = _place(document, places, wish)
        if isinstance(place, Refusal):
            judged[wish] = place
        elif wish.pointer in taken:
            judged[wish] = Refusal("another edit sets the same value")
        else:
            judged[wish] = _Splice(wish, place.start, place.end, _text(document, place, wish))
            taken.add(wish.pointer)
    return judged


def _place(document: _Document, places: Mapping[Pointer, Scalar | Refusal], wish: ScalarEdit) -> Scalar | Refusal:
    """Return the scalar to set, or the reason against it."""
    try:
        value = _at(document.tree, wish.pointer)
    except (LookupError, TypeError):
        return Refusal("there is no such value in the file")
    if isinstance(value, dict | list):
        return Refusal("the value is not a scalar")
    place = places.get(wish.pointer, Refusal("its value arrives by a merge key"))
    if isinstance(place, Scalar) and place.value != wish.old:
        return Refusal("the value in the file is another one by now")
    return place


def _text(document: _Document, place: Scalar, wish: ScalarEdit) -> str:
    """Write what will stand at the place; an edit that changes nothing keeps the source as it is."""
    if wish.new == wish.old:
        return document.text[place.start : place.end]
    return written(wish.new, place.style)


def _at(tree: Any, pointer: Pointer) -> Any:
    """Follow a pointer."""
    for key in pointer:
        tree = tree[key]
    return tree


def _verified(document: _Document, splices: Sequence[_Splice]) -> Sequence[_Splice]:
    """Keep the largest part of the splices that reads back as wished, halved until the culprits stand alone."""
    if not splices or _reads_back(document, splices):
        return splices
    if len(splices) == 1:
        return ()
    middle = len(splices) // 2
    kept = [*_verified(document, splices[:middle]), *_verified(document, splices[middle:])]
    return kept if _reads_back(document, kept) else ()


def _reads_back(document: _Document, splices: Sequence[_Splice]) -> bool:
    """Whether the spliced text says the old tree with exactly these leaves set.

    The trees are compared as `repr`: one C call that tells 1 from True and 1.0, and finds nan equal to itself.
    """
    expected: Any = document.tree
    for splice in splices:
        if splice.edit.new != splice.edit.old:
            expected = _with(expected, splice.edit.pointer, splice.edit.new)
    return repr(_tree(_spliced(document.text, splices))) == repr(expected)


def _with(tree: Any, pointer: Pointer, value: str) -> Any:
    """Copy a tree with one leaf set, sharing all else with the old one."""
    if not pointer:
        return value
    copy = tree.copy()
    copy[pointer[0]] = _with(tree[pointer[0]], pointer[1:], value)
    return copy


def _spliced(text: str, splices: Sequence[_Splice]) -> str:
    """Put all splices in place."""
    pieces, position = [], 0
    for splice in sorted(splices, key=lambda splice: splice.start):
        pieces += [text[position : splice.start], splice.text]
        position = splice.end
    return "".join([*pieces, text[position:]])


def _refs(tree: Mapping[str, Any]) -> dict[Pointer, Any]:
    """List the `ref` of every target of a SaaS file by its pointer."""
    return {
        ("resourceTemplates", number, "targets", index, "ref"): target["ref"]
        for number, template in enumerate(_items(tree, "resourceTemplates"))
        for index, target in enumerate(_items(template, "targets"))
        if isinstance(target, dict) and "ref" in target
    }


def _items(node: Any, key: str) -> list[Any]:
    """Take the list below a node, empty where there is none."""
    items = node.get(key) if isinstance(node, dict) else None
    return items if isinstance(items, list) else []
