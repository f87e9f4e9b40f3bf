"""Creates and changes webhook endpoints, replaces secrets, and retries failed calls."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec.structs import replace

from clarion.errors import Conflict, InvalidInput, NotFound, UnknownName, UnknownReference, UserUnreadable
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.endpoint import SECRET_PREFIX, Endpoint, EndpointState, SigningSecret, secret_key
from clarion.model.ids import Instant, MessageId, TenantId, id_text, new_event_id
from clarion.model.message import MessageFilter
from clarion.model.status import RETRYABLE_BY_HAND
from clarion.model.user import User, UserPut
from clarion.ports.clock import Clock, Random
from clarion.rules import validation
from clarion.rules.endpoints import TENANT_USER, endpoint_of
from clarion.rules.match import check_pattern, closest, overlap
from clarion.services.retries import Retries, TemplateVersion

MOST = 50
"""Endpoints of one user: each gets a message of its own."""
MOST_EVENTS = 50
OWN_TYPES = (
    "clarion.endpoint.disabled",
    "clarion.operation.finished",
    "clarion.budget.warned",
    "clarion.budget.exhausted",
    "clarion.sms_guard.blocked",
)
"""Types of events that Clarion itself raises."""
HEARD = (
    "An endpoint hears of workflows by their key when they are triggered, and of CloudEvents that a workflow listens "
    "to by their type: set up the workflow first."
)
MOST_SECRETS = 5
SECRET_BYTES = 32
OVERLAP_MS = 24 * 3_600_000
"""How long a replaced secret signs along."""
PAGE = 500
BY_HAND = "by_hand"
ABLE = ", ".join(sorted(RETRYABLE_BY_HAND))

Refusal = Callable[[str], Awaitable[str | None]]
"""Why a URL must not be called; None when it may."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an endpoint, as requested."""

    url: str
    events: tuple[str, ...] = ()
    description: str = ""


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with its owner and state."""

    user: User
    endpoint: Endpoint
    state: EndpointState


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages go out again, and whether there may be more."""

    retried: int
    more: bool


