"""The repository part of the fake GitLab's API: branches, commits, comparisons, files."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import unquote

from worlds.fake_gitlab_api import PROJECT, GitLabGround, truthy
from worlds.fake_gitlab_git import HEADS, GitFailure
from worlds.fake_gitlab_model import DEVELOPER, REPORTER, Project
from worlds.fake_http import Answer, Refusal, Request, Route

REPOSITORY = rf"{PROJECT}/repository"
Files = dict[str, tuple[str, str]]


class RepositoryApi(GitLabGround):
    """Handlers for what git keeps."""

    repository_routes = (
        Route("GET", rf"{REPOSITORY}/branches", "list_branches"),
        Route("GET", rf"{REPOSITORY}/branches/([^/]+)", "show_branch"),
        Route("DELETE", rf"{REPOSITORY}/branches/([^/]+)", "delete_branch"),
        Route("GET", rf"{REPOSITORY}/commits", "list_commits"),
        Route("POST", rf"{REPOSITORY}/commits", "write_commit"),
        Route("GET", rf"{REPOSITORY}/commits/([^/]+)", "show_commit"),
        Route("GET", rf"{REPOSITORY}/compare", "compare"),
        Route("GET", rf"{REPOSITORY}/files/([^/]+)/raw", "raw_file"),
    )

    def list_branches(self, request: Request) -> Answer:
        """Branches by name; `search` takes `^start`, `end$` or a part, `regex` an expression."""
        project, user = self.project(request)
        self.reads(request, "search", "regex", "sort")
        names = [
            name
            for name in sorted(project.heads)
            if _found(name, request.get("search")) and re.search(request.get("regex"), name)
        ]
        shape = self.entities.branch
        return self.paged(request, names, lambda name: shape(project, name, project.heads[name], user))

    def show_branch(self, request: Request) -> Answer:
        """One branch."""
        project, user = self.project(request)
        name = self._branch(request, project)
        return Answer(200, self.entities.branch(project, name, project.heads[name], user))

    def delete_branch(self, request: Request) -> Answer:
        """Delete a branch that is not protected."""
        project, user = self.project(request, DEVELOPER)
        name = self._branch(request, project)
        if name in project.protected:
            raise Refusal(403, {"message": "403 Forbidden - protected branch"})
        self.state.delete_branch(project, name)
        self.state.sync(project, user)
        return Answer(204)

    def list_commits(self, request: Request) -> Answer:
        """The history of a ref, newest first."""
        project, _ = self.project(request)
        self.reads(request, "ref_name")
        head = self._resolved(project, request.get("ref_name") or project.default_branch)
        commits = project.repository.between("", head)
        return self.paged(request, commits, lambda commit: self.entities.commit(project, commit))

    def show_commit(self, request: Request) -> Answer:
        """One commit."""
        project, _ = self.project(request)
        return Answer(200, self._commit(project, self._resolved(project, unquote(request.groups[1]))))

    def compare(self, request: Request) -> Answer:
        """Commits and files between two refs, from their merge base unless `straight`."""
        project, _ = self.project(request)
        self.reads(request, "from", "to", "straight")
        old, new = (self._resolved(project, request.get(name)) for name in ("from", "to"))
        repository = project.repository
        base = old if truthy(request.get("straight")) else repository.merge_base(old, new) or old
        commits = repository.between(old, new)[::-1]
        last = self.entities.commit(project, commits[-1]) if commits else None
        body = {
            "commit": last,
            "commits": [self.entities.commit(project, commit) for commit in commits],
            "diffs": [self.entities.diff(diff) for diff in repository.diff(base, new)],
            "compare_timeout": False,
            "compare_same_ref": old == new,
            "web_url": f"{self.entities.page(project)}/-/compare/{old}...{new}",
        }
        return Answer(200, body)

    def raw_file(self, request: Request) -> Answer:
        """The bytes of a file."""
        project, _ = self.project(request, REPORTER)
        self.reads(request, "ref")
        commit = self._resolved(project, request.get("ref") or project.default_branch)
        content = project.repository.read(commit, unquote(request.groups[1]))
        if content is None:
            raise Refusal(404, {"message": "404 File Not Found"})
        return Answer(200, content)

    def write_commit(self, request: Request) -> Answer:
        """A commit over several files on a branch, which `force` may rebuild from `start_sha` or `start_branch`."""
        project, user = self.project(request, DEVELOPER)
        body = self.body(request, "branch", "commit_message")
        branch, repository = str(body["branch"]), project.repository
        if not self.state.may_push(project, user, branch):
            raise Refusal(403, {"message": "403 Forbidden - You are not allowed to push into this branch"})
        parent = self._parent(project, branch, body)
        files = repository.read_tree(parent)
        for action in body.get("actions") or ():
            self._apply(project, parent, files, action)
        committer = (user.username, f"{user.username}@localhost")
        author = (str(body.get("author_name") or committer[0]), str(body.get("author_email") or committer[1]))
        made = repository.write_commit(
            repository.write_tree(files),
            [parent] if parent else [],
            str(body["commit_message"]),
            author,
            committer,
            self.state.tick(),
        )
        old = project.heads.get(branch, "0" * 40)
        try:
            repository.update({f"{HEADS}{branch}": (made, old)})
        except GitFailure as failure:
            raise Refusal(
                400, {"message": f"Could not update {HEADS}{branch}. Please refresh and try again."}
            ) from failure
        self.state.sync(project, user)
        return Answer(201, self._commit(project, made))

    def _parent(self, project: Project, branch: str, body: dict[str, Any]) -> str:
        """The commit to build on; 400 where the branch is in the way or the start is missing."""
        start_branch, start_sha = body.get("start_branch"), body.get("start_sha")
        if start_branch and start_sha:
            raise Refusal(400, {"error": "start_branch, start_sha are mutually exclusive"})
        if not start_branch and not start_sha:
            if branch not in project.heads and project.heads:
                raise Refusal(400, {"message": "You can only create or edit files when you are on a branch"})
            return project.heads.get(branch, "")
        if branch in project.heads and not truthy(body.get("force")) and branch != start_branch:
            text = f"A branch called '{branch}' already exists. Switch to that branch in order to make changes"
            raise Refusal(400, {"message": text})
        if start_sha and not re.fullmatch(r"[0-9a-f]{40}", str(start_sha)):
            raise Refusal(400, {"message": f"Invalid start_sha '{start_sha}'"})
        start = project.repository.resolve(str(start_sha)) if start_sha else project.heads.get(str(start_branch), "")
        if not start:
            raise Refusal(400, {"message": f"Cannot find start_{'sha' if start_sha else 'branch'}"})
        return start

    def _apply(self, project: Project, parent: str, files: Files, action: dict[str, Any]) -> None:
        """One action on the files."""
        verb, path = action["action"], str(action["file_path"])
        old = str(action.get("previous_path") or path)
        if verb == "create" and path in files:
            raise Refusal(400, {"message": "A file with this name already exists"})
        if verb != "create" and old not in files:
            raise Refusal(400, {"message": "A file with this name doesn't exist"})
        self._check_last_commit(project, parent, old, str(action.get("last_commit_id") or ""))
        mode, blob = files.pop(old) if verb == "move" else files.get(path, ("100644", ""))
        if verb == "delete":
            del files[path]
            return
        if verb == "chmod":
            mode = "100755" if truthy(action.get("execute_filemode")) else "100644"
        elif verb != "move" or action.get("content") is not None:
            blob = project.repository.write_blob(_content(action))
        files[path] = (mode, blob)

    @staticmethod
    def _check_last_commit(project: Project, parent: str, path: str, last: str) -> None:
        """Refuse an edit of a file that changed since the commit that is named."""
        if last and project.repository.git("log", "-1", "--format=%H", parent, "--", path).decode().strip() != last:
            raise Refusal(400, {"message": f"The file has changed since you started editing it: {path}"})

    def _commit(self, project: Project, sha: str) -> dict[str, Any]:
        """CommitDetail."""
        stats = {"additions": 0, "deletions": 0, "total": 0}
        for line in project.repository.git("show", "--numstat", "--format=", sha).decode().splitlines():
            added, removed = (int(word) if word.isdigit() else 0 for word in line.split("\t")[:2])
            stats["additions"] += added
            stats["deletions"] += removed
            stats["total"] += added + removed
        shape = self.entities.commit(project, project.repository.commit(sha))
        return {**shape, "stats": stats, "status": None, "project_id": project.id, "last_pipeline": None}

    def _resolved(self, project: Project, word: str) -> str:
        """The commit that a word names; 404 if none."""
        sha = project.repository.resolve(word) if word else ""
        if not sha:
            raise Refusal(404, {"message": "404 Commit Not Found"})
        return sha

    @staticmethod
    def _branch(request: Request, project: Project) -> str:
        """The branch of the address; 404 if there is none."""
        name = unquote(request.groups[1])
        if name not in project.heads:
            raise Refusal(404, {"message": "404 Branch Not Found"})
        return name


def _content(action: dict[str, Any]) -> bytes:
    """The bytes of an action."""
    text = str(action.get("content") or "")
    if action.get("encoding") != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Refusal(400, {"message": "Content is not valid base64"}) from error


def _found(name: str, search: str) -> bool:
    """Whether a branch name matches a search."""
    if search.startswith("^"):
        return name.lower().startswith(search[1:].lower())
    if search.endswith("$"):
        return name.lower().endswith(search[:-1].lower())
    return search.lower() in name.lower()
