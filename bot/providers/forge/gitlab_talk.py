"""What was said on a merge request or issue, kept in the cache for as long as GitLab says that nothing was added.

Notes, approvals and versions cost a request each. They are read again when `updated_at`, the number of notes or the
head have changed. GitLab moves `updated_at` at most once a minute (its `ThrottledTouch`), so that a second approval in
the same minute leaves no trace there: like git's index, what was read soon after the last change is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from gitlab.exceptions import GitlabError

from bot.model.observed import Note
from bot.model.state import Thread
from bot.ports import Cache
from bot.providers.forge.gitlab_place import Place
from bot.providers.forge.gitlab_wire import (
    ApprovalsWire,
    EditsWire,
    EditWire,
    NoteWire,
    VersionWire,
    key_of,
    note,
    read,
)
from bot.providers.gitlab_api import FORBIDDEN, NOT_FOUND, ORDINARY, UNAUTHORIZED

RACY = timedelta(minutes=5)
"""What was read this long after the last change has seen all of it; the clocks may differ by as much less a minute."""

NO_GRAPHQL = ORDINARY | {NOT_FOUND, FORBIDDEN, UNAUTHORIZED}
"""Statuses with which a server or a token has no GraphQL for the bot."""

PATHS = {Thread.MERGE_REQUEST: "merge_requests", Thread.DASHBOARD: "issues"}
"""Where the API keeps what a note may stand on."""

AT_ONCE = 50
"""Notes that one GraphQL query asks about."""

_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Said:
    """What to know of a thing before asking what was said on it."""

    thread: Thread
    iid: int
    updated_at: datetime | None
    notes_count: int | None
    head: str = ""
    approvals: bool = False
    """Whether it matters who approved."""

    @property
    def key(self) -> str:
        """What changes when something is said."""
        return f"{key_of(self.updated_at, self.notes_count, self.head)} {self.approvals}"


@dataclass(frozen=True, slots=True)
class Talk:
    """Everything said, as it was read at `read_at`. `head` is the newest version's where the versions were read."""

    key: str
    read_at: datetime
    notes: tuple[Note, ...] = ()
    approved_by: tuple[str, ...] = ()
    head: str = ""


def _by(wire: NoteWire, me: str) -> bool:
    """Whether a note is this user's."""
    return wire.author is not None and wire.author.username == me


class Talks:
    """Reads what was said; raises what python-gitlab raises. May be used by several threads.

    `me` gives the bot's own user name.
    """

    def __init__(self, place: Place, cache: Cache, now: Callable[[], datetime], me: Callable[[], str]) -> None:
        self._place = place
        self._cache = cache
        self._now = now
        self._me = me

    def on(self, said: Said, *, fresh: bool = False) -> Talk:
        """What was said on it; from the cache where that is as good, unless it must be `fresh`.

        A talk that comes from the cache has no `head`: the one that the caller knows is as new.
        """
        kept = None if fresh else self._kept(said)
        if kept is not None:
            return replace(kept, head="")
        talk = self._read(said)
        self._cache.put(self._name(said), msgspec.json.encode(talk))
        return talk

    def notes_of(self, thread: Thread, iid: int) -> tuple[NoteWire, ...]:
        """All notes of people and programs, as they are now, by number."""
        path = f"{PATHS[thread]}/{iid}/notes"
        found = self._place.pages(path, sort="asc", order_by="created_at", activity_filter="only_comments")
        return tuple(sorted((read(NoteWire, each) for each in found), key=lambda each: each.id))

    def _read(self, said: Said) -> Talk:
        at = self._now()  # before the first request: what is said meanwhile counts as later
        wires = self.notes_of(said.thread, said.iid)
        me = self._me()
        by_people = any(not (each.bot or each.system) for each in (note(wire, me) for wire in wires))
        versions = self._versions(said.iid) if by_people and said.thread is Thread.MERGE_REQUEST else ()
        never_edited = self._never_edited([each for each in wires if each.changed and not _by(each, me)])
        newest = max(versions, key=lambda each: str(each.created_at or ""), default=None)
        return Talk(
            key=said.key,
            read_at=at,
            notes=tuple(note(wire, me, versions, never_edited) for wire in wires),
            approved_by=self._approvals(said.iid) if said.approvals else (),
            head=(newest.head_commit_sha or "") if newest is not None else "",
        )

    def _never_edited(self, changed: Sequence[NoteWire]) -> frozenset[int]:
        """Those of these notes whose words nobody has changed.

        A reaction, and the end of a discussion, move a note's `updated_at` too, and only GraphQL tells an edit from
        them. Where it may not be asked, whatever changed counts as edited.
        """
        found: set[int] = set()
        for start in range(0, len(changed), AT_ONCE):
            numbers = [each.id for each in changed[start : start + AT_ONCE]]
            try:
                edits = self._edits(numbers)
            except GitlabError as error:
                if error.response_code in NO_GRAPHQL:
                    break
                raise
            found.update(number for number in numbers if (one := edits.get(f"n{number}")) and one.never)
        return frozenset(found)

    def _edits(self, numbers: Sequence[int]) -> Mapping[str, EditWire | None]:
        words = " ".join(f'n{each}: note(id: "gid://gitlab/Note/{each}") {{ lastEditedAt }}' for each in numbers)
        api = self._place.api
        answer = api.http_post(f"{api.url}/api/graphql", post_data={"query": f"query {{ {words} }}"})
        return read(EditsWire, answer).data or {}

    def _versions(self, iid: int) -> tuple[VersionWire, ...]:
        return tuple(read(VersionWire, each) for each in self._place.pages(f"merge_requests/{iid}/versions"))

    def _approvals(self, iid: int) -> tuple[str, ...]:
        return read(ApprovalsWire, self._place.get(f"merge_requests/{iid}/approvals")).users

    def _kept(self, said: Said) -> Talk | None:
        """What the cache has, if nothing can have been said since."""
        data = self._cache.get(self._name(said))
        if data is None or said.updated_at is None:
            return None
        try:
            kept = msgspec.json.decode(data, type=Talk)
        except msgspec.MsgspecError:
            return None
        settled = said.updated_at + RACY < kept.read_at <= self._now()
        return kept if settled and kept.key == said.key else None

    def _name(self, said: Said) -> str:
        server = f"{self._place.api.url} {self._place.path} {self._me()}"
        return f"gitlab talk {_FORMAT} {server} {PATHS[said.thread]} {said.iid}"
