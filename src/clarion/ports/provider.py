"""Providers: how a message is sent. A plug-in is one file plus one entry-point line."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Protocol

import msgspec

from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.message import Message
from clarion.model.outcome import Outcome
from clarion.model.outgoing import Outgoing, SentMessage
from clarion.model.setup import Integration
from clarion.model.user import Contact
from clarion.model.whatsapp import WhatsAppTemplate
from clarion.ports.callback import Callbacks
from clarion.ports.clock import Clock, Random
from clarion.ports.http import HttpCaller, nobody_calls
from clarion.ports.mail import MailBuilder
from clarion.ports.receipt_source import FetchedReceipts
from clarion.ports.report_queue import ReportQueue
from clarion.ports.vault import Vault


class Report(Protocol):
    """What is told about a batch while it is under way."""

    def begins(self, index: int) -> Future[bool]:
        """Durably note that this message may be taken from now on: done when it is, with False when it must not go any
        more. To be awaited before what cannot be taken back, as often as it is tried."""

    def ended(self, index: int, outcome: Outcome) -> None:
        """The outcome of one message, so that it is stored while others of the batch still take their time."""


class Reporting(Protocol):
    """Implemented by providers that tell what comes of each message as it comes."""

    async def send_reporting(self, batch: Sequence[Outgoing], report: Report) -> Sequence[Outcome]:
        """As `Provider.send`, telling `report` on the way."""


class Provider(Protocol):
    """One live connection to a provider, opened from an integration."""

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """One outcome per message, in order. Expected failures are outcomes.

        What goes wrong with one message is that message's outcome. An exception concerns the whole batch, of which nobody
        knows any longer what was taken: tried again by an `idempotent` provider, else of unknown outcome.

        Must bound its own time below the integration's `timeout_s`; cancellation must not leak connections.
        """

    async def ping(self) -> None:
        """Reach the provider without sending anything; raises ConfigError or Unavailable saying what to do."""

    async def close(self) -> None:
        """Release connections; called once, after the last send has returned."""


class Withdrawing(Protocol):
    """Implemented by providers that take back what they sent (`ProviderPlugin.takes_back`)."""

    async def withdraw(self, batch: Sequence[SentMessage]) -> Sequence[Outcome]:
        """As `Provider.send`: `Accepted` when nobody sees it any more, or the app was asked to remove it; also when it is
        gone already, so that a repeated call has no second effect. `Rejected` when it cannot be withdrawn: `detail` says
        why, for a person."""


class TakesBack(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do about a message that is out."""

    edits: bool = False
    """`send` changes the message that an `Outgoing` `replaces`, and gives it the same `provider_id`."""
    withdraws: bool = False
    """What `open` returns is `Withdrawing`."""
    limits: str = ""
    """When it cannot, and what remains to others, in a sentence or two for people."""


class TemplateSource(Protocol):
    """Implemented by providers whose service keeps WhatsApp templates."""

    async def whatsapp_templates(self) -> Sequence[WhatsAppTemplate]:
        """All of them, in any state. Raises ConfigError or Unavailable."""


async def _not_refused(url: str) -> str | None:
    return None


async def _not_fetched(url: str) -> bytes:
    raise Unavailable("nothing can be fetched here")


def _id_of(message: Message) -> str:
    return message.id.hex()


def _no_url(tenant: TenantId, integration: str) -> str:
    return ""


class Memory(Protocol):
    """What providers learn and must know after a restart. Small, sealed, durable."""

    def get(self, key: str) -> str:
        """Empty: nothing is known."""

    async def put(self, key: str, text: str) -> None:
        """Durable when this returns."""


