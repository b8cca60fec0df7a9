"""The bot's commit through the git data API: objects first, then the branch moves if it still is where it was.

The commit is dated like its parent and names author and committer, so that the same content on the same parent is the
same commit however often it is made. Source: https://docs.github.com/rest/git.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.model.plan import Commit
from bot.ports import Refused
from bot.providers.forge.github_place import Place, escaped
from bot.providers.git_commits import signature
from bot.providers.git_merge_requests import CheckoutHeads
from bot.providers.github_api import No
from bot.settings import BotSettings

REBASED = "GitHub <noreply@github.com>"
"""The committer of a commit that GitHub's own button moved onto a newer base; its author stays."""


class Push:
    """Puts commits on branches; `heads` knows the checkout, which has every parent."""

    def __init__(self, place: Place, heads: CheckoutHeads, bot: BotSettings) -> None:
        self._place = place
        self._heads = heads
        self._bot = bot

    def push(self, commit: Commit) -> str | Refused:
        """Build the commit and move its branch to it from `expected_head`; return the head that the branch has now.

        GitHub has no lease for a branch that is rewritten: it is looked at just before it moves.
        """
        new = self._build(commit)
        if isinstance(new, No):
            return Refused(f"{commit.branch} was not built: {new.text}")
        present = self._place.head(commit.branch)
        if present == new:
            return new
        if present != commit.expected_head:
            return Refused(f"somebody else moved {commit.branch}")
        moved = self._move(commit.branch, new, new_branch=not present)
        if isinstance(moved, No):
            lost = self._place.head(commit.branch) not in {new, present}
            return Refused(
                f"somebody else moved {commit.branch}" if lost else f"{commit.branch} was not pushed: {moved.text}"
            )
        return new

    def _build(self, commit: Commit) -> str | No:
        """The commit's sha; it is on no branch yet."""
        modes = self._heads.modes(commit.parent, commit.files)
        entries = []
        for path, content in sorted(commit.files.items()):
            entry = self._entry(path, content, modes.get(path, "100644"))
            if isinstance(entry, No):
                return entry
            entries.append(entry)
        base = self._heads.tree_of(commit.parent)
        tree = self._place.api.send("POST", self._place.at("git/trees"), {"base_tree": base, "tree": entries})
        if isinstance(tree, No):
            return tree
        made = self._place.api.send("POST", self._place.at("git/commits"), self._commit(commit, str(tree["sha"])))
        return made if isinstance(made, No) else str(made["sha"])

    def _entry(self, path: str, content: bytes, mode: str) -> Mapping[str, str] | No:
        """One file; its bytes go by themselves where they are no text, which is all that a tree's entry can carry."""
        entry = {"path": path, "mode": mode, "type": "blob"}
        try:
            return {**entry, "content": content.decode()}
        except UnicodeDecodeError:
            body = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
            blob = self._place.api.send("POST", self._place.at("git/blobs"), body)
            return blob if isinstance(blob, No) else {**entry, "sha": str(blob["sha"])}

    def _commit(self, commit: Commit, tree: str) -> Mapping[str, Any]:
        when = datetime.fromtimestamp(int(self._heads.date_of(commit.parent).split()[0]), UTC)
        name, _, email = signature(self._bot, "").decode().strip().removesuffix(">").rpartition(" <")
        who = {"name": name, "email": email, "date": f"{when:%Y-%m-%dT%H:%M:%SZ}"}
        return {
            "message": commit.message.rstrip("\n") + "\n",
            "tree": tree,
            "parents": [commit.parent],
            "author": who,
            "committer": who,
        }

    def _move(self, branch: str, new: str, *, new_branch: bool) -> Any | No:
        if new_branch:
            return self._place.api.send("POST", self._place.at("git/refs"), {"ref": f"refs/heads/{branch}", "sha": new})
        path = self._place.at(f"git/refs/heads/{escaped(branch)}")
        return self._place.api.send("PATCH", path, {"sha": new, "force": True})
