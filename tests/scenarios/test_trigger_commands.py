"""`saasbot trigger` and the comment command: rounds by hand in a whole world, what they print, and how they end."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from worlds.fake_circleci import TOKEN
from worlds.fake_circleci_release import ReleaseWorld, releasing
from worlds.world import NewWorld, World

from bot.cli.trigger_output import cleaned_text
from bot.cli.trigger_rounds import look, walk
from bot.core.statefile import decode, encode, next_serial
from bot.core.verbs import TriggerCmd
from bot.errors import StateRace
from bot.model.rounds import Result, Round
from bot.model.servers import Instance, Pipeline
from bot.model.triggers import Trigger
from bot.ports import Pipelines, Refused, StateStore
from bot.reconcile import Job, clean

NIGHTLY = """\
$schema: /trigger-1.json
name: nightly
owners: [crew]
instance: {$ref: /instances/shell.yml}
on: {command: true}
retry: {attempts: 2, interval: 1m}
with: {command: [./job.sh]}
stages:
- {name: build, jobs: [{name: one}, {name: two}]}
- {name: release, jobs: [{name: three, activeAfter: 2077-03-03}, {name: four}]}
"""
FLAT = NIGHTLY.split("stages:", maxsplit=1)[0]
JOB = """\
#!/bin/sh
echo "$SAASBOT_JOB $SAASBOT_REASONS$SAASBOT_FORCE" >> "{root}/jobs"
while [ -e "{root}/wait" ]; do sleep 0.02; done
if [ -e "{root}/fails/$SAASBOT_JOB" ]; then exit 3; fi
"""
CREW = "groups: {crew: [alice]}\n"
URL = re.compile(r"file:///\S+/output\.log")


def with_definition(world: World, text: str = NIGHTLY, **more: str) -> World:
    """The world with the definition, its program, and a first pass."""
    (world.config / "job.sh").write_text(JOB.format(root=world.root))
    (world.config / "job.sh").chmod(0o755)
    world.push({"triggers/nightly.yml": text, **more})
    world.reconcile()
    return world


@pytest.fixture
def world(new_world: NewWorld) -> World:
    """A world without services, and the definition `nightly` in it."""
    return with_definition(new_world(services=(), more=CREW))


def jobs(world: World) -> list[str]:
    """What the program was told, in order."""
    log = world.root / "jobs"
    return log.read_text().splitlines() if log.exists() else []


def the_round(world: World) -> Round:
    """The present round, or the last."""
    found = world.state().triggers["nightly"].round
    assert found is not None
    return found


def plain(text: str) -> list[str]:
    """Lines without addresses and the white space around them."""
    return [" ".join(URL.sub("LINK", line).split()) for line in text.splitlines()]


def everything(world: World) -> dict[str, bytes]:
    """Every file of the world, but the checkout's own notes of what it has fetched."""
    paths = sorted(path for path in world.root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(world.root)): path.read_bytes() for path in paths}


# --- start


def test_a_start_waits_for_the_end_of_its_round_and_tells_it_job_by_job(world: World) -> None:
    ended = world.saasbot("trigger", "start", "nightly", "--as", "alice", now=False)
    assert ended.code == 0, ended.err
    answer = (
        "trigger: begins now: nightly with one, two, three, four; left out: three (not before 2077-03-03: `--force`"
    )
    assert plain(ended.out) == [
        f"{answer} starts it all the same)",
        "nightly: round 1, build: success: 2 of 2 jobs ran and succeeded",
        "one succeeded LINK",
        "two succeeded LINK",
        "nightly: round 1, release: success: 1 of 2 jobs ran and succeeded",
        "three skipped not before 2077-03-03",
        "four succeeded LINK",
    ]
    assert sorted(jobs(world)) == ["four manual", "one manual", "two manual"]
    assert "nightly: round 1, build: success" in ended.err


def test_a_job_that_failed_is_named_once_more_and_in_the_exit_code(world: World, tmp_path: Path) -> None:
    (world.root / "fails" / "two").touch()
    kept = tmp_path / "a" / "b"
    ended = world.saasbot("trigger", "start", "nightly", "--as", "alice", "--reports", str(kept), now=False)
    assert ended.code == 1
    assert plain(ended.out)[-4:] == [
        "two failed LINK exit code 3",
        "not started: release",
        "Failed or unknown:",
        "two failed LINK exit code 3",
    ]
    (report,) = kept.iterdir()
    assert (report.name, json.loads(report.read_text())["result"]) == ("nightly-1-0.json", "error")


