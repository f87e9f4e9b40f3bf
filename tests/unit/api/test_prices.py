"""What messages cost: exact money, by channel and place."""

import pytest

from clarion.model.setup import Scope


def euro(amount: str) -> dict[str, str]:
    """An amount in euros."""
    return {"amount": amount, "currency": "EUR"}


async def test_a_price_list_is_replaced_and_changed_row_by_row(admin):
    """PUT is the whole truth; PATCH adds and takes out; amounts come back as they were written."""
    assert await admin.ok("GET", "/v1/prices") == {"sms": {}}
    whole = {"sms": {"DE": euro("0.0750"), "+1787": euro("0.02")}}
    assert await admin.ok("PUT", "/v1/prices", whole) == whole
    changed = await admin.ok("PATCH", "/v1/prices", {"sms": {"+1787": None, "FR": euro("0.1")}})
    assert changed == {"sms": {"DE": euro("0.0750"), "FR": euro("0.1")}}
    assert await admin.ok("GET", "/v1/prices") == changed
    named = await admin.ok("PATCH", "/v1/tenant", {"name": "Acme"})
    assert "prices" not in named
    assert await admin.ok("GET", "/v1/prices") == changed
    assert await admin.ok("PUT", "/v1/prices", {}) == {"sms": {}}


@pytest.mark.parametrize(
    ("table", "pointer"),
    [
        ({"sms": {"Germany": euro("1")}}, "#/sms/Germany"),
        ({"sms": {"XX": euro("1")}}, "#/sms/XX"),
        ({"sms": {"+0": euro("1")}}, "#/sms/+0"),
        ({"sms": {"DE": euro("-1")}}, "#/sms/DE/amount"),
        ({"sms": {"DE": euro("1e3")}}, "#/sms/DE/amount"),
        ({"sms": {"DE": euro("0,07")}}, "#/sms/DE/amount"),
        ({"sms": {"DE": euro("NaN")}}, "#/sms/DE/amount"),
        ({"sms": {"DE": euro("1000001")}}, "#/sms/DE/amount"),
        ({"sms": {"DE": {"amount": "1", "currency": "Euro"}}}, "#/sms/DE/currency"),
        ({"sms": {f"+1{n}": euro("1") for n in range(2001)}}, "#/sms"),
        ({"email": {"DE": euro("1")}}, "#/email"),
    ],
)
async def test_a_price_that_cannot_be_meant_is_refused_at_its_place(admin, table, pointer):
    """By PUT and by PATCH, and nothing is changed."""
    for method in ("PUT", "PATCH"):
        shown = await admin.problem(method, "/v1/prices", table)
        assert (shown["status"], shown["errors"][0]["pointer"]) == (400, pointer)
    assert await admin.ok("GET", "/v1/prices") == {"sms": {}}


async def test_a_number_is_no_amount(admin):
    """Money is never a floating point number."""
    shown = await admin.problem("PUT", "/v1/prices", {"sms": {"DE": {"amount": 0.075, "currency": "EUR"}}})
    assert shown["status"] == 400


async def test_only_an_admin_changes_prices(clarion):
    """Whoever may read sees them."""
    sender = await clarion.client(Scope.SEND)
    assert await sender.ok("GET", "/v1/prices") == {"sms": {}}
    assert (await sender.problem("PUT", "/v1/prices", {}))["status"] == 403
