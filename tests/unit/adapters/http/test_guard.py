"""Where URLs of users may lead."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.http import Fetch, HttpFailure, HttpReply
from clarion.adapters.http.clients import HOSTS, Clients
from clarion.adapters.http.connection_limit import ConnectionLimit
from clarion.adapters.http.guard import RefusedUrl, UrlGuard, is_public, target
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError
from clarion.ports.provider import ProviderTools
from clarion.testing.ports import ManualClock, provider_tools
from clarion.testing.scripted_server import Answer, Received, scripted_server

PUBLIC = "93.184.216.34"
PAYLOADS = tuple(
    line.split("\t")
    for line in (Path(__file__).parent / "ssrf.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("# ")
)
WELCOME = (
    "https://public.example/",
    "https://public.example:8443/push/abc?x=1#top",
    "https://Public.Example/",
    "https://public.example:443",
    "https://xn--mnchen-3ya.example/",
    "https://1.1.1.1/dns-query",
    "https://8.8.8.8:8080/",
    "https://[2606:4700:4700::1111]/",
    "https://127.0.0.1.public.example/",
    "https://public.example/%2e%2e/@127.0.0.1",
    "https://public.example/?to=http://127.0.0.1/",
)


def tools(*networks: str) -> ProviderTools:
    random = SystemRandom()
    lent = provider_tools(SystemClock(), random, LocalVault(bytes(32), random))
    return ProviderTools(
        clock=lent.clock, random=random, vault=lent.vault, mail=lent.mail, allowed_networks=networks
    )


def names(**known: Sequence[str]) -> Callable[[str], object]:
    """A resolver that knows some names; every other name is public."""

    async def resolve(host: str) -> Sequence[str]:
        return known.get(host.replace(".", "_"), (PUBLIC,))

    return resolve


@pytest.fixture
def clients() -> Callable[..., Clients]:
    return lambda resolve, *networks, clock=None, connect_s=1.0: Clients(
        UrlGuard(networks), clock or SystemClock(), connect_s, ConnectionLimit(SystemClock(), 9), resolve
    )


async def test_no_payload_gets_through(clients):
    """At least 500 spellings of addresses inside are refused: none leads anywhere but to the public host."""
    answers: dict[str, tuple[str, ...]] = {}

    async def resolve(host: str) -> Sequence[str]:
        return (PUBLIC,) if host == "public.example" else answers.get(host, ("127.0.0.1",))

    guarded = clients(resolve)
    bypasses = []
    for escaped, *addresses in PAYLOADS:
        url = escaped.encode("latin-1", "backslashreplace").decode("unicode_escape").format(port=8080)
        if addresses:
            answers = {url.split("/")[2].rpartition(":")[0]: tuple(addresses[0].split(","))}
        found = await guarded.at(url)
        if isinstance(found, HttpFailure):
            assert found.kind == "refused", (url, found)
        elif found[1].host_str != "public.example":
            bypasses.append((url, str(found[1])))
    await guarded.close()
    assert len(PAYLOADS) >= 500
    assert bypasses == []


@pytest.mark.parametrize("url", WELCOME)
async def test_public_places_are_welcome(clients, url):
    """The guard lets through what it is there for."""
    guarded = clients(names())
    assert not isinstance(await guarded.at(url), HttpFailure)
    await guarded.close()


@pytest.mark.parametrize("url", ["http://public.example/", "http://1.1.1.1/"])
async def test_public_places_need_tls(clients, url):
    """A push or a webhook does not cross the Internet in the clear."""
    found = await (guarded := clients(names())).at(url)
    await guarded.close()
    assert isinstance(found, HttpFailure)
    assert "https://" in found.detail


async def test_an_allowed_range_is_open_and_its_neighbour_is_not(clients):
    """The operator opens what is named, also without TLS, and nothing beside it."""
    guarded = clients(names(inside_example=("10.20.1.1",)), "10.20.0.0/16", "fd12::/16")
    for url in (
        "http://10.20.3.4:8080/",
        "https://inside.example/",
        "http://inside.example/",
        "http://[fd12::1]/",
    ):
        assert not isinstance(await guarded.at(url), HttpFailure), url
    for url in ("http://10.21.0.1/", "http://[fd13::1]/", "http://[::ffff:10.20.3.4]/", "http://0x0a140304/"):
        assert isinstance(await guarded.at(url), HttpFailure), url
    await guarded.close()


def test_a_range_that_is_none_is_refused():
    """A typing error must not silently open or close anything."""
    with pytest.raises(ConfigError, match=r"outbound\.allowed_networks"):
        UrlGuard(("10.20.0.0/33",))


@pytest.mark.parametrize(
    "network",
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "2001::/32",
        "2001:db8::/32",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ],
)
@given(data=st.data())
def test_no_address_of_a_special_range_is_public(network, data):
    """Not only the examples: any address of the range."""
    place = ip_network(network)
    offset = data.draw(st.integers(0, place.num_addresses - 1))
    assert not is_public(place[offset])


@given(st.ip_addresses())
def test_nothing_public_is_something_the_standard_library_calls_special(address):
    """A second opinion: what we call public, Python does too."""
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.text(max_size=60))
def test_whatever_is_read_has_one_spelling(text):
    """No text makes the reader fail, and what passes is written as it is understood."""
    for url in (text, f"https://{text}", f"https://{text}/", f"http://{text}@127.0.0.1/"):
        read = target(url)
        if not isinstance(read, RefusedUrl):
            host = f"[{read.host}]" if ":" in read.host else read.host
            assert url.lower().split("://")[1].startswith(host)


async def test_the_address_that_was_looked_at_is_the_one_that_is_called(clients):
    """A name server that says something else the second time (DNS rebinding) is not asked a second time."""
    asked = 0

    async def rebinding(host: str) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ("127.0.0.2",) if asked == 1 else ("127.0.0.1",)

    async with scripted_server(otherwise=Answer(body=b"inside")) as inside:
        fetch = Fetch(tools("127.0.0.2/32"), resolve=rebinding)
        # Nobody listens on 127.0.0.2; the second answer, 127.0.0.1, has a server but is not allowed.
        for _ in range(3):
            reply = await fetch.get(f"http://rebind.example:{inside.port}/")
            assert isinstance(reply, HttpFailure)
        await fetch.close()
        assert asked == 1
        assert inside.accepted == 0


async def test_a_name_is_looked_at_again_after_a_minute(clients):
    """A host that moves inside is refused from then on, and one that moves elsewhere is followed."""
    clock = ManualClock()
    current = [PUBLIC]

    async def resolve(host: str) -> Sequence[str]:
        return tuple(current)

    guarded = clients(resolve, clock=clock)
    first = await guarded.at("https://moving.example/")
    assert not isinstance(first, HttpFailure)
    clock.advance(61)
    same = await guarded.at("https://moving.example/")
    assert not isinstance(same, HttpFailure)
    assert same[0] is first[0]
    current[:] = ["1.1.1.1"]
    clock.advance(61)
    moved = await guarded.at("https://moving.example/")
    assert not isinstance(moved, HttpFailure)
    assert moved[0] is not first[0]
    current[:] = ["10.0.0.1"]
    clock.advance(61)
    assert isinstance(await guarded.at("https://moving.example/"), HttpFailure)
    await guarded.close()


async def test_many_calls_ask_for_a_name_once(clients):
    """A batch to one push service resolves its name once."""
    asked = 0

    async def slow(host: str) -> Sequence[str]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return (PUBLIC,)

    guarded = clients(slow)
    found = await asyncio.gather(*(guarded.at("https://push.example/") for _ in range(50)))
    assert asked == 1
    assert len({id(one[0]) for one in found if not isinstance(one, HttpFailure)}) == 1
    await guarded.close()


async def test_a_name_server_that_hangs_holds_up_its_own_name_only(clients):
    """Resolving is bounded in time."""

    async def hanging(host: str) -> Sequence[str]:
        if host == "slow.example":
            await asyncio.Event().wait()
        return (PUBLIC,)

    guarded = clients(hanging, connect_s=0.05)
    slow, quick = await asyncio.gather(
        guarded.at("https://slow.example/"), guarded.at("https://quick.example/")
    )
    assert isinstance(slow, HttpFailure)
    assert slow.kind == "unsent"
    assert not isinstance(quick, HttpFailure)
    await guarded.close()


async def test_a_name_server_that_hangs_takes_no_known_host_away(clients):
    """Somebody's names that hang must not keep others from a host whose addresses were looked at a minute ago."""
    now_s = 0.0
    hangs = False

    class Later(SystemClock):
        def monotonic(self) -> float:
            return now_s

    async def resolve(host: str) -> Sequence[str]:
        if hangs:
            await asyncio.Event().wait()
        return (PUBLIC,)

    guarded = clients(resolve, clock=Later(), connect_s=0.05)
    first = await guarded.at("https://push.example/")
    now_s, hangs = 61.0, True
    again = await guarded.at("https://push.example/")
    assert not isinstance(first, HttpFailure)
    assert not isinstance(again, HttpFailure)
    assert again[0] is first[0]
    assert isinstance(await guarded.at("https://unknown.example/"), HttpFailure)
    await guarded.close()


