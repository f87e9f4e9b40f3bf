"""Mail that a real mail server bounces, and the Maildir it is read from."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.app.process import App
from clarion.config import Inbound, Outbound, Settings
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.message import MessageFilter
from clarion.model.quarantine import QuarantineFilter
from clarion.model.setup import Category, Integration, SendAll, Step, Template, Tenant, Workflow
from clarion.model.status import Reason, Status
from clarion.model.submission import Submission
from clarion.model.suppression import SuppressionFilter
from clarion.model.user import Contact, Profile, UserPut
from tests.returning_mta import BOUNCES, USERS, returning_mta

pytestmark = pytest.mark.acceptance
TENANT = TenantId(1)


def settings(directory: Path, maildir: Path) -> Settings:
    """An installation on a new directory that reads the Maildir."""
    made = Settings(
        data_dir=directory,
        public_url="https://notify.example",
        inbound=Inbound(maildir=maildir, poll_s=0.1),
        outbound=Outbound(allowed_networks=("127.0.0.0/8",)),
    )
    LocalVault.from_file(made.key_path, SystemRandom())
    migrate(made.database_path)
    return made


async def create_setup(app: App, port: int) -> None:
    """One person whom nobody has, and a workflow that mails them through the server at `port`."""
    setup = app.ledger.setup
    await setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
    await setup.categories.put(TENANT, Category(key="news"))
    fields = {"subject": "Hello {{ user.id }}", "text": "Hello"}
    await setup.templates.put(TENANT, Template(key="note", channels={Channel.EMAIL: {"en": fields}}))
    step = Step(key="send", template="note", to=SendAll(channels=(Channel.EMAIL,)))
    await setup.workflows.put(TENANT, Workflow(key="hello", category="news", steps=(step,)))
    config = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "from_address": "news@example.com",
        "return_domain": BOUNCES,
    }
    await setup.integrations.put(
        TENANT, Integration(key="post", channel=Channel.EMAIL, provider="smtp", config=config)
    )
    contact = Contact(channel=Channel.EMAIL, address=f"ghost@{USERS}")
    await app.ledger.users.put(TENANT, [UserPut(id="ghost", profile=Profile(contacts=(contact,)))])


async def settled(app: App, wanted: Status) -> Reason | None:
    """The reason of the newest message, once it is where it should be."""
    newest = None
    for _ in range(600):
        found, _ = await app.ledger.records.page(TENANT, MessageFilter(), None, 1)
        newest = found[0] if found else None
        if newest is not None and newest.status is wanted:
            return newest.reason
        await asyncio.sleep(0.1)
    raise AssertionError(newest)


async def test_postfix_bounces_and_the_address_is_retired(tmp_path):
    """Sent, taken, bounced by a real server to the signed return path, read from the Maildir, and never used again."""
    with returning_mta() as (port, maildir):
        async with App.open(settings(tmp_path, maildir)) as app:
            await create_setup(app, port)
            hello = Submission(workflow="hello", recipients=("ghost",))
            await app.pipeline.submit(TENANT, [hello])
            assert await settled(app, Status.BOUNCED) is Reason.ADDRESS_GONE
            await app.pipeline.submit(TENANT, [hello])
            assert await settled(app, Status.SUPPRESSED) is Reason.SUPPRESSED_ADDRESS
            (row,) = await app.ledger.suppressions.page(TENANT, SuppressionFilter(), None, 10)
            assert row.reason == "address_gone"
            assert await app.ledger.quarantine.page(TENANT, QuarantineFilter(), None, 10) == []
        (name,) = os.listdir(maildir / "cur")
        assert name.endswith(":2,S")
