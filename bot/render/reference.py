"""The config reference, `docs/config-reference.md`, written from the JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bot.render.definitions import yaml_text

_ORDER = ("settings-1", "saas-file-1", "app-1", "namespace-1", "instance-1", "pipeline-1", "trigger-1", "freeze-1")
"""The kinds as a newcomer meets them; any other follows by name."""

_HEAD = """\
# Configuration reference

This page is generated from `schemas/` by `make docs`; do not edit it here.

Every file names its kind in `$schema`. In a path, `[]` stands for each item of a list, `*` for each key of a mapping.
`saasbot schema NAME` prints a kind's JSON Schema for editors.
"""


def reference(schemas: Mapping[str, bytes]) -> str:
    """Markdown for these schemas, keyed by name (`saas-file-1`): a chapter with a table of fields for each.

    Raises ValueError if a schema is no JSON, KeyError or TypeError if a field lacks title, description or examples.
    """
    parsed = {name: json.loads(schemas[name]) for name in sorted(schemas, key=_rank)}
    shapes = {key: shape for schema in parsed.values() for key, shape in schema.get("$defs", {}).items()}
    parts = [_HEAD, _contents(parsed)]
    parts += [_chapter(name, schema) for name, schema in parsed.items()]
    if shapes:
        parts.append(_shapes(shapes))
    return "\n".join(parts)


def _rank(name: str) -> tuple[int, str]:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER), name


def _contents(schemas: Mapping[str, Mapping[str, Any]]) -> str:
    return "".join(f"- [{schema['title']}](#{name})\n" for name, schema in schemas.items())


def _chapter(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(_row(path, field, required) for path, field, required in _fields(schema, ""))
    return (
        f'<a id="{name}"></a>\n\n'
        f"## {schema['title']}: `{schema['$id']}`\n\n"
        f"{schema['description']}\n\n"
        f"```yaml\n{yaml_text(schema['examples'][0])}```\n\n"
        "| Field | Value | Default | Meaning | Example |\n"
        "|---|---|---|---|---|\n"
        f"{rows}"
    )


def _fields(schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Every field below a schema, depth first: its path, its schema, whether it must be there."""
    required = schema.get("required", ())
    for key, field in schema.get("properties", {}).items():
        path = f"{prefix}{key}"
        yield path, field, key in required
        yield from _below(field, path)


def _below(field: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    if "items" in field:
        yield from _below(field["items"], f"{path}[]")
    elif isinstance(field.get("additionalProperties"), Mapping):
        yield from _below(field["additionalProperties"], f"{path}.*")
    else:
        yield from _fields(field, f"{path}.")


def _row(path: str, field: Mapping[str, Any], required: bool) -> str:
    default = "required" if required else _code(field["default"]) if "default" in field else ""
    example = "" if _is_nested(field) else _code(field["examples"][0])
    cells = (f"`{path}`", _value(field), default, field["description"], example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _is_nested(field: Mapping[str, Any]) -> bool:
    """Whether the rows below a field show it better than an example would."""
    return any(True for _ in _below(field, ""))


def _value(field: Mapping[str, Any]) -> str:
    """What may stand there, in a few words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name})"
    if "const" in field:
        return _code(field["const"])
    if "enum" in field:
        return ", ".join(map(_code, field["enum"]))
    if "items" in field:
        return f"list of {_value(field['items'])}"
    if isinstance(field.get("additionalProperties"), Mapping):
        return f"mapping to {_value(field['additionalProperties'])}"
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    return " or ".join("mapping" if kind == "object" else kind for kind in types)


def _shapes(shapes: Mapping[str, Mapping[str, Any]]) -> str:
    """The shapes that fields of several kinds share."""
    lines = ["## Shared shapes\n"]
    for name, shape in sorted(shapes.items()):
        examples = ", ".join(map(_code, shape["examples"]))
        lines.append(f'<a id="{name}"></a>\n\n**{name}**: {shape["description"]} Examples: {examples}.\n')
    return "\n".join(lines)


def _code(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"
