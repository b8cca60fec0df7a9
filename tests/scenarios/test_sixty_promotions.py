"""Sixty promotions while people merge into the same files at random: nothing conflicts for long, nothing is lost.

By default the story is short, and there are fewer services at the servers. `SAASBOT_STEPS` sets the number of steps (a
thousand take three to eight minutes) and brings all twelve services everywhere, `SAASBOT_SEED` tells another story. The
last line of a run says how often the bot pushed, which is how many CI runs it caused:
`pytest -rP tests/scenarios/test_sixty_promotions.py`.
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from worlds.forge_world import FORGES, TOKEN, Forge, ForgeWorld, served
from worlds.line_world import SERVICE, broken

from bot.model.observed import MergeRequest
from bot.providers.git import GitError, git

SERVICES = tuple(f"s{number:02}" for number in range(12))
TARGETS = 5
STEPS = {"local": 40, "gitlab": 15, "github": 15}
FEW = 4
"""Services at a server by default: twenty promotions there, sixty at the local forge."""

SEED = int(os.environ.get("SAASBOT_SEED", "7"))


@dataclass
class Crowd(ForgeWorld):
    """Twelve SaaS files with five subscribers each, and people who cannot leave them alone."""

    heads: dict[str, str] = field(default_factory=dict)
    pushes: int = 0
    passes: int = 0
    waiting: list[str] = field(default_factory=list)
    count: int = 0

    def service_files(self, name: str, sha: str) -> dict[str, str]:
        """The data files of one service, with more production targets."""
        found = super().service_files(name, sha)
        head, _, prod = SERVICE.format(name=name, url=self.folders.service(name), sha=sha, soak=self.soak).partition(
            "  - name: prod\n"
        )
        more = "".join(f"  - name: prod-{number}\n{prod}" for number in range(TARGETS))
        return found | {f"{name}/saas.yml": head + more}

    def file(self, dice: random.Random) -> tuple[str, str]:
        """Some SaaS file and its text on `main`."""
        path = f"{dice.choice(self.services)}/saas.yml"
        return path, self.on_main(path)

    def scribble(self, dice: random.Random, text: str) -> str:
        """The text with one line of a person in it: beside a ref, in a parameter, or anywhere."""
        self.count += 1
        lines = text.splitlines()
        refs = [number for number, line in enumerate(lines) if line.startswith("    ref: ")]
        number = dice.choice(refs)
        kind = dice.randrange(3)
        if kind == 0:
            lines[number] = f"{lines[number].partition('  #')[0]}  # note {self.count}"
        elif kind == 1:
            lines.insert(number, f"    # remark {self.count}")
        else:
            lines.insert(dice.randrange(1, 4), f"# heading {self.count}")
        return "\n".join(lines) + "\n"

    def branch_off(self, dice: random.Random) -> None:
        """A person prepares a change on a branch of their own, to be merged when it is already old."""
        path, text = self.file(dice)
        name = f"people/{self.count}"
        self.on_branch(name, {path: self.scribble(dice, text)})
        self.waiting.append(name)

    def merge_branch(self, dice: random.Random) -> None:
        """A person merges a branch that may be old; one that conflicts is thrown away."""
        if not self.waiting:
            return
        name = self.waiting.pop(dice.randrange(len(self.waiting)))
        checkout = self.folders.person("bob")
        git(checkout, "fetch", "--quiet", "origin")
        git(checkout, "checkout", "--quiet", "-B", "main", "origin/main")
        who = ("-c", "user.name=bob", "-c", "user.email=bob@localhost")
        try:
            git(checkout, *who, "merge", "--quiet", "--no-edit", f"origin/{name}")
        except GitError:
            git(checkout, "merge", "--abort")
            return
        git(checkout, "push", "--quiet", "origin", "HEAD:refs/heads/main")

    def own(self) -> list[MergeRequest]:
        """The bot's open merge requests."""
        return [each for each in self.merge_requests() if each.source_branch.startswith("saasbot/")]

    def check(self) -> None:
        """What holds at any moment, looked at after every tenth pass: it asks git about every merge request."""
        self.passes += 1
        if self.passes % 10 == 0:
            super().check()

    def pass_and_check(self) -> None:
        """A pass, after which nothing conflicts, nothing is double, and every push has changed something."""
        before = {each.source_branch: each for each in self.own()}
        report = self.reconcile()
        assert broken(report) == []
        after = self.own()
        assert [each.source_branch for each in after if each.has_conflicts] == [], "in conflict after a pass"
        assert len({each.source_branch for each in after}) == len(after), "one merge request a branch"
        for each in after:
            old = before.get(each.source_branch)
            if old is None or old.head_sha != each.head_sha:
                self.pushes += 1
            if old is not None and old.iid == each.iid and old.head_sha != each.head_sha and not old.has_conflicts:
                assert self.change(old.head_sha) != self.change(each.head_sha), "a push that changes nothing"

    def change(self, head: str) -> bytes:
        """What a head changes, without its place."""
        repo = self.folders.forge / "config.git"
        base = git(repo, "merge-base", "main", head).decode().strip()
        return b"\n".join(
            line
            for line in git(repo, "diff", "--unified=0", base, head).splitlines()
            if line[:1] in (b"+", b"-") and line[:3] not in (b"+++", b"---")
        )

    def step(self, dice: random.Random) -> None:
        """Somebody does something."""
        match dice.choices(
            ("pass", "edit", "branch", "merge branch", "commit", "merge", "ci", "time"), (30, 16, 12, 10, 6, 10, 6, 10)
        )[0]:
            case "pass":
                self.pass_and_check()
            case "edit":
                path, text = self.file(dice)
                self.on_branch("main", {path: self.scribble(dice, text)})
            case "branch":
                self.branch_off(dice)
            case "merge branch":
                self.merge_branch(dice)
            case "commit":
                self.commit(dice.choice(self.services))
            case "merge":
                free = [each for each in self.own() if not each.has_conflicts and each.ci != "failed"]
                if free:
                    self.merge(dice.choice(free).iid)
            case "ci":
                found = self.own()
                if found:
                    self.ci(dice.choice(["running", "success"]), dice.choice(found).iid)
            case _:
                self.later(minutes=dice.choice([1, 10, 40]))


