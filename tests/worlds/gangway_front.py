"""What stands before a Gangway: a real Envoy that transcodes, before it a real nginx that limits and asks for a token.

    with front(folder) as world: world.url("body"); world.prow.executions

Envoy comes from `requirements/dev.txt`, nginx from Debian (`.ci/services`); without them the test is skipped. Of the
limits, `limited` and `limited2` are OpenShift's own (`rate=20r/m burst=10 nodelay`, 429 with `Retry-After: 7`);
`quick` and `quick2` have the same shape, `SPEED` times as fast and twice that.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from worlds.gangway_prow import Execution, Prow, compiled

ENVOY = shutil.which("envoy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

TOKEN = "sha256~of-a-world-that-ends-with-the-test"  # noqa: S105 - nobody's
SPEED = 30
"""How much faster than in a real minute `quick` fills: 20 a minute becomes 10 a second."""

TYPE = "type.googleapis.com/envoy.extensions"
HASTE = 0.3
"""Seconds after which Envoy gives up behind `hasty`."""

WAYS = ("body", "path", "limited", "limited2", "quick", "quick2", "mortal", "hasty", "dead", "gone")
"""nginx's doors: each leads to Envoy's of the same name, the limited ones to `body`, `gone` to nothing at all."""

LIMITS = {"limited": "20r/m", "limited2": "20r/m", "quick": "10r/s", "quick2": "20r/s"}


@dataclass
class World:
    """The servers. `prow` is behind all doors but `mortal`, where a process can be killed and started again."""

    prow: Prow
    ports: Mapping[str, int]
    folder: Path
    mortal: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def url(self, door: str) -> str:
        """The address of one of `WAYS`."""
        return f"http://127.0.0.1:{self.ports[f'nginx-{door}']}"

    def revive(self) -> None:
        """Start the mortal Gangway, with the executions of its earlier lives."""
        self.bury()
        port = self.ports["mortal"]
        program = Path(__file__).with_name("gangway_prow.py")
        argv = (sys.executable, program, str(port), self.folder / "mortal.json", self.folder / "body.pb")
        self.mortal.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
        _wait_for(port, self.mortal[-1])

    def bury(self) -> None:
        """End the mortal Gangway, if it is alive."""
        for process in self.mortal:
            process.kill()
            process.wait()
        self.mortal.clear()

    def mortals(self) -> list[Execution]:
        """The executions that the mortal Gangway has started in all its lives."""
        file = self.folder / "mortal.json"
        return [Execution(**each) for each in json.loads(file.read_text())] if file.exists() else []


@contextmanager
def front(folder: Path) -> Iterator[World]:
    """All servers, from the moment they answer; ended with the block."""
    if ENVOY is None or NGINX is None:
        pytest.skip(f"there is no {'envoy' if ENVOY is None else 'nginx'}")
    pytest.importorskip("grpc")
    protos = compiled(folder)
    ports = _free("mortal", "dead", *(f"envoy-{each}" for each in WAYS), *(f"nginx-{each}" for each in WAYS))
    with ExitStack() as stack:
        prow = stack.enter_context(Prow(protos["body"]))
        backends = {"prow": prow.port, "mortal": ports["mortal"], "dead": ports["dead"]}
        (folder / "envoy.json").write_text(json.dumps(_envoy(protos, ports, backends)))
        (folder / "nginx.conf").write_text(_nginx(ports))
        argv = (ENVOY, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c", str(folder / "envoy.json"))
        envoy = stack.enter_context(_running(argv, folder / "envoy.log"))
        command = (NGINX, "-p", str(folder), "-e", str(folder / "nginx.log"), "-c", str(folder / "nginx.conf"))
        nginx = stack.enter_context(_running(command, folder / "nginx.out"))
        _wait_for(ports["envoy-dead"], envoy)
        _wait_for(ports["nginx-gone"], nginx)
        world = World(prow, ports, folder)
        stack.callback(world.bury)
        yield world


def _free(*names: str) -> dict[str, int]:
    """Ports that nobody listens on, all different."""
    with ExitStack() as stack:
        found = {}
        for name in names:
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found[name] = int(probe.getsockname()[1])
        return found


@contextmanager
def _running(argv: tuple[str, ...], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as told:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not serve; it ended with {process.poll()}")


def _envoy(protos: Mapping[str, bytes], ports: Mapping[str, int], backends: Mapping[str, int]) -> dict[str, Any]:
    doors = {
        "body": ("body", "prow", "60s"),
        "path": ("path", "prow", "60s"),
        "hasty": ("body", "prow", f"{HASTE}s"),
        "mortal": ("body", "mortal", "60s"),
        "dead": ("body", "dead", "60s"),
    }
    listeners = [
        _listener(ports[f"envoy-{name}"], protos[style], to, timeout) for name, (style, to, timeout) in doors.items()
    ]
    return {"static_resources": {"listeners": listeners, "clusters": [_cluster(*each) for each in backends.items()]}}


def _listener(port: int, descriptors: bytes, cluster: str, timeout: str) -> dict[str, Any]:
    transcoder = {
        "@type": f"{TYPE}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor_bin": base64.b64encode(descriptors).decode(),
        "services": ["Prow"],
        "print_options": {"always_print_primitive_fields": True, "preserve_proto_field_names": True},
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": timeout}}
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gangway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "transcoder", "typed_config": transcoder},
            {"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}},
        ],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"address": address, "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}


def _cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    protocol = {
        "@type": f"{TYPE}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": name,
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _nginx(ports: Mapping[str, int]) -> str:
    """OpenShift's chain, as far as it shows: a proxy that asks for a token, and the rate limit."""
    zones = "".join(f"limit_req_zone $server_port zone={name}:1m rate={rate};\n" for name, rate in LIMITS.items())
    servers = "".join(_door(name, ports) for name in WAYS)
    temporary = "".join(
        f"{each}_temp_path tmp-{each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "daemon off; master_process off; pid nginx.pid; events {}\n"
        f"http {{ access_log off; {temporary} {zones} {servers} }}\n"
    )


def _door(name: str, ports: Mapping[str, int]) -> str:
    to = "body" if name in LIMITS else name
    limit = f"limit_req zone={name} burst=10 nodelay; limit_req_status 429;" if name in LIMITS else ""
    return f"""
    server {{
      listen 127.0.0.1:{ports[f"nginx-{name}"]};
      if ($http_authorization != "Bearer {TOKEN}") {{ return 403 "<html><title>Sign in</title></html>"; }}
      error_page 429 @limited;
      location / {{ {limit} proxy_http_version 1.1; proxy_pass http://127.0.0.1:{ports[f"envoy-{to}"]}; }}
      location @limited {{
        default_type text/plain; add_header Retry-After 7 always;
        return 429 "Rate limit exceeded. Try again later.\\n";
      }}
    }}
    """
