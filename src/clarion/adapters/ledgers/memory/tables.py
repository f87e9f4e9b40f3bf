"""The tables of the ledger in memory: dicts of immutable values that can be rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, TypeVar

import msgspec

from clarion.adapters.ledgers.refresh_rows import RefreshRow
from clarion.model.campaign import CampaignRange, CampaignRow
from clarion.model.channel import Channel, Lane
from clarion.model.consent import Consent, ConsentId
from clarion.model.device import DeviceState
from clarion.model.digest import DigestRow, StoredItem
from clarion.model.endpoint import Delivery
from clarion.model.event import Continuation, Entry, EventKey, IdempotencyRecord, Position, SetAside
from clarion.model.ids import EventId, Instant, MessageId, RunId, TenantId, UserNo, WorkerId
from clarion.model.inbound import ReceivedMessage
from clarion.model.inbox import Captured, InboxItem
from clarion.model.live import LiveRow
from clarion.model.message import Change, Message, Run
from clarion.model.operation import Operation, OperationError, OperationId
from clarion.model.quarantine import Quarantined
from clarion.model.quota import QuotaState
from clarion.model.reading import DeadRecord, Reading, ReadingPlace
from clarion.model.run import EventWait, RunRow, Signal, Wake
from clarion.model.schedule import ScheduleRow
from clarion.model.setup import ApiKey, Tenant
from clarion.model.spending import Charge, NumberRange, Spent
from clarion.model.suppression import Suppression
from clarion.model.user import User
from clarion.model.user_change import UserChange
from clarion.model.verification import Verification, VerificationId
from clarion.model.withdrawal import Withdrawal
from clarion.model.worker import Process
from clarion.rules.exact import DedupeHolder

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Any = object()


class Table(MutableMapping[K, V], Generic[K, V]):
    """A dict that notes what every change replaced."""

    def __init__(self, undo: list[Callable[[], None]]) -> None:
        self._rows: dict[K, V] = {}
        self._undo = undo

    def __getitem__(self, key: K) -> V:
        return self._rows[key]

    def __setitem__(self, key: K, value: V) -> None:
        self._note(key)
        self._rows[key] = value

    def __delitem__(self, key: K) -> None:
        self._note(key)
        del self._rows[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def _note(self, key: K) -> None:
        before = self._rows.get(key, _ABSENT)
        self._undo.append(lambda: self._put_back(key, before))

    def _put_back(self, key: K, before: V) -> None:
        if before is _ABSENT:
            self._rows.pop(key, None)
        else:
            self._rows[key] = before


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """How a webhook endpoint is doing; what it is lies in its user's profile."""

    user: UserNo
    failing_since: Instant | None = None
    announced: bool = False
    """It was switched off, and nobody has to be told again."""


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds messages; gone when it is dead and holds nothing any more."""

    process: Process
    started_at: Instant
    lease_until: Instant
    held: int = 0
    draining: bool = False
    reaped: bool = False


class CallUnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a provider that cannot deduplicate; gone when none of its messages is in it any more."""

    worker: WorkerId
    integration: str
    since: Instant
    begun: Mapping[MessageId, int]
    """Its messages, and the numbers of the changes that they are called."""


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message or a line that an operation could not do."""

    error: OperationError
    again: bool = False
    """It is to be tried again."""


class Tables:
    """What is stored. Several ledgers may share it, as processes share the server behind a network."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self.numbers: Table[str, int] = self._table()
        """The last number given away, by what it numbers."""
        self.log: Table[tuple[Lane, int], Entry] = self._table()
        self.positions: Table[Lane, int] = self._table()
        self.ahead: Table[tuple[Lane, int], bool] = self._table()
        """What is planned behind the position of its lane."""
        self.planners: Table[Lane, WorkerId] = self._table()
        """Who plans a lane."""
        self.partitions: Table[str, Position] = self._table()
        self.claims: Table[tuple[TenantId, bytes], IdempotencyRecord] = self._table()
        self.reserved: Table[tuple[TenantId, bytes], int] = self._table()
        """The reservation of a claim."""
        self.reservations: Table[int, Instant] = self._table()
        """When those end whose claims are not confirmed."""
        self.continuations: Table[EventKey, Continuation] = self._table()
        self.continuing: Table[EventKey, WorkerId] = self._table()
        """Who holds one."""
        self.canceled: Table[EventId, Instant] = self._table()
        self.set_aside: Table[int, SetAside] = self._table()
        self.users: Table[UserNo, User] = self._table()
        self.user_numbers: Table[tuple[TenantId, str], UserNo] = self._table()
        self.suppressions: Table[tuple[TenantId, Channel, bytes], Suppression] = self._table()
        self.consents: Table[ConsentId, Consent] = self._table()
        self.devices: Table[tuple[TenantId, str], DeviceState] = self._table()
        self.endpoints: Table[tuple[TenantId, bytes], EndpointRow] = self._table()
        self.deliveries: Table[int, Delivery] = self._table()
        self.topics: Table[tuple[TenantId, str], str] = self._table()
        """Their names."""
        self.open_attributes: Table[UserNo, Mapping[str, Any]] = self._table()
        self.segment_members: Table[tuple[TenantId, str], frozenset[UserNo]] = self._table()
        self.segment_changes: Table[int, tuple[TenantId, UserNo]] = self._table()
        """Users who were changed since the segments were brought up to date."""
        self.segment_looks: Table[UserNo, tuple[TenantId, Instant]] = self._table()
        """When time alone may change which segments a user belongs to."""
        self.refreshes: Table[tuple[TenantId, str], RefreshRow] = self._table()
        """How far all users were gone through for a segment, or to open attributes."""
        self.subscriptions: Table[tuple[TenantId, str], frozenset[UserNo]] = self._table()
        self.tenants: Table[str, Mapping[TenantId, Tenant]] = self._table()
        """All of them under one name, so that nobody who walks them is disturbed."""
        self.documents: Table[tuple[str, TenantId], Mapping[str, Any]] = self._table()
        """The live documents of a kind and tenant."""
        self.versions: Table[tuple[str, TenantId, str], tuple[Any, ...]] = self._table()
        """Every version of a document that was ever live, oldest first."""
        self.keys: Table[tuple[TenantId, str], ApiKey] = self._table()
        self.runs: Table[RunId, Run] = self._table()
        self.run_rows: Table[RunId, RunRow] = self._table()
        self.waits: Table[tuple[RunId, bytes], EventWait] = self._table()
        """What runs listen for."""
        self.signals: Table[tuple[bytes, EventId], Signal] = self._table()
        self.wakes: Table[tuple[RunId, bytes, EventId], Wake] = self._table()
        """Signals that runs have not looked at yet."""
        self.throttle_uses: Table[tuple[bytes, RunId, int], Instant] = self._table()
        """Until when runs count that throttles let through, by slot, run and part."""
        self.run_holders: Table[RunId, WorkerId] = self._table()
        """Who holds a run that is due."""
        self.digests: Table[EventId, DigestRow] = self._table()
        self.digest_items: Table[RunId, StoredItem] = self._table()
        self.messages: Table[MessageId, Message] = self._table()
        self.due: Table[MessageId, Instant] = self._table()
        """Messages with a due time."""
        self.workers: Table[WorkerId, WorkerRow] = self._table()
        self.holders: Table[MessageId, WorkerId] = self._table()
        """Who holds a message."""
        self.calls: Table[int, CallUnderWay] = self._table()
        self.waiters: Table[MessageId, MessageId] = self._table()
        """The message that one waits for."""
        self.counted: Table[UserNo, Mapping[MessageId, Instant]] = self._table()
        """When frequency caps count the messages of a user."""
        self.dedupes: Table[bytes, DedupeHolder] = self._table()
        self.collapses: Table[bytes, MessageId] = self._table()
        self.threads: Table[bytes, MessageId] = self._table()
        self.charges: Table[tuple[MessageId, int], Charge] = self._table()
        """The calls that are paid for."""
        self.spending: Table[tuple[TenantId, str, str, str, str, str], Spent] = self._table()
        """The sums of all charges, by what is added up together."""
        self.quotas: Table[tuple[TenantId, str], QuotaState] = self._table()
        self.number_ranges: Table[tuple[TenantId, str], NumberRange] = self._table()
        """By what their numbers begin with."""
        self.verifications: Table[VerificationId, Verification] = self._table()
        self.changes: Table[int, Change] = self._table()
        self.user_changes: Table[int, UserChange] = self._table()
        self.timelines: Table[MessageId, tuple[int, ...]] = self._table()
        """The numbers of a message's changes."""
        self.inboxes: Table[UserNo, Mapping[MessageId, InboxItem]] = self._table()
        self.totals: Table[tuple[Any, ...], int] = self._table()
        """How many messages that are no longer kept ended how."""
        self.offsets: Table[UserNo, int] = self._table()
        """The newest offset of an inbox."""
        self.cards: Table[tuple[UserNo, bytes], tuple[MessageId, int]] = self._table()
        """The inbox item that shows a live resource, and the sequence of what it shows."""
        self.lives: Table[tuple[TenantId, str], LiveRow] = self._table()
        self.campaigns: Table[bytes, CampaignRow] = self._table()
        self.campaign_holders: Table[bytes, WorkerId] = self._table()
        """Who plans the members of a campaign."""
        self.campaign_ranges: Table[tuple[bytes, UserNo], CampaignRange] = self._table()
        self.range_ranks: Table[tuple[bytes, UserNo], int] = self._table()
        """Members of a range who were planned."""
        self.range_holders: Table[tuple[bytes, UserNo], WorkerId] = self._table()
        self.schedules: Table[tuple[TenantId, str], ScheduleRow] = self._table()
        self.captures: Table[int, Captured] = self._table()
        self.inbound: Table[int, ReceivedMessage] = self._table()
        self.withdrawals: Table[MessageId, Withdrawal] = self._table()
        self.conversations: Table[tuple[TenantId, str, bytes], Instant] = self._table()
        self.quarantine: Table[int, Quarantined] = self._table()
        self.readings: Table[ReadingPlace, Mapping[str, Reading]] = self._table()
        """Who reads a source or a sink."""
        self.dead_records: Table[int, DeadRecord] = self._table()
        self.operations: Table[OperationId, Operation] = self._table()
        self.errors: Table[OperationId, Mapping[int, ErrorRow]] = self._table()
        self.pieces: Table[tuple[OperationId, int], tuple[bytes, int]] = self._table()
        """What files of operations hold, by where it begins, with its size."""

    def next(self, name: str) -> int:
        """The next number of its kind."""
        self.numbers[name] = number = self.numbers.get(name, 0) + 1
        return number

    def end_leases(self) -> None:
        """Of all workers."""
        for worker, row in list(self.workers.items()):
            self.workers[worker] = msgspec.structs.replace(row, lease_until=Instant(0))
        self.keep()

    def keep(self) -> None:
        """What was changed stays."""
        self._undo.clear()

    def roll_back(self) -> None:
        """Everything is as it was when something was kept last."""
        while self._undo:
            self._undo.pop()()

    def _table(self) -> Table[Any, Any]:
        return Table(self._undo)


def having(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    """The mapping with this in it."""
    return {**mapping, key: value}


def lacking(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    """The mapping without it."""
    return {k: v for k, v in mapping.items() if k != key}
