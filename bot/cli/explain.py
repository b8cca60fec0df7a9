"""`saasbot explain`: every reason and gate of one target, with the next time it may move."""

from __future__ import annotations

from datetime import datetime

import click

from bot.cli.output import refuse_unknown, warn_behind
from bot.cli.session import Session, moment


@click.command(help="Show every reason and gate of one target, with the next time it may move.")
@click.argument("target")
@click.option("--as-of", callback=moment, metavar="TIME", help="Answer for this RFC 3339 time instead of now.")
@click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)
@click.pass_obj
def explain(session: Session, target: str, as_of: datetime | None, fmt: str) -> None:
    """Print the explanation."""
    from bot import reconcile as line  # noqa: PLC0415 - the line's imports are paid by commands that walk it
    from bot.cli.answers import explanation_json, explanation_text  # noqa: PLC0415
    from bot.core.explain import explain as explained  # noqa: PLC0415

    session.now = as_of or session.now
    job = session.job()
    warn_behind(session, job)
    context, _ = line.plan(job, job.ports.config.working_tree())
    refuse_unknown(context, target)
    found = explained(context, target)
    click.echo(explanation_json(found) if fmt == "json" else explanation_text(found), nl=False)
