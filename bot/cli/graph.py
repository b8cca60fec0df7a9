"""`saasbot graph`: the promotion graph as Mermaid or DOT."""

from __future__ import annotations

import click

from bot.cli.output import warn_behind
from bot.cli.session import Session


@click.command(help="Draw the promotion graph of the working tree.")
@click.option(
    "--format", "fmt", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True, help="The language."
)
@click.pass_obj
def graph(session: Session, fmt: str) -> None:
    """Print the graph."""
    from bot.config.load import load  # noqa: PLC0415 - imported when the command runs
    from bot.render.graph import dot, mermaid  # noqa: PLC0415

    job = session.job()
    warn_behind(session, job)
    desired = load(job.ports.config.working_tree(), job.settings, job.schemas, job.ports.cache).desired
    click.echo(dot(desired) if fmt == "dot" else mermaid(desired), nl=False)
