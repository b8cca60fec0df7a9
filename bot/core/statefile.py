"""The statefile as bytes: one versioned JSON document; a foreign or newer one is refused in one sentence."""

from __future__ import annotations

from dataclasses import replace

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
        return msgspec.json.decode(data, type=State)
    except msgspec.ValidationError as error:
        raise WrongUsage(
            f"{where}: this is not a statefile of saasbot: {error}",
            hint="`saasbot state repair` keeps what can be read",
        ) from error
    except msgspec.DecodeError as error:
        raise WrongUsage(
            f"{where}: this is cut off or no JSON at all: {error}",
            hint="put the last good copy in its place, or start afresh: remove it and `reconcile --bootstrap adopt`",
        ) from error


def next_serial(state: State) -> State:
    """The state as its next write."""
    return replace(state, serial=state.serial + 1)
