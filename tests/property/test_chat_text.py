"""Whatever people write, chat services show it as text: held against parsers that are not ours."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from slack_sdk.models.blocks import Block

from clarion.adapters.chat import ELLIPSIS, Room, json_bytes, markdown, units, unmentioning
from clarion.adapters.providers import discord, mattermost, slack, teams, telegram
from clarion.model.content import Action, ChatContent
from tests.chats import HOSTILE, texts

PIECES = st.sampled_from(
    [
        *HOSTILE.split(),
        *"*_~`|[]()<>#+-=.!\\&\n\t @:'\"",
        "https://x.example/a_b(c)",
        "1.",
        "    ",
        "```",
        "---",
        "[a]: b",
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=30).map("".join)
CONTENTS = st.builds(
    ChatContent,
    text=TEXTS,
    title=TEXTS,
    url=TEXTS | st.just("https://shop.example/1"),
    image=TEXTS | st.just("https://shop.example/1.png"),
    fields=st.dictionaries(TEXTS, TEXTS, max_size=30),
    actions=st.lists(
        st.builds(Action, label=TEXTS, url=TEXTS | st.just("https://shop.example/2")), max_size=30
    ).map(tuple),
)
SPACES = str.maketrans(
    "", "", " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000\u200b\ufeff\ufffd\0"
)
PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak", "hardbreak"}
COMMONMARK = MarkdownIt("commonmark").enable("strikethrough")


def tokens(source: str) -> list:
    """All tokens of a Markdown text, inline ones too."""
    return [inner for token in COMMONMARK.parse(source) for inner in (token, *(token.children or ()))]


@given(TEXTS)
def test_markdown_of_a_text_is_that_text(text):
    """A Markdown parser finds no markup in it, only its characters."""
    text = text.replace("&", "+")  # Entities are CommonMark's; Discord and Mattermost show them as they are.
    found = tokens(markdown(text))
    assert {token.type for token in found} <= PLAIN
    shown = "".join(token.content for token in found if token.type in {"text", "text_special"})
    assert shown.translate(SPACES).replace("%40", "@") == text.translate(SPACES).replace("%40", "@")


@given(TEXTS, st.integers(0, 60), st.sampled_from([units, json_bytes]))
def test_a_cut_text_fits_and_begins_like_the_whole(text, limit, measure):
    """Cut or not, escaped or not."""
    for write in (str, markdown, unmentioning, slack.escaped):
        written = Room(limit, measure).text(text, limit, write)
        assert measure(written) <= limit
        if not written.endswith(ELLIPSIS):
            assert written in {"", write(text)}


@given(CONTENTS)
def test_slack_takes_every_message(content):
    """By the checks of Slack's own library, with nothing in it that Slack would read as a mention or a link."""
    message = slack.blocks_of(content)
    for block in Block.parse_all(message["blocks"]):
        block.validate_json()
    assert len(message["blocks"]) <= 50
    assert not any("<" in text for block in message["blocks"] for text in texts(block.get("text", [])))
    assert "<" not in message["text"]


@given(CONTENTS)
def test_discord_limits_hold(content):
    """https://docs.discord.com/developers/resources/message#embed-object-embed-limits"""
    message = discord.message_of(content)
    assert units(message.get("content", "")) <= 2000
    for embed in message.get("embeds", []):
        fields = embed.get("fields", [])
        assert len(fields) <= 25
        counted = [embed.get("title", ""), embed.get("description", "")]
        counted += [field[part] for field in fields for part in ("name", "value")]
        assert units(counted[0]) <= 256
        assert units(counted[1]) <= 4096
        assert all(0 < units(field["name"]) <= 256 and 0 < units(field["value"]) <= 1024 for field in fields)
        assert sum(map(units, counted)) <= 6000


@given(CONTENTS)
def test_mattermost_limits_hold(content):
    """Also those of servers with the older schema."""
    message = mattermost.message_of(content)
    assert units(message.get("text", "")) <= 4000
    assert len(str(message.get("attachments", ""))) <= 7600


@given(CONTENTS)
def test_teams_messages_have_no_text_that_is_read_as_markdown(content):
    """Text blocks and fact sets would be."""
    card = teams.card_of(content)
    assert {element["type"] for element in card["body"]} <= {"RichTextBlock", "Image"}
    assert len(card["actions"]) <= teams.BUTTONS


class Shown(HTMLParser):
    """What a reader of Telegram's HTML would find."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)
        assert all(name == "href" and value.startswith("https://") for name, value in attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@given(CONTENTS)
def test_telegram_finds_our_markup_and_nobody_elses(content):
    """Tags are ours and closed, and what is left of the text is within the limit."""
    method, message = telegram.message_of(content)
    html = message["text"] if method == "sendMessage" else message["caption"]
    shown = Shown()
    shown.feed(html)
    shown.close()
    assert not shown.open
    assert shown.tags <= {"a", "b"}
    assert units(shown.text) <= (4096 if method == "sendMessage" else 1024)
