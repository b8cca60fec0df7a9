"""The log of requests: one line each with what was asked and answered; no query, no header, no body."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass

import click
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.model.plan import ACTION_KINDS, Action, FollowRun, Outcome, OutcomeStatus, RecordState
from bot.render.neutral import shown

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked every few seconds: told with `-v`, or where the answer is a no."""


@dataclass(frozen=True, slots=True)
class Log:
    """Lines on standard error: text for people, or one JSON object each; as every command writes them."""

    fmt: str = "text"
    verbose: bool = False

    def __call__(self, level: str, message: str, **fields: object) -> None:
        """Write one line."""
        if self.fmt == "json":
            click.echo(json.dumps({"level": level, "message": message, **fields}, default=str), err=True)
        else:
            click.echo(message, err=True)

    def action(self, action: Action, outcome: Outcome) -> None:
        """Write what became of an action; records are told with `-v`."""
        broken = outcome.status in (OutcomeStatus.FAILED, OutcomeStatus.REFUSED)
        if not broken and not self.verbose and isinstance(action, RecordState | FollowRun):
            return
        kind = ACTION_KINDS[type(action)]
        text = f"{kind} {action.subject}: {outcome.status}: {outcome.text}"
        level = "warning" if broken else "info"
        self(level, text, kind=kind, subject=action.subject, outcome=outcome.status.value)


class AccessLog:
    """Writes a line for each request when its answer is whole, and one where there is none."""

    def __init__(self, app: ASGIApp, log: Log) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and write the line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            self._write(scope, status, round((time.monotonic() - began) * 1000))

    def _write(self, scope: Scope, status: int, milliseconds: int) -> None:
        if scope["path"] in PROBES and status < 400 and not self._log.verbose:  # noqa: PLR2004 - HTTP's first no
            return
        method, path = shown(scope["method"], 20), shown(scope["path"])
        client = (scope.get("client") or ("-",))[0]
        level = "info" if status < 500 else "warning"  # noqa: PLR2004 - from here on it is the server's fault
        text = f"{client} {method} {path} {status} {milliseconds} ms"
        self._log(level, text, method=method, path=path, status=status, ms=milliseconds, client=client)


class ToLog(logging.Handler):
    """What the HTTP server says of itself, as lines of our log: an error in one line, without its traceback."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO if log.verbose else logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        message = record.getMessage().strip().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            message = f"internal error: {type(error).__name__}: {error}"
        self._log(record.levelname.lower(), shown(message, 1000))