def test_a_start_as_json_has_the_answer_the_sets_and_what_failed(world: World) -> None:
    (world.root / "fails" / "four").touch()
    ended = world.saasbot(
        "trigger", "start", "nightly", "four", "--force", "--as", "alice", "--format", "json", now=False
    )
    found = ended.document
    assert (ended.code, found["schema"], found["trigger"], found["round"]) == (
        1,
        "saasbot.trigger-start/1",
        "nightly",
        1,
    )
    assert found["answer"] == {
        "ok": True,
        "text": "begins now: nightly with four, whatever would hold them back",
    }
    assert found["failed"] == ["four"]
    assert [(each["set"], each["result"], each["schema"]) for each in found["sets"]][-1:] == [
        ("release", "error", "saasbot.round/1")
    ]
    assert jobs(world) == ["four manualtrue"]


def test_without_waiting_it_ends_after_the_pass_that_begins_the_round(world: World) -> None:
    (world.root / "wait").touch()
    ended = world.saasbot("trigger", "start", "nightly", "--no-wait", "--as", "alice")
    assert (ended.code, the_round(world).result) == (0, Result.RUNNING)
    assert plain(ended.out)[1] == "nightly: round 1, build: running: 0 of 2 jobs are over"
    again = world.saasbot("trigger", "start", "nightly", "one", "--no-wait", "--as", "alice", "--format", "json")
    assert again.document["answer"]["text"] == "waits for the end of round 1, then begins: nightly with one"
    assert (again.document["round"], again.document["sets"], again.code) == (2, [], 0)
    (world.root / "wait").unlink()
    last = world.saasbot("trigger", "start", "nightly", "one", "--as", "alice", now=False)
    assert (last.code, the_round(world).number, the_round(world).result) == (0, 2, Result.SUCCESS)
    assert jobs(world).count("one manual") == 2, "the two starts that had to wait were one"


def test_a_job_that_fails_later_is_no_concern_of_a_start_that_does_not_wait(world: World) -> None:
    (world.root / "fails" / "one").touch()
    assert world.saasbot("trigger", "start", "nightly", "one", "--no-wait", "--as", "alice").code == 0
    world.reconcile()
    assert the_round(world).result is Result.ERROR


REFUSED = {
    ("nightle",): "there is no trigger nightle; did you mean nightly?",
    ("nightly", "twp"): "nightly has no job twp; did you mean two?",
    ("nightly", "--dry-run=pipelines"): (
        "nightly runs on a server of kind command: only pipelines of circleci are told of a dry run"
    ),
}


def test_what_cannot_be_started_is_refused(world: World) -> None:
    for arguments, why in REFUSED.items():
        for more in ((), ("--no-wait",), ("--dry-run",)):
            ended = world.saasbot("trigger", "start", *arguments, *more, "--as", "alice")
            assert (ended.code, ended.out) == (1, f"trigger: refused: {why}\n")
    assert jobs(world) == []


def test_only_owners_start_and_only_where_commands_are_taken(world: World) -> None:
    assert world.saasbot("trigger", "start", "nightly", "--as", "bob").out == (
        "trigger: refused: `trigger` is for the owners (alice)\n"
    )
    world.push({"triggers/nightly.yml": NIGHTLY.replace("on: {command: true}\n", "")})
    ended = world.saasbot("trigger", "start", "nightly", "--as", "alice")
    assert (ended.code, ended.out) == (
        1,
        "trigger: refused: nightly takes no commands: write `command: true` under `on` in triggers/nightly.yml\n",
    )


def test_a_clock_that_stands_still_is_not_waited_for(new_world: NewWorld) -> None:
    paused = f"{FLAT}batch: {{size: 1, pause: 10m}}\njobs: [{{name: one}}, {{name: two}}]\n"
    world = with_definition(new_world(services=(), more=CREW), paused)
    ended = world.saasbot("trigger", "start", "nightly", "--as", "alice")
    assert (ended.code, jobs(world)) == (0, ["one manual"])
    assert "warning: the round goes on, but --now lets no time go by" in ended.err
    assert plain(ended.out)[-2:] == ["one succeeded LINK", "two waiting"]


