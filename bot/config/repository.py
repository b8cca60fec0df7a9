"""All data files of one tree as summaries, and where their references lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.config.summary import COMPAT_PIPELINE, Row, Summary


@dataclass(frozen=True, slots=True)
class Repository:
    """The data files by path. `root` is the data folder with a final slash, or empty; `paths` are all files."""

    root: str
    summaries: Mapping[str, Summary]
    paths: frozenset[str]
    compat_pipeline: str = ""
    _resolved: dict[str, str] = field(default_factory=dict)

    def resolve(self, reference: str) -> str:
        """Return the path of the file that a `$ref` names; empty where it would leave the data folder."""
        path = self._resolved.get(reference)
        if path is None:
            path = self._resolved[reference] = self._path(reference)
        return path

    def _path(self, reference: str) -> str:
        if reference.startswith(COMPAT_PIPELINE):
            return self._compat()
        if not reference.startswith("/"):
            return ""
        parts: list[str] = []
        for part in reference.split("/"):
            if part == "..":
                if not parts:
                    return ""
                parts.pop()
            elif part not in {"", "."}:
                parts.append(part)
        return self.root + "/".join(parts)

    def _compat(self) -> str:
        """Return the path of the pipeline of app-interface files, which the settings name or refer to."""
        if self.compat_pipeline.startswith("/"):
            return self._path(self.compat_pipeline)
        named = (
            path
            for path, summary in self.summaries.items()
            if summary.kind == "pipeline" and summary.name == self.compat_pipeline
        )
        return next(named, "")

    def target_id(self, summary: Summary, row: Row) -> str:
        """Return `<saas file>/<resource template>/<target>`; empty where a part is missing."""
        name = row.name
        if not name:
            namespace = self.summaries.get(self.resolve(row.namespace)) if row.namespace else None
            name = namespace.name if namespace and namespace.kind == "namespace" else ""
        return f"{summary.name}/{row.template}/{name}" if summary.name and row.template and name else ""


def pipeline_of(summary: Summary, row: Row) -> str:
    """Return the `$ref` of the pipeline that a target of this SaaS file runs; empty where there is none."""
    if row.pipeline or summary.compat:
        return row.pipeline or COMPAT_PIPELINE
    return first_of(summary, "pipeline")


def first_of(summary: Summary, key: str) -> str:
    """Return the path that a file's own field refers to, or an empty string."""
    return next((reference.path for reference in summary.references if reference.pointer == (key, "$ref")), "")


def paths_of(summary: Summary, row: Row) -> tuple[str, ...]:
    """Return every `$ref` that a target of this SaaS file depends on."""
    own = (first_of(summary, "app"), pipeline_of(summary, row), row.namespace, *row.instances)
    return tuple(path for path in own if path)
