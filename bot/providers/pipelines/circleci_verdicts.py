"""What CircleCI says of a pipeline and its workflows, as the status of a run; asks nothing.

Source: "Workflow states" and "Pipeline states" in https://circleci.com/docs/workflows/ and /docs/api/v2/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, assert_never

from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.providers.downstream import listed, moment
from bot.providers.pipelines.circleci_api import one_line
from bot.providers.secrets import redact

GRACE = timedelta(minutes=2)
"""How long a pipeline that CircleCI has taken in may be without workflows."""

CREATED, ERRORED = "created", "errored"
"""The states of a pipeline that are final; in any other it is still being taken in."""

SETUP = "setup"
"""The tag of the workflow that writes the pipeline's own config and is none of those that count."""

Item = Mapping[str, Any]
"""A thing as CircleCI's answers have it."""


class Verdict(StrEnum):
    """What the status of a workflow means for its pipeline."""

    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    ON_HOLD = "on hold"
    WAITS = "waits"
    UNKNOWN = "unknown"


VERDICTS: Mapping[str, Verdict] = {
    "success": Verdict.SUCCESS,
    "failed": Verdict.FAILED,
    "error": Verdict.FAILED,
    "failing": Verdict.FAILED,
    "unauthorized": Verdict.FAILED,
    "canceled": Verdict.CANCELED,
    "on_hold": Verdict.ON_HOLD,
    "running": Verdict.WAITS,
    "queued": Verdict.WAITS,
    "not_run": Verdict.WAITS,
}
"""CircleCI's words for the status of a workflow; one that is `failing` still runs jobs, and cannot succeed any more."""

SENTENCES: Mapping[str, str] = {
    "failed": "failed",
    "error": "CircleCI could not start a job",
    "failing": "failing",
    "unauthorized": "not authorized",
    "canceled": "canceled",
    "on_hold": "waiting for an approval",
    "not_run": "not run",
}
"""What is said of workflows in this status, before their names."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The first workflow that keeps a pipeline from succeeding; `workflow` is empty where it is the pipeline itself."""

    workflow: str
    status: str
    message: str


def verdict(workflow: Item) -> Verdict:
    """What a workflow means. One that was never run waits for that, unless it has been stopped."""
    word, stopped = str(workflow.get("status")), bool(workflow.get("stopped_at"))
    if word == "not_run" and stopped:
        return Verdict.FAILED
    return VERDICTS.get(word) or (Verdict.UNKNOWN if stopped else Verdict.WAITS)


def is_over(workflow: Item) -> bool:
    """Whether nothing of a workflow runs or waits any more."""
    return workflow.get("status") != "failing" and verdict(workflow) not in {Verdict.WAITS, Verdict.ON_HOLD}


def latest(workflows: Sequence[Item]) -> list[Item]:
    """The newest workflow of each name, in the order of their names' first appearance: a rerun makes a new one."""
    newest: dict[str, Item] = {}
    for each in workflows:
        name = str(each.get("name"))
        if name not in newest or _created(each) > _created(newest[name]):
            newest[name] = each
    return list(newest.values())


def trouble(pipeline: Item, workflows: Sequence[Item], on_hold: str) -> Trouble | None:
    """What keeps a pipeline from succeeding, the worst first; None where it may still succeed, or has."""
    if pipeline.get("state") == ERRORED:
        return Trouble("", ERRORED, errors_text(pipeline) or "CircleCI could not read its config")
    bad = [Verdict.FAILED, *([Verdict.ON_HOLD] if on_hold == "fail" else ()), Verdict.CANCELED, Verdict.UNKNOWN]
    for kind in bad:
        found = [each for each in latest(workflows) if verdict(each) is kind]
        if found:
            advice = "; `with.onHold: wait` waits for it" if kind is Verdict.ON_HOLD else ""
            name, word = str(found[0].get("name")), str(found[0].get("status"))
            return Trouble(name, word, _sentences(found) + advice)
    return None