def test_sigterm_ends_the_wait_and_the_round_goes_on(world: World) -> None:
    (world.root / "wait").touch()
    process = world.process("trigger", "start", "nightly", "one", "--as", "alice")
    try:
        deadline = time.monotonic() + 20
        while not jobs(world) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        (world.root / "wait").unlink()
    assert process.returncode == 0, err
    assert plain(out)[1:] == ["nightly: round 1, build: running: 0 of 1 jobs are over", "one running LINK"]
    world.reconcile()
    assert the_round(world).result is Result.SUCCESS


def test_a_pass_that_loses_a_race_while_it_waits_is_made_again(world: World) -> None:
    job = world.job()
    racing = Racing(job.ports.state, at=(1, 3))
    told: list[int] = []
    warned: list[str] = []
    walked = walk(
        replace(job, ports=replace(job.ports, state=racing)),
        TriggerCmd("nightly"),
        "alice",
        lambda report: told.append(len(report.plan.actions)),
        warned.append,
        wait=True,
    )
    assert (walked.answer.ok, walked.round, walked.waits) == (True, 1, False)
    assert (racing.writes > 2, warned) == (True, [])
    assert the_round(world).result is Result.SUCCESS
    assert sorted(jobs(world)) == ["four manual", "one manual", "two manual"]


def test_a_wait_outlives_an_origin_that_is_away_and_says_what_holds_the_definition(world: World) -> None:
    (world.root / "wait").touch()
    origin, away = world.folders.forge / "config.git", world.folders.forge / "away.git"
    warned: list[str] = []
    passes: list[object] = []

    def tell(report: object) -> None:
        passes.append(report)
        if len(passes) == 1:
            origin.rename(away)
        if len(passes) == 2:
            world.push({"triggers/nightly.yml": "$schema: /trigger-1.json\nname: 3\n"})
        if len(passes) == 3:
            (world.root / "wait").unlink()

    def warn(text: str) -> None:
        warned.append(text)
        if away.exists():
            away.rename(origin)

    definition = (world.config / "triggers/nightly.yml").read_text()
    job = world.job()

    def over() -> bool:
        if len(warned) > 1 and world.on_main("triggers/nightly.yml") != definition:
            world.push({"triggers/nightly.yml": definition})
        return False

    walked = walk(replace(job, stopped=over), TriggerCmd("nightly", ("one",)), "alice", tell, warn, wait=True)
    assert (walked.round, walked.waits) == (1, False)
    assert "the round goes on, and is looked at again" in warned[0]
    assert warned[1].startswith("nightly is held: triggers/nightly.yml:")
    assert len(warned) == 2
    assert (the_round(world).result, jobs(world)) == (Result.SUCCESS, ["one manual"])


# --- dry runs


