"""Entries as bytes: what every broker outside the ledger carries."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.adapters.brokers.entry_encoding import ENCODING, UnreadableEntry, decoded, encoded
from clarion.model.channel import Lane
from clarion.model.event import Entry, Event
from clarion.model.ids import EventId, Instant, TenantId, UserNo

ENTRY = Entry(
    event_id=EventId(bytes(range(16))),
    tenant=TenantId(7),
    lane=Lane.HIGH,
    workflow="grüße",
    sealed=bytes(range(256)),
    sealed_for=UserNo(2**40),
    setup_revision=12,
)


def test_an_entry_comes_back_as_it_was():
    """In the lane and with the number that it is read with."""
    assert decoded(encoded(ENTRY), Lane.HIGH, 5) == replace(ENTRY, seq=5)


def test_the_trace_of_the_sender_goes_along():
    """While the event is in memory; the event itself does not go."""
    event = Event(
        id=ENTRY.event_id,
        tenant=ENTRY.tenant,
        lane=Lane.HIGH,
        workflow="w",
        at=Instant(0),
        traceparent="00-ab",
    )
    raw = encoded(replace(ENTRY, event=event))
    assert b"00-ab" in raw
    assert decoded(raw, Lane.HIGH, 0) == ENTRY


def test_what_version_1_wrote_can_always_be_read():
    """These bytes are from the first version."""
    raw = bytes.fromhex(
        "0197c410000102030405060708090a0b0c0d0e0f07a46e65777302c4066f7061717565 03a0".replace(" ", "")
    )
    assert decoded(raw, Lane.BULK, 0) == Entry(
        event_id=EventId(bytes(range(16))),
        tenant=TenantId(7),
        lane=Lane.BULK,
        workflow="news",
        sealed=b"opaque",
        sealed_for=UserNo(2),
        setup_revision=3,
    )


def test_fields_of_a_newer_version_are_left_out():
    """They are appended, so that an older one reads what it knows."""
    fields = msgspec.msgpack.decode(encoded(ENTRY)[1:])
    assert decoded(ENCODING + msgspec.msgpack.encode([*fields, "new"]), Lane.HIGH, 0) == ENTRY


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty"),
        (b"\x02whatever", "newer version"),
        (b'{"id": 1}', "another program"),
        (ENCODING, "no entry"),
        (ENCODING + msgspec.msgpack.encode([b"short", 1, "w", 0, b"", 0]), "16 bytes"),
        (ENCODING + msgspec.msgpack.encode(["text", 1]), "no entry"),
    ],
)
def test_what_is_no_entry_says_why(raw, why):
    """None of its content is in the reason."""
    with pytest.raises(UnreadableEntry, match=why):
        decoded(raw, Lane.BULK, 0)


@given(raw=st.binary())
def test_no_bytes_raise_anything_else(raw):
    """Whatever another program wrote into a lane."""
    try:
        decoded(ENCODING + raw, Lane.BULK, 0)
    except UnreadableEntry:
        pass