class Forgetful:
    """Implements `Memory` for as long as the process lives."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def get(self, key: str) -> str:
        return self._known.get(key, "")

    async def put(self, key: str, text: str) -> None:
        self._known[key] = text


class ProviderTools(msgspec.Struct, frozen=True, kw_only=True):
    """What the house lends to a provider."""

    clock: Clock
    random: Random
    vault: Vault
    mail: MailBuilder
    allowed_networks: tuple[str, ...] = ()
    """Ranges (CIDR) that may be reached although they are not public; the operator's choice."""
    memory: Memory = msgspec.field(default_factory=Forgetful)
    refusal: Callable[[str], Awaitable[str | None]] = _not_refused
    """Why an http(s) URL would not be called, as far as can be told without calling it; None when it would."""
    fetch: Callable[[str], Awaitable[bytes]] = _not_fetched
    """GETs something small, such as a certificate. Raises Unavailable."""
    http: HttpCaller = nobody_calls
    """Makes requests to addresses that may be called."""
    reference: Callable[[Message], str] = _id_of
    """What a provider carries along so that its callbacks tell the message: signed, `[a-z0-9]`, at most 60 characters."""
    callback_url: Callable[[TenantId, str], str] = _no_url
    """Where the callbacks of an integration (by its tenant and key) arrive; empty: no provider can reach us."""


WebUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"(?i)\Ahttps?://(\[[0-9a-f:.]+\]|[\w-]+(\.[\w-]+)*\.?)"
        r"(:(?!6553[6-9]|655[4-9]\d|65[6-9]\d\d|6[6-9]\d{3}|[7-9]\d{4})\d{1,5})?"
        r"([/?#][^\s\\\x00-\x1f\x7f]*)?\Z",
        description="a URL such as https://api.example.com/path, with a host and without spaces or a user name",
    ),
]
"""A setting that says where to. Like any setting with a default, it is left out rather than sent empty."""


Token = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[!-~]+\Z", description="a token as the service shows it, without spaces or line breaks"
    ),
]
"""A setting that says who we are."""


HostName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z",
        description="a host name in lower case, without https:// (with a dot before it: any name below)",
    ),
]


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a provider's settings: knows its fields, and shows none of their values.

    Settings are checked when they are stored, by the types of the fields: `url: WebUrl`, `token: Token`, or
    `Annotated[str, msgspec.Meta(pattern=..., description="what would be right")]`. What no type can say, `open` does,
    with `ConfigError(..., pointer="#/field")`.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.__struct_fields__)})"


class ProviderPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a provider brings: found through the entry-point group `clarion.providers`."""

    name: str
    title: str
    channels: frozenset[Channel]
    config: type[msgspec.Struct]
    """Its settings; the integration's `config` is validated against this."""
    open: Callable[[Integration, Any, ProviderTools], Provider]
    """`open(integration, config, tools)`, where `config` is an instance of the `config` type. Reaches nobody; raises
    ConfigError, with a pointer to the field, for settings that cannot work."""
    accepts: Callable[[Contact], bool] | None = None
    """Tells the contacts it can reach, where a channel has several kinds (push: device tokens, browsers). None: any.
    A contact goes to the providers that claim it before those that take any."""
    idempotent: bool = False
    """A repeated call with the same message id has no second effect, so no `sending` mark is needed."""
    stores: Callable[[Any], bool] | None = None
    """Tells the settings with which all it does is give its outcome a record to store: its `send` reaches nobody, never
    waits, and accepts. Its messages are stored with their plan, already sent. Only for what is `idempotent`."""
    callbacks: Callbacks | None = None
    """How it verifies and reads what the provider reports; None: the provider calls nobody."""
    report_queue: Callable[[Integration, Any, ProviderTools], ReportQueue | None] | None = None
    """Opens the queue in which the provider leaves its reports, where the settings name one. `callbacks` reads them."""
    fetched_receipts: FetchedReceipts | None = None
    """Its service is asked for receipts, so what `open` returns is a `ReceiptSource`; None: it is not."""
    marks_late: bool = False
    """It is `Reporting` and asks `begins` for every message; else a whole batch is noted before its call."""
    takes_back: TakesBack | None = None
    """What it can do about a message that is out; None: nothing."""
    batch: int = 1
    """Most messages one call takes."""
    hosts: frozenset[str] = frozenset()
    """Names of config fields that hold a host it connects to. URLs are found by themselves."""
    secrets: frozenset[str] = frozenset()
    """Names of config fields that must never be returned or logged."""
    example: dict[str, Any] = {}
    """A valid config, for documentation and the contract suite."""
