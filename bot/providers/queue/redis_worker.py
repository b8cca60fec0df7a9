"""A processor on Redis: an RQ worker's record, and a loop that takes, holds and settles one subject after the other.

RQ's own loop pops a list in the order of arrival, and settles a job without asking whether it still is its own. Here
the earliest due is taken, under a lease that a thread renews, and whoever has lost the lease changes nothing any more.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

from redis import RedisError, WatchError
from redis.client import Pipeline
from rq import SimpleWorker, worker_registration
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from bot.core.queueing import settled
from bot.errors import ServerUnreachable
from bot.model.work import Ending, QueueItem
from bot.ports import Clock
from bot.providers.queue.redis_client import GONE
from bot.providers.queue.redis_head import read, repaired
from bot.providers.queue.redis_records import Record, shown
from bot.providers.queue.redis_store import Store

Answer = TypeVar("Answer")

MOST_LOST = 100  # times that all of them were taken by others in the meantime, before it is left at that
WORKER_TTL = 16  # seconds; a record that is not refreshed goes a minute after that (rq.worker)
SLICE = 0.2  # seconds; how soon a processor that rests or waits for the server hears that it is to stop


def look(subject: str) -> None:
    """What the jobs name as their function. Nobody calls it but an RQ worker that was started on this queue."""
    raise RuntimeError(f"{subject} is looked at by `saasbot process`, not by an RQ worker")


@dataclass(frozen=True, slots=True)
class Ways:
    """How a processor goes about it.

    `lease` is how long it may be silent before its subject is given to another one, `pause` how long it rests where
    nothing is due, `patience` how long it waits for a server that went away (None: until it is stopped). `fixed` is
    what the dues are judged by where `--now` says so; else it is the server's clock. `tell` takes a line for people.
    """

    clock: Clock
    stopped: Callable[[], bool]
    tell: Callable[[str], None]
    lease: timedelta
    pause: timedelta
    patience: timedelta | None
    fixed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A subject that this processor is at, and its execution in RQ's words."""

    member: str
    record: Record
    execution: Execution


