"""Write-backs: what a release has built goes into its manifest by a merge request of the bot (SYSTEMS RP-12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from core_values import ME, NOW, World, context, decided, desired, note, observed, settings, sha

from bot.core.branches import TEXTS
from bot.core.released import batch_key, digest
from bot.formats.gravitee_release import released
from bot.formats.job_lists import expanded
from bot.model.desired import Desired
from bot.model.observed import BranchDiff, Change, CiStatus, MergeRequest, MergeRequestStatus, Unreachable
from bot.model.plan import (
    Action,
    CloseMergeRequest,
    CommentAction,
    MergeMergeRequest,
    OpenMergeRequest,
    Plan,
    RecordState,
    RegenerateMergeRequest,
    UpdateMergeRequest,
)
from bot.model.rounds import JobStatus, Result, Round, RoundJob, TriggerState
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance
from bot.model.state import Edit, Hold, MergeRequestState, State
from bot.model.triggers import JobsFrom, Trigger
from bot.render import marker
from bot.settings import Merge, PromotionSettings

FILE = "release.json"
BRANCH = "saasbot/release+/apim"
HEAD = sha("head")
MANIFEST = b"""{
  "name": "Gravitee APIM",
  "version": "1.2.0-SNAPSHOT",
  "scmHttpUrl": "https://github.com/acme/",
  "components": [
    {"name": "core", "version": "1.2.0-SNAPSHOT"},
    {"name": "docs", "version": "1.1.3-SNAPSHOT"},
    {"name": "old", "version": "1.0.0"}
  ],
  "buildDependencies": [["docs"], ["core", "old"]]
}
"""
CORE = Edit("job:apim/core", FILE, "1.2.0-SNAPSHOT", "1.2.0")
DOCS = Edit("job:apim/docs", FILE, "1.1.3-SNAPSHOT", "1.1.3")
BOTH = {"core": "1.2.0-SNAPSHOT", "docs": "1.1.3-SNAPSHOT"}
Kind = TypeVar("Kind", bound=Action)


def after(*names: str, finished: bool = False, base: bytes = MANIFEST) -> bytes:
    """The manifest with these components released."""
    made = released(base, names, finished=finished)
    assert isinstance(made, bytes)
    return made


def definition(data: bytes = MANIFEST) -> Trigger:
    """The definition of the release."""
    circle = Instance("circle", "circleci", "https://circleci.com")
    given = Trigger("apim", circle, owners=("alice",), jobs_from=JobsFrom("gravitee-release", FILE), file="apim.yml")
    found = expanded(given, data)
    assert isinstance(found, Trigger)
    return found


def a_round(result: Result = Result.ERROR) -> Round:
    """The last round of it; one that runs has its first job in flight."""
    status = RunStatus.RUNNING if result is Result.RUNNING else RunStatus.SUCCEEDED
    run = Run("k", 1, "", "", "core", status=status, url="https://ci.example.com/1", handle="h")
    jobs = (RoundJob("core", status=JobStatus.STARTED, run=run), RoundJob("docs", status=JobStatus.SKIPPED))
    return Round(3, NOW, (), jobs=jobs, result=result, text="failed: docs")


def merge_request(**fields: Any) -> MergeRequest:
    """The bot's merge request for the release."""
    given: dict[str, Any] = {"head_sha": HEAD, "author": ME}
    opened = MergeRequestStatus.OPENED
    return MergeRequest(7, "Release", opened, BRANCH, "main", **{**given, **fields})


def record_of(*edits: Edit, **fields: Any) -> MergeRequestState:
    """What the statefile knows of it."""
    given: dict[str, Any] = {"head": HEAD, "changed_at": NOW}
    return MergeRequestState(BRANCH, 7, batch_key("apim"), 1, edits, sha("base"), **{**given, **fields})


