"""The CI of a pull request's head: from GitHub's own summary where that says enough, else from checks and statuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bot.model.observed import CiStatus
from bot.providers.forge.github_place import Place
from bot.providers.forge.github_pushes import pushed_at, pushes
from bot.providers.github_api import moment

GREEN = frozenset({"clean", "has_hooks"})
"""Values of `mergeable_state` that say: nothing stands in the way, and nothing that ran failed or still runs."""

PASSED = frozenset({"success", "neutral", "skipped"})
"""Conclusions of a check that hold nothing up."""

STARTING = timedelta(minutes=1)
"""How long after a push no CI may mean: not yet. Workflows start some seconds after it."""


class Checks:
    """Asks for the CI of heads; keeps nothing, as what ran may run again.

    `cautious`: the bot merges by itself, so that none yet must not pass for none.
    """

    def __init__(self, place: Place, *, cautious: bool) -> None:
        self._place = place
        self._cautious = cautious

    def status(self, pull: Mapping[str, Any]) -> CiStatus:
        """The CI of the head of a pull request that was read in detail.

        Asks nothing where GitHub's summary is green and the head is not new; when it was pushed is asked for only where
        the pull request changed a moment ago and has no CI.
        """
        green = pull.get("mergeable_state") in GREEN
        recent = self._cautious and self._is_recent(moment(pull["updated_at"]))
        if green and not recent:
            return CiStatus.SUCCESS
        found = self._asked(str(pull["head"]["sha"]))
        if found is not CiStatus.NONE:
            return found
        if recent and self._just_pushed(pull):
            return CiStatus.RUNNING
        return CiStatus.SUCCESS if green else CiStatus.NONE

    def _just_pushed(self, pull: Mapping[str, Any]) -> bool:
        """Whether the head is new; a pull request that changed a moment ago may only have been talked about."""
        return self._is_recent(pushed_at(pushes(self._place, pull), str(pull["head"]["sha"])))

    def _is_recent(self, when: datetime | None) -> bool:
        """Whether it was a moment ago; so is what nobody tells."""
        return when is None or self._place.now() - when < STARTING

    def _asked(self, sha: str) -> CiStatus:
        api = self._place.api
        runs = list(api.pages(self._place.at(f"commits/{sha}/check-runs"), "check_runs"))
        statuses = list(api.pages(self._place.at(f"commits/{sha}/status"), "statuses"))
        return rolled_up([*(_check(run) for run in runs), *(_status(each) for each in statuses)])


def rolled_up(each: Iterable[CiStatus]) -> CiStatus:
    """All checks as one: while one runs it is not over; then one failure is a failure."""
    found = set(each)
    order = (CiStatus.RUNNING, CiStatus.FAILED, CiStatus.WAITING, CiStatus.SUCCESS)
    return next((status for status in order if status in found), CiStatus.NONE)


def _check(run: Mapping[str, Any]) -> CiStatus:
    if run["status"] == "waiting":  # for a person, such as one who approves a deployment
        return CiStatus.WAITING
    if run["status"] != "completed":
        return CiStatus.RUNNING
    return CiStatus.SUCCESS if run.get("conclusion") in PASSED else CiStatus.FAILED


def _status(status: Mapping[str, Any]) -> CiStatus:
    """A commit status, as services beside GitHub Actions report it."""
    return {"success": CiStatus.SUCCESS, "pending": CiStatus.RUNNING}.get(str(status["state"]), CiStatus.FAILED)
