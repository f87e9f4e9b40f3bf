"""Chat messages to give to a provider, and what it would send for them."""

from typing import Any

import msgspec

from clarion.adapters.http import HttpRequest
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.content import Action, ChatContent
from clarion.model.outcome import Outcome
from clarion.model.outgoing import Outgoing
from clarion.testing.ports import provider_tools
from tests import outgoing as made

_ENTROPY = SystemRandom()
TOOLS = msgspec.structs.replace(
    provider_tools(SystemClock(), _ENTROPY, LocalVault(bytes(32), _ENTROPY)),
    allowed_networks=("127.0.0.0/8",),
)
"""What a provider is lent; servers of tests may be called."""
HOSTILE = (
    "@everyone @here @channel @ada <!channel> <!here|x> <@U024BE7LH> <#C123> <https://evil.example|your bank> "
    "[your bank](https://evil.example) <b>x</b> *b* _i_ ~s~ `c` ||spoiler|| <at>Ada</at> </a> &lt;!channel&gt;"
)
"""What somebody might write to be read as more than text."""

FULL = ChatContent(
    title="Order 1042",
    text="On its way\nArrives tomorrow",
    url="https://shop.example/orders/1042",
    image="https://shop.example/van.png",
    fields={"Carrier": "Parcel & Co", "Items": "3"},
    actions=(Action(label="Track", url="https://shop.example/track?a=1&b=2"), Action(label="Help")),
)
HARMFUL = ChatContent(
    title=HOSTILE,
    text=HOSTILE,
    url="javascript:alert(1)",
    image="data:image/png;base64,AAAA",
    fields={HOSTILE: HOSTILE},
    actions=(Action(label=HOSTILE, url='https://shop.example/)](https://evil.example) <!channel> "x'),),
)


def outgoing(content: ChatContent, address: str = "someone") -> Outgoing:
    """One message to one contact."""
    return made.outgoing(content, channel=Channel.CHAT, address=address)


def request(built: HttpRequest | Outcome) -> HttpRequest:
    """What would be sent, when it is not refused."""
    assert isinstance(built, HttpRequest), f"{built!r} is no request"
    return built


def body(built: HttpRequest | Outcome) -> dict[str, Any]:
    """The JSON document of a request."""
    document: dict[str, Any] = msgspec.json.decode(request(built).body)
    return document


def texts(value: object) -> list[str]:
    """Every string in a document, keys left out."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for one in inner for text in texts(one)]
