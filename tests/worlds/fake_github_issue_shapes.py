"""Issues, pull requests, comments, reviews and workflow runs as GitHub's REST API shows them."""

from __future__ import annotations

from urllib.parse import quote

from worlds.fake_github_model import Comment, Issue, Label, Project, Pull, Reaction, Review, User, WorkflowRun
from worlds.fake_github_shapes import Json, Shapes, optional, stamp


class IssueShapes(Shapes):
    """The shapes of what people and the bot talk in; `owners` finds the account a repository belongs to."""

    def label(self, project: Project, label: Label) -> Json:
        """A label."""
        return {
            "id": label.id,
            "node_id": f"LA_{label.id}",
            "url": f"{self.repo_url(project)}/labels/{quote(label.name, safe='')}",
            "name": label.name,
            "description": "",
            "color": "ededed",
            "default": False,
        }

    def comment(self, project: Project, comment: Comment) -> Json:
        """A comment."""
        url = self.repo_url(project)
        return {
            "id": comment.id,
            "node_id": f"IC_{comment.id}",
            "url": f"{url}/issues/comments/{comment.id}",
            "html_url": f"{self.thread_page(project, comment.number)}#issuecomment-{comment.id}",
            "issue_url": f"{url}/issues/{comment.number}",
            "user": self.user(comment.user),
            "body": comment.body,
            "created_at": stamp(comment.created_at),
            "updated_at": stamp(comment.updated_at),
            "author_association": self.association(project, comment.user),
            "performed_via_github_app": None,
        }

    def reaction(self, reaction: Reaction) -> Json:
        """A reaction."""
        return {
            "id": reaction.id,
            "node_id": f"REA_{reaction.id}",
            "user": self.user(reaction.user),
            "content": reaction.content,
            "created_at": stamp(reaction.created_at),
        }

    def review(self, project: Project, pull: Pull, review: Review) -> Json:
        """A review."""
        page, url = f"{self.pull_page(project, pull)}#pullrequestreview-{review.id}", self.pull_url(project, pull)
        return {
            "id": review.id,
            "node_id": f"PRR_{review.id}",
            "user": self.user(review.user),
            "body": review.body,
            "state": review.state,
            "commit_id": review.commit,
            "html_url": page,
            "pull_request_url": url,
            "_links": {"html": {"href": page}, "pull_request": {"href": url}},
            "author_association": self.association(project, review.user),
            "submitted_at": stamp(review.submitted_at),
        }

    def association(self, project: Project, user: User) -> str:
        """What somebody is to the repository."""
        if user.login == project.owner:
            return "OWNER"
        return "COLLABORATOR" if user.login in project.members else "NONE"

    def thread_page(self, project: Project, number: int) -> str:
        """The page of an issue or pull request."""
        kind = "pull" if isinstance(project.issues[number], Pull) else "issues"
        return f"{self.web}/{project.full_name}/{kind}/{number}"

    def pull_page(self, project: Project, pull: Pull) -> str:
        """The page of a pull request."""
        return self.thread_page(project, pull.number)

    def pull_url(self, project: Project, pull: Pull) -> str:
        """The API's address of a pull request."""
        return f"{self.repo_url(project)}/pulls/{pull.number}"

    def head_label(self, project: Project, pull: Pull) -> str:
        """The head as `owner:branch`."""
        return f"{(pull.head_project or project).owner}:{pull.head_ref}"

    def issue(self, project: Project, issue: Issue, *, detail: bool) -> Json:
        """An issue, or a pull request as an issue; who closed it is told in detail only."""
        url, page = f"{self.repo_url(project)}/issues/{issue.number}", self.thread_page(project, issue.number)
        shape: Json = {
            "id": issue.id,
            "node_id": f"I_{issue.id}",
            "number": issue.number,
            "url": url,
            "repository_url": self.repo_url(project),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": page,
            "title": issue.title,
            "body": issue.body,
            "user": self.user(issue.user),
            "labels": [self.label(project, label) for label in issue.labels],
            "state": issue.state,
            "state_reason": issue.state_reason,
            "locked": False,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "comments": len(issue.comments),
            "created_at": stamp(issue.created_at),
            "updated_at": stamp(issue.updated_at),
            "closed_at": optional(issue.closed_at),
            "author_association": self.association(project, issue.user),
        }
        if detail:
            shape["closed_by"] = None if issue.closed_by is None else self.user(issue.closed_by)
        if isinstance(issue, Pull):
            shape["draft"] = issue.draft
            shape["pull_request"] = {
                "url": self.pull_url(project, issue),
                "html_url": page,
                "diff_url": f"{page}.diff",
                "patch_url": f"{page}.patch",
                "merged_at": optional(issue.merged_at),
            }
        return shape

    def pull(self, project: Project, pull: Pull, owner: User) -> Json:
        """A pull request as in lists: nothing of mergeability, of comments and of who merged."""
        url, page = self.pull_url(project, pull), self.pull_page(project, pull)
        issue = f"{self.repo_url(project)}/issues/{pull.number}"
        statuses = f"{self.repo_url(project)}/statuses/{pull.head_sha}"
        return {
            "id": pull.id,
            "node_id": f"PR_{pull.id}",
            "number": pull.number,
            "url": url,
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "issue_url": issue,
            "commits_url": f"{url}/commits",
            "review_comments_url": f"{url}/comments",
            "review_comment_url": f"{self.repo_url(project)}/pulls/comments{{/number}}",
            "comments_url": f"{issue}/comments",
            "statuses_url": statuses,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "body": pull.body,
            "draft": pull.draft,
            "user": self.user(pull.user),
            "labels": [self.label(project, label) for label in pull.labels],
            **dict.fromkeys(("assignee", "milestone")),
            **{key: [] for key in ("assignees", "requested_reviewers", "requested_teams")},
            "created_at": stamp(pull.created_at),
            "updated_at": stamp(pull.updated_at),
            "closed_at": optional(pull.closed_at),
            "merged_at": optional(pull.merged_at),
            "merge_commit_sha": pull.merge_commit,
            "head": self._end(pull.head_project or project, pull.head_ref, pull.head_sha, owner),
            "base": self._end(project, pull.base_ref, pull.base_sha, owner),
            "author_association": self.association(project, pull.user),
            "auto_merge": self._auto_merge(pull),
            "_links": {
                "self": {"href": url},
                "html": {"href": page},
                "issue": {"href": issue},
                "comments": {"href": f"{issue}/comments"},
                "review_comments": {"href": f"{url}/comments"},
                "review_comment": {"href": f"{self.repo_url(project)}/pulls/comments{{/number}}"},
                "commits": {"href": f"{url}/commits"},
                "statuses": {"href": statuses},
            },
        }

    def pull_detail(
        self, project: Project, pull: Pull, owner: User, mergeability: tuple[bool | None, str]
    ) -> Json:  # fmt: skip
        """A pull request by itself."""
        base = project.repository.merge_base(pull.base_sha, pull.head_sha)
        commits, files, plus, minus = project.repository.changed(base, pull.head_sha) if base else (0, 0, 0, 0)
        return self.pull(project, pull, owner) | {
            "mergeable": mergeability[0],
            "mergeable_state": mergeability[1],
            "rebaseable": mergeability[0],
            "merged": pull.merged,
            "merged_by": None if pull.merged_by is None else self.user(pull.merged_by),
            "comments": len(pull.comments),
            "review_comments": 0,
            "maintainer_can_modify": False,
            "commits": commits,
            "additions": plus,
            "deletions": minus,
            "changed_files": files,
        }

    def _end(self, project: Project, ref: str, sha: str, owner: User) -> Json:
        who = owner if owner.login == project.owner else User(project.id, project.owner)
        return {
            "label": f"{project.owner}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": self.user(who),
            "repo": self.repository(project, who),
        }

    def _auto_merge(self, pull: Pull) -> Json | None:
        wanted = pull.auto_merge
        if wanted is None:
            return None
        return {
            "enabled_by": self.user(wanted.user),
            "merge_method": wanted.method,
            "commit_title": wanted.title,
            "commit_message": wanted.message,
        }

    def run(self, run: WorkflowRun, owner: User) -> Json:
        """A workflow run."""
        project = run.project
        url, facts = f"{self.repo_url(project)}/actions/runs/{run.id}", (run.head or project).repository.commit(run.sha)
        repository = self.repository(project, owner)
        return {
            "id": run.id,
            "name": run.name,
            "node_id": f"WFR_{run.id}",
            "head_branch": run.branch,
            "head_sha": run.sha,
            "path": run.path,
            "display_title": run.title,
            "run_number": run.number,
            "run_attempt": run.attempt,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": run.workflow,
            "url": url,
            "html_url": f"{self.web}/{project.full_name}/actions/runs/{run.id}",
            "pull_requests": [],
            "created_at": stamp(run.created_at),
            "updated_at": stamp(run.updated_at),
            "run_started_at": stamp(run.started_at),
            "actor": self.user(run.actor),
            "triggering_actor": self.user(run.actor),
            **{f"{word}_url": f"{url}/{word}" for word in ("jobs", "logs", "cancel", "rerun", "artifacts")},
            "check_suite_url": f"{self.repo_url(project)}/check-suites/{run.id}",
            "workflow_url": f"{self.repo_url(project)}/actions/workflows/{run.workflow}",
            "head_commit": {
                "id": run.sha,
                "tree_id": facts.tree,
                "message": facts.message,
                "timestamp": facts.committer.date,
                "author": {"name": facts.author.name, "email": facts.author.email},
                "committer": {"name": facts.committer.name, "email": facts.committer.email},
            },
            "repository": repository,
            "head_repository": self.repository(run.head, owner) if run.head else repository,
        }

    def job(self, run: WorkflowRun, number: int) -> Json:
        """One job of a workflow run; only the last one fails with its run."""
        url, last = self.repo_url(run.project), number == len(run.jobs) - 1
        conclusion = run.conclusion if last or run.conclusion in {None, "cancelled"} else "success"
        identity = run.id * 100 + number
        return {
            "id": identity,
            "node_id": f"CR_{identity}",
            "run_id": run.id,
            "run_url": f"{url}/actions/runs/{run.id}",
            "run_attempt": run.attempt,
            "head_sha": run.sha,
            "head_branch": run.branch,
            "workflow_name": run.name,
            "name": run.jobs[number],
            "url": f"{url}/actions/jobs/{identity}",
            "html_url": f"{self.web}/{run.project.full_name}/actions/runs/{run.id}/job/{identity}",
            "check_run_url": f"{url}/check-runs/{identity}",
            "status": run.status,
            "conclusion": conclusion,
            "created_at": stamp(run.created_at),
            "started_at": stamp(run.started_at),
            "completed_at": stamp(run.updated_at) if run.status == "completed" else None,
            "labels": ["ubuntu-latest"],
            **dict.fromkeys(("runner_id", "runner_name", "runner_group_id", "runner_group_name")),
        }
