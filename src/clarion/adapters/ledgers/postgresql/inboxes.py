"""The in-app inbox of a user: a stream of changes that keeps each item once, at its latest change.

Where the stream of a user ends is a row of `inbox_heads`, held from the first change of a transaction to its commit: so
offsets have no gaps, and none is seen before those in front of it. An item has the `offset` it came in at; that is null if
a newer one came in before it, so that offsets rise with ids. What changed later, or came in late, stands in `inbox_moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from clarion.adapters.ledgers.inbox_head import InboxHead
from clarion.adapters.ledgers.joined_ids import split_ids
from clarion.adapters.ledgers.postgresql import inbox_statements as sql
from clarion.adapters.ledgers.postgresql import journal, new_rows
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.postgresql.message_kinds import PostgresMessageKinds
from clarion.adapters.ledgers.postgresql.terminations import PostgresTerminations
from clarion.adapters.ledgers.row_mappers import item as item_of
from clarion.model.ids import BEHIND_ALL, Instant, MessageId, UserNo
from clarion.model.inbox import (
    InboxAction,
    InboxCard,
    InboxChange,
    InboxCounts,
    InboxItem,
    InboxReplacement,
)
from clarion.model.message import Change, Message
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.rules.exact import counts_from
from clarion.rules.inbox import SATISFIES, after_mark, replaced

_STATUS = tuple(Status)


class _Moved(NamedTuple):
    """An item as it was, and as it is."""

    old: InboxItem
    new: InboxItem


class PostgresInboxes:
    """Implements `ports.ledger.Inboxes`."""

    def __init__(
        self, database: Database, kinds: PostgresMessageKinds, terminations: PostgresTerminations
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._terminations = terminations

    async def page(
        self,
        user: UserNo,
        before: MessageId | None,
        limit: int,
        *,
        archived: bool = False,
        unread: bool = False,
    ) -> Sequence[InboxItem]:
        wanted = (user, archived, unread, BEHIND_ALL if before is None else before, limit)
        return await self._items(sql.PAGE, *wanted)

    async def since(self, user: UserNo, offset: int, limit: int) -> Sequence[InboxItem]:
        return await self._items(sql.SINCE, user, offset, limit)

    async def head(self, user: UserNo) -> tuple[int, InboxCounts]:
        row = await self._database.row(sql.HEADS, [user])
        head = InboxHead(*row[1:5]) if row else InboxHead()
        return head.offset, head.counts()

    async def unread(self, users: Sequence[UserNo]) -> Mapping[UserNo, int]:
        found = await self._database.rows(sql.HEADS, users)
        return dict.fromkeys(users, 0) | {row["user"]: row["unread"] for row in found}

    async def matching(
        self, user: UserNo, *, archived: bool = False, unread: bool = False
    ) -> Sequence[MessageId]:
        found = await self._database.rows(sql.MATCHING, user, archived, unread)
        return [MessageId(one) for (one,) in found]

    async def mark(
        self,
        user: UserNo,
        action: InboxAction,
        ids: Sequence[MessageId],
        at: Instant,
        *,
        recorded: bool = False,
    ) -> InboxChange | None:
        return await self._database.write(
            lambda connection: self._mark(connection, user, action, ids, at, recorded)
        )

    async def _items(self, statement: str, *values: Any) -> list[InboxItem]:
        async def read(connection: Connection) -> list[InboxItem]:
            return await self._read(connection, statement, *values)

        return await self._database.read(read)

    # -- inside a transaction ---------------------------------------------------------------------------------

    async def add(
        self,
        connection: Connection,
        batches: Sequence[Sequence[Settlement]],
        *,
        route: Callable[[Message], int] | None = None,
    ) -> list[tuple[InboxChange, ...]]:
        """Stores the inbox items and cards among the settlements' records; per batch what to fan out. `route`: the
        messages that become items are new, and have no row yet."""
        added = await self._add_items(connection, batches, route)
        return [
            (*items, *await self._put_cards(connection, batch))
            for items, batch in zip(added, batches, strict=True)
        ]

    async def replace(
        self, connection: Connection, replacements: Sequence[InboxReplacement], at: Instant
    ) -> list[InboxChange]:
        """Gives items other content, or withdraws them; what to fan out."""
        changes: list[InboxChange] = []
        if not replacements:
            return changes
        heads = await self._lock_heads(connection, {one.user for one in replacements})
        for one in replacements:
            for item in await self._named(connection, one.user, [one.message_id]):
                if not item.sealed or item.sealed == one.sealed:
                    continue
                moved = [_Moved(item, replaced(item, one.sealed, at))]
                changes.append(await self._move(connection, heads[one.user], moved))
                await connection.execute(sql.CONTENT_REPLACE, one.sealed, one.message_id)
                if not one.sealed:
                    await connection.execute(sql.CARDS_DROP, [one.user], [one.message_id])
        return changes

    async def drop(self, connection: Connection, items: Sequence[InboxItem]) -> None:
        """Take old items out. Counters stay exact, and no offset is given away twice."""
        heads = await self._lock_heads(connection, {item.user for item in items})
        for item in items:
            heads[item.user].count(item, -1)
        users, ids = [item.user for item in items], [item.message_id for item in items]
        await connection.execute(sql.MOVES_DROP, users, [item.offset for item in items])
        await connection.execute(sql.CARDS_DROP, users, ids)
        await connection.execute(sql.TAKE_OUT, users, ids)
        await connection.execute(sql.CONTENT_DROP, ids)
        await self._store_heads(connection, heads)

    async def _add_items(
        self,
        connection: Connection,
        batches: Sequence[Sequence[Settlement]],
        route: Callable[[Message], int] | None,
    ) -> Sequence[tuple[InboxChange, ...]]:
        found = [[s for s in batch if type(s.record) is InboxItem] for batch in batches]
        if not any(found):
            return [()] * len(batches)
        came = [s.record for batch in found for s in batch if type(s.record) is InboxItem]
        heads, newest = await self._extend(connection, came)
        rows: list[tuple[Any, ...]] = []
        contents: list[tuple[bytes, bytes]] = []
        late: list[tuple[UserNo, int, bytes]] = []
        changes = []
        for batch in found:
            by_user: dict[UserNo, list[InboxItem]] = {}
            for s in batch:
                item = s.record
                assert type(item) is InboxItem
                user, message_id, head = item.user, item.message_id, heads[item.user]
                head.count(item, 1)
                offset = head.next()
                rises = message_id > newest[user]
                if rises:
                    newest[user] = message_id
                else:
                    late.append((user, offset, message_id))
                places = (offset, None) if rises else (None, offset)
                counted_at = counts_from(s.status, s.outcome, s.at) if s.message.charged else None
                row = (user, message_id, item.at, *places, counted_at)
                rows.append(row if route is None else (*row, route(s.message)))
                contents.append((message_id, item.sealed))
                by_user.setdefault(user, []).append(replace(item, offset=offset))
            changes.append(tuple(heads[user].change(items) for user, items in by_user.items()))
        if route is None:
            await connection.execute(sql.ADD, *zip(*rows, strict=True))
        else:
            await new_rows.add(connection, "user_messages", sql.NEW_COLUMNS, rows)
        await new_rows.add(connection, "inbox_content", ("message_id", "sealed"), contents)
        if late:
            await connection.execute(sql.MOVES_ADD, *zip(*late, strict=True))
        return changes

    async def _extend(
        self, connection: Connection, items: Iterable[InboxItem]
    ) -> tuple[dict[UserNo, InboxHead], dict[UserNo, bytes]]:
        """Moves the heads behind these items. The heads as they were, and the newest item there was in order."""
        more: dict[UserNo, InboxHead] = {}
        newest: dict[UserNo, bytes] = {}
        for item in items:
            head = more.get(item.user) or more.setdefault(item.user, InboxHead())
            head.next()
            head.count(item, 1)
            newest[item.user] = max(newest.get(item.user, b""), item.message_id)
        users = sorted(more)
        grown = [more[user] for user in users]
        found = await connection.fetch(
            sql.EXTEND,
            users,
            [head.offset for head in grown],
            [head.unseen for head in grown],
            [head.unread for head in grown],
            [head.total for head in grown],
            [newest[user] for user in users],
        )
        heads: dict[UserNo, InboxHead] = {}
        for user, offset, unseen, unread, total, before in found:
            its = more[user]
            heads[user] = InboxHead(
                offset - its.offset, unseen - its.unseen, unread - its.unread, total - its.total
            )
            # Somebody else made the head meanwhile: nobody knows here what came in, so all of these are late.
            newest[user] = before or (b"" if offset == its.offset else BEHIND_ALL)
        return heads, newest

    async def _put_cards(self, connection: Connection, batch: Sequence[Settlement]) -> list[InboxChange]:
        """A card that is there is moved, with what it shows now; the others come in like any item."""
        changes: list[InboxChange] = []
        for s in batch:
            card = s.record
            if type(card) is not InboxCard:
                continue
            item = card.item
            heads = await self._lock_heads(connection, (item.user,))
            shown = await connection.fetchrow(sql.CARD, item.user, card.live)
            there = [] if shown is None else await self._named(connection, item.user, [shown[0]])
            older = shown is not None and card.sequence is not None and card.sequence <= shown[1]
            if there and older:
                continue
            if there:
                (old,) = there
                moved = [_Moved(old, replace(old, sealed=item.sealed))]
                changes.append(await self._move(connection, heads[item.user], moved))
                await connection.execute(sql.CONTENT_REPLACE, item.sealed, old.message_id)
            else:
                ((change,),) = await self._add_items(connection, [[replace(s, record=item)]], None)
                changes.append(change)
            shows = (there[0] if there else item).message_id
            await connection.execute(sql.CARD_PUT, item.user, card.live, shows, card.sequence or 0)
        return changes

    async def _lock_heads(self, connection: Connection, users: Iterable[UserNo]) -> dict[UserNo, InboxHead]:
        """The heads of these users, which nobody else moves until the transaction ends."""
        wanted = sorted(set(users))
        await connection.execute(sql.HEADS_NEW, wanted)
        return {user: InboxHead(*state) for user, *state in await connection.fetch(sql.HEADS_LOCKED, wanted)}

    async def _store_heads(self, connection: Connection, heads: Mapping[UserNo, InboxHead]) -> None:
        rows = [(user, head.offset, head.unseen, head.unread, head.total) for user, head in heads.items()]
        await connection.execute(sql.HEADS_ARE, *zip(*rows, strict=True))

    async def _named(self, connection: Connection, user: UserNo, ids: Sequence[bytes]) -> list[InboxItem]:
        return await self._read(connection, sql.NAMED, user, ids)

    async def _read(self, connection: Connection, statement: str, *values: Any) -> list[InboxItem]:
        found = await connection.fetch(statement, *values)
        await self._kinds.load(connection, {row["route"] for row in found})
        return [item_of(self._kinds, row) for row in found]

    async def _mark(
        self,
        connection: Connection,
        user: UserNo,
        action: InboxAction,
        ids: Sequence[MessageId],
        at: Instant,
        recorded: bool,
    ) -> InboxChange | None:
        heads = await self._lock_heads(connection, (user,))
        found = await self._named(connection, user, ids)
        moved = [_Moved(item, new) for item in found if (new := after_mark(action, item, at)) != item]
        if not moved:
            return None
        moves = await self._move(connection, heads[user], moved)
        marked = [item.message_id for item in moves.items]
        stamps = [(item.seen_at, item.read_at, item.archived_at) for item in moves.items]
        stamped = await connection.fetch(sql.MESSAGES_STAMP, marked, *zip(*stamps, strict=True))
        if recorded:
            said = [
                Change(
                    message_id=MessageId(message_id),
                    tenant=tenant,
                    at=at,
                    status=_STATUS[status],
                    reason=reason,  # as it is stored
                    outcome=action,
                )
                for message_id, tenant, status, reason, _ in stamped
            ]
            positions = await journal.add(connection, said, [before for *_, before in stamped])
            await connection.execute(sql.MARKS_RECORD, [change.message_id for change in said], positions)
        await self._satisfy(connection, action, marked, at)
        return moves

    async def _move(self, connection: Connection, head: InboxHead, moved: Sequence[_Moved]) -> InboxChange:
        """Items go to the end of their user's stream, whose head is locked."""
        items = [replace(new, offset=head.next()) for _, new in moved]
        for old, new in moved:
            head.count(old, -1)
            head.count(new, 1)
        user, ids = items[0].user, [item.message_id for item in items]
        users, offsets = [user] * len(items), [item.offset for item in items]
        stamps = [(item.seen_at, item.read_at, item.archived_at) for item in items]
        await connection.execute(sql.MARK, users, ids, offsets, *zip(*stamps, strict=True))
        await connection.execute(sql.MOVES_DROP, users, [old.offset for old, _ in moved])
        await connection.execute(sql.MOVES_ADD, users, offsets, ids)
        await self._store_heads(connection, {user: head})
        return head.change(items)

    async def _satisfy(
        self, connection: Connection, action: InboxAction, ids: Sequence[MessageId], at: Instant
    ) -> None:
        """Stop the rungs behind these items, and those of ladders beside which they went, that waited for this."""
        until = SATISFIES.get(action)
        if not until:
            return
        found = await connection.fetch(sql.LATER_RUNGS, ids)
        behind = [rung for (rungs,) in found for rung in split_ids(rungs)]
        if not behind:
            return
        satisfied = [MessageId(one) for (one,) in await connection.fetch(sql.RUNGS_UNTIL, behind, until)]
        why = (Status.CANCELED, Reason.LADDER_SATISFIED, at)
        await self._terminations.stop(connection, satisfied, *why, only=(Status.DEFERRED,))
