"""The providers of APNs and FCM alone: rendered messages in, outcomes out, over HTTP/2 to `nghttpd`.

    python -m bench.push apns|fcm [--messages 50000]

The provider has one core, `nghttpd` the other. Nothing is measured of the engine. Beside them, as they are by
themselves: apns2, the client in Go that Gorush sends through.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import trustme
import uvloop

from bench.children import Missing, program, running
from bench.report import Figure
from bench.rig import GENERATOR_CORE, SERVER_CORE, Rig
from bench.server import ROOT, free_port
from bench.tenant import device_token
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.content import PushContent
from clarion.model.outcome import Accepted
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.plugins import providers
from clarion.ports.provider import Provider
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject

MESSAGES = 50_000
GOAL = 10_000
"""Messages a second that a provider should hand over with one core."""
BATCHES_AT_ONCE = 4
"""As many calls as the lanes of an integration have under way."""
STREAMS = 1_000
"""What APNs allows on a connection."""
TOKENS = 1_000
CONTENT = PushContent(title="Your order is on its way", body="It arrives tomorrow.", data={"order": "4711"})
PEER = ROOT / "bench" / "peer" / "apns2"
BUILT = ROOT / ".cache" / "bench-apns2"
PROJECT = "example-project"
ANSWER = {"name": f"projects/{PROJECT}/messages/1", "access_token": "t", "expires_in": 3_600}
"""Serves as every answer: that to a message, and that to a request for a token."""


class Told(msgspec.Struct):
    """What one sender tells of itself."""

    rate: float
    """Messages a second."""
    cpu: float
    """Microseconds a message."""
    taken: float


class PushService(NamedTuple):
    """A server that takes every push."""

    url: str
    certificates: str
    """File with the authority that its certificate comes from."""


async def alone(rig: Rig) -> list[Figure]:
    """The providers, then the peer."""
    count = rig.much(MESSAGES, 1_000)
    figures: list[Figure] = []
    for name in ("apns", "fcm"):
        told = await _told([rig.python, "-m", "bench.push", name, "--messages", str(count)])
        figures += _figures(f"{name} alone", told, count, f"{told.taken:,.0f} taken by nghttpd", GOAL)
    title = "apns2 in Go alone"
    try:
        told = await _peer(count)
    except Missing as missing:
        return [*figures, Figure(name=title, value=float("nan"), unit="messages/s", note=str(missing))]
    return [*figures, *_figures(title, told, count, "the client of Gorush, one core", None)]


def _figures(title: str, told: Told, count: int, note: str, target: float | None) -> list[Figure]:
    if told.taken < count:
        raise RuntimeError(f"{title}: {told.taken:,.0f} of {count:,} messages were taken")
    return [
        Figure(name=title, value=told.rate, unit="messages/s", target=target, note=note),
        Figure(name=f"{title}: CPU", value=told.cpu, unit="us/message"),
    ]


async def _told(command: Sequence[str], env: dict[str, str] | None = None) -> Told:
    child = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
        cwd=ROOT,
    )
    said, wrong = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"{command[0]} failed: {wrong.decode(errors='replace')[-500:]}")
    return msgspec.json.decode(said, type=Told)


async def _peer(count: int) -> Told:
    """apns2, built once. Raises Missing without Go."""
    go = program("go", "golang")
    subprocess.run([go, "build", "-o", BUILT, "."], cwd=PEER, check=True, capture_output=True)
    os.sched_setaffinity(0, {GENERATOR_CORE})
    async with push_service(_apns_paths()) as service:
        os.sched_setaffinity(0, {SERVER_CORE})
        with tempfile.NamedTemporaryFile("w", suffix=".p8") as key:
            key.write(providers()["apns"].example["private_key"])
            key.flush()
            words = [str(BUILT), service.url, key.name, service.certificates, str(count)]
            return await _told(words, {"GOMAXPROCS": "1"})


@contextlib.asynccontextmanager
async def push_service(paths: Sequence[str]) -> AsyncIterator[PushService]:
    """A server that answers 200 to these paths. Raises Missing when it is not installed."""
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as name:
        folder, port = Path(name), free_port()
        authority = trustme.CA()
        certificates = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(certificates)
        issued = authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        for path in paths:
            (folder / "served" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "served" / path).write_text(json.dumps(ANSWER))
        pem = str(folder / "server.pem")
        command = [
            *(program("nghttpd", "nghttp2-server"), f"--max-concurrent-streams={STREAMS}", "-a", "127.0.0.1"),
            *("-d", str(folder / "served"), str(port), pem, pem),
        ]
        async with running(command, port=port):
            yield PushService(f"https://localhost:{port}", certificates)


def _apns_paths() -> list[str]:
    return [f"3/device/{device_token(number)}" for number in range(TOKENS)]


def _config(name: str, url: str) -> dict[str, Any]:
    """The settings of a provider's example, for the server at `url`."""
    config = {**providers()[name].example, "url": url}
    if name == "fcm":
        account = {**json.loads(config["service_account"]), "token_uri": f"{url}/token"}
        config["service_account"] = json.dumps(account)
    return config


