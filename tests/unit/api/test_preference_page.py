"""The preference page: what a user sees and saves through a link, without an account and without JavaScript."""

import re
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

import pytest

from clarion.api.preference_form import PageSetup, form_of
from clarion.api.preference_html import PageText, contrast, form_page, style
from clarion.api.preference_page import SAVES_PER_S
from clarion.api.preference_words import PREFERENCE_WORDS
from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import Instant
from clarion.model.setup import Brand, Category, SendAll, Step, Tenant, Workflow
from clarion.model.topic import Topic
from clarion.model.user import Preferences, PreferenceSet, Window
from clarion.rules.preferences import allowed
from clarion.services.preference_pages import EDITABLE_MS
from tests.unit.api.conftest import ACME
from tests.unit.rules.examples import NOON, person

FORM = {"content-type": "application/x-www-form-urlencoded"}
LANGUAGES = {"en", "de", "fr", "es", "pt-BR", "ar", "ja"}


class Fields(HTMLParser):
    """What a browser would send, and what a screen reader would say."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self.labelled: list[bool] = []
        self.headings: list[str] = []
        self.actions: list[str] = []
        self._open: list[str] = []
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("h1", "h2"):
            self.headings.append(tag)
        if tag in ("input", "select") and given.get("type") != "hidden":
            self.labelled.append("label" in self._open)
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.sent.append((given["name"], given.get("value") or ""))
        if tag == "select":
            self._select = given["name"]
        if tag == "option" and "selected" in given:
            self.sent.append((self._select, given["value"]))
        if tag == "button":
            self.actions.append(given["value"])
        if tag not in ("input", "meta"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass


@pytest.fixture
async def link(clarion, admin, ada):
    """The path of ada's page."""
    made = await admin.ok("POST", "/v1/users/ada/pages", {"page": "preferences"})
    assert made["url"].startswith("http")
    return urlsplit(made["url"]).path


@pytest.fixture
def nobody(clarion):
    """A client without a key."""
    return clarion.bearer("")


async def save(nobody, link, *, on=(), off=(), action="save", drop=(), **fields):
    """Open the page, change some fields, and send it."""
    sent = [(name, value) for name, value in Fields((await nobody("GET", link)).text).sent if name != "undo"]
    sent = [(n, v) for n, v in sent if not (n == "on" and v in off) and n not in fields and n not in drop]
    sent += [("on", one) for one in on] + [(n, v) for n, v in fields.items() if v is not None]
    return await nobody("POST", link, content=urlencode([*sent, ("action", action)]), headers=FORM)


async def chosen(clarion) -> Preferences:
    return (await clarion.ledger.users.find(ACME, ["ada"]))["ada"].profile.preferences


async def test_the_page_shows_what_is_in_force_and_changes_nothing(clarion, nobody, link):
    """Every category that sends something, with the channels that reach the user."""
    assert (await nobody("HEAD", link)).status_code == 200
    answer = await nobody("GET", link)
    assert answer.status_code == 200
    assert re.search(r'value="c/orders/sms" checked', answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert await chosen(clarion) == Preferences()


async def test_what_is_saved_is_told_and_lands_where_the_api_reads_it(clarion, admin, nobody, link):
    """One box that is off is one choice; nothing else is chosen."""
    answer = await save(nobody, link, off=("c/orders/sms",))
    assert answer.status_code == 200
    assert "Saved" in answer.text
    assert "Text message: off" in answer.text
    stored = (await admin.ok("GET", "/v1/users/ada/preferences"))["stored"]
    assert stored["categories"] == {"orders": {"enabled": None, "channels": {"sms": False}, "digest": None}}
    assert stored["quiet_hours"] is None
    assert stored["digest"] is None


async def test_saving_a_page_as_it_was_chooses_nothing(clarion, nobody, link):
    """But the detected time zone is confirmed, and the page says so."""
    answer = await save(nobody, link)
    assert await chosen(clarion) == Preferences()
    assert "Time zone: <bdi>Europe/Berlin</bdi>" in answer.text
    again = await save(nobody, link)
    assert "Nothing was different." in again.text


async def test_digests_quiet_hours_pause_zone_and_language_are_saved(clarion, admin, nobody, link):
    """All at once."""
    answer = await save(
        nobody,
        link,
        drop=("days0",),
        digest="daily",
        digest_at="18:30",
        start0="22:00",
        end0="07:00",
        days0="mon",
        pause="3d",
        timezone="Asia/Tokyo",
        locale="de",
    )
    assert answer.status_code == 200, answer.text
    assert '<html lang="de"' in answer.text
    stored = (await admin.ok("GET", "/v1/users/ada/preferences"))["stored"]
    assert stored["digest"] == {"every": "daily", "at": "18:30", "day": "mon"}
    assert stored["quiet_hours"] == [{"start": "22:00", "end": "07:00", "days": ["mon"]}]
    assert stored["snoozed_until"] is not None
    user = await admin.ok("GET", "/v1/users/ada")
    assert (user["timezone"], user["locale"]) == ("Asia/Tokyo", "de")
    cleared = await save(nobody, link, start0="", end0="", pause="none", locale="en")
    assert cleared.status_code == 200
    stored = (await admin.ok("GET", "/v1/users/ada/preferences"))["stored"]
    assert (stored["quiet_hours"], stored["snoozed_until"]) == ([], None)


async def test_digests_of_a_category_that_come_at_another_time_say_so(clarion, admin, nobody, link):
    """Chosen for the category, or by its default until the user chooses something for all."""
    other = {"categories": {"orders": {"digest": {"every": "weekly", "at": "07:00", "day": "fri"}}}}
    await admin.ok("PATCH", "/v1/users/ada/preferences", other)
    assert (
        "<p class=soft>Summaries: Every week · Fri · <bdi>07:00</bdi></p>" in (await nobody("GET", link)).text
    )
    await admin.ok("PATCH", "/v1/users/ada/preferences", {"categories": {"orders": None}})
    assert "<p class=soft>Summaries:" not in (await nobody("GET", link)).text


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"start0": "22:00"}, "span0", "Enter both times"),
        ({"start0": "22:00", "end0": "25:00"}, "span0", "Enter both times"),
        ({"timezone": "Europe/Berln"}, "timezone", "Did you mean <bdi>Europe/Berlin</bdi>?"),
        ({"digest": "daily", "digest_at": "soon"}, "digest_at", "Enter both times"),
    ],
)
async def test_what_is_wrong_is_said_at_the_field_and_nothing_is_saved(
    clarion, nobody, link, fields, field, said
):
    """With a link to the field above the form, and what was typed still in it."""
    answer = await save(nobody, link, off=("c/orders/sms",), **fields)
    assert answer.status_code == 422
    assert f"<a href=#{field}>" in answer.text
    assert f"id={field}" in answer.text
    assert answer.text.count(said) == 2
    assert "aria-invalid=true" in answer.text
    assert f"<title>{PREFERENCE_WORDS['en'].errors}" in answer.text
    assert next(iter(fields.values())) in answer.text
    assert await chosen(clarion) == Preferences()


