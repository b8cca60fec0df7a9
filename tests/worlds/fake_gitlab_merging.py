"""Merge requests of the fake GitLab's API: list, open, read, change, merge, approvals, versions, pipelines."""

from __future__ import annotations

from typing import Any

from worlds.fake_gitlab_acts import (
    approve,
    current_pipeline,
    describe,
    open_merge_request,
    set_auto_merge,
    set_labels,
    set_state,
    set_title,
)
from worlds.fake_gitlab_api import PROJECT, GitLabGround, in_order, not_before, truthy, words
from worlds.fake_gitlab_model import ACTIVE, DEVELOPER, REPORTER, MergeRequest, Project, User
from worlds.fake_http import Answer, Refusal, Request, Route

ONE = rf"{PROJECT}/merge_requests/(\d+)"
ORDERS: dict[str, Any] = {
    "created_at": lambda found: (found.created_at, found.id),
    "updated_at": lambda found: (found.updated_at, found.id),
    "title": lambda found: (found.title, found.id),
    "merged_at": lambda found: (found.merged_at or found.created_at, found.id),
}
FILTERS = (
    *("state", "scope", "draft", "wip", "source_branch", "target_branch", "author_username", "author_id", "labels"),
    *("iids", "updated_after", "search", "order_by", "sort", "with_merge_status_recheck"),
)
"""Query parameters that lists of merge requests honour."""


LATER = frozenset({"draft_status", "not_approved", "ci_still_running"})
"""What an automatic merge waits for, besides a pipeline."""


