"""The metrics page: reads the counters of the parts when Prometheus asks. Messages pay nothing for it.

A part hands over flat numbers. A dotted name carries label values behind its first word: `settled.email.sent.`
becomes `clarion_message_status_changes_total{channel="email",status="sent",reason=""}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

Stats = Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""A part's numbers, at once or after asking somebody else."""


class MetricHelp(msgspec.Struct, frozen=True):
    """How one number of a part is exported."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    scale: float = 1.0
    """Base units: milliseconds times 0.001 are seconds."""

    @property
    def counts(self) -> bool:
        """Whether it is a counter."""
        return self.name.endswith("_total")


METRICS: dict[tuple[str, str], MetricHelp] = {
    ("pipeline", "accepted"): MetricHelp("clarion_events_accepted_total", "Events accepted and durable."),
    ("pipeline", "repeated"): MetricHelp(
        "clarion_events_repeated_total",
        "Submissions answered with the result of an earlier one with the same key.",
    ),
    ("pipeline", "planned"): MetricHelp("clarion_runs_planned_total", "Runs planned."),
    ("pipeline", "unplannable"): MetricHelp(
        "clarion_events_unplannable_total", "Events whose workflow or users were gone when they were planned."
    ),
    ("pipeline", "set_aside"): MetricHelp(
        "clarion_events_set_aside_total",
        "Events that could not be planned and were set aside for manual review.",
    ),
    ("pipeline", "set_aside_waiting"): MetricHelp(
        "clarion_events_set_aside", "Events set aside and not yet retried or discarded."
    ),
    ("pipeline", "attempts"): MetricHelp(
        "clarion_attempts_total", "Attempts to send a message through a provider."
    ),
    ("pipeline", "unknown_outcomes"): MetricHelp(
        "clarion_attempts_unknown_total", "Attempts whose result is unknown: the message may have been sent."
    ),
    ("pipeline", "runs_woken"): MetricHelp(
        "clarion_runs_woken_total", "Runs of workflows that went on after they had waited."
    ),
    ("pipeline", "claimed"): MetricHelp(
        "clarion_messages_claimed_total", "Due messages taken from the store."
    ),
    ("pipeline", "leases_lost"): MetricHelp(
        "clarion_leases_lost_total",
        "How often this process lost its lease because it did not renew it in time.",
    ),
    ("pipeline", "refused_settlements"): MetricHelp(
        "clarion_late_results_refused_total", "Late results of a worker that had lost its lease."
    ),
    ("pipeline", "endpoints_disabled"): MetricHelp(
        "clarion_endpoints_disabled_total", "Webhook endpoints disabled for failing or by their receiver."
    ),
    ("pipeline", "deleted"): MetricHelp(
        "clarion_retention_deleted_total",
        "Rows deleted because their retention period ended.",
        ("kind",),
    ),
    ("pipeline", "segment_users"): MetricHelp(
        "clarion_segment_users_total",
        "Users gone through for segments and attributes, by outcome.",
        ("outcome",),
    ),
    ("pipeline", "operation_items"): MetricHelp(
        "clarion_operation_items_total", "Messages processed by bulk operations, by outcome.", ("outcome",)
    ),
    ("pipeline", "backlog"): MetricHelp(
        "clarion_backlog_events",
        "Accepted events that wait in a lane to be planned, of all processes.",
        ("lane",),
    ),
    ("pipeline", "backlog_ms"): MetricHelp(
        "clarion_backlog_age_seconds",
        "For how long the oldest event of a lane has waited to be planned, as far as this process can tell.",
        ("lane",),
        scale=0.001,
    ),
    ("pipeline", "in_flight"): MetricHelp(
        "clarion_messages_in_flight",
        "Messages in memory that wait for a provider or are being sent.",
        ("lane", "channel"),
    ),
    ("pipeline", "settled"): MetricHelp(
        "clarion_message_status_changes_total",
        "Status changes recorded by the engine.",
        ("channel", "status", "reason"),
    ),
    ("pipeline", "occurrences_fired"): MetricHelp(
        "clarion_schedule_occurrences_total", "Occurrences of schedules that started their workflow."
    ),
    ("pipeline", "mails_read"): MetricHelp(
        "clarion_mails_read_total", "Returned emails read from the configured mailboxes."
    ),
    ("pipeline", "queued_reports"): MetricHelp(
        "clarion_queued_reports_total", "Reports fetched from the queues of providers."
    ),
    ("pipeline", "source_records"): MetricHelp(
        "clarion_source_records_total", "Records read from sources, by what became of them.", ("outcome",)
    ),
    ("pipeline", "source_lag"): MetricHelp(
        "clarion_source_lag_records",
        "Records that wait in the partitions of a source that this process reads, or in its whole queue.",
        ("source",),
    ),
    ("pipeline", "sink_events"): MetricHelp(
        "clarion_sink_events_total", "Events for sinks, by what became of them.", ("outcome",)
    ),
    ("pipeline", "sink_lag"): MetricHelp(
        "clarion_sink_lag_seconds", "How far a sink that this process writes to is behind.", ("sink",)
    ),
    ("pipeline", "receipts_asked"): MetricHelp(
        "clarion_receipts_asked_total", "Messages whose receipts providers were asked for."
    ),
    ("pipeline", "callbacks"): MetricHelp(
        "clarion_callbacks_total", "Calls of providers that report about messages, by outcome.", ("outcome",)
    ),
    ("pipeline", "callback_references_unknown"): MetricHelp(
        "clarion_callback_references_unknown_total", "Reports about messages that are not ours."
    ),
    ("pipeline", "messages_received"): MetricHelp(
        "clarion_messages_received_total",
        "Messages of people that came in, by what they ask for.",
        ("verdict",),
    ),
    ("pipeline", "replies"): MetricHelp(
        "clarion_replies_total", "Automatic replies to STOP, START and HELP, by outcome.", ("outcome",)
    ),
    ("pipeline", "receipts"): MetricHelp(
        "clarion_receipts_total",
        "Receipts about sent messages, by kind and effect.",
        ("kind", "effect"),
    ),
    ("pipeline", "part"): MetricHelp(
        "clarion_part_state",
        "Loops, queues, stores and integrations: 0 works, 1 warning, 2 fails (then /readyz is 503).",
        ("part",),
    ),
    ("pipeline", "loop_failures"): MetricHelp(
        "clarion_loop_failures_total", "How often a loop failed and was restarted.", ("loop",)
    ),
    ("pipeline", "sms_guard"): MetricHelp(
        "clarion_sms_guard_total",
        "Messages stopped by the pumping guard, or observed by it, and ranges it blocked.",
        ("what",),
    ),
    ("pipeline", "budget_share"): MetricHelp(
        "clarion_budget_spent_ratio",
        "How much of a budget is spent today, 0 to 1, as this process saw it last.",
        ("budget",),
    ),
    ("pipeline", "circuit"): MetricHelp(
        "clarion_integration_circuit", "Circuit breaker: 0 closed, 1 half open, 2 open.", ("integration",)
    ),
    ("pipeline", "integration_share"): MetricHelp(
        "clarion_integration_share",
        "Part of its channel's messages that goes through the integration, by its score.",
        ("integration",),
    ),
    ("pipeline", "integration_success"): MetricHelp(
        "clarion_integration_success",
        "Part of the calls of the last minutes that succeeded.",
        ("integration",),
    ),
    ("pipeline", "integration_receipts"): MetricHelp(
        "clarion_integration_receipts",
        "Share that its receipts leave the integration: 1 until they stay away.",
        ("integration",),
    ),
    ("pipeline", "integration_quota"): MetricHelp(
        "clarion_integration_quota",
        "Part of today's limit that is used up, for integrations that have one.",
        ("integration",),
    ),
    ("pipeline", "integration_latency_ms"): MetricHelp(
        "clarion_integration_latency_seconds",
        "How long calls of the last minutes took.",
        ("integration",),
        scale=0.001,
    ),
    ("store", "commits"): MetricHelp("clarion_store_commits_total", "Transactions made durable."),
    ("store", "jobs"): MetricHelp(
        "clarion_store_writes_total", "Writes requested. Many share one transaction."
    ),
    ("store", "rows"): MetricHelp("clarion_store_rows_total", "Rows written."),
    ("store", "redone"): MetricHelp(
        "clarion_store_writes_redone_total",
        "Writes repeated because another write in the same transaction failed, or changed the same rows.",
    ),
    ("store", "failures"): MetricHelp("clarion_store_failures_total", "Commits that failed."),
    ("store", "queued_rows"): MetricHelp("clarion_store_queued_rows", "Rows waiting for the next commit."),
    ("store", "last_commit_ms"): MetricHelp(
        "clarion_store_last_commit_seconds", "How long the newest commit took.", scale=0.001
    ),
    ("store", "cached_users"): MetricHelp("clarion_store_cached_users", "Users cached in memory."),
    ("store", "file_bytes"): MetricHelp("clarion_store_file_bytes", "Size of the database."),
    ("store", "wal_bytes"): MetricHelp(
        "clarion_store_wal_bytes", "Size of the write-ahead log of the database."
    ),
    ("store", "connections"): MetricHelp(
        "clarion_store_connections", "Connections to the database server, of this process."
    ),
    ("store", "transactions"): MetricHelp(
        "clarion_store_transactions", "Transactions that run on it or wait for a connection."
    ),
    ("gateway", "connections"): MetricHelp(
        "clarion_gateway_connections", "Open WebSockets and event streams."
    ),
    ("gateway", "users"): MetricHelp("clarion_gateway_users", "Users with at least one device connected."),
    ("gateway", "frames"): MetricHelp("clarion_gateway_frames_total", "Inbox changes pushed to devices."),
    ("gateway", "recovered"): MetricHelp(
        "clarion_gateway_recovered_total", "Reconnects that received exactly the changes they had missed."
    ),
    ("gateway", "full"): MetricHelp(
        "clarion_gateway_full_states_total", "Connections that received the full inbox state."
    ),
    ("gateway", "closed"): MetricHelp(
        "clarion_gateway_closed_total", "Connections ended, by reason.", ("reason",)
    ),
    ("fanout", "published"): MetricHelp(
        "clarion_fanout_published_total", "Inbox changes sent to other processes."
    ),
    ("fanout", "received"): MetricHelp(
        "clarion_fanout_received_total", "Inbox changes that came from other processes."
    ),
    ("fanout", "dropped"): MetricHelp(
        "clarion_fanout_dropped_total",
        "Inbox changes that could not be sent. Gateways read them from the database.",
    ),
    ("fanout", "missed"): MetricHelp(
        "clarion_fanout_catch_ups_total",
        "How often this process looked for inbox changes that it may have missed, for every connected user.",
    ),
    ("fanout", "slots"): MetricHelp(
        "clarion_fanout_slots", "Slots of users, of 1,024, whose changes this process wants to hear of."
    ),
    ("redis", "asked"): MetricHelp(
        "clarion_redis_questions_total", "Questions to the server of the setting `redis`."
    ),
    ("redis", "failed"): MetricHelp(
        "clarion_redis_failures_total", "Questions that it did not answer: the database was asked instead."
    ),
    ("http", "requests"): MetricHelp("clarion_http_requests_total", "Requests to the API.", ("route",)),
    ("http", "problems"): MetricHelp("clarion_http_problems_total", "Error answers by code.", ("code",)),
    ("connections", "open"): MetricHelp(
        "clarion_http_connections", "HTTP connections that are open, live inboxes not counted."
    ),
    ("connections", "waiting"): MetricHelp(
        "clarion_http_connections_waiting", "Open HTTP connections that wait for their clients."
    ),
    ("connections", "ended"): MetricHelp(
        "clarion_http_connections_ended_total",
        "Connections ended because of their clients: `slow_head`, `slow_body`, `unread`, `head_too_large`, `crowded_out`.",
        ("reason",),
    ),
}
"""The metric of each number, by part and name. Numbers without an entry are exported as gauges under their own names."""


class Metrics:
    """The registry of one process. Parts are added while it is composed, then only read."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Stats]] = []
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._asked: list[tuple[str, Mapping[str, Any]]] = []
        self._registry.register(_Parts(self._asked))

    def add(self, part: str, stats: Stats) -> None:
        """Ask `stats` at every scrape."""
        self._parts.append((part, stats))

    async def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its media type: Prometheus text, or OpenMetrics when `accept` asks for it."""
        encode, media_type = choose_encoder(accept)
        numbers = [(part, await _numbers(stats)) for part, stats in self._parts]
        self._asked[:] = numbers  # without a pause until they are encoded
        return encode(self._registry), media_type


async def _numbers(stats: Stats) -> Mapping[str, Any]:
    found = stats()
    return found if isinstance(found, Mapping) else await found


class _Parts(Collector):
    def __init__(self, asked: list[tuple[str, Mapping[str, Any]]]) -> None:
        self._asked = asked

    def describe(self) -> Iterator[Metric]:
        """Nothing to ask before the parts are there."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One family per metric, gathered over all parts."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for part, numbers in self._asked:
            for key, value in numbers.items():
                if isinstance(value, bool | int | float):
                    _gather(families, part, key, value)
        yield from families.values()


def _gather(
    families: dict[str, CounterMetricFamily | GaugeMetricFamily], part: str, key: str, value: float
) -> None:
    word, _, rest = key.replace("closed_", "closed.", 1).partition(".")
    metric = METRICS.get((part, word)) or MetricHelp(f"clarion_{part}_{word}", f"{word} of the {part}.")
    family = families.get(metric.name)
    if family is None:
        kind = CounterMetricFamily if metric.counts else GaugeMetricFamily
        family = families[metric.name] = kind(metric.name, metric.help, labels=metric.labels)
    values = rest.split(".", len(metric.labels) - 1) if metric.labels else []
    family.add_metric(values, value * metric.scale)
