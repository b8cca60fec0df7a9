"""A Gangway as gRPC server: the three calls with its validation, its labels and its errors; Envoy stands before it.

    with Prow(protos) as prow: prow.port; prow.executions

As a program (`python gangway_prow.py PORT STATE DESCRIPTORS`) it keeps its executions in a file, and dies, without an
answer, of every start of a job called `deadly-...` that it has carried out. Sources: Prow's `gangway.proto` for names
and field numbers, SYSTEMS.md A for what is refused with which code.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

PROTO = """
syntax = "proto3";
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
service Prow {
  rpc CreateJobExecution(CreateJobExecutionRequest) returns (JobExecution) {
    option (google.api.http) = {post: "CREATE" body: "*"};
  }
  rpc GetJobExecution(GetJobExecutionRequest) returns (JobExecution) {
    option (google.api.http) = {get: "/v1/executions/{id}"};
  }
  rpc ListJobExecutions(ListJobExecutionsRequest) returns (JobExecutions) {
    option (google.api.http) = {get: "/v1/executions"};
  }
}
message CreateJobExecutionRequest {
  string job_name = 1; JobExecutionType job_execution_type = 2; Refs refs = 3; PodSpecOptions pod_spec_options = 4;
}
message PodSpecOptions {
  map<string, string> envs = 1; map<string, string> labels = 2; map<string, string> annotations = 3;
}
message GetJobExecutionRequest { string id = 1; }
message ListJobExecutionsRequest { string job_name = 1; JobExecutionStatus status = 2; }
message JobExecutions { repeated JobExecution job_execution = 1; }
message JobExecution {
  string id = 1; string job_name = 2; JobExecutionType job_type = 3; JobExecutionStatus job_status = 4; Refs refs = 5;
  PodSpecOptions pod_spec_options = 6; string gcs_path = 7; google.protobuf.Timestamp create_time = 8;
  google.protobuf.Timestamp completion_time = 9; string job_url = 10;
}
message Refs {
  string org = 1; string repo = 2; string base_ref = 4; string base_sha = 5; repeated Pull pulls = 7;
}
message Pull { int32 number = 1; string author = 2; string sha = 3; }
enum JobExecutionStatus {
  JOB_EXECUTION_STATUS_UNSPECIFIED = 0; TRIGGERED = 1; PENDING = 2; SUCCESS = 3; FAILURE = 4; ABORTED = 5; ERROR = 6;
  SCHEDULING = 7;
}
enum JobExecutionType {
  JOB_EXECUTION_TYPE_UNSPECIFIED = 0; PERIODIC = 1; POSTSUBMIT = 2; PRESUBMIT = 3; BATCH = 4;
}
"""
STYLES = {"body": "/v1/executions", "path": "/v1/executions/{job_name}"}
TYPES = ("", "PERIODIC", "POSTSUBMIT", "PRESUBMIT", "BATCH")
STATUSES = ("", "TRIGGERED", "PENDING", "SUCCESS", "FAILURE", "ABORTED", "ERROR", "SCHEDULING")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
SHA = re.compile(r"[0-9a-f]{40}")


def compiled(folder: Path) -> dict[str, bytes]:
    """The descriptor set for Envoy by style of address, compiled in a folder of one's own."""
    protoc = importlib.import_module("grpc_tools.protoc")
    annotations = Path(str(importlib.import_module("google.api.annotations_pb2").__file__)).parents[2]
    builtin = Path(str(protoc.__file__)).parent / "_proto"
    found = {}
    for style, path in STYLES.items():
        (folder / style).mkdir()
        (folder / style / "gangway.proto").write_text(PROTO.replace("CREATE", path))
        out = folder / f"{style}.pb"
        where = (f"-I{folder / style}", f"-I{builtin}", f"-I{annotations}")
        assert protoc.main(("protoc", *where, "--include_imports", f"--descriptor_set_out={out}", "gangway.proto")) == 0
        found[style] = out.read_bytes()
    return found


@dataclass
class Execution:
    """A ProwJob: `label` is what it can be listed by."""

    id: str
    job: str
    kind: str
    status: str = "TRIGGERED"
    spec: Mapping[str, Any] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    completed: float = 0.0
    url: str = ""

    @property
    def label(self) -> str:
        """Prow cuts a long name for its label, Gangway does not when it lists."""
        return self.job[:63].rstrip("._-") if len(self.job) > 63 else self.job


