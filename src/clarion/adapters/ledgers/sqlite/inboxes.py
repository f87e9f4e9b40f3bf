"""The in-app inbox of a user: a stream of changes that keeps each item once, at its latest change."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.inbox_head import InboxHead
from clarion.adapters.ledgers.joined_ids import split_ids
from clarion.adapters.ledgers.sqlite import inbox_statements as sql
from clarion.adapters.ledgers.sqlite import journal
from clarion.adapters.ledgers.sqlite.files import one_moment, rows, write
from clarion.adapters.ledgers.sqlite.message_kinds import SqliteMessageKinds
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.recent_messages import RecentMessages
from clarion.adapters.ledgers.sqlite.row_encoding import encoded, keys, unhex
from clarion.adapters.ledgers.sqlite.row_mappers import item as item_of
from clarion.adapters.ledgers.sqlite.terminations import Terminations
from clarion.adapters.ledgers.sqlite.writer import Writer
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
HEADS_KEPT = 50_000
"""Users whose newest offset and counters the writer remembers."""


class _Head(InboxHead):
    """That of the writer's thread, the open transaction included."""

    __slots__ = ("newest",)

    def __init__(
        self,
        newest: str,
        offset: int | None,
        unseen: int | None,
        unread: int | None,
        total: int | None,
        moved_to: int | None,
        *counters: int,
    ) -> None:
        """From a row of `inbox_statements.INBOX_HEADS`."""
        self.newest = bytes.fromhex(newest)
        """The newest message that is in the inbox and came in before all newer ones."""
        last = max(offset or 0, moved_to or 0)
        super().__init__(last, *(counters if moved_to == last else (unseen or 0, unread or 0, total or 0)))

    def came(self, newest: str, offset: int, *counters: int) -> None:
        """From a row of `inbox_statements.RECENT_HEADS`."""
        self.newest = max(self.newest, bytes.fromhex(newest))
        if offset > self.offset:
            self.offset = offset
            self.unseen, self.unread, self.total = counters


