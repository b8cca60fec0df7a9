"""Metrics: a text that OpenMetrics' own parser reads, with as many series as there are words and no more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from page_values import NOW, SHA, ago, later, record, run, trigger_row
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as older_families

from bot.model.plan import ACTION_KINDS, FollowRun, Gate, Held, Outcome, OutcomeStatus, Plan, Report, StartRun
from bot.model.rounds import Result, TriggerState
from bot.model.runs import RunStatus
from bot.model.servers import Instance, Pipeline
from bot.model.state import Flag, MergeRequestState, State
from bot.model.work import QueueItem
from bot.render.metrics import metrics_text

HOUR = timedelta(hours=1)
RUN = run(RunStatus.RUNNING)


def rounds(*results: Result) -> dict[str, TriggerState]:
    found = {f"t{number}": trigger_row(f"t{number}", result).record for number, result in enumerate(results)}
    return {"new": TriggerState("new", NOW), **{name: each for name, each in found.items() if each is not None}}


STATE = State(
    serial=42,
    time=ago(minutes=7),
    targets={
        "a/a/a": record("a/a/a", run(RunStatus.SUCCEEDED)),
        "a/a/b": record("a/a/b", RUN),
        "a/a/c": record("a/a/c"),
        "a/a/d": record("a/a/d", run(RunStatus.FAILED), removed_at=NOW),
    },
    triggers=rounds(Result.RUNNING, Result.ERROR),
    merge_requests={
        "x": MergeRequestState("x", 1, "x", 1, (), SHA, SHA),
        "y": MergeRequestState("y", 2, "y", 1, (), SHA, SHA, merged=True),
    },
    attention={"target:a/a/c": Flag("look", NOW)},
)
START = StartRun("target:a/a/a", "a/a/a", RUN, Pipeline("p", Instance("i", "command")), {}, ())
REPORT = Report(
    SHA,
    NOW,
    Plan(
        (START, FollowRun("target:a/a/b", "a/a/b", RUN, ())),
        (Held("x", Gate.SOAK, ""), Held("y", Gate.SOAK, "")),
        later(hours=1),
    ),
    (Outcome(OutcomeStatus.REFUSED), Outcome(OutcomeStatus.DONE)),
    {"bad.yml": "x"},
)
QUEUE = (
    QueueItem("a", ago(hours=2)),
    QueueItem("b", ago(hours=9), taken=True),
    QueueItem("c", later(hours=1)),
    QueueItem("d", ago(hours=9), dead="?"),
)


def samples(text: str) -> dict[str, float]:
    """Every sample by its name and labels, as both parsers read them."""
    both = [
        {
            each.name + "".join(f" {value}" for value in each.labels.values()): each.value
            for family in parse(text)
            for each in family.samples
        }
        for parse in (text_string_to_metric_families, older_families)
    ]
    assert both[0] == both[1]
    return both[0]


def test_everything_that_is_known_is_told() -> None:
    found = samples(
        metrics_text(NOW, STATE, size=2048, report=REPORT, took=timedelta(seconds=1.5), queue=QUEUE, heartbeat=HOUR)
    )
    told = {name: value for name, value in found.items() if value}
    version = next(name for name in told if name.startswith("saasbot_build_info"))
    assert told == {
        version: 1,
        "saasbot_targets succeeded": 1,
        "saasbot_targets running": 1,
        "saasbot_targets none": 1,
        "saasbot_runs_in_flight target": 1,
        "saasbot_runs_in_flight job": 1,
        "saasbot_trigger_definitions running": 1,
        "saasbot_trigger_definitions error": 1,
        "saasbot_trigger_definitions none": 1,
        "saasbot_merge_requests_open": 1,
        "saasbot_attention_subjects": 1,
        "saasbot_statefile_serial": 42,
        "saasbot_statefile_size_bytes": 2048,
        "saasbot_statefile_written_timestamp_seconds": ago(minutes=7).timestamp(),
        "saasbot_held soak": 2,
        "saasbot_invalid_files": 1,
        "saasbot_next_due_timestamp_seconds": later(hours=1).timestamp(),
        "saasbot_actions start_run refused": 1,
        "saasbot_actions follow_run done": 1,
        "saasbot_last_pass_timestamp_seconds": NOW.timestamp(),
        "saasbot_pass_duration_seconds": 1.5,
        "saasbot_queue_items due": 1,
        "saasbot_queue_items taken": 1,
        "saasbot_queue_items waiting": 1,
        "saasbot_queue_items dead": 1,
        "saasbot_queue_oldest_due_seconds": 7200,
        "saasbot_heartbeat_interval_seconds": 3600,
    }


def test_what_is_not_known_has_no_series() -> None:
    assert [name.split()[0] for name in samples(metrics_text(NOW, None))] == ["saasbot_build_info"]
    plan = samples(metrics_text(NOW, State(), report=Report(None, NOW, Plan())))
    assert "saasbot_held soak" in plan
    assert not any(
        name.startswith(("saasbot_actions", "saasbot_pass", "saasbot_last", "saasbot_next")) for name in plan
    )
    assert not any("size" in name or "written" in name for name in plan)


def test_a_series_is_there_before_it_counts_anything() -> None:
    report = Report(None, NOW, Plan())
    found = samples(metrics_text(NOW, State(), report=report, took=HOUR, queue=()))
    assert found["saasbot_queue_oldest_due_seconds"] == 0
    for gate in Gate:
        assert found[f"saasbot_held {gate}"] == 0
    for kind in ACTION_KINDS.values():
        for outcome in OutcomeStatus:
            assert found[f"saasbot_actions {kind} {outcome}"] == 0


def test_a_look_without_a_report_is_told_by_its_end_alone() -> None:
    found = samples(metrics_text(NOW, State(), took=HOUR))
    assert (found["saasbot_last_pass_timestamp_seconds"], found["saasbot_pass_duration_seconds"]) == (
        NOW.timestamp(),
        3600,
    )
    assert not any(name.startswith(("saasbot_actions", "saasbot_held")) for name in found)


@pytest.mark.parametrize("name", ["saasbot_pass_duration_seconds", "saasbot_statefile_size_bytes"])
def test_units_and_types_are_declared(name: str) -> None:
    text = metrics_text(NOW, STATE, size=1, report=REPORT, took=HOUR)
    (found,) = (each for each in text_string_to_metric_families(text) if each.name == name)
    assert (found.type, found.unit) == ("gauge", name.rpartition("_")[2])
    assert found.documentation.endswith(".")
    assert text.endswith("# EOF\n")


def test_the_number_of_series_does_not_grow_with_the_config() -> None:
    many = State(targets={f"a/a/{number}": record(f"a/a/{number}") for number in range(500)})
    assert len(samples(metrics_text(NOW, many))) == len(samples(metrics_text(NOW, State())))
