"""The list of messages: cards and rows, first load and updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from clarion.content.sms.segmentation import segments
from clarion.dashboard.dependencies import DashboardParts
from clarion.dashboard.labels import because, status_name, tone, workflow_name
from clarion.dashboard.pages import render
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.dashboard.user_list import NOBODY, Person, people
from clarion.errors import SealBroken
from clarion.model.content import AnyContent, ChatContent, EmailContent, PushContent, SmsContent
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
    """One capture, ready for the template of its list."""

    into: str
    template: str
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
        shown: dict[str, Any] = {name: [] for name in ("emails", "texts", "pushes", "chats")}
        for card in cards:
            values = {**card.values, "open": card.into == "emails" and not shown["emails"]}
            shown[card.into].append(values)
        return {
            "seq": newest[-1].seq if newest else 0,
            "activity": await self._rows(messages),
            **shown,
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
        rows = [render("activity.html", row=row) for row in await self._rows(messages)]
        tried = dict.fromkeys(change.message_id for change in changes if change.outcome is not None)
        cards = await self._cards([c for i in tried for c in await self._captures(i)])
        last = max((at for at, card in enumerate(cards) if card.into == "emails"), default=-1)
        html = [
            render(card.template, card={**card.values, "open": at == last}) for at, card in enumerate(cards)
        ]
        return changes[-1].seq, b"".join(html + rows)

    async def email(self, message_id: MessageId) -> EmailContent | None:
        """The newest captured email of a message."""
        for captured in reversed(await self._captures(message_id)):
            opened = self.opened(captured, await self._user(captured.user))
            if opened is not None and isinstance(opened.content, EmailContent):
                return opened.content
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
            card = opened and _card(capture, opened, faces.get(capture.user, NOBODY))
            if card:
                cards.append(card)
        return cards

    async def _rows(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
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


def _card(captured: Captured, opened: Caught, face: Person) -> Card | None:
    values: dict[str, Any] = {
        "seq": captured.seq,
        "message": id_text(captured.message_id),
        "person": face,
        "to": opened.to or "",
        **when(captured.at),
    }
    match opened.content:
        case EmailContent() as email:
            values |= {"subject": email.subject, "text": email.text, "html": email.html}
            return Card(into="emails", template="email.html", values=values)
        case SmsContent(text=text):
            cut = segments(text)
            values |= {"text": text, "segments": cut.count, "encoding": cut.encoding, "length": len(text)}
            return Card(into="texts", template="sms.html", values=values)
        case PushContent() as push:
            values |= {"title": push.title, "body": push.body}
            return Card(into="pushes", template="push.html", values=values)
        case ChatContent() as chat:
            values |= {"title": chat.title, "text": chat.text}
            return Card(into="chats", template="chat.html", values=values)
        case _:
            return None


def moment(at: Instant | None) -> str:
    """RFC 3339 in UTC, or nothing."""
    return "" if at is None else datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")


def when(at: Instant) -> dict[str, str]:
    """A time for `<time>`: the browser shows it in its own zone, this is what stands there until then."""
    return {"at": moment(at), "clock": datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S UTC")}
