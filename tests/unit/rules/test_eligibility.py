"""May this message go now? Each rule in its order, and the verdicts that explain it."""

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Category, Tenant
from clarion.model.status import Reason, Status
from clarion.model.user import (
    Contact,
    Day,
    DefaultPreferences,
    FrequencyCap,
    Preferences,
    PreferenceSet,
    Window,
)
from clarion.rules.eligibility import DEVICES
from clarion.rules.time_format import FOREVER, rfc3339
from tests.unit.rules.examples import (
    BERLIN,
    CATEGORY,
    CRITICAL,
    EMAIL,
    MIDNIGHT,
    NIGHT,
    NOON,
    TENANT,
    at,
    contact,
    decide,
    person,
    said,
)

MORNING = at("2026-03-25 08:00", BERLIN)
EVENING = at("2026-03-25 22:00", BERLIN)
OFFICE = Category(
    key="orders",
    send_window=(Window(start="09:00", end="17:00", days=(Day.MON, Day.TUE, Day.WED, Day.THU, Day.FRI)),),
)


def test_with_nothing_against_it_a_message_goes_and_the_verdict_holds_for_good():
    """The common case: reachable, on by default, no hours."""
    decided = decide()
    assert (decided.verdict, decided.status, decided.reason) == ("send", Status.QUEUED, None)
    assert decided.valid_until == FOREVER
    assert decided.contact == contact(Channel.EMAIL)
    assert said(decided.verdicts, "contact") == [("allow", "found")]
    assert said(decided.verdicts, "preferences") == [("allow", "default")]


def test_the_inbox_needs_no_contact():
    """In-app messages reach everybody."""
    decided = decide(Channel.IN_APP, user=person(contacts=()))
    assert (decided.verdict, decided.contact) == ("send", None)


@pytest.mark.parametrize("channel", [c for c in Channel if c is not Channel.IN_APP])
def test_every_other_channel_needs_one(channel):
    """Without a contact of that channel nothing can be sent."""
    others = tuple(contact(other) for other in Channel if other is not channel)
    decided = decide(channel, user=person(contacts=others))
    assert (decided.verdict, decided.status, decided.reason) == ("stop", Status.SUPPRESSED, Reason.NO_CONTACT)


def test_the_first_contact_that_is_not_suppressed_is_used():
    """A dead address is passed over, and the explanation says so without naming it."""
    dead, live = contact(Channel.EMAIL, "dead"), contact(Channel.EMAIL, "live")
    decided = decide(user=person(contacts=(dead, live), suppressed=(dead,)))
    assert decided.contact == live
    assert said(decided.verdicts, "suppression") == [("skip", "suppressed_address")]
    assert "dead" not in str(decided.verdicts)


def devices(count: int) -> tuple[Contact, ...]:
    return tuple(contact(Channel.PUSH, str(n)) for n in range(count))


def test_a_push_goes_to_every_device_that_was_not_suppressed_the_newest_first():
    """Nobody knows which of them the person looks at."""
    phone, old, laptop = devices(3)
    decided = decide(Channel.PUSH, user=person(contacts=(phone, old, laptop), suppressed=(old,)))
    assert (decided.contact, decided.others) == (laptop, (phone,))
    assert said(decided.verdicts, "suppression") == [("skip", "suppressed_address")]
    (verdict,) = [v for v in decided.verdicts if v.rule == "contact"]
    assert (verdict.reason, verdict.inputs) == ("devices", {"devices": 2})


def test_a_push_goes_to_no_more_devices_than_the_limit():
    """Those that were added last."""
    many = devices(DEVICES + 5)
    decided = decide(Channel.PUSH, user=person(contacts=many))
    assert (decided.contact, *decided.others) == many[:4:-1]


def test_a_single_device_is_explained_like_any_other_contact():
    """There is nothing to count."""
    decided = decide(Channel.PUSH, user=person(contacts=devices(1)))
    assert (decided.contact, decided.others) == (devices(1)[0], ())
    assert said(decided.verdicts, "contact") == [("allow", "found")]


