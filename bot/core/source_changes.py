"""What changed behind a target's commit: a newer build of its upstream job, images that appeared or moved."""

from __future__ import annotations

from bot.core.sources import Offer, follows_builds
from bot.model.desired import Target
from bot.model.runs import Reason
from bot.model.state import Build, Sources, TargetState
from bot.render.words import short

FRESH = frozenset({"upstream_build", "image"})
"""Reasons that make a run another content than the last one's, even of the same commit and configuration."""

NAMED = 3
"""How many images a sentence names."""

SHOWN = 12
"""Digits of a digest that a sentence shows."""


def moved_sources(target: Target, record: TargetState, offer: Offer, *, same_config: bool) -> list[Reason]:
    """The reasons that builds and images give to run a target again.

    Images with other names (`same_config` is false) are a change of the configuration and not of the images.
    """
    if offer.sources is None:
        return []
    known = record.sources or Sources()
    if follows_builds(target) and offer.sources.build is not None:
        newer = known.job == offer.sources.job and known.build != offer.sources.build
        if newer or record.sha != offer.sha:
            return [_upstream_build(target, offer.sources.build)]
    elif record.sha != offer.sha and not target.pinned:
        return [Reason("image", f"{target.ref} is at {short(offer.sha)} now and its images exist")]
    if record.sha != offer.sha or record.sources is None:
        return []
    return _moved_images(known, offer.sources, same_config=same_config)


def _upstream_build(target: Target, build: Build) -> Reason:
    job = target.upstream.job if target.upstream is not None else ""
    return Reason("upstream_build", f"build {build.number} of {job} succeeded at {short(build.sha)}")


def _moved_images(known: Sources, offered: Sources, *, same_config: bool) -> list[Reason]:
    moved = [
        f"{name} moved {_shown(known.digests[name])} -> {_shown(digest)}"
        for name, digest in offered.digests.items()
        if known.digests.get(name, digest) != digest
    ]
    appeared = [f"{name} exists now" for name in offered.digests if same_config and name not in known.digests]
    texts = [*moved, *appeared]
    more = f"; and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return [Reason("image", "; ".join(texts[:NAMED]) + more)] if texts else []


def _shown(digest: str) -> str:
    return digest.partition(":")[2][:SHOWN] or digest
