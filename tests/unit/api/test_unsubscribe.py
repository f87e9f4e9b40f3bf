"""Leaving a category from an email: only a POST leaves, at once, and nobody needs an account for it."""

import re

import pytest

from clarion.api.unsubscribe import RETURNS_PER_S
from clarion.api.unsubscribe_page import page
from clarion.api.unsubscribe_words import WORDS
from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.setup import Category
from clarion.model.user import Contact, Preferences, PreferenceSet, Profile, UserPut
from tests.unit.api.conftest import ACME

ONE_CLICK = {
    "content": "List-Unsubscribe=One-Click",
    "headers": {"content-type": "application/x-www-form-urlencoded"},
}
BACK = {**ONE_CLICK, "content": "action=back"}
LOST = "This link does not work"


async def person(clarion, **profile):
    """A user with an email address, and where they leave the category `news`."""
    contact = Contact(channel=Channel.EMAIL, address="ada@example.org")
    put = UserPut(id="ada", profile=Profile(contacts=(contact,), **profile))
    (user,) = await clarion.ledger.users.put(ACME, [put])
    return user, "/u/" + clarion.services.unsubscribe.token(ACME, user.no, "news")


async def choices(clarion):
    """What ada chose for each category."""
    return (await clarion.ledger.users.find(ACME, ["ada"]))["ada"].profile.preferences.categories


async def test_looking_changes_nothing_and_asks(clarion):
    """A GET, as link scanners do it, shows a question with a button that posts."""
    _, link = await person(clarion)
    nobody = clarion.bearer("")
    assert (await nobody("HEAD", link)).status_code == 200
    answer = await nobody("GET", link)
    assert answer.status_code == 200
    assert "Unsubscribe?" in answer.text
    assert re.search(r"<form method=post><button name=action value=leave", answer.text)
    assert await choices(clarion) == {}


async def test_one_click_leaves_before_it_answers(clarion):
    """The very body RFC 8058 names, urlencoded; the page offers to take it back."""
    _, link = await person(clarion)
    answer = await clarion.bearer("")("POST", link, **ONE_CLICK)
    assert answer.status_code == 200
    assert await choices(clarion) == {"news": PreferenceSet(channels={Channel.EMAIL: False})}
    assert "value=back" in answer.text
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers


async def test_one_click_may_come_as_multipart(clarion):
    """RFC 8058 section 3.2 allows both."""
    _, link = await person(clarion)
    answer = await clarion.bearer("")("POST", link, files={"List-Unsubscribe": (None, "One-Click")})
    assert answer.status_code == 200
    assert (await choices(clarion))["news"].channels == {Channel.EMAIL: False}


async def test_leaving_twice_is_leaving_once(clarion):
    """The second answer is the same, and writes nothing."""
    _, link = await person(clarion)
    nobody = clarion.bearer("")
    first = await nobody("POST", link, **ONE_CLICK)
    before = (await clarion.ledger.stats())["jobs"]
    assert (await nobody("POST", link, **ONE_CLICK)).text == first.text
    assert (await clarion.ledger.stats())["jobs"] == before


async def test_it_can_be_taken_back(clarion):
    """Undo leaves the preferences as they were, other choices included."""
    wanted = {
        "news": PreferenceSet(channels={Channel.SMS: False}),
        "ads": PreferenceSet(enabled=False),
    }
    _, link = await person(clarion, preferences=Preferences(categories=wanted))
    nobody = clarion.bearer("")
    await nobody("POST", link, **ONE_CLICK)
    assert (await choices(clarion))["news"].channels == {Channel.SMS: False, Channel.EMAIL: False}
    answer = await nobody("POST", link, **BACK)
    assert "You are subscribed" in answer.text
    assert await choices(clarion) == wanted


async def test_taking_it_back_opts_in_where_that_is_needed(clarion):
    """A category that nobody gets unasked is asked for."""
    await clarion.ledger.setup.categories.put(ACME, Category(key="news", enabled=False))
    chosen = {"news": PreferenceSet(channels={Channel.EMAIL: True})}
    _, link = await person(clarion, preferences=Preferences(categories=chosen))
    nobody = clarion.bearer("")
    await nobody("POST", link, **ONE_CLICK)
    await nobody("POST", link, **BACK)
    assert await choices(clarion) == chosen


