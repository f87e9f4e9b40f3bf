"""The frames of the inbox protocol, in both directions. `docs/reference/realtime.md` describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from clarion.gateway.close_codes import CloseCode
from clarion.model.inbox import InboxAction, InboxCounts, InboxFilter, ShownItem

LONGEST_REF = 64
MOST_IDS = 400


class Frame(msgspec.Struct, frozen=True):
    """One text frame, encoded once for all devices of a user."""

    text: str
    offset: int = -1
    """Where a client that has applied it stands; -1 on frames that carry no state."""
    before: int = -1
    """Where a client must stand to apply it."""


# ── server to client ──────────────────────────────────────────────────────────────────────────────────────


class Connected(msgspec.Struct, frozen=True, kw_only=True, tag="connected"):
    """The first frame."""

    session: str
    epoch: str
    offset: int
    recovered: bool
    counts: InboxCounts
    items: Sequence[ShownItem]
    ping_s: int


class Items(msgspec.Struct, frozen=True, kw_only=True, tag="items", rename={"before": "from"}):
    """Everything that changed behind `before`, up to `offset`."""

    before: int
    offset: int
    items: Sequence[ShownItem]
    counts: InboxCounts


class Ok(msgspec.Struct, frozen=True, tag="ok"):
    """A command was carried out and is durable."""

    ref: str


class Error(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """A command was not carried out."""

    ref: str | None
    code: str
    detail: str


class Bye(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """What a close code says, for transports without them, and when to come back."""

    code: int
    reason: str
    reconnect: bool
    after_ms: int | msgspec.UnsetType = msgspec.UNSET


# ── client to server ──────────────────────────────────────────────────────────────────────────────────────


class MarkCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="mark"):
    """Mark items on all devices of the user."""

    action: InboxAction
    ids: Annotated[list[str], msgspec.Meta(max_length=MOST_IDS)] | None = None
    filter: InboxFilter | None = None
    ref: Annotated[str, msgspec.Meta(max_length=LONGEST_REF)] = ""


class PingCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ping"):
    """Are you there?"""


class PongCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pong"):
    """I am here."""


Command = MarkCommand | PingCommand | PongCommand

_command: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_encode = msgspec.json.Encoder().encode


def _text(value: msgspec.Struct) -> str:
    return _encode(value).decode()


def connected(
    *,
    session: str,
    epoch: str,
    offset: int,
    recovered: bool,
    counts: InboxCounts,
    items: Sequence[ShownItem],
    ping_s: int,
) -> Frame:
    """The first frame of a session, which puts the client at `offset`."""
    value = Connected(
        session=session,
        epoch=epoch,
        offset=offset,
        recovered=recovered,
        counts=counts,
        items=items,
        ping_s=ping_s,
    )
    return Frame(_text(value), offset)


def items(*, before: int, offset: int, items: Sequence[ShownItem], counts: InboxCounts) -> Frame:
    """A live change, which takes a client from `before` to `offset`."""
    return Frame(_text(Items(before=before, offset=offset, items=items, counts=counts)), offset, before)


def ok(ref: str) -> Frame:
    """The answer to a command that was carried out."""
    return Frame(_text(Ok(ref)))


def error(ref: str | None, code: str, detail: str) -> Frame:
    """The answer to a command that was not."""
    return Frame(_text(Error(ref=ref, code=code, detail=detail)))


def bye(close: CloseCode) -> Frame:
    """The last frame."""
    after_ms = close.after_ms or msgspec.UNSET
    return Frame(
        _text(Bye(code=close.code, reason=close.reason, reconnect=close.reconnect, after_ms=after_ms))
    )


def command(data: bytes) -> Command:
    """What the client wants; msgspec.DecodeError when it is none of the commands."""
    return _command.decode(data)


PING = Frame('{"type":"ping"}')
PONG = Frame('{"type":"pong"}')
