"""What a new config repository has instead where its forge is a server: settings, CI file, downstream pipeline."""

from __future__ import annotations

from collections.abc import Mapping

CI_FILES: Mapping[str, str] = {"gitlab": ".gitlab-ci.yml", "github": ".github/workflows/saasbot.yml"}
"""By forge: the file of the example that runs the bot there."""

LOCAL_ONLY = ("deploy.sh", "instances/shell.yml")
"""Files of the example that only make sense where the bot and its runs share a machine."""

_SETTINGS = {
    "gitlab": """\
# Where merge requests live. `project` is the full path of this repository's project; `url` is for a server of your own.
# The token is a project access token, or that of a group, with the scope `api`.
forge:
  provider: gitlab
  # url: https://gitlab.example.com
  project: acme/saas-config
  token: {env: SAASBOT_TOKEN}
""",
    "github": """\
# Where pull requests live. `project` is owner and name of this repository; `url` is for a server of your own.
# The token is a fine-grained one of the bot's user; instead of it, `app` names a GitHub App.
forge:
  provider: github
  # url: https://github.example.com
  project: acme/saas-config
  token: {env: SAASBOT_TOKEN}
""",
}

_STATE = """\
# What was deployed and promoted is remembered in the statefile: here in a ref of this repository, beside its branches.
# The bot's token has to be allowed to push it.
state:
  url: "git:refs/saasbot/state"
"""

_INSTANCE = """\
# yaml-language-server: $schema=../.saasbot/schemas/instance-1.json
#
# A server that runs pipelines, and the token that starts them there.
$schema: /instance-1.json
name: {0}
provider: {0}
url: {1}
token: {{env: SAASBOT_TOKEN}}
"""

_PIPELINE = """\
# yaml-language-server: $schema=../.saasbot/schemas/pipeline-1.json
#
# How targets are deployed: which instance runs what.
$schema: /pipeline-1.json
name: deploy
instance: {{$ref: /instances/{0}.yml}}

{1}
# A run that takes longer is stopped and counts as failed. A failed run is tried again `retries` times,
# then it is held until its configuration or commit changes, or somebody asks for `retry`.
timeout: 1h
retries: 0
"""

_WITH = {
    "gitlab": """\
# A pipeline of this project is started on this ref. It is told everything in SAASBOT_* variables; these come on top.
with:
  project: acme/deployments
  ref: main
  variables:
    VERSION: "{sha}"
""",
    "github": """\
# This workflow is started (`workflow_dispatch`). It declares the inputs `version` and `saasbot_run_key`, and says the
# latter in its `run-name`: by that its run is found again.
with:
  repository: acme/deployments
  workflow: deploy.yml
  ref: main
  inputs:
    version: "{sha}"
""",
}

_IGNORED = """\
# The bot's own, where it runs in a checkout of this repository.
/.cache/
/gl-code-quality-report.json
/saasbot-reconcile.json
"""

_PUBLIC = {"gitlab": "https://gitlab.com", "github": "https://github.com"}


def replacements(provider: str, settings: str) -> dict[str, str]:
    """The files by path that stand in for those of the example; `settings` is the example's `saasbot.yml`."""
    return {
        "saasbot.yml": _settings(provider, settings),
        f"instances/{provider}.yml": _INSTANCE.format(provider, _PUBLIC[provider]),
        "pipelines/deploy.yml": _PIPELINE.format(provider, _WITH[provider]),
        ".gitignore": _IGNORED,
    }


def _settings(provider: str, example: str) -> str:
    """The example's settings, paragraph by paragraph, with another forge and another state."""
    own = {"forge:": _SETTINGS[provider], "state:": _STATE}
    paragraphs = example.removesuffix("\n").split("\n\n")
    found = [
        next((text for key, text in own.items() if key in paragraph.splitlines()), f"{paragraph}\n")
        for paragraph in paragraphs
    ]
    return "\n".join(found)
