"""WhatsApp over Meta's Cloud API, with its reports, what people write, and its templates.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.phone_errors import PhoneError, PhoneErrorEffect, PhoneErrors, with_plus
from clarion.adapters.service_json import answer_of, object_in, object_of, second, text_in
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import Action, WhatsAppContent
from clarion.model.inbound import InboundMessage
from clarion.model.outcome import Accepted, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.whatsapp import Approval, TemplateChange, WhatsAppTemplate
from clarion.ports.callback import (
    Callback,
    CallbackAnswer,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    ReportedReceipt,
)
from clarion.ports.provider import Provider, ProviderPlugin, ProviderSettings, ProviderTools, Token, WebUrl
from clarion.ports.vault import normal_address

TEXT_CHARS = 4096
INTERACTIVE_CHARS = 1024
"""Of a text that has buttons; a longer one goes without, and its answer is written."""
REPLY_BUTTONS, REPLY_CHARS = 3, 20
ROWS, ROW_CHARS, DESCRIPTION_CHARS = 10, 24, 72
ELLIPSIS = "…"
VALUE_CHARS = 1024
"""Of what a template is filled with."""
STOPPED_MARKETING = "131050"
ERRORS = PhoneErrors(
    "WhatsApp",
    {
        "0": PhoneError("the access token is not valid", PhoneErrorEffect.SET_UP),
        "1": PhoneError("an error inside WhatsApp", PhoneErrorEffect.UNCLEAR),
        "2": PhoneError("WhatsApp is down for a moment", PhoneErrorEffect.UNCLEAR),
        "3": PhoneError("the app may not send messages", PhoneErrorEffect.SET_UP),
        "4": PhoneError("the app makes too many calls", PhoneErrorEffect.LATER),
        "10": PhoneError("the access token may not send messages", PhoneErrorEffect.SET_UP),
        "100": PhoneError("a parameter is not valid", PhoneErrorEffect.REFUSED),
        "100/33": PhoneError(
            "the phone number id does not exist, or the token may not use it", PhoneErrorEffect.SET_UP
        ),
        "190": PhoneError("the access token has expired or was withdrawn", PhoneErrorEffect.SET_UP),
        "200": PhoneError("the access token may not send messages", PhoneErrorEffect.SET_UP),
        "368": PhoneError(
            "the account is blocked for a while, for breaking a policy", PhoneErrorEffect.SET_UP
        ),
        "80007": PhoneError("the account sends too much at once", PhoneErrorEffect.LATER),
        "130429": PhoneError("the number sends too much at once", PhoneErrorEffect.LATER),
        "130472": PhoneError(
            "the person is in an experiment of Meta and gets no marketing", PhoneErrorEffect.BLOCKED
        ),
        "130497": PhoneError("the account may not send to this country", PhoneErrorEffect.REFUSED),
        "131000": PhoneError("an error inside WhatsApp", PhoneErrorEffect.UNCLEAR),
        "131005": PhoneError("the access token may not send messages", PhoneErrorEffect.SET_UP),
        "131008": PhoneError("a parameter is missing", PhoneErrorEffect.REFUSED),
        "131009": PhoneError("a parameter is not valid", PhoneErrorEffect.REFUSED),
        "131016": PhoneError("WhatsApp is down for a moment", PhoneErrorEffect.UNCLEAR),
        "131021": PhoneError("the number is the sender's own", PhoneErrorEffect.REFUSED),
        "131026": PhoneError(
            "the number has no WhatsApp, or cannot get this message", PhoneErrorEffect.UNREACHABLE
        ),
        "131030": PhoneError("the number is not on the list of the test number", PhoneErrorEffect.REFUSED),
        "131031": PhoneError("the account is locked", PhoneErrorEffect.SET_UP),
        "131037": PhoneError("the display name of the number is not approved", PhoneErrorEffect.SET_UP),
        "131042": PhoneError("the account has no valid way to pay", PhoneErrorEffect.SET_UP),
        "131045": PhoneError("the number is not registered", PhoneErrorEffect.SET_UP),
        "131047": PhoneError("the person has not written within 24 hours", PhoneErrorEffect.WINDOW_CLOSED),
        "131048": PhoneError(
            "too many people blocked or reported this number lately", PhoneErrorEffect.BLOCKED
        ),
        "131049": PhoneError(
            "Meta holds it back, because the person gets much marketing", PhoneErrorEffect.BLOCKED
        ),
        STOPPED_MARKETING: PhoneError(
            "the person wants no marketing from this business", PhoneErrorEffect.BLOCKED
        ),
        "131051": PhoneError("WhatsApp does not know this type of message", PhoneErrorEffect.REFUSED),
        "131052": PhoneError("the media file could not be fetched", PhoneErrorEffect.REFUSED),
        "131053": PhoneError("the media file could not be used", PhoneErrorEffect.REFUSED),
        "131056": PhoneError("too many messages to this person at once", PhoneErrorEffect.LATER),
        "131064": PhoneError("the number sends the same templates too often", PhoneErrorEffect.LATER),
        "131057": PhoneError("the account is being maintained", PhoneErrorEffect.LATER),
        "132000": PhoneError("the template takes another number of parameters", PhoneErrorEffect.REFUSED),
        "132001": PhoneError("the template does not exist in this language", PhoneErrorEffect.TEMPLATE),
        "132005": PhoneError("the template is too long once it is filled", PhoneErrorEffect.REFUSED),
        "132007": PhoneError("the template breaks a policy", PhoneErrorEffect.TEMPLATE),
        "132012": PhoneError(
            "a parameter is not of the form that the template takes", PhoneErrorEffect.REFUSED
        ),
        "132015": PhoneError("the template is paused for its quality", PhoneErrorEffect.TEMPLATE),
        "132016": PhoneError("the template is disabled for its quality", PhoneErrorEffect.TEMPLATE),
        "133004": PhoneError("WhatsApp is down for a moment", PhoneErrorEffect.UNCLEAR),
        "133016": PhoneError("the number was registered too often", PhoneErrorEffect.LATER),
        "133010": PhoneError("the number is not registered", PhoneErrorEffect.SET_UP),
        "135000": PhoneError("WhatsApp does not say why", PhoneErrorEffect.REFUSED),
    },
)
"""https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes"""

Digits = Annotated[
    str, msgspec.Meta(pattern=r"\A[0-9]{5,20}\Z", description="an id as Meta shows it: digits only")
]


class WhatsAppCloudConfig(ProviderSettings, frozen=True, kw_only=True):
    """A number of a WhatsApp Business account, and the app that uses it."""

    phone_number_id: Digits
    """Id of the sending number (not the number itself)."""
    business_account_id: Digits
    """Id of the WhatsApp Business account, whose templates are used."""
    access_token: Token
    """A permanent token of a system user who may send messages and manage the account."""
    app_secret: Token
    """Meta signs its callbacks with it."""
    verify_token: Token
    """Any words of yours: Meta shows them when you enter the callback URL."""
    api_url: WebUrl = "https://graph.facebook.com/v26.0"
    """Where the API is, with its version."""


class WhatsAppCloudMessages:
    """Makes requests for one integration, and reads their answers."""

    def __init__(self, config: WhatsAppCloudConfig, tools: ProviderTools) -> None:
        self._tools = tools
        self._url = config.api_url.rstrip("/")
        self._number = f"{self._url}/{config.phone_number_id}"
        self._account = f"{self._url}/{config.business_account_id}"
        self._headers = {"authorization": f"Bearer {config.access_token}"}

    @property
    def ping(self) -> HttpRequest:
        """Asks for the number."""
        return HttpRequest(method="GET", url=f"{self._number}?fields=id", headers=self._headers)

    def templates(self, after: str) -> HttpRequest:
        """Asks for a page of templates."""
        page = {"fields": "name,language,status,category,components", "limit": str(PAGE)}
        query = urlencode({**page, "after": after} if after else page)
        return HttpRequest(
            method="GET", url=f"{self._account}/message_templates?{query}", headers=self._headers
        )

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        content = outgoing.content
        assert isinstance(content, WhatsAppContent), "each channel has its own content"
        assert outgoing.contact is not None, "WhatsApp messages go to a number"
        if len(content.text) > TEXT_CHARS:
            return Rejected(detail=f"the text is longer than the {TEXT_CHARS} characters that WhatsApp takes")
        values = (content.template, content.language, content.header, *content.parameters, *content.buttons)
        if max(map(len, values)) > VALUE_CHARS:
            return Rejected(
                detail=f"a parameter is longer than the {VALUE_CHARS} characters that WhatsApp takes"
            )
        document = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": normal_address(Channel.WHATSAPP, outgoing.contact.address).removeprefix("+"),
            "biz_opaque_callback_data": self._tools.reference(outgoing.message),
            **_body(content, outgoing.whatsapp_template),
        }
        return HttpRequest(
            url=f"{self._number}/messages",
            headers={**self._headers, "content-type": "application/json"},
            body=msgspec.json.encode(document),
        )


def _body(content: WhatsAppContent, template: WhatsAppTemplate | None) -> dict[str, Any]:
    """Of a text, or of a template: as it is listed, or as is usual where nothing is known of it."""
    if not content.template:
        text = _plain(content.text)
        pressed = [one for one in content.actions if one.id]
        if pressed and len(text) <= INTERACTIVE_CHARS:
            return {"type": "interactive", "interactive": _interactive(text, pressed)}
        return {"type": "text", "text": {"body": text, "preview_url": "https://" in text}}
    return {
        "type": "template",
        "template": {
            "name": _plain(template.name if template is not None else content.template),
            "language": {"code": _plain(content.language)},
            "components": list(_components(content, template)),
        },
    }


def _interactive(text: str, actions: Sequence[Action]) -> dict[str, Any]:
    """Up to three short answers are buttons, others a list to choose from.

    https://developers.facebook.com/docs/whatsapp/cloud-api/messages/interactive-reply-buttons-messages
    """
    labels = [_plain(one.label) for one in actions]
    if len(actions) <= REPLY_BUTTONS and all(len(label) <= REPLY_CHARS for label in labels):
        replies = [
            {"type": "reply", "reply": {"id": one.id, "title": label}}
            for one, label in zip(actions, labels, strict=True)
        ]
        return {"type": "button", "body": {"text": text}, "action": {"buttons": replies}}
    rows = []
    for one, label in zip(actions, labels, strict=True):
        whole = len(label) <= ROW_CHARS
        row = {"id": one.id, "title": label if whole else label[: ROW_CHARS - 1] + ELLIPSIS}
        rows.append(row if whole else {**row, "description": label[:DESCRIPTION_CHARS]})
    action = {"button": ELLIPSIS, "sections": [{"rows": rows[:ROWS]}]}
    return {"type": "list", "body": {"text": text}, "action": action}


def _components(content: WhatsAppContent, template: WhatsAppTemplate | None) -> Iterator[dict[str, Any]]:
    if content.header:
        usual = "image" if content.header.startswith("https://") else "text"
        kind = usual if template is None else template.header or usual
        header = _plain(content.header)
        value: Any = header if kind == "text" else {"link": header}
        yield {"type": "header", "parameters": [{"type": kind, kind: value}]}
    if content.parameters:
        names = () if template is None else template.parameters
        texts = zip_longest(content.parameters, names[: len(content.parameters)], fillvalue="")
        yield {"type": "body", "parameters": [_text(name, _plain(one)) for one, name in texts]}
    taking = [] if template is None else [(at, kind) for at, kind in enumerate(template.buttons) if kind]
    buttons = content.buttons or _pressed(content, taking)
    usual_place = enumerate(buttons)
    for given, listed, (at, _) in zip_longest(buttons, taking[: len(buttons)], usual_place):
        index, kind = listed or (at, "url")
        yield {
            "type": "button",
            "sub_type": kind,
            "index": str(index),
            "parameters": [_button(kind, _plain(given))],
        }


def _pressed(content: WhatsAppContent, taking: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """What the reply buttons of an approved template send back, where it has one for every answer."""
    ids = tuple(one.id for one in content.actions if one.id)
    fits = len(ids) == len(taking) and all(kind == "quick_reply" for _, kind in taking)
    return ids if fits else ()


def _text(name: str, text: str) -> dict[str, str]:
    """Some templates name their texts."""
    named = {"parameter_name": name} if name and not name.isdecimal() else {}
    return {"type": "text", **named, "text": text}


def _button(kind: str, given: str) -> dict[str, str]:
    match kind:
        case "quick_reply":
            return {"type": "payload", "payload": given}
        case "copy_code":
            return {"type": "coupon_code", "coupon_code": given}
        case _:
            return {"type": "text", "text": given}


def _plain(text: str) -> str:
    """Without halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def read(outgoing: Outgoing, reply: HttpReply) -> Outcome:
    """What the answer means."""
    answer = answer_of(reply)
    if 200 <= reply.status < 300:
        messages = answer.get("messages")
        first = messages[0] if isinstance(messages, list) and messages else None
        number = text_in(first, "id") if isinstance(first, dict) else ""
        return Accepted(provider_id=number) if number else Unknown(detail="an answer that is not WhatsApp's")
    if reply.status == 504:
        return Unknown(detail="status 504: WhatsApp may have taken it")
    code = _code(object_in(answer, "error"))
    return ERRORS.outcome(code, reply.retry_after_s) or outcome_of(reply)


