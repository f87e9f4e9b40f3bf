"""Amazon SES: against moto, which plays SES and SNS; requests fit AWS's own model, signatures are those of botocore."""

import asyncio
import contextlib
import email
import email.policy
import json
import sys
from base64 import b64decode
from datetime import UTC, datetime
from urllib.request import Request, urlopen

import boto3
import botocore.auth
import botocore.session
import msgspec
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator
from moto.ses.models import ses_backends
from msgspec.structs import replace

from clarion.adapters.aws import AwsChain, AwsKey, signed
from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.ses import SesConfig, plugin, read_event, verify
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.content.bounces import refused_email
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import Attachment, EmailContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Misconfigured, Rejected
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import CallbackRequest, CallbackTools, DocumentNeeded
from clarion.testing.ports import MONDAY_NOON, provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.ses import (
    CALLBACKS,
    CERTIFICATE_URL,
    CONFIRMATION_URL,
    MAIL,
    SENT,
    TOPIC,
    VENDORS,
    bounce,
    envelope,
    error,
    event,
    keys,
    smtp,
    sns,
)
from tests.vendors.ses import signed as signed_by

RANDOM = SystemRandom()
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
)
ACCOUNT = "123456789012"
REGION = "us-east-1"
UNSUBSCRIBE = "https://notify.example/u/abc"
MODEL = botocore.session.Session().get_service_model("sesv2")
FULL = EmailContent(
    subject="Grüße",
    text="Hello Ada",
    html='<p>Hello <img src="cid:logo"></p>',
    attachments=(
        Attachment(name="bill.pdf", type="application/pdf", content=b"%PDF"),
        Attachment(name="logo.png", type="image/png", content=b"png", inline_id="logo"),
    ),
)


def subject(url="", tools=TOOLS):
    """SES, led to this URL."""
    return ProviderSubject(plugin=plugin, tools=tools, vendor=VENDORS["key"], url=url)


def message(content=FULL, address="ada@contact.example"):
    """An email with a way out."""
    (outgoing,) = subject().messages(1, Channel.EMAIL, content)
    return replace(outgoing, contact=replace(outgoing.contact, address=address), unsubscribe_url=UNSUBSCRIBE)


@pytest.fixture(scope="module")
def moto(moto):
    """The URL of SES and SNS as moto plays them, where `news@shop.example` is verified."""
    with client("sesv2", moto) as identities:
        identities.create_email_identity(EmailIdentity="shop.example")
    return moto


def client(service, url):
    """AWS's own SDK, to be closed."""
    made = boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    return contextlib.closing(made)


def fetched(request):
    """What is at a URL."""
    with urlopen(request) as answer:
        return answer.read()


