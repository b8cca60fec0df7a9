"""Cleaning: takes the jobs of an operation out of a store, with their tasks and what belongs to nobody else.

A job that is active is being worked on, so it stays unless it is forced out. Containers and errors that anything else
refers to stay as well. Files that a container names are left to those who made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bot.ports import Refused
from bot.providers.downstream import listed
from bot.providers.pipelines.sparql_jobs import Seen, seen_jobs
from bot.providers.pipelines.sparql_settings import JobSettings
from bot.providers.pipelines.sparql_texts import statuses
from bot.providers.sparql_api import SparqlApi
from bot.providers.sparql_terms import uri, uris

AT_ONCE = 40
"""How many things one request names; stores have limits on the length of a query."""

_BELONGS = "task:error, task:resultsContainer, task:inputContainer"


def jobs_of(api: SparqlApi, settings: JobSettings) -> tuple[Seen, ...]:
    """All jobs of the operation, by creation. Raises ServerUnreachable where the store does not say."""
    graph = "?graph" if settings.any_graph else uri(settings.graph)
    text = f"""SELECT DISTINCT ?job ?graph ?status ?created ?modified WHERE {{ GRAPH {graph} {{
  ?job a cogs:Job ; task:operation {uri(settings.operation)} .
  OPTIONAL {{ ?job adms:status ?status }} OPTIONAL {{ ?job dct:created ?created }}
  OPTIONAL {{ ?job dct:modified ?modified }}
}} }}"""
    return seen_jobs(api.select(settings.place, text), settings.graph)


def cleaned(api: SparqlApi, settings: JobSettings, *, force: bool) -> tuple[str, ...] | Refused:
    """Take all jobs of the operation out; what was removed, the jobs first, or why nothing was, or not all."""
    jobs = jobs_of(api, settings)
    active = [job for job in jobs if job.active]
    if active and not force:
        return Refused(f"{_many(active)} active: {listed([job.uri for job in active])}; nothing was removed")
    removed: list[str] = []
    for graph in dict.fromkeys(job.graph for job in jobs):
        there = [job.uri for job in jobs if job.graph == graph]
        for some in _parts(there):
            taken = _take_out(api, settings, graph, some, force=force)
            if isinstance(taken, Refused):
                return taken
            removed += taken
    left = {job.uri for job in jobs_of(api, settings)} & {job.uri for job in jobs}
    if left:
        what = f"{len(left)} of {len(jobs)} jobs are still there, for one of them became active meanwhile"
        return Refused(f"{what}: {listed(sorted(left))}")
    own = [job.uri for job in jobs]
    return (*own, *(each for each in removed if each not in own))


def _many(jobs: Sequence[Seen]) -> str:
    return f"{len(jobs)} jobs are" if len(jobs) != 1 else "a job is"


def _take_out(
    api: SparqlApi, settings: JobSettings, graph: str, jobs: Sequence[str], *, force: bool
) -> list[str] | Refused:
    """Take some jobs out of a graph; each update leaves no task without its job."""
    tasks = _found(api, settings, graph, "?thing dct:isPartOf ?of", jobs)
    belong = f"?of ?how ?thing . FILTER(?how IN ({_BELONGS}))"
    own = _found(api, settings, graph, belong, [*jobs, *tasks])
    shared = _referred(api, settings, graph, own, {*jobs, *tasks, *own})
    for some in _parts([*(each for each in own if each not in shared), *tasks, *jobs]):
        refused = api.update(settings.place, _removal(graph, some, jobs if not force else ()))
        if refused is not None:
            return refused
    return [*jobs, *tasks, *(each for each in own if each not in shared)]


def _found(api: SparqlApi, settings: JobSettings, graph: str, pattern: str, things: Sequence[str]) -> list[str]:
    """What stands for `?thing` in a pattern in which `?of` is one of these."""
    found: dict[str, None] = {}
    for some in _parts(things):
        text = f"SELECT DISTINCT ?thing WHERE {{ GRAPH {uri(graph)} {{ {_among('?of', some)} {pattern} }} }}"
        rows = api.select(settings.place, text)
        found |= dict.fromkeys(sorted(row["thing"] for row in rows))
    return [each for each in found if each not in things]


def _referred(api: SparqlApi, settings: JobSettings, graph: str, things: Sequence[str], going: set[str]) -> set[str]:
    """Those things to which something refers that is not going too."""
    shared = set()
    for some in _parts(things):
        text = f"""SELECT DISTINCT ?of ?thing WHERE {{ GRAPH {uri(graph)} {{
  {_among("?thing", some)} ?of ?how ?thing }} }}"""
        shared |= {row["thing"] for row in api.select(settings.place, text) if row["of"] not in going}
    return shared


def _removal(graph: str, things: Sequence[str], unless_active: Sequence[str]) -> str:
    """The update that removes what is said of these things, unless one of those jobs is active."""
    guard = f"""{{ SELECT (COUNT(?active) AS ?number) WHERE {{ GRAPH {uri(graph)} {{
    ?active adms:status ?status . FILTER(?active IN ({uris(unless_active)})) FILTER(?status IN ({statuses()})) }} }} }}
  FILTER(?number = 0)"""
    return f"""DELETE {{ GRAPH {uri(graph)} {{ ?thing ?property ?value }} }} WHERE {{
  {guard if unless_active else ""}
  GRAPH {uri(graph)} {{ {_among("?thing", things)} ?thing ?property ?value }}
}}"""


def _among(variable: str, things: Sequence[str]) -> str:
    """A variable's values. Virtuoso breaks on a filter with `IN` that meets a time where it looks for a URI."""
    return f"VALUES {variable} {{ {' '.join(map(uri, things))} }}"


def _parts(things: Iterable[str]) -> Iterator[list[str]]:
    rest = list(things)
    while rest:
        yield rest[:AT_ONCE]
        rest = rest[AT_ONCE:]
