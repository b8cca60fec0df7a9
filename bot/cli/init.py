"""`saasbot init`: start a new config repository."""

from __future__ import annotations

from pathlib import Path

import click

from bot.errors import WrongUsage
from bot.providers.scaffold import write_local_forge, write_repository


@click.command(
    help="Write a new config repository with an example of everything into DIR (default: the current folder)."
)
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--forge",
    type=click.Choice(["local", "gitlab", "github"]),
    default="local",
    show_default=True,
    help="Where merge requests will live: settings, CI file and pipeline are written for it.",
)
@click.option("--local-forge", is_flag=True, help="Also make ../forge, and the folder a checkout of it.")
def init(folder: Path, forge: str, local_forge: bool) -> None:
    """Write it and say what to do next."""
    if local_forge and forge != "local":
        raise WrongUsage(f"--local-forge and --forge {forge} exclude each other", hint="leave one of them out")
    folder.mkdir(parents=True, exist_ok=True)
    for path in write_repository(folder, forge):
        click.echo(f"wrote {path}")
    if local_forge:
        beside = (folder / ".." / "forge").resolve()
        write_local_forge(folder, beside, "main")
        click.echo(f"made the local forge {beside}")
    first = "" if forge == "local" else "name your projects in saasbot.yml, instances/ and pipelines/, "
    then = "then `saasbot validate` and `saasbot plan`."
    click.echo(f"\nNext: {first}point the services at your code repositories, {then}")
