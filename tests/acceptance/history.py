"""The history checker: what was sent and answered, held against what the system shows afterwards.

It stands outside the system and knows nothing of its inside. Sending appends to a `History`; at the end everything
visible is read through the API into a `Seen`; `violations` compares the two.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

ACTIVE = {"queued", "deferred", "sending"}
SUCCEEDED = {"sent", "delivered"}


@dataclass(kw_only=True)
class Submission:
    """One event as a caller sent it, perhaps several times, under one key."""

    key: str
    workflow: str
    users: tuple[str, ...]
    channels: tuple[str, ...]
    """The workflow's channels: every user gets one message on each."""
    event_ids: list[str] = field(default_factory=list)
    """What every 202 said."""

    @property
    def accepted(self) -> bool:
        """Whether a 202 came back at least once."""
        return bool(self.event_ids)


@dataclass
class History:
    """Everything sent, by key."""

    submissions: dict[str, Submission] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    """How often each status was answered; 0: the connection broke first."""

    @property
    def accepted(self) -> list[Submission]:
        """Those with a 202."""
        return [s for s in self.submissions.values() if s.accepted]

    @property
    def unanswered(self) -> list[Submission]:
        """Those without."""
        return [s for s in self.submissions.values() if not s.accepted]


@dataclass(frozen=True, kw_only=True)
class SeenMessage:
    """A message as the API lists it."""

    id: str
    event_id: str
    user: str
    channel: str
    status: str
    reason: str | None = None
    attempts: int = 1


@dataclass(kw_only=True)
class SeenInbox:
    """One user's inbox."""

    items: list[str] = field(default_factory=list)
    """Message ids."""
    unread: int = 0
    total: int = 0


@dataclass(kw_only=True)
class Seen:
    """What the system shows."""

    messages: list[SeenMessage] = field(default_factory=list)
    captures: Counter[str] = field(default_factory=Counter)
    """How often each message went out through a capture integration."""
    inboxes: dict[str, SeenInbox] = field(default_factory=dict)


def violations(history: History, seen: Seen) -> list[str]:
    """Every promise that is broken, in words; empty when all are kept. Ask only after a drain."""
    return [*same_answers(history), *each_message_once(history, seen), *sent_once(seen), *inboxes_exact(seen)]


def same_answers(history: History) -> Iterator[str]:
    """I3: the same key has the same answer, and no two keys share one."""
    owner: dict[str, str] = {}
    for s in history.submissions.values():
        if len(set(s.event_ids)) > 1:
            yield f"I3: key {s.key} was answered with different events {sorted(set(s.event_ids))}"
        for event in set(s.event_ids):
            if owner.setdefault(event, s.key) != s.key:
                yield f"I3: event {event} answers two keys, {owner[event]} and {s.key}"


def each_message_once(history: History, seen: Seen) -> Iterator[str]:
    """I1: every accepted event has one message per user and channel, ended, with a reason where one is due."""
    found: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for message in seen.messages:
        found[message.event_id][message.user, message.channel] += 1
        if message.status in ACTIVE:
            yield f"I1: message {message.id} is still {message.status} ({message.reason})"
        elif message.status not in SUCCEEDED and not message.reason:
            yield f"I1: message {message.id} is {message.status} without a reason"
    known = set()
    for s in history.accepted:
        event = s.event_ids[0]
        known.add(event)
        wanted = Counter((user, channel) for user in s.users for channel in s.channels)
        if found[event] != wanted:
            missing, extra = wanted - found[event], found[event] - wanted
            yield f"I1: event {event} (key {s.key}): missing {dict(missing)}, too many {dict(extra)}"
    if not history.unanswered:
        for event in found.keys() - known:
            yield f"event {event} has messages, but nobody sent it"


def sent_once(seen: Seen) -> Iterator[str]:
    """I2: where the provider takes our idempotency key nothing goes out twice, and what is `sent` went out."""
    by_id = {message.id: message for message in seen.messages}
    for message_id, times in seen.captures.items():
        if times > 1:
            yield f"I2: message {message_id} went out {times} times"
        if message_id not in by_id:
            yield f"I2: message {message_id} went out but is not listed"
        elif by_id[message_id].status not in SUCCEEDED:
            yield f"I1: message {message_id} went out and is {by_id[message_id].status}"
    for message in seen.messages:
        if message.channel != "in_app" and message.status in SUCCEEDED and not seen.captures[message.id]:
            yield f"I1: message {message.id} is {message.status} but did not go out"


def inboxes_exact(seen: Seen) -> Iterator[str]:
    """Every delivered in-app message is in its user's inbox once, and the counters say so."""
    wanted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for message in seen.messages:
        if message.channel == "in_app" and message.status in SUCCEEDED:
            wanted[message.user][message.id] += 1
    for user, inbox in seen.inboxes.items():
        if Counter(inbox.items) != wanted[user]:
            there = Counter(inbox.items)
            yield f"inbox of {user}: missing {dict(wanted[user] - there)}, too many {dict(there - wanted[user])}"
        if not inbox.unread == inbox.total == len(inbox.items):
            yield f"inbox of {user}: {len(inbox.items)} items, counted {inbox.total}, {inbox.unread} of them unread"


@dataclass
class Stream:
    """What one device saw of an inbox nobody marks, over all its connections: no hole, no repeat."""

    epoch: str = ""
    offset: int = 0
    items: list[str] = field(default_factory=list)
    """Message ids in the order they came."""
    problems: list[str] = field(default_factory=list)
    connections: int = 0

    def connected(self, epoch: str, offset: int, recovered: bool, items: list[tuple[int, str]]) -> None:
        """The first frame of a connection: what was missed since the last one."""
        self.connections += 1
        if self.epoch and not recovered:
            self.problems.append(f"connection {self.connections} was not recovered (offset {self.offset})")
        self.epoch = epoch
        self.receive(offset, items)

    def receive(self, offset: int, items: list[tuple[int, str]]) -> None:
        """Items as (offset, message id), which bring the device to `offset`."""
        for at, message_id in items:
            if at != self.offset + 1:
                self.problems.append(f"offset {at} came after {self.offset} (message {message_id})")
            self.offset = at
            self.items.append(message_id)
        if offset != self.offset:
            self.problems.append(f"the frame ends at {offset}, its items at {self.offset}")
