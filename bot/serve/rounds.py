"""Rounds: a job is started by a command like any other (`saasbot trigger start`), and nothing is said before it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from bot import reconcile as line
from bot.core.phrases import written
from bot.core.trigger_orders import awaited
from bot.core.verbs import TriggerCmd
from bot.errors import StateRace
from bot.model.observed import Note
from bot.model.plan import OutcomeStatus, Report
from bot.model.rounds import JobStatus, Result, Round, RoundJob
from bot.model.runs import Run
from bot.model.state import State
from bot.ports import Refused
from bot.render.words import utc
from bot.serve.answers import Refusal, later
from bot.serve.definitions import Found

LONGEST = 30.0
"""Seconds that a start is followed until it is known what became of it."""

SOON = timedelta(seconds=5)
"""A start that is tried again later than this is not waited for."""

PAUSE = 0.2
"""Seconds between two passes where a job is not at its end yet."""

RACES = 5
"""Times that another writer may win before a start gives up."""


def start(job: line.Job, found: Found) -> str:
    """Start a job; its name on the server. Raises Refusal where nothing was started, with the reason.

    A job that is not started at once, but will be, is refused with 202: that is not known to be a success.
    """
    name = found.trigger.name
    report = _asked(job, TriggerCmd(name, (found.job,)))
    (answer,) = report.plan.answers
    if not answer.ok:
        raise Refusal(409, answer.text)
    number = awaited(_state(job), name)
    for seen in _passes(job, report):
        settled = _settled(_state(job), found, number, job.ports.clock.now())
        if settled:
            return settled
        _refuse_untaken(seen, found)
    raise Refusal(202, f"{answer.text}; it is not known yet what became of it")


def clean(job: line.Job, found: Found) -> list[str]:
    """Remove what the server keeps of a job's runs; the names of the runs that are gone. Raises Refusal."""
    gone = line.clean(job, found.trigger, [found.job], force=False)[found.job]
    if isinstance(gone, Refused):
        raise Refusal(409, gone.text)
    runs = [each for each in gone if "/id/job/" in each]  # tasks, errors and containers have names of other kinds
    return runs or list(gone)


def _asked(job: line.Job, command: TriggerCmd) -> Report:
    """The pass that takes the command. Raises Refusal where it would have to wait, also behind who was faster."""
    note = Note(id="0", author=job.ports.forge.me(), body=written(command))
    for _ in range(RACES):
        if _busy(_state(job), command.trigger):
            _pass(job)  # what is at work may have ended meanwhile
        busy = _busy(_state(job), command.trigger)
        if busy:
            raise Refusal(409, busy)
        try:
            return line.reconcile(job, (note,))
        except StateRace:
            continue
    raise later("the statefile changes faster than it can be written; nothing was started")


def _pass(job: line.Job) -> Report | None:
    """One pass; None where it lost a race, and has done nothing."""
    try:
        return line.reconcile(job)
    except StateRace:
        return None


def _passes(job: line.Job, report: Report) -> Iterator[Report]:
    """A pass and those that follow, until it takes too long or the process is to stop."""
    end = time.monotonic() + LONGEST
    yield report
    while time.monotonic() < end and not job.stopped():
        time.sleep(PAUSE)
        made = _pass(job)
        if made is not None:
            yield made


def _refuse_untaken(report: Report, found: Found) -> None:
    """Raise Refusal where a pass has tried the start and the server did not take it: later passes try again."""
    subject = f"job:{found.trigger.name}/{found.job}"
    for action, outcome in zip(report.plan.actions, report.outcomes, strict=False):
        if action.subject == subject and outcome.status is not OutcomeStatus.DONE:
            raise Refusal(202, f"it is not started yet: {outcome.text}")


def _state(job: line.Job) -> State:
    return line.present(job).state or State()


def _busy(state: State, name: str) -> str:
    """Why a start would have to wait: whoever asks over HTTP is told, and nothing is left waiting; empty: it would not.

    A start that is written down, but not begun, waits as well.
    """
    waiting = state.trigger_requests.get(name)
    if waiting is not None:
        return f"{waiting.by} asked for {name} already, and that still waits"
    present = _round(state, name)
    if present is None or present.result is not Result.RUNNING:
        return ""
    jobs = [f"{each.name} {_uri(each)}".strip() for each in present.jobs if not each.settled]
    return f"round {present.number} of {name} is still at work: {', '.join(jobs) or 'it ends soon'}"


def _settled(state: State, found: Found, number: int, now: datetime) -> str:
    """The name of the job that was started; empty while that is not known. Raises Refusal where it will not be."""
    present = _round(state, found.trigger.name)
    if present is None or present.number < number:
        return ""
    if present.number > number:
        raise Refusal(409, f"round {number} of {found.trigger.name} is over, and another one has begun")
    each = next((each for each in present.jobs if each.name == found.job), None)
    if each is None:
        return _ended(present)
    match each.status:
        case JobStatus.WAITING:
            if each.next_at is not None and each.next_at - now > SOON:
                raise Refusal(202, f"it is not started yet: {each.text}; it is tried again at {utc(each.next_at)}")
            return ""
        case JobStatus.STARTED if each.run is not None:
            return _started(each.run, present)
        case _:
            raise Refusal(409, each.text or present.text or each.status)


def _started(run: Run, present: Round) -> str:
    """The name of a run's job; empty while that is not known. One that was there before was not started now."""
    there_before = run.started_at is None or run.started_at < present.began_at
    if run.handle and not there_before:
        return run.handle.partition(" ")[0]
    if not run.handle and run.status.in_flight:
        return ""
    raise Refusal(409, run.text or f"its run is {run.status}")


def _ended(present: Round) -> str:
    if present.result is Result.RUNNING:
        return ""
    raise Refusal(409, present.text or f"round {present.number} is over: {present.result}")


def _round(state: State, name: str) -> Round | None:
    record = state.triggers.get(name)
    return record.round if record is not None else None


def _uri(job: RoundJob) -> str:
    """What the server calls a job's run: a handle begins with it."""
    return job.run.handle.partition(" ")[0] if job.run is not None else ""
