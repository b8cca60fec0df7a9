"""Findings in every format, with words that try to break out of it."""

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model.findings import Finding, Severity
from bot.render.findings import Format, render, summary, visible

RULES = {"dangling-ref": "A reference leads nowhere.", "unknown-key": "A key that the kind does not have."}
TWO = (
    Finding("b.yml", 3, 5, Severity.ERROR, "dangling-ref", "no file /x.yml", "create it"),
    Finding("a.yml", 1, 1, Severity.WARNING, "unknown-key", "unknown key `nmae`"),
)
HOSTILE = (
    Finding(
        "::error::x, y:1%.yml",
        2,
        7,
        Severity.ERROR,
        "unknown-key",
        "key `a\n::stop-commands::t\r<b>&amp;</b>\x1b[31m\x00%0A\u202e]]>`",
        'use "b"\n- or c',
    ),
)


def test_text() -> None:
    assert render(TWO, "text", RULES) == (
        "a.yml:1:1: warning[unknown-key] unknown key `nmae`\n"
        "b.yml:3:5: error[dangling-ref] no file /x.yml\n"
        "  hint: create it\n"
        "1 error, 1 warning in 2 files\n"
    )


def test_text_with_hostile_words_stays_on_its_lines() -> None:
    assert render(HOSTILE, "text", RULES) == (
        "./::error::x, y:1%.yml:2:7: error[unknown-key] key `a\\n::stop-commands::t\\r"
        "<b>&amp;</b>\\x1b[31m\\x00%0A\\u202e]]>`\n"
        '  hint: use "b"\\n- or c\n'
        "1 error in 1 file\n"
    )


def test_text_without_findings() -> None:
    assert render((), "text", RULES) == "no findings\n"


def test_summary_counts() -> None:
    assert summary([*TWO, *TWO]) == "2 errors, 2 warnings in 2 files"


def test_json() -> None:
    assert json.loads(render(TWO, "json", RULES)) == {
        "schema": "saasbot.findings/1",
        "findings": [
            {
                "file": "a.yml",
                "line": 1,
                "column": 1,
                "severity": "warning",
                "rule": "unknown-key",
                "message": "unknown key `nmae`",
                "hint": "",
            },
            {
                "file": "b.yml",
                "line": 3,
                "column": 5,
                "severity": "error",
                "rule": "dangling-ref",
                "message": "no file /x.yml",
                "hint": "create it",
            },
        ],
    }


def test_json_keeps_words_as_they_are() -> None:
    (finding,) = json.loads(render(HOSTILE, "json", RULES))["findings"]
    assert (finding["message"], finding["hint"]) == (HOSTILE[0].message, HOSTILE[0].hint)


def test_github() -> None:
    assert render(TWO, "github", RULES) == (
        "::warning file=a.yml,line=1,col=1,title=unknown-key::unknown key `nmae`\n"
        "::error file=b.yml,line=3,col=5,title=dangling-ref::no file /x.yml%0Acreate it\n"
    )


def test_github_escapes_properties_and_data() -> None:
    assert render(HOSTILE, "github", RULES) == (
        "::error file=%3A%3Aerror%3A%3Ax%2C y%3A1%25.yml,line=2,col=7,title=unknown-key::"
        "key `a\\n::stop-commands::t\\r<b>&amp;</b>\\x1b[31m\\x00%250A\\u202e]]>`%0A"
        'use "b"\\n- or c\n'
    )


def test_github_without_findings_is_empty() -> None:
    assert render((), "github", RULES) == ""


def test_codequality() -> None:
    assert json.loads(render(TWO, "codequality", RULES)) == [
        {
            "description": "unknown key `nmae`",
            "check_name": "unknown-key",
            "fingerprint": "878be8d3c408c72ddbae570120f4372b43a8f60734a3969e2062e03af7612d7a",
            "severity": "minor",
            "location": {"path": "a.yml", "lines": {"begin": 1}},
        },
        {
            "description": "no file /x.yml\ncreate it",
            "check_name": "dangling-ref",
            "fingerprint": "df62ee8a47ffe8df42265c37b763df3d02086954c9ccce2188e112c02a2e830a",
            "severity": "major",
            "location": {"path": "b.yml", "lines": {"begin": 3}},
        },
    ]


def fingerprints(*findings: Finding) -> list[str]:
    return [entry["fingerprint"] for entry in json.loads(render(findings, "codequality", RULES))]


def test_fingerprints_survive_moved_lines_and_new_hints() -> None:
    before = Finding("a.yml", 1, 1, Severity.ERROR, "r", "m", "h")
    after = Finding("a.yml", 9, 3, Severity.ERROR, "r", "m", "other")
    assert fingerprints(before) == fingerprints(after)


