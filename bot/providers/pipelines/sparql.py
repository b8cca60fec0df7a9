"""Background jobs in a triple store (`provider: sparql`), created for the services that carry them out, and followed.

A job's URI is a function of its run key, so the store is asked for exactly that job, and writing it twice is harmless.
Job and task are written by one update, whose pattern counts what stands in their way. Source: the data model of
https://github.com/lblod/job-controller-service and of the delta producer's services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.ports import Cache, Refused
from bot.providers.downstream import listed, utc_now
from bot.providers.pipelines.sparql_cleaning import cleaned, jobs_of
from bot.providers.pipelines.sparql_jobs import Seen, StoredJob, WholeJob, seen_jobs, whole_jobs
from bot.providers.pipelines.sparql_settings import (
    Handle,
    JobSettings,
    Names,
    handle_of,
    names,
    place_of,
    settings_of,
)
from bot.providers.pipelines.sparql_texts import ending, insertion, refusal, surroundings, whole_job
from bot.providers.sparql_api import WHENEVER, Place, SparqlApi, one_line, sparql_api

MESSAGE = 1000
"""Characters of an error's message that are kept in the store."""


def sparql_pipelines(
    instance: Instance,
    environ: Mapping[str, str],
    config: Path,
    cache: Cache,
    now: Callable[[], datetime] = utc_now,
) -> SparqlPipelines | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read. `now` is what is recorded."""
    del cache  # a job's state changes by itself: there is nothing to keep
    api = sparql_api(instance, environ, config)
    return api if isinstance(api, Unreachable) else SparqlPipelines(api, now)


class SparqlPipelines:
    """A `bot.ports.Pipelines` of the jobs of one triple store.

    A run's handle is the URI of its job with its graph, and what of the way there is not as usual: it is followed even
    when its definition has changed or gone. Every method raises `ServerUnreachable` where the store does not answer.
    """

    def __init__(self, api: SparqlApi, now: Callable[[], datetime] = utc_now) -> None:
        self._api = api
        self._now = now

    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Create the job and its task, unless something is in their way: that is `Refused`, and kept as an error.

        An initial sync that succeeded or is active already is the run. Asked for twice, a job is there once. Jobs in
        the way that are past the time-out are ended first.
        """
        settings = settings_of(pipeline, environment)
        if isinstance(settings, Refused):
            return settings
        ids = names(run.key)
        around = self._tried(settings, ids)
        stale = [] if isinstance(around, Refused) or _own(around, ids) else _stale(settings, around, self._now())
        if stale:
            refused = self._given_up(settings, stale)
            around = refused or self._tried(settings, ids)
        if isinstance(around, Refused):
            return around
        own = _own(around, ids)
        if own is not None:
            return _begun(settings, own, "; ".join((*_beside(settings, own, around), *_ended(stale))))
        return self._not_created(settings, ids, around)

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run, with its errors; `unknown` where the store has no such job any more."""
        del pipeline
        handle = handle_of(run.handle)
        if handle is None:
            return RunFact(RunStatus.UNKNOWN, run.handle, run.url, f"{run.handle} is no job of a triple store")
        found = self._whole(handle.place, handle.job, handle.graph)
        if found is None:
            return RunFact(RunStatus.UNKNOWN, run.handle, run.url, f"the store has no job {handle.job} any more")
        return found.job.fact(run.handle, found.errors or run.text)

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? The store is asked for exactly the job that the key gives."""
        settings = settings_of(pipeline) if pipeline is not None else None
        if isinstance(settings, Refused):
            return RunFact(RunStatus.UNKNOWN, text=f"nobody can tell whether it started: {settings.text}")
        place, job = place_of(pipeline), names(run.key).job_uri
        found = self._whole(place, job, settings.graph if settings is not None else "")
        if found is not None:
            return found.job.fact(str(Handle(job, found.job.graph, place)), found.errors)
        if settings is None:
            return RunFact(RunStatus.UNKNOWN, text="its job left the config before its start was confirmed")
        return None

    def known(self, runs: Iterable[Run]) -> None:
        """Nothing is noted: a job is found by its run key."""
        del runs

    def mark(self, pipeline: Pipeline) -> str:
        """Nothing: a job is found by its run key."""
        del pipeline
        return ""

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Whether the store answers a query."""
        return self._api.probe(place_of(pipeline))

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact | Refused:
        """End a job that is still active, and its tasks with it; one that is over answers as it stands.

        The service that works on it is not told: it sees what became of its task when it looks the next time.
        """
        fact = self.status(pipeline, run) if run.handle else self.find(pipeline, run)
        if fact is None:
            return RunFact(RunStatus.CANCELED, text="it was never started")
        handle = handle_of(fact.handle)
        if not fact.status.in_flight or handle is None:
            return fact
        word = "canceled" if pipeline.options.get("onCancel") == "canceled" else "failed"
        refused = self._api.update(handle.place, ending(handle.job, handle.graph, word, self._now()))
        return refused or self.status(pipeline, replace(run, handle=fact.handle))

    def details(self, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any]:
        """The job and its tasks, with their statuses and times; nothing for a run without a job."""
        del pipeline
        handle = handle_of(run.handle)
        found = self._whole(handle.place, handle.job, handle.graph) if handle is not None else None
        return {} if found is None else {"job": found.details}

    def jobs(self, pipeline: Pipeline) -> tuple[StoredJob, ...] | Refused:
        """All jobs of the pipeline's operation, by creation, whoever created them."""
        settings = settings_of(pipeline)
        return settings if isinstance(settings, Refused) else tuple(job.stored for job in jobs_of(self._api, settings))

    def clean(self, pipeline: Pipeline, *, force: bool) -> tuple[str, ...] | Refused:
        """Remove all jobs of the pipeline's operation with what belongs to them; the URIs of all that, jobs first.

        `Refused` while one of them is active, unless it is forced.
        """
        settings = settings_of(pipeline)
        return settings if isinstance(settings, Refused) else cleaned(self._api, settings, force=force)

    def preview(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> Mapping[str, Any]:
        """The update that `start` would send; or `refused`, and why."""
        settings = settings_of(pipeline, environment)
        if isinstance(settings, Refused):
            return {"refused": settings.text}
        return {"update": insertion(settings, names(run.key), self._now())}

    def _whole(self, place: Place, job: str, graph: str) -> WholeJob | None:
        return whole_jobs(self._api.select(place, whole_job(job, graph)), job, graph)

    def _tried(self, settings: JobSettings, ids: Names) -> tuple[Seen, ...] | Refused:
        """Send the update, and look at what is there then: the job, or what kept it from being created."""
        refused = self._api.update(settings.place, insertion(settings, ids, self._now()))
        if refused is not None:
            return refused
        return seen_jobs(self._api.select(settings.place, surroundings(settings, ids)), settings.graph)

    def _given_up(self, settings: JobSettings, jobs: list[Seen]) -> Refused | None:
        """End jobs with their tasks, each in its own graph."""
        for job in jobs:
            text = ending(job.uri, job.graph, settings.on_cancel, self._now())
            refused = self._api.update(settings.place, text)
            if refused is not None:
                return refused
        return None

    def _not_created(self, settings: JobSettings, ids: Names, around: tuple[Seen, ...]) -> RunFact | Refused:
        """Why the job is not there, as a value; a refusal is kept in the store as well."""
        earlier = [job for job in around if settings.once and job.operation == settings.operation]
        if any(map(_good, earlier)) or (earlier and not settings.retry_failed):
            return _earlier(settings, earlier)
        blockers = [] if settings.forced else _active(settings, around)
        done = {job.operation for job in around if job.status is RunStatus.SUCCEEDED}
        lacking = [each for each in settings.requires if each not in done]
        if not blockers and not lacking:
            return Refused(f"{settings.operation}: what was in its way is over by now", WHENEVER)
        text = _in_the_way(settings, blockers) if blockers else _lacks(settings, lacking)
        message = one_line(text, MESSAGE)
        refused = self._api.update(settings.place, refusal(settings, ids, message, self._now()))
        if refused is not None:
            raise ServerUnreachable(f"the refusal could not be kept in the store: {refused.text}")
        return Refused(message)


def _begun(settings: JobSettings, job: Seen, note: str) -> RunFact:
    handle = str(Handle(job.uri, job.graph, settings.place))
    return job.fact(handle, "; ".join(filter(None, (f"job {job.uri}", note))))


def _own(around: Iterable[Seen], ids: Names) -> Seen | None:
    """The job that a run has, where it was created."""
    return next((job for job in around if job.uri == ids.job_uri), None)


def _active(settings: JobSettings, around: Iterable[Seen]) -> list[Seen]:
    return [job for job in around if job.active and job.operation in settings.blocked_by]


def _stale(settings: JobSettings, around: Iterable[Seen], now: datetime) -> list[Seen]:
    """The active jobs that nobody has modified for as long as a job may take; one without a time is left alone."""
    if settings.stale_after is None or settings.forced:
        return []
    limit = now - settings.stale_after
    jobs = [(job, job.modified or job.created) for job in _active(settings, around)]
    return [job for job, at in jobs if at is not None and at <= limit]


def _ended(jobs: list[Seen]) -> tuple[str, ...]:
    return (f"ended first, for their time was over: {listed([job.uri for job in jobs])}",) if jobs else ()


def _beside(settings: JobSettings, own: Seen, around: Iterable[Seen]) -> tuple[str, ...]:
    """A store that does not keep updates apart lets two in, and force does; somebody should know."""
    others = [job.uri for job in _active(settings, around) if job is not own]
    why = "it was started by force" if settings.forced else "the store does not keep updates apart"
    return (f"also active, for {why}: {listed(others)}",) if others else ()


def _earlier(settings: JobSettings, jobs: list[Seen]) -> RunFact | Refused:
    """What an initial sync from before means: one that succeeded or is active is the run, a failed one is looked at."""
    good = [job for job in jobs if _good(job)]
    if good:
        best = min(good, key=lambda job: job.status is not RunStatus.SUCCEEDED)
        return _begun(settings, best, "it was there before, nothing was started")
    which = ", ".join(f"{job.uri} ({'/'.join(job.words) or 'no status'})" for job in jobs)
    advice = "set `retryFailed`, or remove it with `saasbot trigger clean`"
    return Refused(f"{settings.operation} ran before and did not succeed: {which}; {advice}")


def _good(job: Seen) -> bool:
    return job.active or job.status is RunStatus.SUCCEEDED


def _in_the_way(settings: JobSettings, jobs: list[Seen]) -> str:
    which = ", ".join(f"{job.uri} ({'/'.join(job.words)}{_since(job)})" for job in jobs)
    return f"Incompatible jobs for {settings.operation} are active, see {which}"


def _since(job: Seen) -> str:
    at = job.modified or job.created
    return f" since {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""


def _lacks(settings: JobSettings, operations: list[str]) -> str:
    return f"{settings.operation} needs a successful job of {', '.join(operations)} first"
