"""Endpoints of the fake GitHub about pull requests, issues, comments, reactions, labels and reviews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import unquote

from worlds.fake_github_desk import INTEGRATION, REPO, Desk, body_of, ordered
from worlds.fake_github_model import Comment, Issue, Project, Pull, Reaction, at_least
from worlds.fake_github_shapes import stamp
from worlds.fake_github_state import MODIFIED, denied, invalid
from worlds.fake_http import Answer, Request, Route

SORTS = {
    "created": lambda issue: (issue.created_at, issue.number),
    "updated": lambda issue: (issue.updated_at, issue.number),
    "comments": lambda issue: (len(issue.comments), issue.number),
    "popularity": lambda issue: (len(issue.comments), issue.number),
    "long-running": lambda issue: (issue.created_at, issue.number),
}
LONGEST = 65536
"""Characters of a body at most."""


class IssuePages(Desk):
    """What people and the bot talk in."""

    routes: ClassVar[Sequence[Route]] = (
        Route("GET", REPO + r"/pulls", "pulls"),
        Route("POST", REPO + r"/pulls", "open_pull"),
        Route("GET", REPO + r"/pulls/(\d+)", "get_pull"),
        Route("PATCH", REPO + r"/pulls/(\d+)", "update_pull"),
        Route("PUT", REPO + r"/pulls/(\d+)/merge", "merge_pull"),
        Route("GET", REPO + r"/pulls/(\d+)/reviews", "reviews"),
        Route("GET", REPO + r"/issues", "issues"),
        Route("POST", REPO + r"/issues", "open_issue"),
        Route("GET", REPO + r"/issues/(\d+)", "get_issue"),
        Route("PATCH", REPO + r"/issues/(\d+)", "update_issue"),
        Route("POST", REPO + r"/issues/(\d+)/labels", "add_labels"),
        Route("DELETE", REPO + r"/issues/(\d+)/labels/([^/]+)", "remove_label"),
        Route("GET", REPO + r"/issues/(\d+)/comments", "comments"),
        Route("POST", REPO + r"/issues/(\d+)/comments", "write_comment"),
        Route("GET", REPO + r"/issues/comments/(\d+)", "get_comment"),
        Route("PATCH", REPO + r"/issues/comments/(\d+)", "edit_comment"),
        Route("GET", REPO + r"/issues/comments/(\d+)/reactions", "reactions"),
        Route("POST", REPO + r"/issues/comments/(\d+)/reactions", "react"),
    )

    def pulls(self, request: Request) -> Answer:
        """Pull requests by state, base and head (`owner:branch`)."""
        project = self.project(request)
        rows = self._in_state(request, project.pulls)
        base, head = request.get("base"), request.get("head")
        rows = [
            pull for pull in rows if base in {"", pull.base_ref} and head in {"", self.shapes.head_label(project, pull)}
        ]
        rows = ordered(request, rows, SORTS, "desc" if request.get("sort", "created") == "created" else "asc")
        return self.listed(request, rows, lambda pull: self.shapes.pull(project, pull, self.owner(project)))

    def _in_state(self, request: Request, rows: Sequence[Any]) -> list[Any]:
        state = request.get("state", "open")
        return [row for row in rows if state in {"all", row.state}]

    def open_pull(self, request: Request) -> Answer:
        """A new pull request; within the repository only by who may push."""
        project, body = self.project(request), body_of(request)
        if ":" not in body["head"]:
            self.project(request, "write")
        if not body.get("title"):
            raise invalid("Validation Failed", {"resource": "PullRequest", "field": "title", "code": "missing_field"})
        draft = bool(body.get("draft"))
        words = (body["head"], body["base"], body["title"], self._text(body.get("body")))
        pull = self.world.open_pull(project, self.me, *words, draft=draft)
        return Answer(201, self._detail(project, pull), {"Location": self.shapes.pull_url(project, pull)})

    def get_pull(self, request: Request) -> Answer:
        """One pull request in detail; asking makes the server work out whether it can be merged."""
        project = self.project(request)
        return Answer(200, self._detail(project, self._pull(project, request), reading=True))

    def _detail(self, project: Project, pull: Pull, *, reading: bool = False) -> Any:
        mergeability = self.world.mergeability(project, pull, reading=reading)
        return self.shapes.pull_detail(project, pull, self.owner(project), mergeability)

    def update_pull(self, request: Request) -> Answer:
        """Title, body, state, base."""
        project = self.project(request)
        pull = self._pull(project, request)
        self._change(project, pull, body_of(request))
        return Answer(200, self._detail(project, pull))

    def merge_pull(self, request: Request) -> Answer:
        """Merge it, if its head is `sha` where that is given."""
        project, body = self.project(request, "write"), body_of(request)
        pull = self._pull(project, request)
        if body.get("sha") and body["sha"] != pull.head_sha and pull.state == "open":
            raise denied(409, MODIFIED)
        words = {"title": body.get("commit_title", ""), "text": body.get("commit_message", "")}
        sha = self.world.merge(project, pull, self.me, method=body.get("merge_method", "merge"), **words)
        return Answer(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})

    def reviews(self, request: Request) -> Answer:
        """Reviews, oldest first."""
        project = self.project(request)
        pull = self._pull(project, request)
        return self.listed(request, pull.reviews, lambda review: self.shapes.review(project, pull, review))

    def issues(self, request: Request) -> Answer:
        """Issues, pull requests among them."""
        project = self.project(request)
        labels = {word for word in request.get("labels").split(",") if word}
        rows = [
            issue
            for issue in self._in_state(request, [*project.issues.values()])
            if labels <= {label.name for label in issue.labels}
            and request.get("creator") in {"", issue.user.login}
            and stamp(issue.updated_at) >= request.get("since")
        ]
        rows = ordered(request, rows, SORTS, "desc")
        return self.listed(request, rows, lambda issue: self.shapes.issue(project, issue, detail=False))

    def open_issue(self, request: Request) -> Answer:
        """A new issue; labels are taken from who may set them only."""
        project, body = self.project(request), body_of(request)
        names = self._names(body.get("labels", [])) if at_least(self.role(project), "triage") else []
        issue = self.world.open_issue(project, self.me, str(body["title"]), self._text(body.get("body")), names)
        location = f"{self.shapes.repo_url(project)}/issues/{issue.number}"
        return Answer(201, self.shapes.issue(project, issue, detail=True), {"Location": location})

    def get_issue(self, request: Request) -> Answer:
        """One issue, with who closed it."""
        project = self.project(request)
        return Answer(200, self.shapes.issue(project, self._issue(project, request), detail=True))

    def update_issue(self, request: Request) -> Answer:
        """Title, body, state, labels."""
        project = self.project(request)
        issue = self._issue(project, request)
        self._change(project, issue, body_of(request))
        return Answer(200, self.shapes.issue(project, issue, detail=True))

    def _change(self, project: Project, issue: Issue, body: Any) -> None:
        """What a PATCH asks for, by the author or who may triage."""
        if self.me != issue.user and not at_least(self.role(project), "triage"):
            raise denied(403, INTEGRATION if self.integration else "Must have admin rights to Repository.")
        fields = {"title": body.get("title"), "body": self._text(body.get("body"))}
        for name, value in fields.items():
            if value is not None and value != getattr(issue, name):
                setattr(issue, name, value)
                issue.updated_at = self.world.tick()
        if "labels" in body:
            issue.labels = [self.world.label(project, name) for name in self._names(body["labels"])]
            issue.updated_at = self.world.tick()
        if isinstance(issue, Pull) and body.get("base") in project.heads:
            issue.base_ref, issue.base_sha = body["base"], project.heads[body["base"]]
        if body.get("state") == "closed":
            self.world.close(issue, self.me)
        elif body.get("state") == "open" and issue.state == "closed":
            self.world.reopen(project, issue)

    def add_labels(self, request: Request) -> Answer:
        """Labels beside those that are there; all of them in answer."""
        project, body = self.project(request, "triage"), body_of(request)
        issue = self._issue(project, request)
        for name in self._names(body if isinstance(body, list) else body.get("labels", [])):
            label = self.world.label(project, name)
            if label not in issue.labels:
                issue.labels.append(label)
                issue.updated_at = self.world.tick()
        return Answer(200, [self.shapes.label(project, label) for label in issue.labels])

    def remove_label(self, request: Request) -> Answer:
        """Take one off; those that are left in answer, and 404 where it was not on it."""
        project = self.project(request, "triage")
        issue = self._issue(project, request)
        left = [label for label in issue.labels if label.name != unquote(request.groups[2])]
        if left == issue.labels:
            raise denied(404, "Label does not exist")
        issue.labels, issue.updated_at = left, self.world.tick()
        return Answer(200, [self.shapes.label(project, label) for label in left])

    def comments(self, request: Request) -> Answer:
        """Comments, oldest first."""
        project = self.project(request)
        since = request.get("since")
        rows = [row for row in self._issue(project, request).comments if stamp(row.updated_at) >= since]
        return self.listed(request, rows, lambda comment: self.shapes.comment(project, comment))

    def write_comment(self, request: Request) -> Answer:
        """A new comment."""
        project = self.project(request)
        issue, text = self._issue(project, request), self._text(body_of(request)["body"])
        if not text or not text.strip():
            raise invalid("Validation Failed", {"resource": "IssueComment", "code": "missing_field", "field": "body"})
        shape = self.shapes.comment(project, self.world.comment(issue, self.me, text))
        return Answer(201, shape, {"Location": shape["url"]})

    def get_comment(self, request: Request) -> Answer:
        """One comment."""
        project = self.project(request)
        return Answer(200, self.shapes.comment(project, self._comment(project, request)[1]))

    def edit_comment(self, request: Request) -> Answer:
        """Another text, by the author or who may push."""
        project = self.project(request)
        issue, comment = self._comment(project, request)
        if self.me != comment.user and not at_least(self.role(project), "write"):
            raise denied(403, INTEGRATION if self.integration else "Must have admin rights to Repository.")
        text = self._text(body_of(request)["body"]) or ""
        return Answer(200, self.shapes.comment(project, self.world.edit_comment(issue, comment, text)))

    def reactions(self, request: Request) -> Answer:
        """Reactions to a comment."""
        project = self.project(request)
        content = request.get("content")
        rows = [row for row in self._comment(project, request)[1].reactions if content in {"", row.content}]
        return self.listed(request, rows, self.shapes.reaction)

    def react(self, request: Request) -> Answer:
        """React; once more gives the reaction that is there."""
        project, content = self.project(request), body_of(request)["content"]
        _, comment = self._comment(project, request)
        for reaction in comment.reactions:
            if (reaction.user, reaction.content) == (self.me, content):
                return Answer(200, self.shapes.reaction(reaction))
        reaction = Reaction(self.world.id(), self.me, content, self.world.tick())
        comment.reactions.append(reaction)
        return Answer(201, self.shapes.reaction(reaction))

    def _issue(self, project: Project, request: Request) -> Issue:
        issue = project.issues.get(int(request.groups[1]))
        if issue is None:
            raise denied(404, "Not Found")
        return issue

    def _pull(self, project: Project, request: Request) -> Pull:
        issue = self._issue(project, request)
        if not isinstance(issue, Pull):
            raise denied(404, "Not Found")
        return issue

    def _comment(self, project: Project, request: Request) -> tuple[Issue, Comment]:
        for issue in project.issues.values():
            for comment in issue.comments:
                if comment.id == int(request.groups[1]):
                    return issue, comment
        raise denied(404, "Not Found")

    def _text(self, text: str | None) -> str | None:
        """A body, if it is not too long."""
        if text is not None and len(text) > LONGEST:
            raise invalid(
                "Validation Failed", {"code": "custom", "message": "body is too long (maximum is 65536 characters)"}
            )
        return text

    def _names(self, labels: Sequence[Any]) -> list[str]:
        """Labels said by name or as objects."""
        return [label if isinstance(label, str) else label["name"] for label in labels]
