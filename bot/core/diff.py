"""The effective configuration of a target, its hash, and the words for a difference.

What is in it is DESIGN section 3: url, path, ref as written, merged parameters, the namespace's name, cluster and
environment, image templates, the pipeline's name. Unset fields do not count, so a new optional field in a schema
changes no hash; the hash carries a version, and a change of that version re-records and starts nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bot.model.desired import Target
from bot.model.state import TargetState

HASH_VERSION = "1"
"""Raised when the same configuration would hash differently."""


def effective(target: Target) -> dict[str, Any]:
    """The effective configuration as a plain document without unset fields."""
    document = {
        "url": target.url,
        "path": target.path,
        "ref": target.ref,
        "parameters": dict(target.parameters),
        "namespace": {
            "name": target.namespace.name,
            "cluster": target.namespace.cluster,
            "environment": target.namespace.environment,
        },
        "images": [{"instance": i.instance.name, "repository": i.repository, "tag": i.tag} for i in target.images],
        "pipeline": target.pipeline.name,
    }
    return {key: value for key, value in document.items() if value not in ("", None, {}, [])}


def canonical(document: object) -> str:
    """JSON with sorted keys and no spaces; the same document always gives the same text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def config_hash(config: str) -> str:
    """The hash of a canonical configuration, `<version>:<hex>`."""
    return f"{HASH_VERSION}:{hashlib.sha256(config.encode()).hexdigest()}"


def hash_of(config: str, record: TargetState | None) -> str:
    """The hash of a configuration; the recorded one where the text is the same, which is the common case."""
    if record is not None and record.config == config and same_version(record.config_hash):
        return record.config_hash
    return config_hash(config)


def same_version(recorded: str) -> bool:
    """Whether a recorded hash was made by this version and may be compared."""
    return recorded.startswith(f"{HASH_VERSION}:")


def without_ref(config: str) -> dict[str, Any]:
    """A recorded configuration without its ref, to tell a moved pin from a changed configuration."""
    document: dict[str, Any] = json.loads(config) if config else {}
    document.pop("ref", None)
    return document


def run_key(lineage: str, target: str, config: str, sha: str, number: int) -> str:
    """The identity of one intended run (DESIGN section 3): the same intent always has the same key."""
    return hashlib.sha256(f"{lineage}\n{target}\n{config}\n{sha}\n{number}".encode()).hexdigest()[:32]


def words(old: str, new: str, limit: int = 5) -> str:
    """A difference of two canonical configurations in words; deepdiff is loaded only here, where one was found."""
    from deepdiff import DeepDiff  # noqa: PLC0415 - 126 ms to import, needed for changed targets only

    tree = DeepDiff(
        json.loads(old) if old else {}, json.loads(new), ignore_order=False, threshold_to_diff_deeper=0, view="tree"
    )
    sentences = sorted(_sentence(kind, item) for kind, items in tree.items() for item in items)
    shown = "; ".join(sentences[:limit])
    return shown if len(sentences) <= limit else f"{shown}; and {len(sentences) - limit} more"


def _sentence(kind: str, item: Any) -> str:
    path = ".".join(str(part) for part in item.path(output_format="list")) or "configuration"
    if kind.endswith("_added"):
        return f"{path} added: {_value(item.t2)}"
    if kind.endswith("_removed"):
        return f"{path} removed (was {_value(item.t1)})"
    return f"{path}: {_value(item.t1)} -> {_value(item.t2)}"


SHOWN = 60
"""Characters of a value that a sentence shows."""


def _value(value: object) -> str:
    text = canonical(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
