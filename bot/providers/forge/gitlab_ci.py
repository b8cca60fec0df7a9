"""What GitLab's pipelines say of a merge request's head.

A pipeline runs at a head, or at the merge of one with the target branch (merged results, merge trains).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from bot.model.observed import CiStatus
from bot.providers.forge.gitlab_wire import CHECKING, MergeRequestWire, Pipeline

STARTING = timedelta(minutes=2)
"""How long after the last change of a merge request its first pipeline is waited for: GitLab makes it in its own time.

A push moves `updated_at`, and so the wait ends by itself, also for who remembers nothing between two passes.
"""

PATIENCE = timedelta(minutes=10)
"""How long a pipeline for a new head is waited for; some branches never get one."""

_CI = {
    "success": CiStatus.SUCCESS,
    "failed": CiStatus.FAILED,
    "canceled": CiStatus.FAILED,
    "canceling": CiStatus.FAILED,
    "skipped": CiStatus.NONE,
    "manual": CiStatus.WAITING,
    "scheduled": CiStatus.WAITING,
}
"""A pipeline's status in our words; every other is still on its way."""

_MERGED_RESULT = re.compile(r"refs/merge-requests/\d+/(?:merge|train)")


def of_merge(pipeline: Pipeline) -> bool:
    """Whether it ran on the merge with the target branch: its commit is not a head, but a child of one."""
    return bool(_MERGED_RESULT.fullmatch(pipeline.ref or ""))


def ci_status(wire: MergeRequestWire, head: str, now: datetime) -> CiStatus:
    """The state of the CI at `head`; the sha of its pipeline is a head (see `of_merge`).

    GitLab makes pipelines after a push, in its own time: one for an older head, or none soon after a change or while
    the server is still thinking, is not green. A head that has waited long is taken as one that gets no pipeline.
    """
    pipeline, status = wire.head_pipeline, wire.detailed_merge_status
    quiet = now - wire.updated_at if wire.updated_at is not None else timedelta.max
    if pipeline is None or pipeline.sha != head:
        return _without_pipeline(wire, head, quiet)
    if status in CHECKING:
        return CiStatus.RUNNING
    found = _CI.get(pipeline.status, CiStatus.RUNNING)
    if status == "ci_must_pass" and found is CiStatus.NONE:
        return CiStatus.WAITING
    return CiStatus.RUNNING if status == "ci_still_running" and found is not CiStatus.WAITING else found


def _without_pipeline(wire: MergeRequestWire, head: str, quiet: timedelta) -> CiStatus:
    """The state of the CI where no pipeline of `head` is known, `quiet` being the time since the last change."""
    status = wire.detailed_merge_status
    if wire.sha != head or status in CHECKING | {"ci_still_running"}:
        return CiStatus.RUNNING
    if quiet < (STARTING if wire.head_pipeline is None else PATIENCE):
        return CiStatus.RUNNING
    if status == "ci_must_pass":
        return CiStatus.RUNNING if quiet < PATIENCE else CiStatus.WAITING
    return CiStatus.NONE


def on_its_way(wire: MergeRequestWire, head: str) -> bool:
    """Whether a pipeline of `head` has begun and will end by itself: what GitLab can wait for."""
    pipeline = wire.head_pipeline
    return pipeline is not None and pipeline.sha == head and pipeline.status not in _CI