def test_who_opted_out_of_pushes_gets_them_on_no_device():
    """A choice is about the channel, not about a device."""
    decided = decide(
        Channel.PUSH,
        user=person(contacts=devices(3), preferences=Preferences(channels={Channel.PUSH: False})),
    )
    assert (decided.reason, decided.contact, decided.others) == (Reason.OPTED_OUT, None, ())


@pytest.mark.parametrize("channel", [c for c in Channel if c not in {Channel.IN_APP, Channel.PUSH}])
def test_every_other_channel_goes_to_one_contact(channel):
    """Two mails or two calls would be one too many."""
    decided = decide(channel, user=person(contacts=(contact(channel, "one"), contact(channel, "two"))))
    assert (decided.contact, decided.others) == (contact(channel, "one"), ())


def test_when_every_contact_is_suppressed_nothing_is_sent_even_if_critical():
    """Suppressed addresses are never contacted."""
    dead = contact(Channel.EMAIL)
    decided = decide(user=person(suppressed=(dead,)), category=CRITICAL)
    assert (decided.verdict, decided.reason) == ("stop", Reason.SUPPRESSED_ADDRESS)
    assert decided.contact is None


def test_an_opt_out_stops_it():
    """And the explanation names the setting."""
    preferences = Preferences(categories={"orders": PreferenceSet(enabled=False)})
    decided = decide(user=person(preferences=preferences))
    assert (decided.verdict, decided.status, decided.reason) == ("stop", Status.SUPPRESSED, Reason.OPTED_OUT)
    assert said(decided.verdicts, "preferences") == [("stop", "user_category")]


def test_expiry_comes_first():
    """Nothing is sent at or after `expires_at`, whatever else holds."""
    decided = decide(category=CRITICAL, user=person(contacts=()), expires_at=NOON)
    assert (decided.verdict, decided.status, decided.reason) == ("stop", Status.EXPIRED, Reason.EXPIRED)


def test_a_verdict_holds_until_the_message_expires():
    """What may go now may not go then."""
    assert decide(expires_at=Instant(NOON + 1)).valid_until == NOON + 1


def test_quiet_hours_defer_to_their_end():
    """Not dropped: held until 08:00 in the user's own zone."""
    decided = decide(user=person(quiet=(NIGHT,)), now=MIDNIGHT)
    assert (decided.verdict, decided.status, decided.reason) == ("defer", Status.DEFERRED, Reason.QUIET_HOURS)
    assert decided.due_at == decided.valid_until == MORNING
    (verdict,) = [v for v in decided.verdicts if v.rule == "quiet_hours"]
    assert verdict.inputs == {
        "windows": ["22:00-08:00"],
        "timezone": BERLIN,
        "local_time": "Wed 00:00",
        "until": rfc3339(MORNING),
    }


def test_outside_quiet_hours_the_verdict_holds_until_they_begin():
    """A worker that holds the message over 22:00 must ask again."""
    decided = decide(user=person(quiet=(NIGHT,)), now=NOON)
    assert (decided.verdict, decided.valid_until) == ("send", EVENING)
    assert said(decided.verdicts, "quiet_hours") == [("allow", "outside")]


def test_an_inbox_makes_no_noise():
    """Quiet hours do not hold back in-app messages."""
    decided = decide(Channel.IN_APP, user=person(quiet=(NIGHT,)), now=MIDNIGHT)
    assert decided.verdict == "send"
    assert said(decided.verdicts, "quiet_hours") == [("allow", "in_app_is_silent")]


def test_send_windows_do_hold_back_the_inbox():
    """They are the sender's or the law's, not about noise."""
    decided = decide(Channel.IN_APP, user=person(quiet=(NIGHT,)), category=OFFICE, now=MIDNIGHT)
    assert (decided.verdict, decided.reason) == ("defer", Reason.SEND_WINDOW)
    assert decided.due_at == at("2026-03-25 09:00", BERLIN)


def test_critical_passes_quiet_hours_and_send_windows():
    """A security code is for now; that it passed them is said."""
    critical = Category(key="security", critical=True, send_window=OFFICE.send_window)
    decided = decide(user=person(quiet=(NIGHT,)), category=critical, now=MIDNIGHT)
    assert (decided.verdict, decided.valid_until) == ("send", FOREVER)
    assert said(decided.verdicts, "quiet_hours") == [("allow", "critical")]
    assert said(decided.verdicts, "send_window") == [("allow", "critical")]


