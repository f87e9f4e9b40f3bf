"""An entry as it travels through a broker: a byte that names the encoding, then msgpack.

The body is sealed; ids, tenant and workflow are in the clear. Fields that a later version appends are left out by an
earlier one. What an earlier version could not read gets another first byte, and is written one version after it is read.
"""

from __future__ import annotations

import msgspec

from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import EventId, TenantId, UserNo

ENCODING = b"\x01"


class UnreadableEntry(Exception):
    """These bytes are no entry, or one of a newer version. Says why, and shows none of them."""


class _Fields(msgspec.Struct, array_like=True, frozen=True):
    event_id: bytes
    tenant: TenantId
    workflow: str
    sealed_for: UserNo
    sealed: bytes
    setup_revision: int
    traceparent: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Fields).decode


def encoded(entry: Entry) -> bytes:
    """The entry as bytes; its lane is where it is sent to."""
    return ENCODING + _encode(
        _Fields(
            entry.event_id,
            entry.tenant,
            entry.workflow,
            entry.sealed_for,
            entry.sealed,
            entry.setup_revision,
            traceparent_of(entry),
        )
    )


def decoded(raw: bytes, lane: Lane, seq: int) -> Entry:
    """The entry in a lane, with the number that tells it from the others of its batch. Raises UnreadableEntry."""
    if not raw.startswith(ENCODING):
        raise UnreadableEntry(
            f"encoding {raw[0]} is not known: a newer version of Clarion or another program wrote it"
            if raw
            else "it is empty"
        )
    try:
        found = _decode(raw[1:])
    except msgspec.MsgspecError as wrong:
        raise UnreadableEntry(f"it is no entry: {wrong}") from None
    if len(found.event_id) != 16:
        raise UnreadableEntry("its event id does not have 16 bytes")
    return Entry(
        event_id=EventId(found.event_id),
        tenant=found.tenant,
        lane=lane,
        workflow=found.workflow,
        sealed=found.sealed,
        sealed_for=found.sealed_for,
        setup_revision=found.setup_revision,
        seq=seq,
    )


def traceparent_of(entry: Entry) -> str:
    """What ties it to the trace of whoever sent it, while the event is in memory."""
    return entry.event.traceparent if entry.event is not None else ""
