"""Gravitee's release.json: the plan (RP-2), what is left of it (RP-11), and the success written back (RP-12)."""

from __future__ import annotations

import difflib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.formats.gravitee_release import ReleasePlan, branch_of, job_options, plan_of, read_release, released
from bot.formats.json_places import Splice, parsed, places, spliced

SNAPSHOT = "-SNAPSHOT"


def manifest(*components: dict[str, Any], rows: list[list[str]] | None = None, **more: Any) -> dict[str, Any]:
    """A manifest; without `rows`, each component has one of its own."""
    return {
        "name": "Gravitee.io",
        "version": "1.30.20-SNAPSHOT",
        "buildTimestamp": "2020-08-12T10:25:24+0000",
        "scmSshUrl": "git@github.com:gravitee-io",
        "scmHttpUrl": "https://github.com/gravitee-io/",
        "components": list(components),
        "buildDependencies": [[each["name"]] for each in components] if rows is None else rows,
    } | more


def component(name: str, version: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name} | ({} if version is None else {"version": version}) | more


def plan(document: Any) -> ReleasePlan:
    found = read_release(json.dumps(document).encode())
    assert isinstance(found, ReleasePlan), found
    return found


def faults(document: Any) -> tuple[str, ...]:
    found = read_release(document if isinstance(document, bytes) else json.dumps(document).encode())
    assert isinstance(found, tuple), found
    return found


def names(found: ReleasePlan) -> list[list[str]]:
    return [[each.name for each in row] for row in found.rows]


def marked(data: bytes, *names_: str, finished: bool = False) -> bytes:
    found = released(data, names_, finished=finished)
    assert isinstance(found, bytes), found
    return found


def test_rp_2_the_plan_of_a_manifest_with_seventy_components() -> None:
    """As large as the original's own example: twelve rows, of which five have something to release."""
    sizes = [1, 4, 3, 10, 1, 1, 1, 1, 2, 4, 40, 2]
    rows = [[f"gravitee-{index}-{number}" for number in range(size)] for index, size in enumerate(sizes)]
    waiting = {2: 1, 3: 1, 9: 2, 10: 2, 11: 1}
    components = [
        component(name, "1.7.2" + (SNAPSHOT if number < waiting.get(index, 0) else ""))
        for index, row in enumerate(rows)
        for number, name in enumerate(row)
    ]
    found = plan(manifest(*components, rows=rows, version="1.30.20"))
    assert (len(components), len(found.rows)) == (70, 12)
    assert {index: len(row) for index, row in enumerate(found.rows) if row} == waiting
    assert [len(stage) for stage in found.stages] == [1, 1, 2, 2, 1]
    assert found.stages[0][0].name == "gravitee-2-0"


def test_rp_2_a_component_has_branch_version_and_parameters() -> None:
    found = plan(manifest(component("a", "3.1.0-SNAPSHOT"), component("b", "1.7.12-SNAPSHOT")))
    assert (found.name, found.version, found.release, found.organization) == (
        "Gravitee.io",
        "1.30.20-SNAPSHOT",
        "1.30.20",
        "gh/gravitee-io",
    )
    ((a,), (b,)) = found.stages
    assert (a.version, a.branch, b.version, b.branch) == ("3.1.0-SNAPSHOT", "master", "1.7.12-SNAPSHOT", "1.7.x")
    assert a.parameters == {
        "gio_action": "release",
        "dry_run": False,
        "s3_bucket_name": "prepared-nexus-staging-gravitee-apim-1_30_20",
    }


def test_rp_2_a_component_without_a_version_has_that_of_the_manifest() -> None:
    document = manifest(component("a", "", since="1.0.0"), component("b", since="1.0.0"), component("c", "1.0.0"))
    document["components"][1]["version"] = None
    assert [each.version for (each,) in plan(document).stages] == ["1.30.20-SNAPSHOT"] * 2
    assert plan(document | {"version": "1.30.20"}).stages == ()


def test_rp_2_nothing_selected_is_an_empty_plan() -> None:
    found = plan(manifest(component("a", "1.0.0"), component("b", "1.0.0-SNAPSHOT-1")))
    assert (found.stages, found.rows) == ((), ((), ()))
    assert plan(manifest()).rows == ()


def test_rp_2_the_last_row_that_names_a_component_counts() -> None:
    two = [component("a", "1.0.0-SNAPSHOT"), component("b", "1.0.0-SNAPSHOT")]
    assert names(plan(manifest(*two, rows=[["a", "b"], [], ["b", "a", "b"], ["a"]]))) == [[], [], ["b"], ["a"]]


