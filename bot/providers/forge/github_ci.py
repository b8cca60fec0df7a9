"""The CI of a pull request's head: from GitHub's own summary where that says enough, else from checks and statuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from bot.model.observed import CiStatus
from bot.providers.forge.github_place import Place
from bot.providers.github_api import moment

GREEN = frozenset({"clean", "has_hooks"})
"""Values of `mergeable_state` that say: nothing stands in the way, and nothing that ran failed or still runs."""

PASSED = frozenset({"success", "neutral", "skipped"})
"""Conclusions of a check that hold nothing up."""

STARTING = timedelta(minutes=1)
"""How long after a head is first seen no CI may mean: not yet. Workflows start some seconds after a push."""

FINAL = timedelta(minutes=10)
"""How long after a head is first seen a success (or that there is no CI) is believed to stay."""

_FINAL = frozenset({CiStatus.SUCCESS, CiStatus.NONE})


class Checks:
    """Asks for the CI of heads. `cautious`: the bot merges by itself, so that none yet must not pass for none."""

    def __init__(self, place: Place, *, cautious: bool) -> None:
        self._place = place
        self._cautious = cautious

    def status(self, pull: Mapping[str, Any]) -> CiStatus:
        """The CI of the head of a pull request that was read in detail."""
        state, sha = pull.get("mergeable_state"), str(pull["head"]["sha"])
        age = self._age(sha)
        starting = self._cautious and age < STARTING
        if state in GREEN and not starting:
            return CiStatus.SUCCESS
        if state != "unstable" and (kept := self._kept(sha)) is not None:  # "unstable": something failed or runs again
            return kept
        found = self._asked(sha)
        if found is CiStatus.NONE and starting:
            return CiStatus.RUNNING
        if found in _FINAL and age >= FINAL:
            self._place.cache.put(self._place.name("ci", sha), f"{found} {self._place.now().isoformat()}".encode())
        return found

    def _kept(self, sha: str) -> CiStatus | None:
        """What was final when it was last asked; not what a `plan --now` of a later time wrote."""
        word, _, when = (self._place.cache.get(self._place.name("ci", sha)) or b"").decode().partition(" ")
        return CiStatus(word) if word and (moment(when) or self._place.now()) <= self._place.now() else None

    def _age(self, sha: str) -> timedelta:
        """Since when this head is known here; a commit's own dates are those of its parent."""
        name, now = self._place.name("seen", sha), self._place.now()
        try:
            seen = moment((self._place.cache.get(name) or b"").decode())
        except ValueError:
            seen = None
        if seen is None or seen > now:
            self._place.cache.put(name, now.isoformat().encode())
            return timedelta()
        return now - seen

    def _asked(self, sha: str) -> CiStatus:
        api = self._place.api
        runs = list(api.pages(self._place.at(f"commits/{sha}/check-runs"), "check_runs"))
        statuses = list(api.pages(self._place.at(f"commits/{sha}/status"), "statuses"))
        return rolled_up([*(_check(run) for run in runs), *(_status(each) for each in statuses)])


def rolled_up(each: Iterable[CiStatus]) -> CiStatus:
    """All checks as one: while one runs it is not over; then one failure is a failure."""
    found = set(each)
    order = (CiStatus.RUNNING, CiStatus.FAILED, CiStatus.SUCCESS)
    return next((status for status in order if status in found), CiStatus.NONE)


def _check(run: Mapping[str, Any]) -> CiStatus:
    if run["status"] != "completed":
        return CiStatus.RUNNING
    return CiStatus.SUCCESS if run.get("conclusion") in PASSED else CiStatus.FAILED


def _status(status: Mapping[str, Any]) -> CiStatus:
    """A commit status, as services beside GitHub Actions report it."""
    return {"success": CiStatus.SUCCESS, "pending": CiStatus.RUNNING}.get(str(status["state"]), CiStatus.FAILED)
