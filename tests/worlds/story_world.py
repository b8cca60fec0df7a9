"""A world with the real local forge, git and programs in which the stories of the faults are told as well."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from worlds.line_world import DEPLOY
from worlds.memory_config import MemoryCode
from worlds.world import World

from bot.model.observed import CiStatus
from bot.reconcile import Job, reconcile

HANGS = 'if [ -e "{hangs}/$(echo "$SAASBOT_TARGET" | tr / _)" ]; then sleep 60; fi\n'

ALLOWED = 40
"""Passes after which a world that is not idle yet never will be."""


@dataclass
class StoryWorld(World):
    """The verbs of `worlds.memory_world.MemoryWorld`, for real; builds and images are still in memory."""

    pipeline: str = ""
    first_ci: str = "none"
    shas: list[str] = field(default_factory=list)
    sources: MemoryCode = field(default_factory=MemoryCode)

    def __post_init__(self) -> None:
        """Lay it out, with programs that can hang."""
        super().__post_init__()
        (self.root / "hangs").mkdir()
        words = {"log": self.root / "log", "fails": self.root / "fails"}
        hangs = HANGS.format(hangs=self.root / "hangs")
        pipeline = self.on_main("pipelines/deploy.yml") + self.pipeline
        self.push({"deploy.sh": DEPLOY.format(**words) + hangs, "pipelines/deploy.yml": pipeline})

    def job(self, **more: Any) -> Job:
        """With the builds and images of the story."""
        job = super().job(**more)
        ports = replace(job.ports, builds=lambda _: self.sources, images=lambda _: self.sources)
        return replace(job, ports=ports)

    def calm(self) -> None:
        """Passes until idle; the CI of a merge request begins as soon as it is there."""
        for _ in range(ALLOWED):
            job = self.job()
            report = reconcile(job)
            for each in self.merge_requests():
                if self.first_ci != "none" and each.ci is CiStatus.NONE:
                    self.granted(self.people.set_ci(each.iid, CiStatus(self.first_ci)))
            flying = [each.id for each in self.state().targets.values() if each.run and each.run.status.in_flight]
            if not report.plan.actions and not [each for each in flying if not self._hangs(each).exists()]:
                return
            if flying:
                job.ports.clock.sleep(0.05)
        raise AssertionError(f"not idle after {ALLOWED} passes")

    def commit(self, name: str = "svc") -> str:
        """Somebody pushes a commit to a service."""
        self.shas.append(super().commit(name))
        return self.shas[-1]

    def hang(self, target: str, *, hangs: bool = True) -> None:
        """Let runs of a target never end, or end again."""
        mark = self._hangs(target)
        mark.touch() if hangs else mark.unlink()

    def _hangs(self, target: str) -> Any:
        return self.root / "hangs" / target.replace("/", "_")

    def builds(self, job: str) -> None:
        """A job has built the newest commit."""
        self.sources.succeed(job, self.shas[-1], self.now)

    def pushes_image(self, repository: str, digest: str) -> None:
        """Somebody pushes an image of the newest commit."""
        self.sources.digests[f"{repository}:{self.shas[-1][:7]}"] = digest

    def comment(self, user: str, text: str, iid: int = 0) -> Any:
        """A person comments on the only open merge request, or another one."""
        self.granted(self.people.comment_as(user, iid or self.the_merge_request().iid, text))

    def merge(self, iid: int = 0, by: str = "alice") -> None:
        """A person merges the only open merge request, or another one."""
        super().merge(iid or self.the_merge_request().iid, by)

    def close(self, iid: int = 0, by: str = "bob") -> None:
        """A person closes the only open merge request, or another one."""
        super().close(iid or self.the_merge_request().iid, by)

    def says_ci(self, word: str, iid: int = 0) -> None:
        """What the CI says of the only open merge request, or another one."""
        self.granted(self.people.set_ci(iid or self.the_merge_request().iid, CiStatus(word)))
