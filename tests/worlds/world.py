"""A line world with more of the people in it: what they say, push, open, approve and run at the command line."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worlds import planted
from worlds.line_world import LineWorld

from bot.__main__ import main
from bot.model.observed import CiStatus, MergeRequest
from bot.model.plan import ACTION_KINDS, Held, Report
from bot.model.state import Answer
from bot.ports import Refused
from bot.providers.git import git
from bot.providers.scaffold import commit_all

BRANCH = "saasbot/svc/saas.yml"
STAGE = "svc/svc/stage"
PROD = "svc/svc/prod"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        """Have it searched for what must not be said."""
        planted.printed("standard output", self.out)
        planted.printed("standard error", self.err)

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class World(LineWorld):
    """The same world, with verbs that read like the conversation on a merge request."""

    def say(self, user: str, text: str) -> tuple[Report, Answer]:
        """`saasbot say TEXT --as USER`, and passes until idle."""
        report = self.reconcile((user, text))
        return report, report.plan.answers[0]

    def comment(self, user: str, text: str, iid: int = 1) -> Report:
        """A person comments, and passes until idle."""
        self.granted(self.people.comment_as(user, iid, text))
        return self.reconcile()

    def reply(self, iid: int = 1) -> str:
        """The last note that the bot wrote beside its report; empty if there is none."""
        found = self.show(iid)
        own = [n.body for n in found.notes if n.author == "saasbot" and "saasbot:report" not in n.body]
        return own[-1] if own else ""

    def show(self, iid: int = 1) -> MergeRequest:
        """One merge request in any state."""
        found = self.people.show(iid)
        assert found is not None
        return found

    def merge(self, iid: int = 1, by: str = "alice") -> None:
        """A person merges."""
        self.granted(self.people.merge_as(by, iid))

    def close(self, iid: int = 1, by: str = "bob") -> None:
        """A person closes."""
        self.granted(self.people.close_as(by, iid))

    def approve(self, iid: int = 1, by: str = "alice") -> None:
        """A person approves."""
        self.granted(self.people.approve_as(by, iid))

    def ci(self, word: str, iid: int = 1) -> None:
        """The merge request's CI has a word on the present head."""
        self.granted(self.people.set_ci(iid, CiStatus(word)))

    @staticmethod
    def granted(answer: object) -> None:
        """What people do here is never refused."""
        assert not isinstance(answer, Refused), answer

    def on_branch(self, branch: str, files: Mapping[str, str], user: str = "bob", *, start: str = "") -> str:
        """A person commits files on a branch (a new one begins at `main`) and pushes it; returns the sha."""
        checkout = self.folders.person(user)
        if not checkout.exists():
            checkout.parent.mkdir(parents=True, exist_ok=True)
            git(self.root, "clone", "--quiet", str(self.folders.forge / "config.git"), str(checkout))
        git(checkout, "fetch", "--quiet", "origin")
        git(checkout, "checkout", "--quiet", "-B", "mine", f"origin/{start or 'main'}")
        for path, content in files.items():
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout / path).write_text(content)
        sha = commit_all(checkout, "By hand", user)
        git(checkout, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        git(checkout, "checkout", "--quiet", "-B", "main", "origin/main")
        return sha

    def proposes(self, files: Mapping[str, str], user: str = "bob") -> MergeRequest:
        """A person opens a merge request that changes these files."""
        self.on_branch(f"{user}/change", files, user)
        opened = self.people.open_as(user, f"{user}/change", "A change")
        assert isinstance(opened, MergeRequest)
        return opened

    def on_main(self, path: str) -> str:
        """A file as it is on `main`."""
        return git(self.folders.forge / "config.git", "show", f"main:{path}").decode()

    def difference(self, iid: int = 1) -> list[str]:
        """The changed lines of a merge request, with their sign."""
        repo, head = self.folders.forge / "config.git", self.show(iid).head_sha
        base = git(repo, "merge-base", "main", head).decode().strip()
        lines = git(repo, "diff", "--unified=0", base, head).decode().splitlines()
        return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]

    def promoted(self) -> str:
        """Adopt, commit, soak: the merge request is open afterwards; returns the new sha."""
        self.reconcile()
        return self.due()

    def due(self, name: str = "svc") -> str:
        """A new commit that has run on stage and has soaked; returns its sha."""
        sha = self.commit(name)
        self.reconcile()
        self.later(hours=25).reconcile()
        return sha

    def ref(self, name: str = "svc") -> str:
        """The ref of production on `main`."""
        lines = self.on_main(f"{name}/saas.yml").splitlines()
        return next(line.split()[1] for line in lines if line.startswith("    ref: ") and line.split()[1] != "main")

    def saasbot(self, *arguments: str, now: bool = True) -> Ended:
        """`saasbot` as the process runs it, in this one: its exit code and what it prints."""
        argv, on_term = sys.argv, signal.getsignal(signal.SIGTERM)
        out, err = io.StringIO(), io.StringIO()
        sys.argv = ["saasbot", *self._arguments(*arguments, now=now)]
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as ended:
            return Ended(int(ended.code or 0), out.getvalue(), err.getvalue())
        finally:
            sys.argv = argv
            signal.signal(signal.SIGTERM, on_term)
        raise AssertionError("it ends with an exit code")

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        """`saasbot` in a process of its own."""
        return subprocess.Popen(
            (sys.executable, "-m", "bot", *self._arguments(*arguments)),
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _arguments(self, *arguments: str, now: bool = True) -> tuple[str, ...]:
        time = ("--now", self.now.isoformat()) if now else ()
        return ("--config", str(self.config), *time, *arguments)


def reasons(report: Report, kind: str = "start_run") -> dict[str, list[tuple[str, str]]]:
    """By subject: (reason, words) of all actions of a kind."""
    return {
        action.subject.partition(":")[2]: [(reason.kind, reason.text) for reason in action.reasons]
        for action in report.plan.actions
        if ACTION_KINDS[type(action)] == kind
    }


def why(report: Report, gate: str) -> Held:
    """The only entry that this gate holds."""
    (found,) = (each for each in report.plan.held if each.gate == gate)
    return found


NewWorld = Callable[..., World]
"""Lays a world out; the arguments are those of `World`, but the folder."""
