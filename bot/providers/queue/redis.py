"""The work queue in Redis, on RQ's jobs and registries: any number of processors on any number of machines share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from bot.core.queueing import fault
from bot.model.work import Due, Ending, QueueItem
from bot.ports import Clock, Until
from bot.providers import work_loop
from bot.providers.clock import SystemClock
from bot.providers.queue.redis_client import connect
from bot.providers.queue.redis_records import (
    FIELDS,
    NO_JOB,
    Record,
    decoded,
    job_for,
    job_id,
    new,
    shown,
    subject_of,
    text_of,
)
from bot.providers.queue.redis_store import Dead, Store
from bot.providers.queue.redis_worker import Processor, Ways
from bot.providers.secrets import read_secret, redact
from bot.settings import QueueSettings

LEASE = timedelta(seconds=60)
"""How long a processor may be silent before its subject is given to another one."""

PAUSE = timedelta(seconds=1)
"""How long a processor rests where nothing is due."""

PATIENCE = timedelta(seconds=60)
"""How long a processor that is to end by itself waits for a server that went away."""

_AT_ONCE = 500  # records that are read in one request

_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()

Member = tuple[str, float]
"""What stands in a key of the queue, and when it is due in Unix seconds."""


@dataclass(frozen=True, slots=True)
class RedisQueue:
    """A `bot.ports.Queue` on Redis. Dues are whole seconds; they are judged by the server's clock.

    With `--now`, `fixed` is what they are judged by. `tell` takes lines for people: a server that went away, a
    processor that did, what was put aside.
    """

    store: Store
    clock: Clock
    tell: Callable[[str], None]
    lease: timedelta = LEASE
    pause: timedelta = PAUSE
    fixed: datetime | None = None

    def items(self) -> Sequence[QueueItem]:
        """Every subject in it, by due time and then by name; dead ones last."""
        with self.store.server.asked("list the subjects"):
            found = {item.subject: item for item in self._found()}
        return sorted(found.values(), key=lambda item: (bool(item.dead), item.at, item.subject))

    def add(self, due: Due) -> bool:
        """Put a subject in that is not there; one that is keeps its due time. Returns whether it was added.

        A dead one of a kind that is known counts as not there: a fresh record takes its place.
        """
        store, record = self.store, new(due)
        job = job_for(store.queue, store.prefix, record)
        with store.server.asked(f"add {due.subject}"):
            try:
                store.queue.schedule_job(job, record.item.at, unique=True)
            except DuplicateJobError:
                return store.changed(job.id, lambda pipe, found: self._replaced(pipe, found, record))
            store.server.client.hdel(store.dead, job.id)
        return True

    def ask(self, due: Due) -> None:
        """Bring a subject forward, or put it in; one that is just being handled is looked at again after that."""
        record = new(due)
        member = job_id(self.store.prefix, due.subject)
        with self.store.server.asked(f"ask for {due.subject}"):
            self.store.changed(member, lambda pipe, found: self._asked(pipe, found, record))

    def remove(self, subject: str) -> bool:
        """Take a subject out, unless a processor is at it; returns whether it was there."""
        with self.store.server.asked(f"remove {subject}"):
            return any(map(self._removed, self._members(subject)))

    def clear(self) -> int:
        """Take everything out that no processor is at; returns how many there were."""
        with self.store.server.asked("clear the queue"):
            return sum(self.remove(item.subject) for item in self.items() if not item.taken)

    def work(self, handle: Callable[[QueueItem], Ending], *, until: Until, stopped: Callable[[], bool]) -> int:
        """Take due subjects, the earliest first, hand each to `handle` and settle how that ended; returns how many.

        A server that is away at the beginning is an error; one that goes away later is waited for.
        """
        patience = None if until is Until.STOPPED else PATIENCE
        ways = Ways(self.clock, stopped, self.tell, self.lease, self.pause, patience, self.fixed)
        with self.store.server.explained("work the queue"), Processor(self.store, ways) as processor:
            return work_loop.work(processor, handle, until=until, stopped=stopped)

    # Changes

    def _members(self, subject: str) -> Iterator[str]:
        """What a subject, as `items` shows it, may be called in Redis."""
        yield job_id(self.store.prefix, subject)
        yield subject
        buried: Any = self.store.server.client.hgetall(self.store.dead)
        for member, data in buried.items():
            if _dead(text_of(member), data).subject == subject:
                yield text_of(member)

    def _replaced(self, pipe: Pipeline, found: Record | str, record: Record) -> bool:
        """Take the place of a job that nobody can make anything of, or that stands nowhere."""
        store = self.store
        member = job_id(store.prefix, record.item.subject)
        lost = isinstance(found, Record) and not found.item.taken and pipe.zscore(store.waiting, member) is None
        listed = lost and pipe.lpos(store.listed, member) is not None
        dead = isinstance(found, str) and not fault(record.item.subject)
        if not dead and (not lost or listed):
            return False
        pipe.multi()
        store.create(pipe, record)
        return True

    def _asked(self, pipe: Pipeline, found: Record | str, record: Record) -> None:
        store, at = self.store, record.item.at
        member = job_id(store.prefix, record.item.subject)
        if isinstance(found, str):
            if not fault(record.item.subject) or found == NO_JOB:
                pipe.multi()
                store.create(pipe, record)
        elif found.item.taken:
            pipe.multi()
            sooner = at if found.asked is None else min(at, found.asked)
            store.note(pipe, member, replace(found, asked=sooner))
        elif at < found.item.at:
            pipe.multi()
            text = record.item.text or found.item.text
            store.wait(pipe, member, Record(replace(found.item, at=at, text=text)))

    def _removed(self, member: str) -> bool:
        store = self.store

        def change(pipe: Pipeline, found: Record | str) -> bool:
            if isinstance(found, Record) and found.item.taken:
                return False
            there = (
                isinstance(found, Record)
                or pipe.exists(store.key(member))
                or pipe.hexists(store.dead, member)
                or pipe.zscore(store.waiting, member) is not None
                or pipe.lpos(store.listed, member) is not None
            )
            pipe.multi()
            store.drop(pipe, member)
            return bool(there)

        return store.changed(member, change)

    # Reading

    def _found(self) -> Iterator[QueueItem]:
        """The items in no order."""
        store = self.store
        with store.server.client.pipeline() as pipe:  # in one transaction: each is in one place
            pipe.hgetall(store.dead)
            pipe.zrange(store.failed, 0, -1)
            pipe.time()
            pipe.lrange(store.listed, 0, -1)
            pipe.zrange(store.taken, 0, -1)
            pipe.zrange(store.waiting, 0, -1, withscores=True)
            dead, failed, told, listed, taken, waiting = pipe.execute()
        buried = {text_of(member): data for member, data in dead.items()}
        for member, data in buried.items():
            yield _dead(member, data)
        yield from self._failed([text_of(member) for member in failed if text_of(member) not in buried])
        now = float(told[0])
        members = [(text_of(member), now) for member in listed]
        members += [(text_of(member).partition(":")[0], now) for member in taken]
        members += [(text_of(member), float(score)) for member, score in waiting]
        for start in range(0, len(members), _AT_ONCE):
            yield from self._read(members[start : start + _AT_ONCE])

    def _read(self, members: Sequence[Member]) -> Iterator[QueueItem]:
        store = self.store
        with store.server.client.pipeline(transaction=False) as pipe:
            for member, _ in members:
                pipe.hmget(store.key(member), FIELDS)
            rows: list[Any] = pipe.execute(raise_on_error=False)
        for (member, at), row in zip(members, rows, strict=True):
            fields = [row, row] if isinstance(row, RedisError) else row
            record = decoded(store.prefix, member, fields)
            if isinstance(record, Record):
                yield record.item
            elif fields != [None, None] or store.server.client.zscore(store.waiting, member) is not None:
                yield _faulty(store.prefix, member, at, record)

    def _failed(self, members: Sequence[str]) -> Iterator[QueueItem]:
        """What others than saasbot have put among RQ's failed jobs, with what RQ has noted."""
        for member in members:
            noted = _noted(member, self.store.server.client) or "it failed outside of saasbot"
            yield _faulty(self.store.prefix, member, 0.0, noted)


