"""`saasbot status`: what runs where, what is promoted, what is stuck."""

from __future__ import annotations

import click

from bot.cli.session import Session


@click.command(help="Show what runs where, what is promoted, and what is stuck, from the branch's config.")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
    help="How it is printed; `html` is a page that loads nothing.",
)
@click.pass_obj
def status(session: Session, fmt: str) -> None:
    """Print the overview."""
    from bot import reconcile as line  # noqa: PLC0415 - the line's imports are paid by commands that walk it
    from bot.cli.answers import status_json, status_text  # noqa: PLC0415
    from bot.core.overview import overview  # noqa: PLC0415
    from bot.render.page import status_page  # noqa: PLC0415

    job = session.job()
    tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
    context, report = line.plan(job, tree)
    written = {"text": status_text, "json": status_json, "html": status_page}[fmt]
    click.echo(written(overview(context, report.plan)), nl=False)
