"""`saasbot collect`: put into the work queue what is due and missing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from bot.cli.output import log
from bot.cli.progress import progress
from bot.cli.session import Session
from bot.errors import ServerUnreachable, StateRace

if TYPE_CHECKING:
    from bot.ports import Queue
    from bot.reconcile import Job


@click.command(help="Look at everything once, and put into the work queue what is due and missing.")
@click.option("--ignore-attention", is_flag=True, help="Also what waits for a person.")
@click.option("--watch", is_flag=True, help="Collect again every 20 minutes, until SIGTERM.")
@click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)
@click.pass_obj
def collect(session: Session, *, ignore_attention: bool, watch: bool, fmt: str) -> None:
    """Print what was added, what was removed, and what is left to people."""
    session.stop_on_sigterm()
    settings = session.settings()
    queue = session.shared_queue(settings)
    job = session.job(settings, writes=True, progress=progress(session))
    _collect(job, queue, fmt, ignore_attention=ignore_attention)
    while watch and _napped(session, job):
        try:
            _collect(job, queue, fmt, ignore_attention=ignore_attention)
        except (ServerUnreachable, StateRace) as error:  # the next one may get through
            log(session.log_format, "warning", f"warning: {error.message}", hint=error.hint)


def _collect(job: Job, queue: Queue, fmt: str, *, ignore_attention: bool) -> None:
    from bot import work  # noqa: PLC0415 - the line's imports are paid by commands that walk it
    from bot.cli.looks import collected_json, collected_text  # noqa: PLC0415

    found = work.collect(job, queue, ignore_attention=ignore_attention)
    click.echo((collected_json if fmt == "json" else collected_text)(found), nl=False)


def _napped(session: Session, job: Job, step: float = 0.2) -> bool:
    """Sleep in small steps, so that SIGTERM is heard; whether to go on then."""
    from bot.work import EVERY  # noqa: PLC0415 - as above

    end = job.ports.clock.real() + EVERY
    while not session.stopping and (left := end - job.ports.clock.real()) > timedelta(0):
        job.ports.clock.sleep(min(step, left.total_seconds()))
    return not session.stopping
