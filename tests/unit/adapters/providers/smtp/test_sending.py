"""What the SMTP provider makes of relays: good ones, strict ones, slow ones, broken ones."""

import asyncio
import itertools
import re
from collections import Counter
from email import message_from_bytes
from email.policy import SMTP

import msgspec
import pytest

from clarion.adapters.providers.smtp.outcomes import outcome_of
from clarion.errors import Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import SmsContent
from clarion.model.outcome import Accepted, Gone, Rejected, Retry, Unknown
from clarion.model.status import Reason
from clarion.testing.provider_contract import PROVIDER_CONTRACT, ProviderSubject
from tests.relay import CLOSE, HANG, OFFERS, SUBJECT, Relay, mails, many, smtp

WITHOUT_PIPELINING = tuple(one for one in OFFERS if one != "PIPELINING")


def kinds(outcomes) -> list[type]:
    return [type(one) for one in outcomes]


async def until(holds) -> None:
    """A real server needs its time."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


def users(relay: Relay) -> list[str]:
    """Whose mail the relay took."""
    return [re.findall(r"<(.*)@", rcpt)[0] for _, rcpt, _ in relay.mails]


def refusing(*locals_: str, reply: bytes) -> dict:
    """A relay that says `reply` to these recipients."""
    return {"RCPT": lambda line: reply if any(f"<{one}@" in line for one in locals_) else None}


@pytest.mark.parametrize("offers", [OFFERS, WITHOUT_PIPELINING, ()], ids=["pipelining", "one by one", "bare"])
async def test_a_batch_arrives_and_every_mail_has_its_own_answer(offers):
    """Whatever the relay offers; the relay's name for each mail is kept."""
    async with Relay(offers).running() as relay, smtp(relay.port) as provider:
        outcomes = await provider.send(many(30))
        assert kinds(outcomes) == [Accepted] * 30
        assert sorted(users(relay)) == sorted(f"user{i}" for i in range(30))
        assert {one.provider_id for one in outcomes} == {f"Q{i}" for i in range(1, 31)}
    assert await relay.all_gone()


async def test_a_relay_older_than_ehlo_is_greeted_in_its_way():
    """RFC 5321 section 3.2: HELO, and none of the extensions."""
    async with Relay(EHLO=lambda _: b"502 what").running() as relay, smtp(relay.port) as provider:
        assert kinds(await provider.send(mails("ada@example.org", text="Grüße"))) == [Accepted]
    assert "HELO example.com" in relay.said
    assert relay.mails[0][0] == "MAIL FROM:<news@example.com>"
    assert relay.mails[0][2].isascii()


async def test_envelope_and_dots_are_right():
    """A tagged return path, declared size and body type, and a lone dot inside a mail does not end it."""
    text = ".\n..\n.hidden\nend."
    async with (
        Relay().running() as relay,
        smtp(relay.port, return_domain="bounce.example.com") as provider,
    ):
        (outgoing,) = mails("ada@example.org", text=text)
        assert kinds(await provider.send([outgoing])) == [Accepted]
    ((mail, rcpt, body),) = relay.mails
    size = re.findall(r"SIZE=(\d+)", mail)[0]
    assert mail.startswith(f"MAIL FROM:<b+{outgoing.message.id.hex()}@bounce.example.com> BODY=8BITMIME")
    assert (rcpt, int(size)) == ("RCPT TO:<ada@example.org>", len(body))
    assert message_from_bytes(body, policy=SMTP).get_content().splitlines() == text.splitlines()


async def test_a_person_is_greeted_by_the_name_the_application_keeps():
    """The user's attribute `name` stands beside the address."""
    (outgoing,) = mails("ada@example.org")
    profile = msgspec.structs.replace(outgoing.user.profile, attributes={"name": "Ada Lovelace"})
    outgoing = msgspec.structs.replace(outgoing, user=msgspec.structs.replace(outgoing.user, profile=profile))
    async with Relay().running() as relay, smtp(relay.port) as provider:
        await provider.send([outgoing])
    assert message_from_bytes(relay.mails[0][2], policy=SMTP)["to"] == "Ada Lovelace <ada@example.org>"


