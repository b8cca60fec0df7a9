"""Small values for tests of the decision: targets, records, runs, publications, contexts, and a world in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.core.context import Context
from bot.core.decide import deliberate
from bot.core.diff import canonical, config_hash, effective
from bot.core.facts import Facts
from bot.core.proposal import proposed
from bot.core.sheet import Sheet
from bot.model.desired import App, Desired, Freeze, Namespace, Promotion, Target
from bot.model.observed import (
    BranchDiff,
    Change,
    Down,
    Lineage,
    MergeRequest,
    MergeRequestStatus,
    Note,
    Observed,
    Proposal,
    Role,
    Unreachable,
    Wants,
)
from bot.model.plan import Plan
from bot.model.runs import Reason, Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.model.state import Build, Edit, MergeRequestState, Publication, State, TargetState
from bot.render.yaml_edit import ScalarEdit, edit
from bot.settings import ForgeSettings, PromotionSettings, Settings, StateSettings

NOW = datetime(2026, 1, 14, 12, 0, tzinfo=UTC)
"""A Wednesday at noon."""
HOUR = timedelta(hours=1)
URL = "https://git.example.com/my/service"
ME = "saasbot"
SHELL = Instance("shell", "command")
CI = Instance("ci", "jenkins", "https://ci.example.com")
REGISTRY = Instance("registry", "registry", "https://registry.example.com")
DEPLOY = Pipeline("deploy", SHELL)
APP = App("app", owners=("ana",), file="app.yml")
STAGE = "svc/web/stage"
PROD = "svc/web/prod"
ROUNDS = 8


def sha(name: str) -> str:
    """A full sha that a test can call by a name."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def target(
    id: str = PROD,  # noqa: A002 - it is the field's name
    ref: str = "",
    *,
    promotion: Promotion | None = None,
    environment: str = "",
    index: int = 0,
    **fields: Any,
) -> Target:
    """A target in the file that its saas file's name says, at `index` of its first template."""
    saas_file, _, name = id.split("/")
    given: dict[str, Any] = {
        "file": f"{saas_file}.yml",
        "pointer": ("resourceTemplates", 0, "targets", index, "ref"),
        "url": URL,
        "path": "/template.yaml",
        "namespace": Namespace(f"{saas_file}-{name}", "cluster", environment or name, "app"),
        "app": APP,
        "pipeline": DEPLOY,
    }
    return Target(id=id, ref=ref or sha("a"), promotion=promotion or Promotion(), **{**given, **fields})


def stage(id: str = STAGE, channel: str = "ok", **fields: Any) -> Target:  # noqa: A002
    """A target that follows `main` and publishes a channel."""
    given: dict[str, Any] = {"ref": "main", "file": "stage.yml", "promotion": Promotion(publish=(channel,))}
    return target(id, **{**given, **fields})


def prod(id: str = PROD, ref: str = "", *, auto: bool = True, index: int = 0, **promotion: Any) -> Target:  # noqa: A002
    """A subscriber of the channel `ok`, promoted by the bot."""
    fields: dict[str, Any] = {"auto": auto, "subscribe": ("ok",), **promotion}
    return target(id, ref, index=index, promotion=Promotion(**fields))


def with_promotion(given: Target, **fields: Any) -> Target:
    """The same target that takes part in promotion in another way."""
    return replace(given, promotion=replace(given.promotion, **fields))


def config_of(given: Target) -> str:
    """Its effective configuration as recorded."""
    return canonical(effective(given))


def digest_of(given: Target) -> str:
    """The hash of its effective configuration."""
    return config_hash(config_of(given))


def record(given: Target, at: str = "", run: Run | None = None, **fields: Any) -> TargetState:
    """What the statefile knows of a target that runs as the config says, at the sha `at`."""
    found = at or (given.ref if given.pinned else sha("a"))
    known: dict[str, Any] = {
        "id": given.id,
        "file": given.file,
        "ref": given.ref,
        "sha": found,
        "config": config_of(given),
        "config_hash": digest_of(given),
        "run_number": run.number if run is not None else 0,
        "run": run,
        "deployed_sha": found,
        "publish": given.promotion.publish,
    }
    return TargetState(**{**known, **fields})


def a_run(given: Target, at: str = "", status: RunStatus = RunStatus.RUNNING, **fields: Any) -> Run:
    """A run of a target's present configuration."""
    known: dict[str, Any] = {
        "key": f"key-{given.id}",
        "number": 1,
        "sha": at or (given.ref if given.pinned else sha("a")),
        "config_hash": digest_of(given),
        "pipeline": given.pipeline.name,
        "status": status,
        "intent_at": NOW - timedelta(minutes=5),
        "handle": "h1",
        "reasons": (Reason("new_target", "it is new"),),
        "finished_at": None if status.in_flight else NOW - timedelta(minutes=1),
    }
    return Run(**{**known, **fields})


