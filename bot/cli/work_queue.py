"""`saasbot queue`: look at the work queue that processors share, and mend it."""

from __future__ import annotations

import click

from bot.cli.session import Session
from bot.errors import WriteFailed, WrongUsage


@click.group(help="Look at the work queue that processors share, and mend it.")
def queue() -> None:
    """Collect the commands."""


@queue.command("list", help="List the subjects by due time, with how their last look ended.")
@click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)
@click.pass_obj
def list_(session: Session, fmt: str) -> None:
    """Print one subject a line."""
    from bot.cli.looks import items_json, items_text  # noqa: PLC0415 - imported when a command needs it

    items = session.shared_queue(session.settings()).items()
    click.echo((items_json if fmt == "json" else items_text)(items), nl=False)


@queue.command(help="Have a subject looked at now, also one that waits for a person.")
@click.argument("subject")
@click.pass_obj
def add(session: Session, subject: str) -> None:
    """Bring a subject forward, or put it in; its flag is taken away."""
    from bot import work  # noqa: PLC0415 - imported when a command needs it
    from bot.core.subjects import subject_named  # noqa: PLC0415
    from bot.looks import resolved  # noqa: PLC0415
    from bot.model.work import Due  # noqa: PLC0415

    settings = session.settings()
    shared = session.shared_queue(settings)
    job = session.job(settings, writes=True)
    named = resolved(job, subject_named(subject, settings))
    if not named:
        raise WrongUsage(f"{subject}: there is no such merge request")
    flagged = work.let_go(job, named)
    shared.ask(Due(named, job.ports.clock.now(), "somebody asked for it"))
    click.echo(f"{named} is due now{'; it waited for a person' if flagged else ''}")


@queue.command(help="Take a subject out, unless a processor is at it.")
@click.argument("subject")
@click.pass_obj
def remove(session: Session, subject: str) -> None:
    """Take it out as it is listed, also one that nobody can make anything of."""
    if not session.shared_queue(session.settings()).remove(subject):
        raise WriteFailed(
            f"{subject} was not removed: it is not in the queue, or a processor is at it",
            hint="`saasbot queue list` tells which",
        )
    click.echo(f"removed {subject}")


@queue.command(help="Take everything out that no processor is at; collectors put in again what is due.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.pass_obj
def clear(session: Session, *, yes: bool) -> None:
    """Ask, and empty the queue."""
    shared = session.shared_queue(session.settings())
    count = len(shared.items())
    if not yes:
        click.confirm(f"Take {count} subjects out of the queue?", abort=True, err=True)
    click.echo(f"removed {shared.clear()} subjects")
