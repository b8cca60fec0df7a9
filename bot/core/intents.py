"""Intents: the moment from which a server may be asked whether a run has come about.

A pass reads the clock once, before it looks at the world; looking may take minutes. What is intended is therefore dated
when it is saved: a run that no server knows yet must not look as if it had been asked for long ago.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.model.plan import Action, Plan, StartJob, StartRun
from bot.model.rounds import Round
from bot.model.runs import Run
from bot.model.state import State


def dated(plan: Plan, at: datetime) -> Plan:
    """The plan with every start intended at this moment, in its actions and on record."""
    starts = [action for action in plan.actions if isinstance(action, StartRun | StartJob)]
    runs = {action.run.key: replace(action.run, intent_at=at) for action in starts}
    if not runs:
        return plan
    actions = tuple(_dated(action, runs) for action in plan.actions)
    return replace(plan, actions=actions, record=_recorded(plan.record, runs) if plan.record is not None else None)


def _dated(action: Action, runs: dict[str, Run]) -> Action:
    return replace(action, run=runs[action.run.key]) if isinstance(action, StartRun | StartJob) else action


def _recorded(state: State, runs: dict[str, Run]) -> State:
    targets = {
        name: replace(record, run=runs[record.run.key])
        for name, record in state.targets.items()
        if record.run is not None and record.run.key in runs
    }
    triggers = {
        name: replace(record, round=_jobs(record.round, runs))
        for name, record in state.triggers.items()
        if record.round is not None
    }
    return replace(state, targets={**state.targets, **targets}, triggers={**state.triggers, **triggers})


def _jobs(present: Round, runs: dict[str, Run]) -> Round:
    jobs = tuple(
        replace(job, run=runs[job.run.key]) if job.run is not None and job.run.key in runs else job
        for job in present.jobs
    )
    return replace(present, jobs=jobs)
