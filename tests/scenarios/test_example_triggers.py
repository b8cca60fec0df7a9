"""The trigger definitions of the example: planned without any server, and never started by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.cli.session import Session
from bot.model.triggers import IsoWeek
from bot.providers.demo_world import lay_out
from bot.reconcile import plan, reconcile

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
YEAR = timedelta(days=365)


def test_the_examples_definitions_are_planned_without_a_server(tmp_path: Path) -> None:
    """Their servers do not exist: a question to one of them would show as something that is held."""
    world = lay_out(tmp_path / "demo", NOW - timedelta(days=7))
    reconcile(Session(world.config, NOW).job(writes=True))
    job = Session(world.config, NOW + YEAR).job(writes=False)
    context, report = plan(job, job.ports.config.working_tree())
    subjects = [each.subject for each in (*report.plan.actions, *report.plan.held)]
    assert [each for each in subjects if each.startswith(("trigger:", "job:"))] == []
    triggers = context.desired.triggers
    assert {name: len(each.jobs) for name, each in triggers.items()} == {"interop": 3, "people": 3, "release": 3}
    assert all(each.read and each.command and each.owners for each in triggers.values())
    assert [(each.active, each.conditions) for each in triggers["interop"].jobs] == [
        (True, ()),
        (False, ()),
        (True, (IsoWeek(2, 1),)),
    ]
    assert [stage.name for stage in triggers["release"].stages] == ["set 0", "set 1", "set 2"]
