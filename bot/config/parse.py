"""From valid documents to model values: apps, namespaces, instances, pipelines, freezes and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.config.repository import Repository, first_of, pipeline_of
from bot.config.rows import NAMED
from bot.config.source import Pointer
from bot.config.summary import Row, Summary
from bot.config.trigger_definitions import trigger_of
from bot.config.values import duration, window
from bot.model.desired import App, Component, Freeze, Image, Namespace, Promotion, Target, Upstream, Window
from bot.model.servers import Instance, OnNewer, Pipeline, SecretRef
from bot.model.triggers import Trigger

_HOUR = timedelta(hours=1)
_NOT_PROMOTED = Promotion()


class Parser:
    """Builds model values from the files of a repository, each small file once; only from files without errors."""

    def __init__(self, repository: Repository) -> None:
        """Take the repository whose summaries hold the documents."""
        self._repository = repository
        self._apps: dict[str, App] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._instances: dict[str, Instance] = {}
        self._pipelines: dict[str, Pipeline] = {}

    def app(self, path: str) -> App:
        """Return the app in the file at `path`."""
        if path not in self._apps:
            doc = self._document(path)
            components = tuple(
                Component(
                    component["url"],
                    frozenset(component.get("blockedVersions", ())),
                    frozenset(component.get("hotfixVersions", ())),
                )
                for component in doc.get("codeComponents", ())
            )
            self._apps[path] = App(doc["name"], tuple(doc["owners"]), components, path)
        return self._apps[path]

    def namespace(self, path: str) -> Namespace:
        """Return the namespace in the file at `path`."""
        if path not in self._namespaces:
            doc = self._document(path)
            app = self._repository.summaries[self._repository.resolve(doc["app"]["$ref"])].name
            places = {key: doc[key] for key in ("cluster", "environment")}
            for reference in self._repository.summaries[path].references:
                if reference.kind == NAMED:
                    places[str(reference.pointer[0])] = self._named(reference.path)
            self._namespaces[path] = Namespace(doc["name"], places["cluster"], places["environment"], app, path)
        return self._namespaces[path]

    def instance(self, path: str) -> Instance:
        """Return the instance in the file at `path`."""
        if path not in self._instances:
            doc = self._document(path)
            token = SecretRef(**doc["token"]) if "token" in doc else None
            self._instances[path] = Instance(
                doc["name"],
                doc["provider"],
                doc.get("url", ""),
                token,
                doc.get("rateLimit", ""),
                path,
                doc.get("ca", ""),
            )
        return self._instances[path]

    def pipeline(self, path: str) -> Pipeline:
        """Return the pipeline in the file at `path`, with its instance."""
        if path not in self._pipelines:
            doc = self._document(path)
            self._pipelines[path] = Pipeline(
                doc["name"],
                self.instance(self._repository.resolve(doc["instance"]["$ref"])),
                doc["with"],
                _duration(doc, "timeout", _HOUR),
                int(doc.get("retries", 0)),
                OnNewer(doc.get("onNewer", "wait")),
                path,
            )
        return self._pipelines[path]

    def freeze(self, path: str) -> Freeze:
        """Return the freeze in the file at `path`."""
        doc = self._document(path)
        scope = doc.get("scope", {})
        return Freeze(
            doc["name"],
            doc["owner"],
            doc["reason"],
            _windows(doc["windows"]),
            frozenset(scope.get("environments", ())),
            frozenset(scope.get("apps", ())),
            frozenset(scope.get("targets", ())),
            path,
        )

    def trigger(self, path: str) -> Trigger:
        """Return the trigger definition in the file at `path`."""
        doc = self._document(path)
        found = trigger_of(doc, self._instance(doc["instance"]["$ref"]), path)
        source = found.jobs_from
        if source is None or not source.file:
            return found
        return replace(found, jobs_from=replace(source, file=self._repository.resolve("/" + source.file.lstrip("/"))))

    def targets(self, path: str, rows: Mapping[str, Row]) -> dict[str, Target]:
        """Return the targets of the SaaS file at `path` whose rows are given by id."""
        summary = self._repository.summaries[path]
        doc = summary.document()
        app = self.app(self._repository.resolve(first_of(summary, "app")))
        shared = doc.get("parameters", {})
        return {
            identity: self._target(identity, path, summary, row, app, doc["resourceTemplates"], shared)
            for identity, row in rows.items()
        }

    def _target(
        self,
        identity: str,
        path: str,
        summary: Summary,
        row: Row,
        app: App,
        templates: list[Any],
        shared: Mapping[str, Any],
    ) -> Target:
        template = templates[row.template_index]
        target = template["targets"][row.target_index]
        parameters = {**shared, **template.get("parameters", {}), **target.get("parameters", {})}
        pointer: Pointer = (*row.pointer, "ref")
        return Target(
            identity,
            path,
            summary.origin(pointer),
            row.url,
            template["path"],
            target["ref"],
            self.namespace(self._repository.resolve(row.namespace)),
            app,
            self.pipeline(self._repository.resolve(pipeline_of(summary, row))),
            parameters,
            _promotion(target["promotion"]) if "promotion" in target else _NOT_PROMOTED,
            self._upstream(target["upstream"]) if "upstream" in target else None,
            tuple(self._image(image) for image in target.get("images", ())),
            target.get("disable", False),
            target.get("delete", False),
        )

    def _upstream(self, doc: Mapping[str, Any]) -> Upstream:
        return Upstream(self._instance(doc["instance"]["$ref"]), doc["name"])

    def _image(self, doc: Mapping[str, Any]) -> Image:
        return Image(self._instance(doc["instance"]["$ref"]), doc["repository"], doc["tag"])

    def _instance(self, reference: str) -> Instance:
        return self.instance(self._repository.resolve(reference))

    def _named(self, reference: str) -> str:
        return self._repository.summaries[self._repository.resolve(reference)].name

    def _document(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = self._repository.summaries[path].document()
        return document


def _promotion(doc: Mapping[str, Any]) -> Promotion:
    return Promotion(
        doc.get("auto", False),
        tuple(doc.get("publish", ())),
        tuple(doc.get("subscribe", ())),
        _duration(doc, "soak", timedelta()),
        _windows(doc["windows"]) if "windows" in doc else (),
        doc.get("redeployOnPublisherConfigChange", False),
    )


def _windows(docs: list[Any]) -> tuple[Window, ...]:
    return tuple(found for doc in docs if (found := window(doc)) is not None)


def _duration(doc: Mapping[str, Any], key: str, default: timedelta) -> timedelta:
    value = duration(doc[key]) if key in doc else default
    return default if value is None else value