def published(by: str, what: str, ago: timedelta = HOUR, config: str = "1:c") -> Publication:
    """A success of a publisher so long ago."""
    return Publication(by, what, config, NOW - ago, NOW - ago)


def history(*shas: str) -> Lineage:
    """A linear history, oldest first."""
    return Lineage({each: frozenset(shas[:position]) for position, each in enumerate(shas)})


def records(*found: TargetState) -> dict[str, TargetState]:
    """Records by id."""
    return {each.id: each for each in found}


def state(*found: TargetState, ok: tuple[Publication, ...] = (), **fields: Any) -> State:
    """A statefile with these records and what was published on the channel `ok`."""
    given: dict[str, Any] = {"lineage": "lin", "targets": records(*found), "time": NOW - HOUR}
    if ok:
        given["channels"] = {"ok": ok}
    return State(**{**given, **fields})


def desired(*targets: Target, freezes: tuple[Freeze, ...] = (), **fields: Any) -> Desired:
    """A config with these targets and their apps, of which the first one of a name counts."""
    apps = {each.app.name: each.app for each in reversed(targets)}
    given: dict[str, Any] = {"sha": sha("config"), "apps": apps}
    return Desired(targets={each.id: each for each in targets}, freezes=freezes, **{**given, **fields})


def settings(**fields: Any) -> Settings:
    """The default settings with a local forge."""
    given: dict[str, Any] = {"promotions": PromotionSettings()}
    return Settings("main", ForgeSettings("local"), StateSettings("file:state.json"), **{**given, **fields})


def observed(**fields: Any) -> Observed:
    """A world where `main` is at `a` and nothing was looked up."""
    return Observed(
        **{"base": sha("base"), "me": ME, "nonce": "lin", "refs": {URL: {"main": sha("a")}}, **fields}  # type: ignore[arg-type] # fields as they come
    )


def context(*targets: Target, recorded: State | None = None, now: datetime = NOW, **fields: Any) -> Context:
    """A context; `seen`, `config` and `options` replace parts of it."""
    config: Desired = fields.pop("config", desired(*targets))
    seen: Observed = fields.pop("seen", observed())
    options: Settings = fields.pop("options", settings())
    return Context(options, config, seen, recorded, now, **fields)


def sheet(given: Context) -> Sheet:
    """The sheet of a decision that has just begun."""
    return Sheet(given, Facts(given.observed), given.state or State(lineage=given.observed.nonce))


def known_history(*shas: str, url: str = URL) -> dict[str, Any]:
    """The fields of `observed` that say a history and that all of it was looked up."""
    return {"lineages": {url: history(*shas)}, "looked_up": {url: frozenset(shas)}}


def file_bytes(*targets: Target) -> bytes:
    """A SaaS file with these targets in the order of their pointers."""
    lines = ["$schema: /saas-file-1.json", "name: svc", "resourceTemplates:", "- name: web", "  targets:"]
    for each in sorted(targets, key=lambda t: str(t.pointer)):
        lines += [f"  - name: {each.id.rsplit('/', 1)[1]}", f"    ref: {each.ref}"]
    return ("\n".join(lines) + "\n").encode()


def files(config: Desired) -> dict[str, bytes]:
    """Every SaaS file of a config."""
    found: dict[str, list[Target]] = {}
    for each in config.targets.values():
        found.setdefault(each.file, []).append(each)
    return {path: file_bytes(*targets) for path, targets in found.items()}


def change_of(config: Desired, *edits: Edit) -> BranchDiff:
    """The difference that these edits make on the base."""
    changes = []
    for path in sorted({each.file for each in edits}):
        old = files(config)[path]
        own = tuple(ScalarEdit(config.targets[e.target].pointer, e.old, e.new) for e in edits if e.file == path)
        changes.append(Change(path, old, edit(old, own).content))
    return BranchDiff(sha("base"), tuple(changes))


def moved(given: Target, new: str) -> Edit:
    """The edit that moves a target."""
    return Edit(given.id, given.file, given.ref, new)


def merge_request(branch: str = "saasbot/svc.yml", iid: int = 1, **fields: Any) -> MergeRequest:
    """An open merge request of the bot, with a head."""
    given: dict[str, Any] = {
        "title": "Promote",
        "state": MergeRequestStatus.OPENED,
        "target_branch": "main",
        "head_sha": sha(f"head-{iid}"),
        "author": ME,
    }
    return MergeRequest(iid=iid, source_branch=branch, **{**given, **fields})


