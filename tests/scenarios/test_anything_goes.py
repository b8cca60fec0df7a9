"""People, CIs and commits in any order: whatever happens, the promises of the line hold after each pass."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from worlds.line_world import broken, document
from worlds.world import NewWorld, World

from bot.model.observed import MergeRequest
from bot.providers.git import git

STEPS = int(os.environ.get("SAASBOT_STEPS", "25"))
"""Things that happen in one world."""

SEEDS = range(int(os.environ.get("SAASBOT_SEEDS", "2")))
"""Worlds."""

NAMES = ("a", "b", "c")
BATCHES = ("file", "all, maxBatch: 2", "all", "app", "channel")
MERGES = ("never", "when_pipeline_succeeds", "when_approved")


class Chaos:
    """One seeded course of events."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.failing: set[str] = set()
        self.told: list[str] = []

    def step(self) -> None:
        """Let one thing happen."""
        happens: Callable[[], str] = self.chance.choice([
            self.commits, self.commits, self.commits, self.time_goes_by, self.time_goes_by, self.fails, self.comments,
            self.says, self.merges, self.merges, self.closes, self.ci, self.approves, self.edits, self.conflicts,
            self.commits_on_a_branch, self.reverts,
        ])  # fmt: skip
        self.told.append(happens())

    def one(self) -> MergeRequest | None:
        found = self.world.merge_requests()
        return self.chance.choice(found) if found else None

    def target(self) -> str:
        name = self.chance.choice(NAMES)
        return f"{name}/{name}/{self.chance.choice(['stage', 'prod'])}"

    def commits(self) -> str:
        name = self.chance.choice(NAMES)
        return f"{name} commits {self.world.commit(name)[:7]}"

    def time_goes_by(self) -> str:
        minutes = self.chance.choice([5, 61, 300])
        self.world.later(minutes=minutes)
        return f"{minutes} minutes"

    def fails(self) -> str:
        target = self.target()
        self.world.fail(target, fails=target not in self.failing)
        self.failing ^= {target}
        return f"{target} {'fails' if target in self.failing else 'is mended'}"

    def comments(self) -> str:
        found = self.one()
        user = self.chance.choice(["alice", "alice", "bob", "mallory"])
        verb = self.chance.choice([
            "hold", "unhold", "split", "group", "ignore", "regenerate", "regenerate --discard-edits", "retry", "status",
            "nonsense", 'override soak reason="x"', "explain", "cancel", "pin", "unpin", "plan", "help", "refresh",
        ])  # fmt: skip
        if found is not None:
            self.world.granted(self.world.people.comment_as(user, found.iid, f"/saasbot {verb}"))
        return f"{user} on !{found.iid if found else '-'}: {verb}"

    def says(self) -> str:
        target = self.target()
        text = self.chance.choice([
            f"promote {target}", f"rollback {target}", f"pin {target}", f"unpin {target}", f"retry {target}",
            'freeze environment:prod 2h reason="x"', "unfreeze environment:prod",
            f'override published {target} reason="x"',
        ])  # fmt: skip
        self.world.reconcile(("alice", text))
        return f"alice says {text}"

    def merges(self) -> str:
        found = self.one()
        if found is not None:
            self.world.people.merge_as("alice", found.iid)
        return f"merge of !{found.iid if found else '-'}"

    def closes(self) -> str:
        found = self.one()
        if found is not None and self.chance.random() < 0.5:
            self.world.close(found.iid)
        return f"close of !{found.iid if found else '-'}"

    def ci(self) -> str:
        found = self.one()
        word = self.chance.choice(["running", "success", "failed"])
        if found is not None:
            self.world.ci(word, found.iid)
        return f"CI of !{found.iid if found else '-'}: {word}"

    def approves(self) -> str:
        found = self.one()
        if found is not None:
            self.world.approve(found.iid)
        return f"approval of !{found.iid if found else '-'}"

    def edits(self) -> str:
        name = self.chance.choice(NAMES)
        old = "debug" if "LEVEL: debug" in self.world.on_main(f"{name}/saas.yml") else "info"
        new = "info" if old == "debug" else "debug"
        self.world.edit(f"{name}/saas.yml", f"LEVEL: {old}", f"LEVEL: {new}")
        return f"{name} is configured with {new}"

    def conflicts(self) -> str:
        name = self.chance.choice(NAMES)
        ref = f"ref: {self.world.ref(name)}"
        self.world.edit(f"{name}/saas.yml", ref, f"{ref} # {len(self.told)}")
        return f"{name}'s ref gets a comment"

    def commits_on_a_branch(self) -> str:
        found = self.one()
        if found is not None and self.chance.random() < 0.4:
            files = {f"notes/{len(self.told)}": "by hand\n"}
            self.world.on_branch(found.source_branch, files, start=found.source_branch)
            return f"bob commits on !{found.iid}"
        return "nothing"

    def reverts(self) -> str:
        name = self.chance.choice(NAMES)
        old = git(self.world.folders.service(name), "rev-list", "--max-parents=0", "main").decode().strip()
        ref = self.world.ref(name)
        if ref != old:
            self.world.edit(f"{name}/saas.yml", f"ref: {ref}", f"ref: {old}")
        return f"{name} is set back by hand"

    def all_is_well(self) -> dict[str, str]:
        """Everything is mended and let go, and each service gets a last commit; returns those."""
        for target in self.failing:
            self.world.fail(target, fails=False)
        for name in NAMES:
            self.world.reconcile(("alice", f"unpin {name}/{name}/stage"), ("alice", f"unpin {name}/{name}/prod"))
        self.world.reconcile(("alice", "unfreeze environment:prod"))
        for each in self.world.merge_requests():
            self.world.people.comment_as("alice", each.iid, "/saasbot unhold")
            self.world.people.comment_as("alice", each.iid, "/saasbot regenerate --discard-edits")
        shas = {name: self.world.commit(name) for name in NAMES}
        for _ in range(6):
            self.world.later(hours=2).reconcile()
            for each in self.world.merge_requests():
                self.world.ci("success", each.iid)
                self.world.people.merge_as("alice", each.iid)
        self.world.reconcile()
        return shas


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_promises_hold(new_world: NewWorld, seed: int) -> None:
    chance = random.Random(f"anything {seed}")  # noqa: S311 - no secret, the same events each time
    settings = f"promotions: {{batchBy: {chance.choice(BATCHES)}, merge: {chance.choice(MERGES)}}}\n"
    world = new_world(services=NAMES, soak="1h", more=settings)
    world.reconcile()
    chaos = Chaos(world, chance)
    for _ in range(STEPS):
        chaos.step()
        story = "\n".join((settings, *chaos.told))
        report = world.reconcile()
        assert broken(report) == [], story
        assert world.runs() is not None, story
        again = document(world.reconcile())
        assert again["actions"] == [], f"{story}\n{again}"
    shas = chaos.all_is_well()
    story = "\n".join((settings, *chaos.told))
    deployed = {name: world.state().targets[f"{name}/{name}/prod"].deployed_sha for name in NAMES}
    assert deployed == shas, f"{story}\n{world.plan().plan.held}"
