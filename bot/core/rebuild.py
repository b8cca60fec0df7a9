"""Rebuild: what is still known of a lost statefile, put together again (ADR 0023).

Every target is adopted as it is found. Then what the bot's own sticky comments say is taken back: what people ordered,
the merge requests, the records of targets, what was published. A comment that was kept up to date until the loss is
believed where it differs from what is found: that has not run yet. An older one only adds what is history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.core.batches import PREFIX, batch_of
from bot.core.branches import with_record
from bot.core.context import Context
from bot.core.excerpts import Excerpt, excerpt_of_dashboard, excerpt_on, vetoes_on
from bot.core.opening import opened_sheet
from bot.core.rebuild_orders import take_orders_back, take_vetoes
from bot.core.rebuild_records import records, say_unread
from bot.core.rebuild_targets import answered, ran, take_history, take_publications, take_targets
from bot.core.statefile import Seen, accepted
from bot.core.taking import Taking, Told
from bot.core.triggers import start_runs
from bot.model.desired import Desired
from bot.model.observed import MergeRequest, MergeRequestStatus, RunFact, Unreachable, Wants
from bot.model.state import MergeRequestState, State, TargetState, Veto
from bot.render.words import short

SAY_AGAIN = "commands in comments up to now are passed over: say again what was not obeyed yet"
NO_DASHBOARD = "blocks, pins and freezes that touch no open merge request: only a dashboard would remember them"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A statefile that is not written yet, with one line for each thing that it took back, or could not.

    `begun` are records of targets with a run that may have begun without a word on any comment.
    """

    state: State
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    begun: Mapping[str, TargetState] = field(default_factory=dict)

    @property
    def to_ask(self) -> State:
        """The state with every run whose server is to be asked, those that may have begun included."""
        return replace(self.state, targets={**self.state.targets, **self.begun})


def adopt_all(context: Context) -> tuple[State, Wants]:
    """Every target as it is found, with the comments passed over; and what is still to be looked up for that."""
    sheet = opened_sheet(context)
    start_runs(sheet)
    return replace(sheet.state, time=context.now), sheet.facts.wanted()


def take_back(
    adopted: State,
    context: Context,
    own: Sequence[MergeRequest],
    past: Iterable[Desired],
    known: Iterable[Seen] = (),
) -> Rebuilt:
    """The adopted state with all that the comments and the config's history tell.

    `own` are the bot's merge requests in any state, `past` the config at earlier commits, newest first; `known` are
    statefiles that this machine remembers.
    """
    taking = Taking(context, adopted)
    taking.taken.append(f"{len(adopted.targets)} targets, as they are found")
    own = [each for each in own if _is_own(context, each)]
    told = _told(taking, own)
    seen = (each.excerpt.seen for each in told)
    taking.state = accepted(taking.state, (*known, *(each for each in seen if each is not None)))
    take_orders_back(taking, [each for each in told if each.current])
    _take_vetoes(taking, own, told)
    _pass_over(taking, own)
    take_publications(taking, told)
    take_targets(taking, told)
    for each in told:
        _take_record(taking, each)
    take_history(taking, past)
    return _rebuilt(taking)


def with_answers(found: Rebuilt, context: Context, runs: Mapping[str, RunFact | Unreachable | None]) -> Rebuilt:
    """The rebuilt state once the servers have said what became of its runs."""
    taking = Taking(context, found.state, list(found.taken), list(found.missing), dict(found.begun))
    answered(taking, runs)
    return replace(_rebuilt(taking), begun={})


def _rebuilt(taking: Taking) -> Rebuilt:
    return Rebuilt(taking.state, tuple(taking.taken), tuple(taking.missing), taking.begun)


def _is_own(context: Context, merge_request: MergeRequest) -> bool:
    of_ours = merge_request.source_branch.startswith(PREFIX) and merge_request.author == context.observed.me
    return of_ours and merge_request.target_branch == context.settings.branch


