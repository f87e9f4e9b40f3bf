"""The list of messages: cards and rows, first load and updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from clarion.dashboard.captures import KIND_OF, KINDS, card
from clarion.dashboard.dependencies import DashboardParts
from clarion.dashboard.labels import because, status_name, tone, workflow_name
from clarion.dashboard.pages import render
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.dashboard.user_list import NOBODY, Person, people, person
from clarion.errors import SealBroken
from clarion.model.content import AnyContent, EmailContent, VoiceContent
from clarion.model.ids import Instant, MessageId, TenantId, UserNo, id_text
from clarion.model.inbox import Captured, CaptureFilter
from clarion.model.message import Message, MessageFilter
from clarion.model.user import User

SHOWN = 30
"""Rows and cards of a first load."""
FOLLOWED = 100
"""Most changes shown at once; a page that fell further behind skips to the newest."""


class Caught(msgspec.Struct, frozen=True):
    """What a capture integration sealed."""

    to: str | None
    content: AnyContent


_caught = msgspec.json.Decoder(Caught)


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One capture, ready for the template of its kind."""

    kind: str
    values: Mapping[str, Any]


class Board:
    """Reads for one tenant."""

    def __init__(self, parts: DashboardParts, tenant: TenantId) -> None:
        self._parts = parts
        self._tenant = tenant

    async def first(self) -> dict[str, Any]:
        """Everything the page shows when it is opened."""
        ledger = self._parts.ledger
        newest = await ledger.records.tail(self._tenant, -1, 1)
        messages, _ = await ledger.records.page(self._tenant, MessageFilter(), None, SHOWN)
        captured = await ledger.captures.page(self._tenant, CaptureFilter(), None, SHOWN)
        cards = await self._cards(captured)
        shown: dict[str, list[dict[str, Any]]] = {kind.name: [] for kind in KINDS}
        for one in cards:
            shown[one.kind].append({**one.values, "open": not shown[one.kind]})
        columns: list[list[dict[str, Any]]] = [[], [], []]
        for kind in KINDS:
            columns[kind.column].append({**kind._asdict(), "cards": shown[kind.name]})
        return {
            "seq": newest[-1].seq if newest else 0,
            "activity": await self.rows(messages),
            "columns": columns,
        }

    async def since(self, after: int) -> tuple[int, bytes] | None:
        """What changed behind `after` as one fragment, oldest first, and where to go on; None when nothing did."""
        records = self._parts.ledger.records
        changes = await records.tail(self._tenant, after, FOLLOWED)
        if len(changes) == FOLLOWED:
            changes = await records.tail(self._tenant, -1, FOLLOWED)
        if not changes:
            return None
        ids = list(dict.fromkeys(change.message_id for change in changes))
        messages = [m for m in [await records.get(self._tenant, i) for i in ids] if m is not None]
        rows = [render("activity.html", row=row) for row in await self.rows(messages)]
        tried = dict.fromkeys(change.message_id for change in changes if change.outcome is not None)
        cards = await self._cards([c for i in tried for c in await self._captures(i)])
        last = max((at for at, one in enumerate(cards) if one.kind == "email"), default=-1)
        html = [
            render(f"{one.kind}.html", card={**one.values, "open": at == last})
            for at, one in enumerate(cards)
        ]
        return changes[-1].seq, b"".join(html + rows)

    async def email(self, message_id: MessageId) -> EmailContent | None:
        """The newest captured email of a message."""
        found = await self._newest(message_id)
        return found[0] if found is not None and isinstance(found[0], EmailContent) else None

    async def call(self, message_id: MessageId) -> tuple[VoiceContent, Person] | None:
        """The newest captured call of a message, and who is called."""
        found = await self._newest(message_id)
        return (found[0], found[1]) if found is not None and isinstance(found[0], VoiceContent) else None

    async def _newest(self, message_id: MessageId) -> tuple[AnyContent, Person] | None:
        for captured in reversed(await self._captures(message_id)):
            user = await self._user(captured.user)
            opened = self.opened(captured, user)
            if user is not None and opened is not None:
                return opened.content, person(user)
        return None

    def opened(self, captured: Captured, user: User | None) -> Caught | None:
        """What was captured; None when its person was deleted and nobody can read it any more."""
        if user is None:
            return None
        try:
            return _caught.decode(self._parts.vault.open(user.key, captured.sealed))
        except SealBroken:
            return None

    async def _captures(self, message_id: MessageId) -> Sequence[Captured]:
        return await self._parts.ledger.captures.of(self._tenant, message_id)

    async def _user(self, no: UserNo) -> User | None:
        return (await self._parts.ledger.users.get([no])).get(no)

    async def _cards(self, captured: Iterable[Captured]) -> list[Card]:
        found = list(captured)
        users = await self._parts.ledger.users.get(list({c.user for c in found}))
        faces = await people(self._parts.ledger.users, [c.user for c in found])
        cards = []
        for capture in found:
            opened = self.opened(capture, users.get(capture.user))
            if opened is not None and type(opened.content) in KIND_OF:
                cards.append(self._card(capture, opened, faces.get(capture.user, NOBODY)))
        return cards

    def _card(self, captured: Captured, opened: Caught, face: Person) -> Card:
        tenant = self._parts.ledger.setup.tenants.all()[self._tenant]
        values = {
            "seq": captured.seq,
            "message": id_text(captured.message_id),
            "person": face,
            "to": opened.to or "",
            "sender": tenant.name or tenant.key,
            "playable": self._parts.speech is not None,
            **when(captured.at),
            **card(opened.content, face, captured.at),
        }
        return Card(kind=KIND_OF[type(opened.content)].name, values=values)

    async def rows(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Messages as a list shows them."""
        faces = await people(self._parts.ledger.users, [m.user for m in messages])
        workflows = self._parts.ledger.setup.workflows.all(self._tenant)
        return [
            {
                "message": id_text(message.id),
                "person": faces[message.user],
                "workflow": workflow_name(workflows.get(message.workflow), message.workflow),
                "channel": str(message.channel),
                "channel_name": CHANNEL_NAMES[message.channel],
                "status": status_name(message.status),
                "tone": tone(message.status),
                "why": because(message.reason),
                "due": moment(message.due_at) if message.reason and not message.status.is_terminal else None,
                **when(message.created_at),
            }
            for message in messages
        ]


def moment(at: Instant | None) -> str:
    """RFC 3339 in UTC, or nothing."""
    return "" if at is None else datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")


def when(at: Instant) -> dict[str, str]:
    """A time for `<time>`: the browser shows it in its own zone, this is what stands there until then."""
    return {"at": moment(at), "clock": datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S UTC")}
