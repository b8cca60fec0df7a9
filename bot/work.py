"""Work: collect what is due, and process what the queue brings up, one subject after the other (SYSTEMS section C)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from bot import reconcile as line
from bot.act import label
from bot.core import queueing
from bot.core.candidates import ATTENTION_LABEL, Candidates, candidates
from bot.core.context import Context
from bot.core.endings import NEEDS_A_PERSON
from bot.core.queueing import MOST_ATTEMPTS
from bot.core.statefile import encode, next_serial
from bot.errors import SaasbotError, ServerUnreachable
from bot.looks import MERGE_REQUEST, look, report_only, resolved
from bot.model.plan import AnswerCommand, FollowRun, MergeMergeRequest
from bot.model.state import Flag
from bot.model.work import Attention, Done, Due, Ending, Look, QueueItem, Wait
from bot.ports import Queue, Refused

COLLECT = queueing.COLLECT
"""The item that has the collector run; it is no subject of a decision."""

EVERY = timedelta(minutes=20)
"""How long after a collection the next one is due."""

SOON = timedelta(minutes=1)
"""How long after a subject has moved the collector looks for others that may move by that."""

OPENS_OTHERS = (FollowRun, MergeMergeRequest, AnswerCommand)
"""Actions that may let other subjects move."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did: what was found due, what of it was new to the queue, and what left it."""

    found: Candidates
    added: tuple[Due, ...]
    removed: tuple[str, ...]


def collect(job: line.Job, queue: Queue, *, ignore_attention: bool = False) -> Collected:
    """Look at everything once, and put into the queue what is due and missing; what is there is never moved.

    Without a statefile a first pass records what is there. A collection that fails leaves the queue as it is.
    """
    if line.present(job).state is None:
        line.reconcile(job)
    context, found = _found(job, ignore_attention=ignore_attention)
    if found.flags:
        _flag(job, found.flags)
    known = {item.subject: item for item in queue.items()}
    added = tuple(each for each in found.due if each.subject not in known and queue.add(each))
    wanted = {each.subject for each in found.due}
    left = (item for item in known.values() if not _stays(item, wanted, context))
    return Collected(found, added, tuple(item.subject for item in left if queue.remove(item.subject)))


def _found(job: line.Job, *, ignore_attention: bool) -> tuple[Context, Candidates]:
    tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
    context, report = line.plan(job, tree)
    return context, candidates(context, report.plan, ignore_attention=ignore_attention)


def _stays(item: QueueItem, wanted: Iterable[str], context: Context) -> bool:
    """Whether an item is left in the queue: it is due anyway, somebody asked for it, or a processor is at it."""
    return item.taken or bool(item.dead) or item.subject in wanted or item.subject == COLLECT or item.at <= context.now


@dataclass(frozen=True, slots=True)
class Processing:
    """What a processor works with. `trouble` is told what keeps it from looking at anything at all."""

    job: line.Job
    queue: Queue
    ignore_attention: bool = False
    trouble: Callable[[SaasbotError], None] = lambda _error: None


def handler(job: line.Job, queue: Queue) -> Callable[[QueueItem], Ending]:
    """What a processor does with an item."""
    return partial(handled, Processing(job, queue))


def handled(given: Processing, item: QueueItem) -> Ending:
    """How it ends; where nothing at all can be looked at, the item waits, and nobody is asked for it."""
    try:
        if item.subject == COLLECT:
            found = collect(given.job, given.queue, ignore_attention=given.ignore_attention)
            return Wait(f"{len(found.added)} subjects were added", EVERY)
        named = resolved(given.job, item.subject)
        if named != item.subject:
            return _under_its_name(given, item, named)
        if item.attempts >= MOST_ATTEMPTS:
            return _given_up(given.job, item)
        return _looked_at(given.job, given.queue, item.subject)
    except SaasbotError as error:
        given.trouble(error)
        return Wait(error.message, SOON)


def _under_its_name(given: Processing, item: QueueItem, named: str) -> Ending:
    """A merge request is in the queue by its branch, so that it is there once; who has its number is sent there."""
    if not named:
        return Done("there is no such merge request")
    given.queue.ask(Due(named, given.job.ports.clock.now(), item.text))
    return Done(f"it is {named}")


