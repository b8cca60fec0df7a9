"""The rules of `validate`: one documented list of ids, and what an issue is before it has a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bot.config.source import Pointer

RULES: Mapping[str, str] = {
    "syntax": "A data file is not YAML 1.2.",
    "encoding": "A data file is not UTF-8.",
    "nul-byte": "A data file holds a NUL byte, which hides what follows it.",
    "second-document": "A data file holds more than one YAML document.",
    "duplicate-key": "A mapping has the same key twice.",
    "too-deep": "Collections lie more than 100 levels deep in each other.",
    "alias-bomb": "The aliases of a file stand for more than 100,000 nodes.",
    "bad-merge": "The value of `<<` is neither a mapping nor a list of mappings.",
    "unknown-kind": "`$schema` names a kind of ours in a version that this program does not know.",
    "unknown-key": "A key that this kind of file does not have.",
    "missing-key": "A required key is missing.",
    "missing-owner": "An app or a freeze names no owner.",
    "wrong-type": "A value has the wrong type, such as a list where a string is needed.",
    "bad-value": "A value is of the right type but not allowed here.",
    "bad-duration": "A duration is not a sum of numbers with `d`, `h`, `m` or `s`, such as `1d12h`.",
    "bad-cron": "A cron expression cannot be read.",
    "bad-timezone": "A time zone is not in the IANA database.",
    "bad-time": "A moment is not an RFC 3339 time with its offset.",
    "unreachable-window": "A window never opens.",
    "subscriber-not-pinned": "A target that subscribes to a channel does not pin `ref` to a full 40-digit sha.",
    "misplaced-settings": "Settings stand outside of `saasbot.yml` (a warning), or it is of another kind.",
    "missing-data": "The folder that `dataDir` names has no file.",
    "missing-settings": "There is no `saasbot.yml` at the root of the config repository.",
    "alias-collision": "The command prefix is a quick action of GitLab, which would swallow the command.",
    "compat-ignored": "A field of an app-interface file has no meaning here (a warning).",
    "compat-pipeline": "An app-interface SaaS file needs the pipeline that `compat.pipeline` in `saasbot.yml` names.",
    "dangling-ref": "A `$ref` leads to a file that does not exist.",
    "mistyped-ref": "A `$ref` leads to a file of another kind than needed.",
    "ref-outside": "A `$ref` is not an absolute path inside the data folder.",
    "duplicate-name": "Two files of one kind have the same name.",
    "duplicate-id": "Two targets have the same id.",
    "channel-not-published": "A target subscribes to a channel that no target publishes.",
    "promotion-cycle": "Targets wait for each other's promotion in a circle.",
    "disabled-publisher": "A target subscribes to a channel of a target that is disabled or deleted.",
    "url-mismatch": "A target subscribes to a channel of a target with another code repository.",
    "secret-in-config": "A secret, or an address with a password, is written into a file; it is never shown.",
    "bad-with": "The `with` block of a pipeline, or of a trigger definition's job, would be refused by its provider.",
    "bad-tag": "The tag of an image is a template that no image can have.",
    "unused-upstream": "A target that pins a commit names an upstream, which it does not follow (a warning).",
    "missing-instance": "A trigger definition names no instance, so nothing of it can start.",
    "duplicate-job": "Two jobs of a trigger definition have the same name.",
    "unknown-job": "A job of a trigger definition comes after one that the definition does not have.",
    "job-cycle": "Jobs of a trigger definition wait for each other, or for a job of a later stage.",
    "bad-job-list": "The list behind `jobsFrom` of a trigger definition cannot be read.",
    "bad-date": "A day is not in the calendar, or a job is to end before it begins.",
    "wrong-instance": "An upstream or an image names an instance whose provider has no builds or no images.",
    "unknown-scope": "A freeze names an environment, app or target that does not exist (a warning).",
}
"""Every rule id with one sentence on what breaks it."""


class Issue(NamedTuple):
    """A broken rule at a pointer of one document; `on_key` points at the key instead of its value."""

    rule: str
    pointer: Pointer
    message: str
    hint: str = ""
    on_key: bool = False
    warning: bool = False