@pytest.mark.parametrize("kind", FORGES)
def test_sixty_promotions_in_a_crowd(kind: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    steps = int(os.environ.get("SAASBOT_STEPS", STEPS[kind]))
    services = SERVICES if "SAASBOT_STEPS" in os.environ or kind == "local" else SERVICES[:FEW]
    dice = random.Random(SEED)  # noqa: S311 - a story that can be told again
    with served(Crowd(tmp_path / "world", kind=kind, services=services, soak="30m", more=MORE)) as world:
        world.reconcile()
        for name in services:
            world.commit(name)
        for _ in range(steps):
            world.step(dice)
        for _ in range(6):
            world.later(hours=1).pass_and_check()
            for each in world.own():
                world.ci("success", each.iid)
                world.merge(each.iid)
        world.reconcile()
        newest = {name: git(world.folders.service(name), "rev-parse", "main").decode().strip() for name in services}
        lost = [
            record.id
            for record in world.state().targets.values()
            if "prod" in record.id and record.deployed_sha != newest[record.id.split("/")[0]]
        ]
        assert lost == [], "every promotion has arrived"
        production = [run for run in world.runs() if "prod" in run[0]]
        assert len(production) >= len(services) * TARGETS
        told = f"{len(production)} promotions deployed, {world.pushes} pushes and CI runs"
        sys.stdout.write(f"{kind}: {steps} steps, {told}\n")


MORE = "promotions: {maxOpen: 60}\nruns: {maxStarts: 500, maxInFlight: 500}\n"
