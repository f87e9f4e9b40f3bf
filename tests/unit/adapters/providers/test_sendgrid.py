"""SendGrid: its requests, held against SendGrid's own description, and the signature of its events."""

import json
from base64 import b64decode
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.providers.sendgrid import REPLAY_WINDOW_S, SendGridConfig, plugin, read_events, verify
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.content.bounces import refused_email
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import Attachment, EmailContent, Invitation
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Gone, Retry
from clarion.model.receipt import ReceiptKind
from clarion.model.status import Reason
from clarion.ports.callback import CallbackRequest, CallbackTools
from clarion.testing.ports import MONDAY_NOON, provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.sendgrid import SENT, VENDORS, bounce, dropped, error, events

RANDOM = SystemRandom()
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: f"ref{message.id.hex()[:8]}",
)
DESCRIPTION = json.loads(
    (Path(__file__).parents[3] / "vendors" / "sendgrid-mail-send.swagger.json").read_text(encoding="utf-8")
)
(BODY,) = (
    parameter["schema"]
    for parameter in DESCRIPTION["paths"]["/mail/send"]["post"]["parameters"]
    if parameter["in"] == "body"
)
JUDGE = jsonschema_rs.Draft4Validator({**BODY, "definitions": DESCRIPTION["definitions"]})
UNSUBSCRIBE = "https://notify.example/u/abc"
FULL = EmailContent(
    subject="Your order",
    text="Hello",
    html='<p>Hello</p><img src="cid:logo">',
    attachments=(
        Attachment(name="C:\\bills\\bill.pdf", type="application/pdf", content=b"%PDF"),
        Attachment(name="logo.png", type="image/png", content=b"png", inline_id="logo"),
    ),
)


def subject(url=""):
    """SendGrid, led to this URL."""
    return ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["v3"], url=url)


def messages(count, content=FULL):
    """Messages with a way out, to different people."""
    return [
        replace(
            outgoing,
            contact=replace(outgoing.contact, address=f"ada{number}@contact.example"),
            unsubscribe_url=f"{UNSUBSCRIBE}{number}",
        )
        for number, outgoing in enumerate(subject().messages(count, Channel.EMAIL, content))
    ]


async def sent(batch, *answers):
    """The outcomes, and the documents that SendGrid was sent; each fits its own description."""
    async with scripted_server(*answers, otherwise=SENT) as server:
        async with subject(server.url).opened() as provider:
            outcomes = await provider.send(batch)
        documents = [json.loads(request.body) for request in server.requests]
    for document in documents:
        JUDGE.validate(document)
    return outcomes, documents


def test_the_judge_refuses_what_sendgrid_refuses():
    """A description that takes everything would show nothing."""
    with pytest.raises(jsonschema_rs.ValidationError):
        JUDGE.validate({"personalizations": [{"to": [{"email": "a@b.example"}]}]})


