"""The first minute of a newcomer: a fresh checkout, `make dev`, a trigger, and the notification in an inbox."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Figure
from bench.rig import Rig
from bench.server import ROOT, free_port
from bench.wire import Api

WITHIN_S = 300
WORKFLOW = "welcome"
"""Of the demo tenant."""


async def first_minute(rig: Rig) -> list[Figure]:
    """Nothing is installed but the package cache is warm; measured from `make dev` on, for this checkout only."""
    if rig.quick or rig.python != sys.executable or not shutil.which("git") or not (ROOT / ".git").exists():
        return []
    with tempfile.TemporaryDirectory(prefix="clarion-first-") as folder:
        checkout, data, port = Path(folder) / "clarion", Path(folder) / "data", free_port()
        _clone(checkout)
        began = time.perf_counter()
        process = _make_dev(checkout, data, port)
        try:
            ready = await _until_ready(process, port) - began
            dev = json.loads((data / "dev.json").read_text())
            took = await _until_seen(Api(port, dev["api_key"]), dev["users"][0]) - began
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return [
        Figure(
            name="make dev to first notification",
            value=took,
            unit="s",
            target=60,
            at_most=True,
            note=f"fresh checkout, warm package cache; ready after {ready:.1f} s",
        )
    ]


def _clone(into: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(into)], check=True)


def _make_dev(checkout: Path, data: Path, port: int) -> subprocess.Popen[bytes]:
    command = ["make", "dev", f"ARGS=--port {port} --data-dir {data}"]
    output = data.with_name("output").open("wb")
    return subprocess.Popen(command, cwd=checkout, stdout=output, stderr=output, start_new_session=True)


async def _until_ready(process: subprocess.Popen[bytes], port: int) -> float:
    probe, until = Api(port), time.perf_counter() + WITHIN_S
    while process.poll() is None and time.perf_counter() < until:
        try:
            if (await probe.call("GET", "/readyz")).status == 200:
                return time.perf_counter()
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError("`make dev` did not come up")


async def _until_seen(api: Api, user: str) -> float:
    data = (await api.get(f"/v1/workflows/{WORKFLOW}"))["example_data"]
    await api.post(f"/v1/workflows/{WORKFLOW}/trigger", {"recipients": [user], "data": data})
    until = time.perf_counter() + 10
    while time.perf_counter() < until:
        if (await api.get(f"/v1/users/{user}/inbox"))["items"]:
            return time.perf_counter()
        await asyncio.sleep(0.02)
    messages = [(m["channel"], m["status"], m["reason"]) for m in (await api.get("/v1/messages"))["items"]]
    raise RuntimeError(f"the notification never showed up in the inbox: {messages}")
