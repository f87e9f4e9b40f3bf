"""Messages to services over HTTP, end to end: pushes to APNs, text messages to Twilio, emails to Amazon SES.

The services are servers that take everything: `nghttpd` over HTTP/2 and TLS, an HTTP/1.1 server of ours.
"""

from __future__ import annotations

import json
from typing import Any

from bench.push import push_service
from bench.report import Figure
from bench.rig import Rig
from bench.sink import http_sink
from bench.tenant import EMAIL, PUSH, SMS, device_token
from bench.through import measure
from bench.wire import Api
from clarion.plugins import providers

USERS = 4_000
PUSHES, TEXTS, EMAILS = 7_500, 5_000, 5_000
"""Messages a second that one machine should hand over."""
REACHED = {"CLARION_OUTBOUND__ALLOWED_NETWORKS": "127.0.0.0/8,::1/128"}
REACHED_TOML = 'outbound.allowed_networks = ["127.0.0.0/8", "::1/128"]\n'
"""The same in a file."""
TWILIO_ANSWER = json.dumps(
    {"sid": f"SM{1:032x}", "status": "queued", "num_segments": "1", "error_code": None}
)
CONCURRENCY = 16
"""Batches of an integration under way at once."""


async def push(rig: Rig) -> list[Figure]:
    """Pushes to APNs: rendered, sent over HTTP/2, settled on the answer."""
    users = rig.much(USERS, 100)
    async with push_service([f"3/device/{device_token(i)}" for i in range(users)]) as service:
        env = {**REACHED, "SSL_CERT_FILE": service.certificates}
        return await _measured(
            rig, users, env, "push over HTTP/2", PUSH, "push", "apns", {"url": service.url}, PUSHES
        )


async def sms(rig: Rig) -> list[Figure]:
    """Text messages to Twilio: rendered, posted one by one over kept connections, settled on the answer."""
    async with http_sink(201, TWILIO_ANSWER) as url:
        users = rig.much(USERS, 100)
        return await _measured(
            rig, users, REACHED, "SMS over HTTP", SMS, "sms", "twilio", {"api_url": url}, TEXTS
        )


async def ses(rig: Rig) -> list[Figure]:
    """Emails to Amazon SES: rendered, made into MIME, signed and posted one by one."""
    async with http_sink(200, json.dumps({"MessageId": "0102018f"})) as url:
        users = rig.much(USERS, 100)
        return await _measured(
            rig, users, REACHED, "email to SES over HTTP", EMAIL, "email", "ses", {"api_url": url}, EMAILS
        )


async def send_through(api: Api, channel: str, provider: str, place: dict[str, Any]) -> None:
    """What goes out on the channel goes through this provider, with its example as settings but for where its service is."""
    whole = {
        "channel": channel,
        "provider": provider,
        "config": {**providers()[provider].example, **place},
        "limits": {"concurrency": CONCURRENCY},
    }
    await api.put(f"/v1/integrations/capture-{channel}", whole)


async def _measured(
    rig: Rig,
    users: int,
    env: dict[str, str],
    title: str,
    workflow: str,
    channel: str,
    provider: str,
    place: dict[str, Any],
    target: int,
) -> list[Figure]:
    async with rig.server(users, env=env) as server:
        await send_through(server.api, channel, provider, place)
        return await measure(rig, server, title, workflow, range(users), target=target)
