"""Servers and what is started on them: instances, their secrets, and downstream pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any


class OnNewer(StrEnum):
    """What a newer desired state does to a run in flight."""

    WAIT = "wait"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is read from: an environment variable or a file, never a value."""

    env: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """A server the bot talks to; `url` is empty for `command`."""

    name: str
    provider: str
    url: str = ""
    token: SecretRef | None = None
    rate_limit: str = ""
    file: str = ""
    ca: str = ""
    """The file with the certificates that the server's is checked against, seen from the config repository's root."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A downstream pipeline; `options` is the provider's `with` block as parsed."""

    name: str
    instance: Instance
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout: timedelta = timedelta(hours=1)
    retries: int = 0
    on_newer: OnNewer = OnNewer.WAIT
    file: str = ""
