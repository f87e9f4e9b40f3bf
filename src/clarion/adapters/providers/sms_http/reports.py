"""What a gateway reports: proven by a secret or a signature, and read where the settings say."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from clarion.adapters.phone_errors import REPORTED, PhoneErrorEffect
from clarion.adapters.providers.sms_http.places import at_pointer, in_callback, json_of
from clarion.adapters.providers.sms_http.settings import (
    ReportRules,
    ReportSignature,
    SmsHttpConfig,
    effect_of_code,
    shown_code,
)
from clarion.errors import CallbackForged, CallbackUnreadable
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import (
    Callback,
    CallbackAnswer,
    CallbackRequest,
    Callbacks,
    CallbackTools,
    ReportedReceipt,
)

MOST_FIELDS = 1_000
DELIVERED = "delivered"
ON_THE_WAY = "on_the_way"


def verify(request: CallbackRequest, config: Any, tools: CallbackTools) -> None:
    """Raises CallbackForged unless the gateway proves that it is the one."""
    settings: SmsHttpConfig = config
    if settings.report is None or not settings.callback_secret:
        raise CallbackForged("no reports are expected: `report` is not set")
    rules = settings.report.verify
    if rules.parameter:
        given, right = request.query.get(rules.parameter, ""), settings.callback_secret
    else:
        given = request.headers.get(rules.header.lower(), "")
        right = settings.callback_secret if rules.how == "secret" else _signature(request, rules, settings)
    if not given:
        raise CallbackForged("the signature or the secret is missing")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), right.encode()):
        raise CallbackForged("the signature or the secret is wrong")


def _signature(request: CallbackRequest, rules: ReportSignature, config: SmsHttpConfig) -> str:
    url = request.url.encode("utf-8", "replace")
    signed = {"body": request.body, "url": url, "url_and_body": url + request.body}[rules.over]
    digest = hmac.digest(config.callback_secret.encode(), signed, rules.hash)
    shown = digest.hex() if rules.encoding == "hex" else b64encode(digest).decode()
    return rules.prefix + shown


def read(request: CallbackRequest, config: Any, tools: CallbackTools) -> Callback:
    """The receipts in it."""
    settings: SmsHttpConfig = config
    rules = settings.report
    if rules is None:
        raise CallbackUnreadable("`report` is not set")
    receipts: list[ReportedReceipt] = []
    unread = ""
    count = 0
    for document in _documents(request, rules):
        count += 1
        status = in_callback(rules.status, document, request.query)
        state = rules.statuses.get(status)
        if state is None:
            unread = "a status that `report.statuses` does not name" if status else "its status is missing"
        elif state != ON_THE_WAY:
            receipts.append(_receipt(state, document, request, settings, rules))
    if unread and count == 1:
        raise CallbackUnreadable(unread)
    return Callback(
        receipts=tuple(receipts), unread=unread, answer=CallbackAnswer(body=rules.answer.encode())
    )


def _documents(request: CallbackRequest, rules: ReportRules) -> Iterator[Any]:
    if rules.format == "query":
        yield {}
        return
    if rules.format == "form":
        try:
            text = request.body.decode("utf-8", "replace")
            yield dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
        except ValueError:
            raise CallbackUnreadable("the form has too many fields") from None
        return
    document = json_of(request.body)
    if not rules.list:
        yield document
        return
    found = at_pointer(document, rules.list)
    if not isinstance(found, list):
        raise CallbackUnreadable("there is no list of reports at `report.list`")
    yield from found


def _receipt(
    state: str, document: Any, request: CallbackRequest, config: SmsHttpConfig, rules: ReportRules
) -> ReportedReceipt:
    reference = in_callback(rules.reference, document, request.query)
    provider_id = in_callback(rules.id, document, request.query) or None
    if state == DELIVERED:
        return ReportedReceipt(reference=reference, kind=ReceiptKind.DELIVERED, provider_id=provider_id)
    code = in_callback(rules.error, document, request.query)
    effect = effect_of_code(config.errors, code) or PhoneErrorEffect(state)
    kind, permanent, reason = REPORTED[effect]
    return ReportedReceipt(
        reference=reference,
        kind=kind,
        permanent=permanent,
        reason=reason,
        detail=f"the gateway reports {shown_code(code)}: {effect.value}",
        provider_id=provider_id,
    )


callbacks = Callbacks(
    verify=verify,
    read=read,
    kinds=frozenset({ReceiptKind.DELIVERED, *(reported.kind for reported in REPORTED.values())}),
    methods=frozenset({"GET", "POST"}),
)