def _dead(member: str, data: bytes) -> QueueItem:
    try:
        found = msgspec.json.decode(data, type=Dead)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = Dead(shown(member), 0.0, "nobody can make anything of it")
    return QueueItem(found.subject, _moment(found.at), dead=found.reason)


def _faulty(prefix: str, member: str, at: float, reason: str) -> QueueItem:
    return QueueItem(subject_of(prefix, member), _moment(at), dead=reason)


def _moment(seconds: float) -> datetime:
    """A due time; what others have written may be any number."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), UTC)


def _noted(member: str, client: Redis) -> str:
    """The last line of what RQ has noted of a job that failed; empty where it has nothing that can be read."""
    try:
        result = Result.fetch_latest(Job(member, connection=client), serializer=JSONSerializer)
    except ValueError:  # no id of RQ's, or a result in another form
        return ""
    text = (result.exc_string if result is not None else "") or ""
    return redact(text.strip().rpartition("\n")[2])


def redis_queue(
    settings: QueueSettings,
    environ: Mapping[str, str],
    config: Path,
    clock: Clock,
    tell: Callable[[str], None],
    lease: timedelta = LEASE,
) -> RedisQueue:
    """The queue that `saasbot.yml` names; nothing is asked yet. Raises WrongUsage for an address without sense."""
    ca = str(config / settings.ca) if settings.ca else ""
    server = connect(settings.url, read_secret(settings.password, config, environ), ca)
    fixed = clock.fixed if isinstance(clock, SystemClock) else None
    return RedisQueue(Store(server, settings.prefix), clock, tell, lease, fixed=fixed)