def test_without_a_zone_of_their_own_people_live_in_the_tenants():
    """Also when the stored zone is none the tz database knows."""
    tokyo = Tenant(id=TENANT.id, key="shop", timezone="Asia/Tokyo")
    for zone in ("", "Mars/Olympus"):
        decided = decide(
            user=person(quiet=(NIGHT,), zone=zone), tenant=tokyo, now=at("2026-03-25 23:00", "Asia/Tokyo")
        )
        assert decided.due_at == at("2026-03-26 08:00", "Asia/Tokyo")


def test_an_unknown_zone_of_the_tenant_is_an_error_and_not_utc():
    """The edges refuse it; should it get here, guessing would violate quiet hours."""
    broken = Tenant(id=TENANT.id, key="shop", timezone="Mars/Olympus")
    with pytest.raises(ValueError, match="IANA"):
        decide(user=person(quiet=(NIGHT,), zone=""), tenant=broken)


def test_category_and_workflow_windows_must_both_be_open():
    """The message goes at the first instant that suits quiet hours and both windows."""
    flow = replace(EMAIL, send_window=(Window(start="10:30", end="12:00"),))
    saturday_night = at("2026-03-28 23:00", BERLIN)
    decided = decide(user=person(quiet=(NIGHT,)), category=OFFICE, flow=flow, now=saturday_night)
    assert decided.due_at == at("2026-03-30 10:30", BERLIN)
    assert decided.reason is Reason.QUIET_HOURS
    assert said(decided.verdicts, "send_window") == [("defer", "closed"), ("defer", "closed")]


def test_an_open_window_bounds_how_long_the_verdict_holds():
    """At 12:00 the office is open until 17:00."""
    assert decide(category=OFFICE).valid_until == at("2026-03-25 17:00", BERLIN)


def test_what_could_go_only_after_it_expires_expires_now():
    """It is not kept through the night in vain."""
    decided = decide(user=person(quiet=(NIGHT,)), now=MIDNIGHT, expires_at=MORNING)
    assert (decided.verdict, decided.status, decided.reason) == ("stop", Status.EXPIRED, Reason.EXPIRED)
    assert said(decided.verdicts, "quiet_hours") == [("defer", "inside")]
    assert (
        decide(user=person(quiet=(NIGHT,)), now=MIDNIGHT, expires_at=Instant(MORNING + 1)).verdict == "defer"
    )


def test_hours_that_never_leave_room_stop_it():
    """Quiet all day and night, or quiet whenever the window is open: it ends here instead of waiting for ever."""
    always = decide(user=person(quiet=(Window(start="00:00", end="00:00"),)))
    assert (always.verdict, always.status, always.reason) == ("stop", Status.SUPPRESSED, Reason.QUIET_HOURS)
    disjoint = decide(user=person(quiet=(Window(start="08:00", end="18:00"),)), category=OFFICE)
    assert (disjoint.verdict, disjoint.status) == ("stop", Status.SUPPRESSED)


def test_what_never_opens_is_never_open_until_the_verdict_ends():
    """The verdict says it holds for ever; asked at its very end, in any zone, the answer is the same."""
    for zone in ("UTC", BERLIN, "Pacific/Kiritimati", "Etc/GMT+12"):
        user = person(zone=zone, quiet=(Window(start="08:00", end="18:00"),))
        decided = decide(user=user, category=OFFICE)
        assert decided.valid_until == FOREVER
        last = decide(user=user, category=OFFICE, now=Instant(decided.valid_until - 1))
        assert (last.verdict, last.status, last.due_at) == ("stop", Status.SUPPRESSED, None)
        assert ("stop", "never_open" if last.reason is Reason.SEND_WINDOW else "never_over") in (
            said(last.verdicts, "send_window") + said(last.verdicts, "quiet_hours")
        )


def test_the_same_question_gets_the_same_answer_with_shared_verdicts():
    """The common explanations are one value for all messages, so a million of them cost nothing."""
    assert decide(user=person(no=1)).verdicts is decide(user=person(no=2)).verdicts


