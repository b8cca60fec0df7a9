"""`saasbot state`: look at the statefile, and mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from bot.cli.session import Session
from bot.errors import StateRace, WrongUsage
from bot.ports import Refused

if TYPE_CHECKING:
    from bot.model.state import State
    from bot.ports import StateStore


@click.group(help="Look at the statefile, and mend it. A subject is KIND:NAME, e.g. target:orders/orders/stage.")
def state() -> None:
    """Collect the commands."""


def store(session: Session, *, writes: bool = False) -> StateStore:
    """The statefile's store."""
    return session.ports(session.settings(), writes=writes).state


def change(session: Session, how: Callable[[State], State]) -> None:
    """Read, change and write, unless another writer was faster."""
    from bot.core.statefile import decode, encode, next_serial  # noqa: PLC0415 - imported when a command needs it

    where = store(session, writes=True)
    data, etag = _read(where)
    written = where.write(encode(next_serial(how(decode(data, "the statefile")))), etag)
    if isinstance(written, Refused):
        raise StateRace("another writer changed the statefile meanwhile; nothing was done", hint="try again")


def _read(where: StateStore) -> tuple[bytes, str]:
    found = where.read()
    if found is None:
        raise WrongUsage("there is no statefile yet", hint="the first `saasbot reconcile` makes one")
    return found


@state.command(help="Print the statefile, or the record of one subject, as JSON.")
@click.argument("subject", required=False)
@click.pass_obj
def show(session: Session, subject: str | None) -> None:
    """Print JSON."""
    import msgspec  # noqa: PLC0415 - imported when a command needs it

    from bot.core.statefile import decode  # noqa: PLC0415
    from bot.core.upkeep import find  # noqa: PLC0415

    whole = decode(_read(store(session))[0], "the statefile")
    found = whole if subject is None else find(whole, subject)
    click.echo(msgspec.json.format(msgspec.json.encode(found, order="deterministic"), indent=2).decode())


@state.command("list", help="List every subject on record.")
@click.pass_obj
def list_(session: Session) -> None:
    """Print one subject a line."""
    from bot.core.statefile import decode  # noqa: PLC0415 - imported when a command needs it
    from bot.core.upkeep import subjects  # noqa: PLC0415

    for subject in subjects(decode(_read(store(session))[0], "the statefile")):
        click.echo(subject)


@state.command(help="Forget a subject; the next pass sees it as new.")
@click.argument("subject")
@click.pass_obj
def rm(session: Session, subject: str) -> None:
    """Remove a record."""
    from bot.core.upkeep import remove  # noqa: PLC0415 - imported when a command needs it

    change(session, lambda found: remove(found, subject))
    click.echo(f"forgot {subject}")


@state.command(help="Move a target's record to another id, e.g. after a rename together with other changes.")
@click.argument("old")
@click.argument("new")
@click.pass_obj
def mv(session: Session, old: str, new: str) -> None:
    """Move a record."""
    from bot.core.upkeep import move  # noqa: PLC0415 - imported when a command needs it

    change(session, lambda found: move(found, old, new))
    click.echo(f"moved {old} to {new}")


@state.command(help="Keep what can be read of a damaged statefile, and say what was given up.")
@click.option("--yes", is_flag=True, help="Write it without asking.")
@click.option(
    "--accept", is_flag=True, help="The statefile that is there is meant, though an older copy or another one."
)
@click.pass_obj
def repair(session: Session, yes: bool, accept: bool) -> None:
    """Salvage entry by entry."""
    from bot.core.statefile import encode, next_serial  # noqa: PLC0415 - imported when a command needs it
    from bot.core.upkeep import salvage  # noqa: PLC0415

    where = store(session, writes=True)
    data, etag = _read(where)
    found, lost = salvage(data)
    for sentence in lost:
        click.echo(f"given up: {sentence}")
    if not lost and not accept:
        click.echo("the statefile is sound")
        return
    if not yes:
        click.confirm("Write what is left?" if lost else "Go on with this one?", abort=True, err=True)
    if accept:
        _accept(session, found, etag)
        return
    if isinstance(where.write(encode(next_serial(found)), etag), Refused):
        raise StateRace("another writer changed the statefile meanwhile; nothing was done", hint="try again")
    click.echo(f"kept {len(found.targets)} targets")


def _accept(session: Session, found: State, etag: str) -> None:
    from bot.reconcile import accept  # noqa: PLC0415 - imported when a command needs it

    state = accept(session.job(writes=True), found, etag)
    click.echo(f"this statefile counts from now on: lineage {state.lineage}, serial {state.serial}")


@state.command(help="Make a lost statefile anew from the bot's comments, the pipeline servers' runs and git's history.")
@click.option("--yes", is_flag=True, help="Write it without asking.")
@click.pass_obj
def rebuild(session: Session, yes: bool) -> None:
    """Take back what the world still knows."""
    from bot import reconcile as line  # noqa: PLC0415 - imported when a command needs it

    job = session.job(writes=True)
    found = line.rebuild(job)
    for sentence in found.taken:
        click.echo(f"taken back: {sentence}")
    for sentence in found.missing:
        click.echo(f"not known: {sentence}")
    if not yes:
        click.confirm("Write this statefile?", abort=True, err=True)
    line.create(job, found.state)
    click.echo(f"rebuilt {len(found.state.targets)} targets; `saasbot reconcile` goes on from here")
