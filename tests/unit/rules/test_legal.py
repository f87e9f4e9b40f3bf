"""Legal rules of the reader's country: which hold for whom, and what they say."""

from pathlib import Path

import phonenumbers
import pytest
from msgspec.structs import replace
from phonenumbers import geocoder

from clarion.model.channel import Channel
from clarion.model.device import Device, Platform
from clarion.model.setup import Category, ConsentRule, Law, Tracking
from clarion.model.status import Reason
from clarion.model.user import Contact, Profile
from clarion.rules import legal, places
from clarion.rules.phone_numbers import is_country
from clarion.rules.time_format import rfc3339
from tests.unit.rules.examples import TENANT, at, decide, person, said

SMS = Channel.SMS
SALE = Category(key="orders", law=Law.MARKETING, consent=ConsentRule.OPT_OUT)
NEW_YORK, BERLIN = "+12125550123", "+4915112345678"


def legal_states() -> list[str]:
    """The rules of states."""
    return [rule.id for rule in legal.rules() if rule.states]


def phone(number: str) -> Contact:
    return Contact(channel=SMS, address=number, hash=number.encode())


def reader(number: str, zone: str = "", **more) -> Profile:
    return Profile(contacts=(phone(number),), timezone=zone, **more)


COMPARED = {"text": "with its text", "summary": "with summaries", "no": "not compared"}