def messages(subject: ProviderSubject, service: str, count: int) -> list[Outgoing]:
    """Different messages to devices that take turns."""
    made = subject.messages(count, Channel.PUSH, CONTENT)
    return [
        msgspec.structs.replace(
            one, contact=msgspec.structs.replace(one.contact, address=f"{service}:{device_token(n % TOKENS)}")
        )
        for n, one in enumerate(made)
        if one.contact is not None
    ]


async def send(provider: Provider, todo: Sequence[Sequence[Outgoing]]) -> int:
    """How many messages of all batches were accepted."""
    accepted = 0
    left = iter(todo)

    async def work() -> None:
        nonlocal accepted
        for batch in left:
            outcomes = await provider.send(batch)
            accepted += sum(isinstance(one, Accepted) for one in outcomes)

    await asyncio.gather(*(work() for _ in range(BATCHES_AT_ONCE)))
    return accepted


async def measure(name: str, count: int) -> Told:
    """One provider in this process."""
    plugin = providers()[name]
    random = SystemRandom()
    tools = provider_tools(SystemClock(), random, LocalVault(random.bytes(32), random))
    tools = msgspec.structs.replace(tools, allowed_networks=("127.0.0.0/8", "::1/128"))
    made = messages(ProviderSubject(plugin=plugin, tools=tools), name, count)
    todo = [made[at : at + plugin.batch] for at in range(0, count, plugin.batch)]
    paths = [*_apns_paths(), "token", f"v1/projects/{PROJECT}/messages:send"]
    os.sched_setaffinity(0, {GENERATOR_CORE})
    async with push_service(paths) as service:
        os.sched_setaffinity(0, {SERVER_CORE})
        os.environ["SSL_CERT_FILE"] = service.certificates
        config = _config(name, service.url)
        integration = Integration(key="phones", channel=Channel.PUSH, provider=name, config=config)
        provider = plugin.open(integration, msgspec.convert(config, plugin.config), tools)
        try:
            await send(provider, todo[:8])  # Connects.
            began, cpu = time.perf_counter(), time.process_time()
            accepted = await send(provider, todo)
            wall, spent = time.perf_counter() - began, time.process_time() - cpu
        finally:
            await provider.close()
    return Told(rate=count / wall, cpu=spent / count * 1e6, taken=accepted)


def main() -> None:
    """Measure one provider and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("provider", choices=("apns", "fcm"))
    parser.add_argument("--messages", type=int, default=MESSAGES)
    asked = parser.parse_args()
    if (os.cpu_count() or 1) <= max(SERVER_CORE, GENERATOR_CORE):
        sys.exit("this needs two cores")
    told = uvloop.run(measure(asked.provider, asked.messages))
    print(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main()
