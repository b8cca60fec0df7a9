"""Overviews for the status page: one with everything in it, one whose every word is hostile, one with many targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.model.desired import App, Namespace, Promotion, Target
from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus
from bot.model.overview import Overview, Row, TriggerRow
from bot.model.plan import Gate, Held
from bot.model.rounds import JobReport, JobStatus, Result, Round, RoundJob, SetReport, TriggerState
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.model.state import Flag, TargetState
from bot.model.triggers import Trigger

NOW = datetime(2026, 1, 14, 12, 0, tzinfo=UTC)
SHA = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"
OLD = "1f0e3dad99908345f7439f8ffabdffc4a1b2c3d4"
RUN_URL = "https://ci.example.com/job/deploy/412/console"


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def later(**length: float) -> datetime:
    return NOW + timedelta(**length)


def target(id: str, ref: str = SHA, environment: str = "production") -> Target:  # noqa: A002 - it is the field's name
    pipeline = Pipeline("deploy", Instance("ci", "jenkins", "https://ci.example.com"))
    where = Namespace(f"ns-{environment}", "cluster-1", environment, "orders")
    fields: dict[str, Any] = {"promotion": Promotion(), "app": App("orders"), "pipeline": pipeline, "namespace": where}
    file = f"{id.partition('/')[0]}.yml"
    return Target(id, file, ("ref",), "https://git.example.com/orders", "/t.yaml", ref, **fields)


def run(status: RunStatus, **fields: Any) -> Run:
    given = {
        "key": "k1",
        "number": 7,
        "sha": SHA,
        "config_hash": "c",
        "pipeline": "deploy",
        "started_at": ago(minutes=4),
    }
    return Run(**{**given, "status": status, "url": RUN_URL, **fields})  # type: ignore[arg-type] # fields as they come


def record(id: str, latest: Run | None = None, **fields: Any) -> TargetState:  # noqa: A002 - as above
    given = {"file": "f.yml", "ref": SHA, "sha": SHA, "config": "{}", "config_hash": "c", "run": latest}
    since: dict[str, Any] = {"deployed_sha": OLD, "deployed_at": ago(days=3, hours=5)}
    return TargetState(id=id, **{**given, **since, **fields})


def row(
    id: str,  # noqa: A002 - as above
    latest: Run | None = None,
    held: Iterable[tuple[Gate, str, datetime | None]] = (),
    **fields: Any,
) -> Row:
    """A target that the config and the statefile know."""
    own = tuple(Held(f"target:{id}", *each) for each in held)
    return Row(id, target(id, **fields), record(id, latest), own)


def trigger_row(
    name: str, result: Result, *, job: str = "install-x86", url: str = RUN_URL, **fields: Any
) -> TriggerRow:
    """A definition with a round of three jobs, of which one went wrong where the result says so."""
    bad = result in (Result.ERROR, Result.TIMEOUT)
    status = RunStatus.FAILED if bad else RunStatus.RUNNING if result is Result.RUNNING else RunStatus.SUCCEEDED
    one = run(status, url=url)
    over = None if result is Result.RUNNING else ago(hours=1)
    text = {Result.RUNNING: "2 of 3 jobs are over", Result.SUCCESS: "3 of 3 jobs succeeded"}.get(
        result, f"{job} failed"
    )
    reports = (JobReport(job, status.value, "exit code 1" if bad else "", one), JobReport("upgrade", "succeeded"))
    jobs = (RoundJob(job, status=JobStatus.STARTED, run=one), RoundJob("upgrade"))
    present = Round(12, ago(hours=2), (), jobs, result=result, text=text, ended_at=over)
    own = SetReport(name, name, "", 12, 0, "", result, text, ago(hours=2), over, reports, reports[0] if bad else None)
    known = Trigger(name, Instance("gangway", "gangway", "https://gangway.example.com"))
    given: dict[str, Any] = {"trigger": known, "sets": (own,), "due": later(days=5, hours=18), **fields}
    return TriggerRow(name, record=TriggerState(name, NOW, present), **given)


def merge_request(iid: int, **fields: Any) -> MergeRequest:
    given: dict[str, Any] = {
        "title": "Promote orders/orders/production to 8f14e45",
        "state": MergeRequestStatus.OPENED,
        "source_branch": "saasbot/services/orders/saas.yml",
        "target_branch": "main",
        "head_sha": SHA,
        "author": "saasbot",
        "url": f"https://git.example.com/config/-/merge_requests/{iid}",
    }
    return MergeRequest(iid=iid, **{**given, **fields})


def everything(**fields: Any) -> Overview:
    """A small config in which every part of the page has something to say."""
    soak = (Gate.SOAK, "8f14e45 has soaked 3h12m of 24h at orders/orders/stage", later(hours=20, minutes=48))
    broken = (Gate.FAILED, "run 7 of 8f14e45 failed: helm: release payments failed, timed out waiting for pods", None)
    freeze = (Gate.FREEZE, "year-end: nobody deploys over the holidays", later(days=2))
    rows = (
        row("orders/orders/stage", run(RunStatus.SUCCEEDED), environment="stage", ref="main"),
        row("orders/orders/production", held=[soak]),
        row("payments/payments/stage", run(RunStatus.RUNNING, text="step 3 of 5"), environment="stage", ref="main"),
        row("payments/payments/production", run(RunStatus.FAILED), held=[broken]),
        row("payments/worker/production", held=[freeze]),
        Row(
            "search/index/production",
            None,
            None,
            (Held("target:search/index/production", Gate.INVALID, "ref is empty"),),
        ),
        *(row(f"web/frontend/eu-{number}", run(RunStatus.SUCCEEDED)) for number in range(1, 9)),
        Row("old/gone/production", None, record("old/gone/production", removed_at=ago(days=2)), ()),
    )
    requests = (
        merge_request(41, ci=CiStatus.SUCCESS, approved_by=("ana",)),
        merge_request(43, title="Promote 4 targets (batch web)", source_branch="saasbot/web", has_conflicts=True),
        merge_request(44, title="Roll back search", source_branch="saasbot/search", draft=True, ci=CiStatus.RUNNING),
    )
    triggers = (
        trigger_row("nightly", Result.SUCCESS),
        trigger_row("self-managed-lp-interop", Result.RUNNING),
        trigger_row("release-2.14", Result.ERROR),
        TriggerRow("never-ran", Trigger("never-ran", Instance("g", "gangway")), None),
        TriggerRow("new", Trigger("new", Instance("g", "gangway")), TriggerState("new", NOW), due=later(hours=3)),
        replace(trigger_row("gone", Result.TIMEOUT), trigger=None, due=None),
    )
    held = (
        Held("merge-request:saasbot/web", Gate.HUMAN_COMMIT, "bob has pushed to the branch: 9a1b2c3 Fix the quota"),
        Held("trigger:nightly", Gate.WINDOW, "its window is closed", later(hours=6)),
    )
    flags = {
        "merge-request:saasbot/search": Flag("it has failed 5 times: the forge does not answer", ago(hours=9), 44, "x"),
        "target:payments/payments/production": Flag("failed: look at the run, then `retry`", ago(hours=2)),
    }
    given: dict[str, Any] = {
        "triggers": triggers,
        "attention": flags,
        "written_at": ago(minutes=7),
        "pending": 2,
        "next_due": later(hours=6),
        "heartbeat": timedelta(hours=1),
    }
    return Overview(rows, requests, held, NOW, SHA, **{**given, **fields})


EVIL = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} \x1b[31m\u202e &'
    " 'onclick='x token=hunter2hunter2"
)
"""What nobody should be able to make the page say."""

BAD_URLS = (
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    'https://ci.example.com/" onclick="alert(1)',
    "https://user:pass@ci.example.com/1",
    "//ci.example.com/1",
    "https://[broken",
    "https://ci.example.com/\njavascript:alert(1)",
    "https://ci.example.com/" + "x" * 3000,
)


def hostile(url: str = BAD_URLS[0]) -> Overview:
    """The same world, where every text is somebody's attempt and every address is no page's."""
    name = f"{EVIL}/{EVIL}/{EVIL}"
    one = run(RunStatus.FAILED, text=EVIL, url=url)
    rows = (
        row(name, one, [(Gate.FAILED, EVIL, None), (Gate.SOAK, EVIL, NOW)], ref=EVIL, environment=EVIL),
        row(f"{name}2", run(RunStatus.RUNNING, text=EVIL, url=url)),
        Row(EVIL, None, None, (Held(EVIL, Gate.INVALID, EVIL),)),
    )
    requests = (merge_request(1, title=EVIL, source_branch=f"saasbot/{EVIL}", url=url),)
    triggers = tuple(trigger_row(f"{EVIL}{number}", result, job=EVIL, url=url) for number, result in enumerate(Result))
    held = (Held(EVIL, Gate.VETOED, EVIL), Held(f"trigger:{EVIL}", Gate.WINDOW, EVIL, NOW))
    return Overview(rows, requests, held, NOW, EVIL, triggers, {EVIL: Flag(EVIL, NOW, 1)}, NOW)


def many(count: int = 2000, files: int = 200) -> Overview:
    """A large config: most of it fine, every fifth target held by a freeze, some failed."""
    rows = []
    for number in range(count):
        id_ = f"service-{number % files:03}/template/region-{number // files}"
        held: list[tuple[Gate, str, datetime | None]] = []
        held += [(Gate.FREEZE, "year-end: nobody deploys over the holidays", later(days=2))] if number % 5 == 0 else []
        held += [(Gate.FAILED, "run 7 of 8f14e45 failed", None)] if number % 97 == 0 else []
        rows.append(row(id_, run(RunStatus.SUCCEEDED), held))
    return Overview(tuple(rows), tuple(merge_request(number) for number in range(1, 21)), (), NOW, SHA, written_at=NOW)
