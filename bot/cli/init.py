"""`saasbot init`: start a new config repository."""

from __future__ import annotations

from pathlib import Path

import click

from bot.providers.scaffold import write_local_forge, write_repository


@click.command(
    help="Write a new config repository with an example of everything into DIR (default: the current folder)."
)
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--local-forge", is_flag=True, help="Also make ../forge, and the folder a checkout of it.")
def init(folder: Path, local_forge: bool) -> None:
    """Write it and say what to do next."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in write_repository(folder):
        click.echo(f"wrote {path}")
    if local_forge:
        forge = (folder / ".." / "forge").resolve()
        write_local_forge(folder, forge, "main")
        click.echo(f"made the local forge {forge}")
    click.echo("\nNext: point the services at your code repositories, then `saasbot validate` and `saasbot plan`.")
