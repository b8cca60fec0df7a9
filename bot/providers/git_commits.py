"""What writes to a git repository: commits, replays, merges, refs. Objects first; only `update_ref` moves a branch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bot.model.plan import Commit
from bot.ports import Refused
from bot.providers.git import GitError, commit_date, git, ls_tree, raw, resolve, text
from bot.settings import BotSettings

NO_COMMIT = "0" * 40
"""Git's word for "no such ref" in a compare-and-swap."""

_WHO = "%H%x00%an <%ae>%x00%cn <%ce>"
_HEAD = "%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd"
_CRUD = re.compile(r"[\x00-\x1f<>]+")
_RACES = ("but expected", "reference already exists", "unable to resolve reference", "File exists")


def signature(identity: BotSettings, date: str) -> bytes:
    """`Name <email> seconds zone` as it stands in a commit."""
    name = " ".join(_CRUD.sub(" ", identity.name).split()) or "saasbot"
    return raw(f"{name} <{_CRUD.sub('', identity.email).strip()}> {date}")


def build_commit(repo: Path, commit: Commit, identity: BotSettings) -> str:
    """Write one deterministic commit on top of `commit.parent` with these whole files; return its sha.

    The date is that of the parent, existing files keep their mode, no ref is moved. `commit.keep`, `branch` and
    `expected_head` are the caller's business. Raises `GitError`, e.g. where the parent is missing.
    """
    modes = {entry.path: entry.mode for entry in ls_tree(repo, commit.parent, *commit.files) if entry.regular}
    who = signature(identity, commit_date(repo, commit.parent))
    message = raw(commit.message.rstrip("\n") + "\n")
    ref = f"refs/saasbot/build-{os.urandom(8).hex()}".encode()
    lines = [b"commit " + ref, b"mark :1", b"author " + who, b"committer " + who, _data(message)]
    lines.append(b"from " + commit.parent.encode())
    for path, content in sorted(commit.files.items()):
        lines += [b"M %s inline %s" % (modes.get(path, "100644").encode(), _quoted(path)), _data(content)]
    # fast-import knows commits only on a ref; taking that away in the same stream leaves the objects alone.
    lines += [b"", b"get-mark :1", b"reset " + ref, b"from " + NO_COMMIT.encode(), b"", b"done", b""]
    out = git(
        repo, "-c", "core.ignoreCase=false", "fast-import", "--quiet", "--done", "--force", stdin=b"\n".join(lines)
    )
    return out.decode().strip()


def _data(content: bytes) -> bytes:
    return b"data %d\n%s" % (len(content), content)


def _quoted(path: str) -> bytes:
    return b'"' + b"".join(b"\\%03o" % c if c < ord(" ") or c in b'"\\' else bytes((c,)) for c in raw(path)) + b'"'


def build_push(
    repo: Path,
    commit: Commit,
    identity: BotSettings,
    base: str,
    *,
    committers: Iterable[str] = (),
    sign: bool = False,
) -> str | Refused:
    """The commit's sha, with the commits of `commit.keep` that follow the bot's own replayed on top. Moves no ref.

    The bot's own one is the newest that is not in `base` (a revision of the base branch) and that only the bot wrote;
    `committers` are further `Name <email>` under which a forge commits for the bot. With `sign` the bot's own commit
    is signed as git's configuration says; a person's is never signed in their place.
    """
    new = build_commit(repo, commit, identity)
    if sign:
        new = sign_commit(repo, new)
    if not commit.keep:
        return new
    own = _own_commit(repo, commit.keep, identity, base, frozenset(committers))
    if not own:
        return Refused(f"the bot's own commit is not on {commit.branch} any more, as it was made")
    kept = replay(repo, commit.keep, own, new)
    return kept or Refused(f"the commits that were added to {commit.branch} do not apply to the new version")


def _own_commit(repo: Path, head: str, identity: BotSettings, base: str, committers: frozenset[str]) -> str:
    """The newest commit not in `base` that the bot made and nobody rewrote since, or empty.

    Rewritten (amended, squashed) it would carry a person's work as its author's; its committer tells.
    """
    who = text(signature(identity, "")).rstrip()
    bots = {who} | committers
    out = git(repo, "log", "--topo-order", "--no-show-signature", f"--format={_WHO}", head, f"^{base}")
    rows = (line.split("\0") for line in text(out).splitlines())
    return next((sha for sha, author, committer in rows if author == who and committer in bots), "")


