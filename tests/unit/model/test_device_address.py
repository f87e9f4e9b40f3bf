"""Addresses of phones: the service first, then what it calls the device."""

import pytest

from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.device_address import plain_device_address, read_device_address, service_of
from clarion.rules.validation import plain_address

TOKEN = "ab" * 32


@pytest.mark.parametrize(
    ("address", "service", "app", "token"),
    [
        (f"apns:{TOKEN}", "apns", "", TOKEN),
        (f"apns-sandbox:{TOKEN.upper()}", "apns-sandbox", "", TOKEN),
        (f"apns:com.example.app/{TOKEN}", "apns", "com.example.app", TOKEN),
        ("fcm:bk3RNwTe3H0:CI2k_HHw-gIpo", "fcm", "", "bk3RNwTe3H0:CI2k_HHw-gIpo"),
        ("fcm-topic:news", "fcm-topic", "", "news"),
        ("fcm-condition:'a' in topics", "fcm-condition", "", "'a' in topics"),
        ("hms:IQAAAACy0p2tAABd1h~x.y|z", "hms", "", "IQAAAACy0p2tAABd1h~x.y|z"),
        ("expo:ExponentPushToken[a-B_1]", "expo", "", "ExponentPushToken[a-B_1]"),
        ("expo:ExpoPushToken[a]", "expo", "", "ExpoPushToken[a]"),
        ("ntfy:orders_of-ada", "ntfy", "", "orders_of-ada"),
    ],
)
def test_an_address_has_a_service_and_a_token(address, service, app, token):
    """And where one key serves several apps, the app."""
    read = read_device_address(address)
    assert (read.service, read.app, read.token) == (service, app, token)
    assert plain_device_address(plain_device_address(address)) == plain_device_address(address)


@pytest.mark.parametrize(
    ("address", "live", "app", "token", "activity"),
    [
        (f"apns-start:{TOKEN}", "", "", TOKEN, ""),
        (f"apns-sandbox-start:com.example.app/{TOKEN}", "", "com.example.app", TOKEN, ""),
        (f"apns-activity:order-1/{TOKEN.upper()}", "order-1", "", TOKEN, ""),
        (f"apns-activity:o.1:2/com.example.app/{TOKEN}", "o.1:2", "com.example.app", TOKEN, ""),
        ("apns-channel:game-1/dHN0/LXNy+Y2g==", "game-1", "", "dHN0/LXNy+Y2g==", ""),
        ("apns-channel:game-1/com.example.app/dHN0LXNyY2g=", "game-1", "com.example.app", "dHN0LXNyY2g=", ""),
        (f"fcm-start:bk3RNwTe3H0:CI2k/{TOKEN}", "", "", "bk3RNwTe3H0:CI2k", TOKEN),
        (f"fcm-activity:order-1/bk3RNwTe3H0:CI2k/{TOKEN}", "order-1", "", "bk3RNwTe3H0:CI2k", TOKEN),
    ],
)
def test_a_live_activity_has_addresses_of_its_own(address, live, app, token, activity):
    """Those that belong to one activity name the live resource it shows."""
    read = read_device_address(address)
    assert (read.live, read.app, read.token, read.activity) == (live, app, token, activity)
    assert read.is_of_activity
    assert read.starts is (live == "")
    assert plain_device_address(address).lower() == address.lower()


@pytest.mark.parametrize(
    "address",
    ["", "device-of-ada", "hmss:token-12345", '{"endpoint": "x"}', "https://a.example", "sms:1", "apns"],
)
def test_other_addresses_name_no_service(address):
    """They are for other providers, as before."""
    assert service_of(address) == ""
    with pytest.raises(ValueError, match="names no push service"):
        read_device_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "apns:",
        "apns:xyz",
        f"apns:/{TOKEN}",
        f"apns:{TOKEN}\n",
        "fcm:short",
        "fcm-topic:/topics/news",
        "fcm: x" * 3,
        "hms:short",
        "expo:PushToken[a]",
        "expo:ExponentPushToken[a]]",
        "ntfy:a/b",
        f"apns-activity:{TOKEN}",
        "apns-channel:game-1",
        f"fcm-start:{TOKEN}",
        "fcm-activity:order-1/bk3RNwTe3H0:CI2k",
    ],
)
def test_a_broken_one_is_refused_where_addresses_come_in(address):
    """With the place, and what comes behind the service."""
    with pytest.raises(InvalidInput, match="behind") as refused:
        plain_address(Channel.PUSH, address, "#/contacts/0/address")
    assert refused.value.pointer == "#/contacts/0/address"


def test_one_device_is_stored_in_one_spelling():
    """A token of APNs is hexadecimal, in whichever case an app writes it."""
    assert plain_address(Channel.PUSH, f"apns:{TOKEN.upper()}", "") == f"apns:{TOKEN}"
