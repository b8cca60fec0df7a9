"""Documents of servers that tell of builds: one GET, one field (a release controller's `name`, for example)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.errors import ServerUnreachable
from bot.model.triggers import NewBuild
from bot.providers.git import without_credentials
from bot.providers.secrets import read_secret


class HttpDocuments:
    """A `bot.ports.Documents` over HTTP; a relative token file is seen from `config`."""

    def __init__(self, environ: Mapping[str, str], config: Path) -> None:
        self._environ = environ
        self._config = config

    def value(self, source: NewBuild) -> str:
        """The value of the field (`name`, or `tags.0.name`) as text. Raises ServerUnreachable for all else."""
        import requests  # noqa: PLC0415 - few definitions ask for a build, all commands would wait for it

        from bot.providers.http import cause, session  # noqa: PLC0415 - as above

        shown = without_credentials(source.url)
        token = read_secret(source.token, self._config, self._environ)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = session().get(source.url, headers=headers)
            found = answer.json() if answer.ok else None
        except requests.RequestException as error:
            raise ServerUnreachable(f"{shown}: GET failed: {cause(error)}") from error
        if not answer.ok:
            raise ServerUnreachable(f"{shown}: GET was answered {answer.status_code}", hint="check the address")
        value = _field(found, source.field)
        if not isinstance(value, str | int | float) or value == "":
            raise ServerUnreachable(f"{shown}: its answer has no field {source.field}")
        return str(value)


def _field(document: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document
