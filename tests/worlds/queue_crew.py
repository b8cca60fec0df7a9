"""Processors and collectors in processes of their own, for tests that kill some.

`python queue_crew.py URL NAME FOLDER LEASE` reads orders, a line each: `process UNTIL`, `drain SECONDS` and
`collect COUNT` fork one and answer with its pid, `wait PID` answers with its exit code. Forked ones need not import
anything, which is most of it.

A look makes one effect a subject: a file that is created exclusively, which stands for what the statefile guards. While
it lasts it holds a kernel lock, so two looks at one subject at the same time are found out, whoever was killed.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from bot.errors import ServerUnreachable  # noqa: E402 - run as a script
from bot.model.work import Again, Done, Due, Ending, QueueItem, Wait  # noqa: E402 - as above
from bot.ports import Until  # noqa: E402 - as above
from bot.providers.clock import SystemClock  # noqa: E402 - as above
from bot.providers.queue.redis import RedisQueue, redis_queue  # noqa: E402 - as above
from bot.settings import QueueSettings  # noqa: E402 - as above

LONGEST = 0.01  # seconds of a look


def effect(folder: Path, subject: str) -> Path:
    """The file that says that a subject's effect was made."""
    return folder / "effects" / subject.rpartition("/")[2]


def subjects(count: int) -> list[str]:
    """The subjects of a world."""
    return [f"target:crowd/t/{number}" for number in range(count)]


def look(folder: Path, item: QueueItem) -> Ending:
    """One look: some have to wait first or ask for another one; then the effect is made, once."""
    number = int(item.subject.rpartition("/")[2])
    with (folder / "locks" / str(number)).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (folder / "overlaps" / str(number)).touch()
        time.sleep(random.uniform(0, LONGEST))  # noqa: S311 - no secret
        if (folder / "hang").exists():
            (folder / "hangs").touch()
            time.sleep(60)
        if number % 20 == 1 and not item.agains:
            return Again("once more")
        if number % 20 == 2 and not item.text.startswith("a moment"):
            return Wait("a moment", timedelta(seconds=1))
        try:
            os.close(os.open(effect(folder, item.subject), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return Done("its effect was made before")
        with (folder / "made").open("ab") as made:  # one write a line, so that lines stay whole
            made.write(f"{item.subject}\n".encode())
        return Done("done")


def process(queue: RedisQueue, folder: Path, until: Until) -> None:
    """Work until SIGTERM comes, or as told."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    queue.work(lambda item: look(folder, item), until=until, stopped=lambda: bool(told))


def drain(queue: RedisQueue, seconds: float) -> None:
    """Work until nothing is due; a look does nothing but wait, as most of one does."""

    def wait(_: QueueItem) -> Ending:
        time.sleep(seconds)
        return Done("done")

    queue.work(wait, until=Until.DRAINED, stopped=lambda: False)


def collect(queue: RedisQueue, folder: Path, count: int) -> None:
    """Add what has no effect yet, and say how many were new."""
    now, added = datetime.now(UTC), 0
    for subject in subjects(count):
        while not effect(folder, subject).exists():
            try:
                added += queue.add(Due(subject, now))
                break
            except ServerUnreachable:  # the next collection would do
                time.sleep(0.1)
    with (folder / "added").open("a") as told:
        told.write(f"{added}\n")


def work(role: str, more: str) -> None:
    """What a forked process does."""
    url, name, place, lease = sys.argv[1:]
    folder = Path(place)
    tell = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731, T201 - a line for people
    queue = redis_queue(QueueSettings(url, name), {}, folder, SystemClock(), tell, timedelta(seconds=float(lease)))
    random.seed()
    if role == "collect":
        collect(queue, folder, int(more))
    elif role == "drain":
        drain(queue, float(more))
    else:
        process(queue, folder, Until(more))


def main() -> None:
    """Carry out orders until there are no more."""
    for line in iter(sys.stdin.readline, ""):
        role, more = line.split()
        if role == "wait":
            answer = os.waitstatus_to_exitcode(os.waitpid(int(more), 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                try:
                    work(role, more)
                finally:
                    error = sys.exc_info()[1]
                    traceback.print_exception(error) if error is not None else None
                    os._exit(error is not None)
        print(answer, flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
