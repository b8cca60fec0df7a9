"""Metrics in a file (`--metrics`): for CI's `artifacts:reports:metrics` and the node exporter's textfile folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.output import log
from bot.cli.session import Session
from bot.errors import SaasbotError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bot.model.plan import Report
    from bot.ports import QueueReader
    from bot.reconcile import Job


def keep_metrics(
    session: Session,
    job: Job,
    path: Path | None,
    report: Report | None,
    began: datetime,
    queue: QueueReader | None = None,
) -> bool:
    """Put what the statefile says by now, and what was done since `began` (real time), at `path`.

    Returns whether that went well; what goes wrong is logged. Readers see the old file or the new one. A path of None
    asks for nothing; `report` is None where what was done is told elsewhere.
    """
    if path is None:
        return True
    from bot.core.statefile import decode  # noqa: PLC0415 - only where metrics are wanted
    from bot.providers.files import replace  # noqa: PLC0415 - as above
    from bot.render.metrics import metrics_text  # noqa: PLC0415 - as above

    try:
        found = job.ports.state.read()
        state = decode(found[0], "the statefile") if found is not None else None
        took = job.ports.clock.real() - began
        size, heartbeat = len(found[0]) if found is not None else 0, job.settings.heartbeat
        now = job.ports.clock.now()
        items = queue.items() if queue is not None else None
        text = metrics_text(now, state, size=size, report=report, took=took, queue=items, heartbeat=heartbeat)
        replace(path, text.encode())
    except OSError as error:
        log(session.log_format, "error", f"--metrics {path}: {error.strerror or error}", file=str(path))
    except SaasbotError as error:
        log(session.log_format, "error", f"--metrics {path}: {error.message}", file=str(path))
    else:
        return True
    return False


def _ready(_ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """The path, if a file can be put there; else it is refused before anything is done."""
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}", param=param)
    return path


def metrics_option(command: Callable[..., None]) -> Callable[..., None]:
    """The option `--metrics FILE`, for commands that make passes."""
    return click.option(
        "--metrics",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=_ready,
        metavar="FILE",
        help="Keep metrics of it as OpenMetrics text, written whole at the end.",
    )(command)