@dataclass
class Case:
    """One decision about a release."""

    released: dict[str, str] = field(default_factory=dict)
    data: bytes = MANIFEST
    round: Round | None = field(default_factory=a_round)
    open: MergeRequest | None = None
    record: MergeRequestState | None = None
    known: dict[str, Any] = field(default_factory=dict)
    diff: BranchDiff | Unreachable | None = None
    options: PromotionSettings = field(default_factory=PromotionSettings)
    config: Desired | None = None

    def decide(self) -> Plan:
        """The plan."""
        trigger = TriggerState("apim", NOW, round=self.round, rounds=3, released=self.released, file="apim.yml")
        recorded = State(
            lineage="lin",
            triggers={"apim": replace(trigger, **self.known)},
            merge_requests={BRANCH: self.record} if self.record is not None else {},
        )
        world = World(blobs={FILE: self.data}, diffs={7: self.diff} if self.diff is not None else {})
        seen = observed(merge_requests={7: self.open} if self.open is not None else {})
        config = self.config or desired(triggers={"apim": definition(self.data)})
        given = context(config=config, seen=seen, recorded=recorded, options=settings(promotions=self.options))
        return decided(given, world)


def only(plan: Plan, kind: type[Kind]) -> Kind:
    """The one action of a kind."""
    (found,) = (action for action in plan.actions if isinstance(action, kind))
    return found


def said(plan: Plan) -> str:
    """The sticky comment."""
    return only(plan, CommentAction).body


def state_of(plan: Plan) -> TriggerState:
    """What the statefile knows of the definition afterwards."""
    assert plan.record is not None
    return plan.record.triggers["apim"]


def writes(plan: Plan) -> Sequence[str]:
    """The kinds of all actions besides what is said."""
    return [type(action).__name__ for action in plan.actions if not isinstance(action, CommentAction)]


def test_rp_12_what_was_released_is_opened_as_a_merge_request() -> None:
    plan = Case({"core": "1.2.0-SNAPSHOT"}).decide()
    opened = only(plan, OpenMergeRequest)
    assert opened.commit.files == {FILE: after("core")}
    assert (opened.edits, opened.commit.branch) == ((CORE,), BRANCH)
    assert opened.title == "Release 1.2.0 of Gravitee APIM: 1 component so far"
    assert opened.commit.message == "Prepare Release (1.2.0)\n\napim/core: 1.2.0-SNAPSHOT -> 1.2.0\n"
    assert "is not released yet" in opened.description
    assert "| `core` | `1.2.0-SNAPSHOT` | `1.2.0` | ([run](https://ci.example.com/1)) |" in said(plan)
    assert "Round 3: error, failed: docs" in said(plan)


def test_rp_12_with_the_last_component_the_manifest_loses_its_suffix_too() -> None:
    opened = only(Case(BOTH).decide(), OpenMergeRequest)
    assert opened.commit.files == {FILE: after("core", "docs", finished=True)}
    assert opened.title == "Release 1.2.0 of Gravitee APIM"
    assert "everything of `1.2.0` is released" in opened.description


@pytest.mark.parametrize(
    "case",
    [
        Case({}),
        Case(BOTH, round=a_round(Result.RUNNING)),
        Case({"core": "1.1.0-SNAPSHOT"}),
        Case(BOTH, config=desired()),
    ],
)
def test_nothing_is_opened_without_need(case: Case) -> None:
    assert "OpenMergeRequest" not in writes(case.decide())


def test_a_definition_that_was_never_recorded_or_has_no_manifest_writes_nothing() -> None:
    plain = Trigger("apim", Instance("circle", "circleci"), jobs_from=None)
    assert writes(Case(BOTH, config=desired(triggers={"apim": plain})).decide()) == []
    config = desired(triggers={"apim": definition(), "new": replace(definition(), name="new")})
    assert writes(Case(config=config).decide()) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "release.json: the manifest is no JSON"),
        (
            MANIFEST.replace(b'"core", "version"', b'"core", "a": 1, "b": 2, "version"'),
            "release.json: the component `core` would have more than 4 keys",
        ),
    ],
)
def test_a_manifest_that_cannot_be_written_is_held(data: bytes, words: str) -> None:
    case = Case(BOTH, data=data, config=desired(triggers={"apim": definition()}))
    (held,) = case.decide().held
    assert (held.subject, held.gate) == ("trigger:apim", "unsafe_edit")
    assert words in held.text


