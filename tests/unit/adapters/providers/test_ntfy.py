"""ntfy as a provider: what is published, and what is not said by the status."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from clarion.adapters.http import HttpReply, HttpRequest
from clarion.adapters.providers.ntfy import NtfyConfig, build, check_pong, read
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import Action, DeviceOptions, PushContent
from clarion.model.outcome import Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from tests import outgoing as made
from tests.vendors.ntfy import refused

HELLO = PushContent(
    title="Parcel",
    body="It is here",
    url="https://shop.example/1",
    image="https://shop.example/1.png",
    actions=(
        Action(label="Track", url="https://shop.example/track"),
        Action(label="Later", url=""),
        Action(label="", url="https://shop.example/x"),
    ),
)


def push(content: PushContent = HELLO, address: str = "ntfy:orders-of-ada", **more: Any) -> Outgoing:
    return made.outgoing(content, channel=Channel.PUSH, address=address, **more)


def asked(outgoing: Outgoing, **settings: Any) -> HttpRequest | Outcome:
    return build(msgspec.convert({"url": "https://ntfy.example.com/", **settings}, NtfyConfig), outgoing)


def sent(outgoing: Outgoing) -> dict[str, Any]:
    """What is published."""
    built = asked(outgoing)
    assert isinstance(built, HttpRequest), built
    assert built.url == "https://ntfy.example.com/"
    body: dict[str, Any] = json.loads(built.body)
    return body


def answered(answer: Any) -> HttpReply:
    return HttpReply(status=answer.status, headers=answer.headers, body=answer.body)


def test_the_whole_message_is_published_as_json():
    """https://docs.ntfy.sh/publish/#publish-as-json; a button without a link has no use there."""
    assert sent(push()) == {
        "topic": "orders-of-ada",
        "title": "Parcel",
        "message": "It is here",
        "priority": 3,
        "click": "https://shop.example/1",
        "attach": "https://shop.example/1.png",
        "actions": [{"action": "view", "label": "Track", "url": "https://shop.example/track", "clear": True}],
    }


def test_a_title_alone_is_the_message():
    """An empty one would be shown as `triggered`."""
    body = sent(push(PushContent(title="Parcel")))
    assert body["message"] == "Parcel"
    assert "title" not in body


@pytest.mark.parametrize(
    ("lane", "priority"), [(Lane.CRITICAL, 5), (Lane.HIGH, 4), (Lane.NORMAL, 3), (Lane.BULK, 2)]
)
def test_the_lane_is_the_priority(lane, priority):
    """5 rings until somebody looks."""
    assert sent(push(lane=lane))["priority"] == priority


@pytest.mark.parametrize(
    "outgoing",
    [
        push(PushContent(title="x", body="ä" * 2_049)),
        push(PushContent(title="x", device=DeviceOptions(background=True))),
        push(address="fcm:token-12345"),
    ],
)
def test_what_ntfy_cannot_show_is_not_sent(outgoing):
    """A longer text would become a file, and nothing can be sent unseen."""
    assert isinstance(asked(outgoing), Rejected)


def test_a_topic_that_is_closed_is_no_trouble_of_the_others():
    """Somebody else may have reserved it."""
    for answer in (refused(40301, "forbidden"), refused(50701, "no subscriber")):
        outcome = read(push(), answered(answer))
        assert isinstance(outcome, Retry)
        assert outcome.of_address is True


def test_a_check_says_what_is_wrong():
    """The token, or the server."""
    check_pong(HttpReply(status=200, headers={}, body=b'{"healthy":true}'))
    with pytest.raises(ConfigError, match="token"):
        check_pong(answered(refused(40101, "unauthorized")))
    with pytest.raises(Unavailable, match="404"):
        check_pong(HttpReply(status=404, headers={}, body=b""))
