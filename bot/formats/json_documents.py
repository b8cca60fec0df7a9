"""JSON files of other tools, parsed strictly: no key twice, no `NaN`, not nested without end."""

from __future__ import annotations

from typing import Any

from bot.formats.json_places import parsed

_BOM = "\ufeff"


def text_of(data: bytes) -> str:
    """The text without its byte order mark. Raises ValueError for what is not UTF-8."""
    try:
        return data.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error


def document_of(data: bytes) -> Any:
    """The document. Raises ValueError for what is no JSON, with the reason."""
    text = text_of(data)
    try:
        return parsed(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from error