def _code(error: Mapping[str, Any]) -> str:
    """Of an error, with its subcode where that says more."""
    code = str(error.get("code", ""))
    exact = f"{code}/{error.get('error_subcode', '')}"
    if exact in ERRORS.codes:
        return exact
    return "200" if code.isdecimal() and 200 <= int(code[:4]) < 300 else code


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status == 200:
        return
    code = _code(object_in(answer_of(reply), "error"))
    known = ERRORS.codes.get(code)
    if known is not None and known.effect is PhoneErrorEffect.SET_UP:
        raise ConfigError(
            f"WhatsApp {code}: {known.words}: compare the settings with Meta's business settings"
        )
    if reply.status in {400, 401, 403, 404}:
        raise ConfigError(
            f"WhatsApp answered {reply.status}: compare `phone_number_id` and `access_token` with Meta's app dashboard"
        )
    raise Unavailable(f"WhatsApp answered {reply.status}: try again later, or look at https://metastatus.com")


# ── templates ─────────────────────────────────────────────────────────────────────────────────────────────

PAGE = 50
MOST_PAGES = 40
PAGE_BYTES = 2 * 1024 * 1024
APPROVALS = {
    "APPROVED": Approval.APPROVED,
    "REINSTATED": Approval.APPROVED,
    "FLAGGED": Approval.APPROVED,
    "UNARCHIVED": Approval.APPROVED,
    "LOCKED": Approval.APPROVED,
    "LIMIT_EXCEEDED": Approval.APPROVED,
    "PENDING": Approval.PENDING,
    "IN_APPEAL": Approval.PENDING,
    "REJECTED": Approval.REJECTED,
    "PAUSED": Approval.PAUSED,
    "DISABLED": Approval.DISABLED,
    "ARCHIVED": Approval.DISABLED,
    "DELETED": Approval.DISABLED,
    "PENDING_DELETION": Approval.DISABLED,
}
"""A state that is not here cannot be used. One that is flagged still can."""
NO_DECISION = frozenset({"LOCKED", "UNLOCKED", "LIMIT_EXCEEDED"})
"""Reported about who may edit it, or add another one."""
HEADERS = {"IMAGE": "image", "VIDEO": "video", "DOCUMENT": "document"}


