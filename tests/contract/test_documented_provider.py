"""The provider shown in the how-to works as it stands, and keeps the contract with the vendor shown there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from clarion.errors import ConfigError, Unavailable
from clarion.model.content import SmsContent
from clarion.model.outcome import Accepted, Rejected
from clarion.testing.provider_contract import PROVIDER_CONTRACT, ProviderSubject
from clarion.testing.scripted_server import Answer, scripted_server

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-provider.md"
CODE, REPORTS, TEST = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(code: str, name: str) -> ModuleType:
    """The code of the page as a module."""
    module = ModuleType(name)
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.fixture(scope="module")
def pigeon() -> Iterator[ModuleType]:
    """The provider of the page, installed."""
    module = sys.modules["clarion_pigeon"] = run(f"{CODE}\n{REPORTS}", "clarion_pigeon")
    yield module
    del sys.modules["clarion_pigeon"]


@pytest.fixture(scope="module")
def subject(pigeon) -> ProviderSubject:
    """What the test of the page checks."""
    test = run(TEST, "test_clarion_pigeon")
    return ProviderSubject(plugin=pigeon.plugin, tools=test.tools, vendor=test.vendor)


@pytest.mark.parametrize("check", PROVIDER_CONTRACT, ids=lambda check: check.__name__)
async def test_the_documented_provider_keeps_the_contract(check, subject):
    """What a newcomer copies is right."""
    await check(subject)


async def test_it_sends_the_message_under_its_id(subject):
    """The request is the one that the page describes, and the answer's id is kept."""
    async with scripted_server(otherwise=subject.vendor.accepted) as server:
        led = msgspec.structs.replace(subject, url=server.url)
        async with led.opened() as provider:
            batch = led.messages(1)
            assert await provider.send(batch) == [Accepted(provider_id="msg_1")]
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/messages")
    assert request.headers["idempotency-key"] == batch[0].message.id.hex()
    assert request.json == {"to": batch[0].contact.address, "text": batch[0].content.text}


async def test_a_text_over_the_limit_is_refused_without_a_call(subject):
    """Pigeon would refuse it too, for money."""
    async with scripted_server() as server:
        led = msgspec.structs.replace(subject, url=server.url)
        async with led.opened() as provider:
            outcomes = await provider.send(led.messages(1, content=SmsContent(text="x" * 1601)))
        assert isinstance(outcomes[0], Rejected)
        assert not server.requests


@pytest.mark.parametrize(
    ("status", "error", "says"), [(401, ConfigError, "make a new one"), (503, Unavailable, "try again later")]
)
async def test_its_ping_says_what_to_do(subject, status, error, says):
    """A refused token is the operator's to mend; a service that is down is not."""
    async with scripted_server(otherwise=Answer(status=status)) as server:
        led = msgspec.structs.replace(subject, url=server.url)
        async with led.opened() as provider:
            with pytest.raises(error, match=says):
                await provider.ping()


def test_its_example_is_shown_as_it_is(pigeon):
    """The example validates and holds every setting."""
    assert msgspec.convert(pigeon.plugin.example, pigeon.plugin.config)
    assert set(pigeon.plugin.example) == set(pigeon.plugin.config.__struct_fields__)


def test_it_is_as_short_as_the_page_says():
    """A new HTTP provider is one file of about 100 lines."""
    assert len(CODE.splitlines()) <= 105
