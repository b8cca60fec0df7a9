"""Metrics: what the statefile says, what a pass did and what the queue holds, as OpenMetrics text.

All are gauges, so that what reads Prometheus' older text format (the node exporter's textfile folder) reads them too.
No label has a value that a person or a server made up: there are as many series as there are words in the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from bot import __version__
from bot.model.plan import ACTION_KINDS, Gate, OutcomeStatus, Report
from bot.model.rounds import Result
from bot.model.runs import RunStatus
from bot.model.state import State
from bot.model.work import QueueItem

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""What the text is over HTTP."""

NO_RUN = "none"
"""The status of a target, or the result of a definition, that has not run yet."""

RUNS = (*RunStatus, NO_RUN)
ROUNDS = (*Result, NO_RUN)
PLACES = ("due", "waiting", "taken", "dead")

Samples = Mapping[tuple[tuple[str, str], ...], float]
"""By labels, each with its value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its samples; `unit` is the end of its name, or empty where it counts things."""

    name: str
    help: str
    samples: Samples
    unit: str = ""


def metrics_text(
    now: datetime,
    state: State | None,
    *,
    size: int = 0,
    report: Report | None = None,
    took: timedelta | None = None,
    queue: Sequence[QueueItem] | None = None,
    heartbeat: timedelta | None = None,
) -> str:
    """Write all that is known at `now`; what is not known (None) has no series.

    `size` is the statefile's in bytes. `took` says that a pass, or a look at one subject, has just ended, and how long
    that was; `report` is what it did. Without `took` it is a plan, of which only is told what it holds. `heartbeat` is
    the longest silence of the dashboard.
    """
    families = [Family("saasbot_build_info", "The version that wrote this, always 1.", _one(1, version=__version__))]
    families += _of_state(state, size) if state is not None else ()
    families += _of_plan(report) if report is not None else ()
    families += [_of_actions(report)] if report is not None and took is not None else ()
    families += _of_end(report.now if report is not None else now, took) if took is not None else ()
    families += _of_queue(queue, now) if queue is not None else ()
    families += [_seconds("heartbeat_interval", "Longest silence of the dashboard.", heartbeat)] if heartbeat else ()
    return "".join(map(_written, families)) + "# EOF\n"


def _of_state(state: State, size: int) -> Iterable[Family]:
    present = [each for each in state.targets.values() if each.removed_at is None]
    targets = Counter(NO_RUN if each.run is None else each.run.status.value for each in present)
    rounds = Counter(NO_RUN if each.round is None else each.round.result.value for each in state.triggers.values())
    begun = (each.round for each in state.triggers.values() if each.round is not None)
    jobs = sum(job.in_flight for each in begun for job in each.jobs)
    in_flight = {"target": sum(targets[status.value] for status in RunStatus if status.in_flight), "job": jobs}
    yield _counted("saasbot_targets", "Targets by the status of their last run.", "run_status", RUNS, targets)
    yield _counted("saasbot_runs_in_flight", "Runs that are pending or running.", "of", ("target", "job"), in_flight)
    yield _counted(
        "saasbot_trigger_definitions", "Trigger definitions by the result of their last round.", "round", ROUNDS, rounds
    )
    open_ones = sum(not each.merged for each in state.merge_requests.values())
    yield Family("saasbot_merge_requests_open", "Open merge requests of the bot.", _one(open_ones))
    yield Family("saasbot_attention_subjects", "Subjects that wait for a person.", _one(len(state.attention)))
    yield Family("saasbot_statefile_serial", "How often the statefile was written.", _one(state.serial))
    if size:
        yield Family("saasbot_statefile_size_bytes", "Size of the statefile, not compressed.", _one(size), "bytes")
    if state.time is not None:
        yield _timestamp("saasbot_statefile_written", "When the statefile was written last.", state.time)


def _of_plan(report: Report) -> Iterable[Family]:
    held = Counter(each.gate.value for each in report.plan.held)
    yield _counted("saasbot_held", "What is not done, by the gate that holds it.", "gate", tuple(Gate), held)
    yield Family("saasbot_invalid_files", "Files of the config that have an error.", _one(len(report.invalid)))
    if report.plan.next_due is not None:
        yield _timestamp("saasbot_next_due", "When something is due next.", report.plan.next_due)


def _of_actions(report: Report) -> Family:
    pairs = zip(report.plan.actions, report.outcomes, strict=True)
    done = Counter((ACTION_KINDS[type(action)], outcome.status.value) for action, outcome in pairs)
    kinds = dict.fromkeys(ACTION_KINDS.values())
    samples: Samples = {
        (("kind", kind), ("outcome", outcome.value)): float(done[kind, outcome.value])
        for kind, outcome in product(kinds, OutcomeStatus)
    }
    return Family("saasbot_actions", "Actions of the last pass by kind and outcome.", samples)


def _of_end(at: datetime, took: timedelta) -> Iterable[Family]:
    yield _timestamp("saasbot_last_pass", "The moment of the last pass, or look, that came to its end.", at)
    yield _seconds("pass_duration", "How long the last pass took.", took)


def _of_queue(queue: Sequence[QueueItem], now: datetime) -> Iterable[Family]:
    states = Counter(_place(item, now) for item in queue)
    waits = [now - item.at for item in queue if _place(item, now) == "due"]
    yield _counted("saasbot_queue_items", "Subjects in the work queue.", "state", PLACES, states)
    yield _seconds("queue_oldest_due", "How long the oldest due subject has waited.", max(waits, default=timedelta()))


def _place(item: QueueItem, now: datetime) -> str:
    if item.dead:
        return "dead"
    if item.taken:
        return "taken"
    return "due" if item.at <= now else "waiting"


def _counted(name: str, text: str, label: str, words: Iterable[str], counts: Mapping[str, int]) -> Family:
    """A metric with one series a word, those that count nothing included: a series that is not there cannot alert."""
    return Family(name, text, {((label, str(word)),): float(counts.get(str(word), 0)) for word in words})


def _one(value: float, **labels: str) -> Samples:
    return {tuple(labels.items()): float(value)}


def _seconds(name: str, text: str, length: timedelta) -> Family:
    return Family(f"saasbot_{name}_seconds", text, _one(length.total_seconds()), "seconds")


def _timestamp(name: str, text: str, at: datetime) -> Family:
    return Family(f"{name}_timestamp_seconds", text, _one(at.timestamp()), "seconds")


def _written(family: Family) -> str:
    lines = [f"# TYPE {family.name} gauge"]
    lines += [f"# UNIT {family.name} {family.unit}"] if family.unit else []
    lines.append(f"# HELP {family.name} {family.help}")
    lines += [f"{family.name}{_labels(labels)} {value:.16g}" for labels, value in family.samples.items()]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    written = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{written}}}" if written else ""
