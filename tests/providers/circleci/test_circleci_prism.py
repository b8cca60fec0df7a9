"""The requests to CircleCI before a judge that is not ours: Prism, which serves the official API document."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from worlds.contract import REPOSITORY, NoSpecs, specs_folder

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.pipelines.circleci import CircleCiPipelines, circleci_pipelines

PRISM = REPOSITORY / ".build" / "npm" / "node_modules" / ".bin" / "prism"
PATIENCE = 60  # seconds until it must be up
BODY = {"branch": "main", "parameters": {"dry_run": True, "count": 3, "gio_action": "release"}}


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prism that has the document's paths below `/api/v2`, as CircleCI itself."""
    if not PRISM.exists():
        pytest.skip("Prism is not here: `make services` installs it where there is npm")
    try:
        document = json.loads((specs_folder() / "circleci-openapi.json").read_text(encoding="utf-8"))
    except NoSpecs as missing:
        pytest.skip(str(missing))
    document["paths"] = {f"/api/v2{path}": item for path, item in document["paths"].items()}
    folder = tmp_path_factory.mktemp("prism")
    (folder / "circleci.json").write_text(json.dumps(document))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [str(PRISM), "mock", "--host", "127.0.0.1", "--port", str(port), str(folder / "circleci.json")]
    with (folder / "prism.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for(port, process, folder / "prism.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Prism does not start: {log.read_text(errors='replace')[-500:]}")


def provider(url: str, folder: Path, environ: dict[str, str], token: SecretRef | None) -> CircleCiPipelines:
    instance = Instance("circleci", "circleci", url, token)
    made = circleci_pipelines(instance, environ, folder, FolderCache(folder), sleep=lambda _: None)
    assert isinstance(made, CircleCiPipelines)
    return made


@pytest.mark.parametrize("slug", ["gh/acme/web", "circleci/5f3b0a3e-0d4c-4a68-9c3f/6a2f0c4b8d11"])
def test_prism_takes_every_request_that_we_make(prism: str, tmp_path: Path, slug: str, no_proxy: None) -> None:
    del no_proxy
    asking = provider(prism, tmp_path, {"TOKEN": "any-will-do"}, SecretRef(env="TOKEN"))
    pipeline = Pipeline("web", Instance("circleci", "circleci", prism), {"project": slug, **BODY})
    assert asking.probe(pipeline) is None
    assert asking.mark(pipeline).isdecimal()
    fact = asking.start(pipeline, Run("a" * 32, 1, "", "", "web"), {})
    assert isinstance(fact, RunFact), fact
    assert (fact.status, len(fact.handle)) == (RunStatus.PENDING, 36)
    run = Run("a" * 32, 1, "", "", "web", handle=fact.handle)
    asking = provider(
        prism, tmp_path, {"TOKEN": "any-will-do"}, SecretRef(env="TOKEN")
    )  # one that has just looked waits
    # Its examples are fixed, each page names the next by the same word: it has taken the request for two of them.
    with pytest.raises(ServerUnreachable, match="the pages of the list repeat"):
        asking.status(pipeline, run)
    with pytest.raises(ServerUnreachable, match="the pages of the list repeat"):
        asking.cancel(pipeline, run)
    details = asking.details(pipeline, run)
    assert (details["pipeline_guid"], details["unavailable"]) == (fact.handle, "the pages of the list repeat")
    for path in (f"/project/{slug.replace('/', '%2F')}/job/12", f"/pipeline/{fact.handle}/config"):
        assert isinstance(asking._api.get(path), dict)
    assert asking._api.post(f"/workflow/{fact.handle}/cancel") == {"message": "string"}


def test_prism_has_the_same_no_for_a_missing_token(prism: str, tmp_path: Path) -> None:
    asking = provider(prism, tmp_path, {}, None)
    pipeline = Pipeline("web", Instance("circleci", "circleci", prism), {"project": "gh/acme/web"})
    found = asking.start(pipeline, Run("a" * 32, 1, "", "", "web"), {})
    assert isinstance(found, Refused)
    assert "token rejected (401" in found.text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("project/gh%2Facme%2Fweb/pipeline", BODY, 201),
        ("project/gh%2Facme%2Fweb/pipeline", {"parameters": {"nested": {"a": 1}}}, 422),
        ("project/gh/acme/web/pipeline", BODY, 404),
        ("pipeline/not-a-uuid", None, 422),
    ],
)
def test_prism_is_a_judge(prism: str, path: str, body: object, status: int) -> None:
    """What it refuses by itself, and what it takes from anybody."""
    method = "GET" if body is None else "POST"
    headers = {"Circle-Token": "any-will-do"}
    answer = requests.request(method, f"{prism}/api/v2/{path}", json=body, headers=headers, timeout=30)
    assert answer.status_code == status, answer.text
