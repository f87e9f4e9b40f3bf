"""Twilio: calls that say a message, with a digit as acknowledgement.

https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape, quoteattr

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest
from clarion.adapters.http.basic import basic
from clarion.adapters.providers.twilio import TwilioAccount, answer_of, check_pong
from clarion.adapters.providers.twilio import read as read_message
from clarion.adapters.providers.twilio.signature import form_of, is_form
from clarion.adapters.providers.twilio.status_callbacks import NOTED, REFERENCE, verify
from clarion.errors import CallbackUnreadable, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import VoiceContent
from clarion.model.outcome import Accepted, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import (
    Callback,
    CallbackAnswer,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    PressedButton,
    ReportedReceipt,
)
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools, Report
from clarion.ports.vault import normal_address

TWIML_CHARS = 4_000
"""What a request for a call takes."""
LOOK_EVERY_S = 2.0
DIGIT_WAIT_S = 10
HANG_UP_S = 15.0
"""Of the time of a call of the provider, at most half of it: kept for hanging up what nobody took."""
THANKS = CallbackAnswer(body=b"<Response><Hangup/></Response>", media_type="text/xml")
WAITING = frozenset({"queued", "initiated", "ringing"})


class TwilioVoiceConfig(TwilioAccount, frozen=True, kw_only=True):
    """An account, who calls, and in which voice."""

    sender: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A\+[1-9][0-9]{6,14}\Z", description="a number of the account, such as +15005550006"
        ),
    ]
    """The number that calls."""
    voice: Annotated[
        str,
        msgspec.Meta(pattern=r"\A[A-Za-z][A-Za-z0-9.-]*\Z", description="a voice, such as Polly.Amy-Neural"),
    ] = ""
    """A voice of Twilio's, such as `Polly.Amy-Neural`; empty: the usual one of the content's language."""
    machine_detection: bool = True
    """Find out whether a machine took the call, and speak to it only after its beep. Twilio charges for it."""
    machine_delivers: bool = False
    """A message left on a machine counts as delivered; else the next channel of a ladder starts."""


class TwilioCallRequests:
    """Makes requests for one integration, and reads their answers."""

    def __init__(self, integration: Integration, config: TwilioVoiceConfig, tools: ProviderTools) -> None:
        self._key = integration.key
        self._config = config
        self._tools = tools
        self._ring_s = max(5, round(ring_s(integration.limits.timeout_s)))
        self._url = f"{config.api_url.rstrip('/')}/2010-04-01/Accounts/{config.account_sid}"
        self._headers = {"authorization": basic(*config.credentials)}
        self._form = {**self._headers, "content-type": "application/x-www-form-urlencoded"}
        self.waiting: set[str] = set()
        """Calls that nobody has taken yet, by SID."""

    @property
    def ping(self) -> HttpRequest:
        """Asks for the account."""
        return HttpRequest(method="GET", url=f"{self._url}.json", headers=self._headers)

    def state(self, sid: str) -> HttpRequest:
        """Asks how a call is doing."""
        return HttpRequest(method="GET", url=f"{self._url}/Calls/{quote(sid)}.json", headers=self._headers)

    def hang_up(self, sid: str) -> HttpRequest:
        """Ends a call that nobody has taken; one that somebody has goes on."""
        return HttpRequest(
            url=f"{self._url}/Calls/{quote(sid)}.json", headers=self._form, body=b"Status=canceled"
        )

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one call."""
        assert isinstance(outgoing.content, VoiceContent), "each channel has its own content"
        assert outgoing.contact is not None, "calls go to a number"
        url = self._tools.callback_url(outgoing.message.tenant, self._key)
        if url:
            url = f"{url}?{REFERENCE}={quote(self._tools.reference(outgoing.message))}"
        document = twiml(outgoing.content, self._config.voice, url)
        if len(document) > TWIML_CHARS:
            return Rejected(
                detail=f"what is said is longer than the {TWIML_CHARS} characters that Twilio takes"
            )
        fields = {
            "To": normal_address(Channel.VOICE, outgoing.contact.address),
            "From": self._config.sender,
            "Twiml": document,
            "Timeout": str(self._ring_s),
        }
        if self._config.machine_detection:
            fields["MachineDetection"] = "DetectMessageEnd"
        if url:
            fields["StatusCallback"] = url
        return HttpRequest(
            url=f"{self._url}/Calls.json",
            headers=self._form,
            body=urlencode(fields, errors="replace").encode(),
        )

    def read(self, outgoing: Outgoing, reply: HttpReply) -> Outcome:
        """What Twilio's answer means: as for messages. A call that it takes has not been answered yet."""
        outcome = read_message(outgoing, reply)
        if isinstance(outcome, Accepted) and outcome.provider_id and answer_of(reply).status in WAITING:
            self.waiting.add(outcome.provider_id)
        return outcome


def twiml(content: VoiceContent, voice: str, url: str) -> str:
    """What is said; then, where somebody can be told, what asks for a digit."""
    named = {"voice": voice, "language": content.language}
    marks = "".join(f" {name}={quoteattr(value)}" for name, value in named.items() if value)
    said = f"<Say{marks}>{content.ssml or escape(content.text)}</Say>"
    if content.acknowledge and url:
        said = (
            f'<Gather input="dtmf" numDigits="1" timeout="{DIGIT_WAIT_S}" action={quoteattr(url)}>'
            f"{said}<Say{marks}>{escape(content.acknowledge)}</Say></Gather>"
        )
    return f"<Response>{said}</Response>"


