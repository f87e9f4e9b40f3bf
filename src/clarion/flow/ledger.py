"""The store together with the cached set-up of all tenants, as stages, services and edges use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clarion.errors import Unavailable
from clarion.flow.setup_view import SetupView
from clarion.ports.ledger import Store
from clarion.ports.terms import Subject


class Ledger:
    """The parts of one store. All but the set-up are the store's own: every call is a call of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.log = store.log
        self.partitions = store.partitions
        self.events = store.events
        self.continuations = store.continuations
        self.set_aside = store.set_aside
        self.users = store.users
        self.suppressions = store.suppressions
        self.consents = store.consents
        self.devices = store.devices
        self.endpoints = store.endpoints
        self.deliveries = store.deliveries
        self.topics = store.topics
        self.directory = store.directory
        self.audiences = store.audiences
        self.segments = store.segments
        self.setup = SetupView(store.setup)
        self.plans = store.plans
        self.runs = store.runs
        self.digests = store.digests
        self.campaigns = store.campaigns
        self.campaign_ranges = store.campaign_ranges
        self.leases = store.leases
        self.messages = store.messages
        self.spending = store.spending
        self.quotas = store.quotas
        self.number_ranges = store.number_ranges
        self.verifications = store.verifications
        self.receipts = store.receipts
        self.quarantine = store.quarantine
        self.inbound = store.inbound
        self.lives = store.lives
        self.schedules = store.schedules
        self.records = store.records
        self.journal = store.journal
        self.operations = store.operations
        self.steps = store.steps
        self.files = store.files
        self.withdrawals = store.withdrawals
        self.inboxes = store.inboxes
        self.captures = store.captures
        self.conversations = store.conversations
        self.readings = store.readings
        self.dead_records = store.dead_records
        self.claims = store.claims
        self.retention = store.retention

    async def tag(self, subject: Subject) -> str | None:
        """See `ports.ledger.Store.tag`."""
        return await self.store.tag(subject)

    async def health(self) -> str:
        """See `ports.ledger.Store.health`."""
        try:
            return await self.store.health()
        except Unavailable as fault:
            return fault.detail

    async def stats(self) -> Mapping[str, Any]:
        """See `ports.ledger.Store.stats`. Nothing while the store cannot be asked."""
        try:
            return await self.store.stats()
        except Unavailable:
            return {}

    async def close(self) -> None:
        """Close the store."""
        await self.store.close()
