"""`saasbot trigger`: trigger definitions by hand: start one, clean up after it, look at it, bring one along."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.output import log
from bot.cli.progress import end_progress, progress
from bot.cli.session import Session
from bot.core.phrases import REHEARSAL
from bot.errors import WrongUsage

if TYPE_CHECKING:
    from bot.core.verbs import TriggerCmd

FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)
_PIPELINES = "--dry-run-pipelines"


class Starting(click.Command):
    """A command whose `--dry-run` is a flag that may have the one value `pipelines`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the value; an option whose value may be left out would take the name that follows for it."""
        end = args.index("--") if "--" in args else len(args)
        read = [_PIPELINES if each == REHEARSAL else each for each in args[:end]]
        return super().parse_args(ctx, [*read, *args[end:]])


@click.group(help="Trigger definitions by hand: start one, clean up after it, look at it, bring one along.")
def trigger() -> None:
    """Collect the commands."""


@trigger.command(
    cls=Starting,
    short_help="Start a definition now, and wait for its end.",
    help="Start a trigger definition now, or only these jobs of it, and wait for the end of its round. The exit code is"
    " 1 if a job of it failed, was refused or is unknown. The passes that it makes do whatever else is due, too.",
)
@click.argument("name")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option(
    "--force", is_flag=True, help="Start also what dates, or a job that it does not go with, would hold back."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be sent for each job, and write nothing. --dry-run=pipelines starts pipelines of CircleCI"
    " with the parameter dry_run, and nothing of it counts as done.",
)
@click.option(_PIPELINES, "rehearsal", is_flag=True, hidden=True, help="What --dry-run=pipelines is read as.")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Wait for the end of the round, or end after the pass that begins it.",
)
@click.option("--as", "user", metavar="USER", help="Who speaks; with a local forge only.  [default: you]")
@FORMAT
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the report of each set of a trigger round that ends: TRIGGER-ROUND-SET.json.",
)
@click.pass_obj
def start(  # noqa: PLR0913 - one parameter an option
    session: Session,
    name: str,
    jobs: tuple[str, ...],
    *,
    force: bool,
    dry_run: bool,
    rehearsal: bool,
    wait: bool,
    user: str | None,
    fmt: str,
    reports: Path | None,
) -> None:
    """Hand the command to a pass, and follow its round."""
    from bot.core.verbs import TriggerCmd  # noqa: PLC0415 - imported when a command needs it

    command = TriggerCmd(name, tuple(dict.fromkeys(jobs)), force=force, rehearsal=rehearsal)
    if dry_run:
        raise SystemExit(_preview(session, command, user, fmt))
    raise SystemExit(_start(session, command, user, fmt, wait=wait, reports=reports))


def _start(
    session: Session, command: TriggerCmd, user: str | None, fmt: str, *, wait: bool, reports: Path | None
) -> int:
    """Walk the round, print it, and say how it went: 0 also where the process was asked to stop."""
    from bot.cli.say import speaker  # noqa: PLC0415 - as above
    from bot.cli.trigger_output import broken, not_taken, started_json, started_text  # noqa: PLC0415
    from bot.cli.trigger_rounds import Ended, look, walk  # noqa: PLC0415

    session.stop_on_sigterm()
    job = session.job(writes=True, progress=progress(session))
    ended = Ended(session, _made(reports))
    who, still = speaker(job, user), session.now is not None
    walked = walk(job, command, who, ended.tell, partial(_warn, session), wait=wait, still=still)
    seen = look(job) if walked.round else None
    sets = seen.round(command.trigger, walked.round, details=fmt == "json") if seen is not None else ()
    replaced = seen.replaced(command.trigger, walked.round) if seen is not None else None
    ended.tell_rest(sets)
    end_progress(session)
    if walked.waits:
        log(session.log_format, "warning", "warning: the round goes on, but --now lets no time go by")
    as_json = fmt == "json"
    text = started_json(command.trigger, walked, sets, replaced) if as_json else started_text(walked, sets, replaced)
    click.echo(text, nl=False)
    bad = (broken(sets, replaced) if wait else not_taken(sets)) and not session.stopping
    return 1 if bad or not walked.answer.ok or not ended.kept else 0


def _warn(session: Session, text: str) -> None:
    """Say what is in the way of a round that is waited for."""
    from bot.render.neutral import shown  # noqa: PLC0415 - as above

    log(session.log_format, "warning", f"warning: {shown(text)}")


def _made(folder: Path | None) -> Path | None:
    """The folder of reports, made if need be, before anything is started."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUsage(f"--reports {folder}: {error.strerror or error}", hint="name a folder of yours") from error
    return folder


