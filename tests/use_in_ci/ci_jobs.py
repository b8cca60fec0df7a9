"""Pipelines as their server reads them, and a shell that runs their scripts on an embedded world."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from use_in_ci.ci_expressions import github, gitlab
from worlds import planted

from bot.config.values import duration
from bot.providers.demo_world import World, commit_to_service, lay_out

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config-example"
GITLAB_FILE = EXAMPLE / ".gitlab-ci.yml"
GITHUB_FILE = EXAMPLE / ".github" / "workflows" / "saasbot.yml"
COMPONENT = ROOT / "templates" / "saasbot.yml"
ACTION = ROOT / "action.yml"
BIN = Path(sys.executable).parent

KEYWORDS = frozenset({"workflow", "stages", "variables", "default", "include"})
"""Top-level keys of a GitLab file that are no jobs."""


class Words(yaml.SafeLoader):
    """YAML as GitHub reads it: `on` is a word."""


Words.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool" or first not in "oO"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> dict[str, Any]:
    """One document."""
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=Words)  # noqa: S506 - a SafeLoader
    assert isinstance(document, dict)
    return document


def component(inputs: Mapping[str, str]) -> dict[str, Any]:
    """The component's jobs with inputs put in; an input that is not declared, or not used, fails."""
    header, body = COMPONENT.read_text(encoding="utf-8").split("\n---\n")
    declared = yaml.safe_load(header)["spec"]["inputs"]
    assert set(inputs) <= set(declared)
    values = {name: inputs.get(name, about["default"]) for name, about in declared.items()}
    used = re.compile(r"\$\[\[ inputs\.(\w+) \]\]")
    assert set(used.findall(body)) == set(declared)
    document = yaml.safe_load(used.sub(lambda found: values[found[1]], body))
    assert isinstance(document, dict)
    return document


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """What `extends` does: mappings are merged, all else is replaced."""
    both = {key: merged(base[key], more[key]) for key in base.keys() & more.keys() if isinstance(more[key], dict)}
    return base | more | both


def jobs(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The jobs of a GitLab file with all that they inherit."""

    def whole(name: str) -> dict[str, Any]:
        job = document[name]
        return merged(whole(job["extends"]), job) if "extends" in job else job

    default = {key: document.get(key, {}) for key in ("variables",)} | document.get("default", {})
    return {
        name: merged(default, whole(name)) for name in document if name not in KEYWORDS and not name.startswith(".")
    }


def running(document: dict[str, Any], variables: Mapping[str, str]) -> list[str]:
    """The jobs of the pipeline that this event makes; empty where it makes none."""
    rules = document.get("workflow", {}).get("rules")
    if rules is not None and not holds(rules, variables):
        return []
    return [name for name, job in jobs(document).items() if holds(job["rules"], variables)]


def holds(rules: list[dict[str, str]], variables: Mapping[str, str]) -> bool:
    """Whether one of the rules holds; nothing but `if` is known here, and each is read, so that each is understood."""
    assert all(set(rule) == {"if"} for rule in rules)
    found = [gitlab(rule["if"], variables) for rule in rules]
    return any(found)


def seconds(text: str) -> int:
    """`20 minutes` as GitLab writes it, or `10m` as we do."""
    ours = duration(text.replace(" minutes", "m"))
    assert ours is not None
    return int(ours.total_seconds())


@dataclass(frozen=True)
class Ran:
    """A script that was run."""

    code: int
    out: str
    err: str


def shell(folder: Path, script: str, environment: Mapping[str, str], *options: str) -> Ran:
    """Run a script in `folder` with bash; `saasbot` is the one under test, and nothing of this machine's is told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SAASBOT_", "CI"))}
    known = kept | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        **environment,
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", *options, "-c", script],
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )
    planted.printed(script, done.stdout + done.stderr)
    return Ran(done.returncode, done.stdout, done.stderr)


def run_job(folder: Path, job: dict[str, Any], more: Mapping[str, str] | None = None) -> Ran:
    """Run a GitLab job's script as its runner does: one shell that stops at the first failure, also in a pipe."""
    given = {"CI_PROJECT_DIR": str(folder)} | dict(more or {})
    variables = {name: expanded(str(value), given) for name, value in job["variables"].items()}
    return shell(folder, "\n".join(job["script"]), variables | given, "-eo", "pipefail")


def github_event(name: str, ref: str = "refs/heads/main", body: str = "", user: str = "User") -> dict[str, Any]:
    """What conditions may ask of an event at GitHub."""
    return {
        "github.event_name": name,
        "github.ref": ref,
        "github.event.comment.body": body,
        "github.event.comment.user.type": user,
    }


def run_steps(folder: Path, job: dict[str, Any], event: dict[str, Any], environment: Mapping[str, str]) -> list[Ran]:
    """Run the scripts of a GitHub job's steps, but for what installs; ends behind one that fails."""
    done: list[Ran] = []
    for step in job["steps"]:
        script = step.get("run", "")
        if script and not script.startswith("pip install") and github(step.get("if", "always()"), event):
            done.append(shell(folder, script, environment, "-e"))
            if done[-1].code:
                break
    return done


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """A variable's value with others put in."""
    return re.sub(r"\$(\w+)", lambda found: variables[found[1]], text)


def embedded_world(root: Path) -> World:
    """The example on a local forge, with a commit that waits to be deployed to stage."""
    now = datetime.now(UTC)
    world = lay_out(root, now - timedelta(days=7))
    done = shell(world.config, "saasbot reconcile", {})  # adoption
    assert done.code == 0, done.err
    commit_to_service(world, "orders", "Accept vouchers", now)
    return world
