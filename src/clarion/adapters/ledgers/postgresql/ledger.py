"""The ledger on a PostgreSQL server: all parts over one pool of connections."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.message_kinds import QUEUES
from clarion.adapters.ledgers.postgresql.address import read_address
from clarion.adapters.ledgers.postgresql.campaigns import PostgresCampaignRanges, PostgresCampaigns
from clarion.adapters.ledgers.postgresql.captures import PostgresCaptures
from clarion.adapters.ledgers.postgresql.claims import PostgresClaims
from clarion.adapters.ledgers.postgresql.consents import PostgresConsents
from clarion.adapters.ledgers.postgresql.continuations import PostgresContinuations
from clarion.adapters.ledgers.postgresql.conversations import PostgresConversations
from clarion.adapters.ledgers.postgresql.database import Database, open_database
from clarion.adapters.ledgers.postgresql.deliveries import PostgresDeliveries
from clarion.adapters.ledgers.postgresql.devices import PostgresDevices
from clarion.adapters.ledgers.postgresql.digests import PostgresDigests
from clarion.adapters.ledgers.postgresql.directory import PostgresDirectory
from clarion.adapters.ledgers.postgresql.endpoints import PostgresEndpoints
from clarion.adapters.ledgers.postgresql.erasure import PostgresEraser
from clarion.adapters.ledgers.postgresql.events import PostgresEvents
from clarion.adapters.ledgers.postgresql.inbound import PostgresInbound
from clarion.adapters.ledgers.postgresql.inboxes import PostgresInboxes
from clarion.adapters.ledgers.postgresql.journal import PostgresJournal
from clarion.adapters.ledgers.postgresql.leases import PostgresLeases
from clarion.adapters.ledgers.postgresql.listener import Listener
from clarion.adapters.ledgers.postgresql.lives import PostgresLives
from clarion.adapters.ledgers.postgresql.log import CHANNEL as LOG
from clarion.adapters.ledgers.postgresql.log import PostgresLog
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.adapters.ledgers.postgresql.messages import PostgresMessages
from clarion.adapters.ledgers.postgresql.operation_files import PostgresOperationFiles
from clarion.adapters.ledgers.postgresql.operations import PostgresOperations, PostgresOperationSteps
from clarion.adapters.ledgers.postgresql.partitions import PostgresPartitions
from clarion.adapters.ledgers.postgresql.plans import PostgresPlans
from clarion.adapters.ledgers.postgresql.quarantine import PostgresQuarantine
from clarion.adapters.ledgers.postgresql.queue_scan import QueueScan
from clarion.adapters.ledgers.postgresql.quotas import PostgresQuotas
from clarion.adapters.ledgers.postgresql.readings import PostgresDeadRecords, PostgresReadings
from clarion.adapters.ledgers.postgresql.receipts import PostgresReceipts
from clarion.adapters.ledgers.postgresql.records import PostgresRecords
from clarion.adapters.ledgers.postgresql.replicas import Replicas
from clarion.adapters.ledgers.postgresql.retention import PostgresRetention
from clarion.adapters.ledgers.postgresql.revision import require_current
from clarion.adapters.ledgers.postgresql.revisions import CHANNEL as SETUP
from clarion.adapters.ledgers.postgresql.runs import PostgresRuns
from clarion.adapters.ledgers.postgresql.schedules import PostgresSchedules
from clarion.adapters.ledgers.postgresql.segments import PostgresAudiences, PostgresSegmentMembers
from clarion.adapters.ledgers.postgresql.set_aside import PostgresSetAsides
from clarion.adapters.ledgers.postgresql.settlement_effects import PostgresSettlementEffects
from clarion.adapters.ledgers.postgresql.setup import PostgresSetup
from clarion.adapters.ledgers.postgresql.spending import PostgresNumberRanges, PostgresSpending
from clarion.adapters.ledgers.postgresql.states import tag_of
from clarion.adapters.ledgers.postgresql.suppressions import PostgresSuppressions
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.postgresql.topics import PostgresTopics
from clarion.adapters.ledgers.postgresql.users import PostgresUserRows, PostgresUsers, require_key
from clarion.adapters.ledgers.postgresql.verifications import PostgresVerifications
from clarion.adapters.ledgers.postgresql.withdrawals import PostgresWithdrawals
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.ports.clock import Clock, Random
from clarion.ports.ledger import Store
from clarion.ports.terms import Subject
from clarion.ports.vault import Vault


class PostgresLedger(Store):
    """Implements `ports.ledger.Store`."""

    @classmethod
    async def open(
        cls, url: str, *, vault: Vault, clock: Clock, random: Random, user_cache: int = 20_000
    ) -> PostgresLedger:
        """The ledger in the database of this URL; `user_cache` people are kept opened in memory.

        Raises ConfigError saying what to do when the server cannot be reached, its schema is of another version, or
        it was written with another installation key.
        """
        address = read_address(url)
        async with contextlib.AsyncExitStack() as opened:
            database = await open_database(address, clock=clock, random=random)
            opened.push_async_callback(database.close)
            await database.read(lambda connection: require_current(connection, address.place))
            await require_key(database, vault)
            copies = []
            for dsn in address.replicas:
                its = replace(address, dsn=dsn, replicas=())
                copies.append(await open_database(its, clock=clock, random=random, replica=True))
                opened.push_async_callback(copies[-1].close)
            ledger = cls(database, copies, vault=vault, clock=clock, random=random, user_cache=user_cache)
            opened.pop_all()
            return ledger

    def __init__(
        self,
        database: Database,
        copies: Sequence[Database],
        *,
        vault: Vault,
        clock: Clock,
        random: Random,
        user_cache: int,
    ) -> None:
        """Over an open database of this version's schema and open replicas of it, which it closes."""
        self._database = self.database = database
        """Where its connections are."""
        self._replicas = Replicas(database, copies, clock) if copies else None
        if self._replicas is not None:
            database.lists = self._replicas
        self._user_cache = cached_users = UserCache(user_cache)
        kinds, terminations = PostgresMessageKinds(), PostgresTerminations()
        user_rows = PostgresUserRows(vault, clock, random)
        eraser = PostgresEraser(terminations, clock)
        self.users = PostgresUsers(database, user_rows, cached_users, eraser)
        self.suppressions = suppressions = PostgresSuppressions(database)
        self.consents = PostgresConsents(database)
        self.devices = devices = PostgresDevices(database, user_rows)
        self.endpoints = PostgresEndpoints(database, user_rows, suppressions)
        self.topics = PostgresTopics(database)
        self.directory = PostgresDirectory(database, user_rows)
        self.audiences = PostgresAudiences(database, user_rows)
        self.segments = PostgresSegmentMembers(database)
        self.setup = setup = PostgresSetup(database, vault)
        self.spending = PostgresSpending(database)
        self.quotas = PostgresQuotas(database)
        self.claims = claims = PostgresClaims(database, clock)
        self.log = self._log = log = PostgresLog(database, claims)
        heard = {SETUP: setup.told, LOG: log.heard}
        self._listener = None if database.pooled else Listener(database.address, clock, random, heard)
        self.set_aside = PostgresSetAsides(database, log)
        self.partitions = PostgresPartitions(database)
        self.leases = leases = PostgresLeases(database)
        self.continuations = PostgresContinuations(database, leases)
        self.runs = PostgresRuns(database, leases, terminations)
        self.digests = PostgresDigests(database)
        self.campaigns = PostgresCampaigns(database, leases)
        self.campaign_ranges = PostgresCampaignRanges(database, leases)
        self.inboxes = inboxes = PostgresInboxes(database, kinds, terminations)
        effects = PostgresSettlementEffects(terminations, inboxes)
        scans = {queue: QueueScan() for queue in QUEUES}
        self.plans = PostgresPlans(database, log, kinds, terminations, leases, effects, scans)
        self.messages = PostgresMessages(
            database, kinds, terminations, effects, suppressions, leases, scans, clock
        )
        self.number_ranges = PostgresNumberRanges(database)
        self.verifications = PostgresVerifications(database)
        self.quarantine = PostgresQuarantine(database)
        self.inbound = PostgresInbound(database, suppressions)
        self.lives = PostgresLives(database)
        self.schedules = PostgresSchedules(database)
        self.withdrawals = PostgresWithdrawals(database, inboxes)
        self.conversations = PostgresConversations(database)
        self.receipts = PostgresReceipts(database, kinds, terminations, suppressions)
        self.journal = PostgresJournal(database)
        self.records = records = PostgresRecords(database, kinds, terminations)
        self.events = PostgresEvents(database, log, records, terminations)
        self.operations = PostgresOperations(database)
        self.steps = PostgresOperationSteps(database, records)
        self.files = PostgresOperationFiles(database, cached_users, user_rows)
        self.captures = PostgresCaptures(database)
        self.deliveries = PostgresDeliveries(database)
        self.retention = PostgresRetention(database, kinds, inboxes, devices)
        self.readings = PostgresReadings(database)
        self.dead_records = PostgresDeadRecords(database)

    async def tag(self, subject: Subject) -> str | None:
        return await self._database.read(lambda connection: tag_of(connection, subject))

    async def health(self) -> str:
        return await self._database.probe()

    async def stats(self) -> Mapping[str, Any]:
        database = self._database
        return {
            "commits": database.commits,
            "redone": database.redone,
            "failures": database.failures,
            "last_commit_ms": database.last_ms,
            "cached_users": len(self._user_cache),
            "connections": database.connections,
            "transactions": database.under_way,
        }

    async def close(self) -> None:
        await self._log.close()
        if self._listener is not None:
            await self._listener.close()
        if self._replicas is not None:
            await self._replicas.close()
        await self._database.close()
