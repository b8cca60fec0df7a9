"""`saasbot.yml`: from its bytes to the settings, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from bot.config import yaml
from bot.config.documents import mapping_of, path_of, text_of
from bot.config.judge import merged, places
from bot.config.rules import Issue
from bot.config.schema import Schemas, foreign_values
from bot.config.secret_rules import secret_issues
from bot.config.summary import Place
from bot.config.values import duration
from bot.model.findings import Finding, Severity
from bot.model.servers import SecretRef
from bot.ports import ConfigTree
from bot.settings import (
    BatchBy,
    BotSettings,
    CommandSettings,
    ForgeSettings,
    Merge,
    PromotionSettings,
    QueueSettings,
    Regenerate,
    RunSettings,
    ServeSettings,
    Settings,
    StateSettings,
    Update,
)

NAME = "saasbot.yml"
KIND = "/settings-1.json"

SHORTEST_HEARTBEAT = timedelta(minutes=1)
"""Each one is an edit at the forge and two writes of the statefile."""

_QUICK_ACTIONS = """
    add_child add_contacts add_email add_parent approve assign assign_reviewer award blocked_by blocks board_move
    checkin_reminder clear_health_status clear_milestone clear_weight clone close cc child_issue child_task
    confidential convert_to_ticket copy_metadata copy_metadata_from create_merge_request done draft due duplicate
    epic estimate estimate_time health_status invite_email iteration label labels link linked_items lock merge
    milestone move page parent parent_epic promote promote_to promote_to_incident publish react reassign
    reassign_reviewer rebase ready relabel relate remove_child remove_child_epic remove_contacts remove_due_date
    remove_email remove_epic remove_estimate remove_iteration remove_label remove_milestone remove_parent
    remove_parent_epic remove_time_estimate remove_time_spent remove_zoom reopen request_changes request_review
    restore_contacts resolve reviewer set_parent severity shrug spend spend_time spent status submit_review
    subscribe tableflip tag target_branch timeline title todo type unapprove unassign unassign_reviewer unblock
    undraft unlabel unlink unlock unrelate unsubscribe weight zoom
"""

QUICK_ACTIONS = frozenset(_QUICK_ACTIONS.split())
"""What GitLab takes for itself at the start of a line of a comment."""


def settings(content: bytes, schemas: Schemas) -> tuple[Settings | None, tuple[Finding, ...]]:
    """Return the settings in `saasbot.yml`, None if it has an error, and what is wrong with it."""
    loaded = yaml.load(content)
    if isinstance(loaded, tuple):
        faults = (Place(fault.line, fault.column, fault.rule, fault.message, fault.hint) for fault in loaded)
        return None, tuple(_finding(place) for place in faults)
    found = places(_issues(loaded.value, schemas), loaded.text)
    if any(not place.warning for place in found):
        return None, tuple(map(_finding, found))
    return _settings(loaded.value), tuple(map(_finding, found))


def read_settings(tree: ConfigTree, schemas: Mapping[str, bytes]) -> tuple[Settings | None, tuple[Finding, ...]]:
    """Return the settings of a tree, and what is wrong with its `saasbot.yml`."""
    for file in tree.files():
        if file.path == NAME:
            found, findings = settings(next(iter(tree.read([file]))), Schemas(schemas))
            if found is not None and found.data_dir != "." and not has_data(tree, found.data_dir):
                return None, (*findings, no_data(found.data_dir))
            return found, findings
    message = f"there is no `{NAME}` at the root of the config repository"
    return None, (Finding(NAME, 1, 1, Severity.ERROR, "missing-settings", message, "`saasbot init` writes one"),)


def best_settings(tree: ConfigTree) -> Settings:
    """Return what can be had of settings with errors: enough to find the data files and check them too."""
    doc: dict[str, Any] = {}
    for file in tree.files():
        if file.path == NAME:
            loaded = yaml.load(next(iter(tree.read([file]))))
            doc = {} if isinstance(loaded, tuple) else mapping_of(loaded.value)
    folder = text_of(doc.get("dataDir"))
    pipeline = mapping_of(doc.get("compat")).get("pipeline")
    return Settings(
        branch="",
        forge=ForgeSettings("local"),
        state=StateSettings(""),
        data_dir="." if _escapes(folder) else _folder(folder),
        compat_pipeline=text_of(pipeline) or path_of(pipeline),
    )


def no_data(folder: str) -> Finding:
    """The finding for a `dataDir` that does not exist."""
    message = f"`dataDir` is {folder!r}, and the repository has no file in it"
    return Finding(
        NAME, 1, 1, Severity.ERROR, "missing-data", message, "name the folder of the data files, or leave it out"
    )


def has_data(tree: ConfigTree, folder: str) -> bool:
    """Return whether a tree has any file below a folder."""
    return any(file.path.startswith(f"{folder}/") for file in tree.files())


def _issues(doc: Any, schemas: Schemas) -> list[Issue]:
    if not isinstance(doc, dict):
        return [Issue("wrong-type", (), "the settings are a mapping", f"begin with `$schema: {KIND}`")]
    if isinstance(doc.get("$schema"), str) and doc["$schema"] != KIND:
        message = f"`{NAME}` holds the settings, not `{doc['$schema'][:80]}`"
        return [Issue("misplaced-settings", ("$schema",), message, f"write `$schema: {KIND}`")]
    return merged(schemas.issues("settings-1", doc), _own(doc))


def _own(doc: dict[str, Any]) -> Iterator[Issue]:
    yield from foreign_values(doc, ())
    yield from secret_issues("settings", doc)
    prefix = text_of(mapping_of(doc.get("commands")).get("prefix"))
    word = prefix.removeprefix("/").casefold()
    if prefix.startswith("/") and word in QUICK_ACTIONS:
        message = f"GitLab takes `{prefix[:80]}` for itself: no command would reach the bot"
        yield Issue("alias-collision", ("commands", "prefix"), message, "use a name of your own, such as `/saasbot`")
    folder = doc.get("dataDir")
    if isinstance(folder, str) and _escapes(folder):
        message = f"`{folder[:80]}` is not a folder inside the repository"
        yield Issue("bad-value", ("dataDir",), message, "write a path relative to this file, such as `data`")
    yield from _heartbeat(mapping_of(doc.get("dashboard")).get("heartbeat"))
    state = mapping_of(doc.get("state"))
    if text_of(state.get("url")).startswith(("file:", "git:")):
        for key in sorted({"endpoint", "region", "ca"} & state.keys()):
            message = f"`{key}` is for object stores, and the state is not in one"
            yield Issue("bad-value", ("state", key), message, "leave it out, or name an `s3:`, `gs:` or `az:` address")


def _heartbeat(value: Any) -> Iterator[Issue]:
    """Return what is wrong with the interval of the heartbeat; what is no text is the schema's business."""
    length = duration(text_of(value))
    if isinstance(value, str) and length is None:
        yield Issue("bad-duration", ("dashboard", "heartbeat"), f"`{value[:80]}` is not a duration", "write `1h`")
    elif length is not None and length < SHORTEST_HEARTBEAT:
        message = f"`{value}` is too short: each heartbeat is an edit of the issue"
        yield Issue("bad-value", ("dashboard", "heartbeat"), message, "write `1m` or more, such as `1h`")


