"""Events of both forges as their webhooks post them, for the project `acme/config`; shapes as in their documentation.

They are not whole: what saasbot does not look at is there in part, so that a reader of more than it says would be seen.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
SHA = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7"

GITLAB_USER: Json = {"id": 42, "name": "Alice", "username": "alice", "avatar_url": None, "email": "[REDACTED]"}
GITLAB_PROJECT: Json = {
    "id": 1,
    "name": "config",
    "description": "",
    "web_url": "https://gitlab.example/acme/config",
    "avatar_url": None,
    "git_ssh_url": "git@gitlab.example:acme/config.git",
    "git_http_url": "https://gitlab.example/acme/config.git",
    "namespace": "acme",
    "visibility_level": 0,
    "path_with_namespace": "acme/config",
    "default_branch": "main",
    "ci_config_path": "",
}


def gitlab_note(text: str, on: str = "MergeRequest", iid: int = 7, **more: Any) -> Json:
    """A comment event (`Note Hook`)."""
    attributes = {"id": 1244, "note": text, "noteable_type": on, "author_id": 42, "system": False, "action": "create"}
    place = {"MergeRequest": "merge_request", "Issue": "issue"}.get(on)
    about = {place: {"id": 1000 + iid, "iid": iid, "state": "opened", "title": "A change"}} if place else {}
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": GITLAB_USER,
        "project_id": 1,
        "project": GITLAB_PROJECT,
        "object_attributes": attributes,
        **about,
        **more,
    }


def gitlab_merge_request(iid: int = 7, action: str = "open", target: str = "main") -> Json:
    """A merge request event (`Merge Request Hook`)."""
    attributes = {
        "id": 1000 + iid,
        "iid": iid,
        "source_branch": "saasbot/svc/saas.yml",
        "target_branch": target,
        "source_project_id": 1,
        "target_project_id": 1,
        "state": "opened",
        "action": action,
        "last_commit": {"id": SHA, "message": "Change"},
    }
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": GITLAB_USER,
        "project": GITLAB_PROJECT,
        "object_attributes": attributes,
        "labels": [],
        "changes": {},
    }


def gitlab_push(branch: str = "main") -> Json:
    """A push event (`Push Hook`)."""
    return {
        "object_kind": "push",
        "event_name": "push",
        "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
        "after": SHA,
        "ref": f"refs/heads/{branch}",
        "checkout_sha": SHA,
        "user_username": "alice",
        "project_id": 1,
        "project": GITLAB_PROJECT,
        "commits": [],
        "total_commits_count": 0,
    }


def gitlab_pipeline(iid: int = 0, kind: str = "pipeline") -> Json:
    """A pipeline event, of a merge request or of a branch; or a job event (`build`)."""
    request = {"id": 1000 + iid, "iid": iid, "source_branch": "b", "target_branch": "main"} if iid else None
    return {
        "object_kind": kind,
        "object_attributes": {"id": 31, "iid": 3, "ref": "main", "sha": SHA, "status": "success"},
        "merge_request": request,
        "user": GITLAB_USER,
        "project": GITLAB_PROJECT,
        "builds": [],
    }


GITHUB_REPOSITORY: Json = {
    "id": 1296269,
    "name": "config",
    "full_name": "acme/config",
    "private": True,
    "owner": {"login": "acme", "id": 1, "type": "Organization"},
    "default_branch": "main",
}
GITHUB_USER: Json = {"login": "alice", "id": 42, "type": "User"}


def _github(**more: Any) -> Json:
    return {**more, "repository": GITHUB_REPOSITORY, "sender": GITHUB_USER}


def github_comment(text: str, number: int = 7, *, pull: bool = True, action: str = "created") -> Json:
    """`issue_comment`, of a pull request or an issue."""
    issue = {"number": number, "title": "A change", **({"pull_request": {"url": "https://api"}} if pull else {})}
    return _github(action=action, issue=issue, comment={"id": 492700400, "body": text, "user": GITHUB_USER})


def github_pull(number: int = 7, action: str = "opened", base: str = "main", **more: Any) -> Json:
    """`pull_request`, or with a `review` `pull_request_review`."""
    pull = {"number": number, "state": "open", "head": {"ref": "b", "sha": SHA}, "base": {"ref": base, "sha": SHA}}
    return _github(action=action, number=number, pull_request=pull, **more)


def github_push(branch: str = "main") -> Json:
    """`push`."""
    return _github(ref=f"refs/heads/{branch}", before=SHA, after=SHA, commits=[], created=False, deleted=False)


def github_check(kind: str, *numbers: int) -> Json:
    """`check_run`, `check_suite` or `workflow_run` of these pull requests."""
    pulls = [{"id": 1, "number": each, "url": "https://api"} for each in numbers]
    about = {"id": 4, "head_sha": SHA, "status": "completed", "conclusion": "success", "pull_requests": pulls}
    return _github(action="completed", **{kind: about})


def github_status() -> Json:
    """`status`."""
    return _github(id=6805126730, sha=SHA, state="success", context="ci", branches=[{"name": "main"}])


def github_ping() -> Json:
    """`ping`."""
    return _github(zen="Design for failure.", hook_id=30, hook={"type": "Repository", "events": ["push"]})
