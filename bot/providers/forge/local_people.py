"""The people of a local forge: what a human does at a real forge's page, for `saasbot local mr` and for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note
from bot.ports import Refused
from bot.providers.forge.local_folder import Change, LocalFolder
from bot.providers.forge.local_store import StoredMergeRequest
from bot.settings import BotSettings


@dataclass(frozen=True, slots=True)
class LocalPeople:
    """Anybody who acts at the local forge; nobody's role is asked, as whoever can write the folder may do anything."""

    folder: LocalFolder

    def list_all(self) -> tuple[MergeRequest, ...]:
        """Every merge request in any state, by number."""
        return tuple(self.folder.views(only_open=False))

    def show(self, iid: int) -> MergeRequest | None:
        """One merge request, or None if there is no such."""
        return self.folder.show(iid)

    def open_as(
        self, user: str, branch: str, title: str, description: str = "", *, draft: bool = False
    ) -> MergeRequest | Refused:
        """Open a merge request for a branch that was pushed, or return the open one."""
        return self.folder.open_for(user, branch, title, description, (), draft=draft)

    def comment_as(self, user: str, iid: int, text: str) -> Note | Refused:
        """Write a comment."""
        return self.folder.comment_for(user, iid, text)

    def edit_comment_as(self, user: str, iid: int, note: str, text: str) -> Note | Refused:
        """Change a comment of one's own."""
        return self.folder.comment_for(user, iid, text, note)

    def comment_dashboard_as(self, user: str, text: str) -> Note | Refused:
        """Write a comment on the dashboard."""
        return self.folder.board.comment_for(user, text)

    def set_ci(self, iid: int, word: CiStatus) -> MergeRequest | Refused:
        """Say what the CI has to say of the present head; a later head has no word until it is given one."""
        changed = self._change(iid, lambda document: replace(document, ci={**document.ci, document.head_sha: word}))
        merges = isinstance(changed, MergeRequest) and changed.auto_merge and word is CiStatus.SUCCESS
        return self.merge_as(self.folder.bot, iid) if merges else changed

    def set_draft(self, iid: int, *, draft: bool) -> MergeRequest | Refused:
        """Make it a draft, or ready."""
        return self._change(iid, lambda document: replace(document, draft=draft))

    def approve_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Approve it; once more changes nothing."""

        def approved(document: StoredMergeRequest) -> StoredMergeRequest:
            return replace(document, approved_by=tuple(dict.fromkeys((*document.approved_by, user))))

        return self._change(iid, approved)

    def set_label(self, iid: int, label: str, *, on: bool) -> MergeRequest | Refused:
        """Put a label on, or take it off."""
        return self._change(iid, lambda document: document.labelled(label, on=on))

    def merge_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Merge whatever the head is now, with a merge commit of this user, and delete the branch."""
        return self.folder.merge_for(BotSettings(user, f"{user}@localhost"), iid)

    def close_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Close it; the branch stays, as on the forges that are servers."""

        def closed(document: StoredMergeRequest) -> StoredMergeRequest:
            if document.state is not MergeRequestStatus.OPENED:
                return document
            return replace(document, state=MergeRequestStatus.CLOSED, closed_by=user)

        answer = self._change(iid, closed)
        if isinstance(answer, MergeRequest) and answer.state is MergeRequestStatus.MERGED:
            return Refused(f"merge request {iid} is merged already")
        return answer

    def _change(self, iid: int, how: Change) -> MergeRequest | Refused:
        """Change the document and look at the merge request again."""
        document = self.folder.change(iid, how)
        if isinstance(document, Refused):
            return document
        return self.folder.view(document, self.folder.heads())