def test_what_is_released_may_be_a_version_before_the_first() -> None:
    (stage,) = plan(manifest(component("a", "3.0.0-beta-1-SNAPSHOT"))).stages
    assert stage[0].branch == "3.0.x"
    assert branch_of("3.0.0-SNAPSHOT") == "master"
    with pytest.raises(ValueError, match=r"3\.0-SNAPSHOT is not three numbers"):
        branch_of("3.0-SNAPSHOT")


THREE = "is not three numbers with dots between them, and -SNAPSHOT"
OWN = "`version`, the manifest's own, is not there or is not three numbers with dots between them"
NAME = "components[0]: `name` is the name of a repository: letters, digits, `.`, `_` and `-`"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"\xff", ["the manifest is not UTF-8"]),
        (
            b"{",
            ["the manifest is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"],
        ),
        (b"[" * 100_000, ["the manifest is no JSON: it is nested too deep"]),
        (b'{"a": ' + b"[" * 600 + b"]" * 600 + b"}", ["the manifest is no JSON: it is nested too deep"]),
        (b'{"a": 1, "b": 2, "b": 3}', ['the manifest is no JSON: the key "b" stands there twice']),
        (b'{"a": NaN}', ["the manifest is no JSON: NaN is no JSON"]),
        (b'"1.0.0"', ["the manifest is not an object with `version`, `components` and `buildDependencies`"]),
        ({}, [OWN, "`components` is not a list", "`buildDependencies` is not a list of lists of names"]),
        (manifest(version=""), [OWN]),
        (manifest(version=1), [OWN]),
        (manifest(version="1.30"), [OWN]),
        (manifest() | {"components": ["a"]}, ["components[0]: a component is an object with `name` and `version`"]),
        (manifest({"name": "a"}), ["components[0]: a component has 2 to 4 keys, this one has 1"]),
        (
            manifest(component("a", "1", x=1, y=2, z=3)),
            ["components[0]: a component has 2 to 4 keys, this one has 5"],
        ),
        (manifest(component("", "1.0.0"), rows=[]), [NAME]),
        (manifest({"version": "1.0.0", "since": ""}, rows=[]), [NAME]),
        (manifest(component("a b", "1.0.0")), [NAME]),
        (manifest({"name": "a", "version": 1}), ["components[0]: `version` is a text"]),
        (
            manifest(component("a", "1.0.0"), component("a", "1.0.0"), rows=[]),
            ["the component `a` stands there 2 times"],
        ),
        (manifest(rows=[["a"], []]), ["buildDependencies[0]: there is no component `a`"]),
        (
            manifest() | {"buildDependencies": [["a", 1], "a"]},
            [f"buildDependencies[{n}] is not a list of names" for n in (0, 1)],
        ),
        (
            manifest(component("a", "1.0.0-SNAPSHOT"), rows=[]),
            ["the component `a` is to be released, and `buildDependencies` does not say when"],
        ),
        (
            manifest(component("a", "1.0-SNAPSHOT"), component("b", "1.0.0.1-SNAPSHOT")),
            [f"the component `a`: 1.0-SNAPSHOT {THREE}", f"the component `b`: 1.0.0.1-SNAPSHOT {THREE}"],
        ),
    ],
)
def test_rp_2_everything_that_is_wrong_is_said(document: Any, said: list[str]) -> None:
    assert list(faults(document)) == said
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    assert released(data, ["a"]) == tuple(said)


def test_a_component_that_is_not_released_may_have_any_version() -> None:
    assert plan(manifest(component("a", "latest"), rows=[])).stages == ()


@pytest.mark.parametrize(
    ("more", "organization"),
    [
        ({"scmHttpUrl": "https://bitbucket.org/acme"}, "bb/acme"),
        ({"scmHttpUrl": None}, "gh/gravitee-io"),
        ({"scmHttpUrl": 5, "scmSshUrl": "ssh://git@github.com/acme/"}, "gh/acme"),
        ({"scmHttpUrl": "https://git.example.com/acme", "scmSshUrl": "git@git.example.com:acme"}, ""),
        ({"scmHttpUrl": "https://github.com//", "scmSshUrl": ""}, ""),
    ],
)
def test_the_organization_is_where_the_repositories_are(more: dict[str, Any], organization: str) -> None:
    assert plan(manifest(**more)).organization == organization


