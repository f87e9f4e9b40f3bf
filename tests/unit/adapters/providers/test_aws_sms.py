"""AWS End User Messaging: requests fit AWS's own model, signatures are those of botocore, and events are read."""

import json

import botocore.auth
import botocore.session
import msgspec
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator
from msgspec.structs import replace

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.aws_sms import ANSWERS, ERRORS, LONGEST_TTL_S, AwsSmsConfig, AwsTexts, plugin
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Integration
from clarion.ports.callback import CallbackTools
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.aws_sms import SUBSCRIBED, VENDORS, account, error, failed
from tests.vendors.ses import CONFIRMATION_URL, signed

RANDOM = SystemRandom()
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
    allowed_networks=("127.0.0.0/8",),
)
MODEL = botocore.session.Session().get_service_model("pinpoint-sms-voice-v2")
NOW = Instant(1_767_614_281_000)
assert plugin.callbacks is not None
CALLBACKS = plugin.callbacks


def request_of(expires_in_ms=None, **changes):
    """The request for one message."""
    config = {**account("https://sms-voice.eu-central-1.amazonaws.com"), **changes}
    integration = Integration(key="texts", channel=Channel.SMS, provider="aws_sms", config=config)
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1)
    if expires_in_ms is not None:
        expires_at = Instant(TOOLS.clock.now() + expires_in_ms)
        outgoing = replace(outgoing, message=replace(outgoing.message, expires_at=expires_at))
    request = AwsTexts(integration, msgspec.convert(config, AwsSmsConfig), TOOLS).build(outgoing)
    assert isinstance(request, HttpRequest)
    return request


@pytest.mark.parametrize("left_ms", [None, -1_000, 90_000, LONGEST_TTL_S * 2_000])
def test_the_model_of_aws_takes_what_we_send(left_ms):
    """Whenever the message expires."""
    document = json.loads(request_of(left_ms).body)
    operation = MODEL.operation_model("SendTextMessage")
    report = ParamValidator().validate(document, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert document["Context"] == {"clarion": "ab12"}
    assert ("TimeToLive" in document) == (left_ms in (-1_000, 90_000))


def test_the_signature_is_that_of_botocore():
    """For the service and the region of the settings."""
    ours = request_of()
    theirs = AWSRequest(
        "POST",
        ours.url,
        data=ours.body,
        headers={name: ours.headers[name] for name in ("content-type", "x-amz-target")},
    )
    secret = account("")["secret_access_key"]
    signer = botocore.auth.SigV4Auth(Credentials("AKIDEXAMPLE", secret), MODEL.signing_name, "eu-central-1")
    theirs.context["timestamp"] = ours.headers["x-amz-date"]
    theirs.headers["X-Amz-Date"] = ours.headers["x-amz-date"]
    canonical = signer.canonical_request(theirs)
    right = signer.signature(signer.string_to_sign(theirs, canonical), theirs)
    assert ours.headers["authorization"].endswith(f"Signature={right}")


def test_every_error_of_its_model_is_explained():
    """The errors of sending a message, by name; and no reason that AWS does not know."""
    names = {shape.name for shape in MODEL.operation_model("SendTextMessage").error_shapes}
    assert names <= ANSWERS.codes.keys()
    reasons = {
        *MODEL.shape_for("ConflictExceptionReason").enum,
        *MODEL.shape_for("ValidationExceptionReason").enum,
    }
    assert {code for code in ANSWERS.codes if code.isupper()} <= reasons
    assert ERRORS.codes.keys() <= {*MODEL.shape_for("EventType").enum}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer.json(200, {}), None),
        (error("AccessDeniedException"), ConfigError),
        (error("UnrecognizedClientException"), ConfigError),
        (Answer.text(404, "no"), ConfigError),
        (Answer.text(500, "no"), Unavailable),
    ],
)
async def test_a_ping_asks_for_the_account(answer, fault):
    """And says what to do when it does not work."""
    async with scripted_server(otherwise=answer) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["key"], url=server.url)
        async with subject.opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault):
                    await provider.ping()
        (request,) = server.requests
        assert request.headers["x-amz-target"] == "PinpointSMSVoiceV2.DescribeAccountAttributes"


@pytest.mark.parametrize(
    "changes",
    [{"sender": "a b"}, {"region": "x"}, {"message_type": "x"}, {"topic_arn": "x"}, {"access_key_id": "A B"}],
)
def test_settings_that_cannot_work_are_refused(changes):
    """When they are stored."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plugin.example, **changes}, AwsSmsConfig)


def test_half_a_key_is_refused():
    """Both of its parts or neither."""
    with pytest.raises(msgspec.ValidationError, match="together"):
        msgspec.convert({"region": "eu-central-1", "sender": "x", "access_key_id": "x"}, AwsSmsConfig)


def read(recorded):
    """What a notification says."""
    config = msgspec.convert(account("https://sms-voice.eu-central-1.amazonaws.com"), AwsSmsConfig)
    return CALLBACKS.read(signed("sns", recorded.request(OURS), NOW), config, CallbackTools(now=NOW))


def test_an_event_says_why_and_when():
    """In words of ours."""
    (receipt,) = read(failed("TEXT_SPAM")).receipts
    assert receipt.detail == ERRORS.said("TEXT_SPAM")
    assert receipt.at == NOW


def test_the_subscription_is_confirmed():
    """By a visit to the URL that SNS names."""
    assert read(SUBSCRIBED).visits == (CONFIRMATION_URL,)
