"""Every command of these how-tos works on the demo data, as it stands there and in its order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from bench.server import Server
from tests.architecture.house import ROOT

PAGES = ["idempotency", "preferences-and-caps", "users-and-topics", "write-workflows"]
CURL = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


def commands(page: str) -> list[str]:
    """What somebody types who follows the page."""
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    found: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        found += re.findall(r"^\$ ((?:.*\\\n)*.*(?:\n         .*|\n           .*)*)", block, re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize("page", PAGES)
async def test_a_how_to_can_be_followed(server: Server, tmp_path: Path, page: str):
    """No command is refused, and none needs what the page does not say."""
    await server.start()
    dev = json.loads((Path(server.data) / "dev.json").read_text(encoding="utf-8"))
    where = {
        "CLARION_URL": dev["url"],
        "CLARION_API_KEY": dev["api_key"],
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for command in commands(page):
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", CURL + command, cwd=tmp_path, env=os.environ | where,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, f"{command}\n{out.decode()}"


def test_a_json_of_a_how_to_is_json():
    """Also what is only shown."""
    for page in PAGES:
        text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                assert isinstance(json.loads(line), dict)
