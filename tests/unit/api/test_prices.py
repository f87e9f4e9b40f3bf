"""What messages cost: exact money, by channel and place."""

import pytest

from clarion.model.setup import Scope

EMPTY: dict[str, object] = {"sms": {}, "voice": {}, "whatsapp": {}, "email": {}, "providers": {}}


def euro(amount: str) -> dict[str, str]:
    """An amount in euros."""
    return {"amount": amount, "currency": "EUR"}


async def test_a_price_list_is_replaced_and_changed_row_by_row(admin):
    """PUT is the whole truth; PATCH adds and takes out; amounts come back as they were written."""
    assert await admin.ok("GET", "/v1/prices") == EMPTY
    whole = EMPTY | {"sms": {"DE": euro("0.0750"), "+1787": euro("0.02")}}
    assert await admin.ok("PUT", "/v1/prices", whole) == whole
    changed = await admin.ok("PATCH", "/v1/prices", {"sms": {"+1787": None, "FR": euro("0.1")}})
    assert changed == EMPTY | {"sms": {"DE": euro("0.0750"), "FR": euro("0.1")}}
    assert await admin.ok("GET", "/v1/prices") == changed
    named = await admin.ok("PATCH", "/v1/tenant", {"name": "Acme"})
    assert "prices" not in named
    assert await admin.ok("GET", "/v1/prices") == changed
    assert await admin.ok("PUT", "/v1/prices", {}) == EMPTY


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
        ({"sms": {f"+1{n}": euro("1") for n in range(20_001)}}, "#/sms"),
        ({"email": {"DE": euro("1")}}, "#/email/DE"),
        ({"push": {"*": euro("1")}}, "#/push"),
        ({"providers": {"mailr": {"sms": {"DE": euro("1")}}}}, "#/providers/mailr"),
        ({"providers": {"mailer": {"sms": {"XX": euro("1")}}}}, "#/providers/mailer/sms/XX"),
    ],
)
async def test_a_price_that_cannot_be_meant_is_refused_at_its_place(admin, table, pointer):
    """By PUT and by PATCH, and nothing is changed."""
    for method in ("PUT", "PATCH"):
        shown = await admin.problem(method, "/v1/prices", table)
        assert (shown["status"], shown["errors"][0]["pointer"]) == (400, pointer)
    assert await admin.ok("GET", "/v1/prices") == EMPTY


async def test_a_number_is_no_amount(admin):
    """Money is never a floating point number."""
    shown = await admin.problem("PUT", "/v1/prices", {"sms": {"DE": {"amount": 0.075, "currency": "EUR"}}})
    assert shown["status"] == 400


async def test_only_an_admin_changes_prices(clarion):
    """Whoever may read sees them."""
    sender = await clarion.client(Scope.SEND)
    assert await sender.ok("GET", "/v1/prices") == EMPTY
    assert (await sender.problem("PUT", "/v1/prices", {}))["status"] == 403


CSV = (
    "channel,provider,place,amount,currency\r\n"
    "sms,,DE,0.0750,EUR\r\n"
    "voice,,*,0.2,EUR\r\n"
    "sms,mailer,+49151,0.061,EUR\r\n"
)


async def csv(client, method: str, body: str):
    """A call whose body is CSV."""
    return await client(method, "/v1/prices", content=body.encode(), headers={"content-type": "text/csv"})


async def test_a_price_list_is_exchanged_as_csv(admin):
    """What is read as CSV may be sent back as it is; PATCH changes single lines, and one without an amount goes."""
    assert (await csv(admin, "PUT", CSV)).status_code == 200
    mailer = {"sms": {"+49151": euro("0.061")}, "voice": {}, "whatsapp": {}, "email": {}}
    assert await admin.ok("GET", "/v1/prices") == {
        "sms": {"DE": euro("0.0750")},
        "voice": {"*": euro("0.2")},
        "whatsapp": {},
        "email": {},
        "providers": {"mailer": mailer},
    }
    read = await admin("GET", "/v1/prices", headers={"accept": "text/csv"})
    assert (read.headers["content-type"].partition(";")[0], read.text) == ("text/csv", CSV)
    change = "place;amount;currency;channel\nDE;;;sms\nFR;0.1;EUR;sms\n".replace(";", ",")
    assert (await csv(admin, "PATCH", change)).status_code == 200
    assert (await admin.ok("GET", "/v1/prices"))["sms"] == {"FR": euro("0.1")}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "the first line names the columns; it lacks channel, place, amount, currency"),
        ("channel,place,amount\n", "it lacks currency"),
        (
            "channel,place,amount,currency\nsmms,DE,1,EUR\n",
            "line 2: there is no channel 'smms'; did you mean sms?",
        ),
        ("channel,place,amount,currency\nsms,XX,1,EUR\n", "give a country in two capital letters"),
        ('channel,place,amount,currency\nsms,"DE,1,EUR\n', "is not CSV"),
    ],
)
async def test_csv_that_cannot_be_meant_is_refused_as_a_whole(admin, body, said):
    """Nothing is changed."""
    answer = await csv(admin, "PUT", body)
    assert (answer.status_code, said in answer.json()["detail"]) == (400, True), answer.text
    assert await admin.ok("GET", "/v1/prices") == EMPTY
