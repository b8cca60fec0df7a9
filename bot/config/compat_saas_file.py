"""SaaS files written for app-interface, read as ours; the other kinds are in `bot.config.compat`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.config.compat_draft import LOST_PARAMETERS, Draft, kept
from bot.config.source import Pointer

HASH_LENGTH: Final = 7
"""Digits of a commit in an image tag where the resource template does not say."""

_ELSEWHERE: Final = frozenset({
    "$schema", "labels", "description", "displayName", "pipelinesProvider", "slack", "managedResourceTypes",
    "managedResourceNames", "authentication", "takeover", "compare", "publishJobLogs", "clusterAdmin", "imagePatterns",
    "deployResources", "allowedSecretParameterPaths", "selfServiceRoles", "roles", "instance", "validateTargetsInApp",
})  # fmt: skip
"""Keys of a SaaS file that another program acts on; nothing is lost by leaving them out here."""


_LOST: Final = {
    **LOST_PARAMETERS,
    "deprecated": "`deprecated` does not stop updates here: use `disable` on the targets",
    "timeout": "the time-out of the pipeline that `compat.pipeline` names applies",
    "use_channel_in_image_tag": "image tags with a channel are not known here",
}


def read_saas_file(doc: Mapping[str, Any], draft: Draft) -> dict[str, Any]:
    """A SaaS file in our shape, without its pipeline."""
    draft.unknown(doc, _ELSEWHERE | {"name", "app", "parameters", "resourceTemplates", *_LOST}, ())
    draft.lost(doc, _LOST, ())
    out = {"$schema": "/saas-file-1.json", **kept(doc, "name", "app", "parameters", "resourceTemplates")}
    draft.clean_name(out, ())
    templates = doc.get("resourceTemplates")
    if isinstance(templates, list):
        out["resourceTemplates"] = [
            _template(template, ("resourceTemplates", index), draft) for index, template in enumerate(templates)
        ]
    return out


def _template(source: Any, at: Pointer, draft: Draft) -> Any:
    if not isinstance(source, Mapping):
        return source
    known = frozenset({"name", "url", "path", "parameters", "targets", "provider", "hash_length"})
    draft.unknown(source, known | LOST_PARAMETERS.keys(), at)
    draft.lost(source, LOST_PARAMETERS, at)
    out = kept(source, "name", "url", "path", "parameters", "targets")
    draft.clean_name(out, at)
    targets = source.get("targets")
    if isinstance(targets, list):
        out["targets"] = _targets(targets, source.get("hash_length", HASH_LENGTH), (*at, "targets"), draft)
    return out


def _targets(sources: list[Any], hash_length: Any, at: Pointer, draft: Draft) -> list[Any]:
    """All targets but those that we cannot read; those after a gap are remembered as moved."""
    targets: list[Any] = []
    for index, source in enumerate(sources):
        lost = _unreadable(source)
        if lost:
            draft.warn((*at, index, lost), f"a target with `{lost}` is not read here")
            continue
        place = (*at, len(targets))
        if len(targets) != index:
            draft.moved[place] = (*at, index)
        targets.append(_Target(place, (*at, index), draft).read(source, hash_length))
    return targets


def _unreadable(source: Any) -> str:
    """The key that makes a target one that we cannot read, or nothing."""
    if not isinstance(source, Mapping):
        return ""
    return next((key for key in ("$ref", "namespaceSelector") if key in source), "")


@dataclass(frozen=True, slots=True)
class _Target:
    """One target: `here` is its place in our document, `there` in the source."""

    here: Pointer
    there: Pointer
    draft: Draft

    def read(self, source: Any, hash_length: Any) -> Any:
        """The target in our shape."""
        if not isinstance(source, Mapping):
            return source
        plain = ("name", "namespace", "ref", "parameters", "upstream", "disable", "delete", "promotion")
        known = frozenset({*plain, "provider", "image", "images"}) | LOST_PARAMETERS.keys()
        self.draft.unknown(source, known, self.there)
        self.draft.lost(source, LOST_PARAMETERS, self.there)
        out = kept(source, *plain)
        self.draft.clean_name(out, self.there)
        if isinstance(source.get("promotion"), Mapping):
            out["promotion"] = self._promotion(source["promotion"])
        images = self._images(source, hash_length)
        if images:
            out["images"] = images
        return out

    def _moved(self, here: Pointer, there: Pointer) -> None:
        self.draft.moved[self.here + here] = self.there + there

    def _promotion(self, source: Mapping[str, Any]) -> dict[str, Any]:
        plain = ("auto", "publish", "subscribe", "redeployOnPublisherConfigChange")
        known = frozenset({*plain, "soakDays", "schedule", "promotion_data"})
        self.draft.unknown(source, known, (*self.there, "promotion"))
        out = kept(source, *plain)
        if "soakDays" in source:
            out["soak"] = _soak(source["soakDays"])
            self._moved(("promotion", "soak"), ("promotion", "soakDays"))
        if "schedule" in source:
            out["windows"] = [{"cron": source["schedule"], "duration": _open_for(source["schedule"])}]
            for tail in ((), (0,), (0, "cron")):
                self._moved(("promotion", "windows", *tail), ("promotion", "schedule"))
        if "promotion_data" in source:
            out["promotionData"] = source["promotion_data"]
            self._moved(("promotion", "promotionData"), ("promotion", "promotion_data"))
        return out

    def _images(self, source: Mapping[str, Any], hash_length: Any) -> list[Any]:
        """`image` and `images` in one list."""
        found: list[tuple[Any, Pointer]] = []
        if "image" in source:
            found.append((source["image"], ("image",)))
        many = source.get("images", [])
        if isinstance(many, list):
            found += [(image, ("images", index)) for index, image in enumerate(many)]
        else:
            found.append((many, ("images",)))
        return [self._image(image, ("images", index), at, hash_length) for index, (image, at) in enumerate(found)]

    def _image(self, source: Any, here: Pointer, there: Pointer, hash_length: Any) -> Any:
        self._moved(here, there)
        if not isinstance(source, Mapping):
            return source
        digits = hash_length if isinstance(hash_length, int) else HASH_LENGTH
        out: dict[str, Any] = {"tag": f"{{sha{digits}}}"}
        for theirs, ours in (("org", "instance"), ("name", "repository")):
            if theirs in source:
                out[ours] = source[theirs]
                self._moved((*here, ours), (*there, theirs))
        return out


def _soak(days: Any) -> Any:
    return f"{days * 24}h" if isinstance(days, int) and not isinstance(days, bool) else days


def _open_for(schedule: Any) -> str:
    """How long each match of a crontab schedule keeps promotions open.

    A schedule there is the set of moments at which a promotion may go out. With every minute (`*`) or every N minutes
    (`*/N`) the windows follow each other without a gap; a schedule by the hour stands for that hour.
    """
    minute = str(schedule).strip().partition(" ")[0]
    if minute == "*":
        return "1m"
    step = re.fullmatch(r"\*/([0-9]{1,2})", minute)
    return f"{step[1]}m" if step else "1h"
