"""Registers the visitor's browser as a device of a demo user, for real notifications through web push."""

from __future__ import annotations

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.errors import InvalidInput, NotFound
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.device import Platform
from clarion.model.ids import TenantId
from clarion.ports.vault import contact_hash
from clarion.rules import validation
from clarion.services.devices import Registration

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
    found = await site.parts.ledger.users.find(site.tenant(), [user_id])
    if user_id not in found:
        raise NotFound(f"There is no user {user_id!r}.")
    said = Registration(platform=Platform.WEB, token=address)
    await site.parts.services.devices.log_in(found[user_id], _device_id(site, address), said)
    return Response(status=204)


@route("POST", "/ui/browsers")
async def unsubscribe(site: Site, request: PageRequest, _: str) -> Response:
    """Pushes come to this browser no longer."""
    device_id = _device_id(site, _address(request))
    state = await site.parts.ledger.devices.find(site.tenant(), device_id)
    if state is not None:
        for user in (await site.parts.ledger.users.get([state.user])).values():
            await site.parts.services.devices.log_out(user, device_id)
    return Response(status=204)


def _address(request: PageRequest) -> str:
    given = request.form().get("subscription", [""])[0]
    if not given.startswith("{"):
        raise InvalidInput("This is no subscription of a browser.")
    return validation.plain_address(Channel.PUSH, given, "#/subscription")


def _device_id(site: Site, address: str) -> str:
    """The same for every subscription with this endpoint."""
    return f"browser-{contact_hash(site.parts.vault, site.tenant(), Channel.PUSH, address).hex()}"