class SqliteInboxes:
    """Implements `ports.ledger.Inboxes`."""

    def __init__(
        self,
        writer: Writer,
        local: sqlite3.Connection,
        readers: Readers,
        routes: SqliteMessageKinds,
        terminations: Terminations,
        recent: RecentMessages,
    ) -> None:
        self._writer = writer
        self._local = local
        self._readers = readers
        self._routes = routes
        self._terminations = terminations
        self._recent = recent
        self._heads: OrderedDict[UserNo, _Head] = OrderedDict()
        writer.on_rollback(self._heads.clear)

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
        found = await self._readers.call(
            lambda connection: rows(
                connection, sql.INBOX_PAGE, (*wanted, *self._recent.of(connection, (user,)))
            )
        )
        return [item_of(self._routes, row) for row in found]

    async def unread(self, users: Sequence[UserNo]) -> Mapping[UserNo, int]:
        found = await self._readers.rows(sql.INBOX_HEADS, (encoded(list(users)),))
        return {user: _Head(*state).unread for user, *state in found}

    async def matching(
        self, user: UserNo, *, archived: bool = False, unread: bool = False
    ) -> Sequence[MessageId]:
        found = await self._readers.call(
            lambda connection: rows(
                connection,
                sql.INBOX_MATCHING,
                (user, archived, unread, *self._recent.of(connection, (user,))),
            )
        )
        return [MessageId(bytes.fromhex(one)) for (one,) in found]

    async def since(self, user: UserNo, offset: int, limit: int) -> Sequence[InboxItem]:
        with one_moment(self._local):
            recent = self._recent.of(self._local, (user,))
            found = rows(self._local, sql.INBOX_SINCE, (user, offset, limit, *recent))
        return [item_of(self._routes, row) for row in found]

    async def head(self, user: UserNo) -> tuple[int, InboxCounts]:
        with one_moment(self._local):
            head = self._read_heads(self._local, (user,))[user]
        return head.offset, head.counts()

    async def mark(
        self,
        user: UserNo,
        action: InboxAction,
        ids: Sequence[MessageId],
        at: Instant,
        *,
        recorded: bool = False,
    ) -> InboxChange | None:
        return await self._writer.call(
            lambda connection: self._mark(connection, user, action, ids, at, recorded), rows=max(1, len(ids))
        )

    # -- in the writer's thread -------------------------------------------------------------------------------

    def add(
        self,
        connection: sqlite3.Connection,
        batches: Sequence[Sequence[Settlement]],
        *,
        route: Callable[[Message], int] | None = None,
    ) -> list[tuple[InboxChange, ...]]:
        """Stores the inbox items and cards among the settlements' records; per batch what to fan out. `route`: the
        messages that become items are new, and have no row yet."""
        return [
            (*items, *self._put_cards(connection, batch))
            for items, batch in zip(self._add_items(connection, batches, route), batches, strict=True)
        ]

    def _add_items(
        self,
        connection: sqlite3.Connection,
        batches: Sequence[Sequence[Settlement]],
        route: Callable[[Message], int] | None,
    ) -> Sequence[tuple[InboxChange, ...]]:
        found = [[s for s in batch if type(s.record) is InboxItem] for batch in batches]
        if not any(found):
            return [()] * len(batches)
        self._load_heads(connection, {s.message.user for batch in found for s in batch})
        heads = self._heads
        stored: list[tuple[Any, ...]] = []
        contents: list[tuple[bytes, bytes]] = []
        late: list[tuple[bytes, tuple[int, ...]]] = []
        changes = []
        for batch in found:
            by_user: dict[UserNo, list[InboxItem]] = {}
            for s in batch:
                item = s.record
                assert type(item) is InboxItem
                head = heads[item.user]
                head.count(item, 1)
                offset = head.next()
                counters = head.counters()
                rises = item.message_id > head.newest
                if rises:
                    head.newest = item.message_id
                else:
                    late.append((item.message_id, (item.user, offset, *counters)))
                row = (
                    item.message_id,
                    item.user,
                    item.at,
                    offset if rises else None,
                    None if rises else offset,
                    *counters,
                    counts_from(s.status, s.outcome, s.at) if s.message.charged else None,
                )
                stored.append(row if route is None else (*row, route(s.message)))
                contents.append((item.message_id, item.sealed))
                by_user.setdefault(item.user, []).append(replace(item, offset=offset))
            changes.append(tuple(heads[user].change(items) for user, items in by_user.items()))
        if route is None:
            for statement in sql.INBOX_ADD:
                write(connection, statement, stored)
        else:
            self._recent.add(connection, sql.INBOX_ADD_NEW, stored)
        write(connection, sql.INBOX_CONTENT_ADD, contents)
        if late:
            moves = encoded([row for _, row in late]), b"".join([message_id for message_id, _ in late])
            connection.execute(sql.INBOX_MOVES_ADD, moves)
        return changes

    def _put_cards(self, connection: sqlite3.Connection, batch: Sequence[Settlement]) -> list[InboxChange]:
        """A card that is there is moved, with what it shows now; the others come in like any item."""
        changes: list[InboxChange] = []
        for s in batch:
            card = s.record
            if type(card) is not InboxCard:
                continue
            item = card.item
            place = item.user, card.live
            shown, sequence = connection.execute(sql.CARD, place).fetchone() or ("", -1)
            there = self._named(connection, item.user, [bytes.fromhex(shown)] if shown else [])
            if there and card.sequence is not None and card.sequence <= sequence:
                continue
            if there:
                (old,) = there
                new = replace(old, sealed=item.sealed)
                self._load_heads(connection, (item.user,))
                changes.append(self._moved(connection, item.user, [(old, new)]))
                connection.execute(sql.INBOX_CONTENT_REPLACE, (item.sealed, old.message_id))
            else:
                ((change,),) = self._add_items(connection, [[replace(s, record=item)]], None)
                changes.append(change)
            connection.execute(
                sql.CARD_PUT, (*place, (there[0] if there else item).message_id, card.sequence or 0)
            )
        return changes

    def replace(
        self, connection: sqlite3.Connection, replacements: Sequence[InboxReplacement], at: Instant
    ) -> list[InboxChange]:
        """Gives items other content, or withdraws them; what to fan out."""
        changes: list[InboxChange] = []
        for one in replacements:
            for item in self._named(connection, one.user, [one.message_id]):
                if not item.sealed or item.sealed == one.sealed:
                    continue
                self._load_heads(connection, (one.user,))
                changes.append(self._moved(connection, one.user, [(item, replaced(item, one.sealed, at))]))
                connection.execute(sql.INBOX_CONTENT_REPLACE, (one.sealed, one.message_id))
                if not one.sealed:
                    connection.execute(sql.CARDS_DROP, (one.user, one.message_id))
        return changes

    def drop(self, connection: sqlite3.Connection, items: Sequence[InboxItem]) -> None:
        """Take old items out. Counters stay exact and no offset is given away twice: where the newest change of a user
        goes, a move without an item stands for it."""
        by_user: dict[UserNo, list[InboxItem]] = {}
        for item in items:
            by_user.setdefault(item.user, []).append(item)
        self._load_heads(connection, by_user)
        self._recent.bring_all(connection, by_user)
        for user, its in by_user.items():
            head = self._heads[user]
            for item in its:
                head.count(item, -1)
            place = (user, head.offset)
            connection.executemany(sql.INBOX_UNMOVE, [(user, item.offset) for item in its])
            connection.executemany(sql.CARDS_DROP, [(user, item.message_id) for item in its])
            connection.executemany(sql.INBOX_TAKE_OUT, [(user, item.message_id) for item in its])
            connection.executemany(sql.INBOX_CONTENT_DROP, [(item.message_id,) for item in its])
            counters = head.counters()
            if not any(
                connection.execute(statement, (*counters, *place)).rowcount for statement in sql.INBOX_RECOUNT
            ):
                connection.execute(sql.INBOX_STANDS, (*place, its[-1].message_id, *counters))
            connection.execute(sql.INBOX_STOOD, place)
            del self._heads[user]

    def forget(self, user: UserNo) -> None:
        """The user is gone."""
        self._heads.pop(user, None)

    def _load_heads(self, connection: sqlite3.Connection, users: Iterable[UserNo]) -> None:
        wanted = list(users)
        for user in wanted:
            if user in self._heads:
                self._heads.move_to_end(user)
        unknown = [user for user in wanted if user not in self._heads]
        if unknown:
            self._heads.update(self._read_heads(connection, unknown))
        while len(self._heads) > max(HEADS_KEPT, len(wanted)):
            self._heads.popitem(last=False)

    def _named(
        self, connection: sqlite3.Connection, user: UserNo, ids: Sequence[bytes]
    ) -> Sequence[InboxItem]:
        """Items of the user, to be changed."""
        self._recent.bring(connection, ids)
        found = rows(connection, sql.INBOX_NAMED, (*keys(ids), user))
        return [item_of(self._routes, row) for row in found]

    def _read_heads(self, connection: sqlite3.Connection, users: Sequence[UserNo]) -> Mapping[UserNo, _Head]:
        recent = self._recent.of(connection, users)
        found = {
            UserNo(user): _Head(*state)
            for user, *state in rows(connection, sql.INBOX_HEADS, (encoded(users),))
        }
        for user, *state in rows(connection, sql.RECENT_HEADS, recent) if recent[1] else ():
            found[user].came(*state)
        return found

    def _mark(
        self,
        connection: sqlite3.Connection,
        user: UserNo,
        action: InboxAction,
        ids: Sequence[MessageId],
        at: Instant,
        recorded: bool,
    ) -> InboxChange | None:
        found = self._named(connection, user, ids)
        moved = [(item, new) for item in found if (new := after_mark(action, item, at)) != item]
        if not moved:
            return None
        self._load_heads(connection, (user,))
        moves = self._moved(connection, user, moved)
        marked = [item.message_id for item in moves.items]
        connection.execute(
            sql.MESSAGES_STAMP,
            (
                encoded([(0, 0, item.seen_at, item.read_at, item.archived_at) for item in moves.items]),
                b"".join(marked),
            ),
        )
        if recorded:
            self._record(connection, action, marked, at)
        self._satisfy(connection, action, marked, at)
        return moves

    def _record(
        self, connection: sqlite3.Connection, action: InboxAction, ids: Sequence[MessageId], at: Instant
    ) -> None:
        """In the timelines of these messages, as far as they are still kept."""
        found = rows(connection, sql.MARKED, keys(ids))
        said = [
            Change(
                message_id=MessageId(bytes.fromhex(message_id)),
                tenant=tenant,
                at=at,
                status=_STATUS[status],
                reason=reason,  # as it is stored
                outcome=action,
            )
            for message_id, tenant, status, reason, _ in found
        ]
        positions = journal.add(connection, said, [before for *_, before in found])
        newest = encoded([(position,) for position in positions])
        connection.execute(sql.MARKS_RECORD, (newest, b"".join([change.message_id for change in said])))

    def _moved(
        self, connection: sqlite3.Connection, user: UserNo, moved: Sequence[tuple[InboxItem, InboxItem]]
    ) -> InboxChange:
        """Items as they were and are; they go to the end of their user's stream, whose head is loaded."""
        head = self._heads[user]
        items = [replace(new, offset=head.next()) for _, new in moved]
        for old, new in moved:
            head.count(old, -1)
            head.count(new, 1)
        joined = b"".join([item.message_id for item in items])
        packed = encoded(
            [
                (old.offset, item.offset, item.seen_at, item.read_at, item.archived_at)
                for (old, _), item in zip(moved, items, strict=True)
            ]
        )
        connection.execute(sql.INBOX_MARK, (packed, joined, user))
        connection.execute(sql.INBOX_MOVES_DROP, (packed, user))
        counters = head.counters()
        connection.execute(
            sql.INBOX_MOVES_ADD, (encoded([(user, item.offset, *counters) for item in items]), joined)
        )
        return head.change(items)

    def _satisfy(
        self, connection: sqlite3.Connection, action: InboxAction, ids: Sequence[MessageId], at: Instant
    ) -> None:
        """Stop the rungs behind these items, and those of ladders beside which they went, that waited for this."""
        until = SATISFIES.get(action)
        if not until:
            return
        behind = [
            rung
            for (rungs,) in rows(connection, sql.LATER_RUNGS, keys(ids))
            for rung in split_ids(unhex(rungs))
        ]
        if not behind:
            return
        satisfied = [
            MessageId(bytes.fromhex(rung))
            for rung, route in rows(connection, sql.ROUTES_OF, keys(behind))
            if self._routes[route].until in until
        ]
        self._terminations.stop(
            connection, satisfied, Status.CANCELED, Reason.LADDER_SATISFIED, at, only=(Status.DEFERRED,)
        )
