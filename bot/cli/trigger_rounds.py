"""Rounds as commands see them: one that was asked for is walked to its end, and those on record are told set by set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.output import log
from bot.cli.session import Session
from bot.cli.sets import tell_sets
from bot.core.context import Context
from bot.core.facts import Facts
from bot.core.job_lists import Unlisted, whole
from bot.core.opening import opened_sheet
from bot.core.phrases import written
from bot.core.rounds import next_due
from bot.core.sheet import Sheet
from bot.core.trigger_orders import awaited, is_over, unknown_job, unknown_trigger
from bot.core.trigger_previews import Sent, upcoming
from bot.core.trigger_reports import no_details, set_reports
from bot.core.verbs import TriggerCmd
from bot.errors import ServerUnreachable, StateRace, WrongUsage
from bot.model.observed import Note, Wants
from bot.model.plan import Gate, Plan, Report
from bot.model.rounds import Result, RoundResult, SetReport, TriggerState
from bot.model.state import Answer, State
from bot.model.triggers import Trigger
from bot.render.neutral import shown

if TYPE_CHECKING:
    from bot.ports import ConfigTree
    from bot.reconcile import Job

Tell = Callable[[Report], None]

SHORTEST, LONGEST = 0.05, 10.0
"""Seconds between two looks at runs in flight; longer each time that nothing has moved."""

RACES = 5
"""Times that a command is handed in again after another writer was faster."""

MISSES = 60
"""Passes in a row that a server of the bot's own may be out of reach for before the waiting ends."""

NAP = timedelta(minutes=1)
"""How long it waits at most where no run is in flight: a person, or another pass, may have done something."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What became of a command: its answer, and the number of the round that carries it out, 0 where it was refused.

    `waits` says that the round was left before its end, because the clock was told to stand still.
    """

    answer: Answer
    round: int = 0
    waits: bool = False


@dataclass(slots=True)
class Ended:
    """Tells of each set of a round that has ended, once; `kept` says whether every file could be written."""

    session: Session
    folder: Path | None
    kept: bool = True
    told: set[tuple[str, int, int]] = field(default_factory=set)
    last: Report | None = None

    def tell(self, report: Report) -> None:
        """Tell of the sets that have ended with a pass, and at first what the command has led to."""
        if self.last is None and report.plan.answers:
            log(self.session.log_format, "info", f"trigger: {shown(report.plan.answers[0].text)}")
        self.last = report
        self.told |= {(each.trigger, each.round, each.index) for each in report.plan.sets}
        self.kept = tell_sets(self.session, report, self.folder) and self.kept

    def tell_rest(self, sets: Iterable[SetReport]) -> None:
        """Tell of those that have ended with a pass of another process."""
        rest = [s for s in sets if s.ended_at is not None and (s.trigger, s.round, s.index) not in self.told]
        if rest and self.last is not None:
            self.tell(replace(self.last, plan=Plan(sets=tuple(rest)), outcomes=()))


def walk(
    job: Job, command: TriggerCmd, by: str, tell: Tell, warn: Callable[[str], None], *, wait: bool, still: bool = False
) -> Walked:
    """Hand a command to a pass; with `wait`, make passes until its round is over or the process is asked to stop.

    Each pass is told, and `warn` hears what is in the way. `still` says that the clock was told to stand still: then
    only runs in flight are waited for.
    """
    report = _handed_in(job, _note(command, by))
    tell(report)
    (answer,) = report.plan.answers
    number = awaited(_state(job), command.trigger) if answer.ok else 0
    waiting = _Waiting(job, command.trigger, tell, warn)
    over = not (wait and number) or waiting.to_the_end(number, report, still=still)
    return Walked(answer, number, waits=not over)


def _handed_in(job: Job, note: Note) -> Report:
    """The pass that takes the command; one that loses a race has done nothing, and is made again a few times."""
    from bot import reconcile as line  # noqa: PLC0415 - as above

    for _ in range(RACES):
        try:
            return line.reconcile(job, (note,))
        except StateRace:
            job.ports.clock.sleep(SHORTEST)
    return line.reconcile(job, (note,))


def foresee(job: Job, command: TriggerCmd, by: str) -> tuple[Answer, Sent]:
    """What a command would lead to: its answer, and for each job what its server would be sent."""
    from bot import reconcile as line  # noqa: PLC0415 - as above

    tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
    context, report = line.plan(job, tree, (_note(command, by),))
    (answer,) = report.plan.answers
    jobs = upcoming(context, report.plan, command, by)
    return answer, [(each, line.preview(job, each.start) if each.start is not None else {}) for each in jobs]


def _note(command: TriggerCmd, by: str) -> Note:
    """The command as it is handed to a pass."""
    return Note(id="0", author=by, body=written(command))


