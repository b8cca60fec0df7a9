"""Which statefile is meant by `state` in `saasbot.yml`: a name that no other statefile of this machine has.

A machine remembers by it what it saw. Checkouts of different repositories may take turns at the same path, and the
same bucket may exist at two servers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bot.providers.git_origin import AuthorizedOrigin
from bot.providers.state.file import file_state
from bot.settings import StateSettings

_REMOTE = re.compile(r"[^/]+:")  # a URL, or HOST:PATH; anything else is a path


def state_place(settings: StateSettings, config: Path, environ: Mapping[str, str]) -> str:
    """The name of the statefile; it asks no server. Raises WrongUsage for a URL or settings that cannot work."""
    match settings.url.partition(":")[0]:
        case "file":
            return f"file {file_state(settings.url, config.absolute()).path.resolve()}"
        case "git":
            return f"{settings.url} at {_origin(config)}"
        case "s3" | "gs" | "az":
            return _object(settings, config, environ)
        case _:
            return f"{settings.url} of {config.resolve()}"


def _origin(config: Path) -> str:
    """The address of origin; a path means what it means in this folder."""
    address = AuthorizedOrigin(config).address
    return address if _REMOTE.match(address) else str((config / address).resolve())


def _object(settings: StateSettings, config: Path, environ: Mapping[str, str]) -> str:
    """The object and its server. A container at Azure belongs to an account, which no URL names."""
    from bot.providers.state.objects_client import connect  # noqa: PLC0415 - others do not wait for obstore

    place, client = connect(settings, config, environ)
    account = client.config.get("account_name", "") if place.scheme == "az" else ""
    return f"{place} of {account}" if account else str(place)
