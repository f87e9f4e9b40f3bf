"""What a tenant configures: categories, workflows, templates, integrations, keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from clarion.model.audience import Attribute, SearchableField, Segment
from clarion.model.channel import Channel, Lane
from clarion.model.connection import Connection, HttpMethod, Secret
from clarion.model.ids import Instant, TenantId
from clarion.model.retention import RetentionKind
from clarion.model.sink import Sink
from clarion.model.source import Source
from clarion.model.user import DefaultPreferences, DigestFrequency, FrequencyCap, Seconds, Value, Window
from clarion.model.whatsapp import WhatsAppTemplates

T = TypeVar("T")


class Money(Value, frozen=True, kw_only=True):
    """An exact amount."""

    amount: str
    """A decimal number, like `0.0750`."""
    currency: str
    """ISO 4217."""


Prices = dict[Channel, dict[str, Money]]
"""By channel, then by place: an ISO 3166 country (`DE`), the beginning of numbers (`+1787`), or `*` for everywhere."""


class Budget(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What may be spent on a day of the tenant's time zone. It holds for all messages, critical ones too."""

    limit: Money
    channel: Channel | None = None
    """Only messages on this channel; null: on every channel that has a price."""
    country: str | None = None
    """Only messages to this country (ISO 3166); null: to all together."""
    warn_share: float = 0.8
    """The share of the limit from which on a warning is given."""


