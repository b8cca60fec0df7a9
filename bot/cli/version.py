"""`saasbot version`: the version, alone on a line."""

from __future__ import annotations

import click

from bot import __version__


@click.command(help="Print the version.")
def version() -> None:
    """Print it."""
    click.echo(__version__)