def test_a_dry_run_shows_each_job_and_writes_nothing(world: World) -> None:
    before = everything(world)
    ended = world.saasbot("trigger", "start", "nightly", "--dry-run", "--as", "alice", "--reports", "nowhere")
    assert ended.code == 0
    assert everything(world) == before
    assert not Path("nowhere").exists()
    assert plain(ended.out)[1:3] == ["one:", "instance: shell"]
    assert "three: not started: not before 2077-03-03" in ended.out
    assert "four (later in its round):" in ended.out
    found = world.saasbot(
        "trigger", "start", "nightly", "one", "three", "--dry-run", "--as", "alice", "--format", "json"
    )
    document = found.document
    assert document["schema"] == "saasbot.trigger-preview/1"
    one, three = document["jobs"]
    assert one["preview"]["with"] == {"command": ["./job.sh"]}
    assert one["preview"]["environment"]["SAASBOT_REASONS"] == "manual"
    assert three == {"name": "three", "text": "not before 2077-03-03", "preview": None, "unreachable": None}
    assert everything(world) == before


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    """A release of two components on CircleCI."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CIRCLECI_TOKEN", TOKEN)
    with releasing(tmp_path) as world:
        world.components([["common"], ["gateway"]])
        world.one_pass()
        yield world


def test_a_dry_run_shows_requests_without_the_token_and_makes_none(release: ReleaseWorld) -> None:
    ended = release.saasbot("trigger", "start", "release", "--dry-run", "--as", "alice", "--format", "json")
    assert ended.code == 0, ended.err
    assert release.server.bodies == []
    assert TOKEN not in ended.out + ended.err
    common, gateway = ended.document["jobs"]
    assert (common["preview"]["method"], gateway["text"]) == ("POST", "later in its round")
    assert common["preview"]["url"] == f"{release.server.url}/api/v2/project/gh%2Facme%2Fcommon/pipeline"
    assert common["preview"]["body"]["parameters"]["dry_run"] is False
    rehearsal = release.saasbot(
        "trigger", "start", "--dry-run", "--dry-run=pipelines", "release", "--as", "alice", "--format", "json"
    )
    assert [job["preview"]["body"]["parameters"]["dry_run"] for job in rehearsal.document["jobs"]] == [True, True]
    assert release.server.bodies == []


def test_a_rehearsal_is_walked_to_its_end_and_counts_for_nothing(release: ReleaseWorld) -> None:
    began = release.now
    walked = walk(release.job(), TriggerCmd("release", rehearsal=True), "alice", lambda _: None, print, wait=True)
    assert (walked.round, walked.waits) == (1, False)
    assert [body["parameters"]["dry_run"] for body in release.server.bodies] == [True, True]
    assert (release.round.result, release.record.released, release.record.succeeded) == (Result.SUCCESS, {}, {})
    assert timedelta(seconds=10) < release.now - began < timedelta(minutes=5)


def test_a_rehearsal_is_asked_for_at_the_command_line(release: ReleaseWorld) -> None:
    ended = release.saasbot(
        "trigger", "start", "release", "common", "--dry-run=pipelines", "--no-wait", "--as", "alice"
    )
    assert (ended.code, plain(ended.out)[0]) == (0, "trigger: begins now: release with common, as a rehearsal")
    assert [body["parameters"]["dry_run"] for body in release.server.bodies] == [True]


# --- names that mean harm


ODD = ("--force", 'say "x"', "a=b; rm -rf $HOME", "back\\slash", "tab\tred\x1b[31m", "two\nlines", "@alice #1")


def test_any_name_of_a_job_is_a_name(new_world: NewWorld) -> None:
    text = f"{FLAT}jobs: {json.dumps([{'name': name} for name in ODD])}\n"
    world = with_definition(new_world(services=(), more=CREW), text)
    for name in ODD:
        ended = world.saasbot("trigger", "start", "--no-wait", "--as", "alice", "nightly", "--", name)
        assert ended.code == 0, ended.out
        assert "\x1b" not in ended.out
        assert [job.name for job in the_round(world).jobs] == [name]
        assert not the_round(world).force
        world.reconcile()
    for words in (("status",), ("list",), ("start", "nightly", "--dry-run", "--as", "alice"), ("clean", "nightly")):
        assert "\x1b" not in world.saasbot("trigger", *words).out
    assert {line.removesuffix(" manual") for line in jobs(world)} >= {"--force", 'say "x"', "a=b; rm -rf $HOME"}


# --- in comments


def test_a_comment_starts_a_round_and_the_report_shows_it(new_world: NewWorld) -> None:
    world = with_definition(new_world(more=CREW))
    world.proposes({"svc/app.yml": "$schema: /app-1.json\nname: svc\nowners: [alice, bob]\n"})
    world.reconcile()
    world.comment("bob", "/saasbot trigger nightly")
    assert "`trigger` is for the owners (alice)" in world.reply()
    world.comment("alice", "/saasbot trigger nightly one two")
    assert sorted(jobs(world)) == ["one manual", "two manual"]
    assert "**trigger nightly**" in world.report_on(1)
    assert "succeeded" in world.report_on(1)
    world.comment("alice", "/saasbot trigger nightly three")
    assert "left out" in world.reply()


def test_it_can_be_said_and_is_in_the_help(world: World) -> None:
    _, answer = world.say("alice", "trigger nightly one")
    assert (answer.ok, jobs(world)) == (True, ["one manual"])
    assert "trigger <name> [job...] [--force]" in world.saasbot("say", "help", "--as", "alice").out
    assert world.saasbot("say", "triger nightly", "--as", "alice").code == 1


# --- status and list


def test_status_tells_the_last_round_of_each_definition(world: World) -> None:
    assert world.saasbot("trigger", "status").out == "nightly: no round yet\n"
    assert world.saasbot("trigger", "status", "--format", "json").document["triggers"] == [
        {"trigger": "nightly", "round": None, "asked_by": None, "sets": []}
    ]
    (world.root / "fails" / "one").touch()
    world.say("alice", "trigger nightly one")
    lines = plain(world.saasbot("trigger", "status", "nightly").out)
    assert lines[0] == "nightly: began 2026-03-02T10:00:00Z, ended 2026-03-02T10:00:00Z: alice asked for it"
    assert lines[-2:] == ["Failed or unknown:", "one failed LINK exit code 3"]
    document = world.saasbot("trigger", "status", "--format", "json").document
    (told,) = document["triggers"]
    assert (document["schema"], told["round"]["number"], told["round"]["result"]) == ("saasbot.rounds/1", 1, "error")
    assert [each["set"] for each in told["sets"]] == ["build"]
    assert "| `one` | failed" in world.saasbot("trigger", "status", "--format", "markdown").out


def test_status_tells_of_a_round_that_runs_and_who_waits_for_its_end(world: World) -> None:
    (world.root / "wait").touch()
    for _ in range(2):
        world.saasbot("trigger", "start", "nightly", "--no-wait", "--as", "alice")
    found = world.saasbot("trigger", "status")
    (world.root / "wait").unlink()
    assert "one running LINK" in plain(found.out)
    assert "nightly: alice asked for another round at 2026-03-02T10:00:00Z" in found.out
    world.reconcile()


def test_names_that_there_are_not_are_wrong_usage(world: World) -> None:
    for words in (("status", "nightle"), ("clean", "nightle")):
        ended = world.saasbot("trigger", *words)
        assert (ended.code, "there is no trigger nightle; did you mean nightly?" in ended.err) == (2, True)
    ended = world.saasbot("trigger", "clean", "nightly", "twp")
    assert (ended.code, "it has: one, two, three, four" in ended.err) == (2, True)


def test_a_definition_that_left_the_config_is_still_told_of(world: World) -> None:
    world.say("alice", "trigger nightly one")
    world.push({"triggers/nightly.yml": FLAT.replace("name: nightly", "name: weekly") + "jobs: [{name: one}]\n"})
    assert world.saasbot("trigger", "status", "nightly").out.startswith("nightly: began 2026-03-02T10:00:00Z")
    assert world.saasbot("trigger", "clean", "nightly").code == 2


def test_list_tells_what_there_is(new_world: NewWorld) -> None:
    daily = 'on: {command: true, schedule: {cron: "0 6 * * *", timezone: Europe/Prague}}'
    world = with_definition(new_world(services=(), more=CREW), NIGHTLY.replace("on: {command: true}", daily))
    rows = [re.split(r" {2,}", line) for line in world.saasbot("trigger", "list").out.splitlines()]
    assert rows == [
        ["NAME", "PROVIDER", "SCHEDULE", "NEXT DUE", "LAST ROUND", "FILE"],
        ["nightly", "command", "0 6 * * * Europe/Prague", "2026-03-03T05:00:00Z", "-", "triggers/nightly.yml"],
    ]
    world.say("alice", "trigger nightly one")
    broken = "$schema: /trigger-1.json\nname: broken\nodd: 1\ninstance: {$ref: /instances/shell.yml}\n"
    world.push({"triggers/broken.yml": broken})
    ended = world.saasbot("trigger", "list", "--format", "json")
    (told,) = ended.document["triggers"]
    assert "warning: triggers/broken.yml:3:1: unknown key `odd`; it starts nothing" in ended.err
    assert {key: told[key] for key in ("name", "provider", "owners", "command", "schedules", "next_due", "jobs")} == {
        "name": "nightly",
        "provider": "command",
        "owners": ["crew"],
        "command": True,
        "schedules": [{"job": None, "cron": "0 6 * * *", "timezone": "Europe/Prague"}],
        "next_due": "2026-03-03T05:00:00Z",
        "jobs": ["one", "two", "three", "four"],
    }
    assert (told["last"]["result"], told["last"]["reasons"][0]["kind"]) == ("success", "manual")


def test_jobs_that_cannot_be_read_are_not_known(new_world: NewWorld) -> None:
    outside = "jobsFrom: {folder: {env: NO_FOLDER}, key: {env: NO_KEY}, format: gangway-list}\n"
    world = with_definition(new_world(services=(), more=CREW), f"{FLAT}{outside}")
    assert world.saasbot("trigger", "list", "--format", "json").document["triggers"][0]["jobs"] is None
    ended = world.saasbot("trigger", "clean", "nightly")
    assert (ended.code, "the jobs of nightly are not known: jobsFrom: the environment" in ended.err) == (2, True)
    started = world.saasbot("trigger", "start", "nightly", "--dry-run", "--as", "alice")
    assert (started.code, "refused: the jobs of nightly are not known" in started.out) == (1, True)


# --- clean


@dataclass
class Keeping:
    """A server that keeps what it was asked to do, by job."""

    kept: dict[str, tuple[str, ...] | Refused]
    forced: list[bool] = field(default_factory=list)

    def clean(self, pipeline: Pipeline, *, force: bool) -> tuple[str, ...] | Refused:
        """Remove it."""
        self.forced.append(force)
        return self.kept[pipeline.name]


@dataclass
class Racing:
    """The statefile's store where another pass is faster than these writes, counted from 1."""

    store: StateStore
    at: tuple[int, ...]
    writes: int = 0

    def read(self) -> tuple[bytes, str] | None:
        """As it is."""
        return self.store.read()

    def write(self, data: bytes, etag: str) -> str | Refused:
        """Let the other one write first."""
        self.writes += 1
        if self.writes in self.at:
            found = self.store.read()
            assert found is not None
            self.store.write(encode(next_serial(decode(found[0], "the statefile"))), found[1])
        return self.store.write(data, etag)


