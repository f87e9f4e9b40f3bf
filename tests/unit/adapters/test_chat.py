"""Text that stays text, links that lead to the web, sizes that fit, and where a message goes."""

import pytest

from clarion.adapters.chat import (
    ELLIPSIS,
    Room,
    buttons,
    is_webhook,
    json_bytes,
    links,
    markdown,
    units,
    unmentioning,
    web_url,
    webhook_of,
)
from clarion.adapters.providers import discord, mattermost, slack, teams, telegram
from clarion.model.content import Action, ChatContent
from tests.chats import outgoing

ZERO = "\u200b"


@pytest.mark.parametrize(
    "mention", ["@everyone", "@here", "@channel", "@ada", "x @ada.", "é@all", "hello.@all", "-@all"]
)
def test_a_mention_is_broken_where_it_stands(mention):
    """It looks the same, and no service finds the name behind the sign."""
    assert unmentioning(mention) == mention.replace("@", f"@{ZERO}")


@pytest.mark.parametrize("text", ["ada@example.com", "write to ada.l@mail.example.org now", "a < b"])
def test_what_mentions_nobody_is_left_alone(text):
    """Addresses can still be copied."""
    assert unmentioning(text) == text


def test_a_bare_address_stays_whole_and_mentions_nobody():
    """Its `@` is written as a URL may write it."""
    assert (
        unmentioning("see https://x.example/@all?a=~b @all")
        == f"see https://x.example/%40all?a=~b @{ZERO}all"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("*bold* _it_ ~no~ `code` ||hide||", rf"\*bold\* \_it\_ \~{ZERO}no\~ \`code\` \|\|hide\|\|"),
        ("[a](https://b.example)", r"\[a\]\(https://b.example\)"),
        ("# head\n- item\n1. one\n> quote", "\\# head\n\\- item\n1\\. one\n\\> quote"),
        ("2026-11-22 at 10.30", "2026-11-22 at 10.30"),
        ("https://x.example/a_b*c", "https://x.example/a_b*c"),
        ("    code", "\u00a0" * 4 + "code"),
    ],
)
def test_markdown_is_escaped_where_it_would_mean_something(text, written):
    """And only there: dates and addresses stay readable in notifications that show the source."""
    assert markdown(text) == written


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://x.example/a?b=1&c=2#d", "https://x.example/a?b=1&c=2#d"),
        ("HTTPS://x.example", "HTTPS://x.example"),
        ("https://x.example/ü ö", "https://x.example/%C3%BC%20%C3%B6"),
        ('https://x.example/)|<>"`\\', "https://x.example/%29%7C%3C%3E%22%60%5C"),
        ("https://x.example/%20", "https://x.example/%20"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("//x.example", ""),
        ("https://", ""),
        ("", ""),
        ("https://x.example/" + "a" * 2000, ""),
    ],
)
def test_a_link_leads_to_the_web_or_is_left_out(url, safe):
    """What would end a link early is encoded."""
    assert web_url(url) == safe


def test_a_text_that_fits_is_not_touched():
    """Exactly at the limit is still in."""
    room = Room(5)
    assert room.text("12345", 5) == "12345"
    assert room.left == 0


def test_a_text_that_does_not_fit_ends_with_an_ellipsis():
    """Within the limit, ellipsis included, with no space before it."""
    assert Room(100).text("one two three", 9) == "one two" + ELLIPSIS


def test_what_was_written_is_measured_not_what_was_read():
    """Escaping makes texts longer; an escape is never cut in half."""
    written = Room(10).text("*" * 20, 10, markdown)
    assert written == r"\*" * 4 + ELLIPSIS


def test_an_emoji_takes_two_of_the_limit():
    """Services count UTF-16 units."""
    assert units("a😀") == 3
    assert Room(4).text("😀😀😀", 4) == "😀" + ELLIPSIS


def test_texts_share_a_room():
    """What one takes the next has no longer."""
    room = Room(8)
    assert room.text("12345", 8) == "12345"
    assert room.text("67890", 8) == "67" + ELLIPSIS
    assert room.text("more", 8) == ""


def test_a_link_is_whole_or_not_there():
    """Half a link leads elsewhere."""
    room = Room(20)
    assert room.link("https://x.example/too-long") == ""
    assert room.link("https://x.example") == "https://x.example"
    assert room.left == 3


def test_a_room_can_measure_bytes_of_json():
    """As a limit on the whole message asks for."""
    assert json_bytes('"\n') == 4
    assert json_bytes(Room(7, json_bytes).text("äää", 7)) <= 7


def test_facts_are_as_many_as_fit_and_none_is_empty():
    """Blank ones are left out, half-blank ones get a character that is not seen."""
    facts = Room(100).facts({"": " ", "a": "1", "b": "", "c": "3"}, 3, (10, 10))
    assert facts == [("a", "1"), ("b", ZERO), ("c", "3")]


