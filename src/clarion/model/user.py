"""Users, contacts, preferences and the time windows a person or a sender may set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.consent import ConsentRecord, ConsentState
from clarion.model.device import Device
from clarion.model.endpoint import Endpoint
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.rota import Rota

LONGEST_S = 10 * 366 * 86_400
Seconds = Annotated[int, msgspec.Meta(ge=0, le=LONGEST_S)]
"""A stretch of time: at most ten years, so that no sum with an instant leaves the calendar."""

RESERVED = "$"
"""Begins the ids of users that Clarion makes for itself."""


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every value that also crosses the HTTP edge."""


class Day(StrEnum):
    """A weekday."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEK = tuple(Day)
MOST_DEVICES = 50
"""Of one user; whoever registers more loses the one that was registered first."""


class Window(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A daily wall-clock window, `[start, end)`. `end <= start` runs over midnight; equal means all day."""

    start: str
    """`HH:MM`, local time."""
    end: str
    days: tuple[Day, ...] = WEEK
    """Weekdays on which the window *starts*."""


class FrequencyCap(Value, frozen=True, kw_only=True, omit_defaults=False):
    """At most `limit` messages to one user in any sliding `window_s` seconds, across workflows."""

    limit: int
    window_s: Seconds
    channel: Channel | None = None
    """Counts this channel only; None counts every channel together."""


class DigestEvery(StrEnum):
    """How often a reader wants what is collected in a digest."""

    AT_ONCE = "at_once"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


class DigestFrequency(Value, frozen=True, kw_only=True, omit_defaults=False):
    """When a reader wants digests, in the reader's time zone."""

    every: DigestEvery
    at: str = "09:00"
    """`HH:MM`: the time of `daily` and `weekly`."""
    day: Day = Day.MON
    """The weekday of `weekly`."""


