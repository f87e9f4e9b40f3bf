"""Takes back what is out: calls providers for the messages that are to be withdrawn or edited, until it is done or cannot be.

It goes through the integration that sent a message: its circuit, its limits and its slots hold here as well. What was asked
is stored until its result is, and every call may be repeated: so a crash costs nothing but one more call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import SealBroken, Unavailable
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.dispatch.candidates import NoCandidate
from clarion.flow.dispatch.direct_calls import Unrecorded
from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.dispatch.live_integration import LiveIntegration
from clarion.flow.dispatch.provider_calls import ProviderCalls
from clarion.flow.ledger import Ledger
from clarion.flow.sealing import opened
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import Channel
from clarion.model.content import AnyContent
from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import InboxReplacement
from clarion.model.message import Message
from clarion.model.outcome import Accepted, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.receipt import Receipt
from clarion.model.setup import Workflow
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, User
from clarion.model.withdrawal import Withdrawal
from clarion.ports.clock import Clock, Random
from clarion.ports.fanout import Fanout
from clarion.ports.vault import Vault
from clarion.rules.keys import replacement_key, replaces
from clarion.rules.withdrawals import Result, after, is_out

log = structlog.get_logger(__name__)

EVERY_S = 1.0
"""How often this process looks for what others were asked, and for what is to be tried again."""
CLAIM = 100
HELD_MS = 300_000
"""Nobody else tries what a process has claimed for so long: longer than any call takes."""
BUSY_S = 1.0
"""Until the next try, while a message or its integration is busy."""

_content = msgspec.json.Decoder(AnyContent)


class _Sent(NamedTuple):
    """A message that is out, and what is to become of it."""

    withdrawal: Withdrawal
    message: Message
    user: User


class _Call(NamedTuple):
    """One message at one contact, and who takes it back there."""

    sent: _Sent
    live: LiveIntegration
    contact: Contact | None


class WithdrawalSender:
    """Withdraws and edits messages that are out. Several processes may do it: each has what it claimed."""

    def __init__(
        self,
        ledger: Ledger,
        integrations: Integrations,
        calls: ProviderCalls,
        guard: CancellationGuard,
        receive: Callable[[Sequence[Receipt]], Awaitable[Sequence[bool]]],
        fanout: Fanout,
        vault: Vault,
        clock: Clock,
        random: Random,
    ) -> None:
        """`receive` is the receipt tracker's."""
        self._ledger = ledger
        self._integrations = integrations
        self._calls = calls
        self._guard = guard
        self._receive = receive
        self._fanout = fanout
        self._vault = vault
        self._clock = clock
        self._random = random
        self._asked = asyncio.Event()

    def wake(self) -> None:
        """Something was asked in this process."""
        self._asked.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._asked.clear()
            try:
                busy = await self.send_due()
            except Unavailable:
                log.warning("withdrawals_wait")
                busy = False
            if not busy:
                try:
                    async with self._clock.timeout(EVERY_S):
                        await self._asked.wait()
                except TimeoutError:
                    continue

    async def send_due(self) -> bool:
        """Do what is due, as much as one claim takes; whether there was anything."""
        now = self._clock.now()
        claimed = await self._ledger.withdrawals.claim(now, Instant(now + HELD_MS), CLAIM)
        if not claimed:
            return False
        messages = await self._ledger.receipts.messages([one.message_id for one in claimed])
        users = await self._ledger.users.get(list({one.user for one in claimed}))
        out: list[_Sent] = []
        ended: list[Withdrawal] = []
        for one in claimed:
            message, user = messages.get(one.message_id), users.get(one.user)
            if message is not None:
                message = await self._stopped(message)
            if message is None or user is None or not is_out(message):
                ended.append(one)  # Nothing is out, and nothing will be.
            elif message.status is Status.SENDING:
                await self._put_off([one], BUSY_S)
            else:
                out.append(_Sent(one, message, user))
        if ended:
            await self._end(ended, [], [])
        await self._take_back(out)
        return True

    async def _stopped(self, message: Message) -> Message:
        """The message as it is now: canceled, if it was not being sent."""
        if message.status not in (Status.QUEUED, Status.DEFERRED):
            return message
        begun = self._guard.stop([message.id])
        status = await self._ledger.records.cancel(
            message.tenant, message.id, self._clock.now(), begun, Reason.WITHDRAWN
        )
        if status is not Status.CANCELED:
            self._guard.undo([message.id])
        return replace(message, status=Status.SENDING if message.id in begun else status or message.status)

    # -- what is out ------------------------------------------------------------------------------------------

    async def _take_back(self, out: Sequence[_Sent]) -> None:
        calls: dict[LiveIntegration, list[_Call]] = {}
        answers: dict[MessageId, list[Outcome]] = {one.message.id: [] for one in out}
        for sent in out:
            found = self._targets(sent)
            if isinstance(found, Rejected | Retry):
                answers[sent.message.id].append(found)
                continue
            for one in found:
                calls.setdefault(one.live, []).append(one)
        keys = await self._collapse_keys([one for its in calls.values() for one in its])
        parts = [
            (live, its[at : at + live.plugin.batch])
            for live, its in calls.items()
            for at in range(0, len(its), live.plugin.batch)
        ]
        made = await asyncio.gather(*[self._call(live, part, keys) for live, part in parts])
        for (_, part), outcomes in zip(parts, made, strict=True):
            for one, outcome in zip(part, outcomes, strict=True):
                answers[one.sent.message.id].append(outcome)
        await self._settle([(sent, answers[sent.message.id]) for sent in out])

    def _targets(self, sent: _Sent) -> list[_Call] | Rejected | Retry:
        """Who takes the message back, and at which contacts: a push at all devices of its person."""
        message, contacts = sent.message, sent.user.usable(sent.message.channel)
        if message.channel is Channel.PUSH and contacts:
            usable = self._integrations.usable(
                message.tenant, message.channel, message.lane, self._clock.monotonic()
            )
            if isinstance(usable, NoCandidate):
                return Retry(reason=usable.reason, after_s=usable.wait_s, called=False)
            # As if it was new: what has sent a message is asked to take it back.
            each = usable.choose_each(replace(message, sent_at=None, attempt=0), contacts)
            if isinstance(each, NoCandidate):
                return Retry(reason=each.reason, after_s=each.wait_s, called=False)
            return [_Call(sent, live, contact) for contact, live in each]
        live = self._integrations.enabled(message.tenant, message.integration or "")
        if live is None:
            return Rejected(detail="the integration that sent it is gone, or turned off")
        return [_Call(sent, live, contacts[0] if contacts else None)]

    async def _call(
        self, live: LiveIntegration, part: Sequence[_Call], keys: Mapping[MessageId, bytes]
    ) -> Sequence[Outcome]:
        """Within the circuit, the slots and the limits of the integration."""
        lane, now_s = part[0].sent.message.lane, self._clock.monotonic()
        if (closed := live.closed(now_s)) is not None:
            return [Retry(reason=closed.reason, after_s=closed.wait_s, called=False)] * len(part)
        if not live.has_slot(lane, now_s):
            return [Retry(reason=Reason.INTEGRATION_BUSY, after_s=BUSY_S, called=False)] * len(part)
        live.begin(lane)
        try:
            granted, wait_s = len(part), 0.0
            if live.limited:
                grant = await live.grant(lane, [1] * len(part), self._ledger.quotas, self._clock)
                granted, wait_s = grant.granted, grant.wait_ms / 1_000
            outcomes = await self._called(live, part[:granted], keys)
        finally:
            await live.end(lane)
        late = Retry(reason=Reason.RATE_LIMITED, after_s=wait_s, called=False)
        return [*outcomes, *[late] * (len(part) - granted)]

    async def _called(
        self, live: LiveIntegration, part: Sequence[_Call], keys: Mapping[MessageId, bytes]
    ) -> Sequence[Outcome]:
        answers: dict[int, Outcome] = {}
        withdrawn: dict[int, SentMessage] = {}
        edited: dict[int, Outgoing] = {}
        for place, one in enumerate(part):
            made = await self._made(one, keys.get(one.sent.message.id, b""))
            if isinstance(made, SentMessage):
                withdrawn[place] = made
            elif isinstance(made, Outgoing):
                edited[place] = made
            else:
                answers[place] = made
        if withdrawn:
            outcomes = await self._calls.withdraw(live, list(withdrawn.values()))
            answers.update(zip(withdrawn, outcomes, strict=True))
        if edited:
            outcomes = await self._calls.invoke(live, list(edited.values()), Unrecorded())
            answers.update(zip(edited, outcomes, strict=True))
        return [answers[place] for place in range(len(part))]

    async def _made(self, call: _Call, collapse_key: bytes) -> SentMessage | Outgoing | Rejected:
        """What the provider is given, or why it cannot be."""
        (withdrawal, message, user), takes_back = call.sent, call.live.plugin.takes_back
        provider_id = await self._provider_id(message)
        if withdrawal.sealed is None:
            return SentMessage(
                message=message,
                user=user,
                contact=call.contact,
                provider_id=provider_id,
                collapse_key=collapse_key,
            )
        if takes_back is None or not takes_back.edits:
            return Rejected(detail=f"{call.live.plugin.title} cannot change what it has sent")
        if not provider_id and message.channel is Channel.CHAT:
            return Rejected(detail="its provider did not say where the message is")
        try:
            content = _content.decode(self._vault.open(user.key, withdrawal.sealed))
        except (SealBroken, msgspec.DecodeError):
            return Rejected(detail="what it is to show cannot be read")
        return Outgoing(
            message=message,
            user=user,
            contact=call.contact,
            content=content,
            collapse_key=collapse_key,
            replaces=provider_id or message.id.hex(),
        )

    async def _provider_id(self, message: Message) -> str:
        """What its provider called it when it took it."""
        if message.channel is Channel.IN_APP:
            return ""
        timeline = await self._ledger.records.changes(message.tenant, message.id)
        return next((one.provider_id for one in reversed(timeline) if one.outcome == "accepted"), None) or ""

    async def _collapse_keys(self, calls: Sequence[_Call]) -> dict[MessageId, bytes]:
        """By what notifications were sent to replace each other, where they were."""
        workflows = self._ledger.setup.workflows
        wanted: dict[MessageId, tuple[_Sent, Workflow]] = {}
        for call in calls:
            message = call.sent.message
            workflow = workflows.all(message.tenant).get(message.workflow)
            if message.channel is Channel.PUSH and workflow is not None and replaces(workflow):
                wanted[message.id] = call.sent, workflow
        if not wanted:
            return {}
        users = {sent.user.no: sent.user for sent, _ in wanted.values()}
        events = {(sent.message.event_id, sent.message.workflow) for sent, _ in wanted.values()}
        bodies = await self._ledger.events.bodies(list(events))
        keys: dict[MessageId, bytes] = {}
        for id_, (sent, workflow) in wanted.items():
            entry = bodies.get((sent.message.event_id, sent.message.workflow))
            try:
                event = None if entry is None else opened(entry, users, self._vault)
            except (SealBroken, msgspec.DecodeError):
                continue
            if event is not None:
                keys[id_] = replacement_key(event, workflow, sent.message, self._vault.hash)
        return keys

    # -- what came of it --------------------------------------------------------------------------------------

    async def _settle(self, answers: Sequence[tuple[_Sent, Sequence[Outcome]]]) -> None:
        now = self._clock.now()
        later: list[Withdrawal] = []
        ended: list[Withdrawal] = []
        receipts: list[Receipt] = []
        items: list[InboxReplacement] = []
        for sent, outcomes in answers:
            means = after(sent.withdrawal, sent.message, outcomes, now, self._random.uniform())
            if not isinstance(means, Result):
                later.append(means)
                continue
            ended.append(sent.withdrawal)
            receipts.append(
                Receipt(
                    tenant=sent.message.tenant,
                    message_id=sent.message.id,
                    kind=means.kind,
                    at=now,
                    integration=sent.message.integration or "",
                    detail=means.detail,
                )
            )
            items += [one.replaced for one in outcomes if isinstance(one, Accepted) and one.replaced]
        if later:
            await retry_until_stored(
                "withdrawals", lambda: self._ledger.withdrawals.put_off(later), self._clock
            )
        if ended:
            await self._end(ended, items, receipts)

    async def _end(
        self, ended: Sequence[Withdrawal], items: Sequence[InboxReplacement], receipts: Sequence[Receipt]
    ) -> None:
        """What is told is told before it is forgotten: a crash in between repeats it, and changes nothing."""
        if receipts:
            await self._receive(receipts)
        changes = await retry_until_stored(
            "withdrawals",
            lambda: self._ledger.withdrawals.end(ended, items, self._clock.now()),
            self._clock,
        )
        if changes:
            self._fanout.publish(changes)

    async def _put_off(self, withdrawals: Sequence[Withdrawal], wait_s: float) -> None:
        due = Instant(self._clock.now() + round(wait_s * 1_000))
        await self._ledger.withdrawals.put_off([replace(one, due_at=due) for one in withdrawals])