def test_a_branch_of_somebody_else_is_left_alone() -> None:
    plan = Case(BOTH, open=merge_request(author="bob")).decide()
    assert ([held.gate for held in plan.held], writes(plan)) == (["human_commit"], [])


def opened_case(*edits: Edit, released: dict[str, str] | None = None, **fields: Any) -> Case:
    """A case with its merge request open."""
    record = {key: fields.pop(key) for key in ("asked", "hold") if key in fields}
    given = {
        key: fields.pop(key) for key in ("draft", "has_conflicts", "ci", "approved_by", "head_sha") if key in fields
    }
    known = released if released is not None else {"core": "1.2.0-SNAPSHOT"}
    return Case(known, open=merge_request(**given), record=record_of(*edits, **record), **fields)


def test_an_open_one_that_says_it_all_is_left_alone_and_merged_where_the_settings_say_so() -> None:
    assert writes(opened_case(CORE).decide()) == []
    policy = PromotionSettings(merge=Merge.WHEN_PIPELINE_SUCCEEDS)
    assert writes(opened_case(CORE, options=policy).decide()) == ["MergeMergeRequest"]
    assert only(opened_case(CORE, options=policy).decide(), MergeMergeRequest).head == HEAD


def test_more_that_was_released_goes_into_the_same_merge_request() -> None:
    plan = opened_case(CORE, released=BOTH).decide()
    update = only(plan, UpdateMergeRequest)
    assert (update.iid, update.edits, update.commit.expected_head) == (7, (DOCS, CORE), HEAD)
    assert update.commit.files == {FILE: after("core", "docs", finished=True)}


def test_texts_that_are_behind_their_branch_are_put_right() -> None:
    update = only(opened_case(CORE, asked="texts").decide(), UpdateMergeRequest)
    assert (update.commit.files, update.title) == ({}, "Release 1.2.0 of Gravitee APIM: 1 component so far")
    assert writes(opened_case(CORE, asked="texts", released=BOTH).decide()) == ["UpdateMergeRequest"]


def test_a_conflict_is_cured_from_the_new_base() -> None:
    moved = MANIFEST.replace(b'"1.0.0"', b'"1.0.1"')
    plan = opened_case(CORE, has_conflicts=True, data=moved).decide()
    assert only(plan, RegenerateMergeRequest).commit.files == {FILE: after("core", base=moved)}
    approved = opened_case(CORE, has_conflicts=True, approved_by=("bob",)).decide()
    assert writes(approved) == ["RegenerateMergeRequest"]


def test_what_the_base_says_already_is_closed() -> None:
    case = opened_case(CORE, released={}, data=after("core"))
    assert only(case.decide(), CloseMergeRequest).reasons[0].kind == "done"


def test_a_branch_that_is_gone_is_withdrawn() -> None:
    case = opened_case(CORE, head_sha="")
    case.diff = BranchDiff(sha("base"), ())
    case.record = record_of(CORE, head="")
    assert only(case.decide(), CloseMergeRequest).reasons[0].kind == "withdrawn"


def test_one_whose_definition_left_the_config_is_withdrawn() -> None:
    case = opened_case(CORE, config=desired())
    assert only(case.decide(), CloseMergeRequest).reasons[0].text == "its definition left the config"
    hidden = desired(invalid={"apim.yml": "broken"}, invalid_triggers={"apim.yml": "broken"})
    assert writes(opened_case(CORE, config=hidden).decide()) == []


