"""What the checks across files need of one document: its references, its targets, and a few facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.config.documents import mapping_of, maps, path_of, target_pointer, targets_of, text_of, texts
from bot.config.source import Pointer
from bot.config.summary import COMPAT_PIPELINE, Reference, Row
from bot.config.with_rules import with_faults
from bot.formats.gravitee_release import releases

NAMED = "named"
"""The kind of an app-interface file that only lends its name (an environment, a cluster)."""

_FIELDS = {
    "saas-file": (("app", "app"), ("pipeline", "pipeline")),
    "namespace": (("app", "app"),),
    "pipeline": (("instance", "instance"),),
    "trigger": (("instance", "instance"),),
}


def rows(doc: dict[str, Any]) -> tuple[Row, ...]:
    """Return a row for each target of a SaaS file."""
    return tuple(
        _row(template, target, template_index, target_index)
        for template_index, target_index, template, target in targets_of(doc)
    )


def references(kind: str, doc: dict[str, Any]) -> tuple[Reference, ...]:
    """Return every interpreted `$ref` of a document but the namespaces of targets, which are in the rows."""
    found = [
        Reference(path, wanted, (key, "$ref"))
        for key, wanted in _FIELDS.get(kind, ())
        if (path := path_of(doc.get(key))) and not path.startswith(COMPAT_PIPELINE)
    ]
    if kind == "saas-file":
        found += _of_targets(doc)
    return tuple(found)


def facts(kind: str, doc: dict[str, Any]) -> dict[str, Any]:
    """Return what checks across files need of a small file."""
    match kind:
        case "namespace":
            return {"cluster": text_of(doc.get("cluster")), "environment": text_of(doc.get("environment"))}
        case "instance":
            return {"provider": text_of(doc.get("provider"))}
        case "pipeline":
            return {"with": with_faults(doc.get("with"))}
        case "trigger":
            source = mapping_of(doc.get("jobsFrom"))
            manifest = source.get("format") == "gravitee-release" and releases(
                mapping_of(doc.get("with")).get("parameters")
            )
            return {"jobsFrom": text_of(source.get("file")), "releases": manifest}
        case "freeze":
            scope = mapping_of(doc.get("scope"))
            return {key: texts(scope.get(key)) for key in ("environments", "apps", "targets")}
        case _:
            return {}


def _row(template: dict[str, Any], target: dict[str, Any], template_index: int, target_index: int) -> Row:
    promotion = mapping_of(target.get("promotion"))
    return Row(
        text_of(template.get("name")),
        text_of(target.get("name")),
        text_of(template.get("url")),
        path_of(target.get("namespace")),
        path_of(target.get("pipeline")),
        template_index,
        target_index,
        target.get("disable") is True or target.get("delete") is True,
        texts(promotion.get("publish")),
        texts(promotion.get("subscribe")),
        tuple(path for _, path in _instances(target)),
    )


def _of_targets(doc: dict[str, Any]) -> Iterator[Reference]:
    """Yield the references of targets that few targets have."""
    for template_index, target_index, _, target in targets_of(doc):
        if not ("pipeline" in target or "upstream" in target or "images" in target):
            continue
        at = target_pointer(template_index, target_index)
        pipeline = path_of(target.get("pipeline"))
        if pipeline:
            yield Reference(pipeline, "pipeline", (*at, "pipeline", "$ref"))
        for pointer, path in _instances(target):
            yield Reference(path, "instance", (*at, *pointer, "instance", "$ref"))


def _instances(target: dict[str, Any]) -> Iterator[tuple[Pointer, str]]:
    """Yield the paths of the instances that a target's upstream and images name, with their places in the target."""
    named: list[tuple[Pointer, dict[str, Any]]] = [(("upstream",), mapping_of(target.get("upstream")))]
    named += [(("images", index), image) for index, image in maps(target.get("images"))]
    for pointer, holder in named:
        path = path_of(holder.get("instance"))
        if path:
            yield pointer, path
