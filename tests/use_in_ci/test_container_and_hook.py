"""The container file is replayed, the pre-commit hook called as pre-commit does, and files fit their schemas."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from use_in_ci.ci_jobs import ACTION, BIN, GITHUB_FILE, GITLAB_FILE, ROOT, component, shell

from bot.providers.git import git
from bot.providers.scaffold import write_repository

CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
HOOKS = ROOT / ".pre-commit-hooks.yaml"
TOOLS = f"{BIN}{os.pathsep}{os.environ['PATH']}"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the container file with its text, continued lines joined."""
    lines = [line for line in CONTAINERFILE.splitlines() if not line.startswith("#")]
    found = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(word, text) for line in found if line for word, _, text in [line.partition(" ")]]


def copied() -> list[str]:
    """What is copied from the source tree."""
    return [
        path
        for word, text in instructions()
        if word == "COPY" and not text.startswith("--from")
        for path in text.split()[:-1]
    ]


def test_two_stages_of_one_ordinary_image_and_no_root() -> None:
    words = instructions()
    images = [text.split()[0] for word, text in words if word == "FROM"]
    assert images == ["python:3.13-slim", "python:3.13-slim"]
    assert "://" not in CONTAINERFILE
    last = dict(words[max(number for number, (word, _) in enumerate(words) if word == "FROM") :])
    assert last["USER"] == "1000:1000"
    assert json.loads(last["ENTRYPOINT"]) == ["saasbot"]
    assert {"git", "ca-certificates", "openssh-client"} <= set(last["RUN"].split())
    assert "rm -rf /var/lib/apt/lists/*" in last["RUN"]


def test_what_is_copied_is_not_ignored() -> None:
    """The ignore file lets through what is copied, and nothing else."""
    lines = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert sorted(allowed) == sorted(copied())
    assert lines[1] == "*"
    assert all((ROOT / path).exists() for path in allowed)


def test_everything_that_is_used_is_pinned() -> None:
    """The build takes every wheel from a folder that was filled by hash, the bot itself included."""
    runs = [text for word, text in instructions() if word == "RUN"]
    (download,) = (text for text in runs if "pip download" in text)
    assert {"--require-hashes", "--only-binary", "requirements/dev.txt"} <= set(download.split())
    installs = re.findall(r"pip(?: --python \S+)? install [^&]*", "\n".join(runs))
    assert len(installs) == 2
    assert all("--no-index --find-links /wheels" in text for text in installs)


def test_the_image_has_a_program_that_starts(tmp_path: Path) -> None:
    """Its steps are replayed on what it copies; this environment stands in for the wheels of others."""
    places = {"/wheels": tmp_path / "wheels", "/opt/saasbot": tmp_path / "opt", "/src": tmp_path / "src"}
    for path in copied():
        (places["/src"] / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copyfile
        copy(ROOT / path, places["/src"] / path)
    (script,) = (text for word, text in instructions() if word == "RUN" and "hatchling build" in text)
    steps = [step.strip() for step in script.split("&&")]
    assert [step.split()[0] for step in steps] == ["python", "/build/bin/pip", "/build/bin/python", "python", "pip"]
    replayed = "\n".join(steps[2:]).replace("/build/bin/python", sys.executable)
    for path, place in places.items():
        replayed = replayed.replace(path, str(place))
    done = shell(places["/src"], replayed, {"PIP_NO_DEPS": "1"}, "-e")
    assert done.code == 0, done.err
    assert not (places["/opt/saasbot"] / "bin" / "pip").exists()
    (wheel,) = places["/wheels"].glob("saasbot-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"bot/_data/config-example/.gitlab-ci.yml", "bot/_data/config-example/.github/workflows/saasbot.yml"} < names
    site = next(path for path in sys.path if path.endswith("site-packages"))
    folder = tmp_path / "config"
    started = shell(
        tmp_path,
        f'"{places["/opt/saasbot"]}/bin/saasbot" init --forge gitlab "{folder}"',
        {"PYTHONPATH": site, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert started.code == 0, started.err
    assert (folder / ".gitlab-ci.yml").read_bytes() == GITLAB_FILE.read_bytes()


def hook() -> dict[str, Any]:
    """The one hook."""
    (found,) = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_hook_checks_the_repository(tmp_path: Path) -> None:
    found = hook()
    assert (found["id"], found["language"], found["pass_filenames"]) == ("saasbot-validate", "python", False)
    write_repository(tmp_path / "config", "gitlab")
    assert shell(tmp_path / "config", found["entry"], {}).code == 0
    names = ["saasbot.yml", "services/orders/saas.yaml", ".gitlab-ci.yml"]
    assert all(re.search(found["files"], name) for name in names)
    assert not re.search(found["files"], "README.md")


@pytest.mark.skipif(not shutil.which("pre-commit", path=TOOLS), reason="pre-commit is not installed")
def test_pre_commit_itself_calls_the_hook(tmp_path: Path) -> None:
    """The real program with the hook's own words; it runs the program under test instead of installing one."""
    folder = tmp_path / "config"
    write_repository(folder, "gitlab")
    git(folder, "init", "--quiet")
    config = {"repos": [{"repo": "local", "hooks": [hook() | {"language": "system", "language_version": "default"}]}]}
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git(folder, "add", "--all")
    environment = {"PRE_COMMIT_HOME": str(tmp_path / "home"), "PATH": TOOLS}
    assert shell(tmp_path, f"pre-commit validate-manifest '{HOOKS}'", environment).code == 0
    done = shell(folder, "pre-commit run", environment)
    assert (done.code, "Passed" in done.out) == (0, True), done.out + done.err
    app = folder / "services" / "orders" / "app.yml"
    app.write_text(app.read_text().replace("owners:", "ownerz:"))
    git(folder, "add", "--all")
    done = shell(folder, "pre-commit run", environment)
    assert (done.code, "error[unknown-key]" in done.out) == (1, True), done.out + done.err


SCHEMAS = {
    "gitlab-ci": GITLAB_FILE,
    "github-workflows": GITHUB_FILE,
    "github-actions": ACTION,
}


@pytest.mark.skipif(not shutil.which("check-jsonschema", path=TOOLS), reason="check-jsonschema is not installed")
@pytest.mark.parametrize("name", [*SCHEMAS, "component"])
def test_files_fit_the_schemas_of_their_servers(name: str, tmp_path: Path) -> None:
    """With the schemas that ship with check-jsonschema; nothing is fetched."""
    path = SCHEMAS.get(name) or tmp_path / "component.yml"
    if name == "component":
        path.write_text(yaml.safe_dump(component({})))
    schema = f"vendor.{'gitlab-ci' if name == 'component' else name}"
    program = shutil.which("check-jsonschema", path=TOOLS)
    command = [str(program), "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
