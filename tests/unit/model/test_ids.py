"""Ids carry their time, come out the same for the same inputs, and read as UUIDs."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.ids import (
    Instant,
    UserNo,
    children_range,
    first_id_at,
    id_text,
    message_id,
    new_event_id,
    parse_id,
    run_id,
    time_of,
)

INSTANTS = st.integers(0, 2**47).map(Instant)
ENTROPY = st.binary(min_size=10, max_size=10)


@given(INSTANTS, ENTROPY)
def test_an_event_id_is_a_version_7_uuid_of_its_millisecond(at, random):
    """Any UUID library agrees (RFC 9562)."""
    event = new_event_id(at, random)
    seen = uuid.UUID(bytes=event)
    assert (seen.version, seen.variant) == (7, uuid.RFC_4122)
    assert time_of(event) == at
    assert first_id_at(at) <= event < first_id_at(Instant(at + 1))


@given(INSTANTS, ENTROPY, st.integers(1, 2**40), st.text(max_size=20), st.text(max_size=20))
def test_what_is_derived_from_an_event_is_found_in_its_range(at, random, user, workflow, step):
    """Runs and messages lie in the event's key range, are version 8, and repeat exactly."""
    event = new_event_id(at, random)
    run = run_id(event, workflow, UserNo(user))
    message = message_id(run, step, "email")
    low, high = children_range(event)
    assert low <= run <= high
    assert low <= message <= high
    assert uuid.UUID(bytes=message).version == 8
    assert message == message_id(run_id(event, workflow, UserNo(user)), step, "email")
    assert message != message_id(run, step, "sms")
    assert run != run_id(event, workflow, UserNo(user + 1))


@given(st.binary(min_size=16, max_size=16))
def test_text_and_bytes_of_an_id_are_two_sides_of_one(raw):
    """What is printed can be read back, and is what the standard library prints."""
    assert id_text(raw) == str(uuid.UUID(bytes=raw))
    assert parse_id(id_text(raw)) == raw
    assert parse_id(id_text(raw).upper()) == raw


@pytest.mark.parametrize(
    "text", ["", "x" * 36, "01a2044a-f8eb-7b99-b453", "01  2044-f8eb-7b99-b453-a663afe1bc64", "0" * 32]
)
def test_what_is_no_uuid_is_refused(text):
    """Blanks, other lengths and other letters are not passed over."""
    with pytest.raises(ValueError, match=r"UUID|hexadecimal"):
        parse_id(text)
