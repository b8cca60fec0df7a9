"""What the folder of one `command` run says: the files, the lock, and the fact that follows from them.

    lock          kernel lock, held from before the supervisor exists until the run is over; holds its process id
    request.json  what was asked for, written under the lock before anything starts
    started       made exclusively just before the program begins
    output.log    what the program printed
    result.json   how it ended

A result says how it ended, a held lock says it is in flight, `started` without either says that the supervisor was
killed, and nothing at all is a clear no.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.providers.files import replace
from bot.providers.secrets import redact

CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0e-\x1f\x7f-\x9f]"
)
"""Terminal sequences and control characters; tab and line ends are dealt with by splitting."""
SECRETS = (
    (re.compile(r"(?<=://)[^\s/@]+@"), "[secret]@"),
    (
        re.compile(r"(?i)\b([\w-]*(?:token|password|passwd|secret|api[-_]?key))(\"?\s*[:=]\s*)(?:\"[^\"]*\"|\S+)"),
        r"\1\2[secret]",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 [secret]"),
    (re.compile(r"\b(?:glpat-|gh[pousr]_|github_pat_|AKIA|eyJ)[\w.-]{10,}"), "[secret]"),
)
TAIL = 8192
"""Bytes of output that are looked at for its last line."""
LINE = 200
"""Characters of output that are repeated to humans."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: `request.json`."""

    key: str
    target: str
    command: tuple[str, ...]
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: `result.json`.

    `exit_code` is None where no program ran and negated where a signal ended it; `error` is the errno that kept the
    program from beginning, or 0.
    """

    status: RunStatus
    exit_code: int | None
    error: int
    started_at: datetime
    finished_at: datetime


def look(folder: Path) -> RunFact | None:
    """The run as its folder tells it; None is a clear no: this key did not start."""
    ended = settled(folder, killed=False)
    if ended is not None:
        return ended
    with _shared(folder) as free:
        if free is None:
            return None
        if free:
            # Nobody can begin or end while we hold the lock: now both files mean what they say.
            return settled(folder, killed=True)
        began = _began(folder)
        status = RunStatus.RUNNING if began else RunStatus.PENDING
        return RunFact(status, folder.name, url_of(folder), started_at=began)


def settled(folder: Path, *, killed: bool) -> RunFact | None:
    """The run's end, or None; with `killed` (only under the lock) one that began and left no result is `unknown`."""
    try:
        result = msgspec.json.decode((folder / "result.json").read_bytes(), type=Result)
    except FileNotFoundError:
        if killed and (folder / "started").exists():
            text = "its supervisor was killed: whether the program finished is not known"
            return RunFact(RunStatus.UNKNOWN, folder.name, url_of(folder), text, started_at=_began(folder))
        return None
    except msgspec.DecodeError as error:
        return RunFact(RunStatus.UNKNOWN, folder.name, url_of(folder), f"its result.json cannot be read: {error}")
    return RunFact(
        result.status,
        folder.name,
        url_of(folder),
        _text(folder, result),
        started_at=result.started_at,
        finished_at=result.finished_at,
    )


def write_result(folder: Path, result: Result) -> None:
    """Say how a run ended that has no supervisor; to be called with the run's lock held."""
    replace(folder / "result.json", msgspec.json.encode(result) + b"\n")


def request_of(folder: Path) -> Request | None:
    """What was asked for, or None where that is missing or unreadable."""
    try:
        return msgspec.json.decode((folder / "request.json").read_bytes(), type=Request)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def url_of(folder: Path) -> str:
    """Where a human reads the output."""
    return (folder / "output.log").as_uri()


@contextmanager
def exclusive(folder: Path) -> Iterator[int | None]:
    """The run's lock as an open descriptor, or None if somebody has it; it is let go unless it was handed over."""
    opened = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        # Clear of the numbers that the supervisor's own descriptors get.
        descriptor = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 10)
    finally:
        os.close(opened)
    try:
        yield descriptor if _flock(descriptor, fcntl.LOCK_EX) else None
    finally:
        # Closed and not unlocked: the lock lives on in the supervisor that inherited it.
        os.close(descriptor)


def holder(folder: Path) -> int:
    """The process id that the lock's holder wrote, or 0 where it has not yet."""
    text = (folder / "lock").read_text("ascii", "replace").strip()
    return int(text) if text.isdecimal() else 0


@contextmanager
def _shared(folder: Path) -> Iterator[bool | None]:
    """Whether the run's lock is free, which then stays so meanwhile; None where there is none at all."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        free = _flock(descriptor, fcntl.LOCK_SH)
        yield free
        if free:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, how: int) -> bool:
    """Take a lock if it is to be had at once."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _began(folder: Path) -> datetime | None:
    """When the program began, or None where it has not; an unreadable time is that of the file."""
    try:
        path = folder / "started"
        return msgspec.convert(path.read_text("ascii", "replace").strip(), datetime)
    except FileNotFoundError:
        return None
    except msgspec.ValidationError:
        return None


def _text(folder: Path, result: Result) -> str:
    """How it ended, in words: nothing for a success."""
    match result:
        case Result(status=RunStatus.SUCCEEDED):
            return ""
        case Result(status=RunStatus.CANCELED, exit_code=None):
            return "canceled before the program began"
        case Result(status=RunStatus.CANCELED):
            how = "canceled"
        case Result(exit_code=None):
            request = request_of(folder)
            program = request.command[0] if request else "the program"
            return f"cannot run {one_line(program)}: {_cause(result.error, program)}"
        case Result(exit_code=int(code)) if code < 0:
            how = f"ended by {_signal_name(-code)}"
        case _:
            how = f"exit code {result.exit_code}"
    line = last_line(folder / "output.log")
    return f"{how}: {line}" if line else how


def _cause(error: int, program: str) -> str:
    """Why the system would not run a program, with what to do about it where that is known."""
    text = os.strerror(error)
    match error:
        case 2 if "/" not in program:
            return f"{text} on PATH (write ./{program} for a file of the config repository)"
        case 2:
            return f"{text} in the config repository (or its interpreter is missing)"
        case 7:
            return f"{text} (the target's parameters do not fit into an environment)"
        case 8:
            return f"{text} (a script needs a first line such as #!/bin/sh)"
        case 13:
            return f"{text} (is the file executable in git?)"
        case _:
            return text


def _signal_name(number: int) -> str:
    """SIGKILL and its like."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_line(path: Path) -> str:
    """The last line of a program's output that says something, fit to be repeated; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return next(filter(None, map(one_line, reversed(lines))), "")


def one_line(text: str) -> str:
    """A foreign text as one line of at most `LINE` characters, without control characters and secrets."""
    line = redact(" ".join(CONTROL.sub("", text).split()))
    for pattern, instead in SECRETS:
        line = pattern.sub(instead, line)
    return line if len(line) <= LINE else line[: LINE - 1] + "…"