# ── recipients that are refused ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("offers", [OFFERS, WITHOUT_PIPELINING], ids=["pipelining", "one by one"])
@pytest.mark.parametrize("takes_empty", [False, True], ids=["", "takes an empty mail"])
async def test_a_refused_recipient_does_not_touch_the_mails_around_it(offers, takes_empty):
    """Also with a relay that wants a body although it took no recipient."""
    answers = refusing("user3", "user4", reply=b"550 5.1.1 no such user")
    if takes_empty:
        answers["DATA"] = lambda _: b"354 go on"
    async with Relay(offers, **answers).running() as relay, smtp(relay.port, connections=1) as provider:
        outcomes = await provider.send(many(8))
    assert kinds(outcomes) == [Accepted] * 3 + [Gone] * 2 + [Accepted] * 3
    assert sorted(users(relay)) == ["user0", "user1", "user2", "user5", "user6", "user7"]
    assert relay.connections == 1


async def test_a_refused_mail_does_not_touch_the_next():
    """A transaction that failed at MAIL is over; the next begins afresh."""
    turns = itertools.count()
    relay = Relay(MAIL=lambda _: b"452 4.3.1 no room" if next(turns) == 1 else None)
    async with relay.running(), smtp(relay.port, connections=1) as provider:
        outcomes = await provider.send(many(4))
    assert kinds(outcomes) == [Accepted, Retry, Accepted, Accepted]
    assert not outcomes[1].of_address


async def test_a_mail_refused_after_its_last_dot_is_refused_alone():
    """The answer to the dot is the answer to the mail."""
    relay = Relay(END=lambda rcpt: b"554 5.6.0 no, thanks" if "user1@" in rcpt else None)
    async with relay.running(), smtp(relay.port, connections=1) as provider:
        assert kinds(await provider.send(many(3))) == [Accepted, Rejected, Accepted]


async def test_what_cannot_be_written_as_mail_is_rejected_without_a_word_to_the_relay():
    """A contact that is no address, content of another channel, a mail the relay would refuse for its size."""
    good, bad, big = (
        *mails("ada@example.org", "not an address"),
        *mails("ada@example.org", text="x" * 9_000),
    )
    sms = msgspec.structs.replace(good, content=SmsContent(text="x"))
    async with Relay(("8BITMIME", "SIZE 5000")).running() as relay, smtp(relay.port) as provider:
        outcomes = await provider.send([bad, sms, big, good])
    assert kinds(outcomes) == [Rejected, Rejected, Rejected, Accepted]
    assert "not an address" not in str(outcomes[0].detail)
    assert "5,000" in outcomes[2].detail
    assert len(relay.mails) == 1


@pytest.mark.parametrize("offers", [OFFERS, tuple(one for one in OFFERS if one != "SMTPUTF8")])
async def test_an_address_beyond_ascii_needs_smtputf8(offers):
    """Said in the envelope where it is offered, rejected with the reason where it is not."""
    async with Relay(offers).running() as relay, smtp(relay.port) as provider:
        (outcome,) = await provider.send(mails("δοκιμή@example.org"))
    if "SMTPUTF8" in offers:
        assert isinstance(outcome, Accepted)
        assert " SMTPUTF8" in relay.mails[0][0]
    else:
        assert isinstance(outcome, Rejected)
        assert "SMTPUTF8" in str(outcome.detail)


async def test_a_surprise_while_a_mail_is_made_costs_that_mail_only():
    """It is tried again, and somebody is told; the connection and the others are untouched."""

    class Broken:
        def check(self, sender):
            pass

        def make(self, sender, outgoing_email):
            if "user1@" in outgoing_email.to:
                raise ZeroDivisionError
            return SUBJECT.tools.mail.make(sender, outgoing_email)

    tools = msgspec.structs.replace(SUBJECT.tools, mail=Broken())
    async with Relay().running() as relay:
        config = {
            "host": "127.0.0.1",
            "port": relay.port,
            "security": "none",
            "from_address": "news@example.com",
        }
        async with ProviderSubject(plugin=SUBJECT.plugin, tools=tools, config=config).opened(
            connections=1
        ) as provider:
            outcomes = await provider.send(many(3))
    assert kinds(outcomes) == [Accepted, Retry, Accepted]
    assert outcomes[1] == Retry(reason=Reason.INTERNAL_ERROR, of_address=True, detail="ZeroDivisionError")
    assert relay.connections == 1


