"""Two hundred SaaS files promoted at once: one pass, one merge request, one scalar a target, unsafe ones by name."""

from __future__ import annotations

import difflib
import random
from io import BytesIO
from pathlib import Path

import pytest
from worlds.line_world import LineWorld, held, kinds

from bot.providers.git import git

FILES = 200
UNSAFE = {"an alias", "a block scalar"}

HEAD = """\
$schema: /saas-file-1.json
name: {name}
app: {{$ref: /svc/app.yml}}
pipeline: {{$ref: /pipelines/deploy.yml}}
resourceTemplates:
"""

STYLES = {
    "plain": "- name: t\n  url: {url}\n  path: /t.yml\n  targets:\n  - {{name: p, {ns}, ref: {sha}, {promotion}}}\n",
    "comments": (
        "# head\n- name: t # the template\n  url: {url}\n  path: /t.yml\n  targets:\n  # before\n  - name: p\n"
        "    {ns}\n    ref: {sha}   # pinned by hand\n    {promotion}\n# the end\n"
    ),
    "indented": (
        "  - name: t\n    url: {url}\n    path: /t.yml\n    targets:\n      - name: p\n        {ns}\n"
        "        ref:   '{sha}'\n        {promotion}\n"
    ),
    "flow": '  [{{name: t, url: {url}, path: /t.yml, targets: [{{name: p, {ns}, ref: "{sha}", {promotion}}}]}}]\n',
    "anchors elsewhere": (
        "- name: t\n  url: {url}\n  path: /t.yml\n  parameters: &shared {{A: b}}\n  targets:\n  - name: p\n    {ns}\n"
        "    parameters: *shared\n    ref: {sha}\n    {promotion}\n"
    ),
    "an alias": (
        "- name: t\n  url: {url}\n  path: /t.yml\n  parameters: {{WHERE: &where {sha}}}\n  targets:\n  - name: p\n"
        "    {ns}\n    ref: *where\n    {promotion}\n"
    ),
    "a block scalar": (
        "- name: t\n  url: {url}\n  path: /t.yml\n  targets:\n  - name: p\n    {ns}\n    ref: >-\n      {sha}\n"
        "    {promotion}\n"
    ),
}
ENDINGS = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "BOM": lambda text: "\ufeff" + text,
    "no final newline": lambda text: text.rstrip("\n"),
}


def written(number: int, style: str, ending: str, url: Path, sha: str) -> bytes:
    """One SaaS file with one subscriber, in a style."""
    text = (HEAD + STYLES[style]).format(
        name=f"f{number}",
        url=url,
        sha=sha,
        ns="namespace: {$ref: /svc/prod.yml}",
        promotion="promotion: {auto: true, subscribe: [svc-ok]}",
    )
    return ENDINGS[ending](text).encode()


def contents(repo: Path, commit: str, paths: list[str]) -> dict[str, bytes]:
    """Files of a commit, by one process."""
    asked = "".join(f"{commit}:{path}\n" for path in paths)
    stream = BytesIO(git(repo, "cat-file", "--batch=%(objectsize)", stdin=asked.encode()))
    return {path: stream.read(int(stream.readline()) + 1)[:-1] for path in paths}


def test_two_hundred_files_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    world = LineWorld(tmp_path / "world", more=f"promotions: {{batchBy: all, maxBatch: {FILES + 1}}}\n", soak="0s")
    old = git(world.folders.service("svc"), "rev-parse", "main").decode().strip()
    drawn = random.Random(1)  # noqa: S311 - styles, not secrets
    styles = [(drawn.choice([*STYLES]), drawn.choice([*ENDINGS])) for _ in range(FILES)]
    files = {
        f"many/f{number}.yml": written(number, style, ending, world.folders.service("svc"), old)
        for number, (style, ending) in enumerate(styles)
    }
    (world.config / "many").mkdir()
    for path, content in files.items():
        (world.config / path).write_bytes(content)
    world.push({})
    assert world.reconcile().invalid == {}
    sha = world.commit()
    world.reconcile()
    found = world.the_merge_request()
    unsafe = {f"many/f{number}.yml" for number, (style, _) in enumerate(styles) if style in UNSAFE}
    assert held(world.reconcile()) == {(f"f{Path(path).stem[1:]}/t/p", "unsafe_edit") for path in unsafe}
    repo = world.folders.forge / "config.git"
    promoted = contents(repo, found.head_sha, sorted(files))
    for path, before in files.items():
        after = promoted[path]
        if path in unsafe:
            assert after == before
            assert f"f{Path(path).stem[1:]}/t/p" in world.report_on(found.iid)
        else:
            assert after == before.replace(old.encode(), sha.encode()), path
            assert len(changed(before, after)) == len(old)
    assert len(git(repo, "rev-list", f"main..{found.head_sha}").split()) == 1
    assert kinds(world.reconcile()) == []


def changed(before: bytes, after: bytes) -> bytes:
    """The bytes of `before` from the first to the last that differ, widened to the scalar."""
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    first = next(block[1] for block in blocks if block[0] != "equal")
    last = max(block[2] for block in blocks if block[0] != "equal")
    digits = b"0123456789abcdef"
    while first and before[first - 1] in digits:
        first -= 1
    while last < len(before) and before[last] in digits:
        last += 1
    return before[first:last]
