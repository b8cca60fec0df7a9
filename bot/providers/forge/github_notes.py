"""Comments and approvals at GitHub, read again only where something may have changed.

Whatever is said moves `updated_at` of its issue or pull request, so what was read is kept under that time (and the
head, as a push takes approvals back). It counts as settled once it was read some minutes after that time: until then
more may come within the same second, or reach the server that answers late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from bot.core.commands import parse
from bot.model.observed import Note
from bot.ports import Refused
from bot.providers.forge.github_account import Account
from bot.providers.forge.github_place import Place, login
from bot.providers.forge.github_pushes import head_at, pushes
from bot.providers.github_api import No, moment

FORMAT = "talk 2"
"""What entries of the cache are called; another number where what is in them changed."""

SETTLED = timedelta(minutes=5)
"""How long after its last change what was read of a thread is read again."""

SAME = timedelta(seconds=2)
"""A comment whose two times differ by less was not edited: they are not taken at once."""

SAYS = frozenset({"APPROVED", "CHANGES_REQUESTED", "DISMISSED"})
"""States of a review that replace an earlier one of the same person; a mere comment does not."""


@dataclass(frozen=True, slots=True)
class Review:
    """The last word of a person on a pull request, and the head that it is about."""

    user: str
    approves: bool
    head: str


@dataclass(frozen=True, slots=True)
class Talk:
    """What was said on an issue or pull request: all comments, and all reviews of the bot's own."""

    key: str
    read_at: datetime
    notes: tuple[Note, ...] = ()
    reviews: tuple[Review, ...] = ()

    def approvers(self, head: str) -> list[str]:
        """Whose last word is an approval of this very head; whether each may give one is not known here."""
        return [each.user for each in self.reviews if each.approves and each.head == head]


class Notes:
    """Reads and writes comments; `account` says which are the bot's and whose approval counts.

    `prefix` is what commands start with: only where a person gives one it is asked which head that was beside.
    """

    def __init__(self, place: Place, account: Account, prefix: str) -> None:
        self._place = place
        self._account = account
        self._prefix = prefix

    def on_issue(self, issue: Mapping[str, Any]) -> tuple[Note, ...]:
        """The comments on an issue."""
        return self._talk(issue, str(issue["updated_at"]), None).notes

    def on_pull(self, pull: Mapping[str, Any], *, fresh: bool = False) -> Talk:
        """The comments on a pull request, and its reviews if it is the bot's; `fresh`: whatever is kept."""
        return self._talk(pull, f"{pull['updated_at']} {pull['head']['sha']}", pull, fresh=fresh)

    def _talk(self, issue: Mapping[str, Any], key: str, pull: Mapping[str, Any] | None, *, fresh: bool = False) -> Talk:
        name, now = self._name(issue["number"]), self._place.now()
        kept = _decoded(self._place.cache.get(name))
        changed = moment(issue["updated_at"])
        believed = kept is not None and kept.key == key and kept.read_at <= now  # not what `plan --now` read
        if kept and believed and not fresh and changed and kept.read_at - changed > SETTLED:
            return kept
        notes = self._read(issue, pull)
        own = pull is not None and self._place.is_own(pull) and pull["state"] == "open"
        talk = Talk(key, now, notes, self._reviews(issue["number"]) if own else ())
        self._place.cache.put(name, msgspec.json.encode(talk))
        return talk

    def _read(self, issue: Mapping[str, Any], pull: Mapping[str, Any] | None) -> tuple[Note, ...]:
        if issue.get("comments") == 0:
            return ()
        found = self._place.api.pages(self._place.at(f"issues/{issue['number']}/comments"))
        notes = tuple(note(comment) for comment in found)
        me = self._account.me()
        commands = (each for each in notes if not each.bot and each.author != me and parse(each.body, self._prefix, me))
        if pull is None or not any(commands):
            return notes
        moves = pushes(self._place, pull)
        return tuple(replace(each, head=head_at(moves, each.created_at)) for each in notes)

    def _reviews(self, number: int) -> tuple[Review, ...]:
        """The last word of each person, oldest first."""
        last: dict[str, Review] = {}
        for review in self._place.api.pages(self._place.at(f"pulls/{number}/reviews")):
            if review["state"] in SAYS:
                user = login(review["user"])
                last[user] = Review(user, review["state"] == "APPROVED", str(review.get("commit_id") or ""))
        return tuple(last.values())

    def may_approve(self, user: str) -> bool:
        """Whether an approval counts, read live: on a public repository anybody can give one."""
        return self._account.role(user).writes

    def write(self, number: int, body: str, edited: str = "") -> Note | Refused:
        """Write a comment, or put this text into the one with the id `edited`."""
        tail = f"issues/comments/{edited}" if edited else f"issues/{number}/comments"
        answer = self._place.api.send("PATCH" if edited else "POST", self._place.at(tail), {"body": body})
        self._forget(number)
        if isinstance(answer, No):
            what = "edited" if edited else "written"
            return Refused(f"the comment on {number} was not {what}: {answer.text}")
        return note(answer)

    def react(self, edited: str, *, ok: bool) -> Refused | None:
        """A thumb up or down on a comment; GitHub keeps one of each from each user."""
        path = self._place.at(f"issues/comments/{edited}/reactions")
        answer = self._place.api.send("POST", path, {"content": "+1" if ok else "-1"})
        return Refused(f"no reaction on comment {edited}: {answer.text}") if isinstance(answer, No) else None

    def said(self, number: int, body: str) -> bool:
        """Whether the bot's last comment is this one: after a lost answer it is not written twice."""
        own = [each for each in self._place.api.pages(self._place.at(f"issues/{number}/comments"))
               if login(each["user"]) == self._account.me()]  # fmt: skip
        return bool(own) and _same(str(own[-1]["body"]), body)

    def _forget(self, number: int) -> None:
        self._place.cache.put(self._name(number), b"")

    def _name(self, number: int) -> str:
        """Of the entry in the cache: what is read depends on who reads and on what commands start with."""
        return self._place.name(FORMAT, f"{number} {self._account.me()} {self._prefix}")


def note(comment: Mapping[str, Any]) -> Note:
    """One comment in our words; its head is not known yet."""
    created, updated = moment(comment["created_at"]), moment(comment["updated_at"])
    user = comment.get("user")
    return Note(
        id=str(comment["id"]),
        author=login(user),
        body=str(comment.get("body") or ""),
        created_at=created,
        bot=user is not None and user.get("type") == "Bot",
        edited=created is not None and updated is not None and updated - created >= SAME,
    )


def _decoded(data: bytes | None) -> Talk | None:
    try:
        return msgspec.json.decode(data, type=Talk) if data else None
    except msgspec.DecodeError:  # another release wrote it
        return None


def _same(one: str, other: str) -> bool:
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
