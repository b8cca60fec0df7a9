"""Build: puts the ports of one process together. The composition root; nothing else knows which provider is which."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from bot.errors import WrongUsage
from bot.model.observed import Delivery, Event, Unreachable
from bot.model.servers import Instance
from bot.ports import Builds, Cache, Clock, Forge, Images, Pipelines, Ports, Queue, StateStore
from bot.providers.cache import FolderCache, cache_root
from bot.providers.clock import SystemClock
from bot.providers.config_repo import GitConfig, export, forget_exports
from bot.providers.documents import HttpDocuments
from bot.providers.forge import github_event, gitlab_event
from bot.providers.forge.local import LocalForge, local_forge
from bot.providers.forge_access import require_origin
from bot.providers.git_origin import AuthorizedOrigin
from bot.providers.job_lists import FolderJobLists
from bot.providers.pipelines.command import CommandPipelines
from bot.providers.queue.memory import MemoryQueue
from bot.providers.sealed import sealed, sealed_forge, sealed_state
from bot.providers.secrets import remember_surroundings
from bot.providers.sources.cached_history import CachedHistories
from bot.providers.sources.git_history import GitHistories
from bot.providers.sources.git_refs import GitRefs
from bot.providers.state.file import file_state
from bot.providers.state.git import git_state
from bot.settings import Settings

Now = Callable[[], datetime]


def build(config: Path, settings: Settings, environ: Mapping[str, str], now: datetime | None) -> Ports:
    """The ports for this checkout and these settings. Raises WrongUsage for a provider that there is not."""
    config = config.absolute()  # relative addresses are seen from it, whatever folder a program runs in
    remember_surroundings(environ)
    clock = SystemClock(now)
    cache = FolderCache(cache_root(environ))
    if settings.forge.provider != "local":
        require_origin(config, str(settings.forge.options.get("project") or ""))
    made, origin = forge(config, settings, environ, cache, clock.now)
    servers = _Servers(config, settings, environ, cache, clock.now)
    return Ports(
        config=GitConfig(config, origin),
        cache=cache,
        forge=sealed_forge(made),
        pipelines=_Once(servers.pipelines),
        builds=_Once(servers.builds),
        images=_Once(servers.images),
        documents=sealed(HttpDocuments(environ, config)),
        job_lists=sealed(FolderJobLists(environ, config)),
        refs=sealed(GitRefs(config)),
        histories=sealed(CachedHistories(GitHistories(cache.folder, config), cache)),
        state=sealed_state(state_store(config, settings, origin, environ)),
        clock=clock,
    )


def forge(
    config: Path, settings: Settings, environ: Mapping[str, str], cache: Cache, now: Now
) -> tuple[Forge, AuthorizedOrigin]:
    """The forge that `saasbot.yml` names, and the checkout's origin as its token reaches it.

    A vendor's library is loaded for its own users only.
    """
    match settings.forge.provider:
        case "local":
            return local_forge(settings, config, now), AuthorizedOrigin(config)
        case "gitlab":
            from bot.providers.forge.gitlab import gitlab_forge  # noqa: PLC0415 - python-gitlab takes its time

            at_gitlab = gitlab_forge(settings, config, environ, cache, now)
            return at_gitlab, at_gitlab.origin
        case "github":
            from bot.providers.forge.github import github_forge  # noqa: PLC0415 - PyGithub takes its time

            at_github = github_forge(settings, config, environ, cache, now)
            return at_github, at_github.origin
        case other:
            raise WrongUsage(
                f"saasbot.yml: forge.provider {other!r} is not known to this release",
                hint="it knows: local, gitlab, github",
            )


def comment_event(settings: Settings, data: bytes) -> Event | str:
    """The comment that a forge's event tells of, or why it tells of none. Raises WrongUsage for what is no event."""
    payload = _payload(data)
    match settings.forge.provider:
        case "gitlab":
            return gitlab_event.comment_event(payload)
        case "github":
            return github_event.comment_event(payload)
        case other:
            raise WrongUsage(f"a {other} forge sends no events", hint="its comments are polled by `saasbot reconcile`")


def delivery(settings: Settings, provider: str, kind: str, data: bytes) -> Delivery | str:
    """What a webhook of a forge tells of, or why that is nothing to look at. Raises WrongUsage for what is no event.

    `kind` is the event's name, where the forge gives it beside the event.
    """
    payload = _payload(data)
    match settings.forge.provider:
        case "gitlab" if provider == "gitlab":
            return gitlab_event.delivery(payload, settings.branch)
        case "github" if provider == "github":
            return github_event.delivery(kind, payload, settings.branch)
        case other:
            return f"the forge is a {other} one"


def _payload(data: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"the payload is not JSON: {error}", hint="give the file that the forge wrote") from error
    if not isinstance(payload, dict):
        raise WrongUsage("the payload is not a JSON object", hint="give the file that the forge wrote")
    return payload


def people_forge(config: Path, settings: Settings, now: datetime | None) -> LocalForge:
    """The local forge itself, for `saasbot local`. Raises WrongUsage for any other."""
    if settings.forge.provider != "local":
        raise WrongUsage("`saasbot local` plays people at a local forge only")
    return local_forge(settings, config, SystemClock(now).now)


