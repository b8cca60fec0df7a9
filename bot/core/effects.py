"""Effects: what each command writes down. One function a family of verbs; the answer is a value with words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from bot.core import verbs as words
from bot.core.batches import content
from bot.core.branches import remember
from bot.core.commands import freeze_until
from bot.core.follow import cancel, stop_reason
from bot.core.gates import NEVER_OVERRIDDEN, same_url
from bot.core.promotion import choose, newer
from bot.core.scope import Scope, owners_of
from bot.core.sections import put_question
from bot.core.sheet import Sheet
from bot.core.sources import Offer, offer_of
from bot.core.trigger_orders import asked
from bot.model.desired import Target, is_sha
from bot.model.observed import Note, Proposal
from bot.model.plan import Gate
from bot.model.runs import RunStatus
from bot.model.state import (
    Block,
    CommandFreeze,
    Hold,
    MergeRequestState,
    Override,
    Pin,
    PromotionRequest,
    Question,
    RunRequest,
    Veto,
)
from bot.render.words import short, utc

ORDERS_MOST = 1000
"""Blocks, and freezes by command, that the statefile holds: they stand until they are taken back."""

SHORTEST = 7
"""Digits of an abbreviated sha that are taken as one."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: `public` where the text is worth a reply and not only a reaction."""

    ok: bool
    text: str
    public: bool = False


def carry_out(sheet: Sheet, command: words.Command, note: Note, scope: Scope) -> Done:  # noqa: PLR0911 - one arm a verb
    """Write down what an allowed command asks for."""
    match command:
        case words.Help() | words.Status() | words.Explain() | words.PlanCmd():
            return _question(sheet, command, note, scope)
        case words.Refresh():
            return Done(ok=True, text="this pass has looked at everything again")
        case words.Retry():
            return _retry(sheet, note, scope)
        case words.Cancel():
            return _cancel(sheet, note, scope)
        case words.Regenerate() | words.HoldCmd() | words.Unhold() | words.Split() | words.Group() | words.Ignore():
            return _on_branch(sheet, command, note, scope)
        case words.Promote() | words.Rollback():
            return _move(sheet, command, note, scope.targets[0])
        case words.Pin() | words.Unpin():
            return _pin(sheet, command, note, scope.targets)
        case words.Block() | words.Unblock():
            return _block(sheet, command, note)
        case words.OverrideCmd():
            return _override(sheet, command, note, scope)
        case words.FreezeCmd() | words.Unfreeze():
            return _freeze(sheet, command, note)
        case words.TriggerCmd():
            return _trigger(sheet, command, note, scope)
        case _:
            assert_never(command)


def _question(sheet: Sheet, command: words.Command, note: Note, scope: Scope) -> Done:
    question = Question(words.verb(command), scope.targets[0].id if scope.named else "", note.author)
    if scope.merge_request is None:
        sheet.question = question
    else:
        put_question(sheet, scope.merge_request.iid, question)
    return Done(ok=True, text="answered in the report")


def _trigger(sheet: Sheet, command: words.TriggerCmd, note: Note, scope: Scope) -> Done:
    """Ask for a round; on a merge request its report shows it from now on."""
    trigger = scope.trigger
    if trigger is None:  # pragma: no cover - the scope of this verb has one
        raise TypeError(command)
    order = asked(sheet, trigger, command, note.author)
    if order.request is None:
        return Done(ok=False, text=order.text)
    sheet.state = replace(sheet.state, trigger_requests={**sheet.state.trigger_requests, trigger.name: order.request})
    if scope.merge_request is not None:
        question = Question("trigger", trigger.name, note.author)
        put_question(sheet, scope.merge_request.iid, question)
    return Done(ok=True, text=order.text, public=order.later or scope.merge_request is None)


def _retry(sheet: Sheet, note: Note, scope: Scope) -> Done:
    requests: dict[str, RunRequest] = {}
    for target in scope.targets:
        record = sheet.target_state(target.id)
        run = record.run if record is not None else None
        ended_badly = run is not None and run.status in (RunStatus.FAILED, RunStatus.CANCELED, RunStatus.UNKNOWN)
        if ended_badly or scope.named:
            kind = "retry" if ended_badly else "manual"
            requests[target.id] = RunRequest(target.id, kind, note.author, sheet.now)
    forgiven = _forgive(sheet, scope)
    if not requests and not forgiven:
        return Done(ok=False, text="nothing here has failed; name a target to run it all the same: `retry <target>`")
    sheet.state = replace(sheet.state, run_requests={**sheet.state.run_requests, **requests})
    return Done(ok=True, text="runs again: " + (", ".join(sorted(requests)) or "the merge request's content"))


