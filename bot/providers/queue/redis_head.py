"""What a processor sees when it looks for work, and what it puts right before it takes any.

Subjects of processors that died are given back, and what stands in RQ's own list is brought to where it belongs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from redis.client import Pipeline
from rq.suspension import WORKERS_SUSPENDED

from bot.core.queueing import abandoned
from bot.providers.queue.redis_records import NO_JOB, Record, shown, text_of, waiting
from bot.providers.queue.redis_store import Store

HEAD = 16
"""How many of the earliest are looked at in one go; others may be taking the first ones."""


@dataclass(frozen=True, slots=True)
class Head:
    """The earliest in the queue, in Unix seconds by the server's clock, which says `now`.

    `members` wait, with their due times; `lapsing` are executions, with the ends of their leases; `listed` stand in
    RQ's list. `suspended` is what `rq suspend` says.
    """

    now: float
    suspended: bool
    members: list[tuple[str, float]]
    listed: list[str]
    lapsing: list[tuple[str, float]]


def read(store: Store) -> Head:
    """The queue's head: one request."""
    with store.server.client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.exists(WORKERS_SUSPENDED)
        pipe.zrange(store.waiting, 0, HEAD - 1, withscores=True)
        pipe.lrange(store.listed, 0, HEAD - 1)
        pipe.zrange(store.taken, 0, HEAD - 1, withscores=True)
        told, suspended, members, listed, lapsing = pipe.execute()
    scored = [[(text_of(member), float(score)) for member, score in each] for each in (members, lapsing)]
    return Head(told[0] + told[1] / 1e6, bool(suspended), scored[0], list(map(text_of, listed)), scored[1])


def repaired(store: Store, head: Head, lease: timedelta, tell: Callable[[str], None]) -> bool:
    """Whether something was put right; then the head is to be read again."""
    lapsed = [execution for execution, until in head.lapsing if until < head.now]
    if lapsed and _up(store) < lease.total_seconds():
        lapsed = []  # the server was away: whoever is alive has not been able to renew anything yet
    for execution in lapsed:
        _free(store, execution, head.now, tell)
    for member in head.listed:
        _file(store, member, head.now)
    return bool(lapsed or head.listed)


def _up(store: Store) -> float:
    """Seconds since the server was started."""
    return float(store.server.client.info("server")["uptime_in_seconds"])


def _free(store: Store, execution: str, now: float, tell: Callable[[str], None]) -> None:
    """Give a subject back whose processor is gone."""
    member, _, by = execution.partition(":")

    def change(pipe: Pipeline, record: Record | str) -> str:
        until = pipe.zscore(store.taken, execution)
        if until is None or float(until) >= now:  # renewed, or freed by somebody else
            return ""
        mine = isinstance(record, Record) and record.item.taken and record.by == by
        if isinstance(record, str) and record != NO_JOB:
            store.bury(pipe, member, record, now)
        else:
            pipe.multi()
        pipe.zrem(store.taken, execution)
        if isinstance(record, Record) and mine:
            store.wait(pipe, member, Record(abandoned(record.item)))
            return record.item.subject
        return ""

    freed = store.changed(member, change)
    if freed:
        tell(f"{shown(freed)}: its processor is gone; it is looked at again")


def _file(store: Store, member: str, now: float) -> None:
    """Have what stands in RQ's list (`rq requeue` puts it there) wait like all others, or put it aside."""

    def change(pipe: Pipeline, record: Record | str) -> None:
        if isinstance(record, str):
            store.bury(pipe, member, record, now)
            return
        pipe.multi()
        pipe.lrem(store.listed, 0, member)
        pipe.hdel(store.dead, member)
        pipe.zrem(store.failed, member)
        if not record.item.taken:
            store.wait(pipe, member, waiting(record))

    store.changed(member, change)