def test_facts_that_are_left_out_leave_a_sign():
    """Whether there are too many of them or too little room."""
    five = dict.fromkeys("abcde", "1")
    assert Room(100).facts(five, 3, (10, 10)) == [("a", "1"), ("b", "1"), (ELLIPSIS, "+3")]
    assert Room(30).facts(five, 9, (10, 10)) == [("a", "1"), ("b", "1"), (ELLIPSIS, "+3")]
    assert Room(10).facts({"a": "1"}, 2, (10, 10)) == [(ELLIPSIS, "+1")]
    assert Room(2).facts({"a": "1"}, 2, (10, 10)) == []


@pytest.mark.parametrize(
    "seen", ["👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "1️⃣", "நி", "각"]
)  # fmt: skip
def test_a_cut_falls_between_what_people_see_as_characters(seen):
    """Families, flags, skin tones, accents, keycaps: whole or not there, whatever the limit."""
    text = seen * 30
    for limit in range(1, 60):
        written = Room(limit).text(text, limit)
        assert units(written) <= limit
        whole = written.removesuffix(ELLIPSIS)
        assert whole == seen * (len(whole) // len(seen))


def test_a_pile_of_accents_is_cut_all_the_same():
    """One visible character may be longer than any limit."""
    written = Room(100).text("e" + "\u0301" * 5000, 100)
    assert units(written) == 100


@pytest.mark.parametrize("label", ["", " ", "\n", "\u200b", "\u00a0\u2060", "\ufeff"])
def test_a_button_without_words_is_left_out(label):
    """Services refuse the whole message because of one."""
    shown = [Action(label=label, url="https://e.example"), Action(label="ok", url="https://e.example")]
    assert list(buttons(shown)) == [("ok", "https://e.example")]
    content = ChatContent(text="hi", actions=tuple(shown))
    assert [b["text"]["text"] for b in slack.blocks_of(content)["blocks"][-1]["elements"]] == ["ok"]
    assert [b["title"] for b in teams.card_of(content)["actions"]] == ["ok"]
    assert [b[0]["text"] for b in telegram.message_of(content)[1]["reply_markup"]["inline_keyboard"]] == [
        "ok"
    ]
    assert discord.message_of(content)["embeds"][0]["description"] == "hi\n\n[ok](https://e.example)"
    assert "[ok](https://e.example)" in mattermost.message_of(content)["attachments"][0]["text"]


@pytest.mark.parametrize("blank", [" ", "\u200b"])
def test_slack_gets_no_empty_text_at_all(blank):
    """Neither as title nor as text, fact or picture's description; each must have one character at least."""
    content = ChatContent(
        text=blank,
        title=blank,
        url="https://e.example",
        image="https://e.example/i.png",
        fields={blank: blank},
    )
    blocks = slack.blocks_of(content)["blocks"]
    assert [block["type"] for block in blocks] == ["rich_text", "image"]
    assert blocks[1]["alt_text"] == "-"


def test_discord_tells_every_fact_there_is_room_for():
    """The limit of 6,000 is for what is really there, not for what there could be."""
    facts = {f"key {n}": "v" * 100 for n in range(20)}
    assert len(discord.message_of(ChatContent(text="hi", fields=facts))["embeds"][0]["fields"]) == 20
    more = {f"key {n}": "v" * 100 for n in range(40)}
    fields = discord.message_of(ChatContent(text="hi", fields=more))["embeds"][0]["fields"]
    assert (len(fields), fields[-1]["name"], fields[-1]["value"]) == (25, ELLIPSIS, "+16")
    long = discord.message_of(ChatContent(text="x" * 5000, title="t" * 300, fields=more))["embeds"][0]
    told = sum(units(field["name"] + field["value"]) for field in long["fields"])
    assert told + units(long["title"]) + units(long["description"]) <= 6000


def test_links_in_place_of_buttons_cannot_be_broken_out_of():
    """Neither by a label nor by a URL."""
    harmful = (Action(label="a](https://evil.example)", url="https://x.example/)"), Action(label="no URL"))
    assert links(harmful, Room(500), 500) == r"[a\]\(https://evil.example\)](https://x.example/%29)"


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("https://hooks.chat.example/1", True),
        ("https://HOOKS.chat.example/1", True),
        ("https://a.below.example/1", True),
        ("https://below.example/1", False),
        ("https://hooks.chat.example.evil.example/1", False),
        ("https://evil.example/hooks.chat.example", False),
        ("https://hooks.chat.example@evil.example/", False),
        ("https://[::1/", False),
        ("U024BE7LH", False),
    ],
)
def test_a_webhook_of_a_contact_counts_at_the_services_own_hosts(address, own):
    """Everywhere else is a matter for the webhook channel; the message goes to the default destination."""
    hosts = ("hooks.chat.example", ".below.example")
    assert is_webhook(address, hosts) is own
    goal = webhook_of(outgoing(ChatContent(text="x"), address), "https://default.example", hosts)
    assert goal is not None
    assert goal.url == (address if own else "https://default.example")
    assert goal.from_user is own


def test_without_a_destination_there_is_none():
    """A contact that is none of ours, and no default."""
    assert webhook_of(outgoing(ChatContent(text="x")), "", ()) is None
