"""What a 401 says about how to sign in, as registries write it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.providers.sources.registry_challenge import LONGEST, Challenge, challenges

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._~", min_size=1, max_size=8)
VALUES = st.text('ab,= "\\/:\t\xe9\x00', max_size=12)
SCHEMES = st.sampled_from(["bearer", "basic", "negotiate", "digest", "x-new"])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        ('BASIC realm="Sonatype Nexus"', [("basic", {"realm": "Sonatype Nexus"})]),
        ('bearer Realm = "x" , SERVICE="y"', [("bearer", {"realm": "x", "service": "y"})]),
        ("Bearer realm=https://quay.io/v2/auth,service=quay.io", [
            ("bearer", {"realm": "https://quay.io/v2/auth", "service": "quay.io"}),
        ]),
        (r'Basic realm="say \"hi\", then \\ wait"', [("basic", {"realm": r'say "hi", then \ wait'})]),
        ('Basic realm="Bearer realm=\\"no\\""', [("basic", {"realm": 'Bearer realm="no"'})]),
        (
            'Negotiate, NTLM abc==, Basic realm="x", Bearer realm="y",scope=""',
            [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "x"}), ("bearer", {"realm": "y", "scope": ""})],
        ),
        ('Bearer realm="first",realm="second"', [("bearer", {"realm": "first"})]),
        ("Bearer", [("bearer", {})]),
        (" ,, Bearer ,", [("bearer", {})]),
        ("", []),
        ('realm="nobody\'s", Basic realm="x"', [("basic", {"realm": "x"})]),
        ('Bearer realm="never closed, Basic realm', [("bearer", {"realm": ""}), ("basic", {})]),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(each.scheme, each.parameters) for each in challenges(header)][: len(expected)] == expected


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(
        st.tuples(SCHEMES, st.dictionaries(WORDS, VALUES, max_size=4)),
        max_size=4,
    ),
    st.sampled_from([",", ", ", " ,\t", ",,"]),
    st.booleans(),
)
@settings(max_examples=50)
def test_whatever_is_written_down_is_read_back(
    given_: list[tuple[str, dict[str, str]]], comma: str, capitals: bool
) -> None:
    parts = []
    for scheme, parameters in given_:
        word = scheme.upper() if capitals else scheme
        texts = [f"{name.upper() if capitals else name}={quoted(value)}" for name, value in parameters.items()]
        parts.append(f"{word} {comma.join(texts)}" if texts else word)
    assert challenges(comma.join(parts)) == tuple(Challenge(scheme, parameters) for scheme, parameters in given_)


@given(st.text(st.sampled_from('Bb r=",\\ \t~\x00é'), max_size=40))
def test_every_text_has_an_answer(text: str) -> None:
    assert all(each.scheme for each in challenges(text))


def test_a_header_without_an_end_is_read_in_no_time() -> None:
    assert challenges('a="' * 100_000) == ()
    assert len(challenges("a," * 100_000)) == LONGEST // 2
