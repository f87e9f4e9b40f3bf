"""What is recorded of a change of a user: what kind of change it was, and nothing that tells who it is."""

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.device import Device, Platform
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.user import Contact, Preferences, Profile, User
from clarion.model.user_change import UserChangeKind
from clarion.rules.exact import user_changes

PHONE = Device(id="phone", platform=Platform.ANDROID, address="fcm:token")
PROFILE = Profile(contacts=(Contact(channel=Channel.EMAIL, address="ada@example.org"),), devices=(PHONE,))
ADA = User(no=UserNo(7), tenant=TenantId(1), id="ada", key=b"", profile=PROFILE)
NOW = Instant(1)


def kinds(before: User | None, after: User) -> list[UserChangeKind]:
    """Of what is recorded."""
    return [one.kind for one in user_changes(before, after, NOW)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"contacts": ()}, [UserChangeKind.UPDATED]),
        ({"attributes": {"plan": "pro"}}, [UserChangeKind.UPDATED]),
        ({"locale": "de", "timezone": "UTC"}, [UserChangeKind.UPDATED]),
        ({"preferences": Preferences(channels={Channel.SMS: False})}, [UserChangeKind.PREFERENCES]),
        ({"devices": ()}, [UserChangeKind.DETACHED]),
        ({"devices": (replace(PHONE, app_version="2"),)}, []),
        (
            {"devices": (replace(PHONE, id="tablet"),)},
            [UserChangeKind.REGISTERED, UserChangeKind.DETACHED],
        ),
    ],
)
def test_a_change_is_of_the_kind_that_others_ask_for(changed, expected):
    """Several kinds at once are several records; a device that is described anew is the same device."""
    assert kinds(ADA, replace(ADA, profile=replace(PROFILE, **changed))) == expected


def test_somebody_new_is_created_and_nothing_else():
    """Whatever comes with them."""
    assert kinds(None, ADA) == [UserChangeKind.CREATED]


def test_nothing_is_said_of_users_that_clarion_made_for_itself():
    """Such as those of a test."""
    assert kinds(None, replace(ADA, id="$test:mail")) == []


def test_a_record_holds_no_id():
    """Only the number, which is worth nothing when the person is gone."""
    (record,) = user_changes(None, ADA, NOW)
    assert "ada" not in repr(record)
    assert (record.user, record.tenant, record.at) == (7, 1, 1)
