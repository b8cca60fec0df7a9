"""Saved contexts: a decision's whole input as one JSON document, so that a production run can be replayed as a test.

Every value carries its class, so that unions come back as they were. The report key is never saved.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from bot import settings
from bot.core import context
from bot.core.context import Context
from bot.errors import WrongUsage
from bot.model import desired, observed, rounds, runs, servers, state, triggers

SCHEMA = "saasbot.context/1"

CLASSES: Mapping[str, type] = {
    name: found
    for module in (servers, triggers, desired, runs, rounds, observed, state, settings, context)
    for name, found in vars(module).items()
    if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum))
}


def save(given: Context) -> bytes:
    """The document of a context."""
    found = {"schema": SCHEMA, "context": _plain(replace(given, report_key=None))}
    return json.dumps(found, ensure_ascii=False, indent=1).encode() + b"\n"


def replay(data: bytes) -> Context:
    """The context in a document. Raises WrongUsage where it is none."""
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise WrongUsage(f"this is a {document['schema']!r}, not a {SCHEMA}")
        found = _value(document["context"])
    except (ValueError, KeyError, TypeError) as error:
        raise WrongUsage(f"this is not a saved context: {error}") from error
    if not isinstance(found, Context):
        raise WrongUsage("this is not a saved context")
    return found


def dump(value: object) -> bytes:
    """Any value of the model as JSON; `restore` gives it back."""
    return json.dumps(_plain(value), ensure_ascii=False).encode()


def restore(data: bytes) -> Any:
    """The value of a `dump`. Raises ValueError, KeyError or TypeError for anything else."""
    return _value(json.loads(data))


def _plain(value: object) -> object:  # noqa: PLR0911 - one arm a kind
    match value:
        case Enum():
            return {"!": type(value).__name__, "value": value.value}
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"!": "bytes", "value": base64.b64encode(value).decode()}
        case datetime():
            return {"!": "datetime", "value": value.isoformat()}
        case timedelta():
            return {"!": "timedelta", "value": value.total_seconds()}
        case tuple() | list():
            return {"!": type(value).__name__, "value": [_plain(each) for each in value]}
        case frozenset() | set():
            return {"!": "frozenset", "value": sorted((_plain(each) for each in value), key=json.dumps)}
        case Mapping():
            return {"!": "dict", "value": [[_plain(key), _plain(each)] for key, each in value.items()]}
    if is_dataclass(value):
        own = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {"!": type(value).__name__, "value": own}
    raise TypeError(f"a context holds no {type(value).__name__}")


def _value(plain: Any) -> Any:  # noqa: PLR0911 - one arm a kind
    if not isinstance(plain, dict):
        return plain
    kind, value = plain["!"], plain["value"]
    match kind:
        case "bytes":
            return base64.b64decode(value)
        case "datetime":
            return datetime.fromisoformat(value)
        case "timedelta":
            return timedelta(seconds=value)
        case "tuple":
            return tuple(_value(each) for each in value)
        case "list":
            return [_value(each) for each in value]
        case "frozenset":
            return frozenset(_value(each) for each in value)
        case "dict":
            return {_value(key): _value(each) for key, each in value}
    found = CLASSES[kind]
    return found(value) if issubclass(found, Enum) else found(**{key: _value(each) for key, each in value.items()})
