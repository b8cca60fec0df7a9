"""Endpoints of the fake GitHub about who asks: the user, the app and its installations; and GraphQL's auto-merge."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from worlds import planted
from worlds.fake_github_desk import INTEGRATION, PREFIX, REPO, Desk, body_of
from worlds.fake_github_model import AutoMerge, Identity, Project, Pull, at_least
from worlds.fake_github_state import MODIFIED, denied
from worlds.fake_http import Answer, Request, Route

MUTATION = re.compile(
    r"mutation\s*\w*\s*\(\$input: (?P<type>\w+)!\)\s*\{\s*(?P<name>\w+)\(input: \$input\)\s*\{(?P<fields>.*)\}\s*\}",
    re.DOTALL,
)
INPUTS = {
    "enablePullRequestAutoMerge": {
        "pullRequestId", "authorEmail", "clientMutationId", "commitBody", "commitHeadline", "expectedHeadOid",
        "mergeMethod",
    },
    "disablePullRequestAutoMerge": {"pullRequestId", "clientMutationId"},
}  # fmt: skip
FIELDS = {"actor", "avatarUrl", "login", "resourcePath", "url", "clientMutationId"}
APP = 77
"""The app's id."""
INSTALLATION = 7701
"""The id of its only installation."""


class AppPages(Desk):
    """Users, apps, GraphQL. `app_slug` is the app's name; its user is `app_slug`[bot]."""

    app_slug: str
    installed_on: Project
    routes: ClassVar[Sequence[Route]] = (
        Route("GET", PREFIX + r"/user", "user"),
        Route("GET", PREFIX + r"/app", "app"),
        Route("GET", PREFIX + r"/app/installations", "installations"),
        Route("GET", REPO + r"/installation", "repo_installation"),
        Route("POST", PREFIX + r"/app/installations/(\d+)/access_tokens", "access_token"),
        Route("POST", r"/api/graphql", "graphql"),
    )

    @cached_property
    def app_key(self) -> str:
        """The app's private key as PEM, made when it is first asked for."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def user(self, request: Request) -> Answer:
        """Whose token it is; apps and workflows are no users."""
        del request
        me = self.me
        if self.integration:
            raise denied(403, INTEGRATION)
        return Answer(200, self.shapes.private_user(me, self.installed_on.created_at))

    def _require_app(self, request: Request) -> None:
        """Only the app itself, by a token that its key signed and that is good for at most ten minutes."""
        token = request.headers.get("authorization", "").partition(" ")[2]
        public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        try:
            claims = jwt.decode(token, public, algorithms=["RS256"], options={"require": ["iss", "exp", "iat"]})
        except jwt.PyJWTError as error:
            raise denied(401, "A JSON web token could not be decoded") from error
        if str(claims["iss"]) != str(APP) or claims["exp"] - claims["iat"] > 660:
            raise denied(401, "'Issuer' claim or life of the token is not right")

    def app(self, request: Request) -> Answer:
        """The app."""
        self._require_app(request)
        project = self.installed_on
        return Answer(200, self.shapes.app(APP, self.app_slug, self.owner(project), project.created_at))

    def _installation(self) -> Any:
        project = self.installed_on
        return self.shapes.installation(INSTALLATION, APP, self.app_slug, self.owner(project), project.created_at)

    def installations(self, request: Request) -> Answer:
        """Where the app is installed."""
        self._require_app(request)
        row, owner = self._installation(), self.installed_on.owner
        # In lists the document wants an account to be a user and an enterprise in one.
        row["account"] |= {"name": owner, "slug": owner, "created_at": None, "updated_at": None}
        return self.listed(request, [row], lambda shown: shown)

    def repo_installation(self, request: Request) -> Answer:
        """The installation of a repository's owner."""
        self._require_app(request)
        project = self.world.projects.get(request.groups[0])
        if project is None or project.owner != self.installed_on.owner:
            raise denied(404, "Not Found")
        return Answer(200, self._installation())

    def access_token(self, request: Request) -> Answer:
        """A token of the installation."""
        self._require_app(request)
        if request.groups[0] != str(INSTALLATION):
            raise denied(404, "Not Found")
        token = planted.token(f"installation-{self.world.id()}")
        self.identities[token] = Identity(self.world.user(f"{self.app_slug}[bot]"), "installation")
        ends = datetime.now(UTC) + timedelta(hours=1)  # clients hold it against their own clock
        shape = {"token": token, "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "repository_selection": "selected"}
        return Answer(201, shape | {"permissions": {"contents": "write", "issues": "write", "metadata": "read"}})

    def graphql(self, request: Request) -> Answer:
        """Auto-merge on and off, which REST does not have; any other query is a violation."""
        who, body = self.me, body_of(request)
        match = MUTATION.fullmatch(body.get("query", "").strip())
        name = match["name"] if match else ""
        given = body.get("variables", {}).get("input", {})
        wrong = _wrong(name, "" if match is None else match["type"], "" if match is None else match["fields"], given)
        if wrong:
            self.violations.append(f"POST {request.path}: {wrong}")
            return Answer(200, {"errors": [{"type": "undefinedField", "message": wrong}]})
        found = self._pull_of(given["pullRequestId"])
        if found is None:
            message = f"Could not resolve to a node with the global id of '{given['pullRequestId']}'"
            return _failed(name, "NOT_FOUND", message)
        project, pull = found
        if not at_least(self.role(project), "write"):
            return _failed(name, "FORBIDDEN", f"{who.login} does not have the correct permissions to execute `{name}`")
        refusal = self._auto_merge(project, pull, name, given)
        if refusal:
            return _failed(name, "UNPROCESSABLE", refusal)
        path = f"/{who.login}"
        actor = {"avatarUrl": "", "login": who.login, "resourcePath": path, "url": self.web + path}
        return Answer(200, {"data": {name: {"actor": actor, "clientMutationId": given.get("clientMutationId")}}})

    def _pull_of(self, node: str) -> tuple[Project, Pull] | None:
        """The pull request of a node id that the token may see."""
        for project in self.world.projects.values():
            for pull in project.pulls:
                if node == f"PR_{pull.id}" and self.role(project) != "none":
                    return project, pull
        return None

    def _auto_merge(self, project: Project, pull: Pull, name: str, given: Mapping[str, Any]) -> str:
        """Switch it; a sentence if that is refused."""
        if name == "disablePullRequestAutoMerge":
            if pull.auto_merge is None:
                return "Can't disable auto-merge for this pull request."
            pull.auto_merge, pull.updated_at = None, self.world.tick()
            return ""
        if given.get("expectedHeadOid", pull.head_sha) != pull.head_sha:
            return MODIFIED
        method = given.get("mergeMethod", "MERGE").lower()
        words = (given.get("commitHeadline", ""), given.get("commitBody", ""))
        return self.world.set_auto_merge(project, pull, AutoMerge(self.me, method, *words))


def _wrong(name: str, kind: str, fields: str, given: Mapping[str, Any]) -> str:
    """What is not of the schema in a mutation, or empty."""
    if name not in INPUTS or kind != f"{name[:1].upper()}{name[1:]}Input":
        return "a query that this server does not know"
    strange = set(given) - INPUTS[name]
    if strange or "pullRequestId" not in given:
        return f"the input of {name} is not right: {', '.join(sorted(strange)) or 'no pullRequestId'}"
    unknown = set(re.findall(r"\w+", fields)) - FIELDS
    return f"fields that {name} does not have: {', '.join(sorted(unknown))}" if unknown else ""


def _failed(name: str, kind: str, message: str) -> Answer:
    return Answer(200, {"data": {name: None}, "errors": [{"type": kind, "path": [name], "message": message}]})
