"""A whole world in a folder: services, config repository, local forge and people, and the line that is walked in it.

Reads like the conversation on a merge request: `world.commit()`, `world.reconcile()`, `world.people.merge_as(...)`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from worlds.ref_files import refs

from bot.cli.reconcile import merged
from bot.cli.session import Session
from bot.model.observed import MergeRequest, Note
from bot.model.plan import ACTION_KINDS, Outcome, Report
from bot.model.state import State
from bot.ports import Ports
from bot.providers.demo_world import World as Folders
from bot.providers.demo_world import commit_to_service, edit_as
from bot.providers.forge.local import local_forge
from bot.providers.forge.local_people import LocalPeople
from bot.providers.git import git
from bot.providers.scaffold import commit_all, write_local_forge
from bot.reconcile import Job, plan, reconcile, recorded, until_idle
from bot.render.terminal import report_json

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

SETTINGS = """\
$schema: /settings-1.json
branch: main
forge: {{provider: local, path: ../forge, members: {{alice: owner, bob: developer, carl: developer}}}}
state: {{url: "file:../state.json"}}
{more}"""

DEPLOY = """\
#!/bin/sh
echo "$SAASBOT_RUN_KEY $SAASBOT_TARGET $SAASBOT_SHA $SAASBOT_ACTION" >> "{log}"
case "$SAASBOT_PARAMETERS" in *SLOW*) sleep 30 ;; esac
if [ -e "{fails}/$(echo "$SAASBOT_TARGET" | tr / _)" ]; then echo "told to fail"; exit 3; fi
"""

PLAIN = {
    "instances/shell.yml": "$schema: /instance-1.json\nname: shell\nprovider: command\n",
    "pipelines/deploy.yml": (
        "$schema: /pipeline-1.json\nname: deploy\ninstance: {$ref: /instances/shell.yml}\n"
        "with: {command: [./deploy.sh]}\n"
    ),
}

SERVICE = """\
$schema: /saas-file-1.json
name: {name}
app: {{$ref: /{name}/app.yml}}
pipeline: {{$ref: /pipelines/deploy.yml}}
resourceTemplates:
- name: {name}
  url: {url}
  path: /template.yml
  targets:
  - name: stage
    namespace: {{$ref: /{name}/stage.yml}}
    ref: main
    parameters: {{LEVEL: info}}
    promotion: {{publish: [{name}-ok]}}
  - name: prod
    namespace: {{$ref: /{name}/prod.yml}}
    ref: {sha}
    promotion:
      auto: true
      subscribe: [{name}-ok]
      soak: {soak}