async def test_others_may_change_the_user_meanwhile(clarion, monkeypatch):
    """What somebody else stores between reading and writing is kept."""
    _, link = await person(clarion)
    read = clarion.services.unsubscribe.read

    async def slowly(token):
        choice = await read(token)
        await person(clarion, locale="de")
        return choice

    monkeypatch.setattr(clarion.services.unsubscribe, "read", slowly)
    assert (await clarion.bearer("")("POST", link, **ONE_CLICK)).status_code == 200
    user = (await clarion.ledger.users.find(ACME, ["ada"]))["ada"]
    assert (user.profile.locale, list(user.profile.preferences.categories)) == ("de", ["news"])


async def test_who_was_erased_can_still_leave(clarion):
    """They get nothing any more: the answer says so and offers nothing to undo."""
    _, link = await person(clarion)
    await clarion.ledger.users.delete(ACME, "ada")
    answer = await clarion.bearer("")("POST", link, **ONE_CLICK)
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text
    assert "<form" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: "x",
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: token[:20] + "!" + token[20:],
        lambda token: token + "//",
        lambda token: token + "/x",
        lambda token: ("B" if token[30] == "A" else "A").join((token[:30], token[31:])),
        lambda token: "A" * 20_000,
        lambda token: "%00%ff",
    ],
)
async def test_a_wrong_token_gets_a_calm_page(clarion, method, change):
    """The same for every kind of wrong; nothing is said about why."""
    _, link = await person(clarion)
    wrong = "/u/" + change(link.removeprefix("/u/"))
    answer = await clarion.bearer("")(method, wrong, **(ONE_CLICK if method == "POST" else {}))
    assert answer.status_code == 404
    assert answer.content == page("lost", "en")
    assert await choices(clarion) == {}


async def test_the_page_speaks_the_readers_language(clarion):
    """Their own, else the browser's, else the tenant's; names are escaped."""
    await clarion.ledger.setup.categories.put(ACME, Category(key="news", name="<Neu> & alt"))
    _, link = await person(clarion, locale="de-AT")
    nobody = clarion.bearer("")
    german = (await nobody("GET", link, headers={"accept-language": "fr"})).text
    assert '<html lang="de" dir="ltr">' in german
    assert "<bdi>&lt;Neu&gt; &amp; alt</bdi>" in german
    _, link = await person(clarion)
    for asked, shown in (
        ("ar-EG,en;q=0.5", 'lang="ar" dir="rtl"'),
        ("xx, fr;q=0.2, es-MX;q=0.9", 'lang="es"'),
        ("q=;;,,;q=x", 'lang="en"'),
    ):
        assert shown in (await nobody("GET", link, headers={"accept-language": asked})).text


async def test_the_page_is_nobodys_business(clarion):
    """Nothing is loaded, framed, cached or passed on, and search engines are asked to stay away."""
    _, link = await person(clarion)
    answer = await clarion.bearer("")("GET", link)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert "http" not in re.sub(r"<style>.*</style>", "", answer.text, flags=re.DOTALL)


async def test_a_store_out_of_reach_is_said_so(clarion, monkeypatch):
    """503, which a mail provider repeats, and a page that asks to try again: never a false promise."""
    _, link = await person(clarion)

    async def broken(*_):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(clarion.ledger.users, "put", broken)
    answer = await clarion.bearer("")("POST", link, **ONE_CLICK)
    assert answer.status_code == 503
    assert "Please try again" in answer.text


async def test_going_back_and_forth_is_bounded(clarion):
    """One token cannot write without end; leaving always works."""
    _, link = await person(clarion)
    nobody = clarion.bearer("")
    seen = set()
    for _ in range(int(RETURNS_PER_S) + 5):
        seen.add((await nobody("POST", link, **BACK)).status_code)
    assert seen == {200, 503}
    assert (await nobody("POST", link, **ONE_CLICK)).status_code == 200


async def test_other_methods_and_large_bodies_are_refused(clarion):
    """Nothing else works here, and nobody can send much."""
    _, link = await person(clarion)
    nobody = clarion.bearer("")
    assert (await nobody("DELETE", link)).status_code == 405
    assert (await nobody("POST", link, content=b"x" * 20_000)).status_code == 413


@pytest.mark.parametrize("language", WORDS)
def test_every_language_says_everything(language):
    """Every sentence names category and sender where the English one does."""
    words, english = WORDS[language], WORDS["en"]
    for name in english.__struct_fields__:
        text = getattr(words, name)
        assert text
        wanted = set(re.findall(r"\{(\w+)\}", getattr(english, name)))
        assert set(re.findall(r"\{(\w+)\}", text)) == wanted, name
