"""What the settings and the environment make of the forge; Freeze Periods and their time zones."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from worlds.git_world import run_git
from worlds.gitlab_forge_world import gitlab_world

from bot.core.schedule import closes
from bot.errors import WrongUsage
from bot.model.desired import Between
from bot.providers.cache import FolderCache
from bot.providers.forge.gitlab import GitLabForge, gitlab_forge
from bot.providers.forge.gitlab_freezes import ALWAYS, freeze
from bot.providers.forge.gitlab_settings import gitlab_place, served_by
from bot.providers.forge.gitlab_wire import FreezeWire
from bot.providers.forge.gitlab_zones import RAILS_ZONES, iana
from bot.settings import ForgeSettings, Settings, StateSettings

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PROJECT = {"project": "acme/config"}


def made(root: Path, options: Mapping[str, Any], environ: Mapping[str, str]) -> GitLabForge:
    """The forge for these options."""
    settings = Settings("main", ForgeSettings("gitlab", options), StateSettings("file:state.json"))
    return gitlab_forge(settings, root, environ, FolderCache(root / "cache"), lambda: NOW)


def test_the_server_is_the_ci_jobs_own_or_the_public_one(tmp_path: Path) -> None:
    token = {"GITLAB_TOKEN": "glpat-fake-fake"}
    assert made(tmp_path, PROJECT, token).place.api.url == "https://gitlab.com"
    inside = {**token, "CI_SERVER_URL": "https://gitlab.example.com/"}
    assert made(tmp_path, PROJECT, inside).place.api.url == "https://gitlab.example.com"
    chosen = {**PROJECT, "url": "https://git.example.org/gitlab/"}
    assert made(tmp_path, chosen, inside).place.api.url == "https://git.example.org/gitlab"


@pytest.mark.parametrize(
    ("option", "environ", "token", "where"),
    [
        (None, {"SAASBOT_TOKEN": "word-one", "GITLAB_TOKEN": "word-two"}, "word-one", "$SAASBOT_TOKEN"),
        (None, {"SAASBOT_TOKEN": "", "GITLAB_TOKEN": "word-two"}, "word-two", "$GITLAB_TOKEN"),
        ({"env": "MINE"}, {"SAASBOT_TOKEN": "word-one", "MINE": " word-three\n"}, "word-three", "$MINE"),
        ({"file": "secret/token"}, {}, "word-four", "the file secret/token"),
    ],
)
def test_where_the_token_is(tmp_path: Path, option: Any, environ: dict[str, str], token: str, where: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "token").write_text("word-four\n")
    options = PROJECT if option is None else {**PROJECT, "token": option}
    forge = made(tmp_path, options, environ)
    assert (forge.place.api.private_token, forge.place.token) == (token, where)


def test_a_ci_jobs_token_is_used_as_one(tmp_path: Path) -> None:
    environ = {"CI_JOB_TOKEN": "word-of-job", "SAASBOT_TOKEN": "word-of-job", "MINE": "word-of-mine"}
    for option, job in (({"env": "CI_JOB_TOKEN"}, True), ({"env": "SAASBOT_TOKEN"}, True), ({"env": "MINE"}, False)):
        api = made(tmp_path, {**PROJECT, "token": option}, environ).place.api
        assert (api.job_token is not None, api.private_token is None) == (job, job)


def test_git_logs_in_with_the_token(tmp_path: Path) -> None:
    cache = FolderCache(tmp_path / "cache")
    for name, login in (("MINE", "oauth2"), ("CI_JOB_TOKEN", "gitlab-ci-token")):
        settings = Settings(
            "main", ForgeSettings("gitlab", {**PROJECT, "token": {"env": name}}), StateSettings("file:x")
        )
        _, header = gitlab_place(settings, tmp_path, {name: "word-of-mine"}, cache)
        assert base64.b64decode(header.removeprefix("Basic ")).decode() == f"{login}:word-of-mine"


@pytest.mark.parametrize(
    ("options", "environ", "words"),
    [
        ({}, {"GITLAB_TOKEN": "glpat-fake-fake"}, "forge.project is missing"),
        (PROJECT, {}, "there is no token for GitLab in $SAASBOT_TOKEN or $GITLAB_TOKEN"),
        ({**PROJECT, "token": {"env": "MINE"}}, {"GITLAB_TOKEN": "word"}, "there is no token for GitLab in $MINE"),
        ({**PROJECT, "token": {"file": "none"}}, {}, "there is no token for GitLab in the file none"),
        ({**PROJECT, "ca": "none.pem"}, {"GITLAB_TOKEN": "word"}, "forge.ca: there is no file none.pem"),
        ({**PROJECT, "url": "gitlab.example.com"}, {"GITLAB_TOKEN": "word"}, "is not the address of a server"),
    ],
)
def test_what_cannot_work(tmp_path: Path, options: dict[str, Any], environ: dict[str, str], words: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        made(tmp_path, options, environ)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_bot_that_is_named_is_spelled_as_gitlab_does(tmp_path: Path) -> None:
    """Its name is the same in any capitals, but it knows its own notes by it."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge(user="SaasBot")
        assert [forge.me() for _ in range(2)] == ["saasbot"] * 2
        assert world.forge(user="Nobody").me() == "Nobody"
        assert [each.path for each in world.server.requests] == ["/api/v4/users"] * 2


