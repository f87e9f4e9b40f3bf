"""Builds all services of one process on its pipeline, and runs their loops."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from clarion.flow.ledger import Ledger
from clarion.flow.pipeline import Pipeline
from clarion.model.operation import OperationKind
from clarion.model.retention import RetentionKind
from clarion.model.worker import Role
from clarion.ports.fanout import Fanout
from clarion.ports.limited import Limited
from clarion.ports.mailbox import Mailbox
from clarion.ports.provider import ProviderTools
from clarion.ports.record_format import FormatPlugin
from clarion.ports.sink import SinkPlugin
from clarion.ports.source import SourcePlugin
from clarion.rules import out_events
from clarion.services.api_keys import ApiKeys
from clarion.services.callback_urls import CallbackUrls
from clarion.services.callbacks import CallbackService
from clarion.services.campaigns import CampaignService
from clarion.services.cancellations import Cancellations
from clarion.services.cluster import ClusterService
from clarion.services.connections import ConnectionService
from clarion.services.consents import ConsentService
from clarion.services.devices import DeviceService
from clarion.services.dry_runs import DryRuns
from clarion.services.endpoint_monitor import EndpointMonitor
from clarion.services.inbound_mail import InboundMail
from clarion.services.inbound_messages import InboundMessages
from clarion.services.inbound_replies import InboundReplies
from clarion.services.inbox_actions import InboxActions
from clarion.services.last_checks import LastChecks
from clarion.services.lives import LiveService
from clarion.services.mail_reader import MailReader
from clarion.services.message_contents import MessageContents
from clarion.services.number_ranges import NumberRangeService
from clarion.services.objects import ObjectService
from clarion.services.operations import OperationRunner
from clarion.services.preference_pages import PreferencePages
from clarion.services.previews import Previews
from clarion.services.receipt_fetcher import ReceiptFetcher
from clarion.services.receipt_groups import ReceiptGroups
from clarion.services.report_queues import ReportQueues
from clarion.services.response_links import ResponseLinks
from clarion.services.responses import Responses
from clarion.services.retention import RetentionService
from clarion.services.retries import Retries
from clarion.services.run_listeners import EverySink
from clarion.services.runs import RunService
from clarion.services.schedules import ScheduleService
from clarion.services.seen_countries import SeenCountries
from clarion.services.segments import SegmentService
from clarion.services.set_aside_events import SetAsideEvents
from clarion.services.setup import SetupService
from clarion.services.sinks import SinkService
from clarion.services.sources import SourceService
from clarion.services.spending_alerts import SpendingAlerts
from clarion.services.step_calls import StepCallService
from clarion.services.suppressions import SuppressionService
from clarion.services.templates import TemplateService
from clarion.services.test_sends import TestSends
from clarion.services.topics import TopicService
from clarion.services.unsubscribe import UnsubscribeLinks
from clarion.services.user_exports import UserExports, Written
from clarion.services.user_imports import LineReader, UserImports
from clarion.services.user_tokens import UserTokens
from clarion.services.users import UserService
from clarion.services.verifications import VerificationService
from clarion.services.webhook_endpoints import WebhookEndpoints
from clarion.services.whatsapp import WhatsAppService
from clarion.services.withdrawals import WithdrawalService


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """All services, for the edges to call."""

    api_keys: ApiKeys
    user_tokens: UserTokens
    inbox_actions: InboxActions
    webhook_endpoints: WebhookEndpoints
    users: UserService
    devices: DeviceService
    user_imports: UserImports
    user_exports: UserExports
    topics: TopicService
    objects: ObjectService
    segments: SegmentService
    suppressions: SuppressionService
    consents: ConsentService
    setup: SetupService
    retention: RetentionService
    retries: Retries
    set_aside_events: SetAsideEvents
    cancellations: Cancellations
    withdrawals: WithdrawalService
    runs: RunService
    responses: Responses
    cluster: ClusterService
    operations: OperationRunner
    templates: TemplateService
    previews: Previews
    test_sends: TestSends
    dry_runs: DryRuns
    message_contents: MessageContents
    lives: LiveService
    schedules: ScheduleService
    campaigns: CampaignService
    unsubscribe: UnsubscribeLinks
    preference_pages: PreferencePages
    inbound_mail: InboundMail
    inbound_messages: InboundMessages
    inbound_replies: InboundReplies
    whatsapp: WhatsAppService
    callbacks: CallbackService
    report_queues: ReportQueues
    receipt_fetcher: ReceiptFetcher
    mail_readers: Sequence[MailReader] = ()
    endpoint_monitor: EndpointMonitor
    spending_alerts: SpendingAlerts
    seen_countries: SeenCountries
    verifications: VerificationService
    number_ranges: NumberRangeService
    connections: ConnectionService
    sources: SourceService
    sinks: SinkService

    @classmethod
    def on(
        cls,
        pipeline: Pipeline,
        *,
        ledger: Ledger,
        fanout: Fanout,
        tools: ProviderTools,
        limited: Limited,
        last_checks: LastChecks,
        consents: ConsentService,
        unsubscribe: UnsubscribeLinks,
        lines: LineReader,
        write_users: Written,
        base_url: str,
        mailboxes: Sequence[Mailbox] = (),
        mail_home: str = "",
        mail_poll_s: float = 30.0,
        disable_endpoints_after_s: float = 5 * 86_400,
        sources: Mapping[str, SourcePlugin] = MappingProxyType({}),
        formats: Mapping[str, FormatPlugin] = MappingProxyType({}),
        sinks: Mapping[str, SinkPlugin] = MappingProxyType({}),
    ) -> Services:
        """Those of a pipeline. `limited` runs what authors wrote; `lines` and `write_users`: how files have users; `base_url`: where providers reach us;
        `mail_home` names the tenant whose mail comes in; `sources`, `formats` and `sinks`: what can be read and
        written."""
        setup, vault, clock, random = ledger.setup, tools.vault, tools.clock, tools.random
        every_sink = EverySink(setup)
        inbox_actions = InboxActions(
            ledger.inboxes,
            fanout,
            clock,
            lambda tenant, action: out_events.mark_is_told(every_sink.all(tenant).values(), action),
        )
        retries = Retries(ledger, clock)
        replies = InboundReplies(ledger, pipeline.direct_calls, vault, clock)
        responses = Responses(
            ledger, pipeline.guard, pipeline.receive, ResponseLinks(vault, base_url), vault, clock
        )
        inbound_messages = InboundMessages(
            ledger, vault, pipeline.submit, replies, consents, responses, clock
        )
        whatsapp = WhatsAppService(ledger, pipeline.integrations, vault, clock)
        cancellations = Cancellations(ledger, pipeline.guard, clock)
        runs = RunService(ledger, cancellations, vault, clock)
        callbacks = CallbackService(
            ledger,
            pipeline.integrations.plugin,
            CallbackUrls(vault, base_url),
            ReceiptGroups(responses.receive),
            inbound_messages,
            responses,
            whatsapp,
            tools.fetch,
            vault,
            clock,
        )
        setup_service = SetupService(setup, ledger.runs.waiting)
        countries = SeenCountries(setup, ledger.users, pipeline.priority, clock)
        inbound = InboundMail(ledger, vault, pipeline.receive, unsubscribe, responses, clock)
        users = UserService(ledger.users, inbox_actions, countries)
        connections = ConnectionService(ledger, tools)
        pipeline.runs.calls = StepCallService(setup.tenants, users, connections, pipeline.submit)
        dry_runs = DryRuns(ledger, pipeline.groups, pipeline.schemas, pipeline.coverage, vault, clock, random)
        segments = SegmentService(ledger, pipeline.groups, setup_service, pipeline.priority, clock)
        user_imports = UserImports(ledger, consents, countries, lines, pipeline.priority, vault, clock)
        user_exports = UserExports(ledger, segments, write_users, vault, clock)
        operations = OperationRunner(
            ledger,
            retries,
            runs,
            pipeline.guard,
            pipeline.priority,
            pipeline.submit,
            {OperationKind.IMPORT_USERS: user_imports, OperationKind.EXPORT_USERS: user_exports},
            clock,
            random,
        )
        return cls(
            api_keys=ApiKeys(setup.keys, vault, clock, random),
            user_tokens=UserTokens(vault, clock),
            inbox_actions=inbox_actions,
            users=users,
            seen_countries=countries,
            verifications=VerificationService(
                ledger, pipeline.intake.submit, countries, consents, vault, clock, random, base_url
            ),
            number_ranges=NumberRangeService(ledger.number_ranges, clock),
            devices=DeviceService(ledger, clock),
            topics=TopicService(ledger.topics),
            objects=ObjectService(users, ledger.topics),
            consents=consents,
            segments=segments,
            user_imports=user_imports,
            user_exports=user_exports,
            suppressions=SuppressionService(ledger.suppressions, last_checks, vault, clock),
            setup=setup_service,
            retention=RetentionService(setup, ledger.retention, pipeline.priority, clock),
            webhook_endpoints=WebhookEndpoints(ledger, retries, tools.refusal, clock, random),
            retries=retries,
            set_aside_events=SetAsideEvents(ledger.events, ledger.set_aside, pipeline.broker, clock),
            cluster=ClusterService(ledger, pipeline.broker, clock),
            cancellations=cancellations,
            withdrawals=WithdrawalService(ledger, cancellations, pipeline.withdrawals.wake, vault, clock),
            runs=runs,
            responses=responses,
            operations=operations,
            campaigns=CampaignService(
                ledger,
                pipeline.groups,
                pipeline.schemas,
                dry_runs,
                cancellations,
                operations,
                vault,
                clock,
                random,
            ),
            templates=TemplateService(setup, limited, clock),
            previews=Previews(limited, clock),
            test_sends=TestSends(setup, ledger.users, pipeline.intake.submit, vault, clock),
            dry_runs=dry_runs,
            connections=connections,
            sources=SourceService(ledger, pipeline, dry_runs, sources, formats, tools),
            sinks=SinkService(ledger, pipeline, sinks, every_sink, tools),
            message_contents=MessageContents(ledger, pipeline.rendering, unsubscribe.url, vault),
            lives=LiveService(ledger, pipeline.live_states, pipeline.schemas, pipeline.submit, clock, random),
            schedules=ScheduleService(ledger, pipeline.schemas, pipeline.submit, vault, clock, random),
            unsubscribe=unsubscribe,
            preference_pages=PreferencePages(ledger, users, consents, vault, clock, base_url),
            inbound_mail=inbound,
            inbound_messages=inbound_messages,
            inbound_replies=replies,
            whatsapp=whatsapp,
            callbacks=callbacks,
            report_queues=ReportQueues(ledger, pipeline.integrations.plugin, callbacks, tools),
            receipt_fetcher=ReceiptFetcher(ledger, pipeline.integrations, callbacks, tools),
            mail_readers=[
                MailReader(inbound, one, setup.tenants, clock, home=mail_home, poll_s=mail_poll_s)
                for one in mailboxes
            ],
            endpoint_monitor=EndpointMonitor(ledger, pipeline.submit, clock, disable_endpoints_after_s),
            spending_alerts=SpendingAlerts(pipeline.payments, pipeline.submit, clock),
        )

    def start(self, pipeline: Pipeline) -> None:
        """Run the loops of the services beside those of the pipeline, until that is drained."""
        roles = pipeline.process.roles
        if Role.API in roles:
            pipeline.loops.start("asked-retention", self.retention.run_asked)
            pipeline.loops.start("reply", self.inbound_replies.run)
        if Role.WORKER in roles:
            pipeline.loops.start("spending-alerts", self.spending_alerts.run)
            pipeline.loops.start("read-sources", self.sources.loops.run)
            pipeline.loops.start("write-sinks", self.sinks.loops.run)
        if Role.TIMERS in roles:
            self._start_timers(pipeline)

    def _start_timers(self, pipeline: Pipeline) -> None:
        """What one process at a time does for all."""
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "operations": self.operations.run,
            "live": self.lives.run,
            "schedules": self.schedules.run,
            "campaigns": self.campaigns.run,
            "retention": self.retention.run,
            "lift-suppressions": self.suppressions.run,
            "whatsapp-templates": self.whatsapp.run,
            "watch-endpoints": self.endpoint_monitor.run,
            "read-queues": self.report_queues.run,
            "fetch-receipts": self.receipt_fetcher.run,
            "seen-countries": self.seen_countries.run,
            "segments": self.segments.run,
        }
        pipeline.readiness.watch("report queues", lambda: self.report_queues.trouble)
        pipeline.readiness.watch("fetched receipts", lambda: self.receipt_fetcher.trouble)
        for number, reader in enumerate(self.mail_readers):
            loops[f"mail-{number}"] = reader.run
            pipeline.readiness.watch(f"mailbox {number}", lambda reader=reader: reader.trouble)  # type: ignore[misc]
        for name, run in loops.items():
            pipeline.loops.start(name, partial(pipeline.election.run, run))

    def stats(self) -> Mapping[str, float]:
        """Counters, read when metrics are scraped."""
        return {
            **{f"callbacks.{outcome}": count for outcome, count in self.callbacks.taken.items()},
            "callback_references_unknown": self.callbacks.unknown_references,
            **{f"messages_received.{verdict}": n for verdict, n in self.inbound_messages.taken.items()},
            **{f"replies.{status}": count for status, count in self.inbound_replies.ended.items()},
            "queued_reports": self.report_queues.fetched,
            "receipts_asked": self.receipt_fetcher.asked,
            "occurrences_fired": self.schedules.fired,
            "mails_read": sum(reader.read for reader in self.mail_readers),
            "endpoints_disabled": self.endpoint_monitor.disabled,
            **{f"source_records.{outcome}": count for outcome, count in self.sources.records.items()},
            **{f"source_lag.{source}": lag for source, lag in self.sources.loops.lags().items()},
            **{f"sink_events.{outcome}": count for outcome, count in self.sinks.events.items()},
            **{f"sink_lag.{sink}": lag for sink, lag in self.sinks.loops.lags().items()},
            "segment_users.refreshed": self.segments.refreshed,
            "segment_users.updated": self.segments.updated,
            "operation_items.done": self.operations.done,
            "operation_items.failed": self.operations.failed,
            **{f"deleted.{kind}": self.retention.deleted[kind] for kind in RetentionKind},
        }
