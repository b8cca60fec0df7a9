"""Executions as Gangway shows them, in our words, and the mark by which a new one is told from older ones."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.providers.downstream import moment

WORDS: Mapping[str, RunStatus] = {
    "JOB_EXECUTION_STATUS_UNSPECIFIED": RunStatus.PENDING,
    "SCHEDULING": RunStatus.PENDING,
    "TRIGGERED": RunStatus.PENDING,
    "PENDING": RunStatus.RUNNING,
    "SUCCESS": RunStatus.SUCCEEDED,
    "FAILURE": RunStatus.FAILED,
    "ERROR": RunStatus.FAILED,
    "ABORTED": RunStatus.CANCELED,
}
"""Gangway's words for the state of an execution in ours; Prow calls a job pending while its pod runs."""

NUMBERED = (
    "JOB_EXECUTION_STATUS_UNSPECIFIED",
    "TRIGGERED",
    "PENDING",
    "SUCCESS",
    "FAILURE",
    "ABORTED",
    "ERROR",
    "SCHEDULING",
)
"""The words by their numbers, for a proxy that prints enums so."""

SENTENCES: Mapping[str, str] = {
    "ERROR": "Prow could not run it (ERROR)",
    "ABORTED": "it was aborted at Prow",
}
"""What is worth saying of a state besides its word."""

LABEL = 63
"""Characters of a job's name that Prow puts into the label by which Gangway lists."""

REMEMBERED = 400
"""How many executions a mark remembers."""

_DIGITS = 8  # hexadecimal, of each id
_MARK = re.compile(rf"[0-9]+:((?:[0-9a-f]{{{_DIGITS}}})*)")


def labelled(job: str) -> str:
    """A job's name as Prow's label has it: cut, since labels are short, and without punctuation at its end."""
    return job[:LABEL].rstrip("._-") if len(job) > LABEL else job


def of_job(listed: Mapping[str, Any], job: str) -> dict[str, Mapping[str, Any]] | None:
    """The executions of this very job in an answer to a list, by id; None where it is no list.

    Jobs whose names begin with the same 63 characters are listed together. An execution that does not say of which
    job it is counts.
    """
    entries = listed.get("job_execution", [] if not listed else None)
    if not isinstance(entries, list):
        return None
    known = (each for each in entries if isinstance(each, dict) and isinstance(each.get("id"), str) and each["id"])
    return {each["id"]: each for each in known if (each.get("job_name") or job) == job}


def mark_of(ids: Iterable[str]) -> str:
    """A short text that `is_new` can compare executions with: how many there were, and a piece of each id's hash."""
    pieces = sorted({_piece(each) for each in ids})
    return f"{len(pieces)}:{''.join(pieces[:REMEMBERED])}"


def remembered(mark: str) -> frozenset[str] | None:
    """What a mark holds, for `is_new`; None for what is no mark: nothing was looked at before the start."""
    found = _MARK.fullmatch(mark)
    if found is None:
        return None
    return frozenset(found[1][at : at + _DIGITS] for at in range(0, len(found[1]), _DIGITS))


def is_new(execution: str, before: frozenset[str]) -> bool:
    """Whether an execution, by its id, was not there when the mark was taken."""
    return _piece(execution) not in before


def execution_fact(execution: Mapping[str, Any], page: str, url: str = "") -> RunFact:
    """What Gangway says of an execution; a word that this program does not know is in flight until it has ended.

    `page` is what the page of an execution is called up to its id; `url` is the link that is known already.
    """
    name = str(execution["id"])
    word = _word(execution.get("job_status"))
    finished = moment(execution.get("completion_time"))
    status = WORDS.get(word) or (RunStatus.UNKNOWN if finished else RunStatus.RUNNING)
    text = SENTENCES.get(word) or ("" if word in WORDS else f"Gangway calls it {word[:80]}")
    said = str(execution.get("job_url") or "")
    link = said if said.startswith(("https://", "http://")) else url or (f"{page}{name}" if page else "")
    began = moment(execution.get("create_time"))
    return RunFact(status, name, link, text, began, None if status.in_flight else finished)


def _word(said: Any) -> str:
    if isinstance(said, int) and not isinstance(said, bool) and 0 <= said < len(NUMBERED):
        return NUMBERED[said]
    return " ".join(str(said).split()) if said else NUMBERED[0]


def _piece(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
