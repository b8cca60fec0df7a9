"""Gravitee's `release.json`: which components a release is made of, in which order, and how a success is written back.

A component is released if its version, its own or the manifest's, ends with `-SNAPSHOT`. Each row of
`buildDependencies` is a set that is built in parallel, one row after the other. What has been released has lost its
suffix, so reading the manifest again gives what is left.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bot.formats.json_places import Member, Place, Splice, parsed, places, spliced

SNAPSHOT = "-SNAPSHOT"
"""What the version of a component ends with that is to be released."""

ACTION = "release"
"""What a pipeline is asked to do, where the definition does not say otherwise."""

BUCKET = "prepared-nexus-staging-gravitee-apim-"
"""What the name of the bucket begins with that takes a release's artifacts."""

FEWEST_KEYS, MOST_KEYS = 2, 4
"""How many keys a component has."""

_BOM = "\ufeff"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_THREE = r"([0-9]+)\.([0-9]+)\.([0-9]+(?:-[0-9A-Za-z-]+)?)"
_VERSION = re.compile(_THREE)
_TO_RELEASE = re.compile(_THREE + SNAPSHOT)
_ADDRESS = re.compile(r"(?:https?://|(?:ssh://)?git@)([^/:]+)[/:](.+)")
_PROVIDERS = {"github.com": "gh", "bitbucket.org": "bb"}


@dataclass(frozen=True, slots=True)
class ReleaseComponent:
    """A component to release; `version` is as in the manifest, with its suffix.

    `parameters` are what its pipeline is started with, as far as the manifest says it.
    """

    name: str
    version: str
    branch: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What is to be released: a set for each row of `buildDependencies`, empty ones too.

    `version` is the manifest's own, as it stands there; `organization` is where its repositories are, as CircleCI
    writes it (`gh/acme`), or empty.
    """

    name: str
    version: str
    rows: tuple[tuple[ReleaseComponent, ...], ...]
    organization: str = ""

    @property
    def release(self) -> str:
        """The version that is released."""
        return self.version.removesuffix(SNAPSHOT)

    @property
    def stages(self) -> tuple[tuple[ReleaseComponent, ...], ...]:
        """The sets in order without the empty ones; none means that there is nothing to release."""
        return tuple(row for row in self.rows if row)


@dataclass(frozen=True, slots=True)
class _Unread:
    """Why a manifest could not be parsed."""

    faults: tuple[str, ...]


def releases(parameters: Any) -> bool:
    """Whether pipelines that are started with these parameters release anything: no rehearsal, and nothing else."""
    given = parameters if isinstance(parameters, Mapping) else {}
    return given.get("dry_run") is not True and given.get("gio_action", ACTION) == ACTION


@lru_cache(maxsize=64)
def read_release(data: bytes) -> ReleasePlan | tuple[str, ...]:
    """The plan that a manifest in JSON asks for, or everything that is wrong with it."""
    document = _document(data)
    return document.faults if isinstance(document, _Unread) else plan_of(document)


def plan_of(document: Any) -> ReleasePlan | tuple[str, ...]:
    """The plan that a parsed manifest asks for, or everything that is wrong with it."""
    wrong = tuple(_faults(document))
    if wrong:
        return wrong
    selected = {name: version for name, version in _versions(document).items() if version.endswith(SNAPSHOT)}
    wrong = (*_unlisted(document, selected), *_unreadable(selected))
    if wrong:
        return wrong
    last = {name: index for index, row in enumerate(document["buildDependencies"]) for name in row}
    bucket = BUCKET + document["version"].removesuffix(SNAPSHOT).replace(".", "_")
    parameters = {"gio_action": ACTION, "dry_run": False, "s3_bucket_name": bucket}
    rows = tuple(
        tuple(
            ReleaseComponent(name, selected[name], branch_of(selected[name]), parameters)
            for name in dict.fromkeys(row)
            if name in selected and last[name] == index
        )
        for index, row in enumerate(document["buildDependencies"])
    )
    return ReleasePlan(str(document.get("name") or ""), document["version"], rows, _organization(document))


def branch_of(version: str) -> str:
    """The branch that a version is released from: a new minor from `master`, a patch from that minor's branch.

    Raises ValueError for what is not three parts and the suffix.
    """
    found = _TO_RELEASE.fullmatch(version)
    if found is None:
        raise ValueError(f"{version} is not three numbers with dots between them, and {SNAPSHOT}")
    return "master" if found[3] == "0" else f"{found[1]}.{found[2]}.x"


def job_options(plan: ReleasePlan, component: ReleaseComponent, options: Mapping[str, Any]) -> dict[str, Any]:
    """The `with` block of a component's job: what the definition says, completed with what the manifest says."""
    project = {"project": f"{plan.organization}/{component.name}"} if plan.organization else {}
    branch = {} if "tag" in options else {"branch": component.branch}
    given = options.get("parameters")
    own = given if isinstance(given, Mapping) else {}
    return {**project, **branch, **options, "parameters": {**component.parameters, **own}}