# ── connections that end ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_a_mail_the_relay_never_had_starts_once_more_elsewhere(stage):
    """A connection that ends before the last dot loses nothing and doubles nothing."""
    turns = itertools.count()
    relay = Relay(**{stage: lambda _: CLOSE if next(turns) == 0 else None})
    async with relay.running(), smtp(relay.port) as provider:
        assert kinds(await provider.send(many(5))) == [Accepted] * 5
    assert sorted(users(relay)) == [f"user{i}" for i in range(5)]


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_a_relay_that_always_hangs_up_means_retry(stage):
    """Not for ever on the same call."""
    relay = Relay(**{stage: lambda _: CLOSE})
    async with relay.running(), smtp(relay.port) as provider:
        outcomes = await provider.send(many(3))
    assert kinds(outcomes) == [Retry] * 3
    assert relay.connections <= 6


async def test_no_answer_after_the_last_dot_is_unknown():
    """The relay may have it; those that had not begun go out on another connection."""
    relay = Relay(END=lambda rcpt: CLOSE if "user1@" in rcpt else None)
    async with relay.running(), smtp(relay.port, connections=1) as provider:
        outcomes = await provider.send(many(4))
    assert kinds(outcomes) == [Accepted, Unknown, Accepted, Accepted]
    assert users(relay) == ["user0", "user1", "user2", "user3"]


