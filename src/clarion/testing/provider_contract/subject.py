"""The provider under test, its inputs, and the server it calls."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from structlog.testing import capture_logs

from clarion.model.channel import Channel, Lane
from clarion.model.content import (
    Action,
    AnyContent,
    ChatContent,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
    WhatsAppContent,
)
from clarion.model.ids import EventId, MessageId, TenantId, UserNo
from clarion.model.message import Message
from clarion.model.outcome import Outcome
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration, IntegrationLimits
from clarion.model.status import Status
from clarion.model.user import Contact, Profile, User
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools
from clarion.testing.provider_contract.recorded_callbacks import CallbackVendor
from clarion.testing.scripted_server import Answer

SECRET: Final = "s3cret-that-must-not-show"  # noqa: S105 (planted, to be looked for)
WORDS: Final = "words-that-must-not-show"

CONTENTS: Mapping[Channel, AnyContent] = {
    Channel.EMAIL: EmailContent(subject=WORDS, text=WORDS, html=f"<p>{WORDS}</p>"),
    Channel.SMS: SmsContent(text=WORDS),
    Channel.PUSH: PushContent(title=WORDS, body=WORDS),
    Channel.IN_APP: InAppContent(title=WORDS, body=WORDS),
    Channel.CHAT: ChatContent(text=WORDS),
    Channel.WEBHOOK: WebhookContent(type="check", body=f'{{"words": "{WORDS}"}}'),
    Channel.VOICE: VoiceContent(text=WORDS),
    Channel.WHATSAPP: WhatsAppContent(text=WORDS),
}
_ODD: Final = "\u0600\u202e𝔄👩‍👩‍👧 <b>&amp;</b> @everyone <!channel> [x](http://x) \"'`{{}}\\ \t\n% "
_LONG: Final = _ODD * 2_000
_LINK: Final = 'https://example.com/ä ö?a="<>|)#&b=' + "x" * 500
_FACTS: Final = {f"{_ODD} {n}": _LONG for n in range(60)}
_BUTTONS: Final = tuple(Action(label=_LONG, url=_LINK) for _ in range(60))
ODD_CONTENTS: Mapping[Channel, tuple[AnyContent, ...]] = {
    Channel.EMAIL: (
        EmailContent(subject=_LONG.replace("\n", " "), text=_LONG, html=_LONG),
        EmailContent(subject="x", text="x"),
    ),
    Channel.SMS: (
        SmsContent(text=_LONG),
        SmsContent(text=_ODD, media=(_LINK, "x"), rcs_template=_ODD, rcs_parameters=(_LONG, "")),
        SmsContent(text="x", media=(_LINK,) * 10),
    ),
    Channel.PUSH: (
        PushContent(title=_LONG, body=_LONG, url=_LINK, image=_LINK, actions=_BUTTONS, data={"x": _LONG}),
        PushContent(title="x"),
    ),
    Channel.IN_APP: (
        InAppContent(title=_LONG, body=_LONG, url=_LINK, actions=_BUTTONS, data={"x": _LONG}),
        InAppContent(title="x"),
    ),
    Channel.CHAT: (
        ChatContent(text=_LONG, title=_LONG, url=_LINK, image=_LINK, fields=_FACTS, actions=_BUTTONS),
        ChatContent(text=_ODD, url="javascript:alert(1)", image="x", actions=(Action(label=""),)),
        ChatContent(text="", title=_ODD, fields={"": "", "x": ""}),
    ),
    Channel.WEBHOOK: (WebhookContent(type="x", body=msgspec.json.encode({"x": _LONG}).decode()),),
    Channel.VOICE: (VoiceContent(text=_LONG), VoiceContent(text=_ODD)),
    Channel.WHATSAPP: (
        WhatsAppContent(text=_LONG),
        WhatsAppContent(text=_ODD),
        WhatsAppContent(
            template=_LONG, language=_LONG, header=_LINK, parameters=(_LONG,) * 60, buttons=(_ODD,) * 60
        ),
        WhatsAppContent(template="x"),
    ),
}
"""Longer than any limit and stranger than any user; shorter than any layout expects."""
ADDRESSES: Mapping[Channel, str] = {
    Channel.EMAIL: "ada@contact.example",
    Channel.SMS: "+4915550000001",
    Channel.PUSH: "device-of-ada",
    Channel.CHAT: "chat-of-ada",
    Channel.WEBHOOK: "https://contact.example/hook",
    Channel.VOICE: "+4915550000001",
    Channel.WHATSAPP: "+4915550000001",
}


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as the service gives it, and what it means."""

    answer: Answer
    means: type[Outcome]
    after_s: float | None = None
    """With `Retry`: the wait that the service asks for."""


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """The other side of an HTTP provider."""

    config: Callable[[str], Mapping[str, Any]]
    """A config that leads every call to this URL. Put `SECRET` into its secrets where their form allows it."""
    address: Callable[[str], str] | None = None
    """A contact whose address leads to this URL; None where the address is no URL."""
    accepted: Answer
    """What the service answers when it takes the message."""
    replies: tuple[Recorded, ...]
    """Real answers; among them one for each outcome that an answer can mean."""
    never: Mapping[str, str] = {}
    """Outcomes that no answer of this service means, by name, and why."""
    excused: Mapping[str, str] = {}
    """Checks that cannot be kept, by name, and why: they are shown as skipped with this reason."""
    withdrawn: Answer | None = None
    """What the service answers when it takes a message back; None: in this way of using it, it does not."""
    withdrawals: tuple[Recorded, ...] = ()
    """Its answers to that, of a provider that withdraws."""
    edited: Answer | None = None
    """What it answers when it changes a message that is out; None: it does not."""
    callbacks: CallbackVendor | None = None
    """How the service reports, of a provider with `callbacks`."""
    most_bytes: int = 1024 * 1024
    """What the service takes in one request."""