async def test_an_email_arrives_at_ses_as_we_built_it(moto):
    """With everything in it: both bodies, attachments, inline images, and the way out with one click."""
    async with subject(moto).opened(region=REGION) as provider:
        (outcome,) = await provider.send([message()])
    assert isinstance(outcome, Accepted), outcome
    sent = ses_backends[ACCOUNT][REGION].sent_messages[-1]
    assert sent.id == outcome.provider_id
    mail = email.message_from_string(sent.raw_data, policy=email.policy.default)
    assert mail["subject"] == "Grüße"
    assert mail["list-unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    kinds = [part.get_content_type() for part in mail.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "image/png", "application/pdf"]


async def test_a_sender_that_is_not_verified_is_refused(moto):
    """moto says it in words of its own, so it is one more reason that SES could have."""
    async with subject(moto).opened(region=REGION, from_address="news@other.example") as provider:
        (outcome,) = await provider.send([message()])
    assert isinstance(outcome, Rejected)
    assert "MessageRejected" in (outcome.detail or "")


async def test_the_request_fits_awss_own_model():
    """Names, types and limits of every field, with the configuration set and our tags."""
    async with scripted_server(otherwise=SENT) as server:
        async with subject(server.url).opened() as provider:
            await provider.send([message()])
        (request,) = server.requests
    document = json.loads(request.body)
    document["Content"]["Raw"]["Data"] = b64decode(document["Content"]["Raw"]["Data"])
    operation = MODEL.operation_model("SendEmail")
    assert not ParamValidator().validate(document, operation.input_shape).has_errors()
    assert set(document) <= set(operation.input_shape.members)
    assert (request.method, request.path) == ("POST", operation.http["requestUri"])
    assert document["ConfigurationSetName"] == "clarion"
    assert document["EmailTags"] == [
        {"Name": "clarion", "Value": "ab12"},
        {"Name": "category", "Value": "checks"},
        {"Name": "workflow", "Value": "checked"},
    ]
    document["EmailTags"] = "x"
    assert ParamValidator().validate(document, operation.input_shape).has_errors()


async def test_an_address_that_ses_cannot_take_is_refused_without_a_call():
    """Its first part must be ASCII there."""
    async with scripted_server(otherwise=SENT) as server:
        async with subject(server.url).opened() as provider:
            (outcome,) = await provider.send([message(address="jörg@contact.example")])
        assert not server.requests
    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize(
    ("answer", "fault", "says"),
    [
        (Answer.json(200, {"SendingEnabled": True}), None, ""),
        (Answer.json(200, {"SendingEnabled": False}), ConfigError, "paused"),
        (error(403, "AccessDeniedException"), ConfigError, "ses:GetAccount"),
        (error(403, "InvalidSignatureException"), ConfigError, "clock"),
        (error(404, "x"), ConfigError, "region"),
        (Answer(status=500), Unavailable, "health"),
    ],
)
async def test_a_ping_asks_for_the_account(answer, fault, says):
    """And says what to do when it does not work."""
    async with scripted_server(otherwise=answer) as server:
        async with subject(server.url).opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault, match=says):
                    await provider.ping()
        assert [one.path for one in server.requests] == ["/v2/email/account"]


@pytest.mark.parametrize("wrong", [{"secret_access_key": ""}, {"region": "here"}, {"topic_arn": "mail"}])
def test_settings_that_cannot_work_are_refused(wrong):
    """When they are stored."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plugin.example, "access_key_id": "AKIA", **wrong}, SesConfig)


# ── signatures of requests ────────────────────────────────────────────────────────────────────────────────

AT = datetime(2026, 1, 5, 12, 0, 3, tzinfo=UTC)


@pytest.mark.parametrize("token", ["", "a-session-token"])
@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "https://email.eu-central-1.amazonaws.com/v2/email/outbound-emails", b'{"a": "b"}'),
        ("GET", "https://email.eu-central-1.amazonaws.com/v2/email/account", b""),
        ("GET", "https://email.eu-central-1.amazonaws.com:443/x y/z?b=2&a=1&a=%20", b""),
        ("POST", "http://127.0.0.1:5000/", b"\xff"),
    ],
)
def test_requests_are_signed_as_botocore_does(method, url, body, token, monkeypatch):
    """To the letter."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: AT.replace(tzinfo=None))
    headers = {"content-type": "application/json", "x-odd": " a   b "}
    theirs = AWSRequest(method=method, url=url, headers=headers, data=body)
    credentials = Credentials("AKIDEXAMPLE", "secret", token or None)
    botocore.auth.SigV4Auth(credentials, "ses", "eu-central-1").add_auth(theirs)
    ours = signed(
        HttpRequest(method=method, url=url, headers=headers, body=body),
        AwsKey("AKIDEXAMPLE", "secret", token),
        region="eu-central-1",
        service="ses",
        now=Instant(int(AT.timestamp() * 1000)),
    )
    assert ours.headers["authorization"] == theirs.headers["Authorization"]
    assert ours.headers["x-amz-date"] == theirs.headers["X-Amz-Date"]
    assert ours.headers.get("x-amz-security-token") == theirs.headers.get("X-Amz-Security-Token")