def test_a_name_that_may_not_be_asked_for_is_believed(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        assert world.forge(user="SaasBot", token="expired").me() == "SaasBot"  # noqa: S106 - opens nothing
        assert len(world.server.requests) == 1
        environ = {"CI_JOB_TOKEN": "word-of-job"}
        options = {**PROJECT, "url": world.server.url, "token": {"env": "CI_JOB_TOKEN"}, "user": "SaasBot"}
        assert made(tmp_path, options, environ).me() == "SaasBot"
        assert len(world.server.requests) == 1


def test_who_is_asked_for_once(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        assert {forge.me() for _ in range(3)} == {"saasbot"}
        assert len(world.server.requests) == 1


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        ("https://gitlab.example.com/acme/config.git", True),
        ("https://someone:word@gitlab.example.com/acme/config.git", True),
        ("https://gitlab.example.com:8443/acme/config.git", False),
        ("https://gitlab.example.com:443/acme/config.git", True),
        ("http://gitlab.example.com/acme/config.git", False),
        ("https://gitlab.example.com:port/acme/config.git", False),
        ("https://elsewhere.example.com/acme/config.git", False),
        ("http://gitlab.example.com.evil.example/acme/config.git", False),
        ("git@gitlab.example.com:acme/config.git", False),
        ("/srv/git/config.git", False),
        ("", False),
    ],
)
def test_git_is_given_the_token_for_the_forges_own_host_only(tmp_path: Path, origin: str, same: bool) -> None:
    run_git(tmp_path, "init", "--quiet")
    if origin:
        run_git(tmp_path, "remote", "add", "origin", origin)
    assert served_by(tmp_path, "https://gitlab.example.com") is same


def test_every_name_of_rails_is_a_zone() -> None:
    assert len(RAILS_ZONES) > 150
    assert {name: ZoneInfo(iana(name)).key for name in RAILS_ZONES} == RAILS_ZONES
    assert (iana("Europe/Prague"), iana(""), iana("UTC")) == ("Europe/Prague", "UTC", "Etc/UTC")
    assert [iana(name) for name in ("Nowhere", "Europe", "../secret", "/etc/passwd")] == [""] * 4


def test_a_period_is_open_from_its_start_to_its_end() -> None:
    (window,) = freeze(FreezeWire(3, "0 16 * * 5", "0 8 * * 1", "Berlin"), "acme/config").windows
    assert window == Between("0 16 * * 5", "0 8 * * 1", "Europe/Berlin")
    assert closes(window, datetime(2026, 1, 10, 12, 0, tzinfo=UTC)) == datetime(2026, 1, 12, 7, 0, tzinfo=UTC)
    assert closes(window, datetime(2026, 1, 13, 12, 0, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("start", "end", "zone", "words"),
    [
        ("0 16 * * 5", "0 8 * * 1", "Nowhere", "the time zone 'Nowhere'"),
        ("@weekly", "0 8 * * 1", "UTC", "cron '@weekly'"),
        ("0 16 * * 5", "soon", None, "cron 'soon'"),
    ],
)
def test_a_period_that_is_not_understood_is_in_force(start: str, end: str, zone: str | None, words: str) -> None:
    found = freeze(FreezeWire(3, start, end, zone), "acme/config")
    assert found.windows == (ALWAYS,)
    assert words in found.reason
    assert closes(found.windows[0], NOW) is not None
