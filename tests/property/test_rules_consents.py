"""What follows from consent records, whatever they are and in whatever order they come."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.consent import (
    EVERY_PURPOSE,
    Consent,
    ConsentAction,
    ConsentId,
    ConsentRecord,
    ConsentState,
)
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.setup import Category, ConsentRule
from clarion.model.user import Preferences, PreferenceSet, Profile
from clarion.rules.consents import deciding, state_of, statements_of, verdict, with_state
from clarion.rules.exact import added

GRANTED, WITHDRAWN = ConsentAction.GRANTED, ConsentAction.WITHDRAWN
CHANNELS = (Channel.EMAIL, Channel.SMS)
PURPOSES = (EVERY_PURPOSE, "news", "marketing", "offers")
NEWS = Category(key="news", purpose="marketing", consent=ConsentRule.REQUIRED)

PLACES = st.tuples(st.sampled_from(PURPOSES), st.sampled_from((None, *CHANNELS)))
RECORDS = st.lists(
    st.tuples(PLACES, st.sampled_from(ConsentAction), st.none() | st.integers(0, 5), st.integers(0, 5)).map(
        lambda one: ConsentRecord(
            id=ConsentId(b""),
            purpose=one[0][0],
            channel=one[0][1],
            action=one[1],
            at=None if one[2] is None else Instant(one[2]),
            recorded_at=Instant(one[3]),
            source="form",
        )
    ),
    max_size=12,
).map(lambda found: [replace(one, id=ConsentId(bytes([n]) * 16)) for n, one in enumerate(found)])


def stored(records: list[ConsentRecord]) -> list[Consent]:
    """The records as a ledger keeps them."""
    return [
        Consent(
            id=one.id,
            tenant=TenantId(1),
            user=UserNo(1),
            purpose=one.purpose,
            channel=one.channel,
            action=one.action,
            at=one.at if one.at is not None else Instant(0),
            recorded_at=one.recorded_at,
            source=one.source,
            text_version="",
            proof=b"",
        )
        for one in records
    ]


def decisions(states):
    """What the states say about everything; which of two records of one time says it does not matter."""
    return {
        (place, (state.action, state.at)) for state in states for place in [(state.purpose, state.channel)]
    }


@given(RECORDS, st.randoms())
def test_the_fold_does_not_depend_on_the_order(records, random):
    """Nor on how often a record comes; and the state that is kept beside the records is their fold."""
    kept, timed = added((), records)
    assert decisions(kept) == decisions(state_of(stored(timed)))
    shuffled = [*stored(timed), *stored(timed)]
    random.shuffle(shuffled)
    assert decisions(state_of(shuffled)) == decisions(kept)


@given(RECORDS, st.sampled_from(CHANNELS))
def test_a_withdrawal_holds_until_something_is_granted_later(records, channel):
    """Whatever was said before, and however broad the withdrawal is."""
    states, _ = added((), records)
    last = ConsentRecord(
        id=ConsentId(b"w" * 16),
        purpose=EVERY_PURPOSE,
        action=WITHDRAWN,
        recorded_at=Instant(0),
        source="form",
    )
    for place in ((EVERY_PURPOSE, None), (EVERY_PURPOSE, channel), ("marketing", None), ("news", channel)):
        now, _ = added(states, [replace(last, purpose=place[0], channel=place[1])])
        found = verdict(NEWS, Profile(consents=now), channel, None)
        assert found is not None
        assert (found.result, found.reason) == ("stop", "withdrawn")
        again, _ = added(now, [replace(last, id=ConsentId(b"g" * 16), purpose="news", action=GRANTED)])
        granted = verdict(NEWS, Profile(consents=again), channel, None)
        assert granted is not None
        assert granted.result == "allow"


@given(RECORDS, st.sampled_from(CHANNELS))
def test_nothing_is_allowed_without_a_grant_of_its_own(records, channel):
    """What decides is a record for the category or its purpose, on this channel or all of them; a grant of everything grants nothing."""
    states, _ = added((), records)
    found = verdict(NEWS, Profile(consents=states), channel, None)
    assert found is not None
    own = [
        one
        for one in states
        if one.purpose in ("news", "marketing") and one.channel in (None, channel) and one.action is GRANTED
    ]
    if found.result == "allow":
        assert found.inputs["consent_id"]
        assert own
    if not own:
        assert found.result == "stop"


CHOICES = st.builds(
    Preferences,
    channels=st.dictionaries(st.sampled_from(CHANNELS), st.booleans()),
    categories=st.dictionaries(
        st.just("news"),
        st.builds(
            PreferenceSet,
            enabled=st.none() | st.booleans(),
            channels=st.dictionaries(st.sampled_from(CHANNELS), st.booleans()),
        ),
    ),
)


@given(st.lists(CHOICES, min_size=1, max_size=5), st.sampled_from(CHANNELS))
def test_who_switches_something_off_and_on_again_has_lost_nothing(choices, channel):
    """After any changes of preferences, back where they began, a consent that was granted before still counts, and none that was not."""
    for granted in (True, False):
        states: tuple[ConsentState, ...] = ()
        if granted:
            first = ConsentState(
                purpose="news", channel=None, action=GRANTED, at=Instant(0), id=ConsentId(b"f")
            )
            states = with_state(states, first)
        before = Preferences()
        for after in [*choices, Preferences()]:
            said = statements_of(before, after, states)
            records = [
                ConsentRecord(
                    id=ConsentId(b"p"),
                    purpose=one.purpose,
                    channel=one.channel,
                    action=one.action,
                    recorded_at=Instant(1),
                    source="preferences",
                )
                for one in said
            ]
            states, _ = added(states, records)
            before = after
        found = deciding(states, NEWS, channel)
        assert found is None or found.action is GRANTED
        if granted:
            assert found is not None
