"""Merge requests as git sees them: differences, tried merges, and in a checkout of the config repository their heads.

A forge's API knows numbers and words of a merge request; what it changes, whether it conflicts and what the config
would be after it are asked of git, in one fetch for all of them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bot.errors import ServerUnreachable
from bot.model.observed import BranchDiff, Unreachable
from bot.model.plan import Commit
from bot.ports import ConfigTree, Refused
from bot.providers.git import (
    GitError,
    commit_date,
    diff,
    git,
    ls_tree,
    merge_base,
    resolve,
)
from bot.providers.git_commits import build_commit, build_push, merge_conflicts, merged_tree, tree_of
from bot.providers.git_origin import AuthorizedOrigin, lost_lease
from bot.providers.git_tree import GitTree
from bot.providers.secrets import redact
from bot.settings import BotSettings

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's name for no files at all; what a branch without common history is compared with."""

DEEPER = 200
"""Commits by which a shallow clone is deepened before all of its history is fetched."""

_TURNED_DOWN = re.compile(r"\[(?:remote )?rejected\]|returned error: 403")
_REMOTE = re.compile(r"^remote: *(?=\S)", re.MULTILINE)
_REASON = re.compile(r"^ ! \[remote rejected\].*\((.*)\)$", re.MULTILINE)


def branch_diff(repo: Path, base: str, head: str) -> BranchDiff:
    """A head against its merge base with `base`; against no files where they have no common history.

    Raises `GitError` for a commit that is missing.
    """
    common = merge_base(repo, base, head)
    return BranchDiff(common, diff(repo, common or EMPTY_TREE, head))


def merge_result(repo: Path, base: str, head: str, iid: int, branch: str) -> ConfigTree | Unreachable:
    """The files after merging `head` into `base`, the head of `branch`; `Unreachable` where they conflict."""
    tree = merged_tree(repo, base, head)
    if tree is None:
        return Unreachable(f"merge request {iid} conflicts with {branch}")
    return GitTree(repo, tree, None)


