"""What a provider promises about its callbacks: only the service can report, and whatever it reports is understood.

Callbacks are recorded without their signature, and signed anew for every check: by the service's own SDK, or by code that
a published vector has proven.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final
from unittest import SkipTest
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec.structs import replace

from clarion.content.bounces import refused_email
from clarion.errors import CallbackForged, CallbackUnreadable
from clarion.model.ids import Instant
from clarion.model.message import Message
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.status import Status, may_move
from clarion.ports.callback import Callback, CallbackRequest, Callbacks, CallbackTools, DocumentNeeded
from clarion.rules.receipts import interpret
from clarion.testing.provider_contract.recorded_callbacks import OTHERS, OURS, CallbackVendor
from clarion.testing.provider_contract.subject import ADDRESSES, SECRET, WORDS, ProviderSubject

NOBODY: Final = "http://127.0.0.1:1"
LARGEST: Final = 10 * 1024 * 1024
LARGEST_S: Final = 15.0
"""A machine may be slow, but time must not grow with the square of the size."""
GARBAGE: Final = (
    *(
        b"",
        b" ",
        b"\x00",
        b"\xff\xfe{",
        b"{",
        b"{}",
        b"[]",
        b"[{}]",
        b"[null]",
        b"null",
        b"1",
        b'"x"',
        b"=",
        b"&&=&",
    ),
    *(
        b"[" * 5_000,
        b'{"a":' * 5_000,
        b"%",
        b"%zz=%",
        b"a=1&a=2",
        b'{"a": 1e999}',
        b"[" + b"9" * 5_000 + b"]",
    ),
)
"""Bodies that make no sense, although the service signed them."""
ODD_VALUES: Final[tuple[Any, ...]] = (None, 0, -1, 1.5, True, "", "\x00", "x" * 5_000, [], {}, [[]], 10**30)
ODD_HEADERS: Final = ("", " ", "\x00", "é", "x" * 5_000, "AAAA", "==", "-1", "1e9", "9" * 400)


class _Reporter:
    """A service that reports to the provider under test."""

    def __init__(self, subject: ProviderSubject) -> None:
        if subject.plugin.callbacks is None:
            raise SkipTest(f"the service behind {subject.plugin.name} calls nobody")
        if subject.vendor is None or subject.vendor.callbacks is None:
            raise AssertionError("record the callbacks of the service in `Vendor.callbacks`")
        self.callbacks: Callbacks = subject.plugin.callbacks
        self.vendor: CallbackVendor = subject.vendor.callbacks
        self.now = subject.tools.clock.now()
        self._config: Any = msgspec.convert(subject.vendor.config(NOBODY), subject.plugin.config)

    def signed(self, request: CallbackRequest, at: Instant | None = None) -> CallbackRequest:
        """The request as the service sends it."""
        return self.vendor.sign(request, self.now if at is None else at)

    def taken(self, request: CallbackRequest) -> Callback:
        """What it says, once it is verified."""
        tools = CallbackTools(now=self.now, refused_email=refused_email)
        needed = self.callbacks.verify(request, self._config, tools)
        if isinstance(needed, DocumentNeeded):
            tools = replace(tools, documents={needed.url: self.vendor.documents[needed.url]})
            assert self.callbacks.verify(request, self._config, tools) is None, (
                "it needs one document at most"
            )
        return self.callbacks.read(request, self._config, tools)

    def refused(self, request: CallbackRequest, what: str) -> str:
        """Why it is refused."""
        try:
            self.taken(request)
        except CallbackForged as forged:
            return forged.detail
        except CallbackUnreadable:
            pass
        raise AssertionError(f"{what} is taken for the service's: raise CallbackForged")


async def each_callback_means_what_is_recorded(subject: ProviderSubject) -> None:
    """Its receipts by kind, each about the message whose reference came back."""
    reporter = _Reporter(subject)
    for recorded in reporter.vendor.recorded:
        callback = reporter.taken(reporter.signed(recorded.request(OURS)))
        kinds = tuple(receipt.kind for receipt in callback.receipts)
        assert kinds == recorded.means, f"{recorded!r} was read as {kinds}"
        assert len(callback.messages) == recorded.messages, f"{recorded!r} passes on {callback.messages!r}"
        assert len(callback.pressed) == recorded.pressed, f"{recorded!r} tells of {callback.pressed!r}"
        assert bool(callback.unread) == recorded.unread, f"{recorded!r}: unread is {callback.unread!r}"
        for receipt in callback.receipts:
            assert receipt.reference == OURS, f"{recorded!r} is about {receipt.reference!r}"
            bounced = receipt.kind is ReceiptKind.BOUNCED
            assert receipt.permanent == (recorded.permanent and bounced), (
                f"{recorded!r} was read as {receipt!r}"
            )


async def every_kind_of_receipt_is_on_record(subject: ProviderSubject) -> None:
    """What the plug-in says that it can report is shown, and nothing else happens."""
    reporter = _Reporter(subject)
    shown = {kind for recorded in reporter.vendor.recorded for kind in recorded.means}
    assert shown == reporter.callbacks.kinds, (
        f"`kinds` and the records differ in {sorted(shown ^ reporter.callbacks.kinds)}"
    )
    inbound = any(recorded.messages for recorded in reporter.vendor.recorded)
    assert inbound == reporter.callbacks.inbound, "`inbound` and the records differ"
    methods = {recorded.method for recorded in reporter.vendor.recorded}
    assert methods == reporter.callbacks.methods, f"`methods` and the records differ: {sorted(methods)}"


async def an_unsigned_callback_is_refused(subject: ProviderSubject) -> None:
    """So is one whose signature is nonsense."""
    reporter = _Reporter(subject)
    for recorded in reporter.vendor.recorded:
        plain = recorded.request(OURS)
        signed = reporter.signed(plain)
        reporter.refused(plain, "an unsigned callback")
        for name in signed.headers.keys() - plain.headers.keys():
            for odd in ODD_HEADERS:
                headers = {**signed.headers, name: odd}
                reporter.refused(replace(signed, headers=headers), f"`{name}: {odd[:9]}`")


async def a_strangers_callback_is_refused(subject: ProviderSubject) -> None:
    """Who knows everything but the service's secret reports nothing."""
    reporter = _Reporter(subject)
    for recorded in reporter.vendor.recorded:
        forged = reporter.vendor.stranger(recorded.request(OURS), reporter.now)
        reporter.refused(forged, "what a stranger signed")