class ProviderSubject(msgspec.Struct, frozen=True, kw_only=True):
    """A plug-in to check, with a config that reaches something harmless (None: its own example)."""

    plugin: ProviderPlugin
    tools: ProviderTools
    config: Mapping[str, Any] | None = None
    vendor: Vendor | None = None
    """Of a provider that speaks HTTP."""
    url: str = ""
    """The vendor's server; set by the checks."""

    @contextlib.asynccontextmanager
    async def opened(self, *, timeout_s: float = 30.0, **changes: Any) -> AsyncIterator[Provider]:
        """The provider, opened as the engine opens it, and closed."""
        config = {**self.settings(), **changes}
        integration = Integration(
            key="checked",
            channel=min(self.plugin.channels),
            provider=self.plugin.name,
            config=config,
            limits=IntegrationLimits(timeout_s=timeout_s),
        )
        settings = msgspec.convert(config, self.plugin.config)
        provider = self.plugin.open(integration, settings, self.tools)
        try:
            yield provider
        finally:
            await provider.close()

    def settings(self) -> Mapping[str, Any]:
        """What the provider is opened with."""
        if self.url and self.vendor is not None:
            return self.vendor.config(self.url)
        return self.plugin.example if self.config is None else self.config

    def planted(self) -> Mapping[str, Any]:
        """The secrets of the settings, each one to look for; a vendor's settings have them planted."""
        known = {name: value for name, value in self.settings().items() if name in self.plugin.secrets}
        if self.url and self.vendor is not None:
            return known
        return {name: SECRET for name, value in known.items() if isinstance(value, str)}

    def messages(
        self, count: int, channel: Channel | None = None, content: AnyContent | None = None
    ) -> list[Outgoing]:
        """`count` different messages to one person."""
        channel = channel or min(self.plugin.channels)
        address = ADDRESSES.get(channel)
        if self.url and self.vendor is not None and self.vendor.address is not None:
            address = self.vendor.address(self.url)
        key = self.tools.random.bytes(32)
        user = User(no=UserNo(1), tenant=TenantId(1), id="ada", key=key, profile=Profile())
        return [
            Outgoing(
                message=Message(
                    id=MessageId(self.tools.random.bytes(16)),
                    tenant=TenantId(1),
                    user=user.no,
                    event_id=EventId(self.tools.random.bytes(16)),
                    workflow="checked",
                    workflow_version=1,
                    category="checks",
                    step="send",
                    template="checked",
                    channel=channel,
                    lane=Lane.NORMAL,
                    status=Status.QUEUED,
                    created_at=self.tools.clock.now(),
                ),
                user=user,
                contact=None if address is None else Contact(channel=channel, address=address),
                content=CONTENTS[channel] if content is None else content,
            )
            for _ in range(count)
        ]


class Overheard(logging.Handler):
    """Everything that was said where somebody may read it: logs, outcomes, exceptions."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(self.format(record))

    def hear(self, *said: object) -> None:
        """Note what was said by other means."""
        self.words += map(str, said)

    def raised(self, error: BaseException) -> None:
        """Note an exception with all that would be printed of it."""
        self.words += [repr(error), *traceback.format_exception(error)]

    def showing(self, *hidden: str) -> str:
        """The first of `hidden` that was said; empty when none was."""
        return next((one for one in hidden if any(one in words for words in self.words)), "")


@contextlib.contextmanager
def overheard() -> Iterator[Overheard]:
    """Listens to the log of everything, at its most talkative."""
    listening = Overheard()
    root = logging.getLogger()
    level = root.level
    root.addHandler(listening)
    root.setLevel(logging.DEBUG)
    try:
        with capture_logs() as entries:
            yield listening
            listening.words += map(repr, entries)
    finally:
        root.removeHandler(listening)
        root.setLevel(level)
