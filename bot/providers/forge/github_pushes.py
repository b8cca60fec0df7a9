"""When the branch of a pull request moved, from the activity of its repository: a commit's own dates do not tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bot.providers.forge.github_place import Place
from bot.providers.github_api import No, moment

Moves = list[tuple[datetime, str]]
"""When a head moved and where to, newest first."""


def pushes(place: Place, pull: Mapping[str, Any]) -> Moves:
    """The latest moves of the head; empty where the server or the fork does not tell. One request."""
    repository = pull["head"].get("repo")
    if not repository:
        return []
    path = f"/repos/{repository['full_name']}/activity"
    found = place.api.look(path, ref=f"refs/heads/{pull['head']['ref']}", per_page=100)
    if isinstance(found, No):
        return []
    moves = [(moment(each["timestamp"]), str(each["after"])) for each in found]
    return [(when, after) for when, after in moves if when is not None and after.strip("0")]


def head_at(moves: Iterable[tuple[datetime, str]], when: datetime | None) -> str:
    """The head at a moment; empty where it was pushed before all that are told.

    Times are whole seconds: within the second of a push it is the head before, for which nothing is granted too much.
    """
    return next((after for pushed, after in moves if when is not None and pushed < when), "")


def pushed_at(moves: Iterable[tuple[datetime, str]], head: str) -> datetime | None:
    """When the branch came to this head; None where that is not told."""
    return next((when for when, after in moves if after == head), None)
