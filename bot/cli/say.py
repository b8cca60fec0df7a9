"""`saasbot say`: a comment command without a merge request."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from bot.cli.output import exit_code, pass_text
from bot.cli.progress import end_progress, progress
from bot.cli.session import Session
from bot.cli.sets import tell_sets
from bot.errors import WrongUsage
from bot.model.observed import Note
from bot.providers.secrets import redact

if TYPE_CHECKING:
    from bot.reconcile import Job


def speaker(job: Job, user: str | None) -> str:
    """Who speaks: at a server nobody can pass for somebody else, there it is the token's owner. Raises WrongUsage."""
    if job.settings.forge.provider != "local":
        if user is not None:
            raise WrongUsage("--as plays people at a local forge only", hint="leave it out: you speak for yourself")
        return job.ports.forge.me()
    return user or getpass.getuser()


@click.command(help='Give a comment command, e.g. saasbot say "promote my-service/my-service/production".')
@click.argument("text")
@click.option("--as", "user", metavar="USER", help="Who speaks; with a local forge only.  [default: you]")
@click.option("--dry-run", is_flag=True, help="Show what would follow, and write nothing.")
@click.pass_obj
def say(session: Session, text: str, user: str | None, dry_run: bool) -> None:
    """Hand one command to a pass; the pass does whatever else is due, too."""
    from bot import reconcile as line  # noqa: PLC0415 - the line's imports are paid by commands that walk it

    job = session.job(writes=not dry_run, progress=progress(session))
    note = Note(id="0", author=speaker(job, user), body=redact(text))
    if dry_run:
        tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
        _, report = line.plan(job, tree, (note,))
    else:
        report = line.reconcile(job, (note,))
        tell_sets(session, report)
    end_progress(session)
    refused = False
    for answer in report.plan.answers:
        click.echo(f"{answer.verb}: {'' if answer.ok else 'refused: '}{answer.text}")
        refused = refused or not answer.ok
    if report.plan.actions:
        click.echo(pass_text(report, "text"), nl=False)
    raise SystemExit(1 if refused else exit_code(report))