def _forgive(sheet: Sheet, scope: Scope) -> bool:
    """Set the failed CI of the bot's own merge request aside."""
    branch = scope.branch
    edits = branch.edits if branch is not None else ()
    own = content(edits) | {f"{t.id}@{r.sha}" for t in scope.targets if (r := sheet.state.requests.get(t.id))}
    kept = tuple(failed for failed in sheet.state.failed_contents if not failed.content <= own)
    changed = len(kept) != len(sheet.state.failed_contents)
    sheet.state = replace(sheet.state, failed_contents=kept)
    if branch is not None:
        remember(sheet, replace(branch.record, forgiven=branch.merge_request.head_sha))
    return changed or branch is not None


def _cancel(sheet: Sheet, note: Note, scope: Scope) -> Done:
    stopped = []
    for target in scope.targets:
        record = sheet.target_state(target.id)
        if record is None or record.run is None or not record.run.status.in_flight:
            continue
        run = replace(record.run, stop=note.author)
        cancel(sheet, record, run, target.pipeline, stop_reason(run))
        stopped.append(target.id)
    return Done(ok=bool(stopped), text="stops " + ", ".join(stopped) if stopped else "no run is in flight here")


BranchCommand = words.Regenerate | words.HoldCmd | words.Unhold | words.Split | words.Group | words.Ignore


def _on_branch(sheet: Sheet, command: BranchCommand, note: Note, scope: Scope) -> Done:
    branch = scope.branch
    if branch is None:
        return Done(ok=False, text="this works on a promotion merge request of the bot only")
    record = branch.record
    splits = sheet.state.splits
    match command:
        case words.Regenerate():
            remember(sheet, replace(record, asked="discard" if command.discard_edits else "keep"))
            return Done(ok=True, text="rebuilt from the base")
        case words.HoldCmd():
            remember(sheet, replace(record, hold=Hold(note.author, sheet.now, command.reason or "")))
            return Done(ok=True, text="held; `unhold` lets it go")
        case words.Unhold():
            remember(sheet, replace(record, hold=None))
            return Done(ok=record.hold is not None, text="let go" if record.hold else "it was not held")
        case words.Split():
            sheet.state = replace(sheet.state, splits=splits | {record.batch})
            return Done(ok=True, text="cut into one merge request for each file")
        case words.Group():
            return _group(sheet, record)
        case words.Ignore():
            return _ignore(sheet, note, record)
        case _:
            assert_never(command)


def _group(sheet: Sheet, record: MergeRequestState) -> Done:
    """Let all parts of a batch be joined again, whether a command or a failed CI had cut them."""
    parts = [each for each in sheet.state.merge_requests.values() if each.batch == record.batch and not each.merged]
    for part in parts:
        remember(sheet, replace(part, asked="group"))
    whole = frozenset(each for part in parts for each in content(part.edits))
    kept = tuple(each for each in sheet.state.failed_contents if len(each.content) == 1 or not each.content <= whole)
    sheet.state = replace(sheet.state, splits=sheet.state.splits - {record.batch}, failed_contents=kept)
    return Done(ok=True, text=f"joined again, {len(parts)} merge requests so far")


def _ignore(sheet: Sheet, note: Note, record: MergeRequestState) -> Done:
    vetoes = tuple(Veto(e.target, e.new, note.author, sheet.now) for e in record.edits)
    targets = {each.target for each in record.edits}
    requests = {key: request for key, request in sheet.state.requests.items() if key not in targets}
    sheet.state = replace(sheet.state, vetoes=(*sheet.state.vetoes, *vetoes), requests=requests)
    remember(sheet, replace(record, asked="close"))
    return Done(ok=True, text="closed; these versions wait for newer ones")


def _move(sheet: Sheet, command: words.Promote | words.Rollback, note: Note, target: Target) -> Done:
    if isinstance(command, words.Promote):
        return _promote(sheet, command, note, target)
    return _rollback(sheet, command, note, target)


