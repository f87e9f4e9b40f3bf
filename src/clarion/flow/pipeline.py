"""The way of a notification, in order: intake, plan, dispatch, track, wake.

This file wires the stages and says when they start and stop; what they do is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from clarion.content import Renderer
from clarion.errors import ClarionError, NotFound, SealBroken
from clarion.flow.calling import Calls
from clarion.flow.cancellation import Cancellation
from clarion.flow.catalog import setup_of
from clarion.flow.composing import Composer
from clarion.flow.coverage import Coverage
from clarion.flow.dispatch import Dispatcher
from clarion.flow.endpoint_watch import EndpointWatch
from clarion.flow.inbound import Inbound
from clarion.flow.intake import Intake
from clarion.flow.integrations import Integrations
from clarion.flow.last_look import LastLook
from clarion.flow.mail_reader import MailReader
from clarion.flow.operations import Operations
from clarion.flow.pacing import Pacer
from clarion.flow.plan import Planner
from clarion.flow.queues import Queues
from clarion.flow.readiness import Readiness
from clarion.flow.rehearse import Rehearsal
from clarion.flow.rendering import Rendering
from clarion.flow.retries import Retries
from clarion.flow.routing import Routing
from clarion.flow.schemas import Schemas
from clarion.flow.sealing import opened
from clarion.flow.sending import Sender
from clarion.flow.stops import Stops
from clarion.flow.track import Tracker
from clarion.flow.trial import Sent, Trials
from clarion.flow.unsubscribe import Unsubscribing
from clarion.flow.wake import Waker
from clarion.flow.worker import Worker
from clarion.model.channel import LANES, Channel
from clarion.model.content import AnyContent
from clarion.model.event import Event
from clarion.model.ids import EventId, TenantId
from clarion.model.message import Message, Run
from clarion.model.receipt import Receipt
from clarion.model.setup import Integration, Template
from clarion.model.status import Status
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import User
from clarion.ports.broker import Broker
from clarion.ports.fanout import Fanout
from clarion.ports.ledger import Ledger
from clarion.ports.limited import Limited
from clarion.ports.mailbox import Mailbox
from clarion.ports.provider import ProviderPlugin, ProviderTools


class Pipeline:
    """One per process. `start` it, `submit` to it, `drain` it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        broker: Broker,
        fanout: Fanout,
        renderer: Renderer,
        limited: Limited,
        plugins: Mapping[str, ProviderPlugin],
        tools: ProviderTools,
        public_url: str = "",
        mailboxes: Sequence[Mailbox] = (),
        mail_home: str = "",
        mail_poll_s: float = 30.0,
        disable_endpoints_after_s: float = 5 * 86_400,
    ) -> None:
        """`public_url`: where people reach this installation; without it mails offer no way to unsubscribe."""
        clock, entropy, vault = tools.clock, tools.entropy, tools.vault
        setup = ledger.setup
        self._ledger, self._broker, self._clock, self._vault = ledger, broker, clock, vault

        # What the stages share
        pacer = Pacer(clock)
        schemas = Schemas(setup)
        coverage = Coverage(setup)
        self._queues = Queues()
        self._rendering = Rendering(setup, renderer, limited, clock)
        self._integrations = Integrations(setup, plugins, tools)
        self.unsubscribing = Unsubscribing(ledger, vault, public_url)

        # The stages; 3 comes last, because what became of a call is stored by 4
        self._intake = Intake(ledger, broker, schemas, coverage, pacer, vault, clock, entropy)  # 1
        self._planner = Planner(ledger, broker, self._queues, coverage, pacer, vault, clock)  # 2
        self._tracker = Tracker(ledger, fanout, self.unsubscribing.leave_over, clock)  # 4
        self._waker = Waker(ledger, self._queues, self._tracker.settle, pacer, vault, clock)  # 5
        look = LastLook(ledger, clock)
        composer = Composer(setup, self._rendering, self.unsubscribing, vault.hash, clock)
        self._calls = Calls(clock)
        stops = Stops(clock)
        self._cancellation = Cancellation(ledger, stops, clock)
        self._dispatcher = Dispatcher(  # 3
            look,
            Routing(self._integrations, clock, entropy),
            Sender(ledger, self._integrations, look, composer, self._calls, stops, clock, entropy),
            self._tracker.settle,
            pacer,
            clock,
        )

        # Beside the way: work on many messages, what comes back by mail, endpoints that fail for days, plans and
        # messages on trial
        retries = Retries(ledger, clock)
        self.operations = Operations(ledger, retries, stops, pacer, self.submit, clock, entropy)
        self.inbound = Inbound(ledger, vault, self._tracker.receive, self.unsubscribing, clock)
        self._readers = [
            MailReader(self.inbound, one, setup.tenants, clock, home=mail_home, poll_s=mail_poll_s)
            for one in mailboxes
        ]
        self._endpoint_watch = EndpointWatch(ledger, self.submit, clock, disable_endpoints_after_s)
        self._rehearsal = Rehearsal(ledger, schemas, coverage, vault, clock, entropy)
        self._trials = Trials(setup, self._intake.submit, clock)

        self._worker = Worker(clock)
        self._readiness = Readiness(
            ledger, self._worker, self._queues, self._integrations, coverage, self._readers, clock
        )
        self._draining = False

    async def start(self) -> None:
        """Take over what an earlier process held, then run every lane."""
        await self._ledger.messages.take_over(self._clock.now())
        for lane in LANES:
            self._worker.start(f"plan-{lane}", partial(self._planner.run, lane))
            self._worker.start(f"wake-{lane}", partial(self._waker.run, lane))
        self._worker.start("operations", self.operations.run)
        self._worker.start("watch-endpoints", self._endpoint_watch.run)
        self._worker.start("watch-parts", self._readiness.run)
        for number, reader in enumerate(self._readers):
            self._worker.start(f"mail-{number}", reader.run)
        for queue in self._queues:
            name = f"dispatch-{queue.lane}-{queue.channel}"
            self._worker.start(name, partial(self._dispatcher.run, queue))

    async def submit(
        self, tenant: TenantId, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        """One result per submission, in order, durable when this returns. Raises Busy or Unavailable for all."""
        return await self._intake.submit(tenant, submissions)

    async def cancel(self, message: Message) -> Status:
        """Cancel a message that has not begun; the status it has now."""
        return await self._cancellation.message(message)

    async def cancel_event(self, tenant: TenantId, event_id: EventId) -> int | None:
        """Cancel all messages of an event that have not begun, planned or not; how many, None: no such event."""
        return await self._cancellation.event(tenant, event_id)

    async def plan_again(self, tenant: TenantId, set_aside: Sequence[int]) -> int:
        """Put events that were set aside back into their lanes; how many."""
        entries = await self._ledger.set_aside.retry(tenant, set_aside)
        self._broker.offer(entries)
        return len(entries)

    async def check_integration(self, integration: Integration) -> None:
        """Raises ConfigError, saying what to do, when its provider cannot work with these settings. Reaches nobody."""
        await self._integrations.check(integration)

    async def receive(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        """Store what providers and people reported; for each whether it changed anything."""
        return await self._tracker.receive(receipts)

    async def dry_run(self, tenant: TenantId, submission: Submission) -> Sequence[tuple[str, Run]]:
        """The plan per recipient as (user id, run), decided by the same code; nothing is stored."""
        return await self._rehearsal.runs(tenant, submission)

    async def try_out(
        self, tenant: TenantId, template: Template, channel: Channel, user: User, data: Mapping[str, Any]
    ) -> Sent:
        """Send a template that need not be live to one person, as a real message."""
        return await self._trials.send(tenant, template, channel, user, data)

    async def render(self, message: Message) -> AnyContent:
        """The content of a stored message. Raises ContentError, or NotFound when it can no longer be opened."""
        users = await self._ledger.users.get([message.user])
        entry = self._ledger.log.fetch(message.lane, [message.event_seq]).get(message.event_seq)
        user = users.get(message.user)
        event: Event | None = None
        with suppress(SealBroken, msgspec.DecodeError):
            event = opened(entry, users, self._vault) if entry is not None else None
        if (
            user is None
            or user.unreadable
            or event is None
            or setup_of(self._ledger.setup, message.tenant, message.workflow) is None
        ):
            raise NotFound(
                "The content of this message can no longer be read: its user or workflow was deleted, or the data is damaged."
            )
        template = await self._rendering.template(message)
        data, url = msgspec.json.decode(event.data), self.unsubscribing.url(message)
        return self._rendering.render(template, message, user, event, data, url)

    async def drain(self, timeout_s: float) -> None:
        """Graceful stop: plan nothing more, start no call, let the calls under way finish and be recorded.

        What still waits in memory is leased and comes back at the next start.
        """
        self._draining = True
        await self._broker.close()
        await self._worker.finished("plan-", timeout_s / 2)
        await self._worker.stop()
        await self._dispatcher.drain(timeout_s / 2)
        await self._integrations.close()

    def health(self) -> Mapping[str, str]:
        """Part to "ok", or what keeps it from working: each loop, queue, store and integration."""
        return {"engine": "draining" if self._draining else "ok", **self._readiness.parts()}

    def warnings(self) -> Mapping[str, str]:
        """Part to what a person should look at, although the process works."""
        return self._readiness.warnings()

    def stats(self) -> Mapping[str, float]:
        """Counters and gauges of the engine, read when metrics are scraped."""
        flat: dict[str, float] = {
            "accepted": self._intake.accepted,
            "repeated": self._intake.repeated,
            "planned": self._planner.planned,
            "orphaned": self._planner.orphaned,
            "set_aside": self._planner.given_up,
            "set_aside_waiting": self._ledger.set_aside.waiting(),
            "attempts": self._calls.attempts,
            "unknown_outcomes": self._calls.unknown_outcomes,
            "claimed": self._waker.claimed,
            "refused_settlements": self._tracker.refused,
            "mails_read": sum(reader.read for reader in self._readers),
            "endpoints_disabled": self._endpoint_watch.disabled,
            "operation_items.done": self.operations.done,
            "operation_items.failed": self.operations.failed,
        }
        flat.update(self._readiness.stats())
        for loop, count in self._worker.failed.items():
            flat[f"loop_failures.{loop}"] = count
        for queue in self._queues:
            if queue.held:
                flat[f"held.{queue.lane}.{queue.channel}"] = queue.held
        for (channel, status, reason), count in self._tracker.settled.items():
            flat[f"settled.{channel}.{status}.{reason}"] = count
        for (kind, new), count in self._tracker.received.items():
            flat[f"receipts.{kind}.{'taken' if new else 'ignored'}"] = count
        for name, state in self._integrations.states(self._clock.monotonic()).items():
            flat[f"circuit.{name}"] = {"closed": 0, "half_open": 1, "open": 2}[state]
        return flat
