"""Write a big config repository from a seed: `python tests/bench/generate.py DIR --files 2000 --seed 1`.

The same seed gives the same bytes. A hundred SaaS files have 880 targets (every fifth file has four more). Five
services make one product, which has one app and a namespace for each environment. Styles vary as people's do: flow and
block, comments, quotes, indented lists.
"""

from __future__ import annotations

import argparse
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVICES_PER_PRODUCT = 5
ENVIRONMENTS = (
    "stage",
    "perf",
    "int",
    "load",
    "fedramp",
    "eu",
    "us",
    "ap",
    "production",
    "production-2",
    "canary",
    "dr",
)

SETTINGS = """\
$schema: /settings-1.json
branch: main
forge: {provider: local, path: ../forge, members: {alice: owner, bob: developer}}
state: {url: "file:../state.json"}
"""


@dataclass(frozen=True)
class Options:
    """What a repository may differ in; without any, the same seed gives the bytes it always gave.

    Services are found below `base_url`. Pinned refs are `pin` instead of random ones, and `settings` is appended to
    `saasbot.yml`.
    """

    base_url: str = "https://git.example.com/org"
    pin: str = ""
    settings: str = ""


PLAIN = Options()

INSTANCE = "$schema: /instance-1.json\nname: shell\nprovider: command\n"


def pipeline(name: str) -> str:
    """Return a pipeline on the shell instance."""
    return (
        f"$schema: /pipeline-1.json\nname: {name}\ninstance: {{$ref: /instances/shell.yml}}\n"
        "with: {command: [./deploy.sh]}            # relative to the repository's root\ntimeout: 1h\n"
    )


def app(name: str, rng: random.Random, options: Options = PLAIN) -> str:
    """Return an app with one code repository."""
    blocked = (
        "".join(f"\n  - {sha(rng)}   # broke the login" for _ in range(rng.randint(1, 2)))
        if rng.random() < 0.2
        else " []"
    )
    return (
        f"---\n$schema: /app-1.json\nname: {name}\nowners:\n- alice\n- team-{rng.randint(1, 40)}\n"
        "codeComponents:\n"
        f"- url: {options.base_url}/{name}\n  blockedVersions:{blocked}\n  hotfixVersions: []\n"
    )


def namespace(product: str, environment: str, rng: random.Random) -> str:
    """Return a namespace of a product."""
    return (
        f"$schema: /namespace-1.json\nname: {product}-{environment}\ncluster: {environment}-{rng.randint(1, 9)}\n"
        f"environment: {environment}\napp: {{$ref: /services/{product}/app.yml}}\n"
    )


def sha(rng: random.Random) -> str:
    """Return a random commit sha."""
    return f"{rng.getrandbits(160):040x}"


def environments(number: int) -> tuple[str, ...]:
    """Return the environments of the service with this number: 8 of them, or 12 for every fifth."""
    return ENVIRONMENTS if number % 5 == 0 else ENVIRONMENTS[:8]


def parameters(rng: random.Random, indent: str) -> str:
    """Return a parameters block of three to eight entries."""
    choices = (
        "LOG_LEVEL: info",
        f"REPLICAS: {rng.randint(1, 9)}",
        'MEMORY_LIMIT: "1Gi"',
        "CPU_LIMIT: 500m",
        f"DB_HOST: db-{rng.randint(1, 99)}.example.com",
        "TLS: true",
        f"# asked for in TICKET-{rng.randint(100, 999)}\n{indent}  RETRIES: '{rng.randint(1, 5)}'",
        'FEATURES: "search,export,audit"   # keep sorted',
        f"IMAGE: registry.example.com/org/image-{rng.randint(1, 50)}",
    )
    picked = rng.sample(choices, rng.randint(3, 8))
    return f"{indent}parameters:\n" + "".join(f"{indent}  {line}\n" for line in picked)