def state_store(config: Path, settings: Settings, origin: AuthorizedOrigin, environ: Mapping[str, str]) -> StateStore:
    """The statefile's store that `saasbot.yml` names."""
    match settings.state.url.partition(":")[0]:
        case "file":
            return file_state(settings.state.url, config)
        case "git":
            return git_state(settings.state.url, config, origin, settings.bot)
        case "s3" | "gs" | "az":
            from bot.providers.state.objects import object_state  # noqa: PLC0415 - others do not wait for obstore

            return object_state(settings.state, config, environ)
        case other:
            raise WrongUsage(
                f"saasbot.yml: state.url {settings.state.url!r}: {other}: is not known to this release",
                hint="it knows: file:, git:, s3:, gs:, az:",
            )


def work_queue(
    settings: Settings,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    config: Path = Path(),
    tell: Callable[[str], None] = lambda _: None,
) -> Queue:
    """The work queue that `saasbot.yml` names; nothing is asked yet. Files of secrets are seen from `config`.

    `tell` takes a line for people at a time: a server that went away, a processor that did, what was put aside.
    """
    if not settings.queue.url:
        return MemoryQueue(clock)
    try:
        from bot.providers.queue.redis import redis_queue  # noqa: PLC0415 - RQ takes its time, and may not be there
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        raise WrongUsage(
            f"saasbot.yml: queue.url: {library} is not installed", hint="run: pip install 'saasbot[queue]'"
        ) from error
    return sealed(cast("Queue", redis_queue(settings.queue, environ, config, clock, tell)))


def command_pipelines(
    config: Path, settings: Settings, environ: Mapping[str, str], cache: FolderCache
) -> CommandPipelines:
    """The provider of local programs; its runs live beside the local forge, else in the cache folder."""
    path = settings.forge.options.get("path")
    home = (config / str(path)).resolve() if path else cache.folder("runs")

    def exported(sha: str) -> Path:
        folder = home / "exports" / (sha or "none")
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            forget_exports(folder.parent)
        export(config, sha, folder)
        return folder

    return CommandPipelines(home / "runs", exported, environ)


Made = TypeVar("Made")


@dataclass
class _Once(Generic[Made]):
    """What is made for each instance, once a process: what may be asked of a server is counted in one place."""

    make: Callable[[Instance], Made | Unreachable]
    made: dict[Instance, Made | Unreachable] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, instance: Instance) -> Made | Unreachable:
        with self.lock:
            if instance not in self.made:
                self.made[instance] = sealed(self.make(instance))
            return self.made[instance]


@dataclass(frozen=True, slots=True)
class _Servers:
    """Makes the provider for an instance. A vendor's library is loaded for its own users only."""

    config: Path
    settings: Settings
    environ: Mapping[str, str]
    cache: FolderCache
    now: Now

    def pipelines(self, instance: Instance) -> Pipelines | Unreachable:
        """What runs are started on."""
        given = (instance, self.environ, self.config, self.cache)
        match instance.provider:
            case "command":
                return self._command(instance)
            case "gitlab":
                from bot.providers.pipelines.gitlab import gitlab_pipelines  # noqa: PLC0415 - as in `forge`

                return gitlab_pipelines(*given)
            case "github":
                from bot.providers.pipelines.github import github_pipelines  # noqa: PLC0415 - as in `forge`

                return github_pipelines(*given)
            case "jenkins":
                from bot.providers.pipelines.jenkins import jenkins_pipelines  # noqa: PLC0415 - as in `forge`

                return jenkins_pipelines(*given)
            case "gangway":
                from bot.providers.pipelines.gangway import gangway_pipelines  # noqa: PLC0415 - as in `forge`

                return gangway_pipelines(*given)
            case "sparql":
                from bot.providers.pipelines.sparql import sparql_pipelines  # noqa: PLC0415 - as in `forge`

                return sparql_pipelines(*given, self.now)
            case "circleci":
                from bot.providers.pipelines.circleci import circleci_pipelines  # noqa: PLC0415 - as in `forge`

                return circleci_pipelines(*given)
            case other:
                return Unreachable(f"instance {instance.name}: this release has no pipelines provider {other}")

    def builds(self, instance: Instance) -> Builds | Unreachable:
        """What upstreams are read from."""
        given = (instance, self.environ, self.config, self.cache)
        match instance.provider:
            case "gitlab":
                from bot.providers.sources.gitlab_builds import gitlab_builds  # noqa: PLC0415 - as in `forge`

                return gitlab_builds(*given)
            case "github":
                from bot.providers.sources.github_builds import github_builds  # noqa: PLC0415 - as in `forge`

                return github_builds(*given)
            case "jenkins":
                from bot.providers.sources.jenkins_builds import jenkins_builds  # noqa: PLC0415 - as in `forge`

                return jenkins_builds(*given)
            case other:
                return Unreachable(f"instance {instance.name}: builds cannot be read from a server of kind {other}")

    def images(self, instance: Instance) -> Images | Unreachable:
        """What images are looked up in."""
        if instance.provider != "registry":
            return Unreachable(f"instance {instance.name}: a server of kind {instance.provider} is no registry")
        from bot.providers.sources.registry import registry_images  # noqa: PLC0415 - as in `forge`

        return registry_images(instance, self.environ, self.config, self.cache)

    def _command(self, instance: Instance) -> Pipelines | Unreachable:
        if self.settings.forge.provider != "local" and not self.settings.allow_command:
            return Unreachable(
                f"instance {instance.name}: command pipelines run local programs; "
                "set pipelines.allowCommand in saasbot.yml if that is meant"
            )
        return command_pipelines(self.config, self.settings, self.environ, self.cache)
