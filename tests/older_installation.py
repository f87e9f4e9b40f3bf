"""A data directory as version 687c614 left it: schema 0021, written as plain rows, of any size.

    python -m tests.older_installation DIRECTORY MESSAGES

Its rows look as that version wrote them for such events. That version was started on it once, and reported of every
message, every explanation and every inbox what `Older` says.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.schema import CODES
from clarion.adapters.ledgers.sqlite.keyring_binding import open_keyring
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel, Lane
from clarion.model.event import Event
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo, message_id, new_event_id, run_id
from clarion.model.message import Change, ChannelDecision, Run, Verdict, packed
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, Profile
from clarion.ports.vault import contact_hash
from clarion.testing.ports import MONDAY_NOON, SeededRandom

TENANT = TenantId(1)
WAITING = 2_000
"""Events with messages that wait are among the first ones only: what is sent afterwards does not grow with the directory."""
UNPLANNED = 20
"""Accepted, and not planned yet."""
ERASED = 25
"""Each of so many users was erased."""
LATER_MS = 600_000
WORKFLOWS = {
    "bell": ("in_app",),
    "mail": ("email",),
    "text": ("sms",),
    "push": ("push",),
    "ladder": ("in_app", "email"),
}
INTEGRATIONS = {
    "in_app": ("inbox", "inapp"),
    "email": ("main-email", "recording"),
    "sms": ("main-sms", "recording"),
} | {"push": ("main-push", "capture")}
PLACES = {"in_app": 32, "email": 33, "sms": 34, "push": 35}
"""The queues of the normal lane."""
ROUTES = {pair: no for no, pair in enumerate(((w, c) for w, some in WORKFLOWS.items() for c in some), 1)}
FATES = (
    "bell", "bell seen", "bell read", "bell archived", "mail", "mail opened", "mail retried", "mail retrying", "mail gone",
    "push", "ladder", "ladder seen", "text", "text scheduled", "text held", "bell", "mail", "push", "bell", "text",
)  # fmt: skip
"""What becomes of events, in turns."""
_WAIT = {"mail retrying": "mail", "ladder": "ladder seen", "text scheduled": "text", "text held": "text"}
"""What becomes of later ones instead, so that nothing of them waits."""
_TEXTS = {
    "sms": {"text": "{{ data.text }}"},
    "email": {"subject": "{{ data.text }}", "text": "{{ data.text }}"},
    "push": {"title": "{{ data.text }}"},
    "in_app": {"title": "{{ data.text }}"},
}


def packed_explanation(channels: Sequence[ChannelDecision]) -> bytes:
    """Pack the decisions of a run as those versions did: maps, without what is not set."""
    return msgspec.msgpack.encode(
        [
            {
                name: value
                for name, value in (msgspec.structs.asdict(one) | {"verdicts": one.verdicts}).items()
                if value not in (None, ()) and name != "said"
            }
            for one in channels
        ]
    )


class Item(msgspec.Struct):
    """An inbox item."""

    offset: int
    at: int
    seen_at: int | None = None
    read_at: int | None = None
    archived_at: int | None = None


class Older:
    """What is in the directory. Everything follows from the number of an event."""

    def __init__(self, messages: int) -> None:
        self.events = messages
        self.users = max(ERASED, messages // 40)
        self.inboxes: dict[UserNo, dict[MessageId, Item]] = {}
        """What stands in them, by user."""
        self.waiting: set[MessageId] = set()
        """What is sent sooner or later."""

    def at(self, n: int) -> Instant:
        """When an event came in."""
        return Instant(MONDAY_NOON - self.events + n)

    def user(self, n: int) -> UserNo:
        """Whom it was for."""
        return UserNo(1 + n % self.users)

    def erased(self, user: int) -> bool:
        """Whether the user is gone."""
        return user % ERASED == 0

    def event_id(self, n: int) -> EventId:
        return new_event_id(self.at(n), n.to_bytes(4, "big") * 2 + bytes(2))

    def fate(self, n: int) -> str:
        """What became of it."""
        fate = FATES[n // 3 % len(FATES)]
        if self.erased(self.user(n)):
            return "text erased"
        return fate if n < WAITING else _WAIT.get(fate, fate)

    def message_ids(self, n: int) -> dict[str, MessageId]:
        """By channel."""
        workflow = self.fate(n).split()[0]
        run = run_id(self.event_id(n), workflow, self.user(n))
        return {channel: message_id(run, "note", channel) for channel in WORKFLOWS[workflow]}

    def mail_id(self, n: int) -> MessageId:
        """The message of one that was not planned yet."""
        return message_id(run_id(self.event_id(n), "mail", self.user(n)), "note", "email")

    def run(self, n: int) -> Run:
        """With its explanation."""
        fate, at = self.fate(n), self.at(n)
        workflow = fate.split()[0]
        decisions = []
        for channel, one in self.message_ids(n).items():
            first = self.changes(n)[one][0]
            verdicts = [
                Verdict(rule="contact", result="allow", reason="inbox" if channel == "in_app" else "found"),
                Verdict(
                    rule="preferences",
                    result="allow",
                    reason="default",
                    inputs={"place": n % 3} if n % 4 else {},
                ),
            ]
            decisions.append(
                ChannelDecision(
                    step="note",
                    channel=Channel(channel),
                    status=first.status,
                    reason=first.reason,
                    due_at=first.due_at or at,
                    message_id=one,
                    said=packed(*verdicts),
                )
            )
        return Run(
            id=run_id(self.event_id(n), workflow, self.user(n)),
            tenant=TENANT,
            user=self.user(n),
            event_id=self.event_id(n),
            lane=Lane.NORMAL,
            workflow=workflow,
            workflow_version=1,
            at=at,
            channels=tuple(decisions),
        )

    def changes(self, n: int) -> dict[MessageId, list[Change]]:
        """The timelines of its messages."""
        fate, ids, at = self.fate(n), self.message_ids(n), self.at(n)
        later = Instant(MONDAY_NOON + LATER_MS + n)
        return {
            one: [
                Change(message_id=one, tenant=TENANT, at=Instant(at + place), **what)
                for place, what in enumerate(_timeline(fate, channel, later, n))
            ]
            for channel, one in ids.items()
        }

    def make(self, directory: Path) -> None:
        """All of it, in a directory that is there."""
        random = SeededRandom()
        vault = LocalVault.from_file(directory / "installation.key", random)
        path = directory / "clarion.db"
        migrate(path, to="0021")
        keyring = open_keyring(path, vault, random)
        assert keyring.take(self.users, above=0) == 1
        with closing(sqlite3.connect(path)) as file:
            _set_up(file, vault)
            keys = self._user_cache(file, vault, keyring, random)
            for n in range(self.events):
                self._event(file, vault, keys, n)
            for n in range(self.events, self.events + UNPLANNED):
                self._accept(file, vault, keys, n, "mail")
            self._inboxes(file)
            file.execute("INSERT INTO cursors VALUES ('normal', ?)", (self.events,))
            self._rest(file)
            file.commit()
        keyring.close()

    def _user_cache(
        self, file: sqlite3.Connection, vault: LocalVault, keyring: Any, random: SeededRandom
    ) -> dict[int, bytes]:
        keys = {}
        for no in range(1, self.users + 1):
            if self.erased(no):
                file.execute("INSERT INTO erased VALUES (?)", (no,))
                continue
            keys[no] = key = random.bytes(32)
            contacts = [
                Contact(channel=channel, address=address, hash=contact_hash(vault, TENANT, channel, address))
                for channel, address in (
                    (Channel.EMAIL, f"u{no}@example.org"),
                    (Channel.SMS, f"+49151{no:08}"),
                    (Channel.PUSH, f"token-{no}"),
                )
            ]
            profile = msgspec.msgpack.encode(Profile(contacts=tuple(contacts), locale="en", timezone="UTC"))
            _insert(
                file,
                "users",
                no=no,
                tenant=TENANT,
                user_id=f"u{no}",
                wrapped_key=keyring.wrap(UserNo(no), key),
                profile=vault.seal(key, profile),
                revision=1,
                inbox_epoch=random.bytes(8).hex(),
                created_at=MONDAY_NOON,
                updated_at=MONDAY_NOON,
            )
            for contact in contacts:
                _insert(
                    file,
                    "contact_hashes",
                    tenant=TENANT,
                    hash=contact.hash,
                    channel=contact.channel.value,
                    user=no,
                )
        return keys

    def _accept(
        self, file: sqlite3.Connection, vault: LocalVault, keys: dict[int, bytes], n: int, workflow: str
    ) -> None:
        user = self.user(n)
        event = Event(
            id=self.event_id(n),
            tenant=TENANT,
            lane=Lane.NORMAL,
            workflow=workflow,
            at=self.at(n),
            users=(user,),
            data=msgspec.Raw(b'{"text":"hello %d"}' % n),
        )
        body = msgspec.json.encode(event)
        sealed = vault.seal(keys.get(user, b"destroyed".ljust(32)), body)
        values = (n + 1, event.id, TENANT, workflow, user, sealed, 1)
        file.execute("INSERT INTO log_normal VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _event(self, file: sqlite3.Connection, vault: LocalVault, keys: dict[int, bytes], n: int) -> None:
        fate, run, user = self.fate(n), self.run(n), self.user(n)
        self._accept(file, vault, keys, n, run.workflow)
        planned = (run.id, TENANT, user, run.event_id, "normal", n + 1, run.workflow, 1, run.at)
        explanation = packed_explanation(run.channels)
        file.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*planned, explanation))
        ids = self.message_ids(n)
        timelines = self.changes(n)
        for channel, one in ids.items():
            route = ROUTES[run.workflow, channel]
            changes = timelines[one]
            self._message(file, n, channel, route, changes)
            if changes[-1].status in (Status.QUEUED, Status.DEFERRED):
                self.waiting.add(one)
            if channel == "in_app":
                self._item(user, one, fate, changes[-1].at)
                content = vault.seal(keys[user], b'{"title":"hello %d"}' % n)
                file.execute("INSERT INTO inbox_content VALUES (?, ?)", (one, content))
            if channel == "push":
                kept = vault.seal(keys[user], b'{"to":"token","content":{"title":"hello %d"}}' % n)
                values = (one, user, route, "main-push", kept, changes[-1].at)
                file.execute(
                    "INSERT INTO captures (message_id, user, route, integration, sealed, at) VALUES (?, ?, ?, ?, ?, ?)",
                    values,
                )

    def _message(
        self, file: sqlite3.Connection, n: int, channel: str, route: int, changes: list[Change]
    ) -> None:
        fate, ids, last = self.fate(n), self.message_ids(n), changes[-1]
        sent = next((c.at for c in changes if c.status in (Status.SENT, Status.DELIVERED)), None)
        held = fate == "text held"
        _insert(
            file,
            "messages",
            id=last.message_id,
            user=self.user(n),
            event_id=self.event_id(n),
            event_seq=n + 1,
            route=route,
            queue=PLACES[channel],
            status=CODES[last.status],
            reason=last.reason,
            created_at=self.at(n),
            due_at=MONDAY_NOON + 120_000 if held else last.due_at,
            attempt=last.attempt,
            fence=0 if changes[0].status is Status.DEFERRED else 1,
            holder=1 if held else None,
            later_rungs=ids["email"] if fate == "ladder" and channel == "in_app" else None,
            updated_at=last.at,
            integration=last.integration,
            sent_at=sent,
            delivered_at=sent if last.status is Status.DELIVERED else None,
            seen_at=last.at
            if fate in ("bell seen", "bell read", "ladder seen") and channel == "in_app"
            else None,
            read_at=last.at if fate == "bell read" else None,
            archived_at=last.at if fate == "bell archived" else None,
            counted_at=sent if n % 2 else None,
            tried_at=self.at(n) if "retr" in fate else None,
            tenant=TENANT,
        )
        for c in changes:
            _insert(
                file,
                "changes",
                message_id=c.message_id,
                at=c.at,
                status=CODES[c.status],
                reason=c.reason,
                fence=1,
                attempt=c.attempt,
                integration=c.integration,
                outcome=c.outcome,
                provider_id=c.provider_id,
                took_ms=c.took_ms,
                detail=c.detail,
                due_at=c.due_at
                if c.status is Status.DEFERRED
                else MONDAY_NOON
                if c.status is Status.QUEUED
                else None,
                traceparent=c.traceparent,
            )

    def _item(self, user: UserNo, one: MessageId, fate: str, at: int) -> None:
        """It comes in, and what somebody does with it moves it to the end."""
        box = self.inboxes.setdefault(user, {})
        item = Item(offset=self._next(box), at=at)
        box[one] = item
        if fate in ("bell seen", "bell read", "bell archived", "ladder seen"):
            item.seen_at = at if fate != "bell archived" else None
            item.read_at = at if fate == "bell read" else None
            item.archived_at = at if fate == "bell archived" else None
            item.offset = self._next(box)

    def _next(self, box: dict[MessageId, Item]) -> int:
        return 1 + max((item.offset for item in box.values()), default=0)

    def _inboxes(self, file: sqlite3.Connection) -> None:
        for user, box in self.inboxes.items():
            for one, item in box.items():
                values = (user, item.offset, one, item.at, item.seen_at, item.read_at, item.archived_at)
                file.execute("INSERT INTO inbox VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _rest(self, file: sqlite3.Connection) -> None:
        for n in range(1, 30):
            number = n.to_bytes(16, "big")
            _insert(
                file, "suppressions", tenant=TENANT, hash=number, channel="email", reason="address_gone", at=n
            )
            _insert(
                file, "deliveries", endpoint=number, message_id=number, tenant=TENANT, user=1, ok=n % 2, status=200,
                took_ms=n, at=n, sealed=b"-",
            )  # fmt: skip
            _insert(file, "strays", tenant=TENANT, digest=number, why="unclear", sealed=b"-", at=n)
            _insert(
                file, "set_aside", event_id=number, tenant=TENANT, lane="bulk", event_seq=n, workflow="mail",
                reason="internal_error", detail="KeyError", at=n,
            )  # fmt: skip
            _insert(file, "dedupes", key=number, run_id=number, expires_at=n)


def _timeline(fate: str, channel: str, later: Instant, n: int) -> Iterator[dict[str, Any]]:
    """What happened to a message, one after the other."""
    integration = INTEGRATIONS[channel][0]
    queued = {"status": Status.QUEUED}
    accepted = {"attempt": 1, "integration": integration, "outcome": "accepted", "took_ms": n % 90}
    retry = {
        "status": Status.DEFERRED, "reason": Reason.RETRY, "due_at": later, "attempt": 1, "integration": integration,
        "outcome": "retry", "took_ms": 5, "detail": f"451 try later {n}",
    }  # fmt: skip
    match fate, channel:
        case "text erased", _:
            yield from (queued, {"status": Status.SUPPRESSED, "reason": Reason.USER_DELETED})
        case "text held", _:
            yield queued
        case "text scheduled", _:
            yield {"status": Status.DEFERRED, "reason": Reason.SCHEDULED, "due_at": later}
        case "ladder", "email":
            yield {"status": Status.DEFERRED, "reason": Reason.WAITING_FOR_EARLIER_CHANNEL, "due_at": later}
        case "ladder seen", "email":
            yield {"status": Status.DEFERRED, "reason": Reason.WAITING_FOR_EARLIER_CHANNEL, "due_at": later}
            yield {"status": Status.CANCELED, "reason": Reason.LADDER_SATISFIED}
        case "mail gone", _:
            rejected = {
                "status": Status.BOUNCED,
                "reason": Reason.ADDRESS_GONE,
                "detail": f"550 no such user {n}",
            }
            yield from (queued, {"status": Status.SENDING}, accepted | rejected | {"outcome": "gone"})
        case "mail retrying", _:
            yield from (queued, {"status": Status.SENDING}, retry)
        case "mail retried", _:
            again = {"attempt": 2, "provider_id": f"<{n}@relay>", "traceparent": f"00-{n:032x}-{n:016x}-01"}
            yield from (queued, {"status": Status.SENDING}, retry, {"status": Status.SENDING, "attempt": 1})
            yield accepted | again | {"status": Status.SENT}
        case "mail opened", _:
            yield from (queued, {"status": Status.SENDING}, accepted | {"status": Status.SENT})
            yield {"status": Status.SENT, "outcome": "opened", "integration": integration, "attempt": 1}
        case _, "in_app":
            yield from (queued, accepted | {"status": Status.DELIVERED})
        case _:
            yield from (queued, {"status": Status.SENDING}, accepted | {"status": Status.SENT})


def _set_up(file: sqlite3.Connection, vault: LocalVault) -> None:
    file.execute("INSERT INTO tenants VALUES (1, 'acme', ?)", (b'{"id":1,"key":"acme"}',))
    file.execute("INSERT INTO meta VALUES ('epoch', 1), ('spelling', 1), ('setup_revision', 1)")
    template = {
        "key": "note",
        "channels": {channel: {"en": text} for channel, text in _TEXTS.items()},
        "example_data": {"text": "hello"},
    }
    documents: list[tuple[str, dict[str, Any]]] = [
        ("template", template),
        ("category", {"key": "news", "name": "News"}),
    ]
    for key, channels in WORKFLOWS.items():
        to: dict[str, Any] = {"mode": "all", "channels": channels}
        if key == "ladder":
            rungs = [{"channel": "in_app", "wait_s": LATER_MS // 1000}, {"channel": "email", "wait_s": 30}]
            to = {"mode": "ladder", "channels": rungs, "until": "seen", "always": []}
        steps = [{"key": "note", "template": "note", "to": to}]
        documents.append(("workflow", {"key": key, "category": "news", "steps": steps}))
    for channel, (key, provider) in INTEGRATIONS.items():
        documents.append(("integration", {"key": key, "channel": channel, "provider": provider}))
    for shelf, document in documents:
        body = msgspec.json.encode(document)
        if shelf == "integration":
            body = vault.seal(vault.tenant_key(TENANT), body)
        file.execute("INSERT INTO documents VALUES (?, 1, ?, 1, 1, ?)", (shelf, document["key"], body))
    for (workflow, channel), no in ROUTES.items():
        until = "seen" if workflow == "ladder" else ""
        values = (no, 1, workflow, 1, "news", "note", "note", channel, "normal", until, 1)
        columns = "no, tenant, workflow, workflow_version, category, step, template, channel, lane, until, template_version"
        file.execute(f"INSERT INTO routes ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _insert(file: sqlite3.Connection, table: str, **values: Any) -> None:
    marks = ", ".join("?" * len(values))
    file.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def main() -> None:
    """A directory that `clarion migrate` takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("messages", type=int)
    options = parser.parse_args()
    options.directory.mkdir(mode=0o700)
    Older(options.messages).make(options.directory)


if __name__ == "__main__":
    main()
