"""How much a push takes at each service, and how it is made to fit."""

from __future__ import annotations

import pytest

from clarion.model.content import DeviceOptions, LiveOptions, PushContent
from clarion.model.ids import Instant, MessageId
from clarion.model.live_update import LiveEvent, LiveUpdate
from clarion.model.push import (
    APNS_BYTES,
    FCM_BYTES,
    MOST_BYTES,
    activity_payload,
    apns_payload,
    fcm_bytes,
    fcm_data,
    fcm_notification,
    fitted,
    push_bytes,
    push_payload,
)

MESSAGE = MessageId(bytes(16))
IMAGE = "https://a.example/" + "i" * 1_900
LIVE = LiveUpdate(id=bytes(16), key="order-1", event=LiveEvent.START, sequence=1, at=Instant(10**12))


def taken(content: PushContent) -> list[tuple[int, int]]:
    """Per service, how much it takes and may take."""
    live = None if content.live is None else LIVE
    sizes = [
        (len(push_payload(content, MESSAGE, live=live)), MOST_BYTES),
        (len(apns_payload(content, MESSAGE, live)), APNS_BYTES),
        (fcm_bytes(fcm_data(content, MESSAGE, live), fcm_notification(content)), FCM_BYTES),
    ]
    if live is not None:
        sizes.append((len(activity_payload(content, live, starts=True, message=MESSAGE)), APNS_BYTES))
    return sizes


@pytest.mark.parametrize(
    "content",
    [
        PushContent(title="Short", body="and well"),
        PushContent(title="x", body="y" * 6_000),
        PushContent(title="x", body="\u00fc" * 6_000),
        PushContent(title="x", body="\U0001f469\u200d\U0001f680" * 900, url="https://a.example/"),
        PushContent(title="x", body='"\n' * 3_000, data={"n": 1, "text": "z" * 500}),
        PushContent(title="x", body="y" * 500, image=IMAGE),
        PushContent(title="x", body="y" * 5_000, device=DeviceOptions(subtitle="s" * 300, badge=3)),
        PushContent(title="x", body="y" * 5_000, live=LiveOptions(attributes={"a": "b" * 900}, progress=0.5)),
    ],
)
def test_a_body_is_cut_until_every_service_takes_the_push(content):
    """Between visible characters, with an ellipsis; everything else stays."""
    fits = fitted(content)
    assert push_bytes(fits) <= MOST_BYTES
    assert all(size <= most for size, most in taken(fits))
    assert fits.title == content.title
    if fits is not content:
        assert push_bytes(content) > MOST_BYTES
        assert fits.body.endswith("\u2026")
        assert content.body.startswith(fits.body[:-1])
        assert push_bytes(fits) > MOST_BYTES - 100


def test_a_push_that_fits_stays_as_it_is():
    """The very same."""
    content = PushContent(title="Hello", body="World")
    assert fitted(content) is content


def test_what_is_too_large_without_its_body_is_left_to_be_refused():
    """Nobody can tell what of the data could be left out."""
    content = PushContent(title="x", body="y", data={"z": "z" * 5_000})
    assert fitted(content) is content


def test_what_takes_most_room_at_fcm_is_counted_as_fcm_does():
    """The link of an image counts twice there: once in what is shown, once in the data."""
    content = PushContent(title="x", image="https://a.example/" + "i" * 2_100)
    assert len(apns_payload(content, MESSAGE)) < APNS_BYTES
    assert push_bytes(content) > MOST_BYTES


def test_a_cut_hides_no_half_of_a_character():
    """A family of people is one character."""
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    fits = fitted(PushContent(title="x", body=family * 400))
    assert fits.body.removesuffix("\u2026") == family * (len(fits.body) // len(family))