def _told(taking: Taking, own: Sequence[MergeRequest]) -> list[Told]:
    """What the comments say, the oldest first."""
    observed, key, base = taking.context.observed, taking.context.report_key, taking.context.settings.branch
    found: list[Told] = []
    unread: list[MergeRequest] = []
    for each in own:
        excerpt = excerpt_on(each, observed.me, key, base)
        if excerpt is not None:
            found.append(Told(f"!{each.iid}", excerpt, _current(taking, each, excerpt), each))
        elif each.state is MergeRequestStatus.OPENED:
            taking.missing.append(f"!{each.iid}: it has no report that can be read: holds on it are not known")
        elif each.state is MergeRequestStatus.MERGED:
            unread.append(each)
    board = excerpt_of_dashboard(observed.dashboard, key, base)
    if board is not None:
        found.append(Told("the dashboard", board, current=True))
    elif not taking.context.settings.dashboard_title:
        taking.missing.append(NO_DASHBOARD)
    for told in found:
        if told.excerpt.left_out:
            many = f"{told.where}: its comment had no room for {told.excerpt.left_out} records"
            taking.missing.append(f"{many}; of those, the next lines name what may not have run")
    say_unread(taking, unread, found)
    return sorted(found, key=lambda each: each.serial)


def _current(taking: Taking, merge_request: MergeRequest, excerpt: Excerpt) -> bool:
    """Whether a comment was kept up to date: while its merge request is open, then until its versions have run."""
    if merge_request.state is not MergeRequestStatus.MERGED:
        return merge_request.state is MergeRequestStatus.OPENED
    told = Told("", excerpt, current=False)
    known = records(taking, told)
    present = [e for e in told.edits if e.target in taking.targets and taking.targets[e.target].ref == e.new]
    return any(not ran(known.get(each.target), each.new) for each in present)


def _take_vetoes(taking: Taking, own: Sequence[MergeRequest], told: Sequence[Told]) -> None:
    """A merge request that a person closed turns its versions down; so does one that a command closed."""
    edits = {each.merge_request.iid: each.edits for each in told if each.merge_request is not None}
    for each in own:
        if each.state is not MergeRequestStatus.CLOSED:
            continue
        if each.closed_by == taking.context.observed.me:
            take_vetoes(taking, vetoes_on(each, taking.context.observed.me, taking.context.report_key))
            continue
        if not edits.get(each.iid):
            taking.missing.append(f"!{each.iid}: a person closed it, and its report does not tell what was in it")
        by, now = each.closed_by or "somebody", taking.context.now
        take_vetoes(taking, (Veto(edit.target, edit.new, by, now) for edit in edits.get(each.iid, ())))


def _pass_over(taking: Taking, own: Sequence[MergeRequest]) -> None:
    """What was said up to now is obeyed by nobody: after a lost state every old command would be new again."""
    cursors = {f"notes:{each.iid}": max((int(n.id) for n in each.notes), default=0) for each in own}
    board = taking.context.observed.dashboard
    if board is not None and board.notes:
        cursors[f"dashboard:{board.iid}"] = max(int(note.id) for note in board.notes)
    fresh = {key: last for key, last in cursors.items() if last}
    taking.state = replace(taking.state, cursors={**taking.state.cursors, **fresh})
    if fresh:
        taking.missing.append(SAY_AGAIN)


def _take_record(taking: Taking, told: Told) -> None:
    """The record of a merge request that is open, or whose versions have not all run since it was merged."""
    merge_request = told.merge_request
    if merge_request is None or not told.current:
        return
    batch, part = batch_of(merge_request.source_branch)
    bare = MergeRequestState(merge_request.source_branch, merge_request.iid, batch, part, (), "", "")
    record = replace(
        told.record or bare,
        branch=merge_request.source_branch,
        iid=merge_request.iid,
        hold=told.excerpt.hold,
        merged=merge_request.state is MergeRequestStatus.MERGED,
        changed_at=told.excerpt.changed_at or taking.context.now,
    )
    taking.state = with_record(taking.state, record)
    moves = ", ".join(f"{each.target} {short(each.old)} -> {short(each.new)}" for each in record.edits[:5])
    hold = f", held by {record.hold.by}" if record.hold is not None else ""
    why = f": {record.hold.reason}" if record.hold is not None and record.hold.reason else ""
    taking.taken.append(f"!{record.iid} {merge_request.state}{hold}{why} ({moves or 'its edits are read again'})")
