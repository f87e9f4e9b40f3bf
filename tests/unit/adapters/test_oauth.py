"""Access tokens: asked for when needed, by one request, kept until they run out, and never shown."""

import asyncio
from typing import Any
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from clarion.adapters.oauth import PAUSE_S, AccessTokens, Grant, checked
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.ports.provider import Forgetful
from clarion.testing.ports import ManualClock, provider_tools
from clarion.testing.scripted_server import Answer, scripted_server

SECRETS = ("client-secret-of-ours", "refresh-token-of-ours", "access-1")


def token(number: int = 1, **more) -> Answer:
    """What RFC 6749 section 5.1 shows."""
    return Answer.json(
        200, {"access_token": f"access-{number}", "token_type": "Bearer", "expires_in": 3600} | more
    )


def error(code: str, status: int = 400) -> Answer:
    """What section 5.2 shows; a careless server repeats what it was told."""
    return Answer.json(status, {"error": code, "error_description": " ".join(SECRETS)})


class Asking:
    """Tokens of a server, and a clock that stands still."""

    def __init__(self, server, **more) -> None:
        self.server = server
        self.clock = ManualClock()
        random = SystemRandom()
        tools = provider_tools(self.clock, random, LocalVault(b"k" * 32, random))
        networks = more.pop("allowed_networks", ("127.0.0.0/8",))
        tools = replace(tools, memory=more.pop("memory", Forgetful()))
        fields = {
            "token_url": f"{server.url}/token",
            "client_id": "clarion",
            "client_secret": SECRETS[0],
            "refresh_token": SECRETS[1],
        }
        self.tokens = AccessTokens(Grant(**(fields | more)), replace(tools, allowed_networks=networks))

    async def __aenter__(self) -> "Asking":
        return self

    async def __aexit__(self, *_) -> None:
        await self.tokens.close()

    def asked(self) -> list[dict[str, str]]:
        """The forms that the server got."""
        return [{k: v for k, (v,) in parse_qs(one.body.decode()).items()} for one in self.server.requests]


@pytest.mark.parametrize(
    ("settings", "form"),
    [
        ({}, {"grant_type": "refresh_token", "refresh_token": SECRETS[1], "client_secret": SECRETS[0]}),
        ({"client_secret": ""}, {"grant_type": "refresh_token", "refresh_token": SECRETS[1]}),
        (
            {"refresh_token": "", "scope": "https://outlook.example/.default"},
            {
                "grant_type": "client_credentials",
                "client_secret": SECRETS[0],
                "scope": "https://outlook.example/.default",
            },
        ),
    ],
)
async def test_a_token_is_asked_for_as_the_standard_says(settings, form):
    """By refresh token, or in the client's own name; as a form, in the body."""
    async with scripted_server(otherwise=token()) as server, Asking(server, **settings) as asking:
        assert await asking.tokens.get() == "access-1"
        assert asking.asked() == [form | {"client_id": "clarion"}]
        (request,) = server.requests
        assert (request.method, request.path) == ("POST", "/token")
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_hundred_who_need_one_ask_once():
    """Also when the one who asked first does not wait for the answer."""
    slow = replace(token(), after_s=0.05)
    async with scripted_server(slow) as server, Asking(server) as asking:
        first = asyncio.create_task(asking.tokens.get())
        await asyncio.sleep(0)
        others = [asyncio.create_task(asking.tokens.get()) for _ in range(100)]
        await asyncio.sleep(0)
        first.cancel()
        assert set(await asyncio.gather(*others)) == {"access-1"}
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("life", "early", "late"),
    [
        (3600, 3299, 3301),
        ("3600", 3299, 3301),
        (60, 53, 55),
        (None, 3299, 3301),
        (0, 3299, 3301),
        ("x", 3299, 3301),
    ],
)
async def test_a_token_is_renewed_before_it_runs_out(life, early, late):
    """Five minutes or a tenth of its life before; without a sensible word about it, as if it lived an hour."""
    async with scripted_server(token(1, expires_in=life), token(2)) as server, Asking(server) as asking:
        for seconds, expected in ((0, 1), (early, 1), (late - early, 2)):
            asking.clock.advance(seconds)
            assert await asking.tokens.get() == f"access-{expected}"
        assert len(server.requests) == 2


async def test_a_new_refresh_token_replaces_the_old_one():
    """Servers that rotate them accept the old one no more."""
    async with scripted_server(token(1, refresh_token="newer"), token(2)) as server, Asking(server) as asking:
        await asking.tokens.get()
        asking.clock.advance(3600)
        await asking.tokens.get()
        assert [form["refresh_token"] for form in asking.asked()] == [SECRETS[1], "newer"]


async def test_while_the_server_is_away_a_token_is_used_to_its_end():
    """It is asked for early for this reason."""
    async with scripted_server(token(), otherwise=Answer(status=503)) as server, Asking(server) as asking:
        for seconds in (0, 3301, 298):
            asking.clock.advance(seconds)
            assert await asking.tokens.get() == "access-1"
        asking.clock.advance(2)
        with pytest.raises(Unavailable):
            await asking.tokens.get()


