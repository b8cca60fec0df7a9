"""What commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from bot.errors import SaasbotError, WrongUsage
from bot.model.plan import Action, CancelRun, Outcome, OutcomeStatus, Report, StartRun

if TYPE_CHECKING:
    from bot.cli.session import Session
    from bot.core.context import Context
    from bot.reconcile import Job
    from bot.render.terminal import Style

MOST = 20
"""Invalid files that are named one by one."""


def pass_text(report: Report, fmt: str) -> str:
    """A report in the wished format, ending with a newline."""
    from bot.render import terminal  # noqa: PLC0415 - `validate` does not print reports

    if fmt == "json":
        return terminal.report_json(report) + "\n"
    if fmt == "markdown":
        return terminal.report_markdown(report)
    return terminal.report_text(report, style())


def style() -> Style:
    """Colours on a terminal, unless `NO_COLOR` is set; plain lines elsewhere."""
    from bot.render.terminal import Style  # noqa: PLC0415

    return Style(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ)


def refuse_unknown(context: Context, target: str) -> None:
    """Refuse a target that neither the config nor the statefile knows: a typo must not look like "nothing to do"."""
    from bot.core.scope import unknown_target  # noqa: PLC0415 - `validate` names no targets

    recorded = context.state.targets if context.state is not None else {}
    if (
        target not in context.desired.targets
        and target not in context.desired.invalid_targets
        and target not in recorded
    ):
        raise WrongUsage(unknown_target(context.desired, target), hint="`saasbot status` lists all targets")


def warn_behind(job: Job) -> None:
    """Say on standard error if the checkout is behind the branch that is reconciled."""
    try:
        head = job.ports.config.fetch(job.settings.branch)
    except SaasbotError:  # a plan of the working tree needs no origin; what needs it will say so
        return
    behind = job.ports.config.behind(job.settings.branch, head)
    if behind:
        click.echo(f"warning: {behind}", err=True)


def warn_invalid(session: Session, report: Report) -> None:
    """Say on standard error which files hold their targets because they are invalid."""
    for path, text in list(report.invalid.items())[:MOST]:
        log(session.log_format, "warning", f"warning: {text}; it holds its targets", file=path)
    if len(report.invalid) > MOST:
        log(session.log_format, "warning", f"warning: and {len(report.invalid) - MOST} more; see `saasbot validate`")


def log(fmt: str, level: str, message: str, **fields: object) -> None:
    """One line on standard error: text for people, or one JSON object."""
    if fmt == "json":
        click.echo(json.dumps({"level": level, "message": message, **fields}, default=str), err=True)
    else:
        click.echo(message, err=True)


def exit_code(report: Report) -> int:
    """0, or 1 if a write broke or a run was refused; a push that lost a race is looked at again by the next pass."""
    pairs = zip(report.plan.actions, report.outcomes, strict=False)
    return 1 if any(_is_error(action, outcome) for action, outcome in pairs) else 0


def _is_error(action: Action, outcome: Outcome) -> bool:
    if outcome.status is OutcomeStatus.FAILED:
        return True
    return outcome.status is OutcomeStatus.REFUSED and isinstance(action, StartRun | CancelRun)
