"""Runs as local programs (`provider: command`): each under a detached supervisor, answerable after any crash.

A run lives in `<runs>/<run key>/` (see `run_folder`). `start` takes the run's kernel lock itself and hands its
descriptor to the supervisor: whoever is killed, and when, there is no moment in which "did this key start?" has no
answer, and two starters of one key never both begin.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.model.servers import Pipeline
from bot.ports import Refused
from bot.providers.asked_by_key import AskedByKey
from bot.providers.files import replace
from bot.providers.git import GitError
from bot.providers.pipelines.run_folder import (
    Request,
    Result,
    exclusive,
    holder,
    last_line,
    look,
    request_of,
    settled,
    url_of,
    write_result,
)

SUPERVISOR = Path(__file__).with_name("supervisor.py")
HANDED = 3
"""The number under which the supervisor finds the lock."""
BLOCKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM)
"""What the supervisor takes one by one; blocked from its first instant, so that a request to stop is never lost."""
INHERITED = re.compile(r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|TMPDIR|TZ|USER|LOGNAME|SHELL")
"""Names of the bot's own environment that a program gets: no tokens, no `GIT_*`."""
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
HANDOVER = 5.0
"""Seconds that a second starter of one key waits for the first one's program to begin."""
STOPPING = 1.0
"""Seconds that `cancel` waits for the end; a later end is seen by a later pass."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One line of `local run list`."""

    key: str
    target: str
    status: RunStatus
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    text: str
    url: str


class CommandPipelines(AskedByKey):
    """A `bot.ports.Pipelines` of local programs.

    `runs` is the folder of all runs, made when the first one starts; its parent must exist. `export` gives the folder
    with the config repository's files at a commit, in which programs are found and run. `environ` is the bot's own
    environment, of which `INHERITED` is passed on. `grace` is the time in seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self, runs: Path, export: Callable[[str], Path], environ: Mapping[str, str], *, grace: float = 10.0
    ) -> None:
        self._runs = runs.resolve()
        self._export = export
        self._environ = {name: value for name, value in environ.items() if INHERITED.fullmatch(name)}
        self._grace = grace
        self._children: dict[str, int] = {}

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run with a handle; `unknown` where its record is gone."""
        fact = self.find(pipeline, run)
        if fact is not None:
            return fact
        folder = self._folder(run.key)
        if request_of(folder) is None:
            return RunFact(RunStatus.UNKNOWN, run.key, "", f"there is no record of this run in {folder}")
        return _not_started(folder)

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? None is a clear no."""
        del pipeline
        self._require()
        folder = self._folder(run.key)
        try:
            fact = look(folder)
        except OSError as error:
            raise _unreachable(folder, error) from error
        if fact is None or not fact.status.in_flight:
            self._reap(run.key)
        return fact

    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start a run with its key; one that was started before is answered as it stands, and not started again."""
        command = command_of(pipeline.options)
        if isinstance(command, Refused):
            return command
        self._require()
        folder = self._folder(run.key)
        request = Request(run.key, environment.get("SAASBOT_TARGET", ""), command, datetime.now(UTC))
        try:
            cwd = self._export(run.config_sha).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            return self._start_once(folder, request, cwd, environment)
        except OSError as error:
            raise _unreachable(folder, error) from error
        except GitError as error:
            return Refused(f"the files of commit {run.config_sha[:7]} could not be exported: {error.line}")
        except ValueError as error:
            return Refused(f"the run's environment cannot be passed to a program: {error}")

    def cancel(self, pipeline: Pipeline | None, run: Run) -> RunFact | Refused:
        """Ask the program to stop; the answer is the state a moment later, which may still be `running`.

        A run that never started is marked as canceled, and will not.
        """
        self._require()
        folder = self._folder(run.key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _stop(folder)
        except OSError as error:
            raise _unreachable(folder, error) from error
        return self.status(pipeline, run)

    def list_runs(self) -> tuple[RunRow, ...]:
        """Every run there is a record of, oldest request first."""
        self._require()
        rows = []
        for folder in sorted(path.parent for path in self._runs.glob("*/request.json")):
            request = request_of(folder)
            if request is not None:
                fact = look(folder) or _not_started(folder)
                times = (request.requested_at, fact.started_at, fact.finished_at)
                rows.append(RunRow(request.key, request.target, fact.status, *times, fact.text, fact.url))
        return tuple(sorted(rows, key=lambda row: row.requested_at))

    def _require(self) -> None:
        """Without its folder nothing can be said, least of all that a run was not started."""
        if not self._runs.parent.is_dir():
            raise _unreachable(self._runs, FileNotFoundError(errno.ENOENT, "its parent folder does not exist"))

    def _folder(self, key: str) -> Path:
        """Where a run lives; a key is a hash, and one that could leave the folder is a program's mistake."""
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a run key")
        return self._runs / key

    def _start_once(self, folder: Path, request: Request, cwd: Path, environment: Mapping[str, str]) -> RunFact:
        """Start under the key's lock, or wait until the one who holds it has begun."""
        until = time.monotonic() + HANDOVER
        while True:
            with exclusive(folder) as lock:
                if lock is not None:
                    known = settled(folder, killed=True)
                    return known or self._spawn(folder, request, cwd, environment, lock)
            fact = look(folder)
            if fact is not None and (fact.status is not RunStatus.PENDING or time.monotonic() > until):
                return fact
            time.sleep(0.002)

    def _spawn(self, folder: Path, request: Request, cwd: Path, environment: Mapping[str, str], lock: int) -> RunFact:
        """Start the supervisor with the lock in its hands, in a session of its own."""
        os.ftruncate(lock, 0)
        replace(folder / "request.json", msgspec.json.format(msgspec.json.encode(request)) + b"\n")
        log = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        own = (sys.executable, "-I", "-S", str(SUPERVISOR), str(folder), str(HANDED), str(self._grace), str(cwd))
        self._reap(request.key)
        try:
            self._children[request.key] = os.posix_spawn(
                sys.executable,
                (*own, *request.command),
                {**self._environ, **environment},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(folder / "output.log"), log, 0o666),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    (os.POSIX_SPAWN_DUP2, lock, HANDED),
                ],
                setsid=True,
                setsigmask=BLOCKED,
                setsigdef=(*BLOCKED, signal.SIGPIPE, signal.SIGXFSZ),
            )
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            moment = request.requested_at
            write_result(folder, Result(RunStatus.FAILED, None, errno.E2BIG, moment, moment))
        return look(folder) or RunFact(RunStatus.PENDING, request.key, url_of(folder))

    def _reap(self, key: str) -> None:
        """Take leave of a supervisor that this process started and that has ended."""
        pid = self._children.pop(key, 0)
        with suppress(ChildProcessError):
            if pid and os.waitpid(pid, os.WNOHANG) == (0, 0):
                self._children[key] = pid


