"""Every command of the README, the tutorial and these how-tos works on the demo data (or an empty production installation), as it stands there and in its order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from bench.server import Server, free_port
from bench.wire import Api
from tests.architecture.source_tree import ROOT
from tests.needs import DEEP

HOW_TOS = [
    "digests",
    "idempotency",
    "preferences-and-caps",
    "schedule-workflows",
    "users-and-topics",
    "write-workflows",
    "write-workflows-with-steps",
]
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
            *(["tell-a-team"] if DEEP else []),
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
    for kind, block in re.findall(r"^ *```(console|sh|bash)\n(.*?)```", text, re.DOTALL | re.MULTILINE):
        if kind != "console":
            found.append(block)
            continue
        typed: list[str] = []
        for line in dedent(block).splitlines():
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
        await typed(command.replace("http://127.0.0.1:8080", dev["url"]), clone, where)


async def test_a_production_installation_can_be_made_and_sends(tmp_path: Path):
    """From nothing to a ladder in three languages, by what the page says; the address and the paths are other ones."""
    port, data, config = free_port(), tmp_path / "data", tmp_path / "clarion.toml"
    config.write_text(
        f'public_url = "https://notify.example"\nport = {port}\ndata_dir = "{data}"\n', encoding="utf-8"
    )
    where = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    server, said = None, ""
    try:
        for written in commands("docs/how-to/run-in-production.md"):
            command = written.replace("/etc/clarion.toml", str(config))
            if command.startswith("clarion serve"):
                server = await asyncio.create_subprocess_exec(*command.split(), env=os.environ | where)
                await ready(port)
                continue
            said = await typed(command, tmp_path, where)
            if command.startswith("clarion keys create"):
                key = re.search(r"clr_\w+", said)
                assert key
                where |= {"CLARION_URL": f"http://127.0.0.1:{port}", "CLARION_API_KEY": key[0]}
        assert "No integration serves `email`" in said  # the last trigger, as the page says
    finally:
        if server is not None:
            server.terminate()
            await server.wait()


async def ready(port: int) -> None:
    """Wait until the server says so."""
    for _ in range(3_000):
        try:
            if (await Api(port).call("GET", "/readyz", within=30)).status == 200:
                return
        except OSError:
            pass
        await asyncio.sleep(0.02)
    raise AssertionError("not ready within a minute")


async def typed(command: str, where: Path, env: dict[str, str]) -> str:
    """What a command said; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", CURL + command, cwd=where, env=os.environ | env,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, f"{command}\n{out.decode()}"
    return out.decode()


def test_a_json_of_a_how_to_is_json():
    """Also what is only shown."""
    for page in HOW_TOS:
        text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                assert isinstance(json.loads(line), dict)
