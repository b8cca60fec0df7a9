"""The one wrapper of the git program, and what is read from repositories: refs, trees, blobs, differences.

What builds objects and moves refs stands in `bot.providers.git_commits`, a commit as a `ConfigTree` in
`bot.providers.git_tree`. Everything here may be called from several threads and works in bare repositories.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from bot.providers import trace
from bot.providers.secrets import redact

if TYPE_CHECKING:  # the model takes longer to import than git takes to list a tree
    from bot.model.observed import Change

TIMEOUT = 300.0
"""Seconds that one git command may take before it and its helpers are killed."""

ASK = 60.0
"""Seconds for a question to a server (`ls-remote`), which has little to say."""

FETCH = (
    *("fetch", "--quiet", "--no-write-fetch-head", "--no-tags", "--no-prune", "--no-auto-maintenance", "--refmap="),
    "--recurse-submodules=no",
)
"""Brings objects and moves nothing, so that any number of processes may fetch in one checkout at the same time."""

_KEPT = re.compile(
    r"GIT_(SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|SSL_\w+|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+))"
)
"""What a machine's owner says about transport and configuration; all else of `GIT_*` is about another repository."""

_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]+@")
_NOISE = re.compile(r"^(?:fatal|error|remote|warning|hint): *", re.IGNORECASE)
_OPTIONS = ("-c", "core.quotePath=false", "-c", "i18n.commitEncoding=UTF-8", "-c", "i18n.logOutputEncoding=UTF-8")
_LOCAL = re.compile(r"(?![^/]*:)")  # git's own rule: a colon before the first slash makes it a remote


class GitError(Exception):
    """A git command that failed; internal to the providers, who turn it into a value or a `SaasbotError`.

    `returncode` is git's own, 124 for a timeout, 127 where there is no git program. `stderr` carries no credentials.
    """

    def __init__(self, returncode: int, args: Sequence[str], stderr: str) -> None:
        """Keep the facts; every text is cleared of credentials."""
        self.returncode = returncode
        self.arguments = tuple(redact(without_credentials(arg)) for arg in args)
        self.stderr = redact(without_credentials(stderr))
        super().__init__(f"git {' '.join(self.arguments[:1])}: {self.line}")

    @property
    def line(self) -> str:
        """The one line of the error output that says most: git's first complaint."""
        lines = [_NOISE.sub("", line).strip() for line in self.stderr.splitlines() if _NOISE.match(line)]
        rest = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return next((line for line in (*lines, *rest) if line), f"exit code {self.returncode}")


def without_credentials(text: str) -> str:
    """The text with user names and passwords taken out of every URL."""
    return _CREDENTIALS.sub("", text)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a git command: nothing inherited that points elsewhere, no prompts, C messages."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "SSH_ASKPASS" and (not name.startswith("GIT_") or _KEPT.fullmatch(name))
    }
    return inherited | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"} | dict(extra or {})


def spawn(repo: Path, *args: str, env: Mapping[str, str] | None = None, stdin: bool = False) -> subprocess.Popen[bytes]:
    """Start git in `repo` with pipes for its output; `finish` collects it. Raises `GitError` where there is no git."""
    try:
        return subprocess.Popen(
            ("git", *_OPTIONS, *args),
            cwd=repo,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(env),
            start_new_session=True,  # no terminal to ask on, and the helpers die with it
        )
    except FileNotFoundError as error:
        raise GitError(127, args, f"fatal: {error.filename or 'git'} does not exist") from error
    except OSError as error:
        raise GitError(126, args, f"fatal: {error.strerror}") from error