def test_rp_1_what_the_definition_says_wins_over_the_manifest() -> None:
    found = plan(manifest(component("web", "1.2.3-SNAPSHOT")))
    ((web,),) = found.stages
    made = job_options(found, web, {"parameters": {"dry_run": True, "secrethub_org": "acme"}, "onHold": "wait"})
    assert made == {
        "project": "gh/gravitee-io/web",
        "branch": "1.2.x",
        "onHold": "wait",
        "parameters": {**web.parameters, "dry_run": True, "secrethub_org": "acme"},
    }
    other = job_options(found, web, {"project": "gh/acme/{job}", "tag": "v1"})
    assert other == {"project": "gh/acme/{job}", "tag": "v1", "parameters": web.parameters}
    nowhere = plan(manifest(component("web", "1.2.3-SNAPSHOT"), scmHttpUrl="", scmSshUrl=""))
    assert "project" not in job_options(nowhere, web, {"parameters": "x"})


HAND_STYLED = """\
{ "version" : "1.30.20-SNAPSHOT",
  "components":[
    {"name":"a", "version":"1.2.3-SNAPSHOT"},
    { "name" :  "b" , "version" : "2.0.0-SNAPSHOT" , "since" : "1.29.0" },
\t{"version": "3.0.0",
\t "name": "c"},
    {"name": "d",
     "since": "1.28.0"}
  ], "buildDependencies": [["a", "b"], ["c"],
     ["d"]], "name": "caf\\u00e9 \u00e9" }
"""


def test_rp_12_only_the_released_components_change() -> None:
    data = HAND_STYLED.encode()
    wanted = HAND_STYLED.replace('"1.2.3-SNAPSHOT"', '"1.2.3", "since":"1.30.20"').replace(
        '"2.0.0-SNAPSHOT" , "since" : "1.29.0"', '"2.0.0" , "since" : "1.30.20"'
    )
    assert marked(data, "a", "b").decode() == wanted
    assert marked(marked(data, "a"), "b") == marked(data, "a", "b")


def test_rp_12_one_that_inherits_gets_a_version_only_while_the_manifest_waits() -> None:
    data = HAND_STYLED.encode()
    part = marked(data, "d").decode()
    assert part == HAND_STYLED.replace(
        '{"name": "d",\n     "since": "1.28.0"}', '{"name": "d",\n     "version": "1.30.20",\n     "since": "1.30.20"}'
    )
    whole = marked(data, "a", "b", "d", finished=True).decode()
    assert '"version" : "1.30.20",' in whole
    assert '{"name": "d",\n     "since": "1.30.20"}' in whole
    assert plan(json.loads(whole)).stages == ()


def test_rp_11_what_is_left_is_what_was_not_released() -> None:
    data = HAND_STYLED.encode()
    assert names(plan(json.loads(data))) == [["a", "b"], [], ["d"]]
    left = read_release(marked(data, "b"))
    assert isinstance(left, ReleasePlan)
    assert names(left) == [["a"], [], ["d"]]


def test_rp_12_what_was_released_before_is_left_as_it_is() -> None:
    once = marked(HAND_STYLED.encode(), "a", "d")
    assert marked(once, "a", "c", "d") == once
    assert marked(once) == once


@pytest.mark.parametrize(
    ("names_", "finished", "said"),
    [
        (["x", "a"], False, ["there is no component `x`"]),
        (["a"], True, ["the component `b` is not released yet", "the component `d` is not released yet"]),
    ],
)
def test_rp_12_what_cannot_be_marked_is_refused(names_: list[str], finished: bool, said: list[str]) -> None:
    assert released(HAND_STYLED.encode(), names_, finished=finished) == tuple(said)


def test_rp_12_a_component_never_gets_more_keys_than_it_may_have() -> None:
    full = manifest(component("a", "1.0.0-SNAPSHOT", x=1, y=2), component("b", x=1, y=2))
    data = json.dumps(full).encode()
    assert released(data, ["a"]) == ("the component `a` would have more than 4 keys",)
    assert released(data, ["b"]) == ("the component `b` would have more than 4 keys",)
    data = json.dumps(manifest(component("b", x=1, y=2))).encode()
    assert json.loads(marked(data, "b", finished=True))["components"] == [component("b", since="1.30.20", x=1, y=2)]


def test_rp_12_byte_order_marks_and_line_ends_stay() -> None:
    data = b"\xef\xbb\xbf" + HAND_STYLED.replace("\n", "\r\n").encode()
    found = marked(data, "d")
    assert found.startswith(b"\xef\xbb\xbf{")
    assert found.count(b"\n") == found.count(b"\r\n") == data.count(b"\n") + 1


