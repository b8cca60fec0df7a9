"""`saasbot process`: work the queue, or look at one subject beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.looks import ending_document, ending_line, look_json, look_text
from bot.cli.metrics import keep_metrics, metrics_option
from bot.cli.output import exit_code, log, pass_text
from bot.cli.progress import end_progress, progress
from bot.cli.session import Session
from bot.cli.sets import tell_sets
from bot.errors import SaasbotError, StateRace, WriteFailed, WrongUsage
from bot.model.work import Done, Due, Ending, Failed, Look, QueueItem
from bot.ports import Queue, Until
from bot.providers.work_loop import handed

if TYPE_CHECKING:
    from bot.reconcile import Job

FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), help="How it is printed.  [default: as --log-format]"
)


@click.group(invoke_without_command=True, help="Take what is due from the work queue, the earliest first, and do it.")
@click.option("--once", is_flag=True, help="One subject.")
@click.option("--drain", is_flag=True, help="Until nothing is due.")
@click.option("--dry-run", is_flag=True, help="Show what would be done for all that is due; the queue is left alone.")
@click.option("--ignore-attention", is_flag=True, help="Also collect what waits for a person.")
@FORMAT
@metrics_option
@click.pass_context
def process(
    ctx: click.Context,
    /,
    *,
    once: bool,
    drain: bool,
    dry_run: bool,
    ignore_attention: bool,
    fmt: str | None,
    metrics: Path | None,
) -> None:
    """Print one line a look."""
    if ctx.invoked_subcommand is not None:
        if once or drain or dry_run or ignore_attention or metrics:
            raise WrongUsage("these options are for the whole queue", hint="write them behind `process item SUBJECT`")
        return
    if once and drain:
        raise WrongUsage("--once and --drain exclude each other")
    session: Session = ctx.obj
    session.stop_on_sigterm()
    settings = session.settings()
    printer = Printer(fmt or session.log_format)
    if dry_run:
        _consider_all(session.job(settings), printer, ignore_attention=ignore_attention)
        return
    job = session.job(settings, writes=True, progress=progress(session))
    until = Until.ONE if once else Until.DRAINED if drain else Until.STOPPED
    queue = session.queue(settings)
    printer.after = lambda began: keep_metrics(session, job, metrics, None, began, queue)
    _work(session, job, queue, until, printer, ignore_attention=ignore_attention)


@dataclass
class Printer:
    """Prints looks as they end; keeps what kept it from looking, and what failed, for the exit code."""

    fmt: str
    failed: list[str] = field(default_factory=list)
    trouble: SaasbotError | None = None
    after: Callable[[datetime], object] = lambda _began: None
    """What is done after each look, told when that began."""

    def printing(self, session: Session, job: Job, handle: Callable[[QueueItem], Ending]) -> Callable[..., Ending]:
        """Do with an item what `handle` does, and print how it ended."""

        def look(item: QueueItem) -> Ending:
            began = job.ports.clock.real()
            ending = handed(handle, item)
            end_progress(session)
            self.tell(job, item.subject, ending)
            self.after(began)
            return ending

        return look

    def tell(self, job: Job, subject: str, ending: Ending) -> None:
        """Print one look."""
        at = job.ports.clock.now()
        if isinstance(ending, Failed):
            self.failed.append(f"{subject}: {ending.why}")
        if self.fmt == "json":
            click.echo(json.dumps(ending_document(subject, ending, at), ensure_ascii=False))
        else:
            click.echo(ending_line(subject, ending, at))

    def met(self, error: SaasbotError) -> None:
        """Something keeps the processor from looking at anything."""
        self.trouble = self.trouble or error


def _work(session: Session, job: Job, queue: Queue, until: Until, printer: Printer, *, ignore_attention: bool) -> None:
    """Work the queue; the collector comes first, so that one process alone is enough."""
    from functools import partial  # noqa: PLC0415 - as below

    from bot import work  # noqa: PLC0415 - the line's imports are paid by commands that walk it

    asked = queue.add if until is Until.STOPPED else queue.ask
    asked(Due(work.COLLECT, job.ports.clock.now(), "the process began"))
    given = work.Processing(job, queue, ignore_attention, printer.met)
    handle = printer.printing(session, job, partial(work.handled, given))
    if until is Until.ONE and not job.settings.queue.url:
        queue.work(handle, until=until, stopped=job.stopped)  # what this process is to take must be collected before
    queue.work(handle, until=until, stopped=job.stopped)
    if until is not Until.STOPPED and printer.trouble is not None:
        raise printer.trouble
    if until is not Until.STOPPED and printer.failed:
        raise WriteFailed(f"{len(printer.failed)} looks failed, such as {printer.failed[0]}")


def _consider_all(job: Job, printer: Printer, *, ignore_attention: bool) -> None:
    """Print for every subject that is due what would be done about it."""
    from bot import looks, work  # noqa: PLC0415 - as above

    found = work.due(job, ignore_attention=ignore_attention)
    for each in found.due:
        if each.at <= job.ports.clock.now():
            _show(job, looks.considered(job, each.subject), printer.fmt)


@process.command(help="Look at one subject now: target:ID, merge-request:BRANCH, !7, its address, trigger:NAME.")
@click.argument("subject")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and write nothing.")
@FORMAT
@click.pass_obj
def item(session: Session, subject: str, *, dry_run: bool, fmt: str | None) -> None:
    """The queue is not touched; what would become of the subject there is printed."""
    from bot import looks  # noqa: PLC0415 - as above
    from bot.core.subjects import subject_named  # noqa: PLC0415

    session.stop_on_sigterm()
    settings = session.settings()
    named = subject_named(subject, settings)
    job = session.job(settings, writes=not dry_run, progress=progress(session))
    seen = looks.considered(job, named) if dry_run else looks.look(job, named)
    end_progress(session)
    if seen.report is None and isinstance(seen.ending, Done):
        raise WrongUsage(f"{subject}: {seen.ending.why}", hint="`saasbot status` and `saasbot state list` list them")
    _show(job, seen, fmt or session.log_format)
    _end(session, seen, dry_run=dry_run)


def _show(job: Job, seen: Look, fmt: str) -> None:
    report = pass_text(seen.report, fmt) if seen.report is not None else ""
    at = job.ports.clock.now()
    click.echo(look_json(seen, at, report) if fmt == "json" else look_text(seen, report), nl=False)


def _end(session: Session, seen: Look, *, dry_run: bool) -> None:
    if seen.report is None:
        if isinstance(seen.ending, Failed):
            raise WriteFailed(f"{seen.subject}: {seen.ending.why}")
        raise StateRace(f"{seen.subject}: {seen.ending.why}", hint="try again")
    kept = dry_run or tell_sets(session, seen.report)
    log(session.log_format, "info", "the queue was not touched") if session.verbose else None
    raise SystemExit(exit_code(seen.report) if kept else 1)
