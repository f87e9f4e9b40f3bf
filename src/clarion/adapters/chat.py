"""What providers of chat share: text that stays text, links that lead to the web, sizes that fit, and where to send.

The text of a chat message is shown as it is. Whatever somebody wrote into it mentions nobody, hides no link behind
words and is no markup; links, buttons and facts come from fields of their own. A bare web address may be made
clickable by the app that shows it.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote, urlsplit

import msgspec

from clarion.adapters.http import HttpReply, outcome_of
from clarion.model.content import Action, ChatContent
from clarion.model.graphemes import cuts
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing, SentMessage

URL_CHARS = 2000
"""A longer link is left out: Discord takes 2048, the others more."""
ELLIPSIS = "…"
ZERO_WIDTH_SPACE = "\u200b"
"""Breaks a mention where it stands, and fills what must not be empty."""
LINK_CHARS = 80
"""Of a link that stands for a button."""
FACT_CHARS = 20
"""With less room than this no further fact is begun."""
SIGN_CHARS = 8
"""For the sign that facts are left out: `…` and `+12`."""
LONGEST_WAIT_S = 7 * 86_400
"""A wish beyond this is none."""
LOST = frozenset({401, 403, 404, 410})
"""A webhook that answers so is no longer there, or not for us."""

_WEB = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_URL_SAFE = "!#$%&'*+,-./:;=?@[]_~"
_BARE = re.compile(r"(https?://[^\s<>\"|()\[\]\\`]+)", re.IGNORECASE)
_MARKUP = re.compile(r"[\\`*_~|\[\]()<>]")
_LINE_MARKUP = re.compile(r"^(\d+(?=\.(?:\s|$))|(?=[-+#=]))([-+#=.])", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_MENTION = re.compile(r"(?<![A-Za-z0-9])@|@(?![\w-]+\.\w)|~(?=\w)|<(?=[!@#\w])")
_UNSEEN = (
    string.whitespace
    + "\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u202f\u205f\u2060\u2061\u2062\u2063\u2064\u3000\u3164\ufe0e\ufe0f\ufeff\uffa0"
)
"""Blanks, and what takes no place at all: services count a text of it as empty."""
_NO_BREAK_SPACE = "\u00a0"

Write = Callable[[str], str]
"""Writes a text in a service's notation; never makes it shorter."""


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where a message goes."""

    url: str = ""
    """A webhook; empty: through the provider's API."""
    to: str = ""
    """A person, chat or channel of the service; empty: where the webhook leads."""
    own: bool
    """It is the contact's, not the integration's default."""

    @property
    def from_user(self) -> bool:
        """The URL is the contact's own."""
        return self.own and not self.to


NOWHERE = Rejected(
    detail="the contact's address is none of this provider's, and the integration has no default destination"
)


def content_of(outgoing: Outgoing) -> ChatContent:
    """The content of a message on the chat channel."""
    assert isinstance(outgoing.content, ChatContent), "each channel has its own content"
    return outgoing.content


def unsent(sent: SentMessage) -> Outgoing:
    """A message that is to be withdrawn as it would be sent again: for whoever looks for its destination."""
    return Outgoing(message=sent.message, user=sent.user, contact=sent.contact, content=ChatContent(text=""))


def address_of(outgoing: Outgoing) -> str:
    """Where the contact wants to be written to."""
    return "" if outgoing.contact is None else outgoing.contact.address.strip()


def is_web(address: str) -> bool:
    """Whether this is a URL of a web server."""
    return _WEB.match(address) is not None


def is_webhook(address: str, hosts: Iterable[str]) -> bool:
    """Whether this is a URL at one of the hosts (`.example.com`: or at any below)."""
    if not is_web(address):
        return False
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    return any(host.endswith(one) if one.startswith(".") else host == one for one in hosts)


def webhook_of(outgoing: Outgoing, default_url: str, hosts: Iterable[str]) -> Destination | None:
    """The webhook that the contact brings, where it is at one of the service's hosts; else the integration's."""
    if is_webhook(address := address_of(outgoing), hosts):
        return Destination(url=address, own=True)
    return Destination(url=default_url, own=False) if default_url else None


def lost(own: bool, detail: str) -> Gone | Misconfigured:
    """What a destination that is no longer there means: only the contact's own can be given up for good."""
    return Gone(detail=detail) if own else Misconfigured(detail=f"the default destination: {detail}")


def closed(own: bool, detail: str) -> Rejected | Misconfigured:
    """What a destination means that takes nothing from us as it is set up now."""
    return Rejected(detail=detail) if own else Misconfigured(detail=f"the default destination: {detail}")


def webhook_outcome(reply: HttpReply, own: bool, *, known: bool = True) -> Outcome:
    """What the answer of a webhook means where its service says nothing more exact. `own`: the contact's own URL;
    `known`: what is said with a 2xx is what the service says, not somebody's page of welcome."""
    if reply.status in LOST:
        return lost(own, f"the webhook is gone or closed to us (status {reply.status})")
    outcome = outcome_of(reply)
    if isinstance(outcome, Accepted) and not (known or reply.cut):
        return Unknown(detail="an answer that is not the service's: check the URL of the webhook")
    return outcome


