"""Orders: commands of people, read from notes, authorised, and written down as inputs to the same decision.

An order changes the record only (a request, a pin, a hold, an override ...); what follows from it is decided by the
same rooms that decide everything else. Each note is handled once, by its id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bot.core import verbs as words
from bot.core.commands import parse
from bot.core.effects import Done, carry_out
from bot.core.own_notes import answered, mark_answer
from bot.core.phrases import parse_line
from bot.core.rights import Denied, Rights, Who, authorise
from bot.core.scope import Scope, scope_of
from bot.core.sheet import Sheet
from bot.model.observed import MergeRequest, MergeRequestStatus, Note
from bot.model.plan import AnswerCommand
from bot.model.state import Answer, Reason
from bot.render import comments

READS = (words.Help, words.Status, words.Explain, words.PlanCmd, words.Refresh)
"""Verbs that change nothing and so do not mind a moved head."""


@dataclass(frozen=True, slots=True)
class Told:
    """A note with the merge request that it stands on, if any."""

    note: Note
    merge_request: MergeRequest | None


def take_orders(sheet: Sheet) -> None:
    """Handle every note that was not handled yet."""
    for told in _new_notes(sheet):
        _handle(sheet, told)


def answer_orders(sheet: Sheet) -> None:
    """Give every answer that is still owed; a reaction for a yes, a reply where there is something to say."""
    for answer in sheet.state.answers.values():
        merge_request = sheet.context.observed.merge_requests.get(answer.iid)
        branch = merge_request.source_branch if merge_request is not None else str(answer.iid)
        body = _reply(sheet, answer, merge_request)
        reason = Reason("command", f"{answer.author}: {answer.verb}: {answer.text or 'done'}")
        sheet.actions.append(
            AnswerCommand(
                subject=f"merge-request:{branch}",
                iid=answer.iid,
                note=answer.note,
                reaction="ok" if answer.ok else "no",
                body=body,
                reasons=(reason,),
            )
        )


def _reply(sheet: Sheet, answer: Answer, merge_request: MergeRequest | None) -> str:
    """The reply, once: empty where there is nothing to say, or it was said before a crash."""
    notes = merge_request.notes if merge_request is not None else ()
    key = sheet.context.report_key
    if (answer.ok and not answer.public) or answered(notes, sheet.context.observed.me, answer.note, key):
        return ""
    return mark_answer(comments.answer(answer), answer.note, key)


def _new_notes(sheet: Sheet) -> Iterable[Told]:
    observed = sheet.context.observed
    for note in observed.commands:
        yield Told(note, None)
    if not sheet.context.settings.commands.poll:
        return
    for merge_request in sorted(observed.merge_requests.values(), key=lambda each: each.iid):
        followed = any(record.iid == merge_request.iid for record in sheet.state.merge_requests.values())
        if merge_request.state is not MergeRequestStatus.OPENED and not followed:
            continue
        last = sheet.state.cursors.get(f"notes:{merge_request.iid}", 0)
        fresh = sorted((note for note in merge_request.notes if int(note.id) > last), key=lambda note: int(note.id))
        yield from (Told(note, merge_request) for note in fresh)


def _handle(sheet: Sheet, told: Told) -> None:
    note, merge_request = told.note, told.merge_request
    settings = sheet.context.settings
    if merge_request is None:
        parsed: tuple[words.Command | words.Unparsed, ...] = (parse_line(_bare(note.body, settings.commands.prefix)),)
    elif note.system or note.bot or note.author == sheet.context.observed.me:
        parsed = ()
    else:
        parsed = parse(note.body, settings.commands.prefix, settings.bot.name)
    if merge_request is not None and parsed:
        key = f"notes:{merge_request.iid}"
        last = max(int(note.id), sheet.state.cursors.get(key, 0))
        sheet.state = replace(sheet.state, cursors={**sheet.state.cursors, key: last})
    for number, command in enumerate(parsed):
        _answer(sheet, told, number, command, _order(sheet, told, command))


def _bare(text: str, prefix: str) -> str:
    """A command without the prefix that it has on merge requests; people copy it along."""
    stripped = text.strip()
    return stripped[len(prefix) :].strip() if stripped.split(" ")[0] == prefix else stripped


def _order(sheet: Sheet, told: Told, command: words.Command | words.Unparsed) -> Done:
    if isinstance(command, words.Unparsed):
        return Done(ok=False, text=command.text)
    note, merge_request = told.note, told.merge_request
    moved = merge_request is not None and note.head and note.head != merge_request.head_sha
    if moved and not isinstance(command, READS):
        return Done(ok=False, text="the branch has moved since this comment was written; look at it and say it again")
    scope = scope_of(sheet, command, merge_request)
    if isinstance(scope, str):
        return Done(ok=False, text=scope)
    denied = _denied(sheet, told, command, scope)
    if denied:
        return Done(ok=False, text=denied)
    return carry_out(sheet, command, note, scope)


def _denied(sheet: Sheet, told: Told, command: words.Command, scope: Scope) -> str:
    """Why this user may not, naming those who may; empty if he may."""
    note, merge_request = told.note, told.merge_request
    who = Who(
        user=note.author,
        role=sheet.facts.role(note.author),
        is_author=merge_request is not None and merge_request.author == note.author,
    )
    settings = sheet.context.settings
    owners = scope.owners
    rights = Rights(
        owners=owners,
        override_group=_group(sheet, settings.commands.override_group, owners),
        freeze_group=_group(sheet, settings.commands.freeze_group, owners),
        holder=scope.holder,
    )
    verdict = authorise(command, who, rights)
    return verdict.text if isinstance(verdict, Denied) else ""


def _group(sheet: Sheet, name: str, owners: frozenset[str]) -> frozenset[str]:
    return owners if name == "owners" else frozenset(sheet.context.settings.groups.get(name, (name,)))


def _answer(sheet: Sheet, told: Told, number: int, command: words.Command | words.Unparsed, done: Done) -> None:
    merge_request = told.merge_request
    answer = Answer(
        note=told.note.id,
        iid=merge_request.iid if merge_request is not None else 0,
        author=told.note.author,
        verb=words.verb(command),
        ok=done.ok,
        text=done.text,
        public=done.public,
    )
    if merge_request is None:
        sheet.replies.append(answer)
        return
    key = f"{merge_request.iid}:{told.note.id}:{number}"
    sheet.state = replace(sheet.state, answers={**sheet.state.answers, key: answer})
