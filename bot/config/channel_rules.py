"""The checks on channels: who publishes, who subscribes, and whether anybody waits for himself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.config.repository import Repository
from bot.config.rules import Issue
from bot.config.source import Pointer
from bot.config.summary import UNREADABLE, Row, Summary


@dataclass(frozen=True, slots=True)
class Member:
    """A target that publishes or subscribes."""

    path: str
    summary: Summary
    row: Row

    def subscription(self, index: int) -> Pointer:
        """Return where the entry stands that subscribes to a channel."""
        return (*self.row.pointer, "promotion", "subscribe", index)


@dataclass(frozen=True, slots=True)
class Channels:
    """All members by channel; `complete` is false where a file could not be read, which may hide publishers."""

    publishers: Mapping[str, Sequence[Member]]
    subscribers: Sequence[Member]
    complete: bool = True


def members(repository: Repository) -> Channels:
    """Return who publishes and who subscribes in a repository."""
    publishers: dict[str, list[Member]] = defaultdict(list)
    subscribers: list[Member] = []
    complete = True
    for path, summary in repository.summaries.items():
        complete = complete and summary.kind != UNREADABLE
        for row in summary.rows:
            if row.publish or row.subscribe:
                member = Member(path, summary, row)
                for channel in row.publish:
                    publishers[channel].append(member)
                if row.subscribe:
                    subscribers.append(member)
    return Channels(publishers, subscribers, complete)


def channels(repository: Repository) -> Iterator[tuple[str, Issue]]:
    """Yield every issue with channels, each with the path of the subscriber."""
    everybody = members(repository)
    active = [member for member in everybody.subscribers if not member.row.idle]
    circles = _circles(active)
    for member in active:
        for index, channel in enumerate(member.row.subscribe):
            if not channel:
                continue
            at = member.subscription(index)
            publishers = everybody.publishers.get(channel, ())
            if not publishers and everybody.complete:
                hint = "correct the name, or let a target publish it"
                yield member.path, Issue("channel-not-published", at, f"no target publishes `{channel[:80]}`", hint)
            for issue in _publishers(repository, member, channel, publishers):
                yield member.path, issue._replace(pointer=at)
            for published in member.row.publish:
                if published and circles.get(published, -1) == circles.get(channel, -2):
                    message = f"`{published[:80]}` comes after `{channel[:80]}` and before it: a circle"
                    yield member.path, Issue("promotion-cycle", at, message, "take one subscription of the circle out")
                    break


def _publishers(
    repository: Repository, subscriber: Member, channel: str, publishers: Sequence[Member]
) -> Iterator[Issue]:
    """Yield what is wrong between a subscriber and the publishers of its channel: one issue of each kind."""
    idle = next((publisher for publisher in publishers if publisher.row.idle), None)
    if idle:
        message = f"`{channel[:80]}` is published by `{_name(repository, idle)}`, which is disabled or deleted"
        yield Issue("disabled-publisher", (), message, "enable the publisher, or do not subscribe to its channel")
    url = subscriber.row.url
    other = next((publisher for publisher in publishers if publisher.row.url not in {"", url}), None) if url else None
    if other:
        message = f"`{channel[:80]}` is published by `{_name(repository, other)}` for {other.row.url}, not for {url}"
        yield Issue("url-mismatch", (), message, "subscribe to a publisher of the same `url`")


def _name(repository: Repository, member: Member) -> str:
    return repository.target_id(member.summary, member.row) or member.path


def _circles(subscribers: Sequence[Member]) -> Mapping[str, int]:
    """Return for each channel that lies in a circle the circle's number (Tarjan's components, without recursion)."""
    after: dict[str, list[str]] = defaultdict(list)
    for member in subscribers:
        for channel in member.row.subscribe:
            after[channel] += member.row.publish
    alone = {channel for channel, following in after.items() if channel in following}
    components = _components(after)
    sizes: dict[int, int] = defaultdict(int)
    for number in components.values():
        sizes[number] += 1
    return {channel: number for channel, number in components.items() if sizes[number] > 1 or channel in alone}


def _components(after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the number of each node's strongly connected component."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    component: dict[str, int] = {}
    stack: list[str] = []
    for root in after:
        walk = [(root, iter(after[root]))] if root not in order else []
        if walk:
            order[root] = low[root] = len(order)
            stack.append(root)
        while walk:
            node, following = walk[-1]
            child = next(following, None)
            if child is None:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[node])
                if low[node] == order[node]:
                    _close(node, stack, component)
            elif child not in order:
                order[child] = low[child] = len(order)
                stack.append(child)
                walk.append((child, iter(after.get(child, ()))))
            elif child not in component:
                low[node] = min(low[node], order[child])
    return component


def _close(node: str, stack: list[str], component: dict[str, int]) -> None:
    """Give everything on the stack down to `node` the same new number."""
    number = len(component)
    while True:
        member = stack.pop()
        component[member] = number
        if member == node:
            return
