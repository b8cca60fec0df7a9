"""What `plan` and `reconcile` print: text for people, Markdown, and the JSON of DESIGN section 9."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any, assert_never

from bot.model.plan import (
    ACTION_KINDS,
    Action,
    AnswerCommand,
    CancelRun,
    CloseMergeRequest,
    CommentAction,
    DashboardAction,
    FollowRun,
    Gate,
    Held,
    MergeMergeRequest,
    OpenMergeRequest,
    Outcome,
    OutcomeStatus,
    RecordState,
    RegenerateMergeRequest,
    Report,
    SplitMergeRequest,
    StartJob,
    StartRun,
    UpdateMergeRequest,
)
from bot.render import neutral
from bot.render.words import until, utc

MOST = 20
"""How many actions of one kind, or entries held by one gate, the text shows."""

_HEADINGS = {
    "start_job": ("▶", "Start jobs"),
    "start_run": ("▶", "Start runs"),
    "cancel_run": ("■", "Cancel runs"),
    "follow_run": ("~", "Runs seen in a new state"),
    "open_merge_request": ("+", "Open merge requests"),
    "update_merge_request": ("↑", "Update merge requests"),
    "regenerate_merge_request": ("↻", "Regenerate merge requests"),
    "split_merge_request": ("÷", "Split merge requests"),
    "merge_merge_request": ("✓", "Merge"),
    "close_merge_request": ("x", "Close merge requests"),
    "comment": ("*", "Write comments"),
    "answer_command": ("*", "Answer commands"),
    "record_state": ("·", "Record"),
}
_COLOURS = {
    OutcomeStatus.DONE: "32",
    OutcomeStatus.REFUSED: "33",
    OutcomeStatus.FAILED: "31",
    OutcomeStatus.SKIPPED: "2",
}

Pair = tuple[Action, Outcome | None]


@dataclass(frozen=True, slots=True)
class Style:
    """How text is set off: with ANSI codes where `colour` is true, else not at all."""

    colour: bool = False

    def paint(self, text: str, code: str) -> str:
        """Put a text between an ANSI code and the reset."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


PLAIN = Style()


def report_text(report: Report, style: Style = PLAIN) -> str:
    """Write a report for people; a budget that holds starts is its first line."""
    lines = [style.paint(line, "1;33") for line in _budget(report)]
    for kind, pairs in _by_kind(report):
        symbol, title = _HEADINGS[kind]
        lines.append(style.paint(f"{title} ({len(pairs)})", "1"))
        for pair in pairs[:MOST]:
            lines += _action_lines(pair, symbol, style)
        lines += _more(len(pairs))
    for gate, held in _by_gate(report.plan.held):
        lines.append(style.paint(f"Held by {gate.value} ({len(held)})", "1"))
        lines += [f"  {style.paint('⏸', '33')} {_name(each.subject)}: {_held(each)}" for each in held[:MOST]]
        lines += _more(len(held))
    if not report.plan.actions:
        lines.append("Nothing to do.")
    if report.plan.next_due is not None:
        lines.append(f"Next due: {utc(report.plan.next_due)}")
    return "\n".join(lines) + "\n"


def report_markdown(report: Report) -> str:
    """Write a report as Markdown, for a job's summary or a comment."""
    lines = [f"> **{line}**\n" for line in _budget(report)]
    for kind, pairs in _by_kind(report):
        lines.append(f"### {_HEADINGS[kind][1]} ({len(pairs)})\n")
        lines += [_markdown_item(pair) for pair in pairs[:MOST]]
        lines += [f"- {line.strip()}" for line in _more(len(pairs))] + [""]
    for gate, held in _by_gate(report.plan.held):
        lines.append(f"### Held by {gate.value} ({len(held)})\n")
        lines += [
            f"- {neutral.code(_name(each.subject))}: {neutral.sentence(each.text)}{until(each.until)}"
            for each in held[:MOST]
        ]
        lines += [f"- {line.strip()}" for line in _more(len(held))] + [""]
    if not report.plan.actions:
        lines.append("Nothing to do.\n")
    if report.plan.next_due is not None:
        lines.append(f"Next due: {utc(report.plan.next_due)}\n")
    return "\n".join(lines).rstrip() + "\n"


def report_json(report: Report, *, indent: int | None = 2) -> str:
    """Write a report as the contract's JSON object, without a newline at its end; `indent` None puts it on one line."""
    document = {
        "schema": "saasbot.plan/1",
        "config_sha": report.config_sha,
        "now": utc(report.now),
        "actions": [_json_action(action, outcome) for action, outcome in _pairs(report)],
        "held": [
            {
                "subject": each.subject,
                "gate": each.gate.value,
                "text": neutral.redact(each.text),
                "until": None if each.until is None else utc(each.until),
            }
            for each in report.plan.held
        ],
        "next_due": None if report.plan.next_due is None else utc(report.plan.next_due),
    }
    return json.dumps(document, indent=indent, ensure_ascii=False)


def _pairs(report: Report) -> Iterable[Pair]:
    """Put each action beside its outcome; a plan has none."""
    return zip_longest(report.plan.actions, report.outcomes)


