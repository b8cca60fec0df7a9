"""The page on GitHub, walked: from an empty repository to the first promotion, by the steps of the workflow alone.

What deploys is the workflow that the page shows. Each job has a clone of its own, in which the runner leaves a token
that may read only: the state is kept in the repository, by the bot's token.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from docs.blocks import FENCE
from use_in_ci.ci_jobs import GITHUB_FILE, ROOT, Ran, github_event, read, run_steps
from use_in_ci.first_promotion import CONFIG, DEPLOYMENTS, PRODUCTION, SECRETS, STAGE, NewProject, runners
from worlds import planted
from worlds.fake_github import FakeGitHub

JOBS = read(GITHUB_FILE)["jobs"]
TOKEN, ALICE, RUNNER = map(planted.token, ("bot", "alice", "runner"))


def deploy_workflow() -> str:
    """The workflow on the page."""
    found = FENCE.findall((ROOT / "docs" / "github.md").read_text(encoding="utf-8"))
    return next(str(body) for _, _, body in found if body.startswith("# .github/workflows/deploy.yml"))


@dataclass
class Repository(NewProject):
    """The new repository at its server."""

    server: FakeGitHub

    def run(self, event: dict[str, Any], **variables: str) -> Ran:
        """Run the steps of the job that writes, in a fresh clone of the branch; what the last one printed."""
        folder = self.clone()
        (done,) = run_steps(folder, JOBS["reconcile"], event, SECRETS | {"SAASBOT_TOKEN": TOKEN} | variables)
        assert done.code == 0, done.out + done.err
        return done

    def clone(self, branch: str = "main") -> Path:
        """What actions/checkout makes: the workflow's own token stays as a header in the clone's configuration."""
        login = base64.b64encode(f"x-access-token:{RUNNER}".encode()).decode()
        return self.job(self.server.clone_url, branch, header=f"AUTHORIZATION: basic {login}")

    def reconcile(self) -> list[tuple[str, str]]:
        """What a scheduled job did."""
        found = json.loads(self.run(github_event("schedule")).out)["actions"]
        return [(action["kind"], action["subject"]) for action in found]

    def comment(self, iid: int, text: str) -> str:
        """Alice comments; GitHub's event file."""
        note = self.server.people.comment_as("alice", iid, text)
        path = self.root / "event.json"
        path.write_text(json.dumps(self.server.event(getattr(note, "id", "")), default=str))
        return str(path)

    def deployed(self) -> list[str]:
        """The titles of the downstream runs, without their run keys."""
        return [run.title.partition(" (")[0] for run in self.server.runs.all.values()]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """The new repository, and one that deploys; its runs succeed shortly after they were started."""
    members = {"alice": "admin", "runner": "read"}
    server = FakeGitHub(tmp_path / "config.git", CONFIG, now=lambda: datetime.now(UTC), members=members, token=TOKEN)
    found = Repository(tmp_path, server)
    found.begin(".github/workflows/deploy.yml", deploy_workflow())
    server.add_project(DEPLOYMENTS, tmp_path / "deployments.git")
    server.login("alice", ALICE)
    server.login("runner", RUNNER)

    def work() -> None:
        for run in list(server.runs.all.values()):
            if run.status == "queued":
                server.runs.finish(run.id)

    with server, runners(work):
        found.push("github", server.url, server.clone_url.replace("://", f"://alice:{ALICE}@"))
        yield found


def test_from_an_empty_repository_to_the_first_promotion(repository: Repository) -> None:
    assert {kind for kind, _ in repository.reconcile()} == {"record_state"}
    adopted, targets = repository.state()
    assert targets == {STAGE, PRODUCTION}
    assert repository.reconcile() == []
    assert repository.state()[0] == adopted
    second = repository.commit("Accept vouchers", 6)
    repository.reconcile()
    assert repository.deployed() == [f"Deploy {second}"]

    repository.reconcile()
    (request,) = repository.server.people.list_all()
    assert (request.source_branch, request.author) == ("saasbot/services/orders/saas.yml", "saasbot")
    (checked,) = run_steps(repository.clone(request.source_branch), JOBS["validate"], github_event("pull_request"), {})
    assert checked.code == 0, checked.out

    event = repository.comment(request.iid, "/saasbot explain")
    repository.run(github_event("issue_comment", body="/saasbot explain"), GITHUB_EVENT_PATH=event)
    shown = repository.server.people.show(request.iid)
    assert shown is not None
    (report,) = (note for note in shown.notes if note.author == "saasbot")
    assert f"**explain {PRODUCTION}**" in report.body

    repository.server.people.merge_as("alice", request.iid)
    assert ("start_run", f"target:{PRODUCTION}") in repository.reconcile()
    assert repository.deployed() == [f"Deploy {second}"] * 2
    assert repository.reconcile() == []