VERSIONS = st.sampled_from([None, "", "1.0.0", "1.0.0-SNAPSHOT", "2.13.7-SNAPSHOT"])
STYLES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"indent": None},
        {"indent": None, "separators": (",", ":")},
        {"indent": 2},
        {"indent": "\t", "ensure_ascii": False},
        {"indent": 4, "separators": (" , ", " :  ")},
    ]
)


@st.composite
def manifests(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """A manifest, how it is written, and the names of some of its components."""
    components = []
    for number in range(draw(st.integers(0, 6))):
        version, since = draw(VERSIONS), draw(st.sampled_from([None, "1.29.0"]))
        entry = component(f"c{number}", version) | ({} if since is None else {"since": since})
        more = {"note": draw(st.text(max_size=8))} if len(entry) == 1 or draw(st.booleans()) else {}
        components.append(dict(draw(st.permutations(list((entry | more).items())))))
    top = draw(st.sampled_from(["1.30.20-SNAPSHOT", "1.30.20"]))
    document = manifest(*components, version=top, name=draw(st.text(max_size=8)))
    some = draw(st.lists(st.sampled_from([each["name"] for each in components]), unique=True)) if components else []
    return document, draw(STYLES), some


def expected(document: dict[str, Any], some: list[str], *, finished: bool) -> dict[str, Any]:
    """What the rules make of a manifest, key by key and in their order."""
    top = document["version"]
    components = []
    for each in document["components"]:
        version = each.get("version") or top
        if each["name"] not in some or not version.endswith(SNAPSHOT):
            components.append(each)
            continue
        inherits = not each.get("version")
        own = {} if inherits and finished else {"version": version.removesuffix(SNAPSHOT)}
        new = {**own, "since": top.removesuffix(SNAPSHOT)}
        changed = {key: new.get(key, value) for key, value in each.items()}
        added = {key: value for key, value in new.items() if key not in each}
        entry: dict[str, Any] = {}
        for key, value in changed.items():
            entry[key] = value
            if key == ("version" if "version" in each else "name"):
                entry |= added
        components.append(entry)
    return document | {"components": components} | ({"version": top.removesuffix(SNAPSHOT)} if finished else {})


@given(manifests(), st.booleans())
def test_rp_12_the_edit_is_the_rules_and_nothing_else(
    drawn: tuple[dict[str, Any], dict[str, Any], list[str]], finished: bool
) -> None:
    """The bytes are those that the same writer makes of the expected document: so nothing else has changed."""
    document, style, some = drawn
    before = json.dumps(document, **style)
    found = released(before.encode(), some, finished=finished)
    if isinstance(found, tuple):
        waiting = {each.name for row in plan(document).stages for each in row}
        assert finished
        assert len(found) == len(waiting - set(some)) > 0
        return
    after = expected(document, some, finished=finished)
    assert json.loads(found) == after
    assert found.decode() == json.dumps(after, **style)
    touched = [line for line in difflib.ndiff(before.splitlines(), found.decode().splitlines()) if line[0] == "-"]
    if style["indent"] is not None:
        assert len(touched) <= 2 * len(some) + 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, STYLES)
def test_every_value_of_a_text_has_its_place(value: Any, style: dict[str, Any]) -> None:
    text = f" {json.dumps(value, **style)}\n"

    def check(found: Any, place: Any) -> None:
        assert json.loads(text[place.start : place.end]) == found
        if isinstance(found, dict):
            assert [each.key for each in place.members] == list(found)
            for each in place.members:
                assert json.loads(text[each.start : each.end]) == each.key
                assert place.member(each.key) == each
                check(found[each.key], each.value)
        if isinstance(found, list):
            for item, inner in zip(found, place.items, strict=True):
                check(item, inner)

    assert parsed(text) == value
    check(value, places(text))


def test_changes_are_made_in_their_places() -> None:
    assert spliced("abcdef", [Splice(4, 5, "E"), Splice(0, 1, ""), Splice(5, 5, "+")]) == "bcdE+f"
    assert places("{}").member("a") is None


def test_a_plan_may_come_from_another_format() -> None:
    assert plan_of(manifest(component("a", "1.0.0-SNAPSHOT"))) == plan(manifest(component("a", "1.0.0-SNAPSHOT")))


def test_a_manifest_whose_depth_hides_behind_brackets_in_texts_is_refused() -> None:
    text = json.dumps(manifest(component("core", "1.2.0-SNAPSHOT")))
    nested = '["]",' * 900 + "1" + "]" * 900
    assert released(f'{text[:-1]}, "x": {nested}}}'.encode(), ["core"]) == ("the manifest is nested too deep",)
