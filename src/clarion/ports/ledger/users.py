"""Users, suppressed addresses, devices, webhook endpoints, topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.channel import Channel
from clarion.model.consent import Consent, ConsentFilter, ConsentId
from clarion.model.device import Device, DeviceState
from clarion.model.endpoint import Delivery, DeliveryFilter, Endpoint, EndpointState
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.model.topic import Topic
from clarion.model.user import User, UserPut, UserSeen


class Users(Protocol):
    """People, opened."""

    async def find(self, tenant: TenantId, ids: Sequence[str]) -> Mapping[str, User]:
        """Those that exist, by their id."""

    async def get(self, numbers: Sequence[UserNo]) -> Mapping[UserNo, User]:
        """Those that exist, by their number."""

    async def changed(self, seen: Sequence[UserSeen]) -> Mapping[UserNo, User | None]:
        """Who of these is another person by the last committed write, as they are now; None: they are gone. The last
        look before a call: what was committed before it is asked counts."""

    async def put(self, tenant: TenantId, users: Sequence[UserPut]) -> Sequence[User]:
        """Create or replace; contacts get their `hash`, endpoints and devices stay as they are, consents are added and change what
        follows from them. One transaction."""

    async def delete(self, tenant: TenantId, user_id: str) -> bool:
        """Destroy the user's key, profile, inbox, captures and subscriptions; cancel what is active
        (`suppressed`, `user_deleted`). Numbers in messages stay as anonymous statistics."""

    async def page(
        self, tenant: TenantId, before: UserNo | None, limit: int, *, reserved: bool = False
    ) -> Sequence[User]:
        """Newest first, those with a lower number. `reserved`: also those that Clarion made for itself."""


class Suppressions(Protocol):
    """Addresses never to be contacted."""

    async def add(self, rows: Sequence[Suppression]) -> None:
        """Effective for every attempt that starts after this returns. One with `registered_before` is passed over when
        a device has registered the address later. An address that is suppressed already keeps what is stored, unless that ends
        earlier."""

    async def remove(self, tenant: TenantId, channel: Channel, hash: bytes) -> bool:
        """Whether it was there."""

    async def find(self, tenant: TenantId, hash: bytes) -> Suppression | None:
        """That of one address. The hash says the channel too."""

    async def page(
        self, tenant: TenantId, where: SuppressionFilter, before: tuple[Instant, bytes] | None, limit: int
    ) -> Sequence[Suppression]:
        """Newest first, those behind this time and hash."""

    async def expire(self, now: Instant, limit: int) -> int:
        """Remove those whose time is over, of all tenants; how many. They hold until then."""


class Consents(Protocol):
    """What users allowed and forbade. `Users.put` adds records; none is ever changed or removed, not even with its user, whose key
    then opens no proof any more."""

    async def page(
        self, tenant: TenantId, where: ConsentFilter, before: ConsentId | None, limit: int
    ) -> Sequence[Consent]:
        """Newest first, cursor is the id."""


class Devices(Protocol):
    """Installations of apps. Each belongs to one user at a time, and each token to one device."""

    async def put(
        self, tenant: TenantId, user: UserNo, device: Device, at: Instant, *, before: Device | None = None
    ) -> DeviceState:
        """Log in: one transaction makes it this user's and nobody else's, takes its token from every other device and
        contact, forgets that the token was gone, and notes `at` as when it was seen. Raises Conflict when `before` is
        given and the user has another device by then."""

    async def delete(self, tenant: TenantId, user: UserNo, device_id: str) -> bool:
        """Log out. Whether it was this user's."""

    async def find(self, tenant: TenantId, device_id: str) -> DeviceState | None:
        """Whose it is, and how it is doing."""

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: int | None, limit: int
    ) -> Sequence[DeviceState]:
        """Newest first, those with a lower number."""


class Endpoints(Protocol):
    """Webhook endpoints of users. A disabled one is a suppression of its id on the webhook channel."""

    async def put(
        self, tenant: TenantId, user: UserNo, endpoint: Endpoint, before: Endpoint | None
    ) -> Endpoint:
        """Create (`before=None`) or replace. Raises Conflict when what is stored is not `before`."""

    async def delete(self, tenant: TenantId, endpoint_id: bytes) -> bool:
        """Whether it was there. Its deliveries can no longer be found, and go when they are old."""

    async def find(self, tenant: TenantId, endpoint_id: bytes) -> EndpointState | None:
        """How it is doing."""

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: bytes | None, limit: int
    ) -> Sequence[EndpointState]:
        """Newest first, those with a lower id."""

    async def failing(self, for_ms: int, limit: int) -> Sequence[EndpointState]:
        """Of all tenants: those whose last call failed at least `for_ms` after the first in a row that did, and
        those whose receiver ended them; except those that were switched off through `switch`."""

    async def switch(self, tenant: TenantId, endpoint_id: bytes, off: str, at: Instant) -> bool:
        """Disable for the reason `off` (a reason that is there stays), or enable when it is empty, as if it had never
        failed. Whether there is such an endpoint."""


class Deliveries(Protocol):
    """The calls of endpoints that settlements brought along."""

    async def page(
        self, tenant: TenantId, endpoint: bytes, where: DeliveryFilter, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first, cursor is `seq`."""


class Topics(Protocol):
    """Explicit groups."""

    async def put(self, tenant: TenantId, topic: Topic) -> None:
        """Create or rename."""

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """With its subscriptions."""

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[Topic]:
        """In order of key, with member counts."""

    async def subscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        """Adds members (creating the topic when missing); how many were new."""

    async def unsubscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        """How many were removed."""

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        """In order of number; the fan-out walks this page by page."""


class Directory(Protocol):
    """Finding people and topics otherwise than by a name that is known to be right."""

    async def with_contact(
        self, tenant: TenantId, channel: Channel, hash: bytes, limit: int
    ) -> Sequence[User]:
        """The users who have this contact, by number."""

    async def users_near(self, tenant: TenantId, user_id: str, limit: int) -> Sequence[str]:
        """User ids that come before and behind this one in the alphabet, at most `limit` each way."""

    async def topics(self, tenant: TenantId, keys: Sequence[str]) -> frozenset[str]:
        """Those that exist."""

    async def topic(self, tenant: TenantId, key: str) -> Topic | None:
        """One topic with the number of its members."""

    async def topics_near(self, tenant: TenantId, key: str, limit: int) -> Sequence[str]:
        """The same for the keys of topics."""