def _promote(sheet: Sheet, command: words.Promote, note: Note, target: Target) -> Done:
    if not target.pinned:
        return Done(ok=False, text=f"{target.id} follows {target.ref}: it moves with it, there is nothing to promote")
    sha = command.sha or next(iter(newer(sheet, target)), "")
    if not sha:
        return Done(ok=False, text=f"nothing newer than {short(target.ref)} was published for {target.id}")
    sha = _full_sha(sheet, target, sha)
    if not is_sha(sha):
        return Done(ok=False, text=f"{command.sha} is not a full commit sha, and no published one starts with it")
    if sha == target.ref:
        return Done(ok=False, text=f"{target.id} is at {short(sha)} already")
    return _request(sheet, PromotionRequest(target.id, sha, note.author, sheet.now), f"{short(sha)} is asked for")


def _request(sheet: Sheet, request: PromotionRequest, text: str) -> Done:
    """Write a request down; a veto of the same version is thereby taken back."""
    vetoes = tuple(v for v in sheet.state.vetoes if (v.target, v.sha) != (request.target, request.sha))
    requests = {**sheet.state.requests, request.target: request}
    sheet.state = replace(sheet.state, requests=requests, vetoes=vetoes)
    return Done(ok=True, text=f"{request.target}: {text}; its merge request opens when every gate passes")


def _full_sha(sheet: Sheet, target: Target, sha: str) -> str:
    """A published sha that starts like this, if there is exactly one."""
    if is_sha(sha) or len(sha) < SHORTEST:
        return sha
    known = {p.sha for channel, _ in sheet.subscribed(target) for p in sheet.publications(channel)}
    record = sheet.target_state(target.id)
    if record is not None:
        run = record.run
        known |= {record.sha, record.deployed_sha, record.previous, run.previous if run is not None else ""}
    found = [each for each in known if each.startswith(sha)]
    return found[0] if len(found) == 1 else sha


def _rollback(sheet: Sheet, command: words.Rollback, note: Note, target: Target) -> Done:
    if not target.pinned:
        return Done(ok=False, text=f"{target.id} follows {target.ref}: revert there, or `pin` it")
    record = sheet.target_state(target.id)
    run = record.run if record is not None else None
    before = (run.previous if run is not None else "") or (record.previous if record is not None else "")
    sha = _full_sha(sheet, target, command.sha or before)
    if not is_sha(sha):
        return Done(ok=False, text=f"no earlier version of {target.id} is on record: `rollback {target.id} to <sha>`")
    if sha == target.ref:
        return Done(ok=False, text=f"{target.id} is at {short(sha)} already")
    pin = Pin(sha, note.author, sheet.now, "rolled back", rollback=True)
    sheet.state = replace(sheet.state, pins={**sheet.state.pins, target.id: pin})
    request = PromotionRequest(target.id, sha, note.author, sheet.now, rollback=True)
    return _request(sheet, request, f"rolls back to {short(sha)} and stays there until `unpin`")


def _pin(sheet: Sheet, command: words.Pin | words.Unpin, note: Note, targets: tuple[Target, ...]) -> Done:
    pins = dict(sheet.state.pins)
    names = ", ".join(target.id for target in targets)
    if isinstance(command, words.Unpin):
        found = [target.id for target in targets if pins.pop(target.id, None) is not None]
        requests = {k: r for k, r in sheet.state.requests.items() if not (r.rollback and k in found)}
        sheet.state = replace(sheet.state, pins=pins, requests=requests)
        return Done(ok=bool(found), text=f"unpinned {names}" if found else f"{names or 'nothing'} was not pinned")
    for target in targets:
        record = sheet.target_state(target.id)
        sha = target.ref if target.pinned else (record.sha if record is not None else "")
        if not is_sha(sha):
            return Done(ok=False, text=f"it is not known which version {target.id} runs")
        pins[target.id] = Pin(sha, note.author, sheet.now)
    sheet.state = replace(sheet.state, pins=pins)
    return Done(ok=bool(targets), text=f"pinned {names}" if targets else "name a target: `pin <target>`")


