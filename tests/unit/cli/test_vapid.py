"""`clarion vapid create`."""

from __future__ import annotations

import json

import msgspec
from typer.testing import CliRunner

from clarion.adapters.providers.webpush import WebPush, WebPushConfig
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.cli.main import program
from clarion.testing.ports import provider_tools


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(program, ["vapid", "create", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_what_it_prints_makes_an_integration_that_opens():
    """Copied as it stands, the body is a valid configuration."""
    lines = ran().splitlines()
    body = json.loads(lines[lines.index("END") - 1])
    config = msgspec.convert(body["config"], WebPushConfig)
    random = SystemRandom()
    WebPush(config, provider_tools(SystemClock(), random, LocalVault(bytes(32), random)))
    assert body["provider"] == "webpush"
    assert body["channel"] == "push"


def test_every_pair_is_new():
    """Nothing is derived from the machine."""
    assert json.loads(ran("--json")) != json.loads(ran("--json"))
