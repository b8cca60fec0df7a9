"""The GitHub forge: pull requests, comments and the dashboard issue of one repository, through PyGithub.

Every method makes the requests that its docstring or its part names and no other. A request that writes is sent once;
where its answer is lost, the next pass looks at what became of it (or this one, where more belongs to it), and
everything here may be asked for twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from bot.core.batches import PREFIX
from bot.errors import ServerUnreachable
from bot.model.desired import Freeze
from bot.model.observed import BranchDiff, Issue, MergeRequest, Note, Role, Unreachable
from bot.model.plan import Commit
from bot.model.state import Thread
from bot.ports import Cache, ConfigTree, Refused
from bot.providers.config_repo import GitConfig
from bot.providers.forge.github_account import Account
from bot.providers.forge.github_board import Board
from bot.providers.forge.github_ci import Checks
from bot.providers.forge.github_merging import Endings
from bot.providers.forge.github_notes import Notes
from bot.providers.forge.github_place import Place
from bot.providers.forge.github_pulls import Pull, Pulls
from bot.providers.forge.github_push import REBASED, Push
from bot.providers.forge.github_settings import git_login, given, served_by
from bot.providers.forge_access import ca_of
from bot.providers.git_merge_requests import CheckoutHeads
from bot.providers.github_api import No
from bot.settings import Merge, Settings

NOT_THERE = "Label does not exist"
"""What GitHub says where a label is to be taken off that is not on."""


class GitHubForge:
    """A `bot.ports.Forge`; safe with threads for everything that is read.

    `heads` sees pull requests in the checkout, `config` brings the config branch there. Raises `ServerUnreachable`
    where GitHub cannot be asked or an answer is lost.
    """

    def __init__(
        self,
        place: Place,
        account: Account,
        config: GitConfig,
        heads: CheckoutHeads,
        settings: Settings,
        *,
        sign: bool = False,
    ) -> None:
        self._place = place
        self._account = account
        self._config = config
        self._heads = heads
        self.origin = heads.origin
        self._sign = sign
        self._notes = Notes(place, account, settings.commands.prefix)
        checks = Checks(place, cautious=settings.promotions.merge is not Merge.NEVER)
        self._pulls = Pulls(place, self._notes, checks, lambda iid, head: heads.conflicts(iid, head, self._base()))
        self._endings = Endings(place, self._pulls, checks, self._notes)
        self._board = Board(place, account, self._notes)
        self._pushes = Push(place, heads, settings.bot)
        self._lock = threading.Lock()
        self._fetched = ""

    def me(self) -> str:
        """The bot's own user name."""
        return self._account.me()

    def knows_me(self) -> bool:
        """Whether the bot has a branch here, or ever opened a pull request."""
        return bool(self.branches(PREFIX)) or self._pulls.known(self.me())

    def open_merge_requests(self) -> Sequence[MergeRequest]:
        """All open pull requests into the config branch: the bot's in detail, people's as listed, all with comments."""
        with self._lock:
            self._fetched = ""
        found = self._pulls.open()
        self._heads.expect((each.iid, each.head_sha) for each in found)
        return found

    def own_merge_requests(self, ended: int) -> Sequence[MergeRequest]:
        """The bot's own into the config branch: the open ones, and the newest of those that are over."""
        me = self.me()
        found = [each for each in self.open_merge_requests() if each.source_branch.startswith(PREFIX)]
        over = (self._pulls.one(number) for number in self._pulls.ended(me, ended))
        found += [each for each in over if each is not None]
        return sorted((each for each in found if each.author == me), key=lambda each: each.iid)

    def merge_request(self, iid: int) -> MergeRequest | None:
        """One pull request in any state; None if there is no such."""
        return self._pulls.one(iid)

    def branches(self, prefix: str) -> Mapping[str, str]:
        """Branches that start with `prefix`, with their heads."""
        return self._pulls.branches(prefix)

    def diff(self, merge_request: MergeRequest) -> BranchDiff:
        """The head against its merge base with the config branch, as git in the checkout sees it."""
        base, head = self._base(), merge_request.head_sha
        return self._heads.diff(merge_request.iid, head, base) if head else BranchDiff(base, ())

    def merged_tree(self, merge_request: MergeRequest) -> ConfigTree | Unreachable:
        """The config as it would be after the merge; `Unreachable` where it conflicts."""
        if not merge_request.head_sha:
            return Unreachable(f"the branch of merge request {merge_request.iid} is gone")
        return self._heads.merged_tree(merge_request.iid, merge_request.head_sha, self._base())

    def _base(self) -> str:
        """The head of the config branch, brought into the checkout once a pass."""
        with self._lock:
            self._fetched = self._fetched or self._config.fetch(self._place.branch)
            return self._fetched

    def role(self, user: str) -> Role:
        """The user's role in the repository, read live."""
        return self._account.role(user)

    def freezes(self) -> Sequence[Freeze]:
        """None: GitHub keeps no freezes, they are files of the config."""
        return ()

    def dashboard(self, title: str) -> Issue | None:
        """The bot's own open issue of this title, with its comments."""
        return self._board.show(title)

    def push(self, commit: Commit) -> str | Refused:
        """Put the commit on its branch if that is at `expected_head`; return the head that the branch has now.

        Built by GitHub, or by git where it must be signed or a person's commits follow it.
        """
        return self._heads.push(commit) if self._sign or commit.keep else self._pushes.push(commit)

    def open(self, branch: str, title: str, description: str, labels: Sequence[str]) -> MergeRequest | Refused:
        """Open a pull request for a branch, or adopt the open one; labels that GitHub refuses are left out."""
        api, wished = self._place.api, {"title": title, "body": description, "head": branch, "base": self._place.branch}
        try:
            answer = api.send("POST", self._place.at("pulls"), wished)
        except ServerUnreachable:
            answer = self._opened(branch)  # labels belong to it, and nobody asks again for what is open
            if answer is None:
                raise
        if isinstance(answer, No):
            pull = self._opened(branch)
            if pull is None:
                return Refused(f"no pull request was opened for {branch}: {answer.text}")
            answer = pull
        seen = self._pulls.plain(answer)
        missing = [label for label in labels if label not in seen.labels]
        if missing:
            api.send("POST", self._place.at(f"issues/{seen.iid}/labels"), {"labels": missing})
        return self._pulls.plain({**answer, "labels": [{"name": each} for each in (*seen.labels, *missing)]})

    def _opened(self, branch: str) -> Pull | None:
        """The open one of a branch into the config branch."""
        return next((p for p in self._pulls.of_branch(branch) if p["base"]["ref"] == self._place.branch), None)

    def update(self, iid: int, title: str, description: str) -> Refused | None:
        """Set title and description where they differ; every write has all comments read again."""
        pull = self._pulls.detail(iid)
        if pull is not None and (pull["title"], pull.get("body") or "") == (title, description):
            return None
        answer = self._place.api.send("PATCH", self._place.at(f"pulls/{iid}"), {"title": title, "body": description})
        return Refused(f"merge request {iid} was not updated: {answer.text}") if isinstance(answer, No) else None

    def close(self, iid: int, branch: str, comment: str) -> Refused | None:
        """Say why, close, and delete the branch (unless another open pull request has it)."""
        return self._endings.close(iid, branch, comment)

    def merge(self, iid: int, head: str, *, when_green: bool = False) -> MergeRequest | Refused:
        """Merge if the head still is `head`, and delete the branch; with `when_green`, as soon as its CI succeeds.

        Where GitHub has nothing that it could wait for, because no check is required or auto-merge is off, the answer
        is the pull request as it is: a later pass merges it.
        """
        return self._endings.merge(iid, head, when_green=when_green)

    def cancel_auto_merge(self, iid: int) -> Refused | None:
        """Take back that it merges when its CI succeeds."""
        return self._endings.cancel_auto_merge(iid)

    def comment(self, thread: Thread, iid: int, body: str, note: str = "") -> Note | Refused:
        """Write a comment, or edit the one with id `note`; issues and pull requests are one to GitHub here."""
        del thread
        return self._notes.write(iid, body, note)

    def react(self, thread: Thread, iid: int, note: str, *, ok: bool) -> Refused | None:
        """Acknowledge a comment with a thumb up or down."""
        del thread, iid
        return self._notes.react(note, ok=ok)

    def label(self, iid: int, label: str, *, on: bool) -> Refused | None:
        """Put a label on, or take it off; GitHub makes one that is new to it."""
        path = self._place.at(f"issues/{iid}/labels")
        if on:
            answer = self._place.api.send("POST", path, {"labels": [label]})
            return Refused(f"!{iid} was not given the label {label}: {answer.text}") if isinstance(answer, No) else None
        answer = self._place.api.send("DELETE", f"{path}/{quote(label, safe='')}")
        if not isinstance(answer, No) or NOT_THERE in answer.text:
            return None
        return Refused(f"!{iid} was not relieved of the label {label}: {answer.text}")

    def put_dashboard(self, iid: int, title: str, body: str) -> Issue | Refused:
        """Set title and text of the dashboard issue, or open one where `iid` is 0."""
        return self._board.put(iid, title, body)


def github_forge(
    settings: Settings, config: Path, environ: Mapping[str, str], cache: Cache, now: Callable[[], datetime]
) -> GitHubForge:
    """The forge that `saasbot.yml` in `config` asks for; asks no server. Raises `WrongUsage` where it cannot work."""
    wished = given(settings, config, environ, cache)
    place = Place(wished.api, wished.project, settings.branch, cache, now)
    heads = CheckoutHeads(
        config,
        settings.branch,
        settings.bot,
        refs=lambda iid: f"refs/pull/{iid}/head",
        authorization=(lambda: git_login(wished.api.token)) if served_by(config, wished.api.url) else None,
        ca=ca_of(settings.forge.options.get("ca"), config),
        sign=wished.sign,
        committers=lambda: (REBASED,),
    )
    account = Account(place, wished.user, in_actions=wished.in_actions)
    return GitHubForge(place, account, GitConfig(config, heads.origin), heads, settings, sign=wished.sign)
