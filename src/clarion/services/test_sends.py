"""Sending a template to one person before it is live, through everything a real message goes through.

What is sent is kept under a key of its own, as it was at that moment, and belongs to a workflow that exists only in
code (see `catalog`): so it is rendered, retried, shown and explained like any other message, and starts nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content import partials_used
from clarion.errors import ClarionError
from clarion.flow.lookups import TEST_SEND, category_of_test_send, workflow_of_test_send
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import EventId, Instant, MessageId, TenantId, message_id, run_id
from clarion.model.setup import Template, Workflow
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import User
from clarion.ports.clock import Clock

KEPT = 50
"""Trials kept per tenant; the content of older ones can no longer be shown."""

Submit = Callable[
    [TenantId, Sequence[Submission], Mapping[str, Workflow]], Awaitable[Sequence[Acceptance | ClarionError]]
]


class TestSend(msgspec.Struct, frozen=True, kw_only=True):
    """The event and the message of a test send."""

    event: EventId
    message: MessageId


class TestSends:
    """Sends a template to one user before it is published."""

    def __init__(self, setup: SetupView, submit: Submit, clock: Clock) -> None:
        self._setup = setup
        self._submit = submit
        self._clock = clock

    async def send(
        self, tenant: TenantId, template: Template, channel: Channel, user: User, data: Mapping[str, Any]
    ) -> TestSend:
        """One message, durable when this returns. `template` carries the partials it uses.

        Preferences, quiet hours and caps do not hold it back; suppressed addresses are not used all the same.
        """
        test_template = await self._keep(tenant, template)
        workflow = workflow_of_test_send(
            test_template.key, channel, category_of_test_send(self._setup, tenant, template.key)
        )
        submission = Submission(
            workflow=workflow.key, recipients=(user.id,), data=msgspec.Raw(msgspec.json.encode(data))
        )
        (answer,) = await self._submit(tenant, [submission], {workflow.key: workflow})
        if isinstance(answer, ClarionError):
            raise answer
        run = run_id(answer.event_id, workflow.key, user.no)
        return TestSend(event=answer.event_id, message=message_id(run, workflow.steps[0].key, channel))

    async def _keep(self, tenant: TenantId, template: Template) -> Template:
        """The template under a key that names its content: the same words are kept once."""
        used = partials_used(template, template.partials)
        plain = replace(template, version=0, published_at=Instant(0), origin="", partials=used)
        digest = blake2b(msgspec.json.encode(plain), digest_size=8).hexdigest()
        test_template = replace(
            plain, key=f"{TEST_SEND}{template.key}:{digest}", published_at=self._clock.now(), origin="test"
        )
        await self._setup.test_templates.put(tenant, test_template)
        by_age = sorted(self._setup.test_templates.all(tenant).values(), key=lambda one: one.published_at)
        for old in by_age[:-KEPT]:
            await self._setup.test_templates.delete(tenant, old.key)
        return test_template
