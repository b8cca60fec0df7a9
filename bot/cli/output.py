"""What commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from bot.errors import SaasbotError, WrongUsage
from bot.model.plan import (
    ACTION_KINDS,
    Action,
    CancelRun,
    FollowRun,
    Outcome,
    OutcomeStatus,
    Report,
    StartJob,
    StartRun,
)
from bot.model.runs import Run

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


def warn_behind(session: Session, job: Job) -> None:
    """Say on standard error if the checkout is behind the branch that is reconciled."""
    try:
        head = job.ports.config.fetch(job.settings.branch)
    except SaasbotError:  # a plan of the working tree needs no origin; what needs it will say so
        return
    behind = job.ports.config.behind(job.settings.branch, head)
    if behind:
        log(session.log_format, "warning", f"warning: {behind}")


def warn_invalid(session: Session, report: Report) -> None:
    """Say on standard error which files hold their targets because they are invalid."""
    for path, text in list(report.invalid.items())[:MOST]:
        log(session.log_format, "warning", f"warning: {text}; it holds its targets", file=path)
    if len(report.invalid) > MOST:
        log(session.log_format, "warning", f"warning: and {len(report.invalid) - MOST} more; see `saasbot validate`")


def log(fmt: str, level: str, message: str, **fields: object) -> None:
    """One line on standard error: text for people, or one JSON object with the time of its writing."""
    if fmt == "json":
        from bot.providers.clock import SystemClock  # noqa: PLC0415 - few commands write such lines

        written = SystemClock(None).real().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        click.echo(json.dumps({"time": written, "level": level, "message": message, **fields}, default=str), err=True)
    else:
        click.echo(message, err=True)


def about(action: Action, outcome: Outcome) -> dict[str, object]:
    """What a JSON line tells of an action, so that all lines of one run are found by its `run_key`."""
    told: dict[str, object] = {"kind": ACTION_KINDS[type(action)], "subject": action.subject}
    told |= _of_run(action, outcome.run) if isinstance(action, StartRun | StartJob | FollowRun | CancelRun) else {}
    return {**told, "outcome": outcome.status.value} | ({"url": outcome.url} if outcome.url else {})


def _of_run(action: StartRun | StartJob | FollowRun | CancelRun, seen: Run | None) -> dict[str, object]:
    run = seen or action.run
    whose: dict[str, object] = {}
    if action.subject.startswith("job:"):
        trigger, _, job = action.subject.removeprefix("job:").partition("/")
        whose = {"trigger": trigger, "job": job}
    else:
        whose = {"target": action.subject.removeprefix("target:")}
    own = {"run_key": run.key, "run_number": run.number, "sha": run.sha or None, "run_status": run.status.value}
    return {**whose, **own, "url": run.url or None}


def exit_code(report: Report) -> int:
    """0, or 1 if a write broke or a run was refused; a push that lost a race is looked at again by the next pass.

    A job that its server does not take for now is tried again; only its last try is a refusal.
    """
    pairs = zip(report.plan.actions, report.outcomes, strict=False)
    return 1 if any(_is_error(action, outcome) for action, outcome in pairs) else 0


def _is_error(action: Action, outcome: Outcome) -> bool:
    if outcome.status is OutcomeStatus.FAILED:
        return True
    if outcome.status is OutcomeStatus.REFUSED and isinstance(action, StartJob):
        last = action.run.attempt >= action.retry.attempts and not outcome.untouched
        return outcome.again is None or last
    return outcome.status is OutcomeStatus.REFUSED and isinstance(action, StartRun | CancelRun)
