"""`saasbot serve`: webhooks, health, pages and the background jobs' routes, over HTTP."""

from __future__ import annotations

import importlib.util
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from bot.errors import WrongUsage

if TYPE_CHECKING:
    from bot.ports import Ports
    from bot.reconcile import Job
    from bot.settings import Settings

EXTRA = ("fastapi", "uvicorn")
"""What the extra brings."""


class Session(Protocol):
    """What this command is given: the options before it, and what is built from them."""

    config: Path
    log_format: str
    verbose: int
    stopping: bool

    def settings(self) -> Settings:
        """`saasbot.yml` of the working tree."""

    def ports(self, settings: Settings, *, writes: bool = False) -> Ports:
        """All ports."""

    def job(self, settings: Settings | None = None, *, writes: bool = False, **more: Any) -> Job:
        """What a pass works with."""

    def stop_on_sigterm(self) -> None:
        """SIGTERM sets `stopping`."""


@click.command(
    help="Serve webhooks, health, metrics, the status page and the background jobs' routes over HTTP, until SIGTERM."
    " It needs the extra: pip install 'saasbot[serve]'."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that it listens at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The port; 0 for any that is free."
)
@click.option("--process", is_flag=True, help="Also work the queue, where it is in this process: no queue.url is set.")
@click.pass_obj
def serve(session: Session, *, host: str, port: int, process: bool) -> None:
    """Listen, say where, and serve."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise WrongUsage(f"`saasbot serve` needs {' and '.join(missing)}", hint="pip install 'saasbot[serve]'")
    from bot.serve.server import run  # noqa: PLC0415 - only who serves waits for the framework

    settings = session.settings()
    if process and settings.queue.url:
        raise WrongUsage(
            "--process works a queue in this process, and queue.url is set", hint="start `saasbot process`"
        )
    session.stop_on_sigterm()
    run(session, settings, listening(host, port), os.environ, process=process)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises WrongUsage."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, UnicodeError) as error:
        raise WrongUsage(f"cannot listen at {host} port {port}: {error}") from error
