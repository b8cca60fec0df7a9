"""What the bot says at GitLab: notes, reactions, and the dashboard issue."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.model.observed import Issue, Note
from bot.model.state import Thread
from bot.ports import Refused
from bot.providers.forge import gitlab_wire as wire
from bot.providers.forge.gitlab_place import Place
from bot.providers.forge.gitlab_talk import PATHS

REACTIONS = {True: "thumbsup", False: "thumbsdown"}
"""The emoji for a yes and a no."""


class GitLabComments:
    """Writes notes and the dashboard of a project; `me` gives the bot's own user name. Raises `ServerUnreachable`."""

    def __init__(self, place: Place, me: Callable[[], str]) -> None:
        self._place = place
        self._me = me

    def write(self, thread: Thread, iid: int, body: str, note: str = "") -> Note | Refused:
        """Write a note, or edit the bot's own one with id `note`; one that says so already is left as it is."""
        what = f"nothing was written on {_place(thread, iid)}"
        path = f"{_thing(thread, iid)}/notes"
        if note:
            return self._edit(f"{path}/{note}", body, what)
        answer = self._place.try_to(
            f"comment on {_place(thread, iid)}", lambda: self._place.post(path, {"body": body}), what
        )
        if isinstance(answer, Refused):
            return answer
        if isinstance(answer, Mapping) and "id" not in answer:
            return Refused(f"{what}: GitLab took all of it as quick actions")
        with self._place.asking(f"comment on {_place(thread, iid)}"):
            return wire.note(wire.read(wire.NoteWire, answer), self._me())

    def _edit(self, path: str, body: str, what: str) -> Note | Refused:
        me = self._me()
        present = self._place.try_to(path, lambda: wire.read(wire.NoteWire, self._place.get(path)), what)
        if isinstance(present, Refused):
            return present
        view = wire.note(present, me)
        if view.author != me:
            return Refused(f"{what}: note {view.id} is {view.author}'s")
        if view.body == body:
            return view
        answer = self._place.try_to(
            f"edit {path}", lambda: wire.read(wire.NoteWire, self._place.put(path, {"body": body})), what
        )
        return answer if isinstance(answer, Refused) else wire.note(answer, me)

    def react(self, thread: Thread, iid: int, note: str, *, ok: bool) -> Refused | None:
        """Acknowledge a note with a thumb up or down; one that is there already is fine."""
        path, name = f"{_thing(thread, iid)}/notes/{note}/award_emoji", REACTIONS[ok]
        what = f"note {note} got no reaction"
        answer = self._place.try_to(f"react to note {note}", lambda: self._place.post(path, {"name": name}), what)
        if not isinstance(answer, Refused):
            return None
        given = self._place.try_to(
            f"reactions to note {note}",
            lambda: [wire.read(wire.AwardWire, each) for each in self._place.pages(path)],
            what,
        )
        if isinstance(given, Refused):
            return given
        mine = {each.name for each in given if each.user and each.user.username == self._me()}
        return None if name in mine else answer

    def put_dashboard(self, iid: int, title: str, body: str) -> Issue | Refused:
        """Set title and text of the dashboard issue, or open one where `iid` is 0."""
        fields = {"title": title, "description": body}
        answer = self._place.try_to(
            "the dashboard issue",
            lambda: self._place.put(f"issues/{iid}", fields) if iid else self._place.post("issues", fields),
            "the dashboard was not written",
        )
        if isinstance(answer, Refused):
            return answer
        with self._place.asking("the dashboard issue"):
            issue = wire.read(wire.IssueWire, answer)
        return Issue(issue.iid, issue.description or "", issue.web_url or "")


def _thing(thread: Thread, iid: int) -> str:
    """The path of what a note stands on."""
    return f"{PATHS[thread]}/{iid}"


def _place(thread: Thread, iid: int) -> str:
    """What a note stands on, in words."""
    return f"!{iid}" if thread is Thread.MERGE_REQUEST else f"issue #{iid}"
