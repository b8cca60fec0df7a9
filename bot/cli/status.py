"""`saasbot status`: what runs where, what is promoted, what is stuck."""

from __future__ import annotations

import click

from bot.cli.session import Session


@click.command(help="Show what runs where, what is promoted, and what is stuck, from the branch's config.")
@click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)
@click.pass_obj
def status(session: Session, fmt: str) -> None:
    """Print the overview."""
    from bot import reconcile as line  # noqa: PLC0415 - the line's imports are paid by commands that walk it
    from bot.cli.answers import status_json, status_text  # noqa: PLC0415
    from bot.core.overview import overview  # noqa: PLC0415

    job = session.job()
    tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
    context, report = line.plan(job, tree)
    found = overview(context, report.plan)
    click.echo(status_json(context, found) if fmt == "json" else status_text(context, found), nl=False)
