"""The page acts without a password, so only a browser on this machine, on the page itself, may use it."""

import pytest

from clarion.dashboard.guard import COOKIE, PageGuard
from clarion.dashboard.request import PageRequest

GUARD = PageGuard(b"secret")
SECRET = b"secret".hex()


def refusal(cookie=f"{COOKIE}={SECRET}", **headers: str) -> str | None:
    given = {
        "host": "127.0.0.1:8080",
        "cookie": cookie,
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    return GUARD.refusal(PageRequest(method="POST", path="/ui/send", headers=given, query={}))


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "localhost"])
def test_the_page_of_this_machine_is_served(host):
    """By any name of the machine itself."""
    assert refusal(host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.7", ""]
)
def test_a_foreign_name_is_refused(host):
    """A site that rebinds its name to this address keeps its own name, and stays outside."""
    assert "localhost" in (refusal(host=host) or "")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_is_refused(site):
    """The browser says where a request comes from."""
    assert refusal(sec_fetch_site=site)


def test_another_origin_is_refused():
    """Also in a browser that does not say more than that."""
    assert refusal(origin="http://evil.example")
    assert refusal(origin="http://127.0.0.1:9999")
    assert refusal(origin="null")
    assert refusal(origin="http://127.0.0.1:8080") is None


@pytest.mark.parametrize("cookie", ["", "other=1", f"{COOKIE}=wrong", f"{COOKIE}="])
def test_a_request_without_the_cookie_of_the_page_is_refused(cookie):
    """A program that merely knows the address gets nothing."""
    assert "load it again" in (refusal(cookie=cookie) or "")


def test_the_cookie_stays_where_it_belongs():
    """No script reads it, no other site sends it."""
    assert {"HttpOnly", "SameSite=Strict", "Path=/ui/"} <= set(GUARD.cookie().split("; "))
