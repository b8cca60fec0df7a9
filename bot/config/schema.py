"""JSON Schema (draft 2020-12) of each kind: validators compiled when first needed, and their errors in our words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from bot.config.limits import DEPTH_LIMIT, TOO_DEEP
from bot.config.rules import Issue
from bot.config.source import Pointer

_SECRET_KEYS: Final = frozenset({"token", "key", "password", "secret"})

_LONGEST_WORD: Final = 12  # characters of a key that is surely no secret

_TYPES: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "null": "nothing",
}


class Schemas:
    """The schemas by kind (`saas-file-1`) and their validators."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        """Take each kind's schema file; nothing is read before it is needed."""
        self._sources = sources
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._schemas: dict[str, Any] = {}

    def __contains__(self, kind: str) -> bool:
        return kind in self._sources

    def issues(self, kind: str, value: Any) -> tuple[Issue, ...]:
        """Return what the kind's schema has against a document; nothing for a kind without a schema."""
        if kind not in self._sources:
            return ()
        validator = self._validator(kind)
        try:
            if validator.is_valid(value):
                return ()
            return tuple(dict.fromkeys(self._explained(kind, validator.iter_errors(value))))
        except ValueError:  # the validator does not take such a value at all
            return tuple(foreign_values(value, ())) or (Issue("too-deep", (), TOO_DEEP),)

    def _validator(self, kind: str) -> jsonschema_rs.Draft202012Validator:
        if kind not in self._validators:
            self._schemas[kind], self._validators[kind] = _compiled(self._sources[kind])
        return self._validators[kind]

    def _explained(self, kind: str, errors: Any) -> Iterator[Issue]:
        for error in errors:
            yield from self._issue(kind, error)

    def _issue(self, kind: str, error: Any) -> Iterator[Issue]:
        """Yield the issues that one error of the validator stands for."""
        pointer: Pointer = tuple(error.instance_path)
        path = list(error.schema_path)
        details = error.kind.as_dict()
        match error.kind.name:
            case "additionalProperties" | "unevaluatedProperties":
                known = list(_at(self._schemas[kind], path[:-1]).get("properties", ()))
                for key in details["unexpected"]:
                    yield _unknown(pointer, key, known)
            case "falseSchema":
                message = f"`{_last(pointer)}` does not go with its neighbours"
                yield Issue("unknown-key", pointer, message, "write only one of the two forms", on_key=True)
            case "required":
                key = details["property"]
                yield Issue("missing-key", pointer, f"`{key}` is missing", self._addition(kind, path[:-1], key))
            case "type":
                expected = " or ".join(_TYPES.get(name, name) for name in details["types"])
                message = f"expected {expected}, found {_found(pointer, error.instance)}"
                yield Issue("wrong-type", pointer, message, self._meaning(kind, path[:-1]))
            case "pattern" if pointer[-1:] == ("$ref",) and not error.instance.startswith("/"):
                message = f"{shown(error.instance)} is not a path from the data folder"
                yield Issue("ref-outside", pointer, message, "begin with a slash, for example `/pipelines/deploy.yml`")
            case name:
                message = _refusal(name, details, _found(pointer, error.instance))
                yield Issue("bad-value", pointer, message, self._meaning(kind, path[:-1]))

    def _addition(self, kind: str, path: list[str | int], key: str) -> str:
        """Return how a missing key would be written, from the schema's own example."""
        here = _at(self._schemas[kind], path).get("properties", {}).get(key)
        schema = here or self._schemas[kind].get("properties", {}).get(key, {})
        example = (schema.get("examples") or [schema.get("const")])[0]
        return f"add `{key}`" if example is None else f"add `{key}: {json.dumps(example)}` or the like"

    def _meaning(self, kind: str, path: list[str | int]) -> str:
        """Return what the schema says a value means, with its example."""
        schema = _at(self._schemas[kind], path)
        parts = [schema.get("description", "")]
        if schema.get("examples"):
            parts.append(f"For example `{json.dumps(schema['examples'][0])}`.")
        return " ".join(filter(None, parts))


@lru_cache(maxsize=64)
def _compiled(source: bytes) -> tuple[Any, jsonschema_rs.Draft202012Validator]:
    """Return a schema and its validator; they are never changed, and every pass of a process needs the same ones."""
    schema = json.loads(source)
    return schema, jsonschema_rs.Draft202012Validator(schema)


def foreign_values(value: Any, pointer: Pointer) -> Iterator[Issue]:
    """Yield keys that are not strings and values that JSON has no word for, as YAML 1.2 can make them."""
    if len(pointer) > DEPTH_LIMIT:
        yield Issue("too-deep", pointer, TOO_DEEP, "use fewer levels")
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from foreign_values(item, (*pointer, key))
            else:
                text = f"the key `{str(key)[:80]}` is not a string"
                yield Issue("wrong-type", (*pointer, str(key)), text, "put it in quotes", on_key=True)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from foreign_values(item, (*pointer, index))
    elif not is_plain(value):
        yield Issue("bad-value", pointer, f"{shown(value)} is no value that can be passed on", "put it in quotes")


def is_plain(value: Any) -> bool:
    """Whether a scalar survives JSON and MessagePack: no infinity, no integer of more than 64 bits, no set."""
    if isinstance(value, float):
        return value - value == 0
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str)


def shown(value: Any) -> str:
    """Return a value in words for a human, cut at 80 characters."""
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None:
            return "nothing"
        case str():
            return f'"{value[:80]}"'
        case bool():
            return str(value).lower()
        case set() | frozenset():
            return "a set"
        case _:
            return f"the number {str(value)[:80]}"


def _unknown(pointer: Pointer, key: str, known: list[str]) -> Issue:
    close = get_close_matches(key, known, 1)
    hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"
    hidden = _is_secret(pointer) and len(key) > _LONGEST_WORD  # `token: {VALUE}` makes the value a key
    name = "that is not shown" if hidden else f"`{key[:80]}`"
    return Issue("unknown-key", (*pointer, key), f"unknown key {name}", hint, on_key=True)


def _found(pointer: Pointer, value: Any) -> str:
    """Return a value in words; of what may be a secret written in the wrong place only its kind."""
    hidden = _is_secret(pointer) and not isinstance(value, dict | list)
    return "a value that is not shown" if hidden else shown(value)


def _is_secret(pointer: Pointer) -> bool:
    return not _SECRET_KEYS.isdisjoint(map(str, pointer))


def _refusal(keyword: str, details: Mapping[str, Any], found: str) -> str:
    """Return in words why a value is refused."""
    match keyword:
        case "enum":
            return f"expected one of {', '.join(map(str, details['options']))}, found {found}"
        case "const":
            return f"expected {shown(details['expected_value'])}, found {found}"
        case "pattern" | "format":
            return f"{found} is not written as it should be"
        case "minLength" | "minItems" | "minProperties":
            return f"{found} is too short or empty"
        case "maxLength" | "maxItems" | "maxProperties":
            return f"{found} holds too much"
        case "minimum" | "maximum":
            return f"{found} is out of range: the {keyword} is {details['limit']}"
        case _:
            return f"{found} is not allowed here ({keyword})"


def _last(pointer: Pointer) -> str:
    return str(pointer[-1]) if pointer else ""


def _at(schema: Any, path: list[str | int]) -> dict[str, Any]:
    """Return the subschema at a path of the schema; empty where there is none."""
    for part in path:
        schema = schema[int(part)] if isinstance(schema, list) else schema.get(str(part), {})
    return schema if isinstance(schema, dict) else {}
