"""Devices: one user at a time, one device for a token, and what push services said of them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clarion.errors import Conflict, NotFound
from clarion.model.channel import Channel
from clarion.model.device import ActivityAddress, Device, DeviceError, DeviceRefusal, DeviceState, Platform
from clarion.model.ids import Instant, TenantId
from clarion.model.retention import RetentionKind
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression
from clarion.model.user import MOST_DEVICES, Contact, Profile, User, UserPut
from clarion.testing.ledger_contract.subject import LedgerSubject

DAY_MS = 24 * 3_600_000


def phone(id: str = "install-1", token: str = "token-1", **fields: Any) -> Device:  # noqa: S107 - of nothing
    """An installation on a phone; without a token when it is empty."""
    address = f"fcm:{token}" if token else ""
    return Device(id=id, platform=Platform.ANDROID, address=address, **fields)


async def log_in(subject: LedgerSubject, user: User, device: Device) -> DeviceState:
    """The device is the user's now."""
    return await subject.ledger.devices.put(subject.tenant, user.no, device, subject.now)


async def devices_of(subject: LedgerSubject, user: User) -> list[Device]:
    """Those in the profile, without what the ledger adds."""
    found = await subject.ledger.users.get([user.no])
    return [replace(one, hash=b"") for one in found[user.no].profile.devices]


async def usable(subject: LedgerSubject, user: User) -> list[str]:
    """The addresses that a push to the user goes to."""
    found = await subject.ledger.users.get([user.no])
    return [contact.address for contact in found[user.no].usable(Channel.PUSH)]


async def a_device_comes_back_with_its_user(subject: LedgerSubject) -> None:
    """Also when the cache has forgotten them; it is found by id, by user and in the tenant's list, newest first."""
    device = phone(app="com.example.app", locale="de-CH", app_version="4.1")
    first = await log_in(subject, subject.ada, device)
    second = await log_in(subject, subject.bob, phone("install-2", "token-2"))
    for n in range(40):  # more than the cache of a ledger under test holds
        await subject.put_user(f"other-{n}")
    assert await devices_of(subject, subject.ada) == [device]
    assert await subject.ledger.devices.find(subject.tenant, device.id) == first
    assert (first.user, first.seen_at, first.last_error) == (subject.ada.no, subject.now, None)
    assert await subject.ledger.devices.find(subject.tenant, "install-3") is None
    assert await subject.ledger.devices.find(subject.tenant, "install-1\0") is None
    page = subject.ledger.devices.page
    assert [*await page(subject.tenant, None, None, 10)] == [second, first]
    assert [*await page(subject.tenant, None, second.no, 10)] == [first]
    assert [*await page(subject.tenant, subject.bob.no, None, 10)] == [second]


async def live_activities_belong_to_their_device(subject: LedgerSubject) -> None:
    """Their addresses are used, looked up and suppressed like others; they stay when the app registers again, and go with
    the device. What starts any is as it was registered last."""
    start = ActivityAddress(address="apns-start:" + "ab" * 32)
    other = ActivityAddress(address="apns-start:" + "ef" * 32)
    shown = ActivityAddress(address="apns-activity:order-1/" + "cd" * 32)
    await log_in(subject, subject.ada, phone(activities=(start,)))
    await log_in(subject, subject.ada, phone(activities=(start, shown)))
    await log_in(subject, subject.ada, phone(activities=(other,)))
    assert await usable(subject, subject.ada) == ["fcm:token-1", other.address, shown.address]
    user = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no]
    (device,) = user.profile.devices
    gone = device.activities[1].hash
    assert len({device.hash, *(one.hash for one in device.activities)}) == 3
    await subject.ledger.suppressions.add(subject.gone(gone, Channel.PUSH))
    assert await usable(subject, subject.ada) == ["fcm:token-1", other.address]
    await log_in(subject, subject.ada, phone())
    await log_in(subject, subject.bob, phone())
    assert await usable(subject, subject.ada) == []
    assert await usable(subject, subject.bob) == ["fcm:token-1"]


