"""The visitor's own browser as a device of one of the demo's people."""

from __future__ import annotations

from urllib.parse import quote

from clarion.model.ids import UserNo
from tests.browsers import Browser
from tests.unit.dashboard.test_site import dev_app


async def pushes(app, tenant) -> dict[str, list[str]]:
    """Labels of everybody's push contacts, in order."""
    users = await app.ledger.users.page(tenant, UserNo(0), 10)
    return {
        user.id: [contact.label for contact in user.profile.contacts if contact.channel == "push"]
        for user in users
    }


def form(browser: Browser) -> bytes:
    return f"subscription={quote(browser.address)}".encode()
