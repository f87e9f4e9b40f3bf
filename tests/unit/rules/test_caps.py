"""Which caps count a message."""

from clarion.model.channel import Channel
from clarion.model.ids import MessageId, TenantId, UserNo
from clarion.model.setup import Category, SendAll, Tenant
from clarion.model.status import Status
from clarion.model.user import FrequencyCap, Preferences
from clarion.rules.caps import charges
from tests.unit.rules.examples import MIDNIGHT, NIGHT, NOON, person, plan, workflow

HOURLY = FrequencyCap(limit=3, window_s=3_600)
SMS_DAILY = FrequencyCap(limit=1, window_s=86_400, channel=Channel.SMS)


def scopes(
    channel: Channel, tenant: tuple = (), category: tuple = (), own: tuple = (), *, critical: bool = False
) -> list[tuple]:
    """What a message on `channel` is charged to: (scope, limit, window)."""
    found = charges(
        tenant=Tenant(id=TenantId(1), key="shop", caps=tenant),
        category=Category(key="news", caps=category, critical=critical),
        preferences=Preferences(caps=own),
        channel=channel,
        user=UserNo(7),
        message_id=MessageId(b"m" * 16),
        at=NOON,
    )
    assert all((c.user, c.message_id, c.at) == (7, b"m" * 16, NOON) for c in found)
    return [(c.scope, c.limit, c.window_s) for c in found]


def test_without_caps_nothing_is_charged():
    """The common case."""
    assert scopes(Channel.EMAIL) == []


def test_a_cap_over_all_channels_counts_every_message():
    """Of the tenant, and of the category."""
    assert scopes(Channel.IN_APP, (HOURLY,), (HOURLY,)) == [
        ("tenant/*", 3, 3_600),
        ("category/news/*", 3, 3_600),
    ]


def test_a_cap_of_one_channel_counts_only_that():
    """SMS caps do not see emails."""
    assert scopes(Channel.SMS, (SMS_DAILY,), (SMS_DAILY,)) == [
        ("tenant/sms", 1, 86_400),
        ("category/news/sms", 1, 86_400),
    ]
    assert scopes(Channel.EMAIL, (SMS_DAILY,)) == []


def test_critical_messages_are_charged_to_nothing():
    """They neither reach a cap nor use it up."""
    assert scopes(Channel.SMS, (HOURLY,), (SMS_DAILY,), critical=True) == []


def test_two_windows_over_the_same_messages_are_counted_apart():
    """Three an hour and ten a day."""
    daily = FrequencyCap(limit=10, window_s=86_400)
    assert scopes(Channel.EMAIL, (HOURLY, daily)) == [("tenant/*", 3, 3_600), ("tenant/*/86400s", 10, 86_400)]


def test_of_two_limits_over_one_window_the_lower_holds():
    """They are one cap."""
    higher = FrequencyCap(limit=9, window_s=3_600)
    assert (
        scopes(Channel.EMAIL, (higher, HOURLY))
        == scopes(Channel.EMAIL, (HOURLY, higher))
        == [("tenant/*", 3, 3_600)]
    )


def test_a_plan_charges_what_is_due_and_asks_for_what_is_not():
    """What waits is charged when its time comes, what is not sent never: the store says whether a cap stands in the way, too."""
    capped = Category(key="orders", caps=(HOURLY,))
    flow = workflow(SendAll(channels=(Channel.IN_APP, Channel.EMAIL)))
    day = plan(flow, category=capped)
    assert [c.message_id for c in day.charges] == [m.id for m in day.messages]
    night = plan(flow, category=capped, user=person(quiet=(NIGHT,)), now=MIDNIGHT)
    assert [m.status for m in night.messages] == [Status.QUEUED, Status.DEFERRED]
    assert [c.message_id for c in night.charges] == [m.id for m in night.messages]
    assert [m.charged for m in night.messages] == [True, False]
    nobody = plan(flow, category=capped, user=person(contacts=()))
    assert [c.message_id for c in nobody.charges] == [m.id for m in nobody.messages]
    assert [m.charged for m in nobody.messages] == [True, False]


def test_a_cap_of_the_users_own_counts_beside_the_others():
    """Over all categories, or one channel of them."""
    assert scopes(Channel.SMS, (HOURLY,), (), (HOURLY, SMS_DAILY)) == [
        ("tenant/*", 3, 3_600),
        ("user/*", 3, 3_600),
        ("user/sms", 1, 86_400),
    ]
    assert scopes(Channel.SMS, own=(HOURLY,), critical=True) == []
