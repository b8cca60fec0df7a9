"""The effective configuration, its hash, run keys, and the words for a difference (DESIGN section 3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import APP, CI, DEPLOY, NOW, REGISTRY, SHELL, config_of, digest_of, record, sha, target
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.diff import canonical, config_hash, effective, hash_of, run_key, same_version, without_ref, words
from bot.model.desired import Image, Namespace, Promotion, Target, Upstream
from bot.model.servers import Pipeline

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TARGET = target(parameters={"LEVEL": "info"})


def shuffled(value: Any) -> Any:
    """The same document with the keys of every mapping the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=100)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_the_order_of_keys_does_not_count(parameters: dict[str, Any]) -> None:
    one = replace(TARGET, parameters=parameters)
    assert digest_of(one) == digest_of(replace(TARGET, parameters=shuffled(parameters)))


@settings(max_examples=100)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.dictionaries(st.text(max_size=4), VALUES))
def test_different_parameters_have_different_hashes(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = canonical(one) == canonical(other)
    assert (digest_of(replace(TARGET, parameters=one)) == digest_of(replace(TARGET, parameters=other))) is same


def test_unset_fields_do_not_count() -> None:
    bare = target(path="", parameters={}, images=())
    assert set(effective(bare)) == {"url", "ref", "namespace", "pipeline"}


OTHER_NAMESPACE = Namespace("svc-prod", "cluster", "prod", "app")
IN = {
    "url": replace(TARGET, url="https://git.example.com/other"),
    "path": replace(TARGET, path="/other.yaml"),
    "ref": replace(TARGET, ref=sha("b")),
    "parameters": replace(TARGET, parameters={"LEVEL": "debug"}),
    "namespace": replace(TARGET, namespace=replace(TARGET.namespace, name="other")),
    "cluster": replace(TARGET, namespace=replace(TARGET.namespace, cluster="other")),
    "environment": replace(TARGET, namespace=replace(TARGET.namespace, environment="other")),
    "images": replace(TARGET, images=(Image(REGISTRY, "my/service", "{sha7}"),)),
    "pipeline": replace(TARGET, pipeline=Pipeline("other", SHELL)),
}
OUT = {
    "owners": replace(TARGET, app=replace(APP, owners=("bob",))),
    "promotion": replace(TARGET, promotion=Promotion(auto=True, subscribe=("x",))),
    "timeout": replace(TARGET, pipeline=replace(DEPLOY, timeout=timedelta(hours=9), retries=3)),
    "upstream": replace(TARGET, upstream=Upstream(CI, "build")),
    "file": replace(TARGET, file="elsewhere.yml", pointer=("resourceTemplates", 9)),
    "namespace file": replace(TARGET, namespace=replace(TARGET.namespace, file="moved.yml", app="x")),
}


@pytest.mark.parametrize("field", IN)
def test_what_is_in_it(field: str) -> None:
    assert digest_of(IN[field]) != digest_of(TARGET)


@pytest.mark.parametrize("field", OUT)
def test_what_is_not_in_it(field: str) -> None:
    assert digest_of(OUT[field]) == digest_of(TARGET)


def test_the_hash_carries_a_version() -> None:
    assert same_version(digest_of(TARGET))
    assert not same_version("0:" + "0" * 64)
    assert config_hash("{}") == config_hash(canonical({}))


def test_a_recorded_hash_is_taken_only_for_the_same_text_and_version() -> None:
    config = config_of(TARGET)
    known = record(TARGET, config_hash="1:recorded")
    assert hash_of(config, known) == "1:recorded"
    assert hash_of(config, None) == digest_of(TARGET)
    assert hash_of(config, replace(known, config_hash="0:old")) == digest_of(TARGET)
    assert hash_of(config, replace(known, config="{}")) == digest_of(TARGET)


def test_a_configuration_without_its_ref() -> None:
    assert without_ref("") == {}
    assert without_ref(config_of(TARGET)) == without_ref(config_of(replace(TARGET, ref="main")))


def test_every_intent_has_a_key_of_its_own() -> None:
    intent = ("lineage", "a/b/c", "1:x", sha("a"))
    others = {
        ("other", *intent[1:]),
        (*intent[:1], "d", *intent[2:]),
        (*intent[:2], "1:y", intent[3]),
        (*intent[:3], "b"),
    }
    keys = {run_key(*each, 1) for each in {intent, *others}} | {run_key(*intent, 2)}
    assert len(keys) == 6
    assert run_key(*intent, 1) in keys


def changed(old: Target | None, new: Target, limit: int = 5) -> str:
    return words(config_of(old) if old is not None else "", config_of(new), limit)


def test_a_difference_in_words() -> None:
    assert changed(TARGET, replace(TARGET, parameters={"LEVEL": "debug"})) == 'parameters.LEVEL: "info" -> "debug"'
    assert changed(TARGET, replace(TARGET, parameters={})) == 'parameters removed (was {"LEVEL":"info"})'
    added = replace(TARGET, parameters={"LEVEL": "info", "NEW": ["x"]})
    assert changed(TARGET, added) == 'parameters.NEW added: ["x"]'
    one, two = (replace(TARGET, parameters={"LEVEL": "info", "LIST": items}) for items in (["x"], ["x", "y"]))
    assert changed(one, two) == 'parameters.LIST.1 added: "y"'


def test_many_differences_are_counted_and_long_values_are_cut() -> None:
    many = replace(TARGET, parameters={"LEVEL": "info", **{f"P{n}": n for n in range(7)}})
    assert changed(TARGET, many, limit=3).endswith("; and 4 more")
    long = replace(TARGET, parameters={"LEVEL": "x" * 100})
    assert changed(TARGET, long) == 'parameters.LEVEL: "info" -> "' + "x" * 56 + "..."


def test_a_first_configuration_is_all_new() -> None:
    assert changed(None, TARGET).startswith('namespace added: {"cluster":"cluster"')


def test_a_change_of_the_whole_has_a_name() -> None:
    assert words("[]", "{}") == "configuration: [] -> {}"
    assert canonical(NOW) == '"2026-01-14 12:00:00+00:00"'
    assert TARGET.namespace == OTHER_NAMESPACE
