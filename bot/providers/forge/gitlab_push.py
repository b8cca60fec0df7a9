"""The bot's commit as GitLab builds it: one request, from the base, over all files.

Source: https://docs.gitlab.com/api/commits/#create-a-commit-with-multiple-files-and-actions.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any

from bot.model.plan import Commit
from bot.providers.forge import gitlab_wire as wire
from bot.providers.forge.gitlab_place import Place
from bot.settings import BotSettings

SIGNED_BY_GITLAB = "GitLab <noreply@gitlab.com>"
"""The committer of API commits where the server signs what is made at its pages."""


def commit_fields(commit: Commit, bot: BotSettings, modes: Mapping[str, str]) -> Mapping[str, Any]:
    """The request's body; `modes` are those of the files that are there at the parent already.

    Without `force`, GitLab refuses to build on a branch that is there: as good as a lease for a new one.
    """
    return {
        "branch": commit.branch,
        "start_sha": commit.parent,
        "force": bool(commit.expected_head),
        "commit_message": commit.message.rstrip("\n") + "\n",
        "author_name": bot.name,
        "author_email": bot.email,
        "stats": False,
        "actions": [
            {
                "action": "update" if path in modes else "create",
                "file_path": path,
                "encoding": "base64",
                "content": base64.b64encode(content).decode(),
            }
            for path, content in sorted(commit.files.items())
        ],
    }


def committers(place: Place) -> Collection[str]:
    """The `Name <email>` under which GitLab commits for the token's user. Raises `ServerUnreachable`."""
    with place.asking("the user of the token"):
        account = wire.read(wire.AccountWire, place.api.http_get("/user"))
    names = {account.name or account.username, account.username}
    emails = {each for each in (account.commit_email, account.email, account.public_email) if each}
    return {SIGNED_BY_GITLAB, *(f"{name} <{email}>" for name in names for email in emails)}