def wait_s(wish: object, reply: HttpReply) -> float | None:
    """How long the service wants us to wait: what its JSON says in seconds, else `Retry-After`."""
    if isinstance(wish, int | float) and 0 <= wish <= LONGEST_WAIT_S:
        return float(wish)
    return reply.retry_after_s


def web_url(url: str) -> str:
    """The URL with everything encoded that is no part of one (RFC 3986); empty when it does not lead to the web."""
    if not is_web(url):
        return ""
    encoded = quote(url, safe=_URL_SAFE)
    return encoded if len(encoded) <= URL_CHARS else ""


def as_it_is(text: str) -> str:
    """For places where nothing is interpreted."""
    return text


def unmentioning(text: str) -> str:
    """Text in which `@channel` and the like look the same and mention nobody."""
    return _outside_addresses(text, _unmentioned)


def markdown(text: str) -> str:
    """Markdown (of Discord and Mattermost) that shows the text as it is."""
    return _outside_addresses(text, lambda part: _unmentioned(_escaped(part)))


def buttons(actions: Iterable[Action]) -> Iterator[tuple[str, str]]:
    """What is on each button and where it leads; without the buttons that say nothing or do not lead to the web."""
    for action in actions:
        if (label := words(action.label)) and (url := web_url(action.url)):
            yield label, url


def answers(actions: Iterable[Action]) -> Iterator[tuple[str, str]]:
    """What is on each button that answers the message, and what it is pressed by."""
    for action in actions:
        if (label := words(action.label)) and action.id:
            yield label, action.id


def words(text: str) -> str:
    """The text without blanks around it; empty when there is nothing to see in it."""
    return text.strip() if text.strip(_UNSEEN) else ""


def links(actions: Iterable[Action], room: Room, most: int) -> str:
    """Markdown links, for services whose webhooks cannot have buttons; each whole or not at all."""
    within = Room(min(most, room.left))
    written: list[str] = []
    for label, url in buttons(actions):
        shown = Room(LINK_CHARS).text(label, LINK_CHARS, markdown)
        if link := within.whole(f"[{shown}]({url})  "):
            written.append(link)
    line = "".join(written).rstrip()
    room.left -= len(line)
    return line


def units(text: str) -> int:
    """Length as chat services count it: in UTF-16 code units, an emoji being two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def json_bytes(text: str) -> int:
    """Length inside a JSON document."""
    return len(msgspec.json.encode(text)) - 2


class Room:
    """What is left of a limit that several texts share."""

    def __init__(self, size: int, measure: Callable[[str], int] = units) -> None:
        self.left = size
        self._measure = measure

    def text(self, text: str, most: int, write: Write = as_it_is) -> str:
        """`write(text)`, cut with an ellipsis where it does not fit."""
        limit = min(most, self.left)
        written = write(text[: limit + 1])
        if len(text) > limit or self._measure(written) > limit:
            written = self._cut(text, limit, write)
        self.left -= self._measure(written)
        return written

    def whole(self, text: str) -> str:
        """The text, or nothing when it does not fit."""
        size = self._measure(text)
        if size > self.left:
            return ""
        self.left -= size
        return text

    def link(self, url: str) -> str:
        """`web_url(url)`, whole or not at all."""
        return self.whole(web_url(url))

    def facts(
        self, fields: Mapping[str, str], most: int, sizes: tuple[int, int], write: Write = as_it_is
    ) -> list[tuple[str, str]]:
        """At most `most` labels and values of at most `sizes`, as far as there is room. None is empty; a last one says
        how many are left out."""
        told = [(words(label), words(value)) for label, value in fields.items()]
        told = [(label, value) for label, value in told if label or value]
        facts: list[tuple[str, str]] = []
        self.left -= SIGN_CHARS
        for label, value in told if len(told) <= most else told[: most - 1]:
            if self.left < FACT_CHARS:
                break
            name = self.text(label, sizes[0], write) or ZERO_WIDTH_SPACE
            facts.append((name, self.text(value, sizes[1], write) or ZERO_WIDTH_SPACE))
        self.left += SIGN_CHARS
        if (missing := len(told) - len(facts)) and (sign := self.whole(f"{ELLIPSIS}+{missing}")):
            facts.append((sign[:1], sign[1:]))
        return facts

    def _cut(self, text: str, limit: int, write: Write) -> str:
        def size(end: int) -> int:
            return self._measure(write(text[:end].rstrip() + ELLIPSIS))

        ends = cuts(text, min(limit, len(text) - 1))
        fitting = bisect_right(ends, limit, key=size)
        return write(text[: ends[fitting - 1]].rstrip() + ELLIPSIS) if fitting else ""


def _outside_addresses(text: str, write: Write) -> str:
    """`write` what is no bare web address; addresses stay, and an `@` in one is encoded."""
    parts = _BARE.split(text)
    return "".join(part.replace("@", "%40") if n % 2 else write(part) for n, part in enumerate(parts))


def _unmentioned(text: str) -> str:
    return _MENTION.sub(rf"\g<0>{ZERO_WIDTH_SPACE}", text)


def _escaped(text: str) -> str:
    text = _MARKUP.sub(r"\\\g<0>", text)
    text = _INDENT.sub(lambda indent: _NO_BREAK_SPACE * len(indent[0]), text)
    return _LINE_MARKUP.sub(r"\1\\\2", text)