@pytest.mark.parametrize(
    ("fields", "gate"),
    [
        ({"draft": True}, "hold"),
        ({"approved_by": ("bob",)}, "hold"),
        ({"ci": CiStatus.RUNNING}, "run_in_flight"),
        ({"hold": Hold("bob", NOW, "wait")}, "hold"),
    ],
)
def test_what_people_look_at_is_left_alone(fields: dict[str, Any], gate: str) -> None:
    plan = opened_case(CORE, released=BOTH, **fields).decide()
    assert ([held.gate for held in plan.held], writes(plan)) == ([gate], [])
    same = opened_case(CORE, **fields).decide()
    assert [held.gate for held in same.held] == ([gate] if "hold" in fields else [])


def test_an_approved_one_is_merged_by_the_policy() -> None:
    case = opened_case(CORE, approved_by=("bob",), options=PromotionSettings(merge=Merge.WHEN_APPROVED))
    assert writes(case.decide()) == ["MergeMergeRequest"]


@pytest.mark.parametrize("asked", ["keep", "discard"])
def test_a_command_rebuilds_it(asked: str) -> None:
    plan = opened_case(CORE, asked=asked).decide()
    assert only(plan, RegenerateMergeRequest).commit.keep == ""


def test_an_order_that_means_nothing_here_is_forgotten() -> None:
    plan = opened_case(CORE, asked="group").decide()
    assert plan.record is not None
    assert plan.record.merge_requests[BRANCH].asked == ""


def test_texts_that_are_behind_the_branch_follow() -> None:
    """The push was carried out, and the answer to what follows it was lost."""
    update = only(opened_case(CORE, asked=TEXTS).decide(), UpdateMergeRequest)
    assert (update.commit.files, update.commit.expected_head, update.reasons[0].kind) == ({}, HEAD, "texts")
    assert update.title == "Release 1.2.0 of Gravitee APIM: 1 component so far"
    draft = opened_case(CORE, asked=TEXTS, draft=True)
    assert only(draft.decide(), UpdateMergeRequest).title == update.title
    more = opened_case(CORE, asked=TEXTS, released=BOTH)
    assert only(more.decide(), UpdateMergeRequest).commit.files


def test_ignored_on_command_it_is_closed_and_not_opened_again() -> None:
    plan = opened_case(CORE, asked="close").decide()
    assert only(plan, CloseMergeRequest).reasons[0].kind == "ignored"
    turned_down = state_of(plan).turned_down
    assert turned_down == digest((CORE,))
    again = Case({"core": "1.2.0-SNAPSHOT"}, known={"turned_down": turned_down}).decide()
    assert ([held.gate for held in again.held], writes(again)) == (["vetoed"], [])
    assert writes(Case(BOTH, known={"turned_down": turned_down}).decide()) == ["OpenMergeRequest"]


@pytest.mark.parametrize(("who", "closes"), [("alice", True), ("mallory", False)])
def test_the_owners_of_the_definition_may_ignore_it(who: str, *, closes: bool) -> None:
    case = opened_case(CORE)
    case.open = merge_request(notes=(note("/saasbot ignore", id="5", author=who),))
    plan = case.decide()
    assert ("CloseMergeRequest" in writes(plan)) == closes


def test_closed_by_a_person_it_is_not_opened_again() -> None:
    closed = replace(merge_request(), state=MergeRequestStatus.CLOSED, closed_by="bob")
    case = Case({"core": "1.2.0-SNAPSHOT"}, open=closed, record=record_of(CORE))
    plan = case.decide()
    assert state_of(plan).turned_down == digest((CORE,))
    assert only(plan, RecordState).reasons[0].text.startswith("bob closed !7")
    assert plan.record is not None
    assert plan.record.merge_requests == {}


