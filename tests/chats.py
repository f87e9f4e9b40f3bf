"""Chat messages to give to a provider, and what it would send for them."""

import msgspec

from clarion.adapters.http import Call
from clarion.model.channel import Channel, Lane
from clarion.model.content import Action, ChatContent
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo
from clarion.model.message import Message
from clarion.model.status import Status
from clarion.model.user import Contact, Profile, User
from clarion.ports.provider import Outgoing

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
    message = Message(
        id=MessageId(bytes(16)),
        tenant=TenantId(1),
        user=UserNo(1),
        event_id=EventId(bytes(16)),
        event_seq=1,
        workflow="shipped",
        workflow_version=1,
        category="orders",
        step="send",
        template="shipped",
        channel=Channel.CHAT,
        lane=Lane.NORMAL,
        status=Status.QUEUED,
        created_at=Instant(0),
    )
    user = User(no=UserNo(1), tenant=TenantId(1), id="ada", key=bytes(32), profile=Profile())
    return Outgoing(
        message=message,
        user=user,
        contact=Contact(channel=Channel.CHAT, address=address),
        content=content,
    )


def body(call: object) -> dict:
    """The JSON document of a request."""
    assert isinstance(call, Call), f"{call!r} is no request"
    return msgspec.json.decode(call.body)


def texts(value: object) -> list[str]:
    """Every string in a document, keys left out."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for one in inner for text in texts(one)]