def command_of(options: Mapping[str, object]) -> tuple[str, ...] | Refused:
    """The program and its arguments from a pipeline's `with` block."""
    command = options.get("command")
    if not isinstance(command, list | tuple) or not command or not all(isinstance(word, str) for word in command):
        return Refused("`with.command` is not a list of texts: a program and its arguments")
    if not command[0] or any("\0" in word for word in command):
        return Refused("`with.command` has an empty program or a NUL character")
    return tuple(command)


def _stop(folder: Path) -> None:
    """Ask the holder of the run's lock to stop and wait a moment; mark as canceled what never started."""
    until = time.monotonic() + STOPPING
    asked = False
    while time.monotonic() < until:
        with exclusive(folder) as lock:
            if lock is not None:
                if settled(folder, killed=True) is None:
                    moment = datetime.now(UTC)
                    write_result(folder, Result(RunStatus.CANCELED, None, 0, moment, moment))
                return
        asked = asked or _ask_to_stop(folder)
        time.sleep(0.005)


def _ask_to_stop(folder: Path) -> bool:
    """Send SIGTERM to the supervisor; False while there is none to be found.

    A process id is only believed while the lock is held: then its writer lives.
    """
    pid = holder(folder)
    with exclusive(folder) as lock:
        if pid == 0 or lock is not None:
            return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    return True


def _not_started(folder: Path) -> RunFact:
    """A run that was asked for and whose supervisor ended before the program began."""
    line = last_line(folder / "output.log")
    text = "the program was not started" + (f": {line}" if line else "")
    return RunFact(RunStatus.FAILED, folder.name, url_of(folder), text)


def _unreachable(folder: Path, error: OSError) -> ServerUnreachable:
    """One line for the human."""
    cause = error.strerror or str(error)
    return ServerUnreachable(f"cannot use the run folder {folder}: {cause}", hint="check forge.path in saasbot.yml")
