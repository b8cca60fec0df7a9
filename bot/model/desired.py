"""Desired: what the config repository asks for at one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.model.servers import Instance, Pipeline
from bot.model.triggers import Trigger


@dataclass(frozen=True, slots=True)
class Recurring:
    """A window that opens at every match of `cron` (five fields, local time of `timezone`) for `duration`."""

    cron: str
    duration: timedelta
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Interval:
    """A window from `start` (inclusive) to `end` (exclusive), both aware and in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Between:
    """A window that opens at every match of cron `start` and closes at the next match of cron `end`.

    Both have five fields in the local time of `timezone`. Source: GitLab's Freeze Periods.
    """

    start: str
    end: str
    timezone: str = "UTC"


Window = Recurring | Interval | Between


@dataclass(frozen=True, slots=True)
class Freeze:
    """Windows in which nothing in scope is promoted or started; three empty scopes mean everything."""

    name: str
    owner: str
    reason: str
    windows: tuple[Window, ...]
    environments: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    file: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """One code repository of an app with the versions (full shas) that must never or may at once go out."""

    url: str
    blocked: frozenset[str] = frozenset()
    hotfix: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class App:
    """An app: who owns it and which code repositories it is made of."""

    name: str
    owners: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where a target goes."""

    name: str
    cluster: str
    environment: str
    app: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A build job whose newer successes start the target; `job` is the name by which its server knows it."""

    instance: Instance
    job: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image that must exist for the followed commit; `tag` is a template such as `{sha7}`."""

    instance: Instance
    repository: str
    tag: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """How a target takes part in promotion: the channels it publishes, those it subscribes to, and its own gates."""

    auto: bool = False
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    soak: timedelta = timedelta()
    windows: tuple[Window, ...] = ()
    redeploy_on_publisher_config_change: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """One deployment: a template of a code repository in a namespace.

    `id` is `<saas file>/<resource template>/<target>`. `file` is the path of its SaaS file in the repository and
    `pointer` leads to its `ref` scalar in that file, e.g. `("resourceTemplates", 0, "targets", 1, "ref")`.
    `ref` is as written in the source: a full 40-digit sha is pinned, anything else is a followed branch or tag.
    `parameters` are merged: SaaS file < resource template < target.
    """

    id: str
    file: str
    pointer: tuple[str | int, ...]
    url: str
    path: str
    ref: str
    namespace: Namespace
    app: App
    pipeline: Pipeline
    parameters: Mapping[str, Any] = field(default_factory=dict)
    promotion: Promotion = Promotion()
    upstream: Upstream | None = None
    images: tuple[Image, ...] = ()
    disable: bool = False
    delete: bool = False

    @property
    def pinned(self) -> bool:
        """Whether `ref` is a full commit sha."""
        return is_sha(self.ref)

    @property
    def saas_file(self) -> str:
        """The name of the SaaS file, the first part of the id."""
        return self.id.split("/", 1)[0]


SHA_DIGITS = 40


def is_sha(ref: str) -> bool:
    """Whether a ref is a full 40-digit lower-case commit sha."""
    return len(ref) == SHA_DIGITS and not ref.strip("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole config repository at one commit.

    `sha` is None for a dirty working tree. `invalid` maps each data file that has an error to the first error's text;
    targets of such files that could be read, or are reached by them through a `$ref`, are in `invalid_targets` (id to
    text) and not in `targets`.
    """

    sha: str | None
    targets: Mapping[str, Target] = field(default_factory=dict)
    apps: Mapping[str, App] = field(default_factory=dict)
    freezes: tuple[Freeze, ...] = ()
    invalid: Mapping[str, str] = field(default_factory=dict)
    invalid_targets: Mapping[str, str] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    invalid_triggers: Mapping[str, str] = field(default_factory=dict)
    """By file: why its trigger definition cannot be read; what is on record of it stays."""
