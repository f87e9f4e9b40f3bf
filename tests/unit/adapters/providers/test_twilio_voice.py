"""Calls through Twilio: what is said, following a call until somebody takes it, and what Twilio reports."""

import asyncio
from urllib.parse import parse_qs
from xml.etree.ElementTree import canonicalize

import msgspec
import pytest
from msgspec.structs import replace
from twilio.twiml.voice_response import Gather, Say, VoiceResponse

from clarion.adapters.providers.twilio.voice import LOOK_EVERY_S, TwilioVoiceConfig, plugin, twiml
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.content import VoiceContent
from clarion.model.outcome import Accepted, Rejected, Retry
from clarion.model.receipt import ReceiptKind
from clarion.model.status import Reason
from clarion.ports.callback import CallbackTools
from clarion.testing.ports import ManualClock, provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.twilio import ACCOUNT, account
from tests.vendors.twilio_voice import PRESSED, SID, VENDORS, call, report

RANDOM = SystemRandom()
URL = "https://notify.example/v1/callbacks/calls/token"
GATHER = f"{URL}?ref=ab12&x=1"
SAID = VoiceContent(
    text="Hello",
    ssml='Hello <break time="1s" /><s>Ada &amp; Bob</s>',
    acknowledge="Press 1",
    language="en-GB",
)
assert plugin.callbacks is not None
CALLBACKS = plugin.callbacks


def tools(clock, url=URL):
    return replace(
        provider_tools(clock, RANDOM, LocalVault(bytes(32), RANDOM)),
        reference=lambda message: "ab12",
        callback_url=lambda tenant, key: url,
        allowed_networks=("127.0.0.0/8",),
    )


def test_what_is_said_is_what_twilios_own_sdk_writes():
    """A gather around two sentences; its URL is escaped."""
    response = VoiceResponse()
    gather = Gather(input="dtmf", num_digits=1, timeout=10, action=GATHER)
    first = Say("Hello ", voice="Polly.Amy-Neural", language="en-GB")
    first.break_(time="1s")
    first.s("Ada & Bob")
    gather.append(first)
    gather.say("Press 1", voice="Polly.Amy-Neural", language="en-GB")
    response.append(gather)
    ours = twiml(SAID, "Polly.Amy-Neural", GATHER)
    assert canonical(ours) == canonical(str(response))


def canonical(document):
    return canonicalize(document.partition("?>")[2] if document.startswith("<?xml") else document)


@pytest.mark.parametrize(("content", "url"), [(replace(SAID, acknowledge=""), URL), (SAID, "")])
def test_nothing_is_asked_where_nobody_could_be_told(content, url):
    """Or where the content asks nothing."""
    assert "<Gather" not in twiml(content, "", url)


def test_plain_words_are_escaped():
    """They mark nothing."""
    assert twiml(VoiceContent(text="1 < 2 </Say>"), "", "") == (
        "<Response><Say>1 &lt; 2 &lt;/Say&gt;</Say></Response>"
    )


class Sleeps(ManualClock):
    """Tells whether somebody sleeps."""

    asleep = 0

    async def sleep(self, seconds):
        self.asleep += 1
        try:
            await super().sleep(seconds)
        finally:
            self.asleep -= 1


async def called(*states, hung_up="canceled", content=None, timeout_s=30.0, **config):
    """What became of one call that goes through these states, and what Twilio was asked."""
    clock = Sleeps()
    left = list(states)

    def answer(request):
        if request.path.endswith("/Calls.json"):
            return call("queued", 201)
        if request.method == "POST":
            return call(hung_up)
        if isinstance(left[0], Answer):
            return left.pop(0)
        return call(left.pop(0) if len(left) > 1 else left[0])

    async with scripted_server(otherwise=answer) as server:
        subject = ProviderSubject(plugin=plugin, tools=tools(clock), vendor=VENDORS["calls"], url=server.url)
        async with subject.opened(timeout_s=timeout_s, **config) as provider:
            sending = asyncio.ensure_future(provider.send(subject.messages(1, content=content)))
            while not sending.done():
                await asyncio.wait([sending], timeout=0.005)
                if clock.asleep:  # else it waits for an answer
                    clock.advance(LOOK_EVERY_S)
            return (await sending)[0], server.requests


