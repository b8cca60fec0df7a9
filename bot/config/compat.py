"""Files written for app-interface, read as ours (DESIGN section 2).

`translate` turns one parsed document of the kinds below into a document of our own kinds; nothing else is looked at.
What the loader does with the result:

- `NAMED` documents (environments, clusters, pipelines providers, ...) only lend their `name` to who refers to them;
  there is no schema for them.
- In a namespace, the fields in `NAMED_BY_REFERENCE` still hold `{"$ref": PATH}`: the loader puts the `name` of the
  document at PATH in their place before it validates.
- A SaaS file comes without `pipeline`: the loader fills in the one that `compat.pipeline` of `saasbot.yml` names.
- Positions: a finding at a pointer of the translated document is in the source at `Translated.origin(pointer)`, and so
  is the scalar that a promotion edits.

The shapes are those of the public qontract-schemas repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bot.config.compat_draft import LOST_PARAMETERS, Draft, kept
from bot.config.compat_saas_file import read_saas_file
from bot.config.source import Pointer

NAMED: Final = "/named-1.json"
"""The `$schema` of a translated document that has nothing but a `name`."""

NAMED_BY_REFERENCE: Final = ("cluster", "environment")
"""Fields of a translated namespace in which the loader replaces `{"$ref": PATH}` by the name found there."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A document in our shape.

    `warnings` are (pointer into the source, message); `moved` maps pointers of `doc` to pointers of the source, as far
    as they differ.
    """

    doc: dict[str, Any]
    warnings: tuple[tuple[Pointer, str], ...] = ()
    moved: Mapping[Pointer, Pointer] = field(default_factory=dict)

    def origin(self, pointer: Pointer) -> Pointer:
        """Where in the source a value of `doc` comes from."""
        for length in range(len(pointer), 0, -1):
            source = self.moved.get(pointer[:length])
            if source is not None:
                return source + pointer[length:]
        return pointer


def translate(doc: Mapping[str, Any], path: str) -> Translated | None:
    """Read a document of one of app-interface's kinds; None if it is not one of them and to be left alone.

    `path` is the file's path, which names a document that has no name. Values of a wrong type are passed on as they
    are, for the schema to judge.
    """
    kind = doc.get("$schema")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        return None
    draft = Draft(path)
    translated = reader(doc, draft)
    return Translated(translated, tuple(draft.warnings), draft.moved)


def _app(doc: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    out: dict[str, Any] = {"$schema": "/app-1.json", **kept(doc, "name"), "owners": _owners(doc, draft)}
    draft.moved[("owners",)] = ("serviceOwners",)
    draft.clean_name(out, ())
    components = doc.get("codeComponents")
    if isinstance(components, list):
        out["codeComponents"] = [
            kept(component, "url", "blockedVersions", "hotfixVersions") if isinstance(component, Mapping) else component
            for component in components
        ]
    elif components is not None:
        out["codeComponents"] = components
    return out


def _owners(doc: Mapping[str, Any], draft: Draft) -> Any:
    """The names of the service owners: users, or groups that `saasbot.yml` may define; mail addresses name nobody."""
    owners = doc.get("serviceOwners")
    if owners is None:
        draft.warn((), "no `serviceOwners`: nobody owns this app, so nobody may use the owners' commands")
        return []
    if not isinstance(owners, list):
        return owners
    for index, owner in enumerate(owners):
        if isinstance(owner, Mapping):
            draft.moved["owners", index] = ("serviceOwners", index, "name")
    return [owner.get("name") if isinstance(owner, Mapping) else owner for owner in owners]


def _namespace(doc: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    out = {"$schema": "/namespace-1.json", **kept(doc, "name", "cluster", "environment", "app")}
    draft.clean_name(out, ())
    return out


def _environment(doc: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    draft.lost(doc, LOST_PARAMETERS | {"parameters": "parameters of an environment reach no run here"}, ())
    return _named(doc, draft)


def _named(doc: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """A document that only lends its name; one without a name is called by its file."""
    name = doc.get("name")
    stem = draft.path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return {"$schema": NAMED, "name": name if isinstance(name, str) and name else stem}


def _jenkins(doc: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    draft.lost(doc, {"token": "a token in a vault is not read here"}, ())
    out = {"$schema": "/instance-1.json", **kept(doc, "name"), "provider": "jenkins"}
    draft.clean_name(out, ())
    if "serverUrl" in doc:
        out["url"] = doc["serverUrl"]
        draft.moved[("url",)] = ("serverUrl",)
    return out


def _quay_org(doc: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """A registry whose address ends in the organisation, so that images are named as in the source."""
    server = str(doc.get("serverUrl", "https://quay.io")).rstrip("/")
    out = {"$schema": "/instance-1.json", **kept(doc, "name"), "provider": "registry"}
    out["url"] = f"{server}/{doc.get('name', '')}"
    draft.moved[("url",)] = ("serverUrl",) if "serverUrl" in doc else ("name",)
    draft.clean_name(out, ())
    return out


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any], Draft], dict[str, Any]]]] = {
    "/app-sre/saas-file-2.yml": read_saas_file,
    "/app-sre/app-1.yml": _app,
    "/openshift/namespace-1.yml": _namespace,
    "/app-sre/environment-1.yml": _environment,
    "/openshift/cluster-1.yml": _named,
    "/dependencies/jenkins-instance-1.yml": _jenkins,
    "/dependencies/quay-org-1.yml": _quay_org,
    "/app-sre/pipelines-provider-1.yml": _named,
    "/app-sre/tekton-provider-defaults-1.yml": _named,
}

KINDS = frozenset(_READERS)
"""The `$schema` values that `translate` reads."""