def test_the_reference_lists_every_rule_with_its_countries_and_what_it_was_compared_with():
    """Whoever reads it sees all that is applied, and how much of it somebody has checked."""
    page = Path("docs/reference/legal-rules.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line.split("|") for line in page.splitlines() if line.startswith("| `")}
    assert rows.keys() >= {rule.id for rule in legal.rules()}
    for rule in legal.rules():
        _, _, places_, says, source, compared, _ = rows[rule.id]
        listed = "European Union" in places_ or set(places_.replace(" ", "").split(","))
        assert listed in (True, rule.states or rule.countries), rule.id
        assert f"[{rule.law}]({rule.url})" in source, rule.id
        assert compared.strip() == f"{COMPARED[rule.compared]}, {rule.reviewed}", rule.id
        assert all(window.start in says and window.end in says for window in rule.windows), rule.id


def test_every_rule_names_its_law_and_where_it_stands():
    """So that an explanation can, and a person can check it again."""
    assert {one.id for one in legal.rules()} >= {"us-telephone-hours", "fr-pixels", "it-pixels"}
    for rule in legal.rules():
        assert rule.url.startswith("https://"), rule.id
        assert rule.law, rule.id
        assert rule.says.endswith("."), rule.id
        assert all(map(is_country, rule.countries)), rule.id
        assert (rule.kind == "tracking") != bool(rule.channels), rule.id
        assert (rule.kind == "send_window") == bool(rule.windows), rule.id
        assert rule.states <= {state.code for state in legal.states()}, rule.id
        assert {state.partition("-")[0] for state in rule.states} <= rule.countries, rule.id


@pytest.mark.parametrize(
    ("clock", "goes"), [("07:59", False), ("08:00", True), ("20:59", True), ("21:00", False)]
)
def test_marketing_texts_to_the_united_states_go_between_8_and_21(clock, goes):
    """In the reader's local time; what waits goes at 8, and the explanation names the law."""
    now = at(f"2026-03-25 {clock}", "America/New_York")
    user = person(contacts=(phone(NEW_YORK),), zone="America/New_York")
    decided = decide(SMS, user=user, category=SALE, now=now)
    assert (decided.verdict == "send") is goes
    if not goes:
        assert decided.reason is Reason.LEGAL_WINDOW
        assert decided.due_at is not None
        assert rfc3339(decided.due_at)[11:16] == "12:00"
        (verdict,) = [one for one in decided.verdicts if one.rule == "legal_window"]
        assert verdict.inputs["law"] == "47 CFR 64.1200(c)(1), (e)"


@pytest.mark.parametrize(
    ("channel", "category"),
    [
        (Channel.EMAIL, SALE),
        (SMS, Category(key="orders")),
        (SMS, replace(SALE, critical=True, consent=None)),
    ],
)
def test_other_messages_do_not_wait_for_legal_hours(channel, category):
    """Emails, what is no marketing, and critical messages."""
    user = person(zone="America/New_York")
    decided = decide(channel, user=user, category=category, now=at("2026-03-25 03:00", "America/New_York"))
    assert (decided.verdict, said(decided.verdicts, "legal_window")) == ("send", [])


def test_a_number_elsewhere_has_no_such_hours():
    """The rule is that of one country."""
    user = person(contacts=(phone(BERLIN),), zone="Europe/Berlin")
    assert (
        decide(SMS, user=user, category=SALE, now=at("2026-03-25 23:00", "Europe/Berlin")).verdict == "send"
    )


MIAMI, HOUSTON, TOLL_FREE = "+13055550123", "+17135550123", "+18005550123"


@pytest.mark.parametrize(
    ("number", "attributes", "expected"),
    [
        (NEW_YORK, {}, {}),
        (MIAMI, {}, {"us-fl-telephone-hours": "US-FL"}),
        (HOUSTON, {}, {"us-tx-telephone-hours": "US-TX"}),
        (NEW_YORK, {"state": "WA"}, {"us-wa-telephone-hours": "US-WA"}),
        (NEW_YORK, {"state": "us-ok"}, {"us-ok-telephone-hours": "US-OK"}),
        (NEW_YORK, {"state": "Oklahoma"}, {}),
        (MIAMI, {"state": "NY"}, {"us-fl-telephone-hours": "US-FL"}),
        (NEW_YORK, {"postal_code": "21201-1234"}, {"us-md-telephone-hours": "US-MD"}),
        (TOLL_FREE, {"postal_code": "10001"}, {}),
        (BERLIN, {"postal_code": "33101"}, {}),
        (TOLL_FREE, {}, dict.fromkeys(legal_states(), "unknown")),
    ],
)
def test_the_hours_of_a_state_hold_for_whoever_may_be_in_it(number, attributes, expected):
    """By the attributes and by the area code, which may name two; where nobody knows the state, those of all states."""
    one = reader(number, attributes=attributes)
    found = {
        hours.rule: hours.state
        for hours in legal.hours(TENANT, SALE, one, SMS, one.contacts[0])
        if hours.state
    }
    assert found == expected


def test_texts_to_texas_wait_for_noon_on_sundays():
    """And the explanation says whose rule it is, and why it holds."""
    user = person(contacts=(phone(HOUSTON),), zone="America/Chicago")
    sunday = at("2026-03-22 11:59", "America/Chicago")
    decided = decide(SMS, user=user, category=SALE, now=sunday)
    assert decided.due_at == at("2026-03-22 12:00", "America/Chicago")
    closed = [one for one in decided.verdicts if one.rule == "legal_window" and one.result == "defer"]
    assert [(one.inputs["id"], one.inputs["state"]) for one in closed] == [("us-tx-telephone-hours", "US-TX")]


def test_area_codes_are_those_that_the_library_of_numbers_knows():
    """Of each that it can place, it says the same state."""
    names = {
        "Florida": "US-FL",
        "Maryland": "US-MD",
        "Oklahoma": "US-OK",
        "Texas": "US-TX",
        "Washington State": "US-WA",
    }
    ours = {area: state.code for state in legal.states() for area in state.area_codes}
    for area in range(201, 990):
        said = geocoder.description_for_number(phonenumbers.parse(f"+1{area}5550123"), "en")
        state = names.get(said) or f"US-{said[-2:]}"
        if said and (str(area) in ours or state in names.values()):
            assert ours.get(str(area)) == state, area


@pytest.mark.parametrize(
    ("profile", "channel", "expected"),
    [
        (Profile(attributes={"country": "US"}, locale="de-DE"), Channel.EMAIL, ("opt_out", "US")),
        (Profile(locale="en-US", timezone="Europe/Berlin"), Channel.EMAIL, ("required", "DE")),
        (Profile(locale="en-US"), Channel.EMAIL, ("opt_out", "US")),
        (Profile(locale="zh-Hant-TW"), Channel.EMAIL, ("required", "TW")),
        (Profile(), Channel.EMAIL, ("required", "")),
        (reader(BERLIN, attributes={"country": "US"}), SMS, ("required", "DE")),
        (Profile(), Channel.PUSH, ("opt_out", "")),
    ],
)
def test_the_strictest_law_of_all_countries_in_which_a_reader_may_be_asks_for_consent(
    profile, channel, expected
):
    """The attribute says it for sure, but for the number that is called."""
    contact = profile.contacts[0] if profile.contacts else None
    law = legal.consent_law(profile, channel, contact)
    assert (law.rule.value, law.country) == expected


def test_a_tenant_says_whose_law_it_follows():
    """A list of countries; an empty one: none."""
    now = at("2026-03-25 03:00", "America/New_York")
    user = person(contacts=(phone(NEW_YORK),), zone="America/New_York")
    for regions, verdict in ((("DE",), "send"), ((), "send"), (("US",), "defer"), (None, "defer")):
        tenant = replace(TENANT, legal_regions=regions)
        assert decide(SMS, user=user, category=SALE, tenant=tenant, now=now).verdict == verdict


def test_whose_zone_nobody_knows_gets_it_when_it_is_day_wherever_they_may_be():
    """A number of the United States that belongs to no area: from Guam to New York."""
    anywhere = reader("+18005550123")
    country, *of_states = legal.hours(TENANT, SALE, anywhere, SMS, anywhere.contacts[0])
    assert {"America/New_York", "Pacific/Honolulu"} <= set(country.zones)
    assert {hours.rule: hours.zones for hours in of_states}["us-wa-telephone-hours"] == (
        "America/Los_Angeles",
    )
    user = person(contacts=anywhere.contacts, zone="")
    decided = decide(SMS, user=user, category=SALE, now=at("2026-03-25 09:00", "America/New_York"))
    assert decided.reason is Reason.LEGAL_WINDOW
    assert decided.due_at is not None
    assert decide(SMS, user=user, category=SALE, now=decided.due_at).verdict == "send"


def test_a_reader_who_may_be_in_several_countries_has_the_rules_of_all():
    """A German number, and a time zone of the United States: the strictest holds."""
    traveller = reader(BERLIN, "America/Chicago")
    assert places.countries(traveller) == {"DE", "US"}
    assert legal.hours(TENANT, SALE, traveller, SMS, traveller.contacts[0])[0].zones == ("America/Chicago",)
    assert legal.tracking(TENANT, SALE, traveller)[0] is Tracking.AGGREGATE


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (Profile(locale="fr-FR"), (Tracking.AGGREGATE, "eu-terminal-equipment")),
        (Profile(timezone="Europe/Rome"), (Tracking.AGGREGATE, "eu-terminal-equipment")),
        (Profile(locale="en-US"), (Tracking.INDIVIDUAL, "default")),
        (Profile(), (Tracking.AGGREGATE, "fr-pixels")),
    ],
)
def test_without_consent_readers_in_the_union_are_counted_only(profile, expected):
    """And those of whom nobody knows where they are."""
    decided, by = legal.tracking(TENANT, SALE, profile)
    assert decided is expected[0]
    assert (by in {rule.id for rule in legal.rules()}) is (expected[1] != "default")


def test_a_category_says_otherwise_for_a_country_or_for_all():
    """Before the tenant, and both before the law: who sets `individual` there has asked for consent."""
    tenant = replace(TENANT, tracking={"*": Tracking.NONE, "IT": Tracking.AGGREGATE})
    category = replace(SALE, tracking={"FR": Tracking.INDIVIDUAL})
    for tag, expected in (
        ("fr-FR", (Tracking.INDIVIDUAL, "category")),
        ("it-IT", (Tracking.AGGREGATE, "tenant")),
        ("de-DE", (Tracking.NONE, "tenant")),
    ):
        assert legal.tracking(tenant, category, Profile(locale=tag)) == expected


def test_what_the_user_confirmed_comes_before_what_was_detected():
    """Then the device that was registered last, then the number, then the tenant."""
    phone_ = Device(id="p", platform=Platform.IOS, locale="it", timezone="Europe/Rome")
    laptop = Device(id="l", platform=Platform.WEB, locale="fr")
    profile = reader(NEW_YORK, devices=(phone_, laptop))
    assert places.zone(profile, TENANT) == ("Europe/Rome", "device")
    assert places.locale(profile, TENANT) == ("fr", "device")
    confirmed = replace(profile, timezone="Asia/Tokyo", locale="ja")
    assert places.zone(confirmed, TENANT) == ("Asia/Tokyo", "user")
    assert places.locale(confirmed, TENANT) == ("ja", "user")
    assert places.zone(reader(NEW_YORK), TENANT) == ("America/New_York", "phone")
    assert places.zone(reader("+18005550123"), TENANT) == ("UTC", "tenant")
    assert places.locale(Profile(), TENANT) == ("en", "tenant")