def test_caps_are_not_the_gates_business():
    """They are counted exactly by the ledger; here they change nothing."""
    capped = Category(key="orders", caps=(FrequencyCap(limit=0, window_s=60),))
    assert decide(category=capped) == decide(category=CATEGORY)


def test_the_end_of_time_has_an_answer():
    """A window that would open only after the last instant there is never opens; nobody looks for it for ever."""
    noon = Window(start="12:00", end="12:00")
    office = Category(
        key="orders", send_window=(Window(start="00:00", end="20:00", days=(Day.SAT, Day.SUN)),)
    )
    decided = decide(user=person(quiet=(noon,)), category=office, now=Instant(FOREVER - 1))
    assert (decided.verdict, decided.due_at) == ("stop", None)


# -- what a reader wants no messages for, and everything that stands in the way -------------------------------


def test_a_snooze_holds_messages_until_it_is_over():
    """Critical ones and the inbox excepted."""
    user = person(preferences=Preferences(snoozed_until=EVENING))
    decided = decide(user=user, now=NOON)
    assert (decided.verdict, decided.reason, decided.due_at) == ("defer", Reason.SNOOZED, EVENING)
    assert decide(user=user, now=EVENING).verdict == "send"
    assert decide(user=user, now=NOON, category=CRITICAL).verdict == "send"
    silent = decide(Channel.IN_APP, user=user, now=NOON)
    assert (silent.verdict, said(silent.verdicts, "snooze")) == ("send", [("allow", "in_app_is_silent")])


def test_a_snooze_that_ends_in_quiet_hours_is_followed_by_them():
    """Both are named, and the message goes when the later one is over."""
    user = person(preferences=Preferences(snoozed_until=EVENING, quiet_hours=(NIGHT,)))
    decided = decide(user=user, now=MIDNIGHT)
    assert (decided.reason, decided.due_at) == (Reason.SNOOZED, at("2026-03-26 08:00", BERLIN))
    assert [one.rule for one in decided.verdicts if one.result == "defer"] == ["snooze", "quiet_hours"]


def test_a_snooze_of_weeks_keeps_the_message():
    """However long it is, nothing is dropped."""
    until = Instant(NOON + 60 * 86_400_000)
    decided = decide(user=person(preferences=Preferences(snoozed_until=until)), now=NOON)
    assert (decided.verdict, decided.due_at) == ("defer", until)


def test_quiet_hours_of_the_tenant_hold_for_who_has_chosen_none():
    """An empty list is a choice: no quiet hours."""
    tenant = replace(TENANT, preferences=DefaultPreferences(quiet_hours=(NIGHT,)))
    assert decide(user=person(preferences=Preferences()), tenant=tenant, now=MIDNIGHT).reason is (
        Reason.QUIET_HOURS
    )
    chosen = person(preferences=Preferences(quiet_hours=()))
    assert decide(user=chosen, tenant=tenant, now=MIDNIGHT).verdict == "send"


def test_everything_that_stands_in_the_way_is_named():
    """Not the first only: who helps somebody needs to know all of it. The reason is the first."""
    preferences = Preferences(
        categories={"orders": PreferenceSet(enabled=False)},
        workflows={"order-shipped": PreferenceSet(channels={Channel.EMAIL: False})},
        quiet_hours=(NIGHT,),
        snoozed_until=EVENING,
    )
    user = person(contacts=(), preferences=preferences)
    decided = decide(user=user, category=OFFICE, now=MIDNIGHT)
    assert (decided.verdict, decided.reason) == ("stop", Reason.NO_CONTACT)
    assert [(one.rule, one.reason) for one in decided.verdicts] == [
        ("contact", "no_contact"),
        ("preferences", "user_category"),
        ("preferences", "user_workflow_channel"),
        ("snooze", "snoozed"),
        ("quiet_hours", "inside"),
        ("send_window", "closed"),
    ]


def test_what_is_too_late_names_what_else_is_against_it():
    """Sending it again later would not help either."""
    user = person(contacts=(), quiet=(NIGHT,))
    decided = decide(user=user, now=MIDNIGHT, expires_at=MIDNIGHT)
    assert (decided.status, decided.reason) == (Status.EXPIRED, Reason.EXPIRED)
    assert [one.rule for one in decided.verdicts] == ["expiry", "contact", "quiet_hours"]
