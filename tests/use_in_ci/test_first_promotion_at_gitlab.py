"""The page on GitLab, walked: from an empty project to the first promotion, by nothing but the jobs of the CI file.

Each job has a clone of its own, with a login that may read only: the state is kept in the project, by the bot's token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from use_in_ci.ci_jobs import GITLAB_FILE, Ran, jobs, read, run_job
from use_in_ci.first_promotion import CONFIG, DEPLOYMENTS, PRODUCTION, SECRETS, STAGE, NewProject, runners
from worlds.fake_gitlab import FakeGitLab

from bot.providers.git import git

JOBS = jobs(read(GITLAB_FILE))


@dataclass
class Project(NewProject):
    """The new project at its server."""

    server: FakeGitLab

    def run(self, job: str, **variables: str) -> Ran:
        """Run a job's script as the runner does, in a fresh clone of the branch as it is now, at no branch."""
        folder = self.job(self.server.login_url("runner"))
        git(folder, "checkout", "--quiet", "--detach")
        given = SECRETS | {"SAASBOT_TOKEN": self.server.token} | variables
        done = run_job(folder, JOBS[job], given)
        assert done.code == 0, done.out + done.err
        return done

    def reconcile(self) -> list[tuple[str, str]]:
        """What a scheduled job did."""
        return [(action["kind"], action["subject"]) for action in json.loads(self.run("reconcile").out)["actions"]]

    def comment(self, iid: int, text: str) -> str:
        """Alice comments, and the webhook hands the event on; its file."""
        self.server.people.comment_as("alice", iid, text)
        event = {
            "object_kind": "note",
            "object_attributes": {"noteable_type": "MergeRequest", "note": text, "system": False},
            "merge_request": {"iid": iid},
            "project": {"path_with_namespace": CONFIG},
        }
        path = self.root / "payload.json"
        path.write_text(json.dumps(event))
        return str(path)

    def deployed(self) -> list[tuple[str, str]]:
        """Target and version of each downstream pipeline."""
        found = self.server.pipelines.all(DEPLOYMENTS)
        told = [{each["key"]: each["value"] for each in pipeline.variables} for pipeline in found]
        return [(variables["SAASBOT_TARGET"], variables["VERSION"]) for variables in told]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The new project, and one that deploys; its pipelines succeed shortly after they were started."""
    members = {"alice": 40, "runner": 20}
    server = FakeGitLab(tmp_path / "config.git", CONFIG, now=lambda: datetime.now(UTC), members=members)
    found = Project(tmp_path, server)
    found.begin(".gitlab-ci.yml", "deploy: {script: [./deploy.sh]}\n")
    server.add_project(DEPLOYMENTS, tmp_path / "deployments.git")

    def work() -> None:
        for pipeline in server.pipelines.all(DEPLOYMENTS):
            if pipeline.status == "pending":
                server.pipelines.finish(pipeline.id)

    with server, runners(work):
        found.push("gitlab", server.url, server.login_url("alice"))
        yield found


def test_from_an_empty_project_to_the_first_promotion(project: Project) -> None:
    assert {kind for kind, _ in project.reconcile()} == {"record_state"}
    adopted, targets = project.state()
    assert targets == {STAGE, PRODUCTION}
    assert project.reconcile() == []
    assert project.state()[0] == adopted
    second = project.commit("Accept vouchers", 6)
    project.reconcile()
    assert project.deployed() == [(STAGE, second)]

    project.reconcile()
    (request,) = project.server.people.list_all()
    assert (request.source_branch, request.author) == ("saasbot/services/orders/saas.yml", "saasbot")
    assert run_job(project.job(project.server.login_url("runner"), request.source_branch), JOBS["validate"]).code == 0

    project.run("comment", TRIGGER_PAYLOAD=project.comment(request.iid, "/saasbot explain"))
    shown = project.server.people.show(request.iid)
    assert shown is not None
    (report,) = (note for note in shown.notes if note.author == "saasbot")
    assert f"**explain {PRODUCTION}**" in report.body

    project.server.people.merge_as("alice", request.iid)
    assert ("start_run", f"target:{PRODUCTION}") in project.reconcile()
    assert project.deployed()[1:] == [(PRODUCTION, second)]
    assert project.reconcile() == []
    assert project.server.quick_actions == []