async def test_a_call_is_accepted_once_somebody_takes_it():
    """The request says who calls whom, for how long, and where to report."""
    outcome, requests = await called("queued", "ringing", "in-progress")
    assert outcome == Accepted(provider_id=SID)
    first = {name: values[0] for name, values in parse_qs(requests[0].body.decode()).items()}
    assert (first["To"], first["From"]) == ("+4915550000001", "+15005550006")
    assert first["StatusCallback"] == f"{URL}?ref=ab12"
    assert first["MachineDetection"] == "DetectMessageEnd"
    assert first["Twiml"].startswith("<Response><Say>")
    assert [one.path for one in requests[1:]] == [f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{SID}.json"] * 3
    assert {one.method for one in requests[1:]} == {"GET"}


@pytest.mark.parametrize(
    ("state", "words"), [("busy", "the line was busy"), ("no-answer", "nobody took the call")]
)
async def test_a_call_that_nobody_takes_is_tried_again(state, words):
    """It says nothing about Twilio: its circuit stays closed."""
    outcome, _ = await called("ringing", state)
    assert isinstance(outcome, Retry)
    assert outcome.of_address is True
    assert outcome.detail == f"Twilio: {words}"


async def test_a_number_that_cannot_be_called_is_not_tried_again():
    """It does not exist, or takes no calls."""
    outcome, _ = await called("failed")
    assert isinstance(outcome, Rejected)


async def test_a_call_that_rings_too_long_is_hung_up():
    """So that nobody answers what is tried again."""
    outcome, requests = await called("ringing")
    assert isinstance(outcome, Retry)
    assert requests[-1].body == b"Status=canceled"


async def test_a_call_that_was_taken_while_it_was_hung_up_goes_on():
    """Twilio ends no call that somebody has taken."""
    outcome, _ = await called("ringing", hung_up="in-progress")
    assert outcome == Accepted(provider_id=SID)


async def test_following_survives_answers_that_make_no_sense():
    """It asks again."""
    outcome, _ = await called(Answer.text(500, "trouble"), Answer(manner="drop"), "in-progress")
    assert outcome == Accepted(provider_id=SID)


async def test_what_is_too_long_is_not_said():
    """Twilio would refuse it."""
    outcome, requests = await called("queued", content=VoiceContent(text="x" * 4_000))
    assert isinstance(outcome, Rejected)
    assert requests == []


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────


def read(recorded, **config):
    """What one of Twilio's requests says."""
    settings = msgspec.convert({**account("https://x.example"), **config}, TwilioVoiceConfig)
    clock = SystemClock()
    return CALLBACKS.read(recorded.request(OURS), settings, CallbackTools(now=clock.now()))


def test_a_digit_acknowledges():
    """The call ends with it."""
    callback = read(PRESSED)
    assert [receipt.kind for receipt in callback.receipts] == [ReceiptKind.ACKNOWLEDGED]
    assert callback.answer.body == b"<Response><Hangup/></Response>"
    assert callback.answer.media_type == "text/xml"


@pytest.mark.parametrize(
    ("by", "delivers", "kind"),
    [
        ("human", False, ReceiptKind.DELIVERED),
        ("machine_end_beep", False, ReceiptKind.FAILED),
        ("machine_end_beep", True, ReceiptKind.DELIVERED),
    ],
)
def test_a_machine_counts_as_the_settings_say(by, delivers, kind):
    """A person always does."""
    (receipt,) = read(report("completed", AnsweredBy=by), machine_delivers=delivers).receipts
    assert receipt.kind is kind
    assert receipt.reason is (Reason.ANSWERING_MACHINE if kind is ReceiptKind.FAILED else None)