class CheckoutHeads:
    """The heads of merge requests in a checkout of the config repository, and pushes from it; safe with threads.

    `branch` is the config branch. `refs` says under which name the server has a merge request's head, forks included
    (`refs/merge-requests/7/head`). `authorization` gives the value of an `Authorization` header for origin, asked for
    before each request; without it, or where it is empty, git uses what it has. `ca` is a file of certificates
    to trust there. With `sign` the bot's commits are signed as git's configuration says. `committers` gives the
    `Name <email>` under which the forge itself commits for the bot.

    Only objects are brought: no ref, `FETCH_HEAD` or working tree moves. `base_sha` arguments are commits of the config
    branch that `GitConfig.fetch` brought. Raises `ServerUnreachable` where origin cannot be asked, or a head is not to
    be had there any more.
    """

    def __init__(
        self,
        checkout: Path,
        branch: str,
        bot: BotSettings,
        *,
        refs: Callable[[int], str],
        authorization: Callable[[], str] | None = None,
        ca: str = "",
        sign: bool = False,
        committers: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._checkout = checkout
        self._branch = branch
        self._bot = bot
        self._refs = refs
        self.origin = AuthorizedOrigin(checkout, authorization, ca)
        self._sign = sign
        self._committers = committers
        self._expected: dict[int, str] = {}
        self._lock = threading.Lock()

    def expect(self, merge_requests: Iterable[tuple[int, str]]) -> None:
        """Name all merge requests (iid, head sha) that may be asked about: the first miss brings all that lack."""
        with self._lock:
            self._expected = dict(merge_requests)

    def diff(self, iid: int, head: str, base_sha: str) -> BranchDiff:
        """The head against its merge base with the config branch; no changes where the branch is gone (no head)."""
        if not head:
            return BranchDiff(base_sha, ())
        with self._ready(iid, head, base_sha):
            return branch_diff(self._checkout, base_sha, head)

    def merged_tree(self, iid: int, head: str, base_sha: str) -> ConfigTree | Unreachable:
        """The config as it would be after the merge; `Unreachable` where it conflicts, or its branch is gone."""
        if not head:
            return Unreachable(f"the branch of merge request {iid} is gone")
        with self._ready(iid, head, base_sha):
            return merge_result(self._checkout, base_sha, head, iid, self._branch)

    def conflicts(self, iid: int, head: str, base_sha: str) -> bool:
        """Whether git cannot merge the head into the config branch."""
        if not head:
            return False
        with self._ready(iid, head, base_sha):
            return merge_conflicts(self._checkout, base_sha, head)

    def modes(self, parent: str, paths: Iterable[str]) -> Mapping[str, str]:
        """Git's modes (`100644`, `100755`, `120000`) of those of these paths that are files at `parent`."""
        wanted = [*paths]
        with self._asking("reading the checkout"):
            return {entry.path: entry.mode for entry in ls_tree(self._checkout, parent, *wanted)} if wanted else {}

    def tree_of(self, commit: str) -> str:
        """The tree of a commit that is here."""
        with self._asking("reading the checkout"):
            return tree_of(self._checkout, commit)

    def date_of(self, commit: str) -> str:
        """When a commit that is here was committed, as git says it: seconds since 1970 and zone."""
        with self._asking("reading the checkout"):
            return commit_date(self._checkout, commit)

    def content_is(self, head: str, commit: Commit) -> bool:
        """Whether a head of `commit.branch` is exactly one commit on `commit.parent` with its files and its message.

        Who made it, and when, does not count. The head is fetched where it is missing; one that is not on origin any
        more is not that commit.
        """
        with self._asking(f"fetching {commit.branch}"):
            if commit.keep or not self._bring_branch(commit.branch, head):
                return False
            made = build_commit(self._checkout, commit, self._bot)
            return self._shape(head) == self._shape(made)

    def push(self, commit: Commit) -> str | Refused:
        """Build the commit here and put it on its branch with a lease on `expected_head`; return the new head.

        `Refused` where the branch is neither there nor at what is pushed already, and where the server says no.
        """
        with self._asking(f"fetching {commit.branch}"):
            if commit.keep:
                if not self._bring_branch(commit.branch, commit.keep):
                    return _moved(commit)
                self._deepen(commit.parent, commit.keep)
        try:
            new = build_push(
                self._checkout, commit, self._bot, commit.parent, committers=self._committers(), sign=self._sign
            )
        except GitError as error:
            return Refused(f"{commit.branch} was not built: {_line(error.line)}")
        return new if isinstance(new, Refused) else self._send(commit, new)

    def _send(self, commit: Commit, new: str) -> str | Refused:
        try:
            self.origin.push(_ref(commit), new, commit.expected_head)
        except GitError as error:
            if not lost_lease(error) and not _TURNED_DOWN.search(error.stderr):
                raise self._unreachable(f"pushing {commit.branch}", error) from error
            return self._pushed_before(commit, new) or _refusal(commit, error)
        return new

    def _pushed_before(self, commit: Commit, new: str) -> str:
        """The branch's head on the server if it is what was to be pushed, whenever it was signed; else empty."""
        with self._asking(f"reading {commit.branch}"):
            present = self.origin.head(_ref(commit))
            if present == new or not present or not self._sign:
                return present if present == new else ""
            if not self._bring_branch(commit.branch, present):
                return ""
            return present if _signed_apart(self._checkout, present) == _signed_apart(self._checkout, new) else ""

    def _shape(self, commit: str) -> tuple[str, str, bytes]:
        """Tree, parents and message."""
        return (
            tree_of(self._checkout, commit),
            git(self._checkout, "log", "-1", "--no-show-signature", "--format=%P", commit).decode().strip(),
            git(self._checkout, "cat-file", "commit", commit).partition(b"\n\n")[2].rstrip(),
        )

    @contextmanager
    def _ready(self, iid: int, head: str, base_sha: str) -> Iterator[None]:
        """Have the head here, and its common history with the base, for what is asked inside."""
        with self._asking(f"fetching merge request {iid}"):
            self._bring(iid, head)
            self._deepen(base_sha, head)
            yield

    def _bring(self, iid: int, head: str) -> None:
        """Fetch all expected heads that are missing, if this one is."""
        if self._present(head):
            return
        with self._lock:
            wanted = self._expected | {iid: head}
            here = self._all_present({*wanted.values()})
            if head in here:  # another thread was faster
                return
            self.origin.fetch_refs([self._refs(number) for number, sha in wanted.items() if sha and sha not in here])
            if not self._present(head) and not self.origin.fetch_commit(head):
                raise ServerUnreachable(
                    f"{self._where()}: merge request {iid} is not at {head[:12]} any more", hint="try again"
                )

    def _bring_branch(self, branch: str, head: str) -> bool:
        """Whether a commit is here, after fetching the branch that had it where it was not."""
        with self._lock:
            if not self._present(head):
                self.origin.fetch_refs([f"refs/heads/{branch}"])
            return self._present(head) or self.origin.fetch_commit(head)

    def _deepen(self, base: str, head: str) -> None:
        """In a shallow clone, fetch more history until the two have a common one, or there is no more."""
        if merge_base(self._checkout, base, head):
            return
        with self._lock:
            for depth in (f"--deepen={DEEPER}", "--unshallow"):
                if not self._shallow() or merge_base(self._checkout, base, head):
                    return
                self.origin.fetch([base, head], depth)

    def _shallow(self) -> bool:
        return git(self._checkout, "rev-parse", "--is-shallow-repository").strip() == b"true"

    def _present(self, sha: str) -> bool:
        return bool(sha) and bool(resolve(self._checkout, sha))

    def _all_present(self, shas: Collection[str]) -> frozenset[str]:
        """Those of these commits that are here, asked with one process."""
        lines = "".join(f"{sha}\n" for sha in shas if sha).encode()
        out = git(self._checkout, "cat-file", "--batch-check", stdin=lines).decode()
        rows = (line.split(" ") for line in out.splitlines())
        return frozenset(row[0] for row in rows if row[-1] != "missing")

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn a failure of git into one line for the human."""
        try:
            yield
        except GitError as error:
            raise self._unreachable(what, error) from error

    def _where(self) -> str:
        try:
            return self.origin.address
        except GitError:
            return str(self._checkout)

    def _unreachable(self, what: str, error: GitError) -> ServerUnreachable:
        return ServerUnreachable(
            f"{self._where()}: {what} failed: {_line(error.line)}",
            hint="check the address, the network and the token; the checkout needs a remote called origin",
        )


def _signed_apart(repo: Path, commit: str) -> bytes:
    """A commit object without its signature."""
    header, _, message = git(repo, "cat-file", "commit", commit).partition(b"\n\n")
    return re.sub(rb"\ngpgsig(?:-sha256)? [^\n]*(?:\n [^\n]*)*", b"", header) + b"\n\n" + message


def _moved(commit: Commit) -> Refused:
    return Refused(f"somebody else moved {commit.branch}")


def _refusal(commit: Commit, error: GitError) -> Refused:
    """A lost lease, or the server's own words."""
    if lost_lease(error):
        return _moved(commit)
    said = [line for line in error.stderr.splitlines() if _REMOTE.match(line)]
    reason = _REASON.search(error.stderr)
    words = _REMOTE.sub("", said[0]) if said else (reason[1] if reason else error.line)
    return Refused(f"{commit.branch} was not pushed: {_line(words)}")


def _line(words: str) -> str:
    return " ".join(redact(words).split())


def _ref(commit: Commit) -> str:
    return f"refs/heads/{commit.branch}"
