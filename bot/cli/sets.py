"""Sets of trigger rounds that ended with a pass: one line each on standard error, and a file where one is wanted."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.output import log
from bot.cli.progress import end_progress
from bot.cli.session import Session
from bot.model.plan import Report
from bot.model.rounds import SetReport

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 100
"""Characters of a definition's name in the name of a file."""

_ODD = re.compile(r"[^A-Za-z0-9._-]")


def tell_sets(session: Session, report: Report, folder: Path | None = None) -> bool:
    """Log every set that ended with this pass, and keep its document in `folder`; whether every file was written.

    With `--log-format json` the line is the document itself, with a level and a message.
    """
    if not report.plan.sets:
        return True
    from bot.render.rounds import level_of, set_line, set_text  # noqa: PLC0415 - few passes end a set

    end_progress(session)
    kept = True
    for each in report.plan.sets:
        if session.log_format == "json":
            click.echo(set_line(each), err=True)
        else:
            log(session.log_format, level_of(each), set_text(each))
        kept = (folder is None or _kept(session, each, folder / file_name(each))) and kept
    return kept


def file_name(report: SetReport) -> str:
    """`TRIGGER-ROUND-SET.json`, safe in every folder whatever a definition is called."""
    name = _ODD.sub("_", report.trigger).lstrip("-.")[:LONGEST] or "_"
    if name != report.trigger:
        name += f".{hashlib.sha256(report.trigger.encode()).hexdigest()[:8]}"
    return f"{name}-{report.round}-{report.index}.json"


def _kept(session: Session, report: SetReport, path: Path) -> bool:
    import json  # noqa: PLC0415 - as above

    from bot.providers.files import replace  # noqa: PLC0415 - as above
    from bot.providers.secrets import redact_bytes  # noqa: PLC0415 - as above
    from bot.render.rounds import set_document  # noqa: PLC0415 - as above

    try:
        replace(path, redact_bytes(json.dumps(set_document(report), indent=2).encode() + b"\n"))
    except OSError as error:
        log(session.log_format, "error", f"--reports {path}: {error.strerror or error}")
        return False
    return True


def _made(_ctx: click.Context, param: click.Parameter, folder: Path | None) -> Path | None:
    """The folder, made if need be; one that cannot be is refused before anything is done."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"{folder}: {error.strerror or error}", param=param) from error
    return folder


def reports_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option `--reports DIR`, for commands that make passes."""
    return click.option(
        "--reports",
        type=click.Path(path_type=Path, file_okay=False),
        callback=_made,
        metavar="DIR",
        help="Keep the report of each set of a trigger round that ends: TRIGGER-ROUND-SET.json.",
    )(command)
