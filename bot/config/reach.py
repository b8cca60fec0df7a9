"""What an error holds: the targets of its file, of those that refer to it, and those that wait for such targets."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from bot.config.channel_rules import members
from bot.config.repository import Repository, paths_of


def nameless(repository: Repository, invalid: Mapping[str, str]) -> dict[str, str]:
    """Return the SaaS files with a target whose id cannot be told, because it takes its name from a broken file.

    Such a file counts as invalid as a whole, so that no recorded target of it is taken for a removed one.
    """
    found = {}
    for path, summary in repository.summaries.items() if invalid else ():
        for row in summary.rows:
            if path not in invalid and not repository.target_id(summary, row):
                reason = invalid.get(repository.resolve(row.namespace), "its namespace cannot be read")
                found[path] = f"the name of a target is not known: {reason}"
    return found


def held_targets(repository: Repository, invalid: Mapping[str, str]) -> dict[str, str]:
    """Return each target that an error holds, by id, with the reason; `invalid` maps files to their first error."""
    if not invalid:
        return {}
    errors = _Errors(repository, invalid)
    held: dict[str, str] = {}
    for path, summary in repository.summaries.items():
        for row in summary.rows:
            text = errors.of(path) or next(filter(None, map(errors.behind, paths_of(summary, row))), "")
            identity = repository.target_id(summary, row) if text else ""
            if identity:
                held[identity] = text
    return _with_subscribers(repository, held)


def held_triggers(repository: Repository, invalid: Mapping[str, str]) -> dict[str, str]:
    """Return each trigger definition that an error holds, by its path, with the reason."""
    errors = _Errors(repository, invalid)
    paths = [path for path, summary in repository.summaries.items() if summary.kind == "trigger"] if invalid else []
    return {path: text for path in paths if (text := errors.of(path))}


class _Errors:
    """The error that a file has or refers to, looked up once a file."""

    def __init__(self, repository: Repository, invalid: Mapping[str, str]) -> None:
        self._repository = repository
        self._texts: dict[str, str] = dict(invalid)

    def behind(self, reference: str) -> str:
        """Return the error behind a `$ref`, or an empty string."""
        path = self._repository.resolve(reference)
        return self.of(path) if path else f"`{reference}` leads nowhere"

    def of(self, path: str) -> str:
        """Return the error of a file or of what it refers to, or an empty string."""
        if path not in self._texts:
            self._texts[path] = ""  # a file that refers to itself has been found mistyped already
            summary = self._repository.summaries.get(path)
            references = summary.references if summary and summary.kind != "saas-file" else ()
            behind = (self.behind(reference.path) for reference in references)
            self._texts[path] = next(filter(None, behind), "")
        return self._texts[path]


def _with_subscribers(repository: Repository, held: dict[str, str]) -> dict[str, str]:
    """Add the targets whose publishers are held or hidden: what they wait for cannot be known."""
    everybody = members(repository)
    subscribers: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    waiting: deque[tuple[str, str]] = deque()
    for member in everybody.subscribers:
        if member.row.idle:
            continue
        identity = repository.target_id(member.summary, member.row)
        for channel in member.row.subscribe:
            subscribers[channel].append((identity, member.row.publish))
            if not everybody.publishers.get(channel):
                waiting.append((channel, "nobody that can be read publishes"))
    for channel, publishers in everybody.publishers.items():
        for member in publishers:
            identity = repository.target_id(member.summary, member.row)
            if identity in held:
                waiting.append((channel, f"`{identity}`, which has an error, publishes"))
    while waiting:
        channel, who = waiting.popleft()
        for identity, published in subscribers.pop(channel, ()):
            if identity and identity not in held:
                held[identity] = f"{who} the channel `{channel}`"
                waiting += [(following, f"`{identity}`, which is held, publishes") for following in published]
    return held
