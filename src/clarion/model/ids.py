"""Ids are derived and time-ordered (RFC 9562 layouts), so a replay writes the same rows.

An event id is a UUIDv7. The ids of its runs and messages are UUIDv8: they keep the event's 48-bit
millisecond time and its 12 `rand_a` bits, then 62 bits of BLAKE2b over what they are derived from. All
messages of one event therefore lie in one 8-byte key range (`children_range`), without an index.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NewType

TenantId = NewType("TenantId", int)
WorkerId = NewType("WorkerId", int)
"""A process that holds messages, until it ends or is given up. Never used twice."""
UserNo = NewType("UserNo", int)
"""A user's number inside the installation. Rows carry it instead of the caller's `user_id`."""
EventId = NewType("EventId", bytes)
RunId = NewType("RunId", bytes)
MessageId = NewType("MessageId", bytes)
Instant = NewType("Instant", int)
"""Milliseconds since the Unix epoch, UTC."""

NO_USER = UserNo(0)


def new_event_id(now: Instant, random: bytes) -> EventId:
    """A UUIDv7 at `now`; `entropy` is 10 random bytes."""
    return EventId(
        now.to_bytes(6, "big")
        + bytes((0x70 | (random[0] & 0x0F), random[1], 0x80 | (random[2] & 0x3F)))
        + random[3:10]
    )


def _derive(event_id: bytes, material: bytes) -> bytes:
    digest = blake2b(event_id + material, digest_size=8).digest()
    return (
        event_id[:6]
        + bytes((0x80 | (event_id[6] & 0x0F), event_id[7], 0x80 | (digest[0] & 0x3F)))
        + digest[1:]
    )


def run_id(event_id: EventId, workflow: str, user: UserNo) -> RunId:
    """The id of `workflow` for `user` because of `event_id`; always the same for the same inputs."""
    return RunId(_derive(event_id, b"r%d:%s" % (user, workflow.encode())))


def part_id(run: RunId, number: int) -> RunId:
    """The id of what a run that waited planned when it went on for the `number`-th time; 0: when it started."""
    return RunId(_derive(run, b"p%d" % number)) if number else run


def digest_id(opener: RunId) -> EventId:
    """The id of the event that the digest becomes which this run opened."""
    return EventId(_derive(opener, b"d"))


def message_id(run: RunId, step: str, channel: str) -> MessageId:
    """The id of the message of `step` on `channel` in a run; always the same for the same inputs."""
    return MessageId(_derive(run, b"m%s/%s" % (step.encode(), channel.encode())))


def call_id(run: RunId, step: str, at: Instant) -> EventId:
    """The id of what `step`, reached at this time, has done outside; what it starts is an event of that time."""
    return new_event_id(at, blake2b(run + b"c" + step.encode(), digest_size=10).digest())


def children_range(event_id: EventId) -> tuple[bytes, bytes]:
    """Smallest and largest id a run or message of this event can have (other events may share it)."""
    prefix = event_id[:6] + bytes((0x80 | (event_id[6] & 0x0F), event_id[7]))
    return prefix + b"\x00" * 8, prefix + b"\xff" * 8


def time_of(any_id: bytes) -> Instant:
    """The millisecond an id carries."""
    return Instant(int.from_bytes(any_id[:6], "big"))


BEHIND_ALL = b"\xff" * 17
"""Every id is lower."""


def first_id_at(at: Instant) -> bytes:
    """The smallest id of the millisecond `at`: a bound for time filters over id-ordered rows. No id is older than
    1970."""
    return max(at, 0).to_bytes(6, "big") + b"\x00" * 10


def id_text(any_id: bytes) -> str:
    """The canonical UUID text of an id."""
    h = any_id.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def parse_id(text: str) -> bytes:
    """The 16 bytes of a UUID text; ValueError when it is not one."""
    parts = text.split("-")
    found = bytes.fromhex("".join(parts))
    if [len(part) for part in parts] != [8, 4, 4, 4, 12] or len(found) != 16:  # fromhex passes over blanks
        raise ValueError("not a UUID")
    return found