async def test_an_email_arrives_with_everything_in_it():
    """Sender, both bodies, attachments, inline images, the way out with one click, and our reference."""
    (outgoing,) = messages(1)
    (outcome,), (document,) = await sent([outgoing])
    assert outcome == Accepted(provider_id="LRzXl_NHStOGhQ4kofSm_A")
    assert document["from"] == {"email": "news@shop.example", "name": "The Shop"}
    assert document["content"] == [
        {"type": "text/plain", "value": "Hello"},
        {"type": "text/html", "value": FULL.html},
    ]
    assert document["categories"] == ["checks"]
    (person,) = document["personalizations"]
    assert person["to"] == [{"email": "ada0@contact.example"}]
    assert person["custom_args"] == {"clarion": TOOLS.reference(outgoing.message)}
    assert person["headers"]["List-Unsubscribe"] == f"<{UNSUBSCRIBE}0>"
    assert person["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert person["headers"]["List-Id"] == "<checks.shop.example>"
    bill, logo = document["attachments"]
    assert (bill["filename"], bill["disposition"]) == ("bill.pdf", "attachment")
    assert b64decode(bill["content"]) == b"%PDF"
    assert (logo["content_id"], logo["disposition"]) == ("logo", "inline")


async def test_people_who_get_the_same_share_a_request_and_do_not_see_each_other():
    """Each has a personalization, with a way out and a reference of their own."""
    batch = messages(3)
    outcomes, (document,) = await sent(batch)
    assert len(outcomes) == 3
    people = document["personalizations"]
    assert [person["to"][0]["email"] for person in people] == [one.contact.address for one in batch]
    assert len({person["custom_args"]["clarion"] for person in people}) == 3
    assert len({person["headers"]["List-Unsubscribe"] for person in people}) == 3


async def test_people_who_get_something_else_have_a_request_each():
    """So have categories, and invitations, which name their guest."""
    batch = messages(4)
    batch[1] = replace(batch[1], content=replace(FULL, text="Hello Ada"))
    batch[2] = replace(batch[2], message=replace(batch[2].message, category="bills"))
    batch[3] = replace(
        batch[3], content=replace(FULL, calendar=Invitation(uid="1", start="2026-05-01T14:00:00+02:00"))
    )
    outcomes, documents = await sent(batch)
    assert outcomes == [Accepted(provider_id="LRzXl_NHStOGhQ4kofSm_A")] * 4
    assert len(documents) == 4
    (calendar,) = [one for one in documents[3]["attachments"] if one["filename"] == "invite.ics"]
    assert b"ada3@contact.example" in b64decode(calendar["content"]).replace(b"\r\n ", b"")


async def test_one_bad_address_stops_nobody_else():
    """SendGrid refuses the request of all, which was taken for nobody: each is sent again alone."""
    wrong = error(400, "Does not contain a valid address.", "personalizations.1.to.0.email")
    outcomes, documents = await sent(messages(3), wrong, SENT, wrong, SENT)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Accepted", "Accepted", "Gone"]
    assert [len(document["personalizations"]) for document in documents] == [3, 1, 1, 1]


async def test_a_batch_that_is_too_fast_waits_as_long_as_sendgrid_says():
    """By the second in which its limit begins anew."""
    reset = str(TOOLS.clock.now() // 1000 + 40)
    answer = Answer.json(429, {"errors": []}, x_ratelimit_reset=reset)
    (first, second), documents = await sent(messages(2), answer)
    assert isinstance(first, Retry)
    assert first == second
    assert first.reason is Reason.RATE_LIMITED
    assert first.after_s is not None
    assert 30 <= first.after_s <= 40
    assert len(documents) == 1


async def test_an_email_without_words_is_sent():
    """SendGrid wants a body that is not empty."""
    (outcome,), (document,) = await sent(messages(1, EmailContent(subject="x")))
    assert isinstance(outcome, Accepted)
    assert document["content"] == [{"type": "text/plain", "value": " "}]


async def test_an_address_that_is_none_is_refused_without_a_call():
    """The mail builder says so."""
    (outgoing,) = messages(1)
    bad = replace(outgoing, contact=replace(outgoing.contact, address="nobody"))
    (outcome,), documents = await sent([bad])
    assert "address" in (outcome.detail or "")
    assert documents == []


async def test_attachments_elsewhere_are_fetched_before():
    """A few at a time; the other emails of the batch do not wait for them."""
    async with scripted_server(otherwise=Answer.text(200, "%PDF-1.7")) as files:
        linked = replace(
            FULL, attachments=(Attachment(name="a.pdf", type="application/pdf", url=f"{files.url}/a.pdf"),)
        )
        batch = messages(2)
        batch[0] = replace(batch[0], content=linked)
        async with scripted_server(otherwise=SENT) as server:
            near = replace(TOOLS, allowed_networks=("127.0.0.0/8",))
            led = msgspec.structs.replace(subject(server.url), tools=near)
            async with led.opened() as provider:
                outcomes = await provider.send(batch)
            documents = [json.loads(request.body) for request in server.requests]
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    (linked_one,) = [d for d in documents if d["attachments"][0]["filename"] == "a.pdf"]
    assert b64decode(linked_one["attachments"][0]["content"]) == b"%PDF-1.7"


async def test_an_attachment_that_is_not_there_stops_its_email_only():
    """It is refused by the name of what is missing; the others are sent."""
    async with scripted_server(otherwise=Answer.text(404, "no")) as files:
        batch = messages(2)
        batch[0] = replace(
            batch[0], content=replace(FULL, attachments=(Attachment(name="a", url=f"{files.url}/a"),))
        )
        async with scripted_server(otherwise=SENT) as server:
            near = replace(TOOLS, allowed_networks=("127.0.0.0/8",))
            async with msgspec.structs.replace(subject(server.url), tools=near).opened() as provider:
                missing, there = await provider.send(batch)
    assert "404" in (missing.detail or "")
    assert isinstance(there, Accepted)


@pytest.mark.parametrize(
    ("answer", "fault", "says"),
    [
        (Answer.json(200, {}), None, ""),
        (error(401, "invalid"), ConfigError, "api_key"),
        (error(403, "not verified", "from"), ConfigError, "verify the"),
        (error(400, "bad", "from"), ConfigError, "from_address"),
        (Answer(status=500), Unavailable, "try again"),
    ],
)
async def test_a_check_sends_an_email_to_nobody(answer, fault, says):
    """In sandbox mode, so that key and sender are checked as with any email."""
    async with scripted_server(otherwise=answer) as server:
        async with subject(server.url).opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault, match=says):
                    await provider.ping()
        (request,) = server.requests
    document = json.loads(request.body)
    JUDGE.validate(document)
    assert document["mail_settings"] == {"sandbox_mode": {"enable": True}}


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────

PUBLISHED = CallbackRequest(
    url="https://notify.example/v1/callbacks/mail/token",
    headers={
        "x-twilio-email-event-webhook-signature": "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
        "x-twilio-email-event-webhook-timestamp": "1600112502",
    },
    body=b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n',
)
"""https://github.com/sendgrid/sendgrid-python/blob/main/test/unit/test_eventwebhook.py"""
PUBLISHED_KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
OTHER_KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA=="
THEN = Instant(1_600_112_502_000)


def config(**more):
    """Settings with a verification key."""
    return msgspec.convert({**plugin.example, "webhook_key": PUBLISHED_KEY, **more}, SendGridConfig)


def test_the_signature_that_sendgrids_sdk_publishes_is_right():
    """Over the time and the body with its line end."""
    verify(PUBLISHED, config(), CallbackTools(now=THEN))


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        (PUBLISHED, OTHER_KEY),
        (PUBLISHED, ""),
        (replace(PUBLISHED, body=PUBLISHED.body.rstrip()), PUBLISHED_KEY),
        (replace(PUBLISHED, headers={}), PUBLISHED_KEY),
    ],
)
def test_any_other_signature_is_refused(request_, key):
    """Also where no key is set: nothing could be told from a forgery."""
    with pytest.raises(CallbackForged):
        verify(request_, config(webhook_key=key), CallbackTools(now=THEN))


