"""Routes of templates: the list, and the editor of one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content.localise.locales import choose
from clarion.dashboard import editor, pages, partials
from clarion.dashboard.context import Site
from clarion.dashboard.previews import shown
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import EMAIL_POLICY, PageRoutes, fragment, posted
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.dashboard.user_list import person
from clarion.errors import InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.setup import Template
from clarion.model.user import User
from clarion.rules import validation as rules
from clarion.services.previews import Preview
from clarion.services.templates import Published
from clarion.services.translations import Translations

route = PageRoutes()


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """What the editor sends."""

    template: editor.TemplateForm
    revision: int | None = None
    based_on: int | None = None


class TemplateLooked(Posted, frozen=True, kw_only=True):
    """The editor, and what to show of it."""

    channel: Channel
    locale: str = ""
    user: str = ""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A version, and the one that the page shows as live."""

    version: int
    replaces: int | None = None


class TemplateReady(msgspec.Struct, frozen=True, kw_only=True):
    """The draft that is to go live or away; `anyway`: in place of whatever is live."""

    revision: int | None = None
    anyway: bool = False


class Compared(Posted, frozen=True, kw_only=True):
    """The editor, and what to compare it with."""

    version: int | None = None


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────


@route("GET", "/ui/templates", page=True)
async def overview(site: Site, request: PageRequest, _: str) -> Response:
    """All templates, and how much of them is translated."""
    setup, tenant = site.parts.ledger.setup, site.tenant()
    languages = await Translations(setup, site.parts.services.templates).summary(tenant)
    return Response(
        body=pages.render(
            "overview.html",
            here="templates",
            rows=await asyncio.to_thread(editor.overview, setup, tenant),
            partials=partials.rows(setup, tenant),
            languages=[{**msgspec.structs.asdict(one), "percent": f"{one.percent:g}"} for one in languages],
        )
    )


@route("GET", "/ui/templates/*", page=True)
async def edit(site: Site, request: PageRequest, key: str) -> Response:
    """The editor of a template; of a new one when there is none of that name."""
    rules.check_key(key, "#/key")
    setup, tenant = site.parts.ledger.setup, site.tenant()
    draft, live = setup.drafts.all(tenant).get(key), setup.templates.all(tenant).get(key)
    template = draft.template if draft else live or _blank(key)
    found = await site.parts.ledger.users.page(tenant, None, editor.PEOPLE)
    users = [person(user) for user in reversed(found)]
    return Response(
        body=pages.render(
            "editor.html",
            here="templates",
            below=True,
            key=key,
            title=template.name or key,
            document=msgspec.json.encode(editor.written(template)).decode(),
            layouts=msgspec.json.encode(editor.layouts()).decode(),
            example=msgspec.json.encode(editor.example_of(setup, tenant, template)).decode(),
            revision=draft.revision if draft else 0,
            saved_at=editor.stamp(draft.saved_at) if draft else "",
            version=live.version if live else 0,
            senders=editor.senders(setup, tenant, key),
            people=users,
        )
    )


# ── what the editor asks ──────────────────────────────────────────────────────────────────────────────────


@route("POST", "/ui/templates/*/look")
async def look(site: Site, request: PageRequest, key: str) -> Response:
    """What is to be said about the text in the editor, and what one person would get."""
    asked = posted(request, TemplateLooked)
    template = site.parts.services.templates.with_partials(site.tenant(), asked.template.template(key))
    findings = await site.parts.services.templates.findings(site.tenant(), template)
    user, found, theirs = await _previewed(site, asked, template)
    return fragment(
        "look.html",
        theirs=theirs,
        findings=editor.rows_of(findings),
        shown=shown(found, site.frames),
        person=person(user),
        channel=str(asked.channel),
    )


@route("POST", "/ui/templates/*/test")
async def test(site: Site, request: PageRequest, key: str) -> Response:
    """Send what is in the editor to one person, as a real message."""
    asked = msgspec.structs.replace(posted(request, TemplateLooked), locale="")
    template = site.parts.services.templates.with_partials(site.tenant(), asked.template.template(key))
    user, found, _ = await _previewed(site, asked, template)
    if found.error is not None:
        raise InvalidInput(f"The template cannot be rendered: {found.error.detail}")
    data = editor.example_of(site.parts.ledger.setup, site.tenant(), template)
    sent = await site.parts.services.test_sends.send(site.tenant(), template, asked.channel, user, data)
    return fragment(
        "tested.html",
        message=id_text(sent.message),
        person=person(user),
        channel=CHANNEL_NAMES[asked.channel],
    )