@pytest.mark.parametrize(
    ("answer", "error_type", "said"),
    [
        (error("invalid_grant"), ConfigError, "obtain a new one"),
        (error("invalid_client", 401), ConfigError, "client secret is wrong"),
        (error("invalid_scope"), ConfigError, "scope"),
        (error("unauthorized_client"), ConfigError, "allow it there"),
        (error("unsupported_grant_type"), ConfigError, "refresh token"),
        (error("something_new"), ConfigError, r"\(400\)"),
        (error("invalid_grant", 200), ConfigError, "obtain a new one"),
        (Answer(status=404), ConfigError, r"\(404\)"),
        (Answer(status=302, headers={"location": "https://evil.example"}), ConfigError, r"\(302\)"),
        (Answer.text(200, "<html>"), ConfigError, "not an access token"),
        (Answer.json(200, {"access_token": "a\r\nb"}), ConfigError, "not an access token"),
        (Answer.json(200, {"access_token": "a" * 9000}), ConfigError, "not an access token"),
        (Answer.json(200, []), ConfigError, "not an access token"),
        (Answer(manner="flood"), ConfigError, "not an access token"),
        (Answer(status=503), Unavailable, "503"),
        (Answer(status=429), Unavailable, "429"),
        (Answer(manner="drop"), Unavailable, "did not answer"),
        (Answer(manner="garbage"), Unavailable, "did not answer"),
    ],
)
async def test_what_is_wrong_is_told_from_what_passes(answer, error_type, said):
    """With what to do, and without anything that the server repeats."""
    async with scripted_server(otherwise=answer) as server, Asking(server) as asking:
        with pytest.raises(error_type, match=said) as refused:
            await asking.tokens.get()
        assert not any(secret in repr(refused.value) for secret in SECRETS)
        assert "/token" not in str(refused.value)


async def test_a_server_that_gave_none_is_left_in_peace():
    """For ten seconds, or as long as it asks for; everybody else hears the same meanwhile."""
    script = (error("invalid_grant"), Answer(status=429, headers={"retry-after": "120"}), token())
    async with scripted_server(*script) as server, Asking(server) as asking:
        for seconds, requests, expected in (
            (0, 1, ConfigError),
            (PAUSE_S - 1, 1, ConfigError),
            (1, 2, Unavailable),
        ):
            asking.clock.advance(seconds)
            for _ in range(3):
                with pytest.raises(expected):
                    await asking.tokens.get()
            assert len(server.requests) == requests
        asking.clock.advance(121)
        assert await asking.tokens.get() == "access-1"


async def test_a_refused_token_is_forgotten_unless_it_is_new():
    """A mail server that refuses a new one will not like the next one better."""
    async with scripted_server(token(1), token(2)) as server, Asking(server) as asking:
        first = await asking.tokens.get()
        assert asking.tokens.forget(first) is False
        assert await asking.tokens.get() == first
        asking.clock.advance(60)
        assert asking.tokens.forget(first) is True
        assert asking.tokens.forget(first) is True
        assert await asking.tokens.get() == "access-2"
        assert asking.tokens.forget(first) is True
        assert await asking.tokens.get() == "access-2"
        assert len(server.requests) == 2


async def test_the_url_must_lead_to_a_public_address():
    """Unless the operator allows its range: whoever sets up an integration does not get into the house by it."""
    async with scripted_server(otherwise=token()) as server, Asking(server, allowed_networks=()) as asking:
        with pytest.raises(ConfigError, match=r"outbound\.allowed_networks"):
            await asking.tokens.get()
        assert server.requests == []


@pytest.mark.parametrize("missing", [{"client_id": ""}, {"client_secret": "", "refresh_token": ""}])
def test_a_grant_that_can_never_work_is_refused(missing):
    """Before anybody is asked."""
    fields: dict[str, Any] = {
        "token_url": "https://a.example/t",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
    }
    with pytest.raises(ConfigError):
        checked(Grant(**(fields | missing)))
    assert "s" not in repr(Grant(**fields)).removeprefix("Grant(refresh token)")


async def test_a_new_refresh_token_is_known_after_a_restart():
    """It is remembered for the one in the settings: another one there counts at once."""
    async with scripted_server(token(1, refresh_token="newer"), otherwise=token(2)) as server:
        memory = Forgetful()
        for settings in ({}, {}, {"refresh_token": "put-in-by-hand"}):
            async with Asking(server, memory=memory, **settings) as asking:
                await asking.tokens.get()
        asked = [parse_qs(one.body.decode())["refresh_token"] for one in server.requests]
        assert asked == [[SECRETS[1]], ["newer"], ["put-in-by-hand"]]


async def test_a_refresh_token_that_cannot_be_stored_is_used_all_the_same():
    """Mail goes on; it is stored with the next one."""

    class Full(Forgetful):
        async def put(self, key: str, text: str) -> None:
            raise Unavailable("the disk is full")

    async with (
        scripted_server(token(1, refresh_token="newer"), token(2)) as server,
        Asking(server, memory=Full()) as asking,
    ):
        assert await asking.tokens.get() == "access-1"
        asking.clock.advance(3600)
        await asking.tokens.get()
        assert [form["refresh_token"] for form in asking.asked()] == [SECRETS[1], "newer"]
