"""Migrations: an older statefile's document as this release understands it, one version at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.errors import WrongUsage
from bot.model.state import VERSION

Document = dict[str, Any]


def from_1(document: Document) -> Document:
    """Version 2 knows what builds and images a target last ran with (`sources`), and the lineages it replaced.

    Neither was known before; both have defaults. The number is raised because a release that reads version 1 only
    would drop `sources` and start every such target again.
    """
    return document


MIGRATIONS: Mapping[int, Callable[[Document], Document]] = {1: from_1}
"""By version: the document of the next one. A migration leaves alone what it does not understand."""


def migrated(document: Document, where: str = "") -> Document:
    """The document in this release's version; `where` names it in errors.

    Raises WrongUsage for a newer version, and for what has none.
    """
    version = document.get("version")
    known = isinstance(version, int) and not isinstance(version, bool)
    if not known or (version != VERSION and version not in MIGRATIONS):
        raise WrongUsage(
            f"{where}{': ' if where else ''}this is version {version!r} of the statefile, this program reads versions "
            f"1 to {VERSION}",
            hint="use the release that wrote it, or a newer one",
        )
    while document["version"] != VERSION:
        number = document["version"]
        document = {**MIGRATIONS[number](document), "version": number + 1}
    return document
