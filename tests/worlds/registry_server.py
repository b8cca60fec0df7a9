"""A real registry: Debian's `docker-registry` on this machine, and images pushed into it by HTTP.

with RegistryServer(folder, auth={"htpasswd": {"realm": "x", "path": str(file)}}) as registry:
    digest = registry.push("acme/web", "1234567", auth=("robot", "open-sesame"))
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import requests
from worlds.fake_registry import INDEX, MANIFEST

PROGRAM = shutil.which("docker-registry")
"""The program; None where it is not installed."""

TRIES = 5
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


class RegistryServer:
    """The server with a storage of its own in `folder`; `auth` is that part of its configuration."""

    def __init__(self, folder: Path, auth: Mapping[str, Any] | None = None) -> None:
        self._folder = folder
        self._auth = auth
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        for _ in range(TRIES):  # somebody else may take the free port first
            if self._started():
                return self
        raise AssertionError((self._folder / "registry.log").read_text())

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def push(
        self, name: str, tag: str, *, index: bool = False, text: str = "{}", headers: Mapping[str, str] | None = None
    ) -> str:
        """Push an image whose configuration is `text`, alone or behind an index; the digest that the tag then has."""
        with requests.Session() as client:
            client.headers.update(headers or {})
            config = {"mediaType": CONFIG_TYPE, "digest": self._blob(client, name, text.encode()), "size": len(text)}
            single = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
            if not index:
                return self._put(client, name, tag, single)
            digest = self._put(client, name, f"{tag}-part", single)
            part = {"mediaType": MANIFEST, "digest": digest, "size": len(json.dumps(single))}
            return self._put(client, name, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [part]})

    def _started(self) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = probe.getsockname()
        self.url = f"http://127.0.0.1:{address[1]}"
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "storage")}},
            "http": {"addr": f"127.0.0.1:{address[1]}"},
        } | ({"auth": dict(self._auth)} if self._auth else {})
        path = self._folder / "registry.yml"
        path.write_text(json.dumps(config))
        with (self._folder / "registry.log").open("wb") as log:
            self._process = subprocess.Popen((PROGRAM or "docker-registry", "serve", path), stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(address).close()
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return True
        self._process.kill()
        self._process.wait()
        return False

    def _blob(self, client: requests.Session, name: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begun = client.post(f"{self.url}/v2/{name}/blobs/uploads/")
        begun.raise_for_status()
        client.put(begun.headers["Location"], params={"digest": digest}, data=data).raise_for_status()
        return digest

    def _put(self, client: requests.Session, name: str, tag: str, document: Mapping[str, Any]) -> str:
        data, kind = json.dumps(document), {"Content-Type": str(document["mediaType"])}
        client.put(f"{self.url}/v2/{name}/manifests/{tag}", data=data, headers=kind).raise_for_status()
        return f"sha256:{hashlib.sha256(data.encode()).hexdigest()}"
