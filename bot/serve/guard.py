"""The guard: who may make a request; every comparison takes the same time however much of a secret was guessed."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from bot.serve.answers import Refusal, later
from bot.serve.desk import At, Secret

BEARER = HTTPBearer(auto_error=False, description="The token of `serve.token` in saasbot.yml.")
GITLAB = APIKeyHeader(
    name="X-Gitlab-Token", auto_error=False, scheme_name="GitLab", description="The secret token of the webhook."
)
GITHUB = APIKeyHeader(
    name="X-Hub-Signature-256",
    auto_error=False,
    scheme_name="GitHub",
    description="`sha256=` and the HMAC of the body with the webhook's secret.",
)


def same(given: str, secret: str) -> bool:
    """Whether a header's value is a secret, byte by byte."""
    return hmac.compare_digest(given.encode("latin-1", "replace"), secret.encode())


def signature(secret: str, body: bytes) -> str:
    """What GitHub sends along with a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def bearer(desk: At, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]) -> None:
    """Let nobody through without the token. Raises Refusal."""
    token = _configured(desk.token, "serve.token")
    if given is None or not same(given.credentials, token):
        raise Refusal(401, "the token is missing or wrong", {"WWW-Authenticate": 'Bearer realm="saasbot"'})


def webhook_secret(desk: At) -> str:
    """The secret of the webhooks. Raises Refusal where none is set: a hook is never open."""
    return _configured(desk.webhook_secret, "serve.webhookSecret")


def unsigned() -> Refusal:
    """The refusal of a delivery that does not prove where it comes from."""
    return Refusal(401, "the signature is missing or wrong", {"WWW-Authenticate": 'Webhook realm="saasbot"'})


def _configured(secret: Secret, name: str) -> str:
    found = secret()
    if not found:
        raise later(f"not configured: {name} is not set in saasbot.yml, or is empty")
    return found


WebhookSecret = Annotated[str, Depends(webhook_secret)]
"""The secret of the webhooks, as a parameter of a route."""