def test_closed_by_a_person_after_the_definition_was_forgotten() -> None:
    closed = replace(merge_request(), state=MergeRequestStatus.CLOSED, closed_by="bob")
    stranger = replace(CORE, target="job:other/core")
    plan = Case(open=closed, record=record_of(stranger)).decide()
    assert state_of(plan).turned_down == ""


def test_merged_it_is_forgotten() -> None:
    merged = replace(merge_request(), state=MergeRequestStatus.MERGED)
    plan = Case(released={}, data=after("core"), open=merged, record=record_of(CORE)).decide()
    assert plan.record is not None
    assert plan.record.merge_requests == {}


def test_one_that_was_merged_after_the_base_was_read_is_not_opened_again() -> None:
    merged = replace(merge_request(), state=MergeRequestStatus.MERGED)
    plan = Case({"core": "1.2.0-SNAPSHOT"}, open=merged, record=record_of(CORE)).decide()
    assert writes(plan) == []


def diff(*changes: Change) -> BranchDiff:
    """The branch against its merge base."""
    return BranchDiff(sha("base"), changes)


WRITTEN = Change(FILE, MANIFEST, after("core"))


def test_a_branch_that_was_not_recorded_is_recognised_by_its_content() -> None:
    case = opened_case(released={}, diff=diff(WRITTEN))
    case.record = record_of(head="")
    plan = case.decide()
    assert writes(plan) == []
    assert state_of(plan).released == {"core": "1.2.0-SNAPSHOT"}
    assert plan.record is not None
    assert plan.record.merge_requests[BRANCH].edits == (CORE,)


def test_a_branch_without_any_record_is_taken_over() -> None:
    case = Case({}, open=merge_request(), diff=diff(WRITTEN))
    assert writes(case.decide()) == []


def unrecorded(*changes: Change, **fields: Any) -> Case:
    """A case whose branch has another head than was recorded."""
    case = opened_case(CORE, **fields)
    case.record = record_of(CORE, head="", **{key: fields[key] for key in ("asked",) if key in fields})
    case.diff = diff(*changes)
    return case


@pytest.mark.parametrize(
    "changes",
    [
        (WRITTEN, Change("other", b"", b"x")),
        (),
        (Change(FILE, None, MANIFEST),),
        (Change(FILE, MANIFEST, None),),
        (Change(FILE, MANIFEST, after("core") + b"\n"),),
        (Change(FILE, MANIFEST, b"{"),),
        (Change(FILE, b"{", MANIFEST),),
        (Change(FILE, MANIFEST, MANIFEST + b" "),),
    ],
)
def test_a_persons_commit_stops_it(changes: tuple[Change, ...]) -> None:
    plan = unrecorded(*changes).decide()
    assert ([held.gate for held in plan.held], writes(plan)) == (["human_commit"], [])


def test_a_persons_commit_is_replayed_on_command_and_survives_the_base() -> None:
    person = (Change(FILE, MANIFEST, after("core") + b"\n"),)
    assert only(unrecorded(*person, asked="keep").decide(), RegenerateMergeRequest).commit.keep == HEAD
    assert only(unrecorded(*person, asked="discard").decide(), RegenerateMergeRequest).commit.keep == ""
    assert writes(unrecorded(*person, released={}, config=desired()).decide()) == []


def test_a_branch_that_cannot_be_read_waits() -> None:
    case = unrecorded()
    case.diff = Unreachable("no answer")
    assert "CloseMergeRequest" not in writes(case.decide())


def test_an_unknown_definition_is_named_by_its_branch() -> None:
    case = Case({}, open=merge_request(), diff=diff(WRITTEN), config=desired())
    assert only(case.decide(), CloseMergeRequest).reasons[0].kind == "withdrawn"


def test_the_report_of_one_without_a_round_or_runs() -> None:
    plan = Case(BOTH, round=None).decide()
    assert "| `docs` | `1.1.3-SNAPSHOT` | `1.1.3` | |" in said(plan)
    assert marker.read(said(plan), "report", None) is not None
