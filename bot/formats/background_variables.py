"""Environment variables of the background jobs initiator before its version 1, and files of `KEY=VALUE` lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
_QUOTED = re.compile(r"""(["'])(.*)\1(?:\s+#.*)?""")


class Variable(NamedTuple):
    """What a variable is in an entry of the later generation; `negated`: the flag says the opposite there."""

    key: str = ""
    flag: bool = False
    negated: bool = False


VARIABLES: Mapping[str, Variable] = {
    "JOBS_GRAPH": Variable("jobsGraph"),
    "INITIAL_PUBLICATION_GRAPH_SYNC_JOB_OPERATION": Variable("initialPublicationGraphSyncJobOperation"),
    "INITIAL_PUBLICATION_GRAPH_SYNC_TASK_OPERATION": Variable(),
    "DUMP_FILE_CREATION_JOB_OPERATION": Variable("dumpFileCreationJobOperation"),
    "DUMP_FILE_CREATION_TASK_OPERATION": Variable(),
    "HEALING_JOB_OPERATION": Variable("healingJobOperation"),
    "HEALING_TASK_OPERATION": Variable(),
    "CRON_PATTERN_DUMP_JOB": Variable("cronPatternDumpJob"),
    "CRON_PATTERN_HEALING_JOB": Variable("cronPatternHealingJob"),
    "START_INITIAL_SYNC": Variable("startInitialSync", flag=True),
    "ENABLE_DUMP_FILE_CREATION": Variable("disableDumpFileCreation", flag=True, negated=True),
    "ENABLE_HEALING_JOB_OPERATION": Variable("disableHealingJobOperation", flag=True, negated=True),
    "HEAL_MUST_WAIT_FOR_INITIAL_SYNC": Variable("healShouldNotWaitForInitialSync", flag=True, negated=True),
    "ERROR_CREATOR_URI": Variable("errorCreatorUri"),
    "JOB_TIMEOUT_MINUTES": Variable(),
}
"""The variables that are known, with the key that says the same in a list's entry."""


def read_variables(text: str) -> dict[str, str]:
    """The variables in `KEY=VALUE` lines. Raises ValueError for a line that is none, and names it by its number."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        parts = _LINE.fullmatch(content)
        if parts is None:
            raise ValueError(f"line {number} is neither JSON nor KEY=VALUE")
        if parts[1] in found:
            raise ValueError(f"line {number}: {parts[1]} stands there twice")
        quoted = _QUOTED.fullmatch(parts[2])
        found[parts[1]] = quoted[2] if quoted else re.split(r"\s+#", parts[2])[0].strip()
    if not found:
        raise ValueError("it is empty")
    return found