class WhatsAppCloud(HttpProvider[Outgoing]):
    """Implements `ports.provider.Provider` and `TemplateSource`."""

    def __init__(self, integration: Integration, config: WhatsAppCloudConfig, tools: ProviderTools) -> None:
        self._messages = messages = WhatsAppCloudMessages(config, tools)
        super().__init__(
            integration, tools, build=messages.build, read=read, ping=messages.ping, check_pong=check_pong
        )

    async def whatsapp_templates(self) -> Sequence[WhatsAppTemplate]:
        """All pages of them."""
        found: list[WhatsAppTemplate] = []
        after = ""
        for _ in range(MOST_PAGES):
            reply = await self.ask(self._messages.templates(after), limit=PAGE_BYTES)
            check_pong(reply)
            answer = answer_of(reply)
            listed = answer.get("data")
            if not isinstance(listed, list):
                raise Unavailable("WhatsApp's list of templates could not be read")
            found += [template_of(one) for one in listed if isinstance(one, dict)]
            paging = object_in(answer, "paging")
            after = text_in(object_in(paging, "cursors"), "after") if "next" in paging else ""
            if not after:
                break
        return found


def template_of(listed: Mapping[str, Any]) -> WhatsAppTemplate:
    """One template of the list."""
    given = listed.get("components")
    components = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    by_type = {text_in(one, "type"): one for one in components}
    buttons = by_type.get("BUTTONS", {}).get("buttons")
    return WhatsAppTemplate(
        name=text_in(listed, "name"),
        language=text_in(listed, "language"),
        approval=APPROVALS.get(text_in(listed, "status"), Approval.DISABLED),
        category=text_in(listed, "category").lower(),
        header=_header(by_type.get("HEADER", {})),  # type: ignore[arg-type]
        parameters=_places(text_in(by_type.get("BODY", {}), "text")),
        buttons=tuple(_takes(one) for one in buttons if isinstance(one, dict))
        if isinstance(buttons, list)
        else (),
    )