def sign_commit(repo: Path, commit: str) -> str:
    """Write the same commit with a signature, as git's configuration says (`user.signingKey`, `gpg.format`).

    Moves no ref. Raises `GitError` where git cannot sign.
    """
    tree, parents, *who = git(
        repo, "log", "-1", "--no-show-signature", "--date=raw", f"--format={_HEAD}", commit
    ).split(b"\0")
    names = [f"GIT_{role}_{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL", "DATE")]
    env = {name: text(value).rstrip("\n") for name, value in zip(names, who, strict=True)}
    links = [word for parent in parents.decode().split() for word in ("-p", parent)]
    message = git(repo, "cat-file", "commit", commit).partition(b"\n\n")[2]
    out = git(repo, "commit-tree", "-S", tree.decode(), *links, "-F", "-", stdin=message, env=env)
    return out.decode().strip()


def update_ref(repo: Path, branch: str, new: str, expected_old: str) -> bool:
    """Move a branch to `new` if it still is at `expected_old` (empty: must not exist); False if it is not.

    An empty `new` deletes the branch. Any other failure raises `GitError`.
    """
    name, old = f"refs/heads/{branch}", expected_old or NO_COMMIT
    args = ("update-ref", "--no-deref", name, new, old) if new else ("update-ref", "--no-deref", "-d", name, old)
    try:
        git(repo, *args)
    except GitError as error:
        if any(race in error.stderr for race in _RACES):
            return False
        raise
    return True


def merged_tree(repo: Path, ours: str, theirs: str) -> str | None:
    """The tree that merging two commits gives, or None where they conflict or have no common history."""
    try:
        return git(repo, "merge-tree", "--write-tree", "--no-messages", ours, theirs).decode().splitlines()[0]
    except GitError as error:
        missing = "not something we can merge" in error.stderr
        if (error.returncode == 1 and not missing) or "unrelated histories" in error.stderr:
            return None
        raise


def merge_conflicts(repo: Path, ours: str, theirs: str) -> bool:
    """Whether two commits cannot be merged by git."""
    return merged_tree(repo, ours, theirs) is None


def merge_commit(
    repo: Path, ours: str, theirs: str, message: str, identity: BotSettings, when: datetime | None = None
) -> str | None:
    """Write the merge of `theirs` into `ours` (its first parent) and return its sha; None where they conflict.

    Dated `when`, or like `theirs`. No ref is moved.
    """
    tree = merged_tree(repo, ours, theirs)
    if tree is None:
        return None
    date = f"{int(when.astimezone(UTC).timestamp())} +0000" if when else commit_date(repo, theirs)
    who = signature(identity, date)
    head = [b"author " + who, b"committer " + who]
    return _write(repo, tree, (ours, theirs), head, raw(message.rstrip("\n") + "\n"))


def _write(repo: Path, tree: str, parents: Sequence[str], head: Sequence[bytes], message: bytes) -> str:
    """Write a commit object; `head` are its lines from `author` on."""
    links = [f"tree {tree}".encode(), *(f"parent {parent}".encode() for parent in parents)]
    body = b"\n".join([*links, *head, b"", message])
    return git(repo, "hash-object", "-t", "commit", "-w", "--stdin", stdin=body).decode().strip()


def replay(repo: Path, person_head: str, old_base_commit: str, onto: str) -> str | None:
    """Replay the commits after `old_base_commit` up to `person_head` on top of `onto`; None if one does not apply.

    Authors, committers, dates and messages stay as they were, so the result is a function of its inputs. Merges are
    flattened; one that a person resolved by hand cannot be, and gives None. No ref is moved.
    """
    span = (person_head, f"^{old_base_commit}", f"^{onto}")
    rows = git(repo, "rev-list", "--reverse", "--topo-order", "--parents", *span).decode().splitlines()
    tip = resolve(repo, onto)
    for row in rows:
        commit, *parents = row.split(" ")
        ordinary = len(parents) == 2 and merged_tree(repo, *parents) == tree_of(repo, commit)  # noqa: PLR2004 - a merge
        if ordinary:
            continue
        if len(parents) != 1:
            return None
        picked = _pick(repo, commit, parents[0], tip)
        if picked is None:
            return None
        tip = picked
    return tip


def _pick(repo: Path, commit: str, parent: str, onto: str) -> str | None:
    """One commit on top of another, `onto` itself where it adds nothing, None where it conflicts."""
    header, _, message = git(repo, "cat-file", "commit", commit).partition(b"\n\n")
    head = [line for line in header.split(b"\n") if line.startswith((b"author ", b"committer ", b"encoding "))]
    # merge-tree takes its base from history (its --merge-base came with git 2.40): a copy of `onto` that claims to
    # descend from the commit's parent makes that parent the base.
    copy = _write(repo, tree_of(repo, onto), (parent,), head, b"base\n")
    tree = merged_tree(repo, copy, commit)
    if tree is None:
        return None
    return onto if tree == tree_of(repo, onto) else _write(repo, tree, (onto,), head, message)


def tree_of(repo: Path, commit: str) -> str:
    """The tree of a commit; raises `GitError` where there is no such commit."""
    return git(repo, "rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()
