"""The pages of people: the list, and what one person gets, wants and has agreed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.message_feed import when
from clarion.dashboard.page_address import strange
from clarion.dashboard.person_timeline import timeline
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.dashboard.user_list import person
from clarion.dashboard.workflow_pages import run_rows
from clarion.errors import ClarionError, NotFound
from clarion.model.channel import CHANNELS, Channel
from clarion.model.ids import UserNo
from clarion.model.run import RunFilter, RunStatus
from clarion.model.user import WEEK, User
from clarion.ports.vault import contact_hash
from clarion.rules import validation
from clarion.rules.effective_preferences import effective_preferences

PEOPLE = 50
RUNS = 20

route = PageRoutes()


@route("GET", "/ui/people", page=True)
async def overview(site: Site, request: PageRequest, _: str) -> Response:
    """Everybody, newest first."""
    after = request.query.get("after", "")
    if after and not (after.isascii() and after.isdigit() and len(after) < 19):
        raise strange("people")
    found = await site.parts.ledger.users.page(site.tenant(), UserNo(int(after)) if after else None, PEOPLE)
    return _list(found, older=str(found[-1].no) if len(found) == PEOPLE else "")


@route("POST", "/ui/people")
async def find(site: Site, request: PageRequest, _: str) -> Response:
    """Those who have an address or an id. Addresses stand in no URL."""
    wanted = "".join(request.form().get("wanted", ())).strip()
    try:
        found = await _found(site, wanted)
    except ClarionError as wrong:
        return _list((), wanted=wanted, wrong=wrong.detail)
    return _list(found, wanted=wanted)


@route("GET", "/ui/people/*", page=True)
async def one(site: Site, request: PageRequest, user_id: str) -> Response:
    """Everything about one person."""
    tenant, ledger = site.tenant(), site.parts.ledger
    user = (await ledger.users.find(tenant, [user_id])).get(user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id!r}.")
    setup = ledger.setup
    wants = effective_preferences(
        setup.tenants.all()[tenant], setup.categories.all(tenant), setup.workflows.all(tenant), user.profile
    )
    waiting = RunFilter(user=user.no, statuses=frozenset({RunStatus.WAITING}))
    runs, _ = await ledger.runs.page(tenant, waiting, None, RUNS)
    return Response(
        body=pages.render(
            "person.html",
            here="people",
            below=True,
            person=person(user),
            contacts=[
                {
                    "channel": {"id": one.channel.value, "name": CHANNEL_NAMES[one.channel]},
                    "address": one.address,
                    "label": one.label,
                    "verified": one.verified,
                    "suppressed": one.hash in user.suppressed,
                }
                for one in user.profile.contacts
            ],
            channels=[CHANNEL_NAMES[channel] for channel in CHANNELS],
            categories=[
                {
                    "key": key,
                    "channels": [
                        {
                            "enabled": one.enabled,
                            "by": one.decided_by.replace("_", " "),
                        }
                        for one in (wanted.channels[channel] for channel in CHANNELS)
                    ],
                }
                for key, wanted in sorted(wants.categories.items())
            ],
            quiet=[
                f"{window.start} to {window.end}{'' if window.days == WEEK else ' on ' + ', '.join(window.days)}"
                for window in wants.quiet_hours.value
            ],
            snoozed_until=wants.snoozed_until,
            attributes=sorted((name, str(value)) for name, value in user.profile.attributes.items()),
            consents=[
                {
                    "purpose": one.purpose,
                    "channel": "every channel" if one.channel is None else CHANNEL_NAMES[one.channel],
                    "action": one.action.value.capitalize(),
                    **when(one.at),
                }
                for one in sorted(user.profile.consents, key=lambda one: one.at, reverse=True)
            ],
            timeline=await timeline(site, request, user),
            runs=await run_rows(site, runs),
        )
    )


async def _found(site: Site, wanted: str) -> Sequence[User]:
    ledger, tenant = site.parts.ledger, site.tenant()
    channel = Channel.EMAIL if "@" in wanted else Channel.SMS if wanted.startswith("+") else None
    if channel is None:
        return list((await ledger.users.find(tenant, [wanted])).values())
    validation.check_address(channel, wanted, "#/wanted")
    hashed = contact_hash(site.parts.vault, tenant, channel, wanted)
    return await ledger.directory.with_contact(tenant, channel, hashed, PEOPLE)


def people_rows(found: Sequence[User]) -> list[dict[str, Any]]:
    """People as a table shows them."""
    return [
        {
            "person": person(user),
            "channels": [
                {"id": one.value, "name": CHANNEL_NAMES[one]}
                for one in dict.fromkeys(contact.channel for contact in user.profile.contacts)
            ],
        }
        for user in found
    ]


def _list(found: Sequence[User], *, older: str = "", wanted: str | None = None, wrong: str = "") -> Response:
    body = pages.render(
        "people.html",
        here="people",
        rows=people_rows(found),
        older=older,
        wanted=wanted or "",
        asked=wanted is not None,
        wrong=wrong,
    )
    return Response(body=body)
