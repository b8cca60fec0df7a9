"""The processor of this process (`--process`): works the queue in a thread of its own, beside the routes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from bot import work
from bot.errors import SaasbotError
from bot.model.work import Due, Ending, QueueItem
from bot.ports import Queue, Until
from bot.reconcile import Job
from bot.serve.access import Log
from bot.serve.desk import Turns

REST = 10.0
"""Seconds before the queue is worked again, after it could not be."""


@dataclass(slots=True)
class Processor:
    """A thread that takes what is due until the process is to stop; the collector comes first, and again in time."""

    job: Job
    queue: Queue
    turns: Turns
    log: Log
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        """Make the thread."""
        self._thread = threading.Thread(target=self._work, name="saasbot-processor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the subject at hand is finished; the process was asked to stop before."""
        self._thread.join()

    @property
    def dead(self) -> str:
        """Why nothing is worked any more; empty while it is, and while the process ends."""
        ended = not self._thread.is_alive() and not self.job.stopped()
        return "the processor has ended: see the log" if ended else ""

    def _work(self) -> None:
        while not self.job.stopped():
            try:
                self.queue.ask(Due(work.COLLECT, self.job.ports.clock.now(), "the process began"))
                self.queue.work(self._handle, until=Until.STOPPED, stopped=self.job.stopped)
            except SaasbotError as error:
                self.log("error", f"the queue cannot be worked: {error.message}", hint=error.hint)
                self._rest()

    def _handle(self, item: QueueItem) -> Ending:
        with self.turns.taken():
            ending = work.handler(self.job, self.queue)(item)
        name = type(ending).__name__.lower()
        self.log("info", f"{item.subject}: {name}: {ending.why}", subject=item.subject, ending=name)
        return ending

    def _rest(self) -> None:
        left = REST
        while left > 0 and not self.job.stopped():
            self.job.ports.clock.sleep(min(left, 0.2))
            left -= 0.2
