"""Sources: which commit a target is to run, from its ref, its upstream build and its images (DESIGN section 3).

A pinned target runs what it pins. One with an upstream follows that job's successes and not the branch; one with images
waits until all of them exist for its commit. What is missing is a value with words for a human, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.core import diff
from bot.core.facts import Facts
from bot.model.desired import Image, Target
from bot.model.observed import Lineage, Unreachable
from bot.model.state import Build, Sources, TargetState
from bot.render.tags import image_tag
from bot.render.words import short


@dataclass(frozen=True, slots=True)
class Offer:
    """What a target may run now: a commit, and the build and images behind it (None for a target with neither)."""

    sha: str
    sources: Sources | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """What a server says it does not have yet, in words; `offer` is what there is of it, with an empty sha for none."""

    text: str
    offer: Offer


def offer_of(facts: Facts, target: Target, record: TargetState | None) -> Offer | Missing | Unreachable:
    """The commit that a target is to run now, with what it rests on."""
    if target.delete and record is not None and record.sha:
        return Offer(record.sha, record.sources)  # what is taken away needs no build and no image
    if not follows_builds(target):
        sha = facts.sha(target)
        return sha if isinstance(sha, Unreachable) else with_images(facts, target, sha, None)
    built = _built(facts, target, record)
    if built is None:
        return Missing(_no_build(target), Offer("", Sources(job=job_of(target))))
    return built if isinstance(built, Unreachable) else with_images(facts, target, *built)


def follows_builds(target: Target) -> bool:
    """Whether builds say which commit a target runs; a pin says it itself."""
    return target.upstream is not None and not target.pinned


def job_of(target: Target) -> str:
    """Which builds a target follows: the job, the branch and the repository; a build of others says nothing of it."""
    if target.upstream is None or target.pinned:
        return ""
    return f"{target.upstream.instance.name} {target.upstream.job} {target.ref} {target.url}"


def known_build(target: Target, record: TargetState | None) -> Build | None:
    """The build on record, if it is one of those that the target follows now."""
    sources = record.sources if record is not None else None
    return sources.build if sources is not None and sources.job == job_of(target) else None


def with_images(facts: Facts, target: Target, sha: str, build: Build | None) -> Offer | Missing | Unreachable:
    """The offer of a commit with the digests of its images, or which of them does not exist."""
    digests: dict[str, str] = {}
    missing: list[str] = []
    for image in target.images:
        tag = image_tag(image.tag, sha, target.ref)
        digest = facts.digest(image, tag)
        if isinstance(digest, Unreachable):
            return digest
        if digest:
            digests[image_name(image, tag)] = digest
        else:
            missing.append(f"{image.repository}:{tag} in {image.instance.name}")
    sources = Sources(build, digests, job_of(target)) if target.images or follows_builds(target) else None
    offer = Offer(sha, sources)
    if missing:
        what = "image" if len(missing) == 1 else "images"
        return Missing(f"waits for the {what} of {short(sha)}: {', '.join(missing)}", offer)
    return offer


def image_name(image: Image, tag: str) -> str:
    """The name of an image among the recorded digests, `<instance>/<repository>:<tag>`."""
    return f"{image.instance.name}/{image.repository}:{tag}"


def is_newer(build: Build, known: Build | None) -> bool:
    """Whether a build began after the one on record; numbers decide only where the times do not.

    A job that was made anew counts from one again, and a deleted build uncovers an older one.
    """
    return known is None or (build.at, build.number) > (known.at, known.number)


def _built(facts: Facts, target: Target, record: TargetState | None) -> tuple[str, Build] | Unreachable | None:
    """The commit that builds lead to, and the build behind it: the newest, else the one on record, which stays."""
    upstream = target.upstream
    newest = facts.build(upstream, target.ref, target.url) if upstream is not None else None
    if isinstance(newest, Unreachable):
        return newest
    known = known_build(target, record)
    if known is not None and (newest is None or not is_newer(newest, known)):
        return (record.sha if record is not None and record.sha else known.sha), known
    if newest is None:
        return None
    return (newest.sha, newest) if known is not None else _first(facts, target, record, newest)


def _first(
    facts: Facts, target: Target, record: TargetState | None, newest: Build
) -> tuple[str, Build] | Unreachable | None:
    """The first build that is seen of a job: one of an older commit than what runs does not take it back."""
    if record is None or not record.sha or newest.sha == record.sha or not _same_code(target, record):
        return newest.sha, newest
    lineage = facts.lineage(target.url, frozenset({record.sha, newest.sha}))
    if not isinstance(lineage, Lineage):
        return lineage or Unreachable(f"the history of {target.url} was not looked up")
    behind = newest.sha in lineage.ancestors.get(record.sha, ())
    return (record.sha if behind else newest.sha), newest


def _same_code(target: Target, record: TargetState) -> bool:
    """Whether a target still follows the branch and repository that it ran before."""
    return record.ref == target.ref and diff.without_ref(record.config).get("url") == target.url


def _no_build(target: Target) -> str:
    upstream = target.upstream
    job = f"{upstream.job} on {upstream.instance.name}" if upstream is not None else ""
    return f"waits for a build: {job} has not succeeded yet for {target.ref}"
