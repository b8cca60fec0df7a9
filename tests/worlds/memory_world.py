"""A whole world in memory: the config of a line world, a forge, code, a downstream server, the statefile, one clock.

It understands the verbs that stories use of `worlds.world.World`, so that a story is told in both. A world can be
frozen to bytes and thawed in a fraction of a millisecond: a story is told once, and then again from any of its passes.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Self

from worlds.line_world import PLAIN, SERVICE, SETTINGS, START
from worlds.memory_config import MemoryCode, MemoryConfig
from worlds.memory_forge import MemoryForge, MemoryPeople
from worlds.memory_git import COMMITS, write_commit
from worlds.memory_pipelines import MarkedPipelines, MemoryPipelines
from worlds.memory_queue import OpenQueue
from worlds.memory_rounds import check_rounds, rounds_go_on
from worlds.memory_state import MemoryCache, MemoryClock, MemoryState

from bot.config.schema import Schemas
from bot.config.settings_file import settings as read_settings
from bot.core.statefile import decode
from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note, Role
from bot.model.plan import Report
from bot.model.state import State
from bot.ports import Ports, Refused
from bot.providers.resources import schemas
from bot.reconcile import Job, plan, reconcile
from bot.settings import Settings

PASS = timedelta(minutes=1)
"""The time from one pass to the next."""

PASSES = 40
"""Passes after which a world that is not idle yet never will be."""

ROLES = {"alice": Role.OWNER, "bob": Role.DEVELOPER, "carl": Role.DEVELOPER, "saasbot": Role.OWNER}


@cache
def shipped() -> dict[str, bytes]:
    """The schemas, read once."""
    return schemas()


@cache
def settings_of(more: str) -> Settings:
    """The settings of a world, as its `saasbot.yml` says them."""
    found, findings = read_settings(SETTINGS.format(more=more).encode(), Schemas(shipped()))
    assert found is not None, findings
    return found


@dataclass
class MemoryWorld:
    """The world; `now` moves by a minute from pass to pass, and when a story says so."""

    more: str = ""
    services: tuple[str, ...] = ("svc",)
    soak: str = "24h"
    pipeline: str = ""
    first_ci: str = "none"
    now: datetime = START
    code: MemoryCode = field(default_factory=MemoryCode)
    forge: MemoryForge = field(default_factory=lambda: MemoryForge(ROLES, START))
    server: MemoryPipelines = field(default_factory=lambda: MemoryPipelines(START))
    kind: str = "asked"
    """How the server of the jobs tells what became of a start: it is `asked` by key, it is `marked`, or `unlisted`."""
    jobs: MemoryPipelines = field(default_factory=lambda: MemoryPipelines(START))
    store: MemoryState = field(default_factory=MemoryState)
    cache: MemoryCache = field(default_factory=MemoryCache)
    queue: OpenQueue = field(default_factory=OpenQueue)
    shas: list[str] = field(default_factory=list)
    """The commits that a story has made, in order."""
    begins: list[datetime] = field(default_factory=list)
    """When each step of a story began, the first one excepted."""
    began: datetime = START
    """When people were done with what they do in the present step."""

    def __post_init__(self) -> None:
        """Lay it out."""
        self.forge.ci = CiStatus(self.first_ci)
        files = {**PLAIN, "pipelines/deploy.yml": PLAIN["pipelines/deploy.yml"] + self.pipeline}
        for name in self.services:
            files |= self._service(name, self.code.commit(url_of(name), "first"))
        self.forge.heads["main"] = write_commit((), {path: text.encode() for path, text in files.items()}, "carl", "")

    def _service(self, name: str, sha: str) -> dict[str, str]:
        namespace = (
            "$schema: /namespace-1.json\nname: {0}-{1}\ncluster: {1}\nenvironment: {1}\napp: {{$ref: /{0}/app.yml}}\n"
        )
        return {
            f"{name}/app.yml": f"$schema: /app-1.json\nname: {name}\nowners: [alice]\n",
            f"{name}/stage.yml": namespace.format(name, "stage"),
            f"{name}/prod.yml": namespace.format(name, "prod"),
            f"{name}/saas.yml": SERVICE.format(name=name, url=url_of(name), sha=sha, soak=self.soak),
        }

    def freeze(self) -> bytes:
        """All of it; equal worlds give equal bytes, as a rule."""
        return pickle.dumps(self)

    @staticmethod
    def thaw(frozen: bytes) -> MemoryWorld:
        """The world that was frozen, apart from any other."""
        found = pickle.loads(frozen)  # noqa: S301 - it was made here
        assert isinstance(found, MemoryWorld)
        return found

    def ports(self) -> Ports:
        """The ports of a new process at this moment."""
        self.at(self.now)
        marked = MarkedPipelines(self.jobs, lists=self.kind == "marked")
        jobs = self.jobs if self.kind == "asked" else marked
        return Ports(
            config=MemoryConfig(self.forge),
            cache=self.cache,
            forge=self.forge,
            pipelines=lambda instance: jobs if instance.name == "jobs" else self.server,
            builds=lambda _: self.code,
            images=lambda _: self.code,
            documents=self.code,
            job_lists=self.code,
            refs=self.code,
            histories=self.code,
            state=self.store,
            clock=MemoryClock(lambda: self.now),
        )

    def job(self, ports: Ports | None = None) -> Job:
        """What a pass works with."""
        return Job(ports or self.ports(), settings_of(self.more), shipped(), place="memory")

    def one_pass(self, ports: Ports | None = None) -> Report:
        """`saasbot reconcile`."""
        return reconcile(self.job(ports))

    def plans(self) -> bool:
        """Whether a pass would do something."""
        job = self.job()
        _, report = plan(job, job.ports.config.tree(self.forge.heads["main"]))
        return bool(report.plan.actions)

    def calm(self) -> None:
        """Passes until idle, a minute apart."""
        for _ in range(PASSES):
            before = self.store.writes
            self.one_pass()
            self.check()
            if self.idle(before):
                return
            self.now += PASS
        raise AssertionError(f"not idle after {PASSES} passes")

    def idle(self, writes: int) -> bool:
        """Whether nothing was written since, and no run is in flight but those that hang."""
        if self.store.content is None or self.store.writes != writes:
            return False
        records = self.state().targets.values()
        flying = {each.id for each in records if each.run is not None and each.run.status.in_flight}
        return flying <= self.server.hanging and not rounds_go_on(self.state(), self.jobs.hanging)

    def state(self) -> State:
        """The statefile."""
        assert self.store.content is not None
        return decode(self.store.content, "memory")

    # What people do, and what the world does by itself.

    def later(self, **span: float) -> Self:
        """Let time go by."""
        self.at(self.now + timedelta(**span))
        return self

    def at(self, moment: datetime) -> None:
        """It is this time, here and at every server."""
        self.now = self.forge.now = self.server.now = self.jobs.now = moment

    def commit(self, name: str = "svc") -> str:
        """Somebody pushes a commit to a service."""
        sha = self.code.commit(url_of(name), f"change at {self.now:%d %H:%M}")
        self.shas.append(sha)
        return sha

    def push(self, files: dict[str, str], message: str = "A person's change") -> None:
        """A person pushes these files to `main`."""
        base = self.forge.heads["main"]
        changed = {path: text.encode() for path, text in files.items()}
        self.forge.heads["main"] = write_commit((base,), {**COMMITS[base].files, **changed}, "bob", message)

    def edit(self, path: str, old: str, new: str) -> None:
        """A person replaces a text in a file on `main`."""
        text = self.on_main(path)
        assert old in text
        self.push({path: text.replace(old, new)}, f"{old} -> {new}")

    def on_main(self, path: str) -> str:
        """A file as it is on `main`."""
        return COMMITS[self.forge.heads["main"]].files[path].decode()

    def builds_anew(self, url: str, name: str) -> None:
        """A server tells of a new build."""
        self.code.digests[url] = name

    def fail(self, target: str, *, fails: bool = True) -> None:
        """Let runs of a target fail, or succeed again."""
        server = self.jobs if target.startswith("job:") else self.server
        server.failing.add(target) if fails else server.failing.discard(target)

    def hang(self, target: str, *, hangs: bool = True) -> None:
        """Let runs of a target never end, or end again."""
        server = self.jobs if target.startswith("job:") else self.server
        server.hanging.add(target) if hangs else server.hanging.discard(target)

    def comes_to_an_end(self, target: str) -> None:
        """What hangs of a job is over, and well."""
        self.hang(target, hangs=False)
        self.jobs.end(target)

    def builds(self, job: str) -> None:
        """A job has built the newest commit."""
        self.code.succeed(job, self.shas[-1], self.now)

    def pushes_image(self, repository: str, digest: str) -> None:
        """Somebody pushes an image of the newest commit."""
        self.code.digests[f"{repository}:{self.shas[-1][:7]}"] = digest

    def proposes(self, files: dict[str, str]) -> None:
        """A person opens a merge request that changes these files."""
        base = self.forge.heads["main"]
        changed = {path: text.encode() for path, text in files.items()}
        self.forge.heads["bob/change"] = write_commit((base,), {**COMMITS[base].files, **changed}, "bob", "A change")
        self.forge.opened("bob", "bob/change", "A change", "")

    @property
    def people(self) -> MemoryPeople:
        """The humans."""
        return MemoryPeople(self.forge)

    def comment(self, user: str, text: str, iid: int = 0) -> Note:
        """A person comments on the only open merge request, or another one."""
        return self.people.comment_as(user, iid or self.the_merge_request().iid, text)

    def merge(self, iid: int = 0, by: str = "alice") -> None:
        """A person merges the only open merge request, or another one."""
        assert not isinstance(self.people.merge_as(by, iid or self.the_merge_request().iid), Refused)

    def close(self, iid: int = 0, by: str = "bob") -> None:
        """A person closes the only open merge request, or another one."""
        self.people.close_as(by, iid or self.the_merge_request().iid)

    def says_ci(self, word: str, iid: int = 0) -> None:
        """What the CI says of the only open merge request, or another one."""
        assert not isinstance(self.people.set_ci(iid or self.the_merge_request().iid, CiStatus(word)), Refused)

    # What is to be seen.

    def merge_requests(self, *, state: str = "opened") -> list[MergeRequest]:
        """The merge requests in a state."""
        return [each for each in self.people.list_all() if each.state == state]

    def the_merge_request(self) -> MergeRequest:
        """The only open one."""
        (found,) = self.merge_requests()
        return found

    def runs(self) -> list[tuple[str, str, str]]:
        """(target, sha, action) of all that ever ran, in order."""
        return [(each.target, each.sha, each.action) for each in self.server.executions]

    def ref(self, name: str = "svc") -> str:
        """The ref of production on `main`."""
        lines = self.on_main(f"{name}/saas.yml").splitlines()
        return next(line.split()[1] for line in lines if line.startswith("    ref: ") and line.split()[1] != "main")

    def check(self) -> None:
        """What holds at any moment."""
        keys = [each.key for each in self.server.executions]
        assert len(keys) == len(set(keys)), f"a run key was started twice: {self.server.executions}"
        check_rounds(self.jobs.executions, self.begins)
        seen: set[str] = set()
        for each in self.people.list_all():
            own = [note for note in each.notes if note.author == "saasbot"]
            assert sum("saasbot:report" in note.body for note in own) <= 1, f"two reports on !{each.iid}"
            answers = [note.body.partition("<!-- saasbot:answer ")[2] for note in own]
            told = [answer for answer in answers if answer]
            assert len(told) == len(set(told)), f"a command was answered twice on !{each.iid}"
            if each.state is MergeRequestStatus.OPENED and each.source_branch.startswith("saasbot/"):
                files = {change.path for change in self.forge.diff(each).changes}
                assert not seen & files, f"two open merge requests touch {seen & files}"
                seen |= files


def url_of(name: str) -> str:
    """The code repository of a service."""
    return f"https://code.example.com/{name}"