async def test_a_large_mail_cut_off_half_way_was_not_sent():
    """The last dot had not left the machine, so there is nothing to be unsure about."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while not (line := await reader.readline()).startswith(b"DATA"):
            writer.write(b"250 fine\r\n" if line else b"")
        writer.write(b"354 go on\r\n")
        await reader.read(100_000)
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0, limit=1_000)
    port = server.sockets[0].getsockname()[1]
    async with server, smtp(port) as provider:
        (outcome,) = await provider.send(mails("ada@example.org", text="x" * 60 + "\n" * 20_000_000))
    assert isinstance(outcome, Retry), outcome


async def test_an_idle_connection_that_was_closed_costs_nothing():
    """The relay hung up between two batches: the second one does not notice."""
    async with Relay().running() as relay, smtp(relay.port, connections=1) as provider:
        assert kinds(await provider.send(many(1))) == [Accepted]
        relay.answers["MAIL"] = lambda _: CLOSE if relay.connections == 1 else None
        assert kinds(await provider.send(many(3))) == [Accepted] * 3
    assert relay.connections == 2


@pytest.mark.parametrize(
    ("stage", "first"), [("MAIL", Accepted), ("RCPT", Retry), ("DATA", Retry), ("END", Retry)]
)
async def test_421_ends_the_connection_and_only_counts_against_what_it_answers(stage, first):
    """Before a recipient is named it says nothing about the mail; the others go on elsewhere."""
    turns = itertools.count()
    relay = Relay(**{stage: lambda _: b"421 4.3.2 shutting down" if next(turns) == 0 else None})
    async with relay.running(), smtp(relay.port, connections=1) as provider:
        outcomes = await provider.send(many(5))
    assert kinds(outcomes) == [first] + [Accepted] * 4
    assert relay.connections == 2


async def test_connections_are_kept_and_bounded():
    """Many batches share a few connections, and closing says goodbye on each."""
    async with Relay().running() as relay:
        async with smtp(relay.port, connections=3) as provider:
            for _ in range(5):
                outcomes = await asyncio.gather(*(provider.send(many(20)) for _ in range(5)))
                assert all(kinds(one) == [Accepted] * 20 for one in outcomes)
        assert relay.connections <= 3
        assert await relay.all_gone()
    assert relay.said.count("QUIT") == relay.connections


async def test_a_relay_with_few_seats_is_served_over_those():
    """Refusing the third connection is no failure of the mails that wait for it."""
    relay = Relay(CONNECT=lambda _: b"421 too many connections" if relay.open > 2 else None)
    async with relay.running(), smtp(relay.port, connections=10) as provider:
        outcomes = await asyncio.gather(*(provider.send(many(50)) for _ in range(4)))
    assert Counter(itertools.chain(*map(kinds, outcomes))) == {Accepted: 200}


# ── slow and hung ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("CONNECT", Retry),
        ("EHLO", Retry),
        ("MAIL", Retry),
        ("RCPT", Retry),
        ("DATA", Retry),
        ("END", Unknown),
    ],
)
async def test_a_hung_relay_is_left_in_time(stage, kind):
    """Before the last dot the mail can go again; after it nobody knows. No connection stays behind."""
    relay = Relay(**{stage: lambda _: HANG})
    async with relay.running(), smtp(relay.port, timeout_s=0.4, connections=2) as provider:
        began = asyncio.get_running_loop().time()
        outcomes = await provider.send(many(2))
        assert asyncio.get_running_loop().time() - began < 0.45
        assert kinds(outcomes)[0] is kind
        assert set(kinds(outcomes)) <= {kind, Retry}
        assert {one.reason for one in outcomes} <= {
            Reason.PROVIDER_TIMEOUT,
            Reason.PROVIDER_ERROR,
            Reason.OUTCOME_UNKNOWN,
        }
    relay.answers.clear()


@pytest.mark.parametrize("reply", [b"250-first half", b"25half", b"250 no line endhalf"])
async def test_half_a_reply_is_no_reply(reply):
    """It is waited for, in vain, and then it is as if nothing had been said."""
    relay = Relay(END=lambda _: reply if reply.endswith(b"half") else reply + b"half")
    async with relay.running(), smtp(relay.port, timeout_s=0.4) as provider:
        assert kinds(await provider.send(many(1))) == [Unknown]


@pytest.mark.parametrize(
    "reply", [b"hello there", b"9999 what", b"\xff\xfe", b"x" * 10_000, b"250-a\r\n" * 500, b"GET / HTTP/1.1"]
)
@pytest.mark.parametrize("stage", ["CONNECT", "MAIL", "END"])
async def test_what_is_no_smtp_ends_the_connection(stage, reply):
    """Without growing, without an exception: unknown after the last dot, else retry."""
    relay = Relay(**{stage: lambda _: reply})
    async with relay.running(), smtp(relay.port, timeout_s=3) as provider:
        (outcome,) = await provider.send(many(1))
    assert type(outcome) is (Unknown if stage == "END" else Retry)


async def test_replies_in_single_bytes_are_put_together():
    """The network cuts where it likes."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", relay.port)

        async def back() -> None:
            while data := await upstream_reader.read(1):
                writer.write(data)
                await writer.drain()

        task = asyncio.ensure_future(back())
        while data := await reader.read(7):
            upstream.write(data)
        upstream.close()
        await task
        writer.close()

    async with Relay().running() as relay:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        async with server, smtp(server.sockets[0].getsockname()[1]) as provider:
            assert kinds(await provider.send(many(10))) == [Accepted] * 10


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END"])
async def test_a_cancelled_send_leaves_no_connection_and_the_next_one_works(stage):
    """Given up at any moment."""
    relay = Relay(**{stage: lambda _: HANG})
    async with relay.running(), smtp(relay.port) as provider:
        call = asyncio.ensure_future(provider.send(many(3)))
        for _ in range(200):
            await asyncio.sleep(0.005)
            if relay.open:
                break
        await asyncio.sleep(0.03)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        relay.answers.clear()
        assert kinds(await asyncio.wait_for(provider.send(many(3)), 5)) == [Accepted] * 3


