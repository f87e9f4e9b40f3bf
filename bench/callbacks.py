"""Callbacks a second: signed reports of SendGrid, verified, read and stored before they are answered.

In batches of 1,000 reports, as SendGrid sends them under load, and one by one. Each message is reported twice:
delivered, then opened; the reports of all messages come in a shuffled order.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.events import Events
from bench.load import Pool
from bench.report import Figure
from bench.rig import Rig, until_ended
from bench.server import Server
from bench.tenant import EMAIL
from bench.through import submit
from bench.wire import Answer, request
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.config import Settings
from clarion.model.ids import MessageId, TenantId, parse_id
from clarion.services.message_references import MessageReferences

USERS = 4_000
MESSAGES = 60_000
BATCH = 1_000
"""Reports a request."""
GOAL = 20_000
"""Reports a second."""
CALLERS = 4
SINGLE_CALLERS = 64
SINGLES = 20_000
TENANT = TenantId(1)
"""Of the demo."""


class Load(NamedTuple):
    """Requests, and how many reports they carry together."""

    requests: Sequence[bytes]
    reports: int


async def callbacks(rig: Rig) -> list[Figure]:
    """Batches, then single reports."""
    users, number = rig.much(USERS, 100), rig.much(MESSAGES, 2_000)
    size, singles = rig.much(BATCH, 100), rig.much(SINGLES, 500)
    async with rig.server(users) as server:
        ids = await _captured(server, users, number)
        reporter = await Reporter.to(server)
        events = [reporter.event(one, kind) for one in ids for kind in ("delivered", "open")]
        random.Random(7).shuffle(events)
        together, alone = events[singles:], events[:singles]
        batched = [together[at : at + size] for at in range(0, len(together), size)]
        figures = await _measured(
            server,
            "callbacks",
            Load([reporter.request(batch) for batch in batched], len(together)),
            CALLERS,
            f"{size:,} reports a request, verified and stored",
            GOAL,
        )
        figures += await _measured(
            server,
            "callbacks, one by one",
            Load([reporter.request([one]) for one in alone], len(alone)),
            SINGLE_CALLERS,
            f"{SINGLE_CALLERS} callers",
            None,
        )
        unknown = (await server.metrics()).get("clarion_callback_references_unknown_total", 0)
    if unknown:
        raise RuntimeError(f"{unknown:,.0f} reports were about unknown messages")
    return figures


async def _measured(
    server: Server, title: str, load: Load, callers: int, note: str, target: float | None
) -> list[Figure]:
    pool = await Pool.to(server.port, callers)
    cpu, began = server.cpu_s(), time.perf_counter()
    await _sent(pool, load.requests)
    took, spent = time.perf_counter() - began, server.cpu_s() - cpu
    pool.close()
    return [
        Figure(name=title, value=load.reports / took, unit="reports/s", target=target, note=note),
        Figure(
            name=f"{title}: CPU",
            value=spent / load.reports * 1e6,
            unit="us/report",
            note=f"{spent / took:.2f} cores",
        ),
    ]


async def _sent(pool: Pool, requests: Sequence[bytes]) -> None:
    left = iter(requests)

    async def drive() -> None:
        for raw in left:
            answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
            pool.send(raw, answered.set_result)
            answer = await answered
            if answer is None or answer.status >= 300:
                raise RuntimeError(f"a callback was not taken: {answer}")

    await asyncio.gather(*(drive() for _ in pool.connections))


async def _captured(server: Server, users: int, number: int) -> list[MessageId]:
    """Emails through the integration that is reported about, which is a capture so far."""
    await server.api.put("/v1/integrations/capture-email", {"channel": "email", "provider": "capture"})
    pool = await Pool.to(server.port, CALLERS)
    await submit(pool, Events(server.dev["api_key"], range(users), "reported"), EMAIL, number)
    await until_ended(server, number)
    pool.close()
    ids: list[MessageId] = []
    cursor = ""
    while len(ids) < number:
        answer = await server.api.call("GET", f"/v1/messages?limit=200&workflow={EMAIL}{cursor}")
        page = answer.json()
        ids += [MessageId(parse_id(one["id"])) for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    return ids


class Reporter:
    """Makes what SendGrid would send."""

    def __init__(self, server: Server, key: ec.EllipticCurvePrivateKey, path: str) -> None:
        self._key = key
        self._path = path
        settings = Settings.load(mode="dev", data_dir=server.data)
        vault = LocalVault.from_file(settings.key_path, SystemRandom())
        self._references = MessageReferences(vault)
        self._now = int(time.time())

    @classmethod
    async def to(cls, server: Server) -> Reporter:
        """The integration that captured becomes one of SendGrid's, whose key is ours."""
        key = ec.generate_private_key(ec.SECP256R1())
        shown = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        config = {
            "api_key": "SG.x",
            "from_address": "news@example.com",
            "webhook_key": base64.b64encode(shown).decode(),
        }
        whole = {"channel": "email", "provider": "sendgrid", "config": config}
        await server.api.put("/v1/integrations/capture-email", whole)
        answer = await server.api.call("GET", "/v1/integrations/capture-email")
        url = answer.json()["callback_url"]
        return cls(server, key, url[url.index("/v1/") :])

    def event(self, message: MessageId, kind: str) -> dict[str, Any]:
        """About 400 bytes, as SendGrid writes them."""
        reference = self._references.about(TENANT, message)
        return {
            "email": "bench@example.com",
            "timestamp": self._now,
            "smtp-id": f"<{reference[:20]}@geopod-ismtpd-1>",
            "event": kind,
            "category": ["bench-updates"],
            "sg_event_id": f"{kind}-{reference[:24]}",
            "sg_message_id": f"{reference[:22]}.recvd-7c8d9f-1-6650f6a2-1.0",
            "response": "250 2.0.0 OK",
            "clarion": reference,
        }

    def request(self, events: Sequence[dict[str, Any]]) -> bytes:
        """Signed."""
        body = json.dumps(events).encode()
        signature = self._key.sign(str(self._now).encode() + body, ec.ECDSA(SHA256()))
        headers = {
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": str(self._now),
        }
        return request("POST", self._path, body, headers=headers)