def _escapes(folder: str) -> bool:
    return folder.startswith("/") or ".." in folder.split("/")


def _finding(place: Place) -> Finding:
    severity = Severity.WARNING if place.warning else Severity.ERROR
    return Finding(NAME, place.line, place.column, severity, place.rule, place.message, place.hint)


def _settings(doc: Mapping[str, Any]) -> Settings:
    """Return the settings of a document without errors."""
    forge = dict(doc["forge"])
    return Settings(
        branch=doc["branch"],
        forge=ForgeSettings(forge.pop("provider"), forge),
        state=StateSettings(**doc["state"]),
        data_dir=_folder(doc.get("dataDir", ".")),
        bot=BotSettings(**doc.get("bot", {})),
        promotions=_promotions(doc.get("promotions", {})),
        runs=_runs(doc.get("runs", {})),
        allow_command=doc.get("pipelines", {}).get("allowCommand", False),
        commands=_commands(doc.get("commands", {})),
        groups={name: tuple(users) for name, users in doc.get("groups", {}).items()},
        report_key=SecretRef(**doc.get("report", {}).get("key", {"env": "SAASBOT_KEY"})),
        queue=_queue(doc.get("queue", {})),
        dashboard_title=doc.get("dashboard", {}).get("title", ""),
        heartbeat=duration(doc.get("dashboard", {}).get("heartbeat", "")),
        compat_pipeline=_compat_pipeline(doc.get("compat", {}).get("pipeline", "")),
        serve=_serve(doc.get("serve", {})),
    )


def _queue(doc: Mapping[str, Any]) -> QueueSettings:
    default = QueueSettings()
    password = SecretRef(**doc["password"]) if "password" in doc else None
    return QueueSettings(doc.get("url", ""), doc.get("prefix", default.prefix), password, doc.get("ca", ""))


def _compat_pipeline(value: Any) -> str:
    """Return a pipeline's name, or its path with a leading slash where the settings refer to it."""
    return value if isinstance(value, str) else path_of(value)


def _folder(value: str) -> str:
    """Return a folder as `a/b`, or `.` for the root."""
    return "/".join(part for part in value.split("/") if part not in {"", "."}) or "."


def _promotions(doc: Mapping[str, Any]) -> PromotionSettings:
    default = PromotionSettings()
    return PromotionSettings(
        BatchBy(doc.get("batchBy", default.batch_by)),
        int(doc.get("maxBatch", default.max_batch)),
        Regenerate(doc.get("regenerate", default.regenerate)),
        Update(doc.get("update", default.update)),
        Merge(doc.get("merge", default.merge)),
        int(doc.get("maxOpen", default.max_open)),
    )


def _runs(doc: Mapping[str, Any]) -> RunSettings:
    default = RunSettings()
    return RunSettings(
        int(doc.get("maxStarts", default.max_starts)), int(doc.get("maxInFlight", default.max_in_flight))
    )


def _commands(doc: Mapping[str, Any]) -> CommandSettings:
    default = CommandSettings()
    return CommandSettings(
        doc.get("prefix", default.prefix),
        doc.get("overrideGroup", default.override_group),
        doc.get("freezeGroup", default.freeze_group),
        doc.get("poll", default.poll),
    )


def _serve(doc: Mapping[str, Any]) -> ServeSettings:
    given = {key: SecretRef(**value) for key, value in doc.items()}
    return ServeSettings(given.get("webhookSecret"), given.get("token"))