async def test_a_given_up_call_does_not_take_others_with_it():
    """Two calls share a connection; the mail of the other one starts anew."""
    relay = Relay(END=lambda rcpt: HANG if "slow@" in rcpt else None)
    async with relay.running(), smtp(relay.port, connections=1) as provider:
        slow = asyncio.ensure_future(provider.send(mails("slow@example.org")))
        await asyncio.sleep(0.05)
        other = asyncio.ensure_future(provider.send(many(3)))
        await asyncio.sleep(0.05)
        slow.cancel()
        assert kinds(await asyncio.wait_for(other, 3)) == [Accepted] * 3


async def test_a_given_up_call_leaves_the_mail_before_it_its_answer():
    """The other call has sent its whole mail on the connection: cut off, it would be in doubt."""
    answered = asyncio.Event()

    class Slow(Relay):
        async def _say(self, verb, line, otherwise, writer):
            if verb == "END" and "first@" in line:
                await answered.wait()
            return await super()._say(verb, line, otherwise, writer)

    async with Slow().running() as relay, smtp(relay.port, connections=1) as provider:
        first = asyncio.ensure_future(provider.send(mails("first@example.org")))
        await until(lambda: relay.mails)
        behind = asyncio.ensure_future(provider.send(mails("behind@example.org")))
        await asyncio.sleep(0)
        behind.cancel()
        with pytest.raises(asyncio.CancelledError):
            await behind
        answered.set()
        assert kinds(await asyncio.wait_for(first, 10)) == [Accepted]
        assert kinds(await asyncio.wait_for(provider.send(mails("next@example.org")), 10)) == [Accepted]
    assert users(relay) == ["first", "next"]


async def test_a_given_up_mail_that_waits_behind_another_is_not_sent():
    """Its envelope was on its way already; its body stays here."""
    answered = asyncio.Event()

    class Slow(Relay):
        async def _say(self, verb, line, otherwise, writer):
            if verb == "END" and "first@" in line:
                await answered.wait()
            return await super()._say(verb, line, otherwise, writer)

    async with Slow().running() as relay, smtp(relay.port, connections=1) as provider:
        both = asyncio.ensure_future(provider.send(mails("other@example.org", "first@example.org")))
        behind = asyncio.ensure_future(provider.send(mails("behind@example.org")))
        await until(lambda: len(relay.mails) == 2)
        behind.cancel()
        answered.set()
        assert kinds(await asyncio.wait_for(both, 10)) == [Accepted, Accepted]
    assert sorted(users(relay)) == ["first", "other"]


@pytest.mark.parametrize(
    ("stage", "kind"), [("RCPT", Retry), ("DATA", Retry), ("END", Unknown)], ids=["RCPT", "DATA", "END"]
)
async def test_a_reply_nobody_understands_stays_with_its_mail(stage, kind, monkeypatch):
    """What may have been taken is in doubt, what was refused is tried again; the mails around it are untouched."""
    whole = outcome_of

    def broken(at, reply, recipient):
        if "user1@" in recipient:
            raise IndexError("user1@example.org")
        return whole(at, reply, recipient)

    monkeypatch.setattr("clarion.adapters.providers.smtp.connection.outcome_of", broken)
    relay = Relay(**{stage: lambda line: b"550 \xff" if "user1@" in line else None})
    async with relay.running(), smtp(relay.port, connections=1) as provider:
        outcomes = await provider.send(many(3))
    assert kinds(outcomes) == [Accepted, kind, Accepted]
    assert relay.connections == 1


async def test_a_surprise_while_connecting_is_said_at_once(monkeypatch):
    """Nothing waits until its time is over, and nothing is in doubt."""

    async def open_connection(*_):
        raise UnicodeError("secret")

    monkeypatch.setattr("clarion.adapters.providers.smtp.pool.open_connection", open_connection)
    async with smtp(1) as provider:
        outcomes = await asyncio.wait_for(provider.send(many(3)), 10)
    assert (
        outcomes
        == [Retry(reason=Reason.INTERNAL_ERROR, detail="no connection could be made (UnicodeError)")] * 3
    )


