"""The detached supervisor of one `command` run: a program of its own that must start in milliseconds.

It is run as a file with `-I -S` and imports nothing of saasbot; everything it needs comes as arguments:

    FOLDER LOCK GRACE CWD PROGRAM [ARGUMENT...]

`FOLDER` is the run's folder. `LOCK` is the number of an open descriptor whose kernel lock the starter already holds
and hands over, so that there is no moment without it; it is held as long as the run lives. `GRACE` is how many seconds
the program has between SIGTERM and SIGKILL. Environment, standard output and error are those of the program.

    lock         our process id while we live
    started      made exclusively, just before the program begins; its content is the time
    result.json  {"status", "exit_code", "error", "started_at", "finished_at"}; `error` is an errno, or 0

Signals are blocked for the whole life and taken one by one, so that none is lost between two lines of Python.
"""

from __future__ import annotations

import os
import signal
import sys
import time

STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""What asks a run to stop."""
WATCHED = STOP | {signal.SIGCHLD, signal.SIGALRM}
"""What the supervisor waits for; the starter spawns it with these blocked."""

DESCRIPTORS = 65536
"""Open files of the starter are looked for below this number."""


def main(arguments: list[str]) -> int:
    """Supervise one run to its end; does nothing if the run was started before."""
    folder, descriptor, grace, cwd, *command = arguments
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    lock = int(descriptor)
    os.set_inheritable(lock, False)
    # What the bot inherited itself (a pipe of its CI, say) must not stay open as long as the run.
    os.closerange(3, lock)
    os.closerange(lock + 1, DESCRIPTORS)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    begun = timestamp()
    if signal.sigpending() & STOP:
        write_result(folder, "canceled", None, 0, begun)
        return 0
    if not mark_started(folder, begun):
        return 0
    try:
        os.chdir(cwd)
        pid = os.posix_spawnp(
            command[0], command, os.environ, setpgroup=0, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGXFSZ)
        )
    except OSError as error:
        write_result(folder, "failed", None, error.errno or 0, begun)
        return 0
    stopped, code = follow(pid, float(grace))
    write_result(folder, "canceled" if stopped else "failed" if code else "succeeded", code, 0, begun)
    return 0


def follow(pid: int, grace: float) -> tuple[bool, int]:
    """Wait for the program; stop it and its process group when asked. Returns (was it stopped, exit code).

    A program that a signal ended has the negated signal as its code.
    """
    stopped = False
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        got = signal.sigwait(WATCHED)
        if got in STOP and not stopped:
            stopped = True
            signal_group(pid, signal.SIGTERM)
            signal.setitimer(signal.ITIMER_REAL, max(grace, 0.001))
        elif got == signal.SIGALRM:
            signal_group(pid, signal.SIGKILL)
    if stopped:
        # Before the program is reaped: until then its group's number cannot belong to anybody else.
        signal_group(pid, signal.SIGKILL)
    return stopped, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group; one that is gone, or has become somebody else's, is no error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError) as error:
        sys.stderr.write(f"saasbot: signal {number} was not delivered: {error.strerror}\n")


def mark_started(folder: str, begun: str) -> bool:
    """Make `started` and bring it to the disk; False if it is there already."""
    try:
        descriptor = os.open(f"{folder}/started", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    write_all(descriptor, begun + "\n")
    sync_folder(folder)
    return True


def write_result(folder: str, status: str, code: int | None, error: int, begun: str) -> None:
    """Put `result.json` in place, whole or not at all. Plain ASCII, so it is formatted without the json module."""
    text = (
        f'{{"status": "{status}", "exit_code": {"null" if code is None else code}, "error": {error}, '
        f'"started_at": "{begun}", "finished_at": "{timestamp()}"}}\n'
    )
    temporary = f"{folder}/result.json.tmp"
    write_all(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), text)
    os.rename(temporary, f"{folder}/result.json")  # noqa: PTH104 - pathlib costs more than the whole start
    sync_folder(folder)


def write_all(descriptor: int, text: str) -> None:
    """Write, sync and close."""
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def sync_folder(folder: str) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def timestamp() -> str:
    """Now as RFC 3339 in UTC with milliseconds."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03}Z"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