def errors_text(pipeline: Item) -> str:
    """The errors of a pipeline in one line."""
    return one_line("; ".join(f"{each['type']}: {each['message']}" for each in pipeline_errors(pipeline)))


def pipeline_errors(pipeline: Item) -> list[dict[str, str]]:
    """The errors of a pipeline, as far as they are what they should be."""
    errors = pipeline.get("errors")
    return [
        {"type": str(each.get("type", "error")), "message": redact(str(each.get("message", "")))}
        for each in (errors if isinstance(errors, list) else ())
        if isinstance(each, Mapping)
    ]


def without_workflows(pipeline: Item, workflows: Sequence[Item], now: datetime | None) -> bool:
    """Whether a pipeline was taken in and nothing came of it: no workflow fits its branch, tag or parameters."""
    if now is None or pipeline.get("state") != CREATED or any(each.get("tag") != SETUP for each in workflows):
        return False
    times = [pipeline.get("created_at"), pipeline.get("updated_at"), *(each.get("stopped_at") for each in workflows)]
    known = [each for each in map(moment, times) if each is not None]
    return all(map(is_over, workflows)) and bool(known) and now - max(known) >= GRACE


def run_fact(pipeline: Item, workflows: Sequence[Item], on_hold: str, now: datetime | None, url: str) -> RunFact:
    """The state of a run by its pipeline and all of its workflows; without `now` it is too early to miss any."""
    status, text = _standing(pipeline, workflows, on_hold, now)
    stops = [moment(each.get("stopped_at")) for each in latest(workflows)]
    known = [each for each in stops if each is not None]
    ended = max(known, default=moment(pipeline.get("updated_at"))) if len(known) == len(stops) else None
    return RunFact(
        status,
        str(pipeline.get("id") or ""),
        url,
        text,
        moment(pipeline.get("created_at")),
        None if status.in_flight else ended,
    )


def _standing(pipeline: Item, workflows: Sequence[Item], on_hold: str, now: datetime | None) -> tuple[RunStatus, str]:
    """Status and words."""
    found = trouble(pipeline, workflows, on_hold)
    if found is not None:
        return _ending(found), found.message
    if without_workflows(pipeline, workflows, now):
        return RunStatus.FAILED, "no workflows: none of its config is for this branch, tag and parameters"
    counted = [each for each in latest(workflows) if each.get("tag") != SETUP]
    if pipeline.get("state") == CREATED and counted and all(verdict(each) is Verdict.SUCCESS for each in counted):
        return RunStatus.SUCCEEDED, ""
    held = [each for each in latest(workflows) if verdict(each) is Verdict.ON_HOLD]
    return (RunStatus.RUNNING if workflows else RunStatus.PENDING), _sentences(held)


def _ending(found: Trouble) -> RunStatus:
    if not found.workflow:
        return RunStatus.FAILED
    kind = VERDICTS.get(found.status, Verdict.UNKNOWN)
    match kind:
        case Verdict.CANCELED:
            return RunStatus.CANCELED
        case Verdict.UNKNOWN:
            return RunStatus.UNKNOWN
        case Verdict.SUCCESS | Verdict.FAILED | Verdict.ON_HOLD | Verdict.WAITS:
            return RunStatus.FAILED
        case _:
            assert_never(kind)


def _sentences(workflows: Sequence[Item]) -> str:
    """What is said of workflows, those of one status together."""
    return one_line("; ".join(_said(word, workflows) for word in dict.fromkeys(_words(workflows))))


def _said(word: str, workflows: Sequence[Item]) -> str:
    names = sorted(str(each.get("name")) for each in workflows if str(each.get("status")) == word)
    return f"{SENTENCES.get(word, f'CircleCI calls it {word}')}: {listed(names)}"


def _words(workflows: Sequence[Item]) -> Iterator[str]:
    return (str(each.get("status")) for each in workflows)


def _created(workflow: Item) -> datetime:
    return moment(workflow.get("created_at")) or datetime.min.replace(tzinfo=UTC)