@dataclass(slots=True)
class Processor:
    """A `bot.providers.work_loop.Source` on Redis; in a `with` block it is known to RQ as a worker."""

    store: Store
    ways: Ways
    worker: SimpleWorker = field(init=False)
    _at: Taken | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _ahead: float = 0.0

    def __enter__(self) -> Self:
        """Say to RQ that there is one worker more, and begin to renew what it says."""
        client = self.store.server.client
        name = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        self.worker = SimpleWorker(
            [self.store.queue], name=name, connection=client, worker_ttl=WORKER_TTL, serializer=JSONSerializer
        )
        self.worker.register_birth()
        threading.Thread(target=self._renew, name="lease", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Say goodbye, where there still is a server."""
        self._over.set()
        with suppress(RedisError):
            self.worker.register_death()

    # What the loop asks for

    def take(self) -> Taken | None:
        """Take the earliest subject that is due; None where nothing is, or where the processor is to stop."""
        try:
            return self._patiently("take a subject", self._take)
        except ServerUnreachable:
            if self.ways.stopped():
                return None
            raise

    def item(self, taken: Taken) -> QueueItem:
        """What was taken."""
        return taken.record.item

    @contextmanager
    def held(self, taken: Taken) -> Iterator[None]:
        """Renew the lease as long as the block lasts."""
        self._at = taken
        try:
            yield
        finally:
            self._at = None

    def settle(self, taken: Taken, ending: Ending) -> None:
        """Put down how the look ended, unless the lease was lost meanwhile: then it is another one's business."""

        def settling() -> bool:
            now = self.ways.fixed or datetime.fromtimestamp(self._now(), UTC)
            return self._left(taken, lambda record: settled(taken.record.item, ending, now, record.asked))

        subject = taken.record.item.subject
        if not self._patiently(f"settle {subject}", settling):
            self.ways.tell(f"{subject}: the lease had run out, another processor looks at it; this ending is dropped")

    def give_back(self, taken: Taken) -> None:
        """Let go of a subject as if it had not been taken."""
        with suppress(*GONE):  # then the lease ends by itself
            self._left(taken, lambda _: replace(taken.record.item, taken=False))

    def rest(self) -> None:
        """Wait a moment for something to become due."""
        self._sleep(self.ways.pause.total_seconds())

    # Taking

    def _take(self) -> Taken | None:
        for _ in range(MOST_LOST):
            head = read(self.store)
            self._ahead = head.now - time.monotonic()
            if head.suspended:
                return None
            if repaired(self.store, head, self.ways.lease, self.ways.tell):
                continue
            limit = self.ways.fixed.timestamp() if self.ways.fixed is not None else head.now
            due = [(member, at) for member, at in head.members if at <= limit]
            if not due:
                return None
            for member, at in (due[0], *random.sample(due[1:], len(due) - 1)):  # else all go on in step
                taken = self._claimed(member, at, limit)
                if taken is not None:
                    return taken
        return None

    def _claimed(self, member: str, at: float, limit: float) -> Taken | None:
        """The subject, if nobody else was faster and it is one; what is none is put among the dead."""
        with suppress(WatchError), self.store.server.client.pipeline() as pipe:
            pipe.watch(self.store.key(member))
            record = self.store.record(pipe, member)
            waits = isinstance(record, Record) and not record.item.taken and record.item.at.timestamp() <= limit
            if not waits and pipe.zscore(self.store.waiting, member) != at:  # somebody else was faster
                return None
            taken = None
            if isinstance(record, str):
                self.store.bury(pipe, member, record, at)
            elif record.item.taken:
                self._asked_by_hand(pipe, member, record, at)
            else:
                taken = self._taken(pipe, member, record)
            pipe.execute()
            if isinstance(record, str):
                self.ways.tell(f"{shown(member)}: {record}; it is put aside")
            return taken
        return None

    def _asked_by_hand(self, pipe: Pipeline, member: str, record: Record, at: float) -> None:
        """Somebody put a due time where there was none, by other means than ours; a processor is at the subject."""
        pipe.multi()
        pipe.zrem(self.store.waiting, member)
        self.store.note(pipe, member, replace(record, asked=datetime.fromtimestamp(at, UTC)))

    def _taken(self, pipe: Pipeline, member: str, record: Record) -> Taken:
        store, lease, now = self.store, self.ways.lease.total_seconds(), self._now()
        job = Job(member, connection=store.server.client, serializer=JSONSerializer)
        job.origin = store.prefix
        item = replace(record.item, taken=True)
        pipe.multi()
        pipe.zrem(store.waiting, member)
        execution = Execution.create(job, int(lease) + 60, pipeline=pipe, worker_name=self.worker.name)
        pipe.zadd(store.taken, {execution.composite_key: now + lease})  # by the server's clock; RQ goes by ours
        job.prepare_for_execution(self.worker.name, pipeline=pipe)
        record = Record(item, None, execution.id)
        store.note(pipe, member, record)
        self.worker.set_state(WorkerStatus.BUSY, pipeline=pipe)
        return Taken(member, record, execution)

    # Keeping and letting go

    def _left(self, taken: Taken, after: Callable[[Record], QueueItem | None]) -> bool:
        """Let go of a subject; False where it is no longer this processor's."""
        store = self.store
        job = Job(taken.member, connection=store.server.client, serializer=JSONSerializer)
        job.origin = store.prefix

        def change(pipe: Pipeline, record: Record | str) -> bool:
            mine = isinstance(record, Record) and record.by == taken.execution.id
            item = after(record) if isinstance(record, Record) and mine else None
            pipe.multi()
            taken.execution.delete(job, pipe)
            self.worker.set_state(WorkerStatus.IDLE, pipeline=pipe)
            if item is not None:
                store.wait(pipe, taken.member, Record(item))
            elif mine:
                store.drop(pipe, taken.member)
            if mine:
                self.worker.increment_successful_job_count(pipeline=pipe)
            return mine

        return store.changed(taken.member, change)

    def _renew(self) -> None:
        """Renew the worker's record and the lease of what it is at, four times a lease."""
        while not self._over.wait(min(self.ways.lease.total_seconds(), WORKER_TTL) / 4):
            with suppress(RedisError):  # the next one may be there in time; the main thread says what is wrong
                self._introduced()
                taken = self._at
                if taken is not None:
                    self._extended(taken)

    def _introduced(self) -> None:
        """Say again who is at work, and since when; a server that was away may have forgotten."""
        with self.store.server.client.pipeline() as pipe:
            self.worker.heartbeat(pipeline=pipe)
            pipe.hset(self.worker.key, mapping=self.worker.serialize())
            worker_registration.register(self.worker, pipe)
            pipe.execute()

    def _extended(self, taken: Taken) -> None:
        now, lease = self._now(), self.ways.lease.total_seconds()

        def change(pipe: Pipeline, record: Record | str) -> None:
            if isinstance(record, Record) and record.by == taken.execution.id:
                pipe.multi()
                pipe.zadd(self.store.taken, {taken.execution.composite_key: now + lease}, xx=True)
                pipe.expire(taken.execution.key, int(lease) + 60)
                pipe.hset(self.store.key(taken.member), "last_heartbeat", datetime.now(UTC).isoformat())

        self.store.changed(taken.member, change)

    # The server

    def _now(self) -> float:
        """The server's time in Unix seconds, as far as it is known here."""
        return time.monotonic() + self._ahead

    def _patiently(self, request: str, ask: Callable[[], Answer]) -> Answer:
        """Ask the server, and where it is away, again and again with growing pauses."""
        began, delay = time.monotonic(), 0.25
        while True:
            try:
                return ask()
            except GONE as error:
                patience = self.ways.patience
                lost = self.store.server.unreachable(request, error)
                if self.ways.stopped() or (patience and time.monotonic() - began > patience.total_seconds()):
                    raise lost from error
                self.ways.tell(f"{lost.message}; it is tried again in {delay:g} s")
                self._sleep(delay)
                delay = min(delay * 2, 30.0)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.ways.stopped() and (left := end - time.monotonic()) > 0:
            self.ways.clock.sleep(min(SLICE, left))