async def a_log_in_moves_a_device(subject: LedgerSubject) -> None:
    """In one step, for everybody who looks: it is never nobody's, and never two people's."""
    await log_in(subject, subject.ada, phone())
    before = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no]
    state = await log_in(subject, subject.bob, phone())
    assert await devices_of(subject, subject.ada) == []
    assert await devices_of(subject, subject.bob) == [phone()]
    assert [*await subject.ledger.devices.page(subject.tenant, None, None, 10)] == [state]
    changed = await subject.ledger.users.changed([before.seen])
    now = changed[subject.ada.no]
    assert now is not None
    assert now.usable(Channel.PUSH) == [], "what is under way to the user before must be told"


async def a_new_token_retires_the_old_one(subject: LedgerSubject) -> None:
    """One send for each installation."""
    await log_in(subject, subject.ada, phone())
    await log_in(subject, subject.ada, phone("install-1", "token-2"))
    assert await usable(subject, subject.ada) == ["fcm:token-2"]
    await log_in(subject, subject.ada, phone("install-1", ""))
    assert await usable(subject, subject.ada) == []
    assert await devices_of(subject, subject.ada) == [phone("install-1", "")]


async def a_token_is_of_one_device(subject: LedgerSubject) -> None:
    """Who registers it last has it: the installation before is gone, whoever's it was."""
    await log_in(subject, subject.ada, phone("install-1"))
    await log_in(subject, subject.ada, phone("install-2"))
    assert await devices_of(subject, subject.ada) == [phone("install-2")]
    await log_in(subject, subject.bob, phone("install-3"))
    assert await devices_of(subject, subject.ada) == []
    assert [one.id for one in await subject.ledger.devices.page(subject.tenant, None, None, 10)] == [
        "install-3"
    ]


async def a_device_takes_its_token_from_contacts(subject: LedgerSubject) -> None:
    """A token that was added as a contact is the device's from then on; other contacts stay."""
    contacts = (
        Contact(channel=Channel.PUSH, address="fcm:token-1"),
        Contact(channel=Channel.PUSH, address="fcm:token-2"),
    )
    for name in ("ada", "bob"):
        await subject.ledger.users.put(subject.tenant, [UserPut(id=name, profile=Profile(contacts=contacts))])
    await log_in(subject, subject.ada, phone())
    assert await usable(subject, subject.ada) == ["fcm:token-2", "fcm:token-1"]
    assert await usable(subject, subject.bob) == ["fcm:token-2"]


async def whoever_logs_out_is_not_reached(subject: LedgerSubject) -> None:
    """Once; a late log-out of the person before does nothing to the next one."""
    await log_in(subject, subject.ada, phone())
    delete = subject.ledger.devices.delete
    assert not await delete(subject.tenant, subject.bob.no, "install-1")
    assert await delete(subject.tenant, subject.ada.no, "install-1")
    assert not await delete(subject.tenant, subject.ada.no, "install-1")
    assert await devices_of(subject, subject.ada) == []
    assert await subject.ledger.devices.find(subject.tenant, "install-1") is None
    await log_in(subject, subject.bob, phone())
    assert not await delete(subject.tenant, subject.ada.no, "install-1")
    assert await devices_of(subject, subject.bob) == [phone()]


async def registering_again_changes_no_user(subject: LedgerSubject) -> None:
    """An app registers at every start: only when it was seen is written."""
    await log_in(subject, subject.ada, phone())
    before = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no]
    subject.clock.advance(60)
    state = await log_in(subject, subject.ada, phone())
    after = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no]
    assert after.revision == before.revision
    assert state.seen_at == subject.now


