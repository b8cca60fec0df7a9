"""The server: puts the desk together, and runs it under uvicorn until the process is asked to stop."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from bot.providers.build import work_queue
from bot.providers.secrets import read_secret
from bot.reconcile import Job, Memory
from bot.serve import looks
from bot.serve.access import Log, ToLog
from bot.serve.app import application
from bot.serve.command import Session
from bot.serve.desk import Desk, Turns
from bot.serve.looking import Looking
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.serve.processor import Processor

MOST = 100
"""Requests at the same time; more are told to come again."""

UNWORKED = (
    "warning: nobody works the queue: webhooks are answered with 503; set queue.url in saasbot.yml, or give --process"
)


class Server(uvicorn.Server):
    """A server that ends with its session, and ends it where a signal comes: then a pass at hand ends early, too."""

    def __init__(self, config: uvicorn.Config, session: Session) -> None:
        """Keep the session."""
        super().__init__(config)
        self._session = session

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; asked ten times a second."""
        return await super().on_tick(counter) or self._session.stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop listening, and let what is at hand come to its end."""
        self._session.stopping = True
        super().handle_exit(sig, frame)


def run(
    session: Session, settings: Settings, listener: socket.socket, environ: Mapping[str, str], *, process: bool
) -> None:
    """Serve on a socket until a signal comes."""
    log = Log(session.log_format, verbose=bool(session.verbose))
    desk, processor = laid_out(session, settings, environ, log, process=process)
    if desk.queue is None:
        log("warning", UNWORKED)
    if processor is not None:
        processor.start()
    serve(session, desk, listener, log)
    session.stopping = True
    if processor is not None:
        processor.join()


def laid_out(
    session: Session, settings: Settings, environ: Mapping[str, str], log: Log, *, process: bool
) -> tuple[Desk, Processor | None]:
    """What routes work with, and the processor of this process where there is to be one."""
    job = session.job(settings, writes=True, progress=log.action)
    queue = work_queue(
        settings, environ, job.ports.clock, config=session.config, tell=lambda text: log("warning", text)
    )
    turns = Turns()
    processor = None
    if process:
        from bot.serve.processor import Processor  # noqa: PLC0415 - routes alone work no queue

        processor = Processor(_another(session, job), queue, turns, log)
    watching = _another(session, job)
    worked = queue if process or settings.queue.url else None
    desk = Desk(
        job=job,
        queue=worked,
        webhook_secret=lambda: read_secret(settings.serve.webhook_secret, session.config),
        token=lambda: read_secret(settings.serve.token, session.config),
        parts=looks.parts(watching.ports, worked, log),
        page=Looking(lambda: looks.page(watching), looks.PAGE),
        metrics=Looking(lambda: looks.metrics(watching, worked), looks.PART),
        dead=lambda: processor.dead if processor is not None else "",
        turns=turns,
    )
    for secret in (desk.webhook_secret, desk.token):
        secret()  # read before anything is said, so that nothing shows it
    return desk, processor


def _another(session: Session, job: Job) -> Job:
    """The same job with ports and a memory of its own: threads do not share what they have read."""
    return replace(job, ports=session.ports(job.settings, writes=True), memory=Memory())


def serve(session: Session, desk: Desk, listener: socket.socket, log: Log) -> None:
    """Answer until the session ends or a signal comes; the server's own words go to our log."""
    config = uvicorn.Config(
        application(desk, log),
        log_config=None,
        access_log=False,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST,
    )
    logger, handler = logging.getLogger("uvicorn.error"), ToLog(log)
    logger.addHandler(handler)
    logger.setLevel(handler.level)
    logger.propagate = False
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    log("info", f"serving at {url}", url=url)
    try:
        Server(config, session).run(sockets=[listener])
    finally:
        logger.removeHandler(handler)