async def test_stopping_everything_can_be_undone_with_one_click(clarion, nobody, link):
    """Every choice is as it was, whatever was on before."""
    await save(nobody, link, off=("c/orders/email",))
    before = await chosen(clarion)
    answer = await nobody("POST", link, content="action=stop", headers=FORM)
    assert "Everything is stopped" in answer.text
    tenant = clarion.ledger.setup.tenants.all()[ACME]
    category = clarion.ledger.setup.categories.all(ACME)["orders"]
    stopped = await chosen(clarion)
    assert not any(allowed(tenant, category, stopped, channel)[0] for channel in CHANNELS)
    undo = dict(Fields(answer.text).sent)["undo"]
    body = urlencode({"action": "undo", "undo": undo})
    assert "Your earlier choices are back" in (await nobody("POST", link, content=body, headers=FORM)).text
    assert await chosen(clarion) == before


async def test_what_was_chosen_since_is_not_undone(clarion, admin, nobody, link):
    """An old tab must not take back an opt-out."""
    answer = await save(nobody, link, off=("c/orders/sms",))
    await admin.ok("PATCH", "/v1/users/ada/preferences", {"channels": {"email": False}})
    body = urlencode({"action": "undo", "undo": dict(Fields(answer.text).sent)["undo"]})
    refused = await nobody("POST", link, content=body, headers=FORM)
    assert refused.status_code == 409
    assert "nothing was undone" in refused.text
    assert (await chosen(clarion)).channels == {Channel.EMAIL: False}


async def test_a_page_that_was_open_does_not_take_back_an_opt_out_from_elsewhere(clarion, nobody, link):
    """Only what the reader changes on the page is saved."""
    sent = Fields((await nobody("GET", link)).text).sent
    user = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"]
    one_click = "/u/" + clarion.services.unsubscribe.token(ACME, user.no, "orders")
    await nobody("POST", one_click, content="List-Unsubscribe=One-Click", headers=FORM)
    left = await chosen(clarion)
    assert left.categories["orders"].channels == {Channel.EMAIL: False}
    await nobody("POST", link, content=urlencode([*sent, ("action", "save")]), headers=FORM)
    assert await chosen(clarion) == left
    assert "c/orders/email=0" in (await nobody("GET", link)).text


async def test_topics_that_the_tenant_lists_stand_on_the_page(clarion, admin, nobody, link):
    """Each over the channels that reach the user."""
    await admin.ok("PUT", "/v1/topics/releases", {"name": "New versions"})
    await admin.ok("PUT", "/v1/preferences", {"topics": {"releases": {}}})
    assert "New versions" in (await nobody("GET", link)).text
    await save(nobody, link, off=("t/releases/email",))
    assert (await chosen(clarion)).topics == {"releases": PreferenceSet(channels={Channel.EMAIL: False})}


