"""Text messages over any gateway with an HTTP API: its request, answers and reports are described by settings."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from clarion.adapters.http import HttpProvider, HttpReply, HttpRequest, outcome_of
from clarion.adapters.phone_errors import outcome_of_effect
from clarion.adapters.providers.sms_http.placeholders import (
    OF_MESSAGE,
    Absent,
    Filling,
    JsonTemplate,
    filling_of,
)
from clarion.adapters.providers.sms_http.places import at_pointer, in_answer, json_of, matches, text_of
from clarion.adapters.providers.sms_http.reports import callbacks
from clarion.adapters.providers.sms_http.settings import (
    SmsHttpConfig,
    check_settings,
    effect_of_code,
    shown_code,
)
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.outcome import Accepted, Outcome, Rejected, Unknown
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.ports.provider import Provider, ProviderPlugin, ProviderTools
from clarion.ports.vault import normal_address

OF_TRANSPORT = frozenset({401, 403, 404, 408, 425, 429})
"""Statuses that say more than an error code that nobody explained."""
NOBODY: Mapping[str, str | None] = dict.fromkeys(OF_MESSAGE)
"""The message's values where there is no message."""


class GatewayMessages:
    """Makes requests for one integration, and reads their answers."""

    def __init__(self, integration: Integration, config: SmsHttpConfig, tools: ProviderTools) -> None:
        """Raises ConfigError for settings that cannot work."""
        check_settings(config)
        self._key = integration.key
        self._config = config
        self._tools = tools
        path, _, query = config.url.partition("?")
        self._path, self._query_text = filling_of(path, "#/url"), filling_of(query, "#/url")
        self._headers = _fillings(config.headers)
        self._query = _fillings(config.query)
        self._form = _fillings(config.form)
        self._json = None if config.json is None else JsonTemplate(config.json, "#/json")
        basic = b64encode(f"{config.user}:{config.secret}".encode()).decode()
        self._settings: dict[str, str | None] = {
            "from": config.sender,
            "user": config.user,
            "secret": config.secret,
            "basic": basic,
            "callback_secret": config.callback_secret,
        }

    @property
    def ping(self) -> HttpRequest | None:
        """Asks what the settings name, with the headers that need no message."""
        if not self._config.ping_url:
            return None
        headers = _filled(self._headers, {**self._settings, **NOBODY})
        return HttpRequest(method="GET", url=self._config.ping_url, headers=_lower(headers))

    def build(self, outgoing: Outgoing) -> HttpRequest | Outcome:
        """The request for one message."""
        assert isinstance(outgoing.content, SmsContent), "each channel has its own content"
        assert outgoing.contact is not None, "text messages go to a number"
        text = outgoing.content.text.encode("utf-8", "replace").decode()
        if len(text) > self._config.most_chars:
            return Rejected(detail=f"the text is longer than `most_chars`: {self._config.most_chars}")
        to = normal_address(Channel.SMS, outgoing.contact.address)
        values: dict[str, str | None] = {
            **self._settings,
            "from": outgoing.sender or self._config.sender,
            "to": to,
            "to_digits": to.removeprefix("+"),
            "text": text,
            "reference": self._tools.reference(outgoing.message),
            "callback_url": self._tools.callback_url(outgoing.message.tenant, self._key) or None,
        }
        headers = _lower(_filled(self._headers, values))
        body = b""
        if self._json is not None:
            headers["content-type"] = "application/json"
            body = msgspec.json.encode(self._json.filled(values))
        elif self._form:
            headers["content-type"] = "application/x-www-form-urlencoded"
            body = urlencode(_filled(self._form, values)).encode()
        return HttpRequest(method=self._config.method, url=self._url(values), headers=headers, body=body)

    def _url(self, values: Mapping[str, str | None]) -> str:
        query = self._query_text.filled({**values, "callback_url": values["callback_url"] or ""}, _quoted)
        parts = [part for part in (query, urlencode(_filled(self._query, values))) if part]
        path = self._path.filled(values, _quoted)
        return f"{path}?{'&'.join(parts)}" if parts else path

    def read(self, outgoing: Outgoing, reply: HttpReply) -> Outcome:
        """What the gateway's answer means: its code if it has one, else its status."""
        rules, errors = self._config.answer, self._config.errors
        text, document = reply.body.decode("utf-8", "replace"), json_of(reply.body)
        code = in_answer(rules.error, text, document)
        effect = effect_of_code(errors, code, reply.status)
        if effect is not None:
            detail = f"the gateway answered {shown_code(code)} (status {reply.status}): {effect.value}"
            return outcome_of_effect(effect, detail, reply.retry_after_s)
        if 200 <= reply.status < 300:
            looked_at = text_of(at_pointer(document, rules.success_at)) if rules.success_at else text
            if rules.success and not matches(rules.success, looked_at):
                if code:
                    return Rejected(detail=f"the gateway answered {shown_code(code)}")
                return Unknown(detail="an answer that `answer.success` does not know")
            return Accepted(provider_id=in_answer(rules.id, text, document) or None)
        if reply.status == 504:
            return Unknown(detail="status 504: the gateway may have taken it")
        if code and 400 <= reply.status < 500 and reply.status not in OF_TRANSPORT:
            return Rejected(detail=f"the gateway answered {shown_code(code)} (status {reply.status})")
        return outcome_of(reply)


def check_pong(reply: HttpReply) -> None:
    """What to do about the answer to a ping."""
    if reply.status in {401, 403}:
        raise ConfigError("the gateway refuses the credentials: check `user`, `secret` and `headers`")
    if reply.status == 404:
        raise ConfigError("nothing is at `ping_url`: check it", pointer="#/ping_url")
    if not 200 <= reply.status < 300:
        raise Unavailable(f"the gateway answered {reply.status} at `ping_url`: try again later")


def _fillings(fields: Mapping[str, str]) -> dict[str, Filling]:
    return {name: filling_of(value, "#") for name, value in fields.items()}


def _filled(fields: Mapping[str, Filling], values: Mapping[str, str | None]) -> dict[str, str]:
    """The fields that have something to say."""
    filled: dict[str, str] = {}
    for name, filling in fields.items():
        try:
            filled[name] = filling.filled(values)
        except Absent:
            continue
    return filled


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _open(integration: Integration, config: Any, tools: ProviderTools) -> Provider:
    messages = GatewayMessages(integration, config, tools)
    return HttpProvider(
        integration,
        tools,
        build=messages.build,
        read=messages.read,
        ping=messages.ping,
        check_pong=check_pong,
    )


plugin = ProviderPlugin(
    name="sms_http",
    title="Any text-message gateway over HTTP",
    channels=frozenset({Channel.SMS}),
    config=SmsHttpConfig,
    open=_open,
    callbacks=callbacks,
    batch=50,
    secrets=frozenset({"secret", "callback_secret"}),
    example={
        "url": "https://api.gateway.example/send",
        "headers": {"Authorization": "Bearer {secret}"},
        "json": {"to": "{to}", "from": "{from}", "text": "{text}"},
        "sender": "Example",
        "secret": "...",
    },
)
