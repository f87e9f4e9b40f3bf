"""`/v1/integrations`: providers with their settings. Secrets can be written and never read."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from litestar import Router, delete, get, patch, post, put

from clarion.api import faults, secret_fields
from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, FOR_GOOD, Caller, Parts, the_user
from clarion.api.integration_health import get_integration_health
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_documents
from clarion.api.references import unknown_in
from clarion.api.stored_documents import found, named, patched, shown
from clarion.errors import ConfigError, Conflict, InvalidInput, UnknownReference
from clarion.flow.lanes import HELD_MS
from clarion.model.channel import PHONES, Channel
from clarion.model.ids import id_text
from clarion.model.setup import Integration, Template
from clarion.model.user import Contact, User, Value
from clarion.model.whatsapp import Approval, WhatsAppTemplate
from clarion.ports.provider import ProviderPlugin
from clarion.rules import phone_numbers, prices, senders, validation
from clarion.rules.time_format import rfc3339

LONGEST_CALL_S = HELD_MS // 2_000
"""Half of what a message may wait in memory before its call."""


class IntegrationDocument(Integration, frozen=True, kw_only=True, omit_defaults=False):
    """An integration; its key stands in the path."""

    key: str = ""
    callback_url: str | None = None
    """Where the provider reports to; null when it does not call. Made by Clarion; whoever knows it can call it."""


class IntegrationTestBody(Value, frozen=True, kw_only=True):
    """Whom to send the test message, and which: exactly one of `to` and `user_id`."""

    to: str | None = None
    """An address of the integration's channel. It is kept as a user of its own until 50 later tests were made."""
    user_id: str | None = None
    """A user, who receives the test at their own contacts of the integration's channel."""
    template: str | None = None
    """Send this template, live version. Default: a sentence that names the integration."""
    data: dict[str, Any] | None = None
    """Data for the template. Default: its `example_data`."""


class IntegrationTested(msgspec.Struct, frozen=True, kw_only=True):
    """The ids to follow the test with."""

    event_id: str
    message_id: str
    user_id: str
    """Whose message it is. For an address, a user made for the test."""
    callback_url: str | None
    """Where the provider reports what became of it; null: it reports nothing, and `sent` is the last news."""


