"""Sections: answers to the last question asked on a merge request and the rounds begun there, afresh in every pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.core.explanation import Explanation, explain_on
from bot.core.gates import holding
from bot.core.phrases import USAGE
from bot.core.sheet import Sheet
from bot.core.trigger_reports import notable_sets, set_reports
from bot.model.plan import Held
from bot.model.state import Answer, Edit, Question
from bot.render import comments
from bot.render.rounds import job_text, set_text
from bot.render.words import short, until

TRIGGER = "trigger"
"""The verb that starts a trigger definition: its answer is the round."""

MOST = 10
"""Targets, or rounds, that one answer goes into; more would be read by nobody."""


def put_question(sheet: Sheet, iid: int, question: Question) -> None:
    """Write down what is to be answered on a merge request; rounds that were begun from there stay with it."""
    standing = sheet.state.questions.get(str(iid))
    names = _rounds(standing) if standing is not None else ()
    kept = tuple(name for name in names if name not in _rounds(question))
    question = replace(question, rounds=kept[-MOST + 1 :])
    sheet.state = replace(sheet.state, questions={**sheet.state.questions, str(iid): question})


def _rounds(question: Question) -> tuple[str, ...]:
    """The definitions whose rounds are shown, the newest last."""
    return (*question.rounds, question.target) if question.verb == TRIGGER else question.rounds


def sections(sheet: Sheet, iid: int, edits: Iterable[Edit]) -> tuple[comments.Section, ...]:
    """The answer to the question that stands on this merge request, if there is one, and the rounds begun from it."""
    question = sheet.state.questions.get(str(iid))
    if question is None:
        return ()
    return (*_answers(sheet, question, edits), *(_round(sheet, name) for name in reversed(_rounds(question))))


def _answers(sheet: Sheet, question: Question, edits: Iterable[Edit]) -> tuple[comments.Section, ...]:
    if question.verb == TRIGGER:
        return ()
    if question.verb == "help":
        return (comments.help_section(sheet.context.settings.commands.prefix, USAGE.values()),)
    named = [question.target] if question.target else [edit.target for edit in edits]
    found = tuple(_section(question.verb, explain_on(sheet, target)) for target in named[:MOST])
    return found or (comments.Section(question.verb, ("it is answered by this report",)),)


def _round(sheet: Sheet, name: str) -> comments.Section:
    """The present round of a definition, or its last one; no moment in it that passes without any news."""
    record = sheet.state.triggers.get(name)
    waits = sheet.state.trigger_requests.get(name)
    lines = [f"{waits.by} asked for it, and it has not begun yet"] if waits is not None else []
    if record is not None and record.round is not None:
        lines += [reason.text for reason in record.round.reasons]
    lines += [f"`{held.gate}` holds {held.subject.partition(':')[2]}: {held.text}" for held in _holding(sheet, name)]
    trigger = sheet.context.desired.triggers.get(name)
    sets = set_reports(record, trigger) if record is not None else ()
    return comments.Section(f"trigger {name}", tuple(lines) or ("no round has begun yet",), sets)


def _holding(sheet: Sheet, name: str) -> Iterable[Held]:
    """What holds a definition, or jobs of its."""
    return (held for held in sheet.held if held.subject == f"trigger:{name}" or held.subject.startswith(f"job:{name}/"))


def told(sheet: Sheet, answer: Answer) -> Answer:
    """The answer to a question that was asked without a merge request, in full; any other answer as it is."""
    question = sheet.question
    if question is None or not answer.ok:
        return answer
    if question.verb == "help":
        return replace(answer, text="\n" + "\n".join(USAGE.values()))
    targets = [question.target] if question.target else list(sheet.context.desired.targets)
    parts = [_section(question.verb, explain_on(sheet, target)) for target in targets[:MOST]]
    if question.verb == "status" and not question.target:
        parts += [comments.Section(set_text(each), tuple(map(job_text, each.jobs))) for each in notable_sets(sheet)]
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
