"""Every sentence that the bot says on a merge request: one function and one template each.

Jinja2's autoescape is for HTML and is off; each foreign value passes `bot.render.neutral` instead.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bot.model.desired import is_sha
from bot.model.observed import Title
from bot.model.plan import Held
from bot.model.rounds import JobReport, SetReport
from bot.model.runs import Reason, RunStatus
from bot.model.state import Answer, Edit, Flag, Hold, Veto
from bot.render import heartbeat, marker, neutral
from bot.render.words import span, utc

if TYPE_CHECKING:
    from jinja2 import Environment

STICKY = "report"
"""The kind of the sticky comment's marker."""

DASHBOARD = "dashboard"
"""The kind of the dashboard's marker."""

LARGEST = 60_000
"""Characters of a comment with its marker: forges take 65,536 at least, and one that is refused is not there at all."""

LARGEST_TEXT = 44_000
"""Characters of what a person reads; the rest is for the marker."""

Fits = Callable[[Mapping[str, Any]], bool]
"""Whether a comment has room for these fields in its marker."""

Beside = Callable[[Fits], Mapping[str, Any]]

_QUIET = frozenset({RunStatus.SUCCEEDED.value, "skipped", "waiting"})
_SHARES = (1, 2, 4, 8, 16, 32)
_MOST_TITLES = 20
_MOST_GROUPS = 10
_CUT = "\n\n… and more than a comment can hold.\n"
_REPOSITORY = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._~-]+)+")
_PAGE = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._~%?=#/-]*)?")