async def test_a_hundred_calls_at_once_get_their_own_answers():
    """Each the answers to its own mails, in order."""
    relay = Relay(**refusing("user1", reply=b"550 5.1.1 no"))
    async with relay.running(), smtp(relay.port) as provider:
        answers = await asyncio.gather(*(provider.send(many(3)) for _ in range(100)))
    assert all(kinds(one) == [Accepted, Gone, Accepted] for one in answers)


async def test_a_relay_that_is_away_means_retry_and_the_ping_says_so():
    """Nothing went out."""
    async with smtp(1) as provider:
        (outcome,) = await provider.send(many(1))
        assert isinstance(outcome, Retry)
        assert "127.0.0.1 port 1" in str(outcome.detail)
        with pytest.raises(Unavailable, match="connection refused"):
            await provider.ping()


# ── destinations ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "reply",
    [b"451 4.7.1 greylisted, try again in 300 seconds", b"450 4.7.28 rate", b"421 4.7.0 too fast", b"450 x"],
)
async def test_a_domain_that_asks_for_less_gets_less_and_no_other_does(reply):
    """Its next mails are put off without a call, each a little later; other domains go on."""
    relay = Relay(RCPT=lambda line: reply if "@busy.example" in line else None)
    async with relay.running(), smtp(relay.port) as provider:
        (first,) = await provider.send(many(1, "busy.example"))
        assert isinstance(first, Retry)
        assert (first.reason, first.of_address, first.called) == (Reason.RATE_LIMITED, True, True)
        assert first.after_s == (300.0 if b"300" in reply else None)
        asked = len(relay.said)
        put_off = await provider.send(many(4, "busy.example"))
        assert len(relay.said) == asked
        assert [(one.called, one.of_address) for one in put_off] == [(False, True)] * 4
        waits = [one.after_s for one in put_off]
        assert waits == sorted(waits)
        assert waits[0] > 0.5
        assert kinds(await provider.send(many(5, "calm.example"))) == [Accepted] * 5


async def test_critical_mail_is_tried_although_its_domain_is_slow():
    """A code to log in with does not wait for a newsletter."""
    relay = Relay(RCPT=lambda line: b"450 4.7.1 slow down" if "user0@" in line else None)
    async with relay.running(), smtp(relay.port) as provider:
        await provider.send(many(1))
        urgent = [
            msgspec.structs.replace(one, message=msgspec.structs.replace(one.message, lane=Lane.CRITICAL))
            for one in many(2)
        ]
        assert kinds(await provider.send(urgent)) == [Retry, Accepted]


async def test_no_domain_has_more_mails_under_way_than_it_may():
    """However many connections there are; the rest waits its turn and arrives."""
    async with (
        Relay().running() as relay,
        smtp(relay.port, connections=10, per_domain={"concurrency": 2}) as provider,
    ):
        relay.answers["END"] = lambda _: None
        outcomes = await provider.send(many(60))
        assert kinds(outcomes) == [Accepted] * 60
        assert relay.most_under_way <= 2


async def test_a_domain_with_a_rate_of_its_own_is_put_off_beyond_it():
    """`domains` overrules `per_domain`."""
    async with (
        Relay().running() as relay,
        smtp(relay.port, domains={"slow.example": {"per_second": 2}}) as provider,
    ):
        outcomes = await provider.send(many(10, "slow.example"))
        passed = kinds(outcomes).count(Accepted)
        assert passed in {1, 2}
        assert all(one.reason is Reason.RATE_LIMITED for one in outcomes[passed:])
        assert kinds(await provider.send(many(10, "fast.example"))) == [Accepted] * 10


async def test_critical_mail_overtakes_what_waits():
    """Sent last, it is taken first."""
    relay = Relay()
    async with relay.running(), smtp(relay.port, connections=1) as provider:
        bulk = [
            msgspec.structs.replace(one, message=msgspec.structs.replace(one.message, lane=Lane.BULK))
            for one in many(60)
        ]
        (urgent,) = mails("urgent@example.org")
        urgent = msgspec.structs.replace(
            urgent, message=msgspec.structs.replace(urgent.message, lane=Lane.CRITICAL)
        )
        await asyncio.gather(provider.send(bulk), provider.send([urgent]))
    assert users(relay).index("urgent") <= 2


