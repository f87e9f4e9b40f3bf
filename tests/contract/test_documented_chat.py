"""The how-to on chat tells the truth: its template, its configs and its addresses are what the providers know."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers import discord, mattermost, slack, teams, telegram
from clarion.content import Renderer, review
from clarion.model.channel import Channel
from clarion.model.setup import Template
from clarion.model.user import Contact
from tests.chats import outgoing, texts
from tests.unit.content.people import TENANT, reader

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "send-to-chat.md").read_text(encoding="utf-8")
TEMPLATE = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
SERVICES = {
    "Slack": slack,
    "Teams": teams,
    "Discord": discord,
    "Telegram": telegram,
    "Mattermost": mattermost,
}
CONFIGS = [
    (name, config)
    for name, configs in re.findall(r"^\| (\w+) \| [^|]+ \| (`\{.*`) \|$", PAGE, re.MULTILINE)
    for config in re.findall(r"`(\{.*?\})`", configs)
    if name in SERVICES
]
ADDRESSES = [
    (address, goes)
    for addresses, goes in re.findall(
        r"^\| (`.+?) \| (.+?) \|$", PAGE.partition("| address |")[2], re.MULTILINE
    )
    for address in re.findall(r"`(.+?)`", addresses)
]


@pytest.fixture(scope="module")
def content():
    """What its template renders to, for its example."""
    template = msgspec.convert({"key": "shipped", **TEMPLATE}, Template)
    assert review(template, TENANT) == []
    return Renderer().render(
        template=template,
        channel=Channel.CHAT,
        user=reader(),
        tenant=TENANT,
        event_data=template.example_data,
    )


def test_there_is_something_to_check():
    """The searches above find the tables at all."""
    assert {name for name, _ in CONFIGS} == set(SERVICES)
    assert len(ADDRESSES) >= 7


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_every_config_works_and_everything_arrives(name, config, content):
    """Each service gets all that the template says, from the config shown."""
    service = SERVICES[name]
    settings = msgspec.json.decode(config, type=service.plugin.config)
    remembered = (service.Moves(),) if service is telegram else ()
    call = service.build(settings, outgoing(content, "team"), *remembered)
    assert isinstance(call, HttpRequest)
    said = "\n".join(texts(json.loads(call.body))).replace("&amp;", "&").replace("\\", "")
    for words in ("Order C-2041 is on its way", "arrives tomorrow", "Parcel & Co", "Track"):
        assert words in said
    for link in ("orders/C-2041", "maps/C-2041.png", "https://parcel.example/t/9"):
        assert link in said


@pytest.mark.parametrize(("address", "goes"), ADDRESSES)
def test_every_address_is_claimed_by_who_is_said_to_take_it(address, goes):
    """And by nobody else: what nobody claims goes to the default destination."""
    contact = Contact(channel=Channel.CHAT, address=address)
    assert {name for name, service in SERVICES.items() if service.accepts(contact)} == {
        name for name in SERVICES if name in goes
    }
