"""Walking parsed documents that may be wrong in any place: what is not of the expected type is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.config.source import Pointer


def text_of(value: Any) -> str:
    """Return a string, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def mapping_of(value: Any) -> dict[str, Any]:
    """Return a mapping, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def maps(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the mappings of a list with their indexes; nothing for anything else."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield index, item


def texts(value: Any) -> tuple[str, ...]:
    """Return the items of a list, each that is not a string as an empty one, so that indexes stay."""
    return tuple(map(text_of, value)) if isinstance(value, list) else ()


def path_of(value: Any) -> str:
    """Return the path in `{$ref: PATH}`, or an empty string."""
    return text_of(value.get("$ref")) if isinstance(value, dict) else ""


def targets_of(doc: dict[str, Any]) -> Iterator[tuple[int, int, dict[str, Any], dict[str, Any]]]:
    """Yield template index, target index, template and target of a SaaS file."""
    for template_index, template in maps(doc.get("resourceTemplates")):
        for target_index, target in maps(template.get("targets")):
            yield template_index, target_index, template, target


def target_pointer(template_index: int, target_index: int) -> Pointer:
    """Return where a target stands in a SaaS file."""
    return ("resourceTemplates", template_index, "targets", target_index)
