"""The dashboard: one open issue of the bot's, known by its title."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.model.observed import Issue
from bot.ports import Refused
from bot.providers.forge.github_account import Account
from bot.providers.forge.github_notes import Notes
from bot.providers.forge.github_place import Place, login
from bot.providers.github_api import No


class Board:
    """Reads and writes the dashboard issue."""

    def __init__(self, place: Place, account: Account, notes: Notes) -> None:
        self._place = place
        self._account = account
        self._notes = notes

    def show(self, title: str) -> Issue | None:
        """The bot's oldest open issue of this title, with its comments."""
        found = self._oldest(title)
        return None if found is None else self._view(found, talked=True)

    def put(self, number: int, title: str, body: str) -> Issue | Refused:
        """Set title and text, or open it where `number` is 0; one that was opened just before a crash is adopted."""
        found = None if number else self._oldest(title)
        number = int(found["number"]) if found else number
        tail, method = (f"issues/{number}", "PATCH") if number else ("issues", "POST")
        answer = self._place.api.send(method, self._place.at(tail), {"title": title, "body": body})
        if isinstance(answer, No):
            return Refused(f"the dashboard issue was not {'edited' if number else 'opened'}: {answer.text}")
        return self._view(answer, talked=False)

    def _oldest(self, title: str) -> Mapping[str, Any] | None:
        me = self._account.me()
        query = {"state": "open", "creator": me, "sort": "created", "direction": "asc"}
        issues = self._place.api.pages(self._place.at("issues"), **query)
        mine = (each for each in issues if each["title"] == title and login(each["user"]) == me)
        return next((each for each in mine if not each.get("pull_request")), None)

    def _view(self, issue: Mapping[str, Any], *, talked: bool) -> Issue:
        notes = self._notes.on_issue(issue) if talked else ()
        return Issue(int(issue["number"]), str(issue.get("body") or ""), str(issue["html_url"]), notes)
