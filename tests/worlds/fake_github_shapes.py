"""Users, repositories, refs and commits as GitHub's REST API shows them; every required attribute is there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from worlds.fake_github_git import CommitFacts, FileDiff, Signature, TreeEntry
from worlds.fake_github_model import ROLES, Activity, CheckRun, CommitStatus, Project, User, at_least

Json = dict[str, Any]

PERMISSION_WORDS = {"admin": "admin", "maintain": "maintain", "push": "write", "triage": "triage", "pull": "read"}


def stamp(moment: datetime) -> str:
    """A time as GitHub writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def optional(moment: datetime | None) -> str | None:
    """A time, or null."""
    return None if moment is None else stamp(moment)


class Shapes:
    """The shapes of one server; `web` is its address, the API stands below `web`/api/v3."""

    def __init__(self, web: str) -> None:
        self.web = web
        self.api = f"{web}/api/v3"

    def repo_url(self, project: Project) -> str:
        """The API's address of a repository."""
        return f"{self.api}/repos/{project.full_name}"

    def user(self, user: User) -> Json:
        """A simple user."""
        url = f"{self.api}/users/{quote(user.login)}"
        parts = ("followers", "following", "gists", "organizations", "received_events", "repos", "subscriptions")
        urls = {f"{part}_url": f"{url}/{part.replace('organizations', 'orgs')}" for part in parts}
        return urls | {
            "login": user.login,
            "id": user.id,
            "node_id": f"U_{user.id}",
            "avatar_url": f"{self.web}/avatars/u/{user.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.web}/{'apps/' * user.bot}{quote(user.login.removesuffix('[bot]'))}",
            "events_url": f"{url}/events{{/privacy}}",
            "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
            "type": "Bot" if user.bot else "User",
            "site_admin": False,
        }

    def private_user(self, user: User, since: datetime) -> Json:
        """The user whose token it is."""
        numbers = ("followers", "following", "public_gists", "public_repos", "collaborators", "disk_usage")
        more = ("owned_private_repos", "private_gists", "total_private_repos")
        unsaid = ("bio", "blog", "company", "email", "hireable", "location", "name")
        return (
            self.user(user)
            | dict.fromkeys((*numbers, *more), 0)
            | dict.fromkeys(unsaid)
            | {"two_factor_authentication": True, "created_at": stamp(since), "updated_at": stamp(since)}
        )

    def app(self, identity: int, slug: str, owner: User, since: datetime) -> Json:
        """An app (`integration`)."""
        return {
            "id": identity,
            "slug": slug,
            "node_id": f"A_{identity}",
            "owner": self.user(owner),
            "name": slug,
            "description": None,
            "external_url": f"{self.web}/apps/{slug}",
            "html_url": f"{self.web}/apps/{slug}",
            "created_at": stamp(since),
            "updated_at": stamp(since),
            "permissions": {"contents": "write", "issues": "write", "metadata": "read", "checks": "read"},
            "events": ["issue_comment"],
        }

    def installation(self, identity: int, app: int, slug: str, owner: User, since: datetime) -> Json:
        """An installation of an app."""
        return {
            "id": identity,
            "app_id": app,
            "app_slug": slug,
            "target_id": owner.id,
            "target_type": "Organization",
            "single_file_name": None,
            "repository_selection": "selected",
            "access_tokens_url": f"{self.api}/app/installations/{identity}/access_tokens",
            "html_url": f"{self.web}/organizations/{owner.login}/settings/installations/{identity}",
            "repositories_url": f"{self.api}/installation/repositories",
            "events": ["issue_comment"],
            "account": self.user(owner),
            "permissions": {"contents": "write", "issues": "write", "pull_requests": "write", "metadata": "read"},
            "created_at": stamp(since),
            "updated_at": stamp(since),
            "suspended_by": None,
            "suspended_at": None,
        }

    def collaborator(self, project: Project, user: User, role: str, permission: str) -> Json:
        """What somebody may do in a repository."""
        said = self.user(user) | {"role_name": role, "permissions": self.permissions(role)}
        return {"permission": permission, "role_name": role, "user": said if user.login in project.members else None}

    def permissions(self, role: str) -> Json:
        """The five switches of a role."""
        return {word: role in ROLES and at_least(role, wanted) for word, wanted in PERMISSION_WORDS.items()}

    def repository(self, project: Project, owner: User) -> Json:
        """A repository, as nested in other answers."""
        url, web = self.repo_url(project), f"{self.web}/{project.full_name}"
        opened = sum(issue.state == "open" for issue in project.issues.values())
        return _urls(url) | {
            "id": project.id,
            "node_id": f"R_{project.id}",
            "name": project.name,
            "full_name": project.full_name,
            "owner": self.user(owner),
            "private": project.private,
            "visibility": "private" if project.private else "public",
            "html_url": web,
            "url": url,
            "description": None,
            "homepage": None,
            "language": None,
            "mirror_url": None,
            "license": None,
            "fork": project.parent is not None,
            "clone_url": f"{web}.git",
            "git_url": f"git://{web.partition('://')[2]}.git",
            "ssh_url": f"git@127.0.0.1:{project.full_name}.git",
            "svn_url": web,
            "default_branch": project.default_branch,
            **dict.fromkeys(("forks", "forks_count", "size", "stargazers_count", "watchers", "watchers_count"), 0),
            "open_issues": opened,
            "open_issues_count": opened,
            **dict.fromkeys(("has_issues", "has_projects", "has_wiki", "has_downloads"), True),
            **dict.fromkeys(("has_pages", "has_discussions", "archived", "disabled"), False),
            "pushed_at": stamp(project.activities[-1].timestamp if project.activities else project.created_at),
            "created_at": stamp(project.created_at),
            "updated_at": stamp(project.created_at),
        }

    def full_repository(self, project: Project, owner: User, role: str) -> Json:
        """A repository by itself, with what the token may do there."""
        return self.repository(project, owner) | {
            "network_count": 0,
            "subscribers_count": 0,
            "permissions": self.permissions(role),
            "allow_merge_commit": True,
            "allow_squash_merge": True,
            "allow_rebase_merge": False,
            "allow_auto_merge": project.allow_auto_merge,
            "delete_branch_on_merge": project.delete_branch_on_merge,
        }

    def ref(self, project: Project, name: str, sha: str, kind: str = "commit") -> Json:
        """A git ref."""
        url = self.repo_url(project)
        return {
            "ref": name,
            "node_id": f"REF_{project.id}_{name}",
            "url": f"{url}/git/{name}",
            "object": {"sha": sha, "type": kind, "url": f"{url}/git/{kind}s/{sha}"},
        }

    def git_commit(self, project: Project, commit: CommitFacts) -> Json:
        """A commit of the git data API."""
        url, web = self.repo_url(project), f"{self.web}/{project.full_name}"
        return {
            "sha": commit.sha,
            "node_id": f"C_{commit.sha}",
            "url": f"{url}/git/commits/{commit.sha}",
            "html_url": f"{web}/commit/{commit.sha}",
            "author": _signature(commit.author),
            "committer": _signature(commit.committer),
            "tree": {"sha": commit.tree, "url": f"{url}/git/trees/{commit.tree}"},
            "message": commit.message,
            "parents": [
                {"sha": sha, "url": f"{url}/git/commits/{sha}", "html_url": f"{web}/commit/{sha}"}
                for sha in commit.parents
            ],
            "verification": _unsigned(),
        }

    def commit(self, project: Project, commit: CommitFacts) -> Json:
        """A commit of the repository API."""
        url, web = f"{self.repo_url(project)}/commits/{commit.sha}", f"{self.web}/{project.full_name}"
        facts = self.git_commit(project, commit)
        return {
            "sha": commit.sha,
            "node_id": facts["node_id"],
            "url": url,
            "html_url": f"{web}/commit/{commit.sha}",
            "comments_url": f"{url}/comments",
            "commit": {key: facts[key] for key in ("author", "committer", "message", "tree", "url", "verification")}
            | {"comment_count": 0},
            "author": None,
            "committer": None,
            "parents": facts["parents"],
        }

    def tree(self, project: Project, sha: str, entries: list[TreeEntry]) -> Json:
        """A tree with the names at its root."""
        url = f"{self.repo_url(project)}/git"
        rows = [
            {"path": each.path, "mode": each.mode, "type": each.kind, "sha": each.sha}
            | ({"size": each.size} if each.size is not None else {})
            | {"url": f"{url}/{each.kind}s/{each.sha}"}
            for each in entries
        ]
        return {"sha": sha, "url": f"{url}/trees/{sha}", "tree": rows, "truncated": False}

    def branch(self, project: Project, name: str, sha: str) -> Json:
        """A branch in a list."""
        url = f"{self.repo_url(project)}/commits/{sha}"
        return {"name": name, "commit": {"sha": sha, "url": url}, "protected": False}

    def branch_detail(self, project: Project, name: str, commit: CommitFacts) -> Json:
        """A branch by itself."""
        url = f"{self.repo_url(project)}/branches/{name}"
        return {
            "name": name,
            "commit": self.commit(project, commit),
            "_links": {"self": url, "html": f"{self.web}/{project.full_name}/tree/{name}"},
            "protected": False,
            "protection": {"enabled": False},
            "protection_url": f"{url}/protection",
        }

    def file(self, project: Project, diff: FileDiff, sha: str) -> Json:
        """One file of a comparison."""
        web, url = f"{self.web}/{project.full_name}", self.repo_url(project)
        return {
            "sha": diff.blob,
            "filename": diff.path,
            "status": diff.status,
            "additions": diff.additions,
            "deletions": diff.deletions,
            "changes": diff.additions + diff.deletions,
            "blob_url": f"{web}/blob/{sha}/{diff.path}",
            "raw_url": f"{web}/raw/{sha}/{diff.path}",
            "contents_url": f"{url}/contents/{diff.path}?ref={sha}",
        } | ({"patch": diff.patch} if diff.patch else {})

    def activity(self, activity: Activity) -> Json:
        """What happened to a branch."""
        return {
            "id": activity.id,
            "node_id": f"PSH_{activity.id}",
            "before": activity.before,
            "after": activity.after,
            "ref": activity.ref,
            "timestamp": stamp(activity.timestamp),
            "activity_type": activity.kind,
            "actor": self.user(activity.actor),
        }

    def check_run(self, project: Project, run: CheckRun) -> Json:
        """A check of a commit."""
        url = f"{self.repo_url(project)}/check-runs/{run.id}"
        web = f"{self.web}/{project.full_name}/runs/{run.id}"
        output = dict.fromkeys(("title", "summary", "text")) | {"annotations_count": 0}
        return {
            "id": run.id,
            "node_id": f"CR_{run.id}",
            "head_sha": run.sha,
            "name": run.name,
            "url": url,
            "html_url": web,
            "details_url": web,
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": stamp(run.started_at),
            "completed_at": optional(run.completed_at),
            "external_id": "",
            "check_suite": {"id": run.id},
            "output": output | {"annotations_url": f"{url}/annotations"},
            "app": None,
            "pull_requests": [],
        }

    def combined(self, project: Project, owner: User, sha: str, statuses: list[CommitStatus]) -> Json:
        """The statuses of a commit taken together; `pending` where there are none."""
        words = {status.state for status in statuses}
        state = "failure" if words & {"failure", "error"} else "success" if words == {"success"} else "pending"
        url = f"{self.repo_url(project)}/commits/{sha}"
        repository = self.repository(project, owner)
        return {
            "state": state,
            "sha": sha,
            "total_count": len(statuses),
            "statuses": [
                {
                    "id": status.id,
                    "node_id": f"SC_{status.id}",
                    "context": status.context,
                    "state": status.state,
                    "description": None,
                    "target_url": None,
                    "avatar_url": None,
                    "url": f"{self.repo_url(project)}/statuses/{sha}",
                    "created_at": stamp(status.created_at),
                    "updated_at": stamp(status.created_at),
                }
                for status in statuses
            ],
            "repository": repository,
            "commit_url": url,
            "url": f"{url}/status",
        }


def _signature(who: Signature) -> Json:
    return {"name": who.name, "email": who.email, "date": who.date}


def _unsigned() -> Json:
    return {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


TEMPLATES: Mapping[str, str] = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "statuses_url": "/statuses/{sha}",
    "trees_url": "/git/trees{/sha}",
}
PLAIN = (
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "hooks",
    "languages",
    "merges",
    "stargazers",
    "subscribers",
    "subscription",
    "tags",
    "teams",
)


def _urls(url: str) -> Json:
    """The links of a repository to all that is below it."""
    return {key: url + rest for key, rest in TEMPLATES.items()} | {f"{word}_url": f"{url}/{word}" for word in PLAIN}
