"""`saasbot schema`: JSON Schemas for editors."""

from __future__ import annotations

import click

from bot.errors import WrongUsage
from bot.providers.resources import schemas


@click.command(help="Print one JSON Schema (e.g. saas-file-1), or the names of all.")
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """Print a schema or the list."""
    known = schemas()
    if name is None:
        click.echo("\n".join(known))
        return
    found = known.get(name.strip("/").removesuffix(".json"))
    if found is None:
        raise WrongUsage(f"there is no schema {name}", hint=f"there are: {', '.join(known)}")
    click.echo(found.decode(), nl=False)
