"""Answers: the shapes of what routes answer in JSON, and the ways in which one says no."""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from bot.errors import SaasbotError, ServerUnreachable

AGAIN = 10
"""Seconds after which to ask again, where nobody knows better."""


class Message(BaseModel):
    """One sentence for a human."""

    msg: str


class Queued(BaseModel):
    """What came of a delivery: the subjects that were queued, and in a sentence why there are none."""

    msg: str
    queued: list[str]


class Health(BaseModel):
    """Whether the process lives, and what is wrong with it."""

    alive: bool
    msg: str


class Readiness(BaseModel):
    """Whether every part could be reached at the last look; `parts` has one word for each."""

    ready: bool
    parts: dict[str, str]


class Refusal(HTTPException):
    """A request that is answered with a no: its status, and one sentence for whoever made it."""

    def __init__(self, status: int, msg: str, headers: dict[str, str] | None = None) -> None:
        """Keep the answer."""
        super().__init__(status, msg, headers)


def later(msg: str, seconds: float = AGAIN) -> Refusal:
    """The refusal of what can be asked for again after some seconds."""
    return Refusal(503, msg, {"Retry-After": str(max(1, math.ceil(seconds)))})


Documented = dict[int | str, dict[str, Any]]
"""The answers of a route besides its success, as its OpenAPI document lists them."""

_NOES = {
    400: "It is not what this route takes.",
    401: "The secret is missing or wrong; nothing was done.",
    404: "There is no such definition, or no such job in it.",
    408: "The body did not come in time.",
    409: "It was refused; the sentence says why.",
    413: "The body is too long.",
    415: "The body is of another kind.",
    503: "It is not set up, or something that it needs cannot be reached; ask again later.",
}


def noes(*statuses: int) -> Documented:
    """The documented refusals of a route."""
    return {status: {"model": Message, "description": _NOES[status]} for status in statuses}


def answer_refusals(app: FastAPI) -> None:
    """Have every refusal and every failure answered with a `Message`; a bug says no more than that it is one."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(SaasbotError, _failed)
    app.add_exception_handler(Exception, _broken)


def _refused(_request: Request, error: Exception) -> Response:
    known = error if isinstance(error, HTTPException) else Refusal(500, "internal error")
    return JSONResponse({"msg": known.detail}, known.status_code, headers=known.headers)


def _failed(request: Request, error: Exception) -> Response:
    """Whatever ends a command early ends a request: nobody can help it now, and somebody may by the next time."""
    again = error.again if isinstance(error, ServerUnreachable) else None
    refusal = later(error.message if isinstance(error, SaasbotError) else "", again.total_seconds() if again else AGAIN)
    return _refused(request, refusal)


def _broken(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"msg": "internal error"}, 500)
