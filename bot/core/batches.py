"""Batches: which edits share a merge request (DESIGN section 5).

Edits are grouped by file, app, channel or all, and cut at `maxBatch` files. A file belongs to one group by what the
config says, not by what is due at the moment, so no two merge requests ever touch the same file. A part keeps its
files as long as they are due; new files fill the first part with room; a content whose CI failed is cut in halves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from bot.model.desired import Desired, Target
from bot.model.state import Edit
from bot.settings import BatchBy

PREFIX = "saasbot/"
"""Branches of the bot start with this."""

PART = re.compile(r"^(?P<batch>.+)\+(?P<part>\d+)$")


@dataclass(frozen=True, slots=True)
class Batch:
    """The edits of one merge request."""

    key: str
    part: int
    edits: tuple[Edit, ...]

    @property
    def branch(self) -> str:
        """The branch is a function of the batch key and part alone."""
        return branch(self.key, self.part)

    @property
    def content(self) -> frozenset[str]:
        """What is in it, independent of the base: `target@sha`."""
        return content(self.edits)


@dataclass(frozen=True, slots=True)
class Cut:
    """All batches of a group, and the edits that wait because they share a file with a failed half."""

    batches: tuple[Batch, ...]
    waiting: tuple[Edit, ...] = ()


def branch(key: str, part: int) -> str:
    """`saasbot/<batch key>`, with the part number where it was cut."""
    return f"{PREFIX}{key}" if part <= 1 else f"{PREFIX}{key}+{part}"


def batch_of(name: str) -> tuple[str, int]:
    """The batch key and part of a branch of the bot."""
    key = name.removeprefix(PREFIX)
    found = PART.match(key)
    return (found["batch"], int(found["part"])) if found else (key, 1)


def content(edits: Iterable[Edit]) -> frozenset[str]:
    """The identity of a set of edits: a moved base does not change it."""
    return frozenset(f"{edit.target}@{edit.new}" for edit in edits)


def file_keys(desired: Desired, by: BatchBy) -> Mapping[str, str]:
    """The batch key of each SaaS file: that of its subscribers, the first in order where they differ."""
    keys: dict[str, str] = {}
    others: dict[str, str] = {}
    for target in desired.targets.values():
        found = keys if target.promotion.subscribe else others
        key = _key(target, by)
        found[target.file] = min(found.get(target.file, key), key)
    return {**others, **keys}


def _key(target: Target, by: BatchBy) -> str:
    match by:
        case BatchBy.ALL:
            return "all"
        case BatchBy.APP:
            return f"app-{slug(target.app.name)}"
        case BatchBy.CHANNEL:
            return f"channel-{slug(min(target.promotion.subscribe, default='none'))}"
        case BatchBy.FILE:
            return slug(target.file)
        case _:
            assert_never(by)


def slug(text: str) -> str:
    """A text as part of a branch name: unchanged where git allows it, else cleaned and told apart by a hash."""
    clean = re.sub(r"[^A-Za-z0-9._/-]+|\.\.+|//+|/\.|\.lock(?=/|$)|@", "-", text).strip("./-")
    if clean == text and not clean.endswith(".lock"):
        return clean
    return f"{clean or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def cut(
    key: str,
    edits: Iterable[Edit],
    before: Mapping[int, frozenset[str]],
    failed: Iterable[frozenset[str]],
    max_batch: int,
    taken: frozenset[int] = frozenset(),
) -> Cut:
    """Cut one group's edits into batches.

    `before` maps each open part to its files, which it keeps; `failed` are contents that must not be tried again
    together; the part numbers in `taken` belong to merge requests that must not be touched now. What failed by itself
    stays by itself: it must not spoil what comes after it.
    """
    failed = tuple(failed)
    by_file, waiting = _by_file(edits, failed)
    alone = frozenset(file for file, own in by_file.items() if _failed_alone(own[0], failed))
    parts = _placed(by_file, alone, before)
    placed = {file for files in parts.values() for file in files}
    for file in by_file:
        if file not in placed:
            parts.setdefault(_room(parts, alone, 1 if file in alone else max_batch, taken), []).append(file)
    whole = {part: [edit for file in files for edit in by_file[file]] for part, files in parts.items()}
    return _bisect(key, whole, failed, taken, waiting)


def _by_file(edits: Iterable[Edit], failed: tuple[frozenset[str], ...]) -> tuple[dict[str, list[Edit]], list[Edit]]:
    """Edits by file; one that failed by itself waits where its file has a better one."""
    found: dict[str, list[Edit]] = {}
    for edit in sorted(edits, key=lambda e: (e.file, e.target)):
        found.setdefault(edit.file, []).append(edit)
    waiting: list[Edit] = []
    for file, own in found.items():
        good = [edit for edit in own if not _failed_alone(edit, failed)]
        kept = good or own[:1]
        waiting += [edit for edit in own if edit not in kept]
        found[file] = kept
    return found, waiting


def _failed_alone(edit: Edit, failed: tuple[frozenset[str], ...]) -> bool:
    return content((edit,)) in failed


def _placed(
    by_file: Mapping[str, list[Edit]], alone: frozenset[str], before: Mapping[int, frozenset[str]]
) -> dict[int, list[str]]:
    """The files that open parts keep; a file that stays by itself keeps its part only where it is by itself."""
    parts: dict[int, list[str]] = {}
    for part, files in before.items():
        known = [file for file in sorted(files) if file in by_file]
        good = [file for file in known if file not in alone]
        parts[part] = good or known[:1]
    return parts


def _room(parts: Mapping[int, list[str]], alone: frozenset[str], most: int, taken: frozenset[int]) -> int:
    """The first part with room for one more file."""
    part = 1
    while part in taken or len(parts.get(part, ())) >= most or alone & frozenset(parts.get(part, ())):
        part += 1
    return part


def _bisect(
    key: str,
    parts: dict[int, list[Edit]],
    failed: tuple[frozenset[str], ...],
    taken: frozenset[int],
    waiting: list[Edit],
) -> Cut:
    """Halve every part that contains a failed content of more than one edit, until none does."""
    todo = sorted(part for part, edits in parts.items() if edits)
    while todo:
        part = todo.pop()
        edits = parts[part]
        if len(edits) == 1 or not any(bad <= content(edits) for bad in failed if len(bad) > 1):
            continue
        first, second = _halves(edits)
        parts[part] = first
        todo.append(part)
        if {edit.file for edit in first} & {edit.file for edit in second}:
            waiting += second
            continue
        free = next(n for n in range(1, len(parts) + len(taken) + 2) if n not in taken and not parts.get(n))
        parts[free] = second
        todo.append(free)
    return Cut(tuple(Batch(key, part, tuple(edits)) for part, edits in sorted(parts.items()) if edits), tuple(waiting))


def _halves(edits: list[Edit]) -> tuple[list[Edit], list[Edit]]:
    files = sorted({edit.file for edit in edits})
    if len(files) == 1:
        return edits[: len(edits) // 2], edits[len(edits) // 2 :]
    left = frozenset(files[: len(files) // 2])
    return [e for e in edits if e.file in left], [e for e in edits if e.file not in left]