def _block(sheet: Sheet, command: words.Block | words.Unblock, note: Note) -> Done:
    if not is_sha(command.sha):
        return Done(ok=False, text=f"{command.sha} is not a full commit sha of 40 digits")
    others = tuple(b for b in sheet.state.blocks if not (b.sha == command.sha and same_url(b.url, command.url)))
    if isinstance(command, words.Unblock):
        found = len(others) != len(sheet.state.blocks)
        sheet.state = replace(sheet.state, blocks=others)
        return Done(ok=found, text="unblocked" if found else "it was not blocked by a command; see blockedVersions")
    if len(others) >= ORDERS_MOST:
        return Done(
            ok=False, text=f"{ORDERS_MOST} versions are blocked by command: `unblock` some, or use blockedVersions"
        )
    block = Block(command.url, command.sha, note.author, sheet.now, command.reason)
    sheet.state = replace(sheet.state, blocks=(*others, block))
    return Done(ok=True, text=f"{short(command.sha)} of {command.url} will not be promoted or started")


def _override(sheet: Sheet, command: words.OverrideCmd, note: Note, scope: Scope) -> Done:
    known = {gate.value for gate in Gate if gate not in NEVER_OVERRIDDEN}
    if command.gate not in known:
        return Done(ok=False, text=f"{command.gate} is not a gate that can be overridden: {', '.join(sorted(known))}")
    settings = sheet.context.settings.commands
    pairs = [
        (target.id, sha)
        for target in scope.targets
        if (settings.override_group != "owners" or note.author in owners_of(sheet, (target,)))
        and (sha := _due_sha(sheet, target, scope))
    ]
    if not pairs:
        return Done(ok=False, text="there is no version here that a gate holds")
    head = scope.merge_request.head_sha if scope.merge_request is not None else ""
    given = tuple(Override(t, sha, command.gate, note.author, sheet.now, command.reason, head) for t, sha in pairs)
    kept = tuple(
        o for o in sheet.state.overrides if (o.target, o.sha, o.gate) not in {(t, s, command.gate) for t, s in pairs}
    )
    sheet.state = replace(sheet.state, overrides=(*kept, *given))
    what = ", ".join(f"{target} at {short(sha)}" for target, sha in pairs)
    return Done(ok=True, text=f"{command.gate} is passed for {what}")


def _due_sha(sheet: Sheet, target: Target, scope: Scope) -> str:
    """The version of a target that is waiting: in this merge request, to be promoted, or to be started."""
    if scope.branch is not None:
        return next((e.new for e in scope.branch.edits if e.target == target.id), "")
    if scope.merge_request is not None:
        proposal = sheet.facts.proposal(scope.merge_request.iid)
        if not isinstance(proposal, Proposal) or target.id in proposal.gone:
            return ""
        return proposal.changed.get(target.id, target).ref
    choice = choose(sheet, target)
    record = sheet.target_state(target.id)
    offer = offer_of(sheet.facts, target, record)
    sha = offer.sha if isinstance(offer, Offer) else ""
    waiting = bool(sha) and (record is None or record.sha != sha)
    return sha if waiting or choice is None else choice.sha


def _freeze(sheet: Sheet, command: words.FreezeCmd | words.Unfreeze, note: Note) -> Done:
    scope = command.scope or "all"
    others = tuple(freeze for freeze in sheet.state.freezes if freeze.scope != scope)
    if isinstance(command, words.Unfreeze):
        found = len(others) != len(sheet.state.freezes)
        sheet.state = replace(sheet.state, freezes=others)
        return Done(ok=found, text=f"{scope} moves again" if found else f"{scope} was not frozen by a command")
    until = freeze_until(command.until, sheet.now) if command.until else None
    if command.until and (until is None or until <= sheet.now):
        return Done(ok=False, text=f"{command.until} is no time to come: write 4h or 2026-01-02T08:00:00Z")
    if len(others) >= ORDERS_MOST:
        return Done(ok=False, text=f"{ORDERS_MOST} freezes stand by command: `unfreeze` some, or use a freeze file")
    freeze = CommandFreeze(scope, note.author, sheet.now, command.reason, until)
    sheet.state = replace(sheet.state, freezes=(*others, freeze))
    return Done(ok=True, text=f"{scope} is frozen until {utc(until) if until else '`unfreeze`'}")
