"""The pages on GitLab and GitHub: their blocks are valid, can be followed, and name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.blocks import FENCE, missing, run, shell_blocks
from use_in_ci.ci_jobs import ACTION, COMPONENT, GITHUB_FILE, GITLAB_FILE, ROOT, Words, jobs, read, shell

PAGES = {name: ROOT / "docs" / f"{name}.md" for name in ("gitlab", "github")}
PLACES = {
    "/settings-1.json": "saasbot.yml",
    "/instance-1.json": "instances/{name}.yml",
    "/pipeline-1.json": "pipelines/{name}.yml",
}


def blocks(page: str) -> list[str]:
    """The YAML blocks of a page; each is marked as such."""
    found = FENCE.findall(PAGES[page].read_text(encoding="utf-8"))
    assert {language for _, language, _ in found} <= {"yaml", "shell", "sh", "text"}
    return [body for _, language, body in found if language == "yaml"]


def parsed(block: str) -> Any:
    return yaml.load(block, Loader=Words)  # noqa: S506 - a SafeLoader


OURS = [
    (page, number)
    for page in PAGES
    for number, block in enumerate(blocks(page))
    if isinstance(parsed(block), dict) and "$schema" in parsed(block)
]


def test_the_pages_show_settings_instances_and_pipelines() -> None:
    shown = {(page, parsed(blocks(page)[number])["$schema"]) for page, number in OURS}
    assert shown == {(page, kind) for page in PAGES for kind in PLACES}


@pytest.mark.parametrize(("page", "number"), OURS)
def test_each_file_on_a_page_is_valid_in_a_new_repository(page: str, number: int, tmp_path: Path) -> None:
    block = blocks(page)[number]
    document = parsed(block)
    folder = tmp_path / "config"
    assert shell(tmp_path, f"saasbot init --forge {page} config", {}).code == 0
    path = folder / PLACES[document["$schema"]].format(**document)
    assert path.exists()
    path.write_text(block)
    done = shell(folder, "saasbot validate", {})
    assert (done.code, done.out) == (0, "no findings\n")


@pytest.mark.parametrize("page", PAGES)
def test_the_page_can_be_followed(page: str, tmp_path: Path) -> None:
    found = shell_blocks(PAGES[page])
    assert found
    for block, ran in zip(found, run(found, tmp_path), strict=True):
        assert ran.code == block.exits, ran.err
        assert missing(block, ran.out) == []


def others(page: str) -> list[Any]:
    """What the YAML blocks of a page hold that is no file of ours."""
    return [parsed(block) for block in blocks(page) if "$schema" not in parsed(block)]


def test_the_component_is_included_with_inputs_that_it_has() -> None:
    found, _ = others("gitlab")
    header = yaml.safe_load(COMPONENT.read_text(encoding="utf-8").partition("\n---\n")[0])
    assert set(found["include"][0]["inputs"]) <= set(header["spec"]["inputs"])
    assert found["include"][0]["component"].partition("@")[0].endswith(f"/{COMPONENT.stem}")


def test_the_hook_has_the_id_that_it_is_used_by() -> None:
    _, found = others("gitlab")
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert [hook["id"] for hook in found["repos"][0]["hooks"]] == [hook["id"] for hook in hooks]


def test_the_action_is_used_with_inputs_that_it_has() -> None:
    _, found = others("github")
    assert set(found[0]["with"]) <= set(read(ACTION)["inputs"])


def test_the_workflow_that_deploys_can_be_found_again() -> None:
    """It declares what the pipeline beside it passes, and says the run key in its title."""
    workflow, _ = others("github")
    (pipeline,) = (parsed(block) for block in blocks("github") if "/pipeline-1.json" in block)
    key = pipeline["with"]["runKeyInput"]
    assert f"${{{{ inputs.{key} }}}}" in workflow["run-name"]
    assert set(workflow["on"]["workflow_dispatch"]["inputs"]) == {key, *pipeline["with"]["inputs"]}
    assert "${{" not in workflow["jobs"]["deploy"]["steps"][0]["run"]


def test_the_jobs_in_the_tables_are_those_of_the_files() -> None:
    table = {name: re.findall(r"^\| .+? \| `(\w+)`", path.read_text(), re.MULTILINE) for name, path in PAGES.items()}
    assert set(table["gitlab"]) == set(jobs(read(GITLAB_FILE)))
    assert set(table["github"]) == set(read(GITHUB_FILE)["jobs"])


@pytest.mark.parametrize(("page", "path"), [("gitlab", GITLAB_FILE), ("github", GITHUB_FILE)])
def test_the_page_and_the_ci_file_name_the_same_variables(page: str, path: Path) -> None:
    """What people have to set, or may; the rest are the run's own, which stand in another page's list."""
    run_variables = set(re.findall(r"`(SAASBOT_\w+)`", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")))
    text, ci = PAGES[page].read_text(encoding="utf-8"), path.read_text(encoding="utf-8")
    assert {"SAASBOT_TOKEN", "SAASBOT_KEY", "SAASBOT_PACKAGE"} <= set(re.findall(r"SAASBOT_\w+", text))
    assert {"SAASBOT_TOKEN", "SAASBOT_KEY", "SAASBOT_PACKAGE"} <= set(re.findall(r"SAASBOT_\w+", ci))
    assert set(re.findall(r"SAASBOT_\w+", text)) <= run_variables | {
        "SAASBOT_TOKEN",
        "SAASBOT_KEY",
        "SAASBOT_PACKAGE",
        "SAASBOT_APP_KEY",
    }
