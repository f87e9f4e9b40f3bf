"""The ledger in one SQLite file: all parts over one writer and its readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from clarion.adapters.ledgers.revision import require_here
from clarion.adapters.ledgers.sqlite.campaigns import SqliteCampaignRanges, SqliteCampaigns
from clarion.adapters.ledgers.sqlite.caps import Caps
from clarion.adapters.ledgers.sqlite.captures import SqliteCaptures
from clarion.adapters.ledgers.sqlite.claims import SqliteClaims
from clarion.adapters.ledgers.sqlite.consents import SqliteConsents
from clarion.adapters.ledgers.sqlite.continuations import SqliteContinuations
from clarion.adapters.ledgers.sqlite.conversations import SqliteConversations
from clarion.adapters.ledgers.sqlite.deliveries import SqliteDeliveries
from clarion.adapters.ledgers.sqlite.devices import SqliteDevices
from clarion.adapters.ledgers.sqlite.digests import SqliteDigests
from clarion.adapters.ledgers.sqlite.directory import SqliteDirectory
from clarion.adapters.ledgers.sqlite.endpoints import SqliteEndpoints
from clarion.adapters.ledgers.sqlite.erasure import Eraser
from clarion.adapters.ledgers.sqlite.events import CanceledEvents, SqliteEvents
from clarion.adapters.ledgers.sqlite.files import open_reader, open_writer, require_current
from clarion.adapters.ledgers.sqlite.inbound import SqliteInbound
from clarion.adapters.ledgers.sqlite.inboxes import SqliteInboxes
from clarion.adapters.ledgers.sqlite.journal import SqliteJournal
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.adapters.ledgers.sqlite.keyring_binding import open_keyring
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases, end_all
from clarion.adapters.ledgers.sqlite.lives import SqliteLives
from clarion.adapters.ledgers.sqlite.log import SqliteLog
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.messages import SqliteMessages
from clarion.adapters.ledgers.sqlite.operation_files import SqliteOperationFiles
from clarion.adapters.ledgers.sqlite.operations import SqliteOperations, SqliteOperationSteps
from clarion.adapters.ledgers.sqlite.partitions import SqlitePartitions
from clarion.adapters.ledgers.sqlite.plans import SqlitePlans
from clarion.adapters.ledgers.sqlite.quarantine import SqliteQuarantine
from clarion.adapters.ledgers.sqlite.quotas import SqliteQuotas
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.readings import SqliteDeadRecords, SqliteReadings
from clarion.adapters.ledgers.sqlite.receipts import SqliteReceipts
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.records import SqliteRecords
from clarion.adapters.ledgers.sqlite.respelling import respell
from clarion.adapters.ledgers.sqlite.retention import SqliteRetention
from clarion.adapters.ledgers.sqlite.runs import SqliteRuns
from clarion.adapters.ledgers.sqlite.schedules import SqliteSchedules
from clarion.adapters.ledgers.sqlite.segments import SqliteAudiences, SqliteSegmentMembers
from clarion.adapters.ledgers.sqlite.set_aside import SqliteSetAsides
from clarion.adapters.ledgers.sqlite.settlement_effects import SettlementEffects
from clarion.adapters.ledgers.sqlite.setup import SqliteSetup
from clarion.adapters.ledgers.sqlite.spending import SqliteNumberRanges, SqliteSpending
from clarion.adapters.ledgers.sqlite.states import tag_of
from clarion.adapters.ledgers.sqlite.suppressions import SqliteSuppressions
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.adapters.ledgers.sqlite.topics import SqliteTopics
from clarion.adapters.ledgers.sqlite.users import SqliteUsers, UserRows
from clarion.adapters.ledgers.sqlite.verifications import SqliteVerifications
from clarion.adapters.ledgers.sqlite.withdrawals import SqliteWithdrawals
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.model.ids import UserNo
from clarion.ports.clock import Clock, Random
from clarion.ports.ledger import Store
from clarion.ports.terms import Subject
from clarion.ports.vault import Vault


class SqliteLedger(Store):
    """Implements `ports.ledger.Store`. Open it once per process, use it from one event loop."""

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        vault: Vault,
        clock: Clock,
        random: Random,
        user_cache: int = 20_000,
        again: bool = False,
    ) -> SqliteLedger:
        """The ledger at `path`; `user_cache` people are kept opened in memory. With `again` the leases of workers go on,
        else they are over.

        Raises ConfigError when the file is missing, its schema is not the current one, or keyring or vault are
        not those it was written with.
        """
        require_current(path)
        require_here(path)
        keyring = open_keyring(path, vault, random)
        if not again:
            end_all(path)
        return cls(path, vault, keyring, clock, random, user_cache)

    def __init__(
        self, path: Path, vault: Vault, keyring: Keyring, clock: Clock, random: Random, user_cache: int
    ) -> None:
        self._path = path
        self._keyring = keyring
        self._local = local = open_reader(path)
        self._readers = readers = Readers(path)
        self._writer = writer = Writer(path, clock)
        self._user_cache = cached_users = UserCache(user_cache)
        routes = SqliteMessageKinds(local)
        writer.on_rollback(routes.forget)
        self._recent = recent = RecentMessages(writer, local)
        caps = Caps(routes, recent)
        writer.on_rollback(caps.forget)
        terminations = Terminations(local, caps)
        self.claims = claims = SqliteClaims(writer, clock)
        log = SqliteLog(writer, local, claims)
        self.set_aside = SqliteSetAsides(writer, readers, local, log)
        inboxes = SqliteInboxes(writer, local, readers, routes, terminations, recent)
        eraser = Eraser(keyring, terminations, clock, inboxes.forget, recent)
        user_rows = UserRows(vault, keyring, clock, random, eraser)
        suppressions = SqliteSuppressions(writer, readers, cached_users)
        self.log = log
        self.partitions = SqlitePartitions(writer)
        self.inboxes = inboxes
        self.suppressions = suppressions
        self.consents = SqliteConsents(readers)
        self.users = SqliteUsers(writer, local, readers, cached_users, user_rows)
        self.devices = devices = SqliteDevices(writer, readers, cached_users, user_rows)
        self.endpoints = SqliteEndpoints(writer, readers, cached_users, user_rows, suppressions)
        self.deliveries = SqliteDeliveries(readers)
        self.topics = SqliteTopics(writer, readers)
        self.directory = SqliteDirectory(readers, user_rows)
        self.audiences = SqliteAudiences(writer, readers, user_rows)
        self.segments = SqliteSegmentMembers(writer, readers)
        self.setup = setup = SqliteSetup(writer, readers, local, vault)
        canceled = CanceledEvents(local)
        effects = SettlementEffects(caps, terminations, inboxes)
        self.leases = leases = SqliteLeases(readers, writer)
        self.continuations = SqliteContinuations(writer, local, leases)
        self.plans = SqlitePlans(
            writer, readers, log, routes, caps, terminations, canceled, leases, effects, recent
        )
        self.runs = SqliteRuns(writer, readers, local, leases, terminations)
        self.digests = SqliteDigests(writer, readers)
        self.campaigns = SqliteCampaigns(writer, readers, local, leases)
        self.campaign_ranges = SqliteCampaignRanges(writer, local, leases)
        self.messages = SqliteMessages(
            writer, local, readers, routes, terminations, effects, suppressions, leases
        )
        self.spending = SqliteSpending(writer, readers)
        self.quotas = SqliteQuotas(writer)
        self.readings = SqliteReadings(writer, readers, leases)
        self.dead_records = SqliteDeadRecords(writer, readers)
        self.number_ranges = SqliteNumberRanges(writer, readers)
        self.verifications = SqliteVerifications(writer, readers)
        self.receipts = SqliteReceipts(writer, readers, routes, terminations, suppressions, recent)
        self.quarantine = SqliteQuarantine(writer, readers)
        self.inbound = SqliteInbound(writer, readers, suppressions)
        self.lives = SqliteLives(writer, readers)
        self.schedules = SqliteSchedules(writer, readers)
        self.journal = SqliteJournal(readers)
        self.records = records = SqliteRecords(writer, readers, routes, terminations, recent)
        self.operations = SqliteOperations(writer, readers)
        self.steps = SqliteOperationSteps(writer, readers, records)
        self.files = SqliteOperationFiles(writer, readers, cached_users, user_rows)
        self.events = SqliteEvents(writer, readers, log, records, terminations, canceled)
        self.withdrawals = SqliteWithdrawals(writer, readers, inboxes)
        self.captures = SqliteCaptures(readers, routes, recent)
        self.retention = SqliteRetention(writer, readers, routes, inboxes, devices, recent, clock)
        self.conversations = SqliteConversations(writer, readers)
        with closing(open_writer(path)) as connection:
            setup.give_inboxes(connection)
        self.erased_on_opening = _catch_up(path, eraser)
        respell(path, user_rows)
        """People whose key was destroyed after this copy of the ledger was made, or just before a crash."""

    def on_user_written(self, written: Callable[[UserNo], None]) -> None:
        """Call `written` on the event loop whenever a user is not as they were, before whoever did it is told."""
        self._user_cache.changed = written

    async def tag(self, subject: Subject) -> str | None:
        return tag_of(self._local, subject)

    async def health(self) -> str:
        if self._writer.trouble:
            self._writer.probe()
        return self._writer.state or "ok"

    async def stats(self) -> Mapping[str, Any]:
        writer = self._writer
        return {
            "commits": writer.commits,
            "jobs": writer.jobs,
            "rows": writer.rows,
            "redone": writer.redone,
            "failures": writer.failures,
            "queued_rows": writer.queued,
            "last_commit_ms": writer.last_ms,
            "cached_users": len(self._user_cache),
            "file_bytes": _size(self._path),
            "wal_bytes": _size(self._path.with_name(self._path.name + "-wal")),
        }

    async def close(self) -> None:
        await self._writer.close()
        self._readers.close()
        self._local.close()
        self._keyring.close()


def _catch_up(path: Path, eraser: Eraser) -> int:
    with closing(open_writer(path)) as connection:
        return eraser.catch_up(connection)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