class Refusal(Exception):
    """A gRPC error: the name of its code and its words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


class Prow:
    """The server and its executions, by id. Jobs whose name begins with `no-` are unknown, with `others-` forbidden.

    `slow` holds a job's answer back, after the start, by seconds; `list_fails` gives the empty list that Gangway gives
    when Kubernetes fails it; `get_fails` the error that it gives then. `at_once` is the state that jobs are in as soon
    as they are started.
    """

    def __init__(self, descriptors: bytes, port: int = 0, state: Path | None = None) -> None:
        self.executions: dict[str, Execution] = {}
        self.slow: dict[str, float] = {}
        self.list_fails = False
        self.get_fails = ""
        self.at_once = "TRIGGERED"
        self.calls: list[str] = []
        self._state = state
        self._lock = threading.Lock()
        self._grpc = importlib.import_module("grpc")
        self._messages = _messages(descriptors)
        if state is not None and state.exists():
            self.executions = {each["id"]: Execution(**each) for each in json.loads(state.read_text())}
        self._server = self._grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    def of(self, job: str) -> list[Execution]:
        """The executions of a job."""
        return [each for each in self.executions.values() if each.job == job]

    def clear(self) -> None:
        """As at the beginning: no executions, and nothing that goes wrong."""
        self.executions.clear()
        self.slow.clear()
        self.calls.clear()
        self.list_fails, self.get_fails, self.at_once = False, "", "TRIGGERED"

    def ends(self, status: str = "SUCCESS") -> None:
        """All executions that are in flight end so."""
        for each in self.executions.values():
            if each.status in {"SCHEDULING", "TRIGGERED", "PENDING"}:
                each.status, each.completed = status, time.time()

    def add(self, job: str, **more: Any) -> Execution:
        """An execution that somebody else started."""
        made = Execution(str(uuid.uuid4()), job, "PERIODIC", **more)
        self.executions[made.id] = made
        return made

    def wait(self) -> None:
        """Serve until the process ends."""
        self._server.wait_for_termination()

    def _create(self, request: Any) -> Any:
        _check(request)
        spec = {kind: dict(getattr(request.pod_spec_options, kind)) for kind in ("envs", "labels", "annotations")}
        made = self.add(request.job_name, spec=spec)
        made.kind = TYPES[request.job_execution_type]
        made.status = self.at_once
        if self._state is not None:
            self._state.write_text(json.dumps([vars(each) for each in self.executions.values()]))
        if made.job.startswith("deadly-"):
            os._exit(1)
        time.sleep(self.slow.get(made.job, 0))
        return self._told(made, pod_spec_options=request.pod_spec_options)

    def _get(self, request: Any) -> Any:
        found = self.executions.get(request.id)
        if self.get_fails:
            raise Refusal("UNKNOWN", self.get_fails)
        if found is None:
            raise Refusal("UNKNOWN", f'prowjobs.prow.k8s.io "{request.id}" not found')
        message = self._told(found, job_url=found.url)
        message.create_time.FromDatetime(datetime.fromtimestamp(found.created, UTC))
        if found.completed:
            message.completion_time.FromDatetime(datetime.fromtimestamp(found.completed, UTC))
        return message

    def _list(self, request: Any) -> Any:
        listed = [] if self.list_fails else [*self.executions.values()]
        if request.job_name:
            listed = [each for each in listed if each.label == request.job_name]
        if request.status:
            listed = [each for each in listed if each.status == STATUSES[request.status]]
        return self._messages["JobExecutions"](job_execution=[self._told(each) for each in listed])

    def _told(self, found: Execution, **more: Any) -> Any:
        kind, status = TYPES.index(found.kind), STATUSES.index(found.status)
        return self._messages["JobExecution"](id=found.id, job_name=found.job, job_type=kind, job_status=status, **more)

    def _handlers(self) -> Any:
        def handler(name: str, answers: Any, asked: str, told: str) -> Any:
            def answer(request: Any, context: Any) -> Any:
                try:
                    with self._lock:
                        self.calls.append(name)
                    return answers(request)
                except Refusal as refusal:
                    context.abort(self._grpc.StatusCode[refusal.code], refusal.text)

            return self._grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=self._messages[asked].FromString,
                response_serializer=self._messages[told].SerializeToString,
            )

        calls = {
            "CreateJobExecution": ("create", self._create, "CreateJobExecutionRequest", "JobExecution"),
            "GetJobExecution": ("get", self._get, "GetJobExecutionRequest", "JobExecution"),
            "ListJobExecutions": ("list", self._list, "ListJobExecutionsRequest", "JobExecutions"),
        }
        made = {name: handler(*parts) for name, parts in calls.items()}
        return self._grpc.method_handlers_generic_handler("Prow", made)


def _messages(descriptors: bytes) -> dict[str, Any]:
    """The classes of all messages, by name."""
    files = importlib.import_module("google.protobuf.descriptor_pb2").FileDescriptorSet.FromString(descriptors)
    pool = importlib.import_module("google.protobuf.descriptor_pool").DescriptorPool()
    for each in files.file:
        pool.Add(each)
    classes = importlib.import_module("google.protobuf.message_factory")
    names = [each.name for each in files.file[-1].message_type]
    return {name: classes.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names}


def _check(request: Any) -> None:
    """What Gangway refuses; raises Refusal."""
    kind, refs = TYPES[request.job_execution_type], request.refs
    faults = {
        "job_name field cannot be empty": not request.job_name,
        "unsupported JobExecutionType": kind in {"", "BATCH"},
        "periodic jobs cannot also have git refs": kind == "PERIODIC" and request.HasField("refs"),
    }
    if kind in {"POSTSUBMIT", "PRESUBMIT"}:
        faults["gitRefs: org, repo, base_ref and base_sha must be set"] = not (
            refs.org and refs.repo and refs.base_ref and refs.base_sha
        )
        pulls = [SHA.fullmatch(pull.sha) and pull.number and pull.author for pull in refs.pulls]
        faults["gitRefs.pulls are wrong"] = not all(pulls) or (kind == "PRESUBMIT" and not pulls)
    spec = request.pod_spec_options
    for each in (spec.envs, spec.labels, spec.annotations):
        faults["empty key or value"] = any(not name or not value for name, value in each.items())
        if faults["empty key or value"]:
            break
    faults["invalid label"] = any(not LABEL_VALUE.fullmatch(value) for value in spec.labels.values())
    wrong = [text for text, found in faults.items() if found]
    if wrong:
        raise Refusal("INVALID_ARGUMENT", wrong[0])
    if request.job_name.startswith("no-"):
        raise Refusal("UNKNOWN", f'failed to find associated {kind.lower()} job "{request.job_name}"')
    if request.job_name.startswith("others-"):
        raise Refusal("PERMISSION_DENIED", f"client cannot start {request.job_name}: 100 % sûr")


def main() -> None:
    """Serve, as a program of its own, with a state that outlives it."""
    port, state, descriptors = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    with Prow(descriptors.read_bytes(), port, state) as prow:
        prow.wait()


if __name__ == "__main__":
    main()
