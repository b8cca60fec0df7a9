"""The example repository: every file fits its schema, shows editors where it is, and the program does what it says."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml_rs

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config-example"
FILES = sorted(path for path in EXAMPLE.rglob("*.yml") if not path.relative_to(EXAMPLE).as_posix().startswith("."))
"""The data files; those of CI begin with a dot."""
NAMES = [str(path.relative_to(EXAMPLE)) for path in FILES]


def load(path: Path) -> dict[str, Any]:
    document = yaml_rs.loads(path.read_text(encoding="utf-8"), parse_datetime=False)
    assert isinstance(document, dict)
    return document


def refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        return (
            [str(value["$ref"])] if set(value) == {"$ref"} else [ref for item in value.values() for ref in refs(item)]
        )
    return [ref for item in value for ref in refs(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_file_fits_its_schema(path: Path) -> None:
    document = load(path)
    schema = json.loads((ROOT / "schemas" / document["$schema"].lstrip("/")).read_bytes())
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert [(error.instance_path, error.message) for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_file_starts_with_a_modeline_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    up = "../" * (len(path.relative_to(EXAMPLE).parts) - 1)
    assert first == f"# yaml-language-server: $schema={up}.saasbot/schemas{load(path)['$schema']}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_reference_leads_to_a_file(path: Path) -> None:
    assert [ref for ref in refs(load(path)) if not (EXAMPLE / ref.lstrip("/")).is_file()] == []


def test_the_services_show_the_features() -> None:
    promotions = {
        (document["name"], target["name"]): (target["ref"], target["promotion"])
        for path in EXAMPLE.rglob("saas.yml")
        for document in [load(path)]
        for target in document["resourceTemplates"][0]["targets"]
    }
    services = {"orders", "payments", "frontend"}
    assert set(promotions) == {(service, stage) for service in services for stage in ("stage", "production")}
    for service in services:
        assert promotions[service, "stage"] == ("main", {"publish": [f"{service}-stage-ok"]})
        ref, promotion = promotions[service, "production"]
        assert len(ref) == 40
        assert (promotion["auto"], promotion["subscribe"]) == (True, [f"{service}-stage-ok"])
        assert promotion["soak"] == "24h"
    assert promotions["payments", "production"][1]["windows"]


def deploy(parameters: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "SAASBOT_TARGET": "orders/orders/stage",
        "SAASBOT_SAAS_FILE": "orders",
        "SAASBOT_SHA": "8f14e45fceea167a5a36dedd4bea2543ce3dc40d",
        "SAASBOT_REF": "main",
        "SAASBOT_PARAMETERS": parameters,
        "SAASBOT_RUN_KEY": "k1",
        "SAASBOT_ACTION": "deploy",
        "SAASBOT_REASONS": "moving_commit",
    }
    return subprocess.run([EXAMPLE / "deploy.sh"], env=environment, capture_output=True, text=True, check=False)


def test_the_program_says_what_it_deploys() -> None:
    done = deploy('{"LOG_LEVEL": "debug"}')
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "action      deploy",
        "target      orders/orders/stage",
        "SaaS file   orders",
        "commit      8f14e45fceea167a5a36dedd4bea2543ce3dc40d",
        "ref         main",
        'parameters  {"LOG_LEVEL": "debug"}',
        "reasons     moving_commit",
        "run key     k1",
        "done",
    ]


@pytest.mark.parametrize("parameters", ['{"FAIL": true}', '{"A":1,"FAIL":true}'])
def test_the_program_fails_where_it_is_asked_to(parameters: str) -> None:
    assert deploy(parameters).returncode == 1


def test_the_program_does_not_fail_for_other_values() -> None:
    assert deploy('{"FAIL": false, "DONT_FAIL": "true"}').returncode == 0
