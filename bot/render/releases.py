"""What the bot says on the merge request that writes a release down (SYSTEMS RP-12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.model.plan import Held
from bot.model.state import Edit, Hold
from bot.render import neutral
from bot.render.comments import Section, Verb, bounded, say

RELEASE_VERBS = (
    Verb("regenerate [--discard-edits]", "rebuild the branch from the base"),
    Verb("hold [reason]", "leave this merge request alone until `unhold`"),
    Verb("ignore", "close and wait until more has been released"),
    Verb("help", "all commands"),
)


@dataclass(frozen=True, slots=True)
class ReleaseTexts:
    """Title and description of a release's merge request, and the message of its commit."""

    title: str
    description: str
    message: str


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A component that was released, and the run that built it."""

    component: str
    old: str
    new: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """All that the sticky comment on a release's merge request says; `rows` is the report of its last round."""

    trigger: str
    components: tuple[ReleaseLine, ...]
    round: str = ""
    held: tuple[Held, ...] = ()
    hold: Hold | None = None
    answers: tuple[Section, ...] = ()
    prefix: str = "/saasbot"
    notices: tuple[str, ...] = ()


def release_texts(process: str, version: str, edits: Sequence[Edit], *, finished: bool) -> ReleaseTexts:
    """Present what is written down; the same edits give the same bytes. `version` is as the manifest has it."""
    release = neutral.plain(version.removesuffix("-SNAPSHOT"))
    what = f"Release {release} of {neutral.plain(process)}"
    title = what if finished else f"{what}: {len(edits)} component{'s' if len(edits) != 1 else ''} so far"
    description = bounded("release_description.md.j2", edits=edits, release=release, finished=finished)
    return ReleaseTexts(title, description, say("release_commit.txt.j2", release=release, edits=edits))


def release_report(view: ReleaseView) -> str:
    """Write the sticky comment of a release's merge request, without marker and time."""
    return bounded("release_report.md.j2", view=view, verbs=RELEASE_VERBS)
