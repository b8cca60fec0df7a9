"""`make bench`: measures saasbot beside a limit or a peer in the same run, and prints one table.

Exit code 1 if a limit is missed. A limit is a ratio to something measured in the same run on the same bytes, so that a
slow or busy machine hits both sides; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.layout import World, batch, big  # noqa: E402 - run as a script, the folders have to be named first
from worlds.ls_refs_server import SERVICE, LsRefsServer  # noqa: E402 - as above
from worlds.object_stores import AWS, Between, moto  # noqa: E402 - as above
from worlds.queue_nursery import NAME, Crew, crew  # noqa: E402 - as above

from bot.core.statefile import decode, encode, next_serial  # noqa: E402 - as above
from bot.model.state import Publication, State  # noqa: E402 - as above
from bot.model.work import Due  # noqa: E402 - as above
from bot.providers.queue.redis import RedisQueue  # noqa: E402 - as above

COLD_LIMIT = 6.0
"""Cold `validate` in times of what PyYAML's C parser needs for the events of the same bytes."""

WARM_LIMIT = 8.0
"""Warm `validate` in times of `git status` on the same checkout."""

BATCH_FILES = 200
SUBJECTS = 2000
PROCESSORS = (1, 2, 4, 8)
LOOK = 0.02
"""Seconds that a look waits for others; a real one takes ten times that."""

ADOPTED = datetime(2026, 1, 5, 10, tzinfo=UTC)
PROMOTED = ADOPTED + timedelta(days=1)
"""A Tuesday, inside the windows of the generated targets and past their soak."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `kept` is None where there is no limit."""

    what: str
    measured: str
    beside: str
    ratio: str = ""
    kept: bool | None = None

    @property
    def verdict(self) -> str:
        """One word."""
        return {None: "-", True: "kept", False: "MISSED"}[self.kept]


@dataclass(frozen=True)
class Bench:
    """What the sections share: the big world, the server of its services, and how often to measure."""

    world: World
    server: LsRefsServer
    rounds: int
    seed: int


def cold_validate(bench: Bench) -> Iterator[Row]:
    """Validate with an empty cache, in turns with the events."""
    world, events, cold = bench.world, [], []
    for _ in range(bench.rounds):
        told = world.probe("events", world.config)
        events.append(told["seconds"])
        world.forget()
        cold.append(world.saasbot("validate").wall)
    size = f"{told['files']} files, {told['bytes'] / 1e6:.1f} MB"
    ratio = min(cold) / min(events)
    beside = f"libyaml events ({size}): {_time(min(events))} x {COLD_LIMIT:g}"
    yield Row("validate, cold", _time(min(cold)), beside, f"{ratio:.2f}", ratio <= COLD_LIMIT)


def warm_validate(bench: Bench) -> Iterator[Row]:
    """Validate with a warm cache, in turns with `git status`."""
    world, status, warm = bench.world, [], []
    world.saasbot("validate")
    world.run("git", "status")  # leaves the index fresh for both
    for _ in range(4 * bench.rounds):
        status.append(world.run("git", "status").wall)
        warm.append(world.saasbot("validate").wall)
    ratio = min(warm) / min(status)
    beside = f"git status: {_time(min(status))} x {WARM_LIMIT:g}"
    yield Row("validate, warm", _time(min(warm)), beside, f"{ratio:.2f}", ratio <= WARM_LIMIT)


def adoption(bench: Bench) -> Iterator[Row]:
    """The first pass of all, from an empty cache, and the statefile that it leaves."""
    world = bench.world
    world.forget()
    world.state.unlink(missing_ok=True)
    ran = world.saasbot("reconcile", "--format", "json")
    targets = len(_state(world).targets)
    size = world.state.stat().st_size
    yield Row(f"adoption of {targets} targets", f"{_time(ran.wall)}, CPU {_time(ran.cpu)}", "")
    yield Row("statefile after adoption", f"{size / 1e6:.1f} MB", "", f"{size / targets:.0f} B a target")


