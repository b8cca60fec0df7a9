"""GitLab's quick actions: lines that a note or a description loses because the server carries them out."""

from __future__ import annotations

import re

_WORDS = """
approve unapprove merge rebase close reopen draft ready title label relabel unlabel remove_label
assign reassign unassign remove reviewer assign_reviewer reassign_reviewer unassign_reviewer
remove_reviewer submit_review request_changes request_review target_branch milestone
remove_milestone lock unlock subscribe unsubscribe todo done estimate estimate_time remove_estimate
spend spent spend_time remove_time_spent react award shrug tableflip promote promote_to
promote_to_incident status publish page link unlink move clone type tag blocks blocked_by relate
unrelate severity weight clear_weight health_status clear_health_status due remove_due_date
duplicate confidential epic remove_epic iteration remove_iteration create_merge_request cc
copy_metadata zoom remove_zoom add_contacts remove_contacts add_email remove_email convert_to_ticket
timeline ship set_parent remove_parent add_child remove_child checkin_reminder attention
remove_attention invite_email
"""
NAMES = frozenset(_WORDS.split())
"""Every word after `/` that GitLab takes for itself, whatever the object."""

_HIDDEN = re.compile(
    r"(?P<fence>^ {0,3}(?P<mark>`{3,}|~{3,})[^\n]*\n.*?^ {0,3}(?P=mark)[^\n]*$)"
    r"|(?P<quote>^>>>\n.*?\n>>>$)"
    r"|(?P<html>^<[^>\n]+>[ \t]*\n.+?\n</[^>\n]+>[ \t]*$)"
    r"|(?P<inline>`[^`\n]+`)",
    re.MULTILINE | re.DOTALL,
)
_ACTION = re.compile(r"^/(?P<name>[a-z_]+)(?:[ \t]+(?P<argument>[^\r\n]*?))?[ \t]*$", re.IGNORECASE)


def split(body: str) -> tuple[str, list[tuple[str, str]]]:
    """The text that is kept, and the actions as (name, argument) in order; code and quotes hide them."""
    hidden: list[str] = []

    def hide(match: re.Match[str]) -> str:
        hidden.append(match.group())
        return f"\0{len(hidden) - 1}\0"

    actions, kept = [], []
    for line in re.split(r"\r\n|\r|\n", _HIDDEN.sub(hide, body)):
        match = _ACTION.match(line)
        if match is not None and match["name"].lower() in NAMES:
            actions.append((match["name"].lower(), (match["argument"] or "").strip()))
        else:
            kept.append(line)
    if not actions:
        return body, []
    text = re.sub(r"\0(\d+)\0", lambda match: hidden[int(match[1])], "\n".join(kept))
    return text.strip(), actions
