"""Bodies: a request's body as it came, byte by byte, but no longer than it may be and not for ever."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from bot.serve.answers import Refusal

MOST = 8 * 1024 * 1024
"""Bytes of a body: a merge request's description and a comment have a million characters at most."""

LONGEST = 15.0
"""Seconds until all of a body is there; forges give up sooner."""


async def raw_body(request: Request, seconds: float = LONGEST) -> bytes:
    """The body of an event in JSON, all of it within so many seconds.

    Raises Refusal where it is too long, comes too slowly, breaks off or is a form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        raise Refusal(415, "the event is sent as a form: choose application/json for the webhook")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > MOST:
        raise _too_long()
    try:
        async with asyncio.timeout(seconds):
            return await _read(request)
    except TimeoutError:
        raise Refusal(408, f"the body was not there within {seconds:g} s", {"Connection": "close"}) from None
    except ClientDisconnect:
        raise Refusal(400, "the body broke off") from None


async def _read(request: Request) -> bytes:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MOST:
            raise _too_long()
    return bytes(found)


def _too_long() -> Refusal:
    return Refusal(413, f"the body is longer than {MOST} bytes", {"Connection": "close"})
