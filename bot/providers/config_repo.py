"""The checkout at `--config` and its origin; implements `bot.ports.ConfigRepository`.

The working tree is only ever read. A commit that is fetched brings objects and moves no ref, so that any number of
processes may work in one checkout at the same time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from bot.errors import SaasbotError, ServerUnreachable, WrongUsage
from bot.ports import SourceFile
from bot.providers.git import GitError, git, ls_tree, text, without_credentials
from bot.providers.git_origin import REFUSED_LOGIN, AuthorizedOrigin, refused_login
from bot.providers.working_tree import CheckoutTree, list_checkout, list_folder, not_a_checkout


class GitConfig:
    """A config repository in a folder: a git checkout, a subfolder of one, or for reading just a folder."""

    def __init__(self, root: Path, origin: AuthorizedOrigin | None = None) -> None:
        self._root = root
        self._asked = origin or AuthorizedOrigin(root)
        self._trees: dict[str, CheckoutTree] = {}
        self._seen: CheckoutTree | None = None

    def working_tree(self) -> CheckoutTree:
        """The files on disk, uncommitted edits and unignored new files included."""
        try:
            tree = list_checkout(self._root)
        except GitError as error:
            if not_a_checkout(error):
                return list_folder(self._root)
            raise self._broken(error) from error
        self._seen = tree
        return tree

    def fetch(self, branch: str) -> str:
        """Ask origin for the head of `branch`, bring it if it is missing, and return its sha.

        Raises `ServerUnreachable`, or `WrongUsage` where there is no checkout, no origin or no such branch.
        """
        name = f"refs/heads/{branch}"
        try:
            sha = self._asked.head(name)
        except GitError as error:
            raise self._no_origin(error, branch) from error
        if not sha:
            raise WrongUsage(f"origin has no branch {branch!r}", hint="saasbot.yml names it in `branch`")
        if not self._present(sha):
            self._bring(sha, branch, name)
        return sha

    def require_root(self) -> None:
        """Raise WrongUsage in a subfolder of a checkout: edits made there would land beside the files meant."""
        try:
            prefix = text(git(self._root, "rev-parse", "--show-prefix")).strip()
        except GitError:  # no checkout at all: asking origin says so better
            return
        if prefix:
            raise WrongUsage(
                f"{self._root} is the folder {prefix.rstrip('/')} of a git repository",
                hint="saasbot.yml lies at the root of the config repository; dataDir names the folder of its data",
            )

    def _present(self, sha: str) -> bool:
        """Whether the commit's whole tree can be listed; what was listed is kept for `tree`."""
        try:
            self.tree(sha)
        except GitError:
            return False
        return True

    def _bring(self, sha: str, branch: str, name: str) -> None:
        try:
            self._asked.fetch([sha])
        except GitError:  # a server may refuse to give commits by id
            try:
                self._asked.fetch([name])
            except GitError as error:
                raise self._no_origin(error, branch) from error
        if not self._present(sha):
            raise ServerUnreachable(f"{self._origin()}: {branch} moved while it was fetched", hint="try again")

    def _origin(self) -> str:
        """The address of origin without credentials; raises `GitError` where there is none."""
        return without_credentials(text(git(self._root, "remote", "get-url", "origin").strip()))

    def _no_origin(self, error: GitError, branch: str) -> SaasbotError:
        try:
            origin = self._origin()
        except GitError as cause:
            if "No such remote" not in cause.stderr:
                return self._broken(cause)
            return WrongUsage(
                f"{self._root} has no remote called origin", hint="run in a clone of the config repository"
            )
        hint = "check the address, the network and the credentials that git uses there"
        if refused_login(error):
            hint = REFUSED_LOGIN
        return ServerUnreachable(f"{origin}: fetch of {branch} failed: {error.line}", hint=hint)

    def _broken(self, error: GitError) -> SaasbotError:
        if not_a_checkout(error):
            return WrongUsage(
                f"{self._root} is not a git checkout",
                hint="run in a clone of the config repository, or name it by --config",
            )
        hint = "run: git config --global --add safe.directory ..." if "dubious ownership" in error.stderr else ""
        return WrongUsage(f"{self._root} cannot be read by git: {error.line}", hint=hint)

    def tree(self, sha: str) -> CheckoutTree:
        """The tree of a commit that `fetch` brought; raises `GitError` for one that it did not."""
        if sha not in self._trees:
            entries = ls_tree(self._root, sha)
            listed = tuple(SourceFile(entry.path, entry.blob) for entry in entries if entry.regular)
            self._trees[sha] = CheckoutTree(self._root, sha, listed)
        return self._trees[sha]

    def history(self, sha: str, paths: Collection[str], most: int) -> tuple[str, ...]:
        """The commits that led to `sha` and changed one of these files, the newest first, at most `most`.

        None where git cannot tell: what wants to know how it was before has to live with less anyway.
        """
        wanted = frozenset(paths)
        try:
            changes = first_parents(self._root, sha, HISTORY)
            return tuple(islice((commit for commit, changed in changes if wanted & changed), most))
        except GitError:
            return ()

    def behind(self, branch: str, head: str = "") -> str:
        """One sentence if the checkout lacks commits of origin's `branch`, else empty.

        `head` is what `fetch` brought; without it, what was last fetched by anybody is compared, and no server asked.
        An empty `branch` stands for whatever the checkout tracks, as far as `working_tree` has seen it.
        """
        seen = self._seen
        if not branch:
            count, branch = (seen.lacks, seen.upstream.removeprefix("origin/")) if seen else (0, "")
        elif head:
            count = self._count(head)
        else:
            tracked = seen is not None and seen.upstream == f"origin/{branch}"
            count = seen.lacks if seen and tracked else self._count(f"refs/remotes/origin/{branch}")
        if not count:
            return ""
        commits = "1 commit" if count == 1 else f"{count} commits"
        return f"The checkout is {commits} behind origin/{branch}."

    def _count(self, head: str) -> int:
        try:
            return int(git(self._root, "rev-list", "--count", f"HEAD..{head}"))
        except GitError:  # no checkout, no commit, or nothing ever fetched: nothing is known
            return 0


