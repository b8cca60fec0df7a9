"""What the local forge lets git do: write a merge commit and move branches to it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bot.model.observed import MergeRequestStatus
from bot.providers.forge.local_store import StoredMergeRequest
from bot.providers.git import git, merge_base, raw, resolve
from bot.providers.git_commits import merge_commit
from bot.settings import BotSettings

HEADS = "refs/heads/"


def write_merge(
    repo: Path, document: StoredMergeRequest, base: str, identity: BotSettings, when: datetime
) -> str | None:
    """The merge commit of a merge request on top of `base`, or None where it conflicts. Moves no ref."""
    message = (
        f"Merge branch '{document.source_branch}' into '{document.target_branch}'\n\n{document.title}\n\n"
        f"See merge request !{document.iid}\n"
    )
    return merge_commit(repo, base, document.head_sha, message, identity, when)


def move_to_merge(repo: Path, document: StoredMergeRequest, base: str, merge: str) -> None:
    """Move the target branch from `base` to `merge` and delete the source branch, both or neither.

    Raises `GitError` if one of them moved meanwhile: what is merged is exactly the head that was looked at.
    """
    lines = (
        f"update {HEADS}{document.target_branch}\0{merge}\0{base}\0",
        f"delete {HEADS}{document.source_branch}\0{document.head_sha}\0",
    )
    git(repo, "update-ref", "--no-deref", "-z", "--stdin", stdin=raw("".join(lines)))


def contains(repo: Path, branch: str, commit: str) -> bool:
    """Whether a commit is in the history of another; one that git has swept away is in nobody's."""
    return bool(resolve(repo, commit)) and merge_base(repo, commit, branch) == commit


def why_not_merge(document: StoredMergeRequest, head: str) -> str:
    """What keeps this merge request from being merged at `head` (empty: at whatever it has), before git is asked.

    Empty if nothing does; to have been merged at that very head does not either.
    """
    if document.state is MergeRequestStatus.CLOSED:
        return "it is closed"
    if head and head != document.head_sha:
        return "its branch has moved"
    if document.state is MergeRequestStatus.MERGED:
        return ""
    if not document.head_sha:
        return "its branch is gone"
    return "it is a draft" if document.draft else ""