def test_fingerprints_of_equal_findings_differ() -> None:
    here = Finding("a.yml", 1, 1, Severity.ERROR, "r", "m")
    there = Finding("a.yml", 2, 1, Severity.ERROR, "r", "m")
    assert len(set(fingerprints(here, there))) == 2
    assert fingerprints(here, there)[0] == fingerprints(here)[0]


def test_sarif() -> None:
    assert json.loads(render(TWO[:1], "sarif", RULES)) == {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "saasbot",
                        "rules": [
                            {"id": "dangling-ref", "shortDescription": {"text": "A reference leads nowhere."}},
                            {"id": "unknown-key", "shortDescription": {"text": "A key that the kind does not have."}},
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [
                    {
                        "ruleId": "dangling-ref",
                        "ruleIndex": 0,
                        "level": "error",
                        "message": {"text": "no file /x.yml\ncreate it"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": "b.yml"},
                                    "region": {"startLine": 3, "startColumn": 5},
                                }
                            }
                        ],
                        "partialFingerprints": {
                            "saasbot/v1": "df62ee8a47ffe8df42265c37b763df3d02086954c9ccce2188e112c02a2e830a"
                        },
                    }
                ],
            }
        ],
    }


def test_sarif_lists_a_rule_that_nobody_described_and_escapes_paths() -> None:
    finding = Finding("a b/ü:#.yml", 0, 0, Severity.WARNING, "zebra", "m")
    run = json.loads(render([finding], "sarif", RULES))["runs"][0]
    assert run["tool"]["driver"]["rules"][2] == {"id": "zebra", "shortDescription": {"text": "zebra"}}
    (result,) = run["results"]
    assert (result["ruleIndex"], result["level"]) == (2, "warning")
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/%C3%BC%3A%23.yml"},
        "region": {"startLine": 1, "startColumn": 1},
    }


def test_junit() -> None:
    both = Finding("b.yml", 9, 1, Severity.WARNING, "unknown-key", "unknown key `x`")
    assert render([*TWO, both], "junit", RULES) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<testsuites name="saasbot" tests="2" failures="1" errors="0">\n'
        '<testsuite name="saasbot validate" tests="2" failures="1" errors="0" skipped="0">\n'
        '<testcase classname="saasbot.validate" name="a.yml" file="a.yml">'
        "<system-out>a.yml:1:1: warning[unknown-key] unknown key `nmae`</system-out></testcase>\n"
        '<testcase classname="saasbot.validate" name="b.yml" file="b.yml">'
        '<failure message="no file /x.yml" type="dangling-ref">'
        "b.yml:3:5: error[dangling-ref] no file /x.yml\n"
        "  hint: create it\n"
        "b.yml:9:1: warning[unknown-key] unknown key `x`</failure></testcase>\n"
        "</testsuite>\n"
        "</testsuites>\n"
    )


def test_junit_counts_where_a_file_has_several_errors() -> None:
    one, other = (Finding("a.yml", line, 1, Severity.ERROR, "r", "m") for line in (1, 2))
    assert '<failure message="2 errors" type="r">' in render([one, other], "junit", RULES)


def test_junit_without_findings_is_an_empty_suite() -> None:
    root = ET.fromstring(render((), "junit", RULES))  # noqa: S314 - our own text
    assert root.attrib["tests"] == "0"
    assert root.findall(".//testcase") == []


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="yaml"):
        render(TWO, "yaml", RULES)


words = st.text(st.one_of(st.characters(codec=None), st.sampled_from("\n\r\x00\x1b:%,<>&\"'`]\u2028\ud800\ufffe")))
hostile = st.builds(
    Finding, words, st.integers(1, 99), st.integers(1, 99), st.sampled_from(Severity), words, words, words
)


@settings(max_examples=60, deadline=None)
@given(st.lists(hostile, max_size=4), st.sampled_from(Format))
def test_no_words_break_a_format(findings: list[Finding], fmt: Format) -> None:
    text = render(findings, fmt, RULES)
    text.encode()
    lines = text.split("\n")
    match fmt:
        case Format.TEXT:
            assert len(lines) == 2 + len(findings) + sum(bool(finding.hint) for finding in findings)
            assert not any(line.lstrip().startswith(("::", "##[")) for line in lines)
        case Format.GITHUB:
            assert len(lines) == len(findings) + 1
            assert all(line.startswith(("::error file=", "::warning file=")) for line in lines[:-1])
        case Format.JUNIT:
            root = ET.fromstring(text)  # noqa: S314 - our own text
            names = [case.attrib["name"] for case in root.iter("testcase")]
            assert names == sorted(names) or len(names) == len({finding.file for finding in findings})
        case Format.JSON | Format.CODEQUALITY | Format.SARIF:
            json.loads(text)


@settings(max_examples=60, deadline=None)
@given(words)
def test_visible_text_is_one_printable_line(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
