"""The application: all routes over one desk, and the document that describes exactly them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from bot import __version__
from bot.serve import health, hooks, jobs, pages
from bot.serve.access import AccessLog, Log
from bot.serve.answers import answer_refusals
from bot.serve.desk import Desk

SILENT = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)
"""Nothing is told to anybody by the framework itself, whatever the environment says."""


def application(desk: Desk, log: Log) -> FastAPI:
    """What is served."""
    app = FastAPI(
        title="saasbot serve",
        description="Webhooks, health, pages and background jobs of saasbot.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=SILENT,
    )
    app.state.desk = desk
    for router in (pages.ROUTER, health.ROUTER, hooks.ROUTER, jobs.ROUTER):
        app.include_router(router)
    answer_refusals(app)
    app.add_middleware(AccessLog, log=log)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Take out of the document what never happens: every parameter is a text, and no text is refused with 422."""
    document: dict[str, Any] = app.openapi()
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