def test_an_event_may_come_a_day_late():
    """SendGrid repeats what we did not take; after that it is refused."""
    verify(PUBLISHED, config(), CallbackTools(now=Instant(THEN + 24 * 3_600_000)))
    with pytest.raises(CallbackForged, match="old"):
        verify(PUBLISHED, config(), CallbackTools(now=Instant(THEN + (REPLAY_WINDOW_S + 1) * 1000)))


@pytest.mark.parametrize("key", ["AAAA", "not base64", PUBLISHED_KEY[:-8]])
def test_a_verification_key_that_is_none_is_refused(key):
    """When the settings are stored."""
    with pytest.raises(msgspec.ValidationError):
        config(webhook_key=key)


def read(recorded):
    """The one receipt of a request."""
    tools = CallbackTools(now=MONDAY_NOON, refused_email=refused_email)
    (receipt,) = read_events(recorded.request(OURS), config(), tools).receipts
    return receipt


def test_a_receipt_says_when_who_and_why():
    """Without the address in its words."""
    receipt = read(bounce("550 5.1.1 <ada@contact.example> no such user", "5.1.1"))
    assert receipt.address == "ada@contact.example"
    assert receipt.at == Instant(1_767_614_300_000)
    assert receipt.provider_id == "LRzXl_NHStOGhQ4kofSm_A"
    assert "no such user" in receipt.detail
    assert "ada@" not in receipt.detail


@pytest.mark.parametrize(
    "reason",
    [
        "550-5.7.26 Your email has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.",
        "550 5.7.515 Access denied, sending domain shop.example does not meet the required authentication level.",
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
        "550 5.7.1 Our system has detected that this message is likely unsolicited mail",
    ],
)
@pytest.mark.parametrize("kind", ["bounce", "blocked"])
def test_a_policy_of_the_receivers_is_never_the_persons_fault(reason, kind):
    """Whatever SendGrid calls it: the sender must mend it, and the address stays usable."""
    receipt = read(bounce(reason, reason.split()[0].partition("-")[2] or reason.split()[1], type=kind))
    assert receipt.kind is ReceiptKind.BLOCKED
    assert not receipt.permanent


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("Unsubscribed Address", Reason.OPTED_OUT),
        ("Spam Reporting Address", Reason.OPTED_OUT),
        ("Bounced Address", None),
        ("Recipient List over Package Quota", Reason.RATE_LIMITED),
        ("Invalid SMTPAPI header", Reason.PROVIDER_REJECTED),
    ],
)
def test_what_sendgrid_did_not_try_to_deliver_says_why(reason, why):
    """Each reason in one of ours."""
    assert read(dropped(reason, ReceiptKind.FAILED)).reason is why


def test_a_thousand_events_are_read_at_once():
    """In their order, one receipt each."""
    request = events(*[{"event": "delivered"}, {"event": "open"}] * 500).request(OURS)
    receipts = read_events(request, config(), CallbackTools(now=MONDAY_NOON)).receipts
    assert [receipt.kind for receipt in receipts] == [ReceiptKind.DELIVERED, ReceiptKind.OPENED] * 500


async def test_a_refused_address_is_suppressed():
    """SendGrid says which field is wrong."""
    wrong = error(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
    (outcome,), _ = await sent(messages(1), wrong)
    assert isinstance(outcome, Gone)