def _looked_at(job: line.Job, queue: Queue, subject: str) -> Ending:
    seen = look(job, subject)
    if seen.report is None:
        return seen.ending
    for other in seen.ordered:
        queue.ask(Due(other, job.ports.clock.now(), f"ordered on {subject}"))
    if any(isinstance(each, OPENS_OTHERS) for each in seen.report.plan.actions):
        queue.ask(Due(COLLECT, job.ports.clock.now() + SOON, f"{subject} has moved"))
    if isinstance(seen.ending, Attention) and seen.iid:
        _ask_a_person(job, subject, seen.ending.why, seen.iid, seen.flag)
    elif seen.flag is not None and not any(each.gate in NEEDS_A_PERSON for each in seen.report.plan.held):
        _let_go(job, subject, seen)
    return seen.ending


def _let_go(job: line.Job, subject: str, seen: Look) -> None:
    """Take a flag away, and its label, where the look has found nothing any more that a person must do."""
    if seen.flag is None or not isinstance(seen.ending, Done | Wait):
        return
    if seen.flag.iid and seen.flag.iid == seen.iid:
        label(job.ports, seen.flag.iid, ATTENTION_LABEL, on=False)
    _flag(job, {subject: None})


def _given_up(job: line.Job, item: QueueItem) -> Ending:
    """The ending of a subject that failed too often: its flag, and the report of its merge request, say so."""
    why = f"it has failed {item.attempts} times: {item.text}"
    _ask_a_person(job, item.subject, why, _number_of(job, item.subject), None)
    _tell(job, item.subject)
    return Attention(why)


def _number_of(job: line.Job, subject: str) -> int:
    """The number of a subject's merge request, as far as it can be found out; 0 where there is none."""
    branch = subject.removeprefix(MERGE_REQUEST)
    if branch == subject:
        return 0
    state = line.present(job).state
    known = state.merge_requests.get(branch) if state is not None else None
    if known is not None:
        return known.iid
    try:
        found = job.ports.forge.open_merge_requests()
    except ServerUnreachable:
        return 0
    return next((each.iid for each in found if each.source_branch == branch), 0)


def _tell(job: line.Job, subject: str) -> None:
    """Have the report of a flagged merge request say why, if as much as that can be done."""
    if subject.startswith(MERGE_REQUEST):
        report_only(job, subject)


def due(job: line.Job, *, ignore_attention: bool = False) -> Candidates:
    """What a collection would find; nothing is written."""
    return _found(job, ignore_attention=ignore_attention)[1]


def _ask_a_person(job: line.Job, subject: str, why: str, iid: int, before: Flag | None) -> None:
    """Flag a subject in the statefile, and its merge request with a label; saying it twice changes nothing."""
    labelled = iid and label(job.ports, iid, ATTENTION_LABEL, on=True) is None
    flag = Flag(why, job.ports.clock.now(), iid if labelled else 0)
    if before is None or (before.text, before.iid) != (flag.text, flag.iid):
        _flag(job, {subject: flag})


def let_go(job: line.Job, subject: str) -> bool:
    """Take the flag of a subject away, and its label, as a person would; returns whether there was one."""
    state = line.present(job).state
    flag = state.attention.get(subject) if state is not None else None
    if flag is None:
        return False
    if flag.iid:
        label(job.ports, flag.iid, ATTENTION_LABEL, on=False)
    _flag(job, {subject: None})
    return True


def _flag(job: line.Job, flags: Mapping[str, Flag | None]) -> None:
    """Set flags in the statefile, or take them away."""
    for _ in range(line.RACES):
        fresh = line.present(job)
        if fresh.state is None:
            return
        new = {name: flag for name, flag in {**fresh.state.attention, **flags}.items() if flag is not None}
        if new == fresh.state.attention:
            return
        state = next_serial(replace(fresh.state, attention=new))
        if not isinstance(job.ports.state.write(encode(state), fresh.etag), Refused):
            line.remember(job, state)
            return
