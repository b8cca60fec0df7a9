"""What `validate` says of the `with` block of a pipeline, by the provider of its instance."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from config_world import SCHEMAS, VALID, MemoryCache, MemoryTree, edited, findings

from bot.config.placeholders import PLACEHOLDERS, fill, unknown
from bot.config.validate import validate
from bot.config.with_rules import with_issues

DEPLOY = "pipelines/deploy.yml"
GITLAB = "$schema: /instance-1.json\nname: shell\nprovider: gitlab\nurl: https://gitlab.example.com\n"
GITHUB = GITLAB.replace("gitlab", "github")
JENKINS = GITLAB.replace("gitlab", "jenkins")
SERVERS = {"gitlab": GITLAB, "github": GITHUB, "jenkins": JENKINS, "gangway": GITLAB.replace("gitlab", "gangway")}
COMMAND = "with: {command: [./deploy.sh]}"


def repository(provider: str, block: str) -> Mapping[str, str]:
    """The valid repository with `deploy` on a server of this kind, and with this block."""
    return edited(("instances/shell.yml", "", SERVERS[provider]), (DEPLOY, COMMAND, f"with: {block}"))


REFS = "{org: a, repo: b, base_ref: main, base_sha: '{sha}'}"


@pytest.mark.parametrize(
    ("provider", "block"),
    [
        ("gitlab", "{project: acme/deploy}"),
        ("gitlab", "{project: 42, ref: 'deploy-{action}', trigger: {env: TRIGGER_TOKEN}}"),
        ("gitlab", "{project: a/b/c, variables: {VERSION: '{sha7} of {target}', EMPTY: ''}}"),
        ("gitlab", "{project: a/b, inputs: {n: 3, on: true, names: [a, '{ref}'], share: 0.5, text: x}}"),
        ("gitlab", "{project: a/b, trigger: {file: /run/secrets/trigger}, variables: {A: '${name} {\"a\": 1} {A}'}}"),
        ("github", "{repository: acme/deploy, workflow: deploy.yml}"),
        ("github", "{repository: acme/deploy, workflow: 12, ref: main, runKeyInput: key, inputs: {n: 3, on: true}}"),
        ("jenkins", "{job: deploy}"),
        (
            "jenkins",
            "{job: team/deploy prod, runKeyParameter: KEY, parameters: {VERSION: '{sha7}', a-b.c: 3, DRY: true}}",
        ),
        ("gangway", "{}"),
        ("gangway", "{job: periodic-ci-a, urlStyle: path, type: periodic, healthCheck: list}"),
        ("gangway", "{envs: {WHY: '{reasons}'}, labels: {run: '{run_key}', a: x-1}, annotations: {a/b: 'c d'}}"),
        ("gangway", f"{{type: postsubmit, refs: {REFS}, page: 'https://prow.example.com/?id='}}"),
        ("gangway", f"{{type: presubmit, refs: {REFS[:-1]}, pulls: [{{number: 1, sha: x}}], clone_depth: 1}}}}"),
    ],
)
def test_blocks_that_a_provider_takes(provider: str, block: str) -> None:
    assert findings(repository(provider, block)) == ()


MANY = ", ".join(f"i{number}: x" for number in range(25))


@pytest.mark.parametrize(
    ("provider", "block", "column", "message"),
    [
        ("gitlab", "{}", 7, "the provider `gitlab` needs `with.project`"),
        ("gitlab", "{project: []}", 17, "`project` is a name or a number"),
        ("gitlab", "{project: true}", 17, "`project` is a name or a number"),
        ("gitlab", "{project: a/b, reff: x}", 22, "the provider `gitlab` has no `reff`"),
        ("gitlab", "{project: a/b, zzz: x}", 22, "the provider `gitlab` has no `zzz`"),
        ("gitlab", "{project: a/b, ref: 5}", 27, "`ref` is a string that is not empty"),
        ("gitlab", "{project: a/b, ref: '{shaa}'}", 27, "there is no placeholder `{shaa}`"),
        ("gitlab", "{project: a/b, variables: [a]}", 33, "`variables` is a mapping of names to strings"),
        ("gitlab", "{project: a/b, variables: {A: 5}}", 37, "the variable `A` is a string"),
        ("gitlab", "{project: a/b, variables: {A: '{x}'}}", 37, "there is no placeholder `{x}`"),
        ("gitlab", "{project: a/b, variables: {A-B: x}}", 34, "`A-B` cannot be the name of a variable"),
        ("gitlab", "{project: a/b, variables: {SAASBOT_SHA: x}}", 34, "`SAASBOT_SHA` cannot be the name of a variable"),
        ("gitlab", "{project: a/b, inputs: x}", 30, "`inputs` is a mapping of names to values"),
        (
            "gitlab",
            "{project: a/b, inputs: {n: {}}}",
            34,
            "the input `n` is a string, a number, `true`, `false` or a list of strings",
        ),
        ("gitlab", "{project: a/b, inputs: {n: ['{x}']}}", 34, "there is no placeholder `{x}`"),
        (
            "gitlab",
            "{project: a/b, trigger: glpt-x}",
            31,
            "`trigger` says where a secret is read from: exactly one of `env` and `file`",
        ),
        (
            "gitlab",
            "{project: a/b, trigger: {value: x}}",
            31,
            "`trigger` says where a secret is read from: exactly one of `env` and `file`",
        ),
        ("github", "{repository: a/b}", 7, "the provider `github` needs `with.workflow`"),
        ("github", "{repository: a/b/c, workflow: d.yml}", 20, "`repository` is an owner and a name"),
        ("github", "{repository: a/b, workflow: ''}", 35, "`workflow` is a name or a number"),
        (
            "github",
            "{repository: a/b, workflow: d.yml, runKeyInput: 5}",
            55,
            "`runKeyInput` is a string that is not empty",
        ),
        (
            "github",
            "{repository: a/b, workflow: d.yml, inputs: {saasbot_run_key: x}}",
            51,
            "the input `saasbot_run_key` is filled by the bot itself",
        ),
        (
            "github",
            "{repository: a/b, workflow: d.yml, inputs: {n: [a]}}",
            54,
            "the input `n` is a string, a number, `true`, `false`",
        ),
        (
            "github",
            f"{{repository: a/b, workflow: d.yml, inputs: {{{MANY}}}}}",
            50,
            "GitHub takes 25 inputs, and the run key is one of them",
        ),
        ("jenkins", "{}", 7, "the provider `jenkins` needs `with.job`"),
        ("jenkins", "{job: /}", 13, "`job` is a job's name with its folders"),
        ("jenkins", "{job: 5}", 13, "`job` is a job's name with its folders"),
        ("jenkins", "{job: a, parameter: {}}", 16, "the provider `jenkins` has no `parameter`"),
        ("jenkins", "{job: a, parameters: [x]}", 28, "`parameters` is a mapping of names to values"),
        ("jenkins", "{job: a, parameters: {A: [x]}}", 32, "the parameter `A` is a string, a number, `true` or `false`"),
        ("jenkins", "{job: a, parameters: {A: '{x}'}}", 32, "there is no placeholder `{x}`"),
        ("jenkins", "{job: a, parameters: {' ': x}}", 29, "` ` cannot be the name of a parameter"),
        (
            "jenkins",
            "{job: a, parameters: {SAASBOT_SHA: x}}",
            29,
            "`SAASBOT_SHA` cannot be the name of a parameter",
        ),
        ("jenkins", "{job: a, runKeyParameter: ''}", 33, "`runKeyParameter` is a string that is not empty"),
        (
            "jenkins",
            "{job: a, runKeyParameter: K, parameters: {K: x}}",
            49,
            "the parameter `K` is filled by the bot itself",
        ),
        ("gangway", "{job: ''}", 13, "`job` is a string that is not empty"),
        ("gangway", "{urlStyle: query}", 18, "`urlStyle` is `body` or `path`: where Gangway reads the job's name from"),
        ("gangway", "{type: batch}", 14, "`type` is one of periodic, postsubmit, presubmit"),
        ("gangway", "{type: 1}", 14, "`type` is one of periodic, postsubmit, presubmit"),
        ("gangway", "{page: prow}", 14, "`page` is the address of an execution's page up to its id"),
        ("gangway", "{envs: x}", 14, "`envs` is a mapping of names to strings"),
        ("gangway", "{envs: {A: ''}}", 18, "`A` is a string that is not empty"),
        ("gangway", "{envs: {A: 1}}", 18, "`A` is a string that is not empty"),
        ("gangway", "{envs: {' ': x}}", 15, "a name in `envs` is empty"),
        ("gangway", "{annotations: {A: '{x}'}}", 25, "there is no placeholder `{x}`"),
        (
            "gangway",
            "{labels: {A: 'b c'}}",
            20,
            "`A` cannot have this value as a label: Kubernetes takes up to 63 of `A-Za-z0-9-_.`",
        ),
        ("gangway", "{refs: {org: a}}", 14, "a periodic job takes no `refs`"),
        (
            "gangway",
            "{type: postsubmit, refs: {org: a, repo: b}}",
            32,
            "a postsubmit job needs `base_ref`, `base_sha` in `with.refs`",
        ),
        ("gangway", f"{{type: presubmit, refs: {REFS}}}", 31, "a presubmit job needs `pulls` in `with.refs`"),
        ("gangway", f"{{type: postsubmit, refs: {REFS[:-1]}, baseref: x}}}}", 85, "`refs` has no `baseref`"),
        ("gangway", f"{{type: postsubmit, refs: {REFS[:-1]}, zzz: x}}}}", 85, "`refs` has no `zzz`"),
        ("gangway", f"{{type: postsubmit, refs: {REFS[:-1]}, pulls: [7]}}}}", 92, "`pulls` is a list of mappings"),
        (
            "gangway",
            f"{{type: postsubmit, refs: {REFS[:-1]}, path_alias: [x]}}}}",
            97,
            "`path_alias` is a string, a number, `true` or `false`",
        ),
    ],
)
def test_blocks_that_a_provider_would_refuse(provider: str, block: str, column: int, message: str) -> None:
    """Each is one error at the value or key that is wrong; the second look takes it from the cache."""
    tree, cache = MemoryTree(repository(provider, block)), MemoryCache()
    (found,) = validate(tree, cache, SCHEMAS)
    assert (found.file, found.line, found.column, found.rule) == (DEPLOY, 4, column, "bad-with")
    assert found.message == message
    for name in [name for name in cache.data if name.startswith("verdict")]:
        del cache.data[name]
    assert validate(tree, cache, SCHEMAS) == (found,)


def test_refs_that_are_no_mapping_are_said_besides_what_is_missing() -> None:
    found = findings(repository("gangway", "{type: postsubmit, refs: main}"))
    assert [item.message for item in found] == [
        "`refs` is a mapping",
        "a postsubmit job needs `org`, `repo`, `base_ref`, `base_sha` in `with.refs`",
    ]


def test_a_secret_in_the_wrong_place_is_not_shown() -> None:
    (found,) = findings(repository("gitlab", "{project: a/b, trigger: in-clear}"))
    assert "in-clear" not in found.message + found.hint


def test_keys_that_are_no_strings_are_an_error_and_no_crash() -> None:
    found = findings(repository("gitlab", "{project: a/b, 5: x, variables: {6: x}, inputs: {7: x}}"))
    assert {item.rule for item in found} == {"wrong-type", "bad-with"}


def test_a_block_for_a_provider_without_rules_is_left_to_it() -> None:
    assert list(with_issues("registry", {"anything": 1})) == []


ENVIRONMENT = {name: name.removeprefix("SAASBOT_").lower() for name in PLACEHOLDERS.values()}


def test_placeholders_are_filled_from_what_a_run_is_told() -> None:
    told = {**ENVIRONMENT, "SAASBOT_SHA": "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"}
    assert fill("{sha7}-{action}/{run_key} {saas_file}", told) == "8f14e45-action/run_key saas_file"
    assert fill("${sha} {other} {Sha} {sha", told) == "${sha} {other} {Sha} {sha"
    assert fill("[{sha}]", {}) == "[]"
    assert unknown("{sha} {sha7} ${x}") == ""


def test_a_value_is_not_filled_again() -> None:
    assert fill("{ref}", {"SAASBOT_REF": "{sha}", "SAASBOT_SHA": "x"}) == "{sha}"


def test_the_blocks_of_jobs_are_judged_where_they_stand() -> None:
    body = "with: {graf: x}\njobs:\n- {name: a, with: {jobb: y}}\n- {name: b}\n"
    head = VALID["triggers/nightly.yml"].partition("with:")[0]
    found = [each for each in findings({**VALID, "triggers/nightly.yml": head + body}) if each.rule == "bad-with"]
    assert {(each.line, each.column, each.message) for each in found} == {
        (10, 8, "the provider `jenkins` has no `graf`"),
        (12, 20, "the provider `jenkins` has no `jobb`"),
        (12, 10, "the provider `jenkins` needs `with.job`"),
        (13, 10, "the provider `jenkins` needs `with.job`"),
    }
