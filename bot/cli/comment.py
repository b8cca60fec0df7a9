"""`saasbot comment`: a pass that listens to one comment at once, where polling would hear it later."""

from __future__ import annotations

from pathlib import Path

import click

from bot.cli.output import exit_code, log, pass_text
from bot.cli.progress import end_progress, progress
from bot.cli.session import Session
from bot.cli.sets import tell_sets
from bot.errors import WrongUsage


@click.command(help="Handle one comment event: a pass that reads the merge request it tells of, polled or not.")
@click.option(
    "--payload",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The event: GitLab's $TRIGGER_PAYLOAD, GitHub's $GITHUB_EVENT_PATH.",
)
@click.option("--dry-run", is_flag=True, help="Show what would follow, and write nothing.")
@click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)
@click.pass_obj
def comment(session: Session, payload: Path, dry_run: bool, fmt: str) -> None:
    """The event only says where to look: author, text and rights are read from the forge; a forged one does nothing."""
    from bot import reconcile as line  # noqa: PLC0415 - the line's imports are paid by commands that walk it
    from bot.core.context import heard_of  # noqa: PLC0415
    from bot.core.events import not_ours  # noqa: PLC0415
    from bot.providers.build import comment_event  # noqa: PLC0415

    settings = session.settings()
    try:
        data = payload.read_bytes()
    except OSError as error:
        raise WrongUsage(f"--payload {payload}: {error.strerror or error}", hint="it is the path of a file") from error
    event = comment_event(settings, data)
    reason = event if isinstance(event, str) else not_ours(settings, event)
    if isinstance(event, str) or reason:
        log(session.log_format, "info", f"nothing to do: {reason}")
        return
    session.stop_on_sigterm()
    heard = frozenset({heard_of(event.thread, event.iid)})
    job = session.job(settings, writes=not dry_run, progress=progress(session), heard=heard)
    if dry_run:
        _, report = line.plan(job, job.ports.config.tree(job.ports.config.fetch(settings.branch)))
    else:
        report = line.reconcile(job)
        tell_sets(session, report)
    end_progress(session)
    click.echo(pass_text(report, fmt), nl=False)
    raise SystemExit(exit_code(report))
