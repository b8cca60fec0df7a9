"""Pull requests as GitHub tells them, in our words: the bot's in detail, people's as listed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

from bot.core.batches import PREFIX
from bot.errors import ServerUnreachable
from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus
from bot.providers.forge.github_ci import Checks
from bot.providers.forge.github_notes import Notes
from bot.providers.forge.github_place import Place, escaped, login

PAUSES = (0.2, 0.6, 1.2)
"""Seconds before each further question where GitHub still works out whether something can be merged."""

BEHIND = "behind"
"""What GitHub says of one that may be merged once it is brought up to date: to be rebuilt, as after a conflict."""

Pull = Mapping[str, Any]
Conflicts = Callable[[int, str], bool]


class Pulls:
    """Reads pull requests. `conflicts` (number, head) is git's own answer where GitHub has none in time."""

    def __init__(self, place: Place, notes: Notes, checks: Checks, conflicts: Conflicts) -> None:
        self._place = place
        self._notes = notes
        self._checks = checks
        self._conflicts = conflicts

    def open(self) -> list[MergeRequest]:
        """All open pull requests into the config branch, by number.

        One request a page, one for each of the bot's, and those that `Notes` and `Checks` need where something changed.
        """
        query = {"state": "open", "base": self._place.branch, "sort": "created", "direction": "asc"}
        listed = {int(pull["number"]): pull for pull in self._place.api.pages(self._place.at("pulls"), **query)}
        own = self._settled(number for number, pull in listed.items() if self._place.is_own(pull))
        listed = {number: pull for number, pull in listed.items() if not self._place.is_own(pull)} | own
        heads = self.branches(PREFIX) if own else {}
        may = cache(self._notes.may_approve)  # once a pass for each person
        return [self._view(listed[number], heads, may) for number in sorted(listed) if self._counts(listed[number])]

    def _counts(self, pull: Pull) -> bool:
        """Whether it is open into the config branch still, as the detail read says; the list may be older."""
        return bool(pull["state"] == "open" and pull["base"]["ref"] == self._place.branch)

    def one(self, number: int) -> MergeRequest | None:
        """One in any state, in detail, while it is open with its comments as they are now; None if there is no such."""
        pull = self._settled([number]).get(number)
        if pull is None:
            return None
        fresh = pull["state"] == "open"
        heads = self.branches(pull["head"]["ref"]) if fresh and self._place.is_own(pull) else {}
        return self._view(pull, heads, self._notes.may_approve, fresh)

    def branches(self, prefix: str) -> dict[str, str]:
        """Branches of the repository that start with `prefix`, with their heads."""
        refs = self._place.api.get(self._place.at(f"git/matching-refs/heads/{escaped(prefix)}"))
        found = {str(ref["ref"]).removeprefix("refs/heads/"): str(ref["object"]["sha"]) for ref in refs}
        return {name: sha for name, sha in found.items() if name.startswith(prefix)}

    def detail(self, number: int) -> Pull | None:
        """One as GitHub tells it; None if there is no such."""
        found: Pull | None = self._place.api.find(self._place.at(f"pulls/{number}"))
        return found

    def of_branch(self, branch: str, state: str = "open") -> Iterator[Pull]:
        """Those of a branch of this repository, as listed; GitHub also finds those of its owner's other ones."""
        found = self._place.api.pages(self._place.at("pulls"), state=state, head=f"{self._place.owner}:{branch}")
        return (pull for pull in found if self._place.is_here(pull))

    def known(self, me: str) -> bool:
        """Whether one of the bot's was ever opened; reads as many pages, newest first, as it takes to find one."""
        pulls = self._place.api.pages(self._place.at("pulls"), state="all", sort="created", direction="desc")
        return any(self._place.is_own(pull) and login(pull["user"]) == me for pull in pulls)

    def ended(self, me: str, most: int) -> list[int]:
        """The numbers of the bot's newest that are merged or closed; reads as many pages as that takes."""
        query = {"state": "closed", "base": self._place.branch, "sort": "created", "direction": "desc"}
        pulls = self._place.api.pages(self._place.at("pulls"), **query)
        own = (int(pull["number"]) for pull in pulls if self._place.is_own(pull) and login(pull["user"]) == me)
        return list(islice(own, most))

    def _settled(self, numbers: Iterable[int]) -> dict[int, Pull]:
        """These in detail; asked again together while GitHub has not worked out whether they can be merged."""
        found = {number: pull for number in numbers if (pull := self.detail(number)) is not None}
        for pause in PAUSES:
            unknown = [number for number, pull in found.items() if _unknown(pull)]
            if not unknown:
                break
            time.sleep(pause)
            found.update((number, pull) for number in unknown if (pull := self.detail(number)) is not None)
        return found

    def _view(
        self, pull: Pull, heads: Mapping[str, str], may_approve: Callable[[str], bool], fresh: bool = False
    ) -> MergeRequest:
        """With comments; for the bot's own that are open also with what the detail read tells.

        Their head is that of the branch (empty where it is gone): a pull request follows its branch with some delay.
        """
        talk = self._notes.on_pull(pull, fresh=fresh)
        seen = replace(self.plain(pull), notes=talk.notes)
        if pull["state"] != "open":
            return replace(seen, closed_by=self._closed_by(pull))
        if not self._place.is_own(pull):
            return seen
        head = self._head(seen, heads)
        late = head != seen.head_sha
        return replace(
            seen,
            head_sha=head,
            has_conflicts=bool(head) and self._has_conflicts(pull, head, late=late),
            ci=CiStatus.RUNNING if late and head else self._checks.status(pull),
            approved_by=tuple(filter(may_approve, talk.approvers(head))),
        )

    def _head(self, seen: MergeRequest, heads: Mapping[str, str]) -> str:
        """The branch's head. Where the list of branches is at odds with the pull request the branch itself is asked.

        One answer may be stale, and a branch that is taken for gone has its pull request closed.
        """
        listed = heads.get(seen.source_branch, "")
        return listed if listed == seen.head_sha else self._place.head(seen.source_branch) or listed

    def plain(self, pull: Pull) -> MergeRequest:
        """What every answer that shows a pull request tells, without a further question."""
        return MergeRequest(
            iid=int(pull["number"]),
            title=str(pull["title"]),
            state=_state(pull),
            source_branch=self.source_branch(pull),
            target_branch=str(pull["base"]["ref"]),
            head_sha=str(pull["head"]["sha"] or ""),
            author=login(pull["user"]),
            description=str(pull.get("body") or ""),
            labels=tuple(str(label["name"]) for label in pull.get("labels") or ()),
            draft=bool(pull.get("draft")),
            has_conflicts=pull.get("mergeable") is False,
            ci=CiStatus.NONE,
            auto_merge=bool(pull.get("auto_merge")),
            auto_merge_by=login(pull["auto_merge"].get("enabled_by")) if pull.get("auto_merge") else "",
            url=str(pull["html_url"]),
        )

    def source_branch(self, pull: Pull) -> str:
        """The branch's name; of a fork's as GitHub shows it, `owner:branch`, so that it is never taken for ours."""
        head = pull["head"]
        if self._place.is_here(pull):
            return str(head["ref"])
        return str(head.get("label") or f"{login(head.get('user'))}:{head['ref']}")

    def _has_conflicts(self, pull: Pull, head: str, *, late: bool) -> bool:
        mergeable = pull.get("mergeable")
        if mergeable is not None and not late:
            return not mergeable or pull.get("mergeable_state") == BEHIND
        try:
            return self._conflicts(int(pull["number"]), head)
        except ServerUnreachable:  # git may be cut off where the API is not; a conflict shows in the next pass
            return False

    def _closed_by(self, pull: Pull) -> str:
        """Who closed it unmerged; only the issue behind it tells that."""
        if _state(pull) is not MergeRequestStatus.CLOSED:
            return ""
        issue = self._place.api.get(self._place.at(f"issues/{pull['number']}"))
        return login(issue["closed_by"]) if issue.get("closed_by") else ""


def _state(pull: Pull) -> MergeRequestStatus:
    if pull["state"] == "open":
        return MergeRequestStatus.OPENED
    return MergeRequestStatus.MERGED if pull.get("merged_at") else MergeRequestStatus.CLOSED


def _unknown(pull: Pull) -> bool:
    return pull["state"] == "open" and pull.get("mergeable") is None
