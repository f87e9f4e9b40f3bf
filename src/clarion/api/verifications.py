"""`/v1/verifications`: one-time codes that prove that somebody reads an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import Router, get, post

from clarion.api.auth import Identity
from clarion.api.conditions import RECORD
from clarion.api.consents import check_purpose
from clarion.api.dependencies import ApiParts
from clarion.api.guards import FOR_GOOD, READ, SEND, Caller, Parts, the_user
from clarion.api.times import text_or_none
from clarion.api.users import ContactSearch
from clarion.errors import InvalidInput, NotFound, UnknownName, UnknownReference
from clarion.flow.verification_workflow import CHANNELS
from clarion.model.channel import Channel
from clarion.model.ids import id_text, parse_id
from clarion.model.setup import Workflow
from clarion.model.user import User, Value
from clarion.model.verification import ConsentAsked, Verification, VerificationId, VerificationStatus
from clarion.rules import validation
from clarion.rules.match import closest
from clarion.rules.time_format import rfc3339
from clarion.services.verifications import MOST_CHECKS

CODE_S, LONGEST_CODE_S = 600, 3_600
CONSENT_S, LONGEST_CONSENT_S = 3 * 86_400, 7 * 86_400


class ConsentWanted(Value, frozen=True, kw_only=True):
    """What the user consents to who confirms (double opt-in)."""

    purpose: str
    """The key of a category, or the `purpose` of one."""
    text_version: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    """Which text the user was shown when asking for it."""


class VerificationBody(Value, frozen=True, kw_only=True):
    """Whom to send a code. Name one of `user_id` and `contact`."""

    user_id: str | None = None
    contact: ContactSearch | None = None
    """An address. When no user has it, a user is created with it."""
    channels: tuple[Channel, ...] = ()
    """The first on which the user can be reached gets the code. Left out: the channel of `contact`, else sms. Not
    together with `workflow`."""
    workflow: str | None = None
    """A workflow of yours that sends the code: its templates take `{{ data.code }}` and `{{ data.minutes }}`."""
    digits: Annotated[int, msgspec.Meta(ge=4, le=10)] = 6
    ttl_s: Annotated[int, msgspec.Meta(ge=60, le=LONGEST_CONSENT_S)] | None = None
    """How long the code is right: at most an hour, and a week with `consent`. Left out: ten minutes, three days with `consent`."""
    consent: ConsentWanted | None = None
    """Double opt-in: entering the code, or confirming on the page that the message leads to, grants this consent on the channel of
    the address. Nothing else does."""


class CodeBody(Value, frozen=True, kw_only=True):
    """What was entered."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    """Blanks and dashes in it do not count."""


class VerificationView(msgspec.Struct, frozen=True, kw_only=True):
    """A verification. The code is never shown."""

    id: str
    user_id: str | None
    """Null once the user was deleted."""
    channels: list[Channel]
    workflow: str | None
    digits: int
    consent: ConsentWanted | None
    status: VerificationStatus
    checks_left: int
    """Codes that may still be tried."""
    sends: int
    """Codes that were sent."""
    created_at: str
    sent_at: str
    expires_at: str
    finished_at: str | None


@post("/", opt=SEND | FOR_GOOD, status_code=202)
async def create_verification(data: VerificationBody, caller: Caller, parts: Parts) -> VerificationView:
    """Send a one-time code. An earlier one for the same address is canceled."""
    workflow = None if data.workflow is None else _workflow(parts, caller, data)
    user = await _recipient(parts, caller, data)
    channels = data.channels or (() if data.contact is None else (data.contact.channel,)) or (Channel.SMS,)
    if data.consent is not None:
        check_purpose(parts, caller, data.consent.purpose, "#/consent/purpose")
    elif data.ttl_s is not None and data.ttl_s > LONGEST_CODE_S:
        raise InvalidInput(
            f"a code without a `consent` is right for at most {LONGEST_CODE_S} seconds.", pointer="#/ttl_s"
        )
    created = await parts.services.verifications.create(
        caller.tenant,
        user,
        () if workflow is not None else channels,
        workflow,
        digits=data.digits,
        ttl_s=data.ttl_s or (CODE_S if data.consent is None else CONSENT_S),
        consent=_asked(data.consent),
    )
    return _view(created, user.id)


@get("/{verification_id:str}", opt=READ | RECORD)
async def get_verification(verification_id: str, caller: Caller, parts: Parts) -> VerificationView:
    """One verification."""
    return await _shown(parts, await parts.services.verifications.get(caller.tenant, _id(verification_id)))


@post("/{verification_id:str}/check", opt=SEND | FOR_GOOD, status_code=200)
async def check_verification(
    verification_id: str, data: CodeBody, caller: Caller, parts: Parts
) -> VerificationView:
    """Check a code: `status` is `approved` if it is right. After five wrong ones the verification is `locked`."""
    found = await parts.services.verifications.check(caller.tenant, _id(verification_id), data.code)
    return await _shown(parts, found)


@post("/{verification_id:str}/retry", opt=SEND | FOR_GOOD, status_code=200)
async def retry_verification(verification_id: str, caller: Caller, parts: Parts) -> VerificationView:
    """Send a new code. Earlier ones are no longer right. At most three times, with 30 seconds in between."""
    return await _shown(parts, await parts.services.verifications.retry(caller.tenant, _id(verification_id)))


@post("/{verification_id:str}/cancel", opt=SEND | FOR_GOOD, status_code=200)
async def cancel_verification(verification_id: str, caller: Caller, parts: Parts) -> VerificationView:
    """Cancel a pending verification. One that is over stays as it is."""
    return await _shown(parts, await parts.services.verifications.cancel(caller.tenant, _id(verification_id)))


def _workflow(parts: ApiParts, caller: Identity, data: VerificationBody) -> Workflow:
    if data.channels:
        raise InvalidInput(
            "the workflow says on which channels it sends: leave `channels` out.", pointer="#/channels"
        )
    workflows = parts.ledger.setup.workflows.all(caller.tenant)
    key = data.workflow or ""
    if key not in workflows:
        near = closest(key, workflows)
        raise UnknownReference(
            [UnknownName("workflow", key, "#/workflow", "Create it with PUT /v1/workflows/{key}.", near)]
        )
    return workflows[key]


async def _recipient(parts: ApiParts, caller: Identity, data: VerificationBody) -> User:
    if (data.user_id is None) == (data.contact is None):
        raise InvalidInput("name one of `user_id` and `contact`.", pointer="#")
    _check_channels(data.channels)
    if data.user_id is not None:
        return await the_user(parts, caller, data.user_id, "#/user_id")
    assert data.contact is not None
    _check_channels((data.contact.channel,), "#/contact/channel")
    validation.check_address(data.contact.channel, data.contact.address, "#/contact/address")
    return await parts.services.verifications.user_with(
        caller.tenant, data.contact.channel, data.contact.address
    )


def _check_channels(channels: Sequence[Channel], pointer: str = "#/channels") -> None:
    if wrong := [one for one in channels if one not in CHANNELS]:
        raise InvalidInput(f"no code is sent on {wrong[0]}: use {', '.join(CHANNELS)}.", pointer=pointer)


def _id(text: str) -> VerificationId:
    try:
        return VerificationId(parse_id(text))
    except ValueError:
        raise NotFound("There is no such verification: an id is a UUID.") from None


async def _shown(parts: ApiParts, one: Verification) -> VerificationView:
    user = (await parts.ledger.users.get([one.user])).get(one.user)
    return _view(one, None if user is None else user.id)


def _view(one: Verification, user_id: str | None) -> VerificationView:
    return VerificationView(
        id=id_text(one.id),
        user_id=user_id,
        channels=list(one.channels),
        workflow=one.workflow or None,
        digits=one.digits,
        consent=_wanted(one.consent),
        status=one.status,
        checks_left=max(0, MOST_CHECKS - one.checks) if one.status is VerificationStatus.PENDING else 0,
        sends=one.sends,
        created_at=rfc3339(one.created_at),
        sent_at=rfc3339(one.sent_at),
        expires_at=rfc3339(one.expires_at),
        finished_at=text_or_none(one.finished_at),
    )


def _asked(wanted: ConsentWanted | None) -> ConsentAsked | None:
    if wanted is None:
        return None
    return ConsentAsked(purpose=wanted.purpose, text_version=wanted.text_version or "")


def _wanted(asked: ConsentAsked | None) -> ConsentWanted | None:
    if asked is None:
        return None
    return ConsentWanted(purpose=asked.purpose, text_version=asked.text_version or None)


router = Router(
    "/v1/verifications",
    route_handlers=[
        create_verification,
        get_verification,
        check_verification,
        retry_verification,
        cancel_verification,
    ],
    tags=["Users"],
)
