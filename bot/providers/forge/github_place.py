"""Where the GitHub forge looks: one repository and its config branch, with what every part of the forge needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bot.core.batches import PREFIX
from bot.ports import Cache
from bot.providers.github_api import GitHubApi


@dataclass(frozen=True, slots=True)
class Place:
    """A repository (`owner/name`) at a GitHub server, its config branch, the bot's cache and clock."""

    api: GitHubApi
    project: str
    branch: str
    cache: Cache
    now: Callable[[], datetime]

    def at(self, tail: str) -> str:
        """The API's path of something in the repository."""
        return f"/repos/{self.project}/{tail}"

    @property
    def owner(self) -> str:
        """The user or organisation in whose name the repository stands."""
        return self.project.partition("/")[0]

    def name(self, kind: str, what: object) -> str:
        """The name of an entry in the cache."""
        return f"github {kind} {self.api.url} {self.project} {what}"

    def head(self, branch: str) -> str:
        """The head of a branch, asked for by itself; empty where there is none."""
        found = self.api.find(self.at(f"git/ref/heads/{escaped(branch)}"))
        return str(found["object"]["sha"]) if found else ""

    def is_here(self, pull: Mapping[str, Any]) -> bool:
        """Whether the branch of a pull request is one of this repository, and not of a fork."""
        repository = pull["head"].get("repo")
        return bool(repository) and str(repository["full_name"]).lower() == self.project.lower()

    def is_own(self, pull: Mapping[str, Any]) -> bool:
        """Whether a pull request is on a branch that the bot may have made."""
        return self.is_here(pull) and str(pull["head"]["ref"]).startswith(PREFIX)


def escaped(name: str) -> str:
    """A branch or user name as part of a path; slashes stay, as GitHub takes them."""
    return quote(name, safe="/")


def login(user: Mapping[str, Any] | None) -> str:
    """The name of a user; that of GitHub's stand-in for deleted accounts where there is none."""
    return str(user["login"]) if user else "ghost"
