"""Orders: commands of people, read from notes, authorised, and written down as inputs to the same decision.

An order changes the record only (a request, a pin, a hold, an override ...); what follows from it is decided by the
same rooms that decide everything else. Each note is handled once, by its id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bot.core import verbs as words
from bot.core.commands import parse
from bot.core.context import heard_of
from bot.core.dashboard import dashboard_subject
from bot.core.effects import Done, carry_out
from bot.core.own_notes import answered, mark_answer, number_of
from bot.core.phrases import parse_line
from bot.core.rights import Denied, Rights, Who, authorise
from bot.core.scope import Scope, scope_of
from bot.core.sections import told as told_in_full
from bot.core.sheet import Sheet
from bot.model.observed import Issue, MergeRequest, MergeRequestStatus, Note
from bot.model.plan import AnswerCommand
from bot.model.runs import Reason
from bot.model.state import Answer, Thread
from bot.render import comments

READS = (words.Help, words.Status, words.Explain, words.PlanCmd, words.Refresh)
"""Verbs that change nothing and so do not mind a moved head."""


@dataclass(frozen=True, slots=True)
class Told:
    """A note with what it stands on: a thread with its number, and its merge request where it is one; or nothing."""

    note: Note
    merge_request: MergeRequest | None = None
    thread: Thread | None = None
    iid: int = 0

    @property
    def cursor(self) -> str:
        """The key of the thread's cursor in the statefile."""
        return f"{'dashboard' if self.thread is Thread.DASHBOARD else 'notes'}:{self.iid}"


def take_orders(sheet: Sheet) -> None:
    """Handle every note that was not handled yet."""
    for told in _new_notes(sheet):
        _handle(sheet, told)


def answer_orders(sheet: Sheet) -> None:
    """Give every answer that is still owed; a reaction for a yes, a reply where there is something to say."""
    for key, answer in sheet.state.answers.items():
        number = number_of(key)
        subject, notes = _place(sheet, answer)
        reason = Reason("command", f"{answer.author}: {answer.verb}: {answer.text or 'done'}")
        sheet.actions.append(
            AnswerCommand(
                subject=subject,
                iid=answer.iid,
                note=answer.note,
                reaction="ok" if answer.ok else "no",
                body=_reply(sheet, answer, notes, number),
                reasons=(reason,),
                thread=answer.thread,
                number=number,
            )
        )


def _place(sheet: Sheet, answer: Answer) -> tuple[str, tuple[Note, ...]]:
    """The subject of an answer and the notes that stand beside it."""
    observed = sheet.context.observed
    if answer.thread is Thread.DASHBOARD:
        return dashboard_subject(answer.iid), observed.dashboard.notes if observed.dashboard is not None else ()
    merge_request = observed.merge_requests.get(answer.iid)
    if merge_request is None:
        return f"merge-request:{answer.iid}", ()
    return f"merge-request:{merge_request.source_branch}", merge_request.notes


def _reply(sheet: Sheet, answer: Answer, notes: tuple[Note, ...], number: int) -> str:
    """The reply, once: empty where there is nothing to say, or it was said before a crash."""
    key = sheet.context.report_key
    if (answer.ok and not answer.public) or answered(notes, sheet.context.observed.me, answer.note, key, number):
        return ""
    return mark_answer(comments.answer(answer), answer.note, key, number)


def _new_notes(sheet: Sheet) -> Iterable[Told]:
    observed = sheet.context.observed
    for note in observed.commands:
        yield Told(note)
    told = [Told(note, None, Thread.DASHBOARD, issue.iid) for issue in _dashboard(sheet) for note in issue.notes]
    told += [
        Told(note, merge_request, Thread.MERGE_REQUEST, merge_request.iid)
        for merge_request in sorted(observed.merge_requests.values(), key=lambda each: each.iid)
        if _listens(sheet, merge_request)
        for note in sorted(merge_request.notes, key=lambda note: int(note.id))
    ]
    if sheet.context.state is None:
        _pass_over(sheet, told)
        return
    yield from (each for each in told if int(each.note.id) > sheet.state.cursors.get(each.cursor, 0))


def _pass_over(sheet: Sheet, told: Iterable[Told]) -> None:
    """Adoption records what is there and obeys nobody: after a lost state every old command would be new again."""
    cursors = {each.cursor: int(each.note.id) for each in sorted(told, key=lambda each: int(each.note.id))}
    sheet.state = replace(sheet.state, cursors={**sheet.state.cursors, **cursors})


def _dashboard(sheet: Sheet) -> Iterable[Issue]:
    """The dashboard issue, where its notes are to be read."""
    issue = sheet.context.observed.dashboard
    if issue is None or not _is_open_to(sheet, "dashboard"):
        return ()
    asked = sheet.context.focus is not None or heard_of(Thread.DASHBOARD, issue.iid) in sheet.context.heard
    return (issue,) if asked or sheet.context.settings.commands.poll else ()


def _is_open_to(sheet: Sheet, subject: str) -> bool:
    """Whether what is said there is for this decision; one about a subject hears what is said on its own thread."""
    return sheet.context.focus is None or sheet.context.focus.subject == subject


def _listens(sheet: Sheet, merge_request: MergeRequest) -> bool:
    """Whether a merge request's notes are to be read: an event told of it, or it is open or followed, and polled.

    A decision about it alone reads them: somebody has brought it up.
    """
    if not _is_open_to(sheet, f"merge-request:{merge_request.source_branch}"):
        return False
    if sheet.context.focus is not None or heard_of(Thread.MERGE_REQUEST, merge_request.iid) in sheet.context.heard:
        return True
    followed = any(record.iid == merge_request.iid for record in sheet.state.merge_requests.values())
    return sheet.context.settings.commands.poll and (merge_request.state is MergeRequestStatus.OPENED or followed)


def _handle(sheet: Sheet, told: Told) -> None:
    note = told.note
    settings = sheet.context.settings
    if told.thread is None:
        parsed: tuple[words.Command | words.Unparsed, ...] = (parse_line(_bare(note.body, settings.commands.prefix)),)
    elif note.system or note.bot or note.author == sheet.context.observed.me:
        parsed = ()
    else:
        parsed = parse(note.body, settings.commands.prefix, sheet.context.observed.me)
    if told.thread is not None and parsed:
        last = max(int(note.id), sheet.state.cursors.get(told.cursor, 0))
        sheet.state = replace(sheet.state, cursors={**sheet.state.cursors, told.cursor: last})
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
    if note.edited:
        return Done(ok=False, text="this comment was changed after it was written; say it in a new one")
    moved = merge_request is not None and note.head and note.head != merge_request.head_sha
    if moved and not isinstance(command, READS):
        return Done(ok=False, text="the branch has moved since this comment was written; look at it and say it again")
    if merge_request is not None and not note.head and isinstance(command, words.OverrideCmd):
        return Done(ok=False, text="it is not known which version this is about; say it on the dashboard, by target")
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
    answer = Answer(
        note=told.note.id,
        iid=told.iid,
        author=told.note.author,
        verb=words.verb(command),
        ok=done.ok,
        text=done.text,
        public=done.public,
        thread=told.thread or Thread.MERGE_REQUEST,
    )
    if told.thread is None:
        sheet.replies.append(answer)
        return
    if told.thread is Thread.DASHBOARD and sheet.question is not None:
        answer = replace(told_in_full(sheet, answer), public=True)
        sheet.question = None
    key = f"{told.cursor.removeprefix('notes:')}:{told.note.id}:{number}"
    sheet.state = replace(sheet.state, answers={**sheet.state.answers, key: answer})
