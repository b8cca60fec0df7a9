"""What anybody may do to a merge request or an issue of the fake GitLab: open, close, approve, comment."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from worlds.fake_gitlab_git import Repository
from worlds.fake_gitlab_model import ACTIVE, Approval, Issue, MergeRequest, Note, Pipeline, Project, QuickAction, User
from worlds.fake_gitlab_quick import split
from worlds.fake_gitlab_state import State

DRAFT = re.compile(r"\A\s*(\[draft\]|\(draft\)|draft:)", re.IGNORECASE)


def is_draft(title: str) -> bool:
    """Whether a title makes a draft."""
    return DRAFT.match(title) is not None


def open_merge_request(
    state: State,
    project: Project,
    user: User,
    branches: tuple[str, str],
    title: str,
    description: str = "",
    labels: Sequence[str] = (),
    fork: Repository | None = None,
) -> MergeRequest:
    """A new merge request from the first branch into the second; both exist."""
    source, target = branches
    when = state.tick()
    found = MergeRequest(
        state.new_id("merge_request"),
        max(project.merge_requests, default=0) + 1,
        title,
        "",
        user,
        when,
        when,
        list(labels),
        source=source,
        target=target,
        sha=(project.heads if fork is None else fork.heads())[source],
        draft=is_draft(title),
        fork=fork,
    )
    project.merge_requests[found.iid] = found
    state.add_version(project, found)
    state.unsettle(found)
    found.listed = replace(found.listed, sha=found.sha)
    describe(state, project, user, found, description)
    return found


def open_issue(
    state: State, project: Project, user: User, title: str, description: str, labels: Sequence[str]
) -> Issue:
    """A new issue."""
    when = state.tick()
    found = Issue(state.new_id("issue"), max(project.issues, default=0) + 1, title, "", user, when, when, list(labels))
    project.issues[found.iid] = found
    describe(state, project, user, found, description)
    return found


def describe(state: State, project: Project, user: User, thing: Issue, description: str) -> None:
    """Set the description; its quick actions are carried out."""
    thing.description, actions = split(description)
    for name, argument in actions:
        act(state, project, user, thing, name, argument)


def say(state: State, project: Project, user: User, thing: Issue, body: str) -> Note | list[tuple[str, str]]:
    """Write a note; one of quick actions alone is not kept, and the answer is what was carried out."""
    text, actions = split(body)
    note = state.add_note(thing, user, text) if text else None
    for name, argument in actions:
        act(state, project, user, thing, name, argument)
    return actions if note is None else note


def edit_note(state: State, project: Project, user: User, thing: Issue, note: Note, body: str) -> None:
    """Change a note; its quick actions are carried out, and one that is nothing else goes away."""
    text, actions = split(body)
    note.body, note.updated_at = text, state.tick()
    note.edited_at = note.updated_at
    if not text:
        thing.notes.remove(note)
    state.touch(thing, throttled=True)
    for name, argument in actions:
        act(state, project, user, thing, name, argument)


def set_state(state: State, user: User, thing: Issue, event: str) -> None:
    """Close or reopen; what is so already stays as it is."""
    if event == "close" and thing.state == "opened":
        state.close(thing, user)
    elif event == "reopen" and thing.state == "closed":
        thing.state, thing.closed_by, thing.closed_at = "opened", None, None
        state.add_event(thing, user, "reopened")
        if isinstance(thing, MergeRequest):
            state.unsettle(thing)


def set_title(state: State, user: User, thing: Issue, title: str) -> None:
    """Rename; a draft is one by its title."""
    if title == thing.title:
        return
    old, thing.title = thing.title, title
    if isinstance(thing, MergeRequest) and thing.draft != is_draft(title):
        thing.draft = is_draft(title)
        word = "draft" if thing.draft else "ready"
        state.add_note(thing, user, f"marked this merge request as **{word}**", system=True)
    else:
        text = f"changed title from **{{-{old}-}}** to **{{+{title}+}}**"
        state.add_note(thing, user, text, system=True)
    state.touch(thing)


def set_draft(state: State, user: User, found: MergeRequest, *, draft: bool) -> None:
    """Make it a draft, or ready."""
    if draft != found.draft:
        set_title(state, user, found, f"Draft: {found.title}" if draft else DRAFT.sub("", found.title).strip())


def set_labels(state: State, thing: Issue, labels: Sequence[str]) -> None:
    """Set the labels, in alphabetical order as GitLab shows them."""
    wanted = sorted({label for label in labels if label})
    if wanted != thing.labels:
        thing.labels = wanted
        state.touch(thing)


def approve(state: State, user: User, found: MergeRequest) -> bool:
    """Approve; False where this user has already."""
    if any(approval.user is user for approval in found.approvals):
        return False
    found.approvals.append(Approval(user, state.tick()))
    state.add_note(found, user, "approved this merge request", system=True)
    return True


def unapprove(state: State, user: User, found: MergeRequest) -> None:
    """Take an approval back."""
    if any(approval.user is user for approval in found.approvals):
        found.approvals = [approval for approval in found.approvals if approval.user is not user]
        state.add_note(found, user, "unapproved this merge request", system=True)


def head_pipeline(project: Project, found: MergeRequest) -> Pipeline | None:
    """The newest pipeline of a merge request, whatever head it ran on."""
    own = [pipeline for pipeline in project.pipelines.values() if pipeline.merge_request == found.iid]
    return own[-1] if own else None


def current_pipeline(project: Project, found: MergeRequest) -> Pipeline | None:
    """The newest pipeline, if it ran on the present head or on its merge with the target."""
    newest = head_pipeline(project, found)
    merged = newest is not None and newest.ref.endswith(("/merge", "/train"))
    return newest if newest is not None and (newest.sha == found.sha or merged) else None


def set_auto_merge(state: State, user: User, found: MergeRequest) -> None:
    """Merge when the pipeline succeeds."""
    found.auto_merge = user
    text = f"enabled an automatic merge when all merge checks for {found.sha[:8]} pass"
    state.add_note(found, user, text, system=True)
    state.touch(found)


def pipeline_ended(state: State, project: Project, pipeline: Pipeline) -> None:
    """What waited for a merge request's pipeline happens."""
    found = project.merge_requests.get(pipeline.merge_request)
    if found is None or found.state != "opened" or found.auto_merge is None or pipeline.status in ACTIVE:
        return
    if pipeline is current_pipeline(project, found):
        state.merge_what_waited(project, found, found.auto_merge)


