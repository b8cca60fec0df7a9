"""What is kept of a subject in Redis: an RQ job with an id that is made from it, and its record in the job's `meta`.

The record is JSON, as all of the job is: what stands in Redis is data, and nothing of it is ever run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from rq.job import Job, JobStatus, Retry
from rq.queue import Queue as RqQueue
from rq.serializers import JSONSerializer

from bot.core.queueing import fault
from bot.model.work import Due, QueueItem
from bot.providers.secrets import redact

FIELDS = ("status", "meta")
"""The fields of a job's hash that `decoded` wants."""

FUNCTION = "bot.providers.queue.redis_worker.look"
"""What the jobs name as their function, for people and for RQ's tools."""

NO_JOB = "there is no job behind it"

_ESCAPED = re.compile(r"_([0-9A-F]{2})")
_PLAIN = re.compile(r"[^A-Za-z0-9-]")
_RETRIES = 1_000_000  # RQ's own clean-up (in `rq info`, say) must give a subject back, too, and not put it aside

Count = Annotated[int, msgspec.Meta(ge=0)]


class _Meta(msgspec.Struct, omit_defaults=True):
    """A record as it is written; times are Unix seconds. `by` is the execution that is at it."""

    subject: str
    at: float
    attempts: Count = 0
    agains: Count = 0
    text: str = ""
    asked: float | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A subject's record; `asked` is when to look again that was asked for while it is handled."""

    item: QueueItem
    asked: datetime | None = None
    by: str = ""


def job_id(prefix: str, subject: str) -> str:
    """The id of a subject's job: letters, digits and dashes stand for themselves, each other byte is `_XX`."""
    return _PLAIN.sub(_escape, f"{prefix}:{subject}")


def subject_of(prefix: str, member: str) -> str:
    """The subject that an id was made from, or the id itself, as it is shown, where it was not made here."""
    head = job_id(prefix, "")
    if not member.startswith(head):
        return shown(member)
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), member[len(head) :])
    subject = plain.encode("latin-1", "replace").decode("utf-8", "replace")
    return subject if job_id(prefix, subject) == member else shown(member)


def _escape(found: re.Match[str]) -> str:
    return "".join(f"_{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def new(due: Due) -> Record:
    """The record of a subject that comes into the queue; RQ keeps whole seconds."""
    return Record(QueueItem(due.subject, due.at.replace(microsecond=0), text=redact(due.why)))


def job_for(queue: RqQueue, prefix: str, record: Record) -> Job:
    """The RQ job of a subject, not yet in the queue."""
    return queue.create_job(
        FUNCTION,
        args=(record.item.subject,),
        description=record.item.subject,
        job_id=job_id(prefix, record.item.subject),
        meta=json.loads(encoded(record)),
        status=JobStatus.SCHEDULED,
        timeout=-1,
        failure_ttl=-1,
        retry=Retry(max=_RETRIES, interval=1),
    )


def rq_queue(connection: object, prefix: str) -> RqQueue:
    """The RQ queue of this name."""
    return RqQueue(prefix, connection=connection, serializer=JSONSerializer)  # type: ignore[arg-type] # Redis, or what stands for it


def encoded(record: Record) -> bytes:
    """A record as the job's `meta`."""
    item, asked = record.item, record.asked
    at = asked.timestamp() if asked is not None else None
    return msgspec.json.encode(
        _Meta(item.subject, item.at.timestamp(), item.attempts, item.agains, redact(item.text), at, record.by)
    )


def decoded(prefix: str, member: str, fields: Sequence[object]) -> Record | str:
    """The record behind an id, or why nobody can make anything of it. `fields` are those of `FIELDS`, or errors."""
    status, meta = fields
    if not isinstance(status, bytes) and not isinstance(meta, bytes):
        return NO_JOB if status is None and meta is None else "its key is not a job's"
    if not isinstance(meta, bytes):
        return "it was not put in by saasbot: its job has no record"
    try:
        found = msgspec.json.decode(meta, type=_Meta)
        at, asked = _moment(found.at), None if found.asked is None else _moment(found.asked)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, OSError):
        return "its record cannot be read"
    if job_id(prefix, found.subject) != member:
        return "its record speaks of another subject"
    taken = bool(found.by) and status == JobStatus.STARTED.value.encode()
    item = QueueItem(found.subject, at, taken, found.attempts, found.agains, found.text)
    return fault(found.subject) or Record(item, asked, found.by)


def waiting(record: Record) -> Record:
    """The record of a subject that no processor is at any more."""
    return Record(replace(record.item, taken=False))


def text_of(member: bytes) -> str:
    """A member as text; bytes that are none can be written back."""
    return member.decode("utf-8", "surrogateescape")


def shown(member: str) -> str:
    """The same for people and for JSON."""
    return member.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