def cleaning(world: World, server: Keeping, *races: int) -> Job:
    """A job whose servers keep jobs, and whose statefile is changed by another pass meanwhile."""
    job = world.job()
    pipelines = cast("Callable[[Instance], Pipelines]", lambda _: server)
    return replace(job, ports=replace(job.ports, pipelines=pipelines, state=Racing(job.ports.state, races)))


def definition(world: World) -> Trigger:
    """The definition as a command sees it."""
    return look(world.job()).named("nightly")


def test_clean_forgets_the_success_of_what_is_gone_and_of_nothing_else(world: World) -> None:
    world.say("alice", "trigger nightly one two four")
    server = Keeping({"one": ("urn:job:1", "urn:task:1"), "two": Refused("one of its jobs is active")})
    job = cleaning(world, server, 1, 2)
    found = clean(job, definition(world), ["one", "two"], force=True)
    assert found == {"one": ("urn:job:1", "urn:task:1"), "two": Refused("one of its jobs is active")}
    assert server.forced == [True, True]
    assert set(world.state().triggers["nightly"].succeeded) == {"two", "four"}
    before = world.state().serial
    clean(job, definition(world), ["one"], force=False)
    assert world.state().serial == before, "what is forgotten already is not written again"


def test_clean_gives_up_where_the_statefile_changes_all_the_time(world: World) -> None:
    world.say("alice", "trigger nightly one")
    job = cleaning(world, Keeping({"one": ()}), *range(1, 100))
    with pytest.raises(StateRace):
        clean(job, definition(world), ["one"], force=False)
    assert "one" in world.state().triggers["nightly"].succeeded