async def a_change_of_a_device_needs_to_know_what_it_changes(subject: LedgerSubject) -> None:
    """Two who change a device at once: the second is told. So is who changes one that has moved on."""
    await log_in(subject, subject.ada, phone())
    user = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no]
    (seen,) = user.profile.devices
    put = subject.ledger.devices.put
    await put(subject.tenant, user.no, replace(seen, locale="fr"), subject.now, before=seen)
    try:
        await put(subject.tenant, user.no, replace(seen, locale="it"), subject.now, before=seen)
    except Conflict:
        pass
    else:
        raise AssertionError("a change of something else was taken")
    await log_in(subject, subject.bob, phone())
    try:
        await put(subject.tenant, user.no, replace(seen, locale="it"), subject.now, before=seen)
    except Conflict:
        pass
    else:
        raise AssertionError("a change took the device away from its new user")
    assert await devices_of(subject, subject.bob) == [phone()]


async def devices_of_another_tenant_are_not_there(subject: LedgerSubject) -> None:
    """Whatever the id; and nobody logs in for a user of another tenant."""
    await log_in(subject, subject.ada, phone())
    other = TenantId(subject.tenant + 1)
    devices = subject.ledger.devices
    assert await devices.find(other, "install-1") is None
    assert not await devices.delete(other, subject.ada.no, "install-1")
    assert await devices.page(other, None, None, 10) == []
    try:
        await devices.put(other, subject.ada.no, phone("install-2", "token-2"), subject.now)
    except NotFound:
        pass
    else:
        raise AssertionError("a user of another tenant was logged in")
    assert await devices_of(subject, subject.ada) == [phone()]


async def replacing_a_user_keeps_their_devices(subject: LedgerSubject) -> None:
    """Devices change through their own port only."""
    await log_in(subject, subject.ada, phone())
    profile = Profile(contacts=(Contact(channel=Channel.SMS, address="+491"),), locale="fr")
    await subject.ledger.users.put(subject.tenant, [UserPut(id="ada", profile=profile)])
    assert await devices_of(subject, subject.ada) == [phone()]


async def a_user_has_so_many_devices(subject: LedgerSubject) -> None:
    """Who registers more loses the one that was registered first."""
    for n in range(MOST_DEVICES + 1):
        await log_in(subject, subject.ada, phone(f"install-{n}", f"token-{n}"))
    assert [one.id for one in await devices_of(subject, subject.ada)] == [
        f"install-{n}" for n in range(1, MOST_DEVICES + 1)
    ]
    assert await subject.ledger.devices.find(subject.tenant, "install-0") is None


async def _pushed(
    subject: LedgerSubject, since: Instant | None = None, *, reason: Reason = Reason.ADDRESS_GONE
) -> None:
    """A push to ada's device, which its service refused; it has known that the token is gone `since`."""
    user = (await subject.ledger.users.get([subject.ada.no]))[subject.ada.no]
    (device,) = user.profile.devices
    message = subject.planned(channel=Channel.PUSH)
    await subject.plan(message)
    gone = Suppression(
        tenant=subject.tenant,
        channel=Channel.PUSH,
        hash=device.hash,
        reason=reason.value,
        at=subject.now,
        registered_before=since or subject.now,
    )
    refusal = DeviceRefusal(hash=device.hash, reason=reason.value, detail="Unregistered")
    await subject.settle(
        message, Status.BOUNCED, reason=reason, suppressions=(gone,), device_refusals=(refusal,)
    )


async def a_token_that_is_gone_is_not_used(subject: LedgerSubject) -> None:
    """The device says why, until it registers another one."""
    await log_in(subject, subject.ada, phone())
    await _pushed(subject)
    assert await usable(subject, subject.ada) == []
    state = await subject.ledger.devices.find(subject.tenant, "install-1")
    assert state is not None
    assert state.last_error == DeviceError(
        reason="address_gone", detail="Unregistered", at=Instant(subject.now)
    )
    subject.clock.advance(1)
    state = await log_in(subject, subject.ada, phone("install-1", "token-2"))
    assert state.last_error is None
    assert await usable(subject, subject.ada) == ["fcm:token-2"]


