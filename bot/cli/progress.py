"""Progress on standard error while a pass acts: a live line on a terminal, plain lines in CI logs."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from bot.cli.output import about, log
from bot.cli.session import Session
from bot.model.plan import Action, FollowRun, Outcome, OutcomeStatus, RecordState

CLEAR = "\r\033[K"


def is_live(session: Session) -> bool:
    """Whether standard error is a terminal that a person looks at."""
    return sys.stderr.isatty() and session.log_format == "text" and not session.verbose


def end_progress(session: Session) -> None:
    """Take the live line away before the result is printed."""
    if is_live(session):
        click.echo(CLEAR, err=True, nl=False)


def progress(session: Session) -> Callable[[Action, Outcome], None]:
    """What is called after each action; records are only told with `-v`."""
    live = is_live(session)
    count = 0

    def tell(action: Action, outcome: Outcome) -> None:
        nonlocal count
        count += 1
        told = about(action, outcome)
        kind = told["kind"]
        broken = outcome.status in (OutcomeStatus.FAILED, OutcomeStatus.REFUSED)
        if live and not broken:
            click.echo(f"{CLEAR}{count} {kind} {action.subject}"[:160], err=True, nl=False)
            return
        if broken or session.verbose or not isinstance(action, RecordState | FollowRun) or _ended(session, action):
            if live:
                click.echo(CLEAR, err=True, nl=False)
            level = "warning" if broken else "info"
            log(session.log_format, level, f"{kind} {action.subject}: {outcome.status}: {outcome.text}", **told)

    return tell


def _ended(session: Session, action: Action) -> bool:
    """Whether it is the end of a run, for those who follow runs in a log made for machines."""
    return session.log_format == "json" and isinstance(action, FollowRun) and not action.run.status.in_flight
