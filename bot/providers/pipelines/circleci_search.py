"""Which of a project's pipelines is a run whose answer was lost: those from before its start, and others', are not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.config.placeholders import PLACEHOLDERS
from bot.model.runs import Run
from bot.providers.downstream import listed, moment
from bot.providers.pipelines.circleci_api import CircleCiApi, No, pipeline_path, project_path
from bot.providers.pipelines.circleci_verdicts import Item

LOOKED_AT = 5
"""How many new pipelines are asked whether they carry the run key."""

PAGES = 10
"""How many pages of a project's pipelines are looked through for new ones."""

NOT_BY_API = frozenset({"webhook", "schedule", "scheduled_pipeline"})
"""What CircleCI calls the triggers of pipelines that no request started."""

_PLACEHOLDER = re.compile("|".join(re.escape(f"{{{name}}}") for name in PLACEHOLDERS))


@dataclass(frozen=True, slots=True)
class Several:
    """Nobody can tell which pipeline is the run, and why."""

    text: str


class Search:
    """The questions to one project. `options` are those that the run was started with."""

    def __init__(self, api: CircleCiApi, slug: str, options: Mapping[str, Any]) -> None:
        self._api = api
        self._slug = slug
        self._options = options
        self._key_name = str(options.get("runKeyParameter", ""))

    def find(self, run: Run, since: datetime, owners: Mapping[str, str]) -> Item | Several | No | None:
        """The run's pipeline, among those since that time and after `run.mark`; None where there is none.

        `owners` has the run keys of pipelines that are known already. Raises ServerUnreachable.
        """
        found = self._new(int(run.mark) if run.mark.isdecimal() else 0, since)
        if isinstance(found, No):
            return found
        ours = next((each for each in found if owners.get(str(each.get("id"))) == run.key), None)
        free = [each for each in found if str(each.get("id")) not in owners]
        if ours is not None or not self._key_name:
            return ours or self._only(free)
        return self._by_key(free, run.key)

    def _new(self, before: int, since: datetime) -> list[Item] | No:
        """The own pipelines of the project that may be the run."""

        def new(item: Item) -> bool:
            created = moment(item.get("created_at"))
            return number_of(item) > before and (created is None or created >= since)

        path = project_path(self._slug, "pipeline", "mine")
        found = self._api.items(path, PAGES, lambda page: not any(map(new, page)))
        if isinstance(found, No):
            return found
        return [each for each in found if new(each) and fits(each, self._options)]

    def _by_key(self, free: Sequence[Item], key: str) -> Item | Several | None:
        """The one that shows the key. Where a config does not show it, the only one that is new."""
        shown = [(each, list(_values(each.get("trigger_parameters"), self._key_name))) for each in free]
        silent = [each for each, keys in shown if not keys]
        for each, keys in shown:
            if key in keys:
                return each
        shows = False
        for each in silent[:LOOKED_AT]:
            carries = self._carries(each, key)
            if carries:
                return each
            shows = shows or carries is False
        return self._several(silent) if shows else self._only(silent)

    def _carries(self, candidate: Item, key: str) -> bool | None:
        """Whether a pipeline's config, filled in with its parameters, shows the key; None where it shows no key."""
        answer = self._api.get(pipeline_path(str(candidate.get("id")), "config"))
        if isinstance(answer, No):
            if not answer.settled:
                raise self._api.unreachable(answer)
            return None
        texts = [text for text in answer.values() if isinstance(text, str)]
        if any(key in text for text in texts):
            return True
        return False if any(f"pipeline.parameters.{self._key_name}" in text for text in texts) else None

    def _only(self, found: Sequence[Item]) -> Item | Several | None:
        return self._several(found) if len(found) > 1 else next(iter(found), None)

    def _several(self, found: Sequence[Item]) -> Several:
        names = listed([f"{each.get('number')} ({each.get('id')})" for each in found])
        why = f"; none shows the run key, which `{self._key_name}` was started with" if self._key_name else ""
        text = f"{len(found)} pipelines of {self._slug} are new, and nobody can tell which is this run"
        return Several(f"{text}{why}: {names}")


def number_of(pipeline: Item) -> int:
    """The number of a pipeline in its project; they only grow."""
    number = pipeline.get("number")
    return max(number, 0) if isinstance(number, int) else 0


def fits(pipeline: Item, options: Mapping[str, Any]) -> bool:
    """Whether a pipeline may be one that was started with these options, as far as it says where it ran."""
    trigger, vcs = pipeline.get("trigger"), pipeline.get("vcs")
    if isinstance(trigger, Mapping) and trigger.get("type") in NOT_BY_API:
        return False
    if not isinstance(vcs, Mapping) or not (vcs.get("branch") or vcs.get("tag")):
        return True
    return all(_matches(str(options[kind]), vcs.get(kind)) for kind in ("branch", "tag") if kind in options)


def _matches(template: str, name: Any) -> bool:
    """Whether a name may have come from a template; what its placeholders stood for is not known any more."""
    pattern = ".*".join(re.escape(part) for part in _PLACEHOLDER.split(template))
    return isinstance(name, str) and re.fullmatch(pattern, name) is not None


def _values(value: Any, name: str) -> Iterator[str]:
    """The values that stand under a name, however deep."""
    match value:
        case Mapping():
            for key, item in value.items():
                if key == name:
                    yield str(item)
                else:
                    yield from _values(item, name)
        case list():
            for item in value:
                yield from _values(item, name)
        case _:
            pass
