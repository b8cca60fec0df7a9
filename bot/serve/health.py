"""Health: whether the process lives, whether what it needs can be reached, and its metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from bot.render.metrics import CONTENT_TYPE
from bot.serve.answers import Health, Readiness, later, noes
from bot.serve.desk import At
from bot.serve.looking import Trouble

ROUTER = APIRouter(tags=["health"])

SOON = 2.0
"""Seconds that a part is waited for; a probe should wait a little longer."""


class MetricsResponse(Response):
    """Metrics in the text format of OpenMetrics, which Prometheus reads."""

    media_type = CONTENT_TYPE


@ROUTER.get("/healthz", responses={503: {"model": Health, "description": "It is to be started anew."}})
async def healthz(desk: At, response: Response) -> Health:
    """Say whether the process lives, and its processor with it."""
    dead = desk.dead()
    response.status_code = 503 if dead else 200
    return Health(alive=not dead, msg=dead or "alive")


@ROUTER.get("/readyz", responses={503: {"model": Readiness, "description": "A part could not be reached."}})
async def readyz(desk: At, response: Response) -> Readiness:
    """Say whether queue, statefile and forge could be reached at the last look, which is some seconds old at most."""
    found = await asyncio.gather(*(part.now(SOON) for part in desk.parts.values()))
    words = ("unreachable" if isinstance(each, Trouble) else each for each in found)
    parts = dict(zip(desk.parts, words, strict=True))
    ready = not any(isinstance(each, Trouble) for each in found)
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, parts=parts)


@ROUTER.get("/metrics", response_class=MetricsResponse, responses=noes(503))
async def metrics(desk: At) -> MetricsResponse:
    """Tell the metrics of the statefile and the queue, as text in OpenMetrics' format."""
    found = await desk.metrics.within(SOON)
    if found is None or isinstance(found, Trouble):
        raise later("the metrics are not known yet" if found is None else "the metrics cannot be told just now")
    return MetricsResponse(found)
