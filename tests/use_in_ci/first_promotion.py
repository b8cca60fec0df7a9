"""A new config project as the pages tell how to make one: what `init` writes, pointed to one service and one server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from use_in_ci.ci_jobs import shell
from worlds import planted

from bot.providers.demo_world import World, commit_to_service
from bot.providers.git import git
from bot.providers.scaffold import commit_all, write_repository

CONFIG, DEPLOYMENTS = "acme/saas-config", "acme/deployments"
STAGE, PRODUCTION = "orders/orders/stage", "orders/orders/production"
SECRETS = {"SAASBOT_KEY": planted.token("key")}
STATE = "refs/saasbot/state"


@dataclass
class NewProject:
    """The folders of a new project: bare repositories of config and deployments, a service, a person's checkout."""

    root: Path

    @property
    def checkout(self) -> Path:
        """Where a person works on the config repository."""
        return self.root / "config"

    def begin(self, deploy_file: str, deploy: str) -> None:
        """Both projects, the one that deploys with its CI file, and a service with a first commit."""
        service = World(self.root).service("orders")
        service.mkdir(parents=True)
        git(service, "init", "--quiet", "--bare", "--initial-branch=main", ".")
        self.commit("First version", 5)
        for name in ("config", "deployments"):
            git(self.root, "init", "--quiet", "--bare", "--initial-branch=main", f"{name}.git")
        git(self.root, "clone", "--quiet", "deployments.git", "deploying")
        path = self.root / "deploying" / deploy_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(deploy)
        commit_all(self.root / "deploying", "Deploy", "alice")
        git(self.root / "deploying", "push", "--quiet", "origin", "HEAD:refs/heads/main")

    def commit(self, message: str, day: int) -> str:
        """Somebody commits to the service; the sha."""
        return commit_to_service(World(self.root), "orders", message, datetime(2026, 1, day, tzinfo=UTC))

    def push(self, forge: str, url: str, origin: str) -> None:
        """Write the config repository, name what is ours in it, and push it."""
        write_repository(self.checkout, forge)
        for unused in ("services/payments", "services/frontend", "freezes"):
            shell(self.checkout, f"rm -r {unused}", {})
        service = World(self.root).service("orders")
        first = git(service, "rev-parse", "main").decode().strip()
        self.edit("saasbot.yml", f"# url: https://{forge}.example.com", f"url: {url}")
        self.edit(f"instances/{forge}.yml", f"https://{forge}.com", url)
        for path in ("services/orders/saas.yml", "services/orders/app.yml"):
            self.edit(path, "https://git.example.com/acme/orders", str(service))
        self.edit("services/orders/saas.yml", "8f14e45fceea167a5a36dedd4bea2543ce3dc40d", first)
        self.edit("services/orders/saas.yml", "soak: 24h", "soak: 0s")
        git(self.checkout, "init", "--quiet", "--initial-branch=main")
        git(self.checkout, "remote", "add", "origin", origin)
        planted.left(self.checkout / ".git" / "config")
        commit_all(self.checkout, "Start the config repository", "alice")
        git(self.checkout, "push", "--quiet", "origin", "main")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that is there."""
        file = self.checkout / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def job(self, origin: str, branch: str = "main", *, header: str = "") -> Path:
        """A fresh clone for one job, with a home and a cache of its own: nothing that an earlier job left is there.

        `header` is an authorization that the runner leaves in the clone's configuration, else it is in `origin`.
        """
        home = self.root / f"job-{len(list(self.root.glob('job-*')))}"
        home.mkdir()
        options = ["-c", f"http.extraHeader={header}"] if header else []
        git(home, *options, "clone", "--quiet", "--no-tags", "--branch", branch, origin, "config")
        planted.left(home / "config" / ".git" / "config")
        if header:
            git(home / "config", "config", f"http.{origin.rpartition('/acme/')[0]}/.extraheader", header)
        return home / "config"

    def state(self) -> tuple[str, set[str]]:
        """The sha of the ref with the statefile, and the targets in it; no clone for a job brings it."""
        listed = git(self.root / "config.git", "for-each-ref", "--format=%(objectname)", STATE).decode().strip()
        document = json.loads(git(self.root / "config.git", "cat-file", "blob", f"{STATE}:state.json"))
        return listed, set(document["targets"])


@contextmanager
def runners(work: Callable[[], None]) -> Iterator[None]:
    """What happens to downstream pipelines while the bot waits; `work` is done again and again."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.05):
            work()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