async def a_changed_callback_is_refused(subject: ProviderSubject) -> None:
    """What was signed about one message says nothing about another."""
    reporter = _Reporter(subject)
    for recorded in reporter.vendor.recorded:
        signed = reporter.signed(recorded.request(OURS))
        changed = replace(
            signed,
            url=signed.url.replace(OURS, OTHERS),
            body=signed.body.replace(OURS.encode(), OTHERS.encode()),
        )
        if changed != signed:
            reporter.refused(changed, "a callback that was changed on the way")


async def an_old_callback_is_refused(subject: ProviderSubject) -> None:
    """Where the service signs a time, a callback that was overheard cannot be used for long; nor one from the future."""
    reporter = _Reporter(subject)
    window_s = reporter.callbacks.replay_window_s
    if window_s is None:
        raise SkipTest(f"the service behind {subject.plugin.name} signs no time")
    for recorded in reporter.vendor.recorded:
        for seconds in (-window_s - 60, window_s + 60):
            at = Instant(reporter.now + seconds * 1000)
            reporter.refused(
                reporter.signed(recorded.request(OURS), at), f"a callback {seconds} s away from now"
            )


async def a_repeated_callback_changes_nothing(subject: ProviderSubject) -> None:
    """It is read the same, and its message stays where the first one brought it."""
    reporter = _Reporter(subject)
    (outgoing,) = subject.messages(1)
    for recorded in reporter.vendor.recorded:
        request = reporter.signed(recorded.request(OURS))
        first, second = reporter.taken(request), reporter.taken(request)
        assert first == second, f"{recorded!r} is read differently the second time"
        once = _ends(outgoing.message, first)
        assert _ends(outgoing.message, first, second) == once, f"{recorded!r} moves its message twice"


async def callbacks_that_come_late_move_nothing_back(subject: ProviderSubject) -> None:
    """Whatever is reported after the end of a message, that end stays, unless it came back after it arrived."""
    reporter = _Reporter(subject)
    (outgoing,) = subject.messages(1)
    callbacks = [reporter.taken(reporter.signed(one.request(OURS))) for one in reporter.vendor.recorded]
    for end in callbacks:
        status = _ends(outgoing.message, end)
        if status is Status.SENT:
            continue
        for late in callbacks:
            after = _ends(outgoing.message, end, late)
            assert after is status or may_move(status, after), f"{late!r} moves {status} to {after}"


