"""Build: puts the ports of one process together. The composition root; nothing else knows which provider is which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bot.errors import WrongUsage
from bot.model.desired import Instance
from bot.model.observed import Unreachable
from bot.ports import Forge, Pipelines, Ports, StateStore
from bot.providers.cache import FolderCache, cache_root
from bot.providers.clock import SystemClock
from bot.providers.config_repo import GitConfig, export, forget_exports
from bot.providers.forge.local import LocalForge, local_forge
from bot.providers.pipelines.command import CommandPipelines
from bot.providers.sources.cached_history import CachedHistories
from bot.providers.sources.git_history import GitHistories
from bot.providers.sources.git_refs import GitRefs
from bot.providers.state.file import file_state
from bot.settings import Settings

Now = Callable[[], datetime]


def build(config: Path, settings: Settings, environ: Mapping[str, str], now: datetime | None) -> Ports:
    """The ports for this checkout and these settings. Raises WrongUsage for a provider that there is not."""
    config = config.absolute()  # relative addresses are seen from it, whatever folder a program runs in
    clock = SystemClock(now)
    cache = FolderCache(cache_root(environ))
    return Ports(
        config=GitConfig(config),
        cache=cache,
        forge=forge(config, settings, clock.now),
        pipelines=_Providers(config, settings, environ, cache),
        refs=GitRefs(config),
        histories=CachedHistories(GitHistories(cache.folder, config), cache),
        state=state_store(config, settings),
        clock=clock,
    )


def forge(config: Path, settings: Settings, now: Now) -> Forge:
    """The forge that `saasbot.yml` names."""
    if settings.forge.provider != "local":
        raise WrongUsage(
            f"saasbot.yml: forge.provider {settings.forge.provider!r} is not known to this release",
            hint="it knows: local",
        )
    return local_forge(settings, config, now)


def people_forge(config: Path, settings: Settings, now: datetime | None) -> LocalForge:
    """The local forge itself, for `saasbot local`. Raises WrongUsage for any other."""
    found = forge(config, settings, SystemClock(now).now)
    if not isinstance(found, LocalForge):
        raise WrongUsage("`saasbot local` plays people at a local forge only")
    return found


def state_store(config: Path, settings: Settings) -> StateStore:
    """The statefile's store that `saasbot.yml` names."""
    scheme = settings.state.url.partition(":")[0]
    if scheme != "file":
        raise WrongUsage(
            f"saasbot.yml: state.url {settings.state.url!r}: {scheme}: is not known to this release",
            hint="it knows: file:",
        )
    return file_state(settings.state.url, config)


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


@dataclass
class _Providers:
    """The pipelines provider for each instance, made once."""

    config: Path
    settings: Settings
    environ: Mapping[str, str]
    cache: FolderCache
    made: dict[str, Pipelines | Unreachable] = field(default_factory=dict)

    def __call__(self, instance: Instance) -> Pipelines | Unreachable:
        if instance.provider not in self.made:
            self.made[instance.provider] = self._make(instance)
        return self.made[instance.provider]

    def _make(self, instance: Instance) -> Pipelines | Unreachable:
        if instance.provider != "command":
            return Unreachable(f"instance {instance.name}: this release has no pipelines provider {instance.provider}")
        if self.settings.forge.provider != "local" and not self.settings.allow_command:
            return Unreachable(
                f"instance {instance.name}: command pipelines run local programs; "
                "set pipelines.allowCommand in saasbot.yml if that is meant"
            )
        return command_pipelines(self.config, self.settings, self.environ, self.cache)