@dataclass(slots=True)
class _Waiting:
    """Passes until a round is over. One that cannot be made is made again; what holds the definition is said once."""

    job: Job
    trigger: str
    tell: Tell
    warn: Callable[[str], None]
    missed: int = 0
    said: str = ""

    def to_the_end(self, number: int, report: Report, *, still: bool) -> bool:
        """Whether the round came to its end, or the process was asked to stop."""
        job, pause = self.job, SHORTEST
        while not job.stopped() and not is_over(state := _state(job), self.trigger, number):
            moved = report.moved
            pause = SHORTEST if moved else min(pause * 1.6, LONGEST)
            busy = moved or _in_flight(state, self.trigger)
            if still and not busy:
                return False
            if not _slept(job, pause if busy or self.missed else _until_due(job, report)):
                return True
            report = self._pass() or replace(report, outcomes=())
        return True

    def _pass(self) -> Report | None:
        """One more pass; None where it lost a race, or a server of the bot's own could not be reached for now."""
        from bot import reconcile as line  # noqa: PLC0415 - as above

        try:
            report = line.reconcile(self.job)
        except StateRace:
            return None
        except ServerUnreachable as error:
            self.missed += 1
            if self.missed >= MISSES:
                raise
            self.warn(f"{error.message}; the round goes on, and is looked at again")
            return None
        self.missed = 0
        self.tell(report)
        self._say_what_holds(report)
        return report

    def _say_what_holds(self, report: Report) -> None:
        held = (each for each in report.plan.held if each.subject == f"trigger:{self.trigger}")
        text = next((each.text for each in held if each.gate in (Gate.INVALID, Gate.UNREACHABLE)), "")
        if text and text != self.said:
            self.warn(f"{self.trigger} is held: {text}")
        self.said = text


def _state(job: Job) -> State:
    from bot import reconcile as line  # noqa: PLC0415 - as above

    return line.recorded(job.ports).state or State()


def _in_flight(state: State, trigger: str) -> bool:
    record = state.triggers.get(trigger)
    return record is not None and record.round is not None and any(job.in_flight for job in record.round.jobs)


def _slept(job: Job, seconds: float) -> bool:
    """Wait in small steps, so that SIGTERM is heard; whether there is to be another pass."""
    end = job.ports.clock.real() + timedelta(seconds=seconds)
    while not job.stopped() and (left := (end - job.ports.clock.real()).total_seconds()) > 0:
        job.ports.clock.sleep(min(left, 0.2))
    return not job.stopped()


def _until_due(job: Job, report: Report) -> float:
    """Seconds until something is due."""
    due = report.plan.next_due or report.now + NAP
    return max(min(due - job.ports.clock.now(), NAP).total_seconds(), SHORTEST)


@dataclass(frozen=True, slots=True)
class Seen:
    """All definitions and their records as they are now: runs in flight were asked for, and nothing was decided."""

    job: Job
    tree: ConfigTree
    context: Context
    sheet: Sheet

    @property
    def defined(self) -> dict[str, Trigger]:
        """The definitions by name, as far as their lists can be read with their jobs."""
        facts = Facts(self.context.observed)
        found = {name: (each, whole(facts, each)) for name, each in self.context.desired.triggers.items()}
        return {name: each if isinstance(read, Unlisted) else read for name, (each, read) in found.items()}

    @property
    def records(self) -> dict[str, TriggerState]:
        """The records of definitions that the config has, or whose last round is not forgotten yet."""
        return dict(self.sheet.state.triggers)

    def due(self, trigger: Trigger) -> datetime | None:
        """When a schedule of a definition is due next."""
        record = self.records.get(trigger.name) or TriggerState(trigger.name, self.context.now)
        return next_due(trigger, record, self.context.now)

    def named(self, name: str, jobs: Iterable[str] = ()) -> Trigger:
        """A definition with its jobs. Raises WrongUsage for a name that there is not."""
        if name not in self.context.desired.triggers:
            raise WrongUsage(unknown_trigger(self.sheet, name), hint="`saasbot trigger list` lists all definitions")
        found = whole(Facts(self.context.observed), self.context.desired.triggers[name])
        if isinstance(found, Unlisted):
            raise WrongUsage(f"the jobs of {name} are not known: {found.text}")
        problem = unknown_job(found, jobs)
        if problem:
            raise WrongUsage(problem, hint=f"it has: {', '.join(job.name for job in found.jobs[:20])}")
        return found

    def known(self, name: str | None) -> tuple[str, ...]:
        """The names to be told of: this one, or all. Raises WrongUsage for one that is not even on record."""
        names = tuple(dict.fromkeys((*self.context.desired.triggers, *self.records)))
        if name is None:
            return names
        if name not in names:
            raise WrongUsage(unknown_trigger(self.sheet, name), hint="`saasbot trigger list` lists all definitions")
        return (name,)

    def round(self, name: str, number: int, *, details: bool) -> tuple[SetReport, ...]:
        """The sets of a round; none where it has not begun, or the next one has taken its place."""
        record = self.records.get(name)
        present = record.round if record is not None else None
        return self.sets(name, details=details)[name] if present is not None and present.number == number else ()

    def replaced(self, name: str, number: int) -> RoundResult | None:
        """How a round ended whose place another one has taken; None for one that is still there."""
        record = self.records.get(name)
        unknown = RoundResult(number, Result.RUNNING, "how it ended is not known any more")
        if record is None:
            return unknown
        if record.rounds <= number:
            return None
        return next((each for each in record.results if each.number == number), unknown)

    def sets(self, *names: str, details: bool = True) -> dict[str, tuple[SetReport, ...]]:
        """By name: every set of the last round that was begun; with `details` all that servers tell of its runs."""
        from bot import reconcile as line  # noqa: PLC0415 - as above

        defined, records = self.defined, self.records

        def ask(context: Context) -> tuple[dict[str, tuple[SetReport, ...]], Wants]:
            facts = Facts(context.observed)
            wanted = [name for name in names if name in records]
            tell = facts.details if details else no_details
            found = {name: set_reports(records[name], defined.get(name), tell) for name in wanted}
            return found, facts.wanted()

        return line.informed(self.job, self.tree, self.context, ask)[1]


def look(job: Job) -> Seen:
    """Look at the config's branch, the statefile, and the servers of runs in flight."""
    from bot import reconcile as line  # noqa: PLC0415 - as above

    tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
    context, _ = line.plan(job, tree)
    return Seen(job, tree, context, opened_sheet(context))