class TwilioCalls(HttpProvider[Outgoing]):
    """Implements `ports.provider.Provider`: a call is accepted once somebody or something takes it, so that one that nobody
    takes is tried again."""

    def __init__(self, integration: Integration, config: TwilioVoiceConfig, tools: ProviderTools) -> None:
        self._requests = requests = TwilioCallRequests(integration, config, tools)
        super().__init__(
            integration,
            tools,
            build=requests.build,
            read=requests.read,
            ping=requests.ping,
            check_pong=check_pong,
        )

    async def send_reporting(
        self, batch: Sequence[Outgoing], report: Report | None, *, within_s: float | None = None
    ) -> Sequence[Outcome]:
        """Call, and follow each call until somebody takes it."""
        began_s = self._clock.monotonic()
        outcomes = await super().send_reporting(batch, None, within_s=within_s)
        return await asyncio.gather(*[self._followed(outcome, began_s) for outcome in outcomes])

    async def _followed(self, outcome: Outcome, began_s: float) -> Outcome:
        sid = outcome.provider_id if isinstance(outcome, Accepted) else None
        if sid is None or sid not in self._requests.waiting:
            return outcome
        try:
            until_s = began_s + ring_s(self._timeout_s)
            give_up_s = began_s + self._timeout_s
            while self._clock.monotonic() + LOOK_EVERY_S < until_s:
                await self._clock.sleep(LOOK_EVERY_S)
                state = await self._state(self._requests.state(sid), give_up_s)
                if state not in WAITING:
                    return _ended(state) or outcome
            state = await self._state(self._requests.hang_up(sid), give_up_s)
            return _ended("no-answer" if state in WAITING else state) or outcome
        finally:
            self._requests.waiting.discard(sid)

    async def _state(self, request: HttpRequest, give_up_s: float) -> str:
        """How the call is doing; as before where Twilio does not say."""
        try:
            reply = await self.ask(request, within_s=give_up_s - self._clock.monotonic())
        except Unavailable:
            return "ringing"
        state = answer_of(reply).status
        return state if reply.status == 200 and isinstance(state, str) else "ringing"


def ring_s(timeout_s: float) -> float:
    """How long a phone rings."""
    return timeout_s - min(timeout_s / 2, HANG_UP_S)


def _ended(state: str) -> Outcome | None:
    """What became of a call that nobody has taken; None: somebody has."""
    match state:
        case "busy":
            return Retry(of_address=True, detail="Twilio: the line was busy")
        case "no-answer" | "canceled":
            return Retry(of_address=True, detail="Twilio: nobody took the call")
        case "failed":
            return Rejected(detail="Twilio: the number cannot be called")
        case _:
            return None


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────

TOLD_BY_FOLLOWING = frozenset({*WAITING, "in-progress", "busy", "no-answer", "failed", "canceled"})
MACHINES = ("machine", "fax")


def read_report(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """That a call was made, or that the person pressed a digit."""
    fields: Mapping[str, str] = dict(form_of(request)) if is_form(request) else {}
    sid = fields.get("CallSid", "")
    if not sid:
        raise CallbackUnreadable("there is no CallSid")
    receipt = ReportedReceipt(
        reference=request.query.get(REFERENCE, ""),
        kind=ReceiptKind.DELIVERED,
        address=fields.get("To", ""),
        provider_id=sid,
    )
    if digits := fields.get("Digits"):
        return Callback(
            receipts=(msgspec.structs.replace(receipt, kind=ReceiptKind.ACKNOWLEDGED),),
            pressed=_chosen(receipt.reference, digits),
            answer=THANKS,
        )
    state = fields.get("CallStatus", "")
    if state in TOLD_BY_FOLLOWING:
        return Callback(answer=NOTED)
    if state != "completed":
        raise CallbackUnreadable("its CallStatus is not known")
    if fields.get("AnsweredBy", "").startswith(MACHINES) and not config.machine_delivers:
        receipt = msgspec.structs.replace(
            receipt,
            kind=ReceiptKind.FAILED,
            reason=Reason.ANSWERING_MACHINE,
            detail="Twilio: a machine took the call",
        )
    return Callback(receipts=(receipt,), answer=NOTED)


def _chosen(reference: str, digits: str) -> tuple[PressedButton, ...]:
    """The answer of which a call says this digit; where it asks no question, it is none."""
    if digits not in "123456789":
        return ()
    return (PressedButton(id=f"{reference}.{int(digits) - 1}"),)


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return TwilioCalls(integration, config, tools)


plugin = ProviderPlugin(
    name="twilio_voice",
    title="Twilio calls",
    channels=frozenset({Channel.VOICE}),
    config=TwilioVoiceConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_report,
        kinds=frozenset({ReceiptKind.DELIVERED, ReceiptKind.FAILED, ReceiptKind.ACKNOWLEDGED}),
    ),
    batch=50,
    secrets=frozenset({"auth_token", "api_key_secret"}),
    example={
        "account_sid": "AC00000000000000000000000000000000",
        "auth_token": "...",
        "sender": "+15005550006",
    },
)
