"""The queries and updates about jobs, as texts. Everything in them is written by `bot.providers.sparql_terms`.

Guards count: `FILTER NOT EXISTS` in the pattern of an update is ignored by Virtuoso 7.2.5, whose updates go through
although there is what must not exist; a filter on the count of a sub-select holds on every store that was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.providers.pipelines.sparql_settings import JobSettings, Names
from bot.providers.sparql_terms import name, string, time, uri, uris

STATUS = "http://redpencil.data.gift/id/concept/JobStatus/"
ACTIVE = ("busy", "scheduled")

READ = (
    *(name("adms", "status"), name("dct", "created"), name("dct", "modified"), name("dct", "isPartOf")),
    *(name("task", "operation"), name("task", "index"), name("task", "error"), name("oslc", "message")),
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
)
"""The properties that are read of jobs, their tasks and their errors."""

_DELTA_ERROR = "http://redpencil.data.gift/vocabularies/deltas/Error"
_SUBJECT = "Delta Producer Background Jobs Initiator"  # of every error that is kept about jobs: reports look for it


def statuses(words: Sequence[str] = ACTIVE) -> str:
    """Statuses as the items of a list."""
    return uris(STATUS + word for word in words)


def insertion(settings: JobSettings, ids: Names, now: datetime) -> str:
    """The update that writes a job and its task, all of it or nothing, unless something is in their way."""
    job, task, at = uri(ids.job_uri), uri(ids.task_uri), time(now)
    return f"""INSERT {{ GRAPH {uri(settings.graph)} {{
  {job} a cogs:Job ; mu:uuid {string(ids.job)} ; dct:creator {uri(settings.creator)} ;
    adms:status {uri(STATUS + "busy")} ; dct:created {at} ; dct:modified {at} ;
    task:operation {uri(settings.operation)} .
  {task} a task:Task ; mu:uuid {string(ids.task)} ; adms:status {uri(STATUS + "scheduled")} ;
    dct:created {at} ; dct:modified {at} ; task:operation {uri(settings.task_operation)} ;
    task:index "0" ; dct:isPartOf {job} .
}} }} WHERE {{
  {{ SELECT (COUNT(?in_the_way) AS ?number) WHERE {{ {_obstacles(settings, job)} }} }}
  FILTER(?number = 0)
  {_successes(settings)}
  BIND({job} AS ?new)
}}"""


def surroundings(settings: JobSettings, ids: Names) -> str:
    """The query for the job itself, for what stands in its way, and for the successes that it needs."""
    parts = [
        f"{{ ?job a cogs:Job ; task:operation ?operation . FILTER(?job = {uri(ids.job_uri)}) }}",
        *(_jobs("?job", settings.blocked_by, statuses()) if settings.blocked_by else ()),
        *(_jobs("?job", (settings.operation,), "") if settings.once else ()),
        *(_jobs("?job", settings.requires, statuses(("success",))) if settings.requires else ()),
    ]
    return f"""SELECT DISTINCT ?job ?graph ?operation ?status ?created ?modified WHERE {{
  GRAPH {_graph(settings, "?graph")} {{
    {" UNION ".join(parts)}
    OPTIONAL {{ ?job adms:status ?status }}
    OPTIONAL {{ ?job dct:created ?created }}
    OPTIONAL {{ ?job dct:modified ?modified }}
  }}
}}"""


def _obstacles(settings: JobSettings, job: str) -> str:
    """The pattern for whatever must not be there: the job itself, active jobs, and for `once` those of the past."""
    parts = [f"{{ ?in_the_way a cogs:Job . FILTER(?in_the_way = {job}) }}"]
    if settings.blocked_by and not settings.forced:
        parts += _jobs("?in_the_way", settings.blocked_by, statuses())
    if settings.once:
        past = statuses(("success", *ACTIVE)) if settings.retry_failed else ""
        parts += _jobs("?in_the_way", (settings.operation,), past)
    return f"GRAPH {_graph(settings, '?any')} {{ {' UNION '.join(parts)} }}"


def _jobs(variable: str, operations: Sequence[str], in_status: str) -> list[str]:
    """The pattern for jobs of these operations, in one of these statuses where some are given; no time is asked for."""
    wanted = f"{variable} a cogs:Job ; task:operation ?operation . FILTER(?operation IN ({uris(operations)}))"
    status = f"{variable} adms:status ?in_status . FILTER(?in_status IN ({in_status}))" if in_status else ""
    return [f"{{ {wanted} {status} }}"]


def _successes(settings: JobSettings) -> str:
    """The guards for what must have succeeded, one for each operation."""
    guards = (
        f"{{ SELECT (COUNT(?done{at}) AS ?times{at}) WHERE {{ GRAPH {_graph(settings, '?there')} {{ "
        f"?done{at} a cogs:Job ; task:operation {uri(each)} ; adms:status {uri(STATUS + 'success')} }} }} }} "
        f"FILTER(?times{at} > 0)"
        for at, each in enumerate(settings.requires)
    )
    return "\n  ".join(guards)


def _graph(settings: JobSettings, variable: str) -> str:
    return variable if settings.any_graph else uri(settings.graph)


def refusal(settings: JobSettings, ids: Names, message: str, now: datetime) -> str:
    """The update that keeps an error about a job that was not created, unless it is kept already."""
    error = uri(ids.error_uri)
    return f"""INSERT {{ GRAPH {uri(settings.graph)} {{
  {error} a oslc:Error, {uri(_DELTA_ERROR)} ; mu:uuid {string(ids.error)} ; dct:subject {string(_SUBJECT)} ;
    oslc:message {string(message)} ; dct:created {time(now)} ; dct:creator {uri(settings.error_creator)} .
}} }} WHERE {{
  {{ SELECT (COUNT(?kept) AS ?number) WHERE {{ GRAPH {uri(settings.graph)} {{
    ?kept a oslc:Error . FILTER(?kept = {error}) }} }} }}
  FILTER(?number = 0)
  BIND({error} AS ?new)
}}"""


def whole_job(job: str, graph: str) -> str:
    """The query for what is read of a job, its tasks and the errors of both; in any graph where none is given."""
    it = uri(job)
    return f"""SELECT DISTINCT ?graph ?thing ?property ?value WHERE {{
  GRAPH {uri(graph) if graph else "?graph"} {{
    {{ ?thing a cogs:Job . FILTER(?thing = {it}) }}
    UNION {{ ?thing dct:isPartOf {it} }}
    UNION {{ {it} task:error ?thing }}
    UNION {{ ?part dct:isPartOf {it} ; task:error ?thing }}
    ?thing ?property ?value .
    FILTER(?property IN ({uris(READ)}))
  }}
}}"""


def ending(job: str, graph: str, word: str, now: datetime) -> str:
    """The update that ends a job that is still active, and those of its tasks that have not ended, in one go."""
    it = uri(job)
    return f"""DELETE {{ GRAPH {uri(graph)} {{ ?thing adms:status ?status . ?thing dct:modified ?modified }} }}
INSERT {{ GRAPH {uri(graph)} {{ ?thing adms:status {uri(STATUS + word)} ; dct:modified {time(now)} }} }}
WHERE {{ GRAPH {uri(graph)} {{
  {it} adms:status ?active . FILTER(?active IN ({statuses()}))
  {{ ?thing a cogs:Job . FILTER(?thing = {it}) }} UNION {{ ?thing dct:isPartOf {it} }}
  ?thing adms:status ?status . FILTER(?status IN ({statuses()}))
  OPTIONAL {{ ?thing dct:modified ?modified }}
}} }}"""
