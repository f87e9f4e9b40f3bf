"""The provider shown in the how-to works as it stands, and keeps the contract."""

import asyncio
import json
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from clarion.adapters.system import SystemClock, SystemEntropy
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import PROVIDER_CONTRACT, Subject

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-provider.md"
ENTROPY = SystemEntropy()
TOOLS = provider_tools(SystemClock(), ENTROPY, LocalVault(ENTROPY.bytes(32), ENTROPY))


class Gateway:
    """The HTTP side of the documented provider: deduplicates by idempotency key, answers `status`."""

    def __init__(self) -> None:
        self.status = 201
        self.url = ""
        self.sent: dict[str, dict[str, str]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().split(": ", 1) for line in head.decode().splitlines()[1:] if line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                if key := fields.get("idempotency-key"):
                    self.sent[key] = json.loads(body)
                answer = json.dumps({"id": key}).encode()
                writer.write(
                    b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (self.status, len(answer), answer)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def gateway():
    gateway = Gateway()
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    gateway.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield gateway
    server.close()


@pytest.fixture(scope="module")
def pigeon() -> ModuleType:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    module = ModuleType("pigeon")
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), module.__dict__)
    return module


def subject(pigeon: ModuleType, url: str) -> Subject:
    return Subject(plugin=pigeon.plugin, tools=TOOLS, config={"url": url, "token": "pk_test"})


@pytest.mark.parametrize("check", PROVIDER_CONTRACT, ids=lambda check: check.__name__)
async def test_the_documented_provider_keeps_the_contract(check, pigeon, gateway):
    """What a newcomer copies is right."""
    await check(subject(pigeon, gateway.url))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(201, Accepted), (401, Misconfigured), (404, Gone), (429, Retry), (503, Retry), (413, Rejected)],
)
async def test_its_outcomes_are_those_of_the_table(pigeon, gateway, status, kind):
    """Each answer of the gateway becomes the outcome that the page explains."""
    gateway.status = status
    checked = subject(pigeon, gateway.url)
    async with checked.opened() as provider:
        batch = checked.messages(2)
        assert [type(outcome) for outcome in await provider.send(batch)] == [kind, kind]
    assert set(gateway.sent) == {outgoing.message.id.hex() for outgoing in batch}


async def test_a_gateway_that_is_away_means_retry_and_the_ping_says_so(pigeon):
    """Nothing went out, so nothing can double."""
    checked = subject(pigeon, "http://127.0.0.1:1")
    async with checked.opened() as provider:
        assert isinstance((await provider.send(checked.messages(1)))[0], Retry)
        with pytest.raises(Unavailable, match="check `url`"):
            await provider.ping()


async def test_a_refused_token_is_a_config_error(pigeon, gateway):
    """The ping tells what to do."""
    gateway.status = 401
    async with subject(pigeon, gateway.url).opened() as provider:
        with pytest.raises(ConfigError, match="make a new one"):
            await provider.ping()


def test_its_example_is_shown_as_it_is(pigeon):
    """The example validates and holds every setting."""
    assert msgspec.convert(pigeon.plugin.example, pigeon.plugin.config)
    assert set(pigeon.plugin.example) == set(pigeon.plugin.config.__struct_fields__)
