"""Builds what a provider is given from messages in flight: rendered content, contact and links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import ContentError
from clarion.flow.dispatch.buttons import MessageButtons
from clarion.flow.dispatch.rendering import Rendering, is_overridden
from clarion.flow.dispatch.targets import ReadyCall, SendTarget
from clarion.flow.dispatch.whatsapp import WhatsAppCheck
from clarion.flow.lanes import InFlight
from clarion.flow.live_states import LiveStates, update_of
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.content import AnyContent, LiveOptions, PushContent, WhatsAppContent
from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Message
from clarion.model.outgoing import Outgoing
from clarion.model.push import counts_unread, fitted, with_unread
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.ports.clock import Clock
from clarion.ports.ledger import Inboxes
from clarion.ports.limited import Exceeded
from clarion.rules import keys, live, phone_numbers, senders
from clarion.rules.keys import KeyedHash
from clarion.rules.outcomes import settle_unsent

_decode = msgspec.json.Decoder().decode

log = structlog.get_logger(__name__)


class BuiltBatch(NamedTuple):
    """A group of messages after rendering."""

    ready: list[ReadyCall]
    failed: list[Settlement]
    """Those that cannot be made, mostly because their template does not fit their data, or may not go."""


class OutgoingBuilder:
    """Builds the outgoing messages of a batch."""

    def __init__(
        self,
        setup: SetupView,
        rendering: Rendering,
        whatsapp: WhatsAppCheck,
        unsubscribe_url: Callable[[Message], str],
        inboxes: Inboxes,
        hash: KeyedHash,
        clock: Clock,
        lives: LiveStates,
        buttons: MessageButtons,
    ) -> None:
        self._workflows = setup.workflows
        self._rendering = rendering
        self._whatsapp = whatsapp
        self._unsubscribe_url = unsubscribe_url
        self._inboxes = inboxes
        self._hash = hash
        self._clock = clock
        self._lives = lives
        self._buttons = buttons

    async def build(self, route: SendTarget, group: Sequence[InFlight]) -> BuiltBatch:
        """Waits only for template versions that are no longer in memory, for what callers set themselves, and on
        WhatsApp for when people wrote."""
        await self._rendering.prepare(group)
        await self._buttons.prepare(group)
        await self._show_newest([in_flight for in_flight in group if in_flight.event.live is not None])
        overridden = await self._overridden(
            [in_flight for in_flight in group if is_overridden(in_flight.event)]
        )
        ready: list[ReadyCall] = []
        failed: list[Settlement] = []
        for in_flight in group:
            content = overridden.get(in_flight.message.id)
            if isinstance(content, Exceeded):
                failed.append(self._failed(in_flight, Reason.RENDER_LIMIT, content.detail))
                continue
            try:
                outgoing = self._outgoing(in_flight, content)
            except ContentError as wrong:
                failed.append(self._failed(in_flight, Reason.TEMPLATE_ERROR, wrong.detail))
                continue
            except Exception as fault:
                log.exception(
                    "message_not_made", workflow=in_flight.message.workflow, error=type(fault).__name__
                )
                failed.append(self._failed(in_flight, Reason.INTERNAL_ERROR, type(fault).__name__))
                continue
            if in_flight.message.channel is Channel.SMS and outgoing.contact is not None:
                country = phone_numbers.country(outgoing.contact.address)
                sender = senders.sender_for(route.first.integration, country)
                if obstacle := senders.obstacle(sender, country):
                    failed.append(self._no_sender(in_flight, obstacle))
                    continue
                outgoing = replace(outgoing, sender=sender or "")
            if in_flight.devices:
                ready += [(in_flight, live, replace(outgoing, contact=to)) for to, live in in_flight.devices]
            else:
                ready.append((in_flight, route.first, outgoing))
        if ready and isinstance(ready[0][2].content, WhatsAppContent):
            ready, stopped = await self._whatsapp.check(ready)
            failed += stopped
        return BuiltBatch(await self._with_badges(ready), failed)

    async def _with_badges(self, ready: list[ReadyCall]) -> list[ReadyCall]:
        """Pushes whose badge counts what is unread get the number, all in one look."""
        users = {
            one.message.user
            for _, _, one in ready
            if type(one.content) is PushContent and counts_unread(one.content)
        }
        if not users:
            return ready
        unread = await self._inboxes.unread(list(users))
        return [
            (in_flight, live, replace(one, content=with_unread(one.content, unread.get(one.message.user, 0))))
            if type(one.content) is PushContent and counts_unread(one.content)
            else (in_flight, live, one)
            for in_flight, live, one in ready
        ]

    async def _show_newest(self, group: Sequence[InFlight]) -> None:
        """A message shows the newest state of its live resource, whichever it was planned for: so a state that is sent
        late never takes the place of a newer one."""
        keys: dict[TenantId, dict[str, None]] = {}
        for in_flight in group:
            if (live := in_flight.event.live) is not None:
                keys.setdefault(in_flight.message.tenant, {})[live.key] = None
        for tenant, named in keys.items():
            newest = await self._lives.newest(tenant, list(named))
            for in_flight in group:
                live = in_flight.event.live
                now = None if live is None else newest.get(live.id)
                if live is not None and now is not None and now.sequence > live.sequence:
                    in_flight.live = update_of(now, live.event)
                    in_flight.data = _decode(now.state)

    def _no_sender(self, in_flight: InFlight, obstacle: str) -> Settlement:
        why = (Status.REJECTED, Reason.SENDER_NOT_ALLOWED)
        return settle_unsent(in_flight.message, *why, self._clock.now(), detail=obstacle)

    def _failed(self, in_flight: InFlight, reason: Reason, detail: str) -> Settlement:
        return settle_unsent(in_flight.message, Status.FAILED, reason, self._clock.now(), detail=detail)

    async def _overridden(
        self, group: Sequence[InFlight]
    ) -> dict[MessageId, AnyContent | ContentError | Exceeded]:
        if not group:
            return {}
        batch = [(in_flight, self._unsubscribe_url(in_flight.message)) for in_flight in group]
        made = await self._rendering.overridden(batch)
        return {in_flight.message.id: content for in_flight, content in zip(group, made, strict=True)}

    def _outgoing(self, in_flight: InFlight, content: AnyContent | ContentError | None) -> Outgoing:
        """`content`: as it was rendered already, or why it was not."""
        message = in_flight.message
        unsubscribe_url = self._unsubscribe_url(message)
        if isinstance(content, ContentError):
            raise content
        content = self._buttons.on(content or self._rendering.content(in_flight, unsubscribe_url), in_flight)
        return Outgoing(
            message=message,
            user=in_flight.user,
            contact=in_flight.decision.contact if in_flight.decision is not None else None,
            content=_with_state(content, in_flight),
            traceparent=in_flight.event.traceparent,
            unsubscribe_url=unsubscribe_url,
            collapse_key=self._collapse_key(in_flight),
            live=in_flight.live,
            supersedes=self._supersedes(message),
            replaces=in_flight.replaces,
        )

    def _supersedes(self, message: Message) -> bool:
        workflow = self._workflows.all(message.tenant).get(message.workflow)
        return workflow is not None and workflow.supersedes

    def _collapse_key(self, in_flight: InFlight) -> bytes:
        """For providers that replace what has not arrived yet; the planner has replaced what was still here."""
        message = in_flight.message
        if in_flight.live is not None:
            return live.replacement_key(self._hash, message, in_flight.live, message.channel)
        workflow = self._workflows.all(message.tenant).get(message.workflow)
        if workflow is None or not keys.replaces(workflow):
            return b""
        return keys.replacement_key(in_flight.event, workflow, message, self._hash)


def _with_state(content: AnyContent, in_flight: InFlight) -> AnyContent:
    """A Live Activity shows the state itself where the template says nothing else."""
    if in_flight.live is None or not isinstance(content, PushContent):
        return content
    options = content.live or LiveOptions()
    if options.content_state is None:
        options = replace(options, content_state=in_flight.data)
    return fitted(replace(content, live=options))