class PreferenceSet(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What is chosen for one category, workflow or topic; null means that nothing is."""

    enabled: bool | None = None
    channels: dict[Channel, bool] = {}
    digest: DigestFrequency | None = None


class Preferences(Value, frozen=True, kw_only=True):
    """What a user chose. Anything not chosen falls to the category, then to the tenant."""

    channels: dict[Channel, bool] = {}
    categories: dict[str, PreferenceSet] = {}
    workflows: dict[str, PreferenceSet] = {}
    topics: dict[str, PreferenceSet] = {}
    """Also for what lies below a topic: `orders` for `orders.eu`, unless something is chosen for that."""
    digest: DigestFrequency | None = None
    quiet_hours: tuple[Window, ...] | None = None
    """null: those of the tenant; an empty list: none."""
    snoozed_until: Instant | None = None
    """Messages wait until then."""
    channel_order: tuple[Channel, ...] | None = None
    """Where a workflow sends to the first channel or up a ladder, the channels named here come first. null: as the tenant
    says."""
    caps: tuple[FrequencyCap, ...] = ()
    """Beside the caps of the tenant and of categories."""


class DefaultPreferences(Value, frozen=True, kw_only=True):
    """What holds for all users of a tenant who have not chosen. `Tenant.channels` and `Category` say the rest."""

    workflows: dict[str, PreferenceSet] = {}
    topics: dict[str, PreferenceSet] = {}
    digest: DigestFrequency | None = None
    quiet_hours: tuple[Window, ...] = ()
    channel_order: tuple[Channel, ...] = ()


class Contact(Value, frozen=True, kw_only=True):
    """One address of a user on one channel."""

    channel: Channel
    address: str
    """Email address, E.164 phone, device token or URL, as the channel needs it."""
    hash: bytes = b""
    """Keyed hash of the normalised address; set by Clarion, used for look-ups and suppressions."""
    label: str = ""
    verified: bool = False


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=True):
    """All that is personal about a user: sealed as one piece under the user's own key."""

    contacts: tuple[Contact, ...] = ()
    attributes: dict[str, Any] = {}
    locale: str = ""
    timezone: str = ""
    preferences: Preferences = Preferences()
    endpoints: tuple[Endpoint, ...] = ()
    """Set through `ports.ledger.Endpoints` only: whoever replaces a profile leaves them as they are."""
    devices: tuple[Device, ...] = ()
    """Set through `ports.ledger.Devices` only, as endpoints. Those registered first come first."""
    consents: tuple[ConsentState, ...] = ()
    """What follows from the user's consent records: set by whoever adds one, in the same transaction."""
    rota: Rota | None = None
    """Of an object whose members take turns."""

    def endpoint(self, id: bytes) -> Endpoint | None:
        """The endpoint with this id."""
        return next((one for one in self.endpoints if one.id == id), None)

    def device(self, id: str) -> Device | None:
        """The device with this id."""
        return next((one for one in self.devices if one.id == id), None)

    def contacts_on(self, channel: Channel) -> list[Contact]:
        """The contacts of a channel in their order. Devices are push contacts behind the others, each address once."""
        contacts = [contact for contact in self.contacts if contact.channel is channel]
        if channel is Channel.PUSH and self.devices:
            known = {contact.hash for contact in contacts}
            contacts += [
                Contact(channel=channel, address=address, hash=digest)
                for device in self.devices
                for address, digest in device.addresses()
                if digest not in known
            ]
        return contacts

    def addresses(self) -> Iterator[tuple[Channel, bytes]]:
        """What each of the user's addresses is recognised by."""
        yield from ((contact.channel, contact.hash) for contact in self.contacts)
        yield from ((Channel.WEBHOOK, endpoint.id) for endpoint in self.endpoints)
        yield from ((Channel.PUSH, digest) for device in self.devices for _, digest in device.addresses())

    def with_device(self, device: Device) -> Profile:
        """With a device that was registered, and its token nowhere else; the same object when that is no news."""
        left = self.without_device(device)
        if (known := self.device(device.id)) is not None:
            device = device.keeping(known)
        if device in self.devices and (len(left.devices), len(left.contacts)) == (
            len(self.devices) - 1,
            len(self.contacts),
        ):
            return self
        return replace(left, devices=(*left.devices, device)[-MOST_DEVICES:])

    def without_device(self, device: Device) -> Profile:
        """Without this installation, and without whatever else has its token."""
        return replace(
            self,
            devices=tuple(
                one
                for one in self.devices
                if one.id != device.id and (not device.address or one.hash != device.hash)
            ),
            contacts=tuple(
                one
                for one in self.contacts
                if not device.address or (one.channel, one.hash) != (Channel.PUSH, device.hash)
            ),
        )

    def without_devices(self, ids: Iterable[str]) -> Profile:
        """Without these installations."""
        gone = frozenset(ids)
        return replace(self, devices=tuple(one for one in self.devices if one.id not in gone))


class User(msgspec.Struct, frozen=True, kw_only=True, weakref=True, array_like=True):
    """A person as the engine sees them: opened, with the suppressions of their contacts."""

    no: UserNo
    tenant: TenantId
    id: str
    key: bytes
    """The user's data key, unwrapped. Leaves the process for no other than the store's."""
    profile: Profile
    suppressed: frozenset[bytes] = frozenset()
    """Contact hashes that must not be used."""
    revision: int = 0
    inbox_epoch: str = ""
    created_at: int = 0
    updated_at: int = 0
    unreadable: bool = False
    """Key or profile cannot be opened: nothing but their name is known, and nothing can be sent to them."""

    @property
    def seen(self) -> UserSeen:
        """How they were read, for `Users.changed`."""
        return UserSeen(self.no, self.revision, self.suppressed)

    def usable(self, channel: Channel) -> list[Contact]:
        """The contacts of a channel that may be used, in their order."""
        return [one for one in self.profile.contacts_on(channel) if one.hash not in self.suppressed]


class UserSeen(NamedTuple):
    """What tells whether a person is still as they were read."""

    no: UserNo
    revision: int
    suppressed: frozenset[bytes]


class UserPut(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Create or replace a user; `profile=None` only makes sure the user exists."""

    id: str
    profile: Profile | None = None
    revision: int | None = None
    """When given, the stored revision must still be this one, else Conflict."""
    consents: tuple[ConsentRecord, ...] = ()
    """Added in the same transaction."""
