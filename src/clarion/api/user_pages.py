"""`/v1/users/{user_id}/pages`: links to pages of a user that need no login."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import Router, post

from clarion.api.conditions import ADDS
from clarion.api.guards import SEND, Parts, PathUser
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339


class UserPageBody(Value, frozen=True, kw_only=True):
    """Which page."""

    page: Literal["preferences"]


class UserPageView(msgspec.Struct, frozen=True, kw_only=True):
    """A link to a page."""

    page: str
    url: str
    """Whoever has it sees the page: give it to the user only."""
    expires_at: str
    """Until when something can be changed there. Afterwards the page only shows the choices."""


@post("/", opt=SEND | ADDS)
async def create_page(person: PathUser, data: UserPageBody, parts: Parts) -> UserPageView:
    """Create a link to the user's preference page. It needs no login, in the user's language and the tenant's brand."""
    link = parts.services.preference_pages.link(person)
    return UserPageView(page=data.page, url=link.url, expires_at=rfc3339(link.expires_at))


router = Router("/v1/users/{user_id:str}/pages", route_handlers=[create_page], tags=["Users"])
