"""Sections: answers to the last question that was asked on a merge request, made afresh in every pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.core.explanation import Explanation, explain_on
from bot.core.gates import holding
from bot.core.phrases import USAGE
from bot.core.sheet import Sheet
from bot.model.state import Answer, Edit
from bot.render import comments
from bot.render.words import short, until

MOST = 10
"""Targets that one answer goes into; more would be read by nobody."""


def sections(sheet: Sheet, iid: int, edits: Iterable[Edit]) -> tuple[comments.Section, ...]:
    """The answer to the question that stands on this merge request, if there is one."""
    question = sheet.state.questions.get(str(iid))
    if question is None:
        return ()
    if question.verb == "help":
        return (comments.help_section(sheet.context.settings.commands.prefix, USAGE.values()),)
    named = [question.target] if question.target else [edit.target for edit in edits]
    found = tuple(_section(question.verb, explain_on(sheet, target)) for target in named[:MOST])
    return found or (comments.Section(question.verb, ("it is answered by this report",)),)


def told(sheet: Sheet, answer: Answer) -> Answer:
    """The answer to a question that was asked without a merge request, in full; any other answer as it is."""
    question = sheet.question
    if question is None or not answer.ok:
        return answer
    if question.verb == "help":
        return replace(answer, text="\n" + "\n".join(USAGE.values()))
    targets = [question.target] if question.target else list(sheet.context.desired.targets)
    parts = [_section(question.verb, explain_on(sheet, target)) for target in targets[:MOST]]
    text = "\n".join(line for part in parts for line in (part.title, *(f"  {line}" for line in part.lines)))
    return replace(answer, text=f"\n{text}")


def _section(verb: str, found: Explanation) -> comments.Section:
    lines = [found.problem] if found.problem else []
    if found.record is not None and found.record.run is not None:
        run = found.record.run
        lines.append(f"run {run.number} of {short(run.sha)}: {run.status}")
    if verb in ("explain", "plan"):
        lines += [f"{reason.kind}: {reason.text}" for reason in found.reasons]
    verdicts = found.promotion if found.promoted_sha else found.run
    stops = holding(verdicts)
    if found.promoted_sha and (stops or verb == "explain"):
        lines.append(f"next version {short(found.promoted_sha)}")
    lines += [f"`{v.gate}` holds: {v.text}{until(v.until)}" for v in stops]
    passed = [f"`{v.gate}`" for v in verdicts if v not in stops]
    if verb == "explain" and passed:
        lines.append(f"passes {' '.join(passed)}")
    return comments.Section(f"{verb} {found.target}", tuple(lines) or ("nothing to say",))