@get("/", opt=ADMIN)
async def list_integrations(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[IntegrationDocument]:
    """All integrations, secrets masked."""
    stored = parts.ledger.setup.integrations.all(caller.tenant)
    return page_of_documents(stored, lambda one: masked(one, caller, parts), cursor, limit)


@get("/{key:str}", opt=ADMIN)
async def get_integration(key: str, caller: Caller, parts: Parts) -> IntegrationDocument:
    """One integration, secrets masked."""
    return masked(found(parts.ledger.setup.integrations, caller.tenant, key, "integration"), caller, parts)


@put("/{key:str}", opt=ADMIN)
async def put_integration(
    key: str, data: IntegrationDocument, caller: Caller, parts: Parts
) -> IntegrationDocument:
    """Create or replace an integration. A secret sent as `********` keeps its stored value."""
    return await _store(_sent(data, key, caller, parts), None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_integration(
    key: str, data: dict[str, Any], caller: Caller, parts: Parts
) -> IntegrationDocument:
    """Change some fields (JSON merge patch): null restores the default, and fields that are not named stay, secrets too."""
    live = found(parts.ledger.setup.integrations, caller.tenant, key, "integration")
    return await _store(
        _sent(patched(masked(live, caller, parts), data), key, caller, parts), live, caller, parts
    )


class ListedTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A template at WhatsApp."""

    name: str
    language: str
    approval: Approval
    category: str | None
    """`utility`, `marketing` or `authentication`; null: not known yet."""
    id: str | None
    """What the service calls it, where that is not its name."""
    header: str | None
    """What its header takes: `text`, `image`, `video` or `document`; null: nothing."""
    parameters: tuple[str, ...]
    """The names of the texts that its body takes, in order."""
    buttons: tuple[str | None, ...]
    """What each of its buttons takes: `url`, `quick_reply` or `copy_code`; null: nothing."""


class ListedTemplates(msgspec.Struct, frozen=True, kw_only=True):
    """The templates of an integration, as its service listed them last."""

    synced_at: str | None
    """Null: they have not been listed yet."""
    templates: tuple[ListedTemplate, ...]


@get("/{key:str}/whatsapp-templates", opt=ADMIN)
async def get_whatsapp_templates(key: str, caller: Caller, parts: Parts) -> ListedTemplates:
    """What WhatsApp has approved: listed every ten minutes, and changed as it is reported."""
    integration = found(parts.ledger.setup.integrations, caller.tenant, key, "integration")
    known = parts.ledger.setup.whatsapp_templates.all(caller.tenant).get(integration.key)
    if known is None:
        return ListedTemplates(synced_at=None, templates=())
    return ListedTemplates(synced_at=rfc3339(known.synced_at), templates=tuple(map(_listed, known.templates)))


def _listed(template: WhatsAppTemplate) -> ListedTemplate:
    return ListedTemplate(
        name=template.name,
        language=template.language,
        approval=template.approval,
        category=template.category or None,
        id=template.id or None,
        header=template.header or None,
        parameters=template.parameters,
        buttons=tuple(one or None for one in template.buttons),
    )


def _sent(document: IntegrationDocument, key: str, caller: Identity, parts: ApiParts) -> Integration:
    """The integration that a caller describes."""
    if document.callback_url not in (None, parts.services.callbacks.urls.of(caller.tenant, key)):
        raise InvalidInput("callback_url is made by Clarion: leave it out.", pointer="#/callback_url")
    fields = {name: getattr(document, name) for name in Integration.__struct_fields__}
    return named(Integration, Integration(**fields), key)


async def _store(
    sent: Integration, made_from: Integration | None, caller: Identity, parts: ApiParts
) -> IntegrationDocument:
    """Keep the integration. `made_from`: Conflict when something else is live by now."""
    plugin = parts.providers.get(sent.provider)
    if plugin is None:
        there = f"There are {', '.join(sorted(parts.providers))}."
        raise UnknownReference(
            unknown_in("provider", [(sent.provider, "#/provider")], parts.providers, there)
        )
    if sent.channel not in plugin.channels:
        able = ", ".join(sorted(plugin.channels))
        raise InvalidInput(f"{plugin.title} does not serve {sent.channel}, but {able}.", pointer="#/channel")
    _check_bounds(sent, plugin)
    _check_conditions(sent)
    stored = made_from or parts.ledger.setup.integrations.all(caller.tenant).get(sent.key)
    known = stored.config if stored is not None and stored.provider == plugin.name else {}
    config = secret_fields.unmasked(sent.config, known, plugin.secrets, "config")
    secret_fields.check(config, plugin.config, "config", plugin.title)
    whole = msgspec.structs.replace(sent, config=config)
    if whole.enabled:
        await _check_open(whole, plugin, parts)
    # A stored secret that was replaced since it was read must not come back.
    before = stored if config != sent.config else made_from
    return masked(await parts.services.setup.put(caller.tenant, whole, before), caller, parts)


def _check_bounds(integration: Integration, plugin: ProviderPlugin) -> None:
    limits = integration.limits
    if integration.weight < 0:
        raise InvalidInput("weight must not be negative.", pointer="#/weight")
    if integration.receipt_within_s is not None and plugin.callbacks is None:
        raise InvalidInput(
            f"{plugin.title} reports nothing, so every message would go twice: leave receipt_within_s out.",
            pointer="#/receipt_within_s",
        )
    if limits.per_second is not None and not limits.per_second > 0:
        raise InvalidInput(
            "per_second must be above 0; leave it out for no limit.", pointer="#/limits/per_second"
        )
    _check_senders(integration)
    validation.check_timezone(limits.day_zone, "#/limits/day_zone")
    if limits.warm_up is not None and not _is_day(limits.warm_up.since):
        raise InvalidInput("this day is not in the calendar.", pointer="#/limits/warm_up/since")
    if not 0 < limits.timeout_s <= LONGEST_CALL_S:
        raise InvalidInput(
            f"timeout_s must be above 0 and at most {LONGEST_CALL_S}: a message that takes longer would be taken "
            "for lost, and sent again.",
            pointer="#/limits/timeout_s",
        )


def _check_conditions(integration: Integration) -> None:
    if integration.countries and integration.channel not in PHONES:
        raise InvalidInput("only telephone numbers belong to a country: leave it out.", pointer="#/countries")
    for place, country in enumerate(integration.countries):
        if not phone_numbers.is_country(country):
            raise InvalidInput(
                "this is not a country in two capital letters (ISO 3166), like DE.",
                pointer=f"#/countries/{place}",
            )
    if (most := integration.max_price) is not None:
        if not prices.is_amount(most.amount):
            raise InvalidInput("write a decimal number as text, like 0.05.", pointer="#/max_price/amount")
        if not prices.is_currency(most.currency):
            raise InvalidInput("this is not a currency (ISO 4217), like EUR.", pointer="#/max_price/currency")


def _check_senders(integration: Integration) -> None:
    if integration.senders and integration.channel is not Channel.SMS:
        raise InvalidInput("only text messages have senders by country.", pointer="#/senders")
    for country, sender in integration.senders.items():
        place = faults.pointer(["senders", country[:40]])
        if country != senders.ANYWHERE and not phone_numbers.is_country(country):
            raise InvalidInput(
                "give a country in two capital letters (ISO 3166), like `DE`, or `*` for all others.",
                pointer=place,
            )
        if (
            country == senders.ANYWHERE
            and sender
            and senders.kind_of(sender) is senders.SenderKind.SHORT_CODE
        ):
            raise InvalidInput("a short code works in one country: name that.", pointer=place)
        if obstacle := senders.obstacle(sender, country) if sender and country != senders.ANYWHERE else "":
            raise InvalidInput(f"{obstacle}.", pointer=place)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@delete("/{key:str}", opt=ADMIN)
async def delete_integration(key: str, caller: Caller, parts: Parts) -> None:
    """Delete an integration. Messages go through the other integrations of their channel."""
    await parts.services.setup.delete(caller.tenant, Integration, key)


@post("/{key:str}/test", opt=ADMIN | FOR_GOOD, status_code=202)
async def test_integration(
    key: str, data: IntegrationTestBody, caller: Caller, parts: Parts
) -> IntegrationTested:
    """Send one real message through this integration and no other. `GET /v1/messages/{message_id}` says what becomes of it.

    The test ignores preferences, quiet hours and caps. It is not sent to a suppressed address.
    """
    integration = found(parts.ledger.setup.integrations, caller.tenant, key, "integration")
    if not integration.enabled:
        raise Conflict(
            f"The integration {key!r} is disabled: enable it first. With `weight` 0 it gets no other messages."
        )
    template = _template_of(data, integration, caller, parts)
    values = data.data if data.data is not None else (template.example_data if template else {})
    to = await _recipient_of(data, integration, caller, parts)
    sent = await parts.services.test_sends.send_through(caller.tenant, integration, to, template, values)
    return IntegrationTested(
        event_id=id_text(sent.event),
        message_id=id_text(sent.message),
        user_id=sent.user_id,
        callback_url=parts.services.callbacks.url(caller.tenant, integration) or None,
    )


def _template_of(
    asked: IntegrationTestBody, integration: Integration, caller: Identity, parts: ApiParts
) -> Template | None:
    """The template of a test that names one."""
    if asked.template is None:
        return None
    templates = parts.ledger.setup.templates.all(caller.tenant)
    if asked.template not in templates:
        there = "Create it first: PUT /v1/templates/{key}."
        raise UnknownReference(unknown_in("template", [(asked.template, "#/template")], templates, there))
    template = templates[asked.template]
    if integration.channel not in template.channels:
        able = ", ".join(sorted(template.channels))
        raise InvalidInput(
            f"the template has no content for {integration.channel}, but for {able}.", pointer="#/template"
        )
    return template


async def _recipient_of(
    asked: IntegrationTestBody, integration: Integration, caller: Identity, parts: ApiParts
) -> User | str:
    """The user of a test, or the address in the spelling in which it is stored."""
    if (asked.to is None) == (asked.user_id is None):
        raise InvalidInput("send one of `to` and `user_id`.", pointer="#")
    if asked.user_id is not None:
        return await the_user(parts, caller, asked.user_id, "#/user_id")
    assert asked.to is not None
    if integration.channel is Channel.IN_APP:
        raise InvalidInput("an inbox belongs to a user: send `user_id`.", pointer="#/to")
    validation.check_address(integration.channel, asked.to, "#/to")
    contact = Contact(
        channel=integration.channel,
        address=validation.plain_address(integration.channel, asked.to, "#/to"),
    )
    accepts = parts.providers[integration.provider].accepts
    if accepts is not None and not accepts(contact):
        title = parts.providers[integration.provider].title
        raise InvalidInput(f"{title} does not reach addresses of this kind.", pointer="#/to")
    return contact.address


def masked(integration: Integration, caller: Identity, parts: ApiParts) -> IntegrationDocument:
    """The integration with every secret replaced. Of an unknown provider nothing is shown."""
    plugin = parts.providers.get(integration.provider)
    config = secret_fields.masked(integration.config, None if plugin is None else plugin.secrets)
    document = shown(IntegrationDocument, msgspec.structs.replace(integration, config=config))
    url = parts.services.callbacks.url(caller.tenant, integration)
    return msgspec.structs.replace(document, callback_url=url or None)


async def _check_open(integration: Integration, plugin: ProviderPlugin, parts: ApiParts) -> None:
    """The provider can work with its settings: keys that fit, nothing that would leak. Nobody is called for that."""
    try:
        await parts.pipeline.integrations.check(integration)
    except ConfigError as wrong:
        place = f"#/config{(wrong.pointer or '#')[1:]}"
        raise InvalidInput(f"config of {plugin.title}: {wrong.detail}.", pointer=place) from None


router = Router(
    "/v1/integrations",
    route_handlers=[
        list_integrations,
        get_integration,
        get_integration_health,
        put_integration,
        patch_integration,
        delete_integration,
        test_integration,
        get_whatsapp_templates,
    ],
    opt=one("integration"),
    tags=["Set-up"],
)
