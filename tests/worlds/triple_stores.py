"""Real triple stores on this machine: Debian's Virtuoso and Oxigraph from PyPI, in processes of their own.

    with oxigraph() as store: store.pipelines().start(store.job(kind="dump"), a_run(), {})

Without a program the test is skipped. Every test has graphs and operations of its own: `Store.fresh`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from worlds import planted

from bot.model.observed import Unreachable
from bot.model.runs import Run
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.providers.cache import FolderCache
from bot.providers.pipelines.sparql import SparqlPipelines, sparql_pipelines

PREFIXES = """
PREFIX mu: <http://mu.semte.ch/vocabularies/core/>
PREFIX task: <http://redpencil.data.gift/vocabularies/tasks/>
PREFIX dct: <http://purl.org/dc/terms/>
PREFIX adms: <http://www.w3.org/ns/adms#>
PREFIX cogs: <http://vocab.deri.ie/cogs#>
PREFIX oslc: <http://open-services.net/ns/core#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""

STATUS = "http://redpencil.data.gift/id/concept/JobStatus/"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WRITER = f"robot:{planted.token('store')}"
"""Who may read and update at Virtuoso's `/sparql-auth`."""

READER = f"guest:{planted.token('guest')}"
"""Who may only read there."""

STARTED = 120.0
"""Seconds that a store may take to answer: the first start makes a database, on a machine with other work to do."""