async def test_after_30_days_a_link_only_shows(clarion, monkeypatch, nobody, link):
    """Old mails are passed on: nothing can be changed, and the page says what to do."""
    now = clarion.clock.now()
    monkeypatch.setattr(clarion.services.preference_pages, "_clock", Later(now + EDITABLE_MS + 60_000))
    shown = await nobody("GET", link)
    assert shown.status_code == 200
    assert "<fieldset disabled" in shown.text
    assert Fields(shown.text).actions == []
    refused = await nobody("POST", link, content="action=stop", headers=FORM)
    assert refused.status_code == 403
    assert await chosen(clarion) == Preferences()


class Later:
    """A clock that shows one time."""

    def __init__(self, at):
        self._at = at

    def now(self):
        return self._at


@pytest.mark.parametrize("token", ["", "x", "A" * 90, "ä", "%00", "a/b"])
async def test_a_broken_link_says_so(clarion, nobody, token):
    """A page for a person, in their language."""
    answer = await nobody("GET", f"/p/{token}", headers={"accept-language": "de"})
    assert answer.status_code == 404
    assert "Dieser Link funktioniert nicht" in answer.text


async def test_a_link_to_unsubscribe_is_no_link_to_this_page(clarion, nobody, link):
    """Nor the other way round: whoever may leave one category may not see all choices."""
    user = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"]
    token = clarion.services.unsubscribe.token(ACME, user.no, "orders")
    assert (await nobody("GET", f"/p/{token}")).status_code == 404
    assert (await nobody("GET", f"/u/{link.removeprefix('/p/')}")).status_code == 404
    await clarion.ledger.users.delete(ACME, "ada")
    assert (await nobody("GET", link)).status_code == 404


async def test_saving_is_limited_stopping_is_not(clarion, nobody, link):
    """One link cannot write without end; whoever wants nothing any more is never told to wait."""
    body = urlencode({"action": "save"})
    answers = [await nobody("POST", link, content=body, headers=FORM) for _ in range(int(SAVES_PER_S) + 9)]
    assert {200, 503} >= {one.status_code for one in answers}
    assert (await nobody("POST", link, content="action=stop", headers=FORM)).status_code == 200


def large_page(language: str) -> bytes:
    """Twelve categories over four channels, three topics, three spans of quiet hours, and a pause."""
    channels = (Channel.IN_APP, Channel.EMAIL, Channel.SMS, Channel.PUSH)
    step = Step(key="a", template="paid", to=SendAll(channels=channels))
    keys = [f"category-{n}" for n in range(12)]
    setup = PageSetup(
        Tenant(id=ACME, key="acme"),
        {key: Category(key=key, name=f"Offers {key}", description="Now and then.") for key in keys},
        {key: Workflow(key=key, category=key, steps=(step,)) for key in keys},
        channels,
        [Topic(key=f"topic-{n}", name=f"Topic {n}") for n in range(3)],
    )
    hours = tuple(Window(start=f"{hour}:00", end=f"{hour + 1}:00") for hour in (12, 15, 22))
    user = person(preferences=Preferences(quiet_hours=hours, snoozed_until=Instant(NOON + 86_400_000)))
    text = PageText(language, "Acme", Brand())
    return form_page(text, form_of(setup, user, NOON), editable=True)


@pytest.mark.parametrize("language", sorted(PREFERENCE_WORDS))
def test_the_page_is_complete_small_and_named_in_every_language(language):
    """At most 30 KB; one h1; each field has a label; Arabic from right to left."""
    answer = large_page(language)
    assert len(answer) <= 30_000
    html = answer.decode()
    assert f'<html lang="{language}" dir={"rtl" if language == "ar" else "ltr"}>' in html
    page = Fields(html)
    assert page.headings[0] == "h1"
    assert page.headings.count("h1") == 1
    assert len(page.labelled) > 60
    assert all(page.labelled)
    assert PREFERENCE_WORDS[language].stop in html
    assert "{" not in html.split("</style>")[1]


def test_the_languages_are_those_that_are_promised():
    """At least these, each with every text."""
    assert PREFERENCE_WORDS.keys() >= LANGUAGES


@pytest.mark.parametrize("color", ["#ffffff", "#000000", "#4350c4", "#ffcc00", "#777777"])
def test_the_text_of_a_button_can_be_read_on_every_brand(color):
    """WCAG 2.2: 4.5 to 1."""
    on = re.search(r"--on:(#\w+)\}", style(color))
    assert on is not None
    assert contrast(color, {"#fff": "#ffffff", "#000": "#000000"}[on[1]]) >= 4.5


async def test_the_brand_of_the_tenant_is_on_the_page(clarion, admin, nobody, link):
    """Its name and its colour; names are data, not markup."""
    await admin.ok("PATCH", "/v1/tenant", {"brand": {"name": "A<b>c", "color": "#ffcc00"}})
    answer = await nobody("GET", link)
    assert "<bdi>A&lt;b&gt;c</bdi>" in answer.text
    assert "--fill:#ffcc00;--on:#000" in answer.text