def _preview(session: Session, command: TriggerCmd, user: str | None, fmt: str) -> int:
    """Print what would be sent; the ports are asked, and nothing is written."""
    from bot.cli.say import speaker  # noqa: PLC0415 - as above
    from bot.cli.trigger_output import preview_json, preview_text, would_fail  # noqa: PLC0415
    from bot.cli.trigger_rounds import foresee  # noqa: PLC0415

    job = session.job()
    answer, sent = foresee(job, command, speaker(job, user))
    text = preview_json(command.trigger, answer, sent) if fmt == "json" else preview_text(answer, sent)
    click.echo(text, nl=False)
    return 1 if not answer.ok or would_fail(sent) else 0


@trigger.command(
    short_help="Remove what a server keeps of jobs.",
    help="Remove what a server keeps of jobs, all or these, and forget that they have succeeded, so that what runs only"
    " once can run again. The exit code is 1 if a server refuses.",
)
@click.argument("name")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--force", is_flag=True, help="Remove also jobs that are at work.")
@click.option("--dry-run", is_flag=True, help="Show which jobs that is about, and write nothing.")
@click.pass_obj
def clean(session: Session, name: str, jobs: tuple[str, ...], *, force: bool, dry_run: bool) -> None:
    """Clean and print what is gone."""
    from bot import reconcile as line  # noqa: PLC0415 - as above
    from bot.cli.trigger_output import cleaned_text, would_clean_text  # noqa: PLC0415
    from bot.cli.trigger_rounds import look  # noqa: PLC0415
    from bot.ports import Refused  # noqa: PLC0415

    job = session.job(writes=not dry_run)
    seen = look(job)
    found = seen.named(name, jobs)
    chosen = jobs or tuple(each.name for each in found.jobs)
    if dry_run:
        click.echo(would_clean_text(found, chosen, seen.records.get(name)), nl=False)
        return
    gone = line.clean(job, found, chosen, force=force)
    click.echo(cleaned_text(gone), nl=False)
    raise SystemExit(1 if any(isinstance(names, Refused) for names in gone.values()) else 0)


@trigger.command(
    short_help="Show the present or last round.",
    help="Show the present round of each definition, or of this one, and else its last: job by job.",
)
@click.argument("name", required=False)
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How it is printed.",
)
@click.pass_obj
def status(session: Session, name: str | None, fmt: str) -> None:
    """Print rounds."""
    from bot.cli.trigger_output import status_json, status_text  # noqa: PLC0415 - as above
    from bot.cli.trigger_rounds import look  # noqa: PLC0415
    from bot.render.rounds import sets_markdown  # noqa: PLC0415

    seen = look(session.job())
    names = seen.known(name)
    sets = seen.sets(*names, details=fmt == "json")
    if fmt == "markdown":
        click.echo(sets_markdown([each for name in names for each in sets.get(name, ())]), nl=False)
    else:
        click.echo((status_json if fmt == "json" else status_text)(seen, names, sets), nl=False)


@trigger.command(
    "list",
    short_help="List all definitions.",
    help="List all definitions: where they run, when they are due next, how they went last.",
)
@FORMAT
@click.pass_obj
def list_(session: Session, fmt: str) -> None:
    """Print a table."""
    from bot.cli.trigger_output import list_json, list_text  # noqa: PLC0415 - as above
    from bot.cli.trigger_rounds import look  # noqa: PLC0415
    from bot.render.neutral import shown  # noqa: PLC0415

    seen = look(session.job())
    for path, text in seen.context.desired.invalid_triggers.items():
        log(session.log_format, "warning", f"warning: {shown(text)}; it starts nothing", file=path)
    click.echo(list_json(seen) if fmt == "json" else list_text(seen), nl=False)


@trigger.command(
    "import",
    short_help="Turn another tool's file into a definition.",
    help="Turn another tool's file into a definition: a list of trigger-jobs, settings or environment of the background"
    " jobs' service, a release.json. What you have to check is said on standard error.",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", default="", metavar="NAME", help="What the definition is called.  [default: from the file]")
@click.option(
    "--instance",
    default="/instances/server.yml",
    show_default=True,
    metavar="PATH",
    help="The file of the server that it runs on, as a $ref names it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write it there: a file that is not there yet, or a folder for a file of each definition.",
)
@click.pass_obj
def import_(session: Session, file: Path, name: str, instance: str, output: Path | None) -> None:
    """Print YAML, or write it."""
    from bot.cli.trigger_import import definitions, write  # noqa: PLC0415 - as above

    found = definitions(session.log_format, file, name, instance)
    if found is None:
        raise SystemExit(1)
    if output is not None:
        for path in write(output, found):
            click.echo(f"wrote {path}")
        return
    click.echo("---\n".join(text for _, text in found), nl=False)
