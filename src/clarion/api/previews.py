"""`/v1/templates/{key}/preview` and `/test`: shows what one user would receive, or sends it to that user."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Router, post

from clarion.api.auth import Identity
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, FOR_GOOD, READ, Caller, Parts, the_user
from clarion.api.problems import Fault, RejectedRequest
from clarion.api.stored_documents import found_version
from clarion.api.templates import TemplateDocument, template_of
from clarion.content import Finding
from clarion.errors import InvalidInput
from clarion.model.channel import Channel
from clarion.model.ids import NO_USER, id_text
from clarion.model.setup import Template
from clarion.model.user import Profile, User, Value
from clarion.rules import validation
from clarion.services.previews import Preview


class Reader(Value, frozen=True, kw_only=True):
    """A reader that does not exist as a user."""

    locale: str | None = None
    timezone: str | None = None
    attributes: dict[str, Any] = {}


class PreviewBody(Value, frozen=True, kw_only=True):
    """What to preview, and for which reader. Without a body: the live version for a reader without settings, with the example data."""

    template: TemplateDocument | None = None
    """Preview this template. It is not stored."""
    draft: bool = False
    """Preview the draft."""
    version: int | None = None
    """Preview this version."""
    channel: Channel | None = None
    """Only this channel. Default: all channels of the template."""
    user_id: str | None = None
    user: Reader | None = None
    """Instead of a stored user."""
    locale: str | None = None
    """As if the reader had this locale."""
    data: dict[str, Any] | None = None
    """Instead of `example_data`."""


class PreviewView(msgspec.Struct, frozen=True, kw_only=True):
    """The content per channel, and the findings about the template."""

    version: int
    """The previewed version; 0 for a draft or a template in the request."""
    previews: list[Preview]
    findings: list[Finding]


class TestBody(Value, frozen=True, kw_only=True):
    """What to send, and to whom."""

    user_id: str
    channel: Channel
    draft: bool = False
    """Send the draft."""
    version: int | None = None
    """Send this version. Default: the live one."""
    data: dict[str, Any] | None = None
    """Instead of `example_data`."""


class TestSent(msgspec.Struct, frozen=True, kw_only=True):
    """The ids to follow the test with."""

    event_id: str
    message_id: str


@post("/{key:str}/preview", opt=READ, status_code=200)
async def preview_template(
    key: str, caller: Caller, parts: Parts, data: PreviewBody | None = None
) -> PreviewView:
    """Render a template for one reader without sending anything: content, locale, sizes, segments, findings."""
    asked = data or PreviewBody()
    template = await looked_at(asked, key, caller, parts)
    tenant = parts.ledger.setup.tenants.all()[caller.tenant]
    previews = await parts.services.previews.of(
        template,
        tenant,
        await _reader(asked, caller, parts),
        template.example_data if asked.data is None else asked.data,
        template.channels if asked.channel is None else [asked.channel],
        can_be_left=parts.services.templates.can_be_left(caller.tenant, key),
    )
    findings = await parts.services.templates.findings(caller.tenant, template)
    return PreviewView(version=template.version, previews=previews, findings=list(findings))


@post("/{key:str}/test", opt=ADMIN | FOR_GOOD, status_code=202)
async def test_template(key: str, data: TestBody, caller: Caller, parts: Parts) -> TestSent:
    """Send the live version, the draft or an old version to one user now, as a real message.

    The test ignores preferences, quiet hours and caps. It is not sent to a suppressed address. Refused if the content
    cannot be rendered for this user.
    """
    asked = PreviewBody(draft=data.draft, version=data.version)
    template = await looked_at(asked, key, caller, parts)
    values = template.example_data if data.data is None else data.data
    user = await the_user(parts, caller, data.user_id, "#/user_id")
    tenant = parts.ledger.setup.tenants.all()[caller.tenant]
    (shown,) = await parts.services.previews.of(template, tenant, user, values, [data.channel])
    if shown.error is not None:
        fault = Fault(detail=shown.error.detail, pointer=shown.error.pointer or "")
        raise RejectedRequest(f"It cannot be sent: {fault.detail}", [fault], code="content_error")
    sent = await parts.services.test_sends.send(caller.tenant, template, data.channel, user, values)
    return TestSent(event_id=id_text(sent.event), message_id=id_text(sent.message))


async def looked_at(asked: PreviewBody, key: str, caller: Identity, parts: ApiParts) -> Template:
    """The template the request is about, with the partials it may use."""
    ways = [name for name in ("template", "draft", "version") if getattr(asked, name) not in (None, False)]
    if len(ways) > 1:
        raise InvalidInput(
            f"choose one of {' and '.join(f'`{way}`' for way in ways)}.", pointer=f"#/{ways[1]}"
        )
    if asked.template is not None:
        return parts.services.templates.with_partials(
            caller.tenant, template_of(asked.template, key, "#/template")
        )
    if asked.draft:
        return parts.services.templates.with_partials(
            caller.tenant, parts.services.templates.draft(caller.tenant, key).template
        )
    templates = parts.ledger.setup.templates
    return await found_version(templates, caller.tenant, key, asked.version, "template")


async def _reader(asked: PreviewBody, caller: Identity, parts: ApiParts) -> User:
    if asked.user_id is not None:
        if asked.user is not None:
            raise InvalidInput("choose one of `user_id` and `user`.", pointer="#/user")
        user = await the_user(parts, caller, asked.user_id, "#/user_id")
    else:
        made_up = asked.user or Reader()
        _check(made_up)
        profile = Profile(
            locale=made_up.locale or "", timezone=made_up.timezone or "", attributes=made_up.attributes
        )
        user = User(no=NO_USER, tenant=caller.tenant, id="example", key=b"", profile=profile)
    if asked.locale is None:
        return user
    validation.check_locale(asked.locale, "#/locale")
    return msgspec.structs.replace(user, profile=msgspec.structs.replace(user.profile, locale=asked.locale))


def _check(reader: Reader) -> None:
    if reader.locale:
        validation.check_locale(reader.locale, "#/user/locale")
    if reader.timezone:
        validation.check_timezone(reader.timezone, "#/user/timezone")
    validation.check_attributes(reader.attributes, "#/user/attributes")


router = Router("/v1/templates", route_handlers=[preview_template, test_template], tags=["Set-up"])
