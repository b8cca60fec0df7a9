"""Endpoints of the fake GitHub about a repository: itself, its people, branches, checks, and the git data API."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import unquote

from worlds.fake_github_desk import REPO, Desk, body_of
from worlds.fake_github_git import HEADS, GitFailure, Signature, TreeEntry
from worlds.fake_github_model import PERMISSION, Activity, Project
from worlds.fake_github_shapes import stamp
from worlds.fake_github_state import denied, invalid
from worlds.fake_http import Answer, Request, Route

PERIODS = {"day": 1, "week": 7, "month": 30, "quarter": 91, "year": 365}


class RepoPages(Desk):
    """Repositories, branches and git objects."""

    routes: ClassVar[Sequence[Route]] = (
        Route("GET", REPO, "repository"),
        Route("GET", REPO + r"/collaborators/([^/]+)/permission", "permission"),
        Route("GET", REPO + r"/activity", "activity"),
        Route("GET", REPO + r"/branches", "branches"),
        Route("GET", REPO + r"/branches/(.+)", "branch"),
        Route("GET", REPO + r"/compare/(.+)", "compare"),
        Route("GET", REPO + r"/commits/(.+)/check-runs", "check_runs"),
        Route("GET", REPO + r"/commits/(.+)/status", "combined_status"),
        Route("GET", REPO + r"/git/ref/(.+)", "get_ref"),
        Route("GET", REPO + r"/git/matching-refs/(.+)", "matching_refs"),
        Route("POST", REPO + r"/git/refs", "create_ref"),
        Route("PATCH", REPO + r"/git/refs/(.+)", "update_ref"),
        Route("DELETE", REPO + r"/git/refs/(.+)", "delete_ref"),
        Route("GET", REPO + r"/git/commits/([^/]+)", "get_commit"),
        Route("POST", REPO + r"/git/commits", "create_commit"),
        Route("POST", REPO + r"/git/trees", "create_tree"),
        Route("POST", REPO + r"/git/blobs", "create_blob"),
    )

    def repository(self, request: Request) -> Answer:
        """The repository."""
        project = self.project(request)
        return Answer(200, self.shapes.full_repository(project, self.owner(project), self.role(project)))

    def permission(self, request: Request) -> Answer:
        """What somebody may do; only who may push is told."""
        project = self.project(request, "write")
        login = unquote(request.groups[1])
        if login not in self.world.users and login not in project.members:
            raise denied(404, f"{login} is not a user")
        role = project.role(login)
        user = self.world.user(login)
        return Answer(200, self.shapes.collaborator(project, user, role, PERMISSION[role]))

    def activity(self, request: Request) -> Answer:
        """What happened to branches, newest first."""
        project = self.project(request)
        rows = [each for each in project.activities if self._asked_for(request, each)]
        if request.get("direction", "desc") == "desc":
            rows.reverse()
        return self.listed(request, rows, self.shapes.activity)

    def _asked_for(self, request: Request, activity: Activity) -> bool:
        ref, period = request.get("ref"), request.get("time_period")
        return (
            ref in {"", activity.ref, activity.ref.removeprefix(HEADS)}
            and request.get("actor") in {"", activity.actor.login}
            and request.get("activity_type") in {"", activity.kind}
            and (not period or activity.timestamp >= self.now() - timedelta(days=PERIODS[period]))
        )

    def branches(self, request: Request) -> Answer:
        """Branches by name."""
        project = self.project(request)
        rows = [] if request.get("protected") == "true" else sorted(project.heads.items())
        return self.listed(request, rows, lambda row: self.shapes.branch(project, *row))

    def branch(self, request: Request) -> Answer:
        """One branch."""
        project, name = self.project(request), unquote(request.groups[1])
        if name not in project.heads:
            raise denied(404, "Branch not found")
        commit = project.repository.commit(project.heads[name])
        return Answer(200, self.shapes.branch_detail(project, name, commit))

    def compare(self, request: Request) -> Answer:
        """Two commits, as git sees them: `base...head`."""
        project = self.project(request)
        words = unquote(request.groups[1]).split("...")
        shas = [self._named(project, word) for word in words]
        common = project.repository.merge_base(*shas) if len(shas) == 2 and all(shas) else ""
        if not common:
            raise denied(404, "Not Found")
        base, head = shas
        ahead, behind = project.repository.between(base, head), project.repository.between(head, base)
        status = ("diverged" if behind else "ahead") if ahead else ("behind" if behind else "identical")
        page = f"{self.web}/{project.full_name}/compare/{words[0]}...{words[1]}"
        facts, rows = project.repository.commit, [*ahead]
        shown, headers = self.page(request, rows, 250)
        body = {
            "url": f"{self.shapes.repo_url(project)}/compare/{words[0]}...{words[1]}",
            **{f"{word}_url": page for word in ("html", "permalink")},
            **{f"{word}_url": f"{page}.{word}" for word in ("diff", "patch")},
            "base_commit": self.shapes.commit(project, facts(base)),
            "merge_base_commit": self.shapes.commit(project, facts(common)),
            "status": status,
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [self.shapes.commit(project, facts(sha)) for sha in shown],
            "files": [self.shapes.file(project, each, head) for each in project.repository.diff(common, head)],
        }
        return Answer(200, body, headers)

    def _named(self, project: Project, word: str) -> str:
        """The commit of `branch`, a sha, or `owner:branch`."""
        owner, _, name = word.rpartition(":")
        return project.repository.resolve(name) if owner in {"", project.owner} else ""

    def check_runs(self, request: Request) -> Answer:
        """The newest check of each name on a commit."""
        project = self.project(request)
        sha = project.repository.resolve(unquote(request.groups[1]))
        if not sha:
            raise denied(422, f"No commit found for SHA: {request.groups[1]}")
        rows = [run for run in project.checks if run.sha == sha]
        if request.get("filter", "latest") == "latest":
            rows = [*{run.name: run for run in rows}.values()]
        for name, value in (("status", "status"), ("check_name", "name")):
            rows = [run for run in rows if request.get(name) in {"", getattr(run, value)}]
        return self.listed(request, rows, lambda run: self.shapes.check_run(project, run), "check_runs")

    def combined_status(self, request: Request) -> Answer:
        """The newest status of each context on a commit."""
        project = self.project(request)
        sha = project.repository.resolve(unquote(request.groups[1]))
        if not sha:
            raise denied(404, "Not Found")
        rows = [*{status.context: status for status in project.statuses.get(sha, ())}.values()]
        return Answer(200, self.shapes.combined(project, self.owner(project), sha, rows))

    def get_ref(self, request: Request) -> Answer:
        """One ref by its full name without `refs/`."""
        project, name = self.project(request), f"refs/{unquote(request.groups[1])}"
        sha = project.repository.refs(name).get(name)
        if sha is None:
            raise denied(404, "Not Found")
        return Answer(200, self.shapes.ref(project, name, sha, project.repository.kind(sha)))

    def matching_refs(self, request: Request) -> Answer:
        """Refs that begin so, all on one page."""
        project = self.project(request)
        refs = project.repository.refs(f"refs/{unquote(request.groups[1])}")
        return Answer(200, [self.shapes.ref(project, name, sha) for name, sha in refs.items()])

    def create_ref(self, request: Request) -> Answer:
        """A new branch or tag."""
        project, body = self.project(request, "write"), body_of(request)
        name, sha = body["ref"], body["sha"]
        if not name.startswith("refs/") or name.count("/") < 2:
            raise invalid("Reference name must start with 'refs/' and contain at least two slashes.")
        if project.repository.kind(sha) != "commit":
            raise invalid("Object does not exist")
        if name in project.repository.refs(name):
            raise invalid("Reference already exists")
        self._move(project, name, sha)
        headers = {"Location": f"{self.shapes.repo_url(project)}/git/{name}"}
        return Answer(201, self.shapes.ref(project, name, sha), headers)

    def update_ref(self, request: Request) -> Answer:
        """Move a branch, forward only unless forced."""
        project, body = self.project(request, "write"), body_of(request)
        name, sha = f"refs/{unquote(request.groups[1])}", body["sha"]
        present = project.repository.refs(name).get(name)
        if present is None:
            raise invalid("Reference does not exist")
        if project.repository.kind(sha) != "commit":
            raise invalid("Object does not exist")
        if not body.get("force") and not project.repository.is_ancestor(present, sha):
            raise invalid("Update is not a fast forward")
        self._move(project, name, sha)
        return Answer(200, self.shapes.ref(project, name, sha))

    def delete_ref(self, request: Request) -> Answer:
        """Delete a branch; not the default one."""
        project, name = self.project(request, "write"), f"refs/{unquote(request.groups[1])}"
        if name not in project.repository.refs(name):
            raise invalid("Reference does not exist")
        if name == HEADS + project.default_branch:
            raise invalid("Cannot delete the default branch")
        self._move(project, name, "")
        return Answer(204)

    def _move(self, project: Project, name: str, sha: str) -> None:
        if not name.startswith(HEADS):
            project.repository.move(name, sha)
        elif project.heads.get(name.removeprefix(HEADS)) != sha:
            self.world.move(project, name.removeprefix(HEADS), sha, self.me)

    def get_commit(self, request: Request) -> Answer:
        """One commit."""
        project, sha = self.project(request), request.groups[1]
        if project.repository.kind(sha) != "commit":
            raise denied(404, "Not Found")
        return Answer(200, self.shapes.git_commit(project, project.repository.commit(sha)))

    def create_commit(self, request: Request) -> Answer:
        """A commit object; the committer is the author unless said otherwise, dates are now."""
        project, body = self.project(request, "write"), body_of(request)
        parents = body.get("parents", [])
        if project.repository.kind(body["tree"]) != "tree":
            raise invalid("Tree SHA does not exist")
        if any(project.repository.kind(parent) != "commit" for parent in parents):
            raise invalid("Parent SHA does not exist or is not a commit object")
        author = self._signed(body.get("author") or {})
        committer = self._signed(body["committer"]) if body.get("committer") else author
        sha = project.repository.write_commit(body["tree"], parents, body["message"], author, committer)
        shape = self.shapes.git_commit(project, project.repository.commit(sha))
        return Answer(201, shape, {"Location": shape["url"]})

    def _signed(self, who: Mapping[str, Any]) -> Signature:
        login = self.me.login
        email = f"{self.me.id}+{login}@users.noreply.example"
        return Signature(who.get("name", login), who.get("email", email), who.get("date") or stamp(self.world.tick()))

    def create_tree(self, request: Request) -> Answer:
        """A tree: `base_tree` with entries by blob or by content, or taken away with a null sha."""
        project, body = self.project(request, "write"), body_of(request)
        base = body.get("base_tree") or ""
        if base and project.repository.kind(base) not in {"tree", "commit"}:
            raise denied(404, "Not Found")
        entries = [self._entry(project, each) for each in body["tree"]]
        try:
            sha = project.repository.write_tree(base, entries)
        except GitFailure as failure:
            raise invalid(f"GitRPC::BadObjectState: {failure}") from failure
        shape = self.shapes.tree(project, sha, project.repository.top(sha))
        return Answer(201, shape, {"Location": shape["url"]})

    def _entry(self, project: Project, row: Mapping[str, Any]) -> TreeEntry:
        path, mode, kind = row.get("path", ""), row.get("mode", "100644"), row.get("type", "blob")
        if not path or path.startswith("/"):
            raise invalid("tree.path contains a malformed path component")
        if ("sha" in row) == ("content" in row):
            raise invalid("Must supply either tree.sha or tree.content")
        if "content" in row:
            return TreeEntry(mode, "blob", project.repository.write_blob(row["content"].encode()), path)
        if row["sha"] is not None and project.repository.kind(row["sha"]) != kind:
            raise invalid(f"tree.sha {row['sha']} is not a valid {kind}")
        return TreeEntry(mode, kind, row["sha"], path)

    def create_blob(self, request: Request) -> Answer:
        """A blob from text or base64."""
        project, body = self.project(request, "write"), body_of(request)
        content = body["content"].encode()
        sha = project.repository.write_blob(b64decode(content) if body.get("encoding") == "base64" else content)
        url = f"{self.shapes.repo_url(project)}/git/blobs/{sha}"
        return Answer(201, {"sha": sha, "url": url}, {"Location": url})
