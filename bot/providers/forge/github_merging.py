"""How pull requests end: merged, set to merge by themselves, closed; and their branches with them."""

from __future__ import annotations

from dataclasses import replace

from bot.errors import ServerUnreachable
from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus
from bot.ports import Refused
from bot.providers.forge.github_ci import GREEN, Checks
from bot.providers.forge.github_notes import Notes
from bot.providers.forge.github_place import Place, escaped
from bot.providers.forge.github_pulls import Pull, Pulls
from bot.providers.github_api import No

METHODS = ("merge", "squash", "rebase")
"""Ways to merge, in the order in which they are tried: a repository may allow only some."""

NOT_THAT_WAY = ("not allowed on this repository", "merge method", "must not contain merge commits")
"""What GitHub says of a way that it does not allow here."""

NOTHING_TO_WAIT_FOR = ("clean status",)
"""What GitHub says instead of setting something to merge that could be merged at once."""

ITSELF = ("unstable status", "auto merge is not allowed", "protected branch rules not configured")
"""What it says where it would not wait for the CI: no check is required, or auto-merge is off. The bot waits itself."""


class Endings:
    """Ends pull requests; each way may be asked for twice."""

    def __init__(self, place: Place, pulls: Pulls, checks: Checks, notes: Notes) -> None:
        self._place = place
        self._pulls = pulls
        self._checks = checks
        self._notes = notes

    def merge(self, number: int, head: str, *, when_green: bool) -> MergeRequest | Refused:
        """Merge if the head still is `head`, and delete the branch; with `when_green` as soon as its CI succeeds."""
        return self._set_to_merge(number, head) if when_green else self._merge(number, head)

    def _merge(self, number: int, head: str) -> MergeRequest | Refused:
        no = No(0, "")
        for method in METHODS:
            path = self._place.at(f"pulls/{number}/merge")
            try:
                answer = self._place.api.send("PUT", path, {"sha": head, "merge_method": method})
            except ServerUnreachable:
                if not self._is_merged(number, head):
                    raise
                return self._merged(number)  # nobody asks again for what is merged, and its branch is still there
            if not isinstance(answer, No):
                return self._merged(number)
            no = answer
            if not _says(no, NOT_THAT_WAY):
                break
        pull = self._pulls.detail(number)
        if pull is not None and pull.get("merged_at") and pull["head"]["sha"] == head:
            return self._merged(number)
        return Refused(f"merge request {number} was not merged: {_why_not(pull, head) or no.text}")

    def _is_merged(self, number: int, head: str) -> bool:
        pull = self._pulls.detail(number)
        return pull is not None and bool(pull.get("merged_at")) and pull["head"]["sha"] == head

    def _merged(self, number: int) -> MergeRequest | Refused:
        """What was merged, without its branch."""
        pull = self._pulls.detail(number)
        if pull is None:
            return Refused(f"there is no merge request {number}")
        self._delete(pull, str(pull["head"]["ref"]))  # what keeps the branch does not undo the merge
        return replace(self._pulls.plain(pull), state=MergeRequestStatus.MERGED, auto_merge=False)

    def _set_to_merge(self, number: int, head: str) -> MergeRequest | Refused:
        pull = self._pulls.detail(number)
        why_not = _why_not(pull, head)
        if pull is None or why_not:
            return Refused(f"merge request {number} was not set to merge: {why_not}")
        if pull.get("merged_at"):
            return self._merge(number, head)
        if pull.get("mergeable_state") in GREEN:
            return self._merge_unless_starting(pull, head)
        return self._pulls.plain(pull) if pull.get("auto_merge") else self._ask_to_wait(pull, head)

    def _ask_to_wait(self, pull: Pull, head: str) -> MergeRequest | Refused:
        """Have GitHub merge it as soon as what it requires is met."""
        number = pull["number"]
        for method in METHODS:
            no = self._place.api.auto_merge(str(pull["node_id"]), head, method.upper())
            if no is None:
                return replace(self._pulls.plain(pull), auto_merge=True)
            if _says(no, NOTHING_TO_WAIT_FOR):
                return self._merge_unless_starting({**pull, "mergeable_state": "clean"}, head)
            if _says(no, ITSELF):
                return self._pulls.plain(pull)
            if not _says(no, NOT_THAT_WAY):
                return Refused(f"merge request {number} was not set to merge: {no.text}")
        return Refused(f"merge request {number} was not set to merge: the repository allows no way to merge")

    def _merge_unless_starting(self, pull: Pull, head: str) -> MergeRequest | Refused:
        """Merge what is green; left as it is where that may only mean that no CI has started yet."""
        if self._checks.status(pull) in {CiStatus.SUCCESS, CiStatus.NONE}:
            return self._merge(int(pull["number"]), head)
        return self._pulls.plain(pull)

    def cancel_auto_merge(self, number: int) -> Refused | None:
        """Take back that it merges by itself; one that does not is fine."""
        pull = self._pulls.detail(number)
        if pull is None:
            return Refused(f"there is no merge request {number}")
        if not pull.get("auto_merge"):
            return None
        no = self._place.api.no_auto_merge(str(pull["node_id"]))
        if no is None:
            return None
        again = self._pulls.detail(number)
        if again is not None and not again.get("auto_merge"):
            return None
        return Refused(f"merge request {number} is still set to merge: {no.text}")

    def close(self, number: int, branch: str, comment: str) -> Refused | None:
        """Say why, close, and delete the branch unless another open one has it."""
        pull = self._pulls.detail(number)
        if pull is None:
            return Refused(f"there is no merge request {number}")
        if pull.get("merged_at"):
            return Refused(f"merge request {number} is merged already")
        if pull["state"] == "open":
            refused = self._say_and_close(number, comment)
            if refused is not None:
                return refused
        if branch != pull["head"]["ref"] or any(each["number"] != number for each in self._pulls.of_branch(branch)):
            return None
        return self._delete(pull, branch)

    def _say_and_close(self, number: int, comment: str) -> Refused | None:
        if comment and not self._notes.said(number, comment):
            written = self._notes.write(number, comment)
            if isinstance(written, Refused):
                return written
        answer = self._place.api.send("PATCH", self._place.at(f"pulls/{number}"), {"state": "closed"})
        return Refused(f"merge request {number} was not closed: {answer.text}") if isinstance(answer, No) else None

    def _delete(self, pull: Pull, branch: str) -> Refused | None:
        """Delete a branch of the bot's; one that is gone, such as by GitHub's own hand after a merge, is fine."""
        if not self._place.is_own(pull):
            return None
        answer = self._place.api.send("DELETE", self._place.at(f"git/refs/heads/{escaped(branch)}"))
        if not isinstance(answer, No) or answer.status == 404 or "does not exist" in answer.text:  # noqa: PLR2004
            return None
        return Refused(f"{branch} was not deleted: {answer.text}")


def _why_not(pull: Pull | None, head: str) -> str:
    """What keeps a pull request from being merged at `head`, in our words; empty where GitHub's own must do."""
    if pull is None:
        return "there is no such one"
    if pull["head"]["sha"] != head:
        return "its branch has moved"
    if pull.get("merged_at"):
        return ""
    if pull["state"] != "open":
        return "it is closed"
    return "it is a draft" if pull.get("draft") else ""


def _says(no: No, words: tuple[str, ...]) -> bool:
    return any(word in no.text.lower() for word in words)
