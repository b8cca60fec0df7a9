"""Pages: what people look at with a browser."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from bot.serve.answers import later, noes
from bot.serve.desk import At
from bot.serve.looking import Trouble

ROUTER = APIRouter(tags=["pages"])

LOOK = 20.0
"""Seconds that a look at everything is waited for, before the last page is shown."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What a browser may do with the page: show it, and nothing else."""


@ROUTER.get("/", response_class=HTMLResponse, responses=noes(503))
async def status(desk: At) -> HTMLResponse:
    """Show what runs where, what is promoted and what is stuck; the page says when that was looked at."""
    found = await desk.page.within(LOOK)
    if found is None or isinstance(found, Trouble):
        raise later("the first look is not over yet" if found is None else found.text)
    return HTMLResponse(found, headers=HEADERS)
