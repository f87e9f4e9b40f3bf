"""Routes of layouts and partials: the editor, and the effect of a change on templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from clarion.content import partials_used
from clarion.dashboard import editor, pages
from clarion.dashboard.context import Site
from clarion.dashboard.previews import shown
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes, fragment, posted
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.dashboard.user_list import person
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Partial, Template
from clarion.rules import validation as rules
from clarion.services.templates import PartialPublished

route = PageRoutes()


class PartialForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the editor sends; `replaces`: the version it shows as live, null for whatever is."""

    name: str = ""
    source: str
    replaces: int | None = None


class PartialLooked(PartialForm, frozen=True, kw_only=True):
    """The editor, and in which template, for whom to show it."""

    where: str = ""
    """`template/channel`; empty: in none."""
    user: str = ""


@route("GET", "/ui/partials/*", page=True)
async def edit(site: Site, request: PageRequest, key: str) -> Response:
    """The editor of a layout or a piece; of a new one when there is none of that name."""
    rules.check_key(key, "#/key")
    setup, tenant = site.parts.ledger.setup, site.tenant()
    live = setup.partials.all(tenant).get(key)
    users = site.parts.services.templates.users_of(tenant, key)
    found = await site.parts.ledger.users.page(tenant, None, editor.PEOPLE)
    return Response(
        body=pages.render(
            "partial.html",
            here="templates",
            below=True,
            key=key,
            called=live.name if live else "",
            title=(live.name if live else "") or key,
            source=live.source if live else "",
            use=use(key, live.source if live else ""),
            version=live.version if live else 0,
            users=[{"key": one.key, "name": one.name or one.key} for one in users],
            places=[place for one in users for place in _places(one, key)],
            people=[person(user) for user in found],
        )
    )


@route("POST", "/ui/partials/*/look")
async def look(site: Site, request: PageRequest, key: str) -> Response:
    """What publishing it would break or leave to be desired, and what somebody would get with it."""
    asked = posted(request, PartialLooked)
    tenant = site.tenant()
    checked = await site.parts.services.templates.check_partial(tenant, Partial(key=key, source=asked.source))
    said = {**_told(checked, key), "users": len(site.parts.services.templates.users_of(tenant, key))}
    template, _, channel = asked.where.rpartition("/")
    live = site.parts.ledger.setup.templates.all(tenant).get(template)
    users = await site.parts.ledger.users.find(tenant, [asked.user])
    if live is None or channel not in list(Channel) or not users:
        return fragment("partial_look.html", **said, shown=None)
    user = users[asked.user]
    (found,) = await site.parts.services.previews.of(
        replace(live, partials={**live.partials, key: asked.source}),
        site.parts.ledger.setup.tenants.all()[tenant],
        user,
        editor.example_of(site.parts.ledger.setup, tenant, live),
        [Channel(channel)],
        can_be_left=site.parts.services.templates.can_be_left(tenant, template),
    )
    view = shown(found, site.frames)
    return fragment("partial_look.html", **said, shown=view, person=person(user), channel=channel)


@route("POST", "/ui/partials/*/publish")
async def publish(site: Site, request: PageRequest, key: str) -> Response:
    """Make it live with all templates that use it, or say what keeps it from that."""
    rules.check_key(key, "#/key")
    asked = posted(request, PartialForm)
    partial = Partial(key=key, name=asked.name, source=asked.source)
    published = await site.parts.services.templates.put_partial(site.tenant(), partial, asked.replaces)
    if published.partial is None:
        return fragment("partial_refused.html", code=422, **_told(published, key))
    version = published.partial.version
    response = fragment("partial_published.html", version=version, templates=published.templates)
    return response.with_headers({"clarion-version": str(version)})


@route("POST", "/ui/partials/*/delete")
async def delete(site: Site, request: PageRequest, key: str) -> Response:
    """Take it away, unless a template uses it."""
    await site.parts.services.templates.delete_partial(site.tenant(), key)
    return Response(status=204)


@route("GET", "/ui/partials/*/versions")
async def versions(site: Site, request: PageRequest, key: str) -> Response:
    """Everything that was ever live."""
    partials, tenant = site.parts.ledger.setup.partials, site.tenant()
    live = partials.all(tenant).get(key)
    found = await partials.versions(tenant, key, None, editor.VERSIONS)
    told = [
        {
            "version": one.version,
            "at": editor.stamp(one.published_at) if one.published_at else "",
            "source": one.source,
            "live": one == live,
        }
        for one in found
    ]
    return fragment("partial_versions.html", versions=told)


def rows(setup: SetupView, tenant: TenantId) -> list[dict[str, Any]]:
    """Every layout and piece for the list, by name, with how many templates use it."""
    templates = setup.templates.all(tenant).values()
    found = [
        {
            "key": key,
            "name": partial.name or key,
            "use": use(key, partial.source),
            "users": sum(key in template.partials for template in templates),
            "version": partial.version,
        }
        for key, partial in setup.partials.all(tenant).items()
    ]
    return sorted(found, key=lambda row: str(row["name"]).lower())


def use(key: str, source: str) -> str:
    """How a template takes it in: what has blocks to fill is a layout."""
    return f'{{% {"extends" if "{% block" in source or "{%- block" in source else "include"} "{key}" %}}'


def _places(template: Template, key: str) -> Iterator[dict[str, str]]:
    """The channels on which a template uses it."""
    for channel, locales in template.channels.items():
        alone = replace(template, channels={channel: locales})
        if key in partials_used(alone, template.partials):
            name = f"{template.name or template.key} · {CHANNEL_NAMES[channel]}"
            yield {"id": f"{template.key}/{channel}", "name": name}


def _told(published: PartialPublished, key: str) -> dict[str, Any]:
    """Its own findings, each once, and those it causes in templates."""
    here = f"#/partials/{key}"
    own = dict.fromkeys([*published.findings, *published.remarks])
    broken: list[Mapping[str, Any]] = []
    for template, findings in published.broken.items():
        own |= dict.fromkeys(one for one in findings if one.pointer == here)
        elsewhere = [one for one in findings if one.pointer != here]
        broken += ({**told, "template": template} for told in editor.rows_of(elsewhere))
    return {"own": editor.rows_of(own), "broken": broken}