def test_a_key_does_not_show_its_secret():
    """Wherever it is printed."""
    assert repr(AwsKey("AKIA", "secret", "token")) == "AwsKey(AKIA)"


# ── credentials ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def on_machine(url):
    """SES without a key in its settings."""

    def settings(at):
        keyed = VENDORS["key"].config(at)
        return {name: value for name, value in keyed.items() if not name.endswith(("key_id", "access_key"))}

    return ProviderSubject(
        plugin=plugin, tools=TOOLS, vendor=replace(VENDORS["key"], config=settings), url=url
    )


async def test_credentials_are_found_as_aws_tools_do(bare, monkeypatch):
    """In files, in the environment, or by the role of the machine."""
    (bare / "credentials").write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n")
    assert await AwsChain().key() == AwsKey("A", "B")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "C")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "D")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "E")
    assert await AwsChain().key() == AwsKey("C", "D", "E")
    async with scripted_server(otherwise=SENT) as server:
        async with on_machine(server.url).opened() as provider:
            (outcome,) = await provider.send([message()])
        (request,) = server.requests
    assert isinstance(outcome, Accepted)
    assert "Credential=C/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "E"


async def test_without_credentials_nothing_is_sent(bare):
    """It is said what to set; the messages wait."""
    async with scripted_server(otherwise=SENT) as server:
        async with on_machine(server.url).opened() as provider:
            (outcome,) = await provider.send([message()])
            with pytest.raises(ConfigError, match="access_key_id"):
                await provider.ping()
        assert not server.requests
    assert isinstance(outcome, Misconfigured)


