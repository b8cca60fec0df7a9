"""Scope: what a command is about: its targets, their owners, and the merge request of the bot, if it is one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from bot.core import schedule
from bot.core import verbs as words
from bot.core.branches import Branch, is_own, own_branches
from bot.core.gates import same_url
from bot.core.released import batch_key, is_release
from bot.core.sheet import Sheet
from bot.core.trigger_orders import owners_of_trigger, triggered
from bot.model.desired import Desired, Target
from bot.model.observed import MergeRequest, Proposal
from bot.model.state import CommandFreeze
from bot.model.triggers import Trigger


@dataclass(frozen=True, slots=True)
class Scope:
    """What a command touches. `branch` is set on the bot's own merge requests, `trigger` by the verb of that name."""

    targets: tuple[Target, ...]
    owners: frozenset[str]
    holder: str = ""
    branch: Branch | None = None
    merge_request: MergeRequest | None = None
    named: bool = False
    trigger: Trigger | None = None


def scope_of(sheet: Sheet, command: words.Command, merge_request: MergeRequest | None) -> Scope | str:
    """The scope of a command, or one sentence that says what is wrong with what it names."""
    if isinstance(command, words.TriggerCmd):
        trigger = triggered(sheet, command)
        if isinstance(trigger, str):
            return trigger
        return Scope((), owners_of_trigger(sheet, trigger), merge_request=merge_request, trigger=trigger)
    desired = sheet.context.desired
    branch = _own_branch(sheet, merge_request)
    name = getattr(command, "target", None) or ""
    if name:
        target = desired.targets.get(name)
        if target is None:
            return unknown_target(desired, name)
        targets: tuple[Target, ...] = (target,)
    elif isinstance(command, words.FreezeCmd | words.Unfreeze):
        order = CommandFreeze(command.scope or "all", "", sheet.now, "")
        targets = tuple(t for t in desired.targets.values() if schedule.command_freezes_target(order, t))
        if not targets:
            return f"nothing is in the scope {order.scope}: all, environment:NAME, app:NAME or target:ID"
    elif isinstance(command, words.Block | words.Unblock):
        targets = tuple(t for t in desired.targets.values() if same_url(t.url, command.url))
        if not targets:
            return f"no target is made from {command.url}"
    elif branch is not None:
        targets = tuple(desired.targets[e.target] for e in branch.edits if e.target in desired.targets)
    else:
        targets = _recorded(sheet, merge_request) or _changed(sheet, merge_request)
    holder = branch.record.hold.by if branch is not None and branch.record.hold is not None else ""
    owners = owners_of(sheet, targets) | _owners_of_release(sheet, branch)
    return Scope(targets, owners, holder, branch, merge_request, bool(name))


def _owners_of_release(sheet: Sheet, branch: Branch | None) -> frozenset[str]:
    """The people who own the definition whose release a merge request writes down."""
    if branch is None or not is_release(branch.record.batch):
        return frozenset()
    triggers = sheet.context.desired.triggers.values()
    own = (owners_of_trigger(sheet, each) for each in triggers if batch_key(each.name) == branch.record.batch)
    return frozenset().union(*own)


def unknown_target(desired: Desired, name: str) -> str:
    """The sentence for a target that the config does not have."""
    close = difflib.get_close_matches(name, desired.targets.keys(), 1, 0.5)
    if name in desired.invalid_targets:
        return f"{name} is invalid: {desired.invalid_targets[name]}"
    return f"there is no target {name}" + (f"; did you mean {close[0]}?" if close else "")


def owners_of(sheet: Sheet, targets: tuple[Target, ...]) -> frozenset[str]:
    """The people who own any of these targets, by the base branch's app files; groups are spelled out."""
    groups = sheet.context.settings.groups
    apps = {target.app.name: sheet.context.desired.apps.get(target.app.name, target.app) for target in targets}
    names = {owner for app in apps.values() for owner in app.owners}
    return frozenset(user for name in names for user in groups.get(name, (name,)))


def _own_branch(sheet: Sheet, merge_request: MergeRequest | None) -> Branch | None:
    if merge_request is None or not is_own(sheet, merge_request):
        return None
    return next((each for each in own_branches(sheet) if each.merge_request.iid == merge_request.iid), None)


def _recorded(sheet: Sheet, merge_request: MergeRequest | None) -> tuple[Target, ...]:
    """The targets of a merged merge request of the bot whose runs are still followed."""
    iid = merge_request.iid if merge_request is not None else 0
    edits = [edit for record in sheet.state.merge_requests.values() if record.iid == iid for edit in record.edits]
    targets = sheet.context.desired.targets
    return tuple(targets[edit.target] for edit in edits if edit.target in targets)


def _changed(sheet: Sheet, merge_request: MergeRequest | None) -> tuple[Target, ...]:
    """The targets whose ref or configuration a person's merge request changes."""
    if merge_request is None:
        return ()
    proposal = sheet.facts.proposal(merge_request.iid)
    if not isinstance(proposal, Proposal):
        return ()
    present = sheet.context.desired.targets
    return tuple(t for t in present.values() if t.id in proposal.changed)