def finish(
    process: subprocess.Popen[bytes], args: Sequence[str], data: bytes | None = None, timeout: float = TIMEOUT
) -> bytes:
    """Feed and read a process of `spawn` to its end; return its output or raise `GitError`."""
    try:
        out, err = process.communicate(data, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise GitError(124, args, f"fatal: no answer within {timeout:.0f} s") from error
    finally:
        if process.returncode is None:
            stop(process)
    if process.returncode:
        raise GitError(process.returncode, args, err.decode("utf-8", "replace"))
    return out


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of `spawn` with all its helpers, and close its pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def git(
    repo: Path,
    *args: str,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> bytes:
    """Run git in `repo` and return its standard output; raises `GitError`, also after `timeout` seconds."""
    if not trace.on() or not trace.talks(args):
        return finish(spawn(repo, *args, env=env, stdin=stdin is not None), args, stdin, timeout)
    started, code = time.monotonic(), 0
    try:
        return finish(spawn(repo, *args, env=env, stdin=stdin is not None), args, stdin, timeout)
    except GitError as error:
        code = error.returncode
        raise
    finally:
        trace.command([without_credentials(arg) for arg in args], code, trace.since(started))


def text(data: bytes) -> str:
    """A path or ref name of git's output; bytes that are not UTF-8 survive the way back through `raw`."""
    return data.decode("utf-8", "surrogateescape")


def raw(name: str) -> bytes:
    """The bytes of a path or ref name."""
    return name.encode("utf-8", "surrogateescape")


def locate(url: str, base: Path) -> str:
    """The url as git takes it from anywhere: a relative path becomes absolute, seen from `base`."""
    if "://" in url or not _LOCAL.match(url):
        return url
    return os.path.normpath(base / url)


class Entry(NamedTuple):
    """One file of a tree: `mode` in git's octal digits (`100644`, `100755`, `120000` symlink, `160000` submodule)."""

    mode: str
    blob: str
    path: str

    @property
    def regular(self) -> bool:
        """Whether it is a plain or executable file."""
        return self.mode.startswith("100")


def ls_tree(repo: Path, treeish: str, *paths: str) -> list[Entry]:
    """All files of a commit or tree, or those of `paths` that exist, sorted by path."""
    out = git(repo, "ls-tree", "-r", "-z", treeish, "--", *paths)
    entries = []
    for line in out.split(b"\0")[:-1]:
        head, path = line.split(b"\t", 1)
        mode, _, blob = head.decode().split(" ")
        entries.append(Entry(mode, blob, text(path)))
    return sorted(entries, key=lambda entry: entry.path)


def cat_files(repo: Path, blobs: Iterable[str]) -> list[bytes]:
    """The contents of these blobs, in order, with one git process; raises `GitError` for one that is missing."""
    return list(stream_files(repo, blobs))


def stream_files(repo: Path, blobs: Iterable[str]) -> Iterator[bytes]:
    """As `cat_files`, one after the other while git reads on. The process is stopped when the iterator is dropped."""
    wanted = [*blobs]
    if not wanted:
        return
    args = ("cat-file", "--batch", "--buffer")
    process = spawn(repo, *args, stdin=True)
    feeder = Thread(target=_feed, args=(process, "".join(f"{blob}\n" for blob in wanted).encode()), daemon=True)
    feeder.start()
    try:
        for blob in wanted:
            yield _one_file(process, blob, args)
    finally:
        stop(process)
        feeder.join()


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Write in a thread of its own: git's answers may fill their pipe before all questions are asked."""
    if process.stdin:
        with contextlib.suppress(OSError, ValueError):  # git died, or the reader has had enough
            process.stdin.write(data)
            process.stdin.close()


def _one_file(process: subprocess.Popen[bytes], blob: str, args: Sequence[str]) -> bytes:
    pipe = process.stdout
    head = pipe.readline().split() if pipe else []
    if pipe is None or len(head) != 3:  # noqa: PLR2004 - "<id> <type> <size>", or "<id> missing", or nothing
        said = process.stderr.read().decode("utf-8", "replace") if not head and process.stderr else ""
        raise GitError(1, args, said or f"fatal: object {blob} is missing")
    size = int(head[2])
    data = pipe.read(size + 1)
    if len(data) != size + 1:
        raise GitError(1, args, f"fatal: object {blob} was cut short")
    return data[:-1]


def diff(repo: Path, base: str, head: str) -> tuple[Change, ...]:
    """The files that differ between two commits or trees, with both contents; a mode change alone counts too."""
    from bot.model.observed import Change  # noqa: PLC0415 - as above

    out = git(repo, "diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", "--full-index", base, head)
    parts = out.split(b"\0")[:-1]
    rows = [(meta.decode()[1:].split(" "), text(path)) for meta, path in zip(parts[::2], parts[1::2], strict=True)]
    sides = [side for meta, _ in rows for side in ((meta[0], meta[2]), (meta[1], meta[3]))]
    wanted = [*dict.fromkeys(blob for mode, blob in sides if mode not in {"000000", "160000"})]
    contents = dict(zip(wanted, cat_files(repo, wanted), strict=True))
    return tuple(
        Change(path, _side(meta[0], meta[2], contents), _side(meta[1], meta[3], contents)) for meta, path in rows
    )


def _side(mode: str, blob: str, contents: Mapping[str, bytes]) -> bytes | None:
    if mode == "000000":
        return None
    return f"Subproject commit {blob}\n".encode() if mode == "160000" else contents[blob]


def resolve(repo: Path, revision: str) -> str:
    """The commit that a revision means, or empty where there is none."""
    try:
        return (
            git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
        )
    except GitError as error:
        if error.returncode == 1:
            return ""
        raise


def merge_base(repo: Path, one: str, other: str) -> str:
    """The best common ancestor of two commits, or empty where their histories are unrelated."""
    try:
        return git(repo, "merge-base", one, other).decode().strip()
    except GitError as error:
        if error.returncode == 1:
            return ""
        raise


def commit_date(repo: Path, commit: str) -> str:
    """The committer date of a commit as git stores it: seconds since 1970 and zone, e.g. `1767225600 +0000`."""
    return git(repo, "log", "-1", "--no-show-signature", "--format=%cd", "--date=raw", commit).decode().strip()


def for_each_ref(repo: Path, prefix: str) -> dict[str, str]:
    """Full ref names that start with `prefix` (such as `refs/heads/saasbot/`), with the object each points to."""
    # The pattern of for-each-ref matches whole components only, hence the cut at the last slash.
    out = git(repo, "for-each-ref", "--format=%(objectname) %(refname)", prefix.rpartition("/")[0] or "refs")
    rows = (line.partition(b" ") for line in out.splitlines())
    return {text(name): sha.decode() for sha, _, name in rows if text(name).startswith(prefix)}