async def a_token_that_was_registered_again_is_not_gone(subject: LedgerSubject) -> None:
    """A report about an earlier registration is of no effect; one about this registration is."""
    await log_in(subject, subject.ada, phone())
    gone_since = subject.now
    subject.clock.advance(3600)
    await log_in(subject, subject.ada, phone())
    subject.clock.advance(60)
    await _pushed(subject, gone_since)
    assert await usable(subject, subject.ada) == ["fcm:token-1"]
    await _pushed(subject)
    assert await usable(subject, subject.ada) == []


async def registering_a_token_again_brings_it_back(subject: LedgerSubject) -> None:
    """Whoever it is registered for. What a person suppressed by hand stays suppressed."""
    await log_in(subject, subject.ada, phone())
    await _pushed(subject)
    subject.clock.advance(1)
    await log_in(subject, subject.ada, phone())
    assert await usable(subject, subject.ada) == ["fcm:token-1"]
    await _pushed(subject)
    await log_in(subject, subject.bob, phone())
    assert await usable(subject, subject.bob) == ["fcm:token-1"]
    (device,) = (await subject.ledger.users.get([subject.bob.no]))[subject.bob.no].profile.devices
    by_hand = Suppression(
        tenant=subject.tenant, channel=Channel.PUSH, hash=device.hash, reason="by_hand", at=subject.now
    )
    await subject.ledger.suppressions.add([by_hand])
    await log_in(subject, subject.bob, phone())
    assert await usable(subject, subject.bob) == []


async def erasing_a_person_erases_their_devices(subject: LedgerSubject) -> None:
    """The device can be registered for the next one."""
    await log_in(subject, subject.ada, phone())
    await subject.ledger.users.delete(subject.tenant, "ada")
    assert await subject.ledger.devices.page(subject.tenant, None, None, 10) == []
    try:
        await log_in(subject, subject.ada, phone())
    except NotFound:
        pass
    else:
        raise AssertionError("a device was registered for somebody who is erased")
    await log_in(subject, subject.bob, phone())
    assert await devices_of(subject, subject.bob) == [phone()]


async def devices_not_seen_for_long_go(subject: LedgerSubject) -> None:
    """With their tokens; those that registered again stay."""
    await log_in(subject, subject.ada, phone("old", "token-1"))
    await log_in(subject, subject.ada, phone("young", "token-2"))
    await log_in(subject, subject.bob, phone("late", "token-3"))
    subject.clock.advance(10 * 86_400)
    await log_in(subject, subject.ada, phone("young", "token-2"))
    cutoffs = {subject.tenant: Instant(subject.now - DAY_MS)}
    sweep = subject.ledger.retention.sweep
    assert (await sweep(RetentionKind.DEVICES, cutoffs, None, dry=True)).expired == {subject.tenant: 2}
    assert len(await devices_of(subject, subject.ada)) == 2
    assert (await sweep(RetentionKind.DEVICES, cutoffs, None, dry=False)).expired == {subject.tenant: 2}
    assert await usable(subject, subject.ada) == ["fcm:token-2"]
    assert await usable(subject, subject.bob) == []
    assert [one.id for one in await subject.ledger.devices.page(subject.tenant, None, None, 10)] == ["young"]
    assert (await sweep(RetentionKind.DEVICES, cutoffs, None, dry=False)).expired == {}


DEVICES_CONTRACT = (
    a_device_comes_back_with_its_user,
    live_activities_belong_to_their_device,
    a_log_in_moves_a_device,
    a_new_token_retires_the_old_one,
    a_token_is_of_one_device,
    a_device_takes_its_token_from_contacts,
    whoever_logs_out_is_not_reached,
    registering_again_changes_no_user,
    a_change_of_a_device_needs_to_know_what_it_changes,
    devices_of_another_tenant_are_not_there,
    replacing_a_user_keeps_their_devices,
    a_user_has_so_many_devices,
    a_token_that_is_gone_is_not_used,
    a_token_that_was_registered_again_is_not_gone,
    registering_a_token_again_brings_it_back,
    erasing_a_person_erases_their_devices,
    devices_not_seen_for_long_go,
)
