"""Job lists outside of the config: a definition with all its jobs, as they stand there now (DESIGN section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.facts import Facts
from bot.formats.job_lists import expanded
from bot.model.observed import Unreachable
from bot.model.plan import Gate
from bot.model.triggers import Trigger


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Why the jobs of a definition are not known, and the gate that holds it by that."""

    text: str
    gate: Gate


def whole(facts: Facts, trigger: Trigger) -> Trigger | Unlisted:
    """The definition with all its jobs, or why the list that they stand in cannot be read."""
    if trigger.read or trigger.jobs_from is None:
        return trigger
    data = facts.job_list(trigger.jobs_from)
    if isinstance(data, Unreachable):
        return Unlisted(data.text, Gate.UNREACHABLE)
    found = expanded(trigger, data)
    if not isinstance(found, tuple):
        return found
    more = f", and {len(found) - 1} more faults" if len(found) > 1 else ""
    return Unlisted(f"{trigger.jobs_from.key_env}: {found[0]}{more}", Gate.INVALID)
