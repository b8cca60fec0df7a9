"""The commands that people write on merge requests, as values (DESIGN section 6).

One frozen dataclass a verb. `bot.core.commands` reads them from text, `bot.core.rights` says who may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Help:
    """Show the commands."""


@dataclass(frozen=True, slots=True)
class Status:
    """Show where everything on this merge request stands."""


@dataclass(frozen=True, slots=True)
class Explain:
    """Show every reason and gate of a target; empty for all that this merge request touches."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class PlanCmd:
    """Show what would run."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Reconcile now."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Run failed ones again; empty for all that this merge request touches."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop runs that the bot started; empty for all that this merge request touches."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class Regenerate:
    """Rebuild the branch from the base; `discard_edits` drops the commits of people."""

    discard_edits: bool = False


@dataclass(frozen=True, slots=True)
class HoldCmd:
    """Stop merging and pushing this merge request."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unhold:
    """Take the hold away."""


@dataclass(frozen=True, slots=True)
class Split:
    """Cut the batch into single files."""


@dataclass(frozen=True, slots=True)
class Group:
    """Join the batch again."""


@dataclass(frozen=True, slots=True)
class Promote:
    """Open a merge request that moves a target; an empty `sha` means the newest candidate."""

    target: str
    sha: str = ""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Move a target back and pin it; an empty `sha` means what was deployed before."""

    target: str
    sha: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """Keep a target at what it has."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class Unpin:
    """Let a target be promoted again."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Never promote or start this version of a code repository."""

    url: str
    sha: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unblock:
    """Take a block by command away."""

    url: str
    sha: str


@dataclass(frozen=True, slots=True)
class Ignore:
    """Close this merge request and veto what is in it."""


@dataclass(frozen=True, slots=True)
class OverrideCmd:
    """Pass one gate for the present head sha; an empty `target` means all that this merge request touches."""

    gate: str
    reason: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class FreezeCmd:
    """Stop the line: `scope` is `all`, `environment:NAME`, `app:NAME` or `target:ID`; `until` as written."""

    scope: str
    reason: str
    until: str = ""


@dataclass(frozen=True, slots=True)
class Unfreeze:
    """Take a freeze by command away."""

    scope: str


@dataclass(frozen=True, slots=True)
class TriggerCmd:
    """Start a trigger definition now; no `jobs` means all of them.

    `force` starts what would be held back, `rehearsal` tells the pipelines that it is a dry run.
    """

    trigger: str
    jobs: tuple[str, ...] = ()
    force: bool = False
    rehearsal: bool = False


Command = (
    Help
    | Status
    | Explain
    | PlanCmd
    | Refresh
    | Retry
    | Cancel
    | Regenerate
    | HoldCmd
    | Unhold
    | Split
    | Group
    | Promote
    | Rollback
    | Pin
    | Unpin
    | Block
    | Unblock
    | Ignore
    | OverrideCmd
    | FreezeCmd
    | Unfreeze
    | TriggerCmd
)


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A line that was meant as a command and is none.

    `suggestion` is the one verb that may have been meant, or empty. `problem` says what is wrong with a known verb's
    arguments; it is empty for an unknown verb. All of it is other people's text or made from it.
    """

    word: str
    suggestion: str = ""
    problem: str = ""

    @property
    def text(self) -> str:
        """What is wrong, in one sentence."""
        if self.problem:
            return self.problem
        if self.word in FOREIGN:
            return f"`{self.word}` is the forge's own business; `help` shows what I know"
        if self.suggestion:
            return f"`{self.word}` is no command; did you mean `{self.suggestion}`?"
        return f"`{self.word}` is no command; `help` shows them all"


FOREIGN = frozenset({"approve", "merge", "rebase", "close", "label"})
"""Words that a forge takes itself: they are no commands and are never suggested."""

VERBS: Mapping[type, str] = {
    Help: "help",
    Status: "status",
    Explain: "explain",
    PlanCmd: "plan",
    Refresh: "refresh",
    Retry: "retry",
    Cancel: "cancel",
    Regenerate: "regenerate",
    HoldCmd: "hold",
    Unhold: "unhold",
    Split: "split",
    Group: "group",
    Promote: "promote",
    Rollback: "rollback",
    Pin: "pin",
    Unpin: "unpin",
    Block: "block",
    Unblock: "unblock",
    Ignore: "ignore",
    OverrideCmd: "override",
    FreezeCmd: "freeze",
    Unfreeze: "unfreeze",
    TriggerCmd: "trigger",
}
"""The contract's word for each command."""


def verb(command: Command | Unparsed) -> str:
    """Return the contract's word for a command, or the word that is none."""
    return command.word if isinstance(command, Unparsed) else VERBS[type(command)]
