"""Documents as YAML: what the program writes into files itself, as a person would write it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

EDITOR_SCHEMAS = "../.saasbot/schemas"
"""Where editors find the schemas, seen from a folder of the config (`triggers/`)."""


_BREAK = re.compile("[\\r\\n\\x85\\u2028\\u2029]")


def definition_text(document: Mapping[str, Any]) -> str:
    """The file that holds this document, its `$schema` among the keys: a modeline for editors, then the keys in order.

    Values are mappings, lists, texts, numbers, `true` and `false`.
    """
    return f"# yaml-language-server: $schema={EDITOR_SCHEMAS}{document['$schema']}\n{yaml_text(document)}"


def yaml_text(value: Any) -> str:
    """A value as the YAML that a person would write."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - 24 ms, and few commands write a file

    writer = YAML()
    writer.width = 120
    writer.indent(mapping=2, sequence=2, offset=0)
    stream = io.StringIO()
    writer.dump(_quoted(value), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """The value with texts in quotes that have a line break of some kind in them: YAML would fold them elsewhere."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString  # noqa: PLC0415 - as above

    match value:
        case str():
            return DoubleQuotedScalarString(value) if _BREAK.search(value) else value
        case Mapping():
            return {_quoted(key): _quoted(each) for key, each in value.items()}
        case list() | tuple():
            return [_quoted(each) for each in value]
        case _:
            return value
