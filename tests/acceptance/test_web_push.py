"""Web push with parts that are not ours: a push service and a sender from npm."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clarion.adapters.providers.webpush import WebPushConfig, plugin
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.adapters.webpush.vapid import VapidKeys, new_keys, private_key, public_of
from clarion.model.channel import Channel
from clarion.model.content import PushContent
from clarion.model.outcome import Accepted, Gone, Rejected
from clarion.model.setup import Integration
from clarion.model.status import Status
from clarion.model.suppression import SuppressionFilter
from clarion.ports.provider import Provider, ProviderTools
from clarion.testing.ports import ManualClock, provider_tools
from tests.browsers import Browser, push_service
from tests.engine import engine, workflow
from tests.needs import require_npm
from tests.outgoing import outgoing

pytestmark = pytest.mark.acceptance

SAYS = Path(__file__).parent.parent / "npm" / "web-push-says.js"


def tools() -> ProviderTools:
    random = SystemRandom()
    lent = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    return msgspec.structs.replace(lent, allowed_networks=("127.0.0.0/8", "::1/128"))


def opened(keys: VapidKeys) -> Provider:
    config = WebPushConfig(public_key=keys.public, private_key=keys.private, subject="mailto:ops@example.com")
    return plugin.open(Integration(key="browsers", channel=Channel.PUSH, provider="webpush"), config, tools())


async def web_push(asked: object) -> Any:
    """Ask npm's web-push."""
    package = require_npm("web-push", "a sender of web pushes that is not ours")
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SAYS),
        str(package.parent),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(json.dumps(asked).encode())
    assert process.returncode == 0
    return json.loads(said)


async def test_a_push_service_that_is_not_ours_takes_and_reads_our_pushes():
    """web-push-testing checks the VAPID signature, key and time, and decrypts what we sent."""
    keys = new_keys()
    async with push_service(tools()) as service:
        provider = opened(keys)
        subscribed = [await service.subscribe(keys.public) for _ in range(10)]
        outcomes = await provider.send(
            [
                outgoing(
                    PushContent(title=f"Grüße {n} 👋", body="x" * 3_000, data={"n": n}),
                    n,
                    channel=Channel.PUSH,
                    address=json.dumps(subscription),
                )
                for n, subscription in enumerate(subscribed)
            ]
        )
        assert outcomes == [Accepted()] * 10
        for n, subscription in enumerate(subscribed):
            (said,) = await service.messages(subscription)
            assert (said["notification"]["title"], said["notification"]["data"]) == (
                f"Grüße {n} 👋",
                {"n": n},
            )
        await service.expire(subscribed[0])
        gone = outgoing(PushContent(title="x"), channel=Channel.PUSH, address=json.dumps(subscribed[0]))
        assert isinstance((await provider.send([gone]))[0], Gone)
        await provider.close()


async def test_a_push_with_other_keys_is_refused():
    """The push service knows with which key the browser subscribed."""
    async with push_service(tools()) as service:
        subscription = await service.subscribe(new_keys().public)
        provider = opened(new_keys())
        message = outgoing(PushContent(title="x"), channel=Channel.PUSH, address=json.dumps(subscription))
        assert isinstance((await provider.send([message]))[0], Rejected)
        assert await service.messages(subscription) == []
        await provider.close()


async def test_keys_go_both_ways():
    """We send with keys made by npm's web-push, and it sends with ours; both are understood."""
    theirs = await web_push({})
    keys = VapidKeys(public=theirs["publicKey"], private=theirs["privateKey"])
    assert public_of(private_key(keys.private)) == keys.public
    async with push_service(tools()) as service:
        subscription = await service.subscribe(keys.public)
        provider = opened(keys)
        message = outgoing(PushContent(title="hi"), channel=Channel.PUSH, address=json.dumps(subscription))
        assert await provider.send([message]) == [Accepted()]
        assert [said["notification"]["title"] for said in await service.messages(subscription)] == ["hi"]
        await provider.close()
    ours, browser = new_keys(), Browser()
    made = await web_push(
        {
            "send": browser.subscription,
            "text": "from npm",
            "keys": {"publicKey": ours.public, "privateKey": ours.private},
        }
    )
    assert browser.read(b64decode(made["body"])) == b"from npm"
    assert made["headers"]["Authorization"].endswith(ours.public)


async def test_one_push_reaches_every_browser_of_a_person_and_none_twice(tmp_path):
    """Two subscriptions: both read it; the one that unsubscribed is suppressed, the other is still reached."""
    keys = new_keys()
    config = {"public_key": keys.public, "private_key": keys.private, "subject": "mailto:ops@example.com"}
    async with (
        push_service(tools()) as service,
        engine(tmp_path, clock=ManualClock(SystemClock().now())) as clarion,
    ):
        await clarion.create_setup(workflow("ping", channel=Channel.PUSH))
        await clarion.ledger.setup.integrations.put(
            clarion.tenant,
            Integration(key="main-push", channel=Channel.PUSH, provider="webpush", config=config),
        )
        laptop, phone = [await service.subscribe(keys.public) for _ in range(2)]
        await clarion.put_user("ada", devices=[json.dumps(laptop), json.dumps(phone)])

        async def ping() -> str | None:
            answer = await clarion.trigger("ping", "ada")
            assert await clarion.eventually(Status.SENT, event_id=answer.event_id)
            message = await clarion.one(event_id=answer.event_id)
            return (await clarion.ledger.records.changes(clarion.tenant, message.id))[-1].detail

        assert await ping() == "2 of 2 devices took it"
        assert [said["notification"]["title"] for said in await service.messages(laptop)] == ["hello"]
        assert await service.messages(phone) == await service.messages(laptop)
        await service.expire(phone)
        assert await ping() == "1 of 2 devices took it (1 gone)"
        (gone,) = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
        assert (gone.channel, gone.reason) == (Channel.PUSH, "address_gone")
        assert await ping() is None
        await clarion.pass_time(3_600)
        assert len(await service.messages(laptop)) == 3
        assert {message.status for message in (await clarion.messages()).values()} == {Status.SENT}
