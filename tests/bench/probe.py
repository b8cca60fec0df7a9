"""One measurement in a process of its own: `python tests/bench/probe.py NAME DIR`, prints one JSON object.

`events`: PyYAML's C parser over all YAML files. `ask`: the questions of a pass with nothing but the standard library.
`decide`: a decision alone, in the checkout DIR. `edit` and `ruamel`: the edits of `DIR/edits.json`, by either editor.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # each probe imports what it measures, and no more
    from bot.render.yaml_edit import ScalarEdit

Told = dict[str, Any]
Edits = list[tuple[str, list[list[Any]]]]


def events(folder: Path) -> Told:
    """The time for the events of all YAML files below a folder; reading and importing are not in it."""
    import yaml  # noqa: PLC0415 - each probe imports what it measures

    contents = [path.read_bytes() for path in sorted(folder.rglob("*.yml")) if ".git" not in path.parts]
    start = time.perf_counter()
    for content in contents:
        for _ in yaml.parse(content, Loader=yaml.CSafeLoader):
            pass
    return {"seconds": time.perf_counter() - start, "files": len(contents), "bytes": sum(map(len, contents))}


def ask(folder: Path) -> Told:
    """Ask every url of `urls.txt` for its main branch, sixteen at a time, and throw the answers away."""
    import urllib.request  # noqa: PLC0415 - as above

    question = b"0014command=ls-refs\n00010009peel\n001fref-prefix refs/heads/main\n0000"
    opener = urllib.request.build_opener()

    def once(url: str) -> int:
        with opener.open(urllib.request.Request(f"{url}/git-upload-pack", question)) as answer:  # noqa: S310 - http
            return len(answer.read())

    urls = (folder / "urls.txt").read_text().split()
    start = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(once, urls))
    return {"seconds": time.perf_counter() - start, "asked": len(answers)}


def decide(folder: Path) -> Told:
    """The best of five decisions from what a `plan` of the checkout has seen."""
    from bot.cli.session import Session  # noqa: PLC0415 - as above
    from bot.core.decide import deliberate  # noqa: PLC0415 - as above
    from bot.reconcile import plan  # noqa: PLC0415 - as above

    job = Session(folder).job()
    context, _ = plan(job, job.ports.config.working_tree())
    return {
        "seconds": min(_timed(lambda: deliberate(context)) for _ in range(5)),
        "targets": len(context.desired.targets),
    }


def edit(folder: Path) -> Told:
    """All files edited and read back by the program's own editor; the best of five rounds."""
    from bot.render.yaml_edit import ScalarEdit  # noqa: PLC0415 - each probe imports what it measures
    from bot.render.yaml_edit import edit as splice  # noqa: PLC0415 - as above

    work = [
        ((folder / path).read_bytes(), [ScalarEdit(tuple(pointer), old, new) for pointer, old, new in edits])
        for path, edits in _edits(folder)
    ]
    results = [splice(content, edits) for content, edits in work]
    (folder / "edited").mkdir(exist_ok=True)
    for number, result in enumerate(results):
        (folder / "edited" / str(number)).write_bytes(result.content)
    best = min(_timed(lambda: [splice(content, edits) for content, edits in work]) for _ in range(5))
    clean = sum(_clean(source, edits, result.content) for (source, edits), result in zip(work, results, strict=True))
    return {"seconds": best, "files": len(work), "edits": sum(len(edits) for _, edits in work), "clean": clean}


def _clean(source: bytes, edits: Sequence[ScalarEdit], content: bytes) -> bool:
    """Whether all edits were made, and putting the old values back gives the source again, byte by byte."""
    before = content
    for wish in edits:
        before = before.replace(wish.new.encode(), wish.old.encode())
    return before == source and content.count(edits[0].new.encode()) == len(edits)


def ruamel(folder: Path) -> Told:
    """The same by a round trip of ruamel.yaml, once; `clean` counts the files in which nothing else changed."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - as above

    work = [((folder / path).read_bytes(), edits) for path, edits in _edits(folder)]
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    editor.explicit_start = True
    results = []
    start = time.perf_counter()
    for content, edits in work:
        document = editor.load(content)
        for pointer, _, new in edits:
            node = document
            for key in pointer[:-1]:
                node = node[key]
            node[pointer[-1]] = type(node[pointer[-1]])(new)
        out = BytesIO()
        editor.dump(document, out)
        results.append(out.getvalue())
    seconds = time.perf_counter() - start
    wished = [(folder / "edited" / str(number)).read_bytes() for number in range(len(work))]
    return {"seconds": seconds, "clean": sum(a == b for a, b in zip(results, wished, strict=True))}


def _edits(folder: Path) -> Edits:
    """By file: pointer, old value, new value of each edit."""
    found: Edits = json.loads((folder / "edits.json").read_bytes())
    return found


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


PROBES: dict[str, Callable[[Path], Told]] = {
    "events": events,
    "ask": ask,
    "decide": decide,
    "edit": edit,
    "ruamel": ruamel,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(PROBES[sys.argv[1]](Path(sys.argv[2]))))