def released(data: bytes, names: Collection[str], *, finished: bool = False) -> bytes | tuple[str, ...]:
    """The manifest with these components marked as released, or why that cannot be.

    Their versions lose the suffix, and `since` says with which release; one that inherits its version gets one of its
    own. With `finished` all that was selected is released: the manifest's version loses its suffix too, and whoever
    inherits it goes on to do so. No other byte changes. A component that was released before is left as it is.
    """
    plan = read_release(data)
    if isinstance(plan, tuple):
        return plan
    text = data.decode("utf-8")
    bom = _BOM if text.startswith(_BOM) else ""
    text = text.removeprefix(_BOM)
    document = parsed(text)
    try:
        top = places(text)
    except RecursionError:
        return ("the manifest is nested too deep",)
    wrong = tuple(_unmarkable(plan, document, names, finished=finished))
    if wrong:
        return wrong
    edits = [] if not finished else list(_unsuffixed(text, top))
    for component, place in zip(document["components"], _of(top, "components").items, strict=True):
        if component["name"] in names and _versions(document)[component["name"]].endswith(SNAPSHOT):
            version = str(component.get("version") or ("" if finished else plan.version)).removesuffix(SNAPSHOT)
            edits += _marked(text, place, version, plan.release)
    return (bom + spliced(text, edits)).encode("utf-8")


def changed(old: bytes, new: bytes) -> tuple[ReleaseComponent, ...] | None:
    """The components that `new` says are released and `old` does not, with their versions there.

    None where `released` could not have made `new` of `old`.
    """
    before, after = read_release(old), read_release(new)
    if isinstance(before, tuple) or isinstance(after, tuple):
        return None
    left = {component.name for row in after.stages for component in row}
    gone = tuple(each for row in before.stages for each in row if each.name not in left)
    finished = before.version.endswith(SNAPSHOT) and not after.version.endswith(SNAPSHOT)
    return gone if gone and released(old, [each.name for each in gone], finished=finished) == new else None


def _document(data: bytes) -> Any:
    """The parsed manifest, or an `_Unread`."""
    try:
        return parsed(data.decode("utf-8").removeprefix(_BOM))
    except UnicodeDecodeError:
        return _Unread(("the manifest is not UTF-8",))
    except ValueError as error:
        return _Unread((f"the manifest is no JSON: {error}",))


def _faults(document: Any) -> Iterator[str]:
    """What is wrong with the shape of a manifest."""
    if not isinstance(document, Mapping):
        yield "the manifest is not an object with `version`, `components` and `buildDependencies`"
        return
    version = document.get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        yield "`version`, the manifest's own, is not there or is not three numbers with dots between them"
    components = document.get("components")
    if not isinstance(components, list):
        yield "`components` is not a list"
        components = []
    for index, component in enumerate(components):
        yield from (f"components[{index}]: {fault}" for fault in _component_faults(component))
    names = Counter(_name(each) for each in components if _name(each))
    yield from (f"the component `{name}` stands there {count} times" for name, count in names.items() if count > 1)
    yield from _row_faults(document.get("buildDependencies"), names)


def _component_faults(component: Any) -> Iterator[str]:
    if not isinstance(component, Mapping):
        yield "a component is an object with `name` and `version`"
        return
    if not FEWEST_KEYS <= len(component) <= MOST_KEYS:
        yield f"a component has {FEWEST_KEYS} to {MOST_KEYS} keys, this one has {len(component)}"
    if not _NAME.fullmatch(_name(component)):
        yield "`name` is the name of a repository: letters, digits, `.`, `_` and `-`"
    if not isinstance(component.get("version", ""), str | None):
        yield "`version` is a text"


