"""Looks: the questions behind `/readyz`, `/metrics` and the status page; nothing is decided by them, or written."""

from __future__ import annotations

from collections.abc import Callable

from bot import reconcile as line
from bot.core.batches import PREFIX
from bot.core.overview import overview
from bot.core.statefile import decode
from bot.errors import SaasbotError
from bot.ports import Ports, Queue
from bot.render.metrics import metrics_text
from bot.render.page import status_page
from bot.serve.access import Log
from bot.serve.looking import Looking

PART = 10.0
"""Seconds that a look at a part is good for."""

PAGE = 60.0
"""Seconds that a look at everything is good for: it asks as many questions as a pass does."""


def parts(ports: Ports, queue: Queue | None, log: Log) -> dict[str, Looking[str]]:
    """What has to be reached, by name; what stands in the way goes to the log."""
    asked: dict[str, Callable[[], object]] = {
        "state": ports.state.read,
        # One request, which is never answered from what is remembered.
        "forge": lambda: ports.forge.branches(PREFIX),
    }
    if queue is not None:
        asked = {"queue": queue.items, **asked}
    return {name: Looking(_reached(name, each, log), PART) for name, each in asked.items()}


def _reached(name: str, ask: Callable[[], object], log: Log) -> Callable[[], str]:
    def reached() -> str:
        try:
            ask()
        except SaasbotError as error:
            log("warning", f"not ready: {name}: {error.message}", part=name)
            raise
        return "reached"

    return reached


def page(job: line.Job) -> str:
    """The status page, as `saasbot status --format html` prints it."""
    tree = job.ports.config.tree(job.ports.config.fetch(job.settings.branch))
    context, report = line.plan(job, tree)
    return status_page(overview(context, report.plan))


def metrics(job: line.Job, queue: Queue | None) -> str:
    """What the statefile and the queue say; the world is not looked at for it."""
    found = job.ports.state.read()
    state = decode(found[0], "the statefile") if found is not None else None
    items = queue.items() if queue is not None else None
    size = len(found[0]) if found is not None else 0
    return metrics_text(job.ports.clock.now(), state, size=size, queue=items, heartbeat=job.settings.heartbeat)