def _budget(report: Report) -> list[str]:
    """Write the lines that say how many starts and merge requests a budget holds; starts come first."""
    texts = Counter(each.text for each in report.plan.held if each.gate is Gate.BUDGET)
    lines = []
    for text, count in sorted(texts.items(), key=lambda each: ("maxOpen" in each[0], each[0])):
        what = "promotion" if "maxOpen" in text else "start"
        lines.append(f"{count} {what}{' is' if count == 1 else 's are'} held by `budget`: {_clean(text)}")
    return lines


def _by_kind(report: Report) -> list[tuple[str, list[Pair]]]:
    """Group actions by kind, in the order of the headings."""
    groups: dict[str, list[Pair]] = {kind: [] for kind in _HEADINGS}
    for action, outcome in _pairs(report):
        groups[ACTION_KINDS[type(action)]].append((action, outcome))
    return [(kind, pairs) for kind, pairs in groups.items() if pairs]


def _by_gate(held: Sequence[Held]) -> list[tuple[Gate, list[Held]]]:
    order = list(Gate)
    entries = sorted(held, key=lambda each: order.index(each.gate))
    return [(gate, list(group)) for gate, group in groupby(entries, key=lambda each: each.gate)]


def _action_lines(pair: Pair, symbol: str, style: Style) -> list[str]:
    action, outcome = pair
    reasons = "; ".join(f"{reason.kind}: {_clean(reason.text)}" for reason in action.reasons)
    lines = [f"  {style.paint(symbol, '36')} {_name(action.subject)}  {reasons}".rstrip()]
    if outcome is not None:
        told = " ".join(part for part in (_clean(outcome.text), _clean(outcome.url)) if part)
        status = style.paint(outcome.status.value, _COLOURS[outcome.status])
        lines.append(f"      {status}: {told}" if told else f"      {status}")
    return lines


def _markdown_item(pair: Pair) -> str:
    action, outcome = pair
    reasons = "; ".join(f"`{reason.kind}` {neutral.sentence(reason.text)}" for reason in action.reasons)
    said = neutral.code(_name(action.subject)) + (f": {reasons}" if reasons else "")
    if outcome is not None:
        said += f" – **{outcome.status.value}** {neutral.sentence(outcome.text)}".rstrip()
    return f"- {said}"


def _held(held: Held) -> str:
    return _clean(held.text) + until(held.until)


def _more(count: int) -> list[str]:
    return [f"  ... and {count - MOST} more"] if count > MOST else []


def _name(subject: str) -> str:
    """Name a subject without its kind."""
    return _clean(subject.partition(":")[2] or subject)


def _clean(text: str) -> str:
    """Keep other people's text from steering a terminal or showing a secret."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return neutral.redact(" ".join(line.split()))


def _json_action(action: Action, outcome: Outcome | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": ACTION_KINDS[type(action)],
        "subject": action.subject,
        "key": action_key(action),
        "reasons": [{"kind": reason.kind, "text": neutral.redact(reason.text)} for reason in action.reasons],
        "details": _details(action),
    }
    if outcome is not None:
        text = neutral.redact(outcome.text)
        entry["outcome"] = {"status": outcome.status.value, "text": text, "url": neutral.redact(outcome.url)}
    return entry


def action_key(action: Action) -> str:
    """Return what makes an action one: the run key, the branch, or the merge request with its note."""
    match action:
        case StartRun() | StartJob() | FollowRun() | CancelRun():
            return action.run.key
        case OpenMergeRequest() | UpdateMergeRequest() | RegenerateMergeRequest() | SplitMergeRequest():
            return action.commit.branch
        case CloseMergeRequest():
            return action.branch
        case MergeMergeRequest():
            return f"{action.iid}:{action.head}"
        case CommentAction():
            return str(action.iid or action.branch)
        case DashboardAction():
            return action.subject
        case AnswerCommand():
            return f"{action.iid}:{action.note}"
        case RecordState():
            return action.subject
        case _:
            assert_never(action)


def _details(action: Action) -> dict[str, Any]:
    """Say what a script may want to know beside subject and reasons."""
    match action:
        case StartRun() | StartJob() | FollowRun() | CancelRun():
            run = action.run
            return {
                "sha": run.sha,
                "action": run.action.value,
                "number": run.number,
                "attempt": run.attempt,
                "status": run.status.value,
                "pipeline": run.pipeline,
            }
        case OpenMergeRequest() | UpdateMergeRequest() | RegenerateMergeRequest() | SplitMergeRequest():
            edits = [
                {"target": edit.target, "file": edit.file, "old": edit.old, "new": edit.new} for edit in action.edits
            ]
            return {"title": action.title, "branch": action.commit.branch, "batch": action.batch, "edits": edits}
        case MergeMergeRequest():
            return {"iid": action.iid, "how": action.how.value}
        case CloseMergeRequest() | CommentAction() | DashboardAction():
            return {"iid": action.iid}
        case AnswerCommand():
            return {"iid": action.iid, "note": action.note, "text": neutral.redact(action.body)}
        case RecordState():
            return {} if action.target is None else {"sha": action.target.sha}
        case _:
            assert_never(action)
