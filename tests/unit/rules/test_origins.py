"""Which pages may work with a user's own token."""

import pytest

from clarion.rules.origins import Origins, is_origin

HOST = "notify.example"


@pytest.mark.parametrize(
    ("origin", "host", "fine"),
    [
        ("", HOST, True),
        ("https://notify.example", HOST, True),
        ("https://Notify.Example", HOST, True),
        ("https://notify.example:443", HOST, True),
        ("https://notify.example", f"{HOST}:443", True),
        ("http://notify.example:80", HOST, True),
        ("https://notify.example:80", HOST, False),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://127.0.0.1:3000", "127.0.0.1:8080", False),
        ("https://shop.example", HOST, True),
        ("https://SHOP.example/", HOST, True),
        ("http://shop.example", HOST, False),
        ("https://shop.example:444", HOST, False),
        ("https://x.shop.example", HOST, False),
        ("https://shop.example.evil.example", HOST, False),
        ("https://evil.example", HOST, False),
        ("null", HOST, False),
        ("null", "null", False),
        ("https://", "", False),
        ("file://", "", False),
        ("https://evil.example/shop.example", HOST, False),
        ("https://shop.example@evil.example", HOST, False),
    ],
)
def test_the_own_host_and_the_list_may(origin, host, fine):
    """Scheme, host and port as a whole; nothing that only looks like them."""
    assert Origins(("https://shop.example",)).allows(origin, host) is fine


def test_the_public_address_may_also_behind_a_proxy_that_changes_the_host():
    """What people type is their own host, whatever the proxy asks for."""
    origins = Origins(own="https://notify.example")
    assert origins.allows("https://notify.example", "10.0.0.7:8080")
    assert not origins.allows("http://notify.example", "10.0.0.7:8080")


@pytest.mark.parametrize(
    ("origin", "here"),
    [
        ("http://localhost:3000", True),
        ("https://localhost", True),
        ("http://app.localhost:5173", True),
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9:3000", True),
        ("http://[::1]:3000", True),
        ("http://localhost.evil.example", False),
        ("http://evil-localhost", False),
        ("http://192.168.1.5:3000", False),
        ("http://0.0.0.0:3000", False),
        ("file://localhost", False),
        ("null", False),
    ],
)
def test_in_development_every_page_of_this_machine_may(origin, here):
    """And in production none."""
    assert Origins(loopback=True).allows(origin, "127.0.0.1:8080") is here
    assert not Origins().allows(origin, "127.0.0.1:8080")


def test_what_is_no_origin_cannot_be_allowed():
    """A setting that would never match is a mistake."""
    for good in ("*", "https://shop.example", "https://shop.example/", "http://[::1]:3000", "http://a:1"):
        assert is_origin(good), good
    for wrong in (
        "shop.example",
        "https://",
        "https://shop.example/inbox",
        "https://*.shop.example/x",
        "null",
    ):
        assert not is_origin(wrong), wrong
