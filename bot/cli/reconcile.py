"""`saasbot reconcile`: one pass, passes until idle, or for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.metrics import keep_metrics, metrics_option
from bot.cli.output import exit_code, pass_text, warn_invalid
from bot.cli.progress import end_progress, progress
from bot.cli.session import Session
from bot.cli.sets import reports_option, tell_sets
from bot.errors import StateRace, WrongUsage
from bot.model.plan import Report
from bot.render.terminal import report_json

if TYPE_CHECKING:
    from bot.reconcile import Job

LONGEST_NAP = timedelta(minutes=1)
"""`--watch` looks again at least this often: people and branches announce nothing."""


@click.command(help="Do all that is due, and print what was done, what is held and why.")
@click.option("--until-idle", is_flag=True, help="Make passes until no run is in flight and nothing is due.")
@click.option("--for", "at_most", metavar="TIME", help="Stop after this long, e.g. 10m; a pass at hand is finished.")
@click.option("--watch", is_flag=True, help="Make passes for ever, sleeping until the next due time.")
@click.option("--bootstrap", type=click.Choice(["adopt", "run"]), help="Without a statefile: record all, or run all.")
@click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)
@reports_option
@metrics_option
@click.pass_obj
def reconcile(
    session: Session,
    /,
    *,
    until_idle: bool,
    at_most: str | None,
    watch: bool,
    bootstrap: str | None,
    fmt: str,
    **files: Path | None,
) -> None:
    """Walk the line; `files` are the folder of reports and the file of metrics."""
    from bot import reconcile as line  # noqa: PLC0415 - the line's imports are paid by commands that walk it

    session.stop_on_sigterm()
    job = session.job(writes=True, bootstrap=bootstrap or "", progress=progress(session))
    deadline, began = _deadline(job, at_most), job.ports.clock.real()
    if watch:
        _watch(session, job, deadline, fmt, **files)
        return
    kept, made = True, []
    for each in line.until_idle(job, deadline) if until_idle or deadline is not None else (line.reconcile(job),):
        made.append(each)
        kept = tell_sets(session, each, files["reports"]) and kept
    report = merged(tuple(made))
    end_progress(session)
    kept = keep_metrics(session, job, files["metrics"], report, began) and kept
    warn_invalid(session, report)
    click.echo(pass_text(report, fmt), nl=False)
    raise SystemExit(exit_code(report) if kept else 1)


def merged(reports: tuple[Report, ...]) -> Report:
    """One report of several passes: all actions, and what the last pass held."""
    last = reports[-1]
    actions = tuple(action for report in reports for action in report.plan.actions)
    outcomes = tuple(outcome for report in reports for outcome in report.outcomes)
    answers = tuple(answer for report in reports for answer in report.plan.answers)
    sets = tuple(each for report in reports for each in report.plan.sets)
    return replace(last, plan=replace(last.plan, actions=actions, answers=answers, sets=sets), outcomes=outcomes)


def _deadline(job: Job, at_most: str | None) -> datetime | None:
    from bot.config.values import duration  # noqa: PLC0415 - as above

    if at_most is None:
        return None
    length = duration(at_most)
    if length is None:
        raise WrongUsage(f"--for {at_most!r} is not a duration such as 10m or 1h30m")
    return job.ports.clock.real() + length


def _watch(session: Session, job: Job, deadline: datetime | None, fmt: str, **files: Path | None) -> None:
    """One line a pass; a file that cannot be written is told, and stops nothing."""
    for began, report in _passes(session, job, deadline):
        tell_sets(session, report, files["reports"])
        keep_metrics(session, job, files["metrics"], report, began)
        click.echo(pass_line(report) if fmt == "text" else report_json(report, indent=None))


def _passes(session: Session, job: Job, deadline: datetime | None) -> Iterator[tuple[datetime, Report]]:
    """Passes for ever, each with when it began; a lost race is looked at again by the next pass."""
    from bot import reconcile as line  # noqa: PLC0415 - as above

    while not session.stopping and (deadline is None or job.ports.clock.real() < deadline):
        due: datetime | None = None
        began = job.ports.clock.real()
        try:
            report = line.reconcile(job)
            due = report.plan.next_due
            yield began, report
        except StateRace:
            due = job.ports.clock.now()
        _nap(session, job, due, deadline)


def _nap(session: Session, job: Job, due: datetime | None, deadline: datetime | None) -> None:
    """Sleep until something is due, at most `LONGEST_NAP`, in small steps so that SIGTERM is heard."""
    now = job.ports.clock.real()
    end = min(x for x in (due or now + LONGEST_NAP, now + LONGEST_NAP, deadline or now + LONGEST_NAP))
    end = max(end, now + timedelta(seconds=1))
    while not session.stopping and job.ports.clock.real() < end:
        job.ports.clock.sleep(0.2)


def pass_line(report: Report) -> str:
    """One pass in one line."""
    from bot.render.words import utc  # noqa: PLC0415 - as above

    plan = report.plan
    due = f", next due {utc(plan.next_due)}" if plan.next_due else ""
    return f"{utc(report.now)} {len(plan.actions)} actions, {len(plan.held)} held{due}"