def test_a_server_that_cannot_be_had_is_not_cleaned(world: World) -> None:
    job = world.job()
    nowhere = replace(definition(world), instance=Instance("lost", "unheard-of"))
    found = clean(job, nowhere, ["one"], force=False)
    assert found == {"one": Refused("instance lost: this release has no pipelines provider unheard-of")}
    gone = replace(definition(world), instance=Instance("gone", "sparql", "http://127.0.0.1:9/sparql"))
    options = {"graph": "http://example.com/g", "operations": {"dump": "http://example.com/dump"}, "kind": "dump"}
    (answer,) = clean(job, replace(gone, options=options), ["one"], force=False).values()
    assert isinstance(answer, Refused)


def test_clean_at_the_command_line_forgets_and_dry_says_what_it_is_about(world: World) -> None:
    world.say("alice", "trigger nightly one")
    before = everything(world)
    dry = world.saasbot("trigger", "clean", "nightly", "one", "two", "--dry-run")
    assert (dry.code, dry.out.splitlines()) == (
        0,
        [
            "one: what shell keeps of it would be removed, and its success of 2026-03-02T10:00:00Z would be forgotten",
            "two: what shell keeps of it would be removed",
        ],
    )
    assert everything(world) == before
    ended = world.saasbot("trigger", "clean", "nightly", "one", "two")
    why = "nothing of it is kept there; it counts as never succeeded"
    assert (ended.code, ended.out.splitlines()) == (0, [f"one: {why}", f"two: {why}"])
    assert world.state().triggers["nightly"].succeeded == {}


