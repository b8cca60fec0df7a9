"""Blocks: the fenced blocks of a page, and a bash that runs those marked `shell` one after the other.

A `text` block after a `shell` block shows some lines of what it prints, in order; shas and times may differ, and `...`
stands for anything. `<!-- exits with 1 -->` before a `shell` block says that its last command is to end so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"(?:^<!-- exits with (\d+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SHA = re.compile(r"\b[0-9a-f]{40}\b|\b(?=[0-9a-f]*\d)[0-9a-f]{7}\b")


@dataclass(frozen=True, slots=True)
class Block:
    """One `shell` block: its commands, the exit code of the last one, and lines that it prints."""

    commands: str
    exits: int
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """A block that was run: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def shell_blocks(page: Path) -> list[Block]:
    """The `shell` blocks of a page in order, each with the `text` block that follows it."""
    found: list[Block] = []
    last = ""
    for exits, language, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "shell":
            found.append(Block(body, int(exits or 0), ()))
        elif language == "text" and last == "shell":
            block = found.pop()
            found.append(Block(block.commands, block.exits, tuple(body.splitlines())))
        last = language
    return found


def pattern(line: str) -> re.Pattern[str]:
    """What a shown line stands for."""
    parts = [re.escape(part) for part in SHA.sub("\0", TIME.sub("\1", line)).split("...")]
    text = ".*".join(parts).replace("\0", "[0-9a-f]{7,40}").replace("\1", r"\d{4}-\S+Z")
    return re.compile(re.sub(r"(?:\\ )+", " +", text))


def missing(block: Block, out: str) -> list[str]:
    """The shown lines that the output lacks; they are looked for in order."""
    lines, absent = iter(out.splitlines()), []
    for shown in filter(str.strip, block.shown):
        wanted = pattern(shown)
        before = list(lines)
        at = next((number for number, line in enumerate(before) if wanted.search(line)), None)
        if at is None:
            absent.append(shown)
        lines = iter(before if at is None else before[at + 1 :])
    return absent


def environment(folder: Path) -> dict[str, str]:
    """A reader's environment: `saasbot` on the path, a name for git, nothing of this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SAASBOT_", "COV_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / ".home"),
        "TMPDIR": str(folder / ".home"),
        "XDG_CACHE_HOME": str(folder / ".home" / "cache"),
        "USER": "you",
        "LOGNAME": "you",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "you",
        "GIT_AUTHOR_EMAIL": "you@localhost",
        "GIT_COMMITTER_NAME": "you",
        "GIT_COMMITTER_EMAIL": "you@localhost",
    }


def run(blocks: list[Block], folder: Path) -> list[Ran]:
    """Run blocks in one bash in `folder`, so that variables and folders last; ends behind the first that breaks."""
    (folder / ".home").mkdir()
    (folder / "work").mkdir()
    script = ["cd work"]
    for number, block in enumerate(blocks):
        script += [
            f"exec >'{folder}/{number}.out' 2>'{folder}/{number}.err'",
            # `-e` only where nothing is to fail; then its exit code is the one of the command that did.
            *(["set +e"] if block.exits else [f"trap 'echo $? >{folder}/{number}.code' EXIT", "set -e"]),
            block.commands,
            f"echo $? >'{folder}/{number}.code'",
        ]
    script.append("trap - EXIT")
    subprocess.run(["bash", "-c", "\n".join(script)], cwd=folder, env=environment(folder), check=False)
    return [_ran(folder, number) for number in range(len(blocks)) if (folder / f"{number}.code").exists()]


def _ran(folder: Path, number: int) -> Ran:
    code, out, err = ((folder / f"{number}.{kind}").read_text(encoding="utf-8") for kind in ("code", "out", "err"))
    return Ran(int(code), out, err)
