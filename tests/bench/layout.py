"""The worlds that are measured: a generated config repository with a local forge, away from the machine's settings."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml_rs
from bench.generate import Options, generate

PYTHON = Path(sys.executable)
SAASBOT = str(PYTHON.with_name("saasbot"))
PROBE = str(Path(__file__).with_name("probe.py"))


@dataclass(frozen=True)
class Ran:
    """A process that ended: seconds on the clock, seconds of processor time (its children included), its output."""

    wall: float
    cpu: float
    out: bytes

    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)


@dataclass(frozen=True)
class World:
    """A checkout in `root/config` whose origin is the local forge in `root/forge`, with a cache of its own."""

    root: Path

    @property
    def config(self) -> Path:
        """The checkout."""
        return self.root / "config"

    @property
    def forge(self) -> Path:
        """The local forge."""
        return self.root / "forge"

    @property
    def cache(self) -> Path:
        """The cache folder."""
        return self.root / "cache"

    @property
    def state(self) -> Path:
        """The statefile."""
        return self.root / "state.json"

    def run(self, *command: str) -> Ran:
        """Run a command in the checkout; it must succeed, and is measured as a whole."""
        before, start = _cpu(), time.perf_counter()
        done = subprocess.run(command, cwd=self.config, env=self._environment(), capture_output=True, check=False)
        ran = Ran(time.perf_counter() - start, _cpu() - before, done.stdout)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.decode()[-2000:]}")
        return ran

    def saasbot(self, *arguments: str) -> Ran:
        """Run saasbot."""
        return self.run(SAASBOT, *arguments)

    def probe(self, name: str, folder: Path) -> Any:
        """What a probe tells, from a fresh process."""
        return self.run(str(PYTHON), PROBE, name, str(folder)).json()

    def forget(self) -> None:
        """Empty the cache."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def publish_to_forge(self) -> None:
        """Make the forge from the checkout."""
        self.run("git", "clone", "--quiet", "--bare", str(self.config), str(self.forge / "config.git"))
        (self.forge / "merge_requests").mkdir()
        self.run("git", "remote", "add", "origin", str(self.forge / "config.git"))

    def _environment(self) -> dict[str, str]:
        """No configuration of the machine: neither git's nor proxies nor logins of a home."""
        dropped = ("GIT_", "SAASBOT_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped) and not k.lower().endswith("_proxy")}
        return kept | {
            "HOME": str(self.root),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "SAASBOT_CACHE_DIR": str(self.cache),
        }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def big(root: Path, files: int, seed: int, base_url: str) -> World:
    """Lay out the repository of `files` SaaS files, its services below `base_url`."""
    world = World(root)
    generate(world.config, files, seed, Options(base_url=base_url))
    world.publish_to_forge()
    return world


BATCH = "promotions: {batchBy: all, maxBatch: 200}\n"


def batch(root: Path, files: int, seed: int) -> tuple[World, str, str]:
    """Lay out a repository in many styles; returns the commit its refs are at, and the one its services stand on."""
    world = World(root)
    world.config.mkdir(parents=True)
    code = root / "code"
    old, new = _service(world, code / "real.git")
    for number in range(files):
        (code / f"service-{number:04d}").symlink_to("real.git")
    generate(world.config, files, seed, Options(base_url=str(code), pin=old, settings=BATCH))
    saas_files = sorted(world.config.glob("services/*/saas/*.yml"))
    for number, path in enumerate(saas_files):
        path.write_bytes(styled(path.read_bytes(), number))
    identity = ("-c", "user.name=generator", "-c", "user.email=generator@localhost")
    world.run("git", *identity, "commit", "--quiet", "--all", "--message", "Write in many styles")
    world.publish_to_forge()
    edits = [(str(path.relative_to(root)), _moves(path, old, new)) for path in saas_files]
    (root / "edits.json").write_text(json.dumps(edits))
    return world, old, new


def _service(world: World, repo: Path) -> tuple[str, str]:
    """Make a service's repository with two commits on `main`, and return both."""
    git = ("git", f"--git-dir={repo}", "-c", "user.name=dana", "-c", "user.email=dana@localhost")
    world.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(repo))
    # The checkout is an empty folder outside any repository still, so the tree is made by hand.
    tree = _line(world.run(*git, "hash-object", "-t", "tree", "-w", os.devnull))
    old = _line(world.run(*git, "commit-tree", tree, "-m", "the version in production"))
    new = _line(world.run(*git, "commit-tree", tree, "-p", old, "-m", "the version to promote"))
    world.run(*git, "update-ref", "refs/heads/main", new)
    return old, new


def _line(ran: Ran) -> str:
    return ran.out.decode().strip()


def styled(content: bytes, number: int) -> bytes:
    """The same file as another person's editor leaves it: CRLF, a byte order mark, no final newline, an anchor."""
    match number % 5:
        case 1:
            return content.replace(b"\n", b"\r\n")
        case 2:
            return b"\xef\xbb\xbf" + content
        case 3:
            return content.rstrip(b"\n")
        case 4:
            return content.replace(b"\nparameters: {", b"\nparameters: &defaults {", 1)
        case _:
            return content


def _moves(path: Path, old: str, new: str) -> Sequence[tuple[Sequence[str | int], str, str]]:
    """All refs of a file that stand at `old`, to be set to `new`."""
    document = yaml_rs.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode())
    assert isinstance(document, dict)
    return [
        (("resourceTemplates", i, "targets", j, "ref"), old, new)
        for i, template in enumerate(document["resourceTemplates"])
        for j, target in enumerate(template["targets"])
        if target["ref"] == old
    ]
