"""`saasbot init --forge`: a new config repository is right for its forge from the first moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from use_in_ci.ci_jobs import EXAMPLE, GITHUB_FILE, GITLAB_FILE, read, shell

CI_FILES = {"local": None, "gitlab": GITLAB_FILE, "github": GITHUB_FILE}


@pytest.mark.parametrize("forge", CI_FILES)
def test_a_new_repository_is_valid_and_has_the_ci_file_of_its_forge(forge: str, tmp_path: Path) -> None:
    made = shell(tmp_path, f"saasbot init --forge {forge} config", {})
    assert made.code == 0, made.err
    folder = tmp_path / "config"
    checked = shell(folder, "git init --quiet; git add --all; saasbot validate --format json", {})
    assert (checked.code, json.loads(checked.out)["findings"]) == (0, [])
    wanted = CI_FILES[forge]
    hidden = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    hidden = {path for path in hidden if path.startswith((".gitlab", ".github"))}
    assert hidden == ({wanted.relative_to(EXAMPLE).as_posix()} if wanted else set())
    assert not wanted or (folder / wanted.relative_to(EXAMPLE)).read_bytes() == wanted.read_bytes()
    written = {line.removeprefix("wrote ") for line in made.out.splitlines() if line.startswith("wrote ")}
    shown = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {path for path in shown if not path.startswith((".git/", ".saasbot/"))} == written


@pytest.mark.parametrize("forge", ["gitlab", "github"])
def test_settings_say_the_forge_and_keep_the_rest(forge: str, tmp_path: Path) -> None:
    assert shell(tmp_path, f"saasbot init --forge {forge} config", {}).code == 0
    found, example = read(tmp_path / "config" / "saasbot.yml"), read(EXAMPLE / "saasbot.yml")
    assert found["forge"] == {"provider": forge, "project": "acme/saas-config", "token": {"env": "SAASBOT_TOKEN"}}
    assert {key for key in example if example[key] != found[key]} == {"forge", "state"}
    assert list(found) == list(example)
    pipeline = read(tmp_path / "config" / "pipelines" / "deploy.yml")
    instance = read(tmp_path / "config" / f"instances/{forge}.yml")
    assert pipeline["instance"] == {"$ref": f"/instances/{forge}.yml"}
    assert (instance["name"], instance["provider"]) == (forge, forge)


def test_a_local_forge_and_a_server_exclude_each_other(tmp_path: Path) -> None:
    done = shell(tmp_path, "saasbot init --forge gitlab --local-forge config", {})
    assert done.code == 2
    assert "--local-forge and --forge gitlab exclude each other" in done.err
    assert not (tmp_path / "config").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".gitlab-ci.yml").write_text("mine: {}\n")
    done = shell(tmp_path, "saasbot init --forge gitlab", {})
    assert (done.code, ".gitlab-ci.yml already" in done.err) == (2, True)
    assert (tmp_path / ".gitlab-ci.yml").read_text() == "mine: {}\n"
    assert not (tmp_path / "saasbot.yml").exists()
    assert shell(tmp_path, "saasbot init --forge github", {}).code == 0
