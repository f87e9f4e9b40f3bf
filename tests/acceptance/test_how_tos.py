"""Every command of the README, the tutorial and these how-tos works on the demo data, as it stands there and in its order."""

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

HOW_TOS = ["idempotency", "preferences-and-caps", "users-and-topics", "write-workflows"]
PAGES = [
    "README.md",
    "docs/tutorial/first-notification.md",
    *(
        f"docs/how-to/{name}.md"
        for name in (
            *HOW_TOS,
            "embed-the-inbox",
            "publish-templates",
            "send-email",
            "send-to-chat",
            "send-webhooks",
            "translate-templates",
        )
    ),
]
CURL = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'
NOT_HERE = re.compile(
    r"git clone|make dev|messages tail"  # starts the demo, which runs already; never ends
    r"|\bEVENT\b|\bMESSAGE\b|clr_\.\.\."  # a name for what an answer said
    r"|\b0[0-9a-f]{7}-[0-9a-f]{4}-|whsec_\w"  # an id or a secret of an answer above it
)


def commands(page: str) -> list[str]:
    """What somebody types who follows the page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found: list[str] = []
    for kind, block in re.findall(r"```(console|sh|bash)\n(.*?)```", text, re.DOTALL):
        if kind != "console":
            found.append(block)
            continue
        typed: list[str] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                typed.append(line[2:])
            elif typed and unfinished(typed[-1]):
                typed[-1] += f"\n{line}"
        found += typed
    assert found
    return [command for command in found if not NOT_HERE.search(command)]


def unfinished(command: str) -> bool:
    """The shell would wait for another line."""
    here = re.search(r"<<'(\w+)'", command)
    return (
        command.endswith("\\")
        or command.count("'") % 2 == 1
        or bool(here and not command.endswith(f"\n{here[1]}"))
    )


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_can_be_followed(server: Server, tmp_path: Path, page: str):
    """No command is refused, and none needs what the page does not say."""
    await server.start()
    dev = json.loads((Path(server.data) / "dev.json").read_text(encoding="utf-8"))
    where = {
        "CLARION_URL": dev["url"],
        "CLARION_API_KEY": dev["api_key"],
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    (clone := tmp_path / "clone").mkdir()
    (clone / ".venv").symlink_to(Path(sys.executable).parent.parent)
    (clone / "clarion-data").symlink_to(server.data)
    for command in commands(page):
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", CURL + command.replace("http://127.0.0.1:8080", dev["url"]), cwd=clone, env=os.environ | where,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, f"{command}\n{out.decode()}"


def test_a_json_of_a_how_to_is_json():
    """Also what is only shown."""
    for page in HOW_TOS:
        text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                assert isinstance(json.loads(line), dict)
