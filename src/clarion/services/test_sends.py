"""Test sends: a template to one person before it is live, or a message through one integration, each through everything
a real message goes through.

What is sent is kept under a key of its own, as it was at that moment, and belongs to a workflow that exists only in
code (see `lookups`): so it is rendered, retried, shown and explained like any other message, and starts nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content import partials_used
from clarion.errors import ClarionError, InvalidInput
from clarion.flow.lookups import TEST_SEND, category_of_test_send, workflow_of_test_send
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import EventId, Instant, MessageId, TenantId, message_id, run_id
from clarion.model.setup import Integration, Template, Workflow
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import RESERVED, Contact, Profile, User, UserPut
from clarion.ports.clock import Clock
from clarion.ports.ledger import Users
from clarion.ports.vault import Vault, contact_hash

KEPT = 50
"""Tests kept per tenant; the content of older ones can no longer be shown, and the addresses typed in for them are
deleted."""
TEST_USER = f"{RESERVED}test:"
"""Begins the ids of the users to whom the addresses belong that were typed in for a test."""

_TITLE = "Test message from Clarion"
_TEXT = "This is a test message from Clarion, sent through the integration {{ integration }}."
TEST_MESSAGE: Mapping[Channel, Mapping[str, str]] = {
    Channel.EMAIL: {"subject": _TITLE, "text": _TEXT},
    Channel.SMS: {"text": _TEXT},
    Channel.PUSH: {"title": _TITLE, "body": _TEXT},
    Channel.IN_APP: {"title": _TITLE, "body": _TEXT},
    Channel.CHAT: {"text": _TEXT},
    Channel.WEBHOOK: {"type": "clarion.integration.tested"},
    Channel.VOICE: {"text": _TEXT},
    Channel.WHATSAPP: {"text": _TEXT},
}
"""What is sent through an integration when no template is named."""

Submit = Callable[
    [TenantId, Sequence[Submission], Mapping[str, Workflow]], Awaitable[Sequence[Acceptance | ClarionError]]
]


class TestSend(msgspec.Struct, frozen=True, kw_only=True):
    """The event and the message of a test send, and whose message it is."""

    event: EventId
    message: MessageId
    user_id: str


class TestSends:
    """Sends a template to one user before it is published, and one message through an integration."""

    def __init__(self, setup: SetupView, users: Users, submit: Submit, vault: Vault, clock: Clock) -> None:
        self._setup = setup
        self._users = users
        self._submit = submit
        self._vault = vault
        self._clock = clock

    async def send(
        self, tenant: TenantId, template: Template, channel: Channel, user: User, data: Mapping[str, Any]
    ) -> TestSend:
        """One message, durable when this returns. `template` carries the partials it uses.

        Preferences, quiet hours and caps do not hold it back; suppressed addresses are not used all the same.
        """
        key = await self._keep(tenant, template)
        category = category_of_test_send(self._setup, tenant, template.key)
        workflow = workflow_of_test_send(key, channel, category)
        return await self._start(tenant, workflow, channel, user, data)

    async def send_through(
        self,
        tenant: TenantId,
        integration: Integration,
        to: User | str,
        template: Template | None,
        data: Mapping[str, Any],
    ) -> TestSend:
        """One message through this integration and no other, as `send`. `to`: a user, or an address of its channel."""
        channel = integration.channel
        address = "" if isinstance(to, User) else to
        key = await self._keep(tenant, template or _test_message(integration), channel, address)
        user = to if isinstance(to, User) else await self._user_of(tenant, key, channel, to)
        category = category_of_test_send(self._setup, tenant, "" if template is None else template.key)
        workflow = workflow_of_test_send(key, channel, category, integration.key)
        values = {"integration": integration.key, **data}
        return await self._start(tenant, workflow, channel, user, values)

    async def _start(
        self, tenant: TenantId, workflow: Workflow, channel: Channel, user: User, data: Mapping[str, Any]
    ) -> TestSend:
        submission = Submission(
            workflow=workflow.key, recipients=(user.id,), data=msgspec.Raw(msgspec.json.encode(data))
        )
        (answer,) = await self._submit(tenant, [submission], {workflow.key: workflow})
        if isinstance(answer, ClarionError):
            raise answer
        run = run_id(answer.event_id, workflow.key, user.no)
        message = message_id(run, workflow.steps[0].key, channel)
        return TestSend(event=answer.event_id, message=message, user_id=user.id)

    async def _user_of(self, tenant: TenantId, key: str, channel: Channel, address: str) -> User:
        profile = Profile(contacts=(Contact(channel=channel, address=address),))
        (user,) = await self._users.put(tenant, [UserPut(id=_user_id(key), profile=profile)])
        return user

    async def _keep(
        self, tenant: TenantId, template: Template, channel: Channel = Channel.EMAIL, address: str = ""
    ) -> str:
        """Keep the template, and return the key that names its content and the address: the same words are kept once."""
        used = partials_used(template, template.partials)
        plain = replace(template, version=0, published_at=Instant(0), origin="", partials=used)
        whom = contact_hash(self._vault, tenant, channel, address) if address else b""
        digest = blake2b(msgspec.json.encode(plain) + whom, digest_size=8).hexdigest()
        test_template = replace(
            plain, key=f"{TEST_SEND}{template.key}:{digest}", published_at=self._clock.now(), origin="test"
        )
        await self._setup.test_templates.put(tenant, test_template)
        by_age = sorted(self._setup.test_templates.all(tenant).values(), key=lambda one: one.published_at)
        for old in by_age[:-KEPT]:
            await self._setup.test_templates.delete(tenant, old.key)
            await self._users.delete(tenant, _user_id(old.key))
        return test_template.key


def _user_id(template_key: str) -> str:
    return f"{TEST_USER}{template_key.removeprefix(TEST_SEND)}"


def _test_message(integration: Integration) -> Template:
    fields = TEST_MESSAGE.get(integration.channel)
    if fields is None:
        raise InvalidInput(
            f"there is no test message for {integration.channel}: name a template of yours.",
            pointer="#/template",
        )
    return Template(key=integration.key, channels={integration.channel: {"en": dict(fields)}})