def idle(bench: Bench) -> Iterator[Row]:
    """A pass with nothing to do: what it asks, what it writes, how long it takes."""
    world, asked = bench.world, bench.server.asked
    if not world.state.exists():
        world.saasbot("reconcile")
    urls = {f"/org/{path.stem}" for path in world.config.glob("services/*/saas/*.yml")}
    (world.root / "urls.txt").write_text("".join(f"{bench.server.url()}{url[1:]}\n" for url in sorted(urls)))
    passes, floors, exact, untouched, actions = [], [], True, True, 0
    for _ in range(bench.rounds):
        floors.append(world.probe("ask", world.root)["seconds"])
        before = _fingerprint(world)
        asked.clear()
        passes.append(world.saasbot("reconcile", "--format", "json"))
        exact = exact and asked == {("POST", f"{url}{SERVICE}"): 1 for url in urls}
        untouched = untouched and _fingerprint(world) == before
        actions += len(passes[-1].json()["actions"])
    most, other = max(asked.values(), default=0), len(asked.keys() - {("POST", f"{url}{SERVICE}") for url in urls})
    requests = f"{asked.total()} requests, at most {most} to one, {other} of another kind"
    yield Row("nothing to do: requests", requests, f"{len(urls)} code repositories, 1 each", "", exact)
    yield Row("nothing to do: statefile", "untouched" if untouched else "written", "no write", "", untouched)
    yield Row("nothing to do: actions", str(actions), "0", "", actions == 0)
    best = min(passes, key=lambda ran: ran.wall)
    measured = f"{_time(best.wall)}, CPU {_time(best.cpu)}"
    beside = f"the bare requests, by urllib: {_time(min(floors))}"
    yield Row("nothing to do: time", measured, beside, f"{best.wall / min(floors):.2f}")


def decision(bench: Bench) -> Iterator[Row]:
    """The pure decision alone, on that repository with nothing to do."""
    if not bench.world.state.exists():
        bench.world.saasbot("reconcile")
    told = bench.world.probe("decide", bench.world.config)
    micro = told["seconds"] / told["targets"] * 1e6
    yield Row("nothing to do: decide alone", _time(told["seconds"]), "", f"{micro:.0f} us a target")


def promotion(bench: Bench) -> Iterator[Row]:
    """Two hundred SaaS files in one merge request, and its edits beside ruamel.yaml's."""
    world, old, new = batch(bench.world.root.parent / "batch", BATCH_FILES, bench.seed)
    world.saasbot("--now", _utc(ADOPTED), "reconcile")
    world.state.write_bytes(encode(_published(_state(world))))
    shutil.copytree(world.forge, world.root / "forge.before")
    state = world.state.read_bytes()
    planned = world.saasbot("--now", _utc(PROMOTED), "plan", "--format", "json")
    passes = []
    for _ in range(bench.rounds):
        shutil.rmtree(world.forge)
        shutil.copytree(world.root / "forge.before", world.forge)
        world.state.write_bytes(state)
        passes.append(world.saasbot("--now", _utc(PROMOTED), "reconcile", "--format", "json"))
    best = min(passes, key=lambda ran: ran.wall)
    files, lines = _changed(world)
    edits = [edit for each in _state(world).merge_requests.values() for edit in each.edits]
    opened = [each for each in best.json()["actions"] if each["kind"] == "open_merge_request"]
    whole = len(opened) == 1 and files == BATCH_FILES and lines == len(edits) == _moved(world, old, new)
    yield Row(
        f"{BATCH_FILES} files promoted in one pass",
        f"{len(opened)} merge request, {files} files, {lines} lines",
        f"1 merge request, {len(edits)} targets, the sha alone",
        "",
        whole,
    )
    yield Row("that pass: time", f"{_time(best.wall)}, CPU {_time(best.cpu)}", "histories known")
    yield Row("its plan, no history known", _time(planned.wall), f"{BATCH_FILES} histories fetched")
    yield _editors(world)


def _editors(world: World) -> Row:
    """The edits alone: all pinned refs of the same files, by the program's editor and by ruamel.yaml."""
    own, other = world.probe("edit", world.root), world.probe("ruamel", world.root)
    files = own["files"]
    return Row(
        f"edits alone: {own['edits']} in {files} files",
        f"{own['seconds'] / files * 1e3:.2f} ms a file, {own['clean']} files clean",
        f"ruamel.yaml: {other['seconds'] / files * 1e3:.1f} ms a file, {other['clean']} clean",
        f"{own['seconds'] / other['seconds']:.3f}",
        None if own["clean"] == files else False,
    )