# ── notes ─────────────────────────────────────────────────────────────────────────────────────────────────


class Notes:
    """A report whose notes are done when the test says so, or at once."""

    def __init__(self, *, at_once: bool = False) -> None:
        self._at_once = at_once
        self.asked: list[int] = []
        self.waiting: dict[int, asyncio.Future[bool]] = {}
        self.over: list[int] = []

    def begins(self, index: int) -> asyncio.Future[bool]:
        """Note that a mail goes."""
        self.asked.append(index)
        note = asyncio.get_running_loop().create_future()
        if self._at_once:
            note.set_result(True)
        else:
            self.waiting[index] = note
        return note

    def done(self, *, but: int = -1) -> list[int]:
        """All of them are; `but` must not go any more."""
        done, self.waiting = self.waiting, {}
        for index, note in done.items():
            note.set_result(index != but)
        return list(done)

    def ended(self, index: int, outcome: object) -> None:
        """A mail has its outcome."""
        self.over.append(index)


async def test_mails_are_noted_ahead_where_notes_take_longer_than_mails():
    """One connection waits for fewer and fewer of them; no mail goes before its note is done."""
    notes, together = Notes(), list[int]()
    noted = set[str]()
    async with Relay().running() as relay, smtp(relay.port, connections=1) as provider:
        sending = asyncio.ensure_future(provider.send_reporting(many(60), notes))
        while len(noted) < 60:
            await until(lambda: notes.waiting and len(relay.mails) == len(noted))
            together.append(len(notes.waiting))
            noted.update(f"user{index}" for index in notes.done())
            assert set(users(relay)) <= noted
        assert kinds(await asyncio.wait_for(sending, 10)) == [Accepted] * 60
    assert together[0] == 1
    assert max(together) > 4
    assert sorted(notes.asked) == list(range(60))


async def test_nothing_is_noted_ahead_where_notes_are_done_in_time():
    """After a crash only what was on its way is in doubt: one mail at its end, and the one behind it."""
    notes, most = Notes(at_once=True), 0

    class Counting(Relay):
        async def _say(self, verb, line, otherwise, writer):
            nonlocal most
            most = max(most, len(notes.asked) - len(notes.over))
            return await super()._say(verb, line, otherwise, writer)

    async with Counting().running() as relay, smtp(relay.port, connections=1) as provider:
        assert kinds(await provider.send_reporting(many(60), notes)) == [Accepted] * 60
    assert most == 2


async def test_a_mail_that_is_stopped_while_it_waits_costs_no_connection():
    """It was noted ahead, and must not go; the mails around it do, over the connection that there is."""
    notes, stopped = Notes(), None
    async with Relay().running() as relay, smtp(relay.port, connections=1) as provider:
        sending = asyncio.ensure_future(provider.send_reporting(many(60), notes))
        while not sending.done():
            await until(lambda: notes.waiting or sending.done())
            if stopped is None and len(notes.waiting) > 4:
                stopped = max(notes.waiting)
            notes.done(but=-1 if stopped is None else stopped)
        outcomes = await sending
        assert relay.connections == 1
    assert stopped is not None
    assert kinds(outcomes) == [Retry if index == stopped else Accepted for index in range(60)]
    assert f"user{stopped}" not in users(relay)


# ── the contract ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("check", PROVIDER_CONTRACT, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract_with_a_relay_on_the_other_side(check):
    """Also with a relay that repeats every word it was told."""
    echo = {verb: lambda line: b"250 you said " + line.encode() for verb in ("MAIL", "RCPT")}
    async with Relay(**echo, END=lambda line: b"554 5.7.1 not " + line.encode()).running() as relay:
        config = {
            "host": "127.0.0.1",
            "port": relay.port,
            "security": "none",
            "from_address": "news@example.com",
        }
        await check(ProviderSubject(plugin=SUBJECT.plugin, tools=SUBJECT.tools, config=config))


def test_only_email_is_served():
    """By the registry's word."""
    assert SUBJECT.plugin.channels == {Channel.EMAIL}