HISTORY = 5000
"""Commits of the config branch that are looked through at most."""


def first_parents(repo: Path, sha: str, most: int) -> Iterator[tuple[str, frozenset[str]]]:
    """The commits that led to `sha`, newest first, each with the paths that it changed against its first parent."""
    log = ("log", "--first-parent", "-m", "--no-show-signature", "--no-renames", "--name-only", "-z")
    out = git(repo, *log, "--format=%x01%H", f"--max-count={most}", sha, "--")
    for entry in text(out).split("\x01")[1:]:
        commit, *names = (part.strip("\n") for part in entry.split("\0"))
        yield commit, frozenset(filter(None, names))


EXPORTS_KEPT = 14 * 86400
"""Seconds; longer than any run may take, as a program works in its export."""


def forget_exports(folder: Path) -> None:
    """Remove exports that are so old that no run can still use them."""
    import shutil  # noqa: PLC0415 - only command pipelines export
    import time  # noqa: PLC0415

    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > EXPORTS_KEPT:
                shutil.rmtree(path, ignore_errors=True)


def export(repo: Path, sha: str, folder: Path) -> None:
    """Write all files of a commit below `folder`, which appears at once and complete; nothing if it is there already.

    Raises `GitError`, or `OSError` where the place cannot be written.
    """
    import shutil  # noqa: PLC0415 - only command pipelines export

    if folder.is_dir():
        return
    temporary = folder.with_name(f".{folder.name}-{os.urandom(8).hex()}")
    (temporary / "tree").mkdir(parents=True)
    work = {"GIT_INDEX_FILE": str(temporary.absolute() / "index"), "GIT_WORK_TREE": str(temporary.absolute() / "tree")}
    work["GIT_DIR"] = text(git(repo, "rev-parse", "--absolute-git-dir").strip(b"\n"))
    try:
        git(repo, "read-tree", sha, env=work)
        git(temporary / "tree", "checkout-index", "--all", "--force", env=work)
        (temporary / "tree").rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first, with the same content
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
