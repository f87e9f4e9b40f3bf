"""Two regions: each event is accepted where its users are at home, whichever region it was sent to."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.errors import ClarionError, InvalidInput, Misdirected, Unavailable
from clarion.flow.intake.homes import Regions
from clarion.model.forwarded import ForwardedEvents
from clarion.model.submission import Acceptance, Recipient, Submission
from clarion.model.topic import Topic
from clarion.rules.regions import home_of
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, workflow

NAMES = ("paris", "oslo")
USERS = [f"user-{n}" for n in range(8)]
AT_HOME = {name: [user for user in USERS if home_of("acme", user, NAMES) == name] for name in NAMES}


class Neighbour:
    """The other region, as a caller over the network has it."""

    def __init__(self) -> None:
        self.engine: Engine
        self.away = False
        self.asked: list[ForwardedEvents] = []

    async def submit(
        self, tenant: str, submissions: Sequence[Submission]
    ) -> Sequence[Acceptance | ClarionError]:
        if self.away:
            raise Unavailable("nobody there answers")
        sent = msgspec.json.encode(ForwardedEvents(tenant=tenant, submissions=tuple(submissions)))
        self.asked.append(msgspec.json.decode(sent, type=ForwardedEvents))
        return await self.engine.pipeline.intake.submit(self.engine.tenant, self.asked[-1].submissions)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def regions():
    """Paris, oslo, and what paris sees of oslo. Everybody at home exists, and nobody else."""
    neighbours = {name: Neighbour() for name in NAMES}
    engines = {}
    for seed, name in enumerate(NAMES):
        one = Engine(Tables(), ManualClock(), RecordingProvider(batch=50), seed)
        other = next(its for its in NAMES if its != name)
        one.regions = Regions(NAMES, name, neighbours[other])
        engines[name] = neighbours[name].engine = await one.open()
        await one.create_setup(workflow("hello"))
        for user in AT_HOME[name]:
            await one.put_user(user)
        await one.ledger.topics.put(one.tenant, Topic(key="news"))
    yield engines["paris"], engines["oslo"], neighbours["oslo"]
    for one in engines.values():
        await one.stop()


async def users_of(one: Engine) -> list[str]:
    """Everybody who got a message in a region, in order."""
    await one.until_idle()
    found = await one.ledger.users.get([message.user for message in (await one.messages()).values()])
    return sorted(user.id for user in found.values())


async def test_an_event_for_a_user_at_home_elsewhere_is_accepted_there(regions):
    """Once, and nothing of it stays here."""
    paris, oslo, _ = regions
    answer = await paris.trigger("hello", AT_HOME["oslo"][0])
    assert answer.accepted == 1
    assert await users_of(paris) == []
    assert await users_of(oslo) == AT_HOME["oslo"][:1]


async def test_an_event_for_users_of_both_is_accepted_in_both(regions):
    """Each region keeps its own users, also those that are to be created; the answer counts all of them."""
    paris, oslo, _ = regions
    new = next(f"new-{n}" for n in range(50) if home_of("acme", f"new-{n}", NAMES) == "oslo")
    made = Recipient(user_id=new, create=True, phone="+4915112345678")
    answer = await paris.trigger("hello", *USERS, made)
    assert answer.accepted == len(USERS) + 1
    assert answer.created_users == (new,)
    assert await users_of(paris) == AT_HOME["paris"]
    assert await users_of(oslo) == sorted([*AT_HOME["oslo"], new])


async def test_an_event_for_a_topic_reaches_the_subscribers_of_both(regions):
    """A topic has subscribers in each region."""
    paris, oslo, _ = regions
    for name, one in (("paris", paris), ("oslo", oslo)):
        user = AT_HOME[name][0]
        found = await one.ledger.users.find(one.tenant, [user])
        await one.ledger.topics.subscribe(one.tenant, "news", [found[user].no])
    await paris.trigger("hello", Recipient(topic="news"))
    assert await users_of(paris) == AT_HOME["paris"][:1]
    assert await users_of(oslo) == AT_HOME["oslo"][:1]


async def test_nothing_is_accepted_while_the_other_region_cannot_take_its_part(regions):
    """The caller is told, tries again with the same key, and everybody gets one message."""
    paris, oslo, neighbour = regions
    neighbour.away = True
    with pytest.raises(Unavailable):
        await paris.trigger("hello", *USERS, idempotency_key="k")
    assert await users_of(paris) == []
    await paris.trigger("hello", *AT_HOME["paris"], idempotency_key="own")
    neighbour.away = False
    for _ in range(2):
        await paris.trigger("hello", *USERS, idempotency_key="k")
    assert await users_of(oslo) == AT_HOME["oslo"]
    assert len(await paris.messages()) == 2 * len(AT_HOME["paris"])


async def test_what_the_other_region_refuses_is_refused(regions):
    """With its words and the place in the caller's own request."""
    paris, oslo, _ = regions
    await oslo.ledger.users.delete(oslo.tenant, AT_HOME["oslo"][0])
    place = USERS.index(AT_HOME["oslo"][0])
    with pytest.raises(InvalidInput) as refused:
        await paris.trigger("hello", *USERS)
    assert (refused.value.code, refused.value.pointer) == ("unknown_reference", f"#/recipients/{place}")
    assert await users_of(paris) == []


async def test_what_was_handed_over_is_not_handed_back(regions):
    """And an event without a key gets one, so that an answer which was lost does no harm."""
    paris, _, neighbour = regions
    await paris.trigger("hello", *USERS)
    (asked,) = neighbour.asked
    assert asked.tenant == "acme"
    assert asked.submissions[0].idempotency_key


async def test_without_an_address_of_the_other_region_its_events_are_refused(regions):
    """Saying where they belong; whoever is at home here gets theirs, and a topic is this region's."""
    paris, _, _ = regions
    paris.pipeline.homes._regions = Regions(NAMES, "paris", None)
    with pytest.raises(Misdirected, match="at home in region oslo"):
        await paris.trigger("hello", *USERS)
    await paris.trigger("hello", *AT_HOME["paris"])
    await paris.trigger("hello", Recipient(topic="news"))
    assert await users_of(paris) == AT_HOME["paris"]
    with pytest.raises(Misdirected):
        paris.pipeline.homes.check(paris.tenant, AT_HOME["oslo"][0])
    paris.pipeline.homes.check(paris.tenant, AT_HOME["paris"][0])
