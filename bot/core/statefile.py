"""The statefile as bytes: one versioned JSON document; a foreign or newer one is refused in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from bot.errors import WrongUsage
from bot.model.state import VERSION, State


def encode(state: State) -> bytes:
    """The document of a state, with a final newline."""
    return msgspec.json.encode(state, order="deterministic") + b"\n"


def decode(data: bytes, where: str) -> State:
    """The state in a document; `where` names it in errors."""
    try:
        version = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("version", msgspec.Raw(b"null"))
        number = msgspec.json.decode(version)
        if number != VERSION:
            raise WrongUsage(
                f"{where}: this is version {number!r} of the statefile, this program reads version {VERSION}",
                hint="use the release that wrote it, or a newer one",
            )
        state = msgspec.json.decode(data, type=State)
    except msgspec.ValidationError as error:
        raise WrongUsage(
            f"{where}: this is not a statefile of saasbot: {error}",
            hint="`saasbot state repair` keeps what can be read",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(
            f"{where}: this is cut off or no JSON at all: {error}",
            hint="put the last good copy in its place, or start afresh: remove it and `reconcile --bootstrap adopt`",
        ) from error
    if not state.lineage or without_zone(state):
        what = "a time in it has no time zone" if state.lineage else "it has no lineage"
        raise WrongUsage(
            f"{where}: this is not a statefile of saasbot: {what}", hint="put the last good copy in its place"
        )
    return state


def without_zone(value: Any) -> bool:
    """Whether some time in it could be compared with none of ours."""
    if isinstance(value, datetime):
        return value.tzinfo is None
    if isinstance(value, str | int | None):
        return False
    if isinstance(value, Mapping):
        return any(map(without_zone, value.values()))
    if isinstance(value, tuple | frozenset):
        return any(map(without_zone, value))
    return is_dataclass(value) and any(without_zone(getattr(value, field.name)) for field in fields(value))


def next_serial(state: State) -> State:
    """The state as its next write."""
    return replace(state, serial=state.serial + 1)
