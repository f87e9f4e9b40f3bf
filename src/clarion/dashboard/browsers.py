"""Registers the visitor's browser as a device of a demo user, for real notifications through web push."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.errors import InvalidInput, NotFound
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.user import Contact, User, UserPut
from clarion.ports.vault import normal_address
from clarion.rules import validation

LABEL = "This browser"
PEOPLE = 100
"""Looked through for the browser: it belongs to one person at a time."""

route = PageRoutes()


def key_for_pages(setup: SetupView, tenant: TenantId) -> str:
    """What browsers subscribe with (`applicationServerKey`); empty without a web push integration."""
    keys = (
        str(integration.config.get("public_key", ""))
        for integration in setup.integrations.all(tenant).values()
        if integration.provider == "webpush" and integration.enabled
    )
    return next(keys, "")


def worker() -> Response:
    """The service worker. It stands in `/ui/`, so it can be in charge of no page but these."""
    return pages.content("push-worker.js", "no-cache")


@route("POST", "/ui/browsers/*")
async def subscribe(site: Site, request: PageRequest, user_id: str) -> Response:
    """Pushes to this person come to this browser, too, and another person's no longer."""
    address = _address(request)
    if user_id not in await site.parts.ledger.users.find(site.tenant(), [user_id]):
        raise NotFound(f"There is no user {user_id!r}.")
    await _give(site, address, user_id)
    return Response(status=204)


@route("POST", "/ui/browsers")
async def unsubscribe(site: Site, request: PageRequest, _: str) -> Response:
    """Pushes come to this browser no longer."""
    await _give(site, _address(request), None)
    return Response(status=204)


def _address(request: PageRequest) -> str:
    given = request.form().get("subscription", [""])[0]
    if not given.startswith("{"):
        raise InvalidInput("This is no subscription of a browser.")
    return validation.plain_address(Channel.PUSH, given, "#/subscription")


async def _give(site: Site, address: str, owner: str | None) -> None:
    """Take the browser from whoever has it, and make it the newest device of `owner`."""
    tenant = site.tenant()
    users = await site.parts.ledger.users.page(tenant, None, PEOPLE)
    changed = [
        UserPut(id=user.id, profile=replace(user.profile, contacts=contacts), revision=user.revision)
        for user in users
        if (contacts := _contacts(user, address, owner)) != user.profile.contacts
    ]
    if changed:
        await site.parts.services.users.put(tenant, changed)


def _contacts(user: User, address: str, owner: str | None) -> Sequence[Contact]:
    endpoint = normal_address(Channel.PUSH, address)
    others = tuple(
        contact
        for contact in user.profile.contacts
        if contact.channel is not Channel.PUSH or normal_address(Channel.PUSH, contact.address) != endpoint
    )
    if user.id != owner:
        return others
    return (*others, Contact(channel=Channel.PUSH, address=address, label=LABEL))
