"""The provider of APNs alone: rendered messages in, outcomes out, over HTTP/2 to `nghttpd`.

    python -m bench.push [--messages 50000]

It has one core, `nghttpd` the other. Nothing is measured of the engine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import trustme
import uvloop

from bench.children import program, running
from bench.rig import GENERATOR_CORE, SERVER_CORE
from bench.server import free_port
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.content import PushContent
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.plugins import providers
from clarion.ports.provider import Provider
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject

BATCHES_AT_ONCE = 4
"""As many calls as the lanes of an integration have under way."""
STREAMS = 1_000
"""What APNs allows on a connection."""
TOKENS = 1_000
CONTENT = PushContent(title="Your order is on its way", body="It arrives tomorrow.", data={"order": "4711"})


@contextlib.asynccontextmanager
async def push_service(paths: Sequence[str]) -> AsyncIterator[str]:
    """The URL of a server that answers 200 to these paths. Raises Missing when it is not installed."""
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as name:
        folder, port = Path(name), free_port()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        issued = authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        os.environ["SSL_CERT_FILE"] = str(folder / "ca.pem")
        for path in paths:
            (folder / "served" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "served" / path).write_text('{"name": "projects/p/messages/1"}')
        pem = str(folder / "server.pem")
        command = [
            *(program("nghttpd", "nghttp2-server"), f"--max-concurrent-streams={STREAMS}", "-a", "127.0.0.1"),
            *("-d", str(folder / "served"), str(port), pem, pem),
        ]
        async with running(command, port=port):
            yield f"https://localhost:{port}"


def messages(subject: ProviderSubject, count: int) -> list[Outgoing]:
    """Different messages to devices that take turns."""
    made = subject.messages(count, Channel.PUSH, CONTENT)
    return [
        msgspec.structs.replace(one, contact=msgspec.structs.replace(one.contact, address=f"apns:{token(n)}"))
        for n, one in enumerate(made)
        if one.contact is not None
    ]


def token(number: int) -> str:
    """Of one of the devices."""
    return f"{number % TOKENS:064x}"


async def send(provider: Provider, todo: Sequence[Sequence[Outgoing]]) -> Counter[str]:
    """What became of all batches."""
    found: Counter[str] = Counter()
    left = iter(todo)

    async def work() -> None:
        for batch in left:
            found.update(type(outcome).__name__ for outcome in await provider.send(batch))

    await asyncio.gather(*(work() for _ in range(BATCHES_AT_ONCE)))
    return found


async def measure(count: int) -> None:
    """One line."""
    plugin = providers()["apns"]
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(random.bytes(32), random))
    tools = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8", "::1/128"))
    made = messages(ProviderSubject(plugin=plugin, tools=tools), count)
    todo = [made[at : at + plugin.batch] for at in range(0, count, plugin.batch)]
    os.sched_setaffinity(0, {GENERATOR_CORE})
    async with push_service([f"3/device/{token(number)}" for number in range(TOKENS)]) as url:
        os.sched_setaffinity(0, {SERVER_CORE})
        config: Mapping[str, Any] = {**plugin.example, "url": url}
        integration = Integration(key="phones", channel=Channel.PUSH, provider="apns", config=dict(config))
        provider = plugin.open(integration, msgspec.convert(config, plugin.config), tools)
        try:
            await send(provider, todo[:8])  # Connects.
            began, cpu = time.perf_counter(), time.process_time()
            found = await send(provider, todo)
            wall, spent = time.perf_counter() - began, time.process_time() - cpu
        finally:
            await provider.close()
    told = {"messages/s": round(count / wall), "us/message": round(spent / count * 1e6, 1), **found}
    print(json.dumps(told))


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    asked = parser.parse_args()
    if (os.cpu_count() or 1) <= max(SERVER_CORE, GENERATOR_CORE):
        sys.exit("this needs two cores")
    uvloop.run(measure(asked.messages))


if __name__ == "__main__":
    main()
