"""The people at the fake GitLab: what a human does at its pages, in the test's own process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from worlds.fake_gitlab_acts import (
    approve,
    current_pipeline,
    edit_note,
    open_merge_request,
    say,
    set_draft,
    set_labels,
    set_state,
)
from worlds.fake_gitlab_ci import Pipelines, PipelinesApi
from worlds.fake_gitlab_git import Repository
from worlds.fake_gitlab_model import Award, Project
from worlds.fake_gitlab_model import Issue as StoredIssue
from worlds.fake_gitlab_model import MergeRequest as StoredMergeRequest
from worlds.fake_gitlab_model import Note as StoredNote
from worlds.fake_gitlab_state import State

from bot.model.observed import CiStatus, Issue, MergeRequest, MergeRequestStatus, Note
from bot.ports import Refused

STATUSES = {CiStatus.RUNNING: "running", CiStatus.SUCCESS: "success", CiStatus.FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class GitLabPeople:
    """Anybody who acts on a project; the same words as `LocalPeople`, and answers from the server's own truth.

    System notes are left out of what is shown. Nobody's role is asked, but by quick actions.
    """

    server: PipelinesApi
    project: Project
    bot: str

    @property
    def state(self) -> State:
        """The server's state."""
        return self.server.state

    def list_all(self) -> tuple[MergeRequest, ...]:
        """Every merge request in any state, by number."""
        with self.server.lock:
            self.state.sync_all()
            return tuple(self._view(found) for _, found in sorted(self.project.merge_requests.items()))

    def show(self, iid: int) -> MergeRequest | None:
        """One merge request, or None if there is no such."""
        with self.server.lock:
            found = self._found(iid)
            return None if found is None else self._view(found)

    def open_as(
        self,
        user: str,
        branch: str,
        title: str,
        description: str = "",
        *,
        draft: bool = False,
        fork: Path | None = None,
    ) -> MergeRequest | Refused:
        """Open a merge request for a branch that was pushed (to `fork`, if one is given), or return the open one."""
        with self.server.lock:
            self.state.sync_all()
            repository = None if fork is None else Repository(fork)
            target = self.project.default_branch
            if branch not in (repository or self.project.repository).heads() or (branch == target and fork is None):
                return Refused(f"there is no branch {branch} to open a merge request for")
            for other in self.state.opened(self.project):
                if (other.source, other.target, other.fork is None) == (branch, target, fork is None):
                    return self._view(other)
            words = f"Draft: {title}" if draft else title
            who = self.state.user(user)
            made = open_merge_request(
                self.state, self.project, who, (branch, target), words, description, fork=repository
            )
            return self._view(made)

    def comment_as(self, user: str, iid: int, text: str) -> Note | Refused:
        """Write a comment; quick actions in it are carried out, and nothing is kept of a comment without more."""
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            return self._said(found, user, text)

    def comment_dashboard_as(self, user: str, text: str) -> Note | Refused:
        """Write a comment on the bot's newest open issue."""
        with self.server.lock:
            found = self._dashboard()
            return Refused("there is no dashboard") if found is None else self._said(found, user, text)

    def edit_comment_as(self, user: str, iid: int, note_id: str, text: str) -> Note | Refused:
        """Change a comment, whosever it is."""
        with self.server.lock:
            found = self._found(iid)
            note = next((n for n in found.notes if str(n.id) == note_id), None) if found else None
            if found is None or note is None:
                return Refused(f"merge request {iid} has no note {note_id}")
            edit_note(self.state, self.project, self.state.user(user), found, note, text)
            return self._note(note)

    def react_as(self, user: str, iid: int, note_id: str, name: str = "thumbsup") -> None:
        """Put an emoji on a comment, which moves the comment's `updated_at`."""
        with self.server.lock:
            found = self._found(iid)
            note = next(each for each in found.notes if str(each.id) == note_id) if found else None
            assert note is not None, note_id
            award = Award(self.state.new_id("award"), name, self.state.user(user), self.state.tick())
            note.awards.append(award)
            note.updated_at = award.created_at

    def dashboard(self) -> Issue | None:
        """The bot's newest open issue."""
        with self.server.lock:
            found = self._dashboard()
            if found is None:
                return None
            notes = tuple(self._note(note) for note in found.notes if not note.system)
            url = f"{self.server.entities.page(self.project)}/-/issues/{found.iid}"
            return Issue(found.iid, found.description, url, notes)

    def set_ci(self, iid: int, word: CiStatus, *, ref: str = "", sha: str = "") -> MergeRequest | Refused:
        """Say what the CI has to say of the present head, in a pipeline for `ref` (default: the source branch).

        `sha` is the commit it runs on, for a pipeline of a merge result (`ref` ends with `/merge`) or of an old head.
        `NONE` takes the head's pipelines away; the word changes the newest pipeline on this head, if there is one.
        """
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            commit, pipelines = sha or found.sha, self.project.pipelines.values()
            own = [p for p in pipelines if (p.merge_request, p.sha) == (iid, commit) and ref in {"", p.ref}]
            if word is CiStatus.NONE:
                for pipeline in own:
                    del self.project.pipelines[pipeline.id]
                return self._view(found)
            self._pipelines.set_status(own[-1].id if own else self._ci(found, ref, commit), STATUSES[word])
            return self._view(found)

    def set_draft(self, iid: int, *, draft: bool) -> MergeRequest | Refused:
        """Make it a draft, or ready, as its author."""
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            set_draft(self.state, found.author, found, draft=draft)
            return self._view(found)

    def approve_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Approve it; once more changes nothing."""
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            approve(self.state, self.state.user(user), found)
            return self._view(found)

    def merge_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Merge whatever the head is now, with a merge commit of this user, and delete the branch."""
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            if found.state != "opened":
                return self._view(found) if found.state == "merged" else Refused(f"merge request {iid} is closed")
            found.remove_source = True
            failure = self.state.merge(self.project, found, self.state.user(user))
            return Refused(f"merge request {iid} was not merged: {failure}") if failure else self._view(found)

    def close_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Close it; the branch stays."""
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            if found.state == "merged":
                return Refused(f"merge request {iid} is merged already")
            set_state(self.state, self.state.user(user), found, "close")
            return self._view(found)

    def reopen_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Open a closed one again."""
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            set_state(self.state, self.state.user(user), found, "reopen")
            return self._view(found)

    @property
    def _pipelines(self) -> Pipelines:
        return self.server.pipelines

    def set_label(self, iid: int, label: str, *, on: bool) -> MergeRequest | Refused:
        """Put a label on, or take it off."""
        with self.server.lock:
            found = self._found(iid)
            if found is None:
                return Refused(f"there is no merge request {iid}")
            others = [each for each in found.labels if each != label]
            set_labels(self.state, found, [*others, label] if on else others)
            return self._view(found)

    def _ci(self, found: StoredMergeRequest, ref: str, commit: str) -> int:
        """A new pipeline of a merge request; its number."""
        source = "merge_request_event" if ref.startswith("refs/merge-requests/") else "push"
        made = self._pipelines.start(self.project, found.author, (ref or found.source, commit), source)
        made.merge_request = found.iid
        return made.id

    def _found(self, iid: int) -> StoredMergeRequest | None:
        """The merge request, with what was pushed taken in."""
        self.state.sync_all()
        return self.project.merge_requests.get(iid)

    def _dashboard(self) -> StoredIssue | None:
        """The bot's newest open issue."""
        own = (each for each in self.project.issues.values() if each.author.username == self.bot)
        return max((each for each in own if each.state == "opened"), key=lambda each: each.iid, default=None)

    def _said(self, thing: StoredIssue, user: str, text: str) -> Note | Refused:
        written = say(self.state, self.project, self.state.user(user), thing, text)
        return self._note(written) if isinstance(written, StoredNote) else Refused("it held quick actions alone")

    def _view(self, found: StoredMergeRequest) -> MergeRequest:
        """The merge request as it truly is."""
        truth = self.state.truth(self.project, found)
        pipeline = current_pipeline(self.project, found)
        words = {status: word for word, status in STATUSES.items()}
        return MergeRequest(
            found.iid,
            found.title,
            MergeRequestStatus(found.state),
            found.source if found.fork is None else f"{self.project.id + 1000}:{found.source}",
            found.target,
            found.sha,
            found.author.username,
            found.description,
            tuple(found.labels),
            found.draft,
            truth.has_conflicts if found.state == "opened" else False,
            words.get(pipeline.status, CiStatus.RUNNING) if pipeline else CiStatus.NONE,
            tuple(approval.user.username for approval in found.approvals),
            found.auto_merge is not None,
            closed_by=found.closed_by.username if found.closed_by and found.state == "closed" else "",
            url=f"{self.server.entities.page(self.project)}/-/merge_requests/{found.iid}",
            notes=tuple(self._note(note) for note in found.notes if not note.system),
        )

    def _note(self, note: StoredNote) -> Note:
        author = note.author
        return Note(
            str(note.id),
            author.username,
            note.body,
            note.created_at,
            note.system,
            author.bot or author.username == self.bot,
            note.head,
            note.edited_at is not None,
        )
