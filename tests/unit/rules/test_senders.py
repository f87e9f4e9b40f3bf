"""Who a text message is from in the country it goes to, and what is known to be undeliverable there."""

import pytest

from clarion.model.channel import Channel
from clarion.model.setup import Integration
from clarion.rules.senders import SenderKind, kind_of, obstacle, sender_for


def texts(senders: dict[str, str | None], **config: str) -> Integration:
    """An integration with these senders."""
    return Integration(key="texts", channel=Channel.SMS, provider="twilio", config=config, senders=senders)


@pytest.mark.parametrize(
    ("sender", "kind"),
    [
        ("Example", SenderKind.NAME),
        ("MY SHOP 24", SenderKind.NAME),
        ("38080", SenderKind.SHORT_CODE),
        ("+18005550006", SenderKind.TOLL_FREE),
        ("+15005550006", SenderKind.OTHER),
        ("MG0123456789abcdef0123456789abcdef", SenderKind.OTHER),
        ("pool-0123456789abcdef", SenderKind.OTHER),
        ("", SenderKind.OTHER),
    ],
)
def test_a_sender_says_what_it_is(sender, kind):
    """The ids of pools and services are none of the kinds that have rules."""
    assert kind_of(sender) is kind


@pytest.mark.parametrize(
    ("senders", "country", "chosen"),
    [
        ({}, "DE", "Default"),
        ({"US": "+15005550006"}, "DE", "Default"),
        ({"US": "+15005550006"}, "US", "+15005550006"),
        ({"US": "+15005550006", "*": "Other"}, "DE", "Other"),
        ({"IN": None, "*": "Other"}, "IN", None),
        ({"*": None, "DE": "Example"}, "FR", None),
        ({"*": None, "DE": "Example"}, "DE", "Example"),
        ({"*": "Other"}, "", "Other"),
    ],
)
def test_the_country_goes_first_then_everywhere_then_the_settings(senders, country, chosen):
    """Null sends nothing there."""
    assert sender_for(texts(senders, sender="Default"), country) == chosen


@pytest.mark.parametrize(
    ("sender", "country", "said"),
    [
        ("Example", "US", "carriers in US deliver no text messages from a name: set `senders.US`"),
        ("Example", "CA", "carriers in CA deliver no text messages from a name"),
        ("Example", "DE", ""),
        ("+18005550006", "DE", "a toll-free number reaches the United States and Canada only"),
        ("+18005550006", "US", ""),
        ("+18005550006", "CA", ""),
        ("38080", "US", ""),
        ("+15005550006", "US", ""),
        ("", "US", ""),
        (None, "IN", "the integration has no sender for IN"),
        (None, "", "the integration has no sender for an unknown country"),
    ],
)
def test_what_cannot_arrive_is_known_before(sender, country, said):
    """And nothing is said against what can."""
    found = obstacle(sender, country)
    assert found.startswith(said) if said else not found
