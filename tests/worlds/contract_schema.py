"""Schemas of an OpenAPI 3.0 document as JSON Schemas, compiled one by one when they are first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

SCALARS = (
    "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "multipleOf",
    "minProperties", "maxProperties", "pattern", "format", "required", "type",
)  # fmt: skip
COMPOSITIONS = ("allOf", "anyOf", "oneOf")
OPEN = "~open"
"""Ends the name of a definition that lets its surroundings judge unknown attributes."""

TRUE = frozenset({"1", "on", "On", "ON", "t", "true", "True", "TRUE", "T", "y", "yes", "Yes", "YES", "Y"})
FALSE = frozenset({"0", "off", "Off", "OFF", "f", "false", "False", "FALSE", "F", "n", "no", "No", "NO", "N"})
"""What an address may say for a boolean (dry-types, `Coercions::Params`)."""


class Schemas:
    """The schemas of one document; objects that name their attributes and do not say otherwise are closed."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._validators: dict[int, jsonschema_rs.Draft202012Validator] = {}

    def resolve(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entry itself, or what its `$ref` points to."""
        while "$ref" in entry:
            target: Any = self.document
            for part in entry["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            entry = target
        return entry

    def kinds(self, schema: Mapping[str, Any]) -> set[str]:
        """The types that a schema allows; empty if any."""
        schema = self.resolve(schema)
        if "type" in schema:
            return {schema["type"]}
        parts = [part for word in COMPOSITIONS for part in schema.get(word, ())]
        return {kind for part in parts for kind in self.kinds(part)}

    def problems(self, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
        """Why the value does not match, at most five reasons."""
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = self._validators[id(schema)] = self._compiled(schema)
        for number, error in enumerate(validator.iter_errors(value)):
            if number == 5:
                return
            where = "/".join(str(part) for part in error.instance_path) or "."
            yield f"{where}: {error.message[:300]}"

    def form(self, schema: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """A form as the value that a Rails server reads from it: `a[b]=1` and `a[]=1` nest, scalars take their type."""
        properties = self.resolve(schema).get("properties", {})
        value: dict[str, Any] = {}
        for name, text in pairs:
            root, _, rest = name.partition("[")
            known = self.resolve(properties.get(root, {}))
            if rest == "]":
                entry = coerced(self, known.get("items", {}), (text,))
                value.setdefault(root, []).append(entry)
            elif rest:
                value.setdefault(root, {})[rest.removesuffix("]")] = text
            else:
                value[root] = coerced(self, known, (text,))
        return value

    def _compiled(self, schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
        """A validator with the definitions that the schema reaches, and no others."""
        names: dict[str, dict[str, Any]] = {}
        root = self._converted(schema, names, closed=True)
        return jsonschema_rs.Draft202012Validator({**root, "$defs": names}, validate_formats=True)

    def _converted(self, schema: Mapping[str, Any], names: dict[str, Any], *, closed: bool) -> dict[str, Any]:
        """One schema in JSON Schema's words; siblings of `$ref` do not count in OpenAPI 3.0."""
        if "$ref" in schema:
            return {"$ref": "#/$defs/" + self._named(schema["$ref"], names, closed=closed)}
        out: dict[str, Any] = {word: schema[word] for word in SCALARS if word in schema}
        if "\\uD" in out.get("pattern", ""):
            del out["pattern"]  # surrogate pairs: no engine but JavaScript's reads them, and no body of ours has any
        for limit, word in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if schema.get(word) is True:
                out[word] = out.pop(limit)
        parts = [word for word in COMPOSITIONS if word in schema]
        for word in parts:
            out[word] = [self._converted(part, names, closed=False) for part in schema[word]]
        if "not" in schema:
            out["not"] = self._converted(schema["not"], names, closed=False)
        if "items" in schema:
            out["items"] = self._converted(schema["items"], names, closed=True)
        if "properties" in schema:
            out["properties"] = {
                name: self._converted(part, names, closed=True) for name, part in schema["properties"].items()
            }
        out |= self._rest(schema, names, closed=closed, named=bool(parts) or "properties" in schema)
        return _nullable(out) if schema.get("nullable") else out

    def _rest(self, schema: Mapping[str, Any], names: dict[str, Any], *, closed: bool, named: bool) -> dict[str, Any]:
        """What holds for attributes that are not named."""
        more = schema.get("additionalProperties")
        if isinstance(more, Mapping):
            return {"additionalProperties": self._converted(more, names, closed=True)}
        if more is not None:
            return {"additionalProperties": more}
        if not named:
            return {"additionalProperties": True}
        return {"unevaluatedProperties": False} if closed else {}

    def _named(self, reference: str, names: dict[str, Any], *, closed: bool) -> str:
        """The name of a definition, which is made on first sight."""
        name = reference.rsplit("/", 1)[-1] + ("" if closed else OPEN)
        if name not in names:
            names[name] = {}
            names[name] = self._converted(self.resolve({"$ref": reference}), names, closed=closed)
        return name


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null."""
    return {"anyOf": [{"type": "null"}, schema]}


def coerced(schemas: Schemas, schema: Mapping[str, Any], texts: Sequence[str]) -> Any:
    """The texts of an address or a form as the value they mean under a schema; what means nothing stays text."""
    kinds = schemas.kinds(schema)
    if "array" in kinds:
        items = schemas.resolve(schema).get("items", {})
        words = [word for text in texts for word in (text.split(",") if len(texts) == 1 else (text,))]
        return [coerced(schemas, items, (word,)) for word in words]
    text = texts[-1]
    if "integer" in kinds and text.lstrip("-").isdigit():
        return int(text)
    if "boolean" in kinds and text in TRUE | FALSE:
        return text in TRUE
    if "number" in kinds and text.replace(".", "", 1).lstrip("-").isdigit():
        return float(text)
    return text