@dataclass(frozen=True, slots=True)
class PromotionChange:
    """One target of a promotion: from `old` to `new` of the code repository `url`.

    `titles` are the commits in between, newest first; `note` says why there are none, where that is so.
    """

    target: str
    url: str
    old: str
    new: str
    titles: tuple[Title, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run that a merge request led to; `took` is its duration once it is over."""

    target: str
    sha: str
    status: RunStatus
    text: str = ""
    url: str = ""
    took: timedelta | None = None


@dataclass(frozen=True, slots=True)
class StartLine:
    """A target that will run after a merge, and why."""

    target: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class RefusedEdit:
    """A target whose `ref` could not be edited safely."""

    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class Section:
    """The answer to a question that was asked on the merge request (`explain`, `status`, ...)."""

    title: str
    lines: tuple[str, ...]
    sets: tuple[SetReport, ...] = ()
    """The sets of a trigger definition's round, each shown as a table."""


@dataclass(frozen=True, slots=True)
class PromotionView:
    """All that the sticky comment on a promotion merge request says."""

    changes: tuple[PromotionChange, ...]
    held: tuple[Held, ...] = ()
    runs: tuple[RunLine, ...] = ()
    starts: tuple[StartLine, ...] = ()
    unsafe: tuple[RefusedEdit, ...] = ()
    hold: Hold | None = None
    vetoes: tuple[Veto, ...] = ()
    notices: tuple[str, ...] = ()
    answers: tuple[Section, ...] = ()
    prefix: str = "/saasbot"


@dataclass(frozen=True, slots=True)
class ChangeView:
    """All that the sticky comment on a person's merge request says."""

    starts: tuple[StartLine, ...] = ()
    held: tuple[Held, ...] = ()
    notices: tuple[str, ...] = ()
    answers: tuple[Section, ...] = ()
    prefix: str = "/saasbot"


@dataclass(frozen=True, slots=True)
class MergeRequestLine:
    """An open merge request of the bot."""

    title: str
    iid: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class DeployedLine:
    """What was deployed last to a target, and when, as far as is known."""

    target: str
    sha: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class DashboardView:
    """All that the dashboard issue says: what needs a person, what only waits, what runs, what is where."""

    attention: tuple[Held, ...] = ()
    flags: tuple[tuple[str, Flag], ...] = ()
    """By subject: what the work queue leaves to a person."""
    waiting: tuple[Held, ...] = ()
    runs: tuple[RunLine, ...] = ()
    rounds: tuple[SetReport, ...] = ()
    """Sets of trigger rounds that run or have ended badly, each with the jobs that are worth a look."""
    merge_requests: tuple[MergeRequestLine, ...] = ()
    deployed: tuple[DeployedLine, ...] = ()
    prefix: str = "/saasbot"


@dataclass(frozen=True, slots=True)
class MergeRequestText:
    """How a promotion merge request is presented."""

    title: str
    description: str
    commit_message: str


@dataclass(frozen=True, slots=True)
class Verb:
    """A line of the list of commands."""

    usage: str
    does: str


PROMOTION_VERBS = (
    Verb("explain [target]", "every reason and gate"),
    Verb("retry [target]", "run failed ones again"),
    Verb("cancel [target]", "stop runs that the bot started"),
    Verb("regenerate [--discard-edits]", "rebuild the branch from the base"),
    Verb("hold [reason]", "leave this merge request alone until `unhold`"),
    Verb("split", "cut the batch into single files; `group` joins it again"),
    Verb("rollback <target> [to sha]", "go back and stay there until `unpin`"),
    Verb("ignore", "close and wait for newer versions"),
    Verb('override <gate> reason="..."', "pass one gate for this version only"),
    Verb("help", "all commands"),
)
CHANGE_VERBS = (
    Verb("explain [target]", "every reason and gate"),
    Verb("plan", "what would run"),
    Verb("refresh", "look again now"),
    Verb('override <gate> reason="..."', "pass one gate for this version only"),
    Verb("help", "all commands"),
)


DASHBOARD_VERBS = (
    Verb("explain <target>", "every reason and gate"),
    Verb("promote <target> [sha]", "open a promotion"),
    Verb("rollback <target> [to sha]", "go back and stay there until `unpin`"),
    Verb("retry <target>", "run a failed one again"),
    Verb('freeze <scope> [until] reason="..."', "stop the line until `unfreeze`"),
    Verb("help", "all commands"),
)


def promotion_report(view: PromotionView) -> str:
    """Write the sticky comment of a promotion merge request, without marker and time."""
    return bounded("promotion_report.md.j2", view=view, groups=_groups(view.changes), verbs=PROMOTION_VERBS)


def change_report(view: ChangeView) -> str:
    """Write the sticky comment of a person's merge request, without marker and time."""
    return bounded("change_report.md.j2", view=view, verbs=CHANGE_VERBS)


def dashboard(view: DashboardView) -> str:
    """Write the dashboard issue, without marker and time."""
    return bounded("dashboard.md.j2", view=view, verbs=DASHBOARD_VERBS)


def title_and_description(edits: Sequence[Edit], batch: str, *, rollback: bool = False) -> MergeRequestText:
    """Present a promotion: its title, its description and its commit's message; the same edits give the same bytes."""
    verb = "Roll back" if rollback else "Promote"
    if len(edits) == 1:
        title = f"{verb} {neutral.plain(edits[0].target)} to {short(edits[0].new)}"
    else:
        title = f"{verb} {len(edits)} targets (batch {neutral.plain(batch)})"
    description = bounded("description.md.j2", edits=edits)
    return MergeRequestText(title, description, say("commit.txt.j2", title=title, edits=edits))


def closing_comment(kind: str, why: str = "") -> str:
    """Say why a merge request is closed: `done`, `withdrawn`, `ignored` or `invalid`; for any other kind, `why`."""
    return say("closing.md.j2", kind=kind, why=why)


def answer(given: Answer) -> str:
    """Answer a command."""
    return bounded("answer.md.j2", answer=given)


def help_section(prefix: str, usages: Iterable[str]) -> Section:
    """Answer `help`: how every verb is written."""
    return Section("Commands", tuple(f"`{prefix} {usage}`" for usage in usages))


def nothing_beside(_fits: Fits) -> Mapping[str, Any]:
    """For a marker that carries its content alone."""
    return {}


def sticky(
    body: str,
    data: Mapping[str, Any],
    previous: str | None,
    now: datetime,
    key: bytes | None,
    kind: str = STICKY,
    beside: Beside = nothing_beside,
    every: timedelta | None = None,
) -> str | None:
    """Complete a sticky text with the time of its last change and its marker, or None if nothing changed.

    `data` goes into the marker beside `content`, a hash of body and data, and `changed_at`. The comparison is by that
    hash: a forge may store a text with other white space than it was sent. What `beside` gives goes into the marker
    too, in the place of a field of `data` that has its name; but it is no reason to edit anything. It is told what
    there is room for. With a heartbeat, a text that has not changed is told again after `every`.
    """
    known = marker.read(previous, kind, key) if previous is not None else None
    content = hashlib.sha256(f"{body}\n{marker.plain(kind, data)}".encode()).hexdigest()
    changed = known is None or known.get("content") != content
    if known is not None and not changed and not heartbeat.is_due(known, now, every):
        return None
    own = {"content": content, "changed_at": utc(now), **heartbeat.fields(known, now, every, changed=changed)}
    sentence = heartbeat.sentence(known, now, every, changed=changed)

    def whole(more: Mapping[str, Any]) -> str:
        written = marker.mark(kind, {**data, **more, **own}, key)
        return f"{body}\n<sub>{sentence}</sub>\n\n{written}\n"

    def fits(more: Mapping[str, Any]) -> bool:
        readable = len(marker.plain(kind, {**data, **more, **own})) <= marker.LARGEST
        return readable and len(whole(more)) <= LARGEST

    return whole(beside(fits))


def short(ref: str) -> str:
    """Shorten a full sha to seven digits; a branch or tag stays as it is."""
    return ref[:7] if is_sha(ref) else neutral.plain(ref)


def compare_link(url: str, old: str, new: str) -> str:
    """Return the address of a forge's page that compares two versions; empty where none can be told."""
    repository = url.removesuffix("/").removesuffix(".git")
    if _REPOSITORY.fullmatch(repository) is None or not (is_sha(old) and is_sha(new)):
        return ""
    host = repository.split("/")[2]
    middle = "compare" if host == "github.com" else "-/compare"
    return f"{repository}/{middle}/{old}...{new}"


def _groups(changes: Sequence[PromotionChange]) -> list[PromotionChange]:
    """Join targets that move over the same commits; their titles are shown once."""
    groups = {(change.url, change.old, change.new): change for change in changes if change.titles or change.note}
    return [replace(each, titles=each.titles[:_MOST_TITLES]) for each in list(groups.values())[:_MOST_GROUPS]]


def bounded(template: str, **values: Any) -> str:
    """Fill a template; where the text is too long, with a part of the entries of each list, and cut off at the last."""
    text = ""
    for share in _SHARES:
        text = say(template, share=share, **values)
        if len(text) <= LARGEST_TEXT:
            return text
    end = text.rindex("\n", 0, LARGEST_TEXT - len(_CUT))  # pragma: no cover - the smallest share fits
    return text[:end].rstrip() + _CUT  # pragma: no cover - as above


def say(template: str, **values: Any) -> str:
    """Fill a template; runs of empty lines become one, which Markdown reads the same."""
    text = _environment().get_template(template).render(values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    # Imported only here: 54 ms, which `validate` and `plan` do not need.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("bot.render"),
        autoescape=False,  # noqa: S701 (Markdown, not HTML; `neutral` escapes)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "inline": neutral.inline,
        "plain": neutral.plain,
        "sentence": neutral.sentence,
        "code": neutral.code,
        "sha7": short,
        "time": utc,
        "span": span,
        "compare": _compare,
        "link": _link,
        "page": _page,
        "worst": _worst,
        "subject": lambda subject: neutral.redact(subject).partition(":")[2] or subject,
        "count": lambda number, noun: f"{number} {noun}" + ("" if number == 1 else "s"),
    }
    return environment


def _compare(change: PromotionChange) -> str:
    link = compare_link(change.url, change.old, change.new)
    return f"[compare]({link})" if link else neutral.code(change.url)


def _link(url: str, text: str) -> str:
    """Write a link after a space, or nothing where the address is none or could carry a secret."""
    page = _page(url, text)
    return f" ({page})" if page else ""


def _page(url: str, text: str) -> str:
    """Write a link, or nothing where the address is none or could carry a secret."""
    return f"[{text}]({url})" if _PAGE.fullmatch(url) and neutral.redact(url) == url else ""


def _worst(jobs: Sequence[JobReport], most: int) -> Sequence[JobReport]:
    """Take so many jobs of a set; where these are not all, those that failed or still run come first."""
    if len(jobs) <= most:
        return jobs
    return sorted(jobs, key=lambda job: job.word in _QUIET)[:most]