async def test_connections_are_kept_for_a_bounded_number_of_hosts(clients):
    """A tenant with a million receivers does not fill the memory."""
    guarded = clients(names())
    first = await guarded.at("https://h0.example/")
    for number in range(HOSTS):
        await guarded.at(f"https://h{number + 1}.example/")
    assert len(guarded._pins) == HOSTS
    again = await guarded.at("https://h0.example/")
    assert not isinstance(first, HttpFailure)
    assert not isinstance(again, HttpFailure)
    assert again[0] is not first[0]
    await guarded.close()


async def test_a_host_is_reached_at_the_address_that_answers():
    """A dead address is passed over, and remembered."""

    async def resolve(host: str) -> Sequence[str]:
        return ("127.0.0.3", "127.0.0.2", "127.0.0.1")

    async with scripted_server() as site:
        fetch = Fetch(tools("127.0.0.0/8"), resolve=resolve)
        url = f"http://three.example:{site.port}/"
        for _ in range(2):
            assert isinstance(await fetch.get(url), HttpReply)
        assert site.accepted == 1
        await fetch.close()


async def test_the_name_is_what_the_server_and_its_certificate_see(monkeypatch, tmp_path):
    """Connected to the vetted address, but Host, SNI and certificate are those of the name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    seen: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pinned.example").configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: seen.append(name)

    async def resolve(host: str) -> Sequence[str]:
        return ("127.0.0.1",)

    def respond(request: Received) -> Answer:
        return Answer(body=request.headers["host"].encode())

    async with scripted_server(otherwise=respond, tls=context) as site:
        fetch = Fetch(tools("127.0.0.0/8"), resolve=resolve)
        reply = await fetch.get(f"https://pinned.example:{site.port}/")
        assert isinstance(reply, HttpReply), reply
        assert reply.body == f"pinned.example:{site.port}".encode()
        assert seen == ["pinned.example"]
        other = await fetch.get(f"https://other.example:{site.port}/")
        assert isinstance(other, HttpFailure)
        assert other.kind == "unsent"
        await fetch.close()


def test_an_address_in_an_allowed_range_is_recognised():
    """What the operator opened is told apart by family."""
    guard = UrlGuard(("0.0.0.0/0",))
    assert guard.is_allowed(ip_address("10.0.0.1"))
    assert not guard.is_allowed(ip_address("::1"))
