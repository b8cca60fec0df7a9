"""From the bytes of one file to its summary: which kind it is, and everything that is wrong with it by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from bot.config import compat, source, yaml
from bot.config.documents import maps, path_of, target_pointer, targets_of, text_of
from bot.config.file_rules import check
from bot.config.rows import NAMED, facts, references, rows
from bot.config.rules import Issue
from bot.config.schema import Schemas
from bot.config.source import Pointer
from bot.config.summary import COMPAT_PIPELINE, NO_DOCUMENT, NOT_DATA, UNREADABLE, Place, Reference, Summary

_OURS = re.compile(r"/(settings|saas-file|app|namespace|instance|pipeline|trigger|freeze)-([0-9]+)\.json")


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges files against the schemas of this program."""

    schemas: Schemas

    def summary(self, content: bytes, path: str) -> Summary:
        """Return the summary of a file; `path` names it where an app-interface file has no name."""
        if b"$schema" not in content:
            return NOT_DATA
        loaded = yaml.load(content)
        if isinstance(loaded, tuple):
            return self._unreadable(content, loaded)
        schema = loaded.value.get("$schema") if isinstance(loaded.value, dict) else None
        if not isinstance(schema, str):
            return NOT_DATA
        ours = _OURS.fullmatch(schema)
        if ours is None:
            return self._compat(loaded, path)
        kind = f"{ours[1]}-{int(ours[2])}"
        if ours[1] == "settings":
            return _misplaced(loaded.text)
        if ours[2] != str(int(ours[2])) or kind not in self.schemas:
            return _unknown_kind(loaded.text, ours[1], schema)
        return self._own(loaded, ours[1], kind)

    def _unreadable(self, content: bytes, faults: tuple[yaml.Fault, ...]) -> Summary:
        """Return the faults of a file that counts as data, and nothing for one that does not."""
        named = list(yaml.schemas(content))
        ours = any(_OURS.fullmatch(name) or name in compat.KINDS for name in named)
        if not (ours if named else yaml.declares_schema(content)):
            return NOT_DATA
        places = tuple(Place(fault.line, fault.column, fault.rule, fault.message, fault.hint) for fault in faults)
        return Summary(UNREADABLE, findings=places)

    def _own(self, loaded: yaml.Document, kind: str, numbered: str) -> Summary:
        """Return the summary of a file of one of our own kinds."""
        doc = loaded.value
        issues = self.schemas.issues(numbered, doc)
        if issues and as_written(doc, loaded.text):
            issues = self.schemas.issues(numbered, doc)
        found = merged(issues, check(kind, doc))
        return _summary(kind, doc, places(found, loaded.text))

    def _compat(self, loaded: yaml.Document, path: str) -> Summary:
        """Return the summary of an app-interface file in our shape; nothing for somebody else's file."""
        if loaded.value["$schema"] in compat.KINDS:
            as_written(loaded.value, loaded.text)
        translated = compat.translate(loaded.value, path)
        if translated is None:
            return NOT_DATA
        doc = translated.doc
        kind = doc["$schema"].removeprefix("/").rpartition("-")[0]
        if kind == "saas-file":
            doc["pipeline"] = {"$ref": COMPAT_PIPELINE + ".yml"}
        named = _name_by_reference(doc) if kind == "namespace" else ()
        found = merged(self.schemas.issues(f"{kind}-1", doc), check(kind, doc, compat=True))
        moved = [issue._replace(pointer=translated.origin(issue.pointer)) for issue in found]
        moved += [Issue("compat-ignored", at, text, on_key=True, warning=True) for at, text in translated.warnings]
        summary = _summary(kind, doc, places(moved, loaded.text), named)
        return msgspec.structs.replace(summary, moved=tuple(translated.moved.items()), compat=True)


def as_written(doc: dict[str, Any], text: str) -> bool:
    """Put refs, tags and version lists into the document as they are written; say whether that changed anything."""
    changed = False
    for holder, key, pointer in _versions(doc):
        value = holder[key]
        if isinstance(value, int | float):
            written = source.scalar_text(text, pointer)
            if written:
                holder[key] = written
                changed = True
    return changed


def merged(schema: Iterable[Issue], own: Iterable[Issue]) -> list[Issue]:
    """Return all issues without those of the schema that a rule with a better name covers."""
    mine = list(own)
    covered = {issue.pointer for issue in mine}
    kept = [issue for issue in schema if issue.pointer not in covered or issue.on_key]
    return list(dict.fromkeys(kept + mine))


def places(issues: Iterable[Issue], text: str) -> tuple[Place, ...]:
    """Return issues as findings with lines and columns, in the order of the file."""
    found = []
    for issue in issues:
        line, column = source.position(text, issue.pointer, key=issue.on_key)
        found.append(Place(line, column, issue.rule, issue.message, issue.hint, issue.warning))
    return tuple(sorted(found, key=lambda place: (place.line, place.column, place.rule, place.message)))


def _versions(doc: dict[str, Any]) -> Iterator[tuple[Any, Any, Pointer]]:
    """Yield holder, key and pointer of every scalar that is read as written."""
    for template_index, target_index, _, target in targets_of(doc):
        at = target_pointer(template_index, target_index)
        if "ref" in target:
            yield target, "ref", (*at, "ref")
        for index, image in maps(target.get("images")):
            if "tag" in image:
                yield image, "tag", (*at, "images", index, "tag")
    for index, component in maps(doc.get("codeComponents")):
        for key in ("blockedVersions", "hotfixVersions"):
            versions = component.get(key)
            for number in range(len(versions)) if isinstance(versions, list) else ():
                yield versions, number, ("codeComponents", index, key, number)


def _unknown_kind(text: str, name: str, schema: str) -> Summary:
    line, column = source.position(text, ("$schema",))
    message = f"this program does not know `{schema}`"
    hint = f"write `/{name}-1.json`, or update the program"
    return Summary(UNREADABLE, findings=(Place(line, column, "unknown-kind", message, hint),))


def _misplaced(text: str) -> Summary:
    line, column = source.position(text, ("$schema",))
    message = "settings are only read from `saasbot.yml` at the root"
    hint = "remove the file, or its `$schema`"
    return Summary(UNREADABLE, findings=(Place(line, column, "misplaced-settings", message, hint, warning=True),))


def _name_by_reference(doc: dict[str, Any]) -> tuple[Reference, ...]:
    """Replace references to named documents by their paths, and return them."""
    found = []
    for key in compat.NAMED_BY_REFERENCE:
        path = path_of(doc.get(key))
        if path:
            doc[key] = path
            found.append(Reference(path, NAMED, (key, "$ref")))
    return tuple(found)


def _summary(kind: str, doc: dict[str, Any], found: tuple[Place, ...], named: tuple[Reference, ...] = ()) -> Summary:
    """Return the summary of a document; it is packed only if nothing is wrong with it."""
    broken = any(not place.warning for place in found)
    return Summary(
        kind,
        text_of(doc.get("name")),
        found,
        references(kind, doc) + named,
        rows(doc) if kind == "saas-file" else (),
        facts(kind, doc),
        doc=NO_DOCUMENT if broken else msgspec.Raw(msgspec.msgpack.encode(doc)),
    )
