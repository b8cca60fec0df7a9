"""Channels: what a success publishes and what a later failure of the same sha takes back (DESIGN section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.model.desired import Target
from bot.model.runs import Run
from bot.model.state import Publication

KEPT = 50
"""Publications that a channel keeps for each publisher."""

Channels = Mapping[str, tuple[Publication, ...]]


def publish(channels: Channels, target: Target, run: Run, finished_at: datetime) -> Channels:
    """Enter a success of `run.sha` at `target` on all its channels; the first success of a sha keeps its time."""
    if target.disable or not target.promotion.publish:
        return channels
    changed = dict(channels)
    for channel in target.promotion.publish:
        others, own = _part(changed.get(channel, ()), target.id)
        first_at = next((p.first_at for p in own if p.sha == run.sha), finished_at)
        entry = Publication(target.id, run.sha, run.config_hash, first_at, finished_at, run.key)
        changed[channel] = (*others, *([p for p in own if p.sha != run.sha] + [entry])[-KEPT:])
    return changed


def withdraw(channels: Channels, target: str, sha: str) -> Channels:
    """Take back what `target` published of `sha`, because a later run of the same sha failed."""
    if not any((p.target, p.sha) == (target, sha) for published in channels.values() for p in published):
        return channels
    return {
        channel: tuple(p for p in published if (p.target, p.sha) != (target, sha))
        for channel, published in channels.items()
    }


def rename(channels: Channels, old: str, new: str) -> Channels:
    """Move a publisher's publications to its new id."""
    return {
        channel: tuple(
            Publication(new, p.sha, p.config_hash, p.first_at, p.finished_at, p.run_key) if p.target == old else p
            for p in published
        )
        for channel, published in channels.items()
    }


def _part(published: tuple[Publication, ...], target: str) -> tuple[list[Publication], list[Publication]]:
    return [p for p in published if p.target != target], [p for p in published if p.target == target]
