"""What entities of the fake GitLab are made of: users, commits, branches and pipelines as JSON values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from worlds.fake_gitlab_git import CommitFacts, FileDiff
from worlds.fake_gitlab_model import Pipeline, Project, User
from worlds.fake_gitlab_state import State

Json = dict[str, Any]


def time_text(when: datetime | None) -> str | None:
    """A time with milliseconds, as GitLab writes it."""
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


class Shapes:
    """Writes what is not a merge request, with addresses below the server's own."""

    def __init__(self, state: State) -> None:
        self.state = state

    def page(self, project: Project) -> str:
        """The project's page."""
        return f"{self.state.url}/{project.path}"

    def user(self, user: User | None) -> Json | None:
        """UserBasic."""
        if user is None:
            return None
        return {
            "id": user.id,
            "username": user.username,
            "public_email": "",
            "name": user.username.title(),
            "state": user.state,
            "locked": False,
            "avatar_url": None,
            "web_url": f"{self.state.url}/{user.username}",
        }

    def commit(self, project: Project, commit: CommitFacts) -> Json:
        """Commit."""
        return {
            "id": commit.sha,
            "short_id": commit.sha[:8],
            "created_at": time_text(commit.committed),
            "parent_ids": list(commit.parents),
            "title": commit.title,
            "message": commit.message,
            "author_name": commit.author,
            "author_email": commit.author_email,
            "authored_date": time_text(commit.authored),
            "committer_name": commit.committer,
            "committer_email": commit.committer_email,
            "committed_date": time_text(commit.committed),
            "trailers": {},
            "extended_trailers": {},
            "web_url": f"{self.page(project)}/-/commit/{commit.sha}",
        }

    def branch(self, project: Project, name: str, sha: str, user: User) -> Json:
        """Branch."""
        main = project.heads.get(project.default_branch, "")
        protected = name in project.protected
        return {
            "name": name,
            "commit": self.commit(project, project.repository.commit(sha)),
            "merged": name != project.default_branch and project.repository.is_ancestor(sha, main),
            "protected": protected,
            "developers_can_push": False,
            "developers_can_merge": False,
            "can_push": self.state.may_push(project, user, name),
            "default": name == project.default_branch,
            "web_url": f"{self.page(project)}/-/tree/{name}",
        }

    def diff(self, diff: FileDiff) -> Json:
        """Diff."""
        return {
            "diff": diff.text,
            "new_path": diff.new,
            "old_path": diff.old,
            "a_mode": diff.old_mode,
            "b_mode": diff.new_mode,
            "new_file": diff.status == "A",
            "renamed_file": False,
            "deleted_file": diff.status == "D",
            "generated_file": False,
        }

    def pipeline_basic(self, project: Project, pipeline: Pipeline) -> Json:
        """CiPipelineBasic."""
        return {
            "id": pipeline.id,
            "iid": pipeline.iid,
            "project_id": project.id,
            "sha": pipeline.sha,
            "ref": pipeline.ref,
            "status": pipeline.status,
            "source": pipeline.source,
            "created_at": time_text(pipeline.created_at),
            "updated_at": time_text(pipeline.updated_at),
            "web_url": f"{self.page(project)}/-/pipelines/{pipeline.id}",
        }

    def pipeline(self, project: Project, pipeline: Pipeline) -> Json:
        """CiPipeline."""
        started, finished = pipeline.started_at, pipeline.finished_at
        path = f"/{project.path}/-/pipelines/{pipeline.id}"
        return {
            **self.pipeline_basic(project, pipeline),
            "before_sha": "0" * 40,
            "tag": False,
            "yaml_errors": None,
            "user": self.user(pipeline.user),
            "started_at": time_text(started),
            "finished_at": time_text(finished),
            "committed_at": None,
            "duration": int((finished - started).total_seconds()) if started and finished else None,
            "queued_duration": 1.5,
            "coverage": None,
            "detailed_status": {
                "icon": f"status_{pipeline.status}",
                "text": pipeline.status.title(),
                "label": pipeline.status,
                "group": pipeline.status,
                "tooltip": pipeline.status,
                "has_details": True,
                "details_path": path,
                "illustration": None,
                "favicon": "/favicon.png",
            },
            "archived": False,
        }

    def job(self, project: Project, pipeline: Pipeline, job: tuple[int, str]) -> Json:
        """CiJob."""
        return {
            "id": job[0],
            "status": pipeline.job_status.get(job[1], pipeline.status),
            "stage": "deploy",
            "name": job[1],
            "ref": pipeline.ref,
            "tag": False,
            "coverage": None,
            "allow_failure": False,
            "created_at": time_text(pipeline.created_at),
            "started_at": time_text(pipeline.started_at),
            "finished_at": time_text(pipeline.finished_at),
            "erased_at": None,
            "duration": None,
            "queued_duration": 0.5,
            "user": self.user(pipeline.user),
            "commit": self.commit(project, project.repository.commit(pipeline.sha)),
            "pipeline": self.pipeline_basic(project, pipeline),
            "web_url": f"{self.page(project)}/-/jobs/{job[0]}",
            "artifacts": [],
            "runner": None,
            "artifacts_expire_at": None,
            "archived": False,
            "tag_list": [],
            "failure_reason": "script_failure" if pipeline.status == "failed" else None,
        }