def target(
    product: str, service: str, environment: str, first: str, rng: random.Random, indent: str, pin: str = ""
) -> str:
    """Return one target: the first follows `main` and publishes, the others are pinned and subscribe to it."""
    channel = f"{service}-{first}-ok"
    reference = f"/services/{product}/namespaces/{environment}.yml"
    inner = f"{indent}  "
    flow = rng.random() < 0.7
    text = f"{indent}- name: {environment}\n{inner}namespace: " if rng.random() < 0.8 else f"{indent}- namespace: "
    text += f"{{$ref: {reference}}}\n" if flow else f"\n{inner}  $ref: {reference}\n"
    if environment == first:
        return f"{text}{inner}ref: main                     # followed\n{inner}promotion: {{publish: [{channel}]}}\n"
    quote = rng.choice(("", "", '"'))
    text += f"{inner}ref: {quote}{pin or sha(rng)}{quote}\n"
    if rng.random() < 0.85:
        text += parameters(rng, inner)
    text += f"{inner}promotion:\n{inner}  auto: {'true' if rng.random() < 0.8 else 'false'}\n"
    text += f"{inner}  subscribe:\n{inner}  - {channel}\n"
    if environment.startswith("production"):
        window = '{cron: "0 9 * * 1-4", duration: 8h, timezone: Europe/Prague}'
        text += f"{inner}  soak: 24h\n{inner}  windows:\n{inner}  - {window}\n"
    return text


def saas_file(product: str, service: str, number: int, rng: random.Random, options: Options = PLAIN) -> str:
    """Return one SaaS file with all its targets."""
    indent = "  " if rng.random() < 0.7 else "    "
    names = environments(number)
    text = (
        f"---\n$schema: /saas-file-1.json\n\nname: {service}\n# questions: #team-{service}\n"
        f"app: {{$ref: /services/{product}/app.yml}}\n"
        f"pipeline:\n  $ref: /pipelines/deploy-{number % 10}.yml\n\nparameters: {{LOG_LEVEL: info, REGION: eu}}\n\n"
        f"resourceTemplates:\n- name: {service}\n  url: {options.base_url}/{service}\n"
        "  path: /openshift/template.yaml\n  targets:\n"
    )
    pin = options.pin
    return text + "".join(target(product, service, each, names[0], rng, indent, pin) for each in names)


def contents(files: int, seed: int, options: Options = PLAIN) -> Iterator[tuple[str, str]]:
    """Yield path and text of every file of a repository with this many SaaS files."""
    rng = random.Random(seed)  # noqa: S311 - the same bytes for the same seed are the point
    yield "saasbot.yml", SETTINGS + options.settings
    yield "README.md", "# A generated config repository\n"
    yield "instances/shell.yml", INSTANCE
    for number in range(10):
        yield f"pipelines/deploy-{number}.yml", pipeline(f"deploy-{number}")
    for number in range(files):
        product, service = f"product-{number // SERVICES_PER_PRODUCT:04d}", f"service-{number:04d}"
        if number % SERVICES_PER_PRODUCT == 0:
            yield f"services/{product}/app.yml", app(product, rng, options)
            for environment in ENVIRONMENTS:
                yield f"services/{product}/namespaces/{environment}.yml", namespace(product, environment, rng)
        yield f"services/{product}/saas/{service}.yml", saas_file(product, service, number, rng, options)


def generate(folder: Path, files: int, seed: int, options: Options = PLAIN) -> None:
    """Write the repository and commit it."""
    for path, text in contents(files, seed, options):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode())
    identity = ("-c", "user.name=generator", "-c", "user.email=generator@localhost", "-c", "gc.auto=0")
    for arguments in (("init", "-q", "-b", "main"), ("add", "."), (*identity, "commit", "-q", "-m", "Generate")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def main() -> None:
    """Read the arguments and generate."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--files", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--base-url", default=PLAIN.base_url, help="where the services are")
    arguments.add_argument("--pin", default="", metavar="SHA", help="the ref of all pinned targets")
    given = arguments.parse_args()
    generate(given.folder, given.files, given.seed, Options(base_url=given.base_url, pin=given.pin))


if __name__ == "__main__":
    main()
