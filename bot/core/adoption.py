"""Adoption: what is recorded as found, without a run (DESIGN section 3, "Adoption").

The first pass records everything; later ones what could not be read then, and what another release recorded otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from bot.core import diff
from bot.core.sheet import Sheet
from bot.core.sources import Missing, Offer
from bot.model.desired import Target
from bot.model.observed import Unreachable
from bot.model.plan import RecordState
from bot.model.runs import Reason
from bot.model.state import TargetState
from bot.render.words import short

WAITS = "nothing was started: it {}"


def present(sheet: Sheet, target: Target, record: TargetState) -> TargetState:
    """The record with where the target is now and what it publishes; nothing starts by that."""
    now = (None, target.file, target.promotion.publish)
    if (record.removed_at, record.file, record.publish) == now:
        return record
    record = replace(record, removed_at=None, file=target.file, publish=target.promotion.publish)
    sheet.put_target(record)
    return record


def adopt(sheet: Sheet, target: Target, offer: Offer | Missing | Unreachable) -> None:
    """Record a target as it is found; what is missing then and comes later starts it."""
    found = offer.offer if isinstance(offer, Missing) else offer
    config = diff.canonical(diff.effective(target))
    record = TargetState(
        id=target.id,
        file=target.file,
        ref=target.ref,
        sha="" if isinstance(found, Unreachable) else found.sha,
        sources=None if isinstance(found, Unreachable) else found.sources,
        config=config,
        config_hash=diff.config_hash(config),
        adopted=True,
        deleted=target.delete,
        publishers=_adopted_publishers(sheet, target),
        publish=target.promotion.publish,
    )
    record_as(sheet, record, Reason("adopted", _as_found(target, offer)))


def adopt_missing(sheet: Sheet, record: TargetState | None, offer: Missing) -> TargetState | None:
    """The record of a target that could not be read when it was adopted, and of which something is missing now."""
    if record is None or not record.adopted or record.sha or record.sources is not None:
        return record
    record = replace(record, sha=offer.offer.sha, sources=offer.offer.sources)
    record_as(sheet, record, Reason("adopted", WAITS.format(offer.text)))
    return record


def _as_found(target: Target, offer: Offer | Missing | Unreachable) -> str:
    if isinstance(offer, Unreachable):
        return f"{target.ref} could not be read yet and is recorded when it can: {offer.text}"
    if isinstance(offer, Missing):
        return WAITS.format(offer.text)
    sha = offer.sha
    return f"found there already: {short(sha) if target.pinned else f'{target.ref} at {short(sha)}'}"


def record_as(sheet: Sheet, record: TargetState, reason: Reason) -> None:
    """Write a record down, and say why no run stands behind it."""
    sheet.put_target(record)
    sheet.actions.append(RecordState(f"target:{record.id}", (reason,), record))


def rerecord(sheet: Sheet, target: Target, record: TargetState, config: str, offer: Offer) -> TargetState:
    """Bring a record up to date where nothing has to run: a new hash version, an adopted ref that is reachable now."""
    if not diff.same_version(record.config_hash):
        record = replace(record, ref=target.ref, config=config, config_hash=diff.config_hash(config))
        record_as(sheet, record, Reason("hash_version", f"recorded again as hash version {diff.HASH_VERSION}"))
    unseen = publisher_configs(sheet, target, offer.sha).items() - record.publishers.items()
    fresh = {publisher: digest for publisher, digest in unseen if publisher not in record.publishers}
    if fresh:
        record = replace(record, publishers={**record.publishers, **fresh})
        sheet.put_target(record)
    if record.adopted and not record.sha and record.sources is None:
        record = replace(record, sha=offer.sha, sources=offer.sources)
        record_as(sheet, record, Reason("adopted", f"{target.ref} could be read now: {short(offer.sha)}"))
    return _with_sources(sheet, record, offer)


def _with_sources(sheet: Sheet, record: TargetState, offer: Offer) -> TargetState:
    """The record with builds and images that were never read, and without those that a target no longer has."""
    others = record.sources is None or offer.sources is None or record.sources.job != offer.sources.job
    first = others and record.sha == offer.sha
    if not (first or offer.sources is None) or record.sources == offer.sources:
        return record
    record = replace(record, sources=offer.sources)
    if offer.sources is None:
        sheet.put_target(record)
    else:
        record_as(sheet, record, Reason("adopted", f"the builds and images of {short(record.sha)} are recorded"))
    return record


def publisher_configs(sheet: Sheet, target: Target, sha: str) -> dict[str, str]:
    """By publisher: the configuration that it published of this sha."""
    if not target.promotion.redeploy_on_publisher_config_change:
        return {}
    return {
        publication.target: publication.config_hash
        for channel in target.promotion.subscribe
        for publication in sheet.publications(channel)
        if publication.sha == sha
    }


def _adopted_publishers(sheet: Sheet, target: Target) -> dict[str, str]:
    """By publisher: the configuration that it has while everything is taken as it is found."""
    if not target.promotion.redeploy_on_publisher_config_change:
        return {}
    targets = sheet.context.desired.targets
    found = {publisher for _, publishers in sheet.subscribed(target) for publisher in publishers}
    return {each: diff.config_hash(diff.canonical(diff.effective(targets[each]))) for each in found if each in targets}
