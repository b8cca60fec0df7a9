"""What a decision knows, and what it notes down as still to be looked up.

A decision asks `Facts`; where an answer was not observed yet, the question is kept in `wanted` and the answer is None.
So `wants(Context)` is the decision itself, run until it asks nothing new, and the two can never disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.model.desired import Image, Target, Upstream
from bot.model.observed import BranchDiff, Down, Lineage, Observed, Proposal, Role, RunFact, Title, Unreachable, Wants
from bot.model.runs import Run
from bot.model.servers import Instance, Pipeline
from bot.model.state import Build
from bot.model.triggers import JobsFrom, NewBuild


@dataclass(slots=True)
class Facts:
    """The observed world behind questions; `wanted` grows with each question that it cannot answer."""

    observed: Observed
    histories: set[tuple[str, str]] = field(default_factory=set)
    title_ranges: set[tuple[str, str, str]] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    branches: set[int] = field(default_factory=set)
    changes: set[int] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    heads: bool = False
    jobs: set[tuple[Instance, str, str, str]] = field(default_factory=set)
    tags: set[tuple[Instance, str, str]] = field(default_factory=set)
    probes: dict[str, Pipeline] = field(default_factory=dict)
    marks: dict[str, Pipeline] = field(default_factory=dict)
    documents: set[NewBuild] = field(default_factory=set)
    told: dict[str, tuple[Pipeline | None, Run]] = field(default_factory=dict)

    def wanted(self) -> Wants:
        """Everything that was asked and not known."""
        return Wants(
            histories=frozenset(self.histories),
            titles=frozenset(self.title_ranges),
            blobs=frozenset(self.paths),
            diffs=frozenset(self.branches),
            proposals=frozenset(self.changes),
            roles=frozenset(self.users),
            branches=self.heads,
            builds=frozenset(self.jobs),
            images=frozenset(self.tags),
            probes=self.probes,
            marks=self.marks,
            documents=frozenset(self.documents),
            details=self.told,
        )

    def sha(self, target: Target) -> str | Unreachable:
        """The commit that a target's ref stands for now; `Unreachable` also where the ref does not exist."""
        if target.pinned:
            return target.ref
        refs = self.observed.refs.get(target.url)
        if refs is None:
            return Unreachable(f"{target.url} was not asked for {target.ref}")
        if isinstance(refs, Unreachable):
            return refs
        return refs.get(target.ref) or Unreachable(
            f"{target.url} has no branch or tag {target.ref!r}: correct the ref of {target.id} or push it"
        )

    def build(self, upstream: Upstream, ref: str, url: str) -> Build | Unreachable | None:
        """The newest successful build of a job, None where none has succeeded; `Unreachable` until it is looked up."""
        key = (upstream.instance.name, upstream.job, ref, url)
        if key not in self.observed.builds:
            self.jobs.add((upstream.instance, upstream.job, ref, url))
        return self.observed.builds.get(key, Unreachable(f"{upstream.job} on {upstream.instance.name} was not asked"))

    def digest(self, image: Image, tag: str) -> str | Unreachable:
        """The digest of an image, empty where there is no such image; `Unreachable` until it is looked up."""
        key = (image.instance.name, image.repository, tag)
        if key not in self.observed.images:
            self.tags.add((image.instance, image.repository, tag))
        return self.observed.images.get(key, Unreachable(f"{image.repository}:{tag} was not looked up"))

    def probe(self, job: str, pipeline: Pipeline) -> Down | None:
        """Whether the server of a job (`TRIGGER/JOB`) is up; down until it was asked."""
        if job not in self.observed.probes:
            self.probes[job] = pipeline
        return self.observed.probes.get(job, Down("it was not asked"))

    def mark(self, job: str, pipeline: Pipeline) -> str | Unreachable:
        """What is on the server of a job before its start; `Unreachable` until it is looked up."""
        if job not in self.observed.marks:
            self.marks[job] = pipeline
        return self.observed.marks.get(job, Unreachable(f"the server of {job} was not asked"))

    def new_build(self, source: NewBuild) -> str | Unreachable:
        """The name of the newest build; `Unreachable` until it is looked up."""
        if source not in self.observed.documents:
            self.documents.add(source)
        return self.observed.documents.get(source, Unreachable(f"{source.url} was not asked"))

    def details(self, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any] | Unreachable:
        """All that a server tells of a run, for reports; empty until it is looked up."""
        if run.key not in self.observed.details:
            self.told[run.key] = (pipeline, run)
        return self.observed.details.get(run.key, {})

    def job_list(self, source: JobsFrom) -> bytes | Unreachable:
        """The content of a list of jobs outside of the config."""
        return self.observed.job_lists.get(source, Unreachable(f"{source.key_env} was not read"))

    def run(self, key: str) -> RunFact | Unreachable | None:
        """What the downstream server says of a run; None means it never started, and only a server may say that."""
        return self.observed.runs.get(key, Unreachable(f"run {key} was not looked up"))

    def lineage(self, url: str, shas: frozenset[str]) -> Lineage | Unreachable | None:
        """How these commits descend from each other; None where it is yet to be looked up."""
        known = self.observed.lineages.get(url)
        if isinstance(known, Unreachable):
            return known
        looked_up = self.observed.looked_up.get(url, frozenset())
        if known is not None and shas <= looked_up:
            return known
        self.histories.update((url, sha) for sha in shas)
        return None

    def titles(self, url: str, old: str, new: str) -> tuple[Title, ...]:
        """Commits after `old` up to `new`; empty where they cannot be had, they are only for reading."""
        known = self.observed.titles.get(f"{url} {old}..{new}")
        if known is None:
            self.title_ranges.add((url, old, new))
            return ()
        return () if isinstance(known, Unreachable) else known

    def blob(self, path: str) -> bytes | None:
        """A config file at the base commit; None where it is yet to be read."""
        if path not in self.observed.blobs:
            self.paths.add(path)
        return self.observed.blobs.get(path)

    def diff(self, iid: int) -> BranchDiff | Unreachable | None:
        """A merge request's branch against its merge base; None where it is yet to be compared."""
        if iid not in self.observed.diffs:
            self.branches.add(iid)
        return self.observed.diffs.get(iid)

    def proposal(self, iid: int) -> Proposal | Unreachable | None:
        """The config as a merge request of a person would leave it; None where it is yet to be read."""
        if iid not in self.observed.proposals:
            self.changes.add(iid)
        return self.observed.proposals.get(iid)

    def branch_head(self, name: str) -> str:
        """The head of a branch of the bot, with or without a merge request; empty where there is none."""
        if self.observed.branches is None:
            self.heads = True
            return ""
        return self.observed.branches.get(name, "")

    def role(self, user: str) -> Role:
        """A user's live role; none until it is looked up."""
        if user not in self.observed.roles:
            self.users.add(user)
        return self.observed.roles.get(user, Role.NONE)
