"""Every service for text messages sends from the sender that was chosen for the country."""

from urllib.parse import unquote_plus

import msgspec
import pytest

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers import aws_sms, messagebird, plivo, sinch, sms_http, twilio, vonage
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.setup import Integration
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject

RANDOM = SystemRandom()
TOOLS = provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM))
CHOSEN = "+447700900123"

SERVICES = {
    "twilio": (twilio.plugin, twilio.TwilioMessages),
    "vonage": (vonage.plugin, vonage.VonageMessages),
    "plivo": (plivo.plugin, plivo.PlivoMessages),
    "sinch": (sinch.plugin, sinch.SinchMessages),
    "messagebird": (messagebird.plugin, messagebird.MessageBirdMessages),
    "sms_http": (sms_http.plugin, sms_http.GatewayMessages),
    "aws_sms": (aws_sms.plugin, aws_sms.AwsTexts),
}


@pytest.mark.parametrize("service", SERVICES)
def test_the_chosen_sender_takes_the_place_of_the_settings(service):
    """Without one the settings count."""
    plugin, messages = SERVICES[service]
    integration = Integration(key="texts", channel=Channel.SMS, provider=service, config=plugin.example)
    builder = messages(integration, msgspec.convert(plugin.example, plugin.config), TOOLS)
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1)
    sent = [
        unquote_plus(request.url + request.body.decode())
        for sender in ("", CHOSEN)
        if isinstance(request := builder.build(msgspec.structs.replace(outgoing, sender=sender)), HttpRequest)
    ]
    assert [CHOSEN.removeprefix("+") in text for text in sent] == [False, True]
    assert [str(plugin.example["sender"]).removeprefix("+") in text for text in sent] == [True, False]