class Replies(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What people are answered who write STOP, START or HELP, or the same in other words: a text for each language.
    An empty text is not sent; without any, a text of Clarion's own in English is."""

    opted_out: dict[str, str] = {}
    """The one confirmation that they get no more messages."""
    opted_in: dict[str, str] = {}
    """That they get messages again."""
    help: dict[str, str] = {}
    """Who writes, how to reach you, and that STOP ends it."""


class GuardMode(StrEnum):
    """What a part of the pumping guard does."""

    OFF = "off"
    OBSERVE = "observe"
    """It says what it would stop, and stops nothing."""
    ON = "on"


class GuardWatch(StrEnum):
    """Which text messages and calls count as possible abuse."""

    CODES = "codes"
    """One-time codes of verifications."""
    ALL = "all"


class SmsGuard(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Stops whoever makes a tenant send texts to numbers that they earn money with."""

    mode: GuardMode = GuardMode.ON
    """For ranges of numbers that get many codes which nobody enters."""
    watch: GuardWatch = GuardWatch.CODES
    range_limit: int = 10
    """Unconfirmed codes to a range of 10,000 numbers in `window_s`."""
    prefix_limit: int = 20
    """Unconfirmed codes to a range of 1,000,000 numbers in `window_s`."""
    window_s: Seconds = 3_600
    block_s: Seconds = 86_400
    """How long a range stays blocked."""
    country_mode: GuardMode = GuardMode.OBSERVE
    """For text messages and calls to countries that are not allowed."""
    countries: tuple[str, ...] | None = None
    """The allowed countries (ISO 3166); null: those where the tenant's own users have numbers."""


class Law(StrEnum):
    """What a message is before the law."""

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


class Tracking(StrEnum):
    """What may be learned from opened emails and followed links."""

    NONE = "none"
    AGGREGATE = "aggregate"
    """Counts only, of nobody in particular."""
    INDIVIDUAL = "individual"


class Brand(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How the pages for a tenant's users look."""

    name: str | None = None
    """null: the name of the tenant."""
    color: Annotated[str, msgspec.Meta(pattern=r"\A#[0-9a-fA-F]{6}\Z")] | None = None
    """Of buttons, like `#4350c4`. Their text is black or white, whichever is easier to read."""


class Tenant(Value, frozen=True, kw_only=True):
    """An isolated customer of the installation, with its defaults."""

    id: TenantId
    key: str
    name: str = ""
    locale: str = "en"
    timezone: str = "UTC"
    channels: dict[Channel, bool] = {}
    """Default per channel for all categories; a channel not named is on."""
    caps: tuple[FrequencyCap, ...] = ()
    """Caps over all non-critical categories together."""
    required_locales: tuple[str, ...] = ()
    """Every template must have these before it can be published."""
    sms_segments: int = 0
    """Most segments one text message may take; 0: no limit of the tenant's own."""
    sms_smart: bool = False
    """Text messages are written in GSM-7 where that looks the same: straight quotes, plain dashes and spaces."""
    prices: Prices = {}
    """What messages cost through any provider that has no prices of its own."""
    provider_prices: dict[str, Prices] = {}
    """What they cost through a provider, by its name."""
    budgets: dict[str, Budget] = {}
    """What may be spent on a day, by key."""
    replies: Replies = Replies()
    sms_guard: SmsGuard = SmsGuard()
    seen_countries: tuple[str, ...] | None = ()
    """Where the tenant's own users have numbers. None: they have not been looked through yet. Set by Clarion."""
    require_if_match: bool = False
    """Every change of one resource must name what it was made from (`If-Match`)."""
    preferences: DefaultPreferences = DefaultPreferences()
    """What holds for users who have not chosen."""
    legal_regions: tuple[str, ...] | None = None
    """Countries (ISO 3166) whose legal rules are applied to readers there; None: all that are known."""
    tracking: dict[str, Tracking] = {}
    """By country or `*`; what is not named is as the law of the reader's country says."""
    brand: Brand = Brand()
    retention: dict[RetentionKind, int | None] = {}
    """How many days data is kept, where it differs from the default; None: for ever."""
    attributes: dict[str, Attribute] = {}
    """What attributes of users hold, by name."""
    only_known_attributes: bool = False
    """Users can have no other attributes than these."""
    searchable: tuple[SearchableField, ...] = ()
    """What of users is stored unencrypted besides attributes, so that conditions can ask for it."""


class UnknownPolicy(StrEnum):
    """What to do if it is unknown whether a provider call was accepted."""

    SEND_AGAIN = "send_again"
    DO_NOT_SEND = "do_not_send"


class ConsentRule(StrEnum):
    """What a category asks of its users before it sends."""

    REQUIRED = "required"
    """A consent that was granted and not withdrawn."""
    OPT_OUT = "opt_out"
    """Only that none was withdrawn."""


class Category(Value, frozen=True, kw_only=True):
    """The unit of opt-out. `critical` cannot be opted out and ignores quiet hours, windows and caps."""

    key: str
    name: str = ""
    description: str = ""
    critical: bool = False
    enabled: bool = True
    """Default for users who have not chosen; false makes the category opt-in."""
    channels: dict[Channel, bool] = {}
    caps: tuple[FrequencyCap, ...] = ()
    send_window: tuple[Window, ...] = ()
    """If not empty, non-critical messages are sent only inside one of these windows, in the user's time zone."""
    tracking: dict[str, Tracking] = {}
    """By country (ISO 3166) or `*`; what is not named is as the tenant says."""
    digest: DigestFrequency | None = None
    """For users who have not chosen when they want digests."""
    on_unknown: UnknownPolicy | None = None
    """null: critical messages are sent again, all others are not."""
    law: Law = Law.TRANSACTIONAL
    """`marketing`: the law of each recipient's country decides at which hours it may be sent, and, unless `consent` says
    otherwise, whether consent is needed."""
    consent: ConsentRule | None = None
    """null: as the law says for marketing; other categories ask nobody."""
    purpose: str | None = None
    """What users consent to; several categories may share it. null: the category's key alone. A consent for the key counts too."""

    @property
    def unknown_policy(self) -> UnknownPolicy:
        """The policy in force."""
        if self.on_unknown is not None:
            return self.on_unknown
        return UnknownPolicy.SEND_AGAIN if self.critical else UnknownPolicy.DO_NOT_SEND


class Success(StrEnum):
    """The event that stops a ladder."""

    SENT = "sent"
    DELIVERED = "delivered"
    SEEN = "seen"
    READ = "read"


ATTENTION = frozenset({Success.SEEN, Success.READ})
"""Successes of the person, through whichever channel; the others belong to one channel."""


class LadderChannel(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One channel of a ladder: the next one is tried when this fails, or `wait_s` passes without success."""

    EXAMPLE: ClassVar = '{"channel": "push", "wait_s": 30}'

    channel: Channel
    wait_s: Seconds = 30


class SendAll(Value, frozen=True, kw_only=True, tag="all", tag_field="mode"):
    """Every listed channel the user can be reached on."""

    EXAMPLE: ClassVar = '{"mode": "all", "channels": ["in_app", "email"]}'

    channels: tuple[Channel, ...]


class SendFirst(Value, frozen=True, kw_only=True, tag="first", tag_field="mode"):
    """The first listed channel the user can be reached on and has not opted out of."""

    EXAMPLE: ClassVar = '{"mode": "first", "channels": ["push", "sms"]}'

    channels: tuple[Channel, ...]


class SendLadder(Value, frozen=True, kw_only=True, omit_defaults=False, tag="ladder", tag_field="mode"):
    """One channel after another until one succeeds; `always` channels go at once, outside the ladder.

    An `always` message that fails or is delivered does not change the ladder. If it is seen or read, it stops a ladder
    that waits for that.
    """

    EXAMPLE: ClassVar = (
        '{"mode": "ladder", "channels": [{"channel": "push", "wait_s": 30}, {"channel": "sms"}]}'
    )

    channels: tuple[LadderChannel, ...]
    """In this order: `[{"channel": "push", "wait_s": 30}, {"channel": "sms"}]`."""
    until: Success = Success.DELIVERED
    always: tuple[Channel, ...] = ()


class StepType(StrEnum):
    """What a step does."""

    SEND = "send"
    WAIT = "wait"
    BRANCH = "branch"
    EXPERIMENT = "experiment"
    THROTTLE = "throttle"
    DIGEST = "digest"
    UPDATE_USER = "update_user"
    TRIGGER = "trigger"
    ASK = "ask"
    REPEAT = "repeat"
    FETCH = "fetch"
    GENERATE = "generate"


SENDING = frozenset({StepType.SEND, StepType.ASK})
"""Types of steps that send messages."""


class OnError(StrEnum):
    """What becomes of a run when a step cannot do what it is there for."""

    SKIP = "skip"
    """It goes on behind the step."""
    STOP = "stop"
    """It ends as `failed`."""


class Case(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Steps of a branch that run when its condition is the first that is true."""

    EXAMPLE: ClassVar = '{"when": "data.total > 100.0", "steps": []}'

    when: str | None = None
    """A condition in CEL. null: the case for everything else, the last one."""
    steps: tuple[Step, ...] = ()


class KeptItems(Value, frozen=True, kw_only=True):
    """Which items of a digest its template gets. All of them are counted."""

    first: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    last: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None


class FlushWhat(StrEnum):
    """What goes on with an item that does not wait."""

    ALL = "all"
    ALONE = "alone"


class Flush(Value, frozen=True, kw_only=True):
    """Which items do not wait for the end of a digest."""

    when: str
    """A condition in CEL."""
    what: FlushWhat = FlushWhat.ALL
    """`all`: the digest closes with it; `alone`: it goes on by itself, and the digest is left as it is."""


class AwaitedEvent(Value, frozen=True, kw_only=True):
    """An event that runs listen for while they wait."""

    EXAMPLE: ClassVar = '{"type": "order.paid", "match": "event.data.order == data.order"}'

    type: str
    """The type of the event (`*` matches one or more segments)."""
    match: str | None = None
    """A condition in CEL, in which `event` is the one that comes and `data` that of the run; null: any."""
    by: str | None = None
    """null: events of the same user. An expression in CEL over `data` and `event`: events of anybody for which it has the
    same value as for the event of the run."""


class Since(StrEnum):
    """From when on events count."""

    RUN = "run"
    STEP = "step"


class ThrottleWindow(StrEnum):
    """Which time a throttle counts in."""

    SLIDING = "sliding"
    FIXED = "fixed"


class ThrottleElse(StrEnum):
    """What becomes of a run that does not pass a throttle."""

    STOP = "stop"
    CONTINUE = "continue"


class Step(Value, frozen=True, kw_only=True):
    """One step of a workflow. `key`, `type` and `when` belong to every step, each other field to one type."""

    EXAMPLE: ClassVar = '{"key": "tell", "template": "welcome", "to": {"mode": "all", "channels": ["email"]}}'

    key: str
    type: StepType = StepType.SEND
    when: str | None = None
    """A condition in CEL: while it is false the step is skipped."""
    on_error: OnError | None = None
    """What happens when the step fails; null: `stop`, in a critical category `skip`."""
    template: str | None = None
    """`send`, `ask`: what is sent."""
    to: SendAll | SendFirst | SendLadder | None = None
    """`send`, `ask`: over which channels."""
    options: dict[str, str | dict[str, str]] = {}
    """`ask`: the answers to choose from, by key, with what stands on their buttons: a text, or texts by language."""
    other: bool = False
    """`ask`: people may also answer in their own words."""
    for_s: Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400)] | None = None
    """`wait`: how long, in seconds."""
    for_: str | None = msgspec.field(default=None, name="for")
    """`wait`: how long by the calendar, an ISO 8601 period such as `P1M`."""
    until: str | None = None
    """`wait`: until when, in words (`next weekday 09:00`) or in CEL (`data.starts_at`). `repeat`: until `acknowledged`, until
    `read`, or until a condition in CEL is true."""
    timezone: str = "recipient"
    """`wait`, `digest`: whose clock `for`, `until` and `at` go by: `recipient`, `tenant`, or an IANA name."""
    earliest_s: Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400)] | None = None
    """`wait`: no sooner than so many seconds after the step is reached."""
    at_most_s: Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400)] | None = None
    """`wait`: no later than so many seconds after the step is reached."""
    event: AwaitedEvent | None = None
    """`wait`: until this event comes."""
    since: Since = Since.RUN
    """`wait`: which events count: those accepted after the run's own, or after the step is reached."""
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=90 * 86_400)] | None = None
    """`wait`, `ask`: how long an event or an answer is waited for; null: 90 days. `fetch`, `generate`: how long one call may take; null: as long as the connection
    says."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None
    """`throttle`: how many runs pass."""
    per_s: Annotated[int, msgspec.Meta(ge=1, le=31 * 86_400)] | None = None
    """`throttle`: in how many seconds."""
    window: ThrottleWindow = ThrottleWindow.SLIDING
    """`throttle`: any so many seconds, or those from the first that passes."""
    else_: ThrottleElse = msgspec.field(default=ThrottleElse.STOP, name="else")
    """`throttle`: whether a run that does not pass ends, or goes on and knows it."""
    cases: tuple[Case, ...] = ()
    """`branch`: the first whose condition is true runs, the others do not."""
    by: str | None = None
    """`experiment`: what a recipient is assigned by, in CEL; null: `user.id`. `digest`: what is collected together, as a JSON
    pointer into data or in CEL; null: everything of a user."""
    arms: dict[str, Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]] = {}
    """`experiment`: the arms and their weights."""
    holdout: str | None = None
    """`experiment`: the arm whose run ends here, so that there is something to compare with."""
    set_: dict[str, str] = msgspec.field(default={}, name="set")
    """`update_user`: attributes of the user and their new values, in CEL."""
    unset: tuple[str, ...] = ()
    """`update_user`: attributes that the user has no longer."""
    workflow: str | None = None
    """`trigger`: the workflow that starts."""
    recipients: str | None = None
    """`trigger`: a user id or a list of them, in CEL; null: the same user."""
    data: str | None = None
    """`trigger`: the data of its event, a map in CEL; null: those of this event."""
    window_s: Annotated[int, msgspec.Meta(ge=1, le=35 * 86_400)] | None = None
    """`digest`: how long it collects."""
    at: str | None = None
    """`digest`: it collects until this time instead, as in `weekdays 08:30`; `preference`: until the user wants digests of
    the category."""
    max_s: Annotated[int, msgspec.Meta(ge=1, le=35 * 86_400)] | None = None
    """`digest`: every item makes it collect for another `window_s`, and never longer than this in all."""
    keep: KeptItems | None = None
    """`digest`: which items its template gets; null: the first 100."""
    max_items: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    """`digest`: it closes with so many; null: 10,000."""
    flush: Flush | None = None
    """`digest`: what does not wait."""
    look_back_s: Annotated[int, msgspec.Meta(ge=1, le=35 * 86_400)] | None = None
    """`digest`: an item goes on at once when none closed so shortly before."""
    empty_goes_on: bool = False
    """`digest`: its run goes on although all of its items were canceled or expired."""
    through_quiet_hours: bool = False
    """`digest`: when it would close in quiet hours or outside a send window, it goes on collecting until they are over."""
    order: str | None = None
    """`digest`: what its items are sorted by before their time, in CEL, as in `-data.priority`."""
    steps: tuple[Step, ...] = ()
    """`repeat`: what is repeated."""
    every_s: Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400)] | None = None
    """`repeat`: from the end of a round until the next one."""
    at_most: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    """`repeat`: how many rounds."""
    connection: str | None = None
    """`fetch`, `generate`: the connection that is called."""
    method: HttpMethod = HttpMethod.GET
    """`fetch`: how it is called."""
    path: str | None = None
    """`fetch`: what is asked for behind the connection's URL, a text in CEL that begins with `/`."""
    query: dict[str, str] = {}
    """`fetch`: parameters of the URL and their values, in CEL."""
    headers: dict[str, str] = {}
    """`fetch`: headers beside those of the connection and their values, texts in CEL."""
    body: str | None = None
    """`fetch`: what is sent as JSON, in CEL; only with `post`."""
    select: str | None = None
    """`fetch`: what is kept of the answer, in CEL over `status` and `body`; null: its whole body."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    """`fetch`, `generate`: how often it is called while it cannot answer; null: 3 times."""
    within_s: Annotated[int, msgspec.Meta(ge=2, le=86_400)] | None = None
    """`fetch`, `generate`: how long after the step is reached it is tried, waiting for a free place included; null: 60 seconds."""
    cache_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    """`fetch`: how long other runs that ask for the same get the same answer; null: everyone asks anew. Only with `get`."""
    fallback: dict[str, Any] | None = None
    """`fetch`, `generate`: stands for the answer when there is none; null: the step has failed then."""
    model: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    """`generate`: the language model that writes, as its service calls it."""
    prompt: Annotated[str, msgspec.Meta(max_length=8_192)] | None = None
    """`generate`: what it is told to write."""
    input: str | None = None
    """`generate`: what it writes from, in CEL. Personal data in it are replaced before they leave."""
    output: dict[str, Any] | None = None
    """`generate`: JSON Schema that what it writes must satisfy."""
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=4_096)] | None = None
    """`generate`: how much it writes at most; null: 500 tokens."""


class Dedupe(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Runs with the same key for the same user inside `window_s` become one."""

    key: str
    """JSON pointer into the event's data, e.g. `/order_id`; empty: the whole workflow and user."""
    window_s: Seconds = 3600