def mr_record(given: MergeRequest, *edits: Edit, part: int = 1, **fields: Any) -> MergeRequestState:
    """What the statefile knows of it, up to date with its head."""
    key = given.source_branch.removeprefix("saasbot/").split("+", maxsplit=1)[0]
    known: dict[str, Any] = {"base": sha("base"), "head": given.head_sha, "opened_at": NOW, "changed_at": NOW}
    return MergeRequestState(given.source_branch, given.iid, key, part, edits, **{**known, **fields})


def note(body: str, id: str = "1", author: str = "ana", **fields: Any) -> Note:  # noqa: A002
    """A comment of a person."""
    return Note(id, author, body, **fields)


@dataclass(frozen=True)
class World:
    """What there is to look up. Whatever is not here cannot be had."""

    history: tuple[str, ...] = tuple(sha(name) for name in "abcdefgh")
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    diffs: Mapping[int, BranchDiff | Unreachable] = field(default_factory=dict)
    proposals: Mapping[int, Desired | Unreachable] = field(default_factory=dict)
    """The whole config after the merge of each."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    branches: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, Build | Unreachable | None] = field(default_factory=dict)
    """The newest success by job."""
    images: Mapping[str, str | Unreachable] = field(default_factory=dict)
    """The digest by `repository:tag`; what is not here does not exist."""
    down: Down | None = None
    """Whether the servers of trigger definitions are up."""
    mark: str | Unreachable = ""
    newest: str | Unreachable = "b1"
    """The name that every source of new builds tells."""
    details: Mapping[str, Any] | Unreachable = field(default_factory=dict)
    """What servers tell of every run besides its status."""

    def _proposal(self, given: Context, iid: int) -> Proposal | Unreachable:
        after = self.proposals.get(iid, Unreachable("it cannot be had"))
        return after if isinstance(after, Unreachable) else proposed(given.desired, after)

    def answer(self, given: Context, wanted: Wants) -> Context:
        """The context with everything that was wanted."""
        seen = given.observed
        gone = Unreachable("it cannot be had")
        builds = {(at.name, job, ref, url): self.builds.get(job, gone) for at, job, ref, url in wanted.builds}
        images = {(at.name, name, tag): self.images.get(f"{name}:{tag}", "") for at, name, tag in wanted.images}
        asked = {url: frozenset(s for u, s in wanted.histories if u == url) for url, _ in wanted.histories}
        looked_up = {url: shas | seen.looked_up.get(url, frozenset()) for url, shas in asked.items()}
        blobs = {**files(given.desired), **self.blobs}
        heads = {each.source_branch: each.head_sha for each in seen.merge_requests.values()}
        return replace(
            given,
            observed=replace(
                seen,
                lineages={**seen.lineages, **{url: self._lineage(shas) for url, shas in looked_up.items()}},
                looked_up={**seen.looked_up, **looked_up},
                titles={**seen.titles, **{f"{url} {old}..{new}": () for url, old, new in wanted.titles}},
                builds={**seen.builds, **builds},
                images={**seen.images, **images},
                probes={**seen.probes, **dict.fromkeys(wanted.probes, self.down)},
                marks={**seen.marks, **dict.fromkeys(wanted.marks, self.mark)},
                documents={**seen.documents, **dict.fromkeys(wanted.documents, self.newest)},
                details={**seen.details, **dict.fromkeys(wanted.details, self.details)},
                blobs={**seen.blobs, **{path: blobs[path] for path in wanted.blobs}},
                diffs={**seen.diffs, **{iid: self.diffs.get(iid, gone) for iid in wanted.diffs}},
                proposals={**seen.proposals, **{iid: self._proposal(given, iid) for iid in wanted.proposals}},
                roles={**seen.roles, **{user: self.roles.get(user, Role.NONE) for user in wanted.roles}},
                branches={**heads, **self.branches} if wanted.branches else seen.branches,
            ),
        )

    def _lineage(self, shas: frozenset[str]) -> Lineage:
        known = [each for each in self.history if each in shas]
        return history(*known)


def decided(given: Context, world: World | None = None) -> Plan:
    """The plan of a context once everything it asks for was looked up."""
    return deliberated(given, world)[1]


def deliberated(given: Context, world: World | None = None) -> tuple[Context, Plan]:
    """The full context and its plan. Fails where the questions do not come to an end."""
    world = world or World()
    for _ in range(ROUNDS):
        plan, wanted = deliberate(given)
        if not wanted:
            return given, plan
        given = world.answer(given, wanted)
    raise AssertionError(f"still wanted after {ROUNDS} rounds: {wanted}")


def held_gates(plan: Plan, subject: str) -> set[str]:
    """The gates that hold a subject."""
    return {str(each.gate) for each in plan.held if each.subject == subject}


def of_kind(plan: Plan, kind: type) -> list[Any]:
    """The actions of one kind."""
    return [each for each in plan.actions if isinstance(each, kind)]