@route("GET", "/ui/previews/*")
async def preview(site: Site, request: PageRequest, name: str) -> Response:
    """A rendered email as a document of its own, for a frame that may do nothing."""
    document = site.frames.document(name)
    if document is None:
        raise NotFound("This preview has expired: change the template to make a new one.")
    return Response(body=document, headers={"content-security-policy": EMAIL_POLICY})


@route("POST", "/ui/templates/*/draft")
async def save(site: Site, request: PageRequest, key: str) -> Response:
    """Keep what is in the editor."""
    rules.check_key(key, "#/key")
    asked = posted(request, Posted)
    draft = await site.parts.services.templates.save(
        site.tenant(), asked.template.template(key), asked.revision, asked.based_on
    )
    return fragment("saved.html", at=editor.stamp(draft.saved_at)).with_headers(
        {"clarion-revision": str(draft.revision)}
    )


@route("POST", "/ui/templates/*/publish")
async def publish(site: Site, request: PageRequest, key: str) -> Response:
    """Make the draft the live version, or say what keeps it from that."""
    asked, tenant = posted(request, TemplateReady), site.tenant()
    live = site.parts.ledger.setup.templates.all(tenant).get(key)
    replaces = live.version if asked.anyway and live else None
    return _published(
        await site.parts.services.templates.publish_draft(tenant, key, asked.revision, replaces)
    )


@route("POST", "/ui/templates/*/discard")
async def discard(site: Site, request: PageRequest, key: str) -> Response:
    """Throw the draft away."""
    await site.parts.services.templates.discard(site.tenant(), key, posted(request, TemplateReady).revision)
    return Response(status=204)


@route("GET", "/ui/templates/*/versions")
async def versions(site: Site, request: PageRequest, key: str) -> Response:
    """Everything that was ever live."""
    templates, tenant = site.parts.ledger.setup.templates, site.tenant()
    found = await templates.versions(tenant, key, None, editor.VERSIONS)
    return fragment("versions.html", versions=editor.history(found, templates.all(tenant).get(key)))


@route("POST", "/ui/templates/*/rollback")
async def roll_back(site: Site, request: PageRequest, key: str) -> Response:
    """Make an old version the next one."""
    asked = posted(request, Chosen)
    return _published(
        await site.parts.services.templates.roll_back(site.tenant(), key, asked.version, asked.replaces)
    )


@route("POST", "/ui/templates/*/compare")
async def compare(site: Site, request: PageRequest, key: str) -> Response:
    """What publishing would change against the live version, or against an old one."""
    asked = posted(request, Compared)
    templates, tenant = site.parts.ledger.setup.templates, site.tenant()
    live = templates.all(tenant).get(key)
    old = live if asked.version is None else await templates.version(tenant, key, asked.version)
    if old is None:
        raise NotFound("No version is live yet, so there is nothing to compare.")
    changes = editor.differences(old, asked.template.template(key))
    return fragment("compare.html", changes=changes, version=old.version, live=old is live)


async def _previewed(site: Site, asked: TemplateLooked, template: Template) -> tuple[User, Preview, str]:
    """The person, in the language to look at it in; what they would get; and the language they really would get."""
    tenant, setup = site.tenant(), site.parts.ledger.setup
    users = await site.parts.ledger.users.find(tenant, [asked.user])
    if asked.user not in users:
        raise NotFound("This user was deleted: reload the page.")
    user, stored_tenant = users[asked.user], setup.tenants.all()[tenant]
    theirs = choose(
        template.channels.get(asked.channel, ()),
        user.profile.locale,
        stored_tenant.locale,
        template.default_locale,
    )
    # In the language they get anyway it is shown as they read it: with the dates and numbers of their region.
    if asked.locale not in ("", theirs):
        user = replace(user, profile=replace(user.profile, locale=asked.locale))
    (found,) = await site.parts.services.previews.of(
        template,
        stored_tenant,
        user,
        editor.example_of(setup, tenant, template),
        [asked.channel],
        can_be_left=site.parts.services.templates.can_be_left(tenant, template.key),
    )
    return user, found, theirs or ""


def _published(published: Published) -> Response:
    if published.template is None:
        return fragment("unpublished.html", code=422, findings=editor.rows_of(published.findings))
    response = fragment("published.html", version=published.template.version)
    return response.with_headers({"clarion-version": str(published.template.version)})


def _blank(key: str) -> Template:
    fields: dict[str, Any] = {"subject": "", "html": ""}
    return Template(key=key, channels={Channel.EMAIL: {"en": fields}})
