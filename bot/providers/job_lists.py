"""Job lists in a folder of secrets: a key there; both are named in the environment, as CI steps do it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot.errors import ServerUnreachable
from bot.model.triggers import JobsFrom

LONGEST = 5_000_000
"""Bytes that a list may have."""


class FolderJobLists:
    """A `bot.ports.JobLists` over files; a relative folder is seen from `config`."""

    def __init__(self, environ: Mapping[str, str], config: Path) -> None:
        """Take the environment in which folder and key are named."""
        self._environ = environ
        self._config = config

    def read(self, source: JobsFrom) -> bytes:
        """The list's content. Raises ServerUnreachable where a variable is not set or the file cannot be read."""
        folder, key = (self._named(name) for name in (source.folder_env, source.key_env))
        root = self._config / folder
        path = root / key
        if not path.resolve().is_relative_to(root.resolve()):
            raise ServerUnreachable(f"jobsFrom: the key in {source.key_env} leads out of the folder {folder}")
        try:
            with path.open("rb") as file:
                data = file.read(LONGEST + 1)
        except OSError as error:
            text = f"jobsFrom: {folder}/{key} cannot be read: {error.strerror or error}"
            raise ServerUnreachable(text, hint=f"{source.folder_env} and {source.key_env} name it") from error
        if len(data) > LONGEST:
            raise ServerUnreachable(f"jobsFrom: {folder}/{key} has more than {LONGEST} bytes")
        return data

    def _named(self, variable: str) -> str:
        value = self._environ.get(variable, "")
        if not value:
            raise ServerUnreachable(f"jobsFrom: the environment variable {variable} is not set", hint="set it")
        return value
