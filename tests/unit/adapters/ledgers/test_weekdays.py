"""Quiet hours that were stored with numbered weekdays are read by their names."""

import msgspec

from clarion.adapters.ledgers import user_sealing
from clarion.model.user import Day, Preferences, Profile, UserPut, Window
from clarion.testing.ledger_contract import LedgerSubject


async def test_quiet_hours_of_an_older_profile_keep_their_days(opened, clock, random, monkeypatch):
    """Numbers, no days at all, and names side by side; everything else in the profile stays."""
    hours = [
        {"start": "22:00", "end": "07:00", "days": [0, 6]},
        {"start": "12:00", "end": "13:00"},
    ]
    profile = Profile(attributes={"plan": "pro"}, locale="de", preferences=Preferences(channels={}))

    def as_before(profile: Profile) -> bytes:
        fields = msgspec.to_builtins(profile, builtin_types=(bytes,))
        fields[user_sealing.PREFERENCES] = {"quiet_hours": hours}
        return msgspec.msgpack.encode(fields)

    subject = await LedgerSubject(opened(), clock, random).create_setup()
    with monkeypatch.context() as before:
        before.setattr(user_sealing, "_pack", as_before)
        await subject.ledger.users.put(subject.tenant, [UserPut(id="kim", profile=profile)])
    await subject.ledger.close()
    ledger = opened()
    try:
        kim = (await ledger.users.find(subject.tenant, ["kim"]))["kim"].profile
        assert kim.preferences.quiet_hours == (
            Window(start="22:00", end="07:00", days=(Day.MON, Day.SUN)),
            Window(start="12:00", end="13:00"),
        )
        assert (kim.attributes, kim.locale) == ({"plan": "pro"}, "de")
    finally:
        await ledger.close()
