"""Devices over the API: logged in and out, moved, listed, and what their push service said of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.setup import Scope
from clarion.model.subscription import plain_subscription, text_of
from clarion.model.suppression import Suppression
from tests.unit.api.conftest import ACME, OTHER

PHONE = "/v1/users/ada/devices/install-1"
APNS = "ab" * 32
ANDROID: dict[str, Any] = {"platform": "android", "token": "bk3RNwTe3H0:CI2k"}
SUBSCRIPTION = plain_subscription(
    msgspec.json.encode(
        {
            "endpoint": "https://push.example/x",
            "keys": {"p256dh": text_of(b"\4" + bytes(64)), "auth": text_of(bytes(16))},
        }
    ).decode()
)


@pytest.fixture
async def bob(admin) -> None:
    """Somebody else."""
    await admin.ok("PUT", "/v1/users/bob", {})


async def test_a_device_is_logged_in_shown_and_logged_out(admin, ada):
    """Every field comes back, absent ones as null."""
    body = {
        **ANDROID,
        "app": "com.example.app",
        "locale": "de-CH",
        "timezone": "Europe/Zurich",
        "app_version": "4.1",
    }
    made = await admin.ok("PUT", PHONE, body)
    assert made.pop("last_seen_at").endswith("Z")
    assert made == {
        "device_id": "install-1",
        "user_id": "ada",
        **body,
        "push_environment": None,
        "live_start_token": None,
        "suppressed": False,
        "last_error": None,
    }
    assert (await admin.ok("GET", PHONE))["token"] == ANDROID["token"]
    await admin.ok("DELETE", PHONE)
    assert (await admin.problem("GET", PHONE))["status"] == 404
    assert (await admin.problem("DELETE", PHONE))["status"] == 404


async def test_a_log_in_moves_the_device_to_its_new_user(admin, ada, bob):
    """And a late log-out of the user before finds nothing."""
    await admin.ok("PUT", PHONE, ANDROID)
    await admin.ok("PUT", "/v1/users/bob/devices/install-1", ANDROID)
    assert (await admin.ok("GET", "/v1/users/ada/devices"))["items"] == []
    assert (await admin.problem("DELETE", PHONE))["status"] == 404
    (listed,) = (await admin.ok("GET", "/v1/devices"))["items"]
    assert (listed["device_id"], listed["user_id"]) == ("install-1", "bob")


async def test_devices_are_listed_newest_first_and_by_user(admin, ada, bob):
    """In pages."""
    for number in range(3):
        await admin.ok("PUT", f"/v1/users/ada/devices/install-{number}", {"platform": "ios"})
    await admin.ok("PUT", "/v1/users/bob/devices/other", {"platform": "ios"})

    async def listed(path: str) -> list[str]:
        found, cursor = [], ""
        while cursor is not None:
            page = await admin.ok("GET", path, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
            found += [one["device_id"] for one in page["items"]]
            cursor = page["next_cursor"]
        return found

    assert await listed("/v1/devices") == ["other", "install-2", "install-1", "install-0"]
    assert await listed("/v1/users/ada/devices") == ["install-2", "install-1", "install-0"]
    by_user = await admin.ok("GET", "/v1/devices", params={"user_id": "bob"})
    assert [one["device_id"] for one in by_user["items"]] == ["other"]


@pytest.mark.parametrize(
    ("body", "address", "shown"),
    [
        ({"platform": "ios", "token": APNS.upper()}, f"apns:{APNS}", (APNS, "production", None)),
        (
            {"platform": "ios", "token": APNS, "app": "com.example.a", "push_environment": "sandbox"},
            f"apns-sandbox:com.example.a/{APNS}",
            (APNS, "sandbox", "com.example.a"),
        ),
        (
            {"platform": "ios", "token": f"apns:com.example.a/{APNS}"},
            f"apns:com.example.a/{APNS}",
            (APNS, "production", "com.example.a"),
        ),
        (
            {"platform": "ios", "token": "fcm:token-12345"},
            "fcm:token-12345",
            ("fcm:token-12345", None, None),
        ),
        ({"platform": "android", "token": "token-12345"}, "fcm:token-12345", ("token-12345", None, None)),
        (
            {"platform": "android", "token": "fcm:token-12345"},
            "fcm:token-12345",
            ("token-12345", None, None),
        ),
        ({"platform": "huawei", "token": "IQAAAACy0p~x"}, "hms:IQAAAACy0p~x", ("IQAAAACy0p~x", None, None)),
        (
            {"platform": "ios", "token": "ExponentPushToken[x]"},
            "expo:ExponentPushToken[x]",
            ("expo:ExponentPushToken[x]", None, None),
        ),
        ({"platform": "web", "token": SUBSCRIPTION}, SUBSCRIPTION, (SUBSCRIPTION, None, None)),
        ({"platform": "android", "token": SUBSCRIPTION}, SUBSCRIPTION, (SUBSCRIPTION, None, None)),
        ({"platform": "ios"}, "", (None, None, None)),
    ],
)
async def test_a_token_becomes_the_address_of_its_push_service(clarion, admin, ada, body, address, shown):
    """What is shown can be sent again, and means the same."""
    made = await admin.ok("PUT", PHONE, body)
    assert (made["token"], made["push_environment"], made["app"]) == shown
    user = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"]
    assert [one.address for one in user.profile.devices] == [address]
    again = {name: made[name] for name in ("platform", "token", "push_environment", "app")}
    await admin.ok("PUT", PHONE, again)
    assert (await clarion.ledger.users.find(ACME, ["ada"]))["ada"].profile.devices == user.profile.devices


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"token": "abc123"}, "#", "platform"),
        ({"platform": "ios", "token": "not hexadecimal"}, "#/token", "hexadecimal"),
        ({"platform": "web", "token": "abc"}, "#/token", "subscription"),
        ({"platform": "android", "token": "fcm-topic:news"}, "#/token", "single device"),
        ({"platform": "android", "token": "ntfy:news"}, "#/token", "single device"),
        ({**ANDROID, "push_environment": "sandbox"}, "#/token", "push_environment"),
        ({"platform": "ios", "push_environment": "sandbox"}, "#/push_environment", "token"),
        ({"platform": "ios", "token": f"apns:a.b/{APNS}", "app": "c.d"}, "#/token", "a.b"),
        (
            {"platform": "ios", "token": f"apns:{APNS}", "push_environment": "sandbox"},
            "#/token",
            "push_environment",
        ),
        ({**ANDROID, "locale": "klingon"}, "#/locale", "language"),
        ({**ANDROID, "timezone": "Mars/Olympus"}, "#/timezone", "time zone"),
        ({**ANDROID, "tokne": "x"}, "#/tokne", "token"),
    ],
)
async def test_a_registration_that_cannot_be_meant_is_refused(admin, ada, body, pointer, says):
    """With the place, and what to do."""
    shown = await admin.problem("PUT", PHONE, body)
    assert shown["status"] == 400
    assert pointer in [one["pointer"] for one in shown["errors"]]
    assert says in str(shown)


async def test_single_fields_change_and_null_takes_back(admin, ada, bob):
    """A device that has moved on is not changed any more."""
    await admin.ok("PUT", PHONE, {**ANDROID, "locale": "de"})
    changed = await admin.ok("PATCH", PHONE, {"locale": "fr", "app_version": "5"})
    assert (changed["locale"], changed["app_version"], changed["token"]) == ("fr", "5", ANDROID["token"])
    assert (await admin.ok("PATCH", PHONE, {"token": None}))["token"] is None
    await admin.ok("PUT", "/v1/users/bob/devices/install-1", ANDROID)
    assert (await admin.problem("PATCH", PHONE, {"locale": "it"}))["status"] == 404


async def test_a_change_can_name_what_it_was_made_from(admin, ada):
    """ETag and If-Match; `If-None-Match: *` only creates."""
    made = await admin("PUT", PHONE, ANDROID, headers={"if-none-match": "*"})
    again = await admin("PUT", PHONE, ANDROID, headers={"if-none-match": "*"})
    assert (made.status_code, again.status_code) == (200, 412)
    tag = (await admin("GET", PHONE)).headers["etag"]
    assert tag == made.headers["etag"]
    assert (await admin("PATCH", PHONE, {"locale": "de"}, headers={"if-match": tag})).status_code == 200
    assert (await admin("PATCH", PHONE, {"locale": "fr"}, headers={"if-match": tag})).status_code == 412


async def test_a_dry_run_moves_nothing(admin, ada, bob):
    """It answers as if it had."""
    await admin.ok("PUT", PHONE, ANDROID)
    path = "/v1/users/bob/devices/install-1"
    await admin("PUT", path, ANDROID, params={"dry_run": "true"})
    assert (await admin.ok("GET", PHONE))["user_id"] == "ada"
    assert (await admin.problem("GET", path))["status"] == 404


async def test_a_suppressed_token_is_shown_and_a_registration_brings_it_back(clarion, admin, ada):
    """As far as its push service had said so."""
    await admin.ok("PUT", PHONE, ANDROID)
    (device,) = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"].profile.devices
    gone = Suppression(
        tenant=ACME, channel=Channel.PUSH, hash=device.hash, reason="address_gone", at=clarion.clock.now()
    )
    await clarion.ledger.suppressions.add([gone])
    assert (await admin.ok("GET", PHONE))["suppressed"]
    assert not (await admin.ok("PUT", PHONE, ANDROID))["suppressed"]


async def test_erasing_a_user_erases_their_devices(admin, ada):
    """From every list."""
    await admin.ok("PUT", PHONE, ANDROID)
    await admin.ok("DELETE", "/v1/users/ada")
    assert (await admin.ok("GET", "/v1/devices"))["items"] == []
    assert (await admin.problem("PUT", PHONE, ANDROID))["status"] == 404


async def test_another_tenant_sees_and_moves_nothing(clarion, admin, ada):
    """The same id is another device there."""
    await admin.ok("PUT", PHONE, ANDROID)
    other = await clarion.client(Scope.ADMIN, OTHER)
    await other.ok("PUT", "/v1/users/ada", {})
    assert (await other.ok("GET", "/v1/devices"))["items"] == []
    await other.ok("PUT", PHONE, ANDROID)
    assert (await admin.ok("GET", PHONE))["user_id"] == "ada"