async def garbage_is_told_from_sense(subject: ProviderSubject) -> None:
    """Bodies that make no sense, signed or not, raise CallbackUnreadable or CallbackForged at most."""
    reporter = _Reporter(subject)
    for recorded in reporter.vendor.recorded:
        plain = recorded.request(OURS)
        for body in (*GARBAGE, *_spoilt(plain.body)):
            garbage = replace(plain, body=body)
            _survives(reporter, reporter.signed(garbage))
            reporter.refused(garbage, "unsigned garbage")


async def the_largest_callback_is_read_in_time(subject: ProviderSubject) -> None:
    """10 MiB of what no service sends, and of its own callbacks over and over."""
    reporter = _Reporter(subject)
    recorded = reporter.vendor.recorded[0]
    plain = recorded.request(OURS)
    for piece in (b"[", b"a=1&", b'{"a":1},', plain.body or b"x"):
        large = replace(plain, body=(piece * (LARGEST // len(piece))))
        signed = reporter.signed(large)
        clock = subject.tools.clock
        began = clock.monotonic()
        await asyncio.to_thread(_survives, reporter, signed)
        took = clock.monotonic() - began
        assert took < LARGEST_S, f"10 MiB of {piece[:20]!r} took {took:.1f} s"


async def callbacks_tell_no_secrets(subject: ProviderSubject) -> None:
    """Neither keys nor addresses nor what was written, in anything that is stored in the clear or logged."""
    reporter = _Reporter(subject)
    hidden = (SECRET, WORDS, *ADDRESSES.values())
    for recorded in reporter.vendor.recorded:
        plain = recorded.request(OURS)
        said = [reporter.refused(plain, "an unsigned callback")]
        callback = reporter.taken(reporter.signed(plain))
        said += [callback.unread, *(receipt.detail for receipt in callback.receipts)]
        for body in (*GARBAGE, *_spoilt(plain.body)):
            said.append(_survives(reporter, reporter.signed(replace(plain, body=body))))
        shown = next((one for one in hidden if any(one in words for words in said)), "")
        assert not shown, f"`{shown}` is shown"


def _survives(reporter: _Reporter, request: CallbackRequest) -> str:
    """What was said about a request that may make no sense."""
    try:
        return reporter.taken(request).unread
    except (CallbackUnreadable, CallbackForged) as wrong:
        return wrong.detail


def _spoilt(body: bytes) -> Iterator[bytes]:
    """The body with one value wrong at a time, and cut off."""
    yield body[: len(body) // 2]
    if body[:1] in (b"{", b"["):
        document = msgspec.json.decode(body)
        for place in _places(document):
            for odd in ODD_VALUES:
                yield msgspec.json.encode(_with(document, place, odd))
        return
    parameters = parse_qsl(body.decode("latin-1"), keep_blank_values=True)
    for at, (name, _) in enumerate(parameters):
        yield urlencode([*parameters[:at], *parameters[at + 1 :]]).encode()
        for odd in ("", "\x00", "x" * 5_000, "-1", "9" * 30):
            yield urlencode([*parameters[:at], (name, odd), *parameters[at + 1 :]]).encode()


def _places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in inside:
        yield (*place, key)
        yield from _places(value, (*place, key))


def _with(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    key, *rest = place
    changed = document.copy()
    changed[key] = _with(document[key], tuple(rest), value)
    return changed


def _ends(message: Message, *callbacks: Callback) -> Status:
    """Where the callbacks bring a message that was sent."""
    status = Status.SENT
    for callback in callbacks:
        for one in callback.receipts:
            receipt = Receipt(
                tenant=message.tenant,
                message_id=message.id,
                kind=one.kind,
                at=message.created_at,
                permanent=one.permanent,
                reason=one.reason,
            )
            to = interpret(message, receipt).status
            status = to if to is not None and may_move(status, to) else status
    return status


CALLBACKS = (
    each_callback_means_what_is_recorded,
    every_kind_of_receipt_is_on_record,
    an_unsigned_callback_is_refused,
    a_strangers_callback_is_refused,
    a_changed_callback_is_refused,
    an_old_callback_is_refused,
    a_repeated_callback_changes_nothing,
    callbacks_that_come_late_move_nothing_back,
    garbage_is_told_from_sense,
    the_largest_callback_is_read_in_time,
    callbacks_tell_no_secrets,
)
