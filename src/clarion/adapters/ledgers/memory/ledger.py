"""The ledger in memory: all parts over one set of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clarion.adapters.ledgers.memory.campaigns import MemoryCampaignRanges, MemoryCampaigns
from clarion.adapters.ledgers.memory.captures import MemoryCaptures
from clarion.adapters.ledgers.memory.consents import MemoryConsents
from clarion.adapters.ledgers.memory.continuations import MemoryContinuations
from clarion.adapters.ledgers.memory.conversations import MemoryConversations
from clarion.adapters.ledgers.memory.devices import MemoryDevices
from clarion.adapters.ledgers.memory.digests import MemoryDigests
from clarion.adapters.ledgers.memory.endpoints import MemoryDeliveries, MemoryEndpoints
from clarion.adapters.ledgers.memory.events import MemoryEvents
from clarion.adapters.ledgers.memory.inbound import MemoryInbound
from clarion.adapters.ledgers.memory.inboxes import MemoryInboxes
from clarion.adapters.ledgers.memory.journal import MemoryJournal
from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.lives import MemoryLives
from clarion.adapters.ledgers.memory.log import MemoryLog
from clarion.adapters.ledgers.memory.messages import MemoryMessages
from clarion.adapters.ledgers.memory.operation_files import MemoryOperationFiles
from clarion.adapters.ledgers.memory.operations import MemoryOperations, MemoryOperationSteps
from clarion.adapters.ledgers.memory.partitions import MemoryPartitions
from clarion.adapters.ledgers.memory.plans import MemoryPlans
from clarion.adapters.ledgers.memory.quarantine import MemoryQuarantine
from clarion.adapters.ledgers.memory.quotas import MemoryQuotas
from clarion.adapters.ledgers.memory.readings import MemoryDeadRecords, MemoryReadings
from clarion.adapters.ledgers.memory.receipts import MemoryReceipts
from clarion.adapters.ledgers.memory.records import MemoryRecords
from clarion.adapters.ledgers.memory.retention import MemoryRetention
from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.runs import MemoryRuns
from clarion.adapters.ledgers.memory.schedules import MemorySchedules
from clarion.adapters.ledgers.memory.segments import MemoryAudiences, MemorySegmentMembers
from clarion.adapters.ledgers.memory.set_aside import MemorySetAsides
from clarion.adapters.ledgers.memory.setup import MemorySetup
from clarion.adapters.ledgers.memory.spending import MemoryNumberRanges, MemorySpending
from clarion.adapters.ledgers.memory.states import tag_of
from clarion.adapters.ledgers.memory.suppressions import MemorySuppressions
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.topics import MemoryDirectory, MemoryTopics
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.users import MemoryUsers
from clarion.adapters.ledgers.memory.verifications import MemoryVerifications
from clarion.adapters.ledgers.memory.withdrawals import MemoryWithdrawals
from clarion.ports.clock import Clock, Random
from clarion.ports.ledger import Store
from clarion.ports.terms import Subject
from clarion.ports.vault import Vault


class MemoryLedger(Store):
    """Implements `ports.ledger.Store`, for one process. Not durable: its tables are lost with the memory they are in.

    Give another one the same tables, and it is another process on the same store.
    """

    def __init__(
        self,
        *,
        vault: Vault,
        clock: Clock,
        random: Random,
        tables: Tables | None = None,
        alone: bool = False,
    ) -> None:
        """`alone`: no other process lives, so the leases of all workers are over."""
        self._tables = tables = Tables() if tables is None else tables
        self._transactions = transactions = Transactions(tables)
        if alone:
            tables.end_leases()
        rows = MessageRows(tables)
        log = MemoryLog(tables, transactions, clock)
        records = MemoryRecords(tables, transactions, rows)
        inboxes = MemoryInboxes(tables, transactions, rows)
        self.log = self.claims = log
        self.set_aside = MemorySetAsides(tables, transactions, log)
        self.suppressions = MemorySuppressions(tables, transactions)
        self.consents = MemoryConsents(tables)
        self.devices = MemoryDevices(tables, transactions, vault, clock)
        self.endpoints = MemoryEndpoints(tables, transactions, clock)
        self.deliveries = MemoryDeliveries(tables)
        self.topics = MemoryTopics(tables, transactions)
        self.directory = MemoryDirectory(tables)
        self.audiences = MemoryAudiences(tables, transactions)
        self.segments = MemorySegmentMembers(tables, transactions)
        self.setup = MemorySetup(tables, transactions)
        self.leases = leases = MemoryLeases(tables, transactions, rows)
        self.digests = digests = MemoryDigests(tables, transactions)
        self.runs = runs = MemoryRuns(tables, transactions, rows, leases, digests)
        self.campaigns = campaigns = MemoryCampaigns(tables, transactions, leases)
        self.campaign_ranges = MemoryCampaignRanges(tables, transactions, leases)
        self.users = MemoryUsers(tables, transactions, rows, runs, vault, clock, random)
        self.events = MemoryEvents(tables, transactions, log, records, rows, runs)
        self.continuations = continuations = MemoryContinuations(tables, transactions, leases)
        self.messages = messages = MemoryMessages(tables, transactions, rows, inboxes, leases)
        self.partitions = partitions = MemoryPartitions(tables, transactions)
        self.plans = MemoryPlans(
            tables,
            transactions,
            log,
            rows,
            messages,
            leases,
            continuations,
            partitions,
            runs,
            digests,
            campaigns,
        )
        self.spending = MemorySpending(tables, transactions)
        self.quotas = MemoryQuotas(tables, transactions)
        self.readings = MemoryReadings(tables, transactions, leases)
        self.dead_records = MemoryDeadRecords(tables, transactions)
        self.number_ranges = MemoryNumberRanges(tables, transactions)
        self.verifications = MemoryVerifications(tables, transactions)
        self.receipts = MemoryReceipts(tables, transactions, rows)
        self.quarantine = MemoryQuarantine(tables, transactions)
        self.inbound = MemoryInbound(tables, transactions)
        self.lives = MemoryLives(tables, transactions)
        self.schedules = MemorySchedules(tables, transactions)
        self.records = records
        self.journal = MemoryJournal(tables)
        self.operations = MemoryOperations(tables, transactions)
        self.steps = MemoryOperationSteps(tables, transactions, records)
        self.files = MemoryOperationFiles(tables, transactions, self.users)
        self.withdrawals = MemoryWithdrawals(tables, transactions, inboxes)
        self.inboxes = inboxes
        self.captures = MemoryCaptures(tables)
        self.retention = MemoryRetention(tables, transactions, clock)
        self.conversations = MemoryConversations(tables, transactions)

    async def tag(self, subject: Subject) -> str | None:
        return tag_of(self._tables, subject)

    async def health(self) -> str:
        return "ok"

    async def stats(self) -> Mapping[str, Any]:
        return {
            "commits": self._transactions.commits,
            "queued_rows": 0,
            "cached_users": len(self._tables.users),
        }

    async def close(self) -> None:
        self._transactions.closed = True