"""


@dataclass
class LineWorld:
    """The world; `now` is the time in it, and moves only when a test says so."""

    root: Path
    now: datetime = START
    soak: str = "24h"
    more: str = ""
    services: tuple[str, ...] = ("svc",)
    folders: Folders = field(init=False)
    _people: dict[bytes, LocalPeople] = field(init=False, default_factory=dict)
    _names: dict[tuple[str, str], frozenset[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Lay it out."""
        self.folders = Folders(self.root.resolve())
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "fails").mkdir()
        files = dict(PLAIN)
        for name in self.services:
            repo = self.folders.service(name)
            repo.mkdir(parents=True)
            git(repo, "init", "--quiet", "--bare", "--initial-branch=main", ".")
            sha = commit_to_service(self.folders, name, "first", self.now - timedelta(days=7))
            files |= self.service_files(name, sha)
        files["saasbot.yml"] = SETTINGS.format(more=self.more)
        self.write(files)
        deploy = self.config / "deploy.sh"
        deploy.write_text(DEPLOY.format(log=self.root / "log", fails=self.root / "fails"))
        deploy.chmod(0o755)
        write_local_forge(self.config, self.folders.forge, "main", "carl")

    def service_files(self, name: str, sha: str) -> dict[str, str]:
        """The data files of one service."""
        namespace = (
            "$schema: /namespace-1.json\nname: {0}-{1}\ncluster: {1}\nenvironment: {1}\napp: {{$ref: /{0}/app.yml}}\n"
        )
        return {
            f"{name}/app.yml": f"$schema: /app-1.json\nname: {name}\nowners: [alice]\n",
            f"{name}/stage.yml": namespace.format(name, "stage"),
            f"{name}/prod.yml": namespace.format(name, "prod"),
            f"{name}/saas.yml": SERVICE.format(name=name, url=self.folders.service(name), sha=sha, soak=self.soak),
        }

    @property
    def config(self) -> Path:
        """The bot's checkout."""
        return self.folders.config

    def write(self, files: dict[str, str]) -> None:
        """Write files into the bot's checkout."""
        for path, content in files.items():
            (self.config / path).parent.mkdir(parents=True, exist_ok=True)
            (self.config / path).write_text(content)

    def push(self, files: dict[str, str], message: str = "A person's change") -> None:
        """A person pushes these files to `main`."""
        git(self.config, "pull", "--quiet", "--rebase", "origin", "main")
        self.write(files)
        commit_all(self.config, message, "bob")
        git(self.config, "push", "--quiet", "origin", "HEAD:refs/heads/main")

    def edit(self, path: str, old: str, new: str) -> None:
        """A person replaces a text in a file on `main`."""
        edit_as(self.folders, "bob", path, old, new, "A person's edit")

    def commit(self, name: str = "svc") -> str:
        """Somebody pushes a commit to a service's `main`."""
        return commit_to_service(self.folders, name, f"change at {self.now:%d %H:%M}", self.now)

    def later(self, **span: float) -> Self:
        """Let time go by."""
        self.now += timedelta(**span)
        return self

    def job(self, **more: Any) -> Job:
        """What a pass works with."""
        return Session(self.config, self.now).job(writes=True, **more)

    def reconcile(self, *notes: tuple[str, str]) -> Report:
        """Passes until idle; `notes` are (user, command) as `saasbot say` takes them."""
        report = merged(tuple(until_idle(self.job(), None, said(*notes))))
        self.check()
        return report

    def one_pass(self, job: Job | None = None) -> Report:
        """Exactly one pass."""
        return reconcile(job or self.job())

    def plan(self) -> Report:
        """A plan of what is on `main`."""
        job = self.job()
        return plan(job, job.ports.config.tree(job.ports.config.fetch("main")))[1]

    @property
    def people(self) -> LocalPeople:
        """The humans; what git has said of two commits they remember until the settings change."""
        settings = (self.config / "saasbot.yml").read_bytes()
        if settings not in self._people:
            forge = local_forge(Session(self.config).settings(), self.config, lambda: self.now)
            self._people = {settings: LocalPeople(forge.folder)}
        return self._people[settings]

    def merge_requests(self, *, state: str = "opened") -> list[MergeRequest]:
        """The merge requests in a state."""
        return [each for each in self.people.list_all() if each.state == state]

    def the_merge_request(self) -> MergeRequest:
        """The only open one."""
        (found,) = self.merge_requests()
        return found

    def report_on(self, iid: int) -> str:
        """The sticky comment."""
        found = self.people.show(iid)
        assert found is not None
        return sticky(found)

    def runs(self) -> list[tuple[str, str, str]]:
        """(target, sha, action) of every execution of the program, in order; a key is executed once."""
        log = self.root / "log"
        rows = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        keys = [row[0] for row in rows]
        assert len(keys) == len(set(keys)), "a run key was executed twice"
        return [(row[1], row[2], row[3]) for row in rows]

    def fail(self, target: str, *, fails: bool = True) -> None:
        """Let runs of a target fail, or succeed again."""
        mark = self.root / "fails" / target.replace("/", "_")
        mark.touch() if fails else mark.unlink()

    def state(self) -> State:
        """The statefile."""
        found = recorded(self.ports()).state
        assert found is not None
        return found

    def ports(self) -> Ports:
        """Fresh ports."""
        return self.job().ports

    def check(self) -> None:
        """What holds at any moment: no two open merge requests of the bot touch the same file; one report on each."""
        seen: set[str] = set()
        for each in self.merge_requests():
            if not each.source_branch.startswith("saasbot/"):
                continue
            names = self._changed(each.head_sha)
            assert not seen & names, f"two merge requests touch {seen & names}"
            seen |= names
            sticky(each)

    def _changed(self, head: str) -> frozenset[str]:
        """The files that a head changes against where it left `main`; git is asked once for each head and `main`."""
        repo = self.folders.forge / "config.git"
        ends = (refs(repo, "refs/heads/")["refs/heads/main"], head)
        if ends not in self._names:
            self._names[ends] = frozenset(git(repo, "diff", "--name-only", "...".join(ends)).decode().split())
        return self._names[ends]


def sticky(found: MergeRequest) -> str:
    """The bot's one sticky comment on a merge request."""
    notes = [note.body for note in found.notes if note.author == "saasbot" and "saasbot:report" in note.body]
    assert len(notes) == 1, f"{len(notes)} sticky comments on !{found.iid}"
    return notes[0]


def said(*notes: tuple[str, str]) -> tuple[Note, ...]:
    """Commands as `saasbot say` hands them in."""
    return tuple(Note(id=str(number), author=user, body=text) for number, (user, text) in enumerate(notes))


def kinds(report: Report) -> list[str]:
    """The kinds of all actions, reports left out."""
    found = (ACTION_KINDS[type(action)] for action in report.plan.actions)
    return [kind for kind in found if kind not in ("comment", "follow_run")]


def held(report: Report) -> set[tuple[str, str]]:
    """(subject without its kind, gate) of everything held."""
    return {(each.subject.partition(":")[2], each.gate.value) for each in report.plan.held}


def broken(report: Report) -> list[Outcome]:
    """Outcomes that are not done."""
    return [outcome for outcome in report.outcomes if outcome.status != "done"]


def document(report: Report) -> dict[str, object]:
    """The report as scripts see it."""
    found: dict[str, object] = json.loads(report_json(report))
    return found