def _act_merge(state: State, project: Project, user: User, found: MergeRequest, _argument: str) -> None:
    """`/merge`: at once, or when the running pipeline succeeds."""
    if not state.may_merge(project, user, found) or found.state != "opened":
        return
    pipeline = current_pipeline(project, found)
    if pipeline is not None and pipeline.status in ACTIVE:
        set_auto_merge(state, user, found)
    elif state.truth(project, found).detailed_merge_status == "mergeable":
        state.merge(project, found, user)


def _labelled(argument: str) -> list[str]:
    """The labels of an argument such as `~bug ~"two words"`."""
    return [quoted or plain for quoted, plain in re.findall(r'~"([^"]+)"|~?([^\s~"]+)', argument)]


ON_ANYTHING: dict[str, Callable[[State, User, Issue, str], object]] = {
    "close": lambda state, user, thing, _: set_state(state, user, thing, "close"),
    "reopen": lambda state, user, thing, _: set_state(state, user, thing, "reopen"),
    "title": set_title,
    "label": lambda state, _, thing, text: set_labels(state, thing, [*thing.labels, *_labelled(text)]),
    "relabel": lambda state, _, thing, text: set_labels(state, thing, _labelled(text)),
    "unlabel": lambda state, _, thing, text: set_labels(state, thing, sorted({*thing.labels} - {*_labelled(text)})),
}
ON_MERGE_REQUESTS: dict[str, Callable[[State, Project, User, MergeRequest, str], object]] = {
    "merge": _act_merge,
    "approve": lambda state, _, user, found, __: approve(state, user, found),
    "unapprove": lambda state, _, user, found, __: unapprove(state, user, found),
    "draft": lambda state, _, user, found, __: set_draft(state, user, found, draft=True),
    "ready": lambda state, _, user, found, __: set_draft(state, user, found, draft=False),
}


def act(state: State, project: Project, user: User, thing: Issue, name: str, argument: str) -> None:
    """Carry a quick action out with the user's rights and write it down; actions that change nothing here count too."""
    kind = "merge_request" if isinstance(thing, MergeRequest) else "issue"
    state.quick_actions.append(QuickAction(user.username, kind, thing.iid, name, argument))
    writes = state.level(project, user) >= 20 or thing.author is user
    if name in ON_ANYTHING and writes:
        ON_ANYTHING[name](state, user, thing, argument)
    elif name in ON_MERGE_REQUESTS and isinstance(thing, MergeRequest) and writes:
        ON_MERGE_REQUESTS[name](state, project, user, thing, argument)
