"""Small things that providers refer to are fetched whole, or not at all."""

import pytest

from clarion.adapters.http import Fetch
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import Unavailable
from clarion.testing.ports import provider_tools
from clarion.testing.scripted_server import Answer, scripted_server

RANDOM = SystemRandom()
TOOLS = provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM))


async def test_what_is_there_is_returned():
    """All of it."""
    async with scripted_server(otherwise=Answer.text(200, "certificate")) as server:
        fetch = Fetch(TOOLS, limit=64)
        assert await fetch.whole(f"{server.url}/certificate.pem") == b"certificate"
        await fetch.close()


@pytest.mark.parametrize(
    "answer",
    [
        Answer.text(404, "no"),
        Answer.text(200, "x" * 65),
        Answer(status=302, headers={"location": "https://elsewhere.example/"}),
        Answer(manner="drop"),
    ],
)
async def test_anything_else_is_unavailable(answer):
    """Half a certificate proves nothing, nor does one from elsewhere; the path stays unsaid."""
    async with scripted_server(otherwise=answer) as server:
        fetch = Fetch(TOOLS, limit=64)
        with pytest.raises(Unavailable) as raised:
            await fetch.whole(f"{server.url}/s3cret")
        assert "s3cret" not in raised.value.detail
        await fetch.close()
