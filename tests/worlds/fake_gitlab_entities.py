"""The entities of the fake GitLab as JSON values, attribute by attribute as a real server shows them."""

from __future__ import annotations

from worlds.fake_gitlab_acts import head_pipeline
from worlds.fake_gitlab_model import (
    Approval,
    Award,
    Issue,
    Mergeability,
    MergeRequest,
    Note,
    Project,
    StateEvent,
    User,
    Version,
)
from worlds.fake_gitlab_shapes import Json, Shapes, time_text


class Entities(Shapes):
    """Writes every entity."""

    def account(self, user: User) -> Json:
        """UserPublic: the user that asks."""
        return {
            **(self.user(user) or {}),
            "created_at": "2020-01-01T00:00:00.000Z",
            "bio": "",
            "location": "",
            "website_url": "",
            "job_title": "",
            "pronouns": None,
            "organization": "",
            "bot": user.bot,
            "work_information": None,
            "local_time": None,
            "last_sign_in_at": None,
            "confirmed_at": "2020-01-01T00:00:00.000Z",
            "last_activity_on": None,
            "email": f"{user.username}@localhost",
            "theme_id": 3,
            "color_scheme_id": 1,
            "projects_limit": 0,
            "current_sign_in_at": None,
            "can_create_group": False,
            "can_create_project": False,
            "two_factor_enabled": False,
            "external": False,
            "private_profile": False,
            "commit_email": f"{user.username}@localhost",
        }

    def member(self, project: Project, user: User) -> Json:
        """Member."""
        return {
            **(self.user(user) or {}),
            "access_level": project.members[user.username],
            "created_at": "2020-01-01T00:00:00.000Z",
            "expires_at": None,
            "membership_state": "active",
            **project.member_facts.get(user.username, {}),
        }

    def project(self, project: Project, user: User) -> Json:
        """ProjectWithAccess."""
        name, page = project.path.rsplit("/", 1)[-1], self.page(project)
        group = project.path.rsplit("/", 1)[0]
        level = project.members.get(user.username, 0)
        return {
            "id": project.id,
            "description": None,
            "name": name,
            "name_with_namespace": project.path.replace("/", " / "),
            "path": name,
            "path_with_namespace": project.path,
            "created_at": time_text(project.created_at),
            "default_branch": project.default_branch,
            "tag_list": [],
            "topics": [],
            "ssh_url_to_repo": f"git@127.0.0.1:{project.path}.git",
            "http_url_to_repo": f"{page}.git",
            "web_url": page,
            "readme_url": None,
            "forks_count": 0,
            "avatar_url": None,
            "star_count": 0,
            "last_activity_at": time_text(project.created_at),
            "namespace": {
                "id": 1,
                "name": group,
                "path": group,
                "kind": "group",
                "full_path": group,
                "parent_id": None,
                "avatar_url": None,
                "web_url": f"{self.state.url}/groups/{group}",
            },
            "visibility": "private",
            "archived": False,
            "empty_repo": not project.heads,
            "issues_enabled": True,
            "merge_requests_enabled": True,
            "jobs_enabled": True,
            "merge_method": "merge",
            "squash_option": "default_off",
            "only_allow_merge_if_pipeline_succeeds": project.pipelines_must_succeed,
            "only_allow_merge_if_all_discussions_are_resolved": False,
            "remove_source_branch_after_merge": True,
            "permissions": {"project_access": {"access_level": level, "notification_level": 3}, "group_access": None},
        }

    def merge_request(self, project: Project, found: MergeRequest, status: Mergeability) -> Json:
        """MergeRequestBasic, as lists show it."""
        waits = found.auto_merge is not None
        return {
            **self._issuable(found),
            "project_id": project.id,
            "merged_by": self.user(found.merged_by),
            "merge_user": self.user(found.merged_by or found.auto_merge),
            "merged_at": time_text(found.merged_at),
            "target_branch": found.target,
            "source_branch": found.source,
            "assignees": [],
            "assignee": None,
            "reviewers": [],
            "source_project_id": project.id if found.fork is None else project.id + 1000,
            "target_project_id": project.id,
            "draft": found.draft,
            "imported": False,
            "imported_from": "none",
            "work_in_progress": found.draft,
            "milestone": None,
            "merge_when_pipeline_succeeds": waits,
            "merge_status": status.merge_status,
            "detailed_merge_status": status.detailed_merge_status,
            "merge_after": None,
            "sha": status.sha,
            "merge_commit_sha": found.merge_commit or None,
            "squash_commit_sha": None,
            "discussion_locked": None,
            "should_remove_source_branch": found.remove_source or None,
            "force_remove_source_branch": found.remove_source,
            "prepared_at": time_text(found.created_at),
            "reference": f"!{found.iid}",
            "references": self._references(project, f"!{found.iid}"),
            "web_url": f"{self.page(project)}/-/merge_requests/{found.iid}",
            "squash": False,
            "squash_on_merge": False,
            "has_conflicts": status.has_conflicts,
            "blocking_discussions_resolved": True,
        }

    def merge_request_detail(self, project: Project, found: MergeRequest, status: Mergeability) -> Json:
        """MergeRequest, as its own address shows it."""
        pipeline, version = head_pipeline(project, found), found.versions[-1]
        base, head = version.base, version.head
        changes = project.repository.changed(base, head) if base else 0
        return {
            **self.merge_request(project, found, status),
            "subscribed": False,
            "changes_count": str(changes) if changes else None,
            "latest_build_started_at": time_text(pipeline.started_at) if pipeline else None,
            "latest_build_finished_at": time_text(pipeline.finished_at) if pipeline else None,
            "first_deployed_to_production_at": None,
            "pipeline": self.pipeline_basic(project, pipeline) if pipeline else None,
            "head_pipeline": self.pipeline(project, pipeline) if pipeline else None,
            "diff_refs": {"base_sha": base, "head_sha": head, "start_sha": version.start},
            "merge_error": None,
            "first_contribution": False,
            "user": {"can_merge": True},
        }

    def issue(self, project: Project, found: Issue) -> Json:
        """Issue."""
        address = f"{self.state.url}/api/v4/projects/{project.id}/issues/{found.iid}"
        return {
            **self._issuable(found),
            "project_id": project.id,
            "milestone": None,
            "assignees": [],
            "assignee": None,
            "type": "ISSUE",
            "merge_requests_count": 0,
            "due_date": None,
            "confidential": False,
            "discussion_locked": None,
            "issue_type": "issue",
            "web_url": f"{self.page(project)}/-/issues/{found.iid}",
            "blocking_issues_count": 0,
            "has_tasks": False,
            "task_status": "",
            "_links": {"self": address, "notes": f"{address}/notes", "award_emoji": f"{address}/award_emoji"},
            "references": self._references(project, f"#{found.iid}"),
            "severity": "UNKNOWN",
            "moved_to_id": None,
            "imported": False,
            "imported_from": "none",
            "service_desk_reply_to": None,
        }

    def note(self, project: Project, thing: Issue, note: Note) -> Json:
        """Note."""
        return {
            "id": note.id,
            "type": None,
            "body": note.body,
            "author": self.user(note.author),
            "created_at": time_text(note.created_at),
            "updated_at": time_text(note.updated_at),
            "system": note.system,
            "noteable_id": thing.id,
            "noteable_type": "MergeRequest" if isinstance(thing, MergeRequest) else "Issue",
            "project_id": project.id,
            "resolvable": False,
            "confidential": False,
            "internal": False,
            "imported": False,
            "imported_from": "none",
            "noteable_iid": thing.iid,
            "commands_changes": {},
        }

    def award(self, note: Note, award: Award) -> Json:
        """AwardEmoji."""
        return {
            "id": award.id,
            "name": award.name,
            "user": self.user(award.user),
            "created_at": time_text(award.created_at),
            "updated_at": time_text(award.created_at),
            "awardable_id": note.id,
            "awardable_type": "Note",
            "url": None,
        }

    def approvals(self, project: Project, found: MergeRequest, user: User) -> Json:
        """MergeRequestApprovals."""
        mine = any(approval.user is user for approval in found.approvals)
        return {
            "user_has_approved": mine,
            "user_can_approve": not mine and found.author is not user,
            "approved": len(found.approvals) >= max(1, project.approvals_required),
            "approved_by": [self._approval(approval) for approval in found.approvals],
        }

    def _approval(self, approval: Approval) -> Json:
        return {"user": self.user(approval.user), "approved_at": time_text(approval.at)}

    def version(self, found: MergeRequest, version: Version) -> Json:
        """MergeRequestDiff."""
        return {
            "id": version.id,
            "head_commit_sha": version.head,
            "base_commit_sha": version.base,
            "start_commit_sha": version.start,
            "created_at": time_text(version.created_at),
            "merge_request_id": found.id,
            "state": "collected",
            "real_size": "1",
            "patch_id_sha": None,
        }

    def state_event(self, thing: Issue, event: StateEvent) -> Json:
        """ResourceStateEvent."""
        return {
            "id": event.id,
            "user": self.user(event.user),
            "created_at": time_text(event.created_at),
            "resource_type": "MergeRequest" if isinstance(thing, MergeRequest) else "Issue",
            "resource_id": thing.id,
            "source_commit": None,
            "source_merge_request_id": None,
            "state": event.state,
        }

    def _issuable(self, found: Issue) -> Json:
        """What issues and merge requests share."""
        return {
            "id": found.id,
            "iid": found.iid,
            "title": found.title,
            "description": found.description,
            "state": found.state,
            "created_at": time_text(found.created_at),
            "updated_at": time_text(found.updated_at),
            "closed_by": self.user(found.closed_by),
            "closed_at": time_text(found.closed_at),
            "user_notes_count": sum(not note.system for note in found.notes),
            "upvotes": 0,
            "downvotes": 0,
            "author": self.user(found.author),
            "labels": list(found.labels),
            "time_stats": {
                "time_estimate": 0,
                "total_time_spent": 0,
                "human_time_estimate": None,
                "human_total_time_spent": None,
            },
            "task_completion_status": {"count": 0, "completed_count": 0},
        }

    def _references(self, project: Project, short: str) -> Json:
        return {"short": short, "relative": short, "full": f"{project.path}{short}"}