class MergingApi(GitLabGround):
    """Handlers for merge requests."""

    merging_routes = (
        Route("GET", rf"{PROJECT}/merge_requests", "list_merge_requests"),
        Route("POST", rf"{PROJECT}/merge_requests", "open_merge_request"),
        Route("GET", ONE, "show_merge_request"),
        Route("PUT", ONE, "change_merge_request"),
        Route("PUT", rf"{ONE}/merge", "merge_merge_request"),
        Route("POST", rf"{ONE}/cancel_merge_when_pipeline_succeeds", "cancel_auto_merge"),
        Route("GET", rf"{ONE}/approvals", "show_approvals"),
        Route("POST", rf"{ONE}/approve", "approve_merge_request"),
        Route("GET", rf"{ONE}/versions", "list_versions"),
        Route("GET", rf"{ONE}/resource_state_events", "list_state_events"),
        Route("GET", rf"{ONE}/pipelines", "list_merge_request_pipelines"),
        Route("GET", rf"{ONE}/commits", "list_merge_request_commits"),
        Route("GET", rf"{ONE}/diffs", "list_merge_request_diffs"),
    )

    def list_merge_requests(self, request: Request) -> Answer:
        """Those that the query asks for, with values that may be stale."""
        project, user = self.project(request)
        self.reads(request, *FILTERS)
        found = [each for each in project.merge_requests.values() if _wanted(request, each, user)]
        return self.paged(
            request,
            in_order(found, request, ORDERS, "created_at"),
            lambda each: self.entities.merge_request(project, each, self.state.listing(project, each)),
        )

    def open_merge_request(self, request: Request) -> Answer:
        """A new one, or 409 where the source branch has an open one."""
        project, user = self.project(request, REPORTER)
        body = self.body(request, "title", "source_branch", "target_branch")
        source, target = str(body["source_branch"]), str(body["target_branch"])
        if self.state.level(project, user) < DEVELOPER:
            raise Refusal(403, {"message": "403 Forbidden"})
        self._check_branches(project, source, target)
        others = (each for each in self.state.opened(project) if (each.source, each.target) == (source, target))
        other = next((each for each in others if each.fork is None), None)
        if other is not None:
            text = f"Another open merge request already exists for this source branch: !{other.iid}"
            raise Refusal(409, {"message": [text]})
        found = open_merge_request(
            self.state,
            project,
            user,
            (source, target),
            str(body["title"]),
            str(body.get("description") or ""),
            sorted(set(words(body.get("labels")))),
        )
        found.remove_source = truthy(body.get("remove_source_branch"))
        return Answer(201, self._detail(project, found))

    @staticmethod
    def _check_branches(project: Project, source: str, target: str) -> None:
        """Refuse branches that a merge request cannot be opened for."""
        if source == target:
            raise Refusal(422, {"error": "You can't use same project/branch for source and target"})
        if source not in project.heads:
            raise Refusal(400, {"message": {"source_branch": ["does not exist"]}})
        if target not in project.heads:
            raise Refusal(400, {"message": {"target_branch": ["does not exist"]}})

    def show_merge_request(self, request: Request) -> Answer:
        """One in detail; the first reads after a change say `checking`."""
        project, _ = self.project(request)
        return Answer(200, self._detail(project, self.merge_request(request, project), read=True))

    def change_merge_request(self, request: Request) -> Answer:
        """Title, description, state; authors may, and who may push. Labels count from those who may set them."""
        project, user = self.project(request)
        found, body = self.merge_request(request, project), self.body(request)
        if found.author is not user and self.state.level(project, user) < DEVELOPER:
            raise Refusal(403, {"message": "403 Forbidden"})
        if not body:
            raise Refusal(400, {"error": "at least one parameter must be provided"})
        self._check_reopening(project, found, body)
        if body.get("title"):
            set_title(self.state, user, found, str(body["title"]))
        if "description" in body and (body["description"] or "") != found.description:
            describe(self.state, project, user, found, str(body["description"] or ""))
            self.state.touch(found)
        if self.state.level(project, user) >= REPORTER:
            self._change_labels(found, body)
        if "remove_source_branch" in body:
            found.remove_source = truthy(body["remove_source_branch"])
        if body.get("state_event"):
            set_state(self.state, user, found, str(body["state_event"]))
        return Answer(200, self._detail(project, found))

    def _check_reopening(self, project: Project, found: MergeRequest, body: dict[str, Any]) -> None:
        """Refuse to reopen one beside an open one for the same branch."""
        others = (each for each in self.state.opened(project) if each is not found)
        if body.get("state_event") == "reopen" and found.state == "closed":
            for other in others:
                if (other.source, other.target) == (found.source, found.target):
                    text = f"Another open merge request already exists for this source branch: !{other.iid}"
                    raise Refusal(409, {"message": [text]})

    def _change_labels(self, found: MergeRequest, body: dict[str, Any]) -> None:
        """Set, add and remove labels."""
        labels = words(body["labels"]) if "labels" in body else list(found.labels)
        removed = set(words(body.get("remove_labels")))
        wanted = [label for label in (*labels, *words(body.get("add_labels"))) if label not in removed]
        set_labels(self.state, found, wanted)

    def merge_merge_request(self, request: Request) -> Answer:
        """Merge now, or set to merge when the pipeline succeeds (lib/api/merge_requests.rb)."""
        project, user = self.project(request)
        found, body = self.merge_request(request, project), self.body(request)
        if not self.state.may_merge(project, user, found):
            raise Refusal(401, {"message": "401 Unauthorized"})
        wanted = str(body.get("sha") or found.sha)
        if not self.state.old_merges:
            _check_head(found, wanted)
        automatic = truthy(body.get("auto_merge")) or truthy(body.get("merge_when_pipeline_succeeds"))
        waits = self._merge_waits(project, found, automatic=automatic)
        _check_head(found, wanted)
        if "should_remove_source_branch" in body:
            found.remove_source = truthy(body["should_remove_source_branch"])
        if waits:
            set_auto_merge(self.state, user, found)
        else:
            failure = self.state.merge(project, found, user, str(body.get("merge_commit_message") or ""))
            if failure:
                raise Refusal(422, {"message": failure})
        return Answer(200, self._detail(project, found))

    def _merge_waits(self, project: Project, found: MergeRequest, *, automatic: bool) -> bool:
        """Whether it is to merge later; refuses where it may neither now nor later.

        GitLab 18 says 405 for whatever keeps it, and merges at once where an automatic merge has nothing to wait for.
        Before, that was a 405 too, and a conflict a 422 (`old_merges`).
        """
        pipeline, status = current_pipeline(project, found), self.state.truth(project, found).detailed_merge_status
        active = pipeline is not None and pipeline.status in ACTIVE
        passes = pipeline is None or pipeline.status == "success"
        old = self.state.old_merges
        if found.state == "opened" and automatic and status not in {"conflict", "commits_status"}:
            if active or (not old and status in LATER):
                return True
            if status == "mergeable" and (passes if not old else pipeline is not None and passes):
                return False
        if found.state == "opened" and not automatic and status == "mergeable":
            return False
        if old and found.state == "opened" and status in {"conflict", "commits_status", "ci_must_pass"}:
            raise Refusal(422, {"message": "Branch cannot be merged"})
        raise Refusal(405, {"message": "405 Method Not Allowed"})

    def cancel_auto_merge(self, request: Request) -> Answer:
        """Take an automatic merge back; 406 where there is none."""
        project, user = self.project(request)
        found = self.merge_request(request, project)
        if found.author is not user and not self.state.may_merge(project, user, found):
            raise Refusal(401, {"message": "401 Unauthorized"})
        if found.auto_merge is None:
            raise Refusal(406, {"message": "Can't cancel the automatic merge", "status": "error"})
        found.auto_merge = None
        self.state.add_note(found, user, "canceled the automatic merge", system=True)
        return Answer(201, self._detail(project, found))

    def show_approvals(self, request: Request) -> Answer:
        """Who approved."""
        project, user = self.project(request)
        return Answer(200, self.entities.approvals(project, self.merge_request(request, project), user))

    def approve_merge_request(self, request: Request) -> Answer:
        """Approve at a head; 401 where the user has already."""
        project, user = self.project(request, DEVELOPER)
        found, wanted = self.merge_request(request, project), self.body(request).get("sha")
        if wanted and wanted != found.sha:
            raise Refusal(409, {"message": f"SHA does not match HEAD of source branch: {found.sha}"})
        if not approve(self.state, user, found):
            raise Refusal(401, {"message": "401 Unauthorized"})
        return Answer(201, self.entities.approvals(project, found, user))

    def list_versions(self, request: Request) -> Answer:
        """Every pushed state, newest first."""
        project, _ = self.project(request)
        found = self.merge_request(request, project)
        return self.paged(request, found.versions[::-1], lambda each: self.entities.version(found, each))

    def list_state_events(self, request: Request) -> Answer:
        """Who closed, reopened, merged, oldest first."""
        project, _ = self.project(request)
        found = self.merge_request(request, project)
        return self.paged(request, found.events, lambda each: self.entities.state_event(found, each))

    def list_merge_request_pipelines(self, request: Request) -> Answer:
        """Its CI's pipelines, newest first."""
        project, _ = self.project(request)
        found = self.merge_request(request, project)
        own = [each for each in project.pipelines.values() if each.merge_request == found.iid]
        return self.paged(request, own[::-1], lambda each: self.entities.pipeline_basic(project, each))

    def list_merge_request_commits(self, request: Request) -> Answer:
        """The commits of the branch, newest first."""
        project, _ = self.project(request)
        version = self.merge_request(request, project).versions[-1]
        commits = project.repository.between(version.base, version.head)
        return self.paged(request, commits, lambda each: self.entities.commit(project, each))

    def list_merge_request_diffs(self, request: Request) -> Answer:
        """The files that differ from the merge base."""
        project, _ = self.project(request)
        version = self.merge_request(request, project).versions[-1]
        return self.paged(request, project.repository.diff(version.base, version.head), self.entities.diff)

    def _detail(self, project: Project, found: MergeRequest, *, read: bool = False) -> dict[str, Any]:
        return self.entities.merge_request_detail(project, found, self.state.settle(project, found, read=read))


def _check_head(found: MergeRequest, wanted: str) -> None:
    """409 where the head is not the one that was looked at."""
    if wanted != found.sha:
        raise Refusal(409, {"message": f"SHA does not match HEAD of source branch: {found.sha}"})


def _wanted(request: Request, found: MergeRequest, user: User) -> bool:
    """Whether a merge request matches the query."""
    state, scope = request.get("state", "all"), request.get("scope", "all")
    draft = request.get("draft") or {"yes": "true", "no": "false"}.get(request.get("wip"), "")
    asked = {
        "source_branch": found.source,
        "target_branch": found.target,
        "author_username": found.author.username,
        "author_id": str(found.author.id),
    }
    return (
        (state in {"all", found.state})
        and (scope != "created_by_me" or found.author is user)
        and all(request.get(name, value) == value for name, value in asked.items())
        and set(words(",".join(request.all("labels")) or [])) <= set(found.labels)
        and (not request.all("iids") or str(found.iid) in request.all("iids"))
        and (not draft or truthy(draft) == found.draft)
        and not_before(found.updated_at, request.get("updated_after"))
        and (not request.get("search") or request.get("search").lower() in f"{found.title} {found.description}".lower())
    )