def object_store(bench: Bench) -> Iterator[Row]:
    """The statefile in S3 (moto): a pass with nothing to do in turns with one on the file, then one changed target."""
    world, settings = bench.world, bench.world.config / "saasbot.yml"
    if not world.state.exists():
        world.saasbot("reconcile")
    in_file, document = settings.read_text(), world.state.read_bytes()
    with moto() as server, Between(server.url) as proxy:
        store, key = server.behind(proxy), "bench/state.json.zst"
        os.environ.update(AWS)
        store.state(key).write(document, "")
        size = len(server.content(key))
        told = f'"{store.settings(key).url}", endpoint: "{store.url}"'
        in_store = in_file.replace('"file:../state.json"', told)
        yield Row("statefile in S3", f"{size / 1e6:.1f} MB", f"the document: {len(document) / 1e6:.1f} MB")
        try:
            yield from _idle_in_store(bench, proxy, in_file, in_store)
            _change_a_target(world)
            settings.write_text(in_store)
            proxy.requests.clear()
            ran = world.saasbot("reconcile", "--format", "json")
            started = [each["kind"] for each in ran.json()["actions"]] == ["start_run"]
            exact = started and proxy.asked == ["GET 200", "PUT 200", "PUT 200"]
            what = "one changed target, state in S3: requests to it"
            yield Row(what, ", ".join(proxy.asked), "1 GET, 2 PUT", "", exact)
            yield Row("that pass: time", f"{_time(ran.wall)}, CPU {_time(ran.cpu)}", "")
        finally:
            settings.write_text(in_file)


