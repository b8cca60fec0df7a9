"""Settings: `saasbot.yml` as frozen data (DESIGN section 9, "The embedded defaults")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from bot.model.servers import SecretRef


class BatchBy(StrEnum):
    """What promotion edits are grouped by."""

    FILE = "file"
    APP = "app"
    CHANNEL = "channel"
    ALL = "all"


class Regenerate(StrEnum):
    """When a merge request is rebuilt on a moved base."""

    CONFLICT = "conflict"
    BEHIND = "behind"


class Update(StrEnum):
    """Whether a newer version still enters a merge request that is approved or set to merge."""

    UNTIL_APPROVED = "until_approved"
    ALWAYS = "always"


class Merge(StrEnum):
    """When the bot merges by itself."""

    NEVER = "never"
    WHEN_PIPELINE_SUCCEEDS = "when_pipeline_succeeds"
    WHEN_APPROVED = "when_approved"


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """Which forge, and the provider's own settings as parsed (`path`, `members`, `url`, `project`, ...)."""

    provider: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where the statefile is. `endpoint`, `region` and `ca` are for object stores; empty: what the environment says."""

    url: str
    endpoint: str = ""
    region: str = ""
    ca: str = ""
    """The file with the certificates that the endpoint's is checked against, seen from the config repository's root."""


@dataclass(frozen=True, slots=True)
class BotSettings:
    """The identity of the bot's commits."""

    name: str = "saasbot"
    email: str = "saasbot@localhost"


@dataclass(frozen=True, slots=True)
class PromotionSettings:
    """How promotion merge requests are cut, kept and merged."""

    batch_by: BatchBy = BatchBy.FILE
    max_batch: int = 10
    regenerate: Regenerate = Regenerate.CONFLICT
    update: Update = Update.UNTIL_APPROVED
    merge: Merge = Merge.NEVER
    max_open: int = 20


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What one pass may start, and how much may be in flight."""

    max_starts: int = 50
    max_in_flight: int = 100


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """How commands are recognised and who may use the strong ones; `owners` means the owners of what is affected."""

    prefix: str = "/saasbot"
    override_group: str = "owners"
    freeze_group: str = "owners"
    poll: bool = True


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where `saasbot serve` reads what it checks others by; None: what the secret guards is closed."""

    webhook_secret: SecretRef | None = None
    token: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Where the work queue is; an empty `url` is the process itself. `prefix` is the queue's name in Redis."""

    url: str = ""
    prefix: str = "saasbot"
    password: SecretRef | None = None
    ca: str = ""
    """The file with the certificates that a `rediss:` server's is checked against, seen from the config repository."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in `saasbot.yml`."""

    branch: str
    forge: ForgeSettings
    state: StateSettings
    data_dir: str = "."
    bot: BotSettings = BotSettings()
    promotions: PromotionSettings = PromotionSettings()
    runs: RunSettings = RunSettings()
    allow_command: bool = False
    commands: CommandSettings = CommandSettings()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    report_key: SecretRef = SecretRef(env="SAASBOT_KEY")
    queue: QueueSettings = QueueSettings()
    dashboard_title: str = ""
    """The title of the dashboard issue; empty where none is wanted."""
    heartbeat: timedelta | None = None
    """How long the dashboard may be silent while the bot works; None: for as long as it has nothing new to say."""
    compat_pipeline: str = ""
    serve: ServeSettings = ServeSettings()