def _header(header: Mapping[str, Any]) -> str:
    kind = HEADERS.get(text_in(header, "format"), "")
    return kind or ("text" if "{{" in text_in(header, "text") else "")


def _places(text: str) -> tuple[str, ...]:
    """The names of `{{1}}`, `{{name}}`, each once, in order."""
    names = [part.partition("}}")[0].strip() for part in text.split("{{")[1:]]
    return tuple(
        sorted(set(names), key=lambda name: (int(name) if name.isdecimal() else 0, names.index(name)))
    )


def _takes(button: Mapping[str, Any]) -> str:
    kind = text_in(button, "type")
    if kind in {"URL", "OTP"}:
        return "url" if kind == "OTP" or "{{" in text_in(button, "url") else ""
    return {"QUICK_REPLY": "quick_reply", "COPY_CODE": "copy_code"}.get(kind, "")


# ── callbacks ─────────────────────────────────────────────────────────────────────────────────────────────

SIGNATURE = "x-hub-signature-256"
ARRIVED = {"delivered": ReceiptKind.DELIVERED, "read": ReceiptKind.OPENED}
ON_THE_WAY = frozenset({"accepted", "held_for_quality_assessment", "sent", "played", "deleted", "warning"})


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """The signature over the body; of the handshake, the words that both know.

    https://developers.facebook.com/docs/graph-api/webhooks/getting-started
    """
    if request.method == "GET":
        given = request.query.get("hub.verify_token", "")
        if not _same(given, config.verify_token):
            raise CallbackForged("hub.verify_token is another than `verify_token`")
        return
    right = "sha256=" + hmac.new(config.app_secret.encode(), request.body, hashlib.sha256).hexdigest()
    if not _same(request.headers.get(SIGNATURE, ""), right):
        raise CallbackForged("X-Hub-Signature-256 is wrong or missing")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def read_callback(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """Receipts, what people write, and what was decided about templates; the challenge of the handshake."""
    if request.method == "GET":
        challenge = request.query.get("hub.challenge", "")
        return Callback(answer=CallbackAnswer(body=challenge.encode("utf-8", "replace")))
    document = object_of(request.body)
    if document.get("object") != "whatsapp_business_account":
        raise CallbackUnreadable("it is not about a WhatsApp Business account")
    receipts: list[ReportedReceipt] = []
    messages: list[InboundMessage] = []
    templates: list[TemplateChange] = []
    unread = ""
    for field, value in _changes(document):
        if field == "message_template_status_update" and text_in(value, "event") not in NO_DECISION:
            templates.append(_decided(value))
        if field != "messages" or not _is_ours(value, config):
            continue
        for status in _objects(value, "statuses"):
            its = list(_receipts(status))
            receipts += its
            if not its and text_in(status, "status") not in ON_THE_WAY:
                unread = "the status of a message is not known"
        messages += [_message(one, value) for one in _objects(value, "messages")]
    return Callback(
        receipts=tuple(receipts), messages=tuple(messages), templates=tuple(templates), unread=unread
    )


def _changes(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in _objects(document, "entry"):
        for change in _objects(entry, "changes"):
            yield text_in(change, "field"), object_in(change, "value")


def _objects(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    inside = document.get(name)
    return [one for one in inside if isinstance(one, dict)] if isinstance(inside, list) else []


def _is_ours(value: Mapping[str, Any], config: Any) -> bool:
    """An app may serve several numbers, and sends everything to one URL."""
    number = text_in(object_in(value, "metadata"), "phone_number_id")
    return number in ("", config.phone_number_id)


def _receipts(status: Mapping[str, Any]) -> Iterator[ReportedReceipt]:
    """None for what is on its way."""
    said = text_in(status, "status")
    receipt = ReportedReceipt(
        reference=text_in(status, "biz_opaque_callback_data"),
        kind=ARRIVED.get(said, ReceiptKind.FAILED),
        at=_at(status),
        address=with_plus(text_in(status, "recipient_id")),
        provider_id=text_in(status, "id") or None,
    )
    if said in ARRIVED:
        yield receipt
    if said == "failed":
        errors = _objects(status, "errors")
        code = _code(errors[0]) if errors else ""
        yield ERRORS.failed(receipt, code)
        if code == STOPPED_MARKETING:
            yield replace(receipt, kind=ReceiptKind.UNSUBSCRIBED)


def _message(message: Mapping[str, Any], value: Mapping[str, Any]) -> InboundMessage:
    """Whatever they sent; a tap on a button is its words."""
    kind = text_in(message, "type")
    said = object_in(message, kind)
    replied = object_in(said, text_in(said, "type"))
    words = (
        text_in(said, "body"),
        text_in(said, "text"),
        text_in(said, "caption"),
        text_in(replied, "title"),
    )
    return InboundMessage(
        provider_id=text_in(message, "id"),
        sender=with_plus(text_in(message, "from")),
        recipient=with_plus(
            "".join(c for c in text_in(object_in(value, "metadata"), "display_phone_number") if c.isdecimal())
        ),
        text=next(filter(None, words), ""),
        at=_at(message),
        button=text_in(replied, "id") or text_in(said, "payload"),
    )


def _at(document: Mapping[str, Any]) -> Any:
    text = text_in(document, "timestamp")
    return second(int(text)) if text.isascii() and text.isdecimal() and len(text) < 12 else None


def _decided(value: Mapping[str, Any]) -> TemplateChange:
    return TemplateChange(
        name=text_in(value, "message_template_name"),
        language=text_in(value, "message_template_language"),
        approval=APPROVALS.get(text_in(value, "event"), Approval.DISABLED),
    )


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    return WhatsAppCloud(integration, config, tools)


plugin = ProviderPlugin(
    name="whatsapp_cloud",
    title="WhatsApp (Meta Cloud API)",
    channels=frozenset({Channel.WHATSAPP}),
    config=WhatsAppCloudConfig,
    open=_open,
    callbacks=Callbacks(
        verify=verify,
        read=read_callback,
        kinds=frozenset({*ARRIVED.values(), *ERRORS.kinds, ReceiptKind.UNSUBSCRIBED}),
        inbound=True,
        methods=frozenset({"GET", "POST"}),
    ),
    batch=50,
    secrets=frozenset({"access_token", "app_secret", "verify_token"}),
    example={
        "phone_number_id": "106540352242922",
        "business_account_id": "102290129340398",
        "access_token": "EAA...",
        "app_secret": "...",
        "verify_token": "...",
    },
)