def work_queue(bench: Bench) -> Iterator[Row]:
    """Subjects a second from one Redis with 1, 2, 4 and 8 processors; looks wait, as most of one does, or not."""
    if shutil.which("redis-server") is None:
        yield Row("work queue", "there is no redis-server: `make services`", "")
        return
    with crew(bench.world.root.parent / "queue") as world:
        queue, due = world.server.queue(NAME), datetime.now(UTC)
        for wait, subjects in ((0.0, SUBJECTS), (LOOK, SUBJECTS // 5)):
            rates = [
                _rate(world, queue, [Due(f"target:bench/t/{n}", due) for n in range(subjects)], count, wait)
                for count in PROCESSORS
            ]
            what = f"work queue, looks of {wait * 1e3:.0f} ms: 1, 2, 4, 8 processors"
            measured = ", ".join(f"{rate:.0f}" for rate in rates)
            beside = f"subjects a second, of {subjects:,}"
            yield Row(what, measured, beside, f"{max(rates) / rates[0]:.2f}")


def _rate(world: Crew, queue: RedisQueue, dues: list[Due], processors: int, wait: float) -> float:
    for due in dues:
        queue.add(due)
    began = time.monotonic()
    hands = [world.order(f"drain {wait}") for _ in range(processors)]
    codes = {world.order(f"wait {hand}") for hand in hands}
    seconds = time.monotonic() - began
    if codes != {0} or queue.items():
        raise RuntimeError(f"the queue was not worked off:\n{world.told()}")
    return len(dues) / seconds


def _idle_in_store(bench: Bench, proxy: Between, in_file: str, in_store: str) -> Iterator[Row]:
    world, walls, exact = bench.world, {in_file: [0.0], in_store: [0.0]}, True
    for _ in range(bench.rounds):
        for settings, ran in walls.items():
            (world.config / "saasbot.yml").write_text(settings)
            proxy.requests.clear()
            ran.append(world.saasbot("reconcile").wall)
        exact = exact and proxy.asked == ["GET 200"]
    best = {settings: min(ran[1:]) for settings, ran in walls.items()}
    yield Row("nothing to do, state in S3: requests to it", ", ".join(proxy.asked), "1 GET", "", exact)
    ratio = f"{best[in_store] / best[in_file]:.2f}"
    yield Row("nothing to do, state in S3: time", _time(best[in_store]), f"in a file: {_time(best[in_file])}", ratio)


def _change_a_target(world: World) -> None:
    """Push a new parameter of one target that follows `main`, and a program for its run."""
    path = min(world.config.glob("services/*/saas/*.yml"))
    lines = path.read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.lstrip().startswith("ref: main"))
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    path.write_text("".join([*lines[: at + 1], f"{indent}parameters: {{CHANGED: 'yes'}}\n", *lines[at + 1 :]]))
    program = world.config / "deploy.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    identity = ("-c", "user.name=bob", "-c", "user.email=bob@localhost")
    world.run("git", "add", "deploy.sh", str(path))
    world.run("git", *identity, "commit", "--quiet", "--message", "Change one target")
    world.run("git", "push", "--quiet", "origin", "HEAD:refs/heads/main")


def _published(state: State) -> State:
    """The state as if every publisher had just succeeded at what it was adopted at."""
    channels: dict[str, tuple[Publication, ...]] = {}
    for target in state.targets.values():
        for channel in target.publish:
            one = Publication(target.id, target.sha, target.config_hash, ADOPTED, ADOPTED, "seeded")
            channels[channel] = (*channels.get(channel, ()), one)
    return next_serial(replace(state, channels=channels))


def _changed(world: World) -> tuple[int, int]:
    """Files and lines that differ between `main` and the bot's branch; an unequal replacement counts ten-fold."""
    git = ("git", f"--git-dir={world.forge / 'config.git'}")
    out = world.run(*git, "diff", "--numstat", "main", "saasbot/all").out.decode()
    rows = [line.split("\t") for line in out.splitlines()]
    return len(rows), sum(int(added) if added == removed else 10 * int(added) for added, removed, _ in rows)


def _moved(world: World, old: str, new: str) -> int:
    """How many refs the bot's branch moved from `old` to `new`; -1 if any other byte of any file changed."""
    branch = world.root / "branch"
    world.run("git", "clone", "--quiet", "--branch", "saasbot/all", str(world.forge / "config.git"), str(branch))
    moved = 0
    for path in world.config.rglob("*.yml"):
        before, after = path.read_bytes(), (branch / path.relative_to(world.config)).read_bytes()
        if after.replace(new.encode(), old.encode()) != before:
            return -1
        moved += after.count(new.encode())
    return moved


def _state(world: World) -> State:
    return decode(world.state.read_bytes(), str(world.state))


def _fingerprint(world: World) -> tuple[bytes, int, int]:
    found = world.state.stat()
    return world.state.read_bytes(), found.st_mtime_ns, found.st_ino


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def _table(rows: list[Row]) -> Iterator[str]:
    yield "what | measured | limit or peer | ratio | verdict"
    yield "---|---|---|---|---"
    for row in rows:
        yield f"{row.what} | {row.measured} | {row.beside} | {row.ratio} | {row.verdict}"


def _facts() -> str:
    git = subprocess.run(("git", "--version"), capture_output=True, check=True, text=True).stdout.split()[2]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("PyYAML", "ruamel.yaml", "yaml-rs"))
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, git {git}, {libraries}"


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "cold": cold_validate,
    "warm": warm_validate,
    "adoption": adoption,
    "idle": idle,
    "decide": decision,
    "promotion": promotion,
    "s3": object_store,
    "queue": work_queue,
}


def main() -> int:
    """Measure, print, and return the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default: all")
    arguments.add_argument(
        "--files", type=int, default=2000, help="SaaS files of the big repository; the limits are meant for 2000"
    )
    arguments.add_argument("--rounds", type=int, default=3, help="how often each thing is measured; the best counts")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    unknown = sorted(set(given.sections) - set(SECTIONS))
    if unknown:
        arguments.error(f"no such section: {', '.join(unknown)}")
    print(f"{_facts()}; load {os.getloadavg()[0]:.1f}", flush=True)  # noqa: T201 - the table is the product
    with tempfile.TemporaryDirectory(prefix="saasbot-bench-") as folder, LsRefsServer() as server:
        world = big(Path(folder) / "big", given.files, given.seed, server.url("org"))
        bench = Bench(world, server, given.rounds, given.seed)
        rows = [row for name in given.sections or SECTIONS for row in SECTIONS[name](bench)]
    for line in _table(rows):
        print(line)  # noqa: T201 - as above
    print(f"load at the end {os.getloadavg()[0]:.1f}")  # noqa: T201 - as above
    return int(any(row.kept is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