class EventMatch(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Starts the workflow for CloudEvents whose type matches `type` (`*` matches one or more segments)."""

    type: str
    recipients: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """JSON pointer into data holding a recipient or a list of them; null: the event's `subject`."""
    create: bool = False
    """Create recipients that do not exist yet. Without it an event that names one is refused."""


class Workflow(Value, frozen=True, kw_only=True):
    """What to do about an event."""

    key: str
    name: str = ""
    version: int = 1
    category: str
    lane: Lane = Lane.NORMAL
    on: EventMatch | None = None
    steps: tuple[Step, ...] = ()
    dedupe: Dedupe | None = None
    collapse_key: str | None = None
    """JSON pointer into data (or empty string: the workflow): a newer message replaces older ones that still wait."""
    thread: str | None = None
    """JSON pointer into data (or empty string: the workflow): messages of one thread keep their order."""
    supersedes: bool = False
    """A newer message of a `thread` takes the place of the older one: of one that waits, and, where its channel can change
    what is out, of one that is out."""
    expires_after_s: Seconds | None = None
    send_window: tuple[Window, ...] = ()
    cancellation_key: str | None = None
    """JSON pointer into data: runs that wait and have the same value there are canceled together."""
    jitter_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    """Each wait ends up to so much later, differently for every run, so that not all wake at once."""
    success_event: AwaitedEvent | None = None
    """Its runs are finished when this event comes, wherever they wait."""
    stop_on: Annotated[tuple[AwaitedEvent, ...], msgspec.Meta(max_length=5)] = ()
    """Its runs are canceled when one of these events comes, wherever they wait."""
    earlier_events: tuple[AwaitedEvent, ...] = ()
    """Those that runs of earlier versions still listen for. Set by Clarion."""
    data_schema: dict[str, Any] | None = None
    """JSON Schema of the event's data: expressions are checked against it when the workflow is published, and every event
    that starts the workflow must satisfy it."""
    example_data: dict[str, Any] = {}

    def sends(self) -> Iterator[Step]:
        """Every step that sends, in order, also those inside branches."""
        return (step for step in every(self.steps) if step.type in SENDING)

    def awaited(self) -> Iterator[AwaitedEvent]:
        """Every event that its runs listen for."""
        if self.success_event is not None:
            yield self.success_event
        yield from self.stop_on
        yield from (step.event for step in every(self.steps) if step.event is not None)

    def templates(self) -> tuple[str, ...]:
        """Every template that it sends, once."""
        return tuple(dict.fromkeys(step.template for step in self.sends() if step.template))


class Template(Value, frozen=True, kw_only=True):
    """Content per channel, locale and field, as MiniJinja sources."""

    key: str
    name: str = ""
    version: int = 1
    default_locale: str = "en"
    channels: dict[Channel, dict[str, dict[str, str]]]
    """channel -> locale -> field (`subject`, `text`, `html`, `title`, `body`, `url`, ...) -> source."""
    example_data: dict[str, Any] = {}
    data_schema: dict[str, Any] | None = None
    """JSON Schema of the event's data; an event that starts a workflow with this template must satisfy it."""
    partials: dict[str, str] = {}
    """The layouts and partials it uses, by key, as they were when it was published. Set by Clarion."""
    published_at: Instant = Instant(0)
    """When this version went live. Set by Clarion."""
    origin: str = ""
    """What it was made from: `document`, `draft`, `version 3` or `partial footer`. Set by Clarion."""


class TemplateDraft(Value, frozen=True, kw_only=True):
    """A template in the making, which nobody is sent. It may be broken."""

    key: str
    template: Template
    revision: int
    """Another one with every save, and greater: what tells two people's changes apart."""
    saved_at: Instant
    based_on: int = 0
    """The version that was live when it was begun; 0: none."""


class Learned(Value, frozen=True, kw_only=True):
    """Something a provider learned and must know after a restart, such as a refresh token that was replaced."""

    key: str
    text: str


class Partial(Value, frozen=True, kw_only=True):
    """A layout (`{% extends "key" %}`) or a piece (`{% include "key" %}`) that templates of a tenant share."""

    key: str
    name: str = ""
    version: int = 1
    source: str
    published_at: Instant = Instant(0)
    """When this version went live. Set by Clarion."""


class WarmUp(Value, frozen=True, kw_only=True):
    """A plan for a new sender, IP address or domain: a little more every day, until nobody takes it for a spammer."""

    EXAMPLE: ClassVar = '{"since": "2026-05-04", "per_day": [50, 100, 500, 1000, 5000, 10000]}'

    since: Annotated[str, msgspec.Meta(pattern=r"\A\d{4}-\d\d-\d\d\Z", description="a day like 2026-05-04")]
    """Its first day."""
    per_day: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1)], ...], msgspec.Meta(min_length=1, max_length=366)
    ]
    """Most messages of the first day, the second, and so on; behind the last one the plan is over."""


