"""The queue's keys in Redis, and the changes that are made to them; each is one transaction on one subject's job.

A subject is in one place at a time: RQ's scheduled registry (it waits, its score is the due time), RQ's started
registry (a processor is at it, the score is when its lease ends), or among the dead. RQ's list holds what RQ's own
tools put there. Whoever changes a place writes the job's hash in the same transaction and watches it before: of two,
one comes too late.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from redis import ResponseError, WatchError
from redis.client import Pipeline
from rq.executions import ExecutionRegistry
from rq.job import Job, JobStatus
from rq.queue import Queue as RqQueue
from rq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry

from bot.providers.queue.redis_client import Server
from bot.providers.queue.redis_records import FIELDS, Record, decoded, encoded, job_for, rq_queue, subject_of

Answer = TypeVar("Answer")


class Dead(msgspec.Struct):
    """Why nobody can make anything of a member; `at` is when it was due, in Unix seconds."""

    subject: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Store:
    """The queue called `prefix` on a server; raises what redis-py raises."""

    server: Server
    prefix: str
    queue: RqQueue = field(init=False)
    waiting: str = field(init=False)
    taken: str = field(init=False)
    failed: str = field(init=False)
    listed: str = field(init=False)
    dead: str = field(init=False)

    def __post_init__(self) -> None:
        """Ask RQ for the names of its keys."""
        queue = rq_queue(self.server.client, self.prefix)
        keys = {
            "queue": queue,
            "waiting": ScheduledJobRegistry(queue=queue).key,
            "taken": StartedJobRegistry(queue=queue).key,
            "failed": FailedJobRegistry(queue=queue).key,
            "listed": queue.key,
            "dead": f"{queue.key}:dead",
        }
        for name, value in keys.items():
            object.__setattr__(self, name, value)

    def key(self, member: str) -> str:
        """The key of a job's hash; a member may be anything that somebody put there."""
        return f"{Job.redis_job_namespace_prefix}{member}"

    def changed(self, member: str, change: Callable[[Pipeline, Record | str], Answer]) -> Answer:
        """Make a change to a job as it is; `change` gets its record, or what is wrong with it.

        It may read through the pipeline; what it writes it says after `multi()`. Where somebody else changed the job
        meanwhile, it is called again. Without `multi()` nothing is changed.
        """
        with self.server.client.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(self.key(member))
                    answer = change(pipe, self.record(pipe, member))
                    pipe.execute()
                except WatchError:  # so it is called, too, where the connection is lost after `watch`
                    continue
                return answer

    def record(self, pipe: Pipeline, member: str) -> Record | str:
        """The record behind a member, or what is wrong with it."""
        try:
            fields: Any = pipe.hmget(self.key(member), FIELDS)
        except ResponseError as error:
            fields = [error, error]
        return decoded(self.prefix, member, fields)

    def create(self, pipe: Pipeline, record: Record) -> None:
        """Put a new job in the place of whatever bears its id, and have it wait."""
        job = job_for(self.queue, self.prefix, record)
        self.drop(pipe, job.id)
        self.queue.schedule_job(job, record.item.at, pipeline=pipe)

    def wait(self, pipe: Pipeline, member: str, record: Record) -> None:
        """Have a job wait for its due time."""
        values: dict[Any, Any] = {"meta": encoded(record), "status": JobStatus.SCHEDULED.value, "worker_name": ""}
        pipe.hset(self.key(member), mapping=values)
        pipe.zadd(self.waiting, {member: record.item.at.timestamp()})

    def note(self, pipe: Pipeline, member: str, record: Record) -> None:
        """Write a record and nothing else."""
        pipe.hset(self.key(member), "meta", encoded(record))

    def drop(self, pipe: Pipeline, member: str) -> None:
        """Take everything out that there is of a member; what a processor is at has more."""
        key = self.key(member)
        pipe.zrem(self.waiting, member)
        pipe.zrem(self.failed, member)
        pipe.lrem(self.listed, 0, member)
        pipe.hdel(self.dead, member)
        pipe.delete(key, f"{key}:dependents", f"{key}:dependencies", ExecutionRegistry.key_template.format(member))

    def bury(self, pipe: Pipeline, member: str, reason: str, at: float) -> None:
        """Put a member among the dead, where everybody sees it and nobody takes it; an RQ job counts as failed."""
        key = self.key(member)
        is_job = pipe.type(key) == b"hash"
        pipe.multi()
        pipe.zrem(self.waiting, member)
        pipe.lrem(self.listed, 0, member)
        subject = subject_of(self.prefix, member)
        pipe.hset(self.dead, member, msgspec.json.encode(Dead(subject, at, reason)))
        if is_job:
            values: dict[Any, Any] = {"status": JobStatus.FAILED.value, "exc_info": zlib.compress(reason.encode())}
            pipe.hset(key, mapping=values)
            pipe.zadd(self.failed, {member: -1})  # RQ's word for: for ever
        else:
            pipe.delete(key)
