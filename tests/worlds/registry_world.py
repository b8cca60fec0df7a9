"""A process that asks registries for images: its provider, its cache, its clock, and the words of its errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from worlds import planted
from worlds.fake_registry import FakeRegistry, Kind, fake_digest

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance, SecretRef
from bot.providers.cache import FolderCache
from bot.providers.sources.registry import RegistryImages, registry_images

WEB = "/v2/acme/web/manifests/1"
DIGEST = fake_digest("web")
PASSWORD = planted.token("password")
LOGIN = f"robot:{PASSWORD}"


@dataclass
class RegistryClient:
    """Makes the provider for a registry as a process would; time goes on by hand, waits are noted."""

    folder: Path
    now: float = 1_800_000_000.0
    waits: list[float] = field(default_factory=list)

    def images(self, registry: FakeRegistry | str, secret: str = "", **more: Any) -> RegistryImages:
        made = self.made(registry, secret, **more)
        assert isinstance(made, RegistryImages), made
        return made

    def made(self, registry: FakeRegistry | str, secret: str = "", **more: Any) -> RegistryImages | Unreachable:
        url = registry if isinstance(registry, str) else registry.url
        token = {"token": SecretRef(env="REGISTRY_TOKEN")} if secret else {}
        instance = Instance("images", "registry", url, **{**token, **more})
        environ = {instance.token.env: secret} if instance.token else {}
        cache = FolderCache(self.folder / "cache")
        return registry_images(instance, environ, self.folder, cache, self.waits.append, lambda: self.now)


def filled(kind: Kind) -> FakeRegistry:
    """A registry with one image and one account."""
    registry = FakeRegistry(kind)
    registry.images["acme/web", "1"] = DIGEST
    registry.accounts["robot"] = PASSWORD
    return registry


def refusal(images: RegistryImages, repository: str = "acme/web", tag: str = "1") -> str:
    """The words of the error that asking for an image ends with."""
    with pytest.raises(ServerUnreachable) as caught:
        images.digest(repository, tag)
    assert "\n" not in caught.value.message
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"
    return caught.value.message