class IntegrationLimits(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Limits for calls to the provider. All processes share them."""

    per_second: float | None = None
    per_day: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Messages above it wait for the next day, unless another integration takes them."""
    day_zone: str = "UTC"
    """The time zone (IANA) whose midnight begins a new day."""
    warm_up: WarmUp | None = None
    """Holds beside `per_day`."""
    concurrency: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Batches under way at once in each lane. The live workers divide it among themselves, and each may have at least
    one. Null: 8 in each process."""
    timeout_s: float = 30.0


class Integration(Value, frozen=True, kw_only=True):
    """A provider with credentials, a weight and limits."""

    key: str
    channel: Channel
    provider: str
    weight: int = 100
    enabled: bool = True
    config: dict[str, Any] = {}
    """Provider settings. Secret fields are encrypted at rest and never returned by the API."""
    limits: IntegrationLimits = IntegrationLimits()
    countries: tuple[str, ...] = ()
    """Only messages to numbers of these countries (ISO 3166) go through it; empty: to all."""
    max_price: Money | None = None
    """A message that has a higher price through its provider does not go through it."""
    senders: dict[str, str | None] = {}
    """SMS: who a text message is from, by the country it goes to (ISO 3166) or `*`; null: nothing is sent there. Countries
    that are not named get the `sender` of `config`."""
    receipt_within_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    """A message that its provider took, and reports nothing about within this time, goes once more, through another
    integration. null: it does not."""


INBOX = Integration(key="inbox", channel=Channel.IN_APP, provider="inapp")
"""Every tenant begins with it."""


class Scope(StrEnum):
    """What an API key may do; `admin` implies `send`, `send` implies `read`. `operator` belongs to no tenant: it
    manages the tenants themselves, and reaches nothing inside them."""

    ADMIN = "admin"
    SEND = "send"
    READ = "read"
    OPERATOR = "operator"


NO_TENANT = TenantId(0)
"""Whose keys those of operators are."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A stored API key: its keyed hash, never the key."""

    id: str
    tenant: TenantId
    name: str
    hash: bytes
    scope: Scope
    created_at: Instant
    expires_at: Instant | None = None
    last_used_at: Instant | None = None
    revoked_at: Instant | None = None


class ReleaseBasis(msgspec.Struct, frozen=True, kw_only=True):
    """What was live, as `all` showed it, when somebody decided what to release."""

    templates: Mapping[str, Template]
    partials: Mapping[str, Partial]


class DocumentNow(msgspec.Struct, Generic[T], frozen=True):
    """A document as it is by now; None: it is gone."""

    tenant: TenantId
    key: str
    document: T | None


class SetupDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What changed in the set-up behind a revision, as it is by now."""

    after: int
    """Behind this one; 0: it is the whole set-up, and whatever is not in it is gone."""
    revision: int
    """The revision it leads to."""
    tenants: tuple[Tenant, ...] = ()
    categories: tuple[DocumentNow[Category], ...] = ()
    workflows: tuple[DocumentNow[Workflow], ...] = ()
    templates: tuple[DocumentNow[Template], ...] = ()
    drafts: tuple[DocumentNow[TemplateDraft], ...] = ()
    learned: tuple[DocumentNow[Learned], ...] = ()
    test_templates: tuple[DocumentNow[Template], ...] = ()
    partials: tuple[DocumentNow[Partial], ...] = ()
    integrations: tuple[DocumentNow[Integration], ...] = ()
    whatsapp_templates: tuple[DocumentNow[WhatsAppTemplates], ...] = ()
    sources: tuple[DocumentNow[Source], ...] = ()
    sinks: tuple[DocumentNow[Sink], ...] = ()
    segments: tuple[DocumentNow[Segment], ...] = ()
    secrets: tuple[DocumentNow[Secret], ...] = ()
    connections: tuple[DocumentNow[Connection], ...] = ()

    def documents(self) -> Iterator[tuple[str, DocumentNow[Any]]]:
        """Every document behind the name of its kind here."""
        for name in self.__struct_fields__:
            if name not in ("after", "revision", "tenants"):
                yield from ((name, one) for one in getattr(self, name))


def every(steps: Iterable[Step]) -> Iterator[Step]:
    """These steps with all that are inside them, in order."""
    for step in steps:
        yield step
        for case in step.cases:
            yield from every(case.steps)
        yield from every(step.steps)


def channels_of(step: Step) -> tuple[Channel, ...]:
    """Every channel a step names, in order."""
    if step.to is None:
        return ()
    if isinstance(step.to, SendLadder):
        return (*(one.channel for one in step.to.channels), *step.to.always)
    return step.to.channels
