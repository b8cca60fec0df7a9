"""Talk at the fake GitLab's API: notes, their emoji, and issues."""

from __future__ import annotations

from typing import Any

from worlds.fake_gitlab_acts import describe, edit_note, open_issue, say, set_labels, set_state, set_title
from worlds.fake_gitlab_api import PROJECT, GitLabGround, in_order, words
from worlds.fake_gitlab_model import GUEST, MAINTAINER, REPORTER, Award, Issue, Note
from worlds.fake_http import Answer, Refusal, Request, Route

NOTES = rf"{PROJECT}/(merge_requests|issues)/(\d+)/notes"
ISSUE = rf"{PROJECT}/(issues)/(\d+)"
ORDERS: dict[str, Any] = {
    "created_at": lambda found: (found.created_at, found.id),
    "updated_at": lambda found: (found.updated_at, found.id),
    "title": lambda found: (found.title, found.id),
}


class TalkingApi(GitLabGround):
    """Handlers for notes and issues."""

    talking_routes = (
        Route("GET", NOTES, "list_notes"),
        Route("POST", NOTES, "write_note"),
        Route("GET", rf"{NOTES}/(\d+)", "show_note"),
        Route("PUT", rf"{NOTES}/(\d+)", "change_note"),
        Route("DELETE", rf"{NOTES}/(\d+)", "delete_note"),
        Route("GET", rf"{NOTES}/(\d+)/award_emoji", "list_awards"),
        Route("POST", rf"{NOTES}/(\d+)/award_emoji", "give_award"),
        Route("DELETE", rf"{NOTES}/(\d+)/award_emoji/(\d+)", "take_award"),
        Route("GET", rf"{PROJECT}/issues", "list_issues"),
        Route("POST", rf"{PROJECT}/issues", "open_issue"),
        Route("GET", ISSUE, "show_issue"),
        Route("PUT", ISSUE, "change_issue"),
        Route("GET", rf"{ISSUE}/resource_state_events", "list_issue_events"),
    )

    def list_notes(self, request: Request) -> Answer:
        """Notes, newest first; system notes among them."""
        project, _ = self.project(request)
        thing = self.thing(request, project)
        self.reads(request, "order_by", "sort", "activity_filter")
        wanted = {"only_comments": (False,), "only_activity": (True,)}.get(
            request.get("activity_filter"), (False, True)
        )
        notes = in_order((note for note in thing.notes if note.system in wanted), request, ORDERS, "created_at")
        return self.paged(request, notes, lambda note: self.entities.note(project, thing, note))

    def write_note(self, request: Request) -> Answer:
        """Keep a note, or carry out quick actions: 202 where it holds nothing else."""
        project, user = self.project(request, GUEST)
        thing, body = self.thing(request, project), self.body(request, "body")
        written = say(self.state, project, user, thing, str(body["body"]))
        if isinstance(written, Note):
            return Answer(201, self.entities.note(project, thing, written))
        commands = [f"Executed /{name}." for name, _ in written]
        return Answer(202, {"commands_changes": dict(written), "summary": commands})

    def show_note(self, request: Request) -> Answer:
        """One note."""
        project, _ = self.project(request)
        thing = self.thing(request, project)
        return Answer(200, self.entities.note(project, thing, self._note(request, thing)))

    def change_note(self, request: Request) -> Answer:
        """Change a note; its author may, and maintainers."""
        project, user = self.project(request)
        thing, body = self.thing(request, project), self.body(request, "body")
        note = self._note(request, thing)
        if note.system or (note.author is not user and self.state.level(project, user) < MAINTAINER):
            raise Refusal(403, {"message": "403 Forbidden"})
        edit_note(self.state, project, user, thing, note, str(body["body"]))
        return Answer(200, self.entities.note(project, thing, note))

    def delete_note(self, request: Request) -> Answer:
        """Delete a note; its author may, and maintainers."""
        project, user = self.project(request)
        thing = self.thing(request, project)
        note = self._note(request, thing)
        if note.author is not user and self.state.level(project, user) < MAINTAINER:
            raise Refusal(403, {"message": "403 Forbidden"})
        thing.notes.remove(note)
        self.state.touch(thing)
        return Answer(204)

    def list_awards(self, request: Request) -> Answer:
        """The emoji on a note."""
        project, _ = self.project(request)
        note = self._note(request, self.thing(request, project))
        return self.paged(request, note.awards, lambda award: self.entities.award(note, award))

    def give_award(self, request: Request) -> Answer:
        """Put an emoji on a note; a second equal one by the same user is refused as GitLab does."""
        project, user = self.project(request)
        note = self._note(request, self.thing(request, project))
        name = str(self.body(request, "name")["name"])
        if any((award.name, award.user) == (name, user) for award in note.awards):
            text = "404 Award Emoji Name has already been taken Not Found"
            raise Refusal(404, {"message": text})
        award = Award(self.state.new_id("award"), name, user, self.state.tick())
        note.awards.append(award)
        note.updated_at = award.created_at  # AwardEmoji#expire_cache bumps what it is on
        return Answer(201, self.entities.award(note, award))

    def take_award(self, request: Request) -> Answer:
        """Take an own emoji away."""
        project, user = self.project(request)
        note = self._note(request, self.thing(request, project))
        award = next((each for each in note.awards if each.id == int(request.groups[4])), None)
        if award is None:
            raise Refusal(404, {"message": "404 Award Emoji Not Found"})
        if award.user is not user:
            raise Refusal(401, {"message": "401 Unauthorized"})
        note.awards.remove(award)
        note.updated_at = self.state.tick()
        return Answer(204)

    def list_issues(self, request: Request) -> Answer:
        """Issues that the query asks for."""
        project, user = self.project(request)
        self.reads(
            request,
            "state",
            "scope",
            "author_username",
            "author_id",
            "labels",
            "iids",
            "search",
            "in",
            "order_by",
            "sort",
        )
        found = [each for each in project.issues.values() if _wanted(request, each)]
        if request.get("scope") == "created_by_me":
            found = [each for each in found if each.author is user]
        issues = in_order(found, request, ORDERS, "created_at")
        return self.paged(request, issues, lambda each: self.entities.issue(project, each))

    def open_issue(self, request: Request) -> Answer:
        """A new issue; labels count from those who may set them."""
        project, user = self.project(request, GUEST)
        body = self.body(request, "title")
        labels = words(body.get("labels")) if self.state.level(project, user) >= REPORTER else []
        made = open_issue(
            self.state, project, user, str(body["title"]), str(body.get("description") or ""), sorted(set(labels))
        )
        return Answer(201, self.entities.issue(project, made))

    def show_issue(self, request: Request) -> Answer:
        """One issue."""
        project, _ = self.project(request)
        return Answer(200, self.entities.issue(project, self.thing(request, project)))

    def change_issue(self, request: Request) -> Answer:
        """Title, description, labels, state; authors may, and reporters."""
        project, user = self.project(request)
        found, body = self.thing(request, project), self.body(request)
        if found.author is not user and self.state.level(project, user) < REPORTER:
            raise Refusal(403, {"message": "403 Forbidden"})
        if not body:
            raise Refusal(400, {"error": "at least one parameter must be provided"})
        if body.get("title"):
            set_title(self.state, user, found, str(body["title"]))
        if "description" in body and (body["description"] or "") != found.description:
            describe(self.state, project, user, found, str(body["description"] or ""))
            self.state.touch(found)
        if "labels" in body:
            set_labels(self.state, found, words(body["labels"]))
        if body.get("state_event"):
            set_state(self.state, user, found, str(body["state_event"]))
        return Answer(200, self.entities.issue(project, found))

    def list_issue_events(self, request: Request) -> Answer:
        """Who closed and reopened, oldest first."""
        project, _ = self.project(request)
        found = self.thing(request, project)
        return self.paged(request, found.events, lambda each: self.entities.state_event(found, each))

    @staticmethod
    def _note(request: Request, thing: Issue) -> Note:
        """The note whose id is the address's."""
        note = next((each for each in thing.notes if each.id == int(request.groups[3])), None)
        if note is None:
            raise Refusal(404, {"message": "404 Note Not Found"})
        return note


def _wanted(request: Request, found: Issue) -> bool:
    """Whether an issue matches the query."""
    text = found.title if request.get("in") == "title" else f"{found.title} {found.description}"
    return (
        request.get("state", "all") in {"all", found.state}
        and request.get("author_username", found.author.username) == found.author.username
        and request.get("author_id", str(found.author.id)) == str(found.author.id)
        and set(words(",".join(request.all("labels")) or [])) <= set(found.labels)
        and (not request.all("iids") or str(found.iid) in request.all("iids"))
        and request.get("search").lower() in text.lower()
    )