class WebhookEndpoints:
    """Manages webhook endpoints. Raises NotFound, Conflict and InvalidInput with names the caller knows."""

    def __init__(
        self, ledger: Ledger, retries: Retries, refusal: Refusal, clock: Clock, random: Random
    ) -> None:
        self._ledger = ledger
        self._retries = retries
        self._refusal = refusal
        self._clock = clock
        self._random = random

    async def page(
        self, tenant: TenantId, user: User | None, before: bytes | None, limit: int
    ) -> tuple[Sequence[Owned], bytes | None]:
        """Newest first, and where to go on from."""
        number = user.no if user is not None else None
        states = await self._ledger.endpoints.page(tenant, number, before, limit)
        users = await self._ledger.users.get(list({state.user for state in states}))
        owned = [
            Owned(user=users[state.user], endpoint=endpoint, state=state)
            for state in states
            if state.user in users and (endpoint := users[state.user].profile.endpoint(state.id)) is not None
        ]
        return owned, states[-1].id if len(states) == limit else None

    async def get(self, tenant: TenantId, endpoint_id: bytes) -> Owned:
        """One endpoint."""
        state = await self._ledger.endpoints.find(tenant, endpoint_id)
        users = await self._ledger.users.get([state.user]) if state is not None else {}
        user = users.get(state.user) if state is not None else None
        if user is not None and user.unreadable:
            raise UserUnreadable(user.id)
        endpoint = user.profile.endpoint(endpoint_id) if user is not None else None
        if state is None or user is None or endpoint is None:
            raise NotFound(f"There is no endpoint {id_text(endpoint_id)}.")
        return Owned(user=user, endpoint=endpoint, state=state)

    async def create(self, tenant: TenantId, owner: User | None, wanted: Wanted, secret: str | None) -> Owned:
        """For a user, or without an owner for the tenant itself."""
        await self._check(tenant, wanted)
        user = owner or (await self._ledger.users.put(tenant, [UserPut(id=TENANT_USER)]))[0]
        if len(user.profile.endpoints) >= MOST:
            raise Conflict(f"The user already has {MOST} endpoints, the limit: delete one first.")
        now = self._clock.now()
        endpoint = Endpoint(
            id=new_event_id(now, self._random.bytes(10)),
            url=wanted.url,
            secrets=(SigningSecret(text=self._secret(secret)),),
            events=wanted.events,
            description=wanted.description,
            created_at=now,
        )
        await self._ledger.endpoints.put(tenant, user.no, endpoint, None)
        state = EndpointState(id=endpoint.id, tenant=tenant, user=user.no)
        return Owned(user=user, endpoint=endpoint, state=state)

    async def change(
        self, tenant: TenantId, endpoint_id: bytes, wanted: Wanted, seen: Owned | None = None
    ) -> Owned:
        """Another URL, filter or description; what is under way goes to the new URL.

        `seen`: what the change was made from; Conflict when it is another by now.
        """
        owned = seen or await self.get(tenant, endpoint_id)
        await self._check(tenant, wanted, owned.endpoint.events)
        changed = replace(
            owned.endpoint, url=wanted.url, events=wanted.events, description=wanted.description
        )
        return await self._put(owned, changed)

    async def rotate(self, tenant: TenantId, endpoint_id: bytes, secret: str | None) -> Owned:
        """A new secret; those before it sign along for a day."""
        owned = await self.get(tenant, endpoint_id)
        now = self._clock.now()
        end = Instant(now + OVERLAP_MS)
        before = [
            replace(one, until=end if one.until is None else min(one.until, end))
            for one in owned.endpoint.secrets
            if one.until is None or one.until > now
        ]
        secrets = (SigningSecret(text=self._secret(secret)), *before)[:MOST_SECRETS]
        return await self._put(owned, replace(owned.endpoint, secrets=secrets))

    async def delete(self, tenant: TenantId, endpoint_id: bytes) -> None:
        """What is still to be sent to it is suppressed."""
        if not await self._ledger.endpoints.delete(tenant, endpoint_id):
            raise NotFound(f"There is no endpoint {id_text(endpoint_id)}.")

    async def switch(self, tenant: TenantId, endpoint_id: bytes, *, on: bool) -> Owned:
        """Enable or disable by hand, effective for every attempt that starts after this returns."""
        off = "" if on else BY_HAND
        if not await self._ledger.endpoints.switch(tenant, endpoint_id, off, self._clock.now()):
            raise NotFound(f"There is no endpoint {id_text(endpoint_id)}.")
        return await self.get(tenant, endpoint_id)

    async def retry(
        self, tenant: TenantId, endpoint_id: bytes, ids: Sequence[MessageId], version: TemplateVersion
    ) -> Retried:
        """Put these messages back with fresh attempts: all of them, or none when one of them cannot be."""
        owned = await self._enabled(tenant, endpoint_id)
        for place, message_id in enumerate(ids):
            message = await self._ledger.records.get(tenant, message_id)
            if message is None or endpoint_of(message, owned.user) != owned.endpoint:
                raise NotFound(
                    f"The endpoint was sent no message {id_text(message_id)}.", pointer=f"#/ids/{place}"
                )
            if message.status not in RETRYABLE_BY_HAND:
                raise Conflict(
                    f"The message {id_text(message_id)} is {message.status}: only {ABLE} can be retried.",
                    pointer=f"#/ids/{place}",
                )
        return Retried(retried=await self._back(tenant, ids, version), more=False)

    async def retry_since(
        self, tenant: TenantId, endpoint_id: bytes, since: Instant, limit: int, version: TemplateVersion
    ) -> Retried:
        """Put back what failed or was suppressed since then, newest first, at most `limit` in one call."""
        owned = await self._enabled(tenant, endpoint_id)
        where = MessageFilter(
            user=owned.user.no, channels=frozenset({Channel.WEBHOOK}), statuses=RETRYABLE_BY_HAND, since=since
        )
        ids: list[MessageId] = []
        cursor: MessageId | None = None
        while len(ids) <= limit:
            found, cursor = await self._ledger.records.page(tenant, where, cursor, PAGE)
            ids += [m.id for m in found if endpoint_of(m, owned.user) == owned.endpoint]
            if cursor is None:
                break
        return Retried(retried=await self._back(tenant, ids[:limit], version), more=len(ids) > limit)

    async def _back(self, tenant: TenantId, ids: Sequence[MessageId], version: TemplateVersion) -> int:
        return len(await self._retries.retry(tenant, MessageFilter(), ids, len(ids), version))

    async def _enabled(self, tenant: TenantId, endpoint_id: bytes) -> Owned:
        owned = await self.get(tenant, endpoint_id)
        if owned.state.disabled_at is not None:
            raise Conflict("The endpoint is disabled, so nothing would be sent: enable it first.")
        return owned

    async def _put(self, owned: Owned, changed: Endpoint) -> Owned:
        await self._ledger.endpoints.put(owned.user.tenant, owned.user.no, changed, owned.endpoint)
        return replace(owned, endpoint=changed)

    async def _check(self, tenant: TenantId, wanted: Wanted, before: Sequence[str] = ()) -> None:
        validation.check_address(Channel.WEBHOOK, wanted.url, "#/url")
        if len(wanted.events) > MOST_EVENTS:
            raise InvalidInput(f"at most {MOST_EVENTS} event types in one filter.", pointer="#/events")
        for index, pattern in enumerate(wanted.events):
            if (wrong := check_pattern(pattern)) is not None:
                raise InvalidInput(f"{wrong}.", pointer=f"#/events/{index}")
        workflows = self._ledger.setup.workflows.all(tenant).values()
        heard = [*OWN_TYPES, *(w.key for w in workflows), *(w.on.type for w in workflows if w.on is not None)]
        unheard = [
            UnknownName("event type", pattern, f"#/events/{index}", HEARD, closest(pattern, heard))
            for index, pattern in enumerate(wanted.events)
            if pattern not in before and not any(overlap(pattern, one) for one in heard)
        ]
        if unheard:
            raise UnknownReference(unheard)
        if (refused := await self._refusal(wanted.url)) is not None:
            raise InvalidInput(f"{refused}.", pointer="#/url")

    def _secret(self, given: str | None) -> str:
        if given is None:
            return SECRET_PREFIX + b64encode(self._random.bytes(SECRET_BYTES)).decode()
        try:
            secret_key(given)
        except ValueError as wrong:
            raise InvalidInput(f"{wrong}: leave it out to get a new one.", pointer="#/secret") from None
        return given
