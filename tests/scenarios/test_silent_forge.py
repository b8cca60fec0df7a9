"""A forge that stops answering in the middle of a pass: it is not waited for fifty times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from worlds.line_world import kinds
from worlds.world import NewWorld

from bot.act import PATIENCE
from bot.errors import ServerUnreachable

SERVICES = ("a", "b", "c", "d", "e")


class Silent:
    """A forge that answers questions and no write."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        """Give questions through."""
        return getattr(self.inner, name)

    def push(self, _commit: object) -> str:
        """No answer."""
        self.asked += 1
        raise ServerUnreachable("the forge: push: no answer within 30 s", hint="try later")


def test_after_a_few_actions_the_rest_waits_for_the_next_pass(new_world: NewWorld) -> None:
    world = new_world(services=SERVICES, soak="1h")
    world.reconcile()
    for name in SERVICES:
        world.commit(name)
    world.reconcile()
    job = world.later(hours=2).job()
    silent = Silent(job.ports.forge)
    report = world.one_pass(replace(job, ports=replace(job.ports, forge=silent)))  # type: ignore[arg-type] # by name
    assert silent.asked == PATIENCE
    statuses = [outcome.status.value for outcome in report.outcomes]
    assert statuses.count("failed") == PATIENCE
    assert set(statuses[PATIENCE:]) == {"skipped"}
    assert kinds(world.reconcile()) == ["open_merge_request"] * len(SERVICES), "nothing was lost"
