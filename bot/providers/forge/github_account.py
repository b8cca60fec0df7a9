"""Who the bot is at GitHub, and what people may do in the config repository."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from urllib.parse import quote

from bot.errors import ServerUnreachable, WrongUsage
from bot.model.observed import Role
from bot.providers.forge.github_place import Place
from bot.providers.github_api import No

ACTIONS = "github-actions[bot]"
"""The user of the token that a workflow is given."""

APP = "[bot]"
"""How the names of apps' users end."""

ROLES: Mapping[str, Role] = {
    "admin": Role.OWNER,
    "maintain": Role.OWNER,
    "write": Role.DEVELOPER,
    "triage": Role.GUEST,
}
"""GitHub's roles in a repository; `read` means something in private ones only."""


class Account:
    """The bot's own name, asked for once, and roles, asked for each time.

    `user` is the setting; `in_actions`: this is a workflow's job.
    """

    def __init__(self, place: Place, user: str = "", *, in_actions: bool = False) -> None:
        self._place = place
        self._user = user
        self._me = ""
        self._in_actions = in_actions
        self._lock = threading.Lock()
        self._private: bool | None = None

    def me(self) -> str:
        """The bot's user name as GitHub spells it.

        Raises `WrongUsage` where the token cannot tell and no setting does, or is of somebody else than the setting.
        """
        with self._lock:
            self._me = self._me or self._asked()
            return self._me

    def _asked(self) -> str:
        """What the token says of itself; else the setting, which apps' names are lower case in."""
        api = self._place.api
        if api.app is not None:
            return self._agreed(f"{api.app.get('/app')['slug']}{APP}")
        found = api.look("/user")
        if not isinstance(found, No):
            return self._agreed(str(found["login"]))
        if self._user:
            return self._user.lower() if self._user.lower().endswith(APP) else self._user
        if self._in_actions:
            return ACTIONS
        raise WrongUsage(
            f"{api.server}: this token cannot tell who it is: {found.text}",
            hint="set forge.user in saasbot.yml to the user name that its comments show",
        )

    def _agreed(self, told: str) -> str:
        """The name that GitHub tells, which the setting may spell in other case and no otherwise."""
        if self._user and self._user.casefold() != told.casefold():
            raise WrongUsage(
                f"forge.user is {self._user}, and the token is of {told}",
                hint="take forge.user out of saasbot.yml: the token tells",
            )
        return told

    def role(self, user: str) -> Role:
        """The user's role, read live; none for whoever is not known."""
        if not user:
            return Role.NONE
        path = self._place.at(f"collaborators/{quote(user, safe='')}/permission")
        found = self._place.api.look(path)
        if isinstance(found, No):
            if found.status == 403:  # noqa: PLR2004 - forbidden: nobody's role can be read, which is not "none"
                raise ServerUnreachable(
                    f"{self._place.api.server}: GET {path}: {found.status} {found.text}",
                    hint="the token needs write access to the repository to read roles",
                )
            return Role.NONE
        for word in (found.get("role_name"), found.get("permission")):
            if word in ROLES:
                return ROLES[word]
        return Role.GUEST if found.get("permission") == "read" and self._is_private() else Role.NONE

    def _is_private(self) -> bool:
        """Whether to read here is a right that somebody gave."""
        if self._private is None:
            self._private = bool(self._place.api.get(f"/repos/{self._place.project}")["private"])
        return self._private