@dataclass(frozen=True)
class Store:
    """A store: its address, the keys of a `with` block that reach it, and a graph with operations for one test."""

    name: str
    url: str
    reach: Mapping[str, Any] = field(default_factory=dict)
    graph: str = "http://example.com/graphs/jobs"
    operations: Mapping[str, str] = field(default_factory=dict)

    def fresh(self) -> Store:
        """The same with a graph and operations that nobody else has."""
        mine = uuid.uuid4().hex[:12]
        made = {kind: f"http://example.com/{mine}/{kind}" for kind in ("initial-sync", "healing", "dump")}
        return replace(self, graph=f"http://example.com/graphs/{mine}", operations=made)

    def instance(self, url: str = "", token: SecretRef | None = None, rate_limit: str = "") -> Instance:
        """The instance in the config."""
        return Instance("store", "sparql", url or self.url, token, rate_limit)

    def pipelines(
        self, now: Callable[[], datetime] = lambda: NOW, url: str = "", token: str = "", rate_limit: str = ""
    ) -> SparqlPipelines:
        """The provider, as a new process has it; its clock stands still unless it is given another."""
        ref = SecretRef(env="STORE") if token else None
        instance = self.instance(url, ref, rate_limit)
        made = sparql_pipelines(instance, {"STORE": token}, Path(), FolderCache(Path("unused")), now)
        assert not isinstance(made, Unreachable)
        return made

    def job(self, **options: Any) -> Pipeline:
        """A job whose block says these things, besides where its store is; without a `kind` it is a plain one."""
        plain = {} if "kind" in options else {"operation": self.operations["dump"], "taskOperation": "urn:task:plain"}
        kinds = {"operations": dict(self.operations)} if "kind" in options else {}
        return Pipeline("job", self.instance(), {"graph": self.graph, **self.reach, **plain, **kinds, **options})

    def select(self, text: str) -> list[dict[str, str]]:
        """What a query finds, asked without the bot."""
        answer = requests.post(
            self.url + str(self.reach.get("endpoint", "")),
            data={"query": PREFIXES + text},
            headers={"Accept": "application/sparql-results+json"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        rows = answer.json()["results"]["bindings"]
        return [{name: term["value"] for name, term in row.items()} for row in rows]

    def update(self, text: str) -> None:
        """Change something without the bot."""
        answer = requests.post(
            self.url + str(self.reach.get("updateEndpoint", "")), data={"update": PREFIXES + text}, timeout=30
        )
        assert answer.status_code in {200, 204}, answer.text

    def triples(self, graph: str = "") -> set[tuple[str, str, str]]:
        """Everything in the graph."""
        rows = self.select(f"SELECT ?s ?p ?o WHERE {{ GRAPH <{graph or self.graph}> {{ ?s ?p ?o }} }}")
        return {(row["s"], row["p"], row["o"]) for row in rows}

    def add(self, triples: str, graph: str = "") -> None:
        """Write triples in Turtle's words into the graph."""
        self.update(f"INSERT DATA {{ GRAPH <{graph or self.graph}> {{ {triples} }} }}")

    def put_job(self, kind: str, status: str, *, at: str = "2026-01-01T00:00:00Z", graph: str = "") -> str:
        """A job that somebody else created; an empty `at` leaves out its times. Its URI."""
        uri = f"http://example.com/job/{uuid.uuid4()}"
        times = f'; dct:created "{at}"^^xsd:dateTime ; dct:modified "{at}"^^xsd:dateTime' if at else ""
        operation = self.operations[kind]
        self.add(f"<{uri}> a cogs:Job ; adms:status <{STATUS}{status}> ; task:operation <{operation}> {times} .", graph)
        return uri

    def set_status(self, uri: str, status: str, at: str = "2026-03-01T13:00:00Z") -> None:
        """What a service does when it is through with a job or task."""
        self.update(f"""DELETE {{ GRAPH <{self.graph}> {{ <{uri}> adms:status ?s ; dct:modified ?m }} }}
INSERT {{ GRAPH <{self.graph}> {{ <{uri}> adms:status <{STATUS}{status}> ; dct:modified "{at}"^^xsd:dateTime }} }}
WHERE {{ GRAPH <{self.graph}> {{ <{uri}> adms:status ?s ; dct:modified ?m }} }}""")

    def jobs(self, kind: str) -> list[str]:
        """The jobs of a kind, in any graph."""
        pattern = f"?job a cogs:Job ; task:operation <{self.operations[kind]}>"
        return [row["job"] for row in self.select(f"SELECT DISTINCT ?job WHERE {{ GRAPH ?g {{ {pattern} }} }}")]


def a_run(key: str = "", **more: Any) -> Run:
    """A run before its start; without a key, one of its own."""
    return Run(key or uuid.uuid4().hex, 1, "", "", "job", intent_at=NOW, **more)


@contextmanager
def oxigraph() -> Iterator[Store]:
    """Oxigraph with its storage in memory: the one on disk does not keep updates apart that come at the same time."""
    program = Path(sys.executable).with_name("oxigraph")
    if not program.exists():
        pytest.skip("there is no oxigraph; `pip install -r requirements/dev.txt` brings it")
    with tempfile.TemporaryDirectory() as folder:
        port = _free()[0]
        command = (str(program), "serve", "--bind", f"127.0.0.1:{port}")
        url = f"http://127.0.0.1:{port}"
        with _served(command, Path(folder), f"{url}/query"):
            yield Store("oxigraph", url, {"endpoint": "/query", "updateEndpoint": "/update"})


@contextmanager
def virtuoso() -> Iterator[Store]:
    """Virtuoso with a database of its own; anybody may update at `/sparql`, and `WRITER` at `/sparql-auth`."""
    if shutil.which("virtuoso-t") is None or shutil.which("isql-vt") is None:
        pytest.skip("there is no virtuoso-t; `make services` installs it where that may be done")
    with tempfile.TemporaryDirectory() as folder:
        ports = _free(2)
        Path(folder, "private.ini").write_text(INI.format(*ports), encoding="utf-8")
        url = f"http://127.0.0.1:{ports[1]}/sparql"
        with _served(("virtuoso-t", "+configfile", "private.ini", "+foreground"), Path(folder), url):
            people = [login.partition(":") for login in (WRITER, READER)]
            _say(ports[0], *(f"DB.DBA.USER_CREATE('{name}', '{password}');" for name, _, password in people))
            _say(
                ports[0],
                *(
                    f"GRANT SPARQL_{right};"
                    for right in ('UPDATE TO "SPARQL"', 'UPDATE TO "robot"', 'SELECT TO "guest"')
                ),
            )
            yield Store("virtuoso", url)


INI = """[Database]
DatabaseFile = it.db
ErrorLogFile = it.log
LockFile = it.lck
TransactionFile = it.trx
xa_persistent_file = it.pxa
FileExtend = 200
[TempDatabase]
DatabaseFile = temp.db
TransactionFile = temp.trx
[Parameters]
ServerPort = 127.0.0.1:{}
ServerThreads = 50
DisableUnixSocket = 1
NumberOfBuffers = 4000
MaxDirtyBuffers = 3000
CheckpointInterval = 0
[HTTPServer]
ServerPort = 127.0.0.1:{}
ServerRoot = .
MaxClientConnections = 50
ServerThreads = 50
[SPARQL]
ResultSetMaxRows = 100000
"""


def _say(port: int, *statements: str) -> None:
    """Have the administrator say something in SQL."""
    command = ("isql-vt", f"127.0.0.1:{port}", "dba", "dba", f"exec={' '.join(statements)}")
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "Error" not in done.stdout + done.stderr, done


def _free(many: int = 1) -> list[int]:
    """Ports that nobody listens on."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(many)]
    ports = [int(each.getsockname()[1]) for each in taken]
    for each in taken:
        each.close()
    return ports


@contextmanager
def _served(command: Sequence[str], folder: Path, url: str) -> Iterator[None]:
    """A program from the moment it answers a query; told to end with the block, and made to where it does not."""
    with (folder / "told.txt").open("wb") as told:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
        try:
            _wait_for(url, process, folder / "told.txt")
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], told: Path) -> None:
    end = time.monotonic() + STARTED
    while process.poll() is None and time.monotonic() < end:
        with suppress(requests.RequestException):
            if requests.post(url, data={"query": "ASK {}"}, timeout=5).ok:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not serve:\n{told.read_text(errors='replace')}")
