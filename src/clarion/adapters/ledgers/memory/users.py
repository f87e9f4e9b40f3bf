"""Users. Deleting one destroys the user's key, so that data encrypted with it can no longer be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory import segments
from clarion.adapters.ledgers.memory.consents import add
from clarion.adapters.ledgers.memory.journal import record
from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.runs import MemoryRuns
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.user_sealing import UserSealing
from clarion.errors import Conflict
from clarion.model.channel import Channel
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo
from clarion.model.status import ACTIVE, Reason, Status
from clarion.model.user import RESERVED, Profile, User, UserPut, UserSeen
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault, contact_hash
from clarion.rules.exact import added, rezoned, user_changes

KEY_BYTES = 32


class MemoryUsers:
    """Implements `ports.ledger.Users`."""

    def __init__(
        self,
        tables: Tables,
        transactions: Transactions,
        rows: MessageRows,
        runs: MemoryRuns,
        vault: Vault,
        clock: Clock,
        random: Random,
    ) -> None:
        self._tables = tables
        self._transactions = transactions
        self._rows = rows
        self._runs = runs
        self._vault = vault
        self._sealing = UserSealing(vault, random)
        self._clock = clock
        self._random = random

    async def find(self, tenant: TenantId, ids: Sequence[str]) -> Mapping[str, User]:
        return {user_id: user for user_id in ids if (user := self._named(tenant, user_id)) is not None}

    async def get(self, numbers: Sequence[UserNo]) -> Mapping[UserNo, User]:
        return {no: self._tables.users[no] for no in numbers if no in self._tables.users}

    async def changed(self, seen: Sequence[UserSeen]) -> Mapping[UserNo, User | None]:
        now = [(before, self._tables.users.get(before.no)) for before in seen]
        return {before.no: user for before, user in now if user is None or user.seen != before}

    async def put(self, tenant: TenantId, users: Sequence[UserPut]) -> Sequence[User]:
        return await self._transactions.write(lambda: self.written(tenant, users))

    async def delete(self, tenant: TenantId, user_id: str) -> bool:
        def delete() -> bool:
            user = self._named(tenant, user_id)
            if user is not None:
                self._erase(user)
            return user is not None

        return await self._transactions.write(delete)

    async def page(
        self, tenant: TenantId, before: UserNo | None, limit: int, *, reserved: bool = False
    ) -> Sequence[User]:
        found = [
            user
            for no, user in self._tables.users.items()
            if user.tenant == tenant
            and (before is None or no < before)
            and (reserved or not user.id.startswith(RESERVED))
        ]
        return sorted(found, key=lambda user: -user.no)[:limit]

    def _named(self, tenant: TenantId, user_id: str) -> User | None:
        no = self._tables.user_numbers.get((tenant, user_id))
        return None if no is None else self._tables.users[no]

    # -- inside a transaction ---------------------------------------------------------------------------------

    def written(self, tenant: TenantId, users: Sequence[UserPut]) -> list[User]:
        """See `put`."""
        for one in users:
            self._require(tenant, one)
        for one in users:
            self._put(tenant, one)
        return [self._tables.users[self._tables.user_numbers[tenant, one.id]] for one in users]

    def _require(self, tenant: TenantId, put: UserPut) -> None:
        user = self._named(tenant, put.id)
        found = 0 if user is None else user.revision
        if put.revision is not None and put.revision != found:
            raise Conflict(
                f"the user was changed meanwhile: expected revision {put.revision}, found {found}; "
                "read it again and repeat the change"
            )

    def _put(self, tenant: TenantId, put: UserPut) -> None:
        now = self._clock.now()
        user = self._named(tenant, put.id) or self._new(tenant, put.id, now)
        profile = user.profile if put.profile is None else self._hashed(user, put.profile)
        states, records = added(profile.consents, put.consents)
        profile = replace(profile, consents=states)
        add(self._tables, self._sealing.consents(user, records))
        if profile != user.profile or not user.revision:
            store(self._tables, user, profile, now)
        for no in rezoned([(user, replace(user, profile=profile))]):
            self._runs.look_again(no, now)

    def _new(self, tenant: TenantId, user_id: str, now: Instant) -> User:
        user = User(
            no=UserNo(self._tables.next("users")),
            tenant=tenant,
            id=user_id,
            key=self._random.bytes(KEY_BYTES),
            profile=Profile(),
            inbox_epoch=self._random.bytes(8).hex(),
            created_at=now,
        )
        self._tables.user_numbers[tenant, user_id] = user.no
        return user

    def _hashed(self, user: User, profile: Profile) -> Profile:
        contacts = tuple(
            replace(one, hash=contact_hash(self._vault, user.tenant, one.channel, one.address))
            for one in profile.contacts
        )
        kept = user.profile
        fixed = {"endpoints": kept.endpoints, "devices": kept.devices, "consents": kept.consents}
        return replace(profile, contacts=contacts, **fixed)

    def _erase(self, user: User) -> None:
        tables, no = self._tables, user.no
        going = [m.id for m in tables.messages.values() if m.user == no]
        why = (Status.SUPPRESSED, Reason.USER_DELETED, self._clock.now())
        self._rows.stop(going, *why, only=ACTIVE)
        record(tables, self._sealing.erased(user.tenant, no, user.id, self._clock.now()))
        del tables.users[no]
        del tables.user_numbers[user.tenant, user.id]
        tables.open_attributes.pop(no, None)
        tables.segment_looks.pop(no, None)
        for place, members in list(tables.segment_members.items()):
            tables.segment_members[place] = members - {no}
        tables.inboxes.pop(no, None)
        tables.offsets.pop(no, None)
        for card in [card for card in tables.cards if card[0] == no]:
            del tables.cards[card]
        for place, members in list(tables.subscriptions.items()):
            tables.subscriptions[place] = members - {no}
        self._runs.end_of_user(no, self._clock.now())
        for table in (tables.captures, tables.deliveries):
            for seq in [seq for seq, row in table.items() if row.user == no]:
                del table[seq]
        mine = {(user.tenant, one.hash) for one in user.profile.contacts}
        for message_id in [one.message_id for one in tables.withdrawals.values() if one.user == no]:
            del tables.withdrawals[message_id]
        for seq, row in list(tables.inbound.items()):
            if row.user == no or (row.user == NO_USER and (row.tenant, row.sender) in mine):
                del tables.inbound[seq]
        for endpoint in [place for place, row in tables.endpoints.items() if row.user == no]:
            del tables.endpoints[endpoint]
        for device in [place for place, row in tables.devices.items() if row.user == no]:
            del tables.devices[device]
        for code in [place for place, row in tables.verifications.items() if row.user == no]:
            del tables.verifications[code]


def store(tables: Tables, user: User, profile: Profile, now: Instant) -> None:
    """The user with another profile."""
    changed = replace(user, profile=profile, revision=user.revision + 1, updated_at=now)
    tables.users[user.no] = with_suppressions(tables, changed)
    segments.reopen_user(tables, changed)
    segments.changed(tables, user.tenant, [user.no])
    record(tables, user_changes(user if user.revision else None, changed, now))


def with_suppressions(tables: Tables, user: User) -> User:
    """The user with what must not be used of their addresses; the same object if that is no news."""
    suppressed = frozenset(
        hash_
        for channel, hash_ in user.profile.addresses()
        if (user.tenant, channel, hash_) in tables.suppressions
    )
    return user if suppressed == user.suppressed else replace(user, suppressed=suppressed)


def owners(tables: Tables, tenant: TenantId, channel: Channel, hash_: bytes) -> list[User]:
    """Everybody who has an address, by number."""
    found = [
        user
        for user in tables.users.values()
        if user.tenant == tenant and (channel, hash_) in user.profile.addresses()
    ]
    return sorted(found, key=lambda user: user.no)