def _row_faults(rows: Any, names: Mapping[str, int]) -> Iterator[str]:
    if not isinstance(rows, list):
        yield "`buildDependencies` is not a list of lists of names"
        return
    for index, row in enumerate(rows):
        if not isinstance(row, list) or not all(isinstance(name, str) for name in row):
            yield f"buildDependencies[{index}] is not a list of names"
            continue
        yield from (f"buildDependencies[{index}]: there is no component `{name}`" for name in row if name not in names)


def _unlisted(document: Mapping[str, Any], selected: Mapping[str, str]) -> Iterator[str]:
    listed = {name for row in document["buildDependencies"] for name in row}
    for name in selected:
        if name not in listed:
            yield f"the component `{name}` is to be released, and `buildDependencies` does not say when"


def _unreadable(selected: Mapping[str, str]) -> Iterator[str]:
    for name, version in selected.items():
        if not _TO_RELEASE.fullmatch(version):
            yield f"the component `{name}`: {version} is not three numbers with dots between them, and {SNAPSHOT}"


def _unmarkable(plan: ReleasePlan, document: Any, names: Collection[str], *, finished: bool) -> Iterator[str]:
    """Why these components cannot be marked."""
    keys = {component["name"]: component for component in document["components"]}
    waiting = [component.name for row in plan.stages for component in row]
    yield from (f"there is no component `{name}`" for name in sorted(set(names) - keys.keys()))
    for name in waiting:
        if name not in names:
            if finished:
                yield f"the component `{name}` is not released yet"
            continue
        own = {"name", "since", *(() if finished and "version" not in keys[name] else ("version",))}
        if len(keys[name].keys() | own) > MOST_KEYS:
            yield f"the component `{name}` would have more than {MOST_KEYS} keys"


def _marked(text: str, component: Place, version: str, since: str) -> Iterator[Splice]:
    """The changes to one component; an empty `version` is one that goes on to be inherited."""
    anchor = component.member("version") or _member(component, "name")
    own = component.member("version")
    new = ""
    if version and own is not None:
        yield _set(own.value, version)
    elif version:
        new += _like(text, component, "version", version)
    known = component.member("since")
    if known is not None:
        yield _set(known.value, since)
    else:
        new += _like(text, component, "since", since)
    if new:
        yield Splice(anchor.value.end, anchor.value.end, new)


def _unsuffixed(text: str, top: Place) -> Iterator[Splice]:
    """The change to the manifest's own version."""
    place = _of(top, "version")
    version = json.loads(text[place.start : place.end])
    if version.endswith(SNAPSHOT):
        yield _set(place, version.removesuffix(SNAPSHOT))


def _set(place: Place, value: str) -> Splice:
    return Splice(place.start, place.end, json.dumps(value, ensure_ascii=False))


def _like(text: str, component: Place, key: str, value: str) -> str:
    """A further member, written like the first two: with the same white space before it and around its colon."""
    first, second = component.members[:2]
    between, colon = text[first.value.end : second.start], text[first.end : first.value.start]
    return f"{between}{json.dumps(key)}{colon}{json.dumps(value, ensure_ascii=False)}"


def _member(place: Place, key: str) -> Member:
    """A member that is there."""
    return next(each for each in place.members if each.key == key)


def _of(place: Place, key: str) -> Place:
    return _member(place, key).value


def _name(component: Any) -> str:
    name = component.get("name") if isinstance(component, Mapping) else None
    return name if isinstance(name, str) else ""


def _versions(document: Mapping[str, Any]) -> dict[str, str]:
    """The version of each component, the manifest's where it has none of its own."""
    return {each["name"]: each.get("version") or document["version"] for each in document["components"]}


def _organization(document: Mapping[str, Any]) -> str:
    """Where the repositories are, as CircleCI writes it; empty for a server that it does not know by name."""
    for address in (document.get("scmHttpUrl"), document.get("scmSshUrl")):
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is not None and found[1] in _PROVIDERS and found[2].strip("/"):
            return f"{_PROVIDERS[found[1]]}/{found[2].strip('/')}"
    return ""
