"""Which provider an instance gets, and which forge the settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bot.errors import WrongUsage
from bot.model.observed import Unreachable
from bot.model.servers import Instance, SecretRef
from bot.ports import Pipelines
from bot.providers.build import build, people_forge
from bot.providers.sealed import Sealed
from bot.settings import ForgeSettings, Settings, StateSettings

GITLAB = ForgeSettings(
    "gitlab", {"url": "https://gitlab.example.com", "project": "acme/config", "token": {"env": "TOKEN"}}
)
LOCAL = ForgeSettings("local", {"path": "../forge"})
LIBRARIES = """\
import sys
import bot.providers.build
print(sorted({name.split(".")[0] for name in sys.modules} & {"gitlab", "github", "requests"}))
"""


def provider(folder: Path, instance: Instance, forge: ForgeSettings = LOCAL) -> Pipelines | Unreachable:
    settings = Settings("main", forge, StateSettings("file:state.json"))
    environ = {"TOKEN": "opens-nothing", "SAASBOT_CACHE_DIR": str(folder / "cache")}
    return build(folder, settings, environ, None).pipelines(instance)


def name(found: object) -> str:
    """What a provider is under its seal."""
    return type(found.port if isinstance(found, Sealed) else found).__name__


def test_each_instance_has_a_provider_of_its_own_made_once(tmp_path: Path) -> None:
    settings = Settings("main", LOCAL, StateSettings("file:state.json"))
    pipelines = build(tmp_path, settings, {"TOKEN": "x", "SAASBOT_CACHE_DIR": str(tmp_path / "cache")}, None).pipelines
    here, there = (
        Instance(name, "gitlab", f"https://{name}.example.com", SecretRef(env="TOKEN")) for name in ("here", "there")
    )
    assert name(pipelines(here)) == "GitLabPipelines"
    assert pipelines(here) is pipelines(here)
    assert pipelines(here) is not pipelines(there)


@pytest.mark.parametrize(
    ("instance", "kind"),
    [
        (Instance("a", "command"), "CommandPipelines"),
        (Instance("a", "gitlab", "https://gitlab.example.com"), "GitLabPipelines"),
        (Instance("a", "github", "https://api.github.example.com", SecretRef(env="TOKEN")), "GitHubPipelines"),
        (Instance("a", "github", "https://api.github.example.com", SecretRef(env="NONE")), "Unreachable"),
        (Instance("a", "jenkins", "https://jenkins.example.com"), "JenkinsPipelines"),
        (Instance("a", "sparql", "http://store.example.com/sparql"), "SparqlPipelines"),
        (Instance("a", "circleci", "https://circleci.example.com"), "CircleCiPipelines"),
        (Instance("a", "registry", "https://registry.example.com"), "Unreachable"),
    ],
)
def test_an_instance_gets_the_provider_it_names(tmp_path: Path, instance: Instance, kind: str) -> None:
    assert name(provider(tmp_path, instance)) == kind


def test_local_programs_need_leave_where_the_forge_is_not_local(tmp_path: Path) -> None:
    refused = provider(tmp_path, Instance("shell", "command"), GITLAB)
    assert isinstance(refused, Unreachable)
    assert "pipelines.allowCommand" in refused.text


def test_people_are_played_at_a_local_forge_only(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="local forge only"):
        people_forge(tmp_path, Settings("main", GITLAB, StateSettings("file:state.json")), None)


def test_a_forge_that_there_is_not_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="'gitea' is not known") as error:
        provider(tmp_path, Instance("shell", "command"), ForgeSettings("gitea"))
    assert error.value.hint == "it knows: local, gitlab, github"


def test_no_vendors_library_is_loaded_before_it_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARIES], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
