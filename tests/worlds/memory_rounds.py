"""What holds at any moment of the rounds of trigger definitions, and what is to be seen of them.

Stories name their jobs after the stage that they are in: `1-common` runs before `2-portal`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import combinations
from typing import Any

from worlds.memory_pipelines import Execution

from bot.model.rounds import Result, Round, TriggerState
from bot.model.runs import RunStatus
from bot.model.state import State


def stage_of(each: Execution) -> tuple[str, int]:
    """The definition and the stage that an execution belongs to."""
    trigger, _, job = each.target.removeprefix("job:").partition("/")
    return trigger, int(job.partition("-")[0])


def check_rounds(executions: Iterable[Execution], begins: Sequence[datetime]) -> None:
    """Each job ran once in a step of the story at most, its stages one after another, and none after one that failed.

    A step has one slot, or one start by hand, at most.
    """
    steps: dict[tuple[int, str], list[Execution]] = {}
    for each in executions:
        steps.setdefault((bisect_right(begins, each.began), stage_of(each)[0]), []).append(each)
    for found in steps.values():
        names = [each.target for each in found]
        assert len(names) == len(set(names)), f"a job ran twice for the same slot: {found}"
        for one, other in combinations(sorted(found, key=stage_of), 2):
            if stage_of(one) != stage_of(other):
                assert one.ends is not None, f"{one.target} still runs: {other.target} was started"
                assert one.ends <= other.began, f"{other.target} began before {one.target} was over"
                assert one.status is RunStatus.SUCCEEDED, f"{one.target} failed, and {other.target} was started"


def rounds_go_on(state: State, hanging: set[str]) -> bool:
    """Whether a round is not over, or a start that was asked for has not begun; runs that hang count for nothing."""
    rounds = [each.round for each in state.triggers.values() if each.round is not None]
    flying = {f"job:{name}/{job.name}" for name, each in _rounds(state) for job in each.jobs if job.in_flight}
    running = any(each.result is Result.RUNNING for each in rounds) and not flying & hanging
    return bool(running or flying - hanging or state.trigger_requests)


def given_up(state: State) -> bool:
    """Whether a round ended because its builds or its server could not be asked: then its slot is over, as it says."""
    rounds = [each for _, each in _rounds(state)]
    return any(each.result is Result.ERROR and each.text.startswith("nothing was started: ") for each in rounds)


def _rounds(state: State) -> Iterable[tuple[str, Round]]:
    return ((name, each.round) for name, each in state.triggers.items() if each.round is not None)


def rounds_seen(record: TriggerState) -> dict[str, Any]:
    """A record without what a recovery may well do otherwise: how often a start was tried, and under which run key.

    A server that can be asked starts the same job once all the same; `check_rounds` sees to that.
    """
    found: dict[str, Any] = {
        "checked": record.checked_at.isoformat(),
        "rounds": record.rounds,
        "succeeded": {name: at.isoformat() for name, at in record.succeeded.items()},
        "builds": dict(record.builds),
        "released": dict(record.released),
        "turned down": record.turned_down,
        "removed": record.removed_at is not None,
    }
    if record.round is not None:
        jobs = {each.name: (each.stage, each.batch, str(each.status), each.version) for each in record.round.jobs}
        runs = {each.name: str(each.run.status) for each in record.round.jobs if each.run is not None}
        given = (record.round.number, str(record.round.result), record.round.text, record.round.stage)
        found["round"] = {"told": given, "jobs": jobs, "runs": runs, "reasons": [r.text for r in record.round.reasons]}
    return found