async def test_without_the_library_that_finds_them_credentials_must_be_set(monkeypatch):
    """The integration says which package is missing."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(ConfigError, match=r"install 'botocore"):
        async with on_machine("http://127.0.0.1:1").opened():
            pass


# ── notifications ─────────────────────────────────────────────────────────────────────────────────────────


def config(**more):
    """Settings with a topic."""
    return msgspec.convert({**plugin.example, "topic_arn": TOPIC, **more}, SesConfig)


def tools(now=MONDAY_NOON, **documents):
    """At noon, with the certificate of SNS."""
    return CallbackTools(
        now=now, documents={CERTIFICATE_URL: keys("sns")[1], **documents}, refused_email=refused_email
    )


async def test_a_notification_that_sns_signs_is_accepted(moto):
    """moto signs as SNS does and serves the certificate; one byte less, and it is refused."""
    document = {"eventType": "Delivery", "mail": {**MAIL, "tags": {"clarion": [OURS]}}, "delivery": {}}
    async with scripted_server() as server:
        with client("sns", moto) as topics:
            topic = topics.create_topic(Name="mail-events")["TopicArn"]
            topics.subscribe(TopicArn=topic, Protocol="http", Endpoint=server.url)
            await asyncio.to_thread(topics.publish, TopicArn=topic, Message=json.dumps(document))
        (received,) = server.requests
    request = CallbackRequest(url="https://notify.example/x", headers=received.headers, body=received.body)
    settings, now = config(topic_arn=topic), TOOLS.clock.now()
    needed = verify(request, settings, CallbackTools(now=now))
    assert isinstance(needed, DocumentNeeded)
    path = needed.url.removeprefix(f"https://sns.{REGION}.amazonaws.com")
    asked = Request(f"{moto}{path}", headers={"authorization": f"x Credential=x/20260105/{REGION}/sns/x"})
    certificate = await asyncio.to_thread(fetched, asked)
    known = CallbackTools(now=now, documents={needed.url: certificate}, refused_email=refused_email)
    assert verify(request, settings, known) is None
    (receipt,) = read_event(request, settings, known).receipts
    assert (receipt.kind, receipt.reference) == (ReceiptKind.DELIVERED, OURS)
    with pytest.raises(CallbackForged):
        verify(replace(request, body=request.body.replace(b"Delivery", b"Complaint")), settings, known)


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_accepted(version):
    """SNS signs with SHA-1 unless the topic says otherwise; a subject is signed, too."""
    document = envelope("Notification", "{}", Subject="Amazon SES Email Event Notification")
    request = signed_by("sns", sns(document).request(OURS), MONDAY_NOON, version)
    assert verify(request, config(), tools()) is None
    with pytest.raises(CallbackForged):
        verify(replace(request, body=request.body.replace(b"Email Event", b"Email")), config(), tools())


def test_a_subscription_is_confirmed():
    """By visiting the URL that SNS signed."""
    document = envelope("SubscriptionConfirmation", "x", Token="t", SubscribeURL=CONFIRMATION_URL)
    request = signed_by("sns", sns(document).request(OURS), MONDAY_NOON)
    assert verify(request, config(), tools()) is None
    assert read_event(request, config(), tools()).visits == (CONFIRMATION_URL,)


@pytest.mark.parametrize(
    "changes",
    [
        {"topic_arn": "arn:aws:sns:eu-central-1:999999999999:mail-events"},
        {"topic_arn": ""},
    ],
)
def test_a_topic_of_somebody_else_reports_nothing(changes):
    """SNS signs for everybody: only the topic of the settings counts."""
    request = signed_by("sns", event("Delivery").request(OURS), MONDAY_NOON)
    with pytest.raises(CallbackForged, match="topic"):
        verify(request, config(**changes), tools())


@pytest.mark.parametrize(
    ("field", "url"),
    [
        (
            "SigningCertURL",
            "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
        ),
        ("SigningCertURL", "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem"),
        ("SigningCertURL", "https://s3.amazonaws.com/SimpleNotificationService-1.pem"),
        ("SubscribeURL", "https://internal.example/"),
        ("SubscribeURL", "https://sns.eu-central-1.amazonaws.com@evil.example/?x"),
    ],
)
def test_no_url_of_a_stranger_is_called(field, url):
    """Neither for a certificate nor to confirm."""
    document = envelope("SubscriptionConfirmation", "x", Token="t", SubscribeURL=CONFIRMATION_URL)
    request = signed_by("sns", sns(document).request(OURS), MONDAY_NOON)
    forged = {**json.loads(request.body), field: url}
    with pytest.raises(CallbackForged, match="URL of SNS"):
        verify(replace(request, body=json.dumps(forged).encode()), config(), tools())


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────


def read(recorded):
    """The one receipt of a notification."""
    request = CALLBACKS.sign(recorded.request(OURS), MONDAY_NOON)
    (receipt,) = read_event(request, config(), tools()).receipts
    return receipt


def test_a_receipt_says_when_who_and_why():
    """Without the address in its words."""
    receipt = read(bounce("Permanent", "General", **smtp("550 5.1.1 <ada@contact.example> no such user")))
    assert receipt.address == "ada@contact.example"
    assert receipt.at == Instant(MONDAY_NOON - 60_000)
    assert receipt.provider_id == MAIL["messageId"]
    assert "no such user" in receipt.detail
    assert "ada@" not in receipt.detail


@pytest.mark.parametrize("type_", ["Permanent", "Transient", "Undetermined"])
@pytest.mark.parametrize(
    "said",
    [
        "550 5.7.26 Unauthenticated email from shop.example is not accepted due to domain's DMARC policy",
        "550 5.7.515 Access denied, sending domain shop.example does not meet the required authentication level",
        "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address",
    ],
)
def test_a_policy_of_the_receivers_is_never_the_persons_fault(type_, said):
    """Whatever SES calls it: the sender must mend it, and the address stays usable."""
    receipt = read(bounce(type_, "General", **smtp(said)))
    assert receipt.kind is ReceiptKind.BLOCKED
    assert not receipt.permanent


def test_what_is_no_event_is_not_understood():
    """It is kept for a person."""
    request = CALLBACKS.sign(sns(envelope("Notification", "hello")).request(OURS), MONDAY_NOON)
    with pytest.raises(CallbackUnreadable):
        read_event(request, config(), tools())
