"""The way of a notification, in order: intake, plan, dispatch, track, timers.

This file builds the stages and says when they start and stop; what they do is theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from clarion.content import Renderer
from clarion.errors import ClarionError, Unavailable
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.coverage import Coverage
from clarion.flow.dispatch.attempts import Attempts
from clarion.flow.dispatch.buttons import MessageButtons, ResponseUrl
from clarion.flow.dispatch.direct_calls import DirectCalls
from clarion.flow.dispatch.dispatcher import Dispatcher
from clarion.flow.dispatch.editions import Editions
from clarion.flow.dispatch.integrations import IntegrationHealth, Integrations
from clarion.flow.dispatch.outgoing import OutgoingBuilder
from clarion.flow.dispatch.payments import Payments
from clarion.flow.dispatch.provider_calls import ProviderCalls
from clarion.flow.dispatch.recheck import Recheck
from clarion.flow.dispatch.rendering import Rendering
from clarion.flow.dispatch.routing import Routing
from clarion.flow.dispatch.stored_delivery import DeliveryByStoring
from clarion.flow.dispatch.whatsapp import WhatsAppCheck
from clarion.flow.dispatch.withdrawals import WithdrawalSender
from clarion.flow.groups import Groups
from clarion.flow.intake.homes import Homes, Regions
from clarion.flow.intake.intake import Intake
from clarion.flow.intake.schemas import Schemas
from clarion.flow.lanes import Queues
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.live_states import LiveStates
from clarion.flow.loops import Loops
from clarion.flow.plan.campaigns import CampaignClaimer
from clarion.flow.plan.continuations import ContinuationClaimer
from clarion.flow.plan.low_watermark import LowWatermark
from clarion.flow.plan.planner import Planner
from clarion.flow.plan.runs import RunClaimer
from clarion.flow.priority import PriorityGate
from clarion.flow.provider_scores import ProviderScores
from clarion.flow.readiness import Readiness
from clarion.flow.timers.claims import Claimer
from clarion.flow.timers.election import Election
from clarion.flow.track.receipts import ReceiptTracker
from clarion.flow.track.settle import Settler
from clarion.model.channel import LANES
from clarion.model.ids import MessageId, TenantId
from clarion.model.message import Message
from clarion.model.receipt import Receipt
from clarion.model.settlement import Settlement
from clarion.model.submission import Acceptance, Submission
from clarion.model.worker import Process, Role
from clarion.ports.broker import Broker, LogBroker
from clarion.ports.fanout import Fanout
from clarion.ports.limited import Limited
from clarion.ports.provider import ProviderPlugin, ProviderTools
from clarion.rules import budgets

ASK_S = 2.0
"""How long the broker may take to say what waits."""


def _no_link(message: Message, button: str) -> str:
    return ""


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
        unsubscribe_url: Callable[[Message], str],
        opt_out: Callable[[Message], Awaitable[None]],
        response_url: ResponseUrl = _no_link,
        process: Process | None = None,
        regions: Regions | None = None,
    ) -> None:
        """`unsubscribe_url(message)`: where its person leaves its category, empty when it cannot be left.

        `response_url(message, button)`: where its person presses one of its buttons.

        `opt_out(message)` opts its person out of its category on its channel; harmless to repeat. `process`: what this
        one does; None: everything. `regions`: where users may be at home; None: all here.
        """
        clock, random, vault = tools.clock, tools.random, tools.vault
        setup = ledger.setup
        self.broker = broker
        self._ledger, self._clock = ledger, clock

        # What the stages share, and services with them
        self.loops = Loops(clock)
        self.priority = PriorityGate(clock)
        self.guard = CancellationGuard(clock)
        self.schemas = Schemas(setup)
        self.coverage = Coverage(setup)
        self.groups = Groups(ledger, clock)
        self.rendering = Rendering(setup, renderer, limited, clock)
        self.process = process = process or Process()
        sends = Role.WORKER in process.roles
        self.queues = queues = Queues(process.lanes if sends else (), process.channels)
        self.lease = lease = WorkerLease(ledger.leases, clock, process, lambda: queues.held, fanout.missed)
        self.election = Election(lease)
        self.scores = ProviderScores(setup.learned, lambda: lease.worker, clock)
        self.integrations = Integrations(setup, plugins, tools, self.scores, lease.share)

        # 1 intake
        self.intake = Intake(ledger, broker, self.schemas, self.coverage, self.priority, vault, clock, random)
        self.homes = None if regions is None else Homes(self.intake, setup.tenants, regions, random)
        # 2 plan, with the delivery of what is delivered by being stored
        recheck = Recheck(ledger, lease, clock)
        self.live_states = LiveStates(ledger, vault)
        self._calls = ProviderCalls(self.scores, clock)
        self.payments = Payments(ledger, clock)
        self._settler = Settler(ledger, lease, self.guard, fanout, clock)
        whatsapp = WhatsAppCheck(ledger, clock)
        outgoing = OutgoingBuilder(
            setup,
            self.rendering,
            whatsapp,
            unsubscribe_url,
            ledger.inboxes,
            vault.hash,
            clock,
            self.live_states,
            MessageButtons(setup, tools.reference, response_url),
        )
        delivery = DeliveryByStoring(
            self.integrations,
            outgoing,
            recheck,
            self.payments,
            self._calls,
            self.priority,
            self._settler.stored,
            clock,
            random,
        )
        self.planner = Planner(
            ledger,
            lease,
            broker,
            self.queues,
            self.groups,
            self.coverage,
            delivery,
            self.guard,
            self.priority,
            vault,
            clock,
        )
        self._continuations = ContinuationClaimer(ledger, lease, self.planner, self.priority, clock)
        watermark = LowWatermark(broker, clock)
        self.runs = RunClaimer(ledger, lease, self.planner, watermark, self.priority, vault, clock)
        self._campaigns = CampaignClaimer(
            ledger, self.groups, lease, self.planner, self.priority, vault, clock
        )
        # 3 dispatch
        self.dispatcher = Dispatcher(
            recheck,
            Routing(self.integrations, clock, random),
            Attempts(
                ledger,
                lease,
                self.integrations,
                recheck,
                Editions(ledger),
                outgoing,
                self.payments,
                self._calls,
                self.guard,
                clock,
                random,
            ),
            self._settle,
            ledger.quotas,
            lease,
            self.priority,
            clock,
        )
        self.direct_calls = DirectCalls(self.integrations, self._calls, clock)
        # 4 track
        self._receipts = ReceiptTracker(ledger, opt_out, self.guard, self.scores, clock)
        self.withdrawals = WithdrawalSender(
            ledger,
            self.integrations,
            self._calls,
            self.guard,
            self._receipts.receive,
            fanout,
            vault,
            clock,
            random,
        )
        # 5 timers
        self._claimer = Claimer(ledger, lease, self.queues, self._settle, self.priority, vault, clock)

        elsewhere = None if isinstance(broker, LogBroker) or process.roles == (Role.GATEWAY,) else broker
        self.readiness = Readiness(
            ledger, self.loops, self.queues, self.integrations, self.coverage, lease, elsewhere, clock
        )
        self._draining = False

    async def start(self) -> None:
        """Show that this process works; if it is a worker, run its lanes, and take over what dead workers held."""
        await self._ledger.setup.catch_up()
        await self.lease.open()
        self.loops.start("lease", self.lease.run)
        self.loops.start("watch-parts", self.readiness.run)
        self.loops.start("follow-setup", partial(self._ledger.setup.follow, self._clock))
        if self.process.roles != (Role.GATEWAY,):
            self.loops.start("share-scores", self.scores.run)
        if Role.WORKER in self.process.roles:
            self._work()

    def _work(self) -> None:
        for lane in self.process.lanes:
            self.loops.start(f"plan-{lane}", partial(self.planner.run, lane))
            self.loops.start(f"continue-{lane}", partial(self._continuations.run, lane))
            self.loops.start(f"resume-{lane}", partial(self.runs.run, lane))
            self.loops.start(f"campaigns-{lane}", partial(self._campaigns.run, lane))
            self.loops.start(f"wake-{lane}", partial(self._claimer.run, lane))
        self.loops.start("withdraw", self.withdrawals.run)
        for queue in self.queues:
            name = f"dispatch-{queue.lane}-{queue.channel}"
            self.loops.start(name, partial(self.dispatcher.run, queue))

    async def submit(
        self, tenant: TenantId, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        """One result per submission, in order, durable when this returns. Raises Busy or Unavailable for all."""
        return await (self.homes or self.intake).submit(tenant, submissions)

    async def receive(self, receipts: Sequence[Receipt]) -> Sequence[bool]:
        """Store what providers and people reported; for each whether it changed anything."""
        return await self._receipts.receive(receipts)

    async def _settle(self, settlements: Sequence[Settlement]) -> frozenset[MessageId]:
        return await self._settler.settle(settlements)

    async def drain(self, timeout_s: float) -> None:
        """Graceful stop: plan nothing more, start no call, let the calls under way finish and be recorded.

        What still waits in memory is left to whoever works next.
        """
        await self.announce_drain()
        self.planner.close()
        await self.broker.close()
        await self.loops.finished("plan-", timeout_s / 2)
        await self.loops.stop(but="lease")
        await self.dispatcher.drain(timeout_s / 2)
        await self.loops.stop()
        await self.lease.end()
        await self.integrations.close()

    async def announce_drain(self) -> None:
        """From now on this process is not ready, and everybody sees that it stops. Repeating it is safe."""
        if not self._draining:
            self._draining = True
            await self.lease.announce_drain()

    async def health(self) -> Mapping[str, str]:
        """Part to "ok", or what keeps it from working: each loop, queue, store and integration."""
        return {"engine": "draining" if self._draining else "ok", **await self.readiness.parts()}

    async def warnings(self) -> Mapping[str, str]:
        """Part to what a person should look at, although the process works."""
        return await self.readiness.warnings()

    async def stats(self) -> Mapping[str, float]:
        """Counters and gauges of the engine, read when metrics are scraped."""
        flat: dict[str, float] = {
            "accepted": self.intake.accepted,
            "repeated": self.intake.repeated,
            "planned": self.planner.planned,
            "unplannable": self.planner.unplannable,
            "set_aside": self.planner.given_up,
            "set_aside_waiting": await self.readiness.set_aside_waiting(),
            "attempts": self._calls.attempts,
            "unknown_outcomes": self._calls.unknown_outcomes,
            "claimed": self._claimer.claimed,
            "runs_woken": self.runs.woken,
            "refused_settlements": self._settler.refused,
            "leases_lost": self.lease.lost,
        }
        flat.update(await self.readiness.stats())
        for loop, count in self.loops.failed.items():
            flat[f"loop_failures.{loop}"] = count
        for queue in self.queues:
            if queue.in_flight:
                flat[f"in_flight.{queue.lane}.{queue.channel}"] = queue.in_flight
        for (channel, status, reason), count in self._settler.settled.items():
            flat[f"settled.{channel}.{status}.{reason}"] = count
        for (kind, new), count in self._receipts.received.items():
            flat[f"receipts.{kind}.{'taken' if new else 'ignored'}"] = count
        flat.update(await self._backlogs())
        for tenant in self._ledger.setup.tenants.all():
            for one in self.integrations.health(tenant):
                if one.integration.enabled:
                    flat.update(_health_stats(f"{tenant}/{one.integration.key}", one))
        for what, count in self.payments.guarded.items():
            flat[f"sms_guard.{what}"] = count
        for (tenant, key), budget in self.payments.budgets.items():
            flat[f"budget_share.{tenant}/{key}"] = budgets.share(budget)
        return flat

    async def _backlogs(self) -> Mapping[str, float]:
        """What waits in each lane to be planned; nothing while the broker is away."""
        found: dict[str, float] = {}
        try:
            async with self._clock.timeout(ASK_S):
                for lane in LANES:
                    backlog = await self.broker.backlog(lane)
                    found[f"backlog.{lane}"] = backlog.entries
                    since = backlog.oldest_at
                    found[f"backlog_ms.{lane}"] = 0 if since is None else max(0, self._clock.now() - since)
        except (Unavailable, TimeoutError):
            return {}
        return found


def _health_stats(name: str, one: IntegrationHealth) -> Mapping[str, float]:
    standing = one.standing
    stats = {
        f"circuit.{name}": {"closed": 0.0, "half_open": 1.0, "open": 2.0}[one.circuit],
        f"integration_share.{name}": one.share,
        f"integration_success.{name}": standing.success,
        f"integration_receipts.{name}": standing.receipts,
    }
    if one.per_day is not None:
        stats[f"integration_quota.{name}"] = one.used_today / one.per_day
    if standing.latency_ms is not None:
        stats[f"integration_latency_ms.{name}"] = standing.latency_ms
    return stats