def test_what_is_gone_is_printed() -> None:
    found = {"one": ("urn:job:1", "urn:\x1b[31m"), "two": ()}
    assert (
        cleaned_text(found)
        == "one: 2 removed\n  urn:job:1\n  urn: [31m\ntwo: nothing of it is kept there; it counts as never succeeded\n"
    )


# --- import


LIST = """\
[{"job_name": "periodic-ci-a", "active": true},
 {"jobList": [{"jobName": "periodic-ci-b", "active": false}]}]
"""
RELEASE_JSON = """\
{"name": "apim", "version": "1.2.0-SNAPSHOT", "components": [{"name": "web", "version": ""}],
 "buildDependencies": [["web"]]}
"""


def test_an_import_prints_yaml_and_says_the_rest_on_standard_error(world: World, tmp_path: Path) -> None:
    source = tmp_path / "list.json"
    source.write_text(LIST)
    ended = world.saasbot("trigger", "import", str(source), "--name", "weekly", "--instance", "/instances/prow.yml")
    assert ended.code == 0, ended.err
    assert "name: weekly" in ended.out
    assert "$ref: /instances/prow.yml" in ended.out
    assert "note: set `owners`" in ended.err
    world.push(
        {
            "instances/prow.yml": (
                "$schema: /instance-1.json\nname: prow\nprovider: gangway\nurl: https://gangway.example.com\n"
            ),
            "triggers/weekly.yml": ended.out + "owners: [alice]\n",
        }
    )
    assert world.saasbot("validate").code == 0
    assert "weekly" in world.saasbot("trigger", "list").out


def test_an_import_writes_new_files_only(world: World, tmp_path: Path) -> None:
    source, target = tmp_path / "release.json", tmp_path / "new" / "release.yml"
    source.write_text(RELEASE_JSON)
    first = world.saasbot("trigger", "import", str(source), "--output", str(target))
    assert (first.code, first.out) == (0, f"wrote {target}\n")
    content = target.read_text()
    again = world.saasbot("trigger", "import", str(source), "--output", str(target), "--name", "other")
    assert (again.code, "is there already; nothing was written" in again.err) == (2, True)
    assert target.read_text() == content
    assert world.saasbot("trigger", "import", str(source), "--output", str(target.parent)).code == 0
    assert sorted(path.name for path in target.parent.iterdir()) == ["apim.yml", "release.yml"]
    assert world.saasbot("trigger", "import", str(source), "--output", str(source / "x.yml")).code == 2


def test_several_definitions_of_one_file_go_into_a_folder(world: World, tmp_path: Path) -> None:
    operations = {
        "initialPublicationGraphSyncJobOperation": "http://example.com/sync",
        "healingJobOperation": "http://example.com/heal",
        "dumpFileCreationJobOperation": "http://example.com/dump",
        "startInitialSync": True,
    }
    entries = [{"name": name, "jobsGraph": "http://example.com/g", **operations} for name in ("a", "b")]
    source = tmp_path / "config.json"
    source.write_text(json.dumps(entries))
    printed = world.saasbot("trigger", "import", str(source))
    assert printed.out.count("$schema: /trigger-1.json") == 2, printed.err
    ended = world.saasbot("trigger", "import", str(source), "--output", str(tmp_path / "triggers"))
    assert sorted(path.name for path in (tmp_path / "triggers").iterdir()) == ["a.yml", "b.yml"], ended.err


def test_a_file_with_faults_is_not_imported(world: World, tmp_path: Path) -> None:
    source = tmp_path / "list.json"
    for content in ('[{"job_name": 3}]', "\x1b]0;title\x07", "[]"):
        source.write_text(content)
        ended = world.saasbot("trigger", "import", str(source), "--output", str(tmp_path / "x.yml"))
        assert (ended.code, ended.out) == (1, "")
        assert "\x1b" not in ended.err
        assert not (tmp_path / "x.yml").exists()


def test_what_is_not_there_and_what_is_no_name_is_wrong_usage(world: World, tmp_path: Path) -> None:
    assert world.saasbot("trigger", "import", str(tmp_path / "nope.json")).code == 2
    (tmp_path / "list.json").write_text(LIST)
    assert world.saasbot("trigger", "import", str(tmp_path / "list.json"), "--name", "a b").code == 2
    blocked = world.saasbot(
        "trigger", "start", "nightly", "--as", "alice", "--reports", str(tmp_path / "list.json" / "x")
    )
    assert (blocked.code, jobs(world)) == (2, [])
