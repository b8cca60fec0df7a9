"""Webhooks: what a forge tells is checked, turned into subjects and queued, all before the answer (ADR 0026)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Security
from fastapi.concurrency import run_in_threadpool

from bot.core.events import subjects
from bot.errors import WrongUsage
from bot.model.work import Due
from bot.providers.build import delivery
from bot.serve.answers import Queued, Refusal, later, noes
from bot.serve.bodies import raw_body
from bot.serve.desk import At, Desk
from bot.serve.guard import GITHUB, GITLAB, WebhookSecret, same, signature, unsigned

ROUTER = APIRouter(prefix="/hooks", tags=["webhooks"], responses=noes(400, 401, 408, 413, 415, 503))

EVENT: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}
"""The body of both routes, for the OpenAPI document: it is read byte by byte, as it was signed."""


@ROUTER.post("/gitlab", status_code=202, openapi_extra=EVENT)
async def gitlab(
    request: Request,
    desk: At,
    secret: WebhookSecret,
    token: Annotated[str | None, Security(GITLAB)],
    idempotency_key: Annotated[str, Header()] = "",
    x_gitlab_event_uuid: Annotated[str, Header()] = "",
) -> Queued:
    """Take in an event of GitLab: a comment, a merge request, a push or a pipeline of the config project."""
    if not same(token or "", secret):
        raise unsigned()
    body = await raw_body(request, desk.patience)
    key = idempotency_key or x_gitlab_event_uuid  # the latter is shared by events that follow from each other
    return await run_in_threadpool(taken_in, desk, "gitlab", "", key, body)


@ROUTER.post("/github", status_code=202, openapi_extra=EVENT)
async def github(
    request: Request,
    desk: At,
    secret: WebhookSecret,
    signed: Annotated[str | None, Security(GITHUB)],
    x_github_event: Annotated[str, Header()] = "",
    x_github_delivery: Annotated[str, Header()] = "",
) -> Queued:
    """Take in an event of GitHub: a comment, a pull request, a push or a check of the config repository."""
    if not signed:
        raise unsigned()
    body = await raw_body(request, desk.patience)
    if not same(signed, signature(secret, body)):
        raise unsigned()
    return await run_in_threadpool(taken_in, desk, "github", x_github_event, x_github_delivery, body)


def taken_in(desk: Desk, forge: str, kind: str, key: str, body: bytes) -> Queued:
    """Queue what a delivery brings up. It counts as taken in once all of it is queued; before that it may come again.

    Raises Refusal for what is no event, or while nobody works the queue.
    """
    if key and desk.deliveries.known(f"{forge} {key}"):
        return Queued(msg="this delivery was taken in before", queued=[])
    try:
        told = delivery(desk.job.settings, forge, kind, body)
    except WrongUsage as error:
        raise Refusal(400, error.message) from error
    found = told if isinstance(told, str) else subjects(desk.job.settings, told)
    if isinstance(found, str):
        return Queued(msg=found, queued=[])
    if desk.queue is None:
        raise later("nobody works the queue: set `queue.url` in saasbot.yml, or start `saasbot serve --process`")
    for subject in found:
        desk.queue.ask(Due(subject, desk.job.ports.clock.now(), f"an event of {forge}"))
    if key:
        desk.deliveries.keep(f"{forge} {key}")
    return Queued(msg="queued", queued=list(found))
